//! What filters on arguments and return values leave out is counted exactly once, for
//! which nobody else may make calls: a test program of its own, since cargo runs one
//! after the other.

use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use tests::cases::CASES;
use tests::hook;
use tests::skip::{require_root_bpf, skip};
use tests::stream::count;
use tests::tracer::around;

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");

/// Held while calls are made.
static ALONE: Mutex<()> = Mutex::new(());

/// Calls of other users of the machine are counted as filtered too: a try with any is
/// one more time.
const TRIES: usize = 6;

/// The calls are seen, and those that do not pass counted, once each.
fn exact(scenario: &str, args: &[&str], wanted: impl Fn(&Value) -> bool) {
    let (mut excess, mut most) = (u64::MAX, 0);
    for _ in 0..TRIES {
        let traced = around(WORKLOAD, args, &[scenario]);
        traced.assert_fine();
        let end = traced.stream.end();
        let made = traced.truth.len() as u64;
        let seen = count(end, "seen");
        let passing = traced.truth.iter().filter(|call| wanted(call)).count() as u64;
        assert!(seen >= made, "{args:?} of {scenario}: {made} made; {end}");
        assert_eq!(count(end, "unfinished"), 0, "{args:?} of {scenario}: {end}");
        assert_eq!(count(end, "emitted"), passing, "{args:?} of {scenario}: {end}");
        assert_eq!(count(end, "filtered"), seen - passing, "{args:?} of {scenario}: {end}");
        excess = excess.min(seen - made);
        most = most.max(seen - made);
        if excess == 0 {
            return;
        }
    }
    if excess != most {
        // What is counted twice is so each time.
        return skip("filtered", "somebody else makes calls all the time");
    }
    panic!("{args:?} of {scenario}: always {excess} calls more than were made");
}

fn each_once(scenario: &str) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for (expression, wanted) in CASES {
        exact(scenario, &["--filter", expression], wanted);
    }
    // The same of what is decided by the caller alone.
    exact(scenario, &["--comm", "no such name"], |_| false);
    exact(scenario, &["--comm", "workload"], |_| true);
}

#[test]
fn native_calls() {
    if require_root_bpf(module_path!()) {
        each_once("varied");
    }
}

#[test]
fn compat_calls() {
    if !require_root_bpf(module_path!()) {
        return;
    }
    match hook::no_int80(WORKLOAD) {
        None => each_once("varied-compat"),
        Some(reason) => skip("filtered::compat_calls", reason),
    }
}
