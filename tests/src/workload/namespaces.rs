//! Processes in pid namespaces of their own, and ids that are used again.

use std::ffi::c_void;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, thread};

use super::Context;
use super::batch::Batch;
use super::call::Call;
use super::entry::Entry::Native;
use super::process::{self, reap};
use super::sockets::Udp;

/// A call that finds nothing.
fn call(context: &Context) {
    let udp = Udp::v4();
    let batch = Batch::new(false, 2);
    let made = Call::new(Native, udp.fd(), &batch).make();
    assert_eq!(made.ret, -i64::from(libc::EAGAIN), "the kernel's answer");
    context.tell(&made);
}

/// Two calls. Says when the first is over, and waits for a line before the second.
pub fn two_calls(context: &Context) {
    call(context);
    println!("called");
    super::wait_line();
    call(context);
}

/// Calls of the leader and of a thread.
fn calls(context: &Context) {
    call(context);
    // To its very end: one that still gives back its memory could leave a child of this
    // process with locks that nobody opens.
    thread::scope(|scope| scope.spawn(|| call(context)).join()).expect("a thread");
}

/// The first process of a new pid namespace, its child, and the first process of another
/// namespace within.
pub fn pid_namespaces(context: &Context) {
    calls(context);
    in_new_namespace(|| {
        assert_eq!(process::pid(), 1, "the first of its namespace");
        calls(context);
        child(None, || calls(context));
        in_new_namespace(|| {
            assert_eq!(process::pid(), 1, "the first of its namespace");
            calls(context);
        });
    });
}

fn in_new_namespace(run: impl FnOnce()) {
    // SAFETY: an integer only.
    let result = unsafe { libc::unshare(libc::CLONE_NEWPID) };
    assert_eq!(result, 0, "unshare: {}", std::io::Error::last_os_error());
    child(None, run);
}

/// A child, perhaps of a certain id, to its end. None where the id is taken.
fn child(id: Option<i32>, run: impl FnOnce()) -> Option<i32> {
    let ids = id.map(|id| [id]);
    let set = ids.as_ref().map_or(std::ptr::null(), |ids| ids.as_ptr());
    // `struct clone_args` (include/uapi/linux/sched.h): the fifth field is the signal at
    // the end, the ninth and tenth are the ids and their number.
    let mut args = [0u64; 10];
    args[4] = libc::SIGCHLD as u64;
    args[8] = set as u64;
    args[9] = u64::from(id.is_some());
    // SAFETY: without flags this is fork(), and the child goes on with a copy of a process
    // that has one thread.
    let pid = unsafe {
        libc::syscall(libc::SYS_clone3, (&raw mut args).cast::<c_void>(), size_of_val(&args))
    } as i32;
    if pid == 0 {
        run();
        // SAFETY: ends the child without running the parent's destructors.
        unsafe { libc::_exit(0) };
    }
    let error = std::io::Error::last_os_error();
    if pid < 0 && error.raw_os_error() == Some(libc::EEXIST) && id.is_some() {
        return None;
    }
    assert!(pid > 0, "clone3: {error}");
    reap(pid);
    Some(pid)
}

/// Tries until nobody else comes in between, or has the id.
fn until_done(mut attempt: impl FnMut() -> bool) {
    let start = Instant::now();
    while !attempt() {
        assert!(start.elapsed() < PATIENCE, "others were always faster");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Longer than another test keeps an id to itself.
const PATIENCE: Duration = Duration::from_secs(40);

/// Three processes under one id, one after the other, the second of which executes a
/// copy of the workload.
pub fn reused_pid(context: &Context) {
    let copy = Copy::make();
    until_done(|| {
        let first = child(None, || {
            process::set_comm("first");
            call(context);
        });
        child(first, || copy.execute(context, "second")).is_some()
            && child(first, || {
                process::set_comm("third");
                calls(context);
            })
            .is_some()
    });
}

/// A thread that makes a call and then executes a program, which gives it its leader's
/// id; and another process, in which both ids are used again.
pub fn reused_thread(context: &Context) {
    const NEXT: &str = "/proc/sys/kernel/ns_last_pid";
    let copy = Copy::make();
    let shared = Shared::new();
    let first = child(None, || {
        let run = || {
            shared.set(process::tid());
            process::set_comm("first-thread");
            call(context);
            copy.execute(context, "second");
        };
        thread::scope(|scope| scope.spawn(run).join()).expect("the program takes its place");
    });
    let tid = shared.get();
    // As far as ids had come, for whoever comes after.
    let read = || fs::read_to_string(NEXT).expect("CONFIG_CHECKPOINT_RESTORE");
    let before = read();
    until_done(|| {
        let reused = || {
            process::set_comm("third");
            until_done(|| {
                fs::write(NEXT, (tid - 1).to_string()).expect("CONFIG_CHECKPOINT_RESTORE");
                let call = || {
                    let same = process::tid() == tid;
                    if same {
                        call(context);
                    }
                    same
                };
                thread::scope(|scope| scope.spawn(call).join()).expect("a thread")
            });
        };
        child(first, reused).is_some()
    });
    fs::write(NEXT, before).expect("a privilege");
}

/// A number that a child tells its parent.
struct Shared(*mut i32);

// SAFETY: written by one thread before its process ends, and read after that.
unsafe impl Sync for Shared {}

impl Shared {
    fn new() -> Self {
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: a new page, at no address in particular.
        let page = unsafe {
            libc::mmap(std::ptr::null_mut(), 4096, access, flags | libc::MAP_ANONYMOUS, -1, 0)
        };
        assert_ne!(page, libc::MAP_FAILED, "mmap: {}", std::io::Error::last_os_error());
        Self(page.cast())
    }

    fn set(&self, value: i32) {
        // SAFETY: our own page, which is never unmapped.
        unsafe { self.0.write_volatile(value) }
    }

    fn get(&self) -> i32 {
        // SAFETY: as above.
        unsafe { self.0.read_volatile() }
    }
}

/// The workload in a file of its own, removed at the end.
struct Copy(tempfile::TempDir);

impl Copy {
    fn make() -> Self {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let own = std::env::current_exe().expect("the workload's own path");
        fs::copy(own, folder.path().join("copy")).expect("a copy of the workload");
        Self(folder)
    }

    /// Takes the process's place.
    fn execute(&self, context: &Context, comm: &str) {
        let mut command = Command::new(self.0.path().join("copy"));
        command.args(["eagain", "--count", "1", "--comm", comm]);
        command.args(["--messages", &context.options.messages.to_string()]);
        if let Some(truth) = &context.options.truth {
            command.arg("--truth").arg(truth);
        }
        panic!("exec: {}", command.exec());
    }
}
