//! The messages of a call.

use tracer_common::record::{Mmsghdr, Status, flags};

use super::{Missing, args::flag_names, sockaddr, unseen};
use crate::{
    event::{Control, InOut, Known, Message, MessageFlags, Reason, Truncated},
    record::{Messages, Name, Record},
};

/// The messages of a call that received any, and how many did not fit.
pub fn decode(
    record: &Record<'_>,
    missing: &mut Missing,
) -> (Option<Known<Vec<Message>>>, Option<Truncated>) {
    let received = u64::try_from(record.call.header.ret).unwrap_or(0);
    if received == 0 || record.has(flags::NO_RETURN) || record.has(flags::NO_MESSAGES) {
        return (None, None);
    }
    let Some(messages) = &record.messages else {
        let reason =
            if record.has(flags::ARGS_FAULTED) { Reason::Fault } else { Reason::NotCaptured };
        missing.insert("messages".to_owned(), reason);
        return (Some(Known(None)), None);
    };
    let kept = u64::try_from(messages.exit.wanted).unwrap_or(u64::MAX);
    let truncated = received
        .checked_sub(kept)
        .filter(|messages| *messages > 0)
        .map(|messages| Truncated { messages });
    (Some(Known(list(record, messages, missing))), truncated)
}

fn list(
    record: &Record<'_>,
    messages: &Messages<'_>,
    missing: &mut Missing,
) -> Option<Vec<Message>> {
    let (wanted, read) = (messages.exit.wanted, messages.exit.len());
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
        list.push(one(i, header, messages.entry.get(i), messages.names.get(i), missing));
    }
    Some(list)
}

/// `messages[3].field`, or `messages[3..64].field` for more than one.
fn range(from: usize, to: usize, field: &str) -> String {
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
    name: Option<&Name<'_>>,
    missing: &mut Missing,
) -> Message {
    let mut lacks = |reason| {
        missing.insert(format!("messages[{i}].name"), reason);
        None
    };
    let decoded = match name {
        None => lacks(Reason::NotCaptured),
        Some(name) => match name.status {
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
        },
    };
    Message {
        len: exit.len,
        name: decoded,
        namelen: InOut { before: entry.map(|entry| entry.namelen), after: exit.namelen },
        flags: MessageFlags { value: exit.flags, names: flag_names(exit.flags) },
        control: Control { len_in: entry.map(|entry| entry.controllen), len_out: exit.controllen },
    }
}
