//! What the tests share: a clock that is moved by hand, endpoints that misbehave.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use muster_client::{Clock, System, cache::Cache};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// The system's clock, and as much later as it is told.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    system: System,
    by_ms: AtomicU64,
}

impl Ahead {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// So much time goes by at once.
    pub(crate) fn pass(&self, time: Duration) {
        let ms = u64::try_from(time.as_millis()).expect("a short time");
        self.by_ms.fetch_add(ms, Ordering::Relaxed);
    }

    fn by(&self) -> Duration {
        Duration::from_millis(self.by_ms.load(Ordering::Relaxed))
    }
}

impl Clock for Ahead {
    fn elapsed(&self) -> Duration {
        self.system.elapsed() + self.by()
    }

    fn unix(&self) -> Duration {
        self.system.unix() + self.by()
    }
}

/// What becomes of the connections of a [`Proxy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Habit {
    /// They are passed on.
    Passes,
    /// They break when an answer is due.
    Breaks,
}

/// Stands between a client and a server.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    broken: Arc<AtomicUsize>,
}

impl Proxy {
    /// In front of this address.
    pub(crate) async fn before(url: &str, habit: Habit) -> Self {
        let behind = url.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let broken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&broken);
        tokio::spawn(async move {
            while let Ok((inward, _)) = listener.accept().await {
                tokio::spawn(pass(inward, behind.clone(), habit, Arc::clone(&count)));
            }
        });
        Self { address, broken }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many connections broke.
    pub(crate) fn broken(&self) -> usize {
        self.broken.load(Ordering::Relaxed)
    }
}

/// Frames of HTTP/2 that begin an answer: its headers.
const HEADERS: u8 = 1;

async fn pass(mut inward: TcpStream, behind: String, habit: Habit, broken: Arc<AtomicUsize>) {
    let Ok(mut outward) = TcpStream::connect(behind).await else {
        return;
    };
    if habit == Habit::Passes {
        let _ = tokio::io::copy_bidirectional(&mut inward, &mut outward).await;
        return;
    }
    let (mut from_client, mut to_client) = inward.split();
    let (mut from_server, mut to_server) = outward.split();
    let there = async {
        let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
    };
    let back = async {
        let mut head = [0; 9];
        while from_server.read_exact(&mut head).await.is_ok() {
            if head[3] == HEADERS {
                broken.fetch_add(1, Ordering::Relaxed);
                return;
            }
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut frame = vec![0; length as usize];
            if from_server.read_exact(&mut frame).await.is_err()
                || to_client.write_all(&head).await.is_err()
                || to_client.write_all(&frame).await.is_err()
            {
                return;
            }
        }
    };
    tokio::select! {
        () = there => {}
        () = back => {}
    }
}

/// A URL where connections are taken and nothing is ever said, as of a host that lost its
/// power: it refuses nothing.
pub(crate) async fn dead() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            held.push(connection);
        }
    });
    format!("http://{address}")
}

/// A URL where nobody listens.
pub(crate) async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    format!("http://{}", listener.local_addr().expect("an address"))
}

/// Waits until a cache answers again.
pub(crate) async fn ready(cache: &Cache) {
    let ready = tokio::time::timeout(Duration::from_secs(20), cache.ready());
    ready.await.expect("in time").expect("its rights reach");
}
