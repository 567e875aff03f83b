//! What the kernel itself went by, where that differs from the memory that was read.

use tracer_common::{
    copies::{KernelHeader, known},
    flags::{AF_INET, AF_INET6, AF_NETLINK, AF_UNIX},
    record::{Mmsghdr, Status, flags},
};

use super::{Missing, findings::MSG_TRUNC, iov::Iovs, mmsg::range, unseen};
use crate::{
    event::{Iovec, Kernel, Reason},
    record::{Messages, Record},
};

/// `EFAULT`
const EFAULT: i64 = 14;
/// At least so many bytes does the kernel take of one list of iovecs: `MAX_RW_COUNT`
/// (include/linux/fs.h) with pages of 64 KiB. It shortens what is longer.
const MAX_BYTES: u64 = 0x7fff_0000;

/// Messages that the kernel received in a call that returned EFAULT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// How many it received.
    pub count: u64,
    /// How many of them it was done with, so that what it wrote of them is all there.
    pub complete: u64,
}

/// What is known of a call that returned EFAULT; none where nothing was received, or
/// nothing shows it.
pub fn delivered(record: &Record<'_>) -> Option<Delivered> {
    if record.call.header.ret != -EFAULT || record.has(flags::NO_RETURN | flags::NO_MESSAGES) {
        return None;
    }
    let messages = record.messages.as_ref()?;
    let Some(lengths) = &record.copies.lengths else {
        return by_headers(messages);
    };
    let count = u64::try_from(lengths.received).ok().filter(|count| *count > 0)?;
    if lengths.is_empty() {
        // What `do_recvmmsg` returned.
        return Some(Delivered { count, complete: count });
    }
    // The kernel goes on to the next message only when it is done with this one; and
    // where it is done with all, nothing but the timeout is left to fail.
    let last = lengths.received.checked_sub(1)?;
    let written = messages.exit.get(last).map(|exit| exit.len);
    let beyond = last >= messages.exit.wanted;
    let done = record.call.header.args[4] != 0 && (beyond || lengths.get(last) == written);
    Some(Delivered { count, complete: if done { count } else { count - 1 } })
}

/// What the headers alone tell: the last message of which something changed that the kernel
/// writes once it has received a message, its length at the very end. Where something else
/// changed too, the kernel is not the only one who writes there.
fn by_headers(messages: &Messages<'_>) -> Option<Delivered> {
    let both = messages.entry.len().min(messages.exit.len());
    let pairs = (0..both).filter_map(|i| messages.entry.get(i).zip(messages.exit.get(i)));
    let mut delivered = None;
    for (before, (entry, exit)) in (0u64..).zip(pairs) {
        if super::findings::differs(&entry, &exit) {
            return None;
        }
        let count = before + 1;
        if entry.len != exit.len {
            delivered = Some(Delivered { count, complete: count });
        } else if (entry.flags, entry.namelen, entry.controllen)
            != (exit.flags, exit.namelen, exit.controllen)
        {
            delivered = Some(Delivered { count, complete: before });
        }
    }
    delivered
}

/// Says of which of the `shown` messages the kernel's copies should have been there and
/// were not.
pub fn note_missing(record: &Record<'_>, shown: usize, missing: &mut Missing) {
    let mut kept = shown;
    if let Some(headers) = &record.copies.headers {
        kept = kept.min(headers.len());
    }
    if record.copies.lengths.is_some_and(|lengths| !lengths.is_empty() || lengths.received == 0)
        && !lengths_fit(record)
    {
        kept = 0;
    }
    if kept < shown {
        let began = record
            .messages
            .as_ref()
            .is_some_and(|messages| messages.entry.status != Status::NotCaptured);
        let reason = if began { Reason::NotCaptured } else { unseen(record) };
        missing.insert(range(kept, shown, ".kernel"), reason);
    }
}

/// Whether each length belongs to the message of its place: the kernel was done with all
/// messages that it received, but perhaps the last.
fn lengths_fit(record: &Record<'_>) -> bool {
    let Some(lengths) = &record.copies.lengths else { return false };
    let ret = record.call.header.ret;
    let Ok(ret) = usize::try_from(ret) else { return ret == -EFAULT };
    lengths.received == ret || lengths.received == ret.saturating_add(1)
}

/// What the kernel went by in message `i`, where that differs from what is shown of it.
pub fn decode(
    record: &Record<'_>,
    i: usize,
    entry: Option<&Mmsghdr>,
    exit: &Mmsghdr,
    iovs: Option<&Iovs>,
) -> Option<Kernel> {
    let mut saw = Kernel::default();
    let header = record.copies.headers.and_then(|headers| headers.get(i));
    if let (Some(header), Some(entry)) = (header, entry) {
        compare(&mut saw, &header, entry, iovs);
    }
    let length = record.copies.lengths.filter(|_| lengths_fit(record));
    if let Some(length) = length.and_then(|lengths| lengths.get(i)) {
        let room = iovs.filter(|_| entry.is_some()).and_then(Iovs::capacity);
        let too_long = room.is_some_and(|room| u64::from(length) > room) && tells_copied(record);
        if length != exit.len || too_long {
            saw.len = Some(length);
        }
    }
    (saw != Kernel::default()).then_some(saw)
}

/// Compares the kernel's copy of a header with the header at entry, and with the iovecs
/// that this points at.
fn compare(saw: &mut Kernel, header: &KernelHeader, entry: &Mmsghdr, iovs: Option<&Iovs>) {
    let other = |kernel: u64, ours: u64| (kernel != ours).then_some(kernel);
    saw.name = other(header.name, entry.name);
    saw.control = other(header.control, entry.control);
    saw.controllen = other(header.controllen, entry.controllen);
    if header.known & known::IOVS != 0 {
        saw.iovlen = other(header.iovlen, entry.iovlen);
    }
    let Some(iovs) = iovs else { return };
    let room = iovs.capacity();
    // Of longer ones the kernel has shortened its copy.
    let whole = room.is_some_and(|room| room <= MAX_BYTES);
    if header.known & known::IOVS != 0 && whole {
        saw.iov_bytes = room.and_then(|room| other(header.iov_bytes, room));
    }
    let first = iovs.shown.0.as_ref().and_then(|shown| shown.first());
    if let Some(first) = first.filter(|_| header.known & known::FIRST_IOV != 0) {
        let longer = first.len > MAX_BYTES;
        if header.iov_base != first.base || (header.iov_len != first.len && !longer) {
            saw.iov = Some(Iovec { base: header.iov_base, len: header.iov_len });
        }
    }
}

/// Whether the length of a message is that of what was copied into its buffers: so it is
/// in these families unless the caller asks for the whole datagram's.
fn tells_copied(record: &Record<'_>) -> bool {
    let [_, _, _, flags, ..] = record.call.header.args;
    let family = record.socket.filter(|facts| facts.status == Status::Read);
    let family = family.map(|facts| facts.socket.family);
    flags & u64::from(MSG_TRUNC) == 0
        && family.is_some_and(|family| [AF_INET, AF_INET6, AF_UNIX, AF_NETLINK].contains(&family))
}
