//! Whose calls are traced beside those of a process: `--follow`.

use std::collections::BTreeSet;

use serde_json::Value;
use tests::skip::require_root_bpf;
use tests::tracer::{Attached, Waiting};

use crate::WORKLOAD;

fn pids(truth: &[Value]) -> BTreeSet<u64> {
    truth.iter().filter_map(|call| call["process"]["pid"].as_u64()).collect()
}

/// Attaches to a running process and lets it go; returns what it did, and what of
/// that was traced.
fn attached_to(
    args: &[&str],
    scenario: &[&str],
) -> Option<(Vec<Value>, tests::stream::Stream, u64)> {
    if !require_root_bpf(module_path!()) {
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
