//! What the service manager is told (sd_notify(3)), if there is one.
//!
//! The socket is connected before anything is given up, since no other can be made then.

use std::{
    cell::Cell,
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
    time::{Duration, Instant},
};

use sd_notify::NotifyState;

use crate::health::Counts;

/// How often the status is told.
const STATUS_EVERY: Duration = Duration::from_secs(5);
/// How long the manager may take to take a message.
const PATIENCE: Duration = Duration::from_secs(1);

/// The service manager.
pub struct Manager {
    socket: Option<UnixDatagram>,
    /// How often it is told that all is well.
    feed: Option<Duration>,
    fed: Instant,
    /// When the status was told, and how many calls had been accounted for by then.
    told: (Instant, u64),
    /// It takes nothing, which was said.
    missed: Cell<bool>,
}

impl Manager {
    /// The one that the environment names.
    pub fn connect() -> Self {
        let socket = connected().unwrap_or_else(|error| {
            log::warn!("cannot tell systemd how it goes (NOTIFY_SOCKET): {error}");
            None
        });
        let mut micros = 0;
        let watched = socket.is_some() && sd_notify::watchdog_enabled(false, &mut micros);
        let now = Instant::now();
        let feed = watched.then(|| Duration::from_micros(micros) / 2);
        Self { socket, feed, fed: now, told: (now, 0), missed: Cell::new(false) }
    }

    /// Nothing is missed from now on.
    pub fn ready(&mut self, hook: &str) {
        self.told.0 = Instant::now();
        let status = format!("attached by {hook}");
        self.tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
    }

    /// Files are opened anew.
    pub fn reloading(&self) {
        if self.socket.is_some()
            && let Ok(now) = NotifyState::monotonic_usec_now()
        {
            self.tell(&[NotifyState::Reloading, now]);
        }
    }

    /// That is done.
    pub fn reloaded(&self) {
        self.tell(&[NotifyState::Ready]);
    }

    /// It comes to its end.
    pub fn stopping(&self) {
        self.tell(&[NotifyState::Stopping]);
    }

    /// Whether [`Manager::alive`] has something to tell.
    pub fn is_due(&self, now: Instant) -> bool {
        self.feed.is_some_and(|every| now - self.fed >= every)
            || (self.socket.is_some() && now - self.told.0 >= STATUS_EVERY)
    }

    /// The rings were drained, and all sinks say what has become of their events.
    pub fn alive(&mut self, counts: &Counts, now: Instant) {
        if self.feed.is_some_and(|every| now - self.fed >= every) {
            self.fed = now;
            self.tell(&[NotifyState::Watchdog]);
        }
        let (when, before) = self.told;
        if now - when >= STATUS_EVERY {
            let seen = counts.seen();
            let rate = seen.saturating_sub(before) as f64 / (now - when).as_secs_f64();
            self.told = (now, seen);
            self.tell(&[NotifyState::Status(&format!("{rate:.0} calls/s; {counts}"))]);
        }
    }

    fn tell(&self, states: &[NotifyState<'_>]) {
        let Some(socket) = &self.socket else { return };
        let text: String = states.iter().map(|state| format!("{state}\n")).collect();
        match socket.send(text.as_bytes()) {
            Ok(_) => self.missed.set(false),
            Err(error) if !self.missed.replace(true) => {
                log::warn!("cannot tell systemd {}: {error}", text.trim_end().replace('\n', ", "));
            }
            Err(_) => {}
        }
    }
}

/// The socket, where there is to be one.
fn connected() -> io::Result<Option<UnixDatagram>> {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(&name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(Some(socket))
}
