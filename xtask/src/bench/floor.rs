//! The least that watching can cost on this machine, beside what the tracer takes: programs
//! of a few instructions (`tests/src/bin/bench-workload/floor.rs`), each stage with one part
//! more of what any tracer must do.

use anyhow::Result;

use super::{
    Suite,
    cost::{added, pairs},
    watcher::Watcher,
};

/// Stages, in their order, and what each has more than the one before.
const STAGES: &[(&str, &str)] = &[
    ("hooks", "two empty programs, at the beginning and the end of each call"),
    ("pending-hash", "and the number looked at, the call remembered, in a hash table"),
    ("pending-task", "the same, in the task's storage"),
    ("pending", "the same, in an array"),
    ("clock", "and the time of its end"),
    ("record", "and a record of 208 bytes in a ring, nobody woken"),
];

/// What the stages add to a call, and in the same runs the tracer at `--detail call`.
pub fn measure(suite: &mut Suite) -> Result<()> {
    for (load, stages, what) in [
        ("eagain", STAGES, "EAGAIN, --detail call"),
        ("getppid", &STAGES[..1], "getppid, which nobody traces"),
    ] {
        let tracer = Watcher::Tracer(&["--detail", "call"]);
        let watchers = stages.iter().map(|(stage, _)| Watcher::Floor(stage)).chain([tracer]);
        let watchers: Vec<_> = watchers.collect();
        let measured = pairs(suite, &watchers, &[load, "--clock", "cpu"], suite.deadline(2))?;
        let names = stages.iter().map(|(_, what)| (*what).to_owned());
        let section = format!("the floor: added per call, {load}");
        for (what, measured) in names.chain([format!("tracer: {what}")]).zip(measured) {
            added(suite, &section, what, measured);
        }
    }
    Ok(())
}
