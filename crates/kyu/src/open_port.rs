//! A port that is being served, and its end.

use std::future::Future;
use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::listen::{Reserved, StartError};

/// The open port of one door. Dropping it ends the door as [`OpenPort::shutdown`] does, unheard.
#[derive(Debug)]
pub(crate) struct OpenPort {
    flag: &'static str,
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl OpenPort {
    /// Accepts on the reserved port. `serve` gets the listener, and what completes when it is to
    /// end; `flag` and `asked` name the port in errors.
    pub(crate) fn open<F>(
        reserved: Reserved,
        flag: &'static str,
        asked: &str,
        serve: impl FnOnce(TcpListener, Stopped) -> F,
    ) -> Result<Self, StartError>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = reserved.listen()?;
        let address = listener.local_addr().map_err(|source| StartError::Listen {
            flag,
            address: asked.to_owned(),
            source,
        })?;
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(serve(listener, Stopped(stopped)));
        Ok(Self { flag, address, stop, served })
    }

    /// Ends in good order.
    pub(crate) async fn shutdown(self) {
        // It has stopped already if nobody hears this.
        let _stopped = self.stop.send(());
        if let Err(error) = self.served.await {
            tracing::error!(%error, "the port of {} ended badly", self.flag);
        }
    }
}

/// Completes when a port is to end.
#[derive(Debug)]
pub(crate) struct Stopped(oneshot::Receiver<()>);

impl Stopped {
    pub(crate) async fn wait(self) {
        // A dropped server stops, too.
        let _dropped = self.0.await;
    }
}
