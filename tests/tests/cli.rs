//! The command line: what ends the tracer, and what goes to which stream.

use std::time::{Duration, Instant};

use serde_json::Value;
use tests::child::{Finished, Running};
use tests::skip::require_root_bpf;
use tests::stream::Stream;
use tests::tracer::{self, Attached, Waiting, around};
use tests::workload::watch;

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");

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

/// Waits until the thread of the tracer that writes waits for its destination, and not
/// for something to write.
fn wait_stalled(pid: i32) {
    watch::until("a thread of the tracer that can't write", || {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
        tasks.flatten().find_map(|task| {
            let read = |file| std::fs::read_to_string(task.path().join(file)).ok();
            let number: i64 = read("syscall")?.split(' ').next()?.parse().ok()?;
            (read("comm")? == "tracer-write\n" && number != libc::SYS_futex).then_some(())
        })
    });
}

/// A tracer that can't get rid of its events, since nobody reads its pipe, ends at
/// the second SIGINT.
#[test]
fn a_second_sigint_ends_it_at_once() {
    if !require_root_bpf("cli") {
        return;
    }
    let waiting = Waiting::start(WORKLOAD, &["flood", "--count", "5000"]);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let command = tracer::command(&["-o", "json", "--pid", &waiting.pid()]);
    let mut running = Running::start_into(command, writer);
    running.stderr.wait_for("`tracer: attached`", |line| line.starts_with("tracer: attached"));
    waiting.go();
    let pid = running.id() as i32;
    wait_stalled(pid);
    running.signal(libc::SIGINT);
    // Two signals at once would be one: the first is taken once nothing is pending.
    watch::until("the first SIGINT taken", || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let pending = status.lines().find_map(|line| line.strip_prefix("ShdPnd:"))?;
        let pending = u64::from_str_radix(pending.trim(), 16).ok()?;
        (pending & 1 << (libc::SIGINT - 1) == 0).then_some(())
    });
    running.signal(libc::SIGINT);
    let start = Instant::now();
    running.wait();
    assert!(start.elapsed() < Duration::from_secs(5), "at once: {:?}", start.elapsed());
    drop(reader);
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
fn events_go_to_every_destination() {
    if !require_root_bpf("cli") {
        return;
    }
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let paths = ["one", "other"].map(|name| folder.path().join(name));
    let [one, other] = paths.each_ref().map(|path| format!("file:{}", path.display()));
    let args = ["-w", "-", "-w", &one, "-w", &other];
    let Some((waiting, attached)) = attached(&args, &["udp4", "--count", "5"]) else { return };
    let truth = waiting.go();
    let (stream, finished) = attached.stop();
    stream.assert_exactly(&truth);
    for path in paths {
        let text = std::fs::read_to_string(&path).expect("the destination");
        assert_eq!(text, finished.stdout, "{}", path.display());
    }
}

#[test]
fn two_tracers_do_not_disturb_each_other() {
    if !require_root_bpf("cli") {
        return;
    }
    let Some((waiting, one)) = attached(&[], &["eagain", "--count", "100"]) else { return };
    let other = Attached::start(&["--pid", &waiting.pid()]);
    let truth = waiting.go();
    for tracer in [other, one] {
        let (stream, _) = tracer.stop();
        stream.assert_exactly(&truth);
    }
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
