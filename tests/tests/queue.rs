//! Destinations that are slow, stuck, full or gone: what becomes of the events is told
//! exactly, and nobody waits for them who need not.

use std::fs::{self, File};
use std::io::{PipeReader, Read};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tests::child::{Finished, Running};
use tests::skip::{require_root_bpf, skip};
use tests::stream::{Stream, count};
use tests::tracer::{self, Attached, Waiting};
use tests::{hook, tools};

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");
/// More events than a pipe and a small queue hold.
const CALLS: u64 = 30_000;
/// A small queue.
const QUEUE: [&str; 2] = ["--queue", "256K"];

/// A tracer whose pipe nobody reads, and a workload that waits to flood it.
struct Stalled {
    tracer: Running,
    reader: PipeReader,
    waiting: Waiting,
}

impl Stalled {
    fn start(args: &[&str]) -> Option<Self> {
        if !require_root_bpf("queue") {
            return None;
        }
        let waiting = Waiting::start(WORKLOAD, &["flood", "--count", &CALLS.to_string()]);
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let options = hook::options();
        let options: Vec<_> = options.iter().map(String::as_str).collect();
        let own = ["-o", "json", "--detail", "call", "--pid", &waiting.pid()];
        let command = tracer::command(&[&options[..], &own, args].concat());
        let mut tracer = Running::start_into(command, writer);
        tracer.stderr.wait_for("`tracer: attached`", |line| line.starts_with("tracer: attached"));
        Some(Self { tracer, reader, waiting })
    }

    /// Lets the workload make all of its calls.
    fn flood(self) -> (Running, PipeReader) {
        let Self { tracer, reader, waiting } = self;
        let truth = waiting.go();
        assert_eq!(count(&truth[0], "calls"), CALLS, "as many as were asked for");
        (tracer, reader)
    }
}

/// Reads all there is, at last.
fn read(mut reader: PipeReader) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("text");
        text
    })
}

/// Numbers of a summary: of the line that begins with `tracer: `, what follows the word.
fn told(line: &str, word: &str) -> u64 {
    let rest = line.split_once(&format!("{word} "));
    let rest = rest.unwrap_or_else(|| panic!("no {word} in {line:?}")).1;
    let digits = rest.split(|char: char| !char.is_ascii_digit()).next();
    digits.and_then(|digits| digits.parse().ok()).unwrap_or_else(|| panic!("{word} of {line:?}"))
}

