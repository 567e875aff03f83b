//! What `--detail full` adds to a record: iovecs, control messages and payload.
//!
//! Each is a section after the names. Its body has, for each message of the exit
//! headers, a [`PartHeader`] and as many bytes as that says, padded to 8. Fewer
//! parts than messages mean that the rest was not captured.
//!
//! | kind | bytes of a part | [`PartHeader::full`] |
//! |---|---|---|
//! | [`Iovs`] | raw `struct iovec`, in the layout of the call's ABI | `msg_iovlen` at entry |
//! | [`Control`] | raw control messages, likewise | `msg_controllen` at exit |
//! | [`Payload`] | what lies in the buffers of the iovecs, one after the other | `msg_len` |
//!
//! [`Iovs`]: crate::record::SectionKind::Iovs
//! [`Control`]: crate::record::SectionKind::Control
//! [`Payload`]: crate::record::SectionKind::Payload

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::record::{SectionHeader, padded};

/// Most iovecs of one message that a record holds.
pub const MAX_IOVS: u32 = 16;
/// Most bytes of one message's control messages that a record holds.
pub const MAX_CONTROL: u32 = 256;
/// Most bytes of one message's payload that a record holds.
pub const MAX_PAYLOAD: u32 = 64 << 10;
/// Most bytes of the payload of all messages of a call: a value of a map has less
/// than 4 MiB.
pub const MAX_PAYLOADS: u32 = 1 << 20;
/// Most pieces of payload in a record, one for each iovec of each message, on a
/// kernel without `bpf_loop`.
pub const MAX_PIECES_UNROLLED: u32 = 128;

/// How much of each message is kept beside its header and name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// iovecs.
    pub iovs: u32,
    /// Bytes of control messages.
    pub control: u32,
    /// Bytes of payload; only where there are iovecs.
    pub payload: u32,
}

impl Detail {
    /// Nothing.
    pub const NONE: Self = Self { iovs: 0, control: 0, payload: 0 };

    /// All that there is, with so many bytes of payload.
    pub const fn full(payload: u32) -> Self {
        Self { iovs: MAX_IOVS, control: MAX_CONTROL, payload }
    }

    /// Bytes that it takes in a record of so many messages.
    pub const fn room(&self, messages: u32) -> usize {
        if self.iovs == 0 {
            return 0;
        }
        let (control, payload) = (padded(self.control as usize), padded(self.payload as usize));
        let message = 3 * size_of::<PartHeader>() + self.iovs as usize * 16 + control + payload;
        // The verifier sees a piece of payload begin anywhere in its part, and end as
        // far from there as the longest one.
        3 * size_of::<SectionHeader>() + messages as usize * message + payload
    }
}

/// The start of what was read for one message.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct PartHeader {
    /// A [`crate::record::Status`]; with `Read` there may be more than was kept.
    pub status: u8,
    /// 0.
    pub reserved: [u8; 3],
    /// Bytes that follow, without padding to 8.
    pub len: u32,
    /// How many there were.
    pub full: u64,
}
