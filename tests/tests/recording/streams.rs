//! Levels of detail, and streams without health records.

use serde_json::Value;
use tests::compare::assert_matches;
use tests::skip::require_root_bpf;
use tests::tracer::around;

use crate::WORKLOAD;

/// Arguments, result and process are there, messages are not.
#[test]
fn detail_call_leaves_the_messages_out() {
    if !require_root_bpf("recording") {
        return;
    }
    let traced = around(WORKLOAD, &["--detail", "call"], &["udp4", "--count", "2"]);
    traced.assert_fine();
    assert_eq!(traced.stream.events.len(), 2, "{:#?}", traced.stream.events);
    for (truth, event) in traced.truth.iter().zip(&traced.stream.events) {
        let mut truth = truth.clone();
        for open in ["messages", "missing", "truncated"] {
            truth.as_object_mut().expect("an object").remove(open);
        }
        assert_matches(&truth, event);
        assert!(event.get("messages").is_none_or(Value::is_null), "{event}");
    }
}

#[test]
fn health_records_can_be_left_out() {
    if !require_root_bpf("recording") {
        return;
    }
    let traced = around(WORKLOAD, &["--health", "off"], &["eagain", "--count", "3"]);
    traced.finished.expect_code(0);
    assert_eq!(traced.stream.health, Vec::<Value>::new());
    traced.stream.assert_exactly(&traced.truth);
}
