//! The command line: what is refused and how, what ends the tracer, and what goes
//! to which stream.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tests::child::{Finished, Running};
use tests::skip::{is_root, require_root_bpf, skip};
use tests::stream::Stream;
use tests::tools;
use tests::tracer::{self, Attached, Waiting, around};

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");

/// Runs the tracer with arguments that it must refuse, saying these words.
fn refused(code: i32, args: &[&str], words: &[&str]) -> Finished {
    let finished = tracer::run(args);
    assert_eq!(finished.status.code(), Some(code), "{args:?}: {finished:#?}");
    assert_eq!(finished.stdout, "", "{args:?}: stdout is for events");
    for word in words {
        assert!(finished.stderr.contains(word), "{args:?} must say {word}: {}", finished.stderr);
    }
    assert!(!finished.stderr.contains("panicked"), "{args:?}: {}", finished.stderr);
    assert!(!finished.stderr.contains("tracer: attached"), "{args:?}: {}", finished.stderr);
    finished
}

#[test]
fn unknown_events_name_the_nearest_known_one() {
    refused(2, &["--event", "recvmsgg"], &["recvmsgg", "recvmmsg"]);
    refused(2, &["-e", "recvmmsg,recvmmsg_tim32"], &["recvmmsg_tim32", "recvmmsg_time32"]);
    refused(2, &["-e", ""], &[]);
}

#[test]
fn bad_values_are_usage_errors() {
    for pid in ["abc", "-1", "99999999999", "1.5", "!", ""] {
        refused(2, &[&format!("--pid={pid}")], &["--pid"]);
    }
    refused(2, &["--tid=x"], &["--tid", "x"]);
    refused(2, &["--uid=nobody-of-that-name"], &["--uid"]);
    refused(2, &["--comm=[a"], &["--comm", "[a"]);
    refused(2, &["--exe={a"], &["--exe", "{a"]);
    refused(2, &["--buffer=12Q"], &["--buffer", "12Q"]);
    refused(2, &["--buffer=0"], &["--buffer"]);
    refused(2, &["--messages=5000"], &["--messages", "1024"]);
    refused(2, &["--messages=x"], &["--messages"]);
    refused(2, &["--duration=soon"], &["--duration", "soon"]);
    refused(2, &["--count=-1"], &["--count"]);
    refused(2, &["--max-loss=some"], &["--max-loss"]);
    refused(2, &["--output=yaml"], &["--output", "json"]);
    refused(2, &["--hook=magic"], &["--hook"]);
    refused(2, &["--no-such-option"], &["--no-such-option"]);
    refused(2, &["no-such-command"], &["no-such-command"]);
}

#[test]
fn help_and_version_are_fine() {
    for args in [["--help"], ["--version"]] {
        let finished = tracer::run(&args);
        finished.expect_code(0);
        assert!(finished.stdout.contains("tracer"), "{finished:#?}");
    }
}

#[test]
fn a_command_that_does_not_exist() {
    if require_root_bpf("cli") {
        let finished = tracer::run(&["--", "/no/such/program"]);
        assert!(matches!(finished.status.code(), Some(1 | 2)), "{finished:#?}");
        assert!(finished.stderr.contains("/no/such/program"), "{finished:#?}");
    }
}

#[test]
fn an_output_that_can_not_be_opened() {
    if require_root_bpf("cli") {
        let finished = tracer::run(&["-d", "1s", "-w", "file:/no/such/folder/events"]);
        assert!(matches!(finished.status.code(), Some(1 | 5)), "{finished:#?}");
        assert!(finished.stderr.contains("/no/such/folder/events"), "{finished:#?}");
        assert!(!finished.stderr.contains("tracer: attached"), "{finished:#?}");
    }
}

/// Every write to /dev/full fails.
#[test]
fn a_sink_that_fails_for_good_is_exit_5() {
    if require_root_bpf("cli") {
        let args = ["-o", "json", "-w", "file:/dev/full", "--", WORKLOAD, "eagain"];
        let folder = TempDir::new().expect("a temporary folder");
        let truth = folder.path().join("truth");
        let truth = truth.to_str().expect("a path in UTF-8");
        let finished = tracer::run(&[&args[..], &["--truth", truth]].concat());
        finished.expect_code(5);
        assert!(finished.stderr.contains("/dev/full"), "{finished:#?}");
        assert!(finished.stderr.contains("No space left"), "{finished:#?}");
    }
}

