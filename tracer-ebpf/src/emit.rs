//! Records are put together and handed to the ring buffer.

use core::ptr::{read_volatile, write_volatile};

use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::generated,
};
use tracer_common::record::{
    Call, MAX_NAME, MAX_SOCKET, NameHeader, OwnIds, RecordKind, SectionHeader, SectionKind, Status,
    flags,
};

use crate::{
    abi::{Matched, header_bytes},
    capture::count,
    config::config,
    copies, exe, full, log,
    maps::{RINGS, SCRATCH, Scratch, Thread},
    mem::{self, opaque, within},
    snapshot, socket, task,
    walk::{Body, Loop},
};

const CALL: u64 = size_of::<Call>() as u64;
const SECTION: u64 = size_of::<SectionHeader>() as u64;
const OWN_IDS: u64 = SECTION + size_of::<OwnIds>() as u64;
const NAME: u64 = size_of::<NameHeader>() as u64;

#[inline(always)]
pub fn cpu_id() -> u32 {
    // SAFETY: a helper without preconditions.
    unsafe { generated::bpf_get_smp_processor_id() }
}

/// Space to put a record together: the CPU's own, or, where programs can be
/// preempted by others on the same CPU, the thread's.
///
/// # Safety
/// `thread` is the current thread's.
#[inline(always)]
pub unsafe fn scratch_of(thread: *mut Thread, cpu: u32) -> Option<*mut Scratch> {
    match config!(scratch_at) {
        0 => SCRATCH.get_ptr_mut(cpu),
        // SAFETY: the patched size of the thread's entry has room for it there.
        at => Some(unsafe { thread.byte_add(at as usize).cast() }),
    }
}

/// Writes a record without messages.
///
/// # Safety
/// `thread` is the current thread's, its call is complete.
#[inline(never)]
pub unsafe fn write_short(thread: *mut Thread) {
    // SAFETY: the caller vouches for `thread`.
    unsafe {
        let call = &raw mut (*thread).call;
        let cpu = cpu_id();
        (*call).header.cpu = cpu;
        let mut record: *mut u8 = call.cast();
        if config!(casts) == 0 {
            // What is read by helper needs more room than there is behind the call.
            let Some(scratch) = scratch_of(thread, cpu) else { return };
            record = (&raw mut (*scratch).record).cast();
            mem::read_kernel(record, CALL as u32, call.cast());
        }
        // What follows overwrites the array at entry, which is of no more use.
        close(record, thread, CALL, CALL + OWN_IDS);
    }
}

/// Writes a record with its messages. One step after the other, and none calls the
/// next: before Linux 6.8 the frames of all functions on the way down must fit into 512
/// bytes together.
///
/// # Safety
/// `thread` is the current thread's, its call is complete but for messages.
#[inline(never)]
pub unsafe fn write_long<L: Loop>(thread: *mut Thread, received: u64) {
    // SAFETY: the caller vouches for `thread`; the scratch is ours until the
    // program ends.
    unsafe {
        let cpu = cpu_id();
        let Some(scratch) = scratch_of(thread, cpu) else { return };
        (*thread).call.header.cpu = cpu;
        headers::<L>(thread, scratch, received);
        names::<L>(scratch);
        if config!(iovs) != 0 {
            full::append::<L>(scratch);
        }
        copies::append(thread, scratch);
        let record = (&raw mut (*scratch).record).cast();
        close(record, thread, read_volatile(&raw const (*scratch).end), limit());
    }
}

/// Begins a record: what is known of the call, and the arrays of headers. All that the
/// next steps go by lies in `scratch`: whatever way the record came about, the verifier
/// looks at them once.
///
/// # Safety
/// `thread` is the current thread's, `scratch` is ours.
#[inline(never)]
unsafe fn headers<L: Loop>(thread: *mut Thread, scratch: *mut Scratch, received: u64) {
    // SAFETY: the caller vouches for both; every offset is checked against the
    // patched size.
    unsafe {
        let matched = Matched::kept(thread);
        let call = &raw mut (*thread).call;
        let record: *mut u8 = (&raw mut (*scratch).record).cast();
        mem::read_kernel(record, CALL as u32, call.cast());

        let compat = matched.compat_layout();
        let mut wanted = opaque(received);
        if wanted > u64::from(config!(messages)) {
            wanted = config!(messages).into();
        }
        // The array at entry.
        let mut entries = opaque((*thread).headers_read.into());
        if entries > wanted {
            entries = wanted;
        }
        let entries = opaque(entries);
        if entries > u64::from(config!(messages)) {
            return;
        }
        let status = if (*call).header.flags & flags::NO_ENTRY != 0
            && (*call).header.flags & flags::RESTARTED == 0
        {
            Status::NotCaptured
        } else {
            part(entries, wanted)
        };
        let bytes = header_bytes(entries, compat);
        let section = record.add(CALL as usize);
        let from = (&raw const (*thread).headers).cast();
        mem::read_kernel(section.add(SECTION as usize), bytes as u32, from);
        section_header(section.cast(), SectionKind::EntryHeaders, status, entries, wanted, compat);

        // The array at exit.
        let most = CALL + SECTION + u64::from(config!(messages)) * 64;
        let Some(at) = within(CALL + SECTION + bytes, most) else { return };
        let section = record.add(at as usize);
        snapshot::read_headers::<L>(
            section.add(SECTION as usize),
            &raw mut (*scratch).exits,
            (*call).header.args[1],
            wanted as u32,
            matched,
        );
        let exits = opaque(read_volatile(&raw const (*scratch).exits).into());
        if exits > u64::from(config!(messages)) {
            return;
        }
        section_header(
            section.cast(),
            SectionKind::ExitHeaders,
            part(exits, wanted),
            exits,
            wanted,
            compat,
        );
        (*scratch).entry_at = CALL + SECTION;
        (*scratch).exit_at = at + SECTION;
        (*scratch).entries = entries as u32;
        (*scratch).compat = compat;
        (*scratch).names_at = at + SECTION + header_bytes(exits, compat) + SECTION;
    }
}

