//! A connection that is made: writing to it, and telling whether somebody still reads.

use std::{
    io::{self, Read, Write},
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

use rustix::{
    event::PollFlags,
    io::Errno,
    net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown},
};

use super::failed;
#[cfg(feature = "tls")]
use super::tls::Session;
use crate::sink::transport::{Halt, Leash, wait};

/// How long the peer may take to close its end after ours, and a connection that is of no
/// use to say so.
const CLOSE: Duration = Duration::from_secs(1);

/// A connection.
pub struct Link {
    socket: Socket,
    #[cfg(feature = "tls")]
    session: Option<Session>,
    peer: End,
}

/// What is known of the peer's own sending.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    /// It has ended. Whether the peer still reads shows once something is sent.
    InDoubt,
    /// It has ended, and the peer reads on.
    Half,
}

/// A socket that does not block, for reading and writing.
pub struct Socket(pub OwnedFd);

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        Ok(recv(&self.0, into, RecvFlags::DONTWAIT)?.1)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(send(&self.0, bytes, SendFlags::NOSIGNAL)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket {
    /// Waits until it is ready.
    pub fn wait(
        &self,
        flags: PollFlags,
        most: Option<Duration>,
        leash: Option<&Leash<'_>>,
    ) -> Result<PollFlags, Halt> {
        wait(Some((self.0.as_fd(), flags)), most, leash)
    }
}

impl Link {
    /// A connection as it is.
    pub fn plain(socket: OwnedFd) -> Self {
        Self {
            socket: Socket(socket),
            #[cfg(feature = "tls")]
            session: None,
            peer: End::Open,
        }
    }

    /// A connection whose handshake is done.
    #[cfg(feature = "tls")]
    pub fn secured(socket: Socket, session: Session) -> Self {
        Self { socket, session: Some(session), peer: End::Open }
    }

    /// Sends from `sent` on.
    pub fn write(
        &mut self,
        bytes: &[u8],
        sent: &mut usize,
        leash: Option<&Leash<'_>>,
    ) -> Result<(), Halt> {
        while let Some(rest) = bytes.get(*sent..).filter(|rest| !rest.is_empty()) {
            self.hear()?;
            let taken = self.send(rest, leash)?;
            if self.peer == End::InDoubt && taken > 0 {
                self.doubt(leash)?;
                self.peer = End::Half;
            }
            *sent += taken;
            if let Some(leash) = leash {
                leash.progress(taken);
            }
        }
        Ok(())
    }

    /// Sends a part; none where it has waited for room.
    fn send(&mut self, bytes: &[u8], leash: Option<&Leash<'_>>) -> Result<usize, Halt> {
        #[cfg(feature = "tls")]
        if let Some(session) = &mut self.session {
            return session.send(&mut self.socket, bytes, leash);
        }
        match self.socket.write(bytes) {
            Ok(taken) => Ok(taken),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let hear = if self.peer == End::Open { PollFlags::IN } else { PollFlags::empty() };
                self.socket.wait(PollFlags::OUT | hear, None, leash)?;
                Ok(0)
            }
            Err(error) => Err(Halt::Failed(error)),
        }
    }

    /// Reads away what the peer says; an error once it reads no more, as far as is known.
    fn hear(&mut self) -> Result<(), Halt> {
        #[cfg(feature = "tls")]
        if let Some(session) = &mut self.session {
            return if session.hear(&mut self.socket)? { Ok(()) } else { Err(gone()) };
        }
        if self.peer == End::Open && !drained(&mut self.socket)? {
            // Of a unix socket it can be seen at once.
            let came = self.socket.wait(PollFlags::OUT, Some(Duration::ZERO), None)?;
            if came.intersects(PollFlags::HUP | PollFlags::ERR) {
                return Err(gone());
            }
            self.peer = End::InDoubt;
        }
        Ok(())
    }

    /// Something was sent: a peer that is gone answers with a reset.
    fn doubt(&self, leash: Option<&Leash<'_>>) -> Result<(), Halt> {
        let came = self.socket.wait(PollFlags::empty(), Some(CLOSE), leash)?;
        if came.is_empty() { Ok(()) } else { Err(gone()) }
    }

    /// Closes this end, and waits for the peer to close the other, which it need not.
    pub fn close(mut self, leash: Option<&Leash<'_>>) -> Result<(), Halt> {
        self.hear()?;
        match self.peer {
            End::Open => {}
            End::InDoubt => return Err(gone()),
            End::Half => {
                self.doubt(leash)?;
                return shutdown(&self.socket.0, Shutdown::Write).map_err(failed);
            }
        }
        #[cfg(feature = "tls")]
        if let Some(session) = &mut self.session {
            session.close(&mut self.socket, leash)?;
        }
        shutdown(&self.socket.0, Shutdown::Write).map_err(failed)?;
        let deadline = Instant::now() + CLOSE;
        loop {
            #[cfg(feature = "tls")]
            let open = match &mut self.session {
                Some(session) => session.hear(&mut self.socket)?,
                None => drained(&mut self.socket)?,
            };
            #[cfg(not(feature = "tls"))]
            let open = drained(&mut self.socket)?;
            let left = deadline.saturating_duration_since(Instant::now());
            if !open || self.socket.wait(PollFlags::IN, Some(left), leash)?.is_empty() {
                return Ok(());
            }
        }
    }
}

/// Reads away what there is; whether there may be more.
pub fn drained(socket: &mut Socket) -> Result<bool, Halt> {
    let mut said = [0; 512];
    loop {
        match socket.read(&mut said) {
            Ok(0) => return Ok(false),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) => return Err(Halt::Failed(error)),
        }
    }
}

fn gone() -> Halt {
    failed(Errno::CONNRESET)
}
