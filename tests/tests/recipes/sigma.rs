//! The Sigma rules, as pySigma and its backend for sqlite make SQL of them, over calls
//! that were traced here: each finds what it is for, and nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::child::{self, run};
use tests::far::ended;
use tests::skip::{require_root_bpf, skip};
use tests::tracer::{self, Attached, Waiting};
use tests::{hook, tools};

use crate::{WORKLOAD, recipes};

/// What provokes findings, and what comes near to them.
const SCENARIOS: [&str; 17] = [
    "expired",
    "blocking",
    "risk",
    "partial",
    "waitforone",
    "delivered",
    "undelivered",
    "swapped",
    "races",
    "no-races",
    "fit",
    "detail-unix",
    "detail-control",
    "udp4",
    "unix",
    "eagain",
    "ebadf",
];
/// By `int $0x80`.
const COMPAT: [&str; 2] = ["time32", "detail-unix-compat"];

/// Whether a line is what a rule is for.
type Is = fn(&Value) -> bool;

/// Rules that are not for the finding in their name, and what they are for.
const OTHERS: [(&str, Is); 2] = [
    ("descriptors_received", |line| {
        let messages = line["messages"].as_array().into_iter().flatten();
        let mut items = messages.flat_map(|m| m["control"]["items"].as_array()).flatten();
        items.any(|item| item["type"] == "SCM_RIGHTS")
    }),
    ("lost_calls", |line| line["lost"]["total"].as_u64() > Some(0)),
];

fn write_options(folder: &Path) -> Vec<String> {
    let mut options = hook::options();
    for format in ["json", "ecs"] {
        let write = format!("{format}=file:{}", folder.join(format).display());
        options.extend(["-w".to_owned(), write]);
    }
    options
}

/// Appends the lines of a scenario in both formats.
fn trace(scenario: &str, folder: &Path) {
    let mut options = write_options(folder);
    options.extend(["--detail", "full", "--", WORKLOAD, scenario, "--truth"].map(str::to_owned));
    options.push(folder.join("truth").display().to_string());
    tracer::run(&options).expect_code(0);
}

/// Calls while the tracer is stopped: more than its buffer holds.
fn lose_calls(folder: &Path) {
    let waiting = Waiting::start(WORKLOAD, &["flood", "--count", "20000"]);
    let mut options = write_options(folder);
    let own = ["--buffer", "64K", "--detail", "call", "--pid", &waiting.pid()];
    options.extend(own.map(str::to_owned));
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let attached = Attached::with(&options);
    attached.tracer.signal(libc::SIGSTOP);
    waiting.go();
    attached.tracer.signal(libc::SIGCONT);
    ended(attached, 0);
}

#[test]
fn rules_match_what_they_are_for_alone() {
    let group = "recipes sigma";
    if !require_root_bpf(group) {
        return;
    }
    let Some(python) = tools::python("sigma") else {
        return skip(group, "no pySigma: `cargo xtask setup` fetches it where it can");
    };
    let folder = TempDir::new().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let int80 = hook::no_int80(WORKLOAD).is_none();
    let compat = COMPAT.iter().filter(|_| int80);
    SCENARIOS.iter().chain(compat).for_each(|scenario| trace(scenario, folder.path()));
    lose_calls(folder.path());
    let text = fs::read_to_string(at("json")).expect("lines");
    let lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let copies = lines.iter().any(|line| line["kernel_copies"][0].is_string());

    let rules = recipes().join("sigma");
    let pipeline = rules.join("ecs.pipeline.yml");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recipes/match_rules.py");
    let paths = [&script, &rules, &pipeline].map(|path| path.to_str().expect("a path in UTF-8"));
    let finished = run(&python, &[&paths[..], &[&at("json"), &at("ecs")]].concat());
    finished.expect_code(0);
    let found: Value = serde_json::from_str(&finished.stdout).expect("what the script found");
    let found = found.as_object().expect("rules");

    let findings = findings();
    let others = OTHERS.iter().map(|(name, _)| (*name).to_owned());
    let expected: BTreeSet<_> =
        findings.iter().cloned().chain(others).map(|name| format!("lnx_tracer_{name}")).collect();
    assert_eq!(found.keys().cloned().collect::<BTreeSet<_>>(), expected, "a rule for each");
    for (rule, found) in found {
        let name = rule.trim_start_matches("lnx_tracer_");
        let other = OTHERS.iter().find(|(other, _)| *other == name).map(|(_, is)| is);
        let is = |line: &Value| match other {
            Some(is) => is(line),
            None => line["findings"].as_array().is_some_and(|all| all.contains(&json!(name))),
        };
        let mut numbers = (0_u64..).zip(&lines);
        let expected: Vec<_> =
            numbers.by_ref().filter(|(_, line)| is(line)).map(|(i, _)| i).collect();
        assert_eq!(found["json"], json!(expected), "{rule}");
        assert_eq!(found["ecs"], json!(expected), "{rule} with its pipeline");
        assert_eq!(found["issues"], json!([]), "{rule}");
        let provoked = match name {
            "kernel_saw_other" => copies,
            "compat_on_64bit" => int80,
            _ => true,
        };
        if !provoked {
            skip(&format!("{group} {name}"), "it can't be provoked here");
            continue;
        }
        assert_eq!(found["unknown"], json!([]), "{rule}: fields that no line has");
        assert!(!expected.is_empty(), "{name} is provoked");
        assert!(expected.len() * 3 < lines.len(), "{name} is not everywhere");
        println!("{rule}: {} of {} lines", expected.len(), lines.len());
    }
}

/// The names of all findings, as the schema has them.
fn findings() -> Vec<String> {
    let printed = child::run(tracer::binary(), &["schema"]);
    let schema: Value = serde_json::from_str(&printed.stdout).expect("a schema");
    let names = schema["properties"]["findings"]["items"]["oneOf"].as_array().expect("findings");
    names.iter().map(|name| name["const"].as_str().expect("a name").to_owned()).collect()
}
