//! The socket that the call's first argument stands for.
//!
//! From the descriptor to the file (`task->files->fdt->fd[n]`), from there to the
//! socket, and what lies in its `struct sock`, which is copied whole. A file that is no
//! socket has something else where a socket would point back at it.

use core::ptr::read_volatile;

use tracer_common::{
    config::MAX_SOCK,
    flags::{AF_INET, AF_INET6, AF_NETLINK, AF_UNIX},
    record::{
        MAX_SOCKET, MAX_UNIX_NAME, SectionHeader, SectionKind, Socket, Status, flags, socket,
    },
};

use crate::{
    config::config,
    emit::limit,
    maps::{Scratch, Thread},
    mem::{self, opaque, probe},
    task::Current,
};

const SECTION: u64 = size_of::<SectionHeader>() as u64;
const SOCKET: u64 = size_of::<Socket>() as u64;
const O_NONBLOCK: u32 = 0o4000;

/// The file that a descriptor of the current task stands for; 0 for none.
#[inline(always)]
pub fn file_of(fd: u32) -> u64 {
    if config!(offsets.sock_size) == 0 {
        return 0;
    }
    let table = Current::get().descriptors();
    if fd >= table.u32(config!(offsets.fdt_max)) {
        return 0;
    }
    let files = table.u64(config!(offsets.fdt_fd));
    probe(files.wrapping_add(u64::from(fd) * 8) as *const u8, 0)
}

/// Appends the section to the record in `scratch`, `at` bytes from its start; its
/// length, 0 where the kernel's layout is not known.
///
/// # Safety
/// `scratch` and `thread` are the current thread's.
#[inline(never)]
pub unsafe fn append(scratch: *mut Scratch, thread: *mut Thread, at: u64) -> u64 {
    if config!(offsets.sock_size) == 0 {
        return 0;
    }
    let at = opaque(at);
    if at > limit() {
        return 0;
    }
    // SAFETY: the caller vouches for both; what is written ends before the room that a
    // path would take.
    unsafe {
        let record: *mut u8 = (&raw mut (*scratch).record).cast();
        let header = record.add(at as usize).cast::<SectionHeader>();
        let to = record.add((at + SECTION) as usize).cast::<Socket>();
        *to = Socket {
            inode: 0,
            cookie: 0,
            rcvtimeo: 0,
            local: [0; 16],
            peer: [0; 16],
            netns: 0,
            rcvbuf: 0,
            rmem: 0,
            error: 0,
            family: 0,
            kind: 0,
            protocol: 0,
            local_port: 0,
            peer_port: 0,
            local_len: 0,
            peer_len: 0,
            flags: 0,
        };
        let file = file_of((*thread).call.header.args[0] as u32);
        let before = (*thread).file;
        let status = if (*thread).call.header.flags & flags::ARGS_FAULTED != 0 {
            Status::Faulted
        } else if (*thread).call.header.flags & flags::NO_RETURN != 0 {
            // Its end was not seen, and by now the descriptor may be another's.
            Status::NotCaptured
        } else if file == 0 {
            Status::Absent
        } else if before != 0 && before != file {
            Status::NotCaptured
        } else {
            describe(file, to, record.add((at + SECTION) as usize + MAX_SOCKET));
            Status::Read
        };
        (*header).kind = SectionKind::Socket as u16;
        (*header).status = status as u8;
        (*header).version = 1;
        (*header).count = 1;
        let names = read_volatile(&raw const (*to).local_len) + 7 & !7;
        let names = u64::from(names) + u64::from(read_volatile(&raw const (*to).peer_len) + 7 & !7);
        let mut len = opaque(SOCKET + names);
        if len > MAX_SOCKET as u64 {
            len = SOCKET;
        }
        (*header).len = len as u32;
        (*header).full = len as u32;
        SECTION + len
    }
}

