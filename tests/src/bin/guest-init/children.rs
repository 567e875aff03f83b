//! Everything that the first process starts, and everything that is left to it.

use std::{
    fs::{self, File},
    io::{self, BufRead as _, BufReader},
    os::unix::process::ExitStatusExt as _,
    process::{Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread,
    time::{Duration, Instant},
};

/// The longest that a tracer may take to attach, and to end.
const TRACER_LIMIT: Duration = Duration::from_secs(100);

/// A tracer that runs beside suites.
pub struct Tracer {
    pub pid: u32,
    /// Lines of its stderr.
    stderr: Receiver<String>,
    said: String,
    ended: Option<ExitStatus>,
}

impl Tracer {
    /// Starts it and waits until it is attached; an error is how it ended, and what it
    /// said.
    pub fn start(command: &mut Command) -> Result<Self, (String, String)> {
        let mut started = || -> io::Result<_> {
            let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?;
            let stderr = child.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?;
            Ok((child.id(), stderr))
        };
        let (pid, stderr) = started().map_err(|error| (format!("error {error}"), String::new()))?;
        let (sender, receiver) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut tracer = Self { pid, stderr: receiver, said: String::new(), ended: None };
        let deadline = Instant::now() + TRACER_LIMIT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match tracer.stderr.recv_timeout(left) {
                Ok(line) => {
                    tracer.said += &format!("{line}\n");
                    if line.starts_with("tracer: attached") {
                        return Ok(tracer);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Err(tracer.wait()),
                Err(RecvTimeoutError::Timeout) => {
                    signal(pid, libc::SIGKILL);
                    let (_, said) = tracer.wait();
                    return Err((format!("deadline {}", TRACER_LIMIT.as_secs()), said));
                }
            }
        }
    }

    /// Ends it with SIGINT; how it ended, and all that it said.
    pub fn stop(self) -> (String, String) {
        if self.ended.is_none() {
            signal(self.pid, libc::SIGINT);
        }
        self.wait()
    }

    fn wait(mut self) -> (String, String) {
        let how = match self.ended {
            // It should have lived until now.
            Some(status) => format!("early {}", ending(status)),
            None => {
                reap(self.pid, TRACER_LIMIT, None).unwrap_or_else(|error| format!("error {error}"))
            }
        };
        while let Ok(line) = self.stderr.recv_timeout(Duration::from_secs(1)) {
            self.said += &format!("{line}\n");
        }
        (how, self.said)
    }
}

/// Runs a suite to its end, or kills it at its deadline; the tracer lives on.
pub fn suite(
    command: &mut Command,
    output: &File,
    deadline: Duration,
    mut tracer: Option<&mut Tracer>,
) -> io::Result<String> {
    let child = command.stdout(output.try_clone()?).stderr(output.try_clone()?).spawn()?;
    let how = reap(child.id(), deadline, tracer.as_deref_mut());
    // Nothing of a suite lives on beside the next one.
    kill_all_but(tracer.map(|tracer| tracer.pid));
    how
}

/// Waits for whatever ends, orphans and the tracer too, until it is `child`; kills that
/// at its deadline.
fn reap(child: u32, deadline: Duration, mut tracer: Option<&mut Tracer>) -> io::Result<String> {
    let late = Arc::new(AtomicBool::new(false));
    let (ended, end) = channel::<()>();
    let watchdog = thread::spawn({
        let late = Arc::clone(&late);
        move || {
            if end.recv_timeout(deadline) == Err(RecvTimeoutError::Timeout) {
                late.store(true, Ordering::SeqCst);
                signal(child, libc::SIGKILL);
            }
        }
    });
    let status = loop {
        let mut status = 0;
        // SAFETY: a status of our own to write to.
        let pid = unsafe { libc::wait(&mut status) };
        let status = ExitStatus::from_raw(status);
        match (u32::try_from(pid), tracer.as_deref_mut()) {
            (Ok(pid), _) if pid == child => break Ok(status),
            (Ok(pid), Some(tracer)) if pid == tracer.pid => tracer.ended = Some(status),
            (Ok(_), _) => {}
            (Err(_), _) => break Err(io::Error::last_os_error()),
        }
    };
    drop(ended);
    let _ = watchdog.join();
    match late.load(Ordering::SeqCst) {
        true => Ok(format!("deadline {}", deadline.as_secs())),
        false => status.map(ending),
    }
}

fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => format!("error {status}"),
    }
}

fn signal(pid: u32, signal: i32) {
    // SAFETY: integers only; the process is a child that has not been waited for.
    unsafe { libc::kill(pid as i32, signal) };
}

/// Kills every process but this one and `spared`. Threads of the kernel don't mind.
fn kill_all_but(spared: Option<u32>) {
    let own = std::process::id();
    let names = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = names.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| *pid != own && Some(*pid) != spared).for_each(|pid| {
        signal(pid, libc::SIGKILL);
    });
}
