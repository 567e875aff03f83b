//! Filters: whose calls are events, and whose are only counted.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tests::cgroup::Cgroup;
use tests::skip::{require_root_bpf, skip};
use tests::tracer::{Attached, Waiting, around};

use crate::WORKLOAD;

/// Attaches to a waiting workload with the options that `args` makes of its pid,
/// lets it go, and expects the calls that `wanted` picks. The options must leave
/// out all other processes.
pub fn attached(
    scenario: &[&str],
    args: impl Fn(&str) -> Vec<String>,
    wanted: impl Fn(&Value) -> bool,
) {
    if !require_root_bpf(module_path!()) {
        return;
    }
    let waiting = Waiting::start(WORKLOAD, scenario);
    let args = args(&waiting.pid());
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let attached = Attached::start(&args);
    let mut truth = waiting.go();
    let made = truth.len() as u64;
    truth.retain(&wanted);
    let (stream, _) = attached.stop();
    stream.assert_exactly(&truth);
    let filtered = stream.total("filtered");
    assert!(filtered >= made - truth.len() as u64, "{made} made; {}", stream.end());
}

/// The same with the workload as COMMAND, whose descendants alone are traced.
pub fn command(scenario: &[&str], args: &[&str], wanted: impl Fn(&Value) -> bool) {
    if !require_root_bpf(module_path!()) {
        return;
    }
    let mut traced = around(WORKLOAD, args, scenario);
    traced.assert_fine();
    traced.truth.retain(&wanted);
    traced.stream.assert_exactly(&traced.truth);
}

pub fn strings(args: &[&str]) -> Vec<String> {
    args.iter().map(|arg| (*arg).to_owned()).collect()
}

fn comm(call: &Value) -> &str {
    call["process"]["comm"].as_str().expect("a name")
}

const EAGAIN: [&str; 3] = ["eagain", "--count", "3"];
const THREADS: [&str; 5] = ["threads", "--threads", "3", "--count", "4"];

#[test]
fn pid() {
    attached(&EAGAIN, |pid| strings(&["--pid", pid]), |_| true);
    attached(&EAGAIN, |pid| strings(&["-p", &format!("1,{pid}")]), |_| true);
    attached(&EAGAIN, |pid| strings(&["-p", "1", "-p", pid]), |_| true);
    attached(&EAGAIN, |_| strings(&["--pid", "1"]), |_| false);
    attached(
        &EAGAIN,
        |pid| strings(&["--exe", WORKLOAD, "--pid", &format!("!{pid}"), "--comm", "x"]),
        |_| false,
    );
    command(&EAGAIN, &["--pid", "!1"], |_| true);
}

#[test]
fn tid() {
    attached(&EAGAIN, |pid| strings(&["--tid", pid]), |_| true);
    attached(&EAGAIN, |pid| strings(&["--pid", pid, "--tid", &format!("!{pid}")]), |_| false);
    attached(&THREADS, |pid| strings(&["--pid", pid, "--tid", &format!("!{pid}")]), |_| true);
    attached(&THREADS, |pid| strings(&["--tid", pid]), |_| false);
}

#[test]
fn ppid() {
    let own = std::process::id();
    let own_child = move |call: &Value| call["process"]["ppid"] == own;
    let children = ["children"];
    let args = |pid: &str, ppid: String| strings(&["-f", "--pid", pid, "--ppid", &ppid]);
    attached(&children, |pid| args(pid, own.to_string()), own_child);
    attached(&children, |pid| args(pid, format!("!{own}")), move |call| !own_child(call));
    attached(&EAGAIN, |pid| strings(&["--pid", pid, "--ppid", "1"]), |_| false);
}

#[test]
fn uid() {
    let nobody = ["eagain", "--count", "3", "--uid", "65534"];
    command(&nobody, &["--uid", "65534"], |_| true);
    command(&nobody, &["--uid", "!0"], |_| true);
    command(&nobody, &["--uid", "0"], |_| false);
    command(&EAGAIN, &["--uid", "0"], |_| true);
    command(&EAGAIN, &["--uid", "!0"], |_| false);
    command(&EAGAIN, &["--uid", "65534,0"], |_| true);
}

#[test]
fn comm_exact() {
    command(&THREADS, &["--comm", "worker-1"], |call| comm(call) == "worker-1");
    command(&THREADS, &["--comm", "!worker-1"], |call| comm(call) != "worker-1");
    let two = |call: &Value| comm(call) != "worker-2";
    command(&THREADS, &["--comm", "worker-1", "--comm", "worker-0"], two);
    command(&THREADS, &["--comm", "worker"], |_| false);
    // 15 bytes is all that the kernel keeps of a name.
    let long = ["eagain", "--comm", "fifteen-bytes-a"];
    command(&long, &["--comm", "fifteen-bytes-a"], |_| true);
    command(&long, &["--comm", "fifteen-bytes-"], |_| false);
}

