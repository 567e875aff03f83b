//! Calls that are under way when the tracer comes, or when it goes.

use serde_json::json;
use tests::hook;
use tests::skip::{require_root_bpf, skip};
use tests::tracer::{Attached, Waiting};
use tests::workload::truth::{Clock, interval, reasons};

use crate::WORKLOAD;

/// The entry was not seen: what is only known there is null, and `missing` says why.
#[test]
fn started_before_the_tracer() {
    if !require_root_bpf(module_path!()) {
        return;
    }
    if hook::on_functions() {
        return skip(
            concat!(module_path!(), "::started_before_the_tracer"),
            "functions entered before attaching are not seen to return",
        );
    }
    let mut waiting = Waiting::spawn(WORKLOAD, &["blocked"]);
    waiting.workload.stdout.wait_for("ready", |line| line.starts_with("ready "));
    let attached = Attached::start(&["--pid", &waiting.pid()]);
    let served = Clock::wall();
    let mut truth = waiting.go();
    let done = Clock::wall();
    let (stream, _) = attached.stop();

    assert_eq!(truth.len(), 1, "one call");
    let call = &mut truth[0];
    call["time"] = json!(null);
    call["time_exit"] = interval(served, done);
    call["latency_ns"] = json!(null);
    call["args"]["timeout"]["requested"] = json!(null);
    call["messages"][0]["namelen"]["in"] = json!(null);
    call["messages"][0]["control"]["len_in"] = json!(null);
    call["missing"] = reasons(&["started_before_attach"]);
    stream.assert_exactly(&truth);
    let missing = &stream.events[0]["missing"];
    for path in ["time", "latency_ns"] {
        assert_eq!(missing[path], "started_before_attach", "{path} of {}", stream.events[0]);
    }
    assert_eq!(stream.lost(), 0, "nothing is lost: {}", stream.end());
}

/// A call that is still under way when the tracer ends is counted, not shown.
#[test]
fn still_under_way_at_the_end() {
    if !require_root_bpf(module_path!()) {
        return;
    }
    let mut waiting = Waiting::start(WORKLOAD, &["blocked"]);
    let attached = Attached::start(&["--pid", &waiting.pid()]);
    waiting.workload.say("first call");
    waiting.workload.stdout.wait_for("ready", |line| line.starts_with("ready "));
    let (stream, _) = attached.stop();
    stream.assert_exactly(&[]);
    assert_eq!(stream.total("unfinished"), 1, "{}", stream.end());
    waiting.go();
}
