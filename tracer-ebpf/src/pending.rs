//! A call between entry and exit: the thread's entry in `THREADS`.
//!
//! The entry stays while the thread lives, so that a call costs two look-ups and
//! no insertion; only when the table is nearly full is it given back at exit.

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    helpers::{bpf_ktime_get_ns, generated},
};
use tracer_common::{
    config::rule,
    record::{self, Call, RecordKind, SectionHeader, SectionKind, Status, Timeout, flags},
};

use crate::{
    abi::{self, Matched},
    capture,
    config::config,
    gate,
    maps::{BLANK, IN_USE, OVERFLOWS, Outer, THREAD_COUNT, THREADS, Thread, state},
    mem::{self, opaque},
    regs::Regs,
    signals, task,
    walk::{Body, Loop},
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
    let Some(matched) = abi::matched(regs) else { return };
    let (pid, tid) = task::ids();
    let Some(comm) = gate::open(pid, tid) else {
        if exit == Exit::SeesNothing {
            capture::filtered();
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
        add(OVERFLOWS, 1);
        return;
    };
    // SAFETY: the current thread's own entry.
    unsafe { signals::return_missed(thread) };
    let (ip, sp) = (regs.ip(), regs.sp());
    // SAFETY: an entry of THREADS belongs to the current thread alone, and is
    // removed by that thread alone.
    unsafe {
        let call = &raw mut (*thread).call;
        let mut bits = 0;
        if (*thread).state == state::INTERRUPTED || (*thread).state == state::RESTARTING {
            // Either this is that call again, or that one waits for the signal
            // handler that makes this one.
            (*thread).outer = Outer {
                ip: (*thread).ip,
                sp: (*thread).sp,
                entry_ns: (*call).header.entry_ns,
                nr: (*call).header.nr,
                flags: (*call).header.flags & (flags::NO_ENTRY | flags::NO_ROOM) | flags::RESTARTED,
            };
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
        (*thread).ip = ip;
        (*thread).sp = sp;
        begin(call, matched, bits);
        if task::describe_call(&raw mut (*call).task, &comm) {
            (*thread).fresh = 1;
        }
        if (*thread).fresh != 0 {
            capture::write_image::<L>(thread);
        }
        if abi::arguments(regs, matched, &raw mut (*call).header.args) {
            timeout(call, matched, SectionKind::TimeoutRequested);
            if config!(messages) != 0 {
                read_headers::<L>(
                    (&raw mut (*thread).headers).cast(),
                    &raw mut (*thread).headers_read,
                    (*call).header.args[1],
                    (*call).header.args[2] as u32,
                    matched,
                );
            }
        } else {
            (*call).header.flags |= flags::ARGS_FAULTED;
            (*thread).headers_read = 0;
        }
    }
}

/// Fills in what is known of a call as soon as its number is and
/// [was kept](Matched::keep).
///
/// # Safety
/// `call` is writable.
#[inline(always)]
pub unsafe fn begin(call: *mut Call, matched: Matched, bits: u32) {
    // SAFETY: the caller vouches for `call`.
    unsafe {
        (*call).header.version = record::VERSION;
        (*call).header.kind = RecordKind::Call as u16;
        (*call).header.reserved = 0;
        (*call).header.flags =
            if matched.has(rule::MULTIPLEXED) { bits | flags::ARGS_FROM_USER } else { bits };
        unread(&raw mut (*call).requested_section, SectionKind::TimeoutRequested);
        unread(&raw mut (*call).remaining_section, SectionKind::TimeoutRemaining);
    }
}

/// A timeout's section before anything was read.
///
/// # Safety
/// `section` is writable.
#[inline(always)]
unsafe fn unread(section: *mut SectionHeader, kind: SectionKind) {
    // SAFETY: the caller vouches for `section`.
    unsafe {
        (*section).kind = kind as u16;
        (*section).status = Status::Absent as u8;
        (*section).version = 1;
        // The body is always there, whether it means anything or not.
        (*section).len = size_of::<record::Timeout>() as u32;
        (*section).full = 0;
        (*section).count = 0;
    }
}

/// Reads the timeout, the fifth argument, into its section.
///
/// # Safety
/// `call` is writable and its arguments are set.
#[inline(always)]
pub unsafe fn timeout(call: *mut Call, matched: Matched, kind: SectionKind) {
    // SAFETY: the caller vouches for `call`.
    unsafe {
        let pointer = (*call).header.args[4];
        if pointer == 0 {
            return;
        }
        let (section, body) = match kind {
            SectionKind::TimeoutRemaining => {
                (&raw mut (*call).remaining_section, &raw mut (*call).remaining)
            }
            _ => (&raw mut (*call).requested_section, &raw mut (*call).requested),
        };
        let read = if matched.has(rule::TIME32) {
            (*section).full = 8;
            mem::read_user(body.cast(), 8, pointer)
        } else {
            (*section).full = 16;
            mem::read_user(body.cast(), 16, pointer)
        };
        (*section).status = if read { Status::Read as u8 } else { Status::Faulted as u8 };
    }
}

/// Reads up to `wanted` elements of an mmsghdr array: all at once, or, where
/// that faults, as far as it goes. `done` takes the number read.
///
/// # Safety
/// `dst` is writable for the configured number of elements, `done` is writable.
#[inline(always)]
pub unsafe fn read_headers<L: Loop>(
    dst: *mut u8,
    done: *mut u32,
    array: u64,
    wanted: u32,
    matched: Matched,
) {
    let compat = matched.has(rule::COMPAT_LAYOUT);
    let shift = if compat { 5 } else { 6 };
    let most = u64::from(config!(messages));
    let mut count = opaque(wanted.into());
    if count > most {
        count = most;
    }
    // SAFETY: the caller vouches for both; `count` elements fit.
    unsafe {
        if mem::read_user(dst, (count << shift) as u32, array) {
            *done = count as u32;
            return;
        }
        *done = 0;
        L::run(count as u32, &mut OneByOne { dst, done, array, compat: compat.into() });
    }
}

/// Reads an mmsghdr array element by element.
struct OneByOne {
    dst: *mut u8,
    done: *mut u32,
    array: u64,
    compat: u64,
}

impl Body for OneByOne {
    #[inline(always)]
    unsafe fn step(&mut self, i: u64) -> bool {
        let i = opaque(i);
        if i >= u64::from(config!(messages)) {
            return false;
        }
        // SAFETY: the maker vouches for `dst` and `done`.
        unsafe {
            let read = if self.compat != 0 {
                mem::read_user(self.dst.add(i as usize * 32), 32, self.array.wrapping_add(i * 32))
            } else {
                mem::read_user(self.dst.add(i as usize * 64), 64, self.array.wrapping_add(i * 64))
            };
            if read {
                *self.done = i as u32 + 1;
            }
            read
        }
    }
}

/// The thread's entry, if it has one.
#[inline(always)]
pub fn find(tid: u32) -> Option<*mut Thread> {
    THREADS.get_ptr_mut(tid)
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
            let call = &raw mut (*thread).call;
            if (*call).task.pid != pid {
                (*thread).state = state::IDLE;
                (*thread).outer.flags = 0;
                (*thread).fresh = 1;
                task::describe_once(&raw mut (*call).task_section, &raw mut (*call).task);
            }
        }
        return Some(thread);
    }
    let blank = BLANK.get_ptr(0)?;
    // SAFETY: a map and its key and value, as the helper wants them.
    let inserted = unsafe {
        generated::bpf_map_update_elem(
            (&raw const THREADS).cast_mut().cast(),
            (&raw const tid).cast(),
            blank.cast(),
            BPF_NOEXIST.into(),
        )
    };
    if inserted != 0 {
        return None;
    }
    add(IN_USE, 1);
    let thread = find(tid)?;
    // SAFETY: the entry is new, and this thread's own.
    unsafe {
        let call = &raw mut (*thread).call;
        (*thread).fresh = 1;
        task::describe_once(&raw mut (*call).task_section, &raw mut (*call).task);
    }
    Some(thread)
}

