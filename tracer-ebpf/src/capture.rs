//! A call ends: what is still to be said of it is found out.

use core::ptr::read_volatile;

use aya_ebpf::helpers::bpf_ktime_get_ns;
use tracer_common::{
    config::rule,
    record::{MAX_ARGS, SectionKind, Status, flags},
    stats::Stats,
};

use crate::{
    abi::{self, Matched},
    checks,
    config::config,
    copies,
    emit::{write_image, write_long, write_short},
    gate, log,
    maps::{LeftOut, MADE, OVERFLOWS, STATS, THREAD_COUNT, Thread, state},
    mem, pending,
    regs::Regs,
    signals, snapshot,
    task::{self, Current},
    walk::Loop,
};

/// The caller's memory could not be reached.
const EFAULT: i64 = 14;

/// Adds one to each of some counters of this CPU.
#[inline(always)]
pub fn count<const N: usize>(fields: impl FnOnce(*mut Stats) -> [*mut u64; N]) {
    let Some(stats) = STATS.get_ptr_mut(0) else { return };
    for field in fields(stats) {
        // SAFETY: an aligned integer in a map. A program that can be preempted may
        // share its CPU's counters with another one in the middle of an addition.
        unsafe {
            if config!(preemptible) != 0 {
                mem::atomic_add(field, 1);
            } else {
                *field += 1;
            }
        }
    }
}

/// Counts a call that the filters left out.
#[inline(never)]
pub fn filtered() {
    // SAFETY: fields of a live object.
    count(|stats| unsafe { [&raw mut (*stats).seen, &raw mut (*stats).filtered] });
}

/// Counts the end of a call whose beginning was counted.
///
/// # Safety
/// `thread` is the current thread's, with a call begun.
#[inline(never)]
pub unsafe fn ended(thread: *const Thread) {
    // SAFETY: the caller vouches for `thread`.
    unsafe {
        if (*thread).call.header.flags & flags::NO_ENTRY == 0 {
            count(|stats| [&raw mut (*stats).ended]);
        }
    }
}

/// Whether a call that is over is to be written; one that is not is counted.
///
/// # Safety
/// `thread` is the current thread's, its call is complete but for messages.
#[inline(always)]
pub unsafe fn wanted(thread: *const Thread) -> bool {
    // SAFETY: the caller vouches for `thread`.
    config!(exit_count) == 0 || unsafe { passes(thread) }
}

/// # Safety
/// As for [`wanted`].
#[inline(never)]
unsafe fn passes(thread: *const Thread) -> bool {
    // SAFETY: the caller vouches for `thread`.
    unsafe {
        let passes = checks::over(thread);
        if !passes {
            filtered();
            ended(thread);
        }
        passes
    }
}

/// Counts a call that there was no room to remember.
#[inline(always)]
pub fn no_room() {
    // SAFETY: fields of a live object.
    count(|stats| unsafe { [&raw mut (*stats).seen, &raw mut (*stats).pending_full] });
    log::no_room();
}

/// A traced function returns, under a hook that sees no registers then. What was
/// not seen to begin has been counted when it began.
#[inline(never)]
pub fn returned<L: Loop>(ret: i64) {
    let (_, tid) = task::ids();
    let Some(thread) = pending::find(tid) else { return };
    // SAFETY: an entry of THREADS belongs to the current thread alone.
    unsafe {
        if (*thread).state == state::IN_CALL {
            end::<L>(thread, ret);
        }
    }
}

/// A call that was seen to begin ends, or is interrupted.
///
/// # Safety
/// `thread` is the current thread's, with a call begun.
#[inline(always)]
unsafe fn end<L: Loop>(thread: *mut Thread, ret: i64) {
    // SAFETY: the caller vouches for `thread`.
    unsafe {
        if signals::restarts(ret) {
            signals::interrupted(thread, ret, state::INTERRUPTED);
        } else {
            finish::<L>(thread, Matched::kept(thread), ret);
            pending::release(thread);
        }
    }
}

