//! Socket addresses (`struct sockaddr_*`, include/uapi/linux).

use std::net::{Ipv4Addr, Ipv6Addr};

use tracer_common::flags::{AF_INET, AF_INET6, AF_NETLINK, AF_UNIX, family_name};

use crate::event::{Name, Text, hex};

/// Decodes the bytes of a socket address, of which the kernel reported `full`; and
/// whether the bytes held all of it. An address that its bytes do not reach, and
/// one of another family, is kept raw.
pub fn decode(bytes: &[u8], full: usize) -> (Name, bool) {
    let complete = bytes.len() >= full;
    let Some((family, rest)) = bytes.split_first_chunk() else {
        return (Name::Raw { family: None, raw: hex(bytes) }, false);
    };
    let family = u16::from_le_bytes(*family);
    let decoded = match family {
        AF_INET => inet(rest).map(|name| (name, true)),
        AF_INET6 => inet6(rest).map(|name| (name, true)),
        AF_NETLINK => netlink(rest).map(|name| (name, true)),
        AF_UNIX => Some((unix(rest), complete)),
        _ => None,
    };
    decoded.unwrap_or_else(|| {
        let family = family_name(family).map_or_else(|| family.to_string(), str::to_owned);
        (Name::Raw { family: Some(family), raw: hex(bytes) }, complete)
    })
}

/// `sin_port`, `sin_addr`
fn inet(rest: &[u8]) -> Option<Name> {
    let (port, rest) = rest.split_first_chunk()?;
    let (ip, _) = rest.split_first_chunk::<4>()?;
    Some(Name::Inet { ip: Ipv4Addr::from(*ip), port: u16::from_be_bytes(*port) })
}

/// `sin6_port`, `sin6_flowinfo`, `sin6_addr`, `sin6_scope_id`
fn inet6(rest: &[u8]) -> Option<Name> {
    let (port, rest) = rest.split_first_chunk()?;
    let (flowinfo, rest) = rest.split_first_chunk()?;
    let (ip, rest) = rest.split_first_chunk::<16>()?;
    let (scope_id, _) = rest.split_first_chunk()?;
    Some(Name::Inet6 {
        ip: Ipv6Addr::from(*ip),
        port: u16::from_be_bytes(*port),
        flowinfo: u32::from_be_bytes(*flowinfo),
        scope_id: u32::from_le_bytes(*scope_id),
    })
}

/// `nl_pad`, `nl_pid`, `nl_groups`
fn netlink(rest: &[u8]) -> Option<Name> {
    let (_, rest) = rest.split_first_chunk::<2>()?;
    let (pid, rest) = rest.split_first_chunk()?;
    let (groups, _) = rest.split_first_chunk()?;
    Some(Name::Netlink { pid: u32::from_le_bytes(*pid), groups: u32::from_le_bytes(*groups) })
}

/// `sun_path` (unix(7)): a path ends at its NUL, an abstract name begins with one
/// and may hold more, and an unnamed socket has none of either.
fn unix(path: &[u8]) -> Name {
    let (mut pathname, mut abstract_name) = (None, None);
    match path.split_first() {
        None => {}
        Some((0, name)) => abstract_name = Some(Text::new(name)),
        Some(_) => pathname = Some(Text::new(super::until_nul(path))),
    }
    Name::Unix { path: pathname, abstract_name }
}
