//! Levels and types of control messages (include/linux/socket.h,
//! include/uapi/asm-generic/socket.h, include/uapi/linux/{in,in6,udp,errqueue}.h).

/// Sockets of any family.
pub const SOL_SOCKET: i32 = 1;
/// IPv4.
pub const SOL_IP: i32 = 0;
/// IPv6.
pub const SOL_IPV6: i32 = 41;
/// UDP.
pub const SOL_UDP: i32 = 17;

/// `int[]`
pub const SCM_RIGHTS: i32 = 1;
/// `struct ucred`
pub const SCM_CREDENTIALS: i32 = 2;
/// `int`
pub const SCM_PIDFD: i32 = 4;
/// `struct timeval`; `struct old_timeval32` for compat callers.
pub const SO_TIMESTAMP: i32 = 29;
/// `struct timespec`; `struct old_timespec32` for compat callers.
pub const SO_TIMESTAMPNS: i32 = 35;
/// `struct mark`: u32.
pub const SO_MARK: i32 = 36;
/// `struct scm_timestamping`: three times.
pub const SO_TIMESTAMPING: i32 = 37;
/// u32
pub const SO_PRIORITY: i32 = 12;
/// u32
pub const SO_RXQ_OVFL: i32 = 40;
/// `struct __kernel_sock_timeval`
pub const SO_TIMESTAMP_NEW: i32 = 63;
/// `struct __kernel_timespec`
pub const SO_TIMESTAMPNS_NEW: i32 = 64;
/// `struct scm_timestamping64`
pub const SO_TIMESTAMPING_NEW: i32 = 65;

/// u8
pub const IP_TOS: i32 = 1;
/// `int`
pub const IP_TTL: i32 = 2;
/// `struct in_pktinfo`
pub const IP_PKTINFO: i32 = 8;
/// `struct sock_extended_err` and `struct sockaddr_in`
pub const IP_RECVERR: i32 = 11;
/// `struct sockaddr_in`
pub const IP_ORIGDSTADDR: i32 = 20;

/// `struct sock_extended_err` and `struct sockaddr_in6`
pub const IPV6_RECVERR: i32 = 25;
/// `struct in6_pktinfo`
pub const IPV6_PKTINFO: i32 = 50;
/// `int`
pub const IPV6_HOPLIMIT: i32 = 52;
/// `int`
pub const IPV6_TCLASS: i32 = 67;
/// `struct sockaddr_in6`
pub const IPV6_ORIGDSTADDR: i32 = 74;

/// `int`
pub const UDP_GRO: i32 = 104;

/// Levels and their names, ascending.
const LEVELS: &[(i32, &str)] = &[
    (SOL_IP, "SOL_IP"),
    (SOL_SOCKET, "SOL_SOCKET"),
    (6, "SOL_TCP"),
    (SOL_UDP, "SOL_UDP"),
    (SOL_IPV6, "SOL_IPV6"),
    (58, "SOL_ICMPV6"),
    (132, "SOL_SCTP"),
    (263, "SOL_PACKET"),
    (270, "SOL_NETLINK"),
    (271, "SOL_TIPC"),
    (272, "SOL_RXRPC"),
    (276, "SOL_RDS"),
    (279, "SOL_ALG"),
    (282, "SOL_TLS"),
];

