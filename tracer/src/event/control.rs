//! What `--detail full` shows of a message's control messages.

use std::{
    borrow::Cow,
    net::{Ipv4Addr, Ipv6Addr},
};

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::{Errno, Name, Timespec, schema::HEX};

/// One control message (`struct cmsghdr` and its data).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Item {
    /// `cmsg_level`; left out where the bytes do not reach.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<Symbol>,
    /// `cmsg_type`; likewise.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<Symbol>,
    /// What it says.
    #[serde(flatten)]
    pub content: Content,
    /// Why it says no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<Note>,
}

/// Something odd about a control message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Note {
    /// The tracer kept no more of the message's control data.
    NotCaptured,
    /// The data are shorter or longer than this type has them: the kernel cuts the
    /// last one where room runs out.
    UnexpectedLength,
    /// `cmsg_len` can't be: less than its own header, or beyond the data's end. What
    /// follows is not told apart.
    BadLength,
}

/// A number by name, where it has one.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(untagged)]
pub enum Symbol {
    /// Its name.
    Name(&'static str),
    /// The number.
    Number(i32),
}

impl Serialize for Symbol {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Name(name) => serializer.serialize_str(name),
            Self::Number(number) => serializer.serialize_i32(*number),
        }
    }
}

/// What a control message says, by its type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Content {
    /// `SCM_RIGHTS`: descriptors that the caller has from now on.
    Fds {
        /// The descriptors.
        fds: Vec<i32>,
    },
    /// `SCM_PIDFD`
    Pidfd {
        /// The descriptor.
        pidfd: i32,
    },
    /// `SCM_CREDENTIALS`: as the caller's namespaces number them.
    Credentials {
        /// The sender's process.
        pid: i32,
        /// Its user.
        uid: u32,
        /// Its group.
        gid: u32,
    },
    /// `SO_TIMESTAMP`
    Microseconds {
        /// Seconds since the epoch.
        sec: i64,
        /// Microseconds.
        usec: i64,
    },
    /// `SO_TIMESTAMPNS`
    Nanoseconds(Timespec),
    /// `SO_TIMESTAMPING`; null is a time that was not taken.
    Timestamps {
        /// By the kernel.
        software: Option<Timespec>,
        /// By the network device.
        hardware: Option<Timespec>,
    },
    /// `SO_RXQ_OVFL`
    Drops {
        /// Messages that the socket has dropped since it was made.
        drops: u32,
    },
    /// `SO_MARK`
    Mark {
        /// The packet's mark.
        mark: u32,
    },
    /// `SO_PRIORITY`
    Priority {
        /// The packet's priority.
        priority: u32,
    },
    /// `IP_PKTINFO`
    PacketInfo {
        /// The interface that the packet came by.
        ifindex: i32,
        /// The local address.
        spec_dst: Ipv4Addr,
        /// The destination in the packet's header.
        addr: Ipv4Addr,
    },
    /// `IPV6_PKTINFO`
    PacketInfo6 {
        /// The interface that the packet came by.
        ifindex: u32,
        /// The destination in the packet's header.
        addr: Ipv6Addr,
    },
    /// `IP_TTL`
    Ttl {
        /// Hops that were left.
        ttl: i32,
    },
    /// `IP_TOS`
    Tos {
        /// The type of service.
        tos: u8,
    },
    /// `IPV6_HOPLIMIT`
    HopLimit {
        /// Hops that were left.
        hoplimit: i32,
    },
    /// `IPV6_TCLASS`
    TrafficClass {
        /// The traffic class.
        tclass: i32,
    },
    /// `IP_ORIGDSTADDR`, `IPV6_ORIGDSTADDR`
    Destination {
        /// Where the packet was sent.
        addr: Name,
    },
    /// `IP_RECVERR`, `IPV6_RECVERR`
    Extended(ExtendedError),
    /// `UDP_GRO`
    Segments {
        /// Bytes of each datagram that the message is made of but for the last.
        segment_size: i32,
    },
    /// Any other.
    Hex {
        /// The data.
        #[schemars(extend("pattern" = HEX))]
        hex: String,
    },
}

/// `struct sock_extended_err` with the address that follows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct ExtendedError {
    /// The error; null where it is 0.
    pub error: Option<Errno>,
    /// Where it came from.
    pub origin: Cow<'static, str>,
    /// ICMP type, or what the origin makes of it.
    pub ee_type: u8,
    /// ICMP code, or what the origin makes of it.
    pub ee_code: u8,
    /// For instance the path's MTU.
    pub info: u32,
    /// For instance a timestamp's id.
    pub data: u32,
    /// Who complained; null where nobody is named.
    pub offender: Option<Name>,
}