/// Appends the source addresses.
///
/// # Safety
/// `scratch` is ours, with its headers.
#[inline(never)]
unsafe fn names<L: Loop>(scratch: *mut Scratch) {
    // SAFETY: the caller vouches for it; every offset is checked against the patched
    // size.
    unsafe {
        let record: *mut u8 = (&raw mut (*scratch).record).cast();
        (*scratch).names = 0;
        L::run(read_volatile(&raw const (*scratch).exits), &mut Names { scratch });
        let names = read_volatile(&raw const (*scratch).names);
        let at = opaque(read_volatile(&raw const (*scratch).names_at) - SECTION);
        if at > limit() {
            return;
        }
        let header = record.add(at as usize).cast::<SectionHeader>();
        (*header).kind = SectionKind::Names as u16;
        (*header).status = Status::Read as u8;
        (*header).version = 1;
        (*header).len = names as u32;
        (*header).full = names as u32;
        (*header).count = (*scratch).exits;
        write_volatile(&raw mut (*scratch).end, at + SECTION + names);
    }
}

/// Appends the caller's own ids and the socket, and writes the record.
///
/// # Safety
/// `thread` is the current thread's, and `record` has `len` bytes of its record so far. It
/// has room for a socket behind `most` bytes, which no caller's ids go beyond.
#[inline(always)]
unsafe fn close(record: *mut u8, thread: *mut Thread, len: u64, most: u64) {
    // SAFETY: the caller vouches for both.
    unsafe {
        // By way of memory, so that the verifier goes through what follows once, and not
        // for each of the lengths that there can be.
        let so_far = &raw mut (*record.cast::<Call>()).header.len;
        write_volatile(so_far, (len + task::append_own_ids(record, thread, len)) as u32);
        let len = u64::from(read_volatile(so_far));
        write_volatile(so_far, (len + socket::append(record, thread, len, most)) as u32);
        count_call(thread, output_record(record, most + SECTION + MAX_SOCKET as u64));
    }
}

/// Tells the daemon which program makes the call that begins now.
///
/// # Safety
/// `thread` is the current thread's, its call has begun.
#[inline(never)]
pub unsafe fn write_image<L: Loop>(thread: *mut Thread) {
    let cpu = cpu_id();
    // SAFETY: the caller vouches for `thread`; the scratch is ours until the
    // program ends, and has room for a path.
    unsafe {
        let Some(scratch) = scratch_of(thread, cpu) else { return };
        let call: *mut Call = (&raw mut (*scratch).record).cast();
        mem::read_kernel(call.cast(), CALL as u32, (&raw const (*thread).call).cast());
        (*call).header.kind = RecordKind::Image as u16;
        (*call).header.cpu = cpu;
        (*call).header.len = (CALL + exe::append::<L>(scratch, CALL)) as u32;
        if output_record(call.cast(), CALL + exe::ROOM) {
            (*thread).fresh = 0;
        }
    }
}

/// Writes the record that was put together; false where the ring has no room.
///
/// # Safety
/// `record` has the bytes that it says it has, `most` of them at most.
#[inline(always)]
unsafe fn output_record(record: *mut u8, most: u64) -> bool {
    // SAFETY: the caller vouches for it.
    unsafe {
        let len = read_volatile(&raw const (*record.cast::<Call>()).header.len);
        let len = opaque(len.into());
        len <= most && output(record, len)
    }
}

/// Bytes that a record may have with the configured number of messages and detail,
/// before the path of the executable.
#[inline(always)]
pub fn limit() -> u64 {
    CALL + 4 * SECTION
        + u64::from(config!(messages)) * (2 * 64 + NAME + MAX_NAME as u64)
        + u64::from(config!(detail_room))
        + u64::from(config!(copies_room))
}

/// How much of a list was read.
#[inline(always)]
fn part(count: u64, wanted: u64) -> Status {
    if count == wanted {
        Status::Read
    } else if count == 0 {
        Status::Faulted
    } else {
        Status::Partial
    }
}

