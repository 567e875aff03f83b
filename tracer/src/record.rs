//! Bytes from the ring buffer, or from a recording, become a checked record.
//!
//! Nothing here panics or trusts a length: a record that can't be parsed is a
//! [`RecordError`], which the pipeline counts.
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

use tracer_common::{
    abi::Abi,
    record::{Call, CompatMmsghdr, Mmsghdr, OwnIds, RecordKind, Socket, Status, Task, Timeout},
    registry,
};
use zerocopy::FromBytes;

mod copies;
mod detail;
mod parse;

pub use copies::Copies;
pub use detail::{Detail, Iovec, Part};
pub use parse::parse;
use parse::{Cursor, status};

/// Why bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The bytes end before the structure does.
    #[error("{what} needs {need} bytes, {have} are left")]
    Short {
        /// What was being read.
        what: &'static str,
        /// Its length.
        need: usize,
        /// The bytes left.
        have: usize,
    },
    /// The record says another length than it has.
    #[error("record of {have} bytes says that it has {says}")]
    Length {
        /// What it says.
        says: usize,
        /// What it has.
        have: usize,
    },
    /// Written by a newer or older program.
    #[error("{what} version {found}, this tracer knows {known}")]
    Version {
        /// Record or section.
        what: &'static str,
        /// The version found.
        found: u16,
        /// The version known.
        known: u16,
    },
    /// A number that stands for nothing.
    #[error("unknown {what} {value}")]
    Unknown {
        /// What the number should stand for.
        what: &'static str,
        /// The number.
        value: u64,
    },
    /// A section contradicts itself or comes twice.
    #[error("inconsistent {0} section")]
    Inconsistent(&'static str),
}

/// A value together with how reading it went.
#[derive(Clone, Copy, Debug)]
pub struct Field<T> {
    /// How it went.
    pub status: Status,
    /// What was read; of no meaning unless the status says so.
    pub value: T,
}

/// The mmsghdr array as it was at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'a> {
    /// How reading went.
    pub status: Status,
    /// Elements that should have been read.
    pub wanted: usize,
    bytes: &'a [u8],
    compat: bool,
}

impl Headers<'_> {
    /// Number of elements that were read.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.stride()
    }

    /// Whether none was read.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Element `i`, widened from the compat layout if need be.
    pub fn get(&self, i: usize) -> Option<Mmsghdr> {
        let start = i.checked_mul(self.stride())?;
        let bytes = self.bytes.get(start..start.checked_add(self.stride())?)?;
        if self.compat {
            CompatMmsghdr::read_from_bytes(bytes).ok().map(Mmsghdr::from)
        } else {
            Mmsghdr::read_from_bytes(bytes).ok()
        }
    }

    fn stride(&self) -> usize {
        if self.compat { Abi::I386.mmsghdr_size() } else { Abi::X86_64.mmsghdr_size() }
    }
}

/// One message's source address.
#[derive(Clone, Copy, Debug)]
pub struct Name<'a> {
    /// How reading went.
    pub status: Status,
    /// The bytes of the sockaddr.
    pub bytes: &'a [u8],
    /// The length that the kernel reported.
    pub full: usize,
}

/// The messages of a call.
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    /// The headers at entry.
    pub entry: Headers<'a>,
    /// The headers at exit.
    pub exit: Headers<'a>,
    /// The source addresses, one for each header of `exit`, unless space ran out.
    pub names: Vec<Name<'a>>,
    /// What else was asked for of each.
    pub detail: Detail<'a>,
}

/// A checked record of one call, or of a program image.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// Which of the two.
    pub kind: RecordKind,
    /// The fixed part.
    pub call: Call,
    /// The event that it is of.
    pub event: &'static registry::Event,
    /// The ABI of the call.
    pub abi: Abi,
    /// The timeout at entry.
    pub requested: Field<Timeout>,
    /// The timeout at exit.
    pub remaining: Field<Timeout>,
    /// The messages, where the record has any.
    pub messages: Option<Messages<'a>>,
    /// The path of the executable, in the record of a program image.
    pub exe: Option<Exe<'a>>,
    /// The socket, where the record says anything of it.
    pub socket: Option<SocketFacts<'a>>,
    /// The caller's ids in its own pid namespace, where the record says so.
    pub own_ids: Option<OwnIds>,
    /// What the kernel itself went by.
    pub copies: Copies<'a>,
}

/// What was found of the call's socket.
#[derive(Clone, Copy, Debug)]
pub struct SocketFacts<'a> {
    /// How reading went; of no meaning unless it was read.
    pub status: Status,
    /// The facts.
    pub socket: Socket,
    /// The name of an AF_UNIX socket.
    pub local: &'a [u8],
    /// Its peer's.
    pub peer: &'a [u8],
}

/// The path of an executable.
#[derive(Clone, Copy, Debug)]
pub struct Exe<'a> {
    /// How reading went.
    pub status: Status,
    /// Its components, the last one first, each with a NUL.
    pub components: &'a [u8],
    /// Whether the file has been removed.
    pub deleted: bool,
}

impl Exe<'_> {
    /// The path as /proc/PID/exe shows it; none where not all of it was read.
    pub fn path(&self) -> Option<Vec<u8>> {
        let components = self.components.strip_suffix(&[0])?;
        if self.status != Status::Read {
            return None;
        }
        let mut path = Vec::with_capacity(self.components.len() + 1);
        for component in components.rsplit(|byte| *byte == 0) {
            path.push(b'/');
            path.extend(component);
        }
        if self.deleted {
            path.extend(b" (deleted)");
        }
        Some(path)
    }
}

impl Record<'_> {
    /// Whether a bit of [`tracer_common::record::flags`] is set.
    pub fn has(&self, flag: u32) -> bool {
        self.call.header.flags & flag != 0
    }

    /// The calling task.
    pub fn task(&self) -> &Task {
        &self.call.task
    }
}
