//! What `--detail full` adds to a record: iovecs, control messages and payload of
//! each message, as sections after the names.
//!
//! What the loops go by lies in the scratch, and is bounded anew at each step, as in
//! [`emit`](crate::emit): the verifier forgets one message before the next.

use core::ptr::{read_volatile, write_volatile};

use tracer_common::{
    detail::{MAX_IOVS, PartHeader},
    record::{MAX_MESSAGES, SectionHeader, SectionKind, Status},
};

use crate::{
    abi::header_bytes,
    config::config,
    emit::{cpu_id, limit, scratch_of},
    maps::Scratch,
    mem::{self, opaque},
    payload, pending, task,
    walk::{Body, Loop},
};

const SECTION: u64 = size_of::<SectionHeader>() as u64;
pub const PART: u64 = size_of::<PartHeader>() as u64;

/// Appends the sections at the record's `end`, and moves that.
///
/// # Safety
/// `scratch` is this CPU's, with a record up to its names.
#[inline(never)]
pub unsafe fn append<L: Loop>(scratch: *mut Scratch) {
    // SAFETY: the caller vouches for `scratch`.
    unsafe {
        let exits = read_volatile(&raw const (*scratch).exits);
        let end = read_volatile(&raw const (*scratch).end);
        write_volatile(&raw mut (*scratch).iovs_at, end + SECTION);
        open(scratch);
        L::detail::<IOVS>(exits, scratch);
        close(scratch, SectionKind::Iovs);
        open(scratch);
        L::detail::<CONTROL>(exits, scratch);
        close(scratch, SectionKind::Control);
        if config!(payload) == 0 {
            return;
        }
        write_volatile(&raw mut (*scratch).message, 0);
        write_volatile(&raw mut (*scratch).iov, 0);
        write_volatile(&raw mut (*scratch).got, 0);
        open(scratch);
        L::detail::<PAYLOAD>(MAX_MESSAGES * MAX_IOVS, scratch);
        close(scratch, SectionKind::Payload);
    }
}

/// Begins a section at the end.
///
/// # Safety
/// `scratch` is this CPU's.
#[inline(always)]
unsafe fn open(scratch: *mut Scratch) {
    // SAFETY: the caller vouches for `scratch`.
    unsafe {
        let at = read_volatile(&raw const (*scratch).end);
        write_volatile(&raw mut (*scratch).section_at, at);
        write_volatile(&raw mut (*scratch).end, at + SECTION);
    }
}

/// Writes the header of the section that reaches to the end.
///
/// # Safety
/// `scratch` is this CPU's.
#[inline(always)]
unsafe fn close(scratch: *mut Scratch, kind: SectionKind) {
    // SAFETY: the caller vouches for `scratch`; the offset is checked against the
    // patched size.
    unsafe {
        let at = opaque(read_volatile(&raw const (*scratch).section_at));
        if at > limit() - SECTION {
            return;
        }
        let len = read_volatile(&raw const (*scratch).end) - at - SECTION;
        let record: *mut u8 = (&raw mut (*scratch).record).cast();
        let header = record.add(at as usize).cast::<SectionHeader>();
        (*header).kind = kind as u16;
        (*header).status = Status::Read as u8;
        (*header).version = 1;
        (*header).len = len as u32;
        (*header).full = len as u32;
        (*header).count = (*scratch).exits;
    }
}

/// Which copy of a header.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Copy {
    /// What the caller asked for: the one from entry, where there is one.
    Asked,
    /// What the kernel answered.
    Answered,
}

/// The header of message `i` in the record; none past the end.
///
/// # Safety
/// `scratch` is this CPU's, with its headers.
#[inline(always)]
pub unsafe fn header(scratch: *mut Scratch, i: u64, copy: Copy) -> Option<*const u8> {
    // SAFETY: the caller vouches for `scratch`; the offset is checked against the
    // patched size.
    unsafe {
        if i >= (*scratch).exits.into() {
            return None;
        }
        let array = if copy == Copy::Asked && i < (*scratch).entries.into() {
            (*scratch).entry_at
        } else {
            (*scratch).exit_at
        };
        let at = opaque(array + header_bytes(i, (*scratch).compat));
        if at > limit() - 64 {
            return None;
        }
        let record: *const u8 = (&raw const (*scratch).record).cast();
        Some(record.add(at as usize))
    }
}

/// A field of a structure with 64-bit fields, or of its compat form.
///
/// # Safety
/// `base` is readable up to the field's end.
#[inline(always)]
pub unsafe fn field(base: *const u8, compat: bool, wide: usize, narrow: usize) -> u64 {
    // SAFETY: the caller vouches for `base`; structures lie at multiples of 8.
    unsafe {
        if compat {
            u64::from(*base.add(narrow).cast::<u32>())
        } else {
            *base.add(wide).cast::<u64>()
        }
    }
}

