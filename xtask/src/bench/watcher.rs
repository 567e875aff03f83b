//! Running the workload, with nobody watching or under a tracer.

use std::{
    fs,
    io::{self, BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::{cpu, peers::Peer};

/// Longest time that a tracer may take to begin, or to end.
const LIMIT: Duration = Duration::from_secs(30);

/// The programs, and where they run.
pub struct Bench {
    pub tracer: PathBuf,
    pub workload: PathBuf,
    /// The workload's CPU.
    pub cpu: usize,
    /// The CPU of what watches.
    pub other: usize,
    /// For what tracers write.
    pub folder: TempDir,
}

/// Who watches.
#[derive(Clone, Copy)]
pub enum Watcher<'a> {
    Nobody,
    /// The tracer, with these options.
    Tracer(&'a [&'a str]),
    /// The least programs, up to this stage, which the workload brings itself.
    Floor(&'a str),
    /// Somebody else's.
    Peer(&'a Peer),
}

/// What a run of the workload came to.
#[derive(Debug)]
pub struct Run {
    /// What the workload says.
    pub said: Value,
    /// What the tracer says, where it was there.
    pub end: Option<End>,
}

/// What the tracer says at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct End {
    pub seen: u64,
    pub emitted: u64,
    pub lost: u64,
    /// CPU time that it took until then.
    pub cpu_seconds: f64,
}

impl Run {
    /// A number that the workload says.
    pub fn figure(&self, name: &str) -> Result<f64> {
        self.said[name].as_f64().with_context(|| format!("no {name} in {}", self.said))
    }

    /// Calls that the tracer lost.
    pub fn lost(&self) -> u64 {
        self.end.map_or(0, |end| end.lost)
    }
}

impl End {
    /// Out of the summary on stderr: `tracer: seen 9, filtered 1, emitted 7, lost 1 (…)`.
    fn of(said: &str) -> Option<Self> {
        let line = said.lines().rev().find_map(|line| line.strip_prefix("tracer: seen "))?;
        let line = format!("seen {line}");
        let number = |name: &str| {
            let (_, rest) = line.split_once(name)?;
            let digits: String =
                rest.trim_start().chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok()
        };
        Some(Self {
            seen: number("seen")?,
            emitted: number("emitted")?,
            lost: number("lost")?,
            cpu_seconds: 0.0,
        })
    }
}

impl Bench {
    /// The workload on its CPU, with these arguments.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.workload);
        command.args(args).arg("--cpu").arg(self.cpu.to_string());
        command
    }

    /// Runs the workload under a watcher.
    pub fn run(&self, watcher: Watcher<'_>, args: &[&str]) -> Result<Run> {
        match watcher {
            Watcher::Nobody => Ok(Run { said: said_by(&mut self.command(args))?, end: None }),
            Watcher::Floor(stage) => {
                let args = [args, &["--floor", stage]].concat();
                Ok(Run { said: said_by(&mut self.command(&args))?, end: None })
            }
            Watcher::Peer(peer) => Ok(Run { said: peer.around(self, args)?, end: None }),
            Watcher::Tracer(options) => {
                let file = format!("file:{}", self.folder.path().join("events").display());
                let options = [options, &["--write", &file]].concat();
                let tracer = Tracer::start(self, &options, Stdio::null())?;
                let said = said_by(&mut self.command(args));
                let end = tracer.stop()?;
                Ok(Run { said: said?, end: Some(end) })
            }
        }
    }
}

/// Runs the workload and reads its line.
pub fn said_by(workload: &mut Command) -> Result<Value> {
    let output = workload.stdin(Stdio::null()).output().context("can't start the workload")?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("the workload failed ({}): {}", output.status, stderr.trim());
    }
    let line = stdout.lines().last().unwrap_or_default();
    serde_json::from_str(line).with_context(|| format!("the workload said {line:?}"))
}

/// Memory in KiB.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// Without maps.
    pub own: u64,
    /// Of BPF maps: the kernel's, which the process sees too; a ring's data twice.
    pub maps: u64,
}

/// The tracer, attached.
pub struct Tracer {
    child: Child,
    /// Its diagnostics.
    said: thread::JoinHandle<String>,
    /// From exec to attached.
    pub began: Duration,
}

impl Tracer {
    /// Starts it beside the workload's CPU and waits until it is attached.
    pub fn start(bench: &Bench, options: &[&str], stdout: impl Into<Stdio>) -> Result<Self> {
        Self::start_by(|it| cpu::spawn_on(bench.other, it), bench, options, stdout)
    }

    /// The same, on any CPU: it verifies programs on several at the same time.
    pub fn start_anywhere(
        bench: &Bench,
        options: &[&str],
        stdout: impl Into<Stdio>,
    ) -> Result<Self> {
        Self::start_by(Command::spawn, bench, options, stdout)
    }