/// A syscall ends.
#[inline(never)]
pub fn exit<R: Regs, L: Loop>(regs: R, ret: i64) {
    let Some((matched, current)) = abi::matched(regs) else { return };
    let (_, tid) = current.ids();
    if !signals::restarts(ret)
        && let Some(last) = gate::remembered(tid)
        // SAFETY: this CPU's own.
        && unsafe { is_absent(tid, last) }
    {
        filtered();
        return;
    }
    let known = pending::find(tid);
    let begun = known.filter(|thread| {
        // SAFETY: an entry of THREADS belongs to the current thread alone.
        unsafe {
            (**thread).state == state::IN_CALL
                && (**thread).call.header.nr == matched.nr
                && (config!(preemptible) == 0 || is_same(regs, matched, *thread))
        }
    });
    let thread = match begun {
        Some(thread) => thread,
        None => match unseen::<R, L>(regs, matched, current, ret, known) {
            Some(thread) => thread,
            None => return,
        },
    };
    // SAFETY: the current thread's own entry, and its call has begun.
    unsafe { end::<L>(thread, ret) };
}

/// Whether a thread whose call was left out has no entry, which is remembered.
///
/// # Safety
/// `last` is this CPU's.
#[inline(always)]
unsafe fn is_absent(tid: u32, last: *mut LeftOut) -> bool {
    // Before the look-up: an entry that is made from here on is another thread's.
    let made = THREAD_COUNT.get(MADE).copied().unwrap_or(0);
    // SAFETY: the caller vouches for `last`.
    unsafe {
        if (*last).absent != made {
            if pending::find(tid).is_some() {
                return false;
            }
            (*last).absent = made;
        }
    }
    true
}

/// Whether the call that ends is the one that was seen to begin. Where programs may be
/// left out, the end of that one may have been, and the beginning of this one.
///
/// # Safety
/// `thread` is the current thread's.
#[inline(always)]
unsafe fn is_same<R: Regs>(regs: R, matched: Matched, thread: *mut Thread) -> bool {
    // SAFETY: the caller vouches for `thread`.
    unsafe {
        if (*thread).ip != regs.ip() || (*thread).sp != regs.sp() {
            return false;
        }
        if matched.has(rule::MULTIPLEXED) {
            return true;
        }
        let mut args = [0; MAX_ARGS];
        abi::arguments(regs, matched, &raw mut args);
        let begun = &raw const (*thread).call.header.args;
        args[0] == (*begun)[0]
            && args[1] == (*begun)[1]
            && args[2] == (*begun)[2]
            && args[3] == (*begun)[3]
            && args[4] == (*begun)[4]
    }
}

