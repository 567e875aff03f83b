//! What is found of calls: for each finding a scenario that provokes it, and calls that
//! come near to it and must not. All findings of every call are compared; here it is
//! made sure that both kinds of calls are among them.

use serde_json::json;

use super::exact;

/// Scenarios with calls of which this is found, and others of which it is not.
fn both(finding: &str, scenarios: &[&str]) {
    let (mut found, mut silent) = (0, 0);
    for scenario in scenarios {
        let Some(traced) = exact(&[scenario]) else { return };
        let has = |event: &&serde_json::Value| {
            event["findings"].as_array().expect("a list").contains(&json!(finding))
        };
        found += traced.stream.events.iter().filter(has).count();
        silent += traced.stream.events.iter().filter(|event| !has(event)).count();
    }
    assert!(found > 0, "{finding} is provoked");
    assert!(silent > 0, "{finding} is nearly provoked");
}

#[test]
fn timeout_overrun() {
    both("timeout_overrun", &["expired", "blocking"]);
}

#[test]
fn blocks_forever_risk() {
    both("blocks_forever_risk", &["risk"]);
}

#[test]
fn deferred_error() {
    // The second call returns the error, and `eagain` has no more than fewer messages.
    both("deferred_error", &["partial", "waitforone"]);
}

#[test]
fn delivered_then_efault() {
    both("delivered_then_efault", &["delivered", "undelivered"]);
}

#[test]
fn changed_during_call() {
    both("changed_during_call", &["swapped", "no-races"]);
}

#[test]
fn truncated() {
    both("payload_truncated", &["fit"]);
    both("control_truncated", &["fit"]);
}
