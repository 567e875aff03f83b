//! Formats of other people, written on the real kernel, held against what their publishers
//! say of them, and against our own JSON of the same calls.
//!
//! The definitions are fetched by `cargo xtask setup`, into the folder that the environment
//! variable `TRACER_SCHEMAS` names; `TRACER_OCSF_SCHEMA` names a file with that of OCSF.
//! What is not there is a skip.

mod ecs;
mod ocsf;
mod tracee;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;
use tempfile::TempDir;
use tests::skip::{require_root_bpf, skip};
use tests::stream::{Stream, count};
use tests::{child, hook, schema, tracer};

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");

/// Each format, and where its lines have our own record.
const FORMATS: [(&str, &str); 3] =
    [("ecs", "/tracer"), ("ocsf", "/unmapped"), ("tracee", "/metadata/properties")];

/// What is traced: options and scenario.
const SCENARIOS: [(&[&str], &str); 16] = [
    (&[], "udp4"),
    (&[], "udp6"),
    (&[], "unix"),
    (&[], "netlink"),
    (&[], "kinds"),
    (&["--messages", "1"], "cut"),
    (&[], "ebadf"),
    (&[], "eagain"),
    (&[], "efault"),
    (&[], "blocking"),
    (&[], "expired"),
    (&[], "pid-namespaces"),
    (&["--detail", "full", "--payload", "64"], "detail-control"),
    (&["--detail", "full"], "delivered"),
    (&["--detail", "call"], "time32"),
    (&[], "confusion"),
];
/// Those of them that take `int $0x80`.
const COMPAT: [&str; 2] = ["time32", "confusion"];

/// The lines of a run, in our own JSON and in each format.
struct Written {
    scenario: &'static str,
    plain: Stream,
    lines: BTreeMap<&'static str, Vec<String>>,
}

static WRITTEN: LazyLock<Vec<Written>> = LazyLock::new(|| {
    let int80 = child::run(WORKLOAD, &["probe-int80"]).status.success();
    let possible = |scenario: &str| int80 || !COMPAT.contains(&scenario);
    let scenarios = SCENARIOS.iter().filter(|(_, scenario)| possible(scenario));
    scenarios.map(|(args, scenario)| written(args, scenario)).collect()
});

/// Traces a scenario once, into a file for each format.
fn written(args: &[&str], scenario: &'static str) -> Written {
    let folder = TempDir::new().expect("a temporary folder");
    let path = |format: &str| folder.path().join(format);
    let mut options = hook::options();
    options.extend(args.iter().map(ToString::to_string));
    for format in FORMATS.iter().map(|(name, _)| *name).chain(["json"]) {
        options.extend(["-w".to_owned(), format!("{format}=file:{}", path(format).display())]);
    }
    let truth = path("truth").display().to_string();
    options.extend(["--", WORKLOAD, scenario, "--truth", &truth].map(str::to_owned));
    tracer::run(&options).expect_code(0);
    let read = |format: &str| fs::read_to_string(path(format)).expect("what was written");
    let plain = Stream::parse(&read("json"));
    plain.check();
    assert!(!plain.events.is_empty(), "{scenario}");
    let lines = FORMATS.map(|(name, _)| (name, read(name).lines().map(str::to_owned).collect()));
    Written { scenario, plain, lines: lines.into() }
}

/// Calls `check` with every line of a format, as text and parsed.
fn each_line(format: &str, mut check: impl FnMut(&str, &Value)) {
    if !require_root_bpf("formats") {
        return;
    }
    for written in WRITTEN.iter() {
        for line in &written.lines[format] {
            let value = serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("{}: {error}: {line}", written.scenario));
            check(line, &value);
        }
    }
}

/// A definition as its publisher has it; a skip where it is not here.
fn definition(file: &str, variable: Option<&str>, group: &str) -> Option<Value> {
    let named = variable.and_then(std::env::var_os).map(PathBuf::from);
    let folder = || match std::env::var_os("TRACER_SCHEMAS") {
        Some(folder) => Some(PathBuf::from(folder)),
        None => std::env::home_dir().map(|home| home.join(".cache/tracer-xtask/schemas")),
    };
    let path = named.clone().or_else(|| folder().map(|folder| folder.join(file)))?;
    if named.is_none() && !path.is_file() {
        skip(group, &format!("{file} is not here: `cargo xtask setup` fetches it where it can"));
        return None;
    }
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Some(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

/// Every line holds the line of our own JSON, where a reader of all formats looks for it.
#[test]
fn nothing_is_lost() {
    if !require_root_bpf("formats") {
        return;
    }
    for written in WRITTEN.iter() {
        for (format, own) in FORMATS {
            let lines = &written.lines[format];
            let plain = &written.plain.lines;
            assert_eq!(lines.len(), plain.len(), "{format} of {}", written.scenario);
            for (line, plain) in lines.iter().zip(plain) {
                let line: Value = serde_json::from_str(line).expect("JSON");
                let own = line.pointer(own).unwrap_or_else(|| panic!("no {own} in {line}"));
                assert_eq!(own, plain, "{format} of {}", written.scenario);
            }
        }
    }
}

/// What `tracer schema` prints accepts what is written.
#[test]
fn lines_fit_the_schema_that_is_printed() {
    for (format, _) in FORMATS {
        let validator = validator(format);
        each_line(format, |_, line| {
            let errors = validator.iter_errors(line);
            let wrong: Vec<_> =
                errors.map(|error| format!("{}: {error}", error.instance_path())).collect();
            assert!(wrong.is_empty(), "{format}: {wrong:#?} in {line}");
        });
    }
}

fn validator(format: &str) -> Validator {
    jsonschema::draft202012::options()
        .should_validate_formats(true)
        .with_pattern_options(PatternOptions::regex())
        .build(&schema::printed(&["schema", format]))
        .unwrap_or_else(|error| panic!("tracer schema {format}: {error}"))
}

/// The kinds of calls that the checks below are about were made.
#[test]
fn there_are_events_of_all_kinds() {
    if !require_root_bpf("formats") {
        return;
    }
    let events: Vec<_> = WRITTEN.iter().flat_map(|written| &written.plain.events).collect();
    for (what, there) in [
        ("a sender", events.iter().any(|event| !event["messages"][0]["name"].is_null())),
        ("an error", events.iter().any(|event| event["error"].is_object())),
        ("a finding", events.iter().any(|event| event["findings"][0].is_string())),
        ("a timeout", events.iter().any(|event| event["args"]["timeout"]["requested"].is_object())),
        ("one cut short", events.iter().any(|event| event["truncated"].is_object())),
        ("many messages", events.iter().any(|event| event["ret"].as_i64() > Some(1))),
        ("a process's id", events.iter().all(|event| count(&event["process"], "pid") > 0)),
    ] {
        assert!(there, "no event with {what}");
    }
}
