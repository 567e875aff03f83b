//! Threads, children and programs started by exec, from their first instruction.

use std::collections::BTreeSet;

use serde_json::Value;
use tests::skip::require_root_bpf;
use tests::tracer::{Attached, Waiting, around};

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");

fn pids(truth: &[Value]) -> BTreeSet<u64> {
    truth.iter().filter_map(|call| call["process"]["pid"].as_u64()).collect()
}

#[test]
fn a_command_with_threads() {
    if require_root_bpf("native_follow") {
        let traced = around(WORKLOAD, &[], &["threads", "--threads", "8", "--count", "50"]);
        traced.assert_exact();
        assert_eq!(pids(&traced.truth).len(), 1, "one process");
        assert_eq!(traced.truth.len(), 8 * 51, "all of its calls");
    }
}

#[test]
fn many_calls_under_way_at_the_same_time() {
    if require_root_bpf("native_follow") {
        let traced = around(WORKLOAD, &[], &["crowd", "--threads", "300"]);
        traced.assert_exact();
        assert_eq!(traced.truth.len(), 300, "a call from each");
    }
}

#[test]
fn a_command_with_children() {
    if require_root_bpf("native_follow") {
        let traced = around(WORKLOAD, &[], &["children"]);
        traced.assert_exact();
        assert_eq!(pids(&traced.truth).len(), 6, "six processes");
    }
}

/// A program that is started again and again, each time by a new process: the
/// first call of each is there.
#[test]
fn a_command_with_many_short_children() {
    if tests::tools::find("sh").is_none() {
        return tests::skip::skip("native_follow many short children", "no shell (sh)");
    }
    if require_root_bpf("native_follow") {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let truth = folder.path().join("truth");
        let script = format!(
            "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do \
             {WORKLOAD} eagain --comm c$i --truth {} & done; wait",
            truth.display()
        );
        let (stream, finished) = tests::tracer::around_command(&[], &["sh", "-c", &script]);
        finished.expect_code(0);
        stream.check();
        let truth = tests::tracer::read_truth(&truth);
        assert_eq!(truth.len(), 20, "a call from each");
        stream.assert_exactly(&truth);
    }
}

/// Attaches to a running process and lets it go; returns what it did, and what of
/// that was traced.
fn attached_to(
    args: &[&str],
    scenario: &[&str],
) -> Option<(Vec<Value>, tests::stream::Stream, u64)> {
    if !require_root_bpf("native_follow") {
        return None;
    }
    let waiting = Waiting::start(WORKLOAD, scenario);
    let pid = waiting.workload.id();
    let attached = Attached::start(&[args, &["--pid", &waiting.pid()]].concat());
    let truth = waiting.go();
    let (stream, _) = attached.stop();
    assert_eq!(stream.lost(), 0, "nothing is lost: {}", stream.end());
    Some((truth, stream, pid.into()))
}

#[test]
fn follow_takes_a_process_with_its_children() {
    if let Some((truth, stream, _)) = attached_to(&["--follow"], &["children"]) {
        assert_eq!(pids(&truth).len(), 6, "six processes");
        stream.assert_exactly(&truth);
    }
}

#[test]
fn without_follow_children_are_not_traced() {
    if let Some((mut truth, stream, pid)) = attached_to(&[], &["children"]) {
        truth.retain(|call| call["process"]["pid"] == pid);
        assert!(!truth.is_empty(), "the process itself makes calls");
        stream.assert_exactly(&truth);
    }
}

#[test]
fn a_process_is_all_of_its_threads() {
    let scenario = ["threads", "--threads", "4", "--count", "10"];
    if let Some((truth, stream, _)) = attached_to(&[], &scenario) {
        stream.assert_exactly(&truth);
    }
}

#[test]
fn the_exit_status_is_the_commands() {
    if require_root_bpf("native_follow") {
        let traced = around(WORKLOAD, &[], &["eagain", "--status", "7"]);
        traced.finished.expect_code(7);
        traced.stream.check();
        traced.stream.assert_exactly(&traced.truth);
    }
}
