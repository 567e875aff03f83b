//! TLS on a connection, by rustls.

use std::{
    io::{self, Write},
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::event::PollFlags;
use rustls::{ClientConfig, ClientConnection, ProtocolVersion, pki_types::ServerName};

use super::{
    dial::CONNECT,
    link::{Socket, drained},
};
use crate::sink::{
    tls::{self, Tls},
    transport::{Halt, Leash},
};

/// Bytes that are encrypted at a time.
const PIECE: usize = 64 << 10;
/// How long the peer may take to say what it makes of our certificate.
const VERDICT: Duration = Duration::from_secs(1);

/// What all connections to a peer have in common.
pub struct Client {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Client {
    /// For a peer whose certificate has that name; reads certificates.
    ///
    /// # Errors
    /// One can't be read, or is not what it should be.
    pub fn new(name: &str, spec: &Tls) -> io::Result<Self> {
        let name = ServerName::try_from(name.to_owned()).map_err(|_| {
            io::Error::other(format!("{name}: no name that a certificate can have"))
        })?;
        Ok(Self { config: Arc::new(tls::config(spec)?), name })
    }

    /// Makes a session on a new connection.
    pub fn secure(&self, socket: &mut Socket, leash: Option<&Leash<'_>>) -> Result<Session, Halt> {
        let made = ClientConnection::new(Arc::clone(&self.config), self.name.clone());
        let mut session = Session { tls: Box::new(made.map_err(wrong)?), half: false };
        let deadline = Instant::now() + CONNECT;
        while session.tls.is_handshaking() {
            session.flush(socket, Some(deadline), leash)?;
            let left = deadline.saturating_duration_since(Instant::now());
            if session.tls.is_handshaking()
                && socket.wait(PollFlags::IN, Some(left), leash)?.is_empty()
            {
                return Err(Halt::Failed(io::ErrorKind::TimedOut.into()));
            }
            if !session.hear(socket)? {
                return Err(Halt::Failed(io::ErrorKind::ConnectionReset.into()));
            }
        }
        session.flush(socket, Some(deadline), leash)?;
        // With TLS 1.3 the client is through before the server has looked at its certificate.
        // Nearly all servers send session tickets once they have.
        if session.tls.protocol_version() == Some(ProtocolVersion::TLSv1_3)
            && session.tls.tls13_tickets_received() == 0
        {
            socket.wait(PollFlags::IN, Some(VERDICT), leash)?;
            if !session.hear(socket)? {
                return Err(Halt::Failed(io::ErrorKind::ConnectionReset.into()));
            }
        }
        Ok(session)
    }
}

/// A session.
pub struct Session {
    tls: Box<ClientConnection>,
    /// The peer has said that it will say nothing more; it may read on.
    half: bool,
}

impl Session {
    /// Sends a part, all of which has gone to the socket then.
    pub fn send(
        &mut self,
        socket: &mut Socket,
        bytes: &[u8],
        leash: Option<&Leash<'_>>,
    ) -> Result<usize, Halt> {
        let piece = bytes.get(..PIECE).unwrap_or(bytes);
        let taken = self.tls.writer().write(piece).map_err(Halt::Failed)?;
        self.flush(socket, None, leash)?;
        Ok(taken)
    }

    /// Sends what is encrypted.
    fn flush(
        &mut self,
        socket: &mut Socket,
        deadline: Option<Instant>,
        leash: Option<&Leash<'_>>,
    ) -> Result<(), Halt> {
        while self.tls.wants_write() {
            match self.tls.write_tls(socket) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let left = deadline.map(|end| end.saturating_duration_since(Instant::now()));
                    let either = PollFlags::OUT | PollFlags::IN;
                    if socket.wait(either, left, leash)?.is_empty() {
                        return Err(Halt::Failed(io::ErrorKind::TimedOut.into()));
                    }
                    if !self.hear(socket)? {
                        return Err(Halt::Failed(io::ErrorKind::ConnectionReset.into()));
                    }
                }
                Err(error) => return Err(Halt::Failed(error)),
            }
        }
        Ok(())
    }

    /// Reads what the peer says, and drops it where it is meant for us; false once it has
    /// closed the connection.
    pub fn hear(&mut self, socket: &mut Socket) -> Result<bool, Halt> {
        while !self.half {
            match self.tls.read_tls(socket) {
                Ok(0) => return Ok(false),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(Halt::Failed(error)),
            }
            match self.tls.process_new_packets() {
                Ok(state) => {
                    let mut said = vec![0; state.plaintext_bytes_to_read()];
                    let _ = io::Read::read(&mut self.tls.reader(), &mut said);
                    self.half = state.peer_has_closed();
                }
                Err(error) => {
                    // The peer is told why, as far as it listens.
                    let _ = self.tls.write_tls(socket);
                    return Err(wrong(error));
                }
            }
        }
        drained(socket)
    }

    /// Says that nothing more will come.
    pub fn close(&mut self, socket: &mut Socket, leash: Option<&Leash<'_>>) -> Result<(), Halt> {
        self.tls.send_close_notify();
        self.flush(socket, None, leash)
    }
}

fn wrong(error: rustls::Error) -> Halt {
    Halt::Failed(io::Error::new(io::ErrorKind::InvalidData, error))
}
