//! Any bytes into a record that is well-formed: what must have a certain value gets it,
//! lengths are cut to what is there, and lists get their counts. Bytes that are a
//! record already stay as they are but for the order of sections and their padding.

use tracer_common::{
    abi::Abi,
    detail::PartHeader,
    record::{
        Call, NameHeader, RecordKind, SectionHeader, SectionKind, Socket, Status, Task, Timeout,
        VERSION, padded,
    },
    registry::{self, EVENTS, EventId},
};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

/// The sections that follow the fixed part.
const KINDS: [SectionKind; 8] = [
    SectionKind::EntryHeaders,
    SectionKind::ExitHeaders,
    SectionKind::Names,
    SectionKind::Exe,
    SectionKind::Socket,
    SectionKind::Iovs,
    SectionKind::Control,
    SectionKind::Payload,
];

/// A record.
pub struct Repaired {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Whether it has sections that are not in [`KINDS`], about which nothing is known
    /// here.
    pub has_others: bool,
}

/// A section, its body without padding.
struct Section {
    header: SectionHeader,
    body: Vec<u8>,
}

/// Repairs a record.
pub fn repair(bytes: &[u8]) -> Repaired {
    let mut rest = bytes;
    let mut call: Call = take(&mut rest);
    let header = &mut call.header;
    header.version = VERSION;
    if RecordKind::try_from(header.kind).is_err() {
        header.kind = RecordKind::Call as u16;
    }
    if registry::by_id(EventId(header.event)).is_none() {
        header.event = EVENTS[usize::from(header.event) % EVENTS.len()].id.0;
    }
    if Abi::try_from(header.abi).is_err() {
        header.abi = 1 + header.abi % 5;
    }
    let abi = Abi::try_from(header.abi).expect("an ABI");
    fixed(&mut call.task_section, SectionKind::Task, size_of::<Task>());
    fixed(&mut call.requested_section, SectionKind::TimeoutRequested, size_of::<Timeout>());
    fixed(&mut call.remaining_section, SectionKind::TimeoutRemaining, size_of::<Timeout>());

    let (mut known, others) = sections(rest);
    messages(&mut known, abi.mmsghdr_size());
    if let [.., Some(socket), _, _, _] = &mut known {
        names_of_socket(socket);
    }
    let has_others = !others.is_empty();
    let mut tail = Vec::new();
    for Section { mut header, body } in known.into_iter().flatten().chain(others) {
        header.version = 1;
        header.status = status(header.status);
        header.len = count(body.len());
        tail.extend(header.as_bytes());
        padded_into(&mut tail, &body);
    }
    call.header.len = count(size_of::<Call>() + tail.len());
    Repaired { bytes: [call.as_bytes(), &tail].concat(), has_others }
}

/// Takes the sections apart, in the order of [`KINDS`]. Of two of a kind the first
/// counts.
fn sections(mut rest: &[u8]) -> ([Option<Section>; KINDS.len()], Vec<Section>) {
    let mut known: [Option<Section>; KINDS.len()] = Default::default();
    let mut others = Vec::new();
    while !rest.is_empty() {
        let mut header: SectionHeader = take(&mut rest);
        let body = body(&mut rest, header.len as usize).to_vec();
        let fallback = KINDS[usize::from(header.kind) % KINDS.len()];
        let kind = match SectionKind::try_from(header.kind).unwrap_or(fallback) {
            SectionKind::Task | SectionKind::TimeoutRequested | SectionKind::TimeoutRemaining => {
                fallback
            }
            kind => kind,
        };
        header.kind = kind as u16;
        let section = Section { header, body };
        match KINDS.iter().position(|known| *known == kind) {
            Some(i) => {
                known[i].get_or_insert(section);
            }
            None => others.push(section),
        }
    }
    (known, others)
}

/// Headers, names and details come together, and of as many messages.
fn messages(known: &mut [Option<Section>; KINDS.len()], stride: usize) {
    let [entry, exit, names, _, _, details @ ..] = known;
    let any = entry.is_some() || exit.is_some() || names.is_some();
    if !any && details.iter().all(Option::is_none) {
        return;
    }
    let [entry, exit, names] = [(entry, 0), (exit, 1), (names, 2)].map(|(section, i)| {
        let header = SectionHeader { kind: KINDS[i] as u16, ..SectionHeader::default() };
        section.get_or_insert(Section { header, body: Vec::new() })
    });
    for Section { body, .. } in [&mut *entry, &mut *exit] {
        body.truncate(body.len() / stride * stride);
    }
    let most = exit.body.len() / stride;
    let least = count(entry.body.len().max(exit.body.len()));
    let full = (exit.header.full / count(stride) * count(stride)).max(least);
    for Section { header, .. } in [entry, exit] {
        header.full = full;
    }
    list(names, most, |header: &mut NameHeader, left| {
        header.status = status(header.status);
        header.len = header.len.min(u16::try_from(left).unwrap_or(u16::MAX));
        header.len.into()
    });
    for details in details.iter_mut().flatten() {
        list(details, most, |header: &mut PartHeader, left| {
            header.status = status(header.status);
            header.len = header.len.min(count(left));
            header.len as usize
        });
    }
}

/// Rewrites a list of headers that each have bytes after them. `mend` mends one, of
/// whose bytes so many are left, and returns how many it has.
fn list<H: FromZeros + FromBytes + IntoBytes + zerocopy::Immutable>(
    section: &mut Section,
    most: usize,
    mend: impl Fn(&mut H, usize) -> usize,
) {
    let (mut rest, mut body) = (section.body.as_slice(), Vec::new());
    section.header.count = 0;
    while !rest.is_empty() && (section.header.count as usize) < most {
        let mut header: H = take(&mut rest);
        let len = mend(&mut header, rest.len());
        body.extend(header.as_bytes());
        padded_into(&mut body, self::body(&mut rest, len));
        section.header.count += 1;
    }
    section.body = body;
}

/// The names after the facts of a socket.
fn names_of_socket(section: &mut Section) {
    let mut rest = section.body.as_slice();
    let mut socket: Socket = take(&mut rest);
    let mut names = Vec::new();
    for len in [&mut socket.local_len, &mut socket.peer_len] {
        let name = body(&mut rest, (*len).into());
        *len = u16::try_from(name.len()).expect("no longer than it said");
        padded_into(&mut names, name);
    }
    section.body = [socket.as_bytes(), &names].concat();
}

fn fixed(section: &mut SectionHeader, kind: SectionKind, len: usize) {
    let status = status(section.status);
    *section = SectionHeader { kind: kind as u16, status, version: 1, len: count(len), ..*section };
}

fn status(raw: u8) -> u8 {
    Status::try_from(raw).map_or(raw % 5, |status| status as u8)
}

fn count(len: usize) -> u32 {
    u32::try_from(len).expect("inputs are small")
}

/// A structure off the front, with zeros for what is not there.
fn take<T: FromZeros + FromBytes + IntoBytes>(rest: &mut &[u8]) -> T {
    let mut value = T::new_zeroed();
    let (now, later) = rest.split_at(rest.len().min(size_of::<T>()));
    value.as_mut_bytes()[..now.len()].copy_from_slice(now);
    *rest = later;
    value
}

/// Bytes and their padding off the front, as many as there are.
fn body<'a>(rest: &mut &'a [u8], len: usize) -> &'a [u8] {
    let body = &rest[..len.min(rest.len())];
    *rest = rest.get(padded(len)..).unwrap_or_default();
    body
}

fn padded_into(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(bytes);
    out.resize(out.len().next_multiple_of(8), 0);
}
