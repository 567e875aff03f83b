//! What a control message says, by its level and type.

use std::net::{Ipv4Addr, Ipv6Addr};

use tracer_common::flags::cmsg::{self, SOL_IP, SOL_IPV6, SOL_SOCKET, SOL_UDP};
use zerocopy::{FromBytes, Immutable, KnownLayout};

use crate::{
    decode::{errno, sockaddr},
    event::{Content, ExtendedError, Name, Note, Timespec, hex},
};

/// The data by their type; in hex where the type is not known or has another length.
pub fn decode(level: i32, kind: i32, data: &[u8]) -> (Content, Option<Note>) {
    let typed = match level {
        SOL_SOCKET => socket(kind, data),
        SOL_IP => ip(kind, data),
        SOL_IPV6 => ipv6(kind, data),
        SOL_UDP if kind == cmsg::UDP_GRO => {
            Some(number(data).map(|segment_size| Content::Segments { segment_size }))
        }
        _ => None,
    };
    let raw = || Content::Hex { hex: hex(data) };
    match typed {
        None => (raw(), None),
        Some(None) => (raw(), Some(Note::UnexpectedLength)),
        Some(Some(content)) => (content, None),
    }
}

/// The beginning of data of which there is no more: descriptors are of use all the
/// same.
pub fn beginning(level: i32, kind: i32, data: &[u8]) -> Content {
    if (level, kind) == (SOL_SOCKET, cmsg::SCM_RIGHTS) {
        Content::Fds { fds: fds(data) }
    } else {
        Content::Hex { hex: hex(data) }
    }
}

/// None where the type is not known, `Some(None)` where the length is not its own.
fn socket(kind: i32, data: &[u8]) -> Option<Option<Content>> {
    Some(match kind {
        cmsg::SCM_RIGHTS => data.len().is_multiple_of(4).then(|| Content::Fds { fds: fds(data) }),
        cmsg::SCM_CREDENTIALS => number(data).map(|[pid, uid, gid]: [[u8; 4]; 3]| {
            let (uid, gid) = (u32::from_le_bytes(uid), u32::from_le_bytes(gid));
            Content::Credentials { pid: i32::from_le_bytes(pid), uid, gid }
        }),
        cmsg::SCM_PIDFD => number(data).map(|pidfd| Content::Pidfd { pidfd }),
        cmsg::SO_TIMESTAMP | cmsg::SO_TIMESTAMP_NEW => {
            time(data).map(|Timespec { sec, nsec: usec }| Content::Microseconds { sec, usec })
        }
        cmsg::SO_TIMESTAMPNS | cmsg::SO_TIMESTAMPNS_NEW => time(data).map(Content::Nanoseconds),
        cmsg::SO_TIMESTAMPING | cmsg::SO_TIMESTAMPING_NEW => timestamps(data),
        cmsg::SO_RXQ_OVFL => number(data).map(|drops| Content::Drops { drops }),
        cmsg::SO_MARK => number(data).map(|mark| Content::Mark { mark }),
        cmsg::SO_PRIORITY => number(data).map(|priority| Content::Priority { priority }),
        _ => return None,
    })
}

fn ip(kind: i32, data: &[u8]) -> Option<Option<Content>> {
    Some(match kind {
        cmsg::IP_PKTINFO => {
            number(data).map(|[ifindex, spec_dst, addr]: [[u8; 4]; 3]| Content::PacketInfo {
                ifindex: i32::from_le_bytes(ifindex),
                spec_dst: Ipv4Addr::from(spec_dst),
                addr: Ipv4Addr::from(addr),
            })
        }
        cmsg::IP_TTL => number(data).map(|ttl| Content::Ttl { ttl }),
        cmsg::IP_TOS => number(data).map(|tos| Content::Tos { tos }),
        cmsg::IP_RECVERR => extended(data),
        cmsg::IP_ORIGDSTADDR => address(data).map(|addr| Content::Destination { addr }),
        _ => return None,
    })
}

fn ipv6(kind: i32, data: &[u8]) -> Option<Option<Content>> {
    Some(match kind {
        cmsg::IPV6_PKTINFO => number(data).map(|[a, b, c, d, ifindex]: [[u8; 4]; 5]| {
            let mut addr = [0; 16];
            addr.iter_mut().zip([a, b, c, d].as_flattened()).for_each(|(to, from)| *to = *from);
            Content::PacketInfo6 {
                ifindex: u32::from_le_bytes(ifindex),
                addr: Ipv6Addr::from(addr),
            }
        }),
        cmsg::IPV6_HOPLIMIT => number(data).map(|hoplimit| Content::HopLimit { hoplimit }),
        cmsg::IPV6_TCLASS => number(data).map(|tclass| Content::TrafficClass { tclass }),
        cmsg::IPV6_RECVERR => extended(data),
        cmsg::IPV6_ORIGDSTADDR => address(data).map(|addr| Content::Destination { addr }),
        _ => return None,
    })
}

/// Exactly a value's bytes: both architectures are little-endian.
fn number<T: FromBytes + KnownLayout + Immutable>(data: &[u8]) -> Option<T> {
    T::read_from_bytes(data).ok()
}

/// Descriptors, as many as are whole.
fn fds(data: &[u8]) -> Vec<i32> {
    data.as_chunks().0.iter().map(|fd| i32::from_le_bytes(*fd)).collect()
}

/// Two 64-bit fields, or two 32-bit ones for compat callers.
fn time(data: &[u8]) -> Option<Timespec> {
    if let Some([sec, nsec]) = number::<[i32; 2]>(data) {
        return Some(Timespec { sec: sec.into(), nsec: nsec.into() });
    }
    number(data).map(|[sec, nsec]: [i64; 2]| Timespec { sec, nsec })
}

/// `ts[3]`: software, unused, hardware; 0 where there is none.
fn timestamps(data: &[u8]) -> Option<Content> {
    let each = data.len() / 3;
    if !matches!(data.len(), 24 | 48) {
        return None;
    }
    let taken = |i: usize| {
        let time = data.chunks_exact(each).nth(i).and_then(time);
        time.filter(|time| (time.sec, time.nsec) != (0, 0))
    };
    Some(Content::Timestamps { software: taken(0), hardware: taken(2) })
}

/// `struct sock_extended_err` and the offender's address.
fn extended(data: &[u8]) -> Option<Content> {
    let (error, rest) = data.split_first_chunk::<4>()?;
    let ([origin, ee_type, ee_code, _], rest) = rest.split_first_chunk::<4>()?;
    let (info, rest) = rest.split_first_chunk::<4>()?;
    let (value, rest) = rest.split_first_chunk::<4>()?;
    let error = u32::from_le_bytes(*error);
    let origin_name = cmsg::origin_name(*origin);
    Some(Content::Extended(ExtendedError {
        error: (error != 0).then(|| errno(error.into())),
        origin: origin_name.map_or_else(|| origin.to_string().into(), Into::into),
        ee_type: *ee_type,
        ee_code: *ee_code,
        info: u32::from_le_bytes(*info),
        data: u32::from_le_bytes(*value),
        offender: address(rest),
    }))
}

/// A socket address; none where its family is AF_UNSPEC.
fn address(data: &[u8]) -> Option<Name> {
    let family = data.first_chunk::<2>()?;
    (*family != [0, 0]).then(|| sockaddr::decode(data, data.len()).0)
}
