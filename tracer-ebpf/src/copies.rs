//! What the kernel itself went by, message by message while a call runs, and what of it
//! the record gets: see [`tracer_common::copies`].

use core::ptr::{read_volatile, write_volatile};

use tracer_common::{
    copies::{KernelHeader, known},
    record::{SectionHeader, SectionKind, Status, flags},
};

use crate::{
    abi::Matched,
    config::config,
    emit::limit,
    maps::{Scratch, Thread, state},
    mem::{self, opaque, probe},
    pending::find,
    task,
};

const SECTION: u64 = size_of::<SectionHeader>() as u64;
const HEADER: u64 = size_of::<KernelHeader>() as u64;

/// A call begins.
///
/// # Safety
/// `thread` is the current thread's.
#[inline(always)]
pub unsafe fn begin(thread: *mut Thread) {
    // SAFETY: the caller vouches for `thread`.
    unsafe {
        // One by one, as in `mem::zero`.
        write_volatile(&raw mut (*thread).kernel_headers, 0);
        write_volatile(&raw mut (*thread).received, 0);
        write_volatile(&raw mut (*thread).completed, 0);
    }
}

/// The kernel has copied a message's header, and is about to receive: `____sys_recvmsg`
/// with its second, third and fourth arguments.
#[inline(always)]
pub fn header(msg_sys: u64, msg: u64, uaddr: u64) {
    let at = config!(kernel_headers_at);
    if at == 0 {
        return;
    }
    let (_, tid) = task::ids();
    let Some(thread) = find(tid) else { return };
    // SAFETY: the current thread's own entry, of the patched size.
    unsafe {
        if (*thread).state != state::IN_CALL {
            return;
        }
        // By way of memory, past which the verifier no longer takes it for a pointer.
        write_volatile(&raw mut (*thread).message, msg);
        let offset =
            read_volatile(&raw const (*thread).message).wrapping_sub((*thread).call.header.args[1]);
        let shift = 6 - Matched::kept(thread).compat_layout();
        let i = opaque(offset >> shift);
        // They come in order; a message that is missing leaves those after it unknown.
        if i >= u64::from(config!(messages))
            || i > (*thread).kernel_headers.into()
            || offset != i << shift
        {
            return;
        }
        let to = thread.byte_add(at as usize + (i * HEADER) as usize).cast::<KernelHeader>();
        let msg_sys = msg_sys as *const u8;
        (*to).name = uaddr;
        (*to).control = probe(msg_sys, config!(offsets.msg_control));
        (*to).controllen = probe(msg_sys, config!(offsets.msg_controllen));
        iovecs(to, msg_sys);
        (*thread).kernel_headers = i as u32 + 1;
    }
}

/// Fills in what the kernel knows of the iovecs. They are a list of the kernel's own, or,
/// where there is one alone, on newer kernels just its buffer (lib/iov_iter.c,
/// __import_iovec).
///
/// # Safety
/// `to` is writable.
#[inline(always)]
unsafe fn iovecs(to: *mut KernelHeader, msg_sys: *const u8) {
    let kind = probe::<u32>(msg_sys, config!(offsets.iter_type)) & config!(iter.mask);
    let bytes: u64 = probe(msg_sys, config!(offsets.iter_count));
    let list: u64 = probe(msg_sys, config!(offsets.iter_iov));
    let (mut first, mut bits) = ([list, bytes], 0);
    let mut count = 1;
    if kind == config!(iter.ubuf) {
        bits = known::IOVS | known::FIRST_IOV;
    } else if kind == config!(iter.iovec) {
        count = probe(msg_sys, config!(offsets.iter_segs));
        bits = known::IOVS;
        if count != 0 {
            first = probe(list as *const u8, 0);
            bits |= known::FIRST_IOV;
        }
    }
    // SAFETY: the caller vouches for `to`.
    unsafe {
        (*to).iovlen = count;
        (*to).iov_bytes = bytes;
        (*to).iov_base = first[0];
        (*to).iov_len = first[1];
        (*to).known = bits;
    }
}

