//! What comes out at the far end of destinations, as `tracer verify` finds it: rotated
//! files, receivers that die, a tracer that is killed, a queue that was full.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::far::verify;
use tests::skip::require_root_bpf;
use tests::stream::count;
use tests::tracer::{Attached, Waiting};

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");
const CALLS: u64 = 30_000;

/// Traces a flood of calls with these options, to its end.
fn flood(options: &[&str]) -> String {
    let waiting = Waiting::start(WORKLOAD, &["flood", "--count", &CALLS.to_string()]);
    let own = ["--detail", "call", "--buffer", "64M", "--pid", &waiting.pid()];
    let attached = Attached::start(&[options, &own].concat());
    let truth = waiting.go();
    assert_eq!(count(&truth[0], "calls"), CALLS);
    attached.tracer.signal(libc::SIGINT);
    let finished = attached.tracer.finish();
    finished.expect_code(0);
    finished.stderr
}

fn pieces(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("our own folder");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort_unstable();
    files
}

/// Files that were set aside and compressed hold every line between them, in whatever order
/// they are read; without one of them, what it held is named.
#[test]
fn rotated_files_are_complete() {
    if !require_root_bpf("delivery") {
        return;
    }
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let path = folder.path().join("events.json").display().to_string();
    flood(&["-w", &format!("file:{path}?size=1M&compress=gzip")]);
    let mut files = pieces(folder.path());
    assert!(files.len() > 10, "{files:?}");
    files.reverse();
    let (report, code) = verify(&files);
    assert_eq!((code, &report["complete"]), (Some(0), &Value::Bool(true)), "{report}");
    assert_eq!(count(&report["runs"][0], "events"), CALLS, "{report}");
    let missing = files.remove(3);
    let (report, code) = verify(&files);
    let run = &report["runs"][0];
    assert_eq!((code, count(run, "gap_count")), (Some(1), 1), "without {missing:?}: {report}");
    assert!(count(run, "undeclared") > 100, "{report}");
}

/// A receiver that comes late, and dies twice having read a part, has every line in the end,
/// some of them more than once.
#[test]
fn a_receiver_that_dies_twice_misses_nothing() {
    if !require_root_bpf("delivery") {
        return;
    }
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name);
    let (socket, received) = (path("socket"), path("received"));
    let write = format!("unix:{}", socket.display());
    let waiting = Waiting::start(WORKLOAD, &["flood", "--count", &CALLS.to_string()]);
    let own = ["--detail", "call", "--buffer", "64M", "--pid", &waiting.pid(), "-w", &write];
    let mut attached = Attached::start(&own);
    let waits = |line: &str| line.contains("trying again");
    // It may have said so before it said that it is attached.
    if !waits(&attached.tracer.stderr.text()) {
        attached.tracer.stderr.wait_for("nobody to be there", waits);
    }
    let to = received.clone();
    let receiver = thread::spawn(move || {
        for lines in [2_000, 9_000, usize::MAX] {
            let _ = fs::remove_file(&socket);
            let listener = UnixListener::bind(&socket).expect("our own folder");
            let from = BufReader::new(listener.accept().expect("the tracer").0);
            let mut to = OpenOptions::new().append(true).create(true).open(&to).expect("a file");
            for line in from.split(b'\n').take(lines) {
                to.write_all(&line.expect("a line")).expect("room");
                to.write_all(b"\n").expect("room");
            }
        }
    });
    assert_eq!(count(&waiting.go()[0], "calls"), CALLS);
    attached.tracer.signal(libc::SIGINT);
    attached.tracer.finish().expect_code(0);
    receiver.join().expect("the receiver");
    let (report, code) = verify(&[&received]);
    let run = &report["runs"][0];
    assert_eq!((code, count(run, "events")), (Some(0), CALLS), "{report}");
    assert!(count(run, "duplicates") > 0, "what may not have arrived is sent again: {report}");
}

