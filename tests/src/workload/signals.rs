//! Scenarios whose calls are interrupted.
//!
//! Inside the kernel an interrupted call ends with -ERESTARTSYS; whether userspace
//! sees EINTR or nothing at all is decided by the handler's SA_RESTART.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::FromRawFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::thread;

use super::Context;
use super::batch::Batch;
use super::blocking::WHILE;
use super::call::{Call, Inside, Moment};
use super::entry::{Entry, Entry::Native};
use super::sockets::Udp;
use super::watch::{blocked, state, until, wait_blocked};
use super::{process, truth::Recorder};

/// How often the handler has run.
static HANDLED: AtomicU32 = AtomicU32::new(0);
/// What the handler does besides counting. Only taken while the interrupted
/// thread is blocked in a call of ours, where it holds no lock.
static IN_HANDLER: Mutex<Option<Box<dyn FnOnce() + Send>>> = Mutex::new(None);

extern "C" fn handler(_signal: i32) {
    let work = IN_HANDLER.lock().ok().and_then(|mut work| work.take());
    if let Some(work) = work {
        work();
    }
    HANDLED.fetch_add(1, SeqCst);
}

fn install(flags: i32) {
    // SAFETY: all zero is a valid sigaction.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as *const () as usize;
    action.sa_flags = flags;
    // SAFETY: the action is initialised, and the handler only does what is safe
    // where the signal is sent.
    let result = unsafe { libc::sigaction(libc::SIGUSR2, &action, std::ptr::null_mut()) };
    assert_eq!(result, 0, "sigaction: {}", std::io::Error::last_os_error());
}

fn interrupt(tid: i32) {
    // SAFETY: integers only; the thread is one of ours.
    let result = unsafe { libc::syscall(libc::SYS_tgkill, process::pid(), tid, libc::SIGUSR2) };
    assert_eq!(result, 0, "tgkill: {}", std::io::Error::last_os_error());
}

fn wait_handled(times: u32) {
    until("the handler", || (HANDLED.load(SeqCst) >= times).then_some(()));
}

/// A handler without SA_RESTART.
pub fn eintr(context: &Context) {
    install(0);
    let udp = Udp::v4();
    let batch = Batch::new(false, 2);
    let call = Call::new(Native, udp.fd(), &batch).flags(0).timeout(20, 1);
    let (made, inside) = blocked(call, |tid| {
        thread::sleep(WHILE);
        let acted = Moment::now();
        interrupt(tid);
        acted
    });
    assert_eq!(made.ret, -i64::from(libc::EINTR), "the kernel's answer");
    context.recorder.record(&made.truth_with(context.options.messages, Some(inside)));
}

/// With SO_RCVTIMEO the kernel never restarts, SA_RESTART or not.
pub fn rcvtimeo(context: &Context) {
    install(libc::SA_RESTART);
    let udp = Udp::v4();
    let limit = Some(std::time::Duration::from_secs(20));
    udp.receiver.set_read_timeout(limit).expect("SO_RCVTIMEO");
    let batch = Batch::new(false, 2);
    let (made, inside) = blocked(Call::new(Native, udp.fd(), &batch).flags(0), |tid| {
        let acted = Moment::now();
        interrupt(tid);
        acted
    });
    assert_eq!(made.ret, -i64::from(libc::EINTR), "the kernel's answer");
    context.recorder.record(&made.truth_with(context.options.messages, Some(inside)));
}

/// The loop that every program has: EINTR, and the very same call again, from the
/// same instruction. Two calls to userspace, and to the kernel the same as a
/// restarted one.
pub fn retry(context: &Context) {
    install(0);
    let udp = Udp::v4();
    let batch = Batch::new(false, 1);
    let call = Call::new(Native, udp.fd(), &batch).flags(0);
    let (pid, tid) = (process::pid(), process::tid());
    let mut made = Vec::with_capacity(2);
    let insides = thread::scope(|scope| {
        let helper = scope.spawn(|| {
            let seen = wait_blocked(pid, tid, call.entry.nr());
            thread::sleep(WHILE);
            let first = Inside { seen, acted: Moment::now() };
            let before = HANDLED.load(SeqCst);
            interrupt(tid);
            wait_handled(before + 1);
            let seen = wait_blocked(pid, tid, call.entry.nr());
            thread::sleep(WHILE);
            let second = Inside { seen, acted: Moment::now() };
            udp.send(0);
            [first, second]
        });
        for _ in 0..2 {
            made.push(call.make());
        }
        helper.join().expect("the helper thread")
    });
    assert_eq!([made[0].ret, made[1].ret], [-i64::from(libc::EINTR), 1], "the kernel's answers");
    // The second call's result lies in the batch; the first left nothing there.
    for (made, inside) in made.iter().zip(insides) {
        context.recorder.record(&made.truth_with(context.options.messages, Some(inside)));
    }
}

