//! The command line: what needs no tracing, `list`, `doctor` and what is generated.

use serde_json::Value;
use tests::skip::is_root;
use tests::{schema, tracer};

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
        "blocks_forever_risk",
    ] {
        assert!(text.contains(word), "no {word} in {text}");
    }
    let finished = tracer::run(&["list"]);
    finished.expect_code(0);
    assert!(finished.stdout.contains("recvmmsg_time32"), "{}", finished.stdout);
}

#[test]
fn schemas_of_events_and_health_records() {
    for (args, name) in [
        (&["schema"][..], "tracer.event/1"),
        (&["schema", "json"], "tracer.event/1"),
        (&["schema", "health"], "tracer.health/1"),
    ] {
        let schema = schema::printed(args);
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["title"], name, "{args:?}");
        assert_eq!(schema["additionalProperties"], false, "{args:?}");
        assert!(schema["$id"].as_str().is_some_and(|id| id.ends_with(name)), "{schema}");
    }
    for format in ["ecs", "ocsf", "tracee"] {
        let schema = schema::printed(&["schema", format]);
        assert_eq!(schema["$id"], format!("urn:tracer:{format}"));
        assert!(schema["$defs"]["tracer.event/1"].is_object(), "{format}");
    }
    for unknown in ["table", "jsn"] {
        let finished = tracer::run(&["schema", unknown]);
        finished.expect_code(2);
        assert_eq!(finished.stdout, "");
        for word in [unknown, "json", "health"] {
            assert!(finished.stderr.contains(word), "{word}: {}", finished.stderr);
        }
    }
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
        (&["completions", "bash"][..], ["--max-loss", "--follow", "schema"]),
        (&["completions", "zsh"], ["--max-loss", "--follow", "A health record"]),
        (&["man"], [".TH", "cgroup", "tracer\\-schema(1)"]),
    ] {
        let finished = tracer::run(args);
        finished.expect_code(0);
        for word in words {
            assert!(finished.stdout.contains(word), "no {word} in the output of {args:?}");
        }
    }
}
