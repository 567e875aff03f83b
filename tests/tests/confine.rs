//! What the tracer has given up once it is attached, and that it still does all that it is
//! there for. Whether what it has given up is out of reach is tried by a program that gives
//! it up by the same function.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use ::tracer::confine::landlock_abi;
use serde_json::Value;
use tests::child::{Finished, Running};
use tests::confine::{Change, confine};
use tests::far::{ended, pieces, verify, wait_until};
use tests::skip::require_root_bpf;
use tests::status::Status;
use tests::stream::{Stream, count};
use tests::tracer::{self, Attached, Waiting};

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");
const CONFINED: &str = env!("CARGO_BIN_EXE_confined");
/// `CAP_DAC_OVERRIDE`, `CAP_DAC_READ_SEARCH`, `CAP_KILL` (include/uapi/linux/capability.h).
const DAC_OVERRIDE: u64 = 1 << 1;
const DAC_READ_SEARCH: u64 = 1 << 2;
const KILL: u64 = 1 << 5;

/// All threads hold these capabilities at most, and are under seccomp.
fn assert_confined(pid: u32, capabilities: u64) {
    for thread in Status::of_threads(pid) {
        for set in ["CapPrm", "CapEff", "CapBnd"] {
            assert_eq!(thread.set(set), capabilities, "{set}: {thread:?}");
        }
        for set in ["CapInh", "CapAmb"] {
            assert_eq!(thread.set(set), 0, "{set}: {thread:?}");
        }
        assert_eq!((thread.field("NoNewPrivs"), thread.field("Seccomp")), ("1", "2"), "{thread:?}");
        let filters = thread.get("Seccomp_filters").unwrap_or("2");
        assert_eq!(filters, "2", "{thread:?}");
    }
}

/// What is kept beside that for the sake of single destinations.
fn always_kept() -> u64 {
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("/proc");
    if mounts.contains(" - cgroup2 ") { DAC_READ_SEARCH } else { 0 }
}

/// How each attempt went.
fn attempts(args: &[&str], connect: Option<u16>) -> (BTreeMap<String, i64>, Finished) {
    let mut command = Command::new(CONFINED);
    command.args(args);
    if let Some(port) = connect {
        command.env("CONFINED_CONNECT", port.to_string());
    }
    let finished = Running::start(command).finish();
    let lines = finished.stdout.lines().map(|line| {
        let value: Value = serde_json::from_str(line).expect("JSON");
        let name = value["try"].as_str().expect("a name").to_owned();
        (name, value["errno"].as_i64().expect("a number"))
    });
    (lines.collect(), finished)
}

#[test]
fn every_thread_is_confined() {
    if !require_root_bpf("confine") {
        return;
    }
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let write = format!("file:{}?size=1M", folder.path().join("events").display());
    let attached = Attached::with(&["--confine", "on", "-w", &write, "-w", "tcp:[::1]:9"]);
    let pid = attached.tracer.id();
    let names = Status::of_threads(pid).len();
    assert!(names >= 3, "one that drains, and one for each destination: {names}");
    assert_confined(pid, always_kept());
    attached.tracer.signal(libc::SIGINT);
    let _ = attached.tracer.finish();
}

/// What a file, a socket or a port is for, and no more; the same attempts work where nothing
/// was given up.
#[test]
fn what_was_given_up_is_out_of_reach() {
    if !require_root_bpf("confine") {
        return;
    }
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let own = folder.path().join("own");
    fs::create_dir(&own).expect("a folder");
    let (own, file) = (own.display().to_string(), format!("file:{}/events", own.display()));
    let (free, finished) = attempts(&["--not", &own, &file], None);
    let refused: Vec<_> = free.iter().filter(|(_, errno)| [1, 13].contains(*errno)).collect();
    assert!(free.len() > 35 && refused.is_empty(), "{refused:?} {finished:?}");
    for name in [
        "read_passwd",
        "read_by_handle",
        "read_by_path_of_handle",
        "make_file_outside",
        "load_program",
        "fork",
        "connect_elsewhere",
    ] {
        assert_eq!(free[name], 0, "{name}");
    }

    let works = ["read_proc_stat", "read_proc_cgroup", "read_fdinfo", "start_thread"];
    let in_folder = ["make_file", "rename_file", "remove_file"];
    let (mut found, finished) = attempts(&[&own, &file], None);
    assert_eq!(finished.stderr, "", "all parts are to be had here");
    for name in works.iter().chain(&in_folder) {
        assert_eq!(found.remove(*name), Some(0), "{name}");
    }
    let passed: Vec<_> = found.iter().filter(|(_, errno)| ![1, 13].contains(*errno)).collect();
    assert!(found.len() > 30 && passed.is_empty(), "{passed:?}");

    // Without a file there is no folder either.
    let (found, _) = attempts(&[&own, "-"], None);
    assert!(in_folder[..1].iter().all(|name| found[*name] != 0), "{found:?}");
    // COMMAND may be ended, and nothing else be done to others.
    let (found, _) = attempts(&["--command", &own, "-"], None);
    assert!(found["signal_parent"] == 1 && found["execute"] == 1, "{found:?}");
}

