//! A stream socket that lines are sent to, as `--write unix:…` and `tcp:…` name it.

use std::{fmt, path::PathBuf};

use crate::sink::options::{self, Options};
#[cfg(feature = "tls")]
use crate::sink::tls::Tls;

/// A stream socket, and how lines are sent to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSocket {
    /// Who is connected to.
    pub peer: Peer,
    /// Each line is a datagram, to a unix socket of that type.
    pub datagrams: bool,
    /// With TLS.
    #[cfg(feature = "tls")]
    pub tls: Option<Tls>,
    /// The name that a certificate must have; None for the host's.
    #[cfg(feature = "tls")]
    pub name: Option<String>,
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
    const UNIX: &[&str] = &["type", "framing", "facility", "app", "resend"];
    const DGRAM: &[&str] = &["type", "framing", "facility", "app"];
    #[cfg(feature = "tls")]
    const TLS: &[&str] = &["ca", "cert", "key", "name", "framing", "facility", "app", "resend"];

    pub(in crate::sink) fn unix(path: String, mut options: Options) -> Result<Self, String> {
        let datagrams = options.take_word("type", &[("stream", false), ("dgram", true)])?;
        let datagrams = datagrams == Some(true);
        let (resend, known) =
            if datagrams { (None, Self::DGRAM) } else { (Some(1 << 20), Self::UNIX) };
        let mut socket = Self::parse(Peer::Unix(path.into()), resend, options, known)?;
        socket.datagrams = datagrams;
        Ok(socket)
    }

    pub(in crate::sink) fn tcp(address: &str, options: Options) -> Result<Self, String> {
        Self::parse(host_and_port("tcp", address)?, Some(4 << 20), options, Self::OPTIONS)
    }

    #[cfg(feature = "tls")]
    pub(in crate::sink) fn tls(address: &str, mut options: Options) -> Result<Self, String> {
        let peer = host_and_port("tls", address)?;
        let tls = Some(Tls::take(&mut options)?);
        let name = options.take("name")?;
        let socket = Self::parse(peer, Some(4 << 20), options, Self::TLS)?;
        Ok(Self { tls, name, ..socket })
    }

    fn parse(
        peer: Peer,
        resend: Option<u64>,
        mut options: Options,
        known: &[&str],
    ) -> Result<Self, String> {
        let syslog = options.take_word("framing", &[("lines", false), ("syslog", true)])?;
        let facility = options.take_word("facility", FACILITIES)?;
        let word = |text: &str| {
            let fits = (1..=48).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
            fits.then(|| text.to_owned())
        };
        let app = options.take_as("app", "1 to 48 printable ASCII characters", word)?;
        let bytes = "a number of bytes, as in 0, 64K or 4M";
        let kept = match resend {
            Some(usual) => options.take_as("resend", bytes, options::bytes)?.unwrap_or(usual),
            // What a datagram socket has taken is its receiver's.
            None => 0,
        };
        options.finish(known)?;
        if syslog != Some(true) && (facility.is_some() || app.is_some()) {
            return Err("facility and app are of framing=syslog".to_owned());
        }
        let syslog = (syslog == Some(true)).then(|| Syslog {
            facility: facility.unwrap_or(16),
            app: app.unwrap_or_else(|| "tracer".to_owned()),
        });
        Ok(Self {
            peer,
            datagrams: false,
            #[cfg(feature = "tls")]
            tls: None,
            #[cfg(feature = "tls")]
            name: None,
            syslog,
            resend: kept,
        })
    }

    #[cfg(feature = "tls")]
    fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    #[cfg(not(feature = "tls"))]
    fn is_tls(&self) -> bool {
        false
    }
}

fn host_and_port(kind: &str, address: &str) -> Result<Peer, String> {
    let wrong = || format!("{address}: {kind} takes HOST:PORT, with an IPv6 address in brackets");
    let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if host.is_empty() || (bare.is_none() && host.contains(':')) {
        return Err(wrong());
    }
    let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?;
    Ok(Peer::Tcp { host: bare.unwrap_or(host).to_owned(), port })
}

impl fmt::Display for StreamSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tcp = if self.is_tls() { "tls" } else { "tcp" };
        match &self.peer {
            Peer::Unix(path) => write!(f, "unix:{}", path.display()),
            Peer::Tcp { host, port } if host.contains(':') => write!(f, "{tcp}:[{host}]:{port}"),
            Peer::Tcp { host, port } => write!(f, "{tcp}:{host}:{port}"),
        }
    }
}
