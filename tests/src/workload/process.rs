//! What the calling thread knows about itself.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;

use serde_json::{Value, json};

use super::truth::{Clock, interval, put_text};

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
fn comm() -> Vec<u8> {
    let mut name = [0u8; 16];
    // SAFETY: PR_GET_NAME writes at most 16 bytes.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    let len = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    name[..len].to_vec()
}

/// Renames the calling thread.
pub fn set_comm(name: &str) {
    set_comm_bytes(name.as_bytes());
}

/// Renames the calling thread, as any bytes but NUL.
pub fn set_comm_bytes(name: &[u8]) {
    let name = std::ffi::CString::new(name).expect("a thread's name without NUL");
    // SAFETY: PR_SET_NAME reads a string that outlives the call.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

/// The `process` object of an event of the calling thread.
pub fn identity() -> Value {
    // SAFETY: neither takes arguments.
    let (uid, gid) = unsafe { (libc::getuid(), libc::getgid()) };
    let outside = Outside::read();
    let exe = fs::read_link("/proc/self/exe").expect("/proc/self/exe");
    // A thread that is stopped between two readings would move its start: the pair
    // that lies closest together counts.
    let offset = (0..8).map(|_| Clock::wall() - Clock::boot()).max().expect("eight pairs");
    let start = start_boottime_ns() + offset;
    let cgroup = cgroup();
    let mut identity = json!({
        "pid": outside.pid,
        "tid": outside.tid,
        "ppid": outside.ppid,
        "uid": uid,
        "gid": gid,
        // Ticks are cut, and the tracer may show no more than ticks either.
        "start_time": interval(start - TICK_NS, start + 2 * TICK_NS),
        "cgroup": cgroup,
        "ns": {"pid": ns("pid"), "mnt": ns("mnt"), "net": ns("net")},
        "ns_pid": pid(),
        "ns_tid": tid(),
    });
    if !may_be_in_container() {
        identity["container"] = Value::Null;
    }
    put_text(&mut identity, "comm", &comm());
    put_text(&mut identity, "exe", exe.as_os_str().as_bytes());
    identity
}

/// Start of the process by CLOCK_BOOTTIME, cut to a tick.
fn start_boottime_ns() -> i64 {
    // It has the thread's name, in any bytes.
    let stat = fs::read("/proc/self/stat").expect("/proc/self/stat");
    let stat = String::from_utf8_lossy(&stat);
    let (_, fields) = stat.rsplit_once(") ").expect("a name in parentheses");
    // Field 22, and the first after the name is 3.
    let ticks: i64 = fields.split(' ').nth(19).and_then(|f| f.parse().ok()).expect("starttime");
    ticks * TICK_NS
}

fn ns(kind: &str) -> u64 {
    fs::metadata(format!("/proc/self/ns/{kind}")).expect("a namespace").ino()
}

/// The calling thread as /proc numbers it, which is of the initial pid namespace: a
/// workload may be in another one.
struct Outside {
    pid: u32,
    tid: u32,
    ppid: u32,
}

impl Outside {
    fn read() -> Self {
        let link = fs::read_link("/proc/thread-self").expect("/proc/thread-self");
        let link = link.to_str().expect("numbers");
        let numbers: Vec<u32> = link.split('/').filter_map(|part| part.parse().ok()).collect();
        let [pid, tid] = numbers[..] else { panic!("/proc/thread-self is {link}") };
        let status = fs::read("/proc/thread-self/status").expect("a status");
        let status = String::from_utf8_lossy(&status);
        let ppid = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        let ppid = ppid.and_then(|ppid| ppid.trim().parse().ok()).expect("a parent");
        Self { pid, tid, ppid }
    }
}

fn own_cgroups() -> String {
    fs::read_to_string("/proc/self/cgroup").expect("/proc/self/cgroup")
}

/// Id and path of the process's cgroup in the v2 hierarchy. Where that has never been
/// mounted all processes are in its root.
fn cgroup() -> Value {
    let own = own_cgroups();
    let Some(path) = own.lines().find_map(|line| line.strip_prefix("0::")) else {
        return json!({"id": 1, "path": "/"});
    };
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("/proc/self/mountinfo");
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "));
    let id = mount
        .and_then(|line| line.split(' ').nth(4))
        .and_then(|mount| Some(fs::metadata(format!("{mount}{path}")).ok()?.ino()));
    match id {
        Some(id) => json!({"id": id, "path": path}),
        None => json!({"path": path}),
    }
}

/// Whether a cgroup may be a container's; then the test knows which.
fn may_be_in_container() -> bool {
    let hint = |name: &str| {
        let digits = name.bytes().filter(u8::is_ascii_hexdigit).count();
        digits >= 64 || name.contains("nspawn") || name.starts_with("machine-")
    };
    own_cgroups().lines().any(|line| line.split('/').any(hint))
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
