//! A unix or TCP stream that lines are sent to. Who is away is waited for, and what may
//! not have arrived is sent again.

mod datagram;
mod dial;
mod framing;
mod link;
mod spec;
#[cfg(test)]
mod tests;
#[cfg(feature = "tls")]
mod tls;

use std::{
    collections::VecDeque,
    io::{self, Write},
};

use rustix::io::Errno;

use super::{
    chunk::Chunk,
    transport::{Backoff, Delivery, Halt, Leash, Transport},
};
pub use datagram::Datagrams;
use framing::Framing;
use link::Link;
pub use spec::{Peer, StreamSocket, Syslog};

/// The transport to a stream socket.
pub struct Stream {
    spec: StreamSocket,
    framing: Framing,
    #[cfg(feature = "tls")]
    client: Option<tls::Client>,
    link: Option<Link>,
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
    ///
    /// # Errors
    /// A file that TLS takes can't be read, or is not what it should be.
    pub fn new(spec: &StreamSocket) -> io::Result<Self> {
        Ok(Self {
            framing: Framing::new(spec.syslog.clone()),
            #[cfg(feature = "tls")]
            client: match (&spec.tls, &spec.peer) {
                (Some(tls), Peer::Tcp { host, .. }) => {
                    Some(tls::Client::new(spec.name.as_ref().unwrap_or(host), tls)?)
                }
                _ => None,
            },
            spec: spec.clone(),
            link: None,
            window: VecDeque::new(),
            kept: 0,
            missed: false,
            late: false,
            backoff: Backoff::default(),
        })
    }

    /// The lines as they are sent; where each ends there, and in the chunk.
    fn framed(&self, chunk: &Chunk) -> (Vec<u8>, Vec<(usize, usize)>) {
        if !self.framing.is_syslog() {
            return (chunk.bytes.clone(), chunk.ends().iter().map(|l| (l.end, l.end)).collect());
        }
        let (mut out, mut ends) = (Vec::with_capacity(chunk.bytes.len() * 5 / 4), Vec::new());
        let mut message = Vec::new();
        for (bytes, line) in chunk.lines() {
            message.clear();
            self.framing.message(bytes, line, &mut message);
            // To a vector, which takes all.
            let _ = write!(out, "{} ", message.len());
            out.extend_from_slice(&message);
            ends.push((out.len(), line.end));
        }
        (out, ends)
    }

    /// Connects, until somebody is there; then sends again what may not have arrived.
    fn connected(&mut self, leash: Option<&Leash<'_>>) -> Result<(), Halt> {
        while self.link.is_none() {
            if std::mem::replace(&mut self.late, true) {
                self.backoff.wait(leash)?;
            }
            match self.dial(leash).and_then(|mut link| {
                for part in &self.window {
                    link.write(part, &mut 0, leash)?;
                }
                Ok(link)
            }) {
                Ok(link) => self.link = Some(link),
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

    /// Makes a connection.
    fn dial(&self, leash: Option<&Leash<'_>>) -> Result<Link, Halt> {
        let socket = dial::dial(&self.spec.peer, leash)?;
        #[cfg(feature = "tls")]
        if let Some(client) = &self.client {
            let mut socket = link::Socket(socket);
            let session = client.secure(&mut socket, leash)?;
            return Ok(Link::secured(socket, session));
        }
        Ok(Link::plain(socket))
    }

    /// The connection is of no use any more.
    fn broken(&mut self, error: &io::Error) {
        self.link = None;
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
            let result = self.connected(leash).and_then(|()| match &mut self.link {
                Some(link) => link.write(&out, &mut sent, leash),
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
        while !self.window.is_empty() || self.link.is_some() {
            self.connected(leash)?;
            let Some(link) = self.link.take() else { break };
            match link.close(leash) {
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
