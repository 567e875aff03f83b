//! What the kernel says of a socket to the process that has it.

use std::mem::{size_of, zeroed};

use libc::{c_int, socklen_t};
use serde_json::{Value, json};

use super::truth::{absent, if_present, interval, name};

/// The truth about `socket` and what must be said to be missing of it, for a call on this
/// descriptor that has returned.
pub fn socket(fd: c_int) -> (Value, Value) {
    // SAFETY: a structure of integers, filled in by the call.
    let (found, stat) = unsafe {
        let mut stat: libc::stat = zeroed();
        (libc::fstat(fd, &mut stat) == 0, stat)
    };
    if !found {
        return (absent(), json!({}));
    }
    if stat.st_mode & libc::S_IFMT != libc::S_IFSOCK {
        return (Value::Null, json!({"socket": "not_a_socket"}));
    }
    let number = |option| option_of::<c_int>(fd, option);
    let (family, kind, protocol) =
        (number(libc::SO_DOMAIN), number(libc::SO_TYPE), number(libc::SO_PROTOCOL));
    let timeout = option_of::<libc::timeval>(fd, libc::SO_RCVTIMEO);
    let timeout = match (timeout.tv_sec, timeout.tv_usec) {
        (0, 0) => Value::Null,
        // The kernel tells whole microseconds.
        (sec, usec) => json!({"sec": sec, "nsec": interval(usec * 1000, usec * 1000 + 999)}),
    };
    // SAFETY: integers only.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    let truth = json!({
        "family": family_name(family),
        "type": match kind {
            libc::SOCK_STREAM => "SOCK_STREAM",
            libc::SOCK_DGRAM => "SOCK_DGRAM",
            libc::SOCK_RAW => "SOCK_RAW",
            libc::SOCK_SEQPACKET => "SOCK_SEQPACKET",
            other => panic!("no scenario has sockets of type {other}"),
        },
        "protocol": match (family, protocol) {
            (libc::AF_INET | libc::AF_INET6, libc::IPPROTO_UDP) => "UDP".to_owned(),
            (libc::AF_INET | libc::AF_INET6, libc::IPPROTO_TCP) => "TCP".to_owned(),
            (libc::AF_NETLINK, libc::NETLINK_ROUTE) => "NETLINK_ROUTE".to_owned(),
            (libc::AF_NETLINK, libc::NETLINK_USERSOCK) => "NETLINK_USERSOCK".to_owned(),
            (_, number) => number.to_string(),
        },
        "local": address(fd, libc::getsockname),
        "peer": address(fd, libc::getpeername),
        "inode": stat.st_ino,
        // Nobody may have asked for one before the call.
        "cookie": if_present(json!(option_of::<u64>(fd, libc::SO_COOKIE))),
        "netns": std::fs::metadata("/proc/self/ns/net").map_or(Value::Null, |ns| {
            json!(std::os::unix::fs::MetadataExt::ino(&ns))
        }),
        "rcvbuf": number(libc::SO_RCVBUF),
        "rcvtimeo": timeout,
        "nonblocking": flags & libc::O_NONBLOCK != 0,
    });
    (truth, json!({}))
}

fn family_name(family: c_int) -> &'static str {
    match family {
        libc::AF_INET => "AF_INET",
        libc::AF_INET6 => "AF_INET6",
        libc::AF_UNIX => "AF_UNIX",
        libc::AF_NETLINK => "AF_NETLINK",
        libc::AF_PACKET => "AF_PACKET",
        libc::AF_VSOCK => "AF_VSOCK",
        other => panic!("no scenario has sockets of family {other}"),
    }
}

fn option_of<T>(fd: c_int, option: c_int) -> T {
    let mut len = socklen_t::try_from(size_of::<T>()).expect("a short type");
    // SAFETY: T is made of integers, and the kernel writes no more than `len` bytes.
    unsafe {
        let mut value: T = zeroed();
        let result =
            libc::getsockopt(fd, libc::SOL_SOCKET, option, (&raw mut value).cast(), &mut len);
        assert_eq!(result, 0, "option {option}: {}", std::io::Error::last_os_error());
        value
    }
}

/// A call that tells an address.
type Tell = unsafe extern "C" fn(c_int, *mut libc::sockaddr, *mut socklen_t) -> c_int;

/// The address in the shape of `socket.local`; null for none.
fn address(fd: c_int, tell: Tell) -> Value {
    let mut bytes = [0u8; size_of::<libc::sockaddr_storage>()];
    let mut len = socklen_t::try_from(bytes.len()).expect("a short buffer");
    // SAFETY: a buffer of `len` bytes.
    if unsafe { tell(fd, bytes.as_mut_ptr().cast(), &mut len) } != 0 {
        return Value::Null;
    }
    // A local socket without a name tells its family alone.
    if len <= 2 {
        return Value::Null;
    }
    let len = len.into();
    let family = libc::c_int::from(u16::from_ne_bytes([bytes[0], bytes[1]]));
    if matches!(family, libc::AF_PACKET | libc::AF_VSOCK) {
        return Value::Null;
    }
    let mut told = name(Some(&bytes[..usize::try_from(len).expect("short")]), len, len);
    let fields = told.as_object_mut().expect("an address");
    let unbound = fields.get("port") == Some(&json!(0))
        && fields.get("ip").is_some_and(|ip| ip == "0.0.0.0" || ip == "::");
    for field in ["family", "flowinfo", "scope_id", "groups"] {
        fields.remove(field);
    }
    if unbound { Value::Null } else { told }
}
