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
    maps::Thread,
    mem::{self, Object, load, opaque, probe},
    task::Current,
};

const SECTION: u64 = size_of::<SectionHeader>() as u64;
const SOCKET: u64 = size_of::<Socket>() as u64;
const O_NONBLOCK: u32 = 0o4000;

/// The file that a descriptor of the current task stands for; 0 for none.
#[inline(always)]
pub fn file_of(current: Current, fd: u32) -> u64 {
    if config!(offsets.sock_size) == 0 {
        return 0;
    }
    let table = current.descriptors();
    if fd >= table.u32(config!(offsets.fdt_max)) {
        return 0;
    }
    let files = table.u64(config!(offsets.fdt_fd));
    Object::new(files.wrapping_add(u64::from(fd) * 8), config!(types.pointer)).read(0)
}

/// Appends the section to a record, `at` bytes from its start, `most` at most; its length,
/// 0 where the kernel's layout is not known.
///
/// # Safety
/// `thread` is the current thread's. `record` has room at `at`, and, where fields have to
/// be read by helper, for a `struct sock` behind that.
#[inline(never)]
pub unsafe fn append(record: *mut u8, thread: *mut Thread, at: u64, most: u64) -> u64 {
    if config!(offsets.sock_size) == 0 {
        return 0;
    }
    let at = opaque(at);
    if at > most {
        return 0;
    }
    // SAFETY: the caller vouches for both.
    unsafe {
        let header = record.add(at as usize).cast::<SectionHeader>();
        let to = record.add((at + SECTION) as usize).cast::<Socket>();
        mem::zero::<{ SOCKET as usize / 8 }>(to.cast());
        let file = file_of(Current::get(), (*thread).call.header.args[0] as u32);
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
            describe(file, to, to.cast::<u8>().add(MAX_SOCKET));
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
        let address = file;
        let file = Object::new(address, config!(types.file));
        let found: u64 = file.read(config!(offsets.file_private));
        let socket = Object::new(found, config!(types.socket));
        if found == 0 || socket.read::<u64>(config!(offsets.socket_file)) != address {
            (*to).flags = socket::NONE;
            return;
        }
        if file.read::<u32>(config!(offsets.file_flags)) & O_NONBLOCK != 0 {
            (*to).flags = socket::NONBLOCK;
        }
        (*to).kind = socket.read(config!(offsets.socket_type));
        (*to).inode = socket.read(config!(offsets.socket_ino));
        let sk: u64 = socket.read(config!(offsets.socket_sk));
        let Some(sock) = Sock::at(sk, copy) else { return };
        let family: u16 = sock.field(config!(offsets.sock_family));
        (*to).family = family;
        (*to).protocol = sock.field(config!(offsets.sock_protocol));
        (*to).cookie = sock.field(config!(offsets.sock_cookie));
        (*to).rcvtimeo = match sock.field(config!(offsets.sock_rcvtimeo)) {
            // MAX_SCHEDULE_TIMEOUT (include/linux/sched.h)
            i64::MAX => i64::MAX,
            _ if config!(offsets.tick_ns) == 0 => -1,
            ticks => ticks.wrapping_mul(config!(offsets.tick_ns).into()),
        };
        (*to).rcvbuf = sock.field(config!(offsets.sock_rcvbuf));
        (*to).rmem = sock.field(config!(offsets.sock_rmem));
        (*to).error = sock.field(config!(offsets.sock_err));
        let net = Object::new(sock.field(config!(offsets.sock_net)), config!(types.net));
        (*to).netns = net.read(config!(offsets.net_ns_inum));
        match family {
            AF_INET => {
                *(&raw mut (*to).local).cast::<u32>() = sock.field(config!(offsets.sock_saddr));
                *(&raw mut (*to).peer).cast::<u32>() = sock.field(config!(offsets.sock_daddr));
                ports(to, sock);
            }
            AF_INET6 => {
                *(&raw mut (*to).local).cast() = sock.words(config!(offsets.sock_saddr6));
                *(&raw mut (*to).peer).cast() = sock.words(config!(offsets.sock_daddr6));
                ports(to, sock);
            }
            AF_NETLINK => {
                let sk = Object::new(sk, config!(types.netlink));
                *(&raw mut (*to).local).cast::<u32>() = sk.read(config!(offsets.netlink_portid));
                *(&raw mut (*to).peer).cast::<u32>() = sk.read(config!(offsets.netlink_dst));
            }
            AF_UNIX => {
                let sk = Object::new(sk, config!(types.unix));
                let name = to.cast::<u8>().add(SOCKET as usize);
                let len = unix_name(sk, name);
                (*to).local_len = len as u16;
                let peer: u64 = sk.read(config!(offsets.unix_peer));
                if peer != 0 {
                    let at = opaque(len + 7 & !7);
                    if at <= MAX_UNIX_NAME as u64 {
                        let peer = Object::new(peer, config!(types.unix));
                        let len = unix_name(peer, name.add(at as usize));
                        (*to).peer_len = len as u16;
                    }
                }
            }
            _ => {}
        }
    }
}

/// # Safety
/// `to` is writable.
#[inline(always)]
unsafe fn ports(to: *mut Socket, sock: Sock) {
    // SAFETY: the caller vouches for both.
    unsafe {
        (*to).local_port = sock.field(config!(offsets.sock_num));
        (*to).peer_port = u16::from_be(sock.field(config!(offsets.sock_dport)));
    }
}

/// Copies the name of an AF_UNIX socket, without its family; its length.
///
/// # Safety
/// `to` has room for a name.
#[inline(always)]
unsafe fn unix_name(sk: Object, to: *mut u8) -> u64 {
    let address: u64 = sk.read(config!(offsets.unix_addr));
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

/// A `struct sock`: itself, or a copy where each field would take a helper to read.
#[derive(Clone, Copy)]
struct Sock(*const u8);

impl Sock {
    /// The one at an address; none where it can't be read.
    ///
    /// # Safety
    /// `copy` is writable for [`MAX_SOCK`] bytes, where it is needed.
    #[inline(always)]
    unsafe fn at(address: u64, copy: *mut u8) -> Option<Self> {
        if config!(casts) != 0 {
            return Some(Self(Object::new(address, config!(types.sock)).typed()));
        }
        // SAFETY: the caller vouches for `copy`.
        let read =
            unsafe { mem::read_kernel(copy, config!(offsets.sock_size), address as *const u8) };
        read.then_some(Self(copy))
    }

    /// A field; 0 where the copy does not go that far.
    #[inline(always)]
    fn field<T: Copy + Default>(self, offset: u32) -> T {
        if config!(casts) != 0 {
            return load(self.0, offset);
        }
        if offset as usize > MAX_SOCK - 16 {
            return T::default();
        }
        // SAFETY: within the copy.
        unsafe { self.0.add(offset as usize).cast::<T>().read_unaligned() }
    }

    /// Sixteen bytes.
    #[inline(always)]
    fn words(self, offset: u32) -> [u64; 2] {
        [self.field(offset), self.field(offset + 8)]
    }
}
