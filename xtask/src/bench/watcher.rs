//! Running the workload, with nobody watching or under a tracer.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
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
    /// Somebody else's.
    Peer(&'a Peer),
}

/// What a run of the workload came to.
#[derive(Debug)]
pub struct Run {
    /// What the workload says.
    pub said: Value,
    /// The tracer's last health record.
    pub end: Option<Value>,
    /// CPU time that the tracer took, in seconds.
    pub cpu_seconds: f64,
}

impl Run {
    /// A number that the workload says.
    pub fn figure(&self, name: &str) -> Result<f64> {
        self.said[name].as_f64().with_context(|| format!("no {name} in {}", self.said))
    }

    /// A number of the tracer's last health record.
    pub fn ended(&self, pointer: &str) -> Result<u64> {
        let end = self.end.as_ref().context("the tracer was not there")?;
        end.pointer(pointer).and_then(Value::as_u64).with_context(|| format!("{pointer}: {end}"))
    }

    /// Calls that the tracer lost.
    pub fn lost(&self) -> u64 {
        self.ended("/lost/total").unwrap_or(0)
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
            Watcher::Nobody => {
                let said = said_by(&mut self.command(args))?;
                Ok(Run { said, end: None, cpu_seconds: 0.0 })
            }
            Watcher::Tracer(options) => {
                let file = self.folder.path().join("events");
                let write = format!("file:{}", file.display());
                self.run_to(options, &write, args, &file)
            }
            Watcher::Peer(peer) => {
                let said = peer.around(self, args)?;
                Ok(Run { said, end: None, cpu_seconds: 0.0 })
            }
        }
    }

    /// The same under the tracer, which writes to `write`; `health` is the file in which
    /// its last line is found.
    pub fn run_to(
        &self,
        options: &[&str],
        write: &str,
        args: &[&str],
        health: &Path,
    ) -> Result<Run> {
        let tracer = Tracer::start(self, &[options, &["-w", write]].concat(), Stdio::null())?;
        let said = said_by(&mut self.command(args));
        let cpu_seconds = tracer.stop()?;
        let end = if health.is_file() { Some(last_line(health)?) } else { None };
        Ok(Run { said: said?, end, cpu_seconds })
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

/// The last line of a file, which may be large.
fn last_line(path: &Path) -> Result<Value> {
    use std::io::{Seek as _, SeekFrom};
    let read = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        let len = file.metadata()?.len();
        file.seek(SeekFrom::Start(len.saturating_sub(64 << 10)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let line = bytes.trim_ascii_end().rsplit(|byte| *byte == b'\n').next();
        Ok(String::from_utf8_lossy(line.unwrap_or_default()).into_owned())
    };
    let line = read().with_context(|| format!("can't read {}", path.display()))?;
    serde_json::from_str(&line).with_context(|| format!("the tracer's last line is {line:?}"))
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
        let mut command = Command::new(&bench.tracer);
        command.args(["--output", "json", "--buffer", "64M"]).args(options);
        command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped());
        let start = Instant::now();
        let mut child =
            cpu::spawn_on(bench.other, &mut command).context("can't start the tracer")?;
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

    /// A field of its /proc/PID/status, in KiB.
    pub fn memory(&self, field: &str) -> Result<u64> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(&path).with_context(|| path.clone())?;
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        kib.with_context(|| format!("no {field} in {path}"))
    }

    /// CPU time that it has taken, in seconds (proc_pid_stat(5), ticks of 10 ms).
    fn cpu_seconds(&self) -> Result<f64> {
        let path = format!("/proc/{}/schedstat", self.child.id());
        let mut total = 0.0;
        // All threads, where the kernel keeps nanoseconds.
        for entry in
            fs::read_dir(format!("/proc/{}/task", self.child.id())).context("its threads")?
        {
            let stat = entry.context("its threads")?.path().join("schedstat");
            let text = fs::read_to_string(&stat).with_context(|| path.clone())?;
            let ns: f64 = text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0.0);
            total += ns / 1e9;
        }
        Ok(total)
    }

    /// Ends it as a user would; the CPU time that it took in all but its last moments.
    pub fn stop(mut self) -> Result<f64> {
        let cpu_seconds = self.cpu_seconds()?;
        interrupt(&mut self.child, "the tracer")?;
        let status = self.child.wait().context("the tracer's end")?;
        let said = self.said.join().unwrap_or_default();
        if !status.success() {
            bail!("the tracer failed ({status}): {}", said.trim());
        }
        Ok(cpu_seconds)
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
