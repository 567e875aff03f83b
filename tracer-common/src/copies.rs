//! What the kernel itself went by: its own copy of each message's header, and the length
//! of each message that it received. Other threads can change the caller's memory, and
//! not these.
//!
//! Both are kept in the thread's entry while a call runs, and become a section each
//! after the names:
//!
//! | kind | body | [`SectionHeader::full`] |
//! |---|---|---|
//! | [`KernelHeaders`] | a [`KernelHeader`] for each message that the kernel began to receive | as many bytes |
//! | [`KernelLengths`] | an `i32` for each message received, in their order: its length, as the kernel's receive function returned it | 4 for each message received, kept or not |
//!
//! A section that is not there stands for a source that was not asked for or that the
//! kernel does not have. [`KernelLengths`] without a body tells the number alone.
//!
//! [`KernelHeaders`]: crate::record::SectionKind::KernelHeaders
//! [`KernelLengths`]: crate::record::SectionKind::KernelLengths

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::record::{SectionHeader, padded};

/// What is kept of the kernel's own copies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copies {
    /// Headers: from `____sys_recvmsg` (net/socket.c), which a kprobe or fentry sees.
    pub headers: bool,
    /// Lengths: from the tracepoint `sock_recv_length`, from Linux 6.3.
    pub lengths: bool,
}

impl Copies {
    /// Nothing.
    pub const NONE: Self = Self { headers: false, lengths: false };

    /// The names of what is kept.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        let kept = [(self.headers, "headers"), (self.lengths, "lengths")];
        kept.into_iter().filter(|(kept, _)| *kept).map(|(_, name)| name)
    }

    /// Bytes of the headers of so many messages.
    const fn header_bytes(&self, messages: u32) -> usize {
        if self.headers { messages as usize * size_of::<KernelHeader>() } else { 0 }
    }

    /// Bytes of their lengths.
    const fn length_bytes(&self, messages: u32) -> usize {
        if self.lengths { padded(messages as usize * 4) } else { 0 }
    }

    /// Bytes that they take in a thread's entry; the headers come first.
    pub const fn memory(&self, messages: u32) -> usize {
        self.header_bytes(messages) + self.length_bytes(messages)
    }

    /// Where the lengths begin there.
    pub const fn lengths_after(&self, messages: u32) -> usize {
        self.header_bytes(messages)
    }

    /// Bytes that they take in a record.
    pub const fn room(&self, messages: u32) -> usize {
        self.memory(messages) + if self.headers { size_of::<SectionHeader>() } else { 0 }
    }
}

/// The header of one message as the kernel copied it, once and for all, before it
/// received.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct KernelHeader {
    /// Address of the buffer for the source address; 0 for none.
    pub name: u64,
    /// Address of the buffer for control messages; 0 for none.
    pub control: u64,
    /// Its size.
    pub controllen: u64,
    /// The first iovec's address.
    pub iov_base: u64,
    /// Its size.
    pub iov_len: u64,
    /// Bytes of all iovecs together; the kernel takes no more than `MAX_RW_COUNT` of them
    /// (include/linux/fs.h).
    pub iov_bytes: u64,
    /// The number of iovecs.
    pub iovlen: u64,
    /// Bits of [`known`].
    pub known: u64,
}

/// Bits of [`KernelHeader::known`].
pub mod known {
    /// `iovlen` and `iov_bytes`.
    pub const IOVS: u64 = 1 << 0;
    /// `iov_base` and `iov_len`.
    pub const FIRST_IOV: u64 = 1 << 1;
}
