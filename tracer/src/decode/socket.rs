//! The call's socket, as the kernel keeps it.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use tracer_common::{
    flags::{AF_INET, AF_INET6, AF_NETLINK, AF_UNIX, family_name, protocol_name, socket_type_name},
    record::{Status, socket, unknown},
};

use super::{Missing, error, until_nul};
use crate::{
    event::{Address, Known, Reason, Socket, Text, Timespec},
    record::{Record, SocketFacts},
};

const NS: i64 = 1_000_000_000;
/// No such descriptor.
const EBADF: i64 = 9;

/// The socket; None where the field does not apply.
pub fn decode(record: &Record<'_>, missing: &mut Missing) -> Option<Known<Socket>> {
    let mut unknown = |reason| {
        missing.insert("socket".to_owned(), reason);
        Some(Known(None))
    };
    let Some(facts) = &record.socket else {
        // An older recording says nothing.
        let applies = record.call.header.ret != -EBADF;
        return if applies && record.task().unknown & unknown::SOCKET != 0 {
            unknown(Reason::UnsupportedKernel)
        } else {
            None
        };
    };
    match facts.status {
        Status::Absent => None,
        Status::Read if facts.socket.flags & socket::NONE != 0 => unknown(Reason::NotASocket),
        Status::Read => Some(Known(Some(decoded(facts, missing)))),
        Status::Faulted => unknown(Reason::Fault),
        _ => unknown(Reason::NotCaptured),
    }
}

fn decoded(facts: &SocketFacts<'_>, missing: &mut Missing) -> Socket {
    let SocketFacts { socket: raw, .. } = facts;
    let (local, peer) = match raw.family {
        AF_INET => (
            inet(v4(raw.local), raw.local_port),
            inet(v4(raw.peer), raw.peer_port).filter(|_| raw.peer_port != 0),
        ),
        AF_INET6 => (
            inet(Ipv6Addr::from(raw.local).into(), raw.local_port),
            inet(Ipv6Addr::from(raw.peer).into(), raw.peer_port).filter(|_| raw.peer_port != 0),
        ),
        AF_UNIX => (unix(facts.local), unix(facts.peer)),
        AF_NETLINK => (Some(netlink(raw.local)), Some(netlink(raw.peer))),
        _ => (None, None),
    };
    let rcvtimeo = match raw.rcvtimeo {
        i64::MAX => None,
        ns if ns < 0 => {
            missing.insert("socket.rcvtimeo".to_owned(), Reason::UnsupportedKernel);
            None
        }
        ns => Some(Timespec { sec: ns / NS, nsec: ns % NS }),
    };
    let number = |name: Option<&'static str>, number: u16| {
        name.map_or_else(|| Cow::Owned(number.to_string()), Cow::Borrowed)
    };
    Socket {
        family: number(family_name(raw.family), raw.family),
        kind: number(socket_type_name(raw.kind), raw.kind),
        protocol: number(protocol_name(raw.family, raw.protocol), raw.protocol),
        local,
        peer,
        inode: raw.inode,
        cookie: (raw.cookie != 0).then_some(raw.cookie),
        netns: raw.netns,
        rcvbuf: raw.rcvbuf,
        rmem: raw.rmem,
        rcvtimeo,
        nonblocking: raw.flags & socket::NONBLOCK != 0,
        pending_error: error(-i64::from(raw.error)),
    }
}

fn v4(bytes: [u8; 16]) -> IpAddr {
    let [a, b, c, d, ..] = bytes;
    Ipv4Addr::new(a, b, c, d).into()
}

/// None where the socket is neither bound nor connected.
fn inet(ip: IpAddr, port: u16) -> Option<Address> {
    (port != 0 || !ip.is_unspecified()).then_some(Address::Inet { ip, port })
}

/// `sun_path` (unix(7)), as in source addresses.
fn unix(name: &[u8]) -> Option<Address> {
    match name.split_first()? {
        (0, name) => Some(Address::Abstract(Text::new(name))),
        _ => Some(Address::Path(Text::new(until_nul(name)))),
    }
}

fn netlink(bytes: [u8; 16]) -> Address {
    let [a, b, c, d, ..] = bytes;
    Address::Netlink { pid: u32::from_le_bytes([a, b, c, d]) }
}
