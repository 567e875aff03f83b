//! Files that options name: certificates, keys, passwords. They are read while they may be,
//! before anything is traced.

use std::{fmt::Display, fs, io, path::Path};

/// An error that names the file, as those of this module do.
pub fn at(path: &Path, why: &dyn Display) -> io::Error {
    io::Error::other(format!("{}: {why}", path.display()))
}

/// What a file holds.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    fs::read(path).map_err(|error| at(path, &error))
}

/// What a file holds that is text; an error shows nothing of it.
#[cfg(any(feature = "kafka", feature = "nats", feature = "otlp"))]
pub fn read_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(|_| at(path, &"it is not UTF-8"))
}

/// The secret in a file: all of it but for spaces and line feeds about it.
#[cfg(feature = "nats")]
pub fn read_secret(path: &Path) -> io::Result<String> {
    let text = read_text(path)?;
    match text.trim() {
        "" => Err(at(path, &"it is empty")),
        secret => Ok(secret.to_owned()),
    }
}
