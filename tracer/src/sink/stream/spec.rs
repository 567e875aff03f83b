//! A stream socket that lines are sent to, as `--write unix:…` and `tcp:…` name it.

use std::{fmt, path::PathBuf};

use crate::sink::options::{self, Options};

/// A stream socket, and how lines are sent to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSocket {
    /// Who is connected to.
    pub peer: Peer,
    /// With a syslog header before each line; None for lines alone.
    pub syslog: Option<Syslog>,
    /// Bytes, at least, that are kept to be sent again after a connection broke.
    pub resend: u64,
}

/// Who is connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A unix stream socket.
    Unix(PathBuf),
    /// A TCP port.
    Tcp {
        /// A name or an address.
        host: String,
        /// The port.
        port: u16,
    },
}

/// What RFC 5424 headers say of all lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Syslog {
    /// The facility's number.
    pub facility: u8,
    /// APP-NAME.
    pub app: String,
}

const FACILITIES: &[(&str, u8)] = &[
    ("user", 1),
    ("daemon", 3),
    ("auth", 4),
    ("authpriv", 10),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

impl StreamSocket {
    const OPTIONS: &[&str] = &["framing", "facility", "app", "resend"];

    pub(in crate::sink) fn unix(path: String, options: Options) -> Result<Self, String> {
        Self::parse(Peer::Unix(path.into()), 1 << 20, options)
    }

    pub(in crate::sink) fn tcp(address: &str, options: Options) -> Result<Self, String> {
        let wrong = || format!("{address}: tcp takes HOST:PORT, with an IPv6 address in brackets");
        let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        if host.is_empty() || (bare.is_none() && host.contains(':')) {
            return Err(wrong());
        }
        let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?;
        let host = bare.unwrap_or(host).to_owned();
        Self::parse(Peer::Tcp { host, port }, 4 << 20, options)
    }

    fn parse(peer: Peer, resend: u64, mut options: Options) -> Result<Self, String> {
        let syslog = options.take_word("framing", &[("lines", false), ("syslog", true)])?;
        let facility = options.take_word("facility", FACILITIES)?;
        let word = |text: &str| {
            let fits = (1..=48).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
            fits.then(|| text.to_owned())
        };
        let app = options.take_as("app", "1 to 48 printable ASCII characters", word)?;
        let kept = options.take_as("resend", "a number of bytes, as in 0, 64K or 4M", |text| {
            options::bytes(text)
        })?;
        options.finish(Self::OPTIONS)?;
        if syslog != Some(true) && (facility.is_some() || app.is_some()) {
            return Err("facility and app are of framing=syslog".to_owned());
        }
        let syslog = (syslog == Some(true)).then(|| Syslog {
            facility: facility.unwrap_or(16),
            app: app.unwrap_or_else(|| "tracer".to_owned()),
        });
        Ok(Self { peer, syslog, resend: kept.unwrap_or(resend) })
    }
}

impl fmt::Display for StreamSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.peer {
            Peer::Unix(path) => write!(f, "unix:{}", path.display()),
            Peer::Tcp { host, port } if host.contains(':') => write!(f, "tcp:[{host}]:{port}"),
            Peer::Tcp { host, port } => write!(f, "tcp:{host}:{port}"),
        }
    }
}
