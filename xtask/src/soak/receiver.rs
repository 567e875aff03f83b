//! The receiver at the tracer's unix socket: what it gets goes into `tracer verify`.

use std::{
    fs,
    io::{BufRead, BufReader, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};
use rustix::net::{Shutdown, shutdown};
use serde_json::Value;

/// Of so many lines one tells how long it took.
const SAMPLE: u64 = 20;
/// How long nobody is there between two lives.
const AWAY: Duration = Duration::from_secs(2);

/// Delays since they were last taken, in seconds.
type Delays = Arc<Mutex<Vec<f64>>>;

/// It.
pub struct Receiver {
    socket: PathBuf,
    verify: Option<Child>,
    /// Lines go in here; a thread at a time has it.
    input: Option<ChildStdin>,
    life: Option<Life>,
    delays: Delays,
}

/// While it listens.
struct Life {
    thread: JoinHandle<Result<ChildStdin>>,
    /// Closed to end it.
    stream: Arc<Mutex<Option<UnixStream>>>,
}

impl Receiver {
    /// Listens in the folder.
    pub fn start(folder: &Path, tracer: &Path) -> Result<Self> {
        let mut verify = Command::new(tracer)
            .args(["verify", "-o", "json", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .context("can't start tracer verify")?;
        let input = verify.stdin.take();
        let socket = folder.join("socket");
        let mut own =
            Self { socket, verify: Some(verify), input, life: None, delays: Delays::default() };
        own.live()?;
        Ok(own)
    }

    fn live(&mut self) -> Result<()> {
        let _ = fs::remove_file(&self.socket);
        let listener = UnixListener::bind(&self.socket).context("the receiver's socket")?;
        let input = self.input.take().context("tracer verify reads")?;
        let (stream, delays) = (Arc::new(Mutex::new(None)), Arc::clone(&self.delays));
        let shared = Arc::clone(&stream);
        let thread = thread::Builder::new().name("receiver".to_owned());
        let thread = thread.spawn(move || receive(&listener, &shared, input, &delays))?;
        self.life = Some(Life { thread, stream });
        Ok(())
    }

    /// Closes the connection in the middle, is away for a while, and listens again.
    pub fn restart(&mut self) -> Result<()> {
        self.die(true)?;
        thread::sleep(AWAY);
        self.live()
    }

    fn die(&mut self, close: bool) -> Result<()> {
        let Some(life) = self.life.take() else { return Ok(()) };
        let stream = life.stream.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(stream) = stream.filter(|_| close) {
            shutdown(&stream, Shutdown::Both).context("the receiver's connection")?;
        }
        let ended = life.thread.join();
        self.input = Some(ended.map_err(|_| anyhow::anyhow!("the receiver panicked"))??);
        Ok(())
    }

    /// Delays of lines since this was last called: median, 99th percentile, most.
    pub fn take_delays(&self) -> Option<[f64; 3]> {
        let mut delays =
            std::mem::take(&mut *self.delays.lock().unwrap_or_else(PoisonError::into_inner));
        delays.sort_by(f64::total_cmp);
        let at = |part: f64| delays.get(((delays.len() - 1) as f64 * part) as usize).copied();
        if delays.is_empty() { None } else { Some([at(0.5)?, at(0.99)?, at(1.0)?]) }
    }

    /// Once the tracer has ended: what `tracer verify` says.
    pub fn end(mut self) -> Result<Value> {
        self.die(false)?;
        drop(self.input.take());
        let verify = self.verify.take().context("tracer verify runs")?;
        let output = verify.wait_with_output()?;
        serde_json::from_slice(&output.stdout).context("what tracer verify says")
    }
}

fn receive(
    listener: &UnixListener,
    shared: &Mutex<Option<UnixStream>>,
    mut input: ChildStdin,
    delays: &Mutex<Vec<f64>>,
) -> Result<ChildStdin> {
    let (stream, _) = listener.accept()?;
    *shared.lock().unwrap_or_else(PoisonError::into_inner) = Some(stream.try_clone()?);
    let mut reader = BufReader::with_capacity(1 << 20, stream);
    let (mut line, mut count) = (Vec::new(), 0_u64);
    loop {
        line.clear();
        // A part of a line is what a receiver that dies has of its last one.
        if reader.read_until(b'\n', &mut line)? == 0 || line.last() != Some(&b'\n') {
            return Ok(input);
        }
        input.write_all(&line)?;
        count += 1;
        if count.is_multiple_of(SAMPLE)
            && let Some(delay) = delay(&line)
        {
            delays.lock().unwrap_or_else(PoisonError::into_inner).push(delay);
        }
    }
}

/// How long ago a line's call ended, in seconds.
fn delay(line: &[u8]) -> Option<f64> {
    let event: Value = serde_json::from_slice(line).ok()?;
    let time: jiff::Timestamp = event["time"].as_str()?.parse().ok()?;
    let ended = time.as_nanosecond() + i128::from(event["latency_ns"].as_u64()?);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Some((now.as_nanos() as f64 - ended as f64) / 1e9)
}
