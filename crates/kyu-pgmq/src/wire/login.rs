//! The way from a fresh socket to a session: TLS, startup, password.

use std::net::SocketAddr;
use std::sync::Arc;

use kyu_pgsql::error::PgError;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::backend::Severity;
use super::connection::{Connection, Gone, Socket};
use super::limits::MAX_NEGOTIATIONS;
use super::reader::utf8;
use super::scram::{self, Exchange, Failed};
use super::server::Port;
use super::settings::Settings;
use super::startup::{self, First, Refused, Startup};

/// The newest minor version of protocol 3 that is spoken.
const NEWEST_MINOR: u16 = 2;

/// A client that may have a session.
pub(super) struct Client {
    pub(super) connection: Connection,
    pub(super) startup: Startup,
    pub(super) settings: Settings,
}

/// The reason why there is no session.
enum Ended {
    /// There is nobody to tell, or nothing to say.
    Quietly,
    /// FATAL.
    With(Box<Connection>, PgError),
}

/// Lets a client in, or tells it why not. `None` if there is no session.
pub(super) async fn login<Q: Send + Sync>(
    stream: TcpStream,
    peer: SocketAddr,
    port: &Port<Q>,
    full: bool,
) -> Option<Client> {
    let secure = port.tls.is_some();
    let work = async {
        let (connection, startup, encrypted) = negotiate(stream, port).await?;
        if full {
            let error = PgError::new("53300", "sorry, too many clients already");
            return Err(Ended::With(Box::new(connection), error));
        }
        authenticate(connection, startup, peer, port, encrypted).await
    };
    match timeout(port.limits.login_timeout, work).await {
        Ok(Ok(client)) => Some(client),
        Ok(Err(Ended::With(mut connection, error))) => {
            tracing::debug!(%error, %peer, secure, "no session");
            connection.out.error(Severity::Fatal, &error);
            connection.close().await;
            None
        }
        Ok(Err(Ended::Quietly)) | Err(_) => None,
    }
}

/// Packets before a session: answers requests for encryption, obeys a cancel request.
async fn negotiate<Q>(
    stream: TcpStream,
    port: &Port<Q>,
) -> Result<(Connection, Startup, bool), Ended> {
    let new = |socket: Box<dyn Socket>| {
        Connection::new(socket, port.memory.messages.clone(), &port.limits)
    };
    let mut connection = new(Box::new(stream));
    let mut encrypted = false;
    for _ in 0..MAX_NEGOTIATIONS {
        let first = loop {
            match startup::parse(connection.arrived()) {
                Ok(Some((bytes, first))) => {
                    connection.take(bytes);
                    break first;
                }
                Ok(None) => connection.fill().await.map_err(|_| Ended::Quietly)?,
                Err(Refused::Silently) => return Err(Ended::Quietly),
                Err(Refused::With(code, message)) => {
                    let error = PgError::new(code, message);
                    return Err(Ended::With(Box::new(connection), error));
                }
            }
        };
        match (first, &port.tls) {
            (First::Startup(startup), _) => return Ok((connection, startup, encrypted)),
            (First::Cancel { process, secret }, _) => {
                port.cancels.cancel(process, secret);
                return Err(Ended::Quietly);
            }
            (First::Ssl, Some(tls)) if !encrypted => {
                connection.out.byte(b'S');
                connection.flush().await.map_err(|_| Ended::Quietly)?;
                // Bytes that came before the handshake would be taken for encrypted ones: that is
                // how an attacker in the middle slips in a statement (CVE-2021-23214).
                let socket = connection.into_socket().ok_or(Ended::Quietly)?;
                let accepted = tls.accept(socket).await.map_err(|_| Ended::Quietly)?;
                connection = new(Box::new(accepted));
                encrypted = true;
            }
            (First::Ssl | First::GssEnc, _) => {
                connection.out.byte(b'N');
                connection.flush().await.map_err(|_| Ended::Quietly)?;
            }
        }
    }
    Err(Ended::Quietly)
}

