//! Messages in full (`--detail full`), by the native call and by `int $0x80`.

use serde_json::Value;
use tests::child;
use tests::skip::{require_root_bpf, skip};
use tests::tracer::{Traced, around};
use tests::workload::detail::PAYLOAD;

use crate::WORKLOAD;

/// Runs a scenario with everything asked for.
fn full(scenario: &str, more: &[&str]) -> Option<Traced> {
    require_root_bpf(module_path!()).then(|| {
        let payload = PAYLOAD.to_string();
        let args = [&["--detail", "full", "--payload", &payload], more].concat();
        around(WORKLOAD, &args, &[scenario])
    })
}

fn exact(scenario: &str) {
    if let Some(traced) = full(scenario, &[]) {
        traced.assert_exact();
    }
}

/// The same by `int $0x80`, where the kernel has it.
fn exact_compat(scenario: &str) {
    if child::run(WORKLOAD, &["probe-int80"]).status.success() {
        exact(scenario);
    } else {
        skip(module_path!(), "this kernel has no int $0x80");
    }
}

#[test]
fn control_messages_of_udp() {
    exact("detail-control");
}

#[test]
fn control_messages_of_udp_in_32_bits() {
    exact_compat("detail-control-compat");
}

#[test]
fn descriptors_and_credentials() {
    exact("detail-unix");
}

#[test]
fn descriptors_and_credentials_in_32_bits() {
    exact_compat("detail-unix-compat");
}

#[test]
fn the_error_queue() {
    exact("detail-errors");
}

#[test]
fn the_error_queue_in_32_bits() {
    exact_compat("detail-errors-compat");
}

#[test]
fn iovecs_and_payload() {
    exact("detail-buffers");
}

#[test]
fn iovecs_and_payload_in_32_bits() {
    exact_compat("detail-buffers-compat");
}

/// Every other field is as without it.
#[test]
fn what_messages_have_anyway() {
    if !require_root_bpf(module_path!()) {
        return;
    }
    for scenario in ["udp4", "unix", "netlink", "cut", "efault", "edge", "short-name", "partial"] {
        let traced = around(WORKLOAD, &["--detail", "full"], &[scenario]);
        traced.assert_fine();
        for event in &traced.stream.events {
            for message in event["messages"].as_array().into_iter().flatten() {
                assert_eq!(message["payload"], Value::Null, "{event}");
            }
        }
    }
}

/// More messages, each with a part of its own, than any batch of real programs has.
#[test]
fn a_thousand_messages() {
    if !require_root_bpf(module_path!()) {
        return;
    }
    let scenario = ["vlen", "--vlen", "1000", "--messages", "1000"];
    let args = ["--detail", "full", "--payload", "20", "--messages", "1000"];
    let traced = around(WORKLOAD, &args, &scenario);
    traced.assert_fine();
    let messages = traced.stream.events[0]["messages"].as_array().expect("messages");
    assert_eq!(messages.len(), 1000);
    for (i, message) in messages.iter().enumerate() {
        let sent = String::from_utf8(tests::workload::sockets::payload(i)).expect("text");
        assert_eq!(message["payload"]["len"], sent.len(), "message {i}");
        assert_eq!(message["payload"]["text"], sent[..sent.len().min(20)], "message {i}");
    }
}

#[test]
fn redacted_payload_is_a_hash() {
    let Some(traced) = full("detail-buffers", &["--redact"]) else { return };
    traced.assert_fine();
    let mut hashes = Vec::new();
    for event in &traced.stream.events {
        for message in event["messages"].as_array().into_iter().flatten() {
            let Some(payload) = message["payload"].as_object() else { continue };
            let mut keys: Vec<_> = payload.keys().map(String::as_str).collect();
            keys.sort_unstable();
            assert_eq!(keys, ["captured", "len", "sha256"], "{event}");
            hashes.push(payload["sha256"].clone());
        }
    }
    // Of `plain text`.
    let known = "c9ecf5e54c7b3f2640ecca21f96d4c3625a2b7935104f41c5ede29935a9e52c9";
    assert!(hashes.contains(&known.into()), "{hashes:?}");
}
