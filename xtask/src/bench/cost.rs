//! What a call costs more: traced by each hook at each detail, not traced at all, and
//! left out by a filter.
//!
//! Calls come in bursts that the default rings hold, with pauses in which they are drained:
//! larger rings would be memory that no cache holds.
//!
//! What is compared is the CPU time of the calling thread, in which the kernel programs
//! run too; where the call blocks, the time that passes.

use std::time::Instant;

use anyhow::{Error, Result};

use super::{
    Suite,
    report::Row,
    stats::Pairs,
    watcher::{Bench, Watcher},
};

const HOOKS: &[&str] = &["raw-tracepoint", "tracepoint", "fentry", "kprobe"];
const DETAILS: &[&str] = &["call", "messages", "full"];

/// A workload: what it is called in the table, and its arguments.
type Load<'a> = (&'a str, &'a [&'a str]);

const EAGAIN: Load<'_> = ("EAGAIN", &["eagain", "--clock", "cpu"]);
const LOADS: &[Load<'_>] = &[
    EAGAIN,
    ("1 message", &["receive", "--messages", "1", "--clock", "cpu"]),
    ("8 messages", &["receive", "--messages", "8", "--clock", "cpu"]),
    ("64 messages", &["receive", "--messages", "64", "--clock", "cpu"]),
    ("1 message, blocking", &["blocking", "--chunk", "200"]),
];
/// With hooks other than the first.
const FEW_LOADS: &[Load<'_>] = &[EAGAIN, LOADS[1]];
/// Calls of a burst, fewer where each has many messages, and the pause after it: two of the
/// longest waits of a tracer that is not woken.
const BURSTS: &[&str] = &["--burst", "16000", "--pause", "45"];
/// What the time is divided among: two hooks attach nearly everywhere, all hardly.
const GROUPS: usize = LOADS.len() + FEW_LOADS.len() + 1;

/// Runs under one watcher, each with a bare one before it.
#[derive(Default)]
pub struct Measured {
    pub pairs: Pairs,
    /// Calls that the tracer lost meanwhile.
    pub lost: u64,
    /// Why it could not go on; what there is until then stays.
    pub failed: Option<Error>,
}

/// What each watcher adds to a workload, in turns, until the deadline.
pub fn pairs(
    suite: &Suite,
    watchers: &[Watcher<'_>],
    load: &[&str],
    deadline: Instant,
) -> Result<Vec<Measured>> {
    let mut all: Vec<_> = watchers.iter().map(|_| Measured::default()).collect();
    let millis = suite.millis.to_string();
    let load = [load, BURSTS, &["--millis", &millis]].concat();
    for round in 0..suite.rounds {
        if round > 0 && Instant::now() > deadline {
            break;
        }
        for (watcher, measured) in watchers.iter().zip(&mut all) {
            if measured.failed.is_some() {
                continue;
            }
            let bare = suite.bench.run(Watcher::Nobody, &load)?.figure("ns_per_call")?;
            match suite.bench.run(*watcher, &load) {
                Ok(run) => {
                    measured.pairs.0.push((bare, run.figure("ns_per_call")?));
                    measured.lost += run.lost();
                }
                Err(error) => measured.failed = Some(error),
            }
        }
    }
    Ok(all)
}

/// Adds a row of what is added, in nanoseconds.
pub fn added(suite: &mut Suite, section: &str, what: String, measured: Measured) {
    let Measured { pairs, lost, failed } = measured;
    if let Some(error) = failed {
        suite.report.skip(format!("{section}, {what}"), format!("{error:#}"));
    }
    let Some(value) = pairs.added() else { return };
    let note = if lost > 0 { format!("{lost} lost meanwhile") } else { String::new() };
    let (section, unit) = (section.to_owned(), "ns".to_owned());
    suite.report.row(Row { section, what, unit, bare: pairs.bare(), value, note });
}

/// Whether a hook can be attached here; a skip where it can't.
fn attaches(suite: &mut Suite, hook: &str) -> bool {
    let bench: &Bench = &suite.bench;
    match bench.run(Watcher::Tracer(&["--hook", hook]), &["eagain", "--millis", "1"]) {
        Ok(_) => true,
        Err(error) => {
            let text = format!("{error:#}");
            let reason = text.lines().next().unwrap_or_default();
            let reason = reason.rsplit("error: ").next().unwrap_or(reason);
            suite.report.skip(format!("hook {hook}"), reason);
            false
        }
    }
}

/// Added per traced call, by hook, detail and messages.
pub fn traced(suite: &mut Suite) -> Result<()> {
    let mut first = true;
    for hook in HOOKS {
        if !attaches(suite, hook) {
            continue;
        }
        let section = format!("added per traced call, {hook}");
        for (name, load) in if first { LOADS } else { FEW_LOADS } {
            let options: Vec<_> =
                DETAILS.iter().map(|detail| ["--hook", hook, "--detail", detail]).collect();
            let watchers: Vec<_> = options.iter().map(|options| Watcher::Tracer(options)).collect();
            let measured = pairs(suite, &watchers, load, suite.deadline(GROUPS))?;
            for (detail, measured) in DETAILS.iter().zip(measured) {
                added(suite, &section, format!("{name}, {detail}"), measured);
            }
        }
        first = false;
    }
    Ok(())
}

/// Added to calls that are not traced.
pub fn untraced(suite: &mut Suite) -> Result<()> {
    for hook in HOOKS {
        let known = suite.report.skipped.iter().any(|left| left.what == format!("hook {hook}"));
        if known || !attaches(suite, hook) {
            continue;
        }
        let section = format!("added per call that is not traced, {hook}");
        let own = std::process::id().to_string();
        let by_pid = ["--hook", hook, "--pid", &own];
        let by_comm = ["--hook", hook, "--comm", "nobody"];
        let all = ["--hook", hook];
        for (name, options, load) in [
            ("getppid", &all[..], "getppid"),
            ("recvmmsg, filtered out by --pid", &by_pid, "eagain"),
            ("recvmmsg, filtered out by --comm", &by_comm, "eagain"),
        ] {
            let measured = pairs(
                suite,
                &[Watcher::Tracer(options)],
                &[load, "--clock", "cpu"],
                suite.deadline(GROUPS),
            )?;
            for measured in measured {
                added(suite, &section, name.to_owned(), measured);
            }
        }
    }
    Ok(())
}
