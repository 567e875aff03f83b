//! Callers that mean harm: the tracer keeps going, says what it could not read, emits
//! valid JSON only, and the callers see what they see without it.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use tests::child::{self, Running};
use tests::skip::{require_root_bpf, skip};
use tests::stream::Stream;
use tests::tracer::{self, Traced, around, read_truth};
use tests::workload::detail::PAYLOAD;
use tests::workload::hostile::names::ODD;
use tests::{honest, tools};

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");

/// What the caller saw of each call.
fn seen(truth: &[Value]) -> Vec<&Value> {
    truth.iter().map(|call| &call["$seen"]).collect()
}

/// A scenario's truth without a tracer.
fn alone(scenario: &[&str]) -> Vec<Value> {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("truth");
    let truth = ["--truth", path.to_str().expect("a path in UTF-8")];
    child::run(WORKLOAD, &[scenario, &truth].concat()).expect_code(0);
    read_truth(&path)
}

/// With everything asked for.
fn full(scenario: &[&str], more: &[&str]) -> Traced {
    let payload = PAYLOAD.to_string();
    let args = [&["--detail", "full", "--payload", &payload], more].concat();
    around(WORKLOAD, &args, scenario)
}

/// The events without their place in the stream, and without what is looked up of
/// processes: what hostile callers decide is in the records.
fn as_recorded(stream: &Stream) -> Vec<Value> {
    let mut events = stream.events.clone();
    for event in &mut events {
        let fields = event.as_object_mut().expect("an object");
        fields.retain(|field, _| field != "seq" && field != "process");
        let missing = event["missing"].as_object_mut().expect("an object");
        missing.retain(|path, _| !path.starts_with("process."));
    }
    events
}

/// Every event has its reasons for what it lacks.
fn check_honest(traced: &Traced, payload: bool) {
    traced.assert_fine();
    assert_eq!(traced.stream.lost(), 0, "nothing is lost: {}", traced.stream.end());
    assert_eq!(traced.stream.events.len(), traced.truth.len(), "an event for each call");
    traced.stream.events.iter().for_each(|event| honest::check(event, payload));
}

/// Whether tests with this scenario can run; a named skip where not.
fn can_run(scenario: &str) -> bool {
    if !require_root_bpf(&format!("hostile {scenario}")) {
        return false;
    }
    let has =
        !scenario.ends_with("-compat") || child::run(WORKLOAD, &["probe-int80"]).status.success();
    if !has {
        skip(&format!("hostile {scenario}"), "this kernel has no int $0x80");
    }
    has
}

/// Runs a scenario without and with the tracer, at every level of detail, and in the
/// table, which is returned.
fn exact(scenario: &str) -> Option<String> {
    if !can_run(scenario) {
        return None;
    }
    let alone = alone(&[scenario]);
    for args in [&["--detail", "call"][..], &[], &["--detail", "full"]] {
        let traced = around(WORKLOAD, args, &[scenario]);
        check_honest(&traced, false);
        assert_eq!(seen(&traced.truth), seen(&alone), "with {args:?} (left) and without");
    }
    let folder = TempDir::new().expect("a temporary folder");
    let recording = folder.path().join("recording");
    let recording = recording.to_str().expect("a path in UTF-8");
    let traced = full(&[scenario], &["--record", recording]);
    traced.assert_exact();
    check_honest(&traced, true);
    assert_eq!(seen(&traced.truth), seen(&alone), "with everything (left) and without");
    let replayed = tracer::run(&["replay", recording, "-o", "json"]);
    let replayed = Stream::parse(&replayed.expect_code(0).stdout);
    assert_eq!(as_recorded(&replayed), as_recorded(&traced.stream), "replayed (left) and live");
    table(&[scenario])
}

