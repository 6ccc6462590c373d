//! The slot and the publication: made, looked at, and dropped.

use std::time::Duration;

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::connection::ReplicationConnection;
use crate::error::Error;
use crate::position::Lsn;
use crate::source::Schema;

/// Longest wait for one who has the slot to let it go.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// `NAMEDATALEN - 1` of Postgres.
const MAX_NAME_BYTES: usize = 63;

/// A slot as far as it is known.
#[derive(Debug)]
pub(super) struct Slot {
    /// The process that reads it.
    pid: Option<i32>,
    /// `reserved`, `extended`, `unreserved` or `lost`.
    wal_status: Option<String>,
    /// The slot is one of this database for pgoutput.
    fits: bool,
    /// Log that nobody has confirmed, in bytes.
    pub(super) lag_bytes: i64,
}

/// A slot that was made, and the instant that it begins at, in two words.
#[derive(Debug)]
pub(super) struct NewSlot {
    /// Transactions that commit from here on are in its stream ...
    pub(super) lsn: Lsn,
    /// ... and all others are seen by this snapshot, as `pg_current_snapshot` writes it.
    pub(super) snapshot: String,
}

/// Names are put into commands as they are.
pub(super) fn check_name(name: &str) -> Result<(), Error> {
    let fits = |byte: u8| byte == b'_' || byte.is_ascii_digit() || byte.is_ascii_lowercase();
    if !name.is_empty() && name.len() <= MAX_NAME_BYTES && name.bytes().all(fits) {
        return Ok(());
    }
    Err(Error::Refused(format!(
        "the slot or publication {name:?}: names have a-z, 0-9 and _, and up to {MAX_NAME_BYTES} characters"
    )))
}

/// `None` if there is none.
pub(super) async fn find(client: &Client, name: &str) -> Result<Option<Slot>, Error> {
    let row = client
        .query_opt(
            "SELECT active_pid, wal_status,
                    plugin IS NOT DISTINCT FROM 'pgoutput'
                        AND database IS NOT DISTINCT FROM current_database() AND NOT temporary,
                    coalesce(pg_wal_lsn_diff(pg_current_wal_flush_lsn(), confirmed_flush_lsn), 0)::bigint
             FROM pg_replication_slots WHERE slot_name = $1",
            &[&name],
        )
        .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Slot {
        pid: row.try_get(0)?,
        wal_status: row.try_get(1)?,
        fits: row.try_get(2)?,
        lag_bytes: row.try_get(3)?,
    }))
}

