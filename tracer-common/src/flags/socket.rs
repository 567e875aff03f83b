//! Types and protocols of sockets.

use super::{AF_INET, AF_INET6, AF_NETLINK};

/// The name of a socket type (`include/linux/net.h`).
pub fn socket_type_name(kind: u16) -> Option<&'static str> {
    Some(match kind {
        1 => "SOCK_STREAM",
        2 => "SOCK_DGRAM",
        3 => "SOCK_RAW",
        4 => "SOCK_RDM",
        5 => "SOCK_SEQPACKET",
        6 => "SOCK_DCCP",
        10 => "SOCK_PACKET",
        _ => return None,
    })
}

/// The name of a protocol within its family: IPPROTO_… without the prefix
/// (`include/uapi/linux/in.h`), NETLINK_… with it (`include/uapi/linux/netlink.h`).
pub fn protocol_name(family: u16, protocol: u16) -> Option<&'static str> {
    Some(match (family, protocol) {
        (AF_INET | AF_INET6, protocol) => match protocol {
            0 => "IP",
            1 => "ICMP",
            2 => "IGMP",
            6 => "TCP",
            17 => "UDP",
            33 => "DCCP",
            47 => "GRE",
            50 => "ESP",
            51 => "AH",
            58 => "ICMPV6",
            89 => "OSPF",
            103 => "PIM",
            132 => "SCTP",
            136 => "UDPLITE",
            255 => "RAW",
            262 => "MPTCP",
            _ => return None,
        },
        (AF_NETLINK, protocol) => match protocol {
            0 => "NETLINK_ROUTE",
            2 => "NETLINK_USERSOCK",
            4 => "NETLINK_SOCK_DIAG",
            5 => "NETLINK_NFLOG",
            6 => "NETLINK_XFRM",
            7 => "NETLINK_SELINUX",
            8 => "NETLINK_ISCSI",
            9 => "NETLINK_AUDIT",
            10 => "NETLINK_FIB_LOOKUP",
            11 => "NETLINK_CONNECTOR",
            12 => "NETLINK_NETFILTER",
            15 => "NETLINK_KOBJECT_UEVENT",
            16 => "NETLINK_GENERIC",
            20 => "NETLINK_RDMA",
            21 => "NETLINK_CRYPTO",
            _ => return None,
        },
        _ => return None,
    })
}