#[test]
fn without_privileges_it_says_which() {
    if !is_root() {
        let finished = tracer::run(&["-d", "1s"]);
        finished.expect_code(3);
        assert!(finished.stderr.contains("CAP_"), "{finished:#?}");
        return;
    }
    let Some(setpriv) = tools::find("setpriv") else {
        return skip("cli without_privileges_it_says_which", "no setpriv (util-linux)");
    };
    // Where everybody can execute it.
    let folder = TempDir::new().expect("a temporary folder");
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).expect("our own folder");
    let copy = folder.path().join("tracer");
    std::fs::copy(tracer::binary(), &copy).expect("the tracer can be copied");
    let mut command = Command::new(setpriv);
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]);
    command.arg(copy).args(["-d", "1s"]);
    let finished = Running::start(command).finish();
    finished.expect_code(3);
    assert_eq!(finished.stdout, "", "stdout is for events");
    assert!(finished.stderr.contains("CAP_BPF"), "{finished:#?}");
}

/// A tracer of one waiting workload.
fn attached(args: &[&str], scenario: &[&str]) -> Option<(Waiting, Attached)> {
    if !require_root_bpf("cli") {
        return None;
    }
    let waiting = Waiting::start(WORKLOAD, scenario);
    let attached = Attached::start(&[args, &["--pid", &waiting.pid()]].concat());
    Some((waiting, attached))
}

/// The summary: one line on stderr.
fn summaries(finished: &Finished) -> Vec<&str> {
    let words = ["seen", "filtered", "emitted", "lost"];
    let summary =
        |line: &&str| line.starts_with("tracer: ") && words.iter().all(|word| line.contains(word));
    finished.stderr.lines().filter(summary).collect()
}

#[test]
fn signals_end_it_with_a_summary_and_0() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let Some((waiting, attached)) = attached(&[], &["eagain", "--count", "3"]) else { return };
        let truth = waiting.go();
        attached.tracer.signal(signal);
        let finished = attached.tracer.finish();
        finished.expect_code(0);
        assert_eq!(summaries(&finished).len(), 1, "{}", finished.stderr);
        let stream = Stream::parse(&finished.stdout);
        stream.check();
        stream.assert_exactly(&truth);
    }
}

#[test]
fn sigusr1_prints_the_summary_and_goes_on() {
    let Some((waiting, mut attached)) = attached(&[], &["eagain", "--count", "3"]) else { return };
    attached.tracer.signal(libc::SIGUSR1);
    attached.tracer.stderr.wait_for("a summary", |line| {
        line.starts_with("tracer: ") && line.contains("seen") && line.contains("lost")
    });
    let truth = waiting.go();
    let (stream, finished) = attached.stop();
    stream.assert_exactly(&truth);
    assert_eq!(summaries(&finished).len(), 2, "{}", finished.stderr);
}

#[test]
fn it_stops_by_itself_after_a_count() {
    let Some((waiting, attached)) = attached(&["-n", "3"], &["eagain", "--count", "10"]) else {
        return;
    };
    let truth = waiting.go();
    let finished = attached.tracer.finish();
    finished.expect_code(0);
    let stream = Stream::parse(&finished.stdout);
    assert_eq!(stream.events.len(), 3, "{}", finished.stdout);
    stream.assert_exactly(&truth[..3]);
    stream.check();
}

