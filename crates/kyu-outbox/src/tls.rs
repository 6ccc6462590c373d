//! TLS to a Postgres, with the meaning that libpq gives to `sslmode` (PostgreSQL documentation,
//! "SSL Support" of libpq).
//!
//! | mode | encrypted | certificate |
//! |---|---|---|
//! | `disable` | no | |
//! | `prefer` (default) | if the server can | not looked at |
//! | `require` | yes | not looked at, unless there is a root certificate: then as `verify-ca` |
//! | `verify-ca` | yes | signed by a root |
//! | `verify-full` | yes | signed by a root, and for this host |

use std::fmt;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SslMode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

impl FromStr for SslMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "disable" => Self::Disable,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            "allow" => return Err("sslmode allow is not supported; use prefer".into()),
            other => return Err(format!("sslmode {other:?} does not exist")),
        })
    }
}

/// The words of a connection string about TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TlsWords {
    pub(crate) mode: Option<SslMode>,
    /// A PEM file, or the word `system`. Without: `~/.postgresql/root.crt`, if it is there.
    pub(crate) root_certificate: Option<PathBuf>,
    /// The client's own, for servers that want one.
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
}

/// The settings of TLS, for the driver and for the replication connection.
#[derive(Clone)]
pub(crate) struct Tls {
    mode: SslMode,
    config: Arc<ClientConfig>,
}

impl fmt::Debug for Tls {
    /// Leaves the client's key out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.mode).finish()
    }
}

impl Tls {
    /// Reads the certificates. The error names the file.
    pub(crate) fn load(words: &TlsWords) -> Result<Self, String> {
        let provider = Arc::new(ring::default_provider());
        let (mode, verifier) = verifier(words, &provider)?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let config = match (&words.certificate, &words.key) {
            (None, None) => builder.with_no_client_auth(),
            (Some(certificate), Some(key)) => {
                let private =
                    PrivateKeyDer::from_pem_file(key).map_err(|error| about(key, &error))?;
                builder
                    .with_client_auth_cert(certificates(certificate)?, private)
                    .map_err(|error| about(certificate, &error))?
            }
            _ => return Err("sslcert and sslkey belong together".into()),
        };
        Ok(Self { mode, config: Arc::new(config) })
    }

    pub(crate) fn mode(&self) -> SslMode {
        self.mode
    }

    /// The handshake over a stream whose server has agreed to it.
    pub(crate) async fn handshake<S>(&self, host: &str, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        TlsConnector::from(Arc::clone(&self.config)).connect(name, stream).await
    }
}

/// The mode that is meant, and who looks at certificates in it.
fn verifier(
    words: &TlsWords,
    provider: &Arc<CryptoProvider>,
) -> Result<(SslMode, Arc<dyn ServerCertVerifier>), String> {
    let is_system = words.root_certificate.as_deref() == Some(Path::new("system"));
    let mode = words.mode.unwrap_or(if is_system { SslMode::VerifyFull } else { SslMode::Prefer });
    if is_system && mode != SslMode::VerifyFull {
        return Err("sslrootcert=system needs sslmode=verify-full".into());
    }
    let usual = std::env::home_dir().map(|home| home.join(".postgresql/root.crt"));
    let file = words.root_certificate.clone().or(usual.filter(|file| file.exists()));
    let any = || Arc::new(Verifier { check: Check::Nothing, provider: Arc::clone(provider) });
    let mode = match (mode, &file) {
        // Without a certificate that verifies, prefer would do without TLS: nothing is won.
        (SslMode::Disable | SslMode::Prefer, _) | (SslMode::Require, None) => {
            return Ok((mode, any()));
        }
        (SslMode::Require, Some(_)) => SslMode::VerifyCa,
        (SslMode::VerifyCa | SslMode::VerifyFull, _) => mode,
    };
    let Some(file) = file else {
        return Err("sslmode verify-ca and verify-full need a root certificate: name it by \
                    sslrootcert=FILE, or use sslrootcert=system"
            .into());
    };
    let pinned = if is_system { system_roots()? } else { certificates(&file)? };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(pinned.iter().cloned());
    let webpki =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
    let webpki = webpki.map_err(|error| about(&file, &error))?;
    let check = Check::Signed { webpki, pinned, host: mode == SslMode::VerifyFull };
    Ok((mode, Arc::new(Verifier { check, provider: Arc::clone(provider) })))
}

fn system_roots() -> Result<Vec<CertificateDer<'static>>, String> {
    let loaded = rustls_native_certs::load_native_certs();
    match loaded.errors.first() {
        Some(error) if loaded.certs.is_empty() => Err(format!("sslrootcert=system: {error}")),
        _ => Ok(loaded.certs),
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| about(file, &error))
}

fn about(file: &Path, error: &dyn fmt::Display) -> String {
    format!("{}: {error}", file.display())
}

/// Looks at a server's certificate as far as the mode wants it.
#[derive(Debug)]
struct Verifier {
    check: Check,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
enum Check {
    Nothing,
    Signed {
        webpki: Arc<WebPkiServerVerifier>,
        /// The roots as they were given.
        pinned: Vec<CertificateDer<'static>>,
        host: bool,
    },
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Check::Signed { webpki, pinned, host } = &self.check else {
            return Ok(ServerCertVerified::assertion());
        };
        // The usual self-signed certificate of a Postgres is its own root. webpki takes no
        // certificate authority for a server; OpenSSL, so libpq, does.
        if pinned.iter().any(|root| root == end_entity) {
            if *host {
                let parsed = ParsedCertificate::try_from(end_entity)?;
                rustls::client::verify_server_name(&parsed, server_name)?;
            }
            return Ok(ServerCertVerified::assertion());
        }
        match webpki.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        {
            // The name is looked at last: the certificate is signed.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !host => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl<S> MakeTlsConnect<S> for Tls
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = DriverStream<S>;
    type TlsConnect = Handshake;
    type Error = io::Error;

    fn make_tls_connect(&mut self, host: &str) -> io::Result<Handshake> {
        Ok(Handshake { tls: self.clone(), host: host.to_owned() })
    }
}

/// A handshake of the driver that has not begun.
pub(crate) struct Handshake {
    tls: Tls,
    host: String,
}

impl<S> TlsConnect<S> for Handshake
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = DriverStream<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<DriverStream<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move { self.tls.handshake(&self.host, stream).await.map(DriverStream) })
    }
}

/// A stream as the driver wants it.
pub(crate) struct DriverStream<S>(TlsStream<S>);

impl<S> tokio_postgres::tls::TlsStream for DriverStream<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for DriverStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for DriverStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