/// Appends a part of up to `room` bytes, read at `from`.
///
/// # Safety
/// `scratch` is this CPU's.
#[inline(always)]
unsafe fn part(scratch: *mut Scratch, from: u64, len: u64, room: u64, full: u64) -> bool {
    // SAFETY: the caller vouches for `scratch`; offset and length are checked against
    // the patched size.
    unsafe {
        let at = opaque(read_volatile(&raw const (*scratch).end));
        if at > limit() - PART - room {
            return false;
        }
        let mut len = opaque(len);
        if len > room {
            len = room;
        }
        let record: *mut u8 = (&raw mut (*scratch).record).cast();
        let header = record.add(at as usize).cast::<PartHeader>();
        let status = if from == 0 || full == 0 {
            len = 0;
            Status::Absent
        } else if mem::read_user(record.add((at + PART) as usize), len as u32, from) {
            Status::Read
        } else {
            len = 0;
            Status::Faulted
        };
        (*header).status = status as u8;
        (*header).reserved = [0; 3];
        (*header).len = len as u32;
        (*header).full = full;
        write_volatile(&raw mut (*scratch).end, at + PART + ((len + 7) & !7));
        true
    }
}

/// Which section, for [`Part`] and [`detail_part`].
pub const IOVS: u64 = 0;
const CONTROL: u64 = 1;
const PAYLOAD: u64 = 2;

/// Appends to a section what it has of one message; payload, of one iovec.
pub struct Part<const WHAT: u64> {
    /// This CPU's, with the section begun.
    pub scratch: *mut Scratch,
}

impl<const WHAT: u64> Body for Part<WHAT> {
    #[inline(always)]
    unsafe fn step(&mut self, i: u64) -> bool {
        // SAFETY: the maker vouches for `scratch`.
        unsafe { append_part(self.scratch, WHAT, i) }
    }
}

/// The same for the record that the current thread's program puts together; 0 where it
/// ends.
///
/// A global function: the verifier looks at it once and by itself, however often it is
/// called. That it can't be handed the scratch is the price.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn detail_part(what: u64, i: u64) -> u64 {
    // Looked at even where it is not called, before Linux 6.8.
    if config!(iovs) == 0 {
        return 0;
    }
    let thread = match config!(scratch_at) {
        0 => core::ptr::null_mut(),
        _ => match pending::find(task::ids().1) {
            Some(thread) => thread,
            None => return 0,
        },
    };
    // SAFETY: the current thread's own entry, and a record with the section begun.
    unsafe {
        scratch_of(thread, cpu_id()).map_or(0, |scratch| append_part(scratch, what, i).into())
    }
}

/// # Safety
/// `scratch` is this CPU's, with the section begun.
#[inline(always)]
unsafe fn append_part(scratch: *mut Scratch, what: u64, i: u64) -> bool {
    // SAFETY: the caller vouches for `scratch`.
    unsafe {
        match what {
            IOVS => iovs(scratch, i),
            CONTROL => control(scratch, i),
            _ => config!(payload) != 0 && payload::piece(scratch),
        }
    }
}

/// Appends the iovecs of message `i`.
///
/// # Safety
/// `scratch` is this CPU's.
#[inline(always)]
unsafe fn iovs(scratch: *mut Scratch, i: u64) -> bool {
    // SAFETY: the caller vouches for `scratch`.
    unsafe {
        let Some(asked) = header(scratch, i, Copy::Asked) else { return false };
        let compat = (*scratch).compat != 0;
        let from = field(asked, compat, 16, 8);
        let count = field(asked, compat, 24, 12);
        let most = u64::from(config!(iovs));
        let mut kept = opaque(count);
        if kept > most {
            kept = most;
        }
        let len = if compat { kept * 8 } else { kept * 16 };
        part(scratch, from, len, most * 16, count)
    }
}

/// Appends the control messages of message `i`: what the kernel wrote, which is no
/// more than there was room for.
///
/// # Safety
/// `scratch` is this CPU's.
#[inline(always)]
unsafe fn control(scratch: *mut Scratch, i: u64) -> bool {
    // SAFETY: the caller vouches for `scratch`.
    unsafe {
        let Some(asked) = header(scratch, i, Copy::Asked) else { return false };
        let compat = (*scratch).compat != 0;
        let from = field(asked, compat, 32, 16);
        let room = field(asked, compat, 40, 20);
        let Some(answered) = header(scratch, i, Copy::Answered) else { return false };
        let full = field(answered, compat, 40, 20);
        let written = if full < room { full } else { room };
        part(scratch, from, written, config!(control).into(), full)
    }
}