#[test]
fn it_stops_by_itself_after_a_time() {
    let Some((waiting, attached)) = attached(&["-d", "300ms"], &["eagain"]) else { return };
    let start = Instant::now();
    let finished = attached.tracer.finish();
    let lasted = start.elapsed();
    finished.expect_code(0);
    assert!(lasted < Duration::from_secs(10), "{lasted:?}");
    assert_eq!(summaries(&finished).len(), 1, "{}", finished.stderr);
    Stream::parse(&finished.stdout).check();
    waiting.go();
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    if !require_root_bpf("cli") {
        return;
    }
    let waiting = Waiting::start(WORKLOAD, &["flood", "--count", "5000"]);
    let command = tracer::command(&["-o", "json", "--pid", &waiting.pid()]);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut running = Running::start_into(command, writer);
    running.stderr.wait_for("`tracer: attached`", |line| line.starts_with("tracer: attached"));
    drop(reader);
    waiting.go();
    let finished = running.finish();
    finished.expect_code(0);
    let stderr = finished.stderr;
    for word in ["panic", "roken pipe", "rror"] {
        assert!(!stderr.contains(word), "quietly: {stderr}");
    }
}

#[test]
fn an_event_reaches_a_pipe_soon() {
    let Some((mut waiting, mut attached)) = attached(&[], &["blocked"]) else { return };
    waiting.workload.say("first call");
    waiting.workload.stdout.wait_for("ready", |line| line.starts_with("ready "));
    let start = Instant::now();
    let pid = waiting.workload.id();
    waiting.go();
    attached.wait_event("the call", |event| event["process"]["pid"] == pid);
    let took = start.elapsed();
    // The promise is 100 ms; the rest is for a busy machine.
    assert!(took < Duration::from_secs(1), "{took:?}");
    attached.stop();
}

#[test]
fn a_pipe_gets_json_without_being_asked() {
    if !require_root_bpf("cli") {
        return;
    }
    let waiting = Waiting::start(WORKLOAD, &["eagain"]);
    let mut running = Running::start(tracer::command(&["--pid", &waiting.pid()]));
    running.stderr.wait_for("`tracer: attached`", |line| line.starts_with("tracer: attached"));
    let truth = waiting.go();
    running.signal(libc::SIGINT);
    let finished = running.finish();
    let stream = Stream::parse(&finished.stdout);
    stream.check();
    stream.assert_exactly(&truth);
}

#[test]
fn a_table_is_for_people() {
    if !require_root_bpf("cli") {
        return;
    }
    let waiting = Waiting::start(WORKLOAD, &["eagain", "--comm", "\u{1b}[31mred"]);
    let args = ["-o", "table", "--pid", &waiting.pid()];
    let mut running = Running::start(tracer::command(&args));
    running.stderr.wait_for("`tracer: attached`", |line| line.starts_with("tracer: attached"));
    waiting.go();
    running.signal(libc::SIGINT);
    let finished = running.finish();
    finished.expect_code(0);
    let row = finished.stdout.lines().find(|line| line.contains("EAGAIN"));
    let row = row.unwrap_or_else(|| panic!("the call's row: {}", finished.stdout));
    assert!(row.contains("red"), "{row}");
    assert!(!finished.stdout.contains("\u{1b}[31m"), "a stranger's escape: {:?}", finished.stdout);
}

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
fn the_commands_stdout_stays_apart_from_the_file() {
    if !require_root_bpf("cli") {
        return;
    }
    let traced = around(WORKLOAD, &[], &["eagain", "--count", "2"]);
    traced.assert_exact();
    assert_eq!(traced.finished.stdout, "", "the workload says nothing, and events go to the file");
}

#[test]
fn attached_says_the_hook_and_the_events() {
    let Some((waiting, mut attached)) = attached(&[], &["eagain"]) else { return };
    let said = attached.tracer.stderr.text();
    let line = said.lines().find(|line| line.starts_with("tracer: attached")).expect("the line");
    for word in ["raw-tracepoint", "recvmmsg", "recvmmsg_time32"] {
        assert!(line.contains(word), "no {word} in {line}");
    }
    waiting.go();
    let start = attached.tracer.stdout.wait_for("a start record", |line| line.contains("start"));
    let start: Value = serde_json::from_str(&start).expect("JSON");
    assert_eq!(start["hook"], "raw-tracepoint", "{start}");
    assert_eq!(start["events"], serde_json::json!(["recvmmsg", "recvmmsg_time32"]), "{start}");
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("osrelease");
    assert_eq!(start["kernel"], release.trim(), "{start}");
    attached.stop();
}
