//! A unix datagram socket, such as `/dev/log`: a line a datagram. Who is away is waited
//! for; what it had in its queue as it went is nobody's.

use std::{
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use rustix::{
    event::PollFlags,
    io::Errno,
    net::{AddressFamily, SendFlags, SocketAddrUnix, SocketType, connect, send},
};

use super::{Peer, StreamSocket, dial::opened, failed, framing::Framing};
use crate::{
    sink::{
        chunk::Chunk,
        transport::{Backoff, Delivery, Halt, Leash, Transport, nap, wait},
    },
    trust,
};

/// How long to wait for memory, which nothing tells of.
const MEMORY: Duration = Duration::from_millis(10);

/// The transport to a datagram socket.
pub struct Datagrams {
    spec: StreamSocket,
    framing: Framing,
    socket: Option<OwnedFd>,
    /// It was said that nobody is there.
    missed: bool,
    backoff: Backoff,
}

impl Datagrams {
    /// Connects later: that nobody is there yet is no error.
    pub fn new(spec: &StreamSocket) -> Self {
        let framing = Framing::new(spec.syslog.clone());
        Self {
            spec: spec.clone(),
            framing,
            socket: None,
            missed: false,
            backoff: Backoff::default(),
        }
    }

    /// Sends a datagram, once somebody takes it; whether it is not too long.
    fn send(&mut self, message: &[u8], leash: Option<&Leash<'_>>) -> Result<bool, Halt> {
        loop {
            match self.attempt(message, leash) {
                Err(Halt::Failed(error)) => {
                    self.socket = None;
                    if !std::mem::replace(&mut self.missed, true) {
                        log::warn!("{}: {error}; trying again until it is there", self.spec);
                    }
                    self.backoff.wait(leash)?;
                }
                other => return other,
            }
        }
    }

    /// The same; an error where nobody is there.
    fn attempt(&mut self, message: &[u8], leash: Option<&Leash<'_>>) -> Result<bool, Halt> {
        let socket = match &self.socket {
            Some(socket) => socket,
            None => self.socket.insert(connected(&self.spec.peer)?),
        };
        loop {
            match send(socket, message, SendFlags::NOSIGNAL) {
                Ok(_) => break,
                Err(Errno::INTR) => {}
                // Its queue is full.
                Err(Errno::AGAIN) => {
                    wait(Some((socket.as_fd(), PollFlags::OUT)), None, leash)?;
                }
                Err(Errno::NOBUFS | Errno::NOMEM) => nap(leash, MEMORY)?,
                Err(Errno::MSGSIZE) => return Ok(false),
                Err(error) => return Err(failed(error)),
            }
        }
        self.backoff.reset();
        if std::mem::take(&mut self.missed) {
            log::warn!("{}: connected", self.spec);
        }
        Ok(true)
    }
}

impl Transport for Datagrams {
    fn deliver(&mut self, chunk: &Chunk, leash: Option<&Leash<'_>>) -> Delivery {
        let (mut whole, mut refused, mut message) = (0, Vec::new(), Vec::new());
        for (bytes, line) in chunk.lines() {
            message.clear();
            self.framing.message(bytes, line, &mut message);
            match self.send(&message, leash) {
                Ok(true) => {}
                Ok(false) => refused.push(line.end),
                Err(halt) => return Delivery { whole, refused, result: Err(halt) },
            }
            if let Some(leash) = leash {
                leash.progress(line.end - whole);
            }
            whole = line.end;
        }
        Delivery { whole, refused, result: Ok(()) }
    }
}

fn connected(peer: &Peer) -> Result<OwnedFd, Halt> {
    let Peer::Unix(path) = peer else { return Err(Halt::because("no unix socket")) };
    trust::socket(path).map_err(Halt::Failed)?;
    let address = SocketAddrUnix::new(path).map_err(failed)?;
    let socket = opened(AddressFamily::UNIX, SocketType::DGRAM)?;
    connect(&socket, &address).map_err(failed)?;
    Ok(socket)
}
