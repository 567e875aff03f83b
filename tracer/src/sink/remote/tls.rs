//! TLS to a destination, as its options ask for it.

use std::path::PathBuf;

use crate::sink::options::Options;

/// That a connection is encrypted, and who is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Certificates (PEM) that are trusted; None for those that the system trusts.
    pub ca: Option<PathBuf>,
    /// The certificate (PEM) that we show, and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl Tls {
    /// Takes `tls`, `ca`, `cert` and `key`.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn take(options: &mut Options) -> Result<Option<Self>, String> {
        let on = options.take_word("tls", &[("on", true), ("off", false)])?;
        let mut path = |key| options.take(key).map(|path| path.map(PathBuf::from));
        let (ca, cert, key) = (path("ca")?, path("cert")?, path("key")?);
        if on != Some(true) {
            return match (ca, cert, key) {
                (None, None, None) => Ok(None),
                _ => Err("ca, cert and key are of tls=on".to_owned()),
            };
        }
        match (cert, key) {
            (Some(cert), Some(key)) => Ok(Some(Self { ca, identity: Some((cert, key)) })),
            (None, None) => Ok(Some(Self { ca, identity: None })),
            _ => Err("cert and key go together".to_owned()),
        }
    }
}
