//! Sockets to receive on, and senders that other scenarios' messages come from.

use std::fs;
use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::watch::until;

/// `include/uapi/asm-generic/socket.h`
const SO_MEMINFO: i32 = 55;

/// Senders behind one receiver, so that messages of one call differ in their names.
const SENDERS: usize = 3;

/// A UDP receiver on loopback and its senders.
pub struct Udp {
    /// The receiver.
    pub receiver: UdpSocket,
    senders: Vec<UdpSocket>,
}

impl Udp {
    /// Over IPv4.
    pub fn v4() -> Self {
        Self::on("127.0.0.1:0")
    }

    /// Over IPv6.
    pub fn v6() -> Self {
        Self::on("[::1]:0")
    }

    fn on(addr: &str) -> Self {
        let bind = || UdpSocket::bind(addr).unwrap_or_else(|error| panic!("{addr}: {error}"));
        Self { receiver: bind(), senders: (0..SENDERS).map(|_| bind()).collect() }
    }

    /// The receiver's descriptor.
    pub fn fd(&self) -> i32 {
        self.receiver.as_raw_fd()
    }

    /// Makes room for thousands of small datagrams.
    pub fn deepen(&self) {
        let size: i32 = 16 << 20;
        for option in [libc::SO_RCVBUFFORCE, libc::SO_RCVBUF] {
            if set_option(self.fd(), option, size).is_ok() {
                return;
            }
        }
        panic!("SO_RCVBUF: {}", io::Error::last_os_error());
    }

    /// Sends datagram `i`, whose length and sender follow from `i`.
    pub fn send(&self, i: usize) {
        let to = self.receiver.local_addr().expect("the receiver's address");
        let sent = self.senders[i % SENDERS].send_to(&payload(i), to);
        assert_eq!(sent.expect("a datagram can be sent"), payload(i).len());
    }

    /// Sends datagram `i` and waits until it lies in the receiver's queue: a busy kernel
    /// delivers later than it sends, on loopback too.
    pub fn queue(&self, i: usize) {
        let before = queued_bytes(self.fd());
        self.send(i);
        until("the datagram is delivered", || (queued_bytes(self.fd()) > before).then_some(()));
    }

    /// The senders.
    pub fn senders(&self) -> &[UdpSocket] {
        &self.senders
    }

    /// Sends these bytes and waits until they lie in the receiver's queue.
    pub fn queue_bytes(&self, bytes: &[u8]) {
        let before = queued_bytes(self.fd());
        let to = self.receiver.local_addr().expect("the receiver's address");
        let sent = self.senders[0].send_to(bytes, to);
        assert_eq!(sent.expect("a datagram can be sent"), bytes.len());
        until("the datagram is delivered", || (queued_bytes(self.fd()) > before).then_some(()));
    }

    /// Queues datagrams 0 to `count`.
    pub fn send_all(&self, count: usize) {
        (0..count).for_each(|i| self.queue(i));
    }

    /// Holds the truth about a call against what was sent, from datagram 0 on.
    pub fn check(&self, truth: &Value) {
        let messages = truth["messages"].as_array().cloned().unwrap_or_default();
        for (i, message) in messages.iter().enumerate() {
            let from = self.senders[i % SENDERS].local_addr().expect("a sender's address");
            assert_eq!(message["len"], json!(payload(i).len()), "message {i} of {truth}");
            assert_eq!(message["name"]["port"], json!(from.port()), "message {i} of {truth}");
            assert_eq!(message["name"]["ip"], json!(from.ip().to_string()), "message {i}");
        }
    }
}

/// The content of datagram `i`.
pub fn payload(i: usize) -> Vec<u8> {
    vec![b'a' + (i % 26) as u8; 1 + i % 61]
}

/// Sets an integer option of SOL_SOCKET.
pub fn set_option(fd: i32, option: i32, value: i32) -> io::Result<()> {
    set_level(fd, libc::SOL_SOCKET, option, value)
}

