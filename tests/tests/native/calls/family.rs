//! Threads, children and programs started by exec, from their first instruction.

use std::collections::BTreeSet;

use serde_json::Value;
use tests::hook;
use tests::skip::{require_root_bpf, skip};
use tests::tools;
use tests::tracer::{Traced, around, around_command, read_truth};

use super::exact;
use crate::WORKLOAD;

fn pids(truth: &[Value]) -> BTreeSet<u64> {
    truth.iter().filter_map(|call| call["process"]["pid"].as_u64()).collect()
}

#[test]
fn a_command_with_threads() {
    if let Some(traced) = together(&["threads", "--threads", "8", "--count", "50"]) {
        assert_eq!(pids(&traced.truth).len(), 1, "one process");
        assert_eq!(traced.truth.len(), 8 * 51, "all of its calls");
    }
}

/// Calls that take each other's place on one CPU do not mix what is captured of them.
#[test]
fn many_threads_on_one_cpu() {
    if let Some(traced) = together(&["mixed", "--threads", "16", "--count", "8", "--cpu", "0"]) {
        assert_eq!(traced.truth.len(), 16 * 8, "all of its calls");
    }
}

#[test]
fn many_calls_under_way_at_the_same_time() {
    if let Some(traced) = together(&["crowd", "--threads", "300"]) {
        assert_eq!(traced.truth.len(), 300, "a call from each");
    }
}

/// Compares threads' calls with their events. Where the kernel may miss returns, the
/// events say which, and some are seen whatever comes.
fn together(scenario: &[&str]) -> Option<Traced> {
    if !require_root_bpf(module_path!()) {
        return None;
    }
    let mut traced = around(WORKLOAD, &[], scenario);
    let missed = hook::forget_missed_returns(&mut traced.truth, &traced.stream.events);
    assert!(missed < traced.truth.len(), "all {missed} returns were missed");
    traced.assert_exact();
    Some(traced)
}

#[test]
fn a_command_with_children() {
    if let Some(traced) = exact(&["children"]) {
        assert_eq!(pids(&traced.truth).len(), 6, "six processes");
    }
}

/// A program that is started again and again, each time by a new process: the
/// first call of each is there.
#[test]
fn a_command_with_many_short_children() {
    let test = concat!(module_path!(), "::a_command_with_many_short_children");
    if tools::find("sh").is_none() {
        return skip(test, "no shell (sh)");
    }
    if require_root_bpf(test) {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let truth = folder.path().join("truth");
        let script = format!(
            "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do \
             {WORKLOAD} eagain --comm c$i --truth {} & done; wait",
            truth.display()
        );
        let (stream, finished) = around_command(&[], &["sh", "-c", &script]);
        let truth = read_truth(&truth);
        assert_eq!(truth.len(), 20, "a call from each");
        Traced { truth, stream, finished }.assert_exact();
    }
}
