//! A server process on its own folder.

use std::{
    ffi::OsString,
    io::{BufRead, BufReader, Read, Write as _, stderr},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, OnceLock,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    binary,
    cli::{self, Admin},
    engine::{Database, Engine},
    guard::Guard,
    scim::Scim,
};

/// How long a server may take to start or to stop.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How a server is to be started.
#[derive(Debug, Clone)]
pub struct Launch {
    binary: PathBuf,
    files: Arc<TempDir>,
    database: Arc<Database>,
    role: Option<String>,
    names_database: bool,
    addresses: bool,
    aloud: bool,
    unheard: bool,
    arguments: Vec<OsString>,
    environment: Vec<(String, String)>,
}

impl Launch {
    /// All roles, a new and empty database in a new folder or on the shared
    /// PostgreSQL, ports chosen by the system.
    pub fn on(engine: Engine) -> Self {
        Self::of(binary::muster(), engine)
    }

    /// As [`Launch::on`], of this binary.
    pub fn of(binary: &Path, engine: Engine) -> Self {
        let files = folder();
        let database = Database::new(engine, files.path());
        Self::with(binary, files, database)
    }

    /// As [`Launch::on`], on the database of this URL.
    pub fn at(database_url: &str) -> Self {
        Self::of_at(binary::muster(), database_url)
    }

    /// As [`Launch::at`], of this binary.
    pub fn of_at(binary: &Path, database_url: &str) -> Self {
        Self::with(binary, folder(), Database::at(database_url))
    }

