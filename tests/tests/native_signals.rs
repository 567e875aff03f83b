//! Calls that are interrupted, restarted, stopped, or never return.

use tests::skip::require_root_bpf;
use tests::tracer::around;

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");

/// Runs a scenario and compares every call with exactly one event.
fn exact(scenario: &[&str]) {
    if require_root_bpf("native_signals") {
        around(WORKLOAD, &[], scenario).assert_exact();
    }
}

#[test]
fn eintr() {
    exact(&["eintr"]);
}

#[test]
fn eintr_and_the_same_call_again() {
    exact(&["eintr-retry"]);
}

#[test]
fn eintr_despite_sa_restart() {
    exact(&["eintr-rcvtimeo"]);
}

#[test]
fn restarted_is_one_call() {
    exact(&["restarted"]);
}

#[test]
fn restarted_is_one_call_by_the_32_bit_ways_in() {
    if cfg!(target_arch = "x86_64") {
        exact(&["compat-restarted"]);
    }
}

#[test]
fn a_call_within_the_handler_of_a_restarted_call() {
    exact(&["nested"]);
}

#[test]
fn stopped_and_continued_is_one_call() {
    exact(&["stopped"]);
}

/// A call whose thread ends inside it is an event without a return value, or is
/// counted as unfinished: never both, never neither.
#[test]
fn a_call_that_never_returns_is_accounted_for() {
    if !require_root_bpf("native_signals") {
        return;
    }
    let traced = around(WORKLOAD, &[], &["exit-blocked", "--status", "0"]);
    traced.assert_fine();
    let unfinished = traced.stream.total("unfinished") as usize;
    assert_eq!(traced.stream.events.len() + unfinished, 1, "{:#?}", traced.stream.lines);
    if unfinished == 0 {
        traced.stream.assert_exactly(&traced.truth);
        let event = &traced.stream.events[0];
        assert!(event["missing"]["ret"].is_string(), "ret is null in silence: {event}");
    }
}
