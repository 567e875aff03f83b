//! The workload of `cargo xtask bench`: every kind ends, and says what it is asked for.

use serde_json::Value;
use tests::child;

fn said(args: &[&str]) -> Value {
    let args = [&args[..1], &["--millis", "20", "--cpu", "0"], &args[1..]].concat();
    let finished = child::run(env!("CARGO_BIN_EXE_bench-workload"), &args);
    finished.expect_code(0);
    serde_json::from_str(&finished.stdout).expect("one line of JSON")
}

#[test]
fn calls_have_a_cost() {
    for kind in ["getppid", "eagain", "receive", "blocking"] {
        for clock in ["wall", "cpu"] {
            let said = said(&[kind, "--clock", clock, "--chunk", "20"]);
            let number =
                |name: &str| said[name].as_f64().unwrap_or_else(|| panic!("{name}: {said}"));
            assert!(number("chunks") >= 3.0, "{kind}: {said}");
            // No system call is done within a nanosecond.
            assert!(number("ns_per_call_min") > 1.0, "{kind}: {said}");
            assert!(number("ns_per_call") >= number("ns_per_call_min"), "{kind}: {said}");
        }
    }
}

#[test]
fn more_messages_than_one() {
    let said = said(&["receive", "--messages", "64"]);
    assert!(said["chunks"].as_u64() >= Some(3), "{said}");
}

#[test]
fn rates_and_floods_are_counted() {
    let paced = said(&["paced", "--rate", "200"]);
    assert!((1..=5).contains(&paced["calls"].as_u64().unwrap()), "20 ms at 200 calls/s: {paced}");
    assert!(said(&["flood"])["calls"].as_u64() > Some(0));
    let echo = said(&["echo", "--messages", "4", "--clients-cpu", "0", "--millis", "200"]);
    assert!(echo["requests"].as_u64() > Some(0), "{echo}");
}

#[test]
fn unknown_words_are_refused() {
    for args in [&["dance"][..], &["eagain", "--speed", "9"], &["eagain", "--millis", "x"], &[]] {
        child::run(env!("CARGO_BIN_EXE_bench-workload"), args).expect_code(2);
    }
}
