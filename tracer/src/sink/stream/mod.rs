//! A unix or TCP stream that lines are sent to. Who is away is waited for, and what may
//! not have arrived is sent again.

mod spec;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    io::{self, Write},
    net::ToSocketAddrs,
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

use rustix::{
    event::PollFlags,
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendFlags, Shutdown, SocketAddrUnix, SocketFlags, SocketType,
        connect, recv, send, shutdown, socket_with, sockopt,
    },
};

use super::{
    chunk::Chunk,
    transport::{Backoff, Delivery, Halt, Leash, Transport, wait},
};
pub use spec::{Peer, StreamSocket, Syslog};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);
/// How long the peer may take to close its end after ours.
const CLOSE: Duration = Duration::from_secs(1);

/// The transport to a stream socket.
pub struct Stream {
    spec: StreamSocket,
    hostname: String,
    socket: Option<OwnedFd>,
    /// What was sent last, in whole lines.
    window: VecDeque<Vec<u8>>,
    /// Its bytes.
    kept: usize,
    /// It was said that nobody is there.
    missed: bool,
    /// A connection broke since it last took a chunk: the next one is not made at once.
    late: bool,
    backoff: Backoff,
}

impl Stream {
    /// Connects later: that nobody is there yet is no error.
    pub fn new(spec: &StreamSocket) -> Self {
        let name = rustix::system::uname();
        let name = name.nodename().to_str().unwrap_or("-");
        let fits = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
        Self {
            spec: spec.clone(),
            hostname: if fits { name.to_owned() } else { "-".to_owned() },
            socket: None,
            window: VecDeque::new(),
            kept: 0,
            missed: false,
            late: false,
            backoff: Backoff::default(),
        }
    }

    /// The lines as they are sent; where each ends there, and in the chunk.
    fn framed(&self, chunk: &Chunk) -> (Vec<u8>, Vec<(usize, usize)>) {
        let Some(syslog) = &self.spec.syslog else {
            return (chunk.bytes.clone(), chunk.ends().iter().map(|l| (l.end, l.end)).collect());
        };
        let (mut out, mut ends) = (Vec::with_capacity(chunk.bytes.len() * 5 / 4), Vec::new());
        let (app, host, pid) = (&syslog.app, &self.hostname, std::process::id());
        let now = jiff::Timestamp::now();
        for (bytes, line) in chunk.lines() {
            let (severity, id) = if line.caller.is_some() { (6, "event") } else { (5, "health") };
            let priority = u32::from(syslog.facility) * 8 + severity;
            let header = format!("<{priority}>1 {now:.6} {host} {app} {pid} {id} - ");
            let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
            // To a vector, which takes all.
            let _ = write!(out, "{} {header}", header.len() + text.len());
            out.extend_from_slice(text);
            ends.push((out.len(), line.end));
        }
        (out, ends)
    }

    /// Connects, until somebody is there; then sends again what may not have arrived.
    fn connected(&mut self, leash: Option<&Leash<'_>>) -> Result<(), Halt> {
        while self.socket.is_none() {
            if std::mem::replace(&mut self.late, true) {
                self.backoff.wait(leash)?;
            }
            match self.dial(leash).and_then(|socket| {
                for part in &self.window {
                    write(&socket, part, &mut 0, leash)?;
                }
                Ok(socket)
            }) {
                Ok(socket) => self.socket = Some(socket),
                Err(Halt::Quit) => return Err(Halt::Quit),
                Err(Halt::Failed(error)) => {
                    if !std::mem::replace(&mut self.missed, true) {
                        log::warn!("{}: {error}; trying again until it is there", self.spec);
                    }
                }
            }
        }
        if std::mem::take(&mut self.missed) {
            log::warn!("{}: connected", self.spec);
        }
        Ok(())
    }

