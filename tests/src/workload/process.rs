//! What the calling thread knows about itself.

use std::fs;
use std::os::unix::fs::MetadataExt;

use serde_json::{Value, json};

use super::truth::{Clock, if_present, interval};

/// Nanoseconds of a clock tick of `/proc/PID/stat`.
const TICK_NS: i64 = 10_000_000;

/// The thread id of the calling thread.
pub fn tid() -> i32 {
    // SAFETY: no arguments.
    unsafe { libc::gettid() }
}

/// The process id of the calling process.
pub fn pid() -> i32 {
    // SAFETY: no arguments.
    unsafe { libc::getpid() }
}

/// The calling thread's name.
pub fn comm() -> String {
    let mut name = [0u8; 16];
    // SAFETY: PR_GET_NAME writes at most 16 bytes.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    let len = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    String::from_utf8_lossy(&name[..len]).into_owned()
}

/// Renames the calling thread.
pub fn set_comm(name: &str) {
    let name = std::ffi::CString::new(name).expect("a thread's name without NUL");
    // SAFETY: PR_SET_NAME reads a string that outlives the call.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

/// The `process` object of an event of the calling thread.
pub fn identity() -> Value {
    // SAFETY: none of these takes arguments.
    let (ppid, uid, gid) = unsafe { (libc::getppid(), libc::getuid(), libc::getgid()) };
    let exe = fs::read_link("/proc/self/exe").expect("/proc/self/exe");
    // A thread that is stopped between two readings would move its start: the pair
    // that lies closest together counts.
    let offset = (0..8).map(|_| Clock::wall() - Clock::boot()).max().expect("eight pairs");
    let start = start_boottime_ns() + offset;
    let (cgroup, path) = cgroup();
    json!({
        "pid": pid(),
        "tid": tid(),
        "ppid": ppid,
        "comm": comm(),
        "exe": exe.to_str().expect("exe in UTF-8"),
        "uid": uid,
        "gid": gid,
        // Ticks are cut, and the tracer may show no more than ticks either.
        "start_time": interval(start - TICK_NS, start + 2 * TICK_NS),
        "cgroup": {"id": cgroup, "path": if_present(json!(path))},
        "ns": {"pid": ns("pid"), "mnt": ns("mnt"), "net": ns("net")},
    })
}

/// Start of the process by CLOCK_BOOTTIME, cut to a tick.
fn start_boottime_ns() -> i64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("/proc/self/stat");
    let (_, fields) = stat.rsplit_once(") ").expect("a name in parentheses");
    // Field 22, and the first after the name is 3.
    let ticks: i64 = fields.split(' ').nth(19).and_then(|f| f.parse().ok()).expect("starttime");
    ticks * TICK_NS
}

fn ns(kind: &str) -> u64 {
    fs::metadata(format!("/proc/self/ns/{kind}")).expect("a namespace").ino()
}

/// Id and path of the process's cgroup in the v2 hierarchy.
fn cgroup() -> (Value, Value) {
    let own = fs::read_to_string("/proc/self/cgroup").expect("/proc/self/cgroup");
    let Some(path) = own.lines().find_map(|line| line.strip_prefix("0::")) else {
        return (Value::Null, Value::Null);
    };
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("/proc/self/mountinfo");
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "));
    let id = mount
        .and_then(|line| line.split(' ').nth(4))
        .and_then(|mount| Some(fs::metadata(format!("{mount}{path}")).ok()?.ino()));
    (json!(id), json!(path))
}

/// Binds the calling thread, and those it will start, to one CPU.
pub fn stay_on(cpu: usize) {
    // SAFETY: a set of bits, all zero being the empty one.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is initialised; CPU_SET checks the index.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: the kernel reads the set, as long as told.
    let result = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &set) };
    assert_eq!(result, 0, "CPU {cpu}: {}", std::io::Error::last_os_error());
}

/// Takes on a user and the group of the same number.
pub fn become_user(uid: u32) {
    // SAFETY: integers only. Dumpable again, so that /proc/self stays readable.
    let results = unsafe {
        [
            libc::setgroups(0, std::ptr::null()),
            libc::setresgid(uid, uid, uid),
            libc::setresuid(uid, uid, uid),
            libc::prctl(libc::PR_SET_DUMPABLE, 1),
        ]
    };
    assert_eq!(results, [0; 4], "uid {uid}: {}", std::io::Error::last_os_error());
}

/// Waits for a child's end, which must be a good one.
pub fn reap(child: i32) {
    let mut status = 0;
    // SAFETY: the kernel writes an integer of ours.
    let result = unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!(result, child, "waitpid: {}", std::io::Error::last_os_error());
    assert_eq!(status, 0, "child {child}'s status");
}
