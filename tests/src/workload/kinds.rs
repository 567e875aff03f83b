//! Sockets of every kind, in every state that shows.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixStream};
use std::time::Duration;

use super::Context;
use super::batch::Batch;
use super::call::Call;
use super::entry::Entry::Native;

/// One call on each socket, which finds nothing.
pub fn kinds(context: &Context) {
    let tell = |socket: &dyn AsRawFd| {
        let batch = Batch::new(false, 2);
        context.tell(&Call::new(Native, socket.as_raw_fd(), &batch).make());
    };
    let udp = |address: &str| UdpSocket::bind(address).expect("loopback");

    // Bound and not, connected, with every option that is shown.
    let one = udp("127.0.0.1:0");
    one.set_read_timeout(Some(Duration::from_millis(1500))).expect("SO_RCVTIMEO");
    one.set_nonblocking(true).expect("O_NONBLOCK");
    set_rcvbuf(&one, 100_000);
    tell(&one);
    let other = udp("127.0.0.1:0");
    other.connect(one.local_addr().expect("an address")).expect("a connected socket");
    tell(&other);
    tell(&new(libc::AF_INET, libc::SOCK_DGRAM, 0).expect("a socket"));
    tell(&udp("0.0.0.0:0"));
    let six = udp("[::1]:0");
    tell(&six);
    tell(&udp("[::]:0"));
    // IPv4 through IPv6 is shown as such.
    let both = udp("[::]:0");
    both.connect(format!("[::ffff:127.0.0.1]:{}", one.local_addr().expect("an address").port()))
        .expect("a connected socket");
    tell(&both);

    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    tell(&listener);
    let stream = TcpStream::connect(listener.local_addr().expect("an address")).expect("a peer");
    tell(&stream);

    let (pair, _other) = UnixStream::pair().expect("a pair");
    tell(&pair);
    let name = |text: &[u8]| SocketAddr::from_abstract_name(text).expect("a name");
    let server = name(format!("kinds-{}", std::process::id()).as_bytes());
    let bound = UnixDatagram::bind_addr(&server).expect("an abstract name");
    tell(&bound);
    let client = UnixDatagram::unbound().expect("a socket");
    client.connect_addr(&server).expect("a connected socket");
    tell(&client);

    // Kinds of which family, type and protocol are shown; not every kernel has them.
    for (family, kind, protocol) in
        [(libc::AF_PACKET, libc::SOCK_DGRAM, 0x0300), (libc::AF_VSOCK, libc::SOCK_STREAM, 0)]
    {
        if let Some(socket) = new(family, kind, protocol) {
            tell(&socket);
        }
    }
}

fn new(family: libc::c_int, kind: libc::c_int, protocol: libc::c_int) -> Option<OwnedFd> {
    // SAFETY: integers only.
    let fd = unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) };
    // SAFETY: a descriptor that was just opened and is nobody else's.
    (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
}

fn set_rcvbuf(socket: &UdpSocket, bytes: libc::c_int) {
    // SAFETY: an integer that lives through the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVBUF,
            (&raw const bytes).cast(),
            size_of::<libc::c_int>() as u32,
        )
    };
    assert_eq!(result, 0, "SO_RCVBUF: {}", std::io::Error::last_os_error());
}