/// The same in the table, on a terminal: nothing that it acts on but ends of lines.
fn table(scenario: &[&str]) -> Option<String> {
    let Some(script) = tools::find("script") else {
        skip(&format!("hostile table {}", scenario[0]), "no script (bsdutils)");
        return None;
    };
    let folder = TempDir::new().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let quoted = |word: &str| format!("'{}'", word.replace('\'', "'\\''"));
    let tracer = tracer::binary().to_str().expect("a path in UTF-8");
    let mut words = vec![tracer, "--detail", "full", "--payload", "48", "--", WORKLOAD];
    words.extend(scenario);
    let truth = at("truth");
    words.extend(["--truth", &truth]);
    let line: Vec<_> = words.into_iter().map(quoted).collect();
    let mut command = Command::new(script);
    // A terminal as wide as a line can be, and without colours.
    let line = format!("stty cols 400; exec {}", line.join(" "));
    command.args(["-q", "-e", "-c", &line, &at("screen")]);
    command.env("NO_COLOR", "1").env("SHELL", "/bin/sh").env("TERM", "dumb");
    Running::start(command).finish().expect_code(0);
    let screen = fs::read(at("screen")).expect("what was on the terminal");
    let text = String::from_utf8_lossy(&screen);
    let body: String = text
        .lines()
        .filter(|line| !line.starts_with("Script started") && !line.starts_with("Script done"))
        .flat_map(|line| [line, "\n"])
        .collect();
    assert!(body.contains("COMM"), "a table: {body}");
    let calls = read_truth(Path::new(&truth)).len();
    assert!(body.lines().count() > calls, "{calls} calls: {body}");
    let acted_on = |c: char| {
        c.is_control() && !['\n', '\r'].contains(&c)
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
            // What was no UTF-8.
            || c == '\u{fffd}'
    };
    let found = body.chars().find(|c| acted_on(*c));
    assert_eq!(found, None, "{body:?}");
    Some(body)
}

#[test]
fn headers_where_memory_is_not() {
    exact("hostile-memory");
}

#[test]
fn headers_where_memory_is_not_in_32_bits() {
    exact("hostile-memory-compat");
}

#[test]
fn lengths_that_are_none() {
    exact("hostile-lengths");
}

#[test]
fn lengths_that_are_none_in_32_bits() {
    exact("hostile-lengths-compat");
}

#[test]
fn headers_names_and_control_messages_that_lie() {
    exact("hostile-lies");
}

#[test]
fn headers_names_and_control_messages_that_lie_in_32_bits() {
    exact("hostile-lies-compat");
}

#[test]
fn memory_that_is_taken_away() {
    exact("hostile-vanished");
}

#[test]
fn memory_that_is_taken_away_in_32_bits() {
    exact("hostile-vanished-compat");
}

#[test]
fn names_of_threads() {
    let Some(screen) = exact("hostile-comms") else { return };
    for escaped in ["new\\x0aline", "\\x1b[2J", "\\xff\\xfe\\xc3(", "\\u{9b}31m", "\\u{202e}"] {
        assert!(screen.contains(escaped), "no {escaped}: {screen}");
    }
}

#[test]
fn names_of_local_sockets() {
    exact("hostile-unix");
}

/// Calls whose memory another thread rewrites all the time.
fn race(scenario: &str) {
    if !can_run(scenario) {
        return;
    }
    let words = [scenario, "--count", "1500"];
    let kinds = |truth: &[Value]| {
        let mut kinds: Vec<_> = seen(truth).into_iter().map(Value::to_string).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    };
    let traced = full(&words, &[]);
    traced.assert_exact();
    check_honest(&traced, true);
    // What comes when is chance, but not what can come.
    assert_eq!(kinds(&traced.truth), kinds(&alone(&words)), "with (left) and without");
    check_honest(&around(WORKLOAD, &[], &words), false);
}

#[test]
fn a_thread_that_rewrites_everything() {
    race("hostile-race");
}

#[test]
fn a_thread_that_rewrites_everything_in_32_bits() {
    race("hostile-race-compat");
}

/// Programs whose paths are of any bytes.
#[test]
fn names_of_programs() {
    if !can_run("hostile-programs") {
        return;
    }
    let folder = TempDir::new().expect("a temporary folder");
    for odd in ODD {
        let name =
            odd.iter().map(|byte| if *byte == b'/' { b'_' } else { *byte }).collect::<Vec<_>>();
        let program = folder.path().join(std::ffi::OsStr::from_bytes(&name));
        fs::copy(WORKLOAD, &program).expect("a copy of the workload");
        let [truth, out] = ["truth", "events"].map(|name| folder.path().join(name));
        let mut command = Command::new(tracer::binary());
        command.args(["-o", "json", "-w", &format!("file:{}", out.display()), "--"]);
        command.arg(&program).args(["udp4", "--truth"]).arg(&truth);
        let finished = Running::start(command).finish();
        finished.expect_code(0);
        let text = fs::read_to_string(&out).expect("what the tracer wrote");
        let traced = Traced::new(&truth, Stream::parse(&text), finished);
        traced.assert_exact();
        check_honest(&traced, false);
        [&program, &truth, &out].into_iter().for_each(|file| fs::remove_file(file).expect("ours"));
    }
}