/// # Safety
/// `section` is writable.
#[inline(always)]
unsafe fn section_header(
    section: *mut SectionHeader,
    kind: SectionKind,
    status: Status,
    count: u64,
    wanted: u64,
    compat: u32,
) {
    // SAFETY: the caller vouches for `section`.
    unsafe {
        (*section).kind = kind as u16;
        (*section).status = status as u8;
        (*section).version = 1;
        (*section).len = header_bytes(count, compat) as u32;
        (*section).full = header_bytes(wanted, compat) as u32;
        (*section).count = count as u32;
    }
}

/// Appends the source address of each message.
struct Names {
    scratch: *mut Scratch,
}

impl Body for Names {
    #[inline(always)]
    unsafe fn step(&mut self, i: u64) -> bool {
        // SAFETY: the maker vouches for `scratch`.
        unsafe { name(self.scratch, i) }
    }
}

/// Appends the source address of message `i`; false where there is no room.
///
/// # Safety
/// `scratch` is this CPU's.
#[inline(always)]
unsafe fn name(scratch: *mut Scratch, i: u64) -> bool {
    // SAFETY: the caller vouches for `scratch`; every offset is checked against
    // the patched size.
    unsafe {
        if i >= (*scratch).exits.into() {
            return false;
        }
        let compat = (*scratch).compat != 0;
        let record: *mut u8 = (&raw mut (*scratch).record).cast();
        let at = opaque((*scratch).exit_at + header_bytes(i, (*scratch).compat));
        if at > limit() - 64 {
            return false;
        }
        let element = record.add(at as usize);
        let (pointer, full): (u64, u32) = if compat {
            (u64::from(*element.cast::<u32>()), *element.add(4).cast())
        } else {
            (*element.cast(), *element.add(8).cast())
        };
        // The kernel wrote no more than the caller had room for.
        let mut len = u64::from(full);
        if i < (*scratch).entries.into() {
            let at = opaque((*scratch).entry_at + header_bytes(i, (*scratch).compat));
            if at > limit() - 64 {
                return false;
            }
            let element = record.add(at as usize);
            let room: u32 = if compat { *element.add(4).cast() } else { *element.add(8).cast() };
            if len > room.into() {
                len = room.into();
            }
        }
        let mut len = opaque(len);
        if len > MAX_NAME as u64 {
            len = MAX_NAME as u64;
        }
        let used = read_volatile(&raw const (*scratch).names);
        let at = opaque((*scratch).names_at + used);
        if at > limit() - NAME - MAX_NAME as u64 {
            return false;
        }
        let header = record.add(at as usize).cast::<NameHeader>();
        (*header).reserved = 0;
        (*header).full = full;
        if pointer == 0 || full == 0 {
            (*header).status = Status::Absent as u8;
            len = 0;
        } else if !mem::read_user(record.add((at + NAME) as usize), len as u32, pointer) {
            (*header).status = Status::Faulted as u8;
            len = 0;
        } else if len < full.into() {
            (*header).status = Status::Partial as u8;
        } else {
            (*header).status = Status::Read as u8;
        }
        (*header).len = len as u16;
        write_volatile(&raw mut (*scratch).names, used + NAME + ((len + 7) & !7));
        true
    }
}

/// Hands a record to the ring of the CPU that it names. The program may have been moved
/// to another one since: a ring takes records from anywhere.
///
/// A wakeup costs the traced call several microseconds, so the reader looks by
/// itself many times a second, and is woken only as the ring fills: when the
/// fill passes the mark, and again at each further step of `wake_shift`.
///
/// # Safety
/// `record` holds a record of `len` bytes.
#[inline(always)]
unsafe fn output(record: *mut u8, len: u64) -> bool {
    // SAFETY: the caller vouches for `record`; the rings are live maps.
    unsafe {
        let place = (*record.cast::<Call>()).header.cpu & config!(ring_mask) as u32;
        let rings = (&raw const RINGS).cast_mut().cast();
        let ring = generated::bpf_map_lookup_elem(rings, (&raw const place).cast());
        if ring.is_null() {
            return false;
        }
        let before = generated::bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA.into());
        let after = before + len;
        let step = config!(wake_shift);
        let wake = after > config!(wake_mark) && (before >> step) != (after >> step);
        let wakeup = if wake { BPF_RB_FORCE_WAKEUP } else { BPF_RB_NO_WAKEUP };
        generated::bpf_ringbuf_output(ring, record.cast(), len, wakeup.into()) == 0
    }
}

/// Counts a call whose record was written, or was not for want of room.
///
/// # Safety
/// `thread` is the current thread's.
#[inline(always)]
unsafe fn count_call(thread: *mut Thread, written: bool) {
    // SAFETY: fields of live objects.
    unsafe {
        if (*thread).call.header.flags & flags::NO_ENTRY == 0 {
            count(|stats| [&raw mut (*stats).seen, &raw mut (*stats).ended]);
        } else {
            count(|stats| [&raw mut (*stats).seen]);
        }
        if !written {
            count(|stats| [&raw mut (*stats).ring_full]);
            log::ring_full();
        }
    }
}