impl Slot {
    /// An error if the log that it needs is gone, and a warning when it soon will be.
    pub(super) fn check(&self, name: &str) -> Result<(), Error> {
        match self.wal_status.as_deref() {
            Some("lost") => Err(Error::Refused(format!(
                "the slot {name} is lost: the source has dropped log that it needed \
                 (max_slot_wal_keep_size). What waits is in the outbox still: start once with \
                 --new-slot, which relays it from there"
            ))),
            Some("unreserved") => {
                tracing::warn!(slot = name, "the source is about to drop log that the slot needs");
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Errors that name what to change, before anything is made.
pub(super) async fn check_wal_level(client: &Client) -> Result<(), Error> {
    let row = client.query_one("SELECT current_setting('wal_level')", &[]).await?;
    let level: String = row.try_get(0)?;
    if level == "logical" {
        return Ok(());
    }
    Err(Error::Refused(format!(
        "wal_level of the source is {level}: set wal_level = logical in its postgresql.conf and \
         start it again, or leave --replication out"
    )))
}

/// The publication must send what is inserted into the outbox. With a new slot it is made, if there
/// is none; behind an existing slot that would be too late.
pub(super) async fn check_publication(
    client: &Client,
    schema: &Schema,
    name: &str,
    make: bool,
) -> Result<(), Error> {
    let row = client
        .query_opt(
            "SELECT p.pubinsert AND EXISTS (
                 SELECT FROM pg_publication_tables t WHERE t.pubname = p.pubname
                     AND t.schemaname = $2 AND t.tablename = 'outbox')
             FROM pg_publication p WHERE p.pubname = $1",
            &[&name, &schema.name()],
        )
        .await?;
    match row.map(|row| row.try_get(0)).transpose()? {
        Some(true) => return Ok(()),
        Some(false) => {
            return Err(Error::Refused(schema.sql(&format!(
                "the publication {name} does not send what is inserted into pgmq.outbox: ALTER \
                 PUBLICATION {name} ADD TABLE pgmq.outbox, and start once with --new-slot"
            ))));
        }
        None if !make => {
            return Err(Error::Refused(format!(
                "the publication {name} is missing: start once with --new-slot, which makes it again"
            )));
        }
        None => {}
    }
    let create =
        format!("CREATE PUBLICATION {name} FOR TABLE pgmq.outbox WITH (publish = 'insert')");
    let create = schema.sql(&create);
    match client.batch_execute(&create).await {
        Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            Err(Error::Refused(format!(
                "this role may not make the publication: let the owner of the outbox run {create}"
            )))
        }
        made => Ok(made?),
    }
}

/// Ends whoever reads the slot. Kyu's cursor names us, so whoever it is has lost its right; without
/// this it would notice at its next step.
pub(super) async fn free(client: &Client, name: &str) -> Result<(), Error> {
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        let Some(slot) = find(client, name).await? else { return Ok(()) };
        let Some(pid) = slot.pid else { return Ok(()) };
        if tokio::time::Instant::now() > until {
            return Err(Error::Lost(format!("the slot {name} is in use by process {pid}")));
        }
        // Refused to roles that may not: then the other one has to notice by itself.
        if let Err(error) = client.execute("SELECT pg_terminate_backend($1)", &[&pid]).await {
            tracing::debug!(%error, pid, "ending who has the slot");
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Drops a slot of ours, if it is there.
pub(super) async fn drop(client: &Client, name: &str) -> Result<(), Error> {
    let Some(slot) = find(client, name).await? else { return Ok(()) };
    if !slot.fits {
        return Err(Error::Refused(format!(
            "the replication slot {name} is not one of an outbox: name another by --slot"
        )));
    }
    free(client, name).await?;
    match client.execute("SELECT pg_drop_replication_slot($1)", &[&name]).await {
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_OBJECT) => Ok(()),
        Err(error) if error.code() == Some(&SqlState::OBJECT_IN_USE) => {
            Err(Error::Lost(format!("the slot {name} is in use")))
        }
        dropped => Ok(dropped.map(|_| ())?),
    }
}

/// Makes the slot. Waits for transactions that run, as Postgres must.
pub(super) async fn make(
    client: &mut Client,
    replication: &mut ReplicationConnection,
    name: &str,
) -> Result<NewSlot, Error> {
    tracing::info!(slot = name, "making the slot; transactions that run are waited for");
    let command = format!("CREATE_REPLICATION_SLOT {name} LOGICAL pgoutput EXPORT_SNAPSHOT");
    let rows = replication.query(&command).await?;
    let answer = rows.first().map(Vec::as_slice);
    let Some([_name, lsn, exported, ..]) = answer else {
        return Err(Error::Lost("the slot was not described".into()));
    };
    let lsn = lsn.parse().map_err(|()| Error::Lost(format!("the slot begins at {lsn:?}")))?;
    // It is there until the replication connection says something else.
    let transaction =
        client.build_transaction().isolation_level(tokio_postgres::IsolationLevel::RepeatableRead);
    let transaction = transaction.read_only(true).start().await?;
    let import = format!("SET TRANSACTION SNAPSHOT '{}'", exported.replace('\'', ""));
    // It is gone if the replication connection is: a relay that takes over ends that.
    let imported = transaction.batch_execute(&import).await;
    imported.map_err(|error| Error::Lost(crate::error::describe(&error)))?;
    let row = transaction.query_one("SELECT pg_current_snapshot()::text", &[]).await?;
    let snapshot: String = row.try_get(0)?;
    transaction.commit().await?;
    Ok(NewSlot { lsn, snapshot: readable(&snapshot) })
}

/// A snapshot that Postgres reads again.
///
/// One that comes out of the log may end before it begins (`2630:2629:`): nothing runs, and the last
/// commit was some numbers ago. Postgres writes that, and does not read it. The kill -9 test found
/// that.
fn readable(snapshot: &str) -> String {
    let mut words = snapshot.splitn(3, ':');
    let mut number = || words.next().and_then(|word| word.parse::<u64>().ok());
    match (number(), number()) {
        (Some(xmin), Some(xmax)) if xmin > xmax => format!("{xmin}:{xmin}:"),
        _ => snapshot.to_owned(),
    }
}

/// Waits until every transaction that the snapshot sees is seen by all.
///
/// The snapshot comes out of the log, which knows of a commit a little before other transactions do.
pub(super) async fn wait_until_seen(client: &Client, snapshot: &str) -> Result<(), Error> {
    loop {
        let row = client
            .query_one(
                "SELECT NOT EXISTS (
                     SELECT FROM pg_snapshot_xip(pg_current_snapshot()) AS running
                     WHERE pg_visible_in_snapshot(running, $1::text::pg_snapshot))
                 AND pg_snapshot_xmax(pg_current_snapshot()) >= pg_snapshot_xmax($1::text::pg_snapshot)",
                &[&snapshot],
            )
            .await?;
        if row.try_get(0)? {
            return Ok(());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_that_ends_before_it_begins_is_made_readable() {
        assert_eq!(readable("2630:2629:"), "2630:2630:");
        for fine in ["2630:2630:", "10:20:10,12", "10:20:"] {
            assert_eq!(readable(fine), fine);
        }
    }

    #[test]
    fn names_that_cannot_be_put_into_commands_are_refused() {
        assert!(check_name("kyu_outbox_1").is_ok());
        for bad in ["", "Kyu", "a b", "a'b", "a\"b", &"a".repeat(64)] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }
}
