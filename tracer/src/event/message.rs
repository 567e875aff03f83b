//! A message that a call received.

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    Abstract, FlagNames, Iovec, Item, Kernel, Known, Payload, Text, UnixPath, schema::HEX,
};

/// One message received.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Message {
    /// Bytes received.
    pub len: u32,
    /// Source address.
    pub name: Option<Name>,
    /// Length of the source address.
    pub namelen: InOut<u32>,
    /// iovecs, as far as they were kept; left out without `--detail full`, like the
    /// next one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iov: Option<Known<Vec<Iovec>>>,
    /// How many iovecs the caller offered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iovlen: Option<Known<u64>>,
    /// Flags of the message.
    pub flags: MessageFlags,
    /// Control messages.
    pub control: Control,
    /// Payload; left out without `--detail full`, null where it was not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Known<Payload>>,
    /// What the kernel itself went by, where that differs from the above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<Kernel>,
}

/// A length before and after the call.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct InOut<T> {
    /// The room that the caller offered.
    #[serde(rename = "in")]
    pub before: Option<T>,
    /// What the kernel reported.
    #[serde(rename = "out")]
    pub after: T,
}

/// Flags with their names.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct MessageFlags {
    /// The bits.
    pub value: u32,
    /// Their names.
    pub names: FlagNames,
}

/// The control messages of a message.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Control {
    /// Bytes of room that the caller offered.
    pub len_in: Option<u64>,
    /// Bytes that the kernel wrote.
    pub len_out: u64,
    /// What they say; left out without `--detail full`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<Known<Vec<Item>>>,
}

/// A source address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "family")]
pub enum Name {
    /// IPv4.
    #[serde(rename = "AF_INET")]
    Inet {
        /// Address.
        ip: std::net::Ipv4Addr,
        /// Port.
        port: u16,
    },
    /// IPv6.
    #[serde(rename = "AF_INET6")]
    Inet6 {
        /// Address.
        ip: std::net::Ipv6Addr,
        /// Port.
        port: u16,
        /// Flow information.
        flowinfo: u32,
        /// Interface of a link-local address.
        scope_id: u32,
    },
    /// A local socket; neither path nor abstract name where it has no name.
    #[serde(rename = "AF_UNIX")]
    Unix {
        /// Its path.
        #[serde(flatten)]
        path: Option<Text<UnixPath>>,
        /// Its abstract name, without the leading NUL.
        #[serde(flatten)]
        abstract_name: Option<Text<Abstract>>,
    },
    /// A netlink port.
    #[serde(rename = "AF_NETLINK")]
    Netlink {
        /// Port id; 0 is the kernel.
        pid: u32,
        /// Multicast groups.
        groups: u32,
    },
    /// Another family, or too few bytes for its address.
    #[serde(untagged)]
    Raw {
        /// The family's name or number; null where there are fewer than two bytes.
        family: Option<String>,
        /// The whole sockaddr in hex.
        #[schemars(extend("pattern" = HEX))]
        raw: String,
    },
}
