//! A replay shows what the live run showed, byte for byte.

use std::fs;
use std::process::Command;
use std::time::Duration;

use ::tracer::process::Fact;
use ::tracer::recording::{Frame, Reader};
use tempfile::TempDir;
use tests::child::{self, Running};
use tests::skip::require_root_bpf;
use tests::stream::{self, Stream};
use tests::tracer::{self, Attached};
use tests::{clock, hook};

use crate::{Recorded, WORKLOAD, count, filtered};

/// Scenarios of all kinds, native and compat.
const SCENARIOS: [&str; 22] = [
    "udp4",
    "udp6",
    "unix",
    "netlink",
    "kinds",
    "cut",
    "efault",
    "edge",
    "blocking",
    "expired",
    "eintr-retry",
    "restarted",
    "nested",
    "stopped",
    "threads",
    "children",
    "exit-blocked",
    "confusion",
    "time32",
    "time64",
    "socketcall",
    "restarted-socketcall",
];

#[test]
fn a_replay_is_the_live_run_byte_for_byte() {
    if !require_root_bpf("recording") {
        return;
    }
    let int80 = child::run(WORKLOAD, &["probe-int80"]).status.success();
    for scenario in SCENARIOS {
        let compat = ["time32", "time64", "socketcall", "restarted-socketcall", "confusion"];
        if compat.contains(&scenario) && !int80 {
            continue;
        }
        let recorded = Recorded::workload(&[], &[scenario]);
        recorded.finished.expect_code(0);
        recorded.assert_replays();
        assert!(!recorded.stream().events.is_empty(), "{scenario}: {}", recorded.lines);
        recorded.stream().check();
    }
}

/// Messages in full too; and what was recorded may be redacted later.
#[test]
fn messages_in_full_replay_as_they_were() {
    if !require_root_bpf("recording") {
        return;
    }
    let args = ["--detail", "full", "--payload", "48"];
    for scenario in ["detail-control", "detail-unix", "detail-errors", "detail-buffers"] {
        let recorded = Recorded::workload(&args, &[scenario]);
        recorded.finished.expect_code(0);
        recorded.assert_replays();
        if scenario != "detail-buffers" {
            continue;
        }
        assert!(recorded.lines.contains("plain text"), "payload is shown");
        let finished = recorded.replay(&["--redact"]);
        finished.expect_code(0);
        for word in ["plain text", "\"text\"", "\"base64\""] {
            assert!(!finished.stdout.contains(word), "{word} is not shown");
        }
        assert!(finished.stdout.contains("\"sha256\""), "{}", finished.stdout);
    }
}

/// Whatever else the live run was told, its replay needs no option of it.
#[test]
fn a_replay_shows_what_the_live_run_showed() {
    if !require_root_bpf("recording") {
        return;
    }
    let threads = ["threads", "--threads", "3", "--count", "4"];
    for (args, shown, left_out) in [
        // Of what the kernel decides there are no records.
        (["--filter", "process.exe ~ \"*/nobody\""], 0, 15),
        (["--comm", "worker-[12]"], 10, 5),
        (["-n", "3"], 3, 12),
        (["--health", "off"], 15, 0),
        (["--detail", "call"], 15, 0),
        (["--messages", "1"], 15, 0),
    ] {
        let recorded = Recorded::workload(&args, &threads);
        recorded.finished.expect_code(0);
        recorded.assert_replays();
        assert_eq!(recorded.stream().events.len(), shown, "{args:?}");
        // With -n the tracer ends, and the rest may not be made any more.
        let found = count(&recorded.path(), filtered);
        assert!(found == left_out || args[0] == "-n" && found <= left_out, "{args:?}: {found}");
        let all = recorded.replay(&["--all"]);
        all.expect_code(0);
        let all = Stream::parse(&all.stdout);
        assert_eq!(all.events.len(), shown + found, "{args:?}");
        if args[0] != "--health" {
            all.check();
        }
    }
}