/// Only the ports of destinations are connected to.
#[test]
fn ports_of_others_are_out_of_reach() {
    if !require_root_bpf("confine") {
        return;
    }
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let folder = folder.path().display().to_string();
    let receiver = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = receiver.local_addr().expect("bound").port();
    for host in ["127.0.0.1", "localhost"] {
        let (found, _) = attempts(&[&folder, &format!("tcp:{host}:{port}")], Some(port));
        let elsewhere = if landlock_abi() >= 4 { 13 } else { 0 };
        assert_eq!((found["connect"], found["connect_elsewhere"]), (0, elsewhere), "{host}");
        assert_ne!(found["listen"], 0, "{host}");
        assert_eq!((found["execute"], found["load_program"], found["socket_packet"]), (1, 1, 1));
        // Certificates and the like, where a name stands for the host.
        assert_eq!(found["read_passwd"], if host == "localhost" { 0 } else { 13 });
        assert_eq!(found["read_binary"], 13);
    }
}

/// Numbers of calls mean others there.
#[test]
fn calls_by_other_numbers_end_it() {
    if !require_root_bpf("confine") || cfg!(not(target_arch = "x86_64")) {
        return;
    }
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let folder = folder.path().display().to_string();
    let (_, finished) = attempts(&["--foreign-call", &folder, "-"], None);
    assert_eq!(finished.status.signal(), Some(libc::SIGSYS), "{finished:?}");
}

/// Under it, files are set aside and compressed, opened anew at SIGHUP, and callers that
/// came later are known.
#[test]
fn a_confined_tracer_does_its_work() {
    if !require_root_bpf("confine") {
        return;
    }
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let path = folder.path().join("events.json");
    let write = format!("file:{}?size=256K&compress=gzip", path.display());
    let args = ["--confine", "on", "--detail", "call", "--buffer", "64M", "-w", &write];
    let attached = Attached::with(&args);
    let workload = Waiting::start(WORKLOAD, &["flood", "--count", "5000"]);
    let pid = workload.pid();
    workload.go();
    wait_until("files are set aside", || ending(folder.path(), ".gz") > 2);
    let before = folder.path().join("taken-away");
    fs::rename(&path, &before).expect("a file");
    attached.tracer.signal(libc::SIGHUP);
    wait_until("the file is made anew", || path.exists());
    let again = Waiting::start(WORKLOAD, &["flood", "--count", "2"]);
    let second = again.pid();
    again.go();
    let said = ended(attached, 0);
    assert!(said.contains("tracer: seen ") && !said.contains("warning"), "{said}");
    let events: Vec<Value> = fs::read_to_string(&path)
        .expect("the new file")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let of = |pid: &str| {
        let pid: u32 = pid.parse().expect("a number");
        events.iter().filter(move |event| event["process"]["pid"] == pid)
    };
    assert!(of(&second).count() >= 2, "{events:?}");
    for event in of(&second) {
        assert_eq!(event["process"]["exe"], WORKLOAD, "{event}");
        assert!(event["process"]["cgroup"]["path"].is_string(), "{event}");
    }
    let (report, _) = verify(&pieces(folder.path()));
    assert_eq!(report["complete"], true, "the calls of {pid}: {report}");
    assert!(count(&report["runs"][0], "events") >= 5002, "{report}");
}

/// How many files have names that end so.
fn ending(folder: &Path, suffix: &str) -> usize {
    let ends = |path: &&PathBuf| path.to_string_lossy().ends_with(suffix);
    pieces(folder).iter().filter(ends).count()
}

