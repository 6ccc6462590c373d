//! The way from polling, from nothing, or from a slot that was lost, to the stream of a slot; and
//! back.
//!
//! A new slot begins at an instant of the log that a snapshot describes too: what the snapshot sees
//! is relayed from the table, the rest comes by the stream. Until the table is done the cursor says
//! that the slot is to be made, so that a relay that dies begins with a new one. What the table
//! holds by then is what Kyu does not have.

use super::connection::ReplicationConnection;
use super::stream::WalStream;
use super::{Replication, slot};
use crate::conninfo::Conninfo;
use crate::error::Error;
use crate::position::{Place, StreamPlace, WalPlace};
use crate::relay::{LOGIN_TIMEOUT, Link, Relay};
use crate::source::{self, Within};

/// The identity of the log.
struct System {
    identifier: u64,
    timeline: u32,
}

impl Relay {
    /// The stream, from where Kyu stands; `None` if it was told to stop on the way.
    pub(super) async fn hand_over_to_wal(
        &self,
        link: &mut Link,
        replication: &Replication,
    ) -> Result<Option<WalStream>, Error> {
        let Replication { slot, publication, .. } = replication;
        slot::check_name(slot)?;
        slot::check_name(publication)?;
        slot::check_wal_level(&link.source).await?;
        let (mut connection, system) = self.open_replication(link).await?;
        let found = self.place_in(link, replication, &system).await?;
        slot::check_publication(&link.source, &self.options.schema, publication, found.is_none())
            .await?;
        let place = match found {
            Some(place) => {
                slot::free(&link.source, slot).await?;
                place
            }
            None => {
                let begun = self.begin_slot(link, &mut connection, slot, &system).await?;
                let Some(place) = begun else { return Ok(None) };
                place
            }
        };
        self.is_new_slot_due.store(false, std::sync::atomic::Ordering::Relaxed);
        // The server knows where it was confirmed; what is in Kyu already is left out here.
        let command = format!(
            "START_REPLICATION SLOT {slot} LOGICAL 0/0 \
             (proto_version '1', publication_names '{publication}')"
        );
        connection.copy_both(&command).await?;
        tracing::info!(slot, lsn = %place.lsn, "reading the log");
        let schema = self.options.schema.name();
        Ok(Some(WalStream::begin(connection, place, self.batch_rows(), schema)))
    }

    async fn open_replication(
        &self,
        link: &Link,
    ) -> Result<(ReplicationConnection, System), Error> {
        let row = link.source.query_one("SELECT session_user, current_database()", &[]).await?;
        let (user, database): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let conninfo = Conninfo::parse(&self.options.source)?;
        let opening = ReplicationConnection::open(&conninfo, &user, &database);
        let opened = tokio::time::timeout(LOGIN_TIMEOUT, opening).await;
        let mut connection = opened.map_err(|_| Error::Lost("no answer to the login".into()))??;
        let rows = connection.query("IDENTIFY_SYSTEM").await?;
        let system = rows.first().and_then(|row| match row.as_slice() {
            [identifier, timeline, ..] => Some(System {
                identifier: identifier.parse().ok()?,
                timeline: timeline.parse().ok()?,
            }),
            _ => None,
        });
        let system =
            system.ok_or_else(|| Error::Lost("the source did not say who it is".into()))?;
        Ok((connection, system))
    }

    /// The place in the log to go on from; `None` if the slot is to be made. The cursor says the
    /// same, and the table holds nothing that is in Kyu.
    async fn place_in(
        &self,
        link: &mut Link,
        replication: &Replication,
        system: &System,
    ) -> Result<Option<StreamPlace>, Error> {
        let place = match link.position.place.clone() {
            Place::Polling { xid, id } => {
                source::delete_relayed(&link.source, &self.options.schema, (xid, id), 0.0).await?;
                self.to_be_made(link, &replication.slot).await?;
                return Ok(None);
            }
            Place::Wal(place) => place,
        };
        source::delete_keys(&link.source, &self.options.schema, &place.keys).await?;
        let Some(at) = place.at else { return Ok(None) };
        if self.is_new_slot_due.load(std::sync::atomic::Ordering::Relaxed) {
            if place.slot != replication.slot {
                slot::drop(&link.source, &place.slot).await?;
            }
            self.to_be_made(link, &replication.slot).await?;
            return Ok(None);
        }
        let refused = |what: String| {
            Err(Error::Refused(format!(
                "{what}. Rows that Kyu does not have are in the outbox still: start once with \
                 --new-slot, which relays them from there and makes the slot again"
            )))
        };
        if place.slot != replication.slot {
            return refused(format!("the source is relayed by the slot {}", place.slot));
        }
        if (at.system, at.timeline) != (system.identifier, system.timeline) {
            return refused(format!(
                "the cursor is one of cluster {}, timeline {}; the source is cluster {}, timeline {}",
                at.system, at.timeline, system.identifier, system.timeline
            ));
        }
        match slot::find(&link.source, &place.slot).await? {
            Some(slot) => slot.check(&place.slot)?,
            None => return refused(format!("the slot {} is missing", place.slot)),
        }
        Ok(Some(at))
    }

    /// Says in Kyu that the slot is to be made.
    async fn to_be_made(&self, link: &mut Link, slot: &str) -> Result<(), Error> {
        let place = WalPlace { slot: slot.to_owned(), at: None, keys: Vec::new() };
        self.move_to(link, Place::Wal(place)).await
    }

    /// Makes the slot, relays what was there before it, and only then writes down that it is there.
    async fn begin_slot(
        &self,
        link: &mut Link,
        connection: &mut ReplicationConnection,
        name: &str,
        system: &System,
    ) -> Result<Option<StreamPlace>, Error> {
        // One that a relay made and did not come to use, or that was lost.
        slot::drop(&link.source, name).await?;
        let new = slot::make(&mut link.source, connection, name).await?;
        slot::wait_until_seen(&link.source, &new.snapshot).await?;
        let stopping = self.stopping();
        let mut after = (0, 0);
        loop {
            if *stopping.borrow() {
                return Ok(None);
            }
            let within = Within::Snapshot(&new.snapshot);
            let most = self.batch_rows() as i64;
            let rows =
                source::rows_after(&link.source, &self.options.schema, after, within, most).await?;
            let Some(last) = rows.last() else { break };
            after = (last.xid, last.id);
            self.deliver(link, &rows).await?;
            self.look_if_due(link).await?;
        }
        let at = StreamPlace {
            system: system.identifier,
            timeline: system.timeline,
            lsn: new.lsn,
            rows: 0,
        };
        let place = WalPlace { slot: name.to_owned(), at: Some(at.clone()), keys: Vec::new() };
        self.move_to(link, Place::Wal(place)).await?;
        Ok(Some(at))
    }

    /// Back to polling: the table holds what Kyu does not have, and the slot must not hold log for
    /// nobody.
    pub(crate) async fn hand_over_to_polling(&self, link: &mut Link) -> Result<(), Error> {
        let Place::Wal(place) = link.position.place.clone() else { return Ok(()) };
        source::delete_keys(&link.source, &self.options.schema, &place.keys).await?;
        self.to_be_made(link, &place.slot).await?;
        slot::drop(&link.source, &place.slot).await?;
        self.move_to(link, Place::Polling { xid: 0, id: 0 }).await?;
        tracing::info!(slot = place.slot, "dropped the slot: polling");
        Ok(())
    }
}
