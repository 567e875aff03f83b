//! Daemons that write what they receive into a file, and are killed while they do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tests::child::Running;
use tests::far::{ended, free_port, size, verify};
use tests::skip::{require_root_bpf, skip};
use tests::stream::count;
use tests::tools::Daemon;
use tests::tracer::{Attached, Waiting};

use crate::{WORKLOAD, recipe};

const CALLS: u64 = 30_000;
/// Messages of one call, whose event is longer than 64 KiB.
const BATCH: &str = "1024";

/// Waits until the file has so many bytes.
fn grown(path: &Path, bytes: u64, receiver: &mut Running) {
    let start = Instant::now();
    while size(path) < bytes {
        if start.elapsed() > Duration::from_secs(30) {
            receiver.signal(libc::SIGTERM);
            receiver.wait();
            panic!("{} bytes of {bytes}; {}", size(path), receiver.stderr.finish());
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Traces calls into a daemon that runs a recipe. It is killed twice in the middle and
/// started again; in the end each line is in its file, and as it was.
fn killed_twice(name: &str, daemon: impl Fn(&Path, &Path) -> Command) {
    let folder = TempDir::new().expect("a temporary folder");
    let (port, path) = (free_port().to_string(), folder.path().join("events.json"));
    let here = folder.path().to_str().expect("a path in UTF-8");
    let config = recipe(name, &[("/var/log/tracer", here), ("6514", &port)]);
    let file = folder.path().join("conf");
    fs::write(&file, config).expect("our own folder");
    let start = || Running::start(daemon(&file, folder.path()));

    let long = Waiting::start(WORKLOAD, &["vlen", "--vlen", BATCH]);
    let flood = Waiting::start(WORKLOAD, &["flood", "--count", &CALLS.to_string()]);
    let write = format!("tcp:127.0.0.1:{port}?framing=syslog&resend=16M");
    let own = ["--messages", BATCH, "--detail", "full", "--buffer", "64M"];
    let whose = ["--pid", &flood.pid(), "--pid", &long.pid()];
    let copy = folder.path().join("copy");
    let copied = format!("file:{}", copy.display());
    let mut receiver = start();
    let attached = Attached::start(&[&own[..], &whose, &["-w", &write, "-w", &copied]].concat());
    let mut calls = long.go().len() as u64;
    let calling = thread::spawn(move || flood.go());
    for bytes in [3 << 20, 12 << 20] {
        grown(&path, bytes, &mut receiver);
        receiver.signal(libc::SIGKILL);
        receiver.wait();
        receiver = start();
    }
    calls += count(&calling.join().expect("the workload")[0], "calls");
    let said = ended(attached, 0);
    assert!(said.contains("connected"), "{said}");
    // It may have some to write yet.
    let start = Instant::now();
    let has_end = |report: &Value| report["runs"][0]["has_end"] == true;
    while !has_end(&verify(&[&path]).0) && start.elapsed() < Duration::from_secs(20) {
        thread::sleep(Duration::from_millis(100));
    }
    receiver.signal(libc::SIGTERM);
    receiver.finish();
    check(&[path, copy], calls);
}

/// The far end's file against what is known, and against the tracer's own.
fn check(files: &[PathBuf; 2], calls: u64) {
    let (report, code) = verify(&files[..1]);
    let run = &report["runs"][0];
    let told = ["events", "missing", "gap_count"].map(|field| count(run, field));
    assert_eq!(told, [calls, 0, 0], "{report}");
    // A kill in the middle of a write leaves a part of a line, which is written again.
    let torn = count(&report, "torn");
    assert!(torn <= 2, "{report}");
    assert_eq!(code, Some(i32::from(torn > 0)), "{report}");
    let [received, sent] = files.each_ref().map(|file| {
        let text = fs::read_to_string(file).expect("what was written");
        let lines = text.lines().map(str::to_owned);
        lines.collect::<std::collections::BTreeSet<_>>()
    });
    let longest = sent.iter().map(String::len).max().unwrap_or_default();
    assert!(longest > 64 << 10, "an event longer than the limits of old: {longest}");
    assert!(longest < 8 << 20, "an event within the recipes' limits: {longest}");
    assert!(sent.is_subset(&received), "every line as it was");
    println!("{} lines, {} twice, {torn} torn; longest {longest}", sent.len(), run["duplicates"]);
}

#[test]
fn rsyslog() {
    let group = "recipes rsyslog";
    if !require_root_bpf(group) {
        return;
    }
    let Some(daemon) = Daemon::find("rsyslog", "rsyslogd") else {
        return skip(group, "no rsyslogd (rsyslog)");
    };
    killed_twice("rsyslog/tracer.conf", |config, _| {
        let mut command = daemon.command(&[]);
        command.args(["-n", "-iNONE", "-M"]).arg(daemon.libraries("rsyslog"));
        command.arg("-f").arg(config);
        command
    });
}

#[test]
fn syslog_ng() {
    let group = "recipes syslog-ng";
    if !require_root_bpf(group) {
        return;
    }
    let Some(daemon) = Daemon::find("syslog-ng-core", "syslog-ng") else {
        return skip(group, "no syslog-ng (syslog-ng-core)");
    };
    let modules = daemon.root.join("usr/lib/syslog-ng");
    let versions = fs::read_dir(&modules).into_iter().flatten().flatten();
    let Some(modules) = versions.map(|entry| entry.path()).find(|path| path.is_dir()) else {
        return skip(group, "syslog-ng's modules are not where Debian has them");
    };
    killed_twice("syslog-ng/tracer.conf", |config, folder| {
        let mut command = daemon.command(&["usr/lib/syslog-ng"]);
        let of = |option: &str, name: &str| format!("{option}={}", folder.join(name).display());
        command.args(["--foreground", "--no-caps", "--stderr"]);
        command.arg(format!("--module-path={}", modules.display()));
        command.args([of("--persist-file", "persist"), of("--control", "control")]);
        command.args([of("--pidfile", "pid"), format!("--cfgfile={}", config.display())]);
        command
    });
}
