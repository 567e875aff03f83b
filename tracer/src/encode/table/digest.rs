//! The last column: what was received, or what explains that nothing was.

use std::collections::HashSet;

use super::{
    cells::{self, CAUTION, PLAIN, UNKNOWN},
    columns::{Column, Layout},
    text::{bytes, clip, escape, width},
};
use crate::event::{Event, Known, Message, Name, Text};
use anstyle::Style;

/// Findings that the messages' flags and the ABI show already.
const SHOWN: [&str; 3] = ["payload_truncated", "control_truncated", "compat_on_64bit"];

/// A part of the column; parts are set apart by a space.
pub struct Part {
    /// How it looks.
    pub style: Style,
    /// What it says, escaped.
    pub text: String,
}

/// The parts that fit in `room` columns, the most important ones first.
pub struct Digest {
    parts: Vec<Part>,
    room: usize,
}

impl Digest {
    /// Tells what a call received.
    pub fn of(event: &Event, layout: &Layout, room: usize) -> Vec<Part> {
        let mut digest = Self { parts: Vec::new(), room };
        if !layout.has(Column::Call) && !cells::is_native(event) {
            digest.push(CAUTION, event.syscall.abi.to_owned());
        }
        for finding in event.findings.iter().filter(|finding| !SHOWN.contains(finding)) {
            digest.push(CAUTION, (*finding).to_owned());
        }
        match &event.messages {
            Some(Known(Some(list))) if !list.is_empty() => digest.messages(event, list, layout),
            Some(Known(None)) => digest.push(UNKNOWN, "?".to_owned()),
            _ => {}
        }
        if let Some(ended) = event.time_exit {
            digest.push(CAUTION, format!("ended {}", cells::time_of_day(ended)));
        }
        if event.ret.is_none() {
            digest.push(CAUTION, "thread exited".to_owned());
        }
        if event.messages.is_none() {
            digest.arguments(event, layout);
        }
        digest.parts
    }

    fn left(&self) -> usize {
        let used: usize = self.parts.iter().map(|part| width(&part.text) + 1).sum();
        self.room.saturating_sub(used)
    }

    /// Appends a part, cut if need be.
    fn push(&mut self, style: Style, text: String) {
        let text = clip(&text, self.left()).into_owned();
        if !text.is_empty() {
            self.parts.push(Part { style, text });
        }
    }

    /// Appends a part if there is room for all of it.
    fn push_whole(&mut self, style: Style, text: String) {
        if width(&text) <= self.left() {
            self.parts.push(Part { style, text });
        }
    }

    fn messages(&mut self, event: &Event, list: &[Message], layout: &Layout) {
        let cut_off = event.truncated.map_or(0, |truncated| truncated.messages);
        let with_count = cut_off > 0 || layout.has_room_for_count();
        self.push(PLAIN, sizes(list, with_count));
        if cut_off > 0 {
            self.push(CAUTION, format!("+{cut_off} msgs"));
        }
        let known = cut_off.saturating_add(list.len() as u64);
        let unread = event.ret.map_or(0, i64::unsigned_abs).saturating_sub(known);
        if unread > 0 {
            self.push(UNKNOWN, format!("+{unread} unread"));
        }
        let mut flags: Vec<_> =
            list.iter().flat_map(|message| &message.flags.names.names).collect();
        flags.sort_unstable();
        flags.dedup();
        let (cut, other): (Vec<_>, Vec<_>) =
            flags.into_iter().partition(|name| matches!(**name, "MSG_TRUNC" | "MSG_CTRUNC"));
        for name in cut {
            self.push(CAUTION, cells::flag(name).to_owned());
        }
        self.senders(event, list, layout.has_room_for_from());
        for name in other {
            self.push_whole(PLAIN, cells::flag(name).to_owned());
        }
        let control: u64 =
            list.iter().fold(0, |sum, message| message.control.len_out.saturating_add(sum));
        let items: usize = list
            .iter()
            .filter_map(|message| message.control.items.as_ref()?.0.as_ref())
            .map(Vec::len)
            .sum();
        if items > 0 {
            self.push_whole(PLAIN, format!("{items} cmsg {}", bytes(control)));
        } else if control > 0 {
            self.push_whole(PLAIN, format!("cmsg {}", bytes(control)));
        }
    }

