//! What rustls is told: TLS 1.2 and 1.3.

use std::{io, path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

use super::Tls;
use crate::sink::credentials::{at, read};

/// Reads the files that are named, or else the system's certificates.
///
/// # Errors
/// One can't be read, or is not what it should be.
pub fn config(tls: &Tls) -> io::Result<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots(tls.ca.as_deref())?);
    let Some((certificate, key)) = &tls.identity else { return Ok(builder.with_no_client_auth()) };
    let (own, secret) = (certificates(certificate)?, private_key(key)?);
    builder.with_client_auth_cert(own, secret).map_err(|error| at(key, &error))
}

/// Whose signatures are believed: those of a file, or the system's.
fn roots(file: Option<&Path>) -> io::Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    match file {
        Some(file) => {
            for certificate in certificates(file)? {
                store.add(certificate).map_err(|error| at(file, &error))?;
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            for error in &found.errors {
                log::debug!("the system's certificates: {error}");
            }
            store.add_parsable_certificates(found.certs);
            if store.is_empty() {
                let none = "the system has no certificates to go by: name a file with ca=";
                return Err(io::Error::other(none));
            }
        }
    }
    Ok(store)
}

/// All certificates of a file, of which there are some.
fn certificates(file: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(file)?).collect();
    match all {
        Ok(all) if all.is_empty() => Err(at(file, &"there is no certificate in it")),
        all => all.map_err(|error| at(file, &error)),
    }
}

fn private_key(file: &Path) -> io::Result<PrivateKeyDer<'static>> {
    // What is wrong with it is not shown: that might show the key.
    PrivateKeyDer::from_pem_slice(&read(file)?).map_err(|_| at(file, &"there is no key in it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_key_is_not_shown() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for text in ["", "hush", "-----BEGIN hush", "-----BEGIN PRIVATE KEY-----\nhush!"] {
            std::fs::write(&file, text).unwrap();
            let error = private_key(file.path()).unwrap_err().to_string();
            assert_eq!(error, format!("{}: there is no key in it", file.path().display()));
        }
    }
}
