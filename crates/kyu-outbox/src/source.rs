//! The user's Postgres: rows to relay.

use tokio_postgres::Client;

use crate::position::Position;

/// What makes the outbox: run it once in the user's database.
pub const INSTALL_SQL: &str = include_str!("../sql/outbox.sql");

/// A row of the outbox.
#[derive(Clone, Debug)]
pub(crate) struct OutboxRow {
    pub(crate) xid: u64,
    pub(crate) id: i64,
    pub(crate) to: Target,
    pub(crate) message: Option<String>,
    pub(crate) headers: Option<String>,
    /// As text, in UTC, and in whole seconds from now.
    pub(crate) visible_at: Option<(String, i32)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Queue(String),
    Topic(String),
}

/// Rows behind a position, in order, of transactions that are over; none before them can appear.
pub(crate) async fn rows_after(
    client: &Client,
    position: &Position,
    most: i64,
) -> Result<Vec<OutboxRow>, tokio_postgres::Error> {
    // Qualified: `ORDER BY xid` alone would mean the text in the first column, and 999 come after
    // 1000. The kill -9 test found that.
    let rows = client
        .query(
            "SELECT o.xid::text, id, queue_name, routing_key, message::text, headers::text,
                    (visible_at AT TIME ZONE 'UTC')::text || '+00',
                    greatest(0, ceil(extract(epoch FROM visible_at - clock_timestamp())))::int
             FROM pgmq.outbox o
             WHERE (o.xid, o.id) > ($1::text::xid8, $2)
               AND o.xid < pg_snapshot_xmin(pg_current_snapshot())
             ORDER BY o.xid, o.id LIMIT $3",
            &[&position.xid.to_string(), &position.id, &most],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let xid: String = row.try_get(0)?;
            let queue: Option<String> = row.try_get(2)?;
            let topic: Option<String> = row.try_get(3)?;
            let (at, seconds): (Option<String>, Option<i32>) = (row.try_get(6)?, row.try_get(7)?);
            Ok(OutboxRow {
                xid: xid.parse().unwrap_or_default(),
                id: row.try_get(1)?,
                to: match queue {
                    Some(queue) => Target::Queue(queue),
                    None => Target::Topic(topic.unwrap_or_default()),
                },
                message: row.try_get(4)?,
                headers: row.try_get(5)?,
                visible_at: at.zip(seconds),
            })
        })
        .collect()
}

/// Rows that wait, and the age of the oldest in seconds.
pub(crate) async fn backlog(
    client: &Client,
    position: &Position,
) -> Result<(i64, f64), tokio_postgres::Error> {
    let row = client
        .query_one(
            "SELECT count(*),
                    coalesce(extract(epoch FROM clock_timestamp() - min(added_at)), 0)::float8
             FROM pgmq.outbox WHERE (xid, id) > ($1::text::xid8, $2)",
            &[&position.xid.to_string(), &position.id],
        )
        .await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

/// Deletes rows that are in Kyu and older than this.
pub(crate) async fn delete_relayed(
    client: &Client,
    position: &Position,
    keep_s: f64,
) -> Result<(), tokio_postgres::Error> {
    client
        .execute(
            "DELETE FROM pgmq.outbox WHERE (xid, id) <= ($1::text::xid8, $2)
               AND added_at <= clock_timestamp() - make_interval(secs => $3)",
            &[&position.xid.to_string(), &position.id, &keep_s],
        )
        .await?;
    Ok(())
}

/// Keeps a row that Kyu refused, with what it said. Doing it again changes nothing.
pub(crate) async fn park(
    client: &Client,
    row: &OutboxRow,
    sqlstate: &str,
    error: &str,
) -> Result<(), tokio_postgres::Error> {
    client
        .execute(
            "INSERT INTO pgmq.outbox_parked
             SELECT o.*, $3, $4 FROM pgmq.outbox o
             WHERE o.xid = $1::text::xid8 AND o.id = $2 AND NOT EXISTS (
                 SELECT FROM pgmq.outbox_parked p WHERE p.xid = o.xid AND p.id = o.id)",
            &[&row.xid.to_string(), &row.id, &sqlstate, &error],
        )
        .await?;
    Ok(())
}