/// Fills in what can be known of a file. `copy` has room for a `struct sock`.
///
/// # Safety
/// Both pointers are writable.
#[inline(always)]
unsafe fn describe(file: u64, to: *mut Socket, copy: *mut u8) {
    // SAFETY: the caller vouches for both; every offset lies in the structure.
    unsafe {
        let file = file as *const u8;
        let found: u64 = probe(file, config!(offsets.file_private));
        let socket = found as *const u8;
        if found == 0 || probe::<u64>(socket, config!(offsets.socket_file)) != file as u64 {
            (*to).flags = socket::NONE;
            return;
        }
        if probe::<u32>(file, config!(offsets.file_flags)) & O_NONBLOCK != 0 {
            (*to).flags = socket::NONBLOCK;
        }
        (*to).kind = probe(socket, config!(offsets.socket_type));
        (*to).inode = probe(socket, config!(offsets.socket_ino));
        let sk: u64 = probe(socket, config!(offsets.socket_sk));
        if !mem::read_kernel(copy, config!(offsets.sock_size), sk as *const u8) {
            return;
        }
        let family: u16 = field(copy, config!(offsets.sock_family));
        (*to).family = family;
        (*to).protocol = field(copy, config!(offsets.sock_protocol));
        (*to).cookie = field(copy, config!(offsets.sock_cookie));
        (*to).rcvtimeo = match field(copy, config!(offsets.sock_rcvtimeo)) {
            // MAX_SCHEDULE_TIMEOUT (include/linux/sched.h)
            i64::MAX => i64::MAX,
            _ if config!(offsets.tick_ns) == 0 => -1,
            ticks => ticks.wrapping_mul(config!(offsets.tick_ns).into()),
        };
        (*to).rcvbuf = field(copy, config!(offsets.sock_rcvbuf));
        (*to).rmem = field(copy, config!(offsets.sock_rmem));
        (*to).error = field(copy, config!(offsets.sock_err));
        let net: u64 = field(copy, config!(offsets.sock_net));
        (*to).netns = probe(net as *const u8, config!(offsets.net_ns_inum));
        let sk = sk as *const u8;
        match family {
            AF_INET => {
                *(&raw mut (*to).local).cast::<u32>() = field(copy, config!(offsets.sock_saddr));
                *(&raw mut (*to).peer).cast::<u32>() = field(copy, config!(offsets.sock_daddr));
                ports(to, copy);
            }
            AF_INET6 => {
                *(&raw mut (*to).local).cast::<[u64; 2]>() =
                    field(copy, config!(offsets.sock_saddr6));
                *(&raw mut (*to).peer).cast::<[u64; 2]>() =
                    field(copy, config!(offsets.sock_daddr6));
                ports(to, copy);
            }
            AF_NETLINK => {
                *(&raw mut (*to).local).cast::<u32>() = probe(sk, config!(offsets.netlink_portid));
                *(&raw mut (*to).peer).cast::<u32>() = probe(sk, config!(offsets.netlink_dst));
            }
            AF_UNIX => {
                let name = to.cast::<u8>().add(SOCKET as usize);
                let len = unix_name(sk, name);
                (*to).local_len = len as u16;
                let peer: u64 = probe(sk, config!(offsets.unix_peer));
                if peer != 0 {
                    let at = opaque(len + 7 & !7);
                    if at <= MAX_UNIX_NAME as u64 {
                        let len = unix_name(peer as *const u8, name.add(at as usize));
                        (*to).peer_len = len as u16;
                    }
                }
            }
            _ => {}
        }
    }
}

/// # Safety
/// `to` is writable, `copy` holds a `struct sock`.
#[inline(always)]
unsafe fn ports(to: *mut Socket, copy: *mut u8) {
    // SAFETY: the caller vouches for both.
    unsafe {
        (*to).local_port = field(copy, config!(offsets.sock_num));
        (*to).peer_port = u16::from_be(field(copy, config!(offsets.sock_dport)));
    }
}

/// Copies the name of an AF_UNIX socket, without its family; its length.
///
/// # Safety
/// `to` has room for a name.
#[inline(always)]
unsafe fn unix_name(sk: *const u8, to: *mut u8) -> u64 {
    let address: u64 = probe(sk, config!(offsets.unix_addr));
    if address == 0 {
        return 0;
    }
    let address = address as *const u8;
    let len: u32 = probe(address, config!(offsets.unix_len));
    let len = opaque(u64::from(len).wrapping_sub(2));
    if len == 0 || len > MAX_UNIX_NAME as u64 {
        return 0;
    }
    let name = address.wrapping_add(config!(offsets.unix_name) as usize);
    // SAFETY: the caller vouches for `to`.
    if unsafe { mem::read_kernel(to, len as u32, name) } { len } else { 0 }
}

/// A value in the copy of a `struct sock`; 0 where the structure is longer than that.
///
/// # Safety
/// `copy` is readable for [`MAX_SOCK`] bytes.
#[inline(always)]
unsafe fn field<T: Copy + Default>(copy: *const u8, offset: u32) -> T {
    if offset as usize > MAX_SOCK - 16 {
        return T::default();
    }
    // SAFETY: the caller vouches for `copy`.
    unsafe { copy.add(offset as usize).cast::<T>().read_unaligned() }
}
