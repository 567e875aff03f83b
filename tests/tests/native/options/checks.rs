//! `--filter` on arguments and return values, which the kernel decides: the events are
//! those of all calls for which the expression holds. That each other call is counted as
//! filtered once is for a machine without other calls: see `tests/filtered.rs`.

use serde_json::Value;
use tempfile::TempDir;
use tests::cases::{CASES, Case};
use tests::hook;
use tests::skip::{require_root_bpf, skip};
use tests::stream::{Stream, count};
use tests::tracer::{self, around};

use crate::WORKLOAD;

fn on_calls(scenario: &str, cases: &[Case]) {
    for (expression, wanted) in cases {
        let mut traced = around(WORKLOAD, &["-v", "--filter", expression], &[scenario]);
        traced.assert_fine();
        let made = traced.truth.len() as u64;
        traced.truth.retain(wanted);
        traced.stream.assert_exactly(&traced.truth);
        let end = traced.stream.end();
        assert_eq!(count(end, "unfinished"), 0, "--filter '{expression}' of {scenario}: {end}");
        assert!(count(end, "seen") >= made, "{made} made; {end}");
        let stderr = &traced.finished.stderr;
        assert!(stderr.contains("the daemon nothing"), "--filter '{expression}': {stderr}");
    }
}

/// By `int $0x80`, where the kernel has it.
fn on_compat_calls(test: &str, cases: &[Case]) {
    match hook::no_int80(WORKLOAD) {
        None => on_calls("varied-compat", cases),
        Some(reason) => skip(test, reason),
    }
}

#[test]
fn of_every_kind() {
    if require_root_bpf(module_path!()) {
        on_calls("varied", CASES);
    }
}

#[test]
fn of_compat_calls() {
    if require_root_bpf(module_path!()) {
        on_compat_calls(concat!(module_path!(), "::of_compat_calls"), CASES);
    }
}

/// For kernels where each start of the tracer takes seconds.
#[test]
fn some() {
    if require_root_bpf(module_path!()) {
        let some = [CASES[4], CASES[14], CASES[19]];
        on_calls("varied", &some);
        on_compat_calls(concat!(module_path!(), "::some"), &some);
    }
}

/// The same expressions on a recording of all calls, where the daemon decides.
#[test]
fn as_the_daemon_would() {
    if !require_root_bpf(module_path!()) {
        return;
    }
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("recording");
    let path = path.to_str().expect("a path in UTF-8");
    let mut scenarios = vec!["varied"];
    if hook::no_int80(WORKLOAD).is_none() {
        scenarios.push("varied-compat");
    }
    let mut tried = [0; 2];
    for scenario in scenarios {
        let traced = around(WORKLOAD, &["--record", path], &[scenario]);
        traced.assert_exact();
        let all = traced.stream.events;
        for (expression, wanted) in CASES {
            let finished = tracer::run(&["replay", path, "-o", "json", "--filter", expression]);
            finished.expect_code(0);
            let events = Stream::parse(&finished.stdout).events;
            let numbers = |events: &[Value]| -> Vec<String> {
                let place = |event: &Value| format!("{} {}", event["time"], event["ret"]);
                events.iter().map(place).collect()
            };
            let mut expected = all.clone();
            expected.retain(wanted);
            tried[usize::from(!expected.is_empty() && expected.len() < all.len())] += 1;
            assert_eq!(numbers(&events), numbers(&expected), "--filter '{expression}'");
        }
    }
    assert!(tried[1] > 12, "{tried:?}");
}

/// Calls that never return have no `ret`.
#[test]
fn of_a_call_that_never_returns() {
    if !require_root_bpf(module_path!()) {
        return;
    }
    for (expression, passes) in
        [("ret < 0", false), ("ret != -11", true), ("ret == null", true), ("ret >= 0", false)]
    {
        let traced = around(WORKLOAD, &["--filter", expression], &["exit-blocked"]);
        traced.assert_fine();
        let end = traced.stream.end();
        let unfinished = count(end, "unfinished") as usize;
        let events = traced.stream.events.len();
        if passes {
            assert_eq!(events + unfinished, 1, "--filter '{expression}': {end}");
        } else {
            assert_eq!(events, 0, "--filter '{expression}': {end}");
        }
    }
}
