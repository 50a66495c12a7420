//! A way to a server on which all that it answers is lost.

use tokio::{
    io::{AsyncWriteExt as _, sink},
    net::{TcpListener, TcpStream},
};

use muster_tests::runtime::{runtime, wait};

/// Listens for calls to a server, and passes on no answer.
pub(super) struct Proxy {
    /// `http://127.0.0.1:PORT`.
    pub(super) url: String,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    /// A way to the server of this URL.
    #[track_caller]
    pub(super) fn to(url: &str) -> Self {
        let server = url.strip_prefix("http://").expect("a URL").to_owned();
        let listener = wait(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("it listens");
        let task = runtime().spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, server.clone()));
            }
        });
        Self {
            url: format!("http://{address}"),
            task,
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Until the server goes: then the client sees its connection closed.
async fn carry(client: TcpStream, server: String) {
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    let (mut asks, mut told) = client.into_split();
    let (mut answers, mut asked) = server.into_split();
    let asking = tokio::spawn(async move { tokio::io::copy(&mut asks, &mut asked).await });
    let _ = tokio::io::copy(&mut answers, &mut sink()).await;
    asking.abort();
    let _ = told.shutdown().await;
}
