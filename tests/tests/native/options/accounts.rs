//! How the tracer ends: its exit status, and the counts of the end record.

use tests::skip::require_root_bpf;
use tests::tracer::around;

use crate::WORKLOAD;

/// A call whose thread ends inside it is an event without a return value, or is
/// counted as unfinished: never both, never neither.
#[test]
fn a_call_that_never_returns_is_accounted_for() {
    if !require_root_bpf(module_path!()) {
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

#[test]
fn the_exit_status_is_the_commands() {
    if require_root_bpf(module_path!()) {
        let traced = around(WORKLOAD, &[], &["eagain", "--status", "7"]);
        traced.finished.expect_code(7);
        traced.stream.check();
        traced.stream.assert_exactly(&traced.truth);
    }
}
