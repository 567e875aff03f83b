//! Recordings, levels of detail, and streams without health records.

use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use tests::child::{self, Running};
use tests::compare::assert_matches;
use tests::skip::{is_root, require_root_bpf};
use tests::stream::Stream;
use tests::tools;
use tests::tracer::{self, Traced, around};

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");

/// Records a scenario; what was told meanwhile, and the recording's path.
fn recorded(folder: &TempDir, scenario: &[&str]) -> (Traced, String) {
    let path = folder.path().join("recording");
    let path = path.to_str().expect("a path in UTF-8").to_owned();
    let traced = around(WORKLOAD, &["--record", &path], scenario);
    traced.assert_exact();
    (traced, path)
}

#[test]
fn a_recording_replays_as_it_was() {
    if !require_root_bpf("recording") {
        return;
    }
    let folder = TempDir::new().expect("a temporary folder");
    for scenario in ["unix", "efault", "blocking", "threads"] {
        let (traced, path) = recorded(&folder, &[scenario]);
        let finished = tracer::run(&["replay", &path, "-o", "json"]);
        finished.expect_code(0);
        assert_eq!(
            Stream::parse(&finished.stdout).recorded(),
            traced.stream.recorded(),
            "{scenario}"
        );
    }
}

/// Messages in full too; and what was recorded may be redacted later.
#[test]
fn messages_in_full_replay_as_they_were() {
    if !require_root_bpf("recording") {
        return;
    }
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("recording");
    let path = path.to_str().expect("a path in UTF-8");
    let args = ["--detail", "full", "--payload", "48", "--record", path];
    let traced = around(WORKLOAD, &args, &["detail-buffers"]);
    traced.assert_exact();
    let finished = tracer::run(&["replay", path, "-o", "json"]);
    finished.expect_code(0);
    assert_eq!(Stream::parse(&finished.stdout).recorded(), traced.stream.recorded());
    assert!(finished.stdout.contains("plain text"), "payload is shown");
    let finished = tracer::run(&["replay", path, "-o", "json", "--redact"]);
    finished.expect_code(0);
    for word in ["plain text", "\"text\"", "\"base64\""] {
        assert!(!finished.stdout.contains(word), "{word} is not shown");
    }
    assert!(finished.stdout.contains("\"sha256\""), "{}", finished.stdout);
}

/// Filters mean the same on a recording.
#[test]
fn a_recording_is_filtered_as_live() {
    if !require_root_bpf("recording") {
        return;
    }
    let folder = TempDir::new().expect("a temporary folder");
    let (traced, path) = recorded(&folder, &["threads", "--threads", "3", "--count", "4"]);
    for (args, wanted) in [
        (["--comm", "worker-1"], 5),
        (["--comm", "!worker-*"], 0),
        (["--uid", "0"], 15),
        (["--exe", "*/workload"], 15),
        (["--pid", "1"], 0),
    ] {
        let finished = tracer::run(&[&["replay", &path, "-o", "json"], &args[..]].concat());
        finished.expect_code(0);
        let stream = Stream::parse(&finished.stdout);
        assert_eq!(stream.events.len(), wanted, "{args:?} of {}", traced.stream.events.len());
    }
}

#[test]
fn a_recording_needs_no_privileges() {
    if !require_root_bpf("recording") {
        return;
    }
    let folder = TempDir::new().expect("a temporary folder");
    let (traced, path) = recorded(&folder, &["eagain", "--count", "2"]);
    let Some(setpriv) = tools::find("setpriv") else { return };
    let copy = folder.path().join("tracer");
    std::fs::copy(tracer::binary(), &copy).expect("the tracer can be copied");
    for (path, mode) in [(folder.path(), "755"), (&copy, "755"), (path.as_ref(), "644")] {
        let path = path.to_str().expect("a path in UTF-8");
        child::run("chmod", &[mode, path]).expect_code(0);
    }
    assert!(is_root(), "the privileges to give up");
    let mut command = Command::new(setpriv);
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]);
    command.arg(copy).args(["replay", &path, "-o", "json"]);
    let finished = Running::start(command).finish();
    finished.expect_code(0);
    assert_eq!(Stream::parse(&finished.stdout).recorded(), traced.stream.recorded());
}

#[test]
fn what_is_no_recording_is_refused() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("noise");
    std::fs::write(&path, "no recording\n".repeat(100)).expect("our own folder");
    let path = path.to_str().expect("a path in UTF-8");
    for path in [path, "/no/such/recording"] {
        let finished = tracer::run(&["replay", path, "-o", "json"]);
        finished.expect_code(1);
        assert!(finished.stderr.contains(path), "{finished:#?}");
        assert!(!finished.stderr.contains("panicked"), "{finished:#?}");
    }
}

/// Arguments, result and process are there, messages are not.
#[test]
fn detail_call_leaves_the_messages_out() {
    if !require_root_bpf("recording") {
        return;
    }
    let traced = around(WORKLOAD, &["--detail", "call"], &["udp4", "--count", "2"]);
    traced.assert_fine();
    assert_eq!(traced.stream.events.len(), 2, "{:#?}", traced.stream.events);
    for (truth, event) in traced.truth.iter().zip(&traced.stream.events) {
        let mut truth = truth.clone();
        for open in ["messages", "missing", "truncated"] {
            truth.as_object_mut().expect("an object").remove(open);
        }
        assert_matches(&truth, event);
        assert!(event.get("messages").is_none_or(Value::is_null), "{event}");
    }
}

#[test]
fn health_records_can_be_left_out() {
    if !require_root_bpf("recording") {
        return;
    }
    let traced = around(WORKLOAD, &["--health", "off"], &["eagain", "--count", "3"]);
    traced.finished.expect_code(0);
    assert_eq!(traced.stream.health, Vec::<Value>::new());
    traced.stream.assert_exactly(&traced.truth);
}
