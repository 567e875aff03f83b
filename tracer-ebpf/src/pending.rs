//! A call between entry and exit: the thread's entry in `THREADS`.
//!
//! The entry stays while the thread lives, so that a call costs two look-ups in an array
//! and no insertion; only when the table is nearly full is it given back at exit.

use core::ptr::{read_volatile, write_volatile};

use aya_ebpf::{bindings::BPF_NOEXIST, helpers::bpf_ktime_get_ns};
use tracer_common::record::{SectionKind, flags};

use crate::{
    abi::{self, Matched},
    capture, checks,
    config::config,
    copies, emit, gate, log,
    maps::{IN_USE, MADE, OVERFLOWS, OWNED, Outer, THREAD_COUNT, THREADS, Thread, state},
    mem,
    regs::Regs,
    signals, snapshot, socket, task,
    walk::Loop,
};

/// What a hook's exit can tell of a call that was not remembered at entry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All that the registers hold: it is counted, or shown, then.
    SeesRegisters,
    /// Nothing: it is counted when it begins.
    SeesNothing,
}

/// A syscall begins.
#[inline(never)]
pub fn enter<R: Regs, L: Loop>(regs: R, exit: Exit) {
    let Some((matched, current)) = abi::matched(regs) else { return };
    let (pid, tid) = current.ids();
    let Some(comm) = gate::open(regs, matched, current) else {
        if exit == Exit::SeesRegisters {
            gate::remember(tid);
        } else {
            capture::filtered();
            if config!(entry_count) != 0
                && let Some(thread) = find(tid)
            {
                // Of one thread some calls may pass: this one's end must not be taken
                // for that of one before.
                // SAFETY: the current thread's own entry.
                unsafe { signals::return_missed(thread) };
            }
        }
        return;
    };
    let Some(thread) = find_or_create(pid, tid) else {
        if exit == Exit::SeesNothing {
            capture::no_room();
            return;
        }
        // SAFETY: a field of a live object.
        capture::count(|stats| unsafe { [&raw mut (*stats).entry_no_room] });
        log::not_remembered();
        add(OVERFLOWS, 1);
        return;
    };
    let (ip, sp) = (regs.ip(), regs.sp());
    // SAFETY: an entry of THREADS belongs to the current thread alone, and is
    // removed by that thread alone.
    unsafe {
        let call = &raw mut (*thread).call;
        let mut bits = 0;
        if (*thread).state != state::IDLE {
            signals::return_missed(thread);
            put_aside(thread);
        }
        matched.keep(thread);
        let matched = Matched::kept(thread);
        // The kernel restarts an interrupted call by executing the same
        // instruction on the same stack: to userspace it is still one call.
        let outer = &raw mut (*thread).outer;
        let restarted = (*outer).flags != 0
            && (*outer).ip == ip
            && (*outer).sp == sp
            && (*outer).nr == matched.nr;
        if restarted {
            bits = (*outer).flags;
            (*call).header.entry_ns = (*outer).entry_ns;
            (*outer).flags = 0;
        } else {
            (*call).header.entry_ns = bpf_ktime_get_ns();
            capture::count(|stats| [&raw mut (*stats).begun]);
        }
        (*thread).state = state::IN_CALL;
        (*thread).kernel_timeout = 0;
        copies::begin(thread);
        (*thread).ip = ip;
        (*thread).sp = sp;
        snapshot::begin(call, matched, bits | abi::caller(regs, matched));
        task::describe_call(thread, current, comm);
        if (*thread).fresh != 0 {
            emit::write_image::<L>(thread);
        }
        (*thread).file = 0;
        let read = abi::arguments(regs, matched, &raw mut (*call).header.args);
        if !read {
            (*call).header.flags |= flags::ARGS_FAULTED;
            (*thread).headers_read = 0;
        }
        if !checks::kept(thread, matched) {
            leave_out(thread, exit);
            return;
        }
        if read {
            (*thread).file = socket::file_of(current, (*call).header.args[0] as u32);
            snapshot::timeout(call, matched, SectionKind::TimeoutRequested);
            if config!(messages) != 0 {
                snapshot::read_headers::<L>(
                    (&raw mut (*thread).headers).cast(),
                    &raw mut (*thread).headers_read,
                    (*call).header.args[1],
                    (*call).header.args[2] as u32,
                    matched,
                );
            }
        }
    }
}

/// Keeps what must be known of a call that was interrupted before the thread makes
/// another one: either this is that call again, or that one waits for the signal handler
/// that makes this one.
///
/// # Safety
/// `thread` is the current thread's.
#[inline(never)]
pub unsafe fn put_aside(thread: *mut Thread) {
    // SAFETY: the caller vouches for `thread`.
    unsafe {
        if (*thread).state == state::INTERRUPTED || (*thread).state == state::RESTARTING {
            let header = &raw const (*thread).call.header;
            (*thread).outer = Outer {
                ip: (*thread).ip,
                sp: (*thread).sp,
                entry_ns: (*header).entry_ns,
                nr: (*header).nr,
                flags: (*header).flags & (flags::NO_ENTRY | flags::NO_ROOM) | flags::RESTARTED,
            };
        }
    }
}

