//! Threads that are in their call still when something ends: the tracer, or they.

use std::io::Write;
use std::sync::mpsc;
use std::thread;

use serde_json::json;

use super::batch::Batch;
use super::call::Call;
use super::entry::Entry::Native;
use super::process::reap;
use super::sockets::Udp;
use super::watch::wait_blocked;
use super::{Context, process, wait_line};

/// Threads that all wait at one socket for what never comes; returns once they do.
fn block(threads: u64) {
    let udp = &*Box::leak(Box::new(Udp::v4()));
    let (tell, told) = mpsc::channel();
    for _ in 0..threads {
        let tell = tell.clone();
        let wait = move || {
            let batch = Batch::new(false, 1);
            tell.send(process::tid()).expect("the main thread listens");
            Call::new(Native, udp.fd(), &batch).flags(0).make();
        };
        thread::Builder::new().stack_size(1 << 17).spawn(wait).expect("a thread");
    }
    for tid in told.iter().take(threads as usize) {
        wait_blocked(process::pid(), tid, Native.nr());
    }
}

/// Says `ready` once `--threads` threads block, and ends after a line on stdin.
pub fn still_blocked(context: &Context) {
    block(context.options.threads);
    context.recorder.record(&json!({"calls": context.options.threads}));
    println!("ready");
    std::io::stdout().flush().expect("stdout");
    wait_line();
}

/// `--count` children, one after the other, each of which ends while `--threads` of its
/// threads block.
pub fn short_lived(context: &Context) {
    for _ in 0..context.options.count {
        // SAFETY: this process has one thread, so the child can go on as if nothing
        // had happened.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
        if pid == 0 {
            block(context.options.threads);
            // SAFETY: ends the child without running the parent's destructors.
            unsafe { libc::_exit(0) };
        }
        reap(pid);
    }
    let calls = context.options.count * context.options.threads;
    context.recorder.record(&json!({"calls": calls}));
}
