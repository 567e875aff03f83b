//! A stand-in for a service manager: what it is told by way of `NOTIFY_SOCKET`.

use std::fs::{self, Permissions};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::time::{Duration, Instant};

/// A service manager.
pub struct Manager {
    socket: UnixDatagram,
    /// All that it was told.
    pub heard: Vec<String>,
}

impl Manager {
    /// One with a socket at that path, which any user may send to.
    pub fn at(path: &Path) -> Self {
        let manager = Self::new(&SocketAddr::from_pathname(path).expect("a short path"));
        fs::set_permissions(path, Permissions::from_mode(0o777)).expect("our own");
        manager
    }

    /// One whose socket has a name in no file system: `@NAME`.
    pub fn named(name: &str) -> Self {
        Self::new(&SocketAddr::from_abstract_name(name).expect("a short name"))
    }

    fn new(address: &SocketAddr) -> Self {
        let socket = UnixDatagram::bind_addr(address).expect("an address of our own");
        socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a time");
        Self { socket, heard: Vec::new() }
    }

    /// Takes the next message, if one comes soon.
    fn hear(&mut self) -> Option<&str> {
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).ok()?;
        self.heard.push(String::from_utf8(buffer[..length].to_vec()).expect("text"));
        self.heard.last().map(String::as_str)
    }

    /// Takes what comes for so long.
    pub fn listen(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.hear();
        }
    }

    /// Waits for the next message that has this.
    pub fn wait_for(&mut self, what: &str) {
        let start = Instant::now();
        while !self.hear().is_some_and(|text| text.contains(what)) {
            assert!(start.elapsed() < Duration::from_secs(60), "{what}: {:?}", self.heard);
        }
    }

    /// How many messages have this.
    pub fn count(&self, what: &str) -> usize {
        self.heard.iter().filter(|text| text.contains(what)).count()
    }
}