/// What a tracer that was killed leaves is whole lines once another one has begun, which
/// goes on in the same file; verify says which of them has no end.
#[test]
fn a_killed_tracer_leaves_whole_lines() {
    if !require_root_bpf("delivery") {
        return;
    }
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let path = folder.path().join("events.json");
    let write = format!("file:{}", path.display());
    let waiting = Waiting::start(WORKLOAD, &["flood", "--count", &(20 * CALLS).to_string()]);
    let attached = Attached::start(&["-w", &write, "--detail", "call", "--pid", &waiting.pid()]);
    let calling = thread::spawn(move || waiting.go());
    let start = Instant::now();
    while fs::metadata(&path).map_or(0, |file| file.len()) < 1 << 20 {
        assert!(start.elapsed() < Duration::from_secs(20), "events come");
        thread::sleep(Duration::from_millis(1));
    }
    attached.tracer.signal(libc::SIGKILL);
    let _ = attached.tracer.finish();
    calling.join().expect("the workload");
    // As a kill in the middle of a write leaves it.
    let mut torn = OpenOptions::new().append(true).open(&path).expect("the file");
    torn.write_all(b"{\"schema\":\"tracer.ev").expect("room");
    drop(torn);
    let said = flood(&["-w", &write]);
    assert!(said.contains("cut off"), "{said}");
    let lines = BufReader::new(File::open(&path).expect("the file")).lines();
    for line in lines {
        serde_json::from_str::<Value>(&line.expect("a line")).expect("a whole line");
    }
    let (report, code) = verify(&[&path]);
    let runs = report["runs"].as_array().expect("runs");
    assert_eq!((code, runs.len(), count(&report, "torn")), (Some(1), 2, 0), "{report}");
    let ended: Vec<_> = runs.iter().map(|run| run["has_end"].as_bool()).collect();
    assert_eq!(ended, [Some(false), Some(true)], "{report}");
    assert_eq!((count(&runs[1], "events"), &runs[1]["complete"]), (CALLS, &Value::Bool(true)));
}

/// One destination that fails leaves the others at work; the exit status tells in the end.
#[test]
fn a_destination_that_fails_leaves_the_others() {
    if !require_root_bpf("delivery") {
        return;
    }
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let path = folder.path().join("events.json");
    let write = format!("file:{}", path.display());
    let waiting = Waiting::start(WORKLOAD, &["flood", "--count", &CALLS.to_string()]);
    let own = ["--detail", "call", "--buffer", "64M", "--pid", &waiting.pid()];
    let attached = Attached::start(&[&["-w", "file:/dev/full", "-w", &write][..], &own].concat());
    waiting.go();
    attached.tracer.signal(libc::SIGINT);
    let finished = attached.tracer.finish();
    finished.expect_code(5);
    assert!(finished.stderr.contains("other destinations go on"), "{}", finished.stderr);
    let (report, code) = verify(&[&path]);
    assert_eq!((code, count(&report["runs"][0], "events")), (Some(0), CALLS), "{report}");
}

/// A datagram socket has every line, each a datagram with a syslog header.
#[test]
fn datagrams_arrive() {
    if !require_root_bpf("delivery") {
        return;
    }
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name);
    let (socket, received) = (path("log"), path("received"));
    let write = format!("unix:{}?type=dgram&framing=syslog", socket.display());
    let to = received.clone();
    let from = UnixDatagram::bind(&socket).expect("our own folder");
    thread::spawn(move || {
        let mut to = File::create(&to).expect("our own folder");
        let mut buffer = vec![0; 64 << 10];
        // To the end of the test's process.
        while let Ok(length) = from.recv(&mut buffer) {
            to.write_all(&[&buffer[..length], b"\n"].concat()).expect("room");
        }
    });
    flood(&["-w", &write, "--on-full", "block"]);
    // The last ones may still be in the receiver's hands.
    let start = Instant::now();
    let (mut report, mut code) = verify(&[&received]);
    while code != Some(0) && start.elapsed() < Duration::from_secs(10) {
        thread::sleep(Duration::from_millis(50));
        (report, code) = verify(&[&received]);
    }
    let run = &report["runs"][0];
    assert_eq!((code, count(run, "events"), count(run, "duplicates")), (Some(0), CALLS, 0));
}
