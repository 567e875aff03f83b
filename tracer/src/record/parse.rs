//! The cursor that steps through a record, and the checks on the way.

use tracer_common::{
    abi::Abi,
    record::{
        self, Call, NameHeader, OwnIds, RecordKind, SectionHeader, SectionKind, Socket, Status,
        Task, Timeout, padded,
    },
    registry::{self, EventId},
};
use zerocopy::{FromBytes, Immutable, KnownLayout};

use super::{
    Copies, Detail, Exe, Field, Headers, Messages, Name, Record, RecordError, SocketFacts, copies,
    detail,
};

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

pub fn status(raw: u8) -> Result<Status, RecordError> {
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
pub struct Cursor<'a> {
    pub rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// Copies a structure off the front.
    pub fn take<T: FromBytes + KnownLayout + Immutable>(
        &mut self,
        what: &'static str,
    ) -> Result<T, RecordError> {
        let short = RecordError::Short { what, need: size_of::<T>(), have: self.rest.len() };
        let (value, rest) = T::read_from_prefix(self.rest).map_err(|_| short)?;
        self.rest = rest;
        Ok(value)
    }

    /// Takes bytes and their padding off the front.
    pub fn bytes(&mut self, what: &'static str, len: usize) -> Result<&'a [u8], RecordError> {
        let short = RecordError::Short { what, need: len, have: self.rest.len() };
        if len > self.rest.len() {
            return Err(short);
        }
        let (body, rest) = self.rest.split_at_checked(padded(len)).ok_or(short)?;
        self.rest = rest;
        body.get(..len).ok_or(short)
    }
}
