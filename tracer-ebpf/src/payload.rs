//! The payload of messages, gathered over the buffers of their iovecs piece by piece:
//! each step takes one iovec, and what comes next lies in the scratch.

use core::ptr::{read_volatile, write_volatile};

use tracer_common::{detail::PartHeader, record::Status};

use crate::{
    config::config,
    emit::limit,
    full::{Copy, PART, field, header},
    maps::Scratch,
    mem::{self, opaque, within},
};

/// Copies what lies in the buffer of the next iovec; false after the last one.
///
/// # Safety
/// `scratch` is this CPU's, with its section of iovecs.
#[inline(always)]
pub unsafe fn piece(scratch: *mut Scratch) -> bool {
    // SAFETY: the caller vouches for `scratch`; every offset is checked against the
    // patched size.
    unsafe {
        let compat = (*scratch).compat != 0;
        let most = u64::from(config!(payload));
        let record: *mut u8 = (&raw mut (*scratch).record).cast();
        let message = opaque(read_volatile(&raw const (*scratch).message));
        let Some(answered) = header(scratch, message, Copy::Answered) else { return false };
        let full = if compat { *answered.add(28).cast::<u32>() } else { *answered.add(56).cast() };
        let mut wanted = u64::from(full);
        if wanted > most {
            wanted = most;
        }

        // The message's iovecs, of which the next one is taken.
        let iovs_at = read_volatile(&raw const (*scratch).iovs_at);
        let Some(iovs_at) = within(iovs_at, limit() - PART) else { return false };
        let iovs = record.add(iovs_at as usize).cast::<PartHeader>();
        let iovs_len = u64::from((*iovs).len);
        let size = if compat { 8 } else { 16 };
        let i = read_volatile(&raw const (*scratch).iov);
        let mut got = read_volatile(&raw const (*scratch).got);
        let mut status = Status::Read;
        if (*iovs).status == Status::Faulted as u8 && wanted != 0 {
            status = Status::Faulted;
        }
        let mut next = (i + 1) * size;
        if next <= iovs_len && got < wanted {
            let Some(at) = within(iovs_at + PART + i * size, limit() - 16) else { return false };
            let iov = record.add(at as usize);
            let base = field(iov, compat, 0, 0);
            let mut len = field(iov, compat, 8, 4);
            if len > wanted - got {
                len = wanted - got;
            }
            let len = opaque(len);
            let at = opaque(read_volatile(&raw const (*scratch).end) + PART + got);
            if at > limit() - most || len > most {
                return false;
            }
            if mem::read_user(record.add(at as usize), len as u32, base) {
                got += len;
            } else if got == 0 {
                status = Status::Faulted;
            } else {
                status = Status::Partial;
            }
            next += size;
        }
        if status as u8 == Status::Read as u8 && got < wanted && next <= iovs_len {
            write_volatile(&raw mut (*scratch).iov, i + 1);
            write_volatile(&raw mut (*scratch).got, got);
            return true;
        }

        // The message has no more.
        let end = read_volatile(&raw const (*scratch).end);
        let Some(at) = within(end, limit() - PART) else { return false };
        let header = record.add(at as usize).cast::<PartHeader>();
        (*header).status = status as u8;
        (*header).reserved = [0; 3];
        (*header).len = got as u32;
        (*header).full = full.into();
        write_volatile(&raw mut (*scratch).end, at + PART + ((got + 7) & !7));
        write_volatile(&raw mut (*scratch).iovs_at, iovs_at + PART + ((iovs_len + 7) & !7));
        write_volatile(&raw mut (*scratch).message, message + 1);
        write_volatile(&raw mut (*scratch).iov, 0);
        write_volatile(&raw mut (*scratch).got, 0);
        true
    }
}
