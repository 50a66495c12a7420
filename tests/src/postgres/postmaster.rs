//! The processes of a private cluster.

use std::{
    fs::{self, File},
    net::TcpListener,
    path::Path,
    process::Child,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use uuid::Uuid;

use super::{PATIENCE, Stop, home::Home, programs};
use crate::soon::wait_until;

/// Below the ports that the system hands out, so that no connection of another
/// test sits on ours while PostgreSQL is away.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// How often another port is tried.
const ATTEMPTS: usize = 5;

/// A server on the data in a folder; dropping it ends it.
#[derive(Debug)]
pub(super) struct Postmaster {
    home: Home,
    port: u16,
    /// `None` while it is stopped.
    child: Mutex<Option<Child>>,
}

impl Postmaster {
    /// Starts a server on a free port.
    pub(super) fn start(home: Home) -> Self {
        let mut postmaster = Self {
            home,
            port: 0,
            child: Mutex::new(None),
        };
        // A port may be taken between the look and the start.
        for _ in 0..ATTEMPTS {
            postmaster.port = free_port();
            if postmaster.launch() {
                return postmaster;
            }
        }
        panic!("PostgreSQL does not start:\n{}", postmaster.log());
    }

    pub(super) fn start_again(&self) {
        assert!(self.child().is_none(), "it runs");
        assert!(
            self.launch(),
            "PostgreSQL does not start again:\n{}",
            self.log()
        );
    }

    pub(super) fn folder(&self) -> &Path {
        self.home.folder()
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    #[track_caller]
    pub(super) fn pid(&self) -> u32 {
        self.child().as_ref().expect("it runs").id()
    }

    pub(super) fn log(&self) -> String {
        let bytes = fs::read(self.home.log()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub(super) fn pause(&self) {
        let postmaster = self.pid();
        // In this order none is born in between.
        send(postmaster, Signal::STOP);
        wait_until("the postmaster to stand still", || {
            stat(postmaster).is_some_and(|(state, _)| state == 'T')
        });
        for child in children(postmaster) {
            send(child, Signal::STOP);
        }
    }

    pub(super) fn resume(&self) {
        let postmaster = self.pid();
        for child in children(postmaster) {
            send(child, Signal::CONT);
        }
        send(postmaster, Signal::CONT);
    }

    pub(super) fn kill(&self) {
        self.pause();
        let mut child = self.child().take().expect("it was paused");
        let family = children(child.id());
        for process in &family {
            send(*process, Signal::KILL);
        }
        child.kill().expect("nobody has waited for it");
        child.wait().expect("it is our child");
        // The next start refuses while one of them has the memory in use.
        wait_until("the processes to end", || {
            family.iter().all(|process| !is_alive(*process))
        });
        self.home.runs(None);
    }

    pub(super) fn stop(&self, how: Stop) {
        let signal = match how {
            Stop::Smart => Signal::TERM,
            Stop::Fast => Signal::INT,
            Stop::Immediate => Signal::QUIT,
        };
        send(self.pid(), signal);
        assert!(self.has_ended(), "it does not stop:\n{}", self.log());
    }

    /// Starts the server and waits until it answers; whether it does.
    fn launch(&self) -> bool {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.home.log())
            .expect("a writable folder");
        let copy = log.try_clone().expect("an open file");
        let mut postgres = programs::server("postgres");
        postgres
            .arg("-D")
            .arg(self.home.data())
            .args(["-c", &format!("port={}", self.port)])
            .stdout(log)
            .stderr(copy);
        let child = postgres.spawn().expect("postgres starts");
        self.home.runs(Some(child.id()));
        *self.child() = Some(child);
        self.answers()
    }

    /// Waits until connections are accepted; `false` when it ended before.
    fn answers(&self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let mut ready = programs::server("pg_isready");
            ready.args(["--host=127.0.0.1", &format!("--port={}", self.port)]);
            let accepts = programs::finish(ready).is_ok();
            // Somebody else may answer on a port that was not to be had.
            if self.forget_if_ended() {
                return false;
            }
            if accepts {
                return true;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("PostgreSQL hangs:\n{}", self.log());
    }

    /// Waits for the end; `false` when it does not come.
    fn has_ended(&self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if self.forget_if_ended() {
                return true;
            }
            thread::sleep(Duration::from_millis(5));
        }
        false
    }

    fn forget_if_ended(&self) -> bool {
        let mut child = self.child();
        let running = child.as_mut().expect("it was started");
        let ended = running.try_wait().expect("it is our child").is_some();
        if ended {
            *child = None;
            self.home.runs(None);
        }
        ended
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        // A test that asks for what is stopped panics, and must still end.
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Postmaster {
    fn drop(&mut self) {
        let Some(postmaster) = self.child().as_ref().map(Child::id) else {
            return;
        };
        self.resume();
        send(postmaster, Signal::QUIT);
        // Its home tries harder, and then removes itself.
        let _ = self.has_ended();
    }
}

/// A port on which nobody listens.
fn free_port() -> u16 {
    loop {
        let drawn = Uuid::new_v4().as_u128() % u128::try_from(PORTS.len()).expect("a length");
        let port = PORTS.start + u16::try_from(drawn).expect("below the length");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A process that is gone needs no signal.
fn send(process: u32, signal: Signal) {
    let pid = i32::try_from(process).ok().and_then(Pid::from_raw);
    let _ = kill_process(pid.expect("a process id"), signal);
}

/// The processes that this one started.
fn children(parent: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("a Linux /proc");
    let processes = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    processes
        .filter(|process| stat(*process).is_some_and(|(_, of)| of == parent))
        .collect()
}

/// Whether a process still has its memory: one whose end nobody has noticed yet
/// has none.
fn is_alive(process: u32) -> bool {
    stat(process).is_some_and(|(state, _)| state != 'Z')
}

/// State and parent of a process.
fn stat(process: u32) -> Option<(char, u32)> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // Its name stands in brackets and may hold anything.
    let mut fields = text.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}
