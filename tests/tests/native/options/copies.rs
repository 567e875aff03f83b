//! The kernel's own copies of headers, and the lengths of what it received (`--detail
//! full`): what other threads do to the caller's memory shows, and nothing else does.

use serde_json::json;
use tests::hook;
use tests::skip::{require_root_bpf, skip};
use tests::tracer::{Traced, around};

use crate::WORKLOAD;

fn full(scenario: &str) -> Option<Traced> {
    if !require_root_bpf(module_path!()) {
        return None;
    }
    if scenario.ends_with("-compat")
        && let Some(reason) = hook::no_int80(WORKLOAD)
    {
        skip(module_path!(), reason);
        return None;
    }
    let traced = around(WORKLOAD, &["--detail", "full"], &[scenario]);
    traced.assert_exact();
    Some(traced)
}

/// Calls of which `kernel_saw_other` is found; none where there is nothing to find it by.
fn found(scenario: &str) {
    let Some(traced) = full(scenario) else { return };
    let copies = traced.stream.copies();
    let finding = json!("kernel_saw_other");
    let has = |event: &&serde_json::Value| {
        event["findings"].as_array().expect("a list").contains(&finding)
    };
    let found = traced.stream.events.iter().filter(has).count();
    if copies.is_empty() {
        skip(module_path!(), "this hook has none of the kernel's own copies here");
    }
    assert_eq!(found > 0, !copies.is_empty(), "{copies:?}");
}

#[test]
fn swapped_and_swapped_back() {
    found("races");
}

#[test]
fn swapped_and_swapped_back_in_32_bits() {
    found("races-compat");
}

#[test]
fn what_the_kernel_does_not_look_at() {
    full("no-races");
}

#[test]
fn what_the_kernel_does_not_look_at_in_32_bits() {
    full("no-races-compat");
}

#[test]
fn delivered_messages_of_a_failed_call() {
    full("delivered");
    full("undelivered");
}

#[test]
fn delivered_messages_of_a_failed_call_in_32_bits() {
    full("delivered-compat");
    full("undelivered-compat");
}

/// The kernel has what it takes in the versions that are known to.
#[test]
fn the_start_record_says_what_there_is() {
    let Some(traced) = full("udp4") else { return };
    let copies = traced.stream.copies();
    let hook = traced.stream.hook().expect("a hook");
    assert_eq!(copies.contains(&"headers"), matches!(hook, "fentry" | "kprobe"), "{copies:?}");
    let release = traced.stream.end()["kernel"].as_str().expect("a release").to_owned();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    let mut number = || numbers.next().and_then(Result::ok).expect("a version");
    let version = (number(), number());
    assert_eq!(copies.contains(&"lengths"), version >= (6, 3), "{copies:?}");
    // What nobody asks for is not looked for.
    let traced = around(WORKLOAD, &["--detail", "messages"], &["udp4"]);
    assert_eq!(traced.stream.health[0].get("kernel_copies"), None);
}
