//! The port of the pgmq door: reserved, served, ended.

use std::net::SocketAddr;
use std::sync::Arc;

use kyu_broker::Broker;
use kyu_pgmq::queues::Pgmq;
use kyu_pgmq::wire::{Counts, Door, DoorOptions};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::listen::{Reserved, StartError, reserve};

pub(crate) const FLAG: &str = "--pgmq";

/// How the pgmq door is opened.
#[derive(Debug)]
pub struct PgmqOptions {
    /// Its address. Beyond loopback only with a user.
    pub address: String,
    /// User, TLS and bounds.
    pub door: DoorOptions,
}

impl PgmqOptions {
    /// A door for this machine at `address`: no password, no TLS.
    pub fn new(address: impl Into<String>) -> Self {
        Self { address: address.into(), door: DoorOptions::default() }
    }

    pub(crate) async fn reserve(&self) -> Result<Reserved, StartError> {
        reserve(FLAG, &self.address, self.door.user.is_none()).await
    }
}

/// The running door.
#[derive(Debug)]
pub(crate) struct PgmqPort {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl PgmqPort {
    pub(crate) fn open(
        reserved: Reserved,
        options: PgmqOptions,
        broker: Broker,
        namespace: String,
        counts: Arc<Counts>,
    ) -> Result<Self, StartError> {
        let failed =
            |source| StartError::Listen { flag: FLAG, address: options.address.clone(), source };
        let listener = reserved.listen()?;
        let address = listener.local_addr().map_err(failed)?;
        let door = Door::new(Pgmq::new(broker, namespace), options.door, counts)
            .map_err(|reason| failed(std::io::Error::other(reason)))?;
        let (stop, stopped) = oneshot::channel();
        let stopped = async move {
            // A dropped server stops, too.
            let _dropped = stopped.await;
        };
        let served = tokio::spawn(door.serve(listener, stopped));
        Ok(Self { address, stop, served })
    }

    pub(crate) async fn shutdown(self) {
        // It has stopped already if nobody hears this.
        let _stopped = self.stop.send(());
        if let Err(error) = self.served.await {
            tracing::error!(%error, "the pgmq port ended badly");
        }
    }
}
