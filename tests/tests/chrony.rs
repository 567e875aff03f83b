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

    let Some(strace) = tools::find("strace") else {
        return skip("chrony chronyd_and_strace", "no strace");
    };
    compare_with_strace(&strace, &chronyd, &chronyc);
}

/// A call as strace and we both tell it: vlen, flags, return value, lengths.
type Told = (Option<i64>, String, Option<i64>, Vec<i64>);

/// The same run by strace: vlen, flags, return values and lengths of every call, in
/// the same order.
fn compare_with_strace(strace: &Path, chronyd: &Path, chronyc: &Path) {
    let attached = Attached::start(&["--exe", chronyd.to_str().expect("a path in UTF-8")]);
    let folder = TempDir::new().expect("a temporary folder");
    let log = folder.path().join("strace");
    let log_text = log.to_str().expect("a path in UTF-8");
    let strace = strace.to_str().expect("a path in UTF-8");
    let prefix = [strace, "-e", "trace=recvmmsg", "-o", log_text, "--"];
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
    let theirs: Vec<_> = log.lines().filter_map(strace_call).collect();
    let ours: Vec<Told> = stream
        .events
        .iter()
        .filter(|event| event["process"]["pid"] == pid)
        .map(|event| {
            let empty = Vec::new();
            let messages = event["messages"].as_array().unwrap_or(&empty);
            let lens = messages.iter().map(|m| m["len"].as_i64().expect("a length")).collect();
            let names = event["args"]["flags"]["names"].as_array().expect("names");
            let names: Vec<_> = names.iter().filter_map(Value::as_str).collect();
            let flags = if names.is_empty() { "0".to_owned() } else { names.join("|") };
            (event["args"]["vlen"]["value"].as_i64(), flags, event["ret"].as_i64(), lens)
        })
        .collect();
    assert!(!theirs.is_empty(), "strace saw calls: {log}");
    assert_eq!(ours, theirs, "ours (left) and strace's (right): {log}");
}

/// A call in strace's log.
fn strace_call(line: &str) -> Option<Told> {
    let line = line.strip_prefix("recvmmsg(")?;
    let number = |text: &str| {
        let digits = text.trim_start().split(|c: char| !c.is_ascii_digit() && c != '-').next();
        digits.and_then(|digits| digits.parse::<i64>().ok())
    };
    let (call, result) = line.rsplit_once(" = ")?;
    let ret = match number(result)? {
        -1 if result.contains("EAGAIN") => -11,
        ret => ret,
    };
    let lens = call.split(" msg_len=").skip(1).filter_map(number).collect();
    // …, vlen, flags, timeout)
    let mut last = call.rsplit(", ");
    let (_timeout, flags, vlen) = (last.next(), last.next()?, last.next()?);
    Some((number(vlen), flags.to_owned(), Some(ret), lens))
}
