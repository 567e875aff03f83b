//! Making a connection, so that the leash can end it.

use std::{
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use rustix::{
    event::{EventfdFlags, PollFlags, eventfd},
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with, sockopt},
};

use super::{Peer, failed};
use crate::{
    sink::transport::{Halt, Leash, wait},
    trust,
};

/// How long a connection may take to be made, and a name to be resolved.
pub const CONNECT: Duration = Duration::from_secs(10);

/// Connects to a peer.
pub fn dial(peer: &Peer, leash: Option<&Leash<'_>>) -> Result<OwnedFd, Halt> {
    match peer {
        Peer::Unix(path) => {
            trust::socket(path).map_err(Halt::Failed)?;
            let address = SocketAddrUnix::new(path).map_err(failed)?;
            let socket = opened(AddressFamily::UNIX, SocketType::STREAM)?;
            connect(&socket, &address).map_err(failed)?;
            Ok(socket)
        }
        Peer::Tcp { host, port } => {
            let mut last = Halt::because("the name has no address");
            for address in resolved(host, *port, leash)? {
                match tcp(&address, leash) {
                    Err(Halt::Failed(error)) => last = Halt::Failed(error),
                    other => return other,
                }
            }
            Err(last)
        }
    }
}

/// A socket that does not block.
pub fn opened(family: AddressFamily, kind: SocketType) -> Result<OwnedFd, Halt> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    socket_with(family, kind, flags, None).map_err(failed)
}

fn tcp(address: &SocketAddr, leash: Option<&Leash<'_>>) -> Result<OwnedFd, Halt> {
    let v6 = address.is_ipv6();
    let family = if v6 { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket = opened(family, SocketType::STREAM)?;
    match connect(&socket, address) {
        Err(Errno::INPROGRESS) => {
            if wait(Some((socket.as_fd(), PollFlags::OUT)), Some(CONNECT), leash)?.is_empty() {
                return Err(failed(Errno::TIMEDOUT));
            }
            sockopt::socket_error(&socket).and_then(|result| result).map_err(failed)?;
        }
        other => other.map_err(failed)?,
    }
    sockopt::set_socket_keepalive(&socket, true).map_err(failed)?;
    Ok(socket)
}

/// The addresses of a name. Resolving can't be told to give up, so that another thread does
/// it, which is left behind where it takes too long.
fn resolved(host: &str, port: u16, leash: Option<&Leash<'_>>) -> Result<Vec<SocketAddr>, Halt> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![(address, port).into()]);
    }
    let done = Arc::new(eventfd(0, EventfdFlags::CLOEXEC).map_err(failed)?);
    let found: Arc<Mutex<Option<io::Result<Vec<SocketAddr>>>>> = Arc::default();
    let (host, tell, put) = (host.to_owned(), Arc::clone(&done), Arc::clone(&found));
    let resolve = move || {
        let result = (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
        *put.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        // It has room for one.
        let _ = rustix::io::write(&*tell, &1u64.to_ne_bytes());
    };
    thread::Builder::new().name("tracer-name".to_owned()).spawn(resolve).map_err(Halt::Failed)?;
    wait(Some((done.as_fd(), PollFlags::IN)), Some(CONNECT), leash)?;
    let found = found.lock().unwrap_or_else(PoisonError::into_inner).take();
    found.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into())).map_err(Halt::Failed)
}
