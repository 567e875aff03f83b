//! Calls of several threads in an order that is known: each begins after the one before it
//! has ended, on another CPU.

use std::mem;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use serde_json::json;

use super::Context;
use super::entry::{Entry::Native, invoke};
use super::process;

/// Threads that pass the turn on: `--count` calls, which ask for 1 message, 2, 3 and so on.
pub fn relay(context: &Context) {
    let Ok(threads) = usize::try_from(context.options.threads) else { return };
    let count = context.options.count;
    let cpus = allowed();
    let (senders, turns): (Vec<Sender<u64>>, Vec<_>) = (0..threads).map(|_| channel()).unzip();
    senders[0].send(1).expect("a first runner");
    let mut next = senders;
    next.rotate_left(1);
    let runners: Vec<_> = turns
        .into_iter()
        .zip(next)
        .enumerate()
        .map(|(i, (turns, next))| {
            let cpu = cpus[i % cpus.len()];
            thread::spawn(move || run(cpu, count, &turns, &next))
        })
        .collect();
    let calls: u64 = runners.into_iter().map(|runner| runner.join().expect("a runner")).sum();
    let pid = process::pid();
    context.recorder.record(&json!({"calls": calls, "pid": pid, "cpus": cpus.len()}));
}

/// Runs whenever it is its turn, until the last call is made: the number of its calls.
fn run(cpu: usize, count: u64, turns: &Receiver<u64>, next: &Sender<u64>) -> u64 {
    pin(cpu);
    let mut calls = 0;
    for turn in turns {
        if turn <= count {
            let bad = -i64::from(libc::EBADF);
            assert_eq!(invoke(Native, [u64::MAX, 0, turn, 0, 0], 0), bad, "no descriptor");
            calls += 1;
        }
        // The others hear that it is over; who said so first is not there any more.
        let sent = next.send(turn + 1);
        if turn >= count {
            break;
        }
        sent.expect("the next runner");
    }
    calls
}

/// The CPUs that this process may run on.
fn allowed() -> Vec<usize> {
    // SAFETY: all-zero is the empty set, and the call writes no more than its size.
    unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        assert_eq!(libc::sched_getaffinity(0, size_of_val(&set), &raw mut set), 0, "the CPUs");
        (0..libc::CPU_SETSIZE as usize).filter(|cpu| libc::CPU_ISSET(*cpu, &set)).collect()
    }
}

/// Stays on a CPU.
fn pin(cpu: usize) {
    // SAFETY: all-zero is the empty set, which has room for every CPU that it had.
    unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        assert_eq!(libc::sched_setaffinity(0, size_of_val(&set), &raw const set), 0, "pinned");
    }
}