    /// Appends the distinct senders in the order of their first message: the first
    /// one in any case, as many more as there is room for, and how many others.
    fn senders(&mut self, event: &Event, list: &[Message], from: bool) {
        let mut known = HashSet::new();
        let mut senders = Vec::new();
        for (i, message) in list.iter().enumerate() {
            let sender = match &message.name {
                Some(name) => address(name),
                None if event.missing.contains_key(&format!("messages[{i}].name")) => {
                    "?".to_owned()
                }
                None => continue,
            };
            if known.insert(sender.clone()) {
                senders.push(sender);
            }
        }
        let more = |shown: usize| match senders.len() - shown {
            0 => String::new(),
            others => format!(" +{others}"),
        };
        let room = self.left();
        let Some(first) = senders.first() else { return };
        let mut text = if from { "from ".to_owned() } else { String::new() };
        let rest = more(1);
        if width(&text) + width(first).min(4) + width(&rest) > room {
            self.push(PLAIN, "…".to_owned());
            return;
        }
        text.push_str(&clip(first, room.saturating_sub(width(&text) + width(&rest))));
        let mut shown = 1;
        for sender in senders.iter().skip(1) {
            let longer = format!("{text}, {sender}");
            if width(&longer) + width(&more(shown + 1)) > room {
                break;
            }
            text = longer;
            shown += 1;
        }
        text.push_str(&more(shown));
        self.push(PLAIN, text);
    }

    /// A call without messages is explained by its flags and timeout, where the
    /// terminal has no columns for them.
    fn arguments(&mut self, event: &Event, layout: &Layout) {
        let shown = |text: &str| !matches!(text, "" | "-" | "0");
        if !layout.has(Column::Flags) {
            let flags = cells::flags(event);
            if flags == "?" {
                self.push(UNKNOWN, "flags ?".to_owned());
            } else if shown(&flags) {
                self.push(PLAIN, flags);
            }
        }
        if !layout.has(Column::Timeout) {
            let timeout = cells::timeout(event);
            if shown(&timeout) {
                self.push(PLAIN, format!("timeout {timeout}"));
            }
        }
    }
}

/// `48 B`, `3×11 B`, or where the lengths differ `3 msgs 1460 B`, with their number
/// only on request.
fn sizes(list: &[Message], with_count: bool) -> String {
    let total = list.iter().map(|message| u64::from(message.len)).sum();
    match list {
        [_] => bytes(total),
        [first, rest @ ..] if rest.iter().all(|message| message.len == first.len) => {
            format!("{}×{}", list.len(), bytes(first.len.into()))
        }
        _ if !with_count => bytes(total),
        _ => format!("{} msgs {}", list.len(), bytes(total)),
    }
}

/// A socket address as people write it.
fn address(name: &Name) -> String {
    fn text<K>(prefix: &str, text: &Text<K>) -> String {
        let text = text.bytes.as_deref().map_or_else(|| "?".to_owned(), escape);
        format!("{prefix}{text}")
    }
    match name {
        Name::Inet { ip, port } => format!("{ip}:{port}"),
        Name::Inet6 { ip, port, scope_id: 0, .. } => format!("[{ip}]:{port}"),
        Name::Inet6 { ip, port, scope_id, .. } => format!("[{ip}%{scope_id}]:{port}"),
        Name::Unix { path: Some(path), .. } => text("", path),
        Name::Unix { abstract_name: Some(name), .. } => text("@", name),
        Name::Unix { .. } => "unnamed".to_owned(),
        Name::Netlink { pid: 0, .. } => "kernel".to_owned(),
        Name::Netlink { pid, .. } => format!("netlink:{pid}"),
        Name::Raw { family, .. } => family.clone().unwrap_or_else(|| "?".to_owned()),
    }
}
