//! The least that watching can cost on this machine, beside what the tracer takes: programs
//! of a few instructions (`tests/src/bin/bench-workload/floor.rs`), each stage with one part
//! more of what any tracer must do.

use anyhow::Result;

use super::{Suite, cost::BURSTS, report::Row, stats::Pairs, watcher::Watcher};

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
        let millis = suite.millis.to_string();
        let load = [&[load, "--clock", "cpu", "--millis", &millis][..], BURSTS].concat();
        let deadline = suite.deadline(2);
        let (mut floors, mut ours) = (vec![Pairs::default(); stages.len()], Pairs::default());
        for round in 0..suite.rounds {
            if round > 0 && std::time::Instant::now() > deadline {
                break;
            }
            let time =
                |watcher, args: &[&str]| suite.bench.run(watcher, args)?.figure("ns_per_call");
            for ((stage, _), pairs) in stages.iter().zip(&mut floors) {
                let bare = time(Watcher::Nobody, &load)?;
                let args = [&load[..], &["--floor", stage]].concat();
                pairs.0.push((bare, time(Watcher::Nobody, &args)?));
            }
            let bare = time(Watcher::Nobody, &load)?;
            ours.0.push((bare, time(Watcher::Tracer(&["--detail", "call"]), &load)?));
        }
        let floors = stages.iter().map(|(_, what)| (*what).to_owned()).zip(floors);
        for (what, pairs) in floors.chain([(format!("tracer: {what}"), ours)]) {
            let Some(value) = pairs.added() else { continue };
            let section = format!("the floor: added per call, {}", load[0]);
            let (unit, note) = ("ns".to_owned(), String::new());
            suite.report.row(Row { section, what, unit, bare: pairs.bare(), value, note });
        }
    }
    Ok(())
}
