//! Threads and children that make calls of their own.

use std::ffi::c_void;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use serde_json::{Value, json};

use super::batch::Batch;
use super::call::{Call, Moment};
use super::entry::Entry::Native;
use super::process::reap;
use super::sockets::{Udp, payload};
use super::truth::{absent, interval};
use super::watch::wait_blocked;
use super::{Context, process};

/// Calls of one thread: one that receives, and `count` that find nothing.
fn calls(context: &Context, count: u64) {
    let udp = Udp::v4();
    let batch = Batch::new(false, 4);
    udp.send_all(2);
    udp.check(&context.tell(&Call::new(Native, udp.fd(), &batch).make()));
    for i in 0..count {
        let made = Call::new(Native, udp.fd(), &batch).timeout(i as i64, 0).make();
        assert_eq!(made.ret, -i64::from(libc::EAGAIN), "the kernel's answer");
        context.tell(&made);
    }
}

/// Threads, each under its own name.
pub fn threads(context: &Context) {
    thread::scope(|scope| {
        for i in 0..context.options.threads {
            scope.spawn(move || {
                process::set_comm(&format!("worker-{i}"));
                calls(context, context.options.count);
            });
        }
    });
}

/// Threads that take turns, each with batches of its own sizes.
pub fn mixed(context: &Context) {
    thread::scope(|scope| {
        for i in 0..context.options.threads {
            scope.spawn(move || {
                let udp = Udp::v4();
                for j in 0..context.options.count {
                    let size = (i * 7 + j * 13) as usize % 64 + 1;
                    let batch = Batch::new(false, size);
                    udp.send_all(size);
                    let made = Call::new(Native, udp.fd(), &batch).make();
                    assert_eq!(made.ret, size as i64, "the kernel's answer");
                    udp.check(&context.tell(&made));
                }
            });
        }
    });
}

/// Threads that all block before the first is served.
pub fn crowd(context: &Context) {
    let (tell, told) = mpsc::channel();
    let sender = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    thread::scope(|scope| {
        for i in 0..context.options.threads {
            let tell = tell.clone();
            let wait = move || {
                process::set_comm(&format!("crowd-{i}"));
                let receiver = UdpSocket::bind("127.0.0.1:0").expect("loopback");
                let addr = receiver.local_addr().expect("our own address");
                let batch = Batch::new(false, 1);
                let call = Call::new(Native, receiver.as_raw_fd(), &batch);
                let call = call.flags(0).timeout(20, i as i64);
                tell.send((process::tid(), addr)).expect("the main thread listens");
                let made = call.make();
                assert_eq!(made.ret, 1, "the kernel's answer");
                context.tell(&made);
            };
            thread::Builder::new().stack_size(1 << 18).spawn_scoped(scope, wait).expect("a thread");
        }
        let count = context.options.threads as usize;
        let crowd: Vec<_> = told.iter().take(count).collect();
        for (tid, _) in &crowd {
            wait_blocked(process::pid(), *tid, Native.nr());
        }
        for (i, (_, addr)) in crowd.iter().enumerate() {
            sender.send_to(&payload(i), addr).expect("a datagram can be sent");
        }
    });
}

/// This process, a fork, the fork's fork, a child that shares memory until it
/// exits, and programs started by exec from two generations.
pub fn children(context: &Context) {
    calls(context, 1);
    fork(|| {
        process::set_comm("fork");
        calls(context, 1);
        fork(|| calls(context, 1));
        exec(context, "by-fork");
    });
    vfork(context);
    exec(context, "by-parent");
    calls(context, 0);
}

fn fork(child: impl FnOnce()) {
    // SAFETY: this process has one thread, so the child can go on as if nothing
    // had happened.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
    if pid == 0 {
        child();
        // SAFETY: ends the child without running the parent's destructors.
        unsafe { libc::_exit(0) };
    }
    reap(pid);
}

/// A child as vfork makes it: the parent's memory, and the parent waits.
fn vfork(context: &Context) {
    extern "C" fn child(context: *mut c_void) -> i32 {
        // SAFETY: the parent passed a context, and waits until this child exits.
        calls(unsafe { &*context.cast::<Context>() }, 1);
        0
    }
    let mut stack = vec![0u128; 1 << 14];
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the stack is the child's alone and outlives it, since the parent waits.
    let pid = unsafe {
        let top = stack.as_mut_ptr().add(stack.len());
        libc::clone(child, top.cast(), flags, (&raw const *context).cast_mut().cast())
    };
    assert!(pid > 0, "clone: {}", std::io::Error::last_os_error());
    reap(pid);
}

/// The workload once more, by exec.
fn exec(context: &Context, comm: &str) {
    let own = std::env::current_exe().expect("the workload's own path");
    let mut command = Command::new(own);
    command.args(["eagain", "--count", "3", "--comm", comm]);
    command.args(["--messages", &context.options.messages.to_string()]);
    if let Some(truth) = &context.options.truth {
        command.arg("--truth").arg(truth);
    }
    let status = command.status().expect("the workload can be started");
    assert!(status.success(), "{status}");
}

/// The process ends while a thread blocks: that call never returns.
pub fn exit_blocked(context: &Context) {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        process::set_comm("never-returns");
        let udp = Udp::v4();
        let batch = Batch::new(false, 3);
        let call = Call::new(Native, udp.fd(), &batch).flags(0);
        let before = Moment::now();
        let identity = process::identity();
        let args = (call.fd, batch.msgvec());
        tell.send((before, identity, process::tid(), args)).expect("the main thread listens");
        call.make();
    });
    let (before, identity, tid, (fd, msgvec)) = told.recv().expect("the thread tells");
    let seen = wait_blocked(process::pid(), tid, Native.nr());
    context.recorder.record(&json!({
        "time": interval(before.wall, seen.wall),
        "event": "recvmmsg",
        "process": identity,
        "args": {
            "sockfd": {"value": fd},
            "msgvec": {"value": format!("{msgvec:#x}")},
            "vlen": {"value": 3},
            "flags": {"value": 0, "names": []},
            "timeout": {"value": null, "requested": absent()},
        },
        "ret": Value::Null,
        "messages": absent(),
    }));
    std::process::exit(context.options.status.into());
}
