//! TLS to a destination, as its options ask for it.

#[cfg(any(feature = "nats", feature = "tls"))]
mod client;

use std::path::PathBuf;

use super::options::Options;
#[cfg(any(feature = "nats", feature = "tls"))]
pub use client::config;

/// Who is trusted, and what we show. The files are in PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// The certificates of those whose signature is believed; None for the system's.
    pub ca: Option<PathBuf>,
    /// Our own certificate, with those between it and a root, and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl Tls {
    /// Takes `ca`, `cert` and `key`.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn take(options: &mut Options) -> Result<Self, String> {
        let mut path = |key| options.take(key).map(|path| path.map(PathBuf::from));
        let (ca, cert, key) = (path("ca")?, path("cert")?, path("key")?);
        match (cert, key) {
            (Some(cert), Some(key)) => Ok(Self { ca, identity: Some((cert, key)) }),
            (None, None) => Ok(Self { ca, identity: None }),
            _ => Err("cert and key go together".to_owned()),
        }
    }

    /// Takes `tls` too: what there is without it is in the clear.
    ///
    /// # Errors
    /// What is wrong, for people.
    #[cfg(any(feature = "nats", feature = "otlp"))]
    pub fn take_if_on(options: &mut Options) -> Result<Option<Self>, String> {
        let on = options.take_word("tls", &[("on", true), ("off", false)])?;
        let tls = Self::take(options)?;
        match on {
            Some(true) => Ok(Some(tls)),
            _ if tls == Self::default() => Ok(None),
            _ => Err("ca, cert and key are of tls=on".to_owned()),
        }
    }
}