/// A socket's receive function has returned (`sock_recv_length`).
#[inline(always)]
pub fn length(sk: *const u8, ret: i32) {
    let at = config!(kernel_lengths_at);
    if at == 0 || ret < 0 {
        return;
    }
    let (_, tid) = task::ids();
    let Some(thread) = find(tid) else { return };
    // SAFETY: the current thread's own entry, of the patched size.
    unsafe {
        if (*thread).state != state::IN_CALL {
            return;
        }
        // Not another socket that the kernel receives from on the way.
        let socket: u64 = probe(sk, config!(offsets.sock_socket));
        let file: u64 = probe(socket as *const u8, config!(offsets.socket_file));
        if file == 0 || file != (*thread).file {
            return;
        }
        let count = read_volatile(&raw const (*thread).received);
        write_volatile(&raw mut (*thread).received, count.wrapping_add(1));
        let i = opaque(count.into());
        if i < u64::from(config!(messages)) {
            *thread.byte_add(at as usize + (i * 4) as usize).cast::<i32>() = ret;
        }
    }
}

/// How many headers are worth looking at of a call that returned EFAULT: those of messages
/// that the kernel received all the same, or, where nothing tells how many these are, of
/// all that may be. That is so where only its last step, the writing back of the timeout,
/// can have failed (net/socket.c, __sys_recvmmsg).
///
/// # Safety
/// `thread` is the current thread's, with a call that has ended.
#[inline(always)]
pub unsafe fn delivered(thread: *mut Thread) -> u64 {
    // SAFETY: the caller vouches for `thread`.
    unsafe {
        let call = &raw const (*thread).call;
        if config!(kernel_lengths_at) != 0 {
            (*thread).received.into()
        } else if (*call).header.flags & flags::TIMEOUT_FROM_KERNEL != 0 {
            (*thread).completed.into()
        } else if (*call).header.args[4] != 0
            && (*call).header.flags & flags::NO_ENTRY == 0
            && (*call).requested_section.status == Status::Read as u8
        {
            u64::from((*call).header.args[2] as u32)
        } else {
            0
        }
    }
}

/// Appends the sections at the record's `end`, and moves that.
///
/// # Safety
/// `thread` and `scratch` are the current thread's, and `scratch` holds its record up to
/// the detail.
#[inline(never)]
pub unsafe fn append(thread: *mut Thread, scratch: *mut Scratch) {
    // SAFETY: the caller vouches for both; every offset is checked against the patched
    // sizes.
    unsafe {
        if config!(kernel_headers_at) != 0 {
            let count = u64::from(read_volatile(&raw const (*thread).kernel_headers));
            let from = config!(kernel_headers_at);
            section(thread, scratch, SectionKind::KernelHeaders, from, count, HEADER);
        }
        let at = config!(kernel_lengths_at);
        if at != 0 {
            let count = u64::from(read_volatile(&raw const (*thread).received));
            section(thread, scratch, SectionKind::KernelLengths, at, count, 4);
        } else if (*thread).call.header.ret < 0 && (*thread).completed != 0 {
            let count = u64::from(read_volatile(&raw const (*thread).completed));
            section(thread, scratch, SectionKind::KernelLengths, 0, count, 4);
        }
    }
}

/// Appends a section of up to `count` elements of `size` bytes, which lie `from` bytes
/// from the start of the thread's entry; none of them where that is 0.
///
/// # Safety
/// As for [`append`].
#[inline(always)]
unsafe fn section(
    thread: *mut Thread,
    scratch: *mut Scratch,
    kind: SectionKind,
    from: u32,
    count: u64,
    size: u64,
) {
    // SAFETY: the caller vouches for both.
    unsafe {
        let most = if from == 0 { 0 } else { u64::from(config!(messages)) };
        let mut kept = opaque(count);
        if kept > most {
            kept = most;
        }
        let at = opaque(read_volatile(&raw const (*scratch).end));
        if at > limit() - SECTION - most * size - 8 {
            return;
        }
        let record: *mut u8 = (&raw mut (*scratch).record).cast();
        let header = record.add(at as usize).cast::<SectionHeader>();
        (*header).kind = kind as u16;
        (*header).status = Status::Read as u8;
        (*header).version = 1;
        (*header).len = (kept * size) as u32;
        (*header).full = (count * size) as u32;
        (*header).count = kept as u32;
        let body = record.add((at + SECTION) as usize);
        mem::read_kernel(body, (kept * size) as u32, thread.byte_add(from as usize).cast());
        write_volatile(&raw mut (*scratch).end, at + SECTION + ((kept * size + 7) & !7));
    }
}