/// A receiver is found by its name, and found again once it has gone away.
#[test]
fn a_confined_tracer_connects_again() {
    if !require_root_bpf("confine") {
        return;
    }
    let receiver = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = receiver.local_addr().expect("bound").port();
    let write = format!("tcp:localhost:{port}?resend=4M");
    let attached = Attached::with(&["--confine", "on", "--detail", "call", "-w", &write]);
    let first = receiver.accept().expect("the tracer").0;
    let mut lines = BufReader::new(first).lines();
    let start = lines.next().expect("a line").expect("a line");
    assert!(start.contains("\"kind\":\"start\""), "{start}");
    drop(lines);
    let workload = Waiting::start(WORKLOAD, &["flood", "--count", "2000"]);
    let rest = thread::spawn(move || {
        let second = receiver.accept().expect("the tracer again").0;
        BufReader::new(second).lines().map(|line| line.expect("a line")).collect::<Vec<_>>()
    });
    workload.go();
    ended(attached, 0);
    let rest = rest.join().expect("the receiver");
    let calls = rest.iter().filter(|line| line.contains("\"tracer.event/1\"")).count();
    assert!(calls >= 2000, "{calls} calls in {} lines", rest.len());
}

/// COMMAND is as privileged as whoever started the tracer.
#[test]
fn command_is_not_confined() {
    if !require_root_bpf("confine") {
        return;
    }
    let own = fs::read_to_string("/proc/self/status").expect("/proc");
    let script = "cat /proc/self/status /etc/passwd; exec sleep 60";
    let args = ["-w", "file:/dev/null", "--confine", "on", "--", "sh", "-c", script];
    let mut tracer = Running::start(tracer::command(&args));
    let fields = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp:"];
    for field in fields {
        let line = own.lines().find(|line| line.starts_with(field)).expect("a field");
        let theirs = tracer.stdout.wait_for(field, |theirs| theirs.starts_with(field));
        assert_eq!(theirs.trim_end(), line);
    }
    tracer.stdout.wait_for("a file", |line| line.starts_with("root:"));
    assert_confined(tracer.id(), always_kept() | KILL);
    // It is ended with the tracer, as before.
    tracer.signal(libc::SIGINT);
    tracer.finish().expect_code(0);
}

/// Nothing is given up unless it is to be.
#[test]
fn it_can_be_switched_off() {
    if !require_root_bpf("confine") {
        return;
    }
    let attached = Attached::with(&["--confine", "off"]);
    let (ours, theirs) = (Status::of(std::process::id()), Status::of_threads(attached.tracer.id()));
    for field in ["CapPrm", "CapEff", "CapBnd", "NoNewPrivs", "Seccomp"] {
        assert!(theirs.iter().all(|thread| thread.field(field) == ours.field(field)), "{field}");
    }
    attached.stop();
}

/// Where a part can't be had, `on` does not run, and `auto` does, and says so.
#[test]
fn what_can_not_be_had_is_said() {
    if !require_root_bpf("confine") {
        return;
    }
    let run = |when: &str| {
        let args = ["-v", "--confine", when, "-n", "1", "-d", "300ms"];
        let mut command = tracer::command(&args);
        confine(&mut command, &[Change::HiddenProcesses]);
        Running::start(command).finish()
    };
    let finished = run("on");
    finished.expect_code(3);
    assert!(finished.stderr.contains("not confined by Landlock: /proc hides"), "{finished:?}");
    let finished = run("auto");
    finished.expect_code(0);
    assert!(finished.stderr.contains("not confined by Landlock: /proc hides"), "{finished:?}");
    assert!(finished.stderr.contains("confined by seccomp: "), "{finished:?}");
    Stream::parse(&finished.stdout).check();
}

/// A folder of another user takes the capability to write there, which is kept for it.
#[test]
fn files_in_the_folder_of_another_user() {
    if !require_root_bpf("confine") {
        return;
    }
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    chown(folder.path(), Some(65533), Some(65533)).expect("root may");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("root may");
    let path = folder.path().join("events.json");
    let write = format!("file:{}?size=64K", path.display());
    let attached = Attached::with(&["--confine", "on", "--detail", "call", "-w", &write]);
    assert_confined(attached.tracer.id(), always_kept() | DAC_OVERRIDE);
    Waiting::start(WORKLOAD, &["flood", "--count", "1000"]).go();
    wait_until("a file is set aside", || ending(folder.path(), "Z") > 1);
    let said = ended(attached, 0);
    assert!(!said.contains("warning"), "{said}");
}
