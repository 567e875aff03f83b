//! The socket that a call is made on.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Serialize;

use super::{Abstract, Errno, Text, Timespec, UnixPath};

/// A socket.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Socket {
    /// Address family: its name, or its number where it has none.
    #[schemars(extend("pattern" = "^(AF_[A-Z0-9]+|[0-9]+)$"))]
    pub family: Cow<'static, str>,
    /// Type: its name, or its number where it has none.
    #[serde(rename = "type")]
    #[schemars(extend("pattern" = "^(SOCK_[A-Z]+|[0-9]+)$"))]
    pub kind: Cow<'static, str>,
    /// Protocol of the family; a number where it has no name.
    pub protocol: Cow<'static, str>,
    /// Its address; null where it is not bound.
    pub local: Option<Address>,
    /// The peer's address; null where it is not connected.
    pub peer: Option<Address>,
    /// Inode number, as in /proc/PID/fd and ss(8).
    pub inode: u64,
    /// Cookie; null where nobody has asked for one yet.
    pub cookie: Option<u64>,
    /// Inode number of the network namespace.
    pub netns: u32,
    /// SO_RCVBUF, bytes.
    pub rcvbuf: u32,
    /// Bytes that the receive queue takes of it.
    pub rmem: u32,
    /// SO_RCVTIMEO; null for none.
    pub rcvtimeo: Option<Timespec>,
    /// Whether O_NONBLOCK is set.
    pub nonblocking: bool,
    /// The error that the next call will return.
    pub pending_error: Option<Errno>,
}

/// Where a socket is bound or connected to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Address {
    /// IPv4 or IPv6.
    Inet {
        /// Address.
        ip: std::net::IpAddr,
        /// Port.
        port: u16,
    },
    /// The path of a local socket.
    Path(Text<UnixPath>),
    /// The abstract name of a local socket, without the leading NUL.
    Abstract(Text<Abstract>),
    /// A netlink port.
    Netlink {
        /// Port id; 0 is the kernel.
        pid: u32,
    },
}
