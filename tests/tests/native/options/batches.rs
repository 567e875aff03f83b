//! How many messages of a call are shown (`--messages`).

use tests::skip::require_root_bpf;
use tests::tracer::around;

use crate::WORKLOAD;

/// A batch of `vlen`, of which the tracer is asked to show `messages`.
fn batch(vlen: u32, messages: u32) {
    if !require_root_bpf(module_path!()) {
        return;
    }
    let (vlen, limit) = (vlen.to_string(), messages.to_string());
    let scenario = ["vlen", "--vlen", &vlen, "--messages", &limit];
    let traced = around(WORKLOAD, &["--messages", &limit], &scenario);
    traced.assert_exact();
    assert_eq!(traced.truth[0]["ret"].to_string(), vlen, "the scenario filled the batch");
}

#[test]
fn batches_shown_whole_when_asked_to() {
    batch(200, 200);
    batch(1000, 1024);
    batch(2000, 1024);
}

#[test]
fn fewer_messages_shown_when_asked_to() {
    batch(10, 1);
    batch(64, 63);
}
