//! A kernel that takes the CPU from a task in the middle of a program, and gives it to
//! another that makes the same call.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;
use tests::compare::assert_matches;
use tests::hook::adapted;
use tests::skip::{require_root_bpf, skip};
use tests::stream::count;

use super::{hooks, run, traced};

/// `none (voluntary) full`: what is in force, and can be changed.
const MODES: &str = "/sys/kernel/debug/sched/preempt";

/// While it lives the kernel preempts.
struct Preempting {
    before: String,
}

impl Preempting {
    fn start() -> Result<Self, String> {
        let modes = fs::read_to_string(MODES).map_err(|error| format!("{MODES}: {error}"))?;
        let before = modes.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
        let before = before.ok_or(format!("{MODES}: {modes}"))?.0.to_owned();
        fs::write(MODES, "full").map_err(|error| format!("{MODES}: {error}"))?;
        Ok(Self { before })
    }
}

impl Drop for Preempting {
    fn drop(&mut self) {
        let _ = fs::write(MODES, &self.before);
    }
}

/// Threads take each other's place on one CPU, in the middle of programs too: what is
/// captured of their calls is not mixed. What the kernel left out is missing by name,
/// and `auto` does not take such a hook there.
#[test]
fn calls_are_not_mixed() {
    const THREADS: usize = 16;
    const CALLS: usize = 24;
    if !require_root_bpf(module_path!()) {
        return;
    }
    let _preempting = match Preempting::start() {
        Ok(preempting) => preempting,
        Err(reason) => return skip(module_path!(), &reason),
    };
    let finished = run(&["-d", "1ms"], &[]);
    finished.expect_code(0);
    assert!(finished.stderr.contains("not fentry: this kernel preempts"), "{}", finished.stderr);
    for hook in hooks() {
        let [threads, calls] = [THREADS, CALLS].map(|number| number.to_string());
        let scenario = ["mixed", "--threads", &threads, "--count", &calls, "--cpu", "0"];
        let traced = traced(hook, &[], &scenario);
        traced.assert_fine();
        // No thread makes two calls of one size.
        let key = |call: &Value| {
            (count(&call["process"], "tid"), call["args"]["vlen"]["value"].to_string())
        };
        let mut truths: BTreeMap<_, _> =
            traced.truth.iter().map(|call| (key(call), call)).collect();
        assert_eq!(truths.len(), THREADS * CALLS, "{hook}: calls made");
        let mut whole = 0;
        for event in &traced.stream.events {
            let truth = truths.remove(&key(event)).unwrap_or_else(|| panic!("{hook}: {event}"));
            if event["missing"].as_object().is_some_and(serde_json::Map::is_empty) {
                assert_matches(&adapted(truth, Some(hook), &[]), event);
                whole += 1;
            } else if event["ret"].is_i64() {
                assert_eq!(event["ret"], truth["ret"], "{hook}: {event}");
                for (got, made) in messages(event).zip(messages(truth)) {
                    assert_eq!(got["len"], made["len"], "{hook}: {event}");
                    assert_eq!(got["name"], made["name"], "{hook}: {event}");
                }
            }
        }
        let end = traced.stream.end();
        // Only these programs can be preempted, and only they may be left out.
        if hook != "fentry" {
            assert_eq!(whole, THREADS * CALLS, "{hook}: {end}");
        }
        assert!(whole * 2 > THREADS * CALLS, "{hook}: {whole} whole: {end}");
        let left_out = end["runs_left_out"].as_u64().unwrap_or(0);
        assert_eq!(left_out > 0, whole < THREADS * CALLS, "{hook}: {whole} whole: {end}");
        println!("{hook}: {whole} of {} calls whole, {left_out} runs left out", THREADS * CALLS);
    }
}

fn messages(call: &Value) -> impl Iterator<Item = &Value> {
    call["messages"].as_array().into_iter().flatten()
}
