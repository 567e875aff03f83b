//! What a replay can be asked for, and by whom.

use std::fs;
use std::process::Command;

use tests::child::{self, Running};
use tests::skip::{is_root, require_root_bpf, skip};
use tests::stream::Stream;
use tests::{hook, tools, tracer};

use crate::{Recorded, WORKLOAD};

/// Filters mean the same on a recording, and what health says fits.
#[test]
fn a_recording_is_filtered_as_live() {
    if !require_root_bpf("recording") {
        return;
    }
    let recorded = Recorded::workload(&[], &["threads", "--threads", "3", "--count", "4"]);
    recorded.finished.expect_code(0);
    for (args, wanted) in [
        (["--comm", "worker-1"], 5),
        (["--comm", "!worker-*"], 0),
        (["--uid", "0"], 15),
        (["--exe", "*/workload"], 15),
        (["--pid", "1"], 0),
        (["--event", "recvmmsg_time32"], 0),
        (["--event", "recvmmsg"], 15),
    ] {
        let finished = recorded.replay(&args);
        finished.expect_code(0);
        let stream = Stream::parse(&finished.stdout);
        stream.check();
        assert_eq!(stream.events.len(), wanted, "{args:?}");
        // The kernel left out the calls of all others.
        let left_out = stream.total("filtered") - recorded.stream().total("filtered");
        assert_eq!(left_out, 15 - wanted as u64, "{args:?}");
        for health in &stream.health {
            let events = health["events"].as_array().expect("names");
            assert!(args[0] != "--event" || events[..] == [args[1]], "{health}");
        }
    }
}

#[test]
fn a_recording_needs_no_privileges() {
    if !require_root_bpf("recording") {
        return;
    }
    let Some(setpriv) = tools::find("setpriv") else {
        return skip("recording a_recording_needs_no_privileges", "no setpriv (util-linux)");
    };
    let recorded = Recorded::workload(&[], &["eagain", "--count", "2"]);
    recorded.finished.expect_code(0);
    let folder = recorded.folder.path();
    let copy = folder.join("tracer");
    fs::copy(tracer::binary(), &copy).expect("the tracer can be copied");
    for (path, mode) in [(folder, "755"), (&copy, "755"), (recorded.path().as_ref(), "644")] {
        let path = path.to_str().expect("a path in UTF-8");
        child::run("chmod", &[mode, path]).expect_code(0);
    }
    assert!(is_root(), "the privileges to give up");
    let mut command = Command::new(setpriv);
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    command.args(["--bounding-set", "-all", "--no-new-privs", "--"]);
    command.arg(copy).args(["replay", &recorded.path(), "-o", "json"]);
    let finished = Running::start(command).finish();
    finished.expect_code(0);
    assert_eq!(finished.stdout, recorded.lines);
}

/// From the tracer itself while it runs.
#[test]
fn standard_input_is_replayed() {
    if !require_root_bpf("recording") {
        return;
    }
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let events = folder.path().join("events");
    let script = format!(
        "{tracer} {options} --record /dev/stdout -o json -w file:{events} -- \
             {WORKLOAD} udp4 --truth /dev/null | {tracer} replay -o json -",
        tracer = tracer::binary().display(),
        options = hook::options().join(" "),
        events = events.display(),
    );
    let finished = child::run("sh", &["-c", &script]);
    finished.expect_code(0);
    let live = fs::read_to_string(events).expect("events");
    assert_eq!(finished.stdout, live, "{finished:#?}");
    assert!(!Stream::parse(&live).events.is_empty(), "{live}");
}