async fn authenticate<Q>(
    mut connection: Connection,
    startup: Startup,
    peer: SocketAddr,
    port: &Port<Q>,
    encrypted: bool,
) -> Result<Client, Ended> {
    if startup.minor > NEWEST_MINOR || !startup.extensions.is_empty() {
        let minor = startup.minor.min(NEWEST_MINOR);
        connection.out.negotiate_protocol(minor, &startup.extensions);
    }
    let settings = match initial_settings(&startup, encrypted) {
        Ok(settings) => settings,
        Err(error) => return Err(Ended::With(Box::new(connection), error)),
    };
    let admitted = match &port.login {
        Some(_) => password(&mut connection, &startup, port).await,
        None if peer.ip().to_canonical().is_loopback() => Ok(()),
        None => Err(Some(PgError::new(
            "28000",
            format!(
                "no user is configured, and host \"{}\" is another machine: user \"{}\", database \
                 \"{}\" is not let in",
                peer.ip(),
                startup.user,
                startup.database
            ),
        ))),
    };
    match admitted {
        Ok(()) => {
            connection.out.authentication_ok();
            connection.admit(&port.limits);
            Ok(Client { connection, startup, settings })
        }
        Err(Some(error)) => Err(Ended::With(Box::new(connection), error)),
        Err(None) => Err(Ended::Quietly),
    }
}

fn initial_settings(startup: &Startup, encrypted: bool) -> Result<Settings, PgError> {
    let mut settings = Settings::default();
    settings.start_fixed("session_authorization", &startup.user);
    settings.start_fixed("ssl", if encrypted { "on" } else { "off" });
    for (name, value) in &startup.settings {
        settings.start_with(name, value)?;
    }
    Ok(settings)
}

/// SCRAM-SHA-256. `Err(None)` if the client went away.
async fn password<Q>(
    connection: &mut Connection,
    startup: &Startup,
    port: &Port<Q>,
) -> Result<(), Option<PgError>> {
    let violation = |text: &str| Some(PgError::new("08P01", text));
    let Some(login) = &port.login else { return Ok(()) };
    connection.out.sasl_mechanisms(&[scram::MECHANISM]);
    let first = answer(connection).await?;
    let (mechanism, rest) =
        split_zero(&first).ok_or_else(|| violation("malformed SASL message"))?;
    if mechanism != scram::MECHANISM.as_bytes() {
        return Err(violation("client selected an invalid SASL authentication mechanism"));
    }
    // A length, which the message's own makes superfluous; -1 for no initial answer.
    let data = rest.get(4..).unwrap_or_default();
    let client_first = utf8(data).map_err(Some)?;
    let verifier = login.verifier(&startup.user);
    let random = port.random::<18>().map_err(Some)?;
    let (exchange, server_first) = Exchange::begin(verifier, client_first, random)
        .map_err(|failed| refused(failed, startup))?;
    connection.out.sasl_continue(&server_first);
    let last = answer(connection).await?;
    let server_final =
        exchange.finish(utf8(&last).map_err(Some)?).map_err(|failed| refused(failed, startup))?;
    connection.out.sasl_final(&server_final);
    Ok(())
}

fn refused(failed: Failed, startup: &Startup) -> Option<PgError> {
    Some(match failed {
        Failed::Malformed(text) => PgError::new("08P01", text),
        Failed::WrongPassword => {
            let message = format!("password authentication failed for user \"{}\"", startup.user);
            PgError::new("28P01", message)
        }
    })
}

/// Writes what was asked and waits for a password message.
async fn answer(connection: &mut Connection) -> Result<Arc<[u8]>, Option<PgError>> {
    connection.flush().await.map_err(|_| None)?;
    loop {
        match connection.frame().await {
            Ok(Some(frame)) if frame.kind == b'p' => return Ok(frame.body.as_ref().into()),
            Ok(Some(frame)) if frame.kind == b'X' => return Err(None),
            Ok(Some(frame)) => {
                let message = format!("expected SASL response, got message type {}", frame.kind);
                return Err(Some(PgError::new("08P01", message)));
            }
            Ok(None) => connection.fill().await.map_err(|_| None)?,
            Err(Gone::Unreadable(message)) => return Err(Some(PgError::new("08P01", message))),
            Err(Gone::Closed | Gone::Stalled | Gone::NoMemory) => return Err(None),
        }
    }
}

fn split_zero(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(0, bytes)?;
    Some((bytes.get(..at)?, bytes.get(at + 1..)?))
}
