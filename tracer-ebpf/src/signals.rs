//! Calls that end without an exit of their own: interrupted, restarted, or cut
//! off by the thread's end.
//!
//! An interrupted call leaves the kernel's `sys_exit` hook with a restart code
//! that userspace never sees. What it does see is decided when the signal is
//! delivered (`arch/x86/kernel/signal.c` handle_signal, arm64 alike): EINTR, or
//! nothing at all and the same call once more.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use tracer_common::record::{Status, flags};

use crate::{
    capture,
    config::config,
    emit, gate, log,
    maps::{Thread, state},
    mem::{opaque, probe},
    pending,
    regs::Regs,
    task::{self, Current},
};

const EINTR: i64 = 4;
/// Restart if there is no handler, or one with SA_RESTART.
const ERESTARTSYS: i64 = 512;
/// Always restart.
const ERESTARTNOINTR: i64 = 513;
/// Restart if there is no handler.
const ERESTARTNOHAND: i64 = 514;
/// Restart through restart_syscall(2) if there is no handler.
const ERESTART_RESTARTBLOCK: i64 = 516;

const SA_RESTART: u64 = 0x1000_0000;

/// Whether a return value is one that userspace never sees.
#[inline(always)]
pub fn restarts(ret: i64) -> bool {
    const CODES: u64 = 1
        | 1 << (ERESTARTNOINTR - ERESTARTSYS)
        | 1 << (ERESTARTNOHAND - ERESTARTSYS)
        | 1 << (ERESTART_RESTARTBLOCK - ERESTARTSYS);
    // Looked up, and by a value of its own: had it been compared with each, the verifier
    // would go through all that follows with each of them.
    let code = opaque(ret as u64).wrapping_neg().wrapping_sub(ERESTARTSYS as u64);
    code <= (ERESTART_RESTARTBLOCK - ERESTARTSYS) as u64 && CODES >> code & 1 != 0
}

/// Remembers that a call was interrupted.
///
/// # Safety
/// `thread` is the current thread's.
#[inline(always)]
pub unsafe fn interrupted(thread: *mut Thread, ret: i64, state: u32) {
    // SAFETY: the caller vouches for `thread`.
    unsafe {
        (*thread).state = state;
        (*thread).call.header.ret = ret;
        (*thread).call.header.exit_ns = bpf_ktime_get_ns();
    }
}

/// A call that the filters leave out has returned: it is no longer one that was
/// interrupted, and if it is one that passed before it was, that one is over too.
///
/// # Safety
/// `thread` is the current thread's.
#[inline(never)]
pub unsafe fn left_out<R: Regs>(thread: *mut Thread, regs: R, nr: u32) {
    // SAFETY: the caller vouches for `thread`.
    unsafe {
        let now = (*thread).state;
        if now == state::FILTERED_INTERRUPTED || now == state::FILTERED_CALL {
            (*thread).state = state::IDLE;
        } else if (now == state::INTERRUPTED || now == state::RESTARTING)
            && (*thread).ip == regs.ip()
            && (*thread).sp == regs.sp()
            && (*thread).call.header.nr == nr
        {
            capture::ended(thread);
            (*thread).state = state::IDLE;
        }
    }
}

/// A signal is about to be delivered to the current thread.
#[inline(always)]
pub fn deliver(action: *const u8) {
    let (_, tid) = task::ids();
    let Some(thread) = pending::find(tid) else { return };
    // SAFETY (whole body): the current thread's own entry.
    let now = unsafe { (*thread).state };
    if now != state::INTERRUPTED && now != state::FILTERED_INTERRUPTED {
        return;
    }
    let handler: u64 = probe(action, config!(offsets.sigaction_handler));
    if handler <= 1 {
        // SIG_DFL or SIG_IGN: the thread stops, dies or goes on, and in the last
        // case the call is restarted.
        return;
    }
    let flags: u64 = probe(action, config!(offsets.sigaction_flags));
    let ret = unsafe { (*thread).call.header.ret };
    if ret == -ERESTARTNOINTR || (ret == -ERESTARTSYS && flags & SA_RESTART != 0) {
        unsafe {
            (*thread).state =
                if now == state::INTERRUPTED { state::RESTARTING } else { state::IDLE };
        }
        return;
    }
    if now == state::INTERRUPTED {
        unsafe {
            (*thread).call.header.ret = -EINTR;
            if capture::wanted(thread) {
                emit::write_short(thread);
            }
        }
    } else {
        capture::filtered();
    }
    pending::release(thread);
}

/// A call that was seen to begin turns out to have ended unseen: the kernel left the
/// program at its return out.
///
/// # Safety
/// `thread` is the current thread's.
#[inline(always)]
pub unsafe fn return_missed(thread: *mut Thread) {
    // SAFETY: the caller vouches for `thread`.
    unsafe {
        if (*thread).state == state::IN_CALL {
            capture::count(|stats| [&raw mut (*stats).return_missed]);
            log::return_missed();
            never_returned(thread, flags::NO_RETURN | flags::RETURN_MISSED);
        }
    }
}

/// Writes the record of a call without its return.
///
/// # Safety
/// `thread` is the current thread's, with a call begun.
#[inline(always)]
unsafe fn never_returned(thread: *mut Thread, bits: u32) {
    // SAFETY: the caller vouches for `thread`.
    unsafe {
        let call = &raw mut (*thread).call;
        (*call).header.flags |= bits;
        (*call).header.ret = 0;
        if !capture::wanted(thread) {
            return;
        }
        (*call).header.exit_ns = bpf_ktime_get_ns();
        (*call).remaining_section.status = Status::Absent as u8;
        emit::write_short(thread);
    }
}

/// The current thread ends.
#[inline(always)]
pub fn thread_ends() {
    let (pid, tid) = task::ids();
    if let Some(thread) = pending::find(tid) {
        // SAFETY: the current thread's own entry.
        unsafe {
            match (*thread).state {
                state::IDLE | state::FILTERED_CALL => {}
                state::FILTERED_INTERRUPTED => capture::filtered(),
                state::IN_CALL => return_missed(thread),
                _ => never_returned(thread, flags::NO_RETURN),
            }
            pending::remove(thread);
        }
    }
    if Current::get().group_dead() {
        gate::forget(pid);
    }
}
