//! logrotate sets files aside that the tracer writes to.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::thread;

use tempfile::TempDir;
use tests::child::Running;
use tests::far::{complete, ended, grown, named};
use tests::skip::{require_root_bpf, skip};
use tests::stream::count;
use tests::tools::Daemon;
use tests::tracer::{Attached, Waiting};

use crate::{WORKLOAD, recipe};

/// Of each workload.
const CALLS: u64 = 15_000;
const TIMES: usize = 3;

#[test]
fn what_logrotate_sets_aside_is_complete() {
    let group = "recipes logrotate";
    if !require_root_bpf(group) {
        return;
    }
    let Some(logrotate) = Daemon::find("logrotate", "logrotate") else {
        return skip(group, "no logrotate");
    };
    let folder = TempDir::new().expect("a temporary folder");
    // It takes no folder that others may write to, and no file of theirs.
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder.path(), open).expect("our own folder");
    let [events, config, state] =
        ["events.json", "conf", "state"].map(|name| folder.path().join(name));
    let write = format!("file:{}", events.display());
    let scenario = ["flood", "--count", &CALLS.to_string()];
    let mut waiting = [(); TIMES + 1].map(|()| Waiting::start(WORKLOAD, &scenario)).into_iter();
    let own = ["--detail", "call", "--buffer", "64M", "--queue", "256M", "-w", &write];
    let pids: Vec<_> = waiting.as_slice().iter().map(Waiting::pid).collect();
    let pids: Vec<_> = pids.iter().flat_map(|pid| ["--pid", pid]).collect();
    let attached = Attached::start(&[&own[..], &pids].concat());
    let tell = format!("kill -HUP {}", attached.tracer.id());
    let here = folder.path().to_str().expect("a path in UTF-8");
    // There is no service of this tracer.
    let service = "systemctl kill --kill-whom=main --signal=HUP tracer.service";
    let text = recipe("logrotate/tracer", &[("/var/log/tracer", here), (service, &tell)]);
    fs::write(&config, text).expect("our own folder");
    fs::set_permissions(&config, fs::Permissions::from_mode(0o644)).expect("our own file");

    for waiting in waiting.by_ref().take(TIMES) {
        let calling = thread::spawn(move || waiting.go());
        grown(&events, 1 << 20);
        let mut command = logrotate.command(&[]);
        command.arg("--force").arg("--state").args([&state, &config]);
        Running::start(command).finish().expect_code(0);
        assert_eq!(count(&calling.join().expect("the workload")[0], "calls"), CALLS);
    }
    // Into the last one.
    waiting.for_each(|waiting| assert_eq!(count(&waiting.go()[0], "calls"), CALLS));
    ended(attached, 0);

    let pieces = named(folder.path(), "events.json");
    assert_eq!(pieces.len(), TIMES + 1, "{pieces:?}");
    let compressed = pieces.iter().filter(|path| path.extension().is_some_and(|e| e == "gz"));
    assert_eq!(compressed.count(), TIMES - 1, "{pieces:?}");
    let run = complete(&pieces, CALLS * (TIMES as u64 + 1));
    assert_eq!(count(&run, "duplicates"), 0, "{run}");
}