    fn start_by(
        spawn: impl FnOnce(&mut Command) -> io::Result<Child>,
        bench: &Bench,
        options: &[&str],
        stdout: impl Into<Stdio>,
    ) -> Result<Self> {
        let mut command = Command::new(&bench.tracer);
        command.args(["--output", "json"]).args(options);
        command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped());
        let start = Instant::now();
        let mut child = spawn(&mut command).context("can't start the tracer")?;
        let stderr = BufReader::new(child.stderr.take().context("stderr is a pipe")?);
        let (sender, receiver) = mpsc::channel();
        let said = thread::spawn(move || {
            let mut said = String::new();
            for line in stderr.lines().map_while(Result::ok) {
                if line.starts_with("tracer: attached") {
                    // Nobody listens any more after an early end.
                    let _ = sender.send(start.elapsed());
                }
                said.push_str(&line);
                said.push('\n');
            }
            said
        });
        // An early end drops the sender.
        match receiver.recv_timeout(LIMIT) {
            Ok(began) => Ok(Self { child, said, began }),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                child.wait().context("the tracer's end")?;
                let said = said.join().unwrap_or_default();
                bail!("the tracer did not attach: {}", said.trim())
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                child.kill().context("the tracer's end")?;
                child.wait().context("the tracer's end")?;
                bail!("the tracer did not attach in {LIMIT:?}")
            }
        }
    }

    /// What it writes to stdout, where that is a pipe.
    pub fn stdout(&mut self) -> Result<std::process::ChildStdout> {
        self.child.stdout.take().context("stdout is a pipe")
    }

    /// What it has in memory: its own, and of the ring buffers that it has mapped
    /// (proc_pid_smaps(5)).
    pub fn memory(&self) -> Result<Memory> {
        let path = format!("/proc/{}/smaps", self.child.id());
        let smaps = fs::read_to_string(&path).with_context(|| path.clone())?;
        let (mut memory, mut of_map) = (Memory::default(), false);
        for line in smaps.lines() {
            let mut words = line.split_whitespace();
            match (words.next(), words.next().and_then(|kib| kib.parse::<u64>().ok())) {
                (Some("Rss:"), Some(kib)) if of_map => memory.maps += kib,
                (Some("Rss:"), Some(kib)) => memory.own += kib,
                (Some(field), _) if field.ends_with(':') => {}
                // The line that a mapping begins with ends in what is mapped.
                _ => of_map = line.contains("bpf-map"),
            }
        }
        Ok(memory)
    }

    /// CPU time that its threads have taken, in seconds (Documentation/scheduler/sched-stats.rst).
    fn cpu_seconds(&self) -> Result<f64> {
        let folder = format!("/proc/{}/task", self.child.id());
        let mut total = 0.0;
        for thread in fs::read_dir(&folder).with_context(|| folder.clone())? {
            let path = thread.with_context(|| folder.clone())?.path().join("schedstat");
            let text = fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
            let ns: f64 = text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0.0);
            total += ns / 1e9;
        }
        Ok(total)
    }

    /// Ends it as a user would.
    pub fn stop(mut self) -> Result<End> {
        let cpu_seconds = self.cpu_seconds()?;
        interrupt(&mut self.child, "the tracer")?;
        let status = self.child.wait().context("the tracer's end")?;
        let said = self.said.join().unwrap_or_default();
        if !status.success() {
            bail!("the tracer failed ({status}): {}", said.trim());
        }
        let end = End::of(&said).with_context(|| format!("no summary in {said:?}"))?;
        Ok(End { cpu_seconds, ..end })
    }
}

/// Sends SIGINT and waits for the end; past the limit it is killed, and that is an error.
pub fn interrupt(child: &mut Child, name: &str) -> Result<()> {
    kill_process(Pid::from_child(child), Signal::INT).with_context(|| format!("ending {name}"))?;
    let start = Instant::now();
    while child.try_wait().with_context(|| format!("the end of {name}"))?.is_none() {
        if start.elapsed() > LIMIT {
            child.kill().and_then(|()| child.wait()).with_context(|| format!("killing {name}"))?;
            bail!("{name} did not end in {LIMIT:?}");
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tracers_summary() {
        let said = "tracer: attached: hook x\ntracer: seen 39, filtered 2, emitted 36, lost 1 (ring full 1), 4 unfinished\n";
        let expected = End { seen: 39, emitted: 36, lost: 1, cpu_seconds: 0.0 };
        assert_eq!(End::of(said), Some(expected));
        assert_eq!(End::of("tracer: attached"), None);
    }
}