    fn with(binary: &Path, files: TempDir, database: Database) -> Self {
        Self {
            binary: binary.to_owned(),
            files: Arc::new(files),
            database: Arc::new(database),
            role: None,
            names_database: true,
            addresses: true,
            aloud: false,
            unheard: false,
            arguments: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// `--role`.
    pub fn role(mut self, role: &str) -> Self {
        self.role = Some(role.to_owned());
        self
    }

    /// Passes no `--database-url`.
    pub fn without_database(mut self) -> Self {
        self.names_database = false;
        self
    }

    /// Passes no listen addresses: arguments or a file bring them.
    pub fn without_addresses(mut self) -> Self {
        self.addresses = false;
        self
    }

    /// One more argument.
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// One more variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Repeats the errors in the server's log on standard error: what no test
    /// holds, no test can show.
    fn aloud(mut self) -> Self {
        self.aloud = true;
        self
    }

    /// With nobody behind standard error once the server has started: whoever read
    /// the log has ended.
    pub fn unheard(mut self) -> Self {
        self.unheard = true;
        self
    }

    /// The folder of the server's files.
    pub fn folder(&self) -> &Path {
        self.files.path()
    }

    /// The binary that it runs.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// The URL of the server's database.
    pub fn database_url(&self) -> String {
        self.database.url().to_owned()
    }

    /// The admin commands on the server's database.
    pub fn admin(&self) -> Admin {
        Admin::new(&self.binary, self.database.url())
    }

    /// Starts the server and waits until it says that it listens.
    ///
    /// # Panics
    /// With the server's log, when it ends or is not ready in time.
    #[track_caller]
    pub fn start(&self) -> Server {
        match self.try_start() {
            Ok(server) => server,
            Err(failure) => panic!("{failure:?}"),
        }
    }

    /// Starts a server that may refuse to start.
    ///
    /// # Errors
    /// The server ended before it was ready, or was not ready in time.
    pub fn try_start(&self) -> Result<Server, Failure> {
        let mut child = self.command().spawn().expect("the binary starts");
        let log = Arc::new(Mutex::new(String::new()));
        let (lines, ready) = mpsc::channel();
        let stdout = child.stdout.take().expect("stdout is piped");
        let stderr = child.stderr.take().expect("stderr is piped");
        let mut readers = vec![drain(stdout, Arc::clone(&log), Some(lines), false)];
        if !self.unheard {
            readers.push(drain(stderr, Arc::clone(&log), None, self.aloud));
        }
        let mut server = Server {
            launch: self.clone(),
            child,
            readers,
            log,
            printed: Vec::new(),
            http: None,
            grpc: None,
        };
        if server.wait_until_ready(&ready) {
            return Ok(server);
        }
        let status = server.wait_with_deadline(Duration::from_secs(2));
        server.end();
        Err(Failure {
            status,
            log: server.log(),
        })
    }

    fn command(&self) -> Command {
        let mut command = cli::command(&self.binary);
        command.current_dir(self.folder()).arg("serve");
        let role = self.role.as_deref().unwrap_or("all");
        if let Some(role) = &self.role {
            command.args(["--role", role]);
        }
        if self.names_database && role != "scim" {
            command.args(["--database-url", self.database.url()]);
        }
        if self.addresses && role != "scim" {
            command.args(["--grpc-listen", "127.0.0.1:0"]);
        }
        if self.addresses && role != "directory" {
            command.args(["--http-listen", "127.0.0.1:0"]);
        }
        command
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(n, v)| (n, v)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

/// Why a server did not come up.
#[derive(Debug)]
pub struct Failure {
    /// `None` when it hung.
    pub status: Option<ExitStatus>,
    /// All it printed.
    pub log: String,
}

/// A running server; dropping it kills it.
#[derive(Debug)]
pub struct Server {
    launch: Launch,
    child: Child,
    readers: Vec<JoinHandle<()>>,
    log: Arc<Mutex<String>>,
    printed: Vec<String>,
    http: Option<String>,
    grpc: Option<String>,
}

/// How a server ended.
#[derive(Debug)]
pub struct Stopped {
    /// Its exit status.
    pub status: ExitStatus,
    /// How long it took from the signal.
    pub took: Duration,
    /// All it printed, from its start.
    pub log: String,
}

impl Server {
    /// Starts a server on a new, empty database.
    #[track_caller]
    pub fn start(engine: Engine) -> Self {
        Launch::on(engine).start()
    }

    /// The server that tests on this engine share; every test brings its own
    /// tenant.
    pub fn shared(engine: Engine) -> &'static Self {
        static SQLITE: OnceLock<(Server, Guard)> = OnceLock::new();
        static POSTGRES: OnceLock<(Server, Guard)> = OnceLock::new();
        let shared = match engine {
            Engine::Sqlite => &SQLITE,
            Engine::Postgres => &POSTGRES,
        };
        let (server, _) = shared.get_or_init(|| {
            let server = Launch::on(engine).aloud().start();
            let guard = guard(&server);
            (server, guard)
        });
        server
    }

    /// `http://127.0.0.1:PORT`.
    #[track_caller]
    pub fn http(&self) -> &str {
        self.http.as_deref().expect("this role serves no HTTP")
    }

    /// `127.0.0.1:PORT` of HTTP.
    #[track_caller]
    pub fn http_address(&self) -> &str {
        let http = self.http();
        http.strip_prefix("http://").unwrap_or(http)
    }

    /// `http://127.0.0.1:PORT` of gRPC.
    #[track_caller]
    pub fn grpc(&self) -> &str {
        self.grpc.as_deref().expect("this role serves no gRPC")
    }

    /// Base URL of SCIM.
    #[track_caller]
    pub fn scim_url(&self) -> String {
        format!("{}/scim/v2", self.http())
    }

    /// Whether it says that the directory can be used.
    pub fn is_ready(&self) -> bool {
        self.probe("/readyz") == 200
    }

    /// Whether it says that it runs.
    pub fn is_alive(&self) -> bool {
        self.probe("/healthz") == 200
    }

    fn probe(&self, path: &str) -> u16 {
        Scim::anonymous(self.http()).get(path).code()
    }

    /// The folder of the server's files.
    pub fn folder(&self) -> &Path {
        self.launch.folder()
    }

    /// How it was started.
    pub fn launch(&self) -> &Launch {
        &self.launch
    }

    /// The admin commands on the server's database.
    pub fn admin(&self) -> Admin {
        self.launch.admin()
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it printed to standard output until it was ready.
    pub fn printed(&self) -> &[String] {
        &self.printed
    }

    /// All it printed so far, both streams.
    pub fn log(&self) -> String {
        self.log.lock().expect("readers do not panic").clone()
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal(rustix::process::Signal::TERM);
    }

    /// Ends it at once, as a crash does (SIGKILL).
    pub fn kill(&self) {
        self.signal(rustix::process::Signal::KILL);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.child.id()).expect("a process id");
        let pid = rustix::process::Pid::from_raw(pid).expect("a child has an id");
        rustix::process::kill_process(pid, signal).expect("the child was not waited for");
    }

    /// Waits for the end of a terminated server.
    #[track_caller]
    pub fn ended(mut self) -> Stopped {
        let began = Instant::now();
        let Some(status) = self.wait_with_deadline(PATIENCE) else {
            panic!("the server does not stop:\n{}", self.log());
        };
        let took = began.elapsed();
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        Stopped {
            status,
            took,
            log: self.log(),
        }
    }

    /// Sends SIGTERM and waits for the end.
    #[track_caller]
    pub fn stop(self) -> Stopped {
        self.terminate();
        self.ended()
    }

    /// Stops it and starts another on the same files.
    #[track_caller]
    pub fn restart(self) -> Self {
        let launch = self.launch.clone();
        let stopped = self.stop();
        assert_eq!(stopped.status.code(), Some(0), "{}", stopped.log);
        launch.start()
    }

    /// Resident memory in KiB.
    pub fn resident_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.pid());
        let status = std::fs::read_to_string(path).expect("a Linux /proc");
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
        let digits = line.and_then(|l| l.split_whitespace().next());
        digits.and_then(|d| d.parse().ok()).expect("VmRSS in KiB")
    }

    /// How long its threads have computed so far.
    pub fn cpu_time(&self) -> Duration {
        /// Of the clock in which Linux counts, on all its platforms.
        const TICKS_PER_SECOND: f64 = 100.0;
        let path = format!("/proc/{}/stat", self.pid());
        let stat = std::fs::read_to_string(path).expect("a Linux /proc");
        // The name may have spaces in it; utime and stime are fields 14 and 15.
        let behind_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let fields = behind_name.split_whitespace().skip(11).take(2);
        let ticks: f64 = fields.filter_map(|field| field.parse::<f64>().ok()).sum();
        Duration::from_secs_f64(ticks / TICKS_PER_SECOND)
    }

    fn wait_until_ready(&mut self, lines: &Receiver<String>) -> bool {
        let role = self.launch.role.as_deref().unwrap_or("all");
        let (needs_http, needs_grpc) = (role != "directory", role != "scim");
        let deadline = Instant::now() + PATIENCE;
        while (needs_http && self.http.is_none()) || (needs_grpc && self.grpc.is_none()) {
            let left = deadline.saturating_duration_since(Instant::now());
            match lines.recv_timeout(left) {
                Ok(line) => self.read_line(line),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return false,
            }
        }
        // The bootstrap's lines may come behind the addresses.
        while self.bootstraps() && !self.printed.iter().any(|l| l.starts_with("Secret Token:")) {
            match lines.recv_timeout(Duration::from_secs(1)) {
                Ok(line) => self.read_line(line),
                Err(_) => break,
            }
        }
        true
    }

    fn bootstraps(&self) -> bool {
        self.launch.arguments.iter().any(|a| a == "--bootstrap")
    }

    fn read_line(&mut self, line: String) {
        if let Some(url) = line.strip_prefix("HTTP listening on ") {
            self.http = Some(url.trim().trim_end_matches('/').to_owned());
        }
        if let Some(address) = line.strip_prefix("gRPC listening on ") {
            self.grpc = Some(format!("http://{}", address.trim()));
        }
        self.printed.push(line);
    }

    fn wait_with_deadline(&mut self, patience: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + patience;
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            if Instant::now() >= deadline {
                return None;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

fn folder() -> TempDir {
    let folder = tempfile::Builder::new().prefix("muster-").tempdir();
    folder.expect("a temporary folder")
}

/// Reads a stream to its end, so that the server never blocks on a full pipe.
fn drain(
    stream: impl Read + Send + 'static,
    log: Arc<Mutex<String>>,
    lines: Option<Sender<String>>,
    aloud: bool,
) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut bytes = Vec::new();
        while matches!(stream.read_until(b'\n', &mut bytes), Ok(n) if n > 0) {
            let line = String::from_utf8_lossy(&bytes).into_owned();
            bytes.clear();
            if let Ok(mut log) = log.lock() {
                log.push_str(&line);
            }
            if aloud && line.contains(" ERROR ") {
                // Past the test runner's capture.
                let _ = stderr().lock().write_all(line.as_bytes());
            }
            if let Some(lines) = &lines {
                // Nobody listens any more once the server is ready.
                let _ = lines.send(line.trim_end().to_owned());
            }
        }
    })
}

/// Ends a shared server with the test process: nothing drops a static.
fn guard(server: &Server) -> Guard {
    const SCRIPT: &str = r#"cat >/dev/null; kill -KILL "$1"; rm -rf "$2""#;
    let pid = server.pid().to_string();
    Guard::new(SCRIPT, &[pid.as_ref(), server.folder().as_os_str()])
}
