//! UDP over IPv4 and IPv6, batches of every size, and what messages can look like.

use tests::skip::require_root_bpf;
use tests::tracer::around;

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");

/// Runs a scenario and compares every call with exactly one event.
fn exact(scenario: &[&str]) {
    if require_root_bpf("native_udp") {
        around(WORKLOAD, &[], scenario).assert_exact();
    }
}

#[test]
fn ipv4_one_message() {
    exact(&["udp4", "--vlen", "1", "--count", "5"]);
}

#[test]
fn ipv4_ten_messages() {
    exact(&["udp4", "--vlen", "10", "--count", "5"]);
}

#[test]
fn ipv6_ten_messages() {
    exact(&["udp6", "--vlen", "10", "--count", "5"]);
}

#[test]
fn ipv6_more_messages_than_fit_the_default() {
    exact(&["udp6", "--vlen", "70"]);
}

/// A batch of `vlen`, of which the tracer is asked to show `messages`.
fn batch(vlen: u32, messages: Option<u32>) {
    if !require_root_bpf("native_udp") {
        return;
    }
    let (vlen, limit) = (vlen.to_string(), messages.unwrap_or(64).to_string());
    let args = if messages.is_some() { vec!["--messages", &limit] } else { Vec::new() };
    let traced = around(WORKLOAD, &args, &["vlen", "--vlen", &vlen, "--messages", &limit]);
    traced.assert_exact();
    let full = &traced.truth[0];
    assert_eq!(full["ret"].to_string(), vlen, "the scenario filled the batch");
}

#[test]
fn batches_within_the_default() {
    batch(1, None);
    batch(10, None);
    batch(64, None);
}

#[test]
fn batches_beyond_the_default_are_counted() {
    batch(65, None);
    batch(200, None);
    batch(2000, None);
}

#[test]
fn batches_shown_whole_when_asked_to() {
    batch(200, Some(200));
    batch(1000, Some(1024));
    batch(2000, Some(1024));
}

#[test]
fn fewer_messages_shown_when_asked_to() {
    batch(10, Some(1));
    batch(64, Some(63));
}

#[test]
fn no_name_buffers() {
    exact(&["null-name"]);
}

#[test]
fn names_longer_than_their_buffers() {
    exact(&["short-name"]);
}

#[test]
fn datagrams_longer_than_their_buffers() {
    exact(&["cut"]);
}

#[test]
fn control_lengths_differ_between_entry_and_exit() {
    exact(&["control"]);
}

#[test]
fn an_error_after_the_first_message() {
    exact(&["partial"]);
}

#[test]
fn the_cpu_is_the_one_that_the_workload_stays_on() {
    for cpu in 0..std::thread::available_parallelism().map_or(1, usize::from).min(4) {
        exact(&["udp4", "--cpu", &cpu.to_string()]);
    }
}
