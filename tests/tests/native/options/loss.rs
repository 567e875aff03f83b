//! Loss is never silent: what was made is emitted or counted, exactly.

use serde_json::{Value, json};
use tests::skip::require_root_bpf;
use tests::stream::count;
use tests::tracer::{Traced, around};
use tests::workload::truth::{interval, reasons};

use crate::WORKLOAD;

/// A flood through the smallest ring.
fn flood(args: &[&str]) -> Traced {
    let args = [&["--buffer", "4K"], args].concat();
    // Where a call takes long, most come through, and tests hold all that came.
    let count = if tests::tools::is_slow() { "10000" } else { "100000" };
    around(WORKLOAD, &args, &["flood", "--count", count, "--threads", "2"])
}

fn calls(traced: &Traced) -> u64 {
    assert_eq!(traced.truth.len(), 1, "a line of totals: {:?}", traced.truth);
    count(&traced.truth[0], "calls")
}

/// Emitted and lost are the calls made: nothing twice, nothing in silence.
fn assert_accounted(traced: &Traced) {
    traced.stream.check();
    let end = traced.stream.end();
    assert_eq!(traced.stream.total("emitted") + traced.stream.lost(), calls(traced), "{end}");
    let pid = &traced.truth[0]["pid"];
    for event in &traced.stream.events {
        assert_eq!(&event["process"]["pid"], pid, "{event}");
        assert_eq!(event["ret"], -11, "{event}");
    }
}

#[test]
fn emitted_and_lost_are_the_calls_made() {
    if !require_root_bpf(module_path!()) {
        return;
    }
    let traced = flood(&[]);
    traced.assert_fine();
    assert_accounted(&traced);
    let end = traced.stream.end();
    assert!(traced.stream.lost() > 0, "the smallest ring is too small for a flood: {end}");
    assert!(traced.stream.total("emitted") > 0, "something came through: {end}");
    assert_eq!(end["lost"]["ring_full"], traced.stream.lost(), "the ring was full: {end}");
    let by_cpu: u64 = end["by_cpu"]
        .as_array()
        .expect("a list of CPUs")
        .iter()
        .map(|cpu| cpu["lost"]["ring_full"].as_u64().unwrap_or(0))
        .sum();
    assert_eq!(by_cpu, traced.stream.lost(), "the CPUs' losses: {end}");
}

/// With `-vv` the programs say of each call that they lose whose it was, as far as the
/// daemon keeps up; else they say nothing.
#[test]
fn the_programs_say_what_they_lose() {
    const SAYS: &str = "tracer: debug: no room in the ring: lost a call of thread ";
    if !require_root_bpf(module_path!()) {
        return;
    }
    let traced = flood(&["-vv"]);
    assert_accounted(&traced);
    let stderr = &traced.finished.stderr;
    let said: Vec<_> = stderr.lines().filter_map(|line| line.strip_prefix(SAYS)).collect();
    assert!(!said.is_empty() && said.len() as u64 <= traced.stream.lost(), "{}", said.len());
    let process = format!(" of process {}", traced.truth[0]["pid"]);
    let other = said.iter().find(|line| !line.ends_with(&process));
    assert_eq!(other, None, "all of them are the flood's");
    let stderr = flood(&["-v"]).finished.stderr;
    assert!(!stderr.contains("no room in the ring"), "{stderr}");
}

/// The loss is told while it happens, and the records of it add up to the total.
#[test]
fn loss_is_told_on_the_stream() {
    if !require_root_bpf(module_path!()) {
        return;
    }
    let traced = flood(&[]);
    assert_accounted(&traced);
    let losses: Vec<&Value> =
        traced.stream.health.iter().filter(|record| record["kind"] == "loss").collect();
    assert!(!losses.is_empty(), "no loss record beside {}", traced.stream.end());
    let told: u64 = losses.iter().map(|record| count(&record["lost"], "total")).sum();
    assert!(told <= traced.stream.lost(), "{losses:?}");
}

#[test]
fn a_large_ring_keeps_count_too() {
    if !require_root_bpf(module_path!()) {
        return;
    }
    let scenario = ["flood", "--count", "10000", "--threads", "2"];
    let traced = around(WORKLOAD, &["--buffer", "64M"], &scenario);
    traced.assert_fine();
    assert_accounted(&traced);
    assert_eq!(traced.stream.lost(), 0, "64 MiB hold it all: {}", traced.stream.end());
}

#[test]
fn more_loss_than_allowed_is_exit_4() {
    if !require_root_bpf(module_path!()) {
        return;
    }
    let traced = flood(&["--max-loss", "0"]);
    traced.finished.expect_code(4);
    assert!(traced.finished.stderr.contains("lost"), "{:#?}", traced.finished);
}

#[test]
fn less_loss_than_allowed_is_fine() {
    if !require_root_bpf(module_path!()) {
        return;
    }
    let traced = flood(&["--max-loss", "1000000"]);
    traced.finished.expect_code(0);
    assert_accounted(&traced);
}

/// What the filters left out is counted as filtered.
#[test]
fn filtered_calls_are_counted() {
    if !require_root_bpf(module_path!()) {
        return;
    }
    let scenario = ["flood", "--count", "1000", "--threads", "1", "--comm", "flooding"];
    let traced = around(WORKLOAD, &["--comm", "!flooding"], &scenario);
    traced.finished.expect_code(0);
    traced.stream.check();
    assert_eq!(traced.stream.events.len(), 0, "all were left out");
    assert!(traced.stream.total("filtered") >= 1000, "{}", traced.stream.end());
}

/// More calls under way than the tracer remembers: those that it forgot are events
/// too, null where only their beginning knew, and counted.
#[test]
fn more_calls_under_way_than_can_be_remembered() {
    if !require_root_bpf(module_path!()) {
        return;
    }
    // The more messages, the less room for threads.
    let traced = around(WORKLOAD, &["-vv", "--messages", "1024"], &["crowd", "--threads", "400"]);
    traced.assert_fine();
    let end = traced.stream.end();
    let mut truth = traced.truth.clone();
    let mut forgotten = 0;
    for call in &mut truth {
        let same = |event: &&Value| event["process"]["tid"] == call["process"]["tid"];
        let event = traced.stream.events.iter().find(same);
        if event.is_some_and(|event| event["time"].is_null()) {
            forgotten += 1;
            call["time"] = json!(null);
            call["time_exit"] = interval(0, i64::MAX / 2);
            call["latency_ns"] = json!(null);
            call["args"]["timeout"]["requested"] = json!(null);
            call["messages"][0]["namelen"]["in"] = json!(null);
            call["messages"][0]["control"]["len_in"] = json!(null);
            call["missing"] = reasons(&["not_captured"]);
        }
    }
    traced.stream.assert_exactly(&truth);
    assert_eq!(traced.stream.lost(), 0, "nothing is lost: {end}");
    assert!(forgotten > 0, "400 threads are not enough to fill the table: {end}");
    assert_eq!(end["entry_no_room"], forgotten, "{end}");
    let stderr = &traced.finished.stderr;
    assert!(stderr.contains("no room for threads: can't remember thread"), "{stderr}");
}
