//! Child processes that can't outstay their welcome: every wait has a limit, and
//! what is left over is killed by its own id.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// The longest that a child may take for anything.
fn limit() -> Duration {
    Duration::from_secs(if crate::tools::is_slow() { 180 } else { 60 })
}

/// Lines of a pipe, as they come.
pub struct Lines {
    receiver: Receiver<Vec<u8>>,
    /// Everything that has been taken so far.
    pub seen: Vec<u8>,
}

impl Lines {
    fn new(pipe: impl Read + Send + 'static) -> Self {
        let (sender, receiver) = channel();
        thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            loop {
                let mut line = Vec::new();
                match pipe.read_until(b'\n', &mut line) {
                    Ok(1..) if sender.send(line).is_ok() => {}
                    _ => return,
                }
            }
        });
        Self { receiver, seen: Vec::new() }
    }

    /// The next line with its newline; None at the end of the pipe.
    pub fn next(&mut self, deadline: Instant) -> Result<Option<String>, String> {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.receiver.recv_timeout(left) {
            Ok(line) => {
                self.seen.extend(&line);
                Ok(Some(String::from_utf8_lossy(&line).into_owned()))
            }
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => Err("nothing came in time".to_owned()),
        }
    }

    /// Waits for a line; panics with what came instead.
    pub fn wait_for(&mut self, what: &str, mut wanted: impl FnMut(&str) -> bool) -> String {
        let deadline = Instant::now() + limit();
        loop {
            match self.next(deadline) {
                Ok(Some(line)) if wanted(&line) => return line,
                Ok(Some(_)) => {}
                Ok(None) => panic!("the pipe ended before {what}; it said:\n{}", self.text()),
                Err(error) => panic!("waiting for {what}: {error}; so far:\n{}", self.text()),
            }
        }
    }

    /// Takes the rest, to the end of the pipe.
    pub fn finish(&mut self) -> String {
        let deadline = Instant::now() + limit();
        while let Some(_line) = self.next(deadline).unwrap_or_else(|error| panic!("{error}")) {}
        self.text()
    }

    /// What has been taken so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }
}

/// A running child with pipes at both ends.
pub struct Running {
    child: Child,
    name: String,
    /// Its stdin, until it is closed.
    pub stdin: Option<ChildStdin>,
    /// Its stdout.
    pub stdout: Lines,
    /// Its stderr.
    pub stderr: Lines,
}

/// A child that has ended.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// All that it wrote to stdout.
    pub stdout: String,
    /// All that it wrote to stderr.
    pub stderr: String,
}

impl Finished {
    /// The exit status; panics where a signal ended the child.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("ended by a signal: {self:?}"))
    }

    /// Panics unless the child exited with this status.
    pub fn expect_code(&self, code: i32) -> &Self {
        assert_eq!(self.status.code(), Some(code), "exit status; {self:#?}");
        self
    }
}

impl Running {
    /// Starts a program.
    pub fn start(command: Command) -> Self {
        Self::start_into(command, Stdio::piped())
    }

    /// Starts a program whose stdout goes elsewhere.
    pub fn start_into(mut command: Command, stdout: impl Into<Stdio>) -> Self {
        let name = format!("{command:?}");
        command.stdin(Stdio::piped()).stdout(stdout).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        let stdout = match child.stdout.take() {
            Some(pipe) => Lines::new(pipe),
            None => Lines::new(std::io::empty()),
        };
        let stderr = Lines::new(child.stderr.take().expect("a piped stderr"));
        Self { stdin: child.stdin.take(), child, name, stdout, stderr }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Writes a line to its stdin.
    pub fn say(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("stdin is still open");
        stdin.write_all(format!("{line}\n").as_bytes()).expect("the child reads its stdin");
    }

    /// Sends a signal.
    pub fn signal(&self, signal: i32) {
        // SAFETY: integers only; the child has not been waited for, so the id is its own.
        let result = unsafe { libc::kill(self.id() as i32, signal) };
        assert_eq!(result, 0, "{}: {}", self.name, std::io::Error::last_os_error());
    }

    /// Waits for its end and takes all that it said.
    pub fn finish(mut self) -> Finished {
        drop(self.stdin.take());
        let status = self.wait();
        Finished { status, stdout: self.stdout.finish(), stderr: self.stderr.finish() }
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + limit();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                return status;
            }
            if Instant::now() > deadline {
                // Killed by `drop`.
                let said = self.said();
                panic!("{} runs for more than {:?}; it said:\n{said}", self.name, limit());
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child of ours").is_some()
    }

    /// What it has said on stderr so far.
    pub fn said(&mut self) -> String {
        let now = Instant::now();
        while let Ok(Some(_)) = self.stderr.next(now) {}
        self.stderr.text()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Runs a program to its end.
pub fn run(program: impl AsRef<OsStr>, args: &[&str]) -> Finished {
    let mut command = Command::new(program);
    command.args(args);
    Running::start(command).finish()
}
