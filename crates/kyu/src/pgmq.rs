//! The port of the pgmq door: reserved and opened.

use std::sync::Arc;

use kyu_broker::Broker;
use kyu_pgmq::queues::Pgmq;
use kyu_pgmq::wire::{Counts, Door, DoorMemory, DoorOptions};

use crate::listen::{Guards, Reserved, StartError, reserve};
use crate::open_port::OpenPort;

pub(crate) const FLAG: &str = "--pgmq";
/// The pair of its own, or else of all doors.
const USER_SETTING: &str =
    "KYU_PGMQ_USER and KYU_PGMQ_PASSWORD (or KYU_ACCESS_KEY_ID and KYU_SECRET_ACCESS_KEY)";

/// The options of the pgmq door.
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
        let user =
            self.door.user.as_ref().map(|(name, password)| (name.as_str(), password.as_str()));
        let guards = Guards { setting: USER_SETTING, pairs: user.as_slice() };
        reserve(FLAG, &self.address, guards).await
    }
}

/// Opens the door.
pub(crate) fn open(
    reserved: Reserved,
    options: PgmqOptions,
    broker: Broker,
    namespace: String,
    memory: DoorMemory,
    counts: Arc<Counts>,
) -> Result<OpenPort, StartError> {
    let address = options.address;
    let queues = Pgmq::new(broker, namespace);
    let door = Door::new(queues, options.door, memory, counts).map_err(|reason| {
        let source = std::io::Error::other(reason);
        StartError::Listen { flag: FLAG, address: address.clone(), source }
    })?;
    OpenPort::open(reserved, FLAG, &address, |listener, stopped| {
        door.serve(listener, stopped.wait())
    })
}
