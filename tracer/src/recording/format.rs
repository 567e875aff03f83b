//! What lies in a recording: 16 bytes that tell what it is, then frames, each with a
//! head of 16 bytes. Numbers are little-endian.
//!
//! A checksum goes over each head, another one over each body. The head's starts from
//! that of the head before it, so that a frame that is missing, doubled or out of its
//! place is found too.

use tracer_common::{
    copies::Copies,
    detail::{Detail, MAX_PAYLOAD, MAX_PAYLOADS},
    record::{MAX_MESSAGES, max_len},
};
use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    little_endian::{U16, U32},
};

/// The first bytes: not text, and damaged by what takes them for text.
pub const MAGIC: [u8; 8] = *b"\x89TRCR\r\n\x1a";
/// The version that is written, and the only one that is read.
pub const VERSION: u32 = 2;
/// How a recording of version 1 began.
pub const FIRST_VERSION: &[u8] = b"{\"schema\":\"tracer.recording/1\"";

/// Longest body that is believed.
pub const MAX_BODY: usize = 1 << 22;
/// Longest body of a fact, which is kept: a path of PATH_MAX bytes as a list of numbers, twice.
pub const MAX_FACT: usize = 32 << 10;
const _: () = {
    let copies = Copies { headers: true, lengths: true };
    let detail = Detail::full(MAX_PAYLOADS / MAX_MESSAGES);
    assert!(max_len(MAX_MESSAGES, &detail, &copies) <= MAX_BODY);
    let fewest = MAX_PAYLOADS / MAX_PAYLOAD;
    assert!(max_len(fewest, &Detail::full(MAX_PAYLOAD), &copies) <= MAX_BODY);
};

/// Kinds of frames.
pub mod kind {
    /// [`Header`](super::super::Header), as JSON; the first frame and no other.
    pub const HEADER: u8 = 1;
    /// A record as the ring had it; `info` is its [`Fate`](super::Fate).
    pub const RECORD: u8 = 2;
    /// [`Clock`](crate::decode::Clock), as JSON: holds for the records that follow.
    pub const CLOCK: u8 = 3;
    /// [`Fact`](crate::process::Fact), as JSON: was looked up for the next record.
    pub const FACT: u8 = 4;
    /// [`Report`](crate::health::Report), as JSON: was shown here.
    pub const HEALTH: u8 = 5;
    /// [`Totals`](super::super::Totals), as JSON; the last frame.
    pub const END: u8 = 6;
}

/// Bits of [`Head::flags`].
pub mod flag {
    /// A reader that does not know the kind may leave the frame out.
    pub const OPTIONAL: u8 = 1;
}

/// The beginning of a recording, in every version.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Preamble {
    /// [`MAGIC`]
    pub magic: [u8; 8],
    /// [`VERSION`]
    pub version: U32,
    /// Checksum of what is before it.
    pub checksum: U32,
}

/// The beginning of a frame.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Head {
    /// One of [`kind`].
    pub kind: u8,
    /// Bits of [`flag`].
    pub flags: u8,
    /// What the kind says that it is; else 0.
    pub info: U16,
    /// Bytes of the body, which follows.
    pub len: U32,
    /// Checksum of the body.
    pub body: U32,
    /// Checksum of the one before it in the previous head (or in the preamble), and of
    /// what is before this one.
    pub checksum: U32,
}

impl Preamble {
    /// That of this version.
    pub fn new(version: u32) -> Self {
        let mut preamble = Self { magic: MAGIC, version: U32::new(version), checksum: U32::new(0) };
        preamble.checksum = U32::new(preamble.expected());
        preamble
    }

    /// The checksum that it must have.
    pub fn expected(&self) -> u32 {
        checksum(&[&self.magic, self.version.as_bytes()])
    }
}

impl Head {
    /// The head of a frame after the one with that checksum.
    pub fn new(kind: u8, flags: u8, info: u16, body: &[u8], len: u32, previous: u32) -> Self {
        let mut head = Self {
            kind,
            flags,
            info: U16::new(info),
            len: U32::new(len),
            body: U32::new(checksum(&[body])),
            checksum: U32::new(0),
        };
        head.checksum = U32::new(head.expected(previous));
        head
    }

    /// The checksum that it must have.
    pub fn expected(&self, previous: u32) -> u32 {
        let start = [self.kind, self.flags];
        let previous = U32::new(previous);
        let fields = [previous.as_bytes(), &start, self.info.as_bytes(), self.len.as_bytes()];
        checksum(&[&fields.concat(), self.body.as_bytes()])
    }
}

/// CRC-32 as Ethernet and gzip have it (ISO 3309).
pub fn checksum(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}

/// What became of a record in the run that was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Fate {
    /// It is of a program image, and no call.
    NoCall = 0,
    /// Its event passed the filters.
    Shown = 1,
    /// The daemon's filters, or `--count`, left it out.
    Filtered = 2,
    /// It could not be parsed.
    Malformed = 3,
}

impl TryFrom<u16> for Fate {
    type Error = u16;

    fn try_from(raw: u16) -> Result<Self, u16> {
        [Self::NoCall, Self::Shown, Self::Filtered, Self::Malformed]
            .into_iter()
            .find(|fate| *fate as u16 == raw)
            .ok_or(raw)
    }
}
