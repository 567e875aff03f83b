//! Running the tracer: around a workload that it starts, or beside one that is
//! running already.
//!
//! Without options a test may also get the events of a tracer that runs for all of them
//! ([`crate::shared`]).

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

use crate::child::{Finished, Running};
use crate::skip::require_root_bpf;
use crate::stream::Stream;
use crate::{hook, shared};

/// The tracer's binary: `TRACER_BIN`, or what was built last as release or else as
/// debug in the target folder of these tests or of the workspace.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = std::env::var_os("TRACER_BIN") {
            let path = PathBuf::from(path);
            assert!(path.is_file(), "TRACER_BIN: {} is no file", path.display());
            return path;
        }
        let own = std::env::current_exe().expect("the test's own path");
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
        let targets = own.ancestors().skip(3).take(1).map(Path::to_owned);
        let targets: Vec<_> = targets.chain([workspace.join("target")]).collect();
        let candidates = targets
            .iter()
            .flat_map(|target| ["release", "debug"].map(|p| target.join(p).join("tracer")));
        candidates.into_iter().find(|path| path.is_file()).unwrap_or_else(|| {
            panic!("no tracer in {targets:?}: `cargo build --release -p tracer`, or set TRACER_BIN")
        })
    })
}

/// A command that runs the tracer.
pub fn command<S: AsRef<OsStr>>(args: &[S]) -> Command {
    let mut command = Command::new(binary());
    command.args(args);
    command
}

/// Runs the tracer to its end.
pub fn run<S: AsRef<OsStr>>(args: &[S]) -> Finished {
    Running::start(command(args)).finish()
}

/// What a run of the tracer around a workload left behind.
#[derive(Debug)]
pub struct Traced {
    /// What the workload says that it did.
    pub truth: Vec<Value>,
    /// What the tracer says that it did.
    pub stream: Stream,
    /// The tracer's end.
    pub finished: Finished,
}

impl Traced {
    /// With what a workload wrote down; panics where it wrote nothing.
    pub fn new(truth: &Path, stream: Stream, finished: Finished) -> Self {
        assert!(truth.exists(), "the workload told nothing: {finished:#?}");
        Self { truth: read_truth(truth), stream, finished }
    }

    /// Checks the end, the stream, and every call against its event.
    pub fn assert_exact(&self) {
        self.assert_fine();
        self.stream.assert_exactly(&self.truth);
        if !self.stream.is_part {
            assert_eq!(self.stream.lost(), 0, "nothing is lost: {}", self.stream.end());
        }
    }

    /// Checks the end and the stream; a shared tracer's stream is checked at its end.
    pub fn assert_fine(&self) {
        self.finished.expect_code(0);
        assert!(!self.truth.is_empty(), "the workload told something");
        if !self.stream.is_part {
            self.stream.check();
        }
    }
}

/// Runs a scenario and compares every call with exactly one event; None, with a skip of
/// the group, where nothing can be attached.
pub fn exact(group: &str, workload: &str, scenario: &[&str]) -> Option<Traced> {
    require_root_bpf(group).then(|| {
        let traced = around(workload, &[], scenario);
        traced.assert_exact();
        traced
    })
}

/// Lets the tracer start a workload: `tracer ARGS -o json -w file:… -- workload …`.
pub fn around(workload: &str, args: &[&str], scenario: &[&str]) -> Traced {
    let folder = TempDir::new().expect("a temporary folder");
    let truth = folder.path().join("truth");
    let truth_option = ["--truth", truth.to_str().expect("a path in UTF-8")];
    let command = [&[workload], scenario, &truth_option].concat();
    let (stream, finished) = around_command(args, &command);
    Traced::new(&truth, stream, finished)
}