    /// Makes a connection. Resolving a name takes as long as it takes.
    fn dial(&self, leash: Option<&Leash<'_>>) -> Result<OwnedFd, Halt> {
        match &self.spec.peer {
            Peer::Unix(path) => {
                let address = SocketAddrUnix::new(path).map_err(failed)?;
                let socket = opened(AddressFamily::UNIX)?;
                connect(&socket, &address).map_err(failed)?;
                Ok(socket)
            }
            Peer::Tcp { host, port } => {
                let mut last = Halt::because("the name has no address");
                let found = (host.as_str(), *port).to_socket_addrs().map_err(Halt::Failed)?;
                for address in found {
                    let v6 = address.is_ipv6();
                    let family = if v6 { AddressFamily::INET6 } else { AddressFamily::INET };
                    let socket = opened(family)?;
                    let made = match connect(&socket, &address) {
                        Err(Errno::INPROGRESS) => {
                            let out = Some((socket.as_fd(), PollFlags::OUT));
                            wait(out, Some(CONNECT), leash).and_then(|came| {
                                if came.is_empty() {
                                    return Err(failed(Errno::TIMEDOUT));
                                }
                                match sockopt::socket_error(&socket) {
                                    Ok(Ok(())) => Ok(()),
                                    Ok(Err(error)) | Err(error) => Err(failed(error)),
                                }
                            })
                        }
                        other => other.map_err(failed),
                    };
                    match made {
                        Ok(()) => {
                            sockopt::set_socket_keepalive(&socket, true).map_err(failed)?;
                            return Ok(socket);
                        }
                        Err(Halt::Quit) => return Err(Halt::Quit),
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
        }
    }

    /// The connection is of no use any more.
    fn broken(&mut self, error: &io::Error) {
        self.socket = None;
        self.late = true;
        if !std::mem::replace(&mut self.missed, true) {
            log::warn!("{}: {error}; connecting again", self.spec);
        }
    }

    fn keep(&mut self, sent: Vec<u8>) {
        self.kept += sent.len();
        self.window.push_back(sent);
        let most = usize::try_from(self.spec.resend).unwrap_or(usize::MAX);
        while let Some(first) = self.window.front()
            && self.kept - first.len() >= most
        {
            self.kept -= first.len();
            self.window.pop_front();
        }
    }
}

impl Transport for Stream {
    fn deliver(&mut self, chunk: &Chunk, leash: Option<&Leash<'_>>) -> Delivery {
        let (out, ends) = self.framed(chunk);
        let (mut sent, mut furthest) = (0, 0);
        loop {
            let result = self.connected(leash).and_then(|()| match &self.socket {
                Some(socket) => write(socket, &out, &mut sent, leash),
                None => Err(Halt::because("not connected")),
            });
            furthest = furthest.max(sent);
            match result {
                Ok(()) => break,
                Err(Halt::Quit) => {
                    let whole = ends.iter().rev().find(|(end, _)| *end <= furthest);
                    return Delivery::halted(whole.map_or(0, |(_, end)| *end), Halt::Quit);
                }
                Err(Halt::Failed(error)) => self.broken(&error),
            }
            // From the chunk's first line, or the one that was cut off.
            let cut = ends.iter().rev().find(|(end, _)| *end <= sent);
            sent = if self.spec.resend > 0 { 0 } else { cut.map_or(0, |(end, _)| *end) };
        }
        self.late = false;
        self.backoff.reset();
        self.keep(out);
        Delivery::all(chunk)
    }

    fn finish(&mut self, leash: Option<&Leash<'_>>) -> Result<(), Halt> {
        while !self.window.is_empty() || self.socket.is_some() {
            self.connected(leash)?;
            let Some(socket) = self.socket.take() else { break };
            let closed = alive(&socket)
                .and_then(|()| shutdown(&socket, Shutdown::Write).map_err(failed))
                .and_then(|()| closes(&socket, leash));
            match closed {
                Err(Halt::Failed(error)) if self.spec.resend > 0 => self.broken(&error),
                other => return other,
            }
        }
        Ok(())
    }
}

fn failed(error: Errno) -> Halt {
    Halt::Failed(error.into())
}

fn opened(family: AddressFamily) -> Result<OwnedFd, Halt> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    socket_with(family, SocketType::STREAM, flags, None).map_err(failed)
}

/// Reads away what the peer says; an error once it has closed its end.
fn alive(socket: &OwnedFd) -> Result<(), Halt> {
    let mut said = [0; 512];
    loop {
        match recv(socket, &mut said, RecvFlags::DONTWAIT) {
            Ok((_, 0)) => return Err(Halt::Failed(io::ErrorKind::ConnectionReset.into())),
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Ok(()),
            Err(error) => return Err(failed(error)),
        }
    }
}

/// Sends from `sent` on.
fn write(
    socket: &OwnedFd,
    bytes: &[u8],
    sent: &mut usize,
    leash: Option<&Leash<'_>>,
) -> Result<(), Halt> {
    while let Some(rest) = bytes.get(*sent..).filter(|rest| !rest.is_empty()) {
        alive(socket)?;
        match send(socket, rest, SendFlags::NOSIGNAL) {
            Ok(taken) => {
                *sent += taken;
                if let Some(leash) = leash {
                    leash.progress(taken);
                }
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let either = PollFlags::OUT | PollFlags::IN;
                wait(Some((socket.as_fd(), either)), None, leash)?;
            }
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(())
}

/// Waits for the peer to close its end, which it need not.
fn closes(socket: &OwnedFd, leash: Option<&Leash<'_>>) -> Result<(), Halt> {
    let deadline = Instant::now() + CLOSE;
    let mut said = [0; 512];
    loop {
        match recv(socket, &mut said, RecvFlags::DONTWAIT) {
            Ok((_, 0)) => return Ok(()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let left = deadline.saturating_duration_since(Instant::now());
                let came = wait(Some((socket.as_fd(), PollFlags::IN)), Some(left), leash)?;
                if came.is_empty() {
                    return Ok(());
                }
            }
            Err(error) => return Err(failed(error)),
        }
    }
}
