//! What comes out at the far end of destinations, as `tracer verify` finds it: rotated
//! files, receivers that die, a tracer that is killed, a queue that was full.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixDatagram;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::far::{complete, dying_reader, ended, flood, flooded, grown, pieces, verify};
use tests::skip::require_root_bpf;
use tests::stream::count;
use tests::tracer::{Attached, Waiting};

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");
const CALLS: u64 = 30_000;

/// Files that were set aside and compressed hold every line between them, in whatever order
/// they are read; without one of them, what it held is named.
#[test]
fn rotated_files_are_complete() {
    if !require_root_bpf("delivery") {
        return;
    }
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let path = folder.path().join("events.json").display().to_string();
    flooded(WORKLOAD, CALLS, &["-w", &format!("file:{path}?size=1M&compress=gzip")]);
    let mut files = pieces(folder.path());
    assert!(files.len() > 10, "{files:?}");
    files.reverse();
    complete(&files, CALLS);
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
    let (mut attached, waiting) = flood(WORKLOAD, CALLS, &["-w", &write]);
    attached.wait_said("trying again");
    let receiver = dying_reader(&socket, &received, [2_000, 9_000]);
    assert_eq!(count(&waiting.go()[0], "calls"), CALLS);
    ended(attached, 0);
    receiver.join().expect("the receiver");
    let run = complete(&[&received], CALLS);
    assert!(count(&run, "duplicates") > 0, "what may not have arrived is sent again: {run}");
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
    grown(&path, 1 << 20);
    attached.tracer.signal(libc::SIGKILL);
    let _ = attached.tracer.finish();
    calling.join().expect("the workload");
    // As a kill in the middle of a write leaves it.
    let mut torn = OpenOptions::new().append(true).open(&path).expect("the file");
    torn.write_all(b"{\"schema\":\"tracer.ev").expect("room");
    drop(torn);
    let said = flooded(WORKLOAD, CALLS, &["-w", &write]);
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
    let (attached, waiting) = flood(WORKLOAD, CALLS, &["-w", "file:/dev/full", "-w", &write]);
    waiting.go();
    let said = ended(attached, 5);
    assert!(said.contains("other destinations go on"), "{said}");
    complete(&[&path], CALLS);
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
    flooded(WORKLOAD, CALLS, &["-w", &write, "--on-full", "block"]);
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
