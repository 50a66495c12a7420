//! What is left to do when the test process is gone, however it went.

use std::{
    ffi::OsStr,
    io::Write as _,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Mutex, PoisonError},
};

/// A shell that waits for the end of this process, or for being dropped, and
/// then cleans up. Its standard input closes when this process is gone.
#[derive(Debug)]
pub struct Guard {
    shell: Child,
    /// Gone only while it is dropped.
    input: Mutex<Option<ChildStdin>>,
}

impl Guard {
    /// Starts the script, which reads its standard input to the end before it
    /// does anything. The arguments are its `$1`, `$2` and so on.
    pub fn new(script: &str, arguments: &[&OsStr]) -> Self {
        let mut shell = Command::new("sh");
        shell
            // What ends a whole group of processes, such as an interrupt from the
            // terminal or `timeout`, reaches the guard as well.
            .args(["-c", &format!("trap '' HUP INT TERM\n{script}"), "sh"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut shell = shell.spawn().expect("sh starts");
        let input = Mutex::new(shell.stdin.take());
        Self { shell, input }
    }

    /// Hands the script one more line.
    pub fn tell(&self, line: &str) {
        let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        let input = input.as_mut().expect("it is not dropped yet");
        writeln!(input, "{line}").expect("the guard reads to the end");
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let input = self.input.get_mut().unwrap_or_else(PoisonError::into_inner);
        drop(input.take());
        let _ = self.shell.wait();
    }
}