/// What was lost is told where it was told.
#[test]
fn loss_is_replayed() {
    if !require_root_bpf("recording") {
        return;
    }
    let flood = ["flood", "--count", "30000", "--threads", "2"];
    let recorded = Recorded::workload(&["--buffer", "4K"], &flood);
    recorded.finished.expect_code(0);
    recorded.assert_replays();
    let stream = recorded.stream();
    assert!(stream.lost() > 0 && stream.health.len() > 2, "{}", stream.end());
    let latency = stream::count(&stream.events[stream.events.len() / 2], "latency_ns");
    let few = recorded.replay(&["--filter", &format!("latency_ns > {latency}")]);
    few.expect_code(0);
    let few = Stream::parse(&few.stdout);
    few.check();
    assert_eq!(few.lost(), stream.lost());
    assert_eq!(few.total("seen"), stream.total("seen"));
    assert!(few.events.len() < stream.events.len());
}

/// The wall clock is read anew every second; it is stepped here where a library can be put
/// before the tracer's, and seldom comes out quite the same elsewhere.
#[test]
fn corrections_of_the_clock_are_replayed() {
    if !require_root_bpf("recording") {
        return;
    }
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("recording");
    let path = path.to_str().expect("a path in UTF-8");
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("while read line; do {WORKLOAD} eagain --truth /dev/null; done")]);
    let mut shell = Running::start(shell);
    let pid = shell.id().to_string();
    let options = hook::options();
    let mut command = tracer::command(&options);
    command.args(["--pid", &pid, "--follow", "--record", path, "-o", "json"]);
    if let Ok(library) = clock::stepped(folder.path()) {
        command.env("LD_PRELOAD", library);
    }
    let mut attached = Attached { tracer: Running::start(command) };
    attached.wait_attached();
    let mut calls = 0;
    let corrected = || {
        let mut reader = Reader::open(path.as_ref()).expect("a recording");
        // It has no end yet.
        std::iter::from_fn(|| {
            let frame = reader.next_frame().ok()??;
            Some(matches!(frame, Frame::Clock(_)))
        })
        .any(|is_clock| is_clock)
    };
    while !corrected() {
        assert!(calls < 200, "no correction in {calls} calls");
        calls += 1;
        shell.say("call");
        attached.wait_event("the call", |_| true);
        std::thread::sleep(Duration::from_millis(300));
    }
    let (_, live) = attached.stop();
    shell.finish();
    let corrections = count(path, |frame| matches!(frame, Frame::Clock(_)));
    assert!(corrections > 0, "over {calls} calls");
    let replayed = tracer::run(&["replay", path, "-o", "json"]);
    replayed.expect_code(0);
    assert_eq!(replayed.stdout, live.stdout);
}

/// A path that is too long for the kernel side: /proc was asked, and may have known, as
/// long as the process was there. When it is replayed, process and program are gone.
#[test]
fn what_proc_knew_is_replayed() {
    if !require_root_bpf("recording") {
        return;
    }
    let folder = TempDir::new().expect("a temporary folder");
    let deep = folder.path().join(["x"; 6].map(|name| name.repeat(200)).join("/"));
    fs::create_dir_all(&deep).expect("our own folder");
    let program = deep.join("workload");
    fs::copy(WORKLOAD, &program).expect("the workload can be copied");
    let program = program.to_str().expect("a path in UTF-8").to_owned();
    let calls = |scenario: &[&str]| {
        let command = [&[&*program], scenario, &["--truth", "/dev/null"]].concat();
        // Under Landlock nobody may ask /proc of processes outside of it.
        let recorded = Recorded::command(&["--confine", "off"], &command);
        recorded.finished.expect_code(0);
        let facts = count(&recorded.path(), |frame| matches!(frame, Frame::Fact(Fact::Exe { .. })));
        assert_eq!(facts, 1, "/proc is asked once for an image");
        recorded
    };
    // Ends with its only call; and makes calls for longer than a record waits.
    let (gone, there) = (calls(&["expired"]), calls(&["flood", "--count", "30000"]));
    fs::remove_dir_all(deep).expect("our own folder");
    for recorded in [&gone, &there] {
        recorded.assert_replays();
        let stream = recorded.stream();
        let event = &stream.events[0];
        let unknown = event["missing"]["process.exe"].is_string();
        assert!(unknown || event["process"]["exe"] == *program, "{event}");
    }
    let event = &there.stream().events[0];
    assert_eq!(event["process"]["exe"], *program, "{event}");
}
