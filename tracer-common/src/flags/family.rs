//! Address families (include/linux/socket.h).

/// Local sockets.
pub const AF_UNIX: u16 = 1;
/// IPv4.
pub const AF_INET: u16 = 2;
/// IPv6.
pub const AF_INET6: u16 = 10;
/// Kernel messages.
pub const AF_NETLINK: u16 = 16;

/// Families and their names, ascending.
pub const FAMILIES: &[(u16, &str)] = &[
    (0, "AF_UNSPEC"),
    (AF_UNIX, "AF_UNIX"),
    (AF_INET, "AF_INET"),
    (3, "AF_AX25"),
    (4, "AF_IPX"),
    (5, "AF_APPLETALK"),
    (6, "AF_NETROM"),
    (7, "AF_BRIDGE"),
    (8, "AF_ATMPVC"),
    (9, "AF_X25"),
    (AF_INET6, "AF_INET6"),
    (11, "AF_ROSE"),
    (15, "AF_KEY"),
    (AF_NETLINK, "AF_NETLINK"),
    (17, "AF_PACKET"),
    (20, "AF_ATMSVC"),
    (21, "AF_RDS"),
    (24, "AF_PPPOX"),
    (26, "AF_LLC"),
    (27, "AF_IB"),
    (28, "AF_MPLS"),
    (29, "AF_CAN"),
    (30, "AF_TIPC"),
    (31, "AF_BLUETOOTH"),
    (32, "AF_IUCV"),
    (33, "AF_RXRPC"),
    (35, "AF_PHONET"),
    (36, "AF_IEEE802154"),
    (37, "AF_CAIF"),
    (38, "AF_ALG"),
    (39, "AF_NFC"),
    (40, "AF_VSOCK"),
    (41, "AF_KCM"),
    (42, "AF_QIPCRTR"),
    (43, "AF_SMC"),
    (44, "AF_XDP"),
    (45, "AF_MCTP"),
];

/// The name of a family.
pub fn family_name(family: u16) -> Option<&'static str> {
    let at = FAMILIES.binary_search_by_key(&family, |(value, _)| *value).ok()?;
    FAMILIES.get(at).map(|(_, name)| *name)
}
