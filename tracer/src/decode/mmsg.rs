//! The messages of a call.

use tracer_common::record::{Mmsghdr, Status, flags};

use super::{
    Missing,
    args::flag_names,
    control,
    copies::{self, Delivered},
    iov, payload, sockaddr, unseen,
};
use crate::{
    event::{Control, InOut, Item, Known, Message, MessageFlags, Name, Reason, Truncated},
    record::{self, Messages, Part, Record},
};

/// The messages of a call that received any, and how many did not fit. Of one that
/// returned EFAULT, those that were `delivered` all the same, and that the kernel was done
/// with.
pub fn decode(
    record: &Record<'_>,
    delivered: Option<Delivered>,
    missing: &mut Missing,
) -> (Option<Known<Vec<Message>>>, Option<Truncated>) {
    let complete = delivered.map(|delivered| delivered.complete);
    let received = complete.unwrap_or_else(|| u64::try_from(record.call.header.ret).unwrap_or(0));
    if received == 0 || record.has(flags::NO_RETURN) || record.has(flags::NO_MESSAGES) {
        return (None, None);
    }
    let Some(messages) = &record.messages else {
        let reason =
            if record.has(flags::ARGS_FAULTED) { Reason::Fault } else { Reason::NotCaptured };
        missing.insert("messages".to_owned(), reason);
        return (Some(Known(None)), None);
    };
    let kept = u64::try_from(messages.exit.wanted).unwrap_or(u64::MAX).min(received);
    let messages_cut = received.saturating_sub(kept);
    let mut truncated = Truncated { messages: messages_cut, ..Truncated::default() };
    let kept = usize::try_from(kept).unwrap_or(usize::MAX);
    let list = list(record, messages, kept, missing, &mut truncated);
    (Some(Known(list)), (truncated != Truncated::default()).then_some(truncated))
}

fn list(
    record: &Record<'_>,
    messages: &Messages<'_>,
    wanted: usize,
    missing: &mut Missing,
    truncated: &mut Truncated,
) -> Option<Vec<Message>> {
    let read = messages.exit.len().min(wanted);
    if read < wanted {
        let path = if read == 0 { "messages".to_owned() } else { range(read, wanted, "") };
        missing.insert(path, Reason::Fault);
        if read == 0 {
            return None;
        }
    }
    let entries = messages.entry.len();
    if entries < read {
        let reason = match messages.entry.status {
            Status::NotCaptured => unseen(record),
            _ => Reason::Fault,
        };
        for field in [".namelen.in", ".control.len_in"] {
            missing.insert(range(entries, read, field), reason);
        }
    }
    let mut list = Vec::with_capacity(read);
    for i in 0..read {
        let header = messages.exit.get(i)?;
        let entry = messages.entry.get(i);
        let mut message = one(i, header, entry, messages.names.get(i), missing);
        let iovs = detail(&mut message, record, &messages.detail, i, missing, truncated);
        message.kernel = copies::decode(record, i, entry.as_ref(), &header, iovs.as_ref());
        message.iov = iovs.map(|iovs| iovs.shown);
        list.push(message);
    }
    copies::note_missing(record, read, missing);
    Some(list)
}

/// `messages[3].field`, or `messages[3..64].field` for more than one.
pub fn range(from: usize, to: usize, field: &str) -> String {
    if to - from == 1 {
        format!("messages[{from}]{field}")
    } else {
        format!("messages[{from}..{to}]{field}")
    }
}

fn one(
    i: usize,
    exit: Mmsghdr,
    entry: Option<Mmsghdr>,
    name: Option<&record::Name<'_>>,
    missing: &mut Missing,
) -> Message {
    Message {
        len: exit.len,
        name: source(i, name, missing),
        namelen: InOut { before: entry.map(|entry| entry.namelen), after: exit.namelen },
        iov: None,
        iovlen: None,
        flags: MessageFlags { value: exit.flags, names: flag_names(exit.flags) },
        control: Control {
            len_in: entry.map(|entry| entry.controllen),
            len_out: exit.controllen,
            items: None,
        },
        payload: None,
        kernel: None,
    }
}

/// The source address.
fn source(i: usize, name: Option<&record::Name<'_>>, missing: &mut Missing) -> Option<Name> {
    let mut lacks = |reason| {
        missing.insert(format!("messages[{i}].name"), reason);
        None
    };
    let Some(name) = name else { return lacks(Reason::NotCaptured) };
    match name.status {
        Status::Absent => None,
        Status::Faulted => lacks(Reason::Fault),
        Status::NotCaptured => lacks(Reason::NotCaptured),
        Status::Read | Status::Partial => {
            let (decoded, whole) = sockaddr::decode(name.bytes, name.full);
            if !whole {
                let _ = lacks(Reason::Truncated);
            }
            Some(decoded)
        }
    }
}

/// Adds what `--detail full` shows, but for the iovecs, which it returns.
fn detail(
    message: &mut Message,
    record: &Record<'_>,
    detail: &record::Detail<'_>,
    i: usize,
    missing: &mut Missing,
    truncated: &mut Truncated,
) -> Option<iov::Iovs> {
    if let Some(parts) = &detail.control {
        let room = message.control.len_in;
        message.control.items = Some(items(parts.get(i), room, record, i, missing, truncated));
    }
    let parts = detail.iovs.as_ref()?;
    let iovs = iov::decode(parts.get(i), record.abi, i, missing);
    truncated.iov = truncated.iov.saturating_add(iovs.left_out);
    message.payload = Some(Known(detail.payload.as_ref().and_then(|parts| {
        let (payload, left_out) = payload::decode(parts.get(i), message.len, &iovs, i, missing);
        truncated.payload_bytes = truncated.payload_bytes.saturating_add(left_out);
        payload
    })));
    message.iovlen = Some(Known(iovs.count));
    Some(iovs)
}

/// The control messages, for which the caller had so much room.
fn items(
    part: Option<&Part<'_>>,
    room: Option<u64>,
    record: &Record<'_>,
    i: usize,
    missing: &mut Missing,
    truncated: &mut Truncated,
) -> Known<Vec<Item>> {
    let reason = match part.map(|part| part.status) {
        Some(Status::Absent) => return Known(Some(Vec::new())),
        Some(Status::Faulted) => Reason::Fault,
        Some(Status::NotCaptured) | None => Reason::NotCaptured,
        Some(Status::Read | Status::Partial) => {
            return Known(part.map(|part| {
                // The kernel writes no more than there is room for, whatever a header
                // says that somebody else has written to.
                let part =
                    Part { full: room.map_or(part.full, |room| room.min(part.full)), ..*part };
                let (items, left_out) = control::decode(&part, record.abi);
                truncated.control_bytes = truncated.control_bytes.saturating_add(left_out);
                items
            }));
        }
    };
    missing.insert(format!("messages[{i}].control.items"), reason);
    Known(None)
}