/// Asks for a summary until it says something.
fn summary_that(tracer: &mut Running, says: impl Fn(&str) -> bool) -> String {
    let start = Instant::now();
    loop {
        tracer.signal(libc::SIGUSR1);
        let line = tracer.stderr.wait_for("a summary", |line| line.starts_with("tracer: seen"));
        if says(&line) {
            return line;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "never: {line}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Calls of the workload that a summary accounts for; those that were filtered are others'.
fn accounted(line: &str) -> u64 {
    told(line, "emitted") + told(line, "lost")
}

fn summary(finished: &Finished) -> &str {
    let line = finished.stderr.lines().rfind(|line| line.starts_with("tracer: seen"));
    line.unwrap_or_else(|| panic!("no summary: {}", finished.stderr))
}

/// What finds no room is dropped and counted; where the reader comes back, it finds a gap
/// in `seq`, the loss told, and the end record.
#[test]
fn a_reader_that_comes_back_finds_what_was_dropped_counted() {
    let Some(stalled) = Stalled::start(&QUEUE) else { return };
    let (mut tracer, reader) = stalled.flood();
    summary_that(&mut tracer, |line| line.contains("queue_full") && line.contains("wait"));
    let reading = read(reader);
    // In the end nothing waits any more, and nothing is missing.
    summary_that(&mut tracer, |line| !line.contains("wait") && accounted(line) == CALLS);
    tracer.signal(libc::SIGINT);
    let finished = tracer.finish();
    finished.expect_code(0);
    let stream = Stream::parse(&reading.join().expect("the reader"));
    let gaps = stream.check_but_gaps();
    let end = stream.end();
    assert_eq!(stream.total("emitted") + stream.lost(), CALLS, "{end}");
    assert_eq!(count(&end["lost"], "queue_full"), stream.lost(), "no other loss: {end}");
    assert_eq!(gaps, stream.lost(), "lines that are missing: {end}");
    assert!(stream.lost() > 0 && stream.total("emitted") > 0, "{end}");
    let loss = stream.health.iter().find(|record| record["kind"] == "loss");
    let loss = loss.unwrap_or_else(|| panic!("loss is told beside {end}"));
    assert!(count(&loss["lost"], "queue_full") > 0, "{loss}");
}

/// A reader that never comes back is waited for in vain, but not for long; what lies in
/// the pipe is whole lines, and as many events as the tracer says.
#[test]
fn a_stuck_pipe_is_given_up() {
    for args in [&[][..], &["--on-full", "block", "--buffer", "256K"]] {
        let Some(stalled) = Stalled::start(&[&QUEUE, args].concat()) else { return };
        let (mut tracer, reader) = stalled.flood();
        summary_that(&mut tracer, |line| line.contains("wait"));
        tracer.signal(libc::SIGINT);
        let start = Instant::now();
        let finished = tracer.finish();
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
        finished.expect_code(5);
        assert!(finished.stderr.contains("took nothing"), "{finished:#?}");
        let text = read(reader).join().expect("the reader");
        assert!(text.ends_with('\n'), "the last line is whole");
        let events = Stream::parse(&text).events.len() as u64;
        let line = summary(&finished);
        assert_eq!(told(line, "emitted"), events, "{line}");
        assert_eq!(accounted(line), CALLS, "{line}");
        assert!(told(line, "sink") > 0, "{line}");
        let full = if args.is_empty() { "queue_full" } else { "ring_full" };
        assert!(told(line, full) > 0, "{line}");
        assert!(args.is_empty() || !line.contains("queue_full"), "nothing is dropped: {line}");
    }
}

/// With `block` nothing is dropped that is in the ring, and the ring loses what finds no
/// room in it.
#[test]
fn block_leaves_events_in_the_ring() {
    for (buffer, lost) in [("64M", false), ("256K", true)] {
        let args = [&QUEUE[..], &["--on-full", "block", "--buffer", buffer]].concat();
        let Some(stalled) = Stalled::start(&args) else { return };
        let (mut tracer, reader) = stalled.flood();
        // The tracer answers while it waits for room.
        summary_that(&mut tracer, |line| line.contains("wait"));
        let reading = read(reader);
        tracer.signal(libc::SIGINT);
        let finished = tracer.finish();
        finished.expect_code(0);
        let stream = Stream::parse(&reading.join().expect("the reader"));
        stream.check();
        let end = stream.end();
        assert_eq!(stream.total("emitted") + stream.lost(), CALLS, "{end}");
        assert_eq!(stream.lost() > 0, lost, "{end}");
        assert_eq!(end["lost"]["ring_full"].as_u64().unwrap_or(0), stream.lost(), "{end}");
    }
}

/// Neither `--duration` nor a closed pipe waits for the reader.
#[test]
fn what_ends_the_tracer_ends_it_while_it_waits() {
    for policy in ["drop", "block"] {
        let args = [&QUEUE[..], &["--on-full", policy]].concat();
        let Some(stalled) = Stalled::start(&args) else { return };
        let (mut tracer, reader) = stalled.flood();
        summary_that(&mut tracer, |line| line.contains("wait"));
        let start = Instant::now();
        drop(reader);
        let finished = tracer.finish();
        let took = start.elapsed();
        finished.expect_code(0);
        assert!(took < Duration::from_secs(2), "{policy}: at once, not after {took:?}");
        let last = finished.stderr.lines().last().unwrap_or_default();
        assert!(!finished.stderr.contains("rror"), "quietly: {last}");

        let args = [&args[..], &["--duration", "2s"]].concat();
        let Some(stalled) = Stalled::start(&args) else { return };
        let (tracer, reader) = stalled.flood();
        let start = Instant::now();
        let finished = tracer.finish();
        let took = start.elapsed();
        finished.expect_code(5);
        assert!(took < Duration::from_secs(20), "{policy}: {took:?}");
        drop(reader);
    }
}

/// A destination that is stuck keeps no other from its events, and each says what has
/// become of its own.
#[test]
fn a_stuck_destination_keeps_no_other_from_its_events() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let path = folder.path().join("events");
    let write = format!("file:{}", path.display());
    let args = [&QUEUE[..], &["-w", "-", "-w", &write, "--buffer", "64M"]].concat();
    let Some(stalled) = Stalled::start(&args) else { return };
    let (mut tracer, reader) = stalled.flood();
    summary_that(&mut tracer, |line| line.contains("queue_full"));
    tracer.signal(libc::SIGINT);
    let finished = tracer.finish();
    finished.expect_code(5);
    let stream = Stream::parse(&fs::read_to_string(&path).expect("the destination"));
    let (gaps, end) = (stream.check_but_gaps(), stream.end());
    assert_eq!(stream.total("emitted") + stream.lost(), CALLS, "{end}");
    assert_eq!(gaps, stream.lost(), "{end}");
    let line = summary(&finished);
    assert!(stream.total("emitted") > told(line, "emitted"), "more than the pipe: {line}; {end}");
    let other = format!("tracer: {}: seen ", path.display());
    let other = finished.stderr.lines().rfind(|line| line.starts_with(&other));
    let other = other.unwrap_or_else(|| panic!("the other's: {}", finished.stderr));
    assert_eq!(told(other, "emitted"), stream.total("emitted"), "{other}; {end}");
    drop(reader);
}

/// A disk that is full: what it had room for is there, in whole lines, and the rest is
/// counted.
#[test]
fn a_full_disk() {
    if !require_root_bpf("queue") {
        return;
    }
    let Some(unshare) = tools::find("unshare") else {
        return skip("queue a_full_disk", "no unshare (util-linux)");
    };
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let at = |name: &str| format!("{}/{name}", folder.path().display());
    fs::create_dir(at("small")).expect("our own folder");
    let waiting = Waiting::start(WORKLOAD, &["flood", "--count", &CALLS.to_string()]);
    let script = format!(
        "mount -t tmpfs -o size=1m tmpfs {small} || exit 99; \
         {tracer} {options} -o json --detail call --buffer 64M -w file:{small}/events \
             --pid {pid} & \
         echo pid $! >&2; wait $!; status=$?; cp {small}/events {copy}; exit $status",
        small = at("small"),
        tracer = tracer::binary().display(),
        options = hook::options().join(" "),
        pid = waiting.pid(),
        copy = at("events"),
    );
    let mut command = Command::new(unshare);
    command.args(["--mount", "sh", "-c", &script]);
    let mut shell = Running::start(command);
    let mut pid = None;
    shell.stderr.wait_for("attached, or no mount", |line| {
        pid = pid.or(line.strip_prefix("pid ").and_then(|pid| pid.trim().parse::<i32>().ok()));
        line.starts_with("tracer: attached") || line.contains("mount")
    });
    let Some(pid) = pid else {
        return skip("queue a_full_disk", "no tmpfs can be mounted");
    };
    // It ends where it finds the disk full; until then all calls are to have been made.
    let signal = |signal| {
        // SAFETY: integers only; the shell has not waited for the process yet.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    };
    signal(libc::SIGSTOP);
    let truth = waiting.go();
    assert_eq!(count(&truth[0], "calls"), CALLS);
    signal(libc::SIGCONT);
    let finished = shell.finish();
    finished.expect_code(5);
    assert!(finished.stderr.contains("No space left"), "{finished:#?}");
    let text = fs::read_to_string(at("events")).expect("the copy");
    let events = Stream::parse(&text).events.len() as u64;
    let line = summary(&finished);
    assert_eq!(accounted(line), CALLS, "{line}");
    assert_eq!(told(line, "emitted"), events, "{line}");
    assert_eq!(told(line, "sink"), CALLS - events, "{line}");
    assert!(events > 0, "a part had room: {line}");
}

/// A file is not a pipe: nothing of it is waited for, and all is there.
#[test]
fn nothing_is_dropped_where_nothing_stalls() {
    if !require_root_bpf("queue") {
        return;
    }
    let waiting = Waiting::start(WORKLOAD, &["flood", "--count", &CALLS.to_string()]);
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let path = folder.path().join("events");
    let write = format!("file:{}", path.display());
    drop(File::create(&path).expect("our own folder"));
    let attached = Attached::start(&["-w", &write, "--buffer", "64M", "--pid", &waiting.pid()]);
    let truth = waiting.go();
    attached.tracer.signal(libc::SIGINT);
    attached.tracer.finish().expect_code(0);
    let stream = Stream::parse(&fs::read_to_string(&path).expect("the destination"));
    stream.check();
    assert_eq!(stream.total("emitted"), count(&truth[0], "calls"), "{}", stream.end());
}
