//! The command line: what needs no tracing, `list`, `doctor` and what is generated.

use serde_json::Value;
use tests::skip::is_root;
use tests::tracer;

#[test]
fn list_in_json_names_events_arguments_and_numbers() {
    let finished = tracer::run(&["list", "-o", "json"]);
    finished.expect_code(0);
    let value: Value = serde_json::from_str(&finished.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", finished.stdout));
    let text = value.to_string();
    for word in [
        "recvmmsg",
        "recvmmsg_time32",
        "sockfd",
        "msgvec",
        "vlen",
        "flags",
        "timeout",
        "TOCTOU",
        "299",
        "337",
        "417",
        "537",
        "243",
        "365",
        "socketcall",
    ] {
        assert!(text.contains(word), "no {word} in {text}");
    }
    let finished = tracer::run(&["list"]);
    finished.expect_code(0);
    assert!(finished.stdout.contains("recvmmsg_time32"), "{}", finished.stdout);
}

#[test]
fn doctor_in_json() {
    let finished = tracer::run(&["doctor", "-o", "json"]);
    let value: Value = serde_json::from_str(&finished.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", finished.stdout));
    assert!(value.is_object(), "{value}");
    if is_root() {
        finished.expect_code(0);
        assert!(value.to_string().contains("raw-tracepoint"), "the hook: {value}");
    }
    let finished = tracer::run(&["doctor"]);
    assert!(!finished.stdout.is_empty(), "{finished:#?}");
}

#[test]
fn completions_and_the_manual_page_are_made_from_the_options() {
    for (args, words) in [
        (&["completions", "bash"][..], ["--max-loss", "--follow"]),
        (&["completions", "zsh"], ["--max-loss", "--follow"]),
        (&["man"], [".TH", "cgroup"]),
    ] {
        let finished = tracer::run(args);
        finished.expect_code(0);
        for word in words {
            assert!(finished.stdout.contains(word), "no {word} in the output of {args:?}");
        }
    }
}
