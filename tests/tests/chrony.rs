//! A program that nobody here wrote: chronyd serving chronyc, on loopback and ports
//! of its own, held against strace.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::child::{self, Running};
use tests::compare::assert_matches;
use tests::skip::{require_root_bpf, skip};
use tests::strace::{self, Both, meet};
use tests::tools;
use tests::tracer::Attached;

/// chronyd with a configuration of its own: no other server, no clock touched.
struct Chronyd {
    daemon: Running,
    folder: TempDir,
}

impl Chronyd {
    const COMMAND_PORT: &str = "11323";

    fn start(chronyd: &Path, prefix: &[&str]) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(folder.path(), open).expect("our own folder");
        let at = |name: &str| folder.path().join(name).display().to_string();
        let config = format!(
            "local stratum 10\nport 11123\ncmdport {}\nbindaddress 127.0.0.1\n\
             bindcmdaddress 127.0.0.1\nallow 127.0.0.1\ncmdallow 127.0.0.1\nuser root\n\
             bindcmdaddress /\npidfile {}\ndriftfile {}\n",
            Self::COMMAND_PORT,
            at("pid"),
            at("drift"),
        );
        fs::write(folder.path().join("conf"), config).expect("our own folder");
        let conf = at("conf");
        let chronyd = chronyd.to_str().expect("a path in UTF-8");
        let words = [prefix, &[chronyd, "-d", "-x", "-f", &conf]].concat();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        let mut daemon = Running::start(command);
        daemon.stderr.wait_for("chronyd's start", |line| line.contains("starting"));
        Self { daemon, folder }
    }

    /// Asks for its state, again until it listens.
    fn ask(chronyc: &Path) {
        let start = Instant::now();
        loop {
            let args = ["-h", "127.0.0.1", "-p", Self::COMMAND_PORT, "-n", "tracking"];
            let finished = child::run(chronyc, &args);
            if finished.status.success() {
                assert!(finished.stdout.contains("Stratum"), "{finished:#?}");
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(20), "chronyd is silent: {finished:#?}");
        }
    }

    fn stop(self) {
        let Self { daemon, folder } = self;
        daemon.signal(libc::SIGTERM);
        daemon.finish();
        drop(folder);
    }
}

/// What holds of each of chronyd's calls.
fn check_chronyd(event: &Value) {
    let truth = json!({
        "event": "recvmmsg",
        "syscall": {"name": "recvmmsg", "nr": libc::SYS_recvmmsg},
        "process": {"comm": "chronyd"},
        "args": {"timeout": {"value": null}},
        "latency_ns": {"min": 1, "max": 100_000_000},
        "missing": {},
    });
    assert_matches(&truth, event);
    for message in event["messages"].as_array().into_iter().flatten() {
        let truth = json!({
            "len": {"min": 1, "max": 2048},
            "name": {"family": "AF_INET", "ip": "127.0.0.1", "port": {"min": 1, "max": 65535}},
            "namelen": {"in": {"min": 16, "max": 128}, "out": 16},
            "control": {"len_in": {"min": 16, "max": 4096}, "len_out": {"min": 0, "max": 4096}},
        });
        assert_matches(&truth, message);
    }
}

#[test]
fn chronyd_serving_chronyc() {
    let group = "chrony";
    if !require_root_bpf(group) {
        return;
    }
    let (Some(chronyd), Some(chronyc)) = (tools::find("chronyd"), tools::find("chronyc")) else {
        return skip(group, "no chronyd and chronyc (chrony)");
    };
    let attached = Attached::start(&["--exe", chronyd.to_str().expect("a path in UTF-8")]);
    let daemon = Chronyd::start(&chronyd, &[]);
    (0..3).for_each(|_| Chronyd::ask(&chronyc));
    let pid = daemon.daemon.id();
    daemon.stop();
    let (stream, _) = attached.stop();
    assert_eq!(stream.lost(), 0, "{}", stream.end());
    let calls: Vec<_> =
        stream.events.iter().filter(|event| event["process"]["pid"] == pid).collect();
    calls.iter().for_each(|call| check_chronyd(call));
    let received: i64 =
        calls.iter().filter_map(|call| call["ret"].as_i64()).filter(|r| *r > 0).sum();
    assert!(received >= 3, "three requests at least: {calls:#?}");

    let Some(strace) = strace::find() else {
        return skip("chrony chronyd_and_strace", "no strace");
    };
    compare_with_strace(&strace, &chronyd, &chronyc);
}

/// The same run by strace: every call, field by field.
fn compare_with_strace(strace: &Path, chronyd: &Path, chronyc: &Path) {
    let exe = chronyd.to_str().expect("a path in UTF-8");
    let attached = Attached::start(&[&strace::TRACER[..], &["--exe", exe]].concat());
    let folder = TempDir::new().expect("a temporary folder");
    let log = folder.path().join("strace");
    let prefix = strace::under(strace, &log);
    let prefix: Vec<_> = prefix.iter().map(String::as_str).collect();
    let daemon = Chronyd::start(chronyd, &prefix);
    (0..3).for_each(|_| Chronyd::ask(chronyc));
    // strace passes a SIGTERM on to nobody: it lets its program go. Ours is asked.
    let pid = fs::read_to_string(daemon.folder.path().join("pid")).expect("chronyd's pid");
    let pid: i32 = pid.trim().parse().expect("a pid");
    // SAFETY: integers only; the process is the one that we started through strace.
    unsafe { libc::kill(pid, libc::SIGTERM) };
    daemon.daemon.finish();
    let (stream, _) = attached.stop();

    let log = fs::read_to_string(&log).expect("strace's log");
    let met = meet::compare("chronyd", &Both { log, stream });
    assert!(met.calls >= 3, "three requests at least: {met:?}");
}
