//! What formats of other people share: our own record where the schema has a place for
//! it, the names of its parts, and who sent what was received.

use std::{borrow::Cow, collections::BTreeSet, fmt, net::IpAddr};

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use crate::{
    event::{self, Address, Errno, Event, Known, Message, Name, RunId},
    health::{self, Health},
};

/// Our own record, whole, as `--output json` has it: what no field of the other schema is
/// made for is lost nowhere, and what reads our JSON reads it here too.
pub struct Own<'a, R>(
    /// The record.
    pub &'a R,
);

impl<R: Serialize> Serialize for Own<'_, R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

macro_rules! schema_of_its_own {
    ($($record:ty: $name:expr;)*) => {$(
        impl JsonSchema for Own<'_, $record> {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"$ref": format!("urn:tracer:{}", $name)})
            }
        }
    )*};
}
schema_of_its_own! {
    Event: event::SCHEMA;
    Health: health::SCHEMA;
}

/// Anything that is written as the text that it displays as: ids that others have as
/// strings.
pub struct Shown<T>(
    /// The value.
    pub T,
);

impl<T: fmt::Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<T> JsonSchema for Shown<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Shown".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string"})
    }
}

/// A line's name among the lines of all runs: `RUN-SEQ`.
pub struct LineId(
    /// The run.
    pub RunId,
    /// The line's `seq`.
    pub u64,
);

impl fmt::Display for LineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0, self.1)
    }
}

/// When the call began, or else when it ended. A record without either can't be made by a
/// clock that works; it is of 1970 then, and its own part says null.
pub fn when(event: &Event) -> Timestamp {
    event.time.or(event.time_exit).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// When the call ended, where that is known.
pub fn end(event: &Event) -> Option<Timestamp> {
    let later = |time: Timestamp| {
        let latency = jiff::SignedDuration::from_nanos(event.latency_ns?.try_into().ok()?);
        time.checked_add(latency).ok()
    };
    event.time_exit.or_else(|| event.time.and_then(later))
}

/// The messages that are shown.
pub fn messages(event: &Event) -> &[Message] {
    event.messages.as_ref().and_then(|messages| messages.0.as_deref()).unwrap_or_default()
}

/// Where something came from or went to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End<'a> {
    /// Its IP address; IPv4 as such, also where it came through an IPv6 socket.
    pub ip: Option<IpAddr>,
    /// Its port.
    pub port: Option<u16>,
    /// The address as text: the IP address, or the path of a local socket.
    pub address: Cow<'a, str>,
}

impl<'a> End<'a> {
    fn inet(ip: IpAddr, port: u16) -> Self {
        let ip = ip.to_canonical();
        Self { ip: Some(ip), port: Some(port), address: ip.to_string().into() }
    }

    fn of_name(name: &'a Name) -> Option<Self> {
        match name {
            Name::Inet { ip, port } => Some(Self::inet((*ip).into(), *port)),
            Name::Inet6 { ip, port, .. } => Some(Self::inet((*ip).into(), *port)),
            Name::Unix { path: Some(path), .. } => path.lossy().map(Self::local),
            Name::Unix { abstract_name: Some(name), .. } => name.lossy().map(Self::abstract_name),
            Name::Unix { .. } | Name::Netlink { .. } | Name::Raw { .. } => None,
        }
    }

    fn of_address(address: &'a Address) -> Option<Self> {
        match address {
            Address::Inet { ip, port } => Some(Self::inet(*ip, *port)),
            Address::Path(path) => path.lossy().map(Self::local),
            Address::Abstract(name) => name.lossy().map(Self::abstract_name),
            Address::Netlink { .. } => None,
        }
    }

    fn local(address: Cow<'a, str>) -> Self {
        Self { ip: None, port: None, address }
    }

    /// With the `@` that ss(8) and /proc/net/unix put before it.
    fn abstract_name(name: Cow<'a, str>) -> Self {
        Self::local(format!("@{name}").into())
    }
}

fn socket(event: &Event) -> Option<&event::Socket> {
    event.socket.as_ref().and_then(|Known(socket)| socket.as_ref())
}

/// The one sender of all messages that are shown; without messages, whom the socket is
/// connected to.
pub fn sender(event: &Event) -> Option<End<'_>> {
    let mut names = messages(event).iter().map(|message| message.name.as_ref());
    let peer = || socket(event)?.peer.as_ref().and_then(End::of_address);
    let Some(first) = names.next() else { return peer() };
    if names.any(|name| name != first) {
        return None;
    }
    first.map_or_else(peer, End::of_name)
}

/// Where the socket is bound to.
pub fn receiver(event: &Event) -> Option<End<'_>> {
    socket(event)?.local.as_ref().and_then(End::of_address)
}

/// Every IP address that has to do with the call, but for those that mean any.
pub fn addresses(event: &Event) -> BTreeSet<IpAddr> {
    let senders = messages(event).iter().filter_map(|message| message.name.as_ref()?.ip());
    let of_socket = [sender(event), receiver(event)].into_iter().flatten();
    let all = senders.chain(of_socket.filter_map(|end| end.ip));
    all.map(|ip| ip.to_canonical()).filter(|ip| !ip.is_unspecified()).collect()
}

/// `ipv4` or `ipv6`, by the senders or else by the socket's family; none of other families.
pub fn ip_version(event: &Event) -> Option<&'static str> {
    let first = messages(event).iter().find_map(|message| message.name.as_ref()?.ip());
    match first.or_else(|| sender(event)?.ip).map(|ip| ip.to_canonical()) {
        Some(IpAddr::V4(_)) => return Some("ipv4"),
        Some(IpAddr::V6(_)) => return Some("ipv6"),
        None => {}
    }
    match socket(event)?.family.as_ref() {
        "AF_INET" => Some("ipv4"),
        "AF_INET6" => Some("ipv6"),
        _ => None,
    }
}

/// The socket's protocol, if it is one of IP.
pub fn protocol(event: &Event) -> Option<&str> {
    ip_version(event)?;
    socket(event).map(|socket| socket.protocol.as_ref())
}

/// An error in words.
pub fn text(error: &Errno) -> String {
    format!("{} (errno {})", error.name, error.errno)
}

/// The last part of a path.
pub fn file_name(path: &str) -> &str {
    path.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or(path)
}

impl Name {
    fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Inet { ip, .. } => Some((*ip).into()),
            Self::Inet6 { ip, .. } => Some((*ip).into()),
            Self::Unix { .. } | Self::Netlink { .. } | Self::Raw { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn an_ipv4_address_is_one_through_an_ipv6_socket_too() {
        let name = Name::Inet6 {
            ip: Ipv4Addr::new(10, 0, 0, 7).to_ipv6_mapped(),
            port: 53,
            flowinfo: 0,
            scope_id: 0,
        };
        let end = End::of_name(&name).unwrap();
        assert_eq!((end.ip, end.address.as_ref()), ("10.0.0.7".parse().ok(), "10.0.0.7"));
    }

    #[test]
    fn names_of_files() {
        assert_eq!(file_name("/usr/sbin/chronyd"), "chronyd");
        assert_eq!(file_name("/memfd:x (deleted)"), "memfd:x (deleted)");
        assert_eq!(file_name("/"), "/");
    }
}