/// Interrupts a blocked call, sees it blocked again, and serves it.
fn restart_and_serve(udp: &Udp, tid: i32, entry: Entry) -> Moment {
    thread::sleep(WHILE);
    let before = HANDLED.load(SeqCst);
    interrupt(tid);
    wait_handled(before + 1);
    wait_blocked(process::pid(), tid, entry.nr());
    thread::sleep(WHILE);
    let acted = Moment::now();
    udp.send(0);
    acted
}

/// A handler with SA_RESTART: one call, as userspace sees it.
pub fn restarted(context: &Context) {
    restarted_by(context, Native);
}

fn restarted_by(context: &Context, entry: Entry) {
    install(libc::SA_RESTART);
    let udp = Udp::v4();
    let batch = Batch::new(entry.compat(), 1);
    let call = Call::new(entry, udp.fd(), &batch).flags(0).timeout(20, 1);
    let (made, inside) = blocked(call, |tid| restart_and_serve(&udp, tid, entry));
    assert_eq!(made.ret, 1, "the kernel's answer to {entry:?}");
    context.recorder.record(&made.truth_with(context.options.messages, Some(inside)));
}

/// The same by `recvmmsg_time32`.
pub fn restarted_time32(context: &Context) {
    restarted_by(context, Entry::I386Time32);
}

/// The same by `recvmmsg_time64`.
pub fn restarted_time64(context: &Context) {
    restarted_by(context, Entry::I386Time64);
}

/// The same by `socketcall`.
pub fn restarted_socketcall(context: &Context) {
    restarted_by(context, Entry::Socketcall);
}

/// A handler with SA_RESTART that makes a call of its own: the inner call returns
/// first, then the outer one, restarted.
pub fn nested(context: &Context) {
    install(libc::SA_RESTART);
    let (limit, truth) = (context.options.messages, context.options.truth.clone());
    *IN_HANDLER.lock().expect("no handler has run") = Some(Box::new(move || {
        let udp = Udp::v4();
        let batch = Batch::new(false, 5);
        let made = Call::new(Native, udp.fd(), &batch).make();
        assert_eq!(made.ret, -i64::from(libc::EAGAIN), "the kernel's answer");
        Recorder::new(truth.as_deref()).record(&made.truth(limit));
    }));
    let udp = Udp::v4();
    let batch = Batch::new(false, 1);
    let call = Call::new(Native, udp.fd(), &batch).flags(0);
    let (made, inside) = blocked(call, |tid| restart_and_serve(&udp, tid, Native));
    assert_eq!(made.ret, 1, "the kernel's answer");
    context.recorder.record(&made.truth_with(limit, Some(inside)));
}

/// Stopped and continued by another process while it blocks.
pub fn stopped(context: &Context) {
    let udp = Udp::v4();
    let batch = Batch::new(false, 1);
    let call = Call::new(Native, udp.fd(), &batch).flags(0);
    let (pid, tid) = (process::pid(), process::tid());
    let mut ends = [0; 2];
    // SAFETY: the kernel writes two descriptors.
    let result = unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) };
    assert_eq!(result, 0, "pipe: {}", std::io::Error::last_os_error());
    // SAFETY: both descriptors are new and ours.
    let [mut out, mut into] = ends.map(|fd| unsafe { File::from_raw_fd(fd) });

    // SAFETY: this process has one thread, so the child can go on as if nothing
    // had happened.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork: {}", std::io::Error::last_os_error());
    if child == 0 {
        let seen = wait_blocked(pid, tid, Native.nr());
        let signal = |signal| {
            // SAFETY: integers only; the process is our parent.
            assert_eq!(unsafe { libc::kill(pid, signal) }, 0, "signal {signal}");
        };
        signal(libc::SIGSTOP);
        // Under ptrace it is stopped by its tracer.
        let stopped = || matches!(state(pid, tid), Some('T' | 't')).then_some(());
        until("the parent stopped", stopped);
        thread::sleep(WHILE);
        signal(libc::SIGCONT);
        wait_blocked(pid, tid, Native.nr());
        let acted = Moment::now();
        udp.send(0);
        for word in [seen.mono, seen.wall, acted.mono, acted.wall] {
            into.write_all(&word.to_ne_bytes()).expect("the pipe");
        }
        // SAFETY: ends the child without running the parent's destructors.
        unsafe { libc::_exit(0) };
    }
    let made = call.make();
    drop(into);
    let mut moment = || {
        let mut word = || {
            let mut bytes = [0; 8];
            out.read_exact(&mut bytes).expect("the child's times");
            i64::from_ne_bytes(bytes)
        };
        Moment { mono: word(), wall: word() }
    };
    let inside = Inside { seen: moment(), acted: moment() };
    process::reap(child);
    assert_eq!(made.ret, 1, "the kernel's answer");
    context.recorder.record(&made.truth_with(context.options.messages, Some(inside)));
}
