//! Fields of each of the messages.

use std::net::IpAddr;

use super::{
    super::field::{
        Row,
        Type::{Flag, Ip, Object, Pointer, Text, Unsigned},
        Value, Visit,
    },
    as_hex, flags, int, object, stranger, text,
};
use crate::event::{self, Iovec, Item, Kernel, Message, Name, Payload, Symbol};

/// Fields of each of the messages.
pub const MESSAGE: &[Row<Message>] = &[
    Row::new("len", Unsigned, |message, visit| int(message.len, visit)),
    Row::new("name", Object, |message, visit| object(message.name.as_ref(), visit)),
    Row::new("name.family", Text, |message, visit| {
        message.name.as_ref().and_then(family).is_some_and(|family| text(family, visit))
    }),
    Row::new("name.ip", Ip, |message, visit| match message.name {
        Some(Name::Inet { ip, .. }) => visit(Value::Ip(IpAddr::V4(ip))),
        Some(Name::Inet6 { ip, .. }) => visit(Value::Ip(IpAddr::V6(ip))),
        _ => false,
    }),
    Row::new("name.port", Unsigned, |message, visit| match message.name {
        Some(Name::Inet { port, .. } | Name::Inet6 { port, .. }) => int(port, visit),
        _ => false,
    }),
    Row::new("name.flowinfo", Unsigned, |message, visit| match message.name {
        Some(Name::Inet6 { flowinfo, .. }) => int(flowinfo, visit),
        _ => false,
    }),
    Row::new("name.scope_id", Unsigned, |message, visit| match message.name {
        Some(Name::Inet6 { scope_id, .. }) => int(scope_id, visit),
        _ => false,
    }),
    Row::new("name.path", Text, |message, visit| stranger(path(message), visit)),
    Row::new("name.path_hex", Text, |message, visit| as_hex(path(message), visit)),
    Row::new("name.abstract", Text, |message, visit| stranger(abstract_name(message), visit)),
    Row::new("name.abstract_hex", Text, |message, visit| as_hex(abstract_name(message), visit)),
    Row::new("name.pid", Unsigned, |message, visit| match message.name {
        Some(Name::Netlink { pid, .. }) => int(pid, visit),
        _ => false,
    }),
    Row::new("name.groups", Unsigned, |message, visit| match message.name {
        Some(Name::Netlink { groups, .. }) => int(groups, visit),
        _ => false,
    }),
    Row::new("name.raw", Text, |message, visit| match &message.name {
        Some(Name::Raw { raw, .. }) => text(raw, visit),
        _ => false,
    }),
    Row::new("namelen.in", Unsigned, |message, visit| int(message.namelen.before, visit)),
    Row::new("namelen.out", Unsigned, |message, visit| int(message.namelen.after, visit)),
    Row::new("iov.base", Pointer, |message, visit| {
        iovecs(message).iter().any(|iovec| int(iovec.base, &mut *visit))
    }),
    Row::new("iov.len", Unsigned, |message, visit| {
        iovecs(message).iter().any(|iovec| int(iovec.len, &mut *visit))
    }),
    Row::new("iovlen", Unsigned, |message, visit| {
        int(message.iovlen.as_ref().and_then(|count| count.0), visit)
    }),
    Row::new("flags.value", Unsigned, |message, visit| int(message.flags.value, visit)),
    Row::new("flags.names", Flag, |message, visit| flags(&message.flags.names, visit)),
    Row::new("control.len_in", Unsigned, |message, visit| int(message.control.len_in, visit)),
    Row::new("control.len_out", Unsigned, |message, visit| int(message.control.len_out, visit)),
    Row::new("control.items.level", Text, |message, visit| {
        items(message).iter().any(|item| symbol(item.level.as_ref(), &mut *visit))
    }),
    Row::new("control.items.type", Text, |message, visit| {
        items(message).iter().any(|item| symbol(item.kind.as_ref(), &mut *visit))
    }),
    Row::new("payload.len", Unsigned, |message, visit| {
        int(payload(message).map(|payload| payload.len), visit)
    }),
    Row::new("payload.text", Text, |message, visit| {
        let shown = payload(message).filter(|payload| !payload.redacted);
        shown.and_then(Payload::text).is_some_and(|shown| text(shown, visit))
    }),
    Row::new("kernel", Object, |message, visit| object(message.kernel.as_ref(), visit)),
    Row::new("kernel.len", Unsigned, |message, visit| int(kernel(message).len, visit)),
    Row::new("kernel.name", Pointer, |message, visit| int(kernel(message).name, visit)),
    Row::new("kernel.iov.base", Pointer, |message, visit| {
        int(kernel(message).iov.map(|iovec| iovec.base), visit)
    }),
    Row::new("kernel.iov.len", Unsigned, |message, visit| {
        int(kernel(message).iov.map(|iovec| iovec.len), visit)
    }),
    Row::new("kernel.iovlen", Unsigned, |message, visit| int(kernel(message).iovlen, visit)),
    Row::new("kernel.iov_bytes", Unsigned, |message, visit| int(kernel(message).iov_bytes, visit)),
    Row::new("kernel.control", Pointer, |message, visit| int(kernel(message).control, visit)),
    Row::new("kernel.controllen", Unsigned, |message, visit| {
        int(kernel(message).controllen, visit)
    }),
];

fn family(name: &Name) -> Option<&str> {
    match name {
        Name::Inet { .. } => Some("AF_INET"),
        Name::Inet6 { .. } => Some("AF_INET6"),
        Name::Unix { .. } => Some("AF_UNIX"),
        Name::Netlink { .. } => Some("AF_NETLINK"),
        Name::Raw { family, .. } => family.as_deref(),
    }
}

fn iovecs(message: &Message) -> &[Iovec] {
    message.iov.as_ref().and_then(|iov| iov.0.as_deref()).unwrap_or_default()
}

fn items(message: &Message) -> &[Item] {
    message.control.items.as_ref().and_then(|items| items.0.as_deref()).unwrap_or_default()
}

fn payload(message: &Message) -> Option<&Payload> {
    message.payload.as_ref()?.0.as_ref()
}

/// What the kernel itself went by, where that differs.
fn kernel(message: &Message) -> Kernel {
    message.kernel.unwrap_or_default()
}

/// A number without a name is a text too.
fn symbol(symbol: Option<&Symbol>, visit: Visit<'_>) -> bool {
    match symbol {
        None => false,
        Some(Symbol::Name(name)) => text(name, visit),
        Some(Symbol::Number(number)) => text(&number.to_string(), visit),
    }
}

fn path(message: &Message) -> Option<&event::Text<event::UnixPath>> {
    match &message.name {
        Some(Name::Unix { path, .. }) => path.as_ref(),
        _ => None,
    }
}

fn abstract_name(message: &Message) -> Option<&event::Text<event::Abstract>> {
    match &message.name {
        Some(Name::Unix { abstract_name, .. }) => abstract_name.as_ref(),
        _ => None,
    }
}
