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
    record::{
        self, Call, CompatMmsghdr, Mmsghdr, NameHeader, OwnIds, RecordKind, SectionHeader,
        SectionKind, Socket, Status, Task, Timeout, padded,
    },
    registry::{self, EventId},
};
use zerocopy::{FromBytes, Immutable, KnownLayout};

mod copies;
mod detail;

pub use copies::Copies;
pub use detail::{Detail, Iovec, Part};

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
    /// Whether a bit of [`record::flags`] is set.
    pub fn has(&self, flag: u32) -> bool {
        self.call.header.flags & flag != 0
    }

    /// The calling task.
    pub fn task(&self) -> &Task {
        &self.call.task
    }
}

/// Reads a record.
///
/// # Errors
/// [`RecordError`]
pub fn parse(bytes: &[u8]) -> Result<Record<'_>, RecordError> {
    let mut cursor = Cursor { rest: bytes };
    let call: Call = cursor.take("call")?;
    let header = &call.header;
    if header.version != record::VERSION {
        return Err(RecordError::Version {
            what: "record",
            found: header.version,
            known: record::VERSION,
        });
    }
    let kind =
        RecordKind::try_from(header.kind).map_err(|_| unknown("record kind", header.kind))?;
    if usize::try_from(header.len) != Ok(bytes.len()) {
        return Err(RecordError::Length {
            says: usize::try_from(header.len).unwrap_or(usize::MAX),
            have: bytes.len(),
        });
    }
    let event =
        registry::by_id(EventId(header.event)).ok_or_else(|| unknown("event", header.event))?;
    let abi = Abi::try_from(header.abi).map_err(|_| unknown("ABI", header.abi))?;
    fixed(&call.task_section, SectionKind::Task, size_of::<Task>(), "task")?;
    let requested =
        timeout(&call.requested_section, call.requested, SectionKind::TimeoutRequested)?;
    let remaining =
        timeout(&call.remaining_section, call.remaining, SectionKind::TimeoutRemaining)?;
    let deleted = header.flags & record::flags::EXE_DELETED != 0;
    let rest = sections(&mut cursor, abi, deleted)?;
    let Rest { messages, exe, socket, own_ids, copies } = rest;
    let initial = header.flags & record::flags::INITIAL_PID_NS != 0;
    let own_ids = match own_ids {
        Some(_) if initial => return Err(RecordError::Inconsistent("ids")),
        None if initial => Some(OwnIds { pid: call.task.pid, tid: call.task.tid }),
        own_ids => own_ids,
    };
    Ok(Record {
        kind,
        call,
        event,
        abi,
        requested,
        remaining,
        messages,
        exe,
        socket,
        own_ids,
        copies,
    })
}

/// What follows the fixed part.
struct Rest<'a> {
    messages: Option<Messages<'a>>,
    exe: Option<Exe<'a>>,
    socket: Option<SocketFacts<'a>>,
    own_ids: Option<OwnIds>,
    copies: Copies<'a>,
}

/// Reads the sections after the fixed part.
fn sections<'a>(cursor: &mut Cursor<'a>, abi: Abi, deleted: bool) -> Result<Rest<'a>, RecordError> {
    let (mut entry, mut exit, mut names) = (None, None, None);
    let (mut exe, mut socket, mut own_ids) = (None, None, None);
    let (mut detail, mut copies) = (Detail::default(), Copies::default());
    while !cursor.rest.is_empty() {
        let section: SectionHeader = cursor.take("section header")?;
        let len = usize::try_from(section.len).unwrap_or(usize::MAX);
        let body = cursor.bytes("section body", len)?;
        // A kind of a newer program: its length says where the next one begins.
        let Ok(kind) = SectionKind::try_from(section.kind) else { continue };
        if section.version != 1 {
            let found = section.version.into();
            return Err(RecordError::Version { what: "section", found, known: 1 });
        }
        let twice = match kind {
            SectionKind::EntryHeaders => {
                entry.replace(headers(&section, body, abi, "entry")?).is_some()
            }
            SectionKind::ExitHeaders => {
                exit.replace(headers(&section, body, abi, "exit")?).is_some()
            }
            SectionKind::Names => names.replace(name_list(&section, body)?).is_some(),
            SectionKind::Exe => {
                let status = status(section.status)?;
                exe.replace(Exe { status, components: body, deleted }).is_some()
            }
            SectionKind::Socket => socket.replace(socket_facts(&section, body)?).is_some(),
            SectionKind::OwnIds => {
                let ids: OwnIds = Cursor { rest: body }.take("ids")?;
                own_ids.replace(ids).is_some()
            }
            SectionKind::KernelHeaders => {
                copies.headers.replace(copies::headers(&section, body)?).is_some()
            }
            SectionKind::KernelLengths => {
                copies.lengths.replace(copies::lengths(&section, body)?).is_some()
            }
            SectionKind::Iovs => detail.iovs.replace(detail::parts(&section, body)?).is_some(),
            SectionKind::Control => {
                detail.control.replace(detail::parts(&section, body)?).is_some()
            }
            SectionKind::Payload => {
                detail.payload.replace(detail::parts(&section, body)?).is_some()
            }
            SectionKind::Task | SectionKind::TimeoutRequested | SectionKind::TimeoutRemaining => {
                true
            }
        };
        if twice {
            return Err(RecordError::Inconsistent("repeated"));
        }
    }
    let messages = match (entry, exit, names) {
        (Some(entry), Some(exit), Some(names)) => {
            if names.len() > exit.len() || entry.wanted != exit.wanted || detail.exceeds(exit.len())
            {
                return Err(RecordError::Inconsistent("messages"));
            }
            Some(Messages { entry, exit, names, detail })
        }
        (None, None, None) if detail.is_empty() => None,
        _ => return Err(RecordError::Inconsistent("messages")),
    };
    Ok(Rest { messages, exe, socket, own_ids, copies })
}