/// Forgets a thread.
#[inline(always)]
pub fn remove(tid: u32) {
    if THREADS.remove(tid).is_ok() {
        add(IN_USE, u64::MAX);
    }
}

/// A call is over: its thread's entry is kept for the next one, unless entries
/// are running out.
#[inline(always)]
pub fn release(tid: u32, thread: *mut Thread) {
    // SAFETY: the current thread's own entry.
    unsafe { (*thread).state = state::IDLE };
    let used = THREAD_COUNT.get(IN_USE).copied().unwrap_or(0);
    // SAFETY: the current thread's own entry.
    if used > u64::from(config!(max_threads) / 4 * 3) && unsafe { (*thread).outer.flags } == 0 {
        remove(tid);
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

/// The kernel begins to receive, with a timeout of its own (`do_recvmmsg`): what
/// it will go by, whatever becomes of the caller's memory.
#[inline(always)]
pub fn kernel_timeout(timeout: u64) {
    // Most calls have none, and are done with here.
    if timeout == 0 {
        return;
    }
    let (_, tid) = task::ids();
    let Some(thread) = find(tid) else { return };
    // SAFETY: the current thread's own entry.
    unsafe {
        if (*thread).state != state::IN_CALL {
            return;
        }
        let call = &raw mut (*thread).call;
        let to = &raw mut (*call).requested;
        if mem::read_kernel(to.cast(), size_of::<Timeout>() as u32, timeout as *const u8) {
            (*thread).kernel_timeout = timeout;
            (*call).header.flags |= flags::TIMEOUT_FROM_KERNEL;
            (*call).requested_section.status = Status::Read as u8;
            (*call).requested_section.full = size_of::<Timeout>() as u32;
            // Until the return has been seen.
            (*call).remaining_section.status = Status::NotCaptured as u8;
            (*call).remaining_section.full = size_of::<Timeout>() as u32;
        }
    }
}

/// The kernel has received: what is left of its timeout.
#[inline(always)]
pub fn kernel_timeout_left(ret: i64) {
    let (_, tid) = task::ids();
    let Some(thread) = find(tid) else { return };
    // SAFETY: the current thread's own entry.
    unsafe {
        let timeout = (*thread).kernel_timeout;
        if (*thread).state != state::IN_CALL || timeout == 0 {
            return;
        }
        (*thread).kernel_timeout = 0;
        let call = &raw mut (*thread).call;
        if ret <= 0 {
            // The caller is not told.
            (*call).remaining_section.status = Status::Absent as u8;
            return;
        }
        let to = &raw mut (*call).remaining;
        if mem::read_kernel(to.cast(), size_of::<Timeout>() as u32, timeout as *const u8) {
            (*call).remaining_section.status = Status::Read as u8;
        }
    }
}