/// Lets the tracer start any program; without options, a shared tracer sees it where
/// there is one.
pub fn around_command(args: &[&str], program: &[&str]) -> (Stream, Finished) {
    if args.is_empty()
        && let Some(shared) = shared::run(program)
    {
        return shared;
    }
    let folder = TempDir::new().expect("a temporary folder");
    let out = folder.path().join("events");
    let write = format!("file:{}", out.display());
    let options = hook::options();
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let args = [&options, args, &["-o", "json", "-w", &write, "--"], program].concat();
    let finished = run(&args);
    let text = std::fs::read_to_string(&out)
        .unwrap_or_else(|error| panic!("{}: {error}; {finished:#?}", out.display()));
    (Stream::parse(&text), finished)
}

/// Reads what a workload wrote down; panics where it wrote nothing.
pub fn read_truth(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("the workload told nothing: {}: {error}", path.display()));
    text.lines().map(|line| serde_json::from_str(line).expect("truth in JSON")).collect()
}

/// A tracer that is attached and writes JSON to its stdout.
pub struct Attached {
    /// The tracer.
    pub tracer: Running,
}

impl Attached {
    /// Starts the tracer and waits until it says that it is attached.
    pub fn start(args: &[&str]) -> Self {
        let options = hook::options();
        let options: Vec<_> = options.iter().map(String::as_str).collect();
        Self::with(&[&options, args].concat())
    }

    /// The same with these options alone.
    pub fn with(args: &[&str]) -> Self {
        let mut attached =
            Self { tracer: Running::start(command(&[args, &["-o", "json"]].concat())) };
        attached.wait_attached();
        attached
    }

    /// Waits until the tracer says that it is attached.
    pub fn wait_attached(&mut self) {
        let attached = |line: &str| line.starts_with("tracer: attached");
        self.tracer.stderr.wait_for("`tracer: attached`", attached);
    }

    /// Waits until the tracer has said this on stderr, which may have been before.
    pub fn wait_said(&mut self, words: &str) {
        let stderr = &mut self.tracer.stderr;
        if !stderr.text().contains(words) {
            stderr.wait_for(words, |line| line.contains(words));
        }
    }

    /// Waits for an event.
    pub fn wait_event(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut found = None;
        self.tracer.stdout.wait_for(what, |line| {
            found = serde_json::from_str(line)
                .ok()
                .filter(|value: &Value| value["schema"] == "tracer.event/1" && wanted(value));
            found.is_some()
        });
        found.expect("the line that was waited for")
    }

    /// Ends the tracer with SIGINT and takes all that it wrote.
    pub fn stop(self) -> (Stream, Finished) {
        self.tracer.signal(libc::SIGINT);
        let finished = self.tracer.finish();
        finished.expect_code(0);
        let stream = Stream::parse(&finished.stdout);
        stream.check();
        (stream, finished)
    }
}

/// A workload that waits for a line before its first call.
pub struct Waiting {
    /// The workload.
    pub workload: Running,
    folder: TempDir,
}

impl Waiting {
    /// Starts it.
    pub fn start(workload: &str, scenario: &[&str]) -> Self {
        Self::spawn(workload, &[scenario, &["--wait-go"]].concat())
    }

    /// Starts it without making it wait; the scenario does so by itself.
    pub fn spawn(workload: &str, scenario: &[&str]) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let mut command = Command::new(workload);
        command.args(scenario).arg("--truth").arg(folder.path().join("truth"));
        // Scenarios that change their user still write there.
        Self { workload: Running::start(command), folder }
    }

    /// Its process id, as an option's value.
    pub fn pid(&self) -> String {
        self.workload.id().to_string()
    }

    /// Lets it make its first call, with the scenario `two-calls`.
    pub fn call_once(&mut self) {
        self.workload.say("go");
        self.workload.stdout.wait_for("the first call", |line| line == "called\n");
    }

    /// Lets it go, waits for its end, and returns what it did.
    pub fn go(mut self) -> Vec<Value> {
        self.workload.say("go");
        self.finish()
    }

    /// Waits for its end, once it was let go, and returns what it did.
    pub fn finish(self) -> Vec<Value> {
        let Self { workload, folder } = self;
        let finished = workload.finish();
        finished.expect_code(0);
        read_truth(&folder.path().join("truth"))
    }
}