/// A syscall ends that was not seen to begin: the filters left it out, it began
/// before the tracer was attached, there was no room to remember it, or the kernel
/// left our program out, which shows where the thread is `known` from earlier calls.
/// The thread's entry, with what can still be known of the call; none where it was
/// counted.
#[inline(always)]
fn unseen<R: Regs, L: Loop>(
    regs: R,
    matched: Matched,
    current: Current,
    ret: i64,
    known: Option<*mut Thread>,
) -> Option<*mut Thread> {
    let mut comm = gate::open(regs, matched, current);
    if let Some(thread) = known {
        // SAFETY: the current thread's own entry.
        unsafe {
            if left_out(regs, matched, thread) {
                comm = None;
            }
            if comm.is_none() && !signals::restarts(ret) {
                signals::left_out(thread, regs, matched.nr);
            }
        }
    }
    if comm.is_none() && !signals::restarts(ret) {
        filtered();
        return None;
    }
    let (pid, tid) = current.ids();
    let found = pending::find_or_create(pid, tid);
    // One that may be restarted has to be remembered.
    let found = if found.is_none() && !signals::restarts(ret) { pending::spare() } else { found };
    let Some(thread) = found else {
        // Nowhere to put it together: the one way to lose a call at exit.
        no_room();
        return None;
    };
    let Some(comm) = comm else {
        // SAFETY: the current thread's own entry.
        unsafe {
            pending::put_aside(thread);
            signals::interrupted(thread, ret, state::FILTERED_INTERRUPTED);
        }
        return None;
    };
    // SAFETY: the current thread's own entry.
    unsafe {
        signals::return_missed(thread);
        pending::put_aside(thread);
        let overflows = THREAD_COUNT.get(OVERFLOWS).copied().unwrap_or(0);
        let mut bits = flags::NO_ENTRY;
        if known.is_none() && overflows != 0 {
            bits |= flags::NO_ROOM;
        } else if known.is_some() || config!(preemptible) != 0 {
            // With fentry, the end of a call that began before is not seen either.
            bits |= flags::ENTRY_MISSED;
        }
        let call = &raw mut (*thread).call;
        matched.keep(thread);
        let matched = Matched::kept(thread);
        snapshot::begin(call, matched, bits | abi::caller(regs, matched));
        task::describe_call(thread, current, comm);
        (*thread).headers_read = 0;
        copies::begin(thread);
        (*thread).file = 0;
        (*thread).ip = regs.ip();
        (*thread).sp = regs.sp();
        (*call).header.entry_ns = 0;
        if !abi::arguments(regs, matched, &raw mut (*call).header.args) {
            (*call).header.flags |= flags::ARGS_FAULTED;
        }
        if !checks::kept(thread, matched) {
            if signals::restarts(ret) {
                signals::interrupted(thread, ret, state::FILTERED_INTERRUPTED);
            } else {
                filtered();
                (*thread).state = state::IDLE;
            }
            return None;
        }
        // From memory, as in `Matched::kept`.
        if read_volatile(&raw const (*call).header.flags) & flags::ENTRY_MISSED != 0 {
            count(|stats| [&raw mut (*stats).entry_missed]);
            log::entry_missed();
        }
        (*call).requested_section.status = Status::NotCaptured as u8;
        if (*thread).fresh != 0 {
            write_image::<L>(thread);
        }
    }
    Some(thread)
}

/// Whether a `socketcall` that ends was left out when it began: its arguments may be
/// others by now.
///
/// # Safety
/// `thread` is the current thread's.
#[inline(always)]
unsafe fn left_out<R: Regs>(regs: R, matched: Matched, thread: *const Thread) -> bool {
    // SAFETY: the caller vouches for `thread`.
    unsafe {
        config!(entry_count) != 0
            && matched.has(rule::MULTIPLEXED)
            && (*thread).state == state::FILTERED_CALL
            && (*thread).ip == regs.ip()
            && (*thread).sp == regs.sp()
    }
}

/// Completes the record of a call that returned, and writes it.
///
/// # Safety
/// `thread` is the current thread's, with a call begun.
#[inline(always)]
unsafe fn finish<L: Loop>(thread: *mut Thread, matched: Matched, ret: i64) {
    // SAFETY: the caller vouches for `thread`.
    unsafe {
        let call = &raw mut (*thread).call;
        (*call).header.ret = ret;
        if !wanted(thread) {
            return;
        }
        (*call).header.exit_ns = bpf_ktime_get_ns();
        if config!(messages) == 0 {
            (*call).header.flags |= flags::NO_MESSAGES;
        }
        let received = if (*call).header.flags & flags::ARGS_FAULTED != 0 {
            0
        } else if ret == -EFAULT {
            copies::delivered(thread)
        } else {
            ret.max(0) as u64
        };
        if ret <= 0 || (*call).header.flags & flags::ARGS_FAULTED != 0 {
            (*call).remaining_section.status = Status::Absent as u8;
        } else if (*call).header.flags & flags::TIMEOUT_FROM_KERNEL == 0 {
            // The kernel writes the remaining time back only if messages arrived
            // (net/socket.c, __sys_recvmmsg).
            snapshot::timeout(call, matched, SectionKind::TimeoutRemaining);
        }
        if config!(messages) == 0 || received == 0 {
            write_short(thread);
        } else {
            write_long::<L>(thread, received);
        }
    }
}