/// Sets an integer option of any level.
pub fn set_level(fd: i32, level: i32, option: i32, value: i32) -> io::Result<()> {
    let len = size_of_val(&value) as libc::socklen_t;
    // SAFETY: the kernel reads `len` bytes of a live integer.
    let result = unsafe { libc::setsockopt(fd, level, option, (&raw const value).cast(), len) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Memory that a socket's queue of received datagrams takes.
fn queued_bytes(fd: i32) -> u32 {
    // SK_MEMINFO_RMEM_ALLOC
    meminfo(fd)[0]
}

/// Datagrams that a socket has dropped.
pub fn dropped(fd: i32) -> u32 {
    // SK_MEMINFO_DROPS
    meminfo(fd)[8]
}

fn meminfo(fd: i32) -> [u32; 9] {
    let mut info = [0u32; 9];
    let mut len = size_of_val(&info) as libc::socklen_t;
    // SAFETY: the kernel writes `len` bytes at most.
    let result = unsafe {
        libc::getsockopt(fd, libc::SOL_SOCKET, SO_MEMINFO, info.as_mut_ptr().cast(), &mut len)
    };
    assert_eq!(result, 0, "SO_MEMINFO: {}", io::Error::last_os_error());
    info
}

/// A folder for sockets with names, removed at the end.
pub struct Folder(PathBuf);

impl Folder {
    /// A new one, with a short path.
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("wl{}", std::process::id()));
        fs::create_dir_all(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self(path)
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A path in it that fills `sun_path` to its last byte.
    pub fn longest(&self) -> PathBuf {
        let own = self.0.as_os_str().len() + 1;
        self.0.join("x".repeat(108 - own))
    }
}

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left behind in the temporary folder harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// An AF_UNIX datagram socket bound to a path, which std would want to be shorter
/// than `sun_path`.
pub fn unix_at(path: &Path) -> UnixDatagram {
    let socket = UnixDatagram::unbound().expect("a socket");
    // SAFETY: all zero is a valid address.
    let mut addr: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    addr.sun_family = libc::AF_UNIX as u16;
    for (to, from) in addr.sun_path.iter_mut().zip(path.as_os_str().as_bytes()) {
        *to = *from as libc::c_char;
    }
    let len = size_of_val(&addr) as libc::socklen_t;
    // SAFETY: the kernel reads the address, as long as told.
    let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const addr).cast(), len) };
    assert_eq!(bound, 0, "{}: {}", path.display(), io::Error::last_os_error());
    socket
}

/// An AF_UNIX datagram socket bound to an abstract name.
pub fn unix_abstract(name: &[u8]) -> UnixDatagram {
    let addr = SocketAddr::from_abstract_name(name).expect("an abstract name");
    UnixDatagram::bind_addr(&addr).expect("an abstract name can be bound")
}

/// A netlink socket, bound to a port of the kernel's choice and to groups.
pub fn netlink(protocol: i32, groups: u32) -> (OwnedFd, u32) {
    // SAFETY: no memory is passed.
    let fd =
        unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, protocol) };
    assert!(fd >= 0, "netlink {protocol}: {}", io::Error::last_os_error());
    // SAFETY: the descriptor is new and ours.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let mut addr = netlink_addr(0, groups);
    let mut len = size_of_val(&addr) as libc::socklen_t;
    // SAFETY: the address is as long as told.
    let bound = unsafe { libc::bind(fd.as_raw_fd(), (&raw const addr).cast(), len) };
    assert_eq!(bound, 0, "bind: {}", io::Error::last_os_error());
    // SAFETY: the kernel writes at most `len` bytes.
    let named = unsafe { libc::getsockname(fd.as_raw_fd(), (&raw mut addr).cast(), &mut len) };
    assert_eq!(named, 0, "getsockname: {}", io::Error::last_os_error());
    (fd, addr.nl_pid)
}

/// Sends bytes to a netlink port and groups.
pub fn netlink_send(fd: &OwnedFd, bytes: &[u8], port: u32, groups: u32) {
    let addr = netlink_addr(port, groups);
    let len = size_of_val(&addr) as libc::socklen_t;
    // SAFETY: the kernel reads the bytes and the address, both as long as told.
    let sent = unsafe {
        let bytes_ptr = bytes.as_ptr().cast();
        libc::sendto(fd.as_raw_fd(), bytes_ptr, bytes.len(), 0, (&raw const addr).cast(), len)
    };
    let error = io::Error::last_os_error();
    // After a delivery to a group the kernel also tries the port, and says if nobody
    // has it.
    let delivered = groups != 0 && error.raw_os_error() == Some(libc::ECONNREFUSED);
    assert!(sent == bytes.len() as isize || delivered, "sendto: {error}");
}

fn netlink_addr(port: u32, groups: u32) -> libc::sockaddr_nl {
    // SAFETY: all zero is a valid address.
    let mut addr: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
    addr.nl_family = libc::AF_NETLINK as u16;
    addr.nl_pid = port;
    addr.nl_groups = groups;
    addr
}
