//! Recordings that are not whole, and files that are none.

use std::fs;

use tempfile::TempDir;
use tests::skip::{require_root_bpf, skip};
use tests::stream::Stream;
use tests::tracer::{self, Attached, Waiting};
use tests::{child, hook, tools};

use crate::WORKLOAD;

/// A tracer that was killed leaves all that it had shown, and that it is not all is said.
#[test]
fn the_recording_of_a_killed_tracer_is_good_to_its_end() {
    if !require_root_bpf("recording") {
        return;
    }
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("recording");
    let path = path.to_str().expect("a path in UTF-8");
    let waiting = Waiting::start(WORKLOAD, &["eagain", "--count", "5"]);
    let mut attached = Attached::start(&["--pid", &waiting.pid(), "--record", path]);
    waiting.go();
    // The start record is the first line.
    attached.wait_event("the last of the calls", |event| event["seq"] == 6);
    attached.tracer.signal(libc::SIGKILL);
    let killed = attached.tracer.finish();
    let replayed = tracer::run(&["replay", path, "-o", "json"]);
    replayed.expect_code(1);
    assert_eq!(replayed.stdout, killed.stdout, "start and five calls");
    assert!(replayed.stderr.contains("was killed"), "{replayed:#?}");
    // In the middle of a frame.
    let bytes = fs::read(path).expect("our own file");
    fs::write(path, &bytes[..bytes.len() - 1]).expect("our own file");
    let cut = tracer::run(&["replay", path, "-o", "json"]);
    cut.expect_code(1);
    assert!(cut.stderr.contains("in the middle of frame"), "{cut:#?}");
    assert_eq!(cut.stdout.lines().count(), 5, "{cut:#?}");
    assert!(killed.stdout.starts_with(&cut.stdout), "{cut:#?}");
    // Damaged in the last but one.
    let mut bytes = bytes;
    let at = bytes.len() * 3 / 4;
    bytes[at] ^= 0x10;
    fs::write(path, &bytes).expect("our own file");
    let damaged = tracer::run(&["replay", path, "-o", "json"]);
    damaged.expect_code(1);
    assert!(damaged.stderr.contains("is damaged"), "{damaged:#?}");
    assert!(!damaged.stdout.is_empty() && killed.stdout.starts_with(&damaged.stdout));
}

/// Where there is no room for the recording, events go on to the end of the drain, the
/// tracer ends with 5, and what is in the file is good.
#[test]
fn a_recording_without_room() {
    if !require_root_bpf("recording") {
        return;
    }
    let finished = tracer::run(&["--record", "/dev/full", "-d", "1s"]);
    finished.expect_code(1);
    assert!(finished.stderr.contains("/dev/full: No space left"), "{finished:#?}");
    let Some(unshare) = tools::find("unshare") else {
        return skip("recording a_recording_without_room", "no unshare (util-linux)");
    };
    let folder = TempDir::new().expect("a temporary folder");
    let at = |name: &str| format!("{}/{name}", folder.path().display());
    fs::create_dir(at("small")).expect("our own folder");
    let script = format!(
        "mount -t tmpfs -o size=16k tmpfs {small} || exit 99; \
         {tracer} {options} -o json -w file:{events} --record {small}/recording -- \
             {WORKLOAD} eagain --count 200 --truth /dev/null; \
         status=$?; cp {small}/recording {copy}; exit $status",
        small = at("small"),
        tracer = tracer::binary().display(),
        options = hook::options().join(" "),
        events = at("events"),
        copy = at("recording"),
    );
    let finished = child::run(unshare, &["--mount", "sh", "-c", &script]);
    if finished.status.code() == Some(99) {
        return skip("recording a_recording_without_room", "no tmpfs can be mounted");
    }
    finished.expect_code(5);
    assert!(finished.stderr.contains("the recording: No space left"), "{finished:#?}");
    let live = fs::read_to_string(at("events")).expect("events");
    let stream = Stream::parse(&live);
    stream.check();
    assert_eq!(stream.lost(), 0, "the events themselves had room: {}", stream.end());
    assert!(!stream.events.is_empty(), "{finished:#?}");
    let replayed = tracer::run(&["replay", &at("recording"), "-o", "json"]);
    replayed.expect_code(1);
    assert!(replayed.stderr.contains("ends before frame"), "{replayed:#?}");
    assert!(live.starts_with(&replayed.stdout) && !replayed.stdout.is_empty(), "{replayed:#?}");
}

#[test]
fn what_is_no_recording_is_refused() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("noise");
    fs::write(&path, "no recording\n".repeat(100)).expect("our own folder");
    let path = path.to_str().expect("a path in UTF-8");
    for path in [path, "/no/such/recording", "/"] {
        let finished = tracer::run(&["replay", path, "-o", "json"]);
        finished.expect_code(1);
        assert!(finished.stderr.contains(path), "{finished:#?}");
        assert!(!finished.stderr.contains("panicked"), "{finished:#?}");
    }
    tracer::run(&["--record", "-", "-d", "1s"]).expect_code(2);
}
