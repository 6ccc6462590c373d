//! The certificates that are believed.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::error::Error;

/// TLS that believes the authorities of a PEM file and nobody else, or, without one, those that the
/// machine believes (and the file or directory of `SSL_CERT_FILE` and `SSL_CERT_DIR`).
pub(crate) fn config(authorities: Option<&Path>) -> Result<ClientConfig, Error> {
    let roots = match authorities {
        Some(file) => of_file(file)?,
        None => of_machine(),
    };
    of_roots(roots)
}

fn of_roots(roots: RootCertStore) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Invalid(format!("TLS: {error}")))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

fn of_file(file: &Path) -> Result<RootCertStore, Error> {
    let failed = |error: &dyn std::fmt::Display| {
        Error::Invalid(format!("certificates of {}: {error}", file.display()))
    };
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| failed(&error))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| failed(&error))?;
        roots.add(certificate).map_err(|error| failed(&error))?;
    }
    if roots.is_empty() {
        return Err(failed(&"there are none"));
    }
    Ok(roots)
}

fn of_machine() -> RootCertStore {
    let loaded = rustls_native_certs::load_native_certs();
    for problem in &loaded.errors {
        tracing::warn!(%problem, "reading the system's root certificates");
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(loaded.certs);
    roots
}

/// The trust of connections that are not encrypted: nobody is believed.
pub(crate) fn nobody() -> Result<ClientConfig, Error> {
    of_roots(RootCertStore::empty())
}
