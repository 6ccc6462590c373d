//! Ports: found free, or named in the error.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use kyu_broker::OpenError;
use tokio::net::{TcpSocket, lookup_host};

/// Connections that the system holds while the server is busy accepting others.
const BACKLOG: u32 = 4_096;

/// Why a server did not start.
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
    /// The data directory did not open.
    Open(OpenError),
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

/// Reserves `HOST:PORT`. With `loopback_only`, refuses an address that others can reach.
pub(crate) async fn reserve(
    flag: &'static str,
    text: &str,
    loopback_only: bool,
) -> Result<Reserved, StartError> {
    let failed = |source| StartError::Listen { flag, address: text.to_owned(), source };
    let mut found = lookup_host(text).await.map_err(failed)?;
    let address =
        found.next().ok_or_else(|| failed(io::Error::other("the name has no address")))?;
    if loopback_only && !address.ip().to_canonical().is_loopback() {
        return Err(StartError::OpenToTheWorld { flag, address });
    }
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

    #[tokio::test]
    async fn a_port_in_use_is_an_error_that_names_the_flag() {
        let first = reserve("--http", "127.0.0.1:0", true).await.unwrap().listen().unwrap();
        let address = first.local_addr().unwrap().to_string();
        let again = async { reserve("--http", &address, true).await?.listen() };
        let error = again.await.map(drop).unwrap_err();
        assert!(matches!(error, StartError::PortInUse { .. }), "{error}");
        assert!(error.to_string().contains(&format!("--http {address}")));
    }

    #[tokio::test]
    async fn without_credentials_only_loopback_is_served() {
        for open in ["0.0.0.0:0", "[::]:0"] {
            let refused = reserve("--http", open, true).await.map(drop);
            assert!(matches!(refused, Err(StartError::OpenToTheWorld { .. })), "{open}");
        }
        assert!(reserve("--http", "0.0.0.0:0", false).await.is_ok());
        assert!(reserve("--http", "localhost:0", true).await.is_ok());
        assert!(reserve("--http", "nonsense", true).await.is_err());
    }
}