/// A call that has begun turns out to be one that the filters leave out.
///
/// # Safety
/// `thread` is the current thread's, with a call begun.
#[inline(always)]
unsafe fn leave_out(thread: *mut Thread, exit: Exit) {
    // SAFETY: the caller vouches for `thread`.
    unsafe {
        capture::ended(thread);
        if exit == Exit::SeesNothing {
            capture::filtered();
            release(thread);
        } else {
            (*thread).state = state::FILTERED_CALL;
        }
    }
}

/// The places where a thread's entry may be. Ids are handed out one after the other, so
/// that the first is hardly ever another thread's, and finding it takes no hashing.
const PLACES: u32 = 4;

/// One of those.
#[inline(always)]
fn place(tid: u32, i: u32) -> u32 {
    // Fibonacci hashing, of which the upper bits are the good ones.
    let spread = if i == 0 { tid } else { tid.wrapping_mul(0x9e37_79b9) >> (8 - 2 * i) };
    spread & (config!(max_threads) - 1)
}

/// The thread's entry, if it has one.
#[inline(always)]
pub fn find(tid: u32) -> Option<*mut Thread> {
    for i in 0..PLACES {
        let thread = THREADS.get_ptr_mut(place(tid, i))?;
        // SAFETY: an aligned integer in a map. Nobody but the thread writes its own id.
        if unsafe { read_volatile(&raw const (*thread).owner) } == tid {
            return Some(thread);
        }
    }
    None
}

/// The thread's entry, made if need be; none where there is no room.
#[inline(always)]
pub fn find_or_create(pid: u32, tid: u32) -> Option<*mut Thread> {
    if let Some(thread) = find(tid) {
        // SAFETY: the current thread's own entry.
        unsafe {
            // A thread other than the leader that calls execve() takes over the
            // leader's id without ending: the entry under its old id stays
            // behind, and that id may come back in another process.
            if (*thread).call.task.pid != pid {
                become_new(thread);
            }
        }
        return Some(thread);
    }
    for i in 0..PLACES {
        let place = place(tid, i);
        let thread = THREADS.get_ptr_mut(place)?;
        // SAFETY: an aligned integer in a map.
        let taken = unsafe { read_volatile(&raw const (*thread).owner) } != 0;
        // Of two threads that find it free at the same time, one can put down its name.
        if taken || OWNED.insert(place, tid, BPF_NOEXIST.into()).is_err() {
            continue;
        }
        add(IN_USE, 1);
        add(MADE, 1);
        // SAFETY: the entry is this thread's own from now on.
        unsafe {
            (*thread).owner = tid;
            (*thread).place = place;
            become_new(thread);
        }
        return Some(thread);
    }
    None
}

/// Makes an entry one of a thread that has made no call yet.
///
/// # Safety
/// `thread` is the current thread's.
#[inline(always)]
unsafe fn become_new(thread: *mut Thread) {
    // SAFETY: the caller vouches for `thread`.
    unsafe {
        (*thread).state = state::IDLE;
        (*thread).outer.flags = 0;
        (*thread).fresh = 1;
        task::describe_once(thread);
    }
}

/// An entry to put the record of a call together in that ends and was not remembered: a
/// CPU's own, where nobody else can come to run on it meanwhile.
#[inline(always)]
pub fn spare() -> Option<*mut Thread> {
    if config!(preemptible) != 0 {
        return None;
    }
    let thread = THREADS.get_ptr_mut(config!(max_threads) + emit::cpu_id())?;
    // SAFETY: ours until the program ends.
    unsafe {
        // Nobody's to give back.
        (*thread).place = u32::MAX;
        become_new(thread);
    }
    Some(thread)
}

/// Forgets a thread.
///
/// # Safety
/// `thread` is the current thread's.
#[inline(always)]
pub unsafe fn remove(thread: *mut Thread) {
    // SAFETY: the caller vouches for `thread`.
    let place = unsafe {
        write_volatile(&raw mut (*thread).owner, 0);
        (*thread).place
    };
    // Last, since another thread may have it from here on.
    if OWNED.remove(place).is_ok() {
        add(IN_USE, u64::MAX);
    }
}

/// A call is over: its thread's entry is kept for the next one, unless entries
/// are running out.
#[inline(always)]
pub fn release(thread: *mut Thread) {
    // SAFETY: the current thread's own entry.
    unsafe { (*thread).state = state::IDLE };
    let used = THREAD_COUNT.get(IN_USE).copied().unwrap_or(0);
    // SAFETY: the current thread's own entry.
    if used > u64::from(config!(max_threads) / 4 * 3) && unsafe { (*thread).outer.flags } == 0 {
        // SAFETY: the current thread's own entry.
        unsafe { remove(thread) };
    }
}

/// Adds to a counter that all CPUs share.
#[inline(always)]
fn add(counter: u32, by: u64) {
    if let Some(count) = THREAD_COUNT.get_ptr_mut(counter) {
        // SAFETY: an aligned integer in a map.
        unsafe { mem::atomic_add(count, by) };
    }
}
