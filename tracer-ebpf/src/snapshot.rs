//! What is read of a call's arguments: the mmsghdr array and the timeout, from the
//! caller's memory or, where the hook allows it, the kernel's own copy.

use tracer_common::{
    config::rule,
    record::{self, Call, RecordKind, SectionHeader, SectionKind, Status, Timeout, flags},
};

use crate::{
    abi::{Matched, header_bytes},
    config::config,
    maps::state,
    mem::{self, opaque},
    pending::find,
    task,
    walk::{Body, Loop},
};

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
    let compat = matched.compat_layout();
    let most = u64::from(config!(messages));
    let mut count = opaque(wanted.into());
    if count > most {
        count = most;
    }
    // SAFETY: the caller vouches for both; `count` elements fit.
    unsafe {
        if mem::read_user(dst, header_bytes(count, compat) as u32, array) {
            *done = count as u32;
            return;
        }
        *done = 0;
        L::run(count as u32, &mut OneByOne { dst, done, array, compat });
    }
}

/// Reads an mmsghdr array element by element.
struct OneByOne {
    dst: *mut u8,
    done: *mut u32,
    array: u64,
    compat: u32,
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
            let at = header_bytes(i, self.compat);
            let len = header_bytes(1, self.compat) as u32;
            let read = mem::read_user(self.dst.add(at as usize), len, self.array.wrapping_add(at));
            if read {
                *self.done = i as u32 + 1;
            }
            read
        }
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

/// The kernel has received: how many messages, and what is left of its timeout.
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
        (*thread).completed = ret as u32;
        let to = &raw mut (*call).remaining;
        if mem::read_kernel(to.cast(), size_of::<Timeout>() as u32, timeout as *const u8) {
            (*call).remaining_section.status = Status::Read as u8;
        }
    }
}
