//! What destinations have in common that are spoken to by an asynchronous library. It runs
//! in the thread that delivers, and only while that delivers: no thread is made for it.

use std::{future::Future, io, time::Duration};

use tokio::{
    io::{Interest, unix::AsyncFd},
    runtime::{Builder, Runtime},
};

use super::transport::{Backoff, Halt, Leash, nap};

/// After so long without a delivery a connection is not trusted: nobody has answered its
/// peer meanwhile.
pub const IDLE: Duration = Duration::from_secs(60);
/// The longest that is waited because the receiver asks for it.
const ASKED: Duration = Duration::from_secs(60);
/// Reasons that are remembered as said.
const REASONS: usize = 16;

/// What an asynchronous library runs in.
///
/// # Errors
/// Those of the system.
pub fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// Does the work, unless it is to give up before that is done.
///
/// # Errors
/// [`Halt`]: it is to give up, or can't wait.
pub fn run<T>(
    runtime: &Runtime,
    leash: Option<&Leash<'_>>,
    work: impl Future<Output = T>,
) -> Result<T, Halt> {
    runtime.block_on(async {
        let Some(leash) = leash else { return Ok(work.await) };
        #[expect(
            deprecated,
            reason = "its heir is unsafe: a type's descriptor might change; not here"
        )]
        let quit = AsyncFd::with_interest(leash.quit, Interest::READABLE).map_err(Halt::Failed)?;
        tokio::select! {
            biased;
            _ = quit.readable() => Err(Halt::Quit),
            done = work => Ok(done),
        }
    })
}

/// What keeps a destination from taking lines for now: each reason is said once, and so is
/// that it is over.
#[derive(Debug, Default)]
pub struct Trouble {
    said: Vec<String>,
    backoff: Backoff,
}

impl Trouble {
    /// Waits before the next attempt, as long as the receiver asks for if it does.
    ///
    /// # Errors
    /// [`Halt::Quit`]
    pub fn wait(
        &mut self,
        name: &impl std::fmt::Display,
        why: String,
        asked: Option<Duration>,
        leash: Option<&Leash<'_>>,
    ) -> Result<(), Halt> {
        if !self.said.contains(&why) && self.said.len() < REASONS {
            log::warn!("{name}: {why}; trying again");
            self.said.push(why);
        }
        match asked {
            Some(time) => nap(leash, time.min(ASKED)),
            None => self.backoff.wait(leash),
        }
    }

    /// Lines are taken.
    pub fn over(&mut self, name: &impl std::fmt::Display) {
        if !self.said.is_empty() {
            log::warn!("{name}: delivering again");
            self.said.clear();
        }
        self.backoff.reset();
    }
}

/// A host and a port, as `HOST:PORT`, with an IPv6 address in brackets; without a port
/// that which is usual.
pub fn host_port(text: &str, usual: Option<u16>) -> Option<(String, u16)> {
    let closed = text.ends_with(']') || !text.contains(':');
    let (host, port) = match text.rsplit_once(':').filter(|_| !closed) {
        Some((host, port)) => (host, port.parse().ok().filter(|port| *port != 0)?),
        None => (text, usual?),
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let wrong = |char: char| !char.is_ascii_alphanumeric() && !"-._".contains(char);
    let fits = match bare {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && !host.contains(wrong),
    };
    fits.then(|| (bare.unwrap_or(host).to_owned(), port))
}

/// As [`host_port`] reads it.
pub fn host_port_text((host, port): &(String, u16)) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports() {
        for (text, host, port) in [
            ("a.example", "a.example", 4222),
            ("a.example:1", "a.example", 1),
            ("[::1]", "::1", 4222),
            ("[::1]:7", "::1", 7),
        ] {
            let found = host_port(text, Some(4222)).unwrap();
            assert_eq!(found, (host.to_owned(), port));
        }
        for text in ["", ":1", "::1", "a:0", "a:x", "u:p@a:1", "[a]:1", "a b", "[::1]x:1"] {
            assert_eq!(host_port(text, Some(4222)), None, "{text}");
        }
        assert_eq!(host_port("a", None), None);
    }
}
