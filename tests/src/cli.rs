//! The admin commands of the binary under test.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

/// Runs admin commands on one database.
#[derive(Debug, Clone)]
pub struct Admin {
    binary: std::path::PathBuf,
    database_url: String,
    environment: Vec<(String, String)>,
}

impl Admin {
    /// Commands of this binary on this database.
    pub fn new(binary: &Path, database_url: &str) -> Self {
        Self {
            binary: binary.to_owned(),
            database_url: database_url.to_owned(),
            environment: Vec::new(),
        }
    }

    /// With one more variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs a command to its end; `--database-url` is appended.
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        let mut command = command(&self.binary);
        command
            .args(arguments)
            .args(["--database-url", &self.database_url])
            .envs(self.environment.iter().map(|(n, v)| (n, v)));
        Outcome::of(command, arguments.join(" "))
    }

    /// Runs a command that must succeed, with `--json`.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        let mut with_json = arguments.to_vec();
        with_json.push("--json");
        self.run(&with_json).code(0).json()
    }
}

/// Runs the binary under test with these arguments alone.
pub fn run(binary: &Path, arguments: &[&str]) -> Outcome {
    let mut command = command(binary);
    command.args(arguments);
    Outcome::of(command, arguments.join(" "))
}

/// A command of the binary, free of the caller's `MUSTER_*` variables.
pub(crate) fn command(binary: &Path) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MUSTER_") {
            command.env_remove(name);
        }
    }
    command.env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// What a command answered.
#[must_use]
#[derive(Debug)]
pub struct Outcome {
    what: String,
    output: Output,
}

impl Outcome {
    fn of(mut command: Command, what: String) -> Self {
        let output = command.output().expect("the binary starts");
        Self { what, output }
    }

    /// The exit code, for those who want to branch on it.
    pub fn exit(&self) -> Option<i32> {
        self.output.status.code()
    }

    /// Asserts the exit code.
    #[track_caller]
    pub fn code(self, expected: i32) -> Self {
        assert_eq!(
            self.output.status.code(),
            Some(expected),
            "`muster {}`\nstdout: {}\nstderr: {}",
            self.what,
            self.stdout(),
            self.stderr()
        );
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        let text = self.stdout();
        match serde_json::from_str(&text) {
            Ok(value) => value,
            Err(e) => panic!("`muster {}` printed no JSON ({e}): {text}", self.what),
        }
    }

    /// Standard output as text.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    /// Standard error as text.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }
}
