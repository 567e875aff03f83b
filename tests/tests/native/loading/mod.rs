//! Loading and attaching, and taking it all back, hook by hook. Each test starts its own
//! tracers, and looks at what the whole machine has loaded: they run one after the other
//! where the runner can say so.

mod budget;
mod cleanup;
mod obstacles;
mod preemption;
mod unrolled;

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use serde_json::Value;
use tempfile::TempDir;
use tests::child::{Finished, Running};
use tests::confine::{Change, confine};
use tests::stream::Stream;
use tests::tracer::{self, Traced};

use crate::WORKLOAD;

/// Held by tests that attach in this process, since what it holds is counted.
static ATTACHING_HERE: Mutex<()> = Mutex::new(());

fn attaching_here() -> MutexGuard<'static, ()> {
    ATTACHING_HERE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All hooks, as `--hook` has them.
const HOOKS: [&str; 4] = ["fentry", "kprobe", "raw-tracepoint", "tracepoint"];

/// What the tracer finds here.
fn doctor() -> Value {
    let finished = tracer::run(&["doctor", "-o", "json"]);
    serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished:#?}"))
}

/// Of each hook whether it can be attached here, and why not; looked at once.
fn reasons() -> &'static [(&'static str, Option<String>)] {
    static HERE: OnceLock<Vec<(&str, Option<String>)>> = OnceLock::new();
    HERE.get_or_init(|| {
        let report = doctor();
        let listed = report["hooks"].as_array().expect("a list of hooks");
        let reason = |hook| {
            let found = listed.iter().find(|row| row["hook"] == hook).expect("every hook");
            (found["status"] != "yes").then(|| found["detail"].as_str().unwrap_or("").to_owned())
        };
        HOOKS.into_iter().map(|hook| (hook, reason(hook))).collect()
    })
}

/// Why a hook can't be attached here, if it can't.
fn lacking(hook: &str) -> Option<&'static str> {
    reasons().iter().find(|(name, _)| *name == hook)?.1.as_deref()
}

/// The hooks that can be attached here.
fn hooks() -> impl Iterator<Item = &'static str> {
    reasons().iter().filter(|(_, reason)| reason.is_none()).map(|(hook, _)| *hook)
}

/// The same without one.
fn hooks_but(other: &'static str) -> impl Iterator<Item = &'static str> {
    hooks().filter(move |hook| *hook != other)
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
    Traced::new(&truth, Stream::parse(&text), finished)
}
