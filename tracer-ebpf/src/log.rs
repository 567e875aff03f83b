//! What the programs say for themselves, at debug level: what they count as lost or missed,
//! each time with the thread that it was about.
//!
//! The daemon sets the level before loading. Where it is lower, which it is unless asked
//! for, the verifier finds the messages unreachable and the kernel removes them. The counts
//! are exact; messages are left out once the daemon does not keep up with them.

use aya_log_ebpf::debug;

use crate::task;

/// The record of a call found no room in its ring.
#[inline(never)]
pub fn ring_full() {
    let (pid, tid) = task::ids();
    debug!((), "no room in the ring: lost a call of thread {} of process {}", tid, pid);
}

/// A call that had not been seen to begin found no room to be put together in.
#[inline(never)]
pub fn no_room() {
    let (pid, tid) = task::ids();
    debug!((), "no room for threads: lost a call of thread {} of process {}", tid, pid);
}

/// The beginning of a call found no room to be remembered in.
#[inline(never)]
pub fn not_remembered() {
    let (pid, tid) = task::ids();
    debug!((), "no room for threads: can't remember thread {} of process {}", tid, pid);
}

/// The kernel left out the program at the beginning of a call.
#[inline(never)]
pub fn entry_missed() {
    let (pid, tid) = task::ids();
    debug!((), "missed the beginning of a call of thread {} of process {}", tid, pid);
}

/// The kernel left out the program at the return of a call.
#[inline(never)]
pub fn return_missed() {
    let (pid, tid) = task::ids();
    debug!((), "missed the return of a call of thread {} of process {}", tid, pid);
}

/// A new process can't be followed.
#[inline(never)]
pub fn not_followed(child: u32) {
    debug!((), "no room for processes: can't follow process {}", child);
}