/// Types of each level and their names, ascending.
const TYPES: &[(i32, i32, &str)] = &[
    (SOL_IP, IP_TOS, "IP_TOS"),
    (SOL_IP, IP_TTL, "IP_TTL"),
    (SOL_IP, 6, "IP_RECVOPTS"),
    (SOL_IP, 7, "IP_RETOPTS"),
    (SOL_IP, IP_PKTINFO, "IP_PKTINFO"),
    (SOL_IP, IP_RECVERR, "IP_RECVERR"),
    (SOL_IP, 18, "IP_PASSSEC"),
    (SOL_IP, IP_ORIGDSTADDR, "IP_ORIGDSTADDR"),
    (SOL_IP, 23, "IP_CHECKSUM"),
    (SOL_IP, 25, "IP_RECVFRAGSIZE"),
    (SOL_SOCKET, SCM_RIGHTS, "SCM_RIGHTS"),
    (SOL_SOCKET, SCM_CREDENTIALS, "SCM_CREDENTIALS"),
    (SOL_SOCKET, 3, "SCM_SECURITY"),
    (SOL_SOCKET, SCM_PIDFD, "SCM_PIDFD"),
    (SOL_SOCKET, SO_PRIORITY, "SO_PRIORITY"),
    (SOL_SOCKET, SO_TIMESTAMP, "SO_TIMESTAMP"),
    (SOL_SOCKET, SO_TIMESTAMPNS, "SO_TIMESTAMPNS"),
    (SOL_SOCKET, SO_MARK, "SO_MARK"),
    (SOL_SOCKET, SO_TIMESTAMPING, "SO_TIMESTAMPING"),
    (SOL_SOCKET, SO_RXQ_OVFL, "SO_RXQ_OVFL"),
    (SOL_SOCKET, 41, "SO_WIFI_STATUS"),
    (SOL_SOCKET, 54, "SCM_TIMESTAMPING_OPT_STATS"),
    (SOL_SOCKET, 58, "SCM_TIMESTAMPING_PKTINFO"),
    (SOL_SOCKET, SO_TIMESTAMP_NEW, "SO_TIMESTAMP_NEW"),
    (SOL_SOCKET, SO_TIMESTAMPNS_NEW, "SO_TIMESTAMPNS_NEW"),
    (SOL_SOCKET, SO_TIMESTAMPING_NEW, "SO_TIMESTAMPING_NEW"),
    (SOL_UDP, UDP_GRO, "UDP_GRO"),
    (SOL_IPV6, IPV6_RECVERR, "IPV6_RECVERR"),
    (SOL_IPV6, IPV6_PKTINFO, "IPV6_PKTINFO"),
    (SOL_IPV6, IPV6_HOPLIMIT, "IPV6_HOPLIMIT"),
    (SOL_IPV6, 54, "IPV6_HOPOPTS"),
    (SOL_IPV6, 57, "IPV6_RTHDR"),
    (SOL_IPV6, 59, "IPV6_DSTOPTS"),
    (SOL_IPV6, 60, "IPV6_RECVPATHMTU"),
    (SOL_IPV6, 61, "IPV6_PATHMTU"),
    (SOL_IPV6, IPV6_TCLASS, "IPV6_TCLASS"),
    (SOL_IPV6, IPV6_ORIGDSTADDR, "IPV6_ORIGDSTADDR"),
    (SOL_IPV6, 77, "IPV6_RECVFRAGSIZE"),
    (263, 8, "PACKET_AUXDATA"),
    (270, 3, "NETLINK_PKTINFO"),
    (270, 8, "NETLINK_LISTEN_ALL_NSID"),
];

/// Where a `struct sock_extended_err` came from, ascending.
const ORIGINS: &[(u8, &str)] = &[
    (0, "SO_EE_ORIGIN_NONE"),
    (1, "SO_EE_ORIGIN_LOCAL"),
    (2, "SO_EE_ORIGIN_ICMP"),
    (3, "SO_EE_ORIGIN_ICMP6"),
    (4, "SO_EE_ORIGIN_TIMESTAMPING"),
    (5, "SO_EE_ORIGIN_ZEROCOPY"),
    (6, "SO_EE_ORIGIN_TXTIME"),
];

/// The name of a `cmsg_level`.
pub fn level_name(level: i32) -> Option<&'static str> {
    LEVELS.iter().find(|(value, _)| *value == level).map(|(_, name)| *name)
}

/// The name of a `cmsg_type` of a level.
pub fn type_name(level: i32, kind: i32) -> Option<&'static str> {
    TYPES.iter().find(|row| (row.0, row.1) == (level, kind)).map(|(.., name)| *name)
}

/// The name of an `ee_origin`.
pub fn origin_name(origin: u8) -> Option<&'static str> {
    ORIGINS.iter().find(|(value, _)| *value == origin).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_ascend() {
        assert!(LEVELS.is_sorted_by_key(|(level, _)| *level));
        assert!(ORIGINS.is_sorted_by_key(|(origin, _)| *origin));
        let place = |level| LEVELS.iter().position(|(value, _)| *value == level);
        assert!(TYPES.iter().all(|(level, ..)| place(*level).is_some()), "levels have names");
        for level in [SOL_IP, SOL_SOCKET, SOL_IPV6] {
            let of_level = TYPES.iter().filter(|row| row.0 == level);
            assert!(of_level.is_sorted_by_key(|row| row.1), "level {level}");
        }
    }
}
