//! Events come in the order of time, whichever CPUs they are from.

use tests::skip::require_root_bpf;
use tests::stream::count;
use tests::tracer::{Traced, around};

use crate::WORKLOAD;

/// Calls in turns from one CPU and the next, with so many rings.
fn relayed(args: &[&str]) -> Traced {
    let turns = if tests::tools::is_slow() { "1000" } else { "20000" };
    let args = [&["--detail", "call"], args].concat();
    let traced = around(WORKLOAD, &args, &["relay", "--count", turns, "--threads", "8"]);
    traced.assert_fine();
    traced.stream.check();
    let end = traced.stream.end();
    assert_eq!(traced.stream.lost(), 0, "{end}");
    assert_eq!(traced.stream.total("emitted").to_string(), turns, "{end}");
    assert_eq!(count(&traced.truth[0], "calls").to_string(), turns);
    traced
}

/// Each call begins after the one before it has ended, which its event must not come after.
fn assert_in_turn(traced: &Traced) {
    let mut turn = 0;
    for event in &traced.stream.events {
        turn += 1;
        assert_eq!(event["args"]["vlen"]["value"], turn, "turn {turn}: {event}");
    }
}

#[test]
fn a_ring_for_each_cpu() {
    if !require_root_bpf(module_path!()) {
        return;
    }
    let traced = relayed(&["--rings", "64"]);
    assert_in_turn(&traced);
    let rings = count(&traced.truth[0], "cpus");
    if rings > 1 {
        let said = &traced.finished.stderr;
        assert!(said.contains(", rings "), "several for {rings} CPUs: {said}");
    }
}

#[test]
fn one_ring() {
    if !require_root_bpf(module_path!()) {
        return;
    }
    assert_in_turn(&relayed(&["--rings", "1"]));
}