fn fixed(
    section: &SectionHeader,
    kind: SectionKind,
    len: usize,
    what: &'static str,
) -> Result<Status, RecordError> {
    if section.kind != kind as u16 || usize::try_from(section.len) != Ok(len) {
        return Err(RecordError::Inconsistent(what));
    }
    if section.version != 1 {
        let found = section.version.into();
        return Err(RecordError::Version { what: "section", found, known: 1 });
    }
    status(section.status)
}

fn status(raw: u8) -> Result<Status, RecordError> {
    Status::try_from(raw).map_err(|_| unknown("status", raw))
}

fn timeout(
    section: &SectionHeader,
    value: Timeout,
    kind: SectionKind,
) -> Result<Field<Timeout>, RecordError> {
    let status = fixed(section, kind, size_of::<Timeout>(), "timeout")?;
    Ok(Field { status, value })
}

fn headers<'a>(
    section: &SectionHeader,
    bytes: &'a [u8],
    abi: Abi,
    what: &'static str,
) -> Result<Headers<'a>, RecordError> {
    let stride = abi.mmsghdr_size();
    let full = usize::try_from(section.full).unwrap_or(usize::MAX);
    if !bytes.len().is_multiple_of(stride) || !full.is_multiple_of(stride) || full < bytes.len() {
        return Err(RecordError::Inconsistent(what));
    }
    Ok(Headers {
        status: status(section.status)?,
        wanted: full / stride,
        bytes,
        compat: abi.compat_layout(),
    })
}

fn name_list<'a>(section: &SectionHeader, body: &'a [u8]) -> Result<Vec<Name<'a>>, RecordError> {
    let mut cursor = Cursor { rest: body };
    let mut names = Vec::new();
    while !cursor.rest.is_empty() {
        let header: NameHeader = cursor.take("name")?;
        names.push(Name {
            status: status(header.status)?,
            bytes: cursor.bytes("name", header.len.into())?,
            full: usize::try_from(header.full).unwrap_or(usize::MAX),
        });
    }
    // Fewer than counted means that the space ran out, which the layout excludes.
    if usize::try_from(section.count) != Ok(names.len()) {
        return Err(RecordError::Inconsistent("names"));
    }
    Ok(names)
}

fn socket_facts<'a>(
    section: &SectionHeader,
    body: &'a [u8],
) -> Result<SocketFacts<'a>, RecordError> {
    let mut cursor = Cursor { rest: body };
    let socket: Socket = cursor.take("socket")?;
    Ok(SocketFacts {
        status: status(section.status)?,
        socket,
        local: cursor.bytes("socket's name", socket.local_len.into())?,
        peer: cursor.bytes("socket's peer", socket.peer_len.into())?,
    })
}

fn unknown(what: &'static str, value: impl Into<u64>) -> RecordError {
    RecordError::Unknown { what, value: value.into() }
}

/// Steps through bytes.
struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// Copies a structure off the front.
    fn take<T: FromBytes + KnownLayout + Immutable>(
        &mut self,
        what: &'static str,
    ) -> Result<T, RecordError> {
        let short = RecordError::Short { what, need: size_of::<T>(), have: self.rest.len() };
        let (value, rest) = T::read_from_prefix(self.rest).map_err(|_| short)?;
        self.rest = rest;
        Ok(value)
    }

    /// Takes bytes and their padding off the front.
    fn bytes(&mut self, what: &'static str, len: usize) -> Result<&'a [u8], RecordError> {
        let short = RecordError::Short { what, need: len, have: self.rest.len() };
        if len > self.rest.len() {
            return Err(short);
        }
        let (body, rest) = self.rest.split_at_checked(padded(len)).ok_or(short)?;
        self.rest = rest;
        body.get(..len).ok_or(short)
    }
}
