//! Loading and attaching, and taking it all back, hook by hook. Each test starts its own
//! tracers, and looks at what the whole machine has loaded: they run one after the other
//! where the runner can say so.

mod budget;
mod cleanup;
mod obstacles;

use serde_json::Value;
use tempfile::TempDir;
use tests::child::{Finished, Running};
use tests::confine::{Change, confine};
use tests::stream::Stream;
use tests::tracer::{self, Traced, read_truth};

use crate::WORKLOAD;

/// All hooks, as `--hook` has them.
const HOOKS: [&str; 4] = ["fentry", "kprobe", "raw-tracepoint", "tracepoint"];

/// What the tracer finds here.
fn doctor() -> Value {
    let finished = tracer::run(&["doctor", "-o", "json"]);
    serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished:#?}"))
}

/// The hooks that can be attached here.
fn hooks() -> Vec<&'static str> {
    let report = doctor();
    let checks = report["checks"].as_array().expect("a list of checks");
    let is_ok = |hook: &&str| checks.iter().any(|c| c["name"] == *hook && c["status"] == "ok");
    HOOKS.into_iter().filter(is_ok).collect()
}

/// Runs the tracer to its end, where the machine is changed.
fn run(args: &[&str], changes: &[Change<'_>]) -> Finished {
    let mut command = tracer::command(args);
    confine(&mut command, changes);
    Running::start(command).finish()
}

/// Traces a scenario with a hook, where the machine is changed.
fn traced(hook: &str, changes: &[Change<'_>], scenario: &[&str]) -> Traced {
    let folder = TempDir::new().expect("a temporary folder");
    let [truth, events] = ["truth", "events"].map(|name| folder.path().join(name));
    let write = format!("file:{}", events.display());
    let options = ["--hook", hook, "-o", "json", "-w", &write, "--", WORKLOAD];
    let truth_option = ["--truth", truth.to_str().expect("a path in UTF-8")];
    let finished = run(&[&options, scenario, &truth_option[..]].concat(), changes);
    let text = std::fs::read_to_string(&events)
        .unwrap_or_else(|error| panic!("{}: {error}; {finished:#?}", events.display()));
    Traced { truth: read_truth(&truth), stream: Stream::parse(&text), finished }
}
