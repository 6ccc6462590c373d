//! Ports: found free, or named in the error.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use kyu_broker::OpenError;
use kyu_door::credentials::{self, Reach, Weakness};
use kyu_door::descriptors;
use tokio::net::{TcpSocket, lookup_host};

/// Connections that the system holds while the server is busy accepting others.
const BACKLOG: u32 = 4_096;

/// The reason why a server did not start.
#[derive(Debug)]
pub enum StartError {
    /// Somebody else listens there.
    PortInUse {
        /// The flag that sets the address.
        flag: &'static str,
        /// The address.
        address: String,
    },
    /// The address cannot be used.
    Listen {
        /// The flag that sets the address.
        flag: &'static str,
        /// The address.
        address: String,
        /// The system's answer.
        source: io::Error,
    },
    /// Without credentials only loopback may be served.
    OpenToTheWorld {
        /// The flag that sets the address.
        flag: &'static str,
        /// The address.
        address: SocketAddr,
    },
    /// The value set as a credential is no real credential.
    WeakCredential {
        /// The settings that name it.
        setting: &'static str,
        /// The address that it should guard.
        address: SocketAddr,
        /// The weakness.
        weakness: Weakness,
    },
    /// The process may open so few files that hardly a connection would be left.
    FewDescriptors {
        /// The limit.
        limit: usize,
    },
    /// The data directory did not open.
    Open(OpenError),
}

/// Name and secret of everybody who may use a port; without any, only this machine may.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guards<'a> {
    /// The settings that they come from.
    pub(crate) setting: &'static str,
    /// Name and secret of each.
    pub(crate) pairs: &'a [(&'a str, &'a str)],
}

impl Guards<'_> {
    /// Refuses an address that others can reach without credentials, and credentials that are none.
    fn check(&self, flag: &'static str, address: SocketAddr) -> Result<(), StartError> {
        let reach = match address.ip().to_canonical().is_loopback() {
            true => Reach::Loopback,
            false => Reach::Network,
        };
        if self.pairs.is_empty() && reach == Reach::Network {
            return Err(StartError::OpenToTheWorld { flag, address });
        }
        for (name, secret) in self.pairs {
            credentials::check(name, secret, reach).map_err(|weakness| {
                StartError::WeakCredential { setting: self.setting, address, weakness }
            })?;
        }
        Ok(())
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PortInUse { flag, address } => write!(
                f,
                "{flag} {address}: the port is in use. Stop the other program, choose another with \
                 {flag} HOST:PORT, leave this door out with {flag} off, or let `kyu dev` find a free \
                 one"
            ),
            Self::Listen { flag, address, source } => write!(f, "{flag} {address}: {source}"),
            Self::OpenToTheWorld { flag, address } => write!(
                f,
                "{flag} {address} can be reached from other machines, and no credentials are set. \
                 Set KYU_ACCESS_KEY_ID and KYU_SECRET_ACCESS_KEY, or use {flag} 127.0.0.1:{}",
                address.port()
            ),
            Self::WeakCredential { setting, address, weakness } => write!(
                f,
                "{setting}: {weakness}, and that is no credential for {address}. Set a longer \
                 secret, or unset both settings to serve this machine alone"
            ),
            Self::FewDescriptors { limit } => write!(
                f,
                "the process may have {limit} open files, and needs {} at the least: raise the limit \
                 (ulimit -n, LimitNOFILE=)",
                descriptors::FEWEST
            ),
            Self::Open(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {}

/// A port that is ours but does not listen yet: nobody connects before the server can answer.
pub(crate) struct Reserved {
    flag: &'static str,
    text: String,
    socket: TcpSocket,
}

/// Reserves `HOST:PORT`, if those who may use it can be told from everybody else.
pub(crate) async fn reserve(
    flag: &'static str,
    text: &str,
    guards: Guards<'_>,
) -> Result<Reserved, StartError> {
    let failed = |source| StartError::Listen { flag, address: text.to_owned(), source };
    let mut found = lookup_host(text).await.map_err(failed)?;
    let address =
        found.next().ok_or_else(|| failed(io::Error::other("the name has no address")))?;
    guards.check(flag, address)?;
    let bound = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A restarted server must get its port back while old connections linger.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(socket)
    };
    let socket = bound().map_err(|error| start_error(flag, text, error))?;
    Ok(Reserved { flag, text: text.to_owned(), socket })
}

impl Reserved {
    /// The address, with the port that the system chose if none was asked for.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()
    }

    /// Accepts connections from now on.
    pub(crate) fn listen(self) -> Result<tokio::net::TcpListener, StartError> {
        let Self { flag, text, socket } = self;
        socket.listen(BACKLOG).map_err(|error| start_error(flag, &text, error))
    }
}

fn start_error(flag: &'static str, text: &str, source: io::Error) -> StartError {
    let address = text.to_owned();
    if source.kind() == io::ErrorKind::AddrInUse {
        return StartError::PortInUse { flag, address };
    }
    StartError::Listen { flag, address, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: Guards<'_> = Guards { setting: "--key", pairs: &[] };

    #[tokio::test]
    async fn a_port_in_use_is_an_error_that_names_the_flag() {
        let first = reserve("--http", "127.0.0.1:0", NOBODY).await.unwrap().listen().unwrap();
        let address = first.local_addr().unwrap().to_string();
        let again = async { reserve("--http", &address, NOBODY).await?.listen() };
        let error = again.await.map(drop).unwrap_err();
        assert!(matches!(error, StartError::PortInUse { .. }), "{error}");
        assert!(error.to_string().contains(&format!("--http {address}")));
    }

    #[tokio::test]
    async fn without_credentials_only_loopback_is_served() {
        for open in ["0.0.0.0:0", "[::]:0"] {
            let refused = reserve("--http", open, NOBODY).await.map(drop);
            assert!(matches!(refused, Err(StartError::OpenToTheWorld { .. })), "{open}");
        }
        let guarded = Guards { pairs: &[("AKID", "long enough")], ..NOBODY };
        assert!(reserve("--http", "0.0.0.0:0", guarded).await.is_ok());
        assert!(reserve("--http", "localhost:0", NOBODY).await.is_ok());
        assert!(reserve("--http", "nonsense", NOBODY).await.is_err());
    }

    /// `KYU_ACCESS_KEY_ID=` and `KYU_SECRET_ACCESS_KEY=`, set and empty, were a key pair: the server
    /// started on 0.0.0.0, and `Authorization: Basic Og==` was let in.
    #[tokio::test]
    async fn an_empty_or_short_secret_opens_no_port() {
        for (address, pair) in [
            ("0.0.0.0:0", ("", "")),
            ("127.0.0.1:0", ("", "")),
            ("127.0.0.1:0", ("AKID", "")),
            ("127.0.0.1:0", ("", "long enough")),
            ("127.0.0.1:0", ("AKID", "abc")),
            ("0.0.0.0:0", ("AKID", "seven77")),
        ] {
            let pairs = [("AKID", "long enough"), pair];
            let refused = reserve("--http", address, Guards { pairs: &pairs, ..NOBODY }).await;
            let refused = refused.map(drop).unwrap_err();
            assert!(matches!(refused, StartError::WeakCredential { .. }), "{address} {pair:?}");
            assert!(refused.to_string().starts_with("--key: the "), "{refused}");
        }
    }
}
