//! Logical replication: rows in the order in which their transactions committed, the moment they do.
//!
//! **The table stays the truth.** A row is in Kyu when it is gone from `pgmq.outbox`, or when the
//! cursor names it: each step deletes its rows before the next one begins. So a slot that is lost
//! costs a look at the table and no message, and polling can take over at any time, and the reverse.

mod connection;
mod handover;
mod pgoutput;
mod slot;
mod stream;

use std::sync::atomic::Ordering;

use crate::error::Error;
use crate::relay::{LOOK_AT_LAG_EVERY, Link, Relay};
use stream::WalStream;

/// The way in which a relay reads the log.
#[derive(Clone, Debug)]
pub struct Replication {
    /// The replication slot, which is the relay's own. Made if it is not there.
    pub slot: String,
    /// The publication of the outbox. Made with the slot if it is not there.
    pub publication: String,
    /// Makes the slot anew, after it was lost; once.
    pub new_slot: bool,
}

impl Relay {
    /// Relays by logical replication until it is told to stop.
    pub(crate) async fn follow(
        &self,
        link: &mut Link,
        replication: &Replication,
    ) -> Result<(), Error> {
        let Some(mut stream) = self.hand_over_to_wal(link, replication).await? else {
            return Ok(());
        };
        let ended = self.follow_stream(link, replication, &mut stream).await;
        stream.close().await;
        ended
    }

    async fn follow_stream(
        &self,
        link: &mut Link,
        replication: &Replication,
        stream: &mut WalStream,
    ) -> Result<(), Error> {
        let mut stopping = self.stopping();
        let mut ticks = tokio::time::interval(LOOK_AT_LAG_EVERY);
        loop {
            let chunk = tokio::select! {
                biased;
                _ = stopping.wait_for(|stop| *stop) => return Ok(()),
                _ = ticks.tick() => {
                    self.look(link).await?;
                    self.look_at_slot(link, replication).await?;
                    continue;
                }
                chunk = stream.next() => chunk?,
            };
            self.deliver(link, &chunk.rows).await?;
            if let Some(lsn) = chunk.confirm {
                stream.confirm(lsn);
            }
        }
    }

    async fn look_at_slot(&self, link: &Link, replication: &Replication) -> Result<(), Error> {
        let name = &replication.slot;
        if let Some(slot) = slot::find(&link.source, name).await? {
            self.lag.wal_bytes.store(slot.lag_bytes, Ordering::Relaxed);
            slot.check(name)?;
        }
        Ok(())
    }
}