#[test]
fn comm_glob() {
    command(&THREADS, &["--comm", "work*"], |_| true);
    command(&THREADS, &["--comm", "*-[02]"], |call| comm(call) != "worker-1");
    command(&THREADS, &["--comm", "worker-?"], |_| true);
    command(&THREADS, &["--comm", "!*-1"], |call| comm(call) != "worker-1");
    command(&THREADS, &["--comm", "orker-*"], |_| false);
}

/// A name under which a thread starts does not matter, the one at the call does.
#[test]
fn comm_of_children() {
    command(&["children"], &["--comm", "by-*"], |call| comm(call).starts_with("by-"));
    command(&["children"], &["--comm", "fork"], |call| comm(call) == "fork");
}

/// The workload under another path.
fn copy(folder: &Path) -> PathBuf {
    let path = folder.join("another-program");
    fs::copy(WORKLOAD, &path).expect("the workload can be copied");
    path
}

#[test]
fn exe() {
    command(&EAGAIN, &["--exe", WORKLOAD], |_| true);
    command(&EAGAIN, &["--exe", "*/workload"], |_| true);
    command(&EAGAIN, &["--exe", "*/another-program"], |_| false);
    command(&EAGAIN, &["--exe", "!*/another-program"], |_| true);
    command(&EAGAIN, &["--exe", "!*/workload"], |_| false);
    if require_root_bpf(module_path!()) {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let other = copy(folder.path());
        let other = other.to_str().expect("a path in UTF-8");
        let traced = around(other, &["--exe", "*/another-program"], &EAGAIN);
        traced.assert_exact();
        let traced = around(other, &["--exe", "*/workload"], &EAGAIN);
        traced.assert_fine();
        traced.stream.assert_exactly(&[]);
    }
}

#[test]
fn combined() {
    command(&THREADS, &["--comm", "worker-1", "--uid", "0"], |call| comm(call) == "worker-1");
    command(&THREADS, &["--comm", "worker-1", "--uid", "!0"], |_| false);
    command(&THREADS, &["--comm", "worker-*", "--comm", "!worker-1"], |call| {
        comm(call) != "worker-1"
    });
    command(&THREADS, &["--exe", "*/workload", "--comm", "worker-0"], |call| {
        comm(call) == "worker-0"
    });
    attached(
        &THREADS,
        |pid| strings(&["--pid", pid, "--comm", "*-2", "--uid", "0", "--exe", "*load"]),
        |call| comm(call) == "worker-2",
    );
}

#[test]
fn event() {
    if !cfg!(target_arch = "x86_64") {
        return;
    }
    let event = |name: &'static str| move |call: &Value| call["event"] == name;
    for scenario in ["time32", "time64", "socketcall"] {
        command(&[scenario], &["-e", "recvmmsg"], event("recvmmsg"));
        command(&[scenario], &["-e", "recvmmsg_time32"], event("recvmmsg_time32"));
        command(&[scenario], &["-e", "recvmmsg,recvmmsg_time32"], |_| true);
        command(&[scenario], &["-e", "recvmmsg", "-e", "recvmmsg_time32"], |_| true);
    }
}

#[test]
fn cgroup() {
    if !require_root_bpf(module_path!()) {
        return;
    }
    let cgroup = match Cgroup::new("filters") {
        Ok(cgroup) => cgroup,
        Err(error) => return skip(concat!(module_path!(), "::cgroup"), &error),
    };
    let below = cgroup.make("/below");
    let inside = Some(cgroup.folder());
    let cases = [
        (cgroup.path(), inside, true),
        (cgroup.path(), Some(&below), true),
        (cgroup.path(), None, false),
        (format!("{}/below", cgroup.path()), inside, false),
        (format!("!{}", cgroup.path()), inside, false),
        (format!("!{}", cgroup.path()), Some(&below), false),
        (format!("!{}", cgroup.path()), None, true),
    ];
    for (filter, member, traced) in cases {
        let waiting = Waiting::start(WORKLOAD, &EAGAIN);
        if let Some(folder) = member {
            fs::write(folder.join("cgroup.procs"), waiting.pid()).expect("a process can move");
        }
        let attached = Attached::start(&["--pid", &waiting.pid(), "--cgroup", &filter]);
        let mut truth = waiting.go();
        let (stream, _) = attached.stop();
        truth.retain(|_| traced);
        assert_eq!(truth.len(), stream.events.len(), "--cgroup {filter}, member of {member:?}");
        stream.assert_exactly(&truth);
    }
}
