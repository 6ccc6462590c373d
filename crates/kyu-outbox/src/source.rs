//! The user's Postgres: rows to relay.

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::error::Error;
use crate::position::{KeyRun, Lsn};

const INSTALL_SQL: &str = include_str!("../sql/outbox.sql");

/// The schema that the outbox is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema(String);

impl Default for Schema {
    /// That of pgmq: the functions have its names and arguments.
    fn default() -> Self {
        Self("pgmq".to_owned())
    }
}

impl Schema {
    /// A schema by its name.
    ///
    /// # Errors
    /// Names have a-z, 0-9 and _, and up to 63 characters: they are put into statements as they are.
    pub fn new(name: &str) -> Result<Self, String> {
        let fits = |byte: u8| byte == b'_' || byte.is_ascii_digit() || byte.is_ascii_lowercase();
        let begins = name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
        if begins && name.len() <= 63 && name.bytes().all(fits) {
            return Ok(Self(name.to_owned()));
        }
        Err(format!("the schema {name:?}: names have a-z, 0-9 and _, and up to 63 characters"))
    }

    /// The statements that make the outbox: run them once in the user's database.
    pub fn install_sql(&self) -> String {
        let mut sql = INSTALL_SQL.to_owned();
        for before in ["CREATE SCHEMA IF NOT EXISTS ", "ON SCHEMA "] {
            sql = sql.replace(&format!("{before}pgmq"), &format!("{before}{}", self.0));
        }
        self.sql(&sql)
    }

    /// A statement about `pgmq.outbox` as one about the outbox of this schema.
    pub(crate) fn sql(&self, statement: &str) -> String {
        if self.0 == "pgmq" {
            return statement.to_owned();
        }
        statement.replace("pgmq.", &format!("{}.", self.0))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// The query for what tells this outbox from every other.
const IDENTITY_SQL: &str = "SELECT s.identity::text,
    s.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    FROM pgmq.outbox_source s";

/// The statements for outboxes that are older, as in `sql/outbox.sql`.
const MAKE_IDENTITY_SQL: &str = "CREATE TABLE IF NOT EXISTS pgmq.outbox_source (
        identity uuid    NOT NULL DEFAULT gen_random_uuid(),
        database oid     NOT NULL,
        single   boolean PRIMARY KEY DEFAULT true CHECK (single)
    );
    INSERT INTO pgmq.outbox_source (database)
    SELECT oid FROM pg_database WHERE datname = current_database()
    ON CONFLICT DO NOTHING";

/// The identity of the outbox. One that has none, made by an older `--print-sql`, gets one.
pub(crate) async fn identity(client: &Client, schema: &Schema) -> Result<String, Error> {
    let query = "SELECT to_regclass('pgmq.outbox_source') IS NOT NULL";
    let known: bool = client.query_one(&schema.sql(query), &[]).await?.try_get(0)?;
    let found = match known {
        true => client.query_opt(&schema.sql(IDENTITY_SQL), &[]).await?,
        false => None,
    };
    let found = match found {
        Some(found) => found,
        None => {
            let made = client.batch_execute(&schema.sql(MAKE_IDENTITY_SQL)).await;
            made.map_err(|error| match error.code() {
                Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => Error::Refused(
                    "the outbox is older than its identity, and this role may not make one: let \
                     the owner run `kyu outbox --print-sql` there once more"
                        .into(),
                ),
                _ => error.into(),
            })?;
            client.query_one(&schema.sql(IDENTITY_SQL), &[]).await?
        }
    };
    let (identity, same): (String, Option<bool>) = (found.try_get(0)?, found.try_get(1)?);
    if same != Some(true) {
        return Err(Error::Refused(format!(
            "this database is a copy: its outbox has the identity {identity} of another one, whose \
             transactions have other numbers. If it is to be relayed as an outbox of its own, run \
             `DELETE FROM {}.outbox_source` in it and give its relay another --name",
            schema.0
        )));
    }
    Ok(identity)
}

/// Tells whether transactions of this number can have been here: numbers only grow, until a
/// database is restored from an older state.
pub(crate) async fn has_reached(client: &Client, xid: u64) -> Result<bool, Error> {
    let query = "SELECT $1::text::xid8 < pg_snapshot_xmax(pg_current_snapshot())";
    Ok(client.query_one(query, &[&xid.to_string()]).await?.try_get(0)?)
}

/// Larger rows are parked without asking Kyu, which takes messages of 2 MiB and closes the
/// connection at statements of 64 MiB.
const MAX_ROW_BYTES: usize = 16 << 20;
/// Up to so many waiting rows are counted; beyond, their number is an estimate.
const MAX_COUNTED_ROWS: i64 = 10_000;
/// The time between two looks at what is not visible yet.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_millis(5);

/// A row of the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OutboxRow {
    pub(crate) xid: u64,
    pub(crate) id: i64,
    /// If it came by logical replication: where its transaction committed, and that it is the n-th
    /// row of it.
    pub(crate) commit: Option<(Lsn, u64)>,
    pub(crate) to: Target,
    pub(crate) message: Option<String>,
    pub(crate) headers: Option<String>,
    /// The time as text, in UTC, and in whole seconds from now.
    pub(crate) visible_at: Option<(String, i32)>,
    /// Its body is not worth sending, and perhaps not here.
    pub(crate) too_large: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Queue(String),
    Topic(String),
}

impl OutboxRow {
    /// The size of its body, about.
    pub(crate) fn bytes(&self) -> usize {
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        length(&self.message) + length(&self.headers)
    }
}

/// The rows that are asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Within<'a> {
    /// The rows of transactions below the oldest that runs: no row can appear before them.
    Finished,
    /// The rows of transactions that this snapshot sees.
    Snapshot(&'a str),
}

/// Checks that there is an outbox at all.
pub(crate) async fn check(client: &Client, schema: &Schema) -> Result<(), Error> {
    let query = schema.sql("SELECT to_regclass('pgmq.outbox') IS NOT NULL");
    let row = client.query_one(&query, &[]).await?;
    if row.try_get(0)? {
        return Ok(());
    }
    Err(Error::Refused(format!(
        "the source has no table {}.outbox: `kyu outbox --print-sql | psql DATABASE` makes it",
        schema.0
    )))
}

/// Rows behind `(xid, id)`, in order.
pub(crate) async fn rows_after(
    client: &Client,
    schema: &Schema,
    (xid, id): (u64, i64),
    within: Within<'_>,
    most: i64,
) -> Result<Vec<OutboxRow>, tokio_postgres::Error> {
    let (condition, snapshot) = match within {
        Within::Finished => {
            ("$4::text IS NULL AND o.xid < pg_snapshot_xmin(pg_current_snapshot())", None)
        }
        Within::Snapshot(snapshot) => {
            ("pg_visible_in_snapshot(o.xid, $4::text::pg_snapshot)", Some(snapshot))
        }
    };
    // Qualified: `ORDER BY xid` alone would mean the text in the first column, and 999 come after
    // 1000. The kill -9 test found that.
    let query = format!(
        "SELECT o.xid::text, id, queue_name, routing_key, message::text, headers::text,
                CASE WHEN isfinite(visible_at) THEN (visible_at AT TIME ZONE 'UTC')::text || '+00'
                     ELSE visible_at::text END,
                CASE WHEN isfinite(visible_at)
                     THEN least(greatest(0, ceil(extract(epoch FROM visible_at - clock_timestamp()))), 2147483647)::int
                     WHEN visible_at > now() THEN 2147483647 ELSE 0 END
         FROM pgmq.outbox o
         WHERE (o.xid, o.id) > ($1::text::xid8, $2) AND {condition}
         ORDER BY o.xid, o.id LIMIT $3"
    );
    let query = schema.sql(&query);
    let rows = client.query(&query, &[&xid.to_string(), &id, &most, &snapshot]).await?;
    rows.iter()
        .map(|row| {
            let xid: String = row.try_get(0)?;
            let queue: Option<String> = row.try_get(2)?;
            let topic: Option<String> = row.try_get(3)?;
            let (at, seconds): (Option<String>, Option<i32>) = (row.try_get(6)?, row.try_get(7)?);
            let mut row = OutboxRow {
                xid: xid.parse().unwrap_or_default(),
                id: row.try_get(1)?,
                commit: None,
                to: match queue {
                    Some(queue) => Target::Queue(queue),
                    None => Target::Topic(topic.unwrap_or_default()),
                },
                message: row.try_get(4)?,
                headers: row.try_get(5)?,
                visible_at: at.zip(seconds),
                too_large: false,
            };
            row.too_large = row.bytes() > MAX_ROW_BYTES;
            Ok(row)
        })
        .collect()
}

/// Rows that wait behind `(xid, id)`, and the age of the first in seconds.
///
/// Cheap however many wait: beyond [`MAX_COUNTED_ROWS`] it is the table's size as the planner knows
/// it.
pub(crate) async fn backlog(
    client: &Client,
    schema: &Schema,
    (xid, id): (u64, i64),
) -> Result<(i64, f64), tokio_postgres::Error> {
    let row = client
        .query_one(
            &schema.sql(
                "SELECT (SELECT count(*) FROM (SELECT FROM pgmq.outbox o
                     WHERE (o.xid, o.id) > ($1::text::xid8, $2) LIMIT $3::bigint + 1) AS counted),
                    (SELECT reltuples::bigint FROM pg_class WHERE oid = 'pgmq.outbox'::regclass),
                    coalesce((SELECT extract(epoch FROM clock_timestamp() - o.added_at)
                     FROM pgmq.outbox o WHERE (o.xid, o.id) > ($1::text::xid8, $2)
                     ORDER BY o.xid, o.id LIMIT 1), 0)::float8",
            ),
            &[&xid.to_string(), &id, &MAX_COUNTED_ROWS],
        )
        .await?;
    let (counted, estimated): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    let rows = if counted > MAX_COUNTED_ROWS { counted.max(estimated) } else { counted };
    Ok((rows, row.try_get(2)?))
}

/// Deletes rows up to `(xid, id)` that are older than this.
pub(crate) async fn delete_relayed(
    client: &Client,
    schema: &Schema,
    (xid, id): (u64, i64),
    keep_s: f64,
) -> Result<(), tokio_postgres::Error> {
    client
        .execute(
            &schema.sql(
                "DELETE FROM pgmq.outbox WHERE (xid, id) <= ($1::text::xid8, $2)
               AND added_at <= clock_timestamp() - make_interval(secs => $3)",
            ),
            &[&xid.to_string(), &id, &keep_s],
        )
        .await?;
    Ok(())
}

/// Deletes these rows, if they are there.
///
/// The log knows of a commit before other transactions see it (much before, if it waits for a
/// standby): then this waits until they do, or the rows would stay for ever.
pub(crate) async fn delete_keys(
    client: &Client,
    schema: &Schema,
    keys: &[KeyRun],
) -> Result<(), tokio_postgres::Error> {
    if keys.is_empty() {
        return Ok(());
    }
    let xids: Vec<String> = keys.iter().map(|run| run.xid.to_string()).collect();
    let firsts: Vec<i64> = keys.iter().map(|run| run.first).collect();
    let lasts: Vec<i64> = keys.iter().map(|run| run.last).collect();
    loop {
        let row = client
            .query_one(
                &schema.sql(
                    "WITH keys AS (
                     SELECT k.xid::xid8 AS xid, k.first, k.last
                     FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS k (xid, first, last)
                 ), deleted AS (
                     DELETE FROM pgmq.outbox o USING keys k
                     WHERE o.xid = k.xid AND o.id BETWEEN k.first AND k.last
                 )
                 SELECT bool_and(pg_visible_in_snapshot(k.xid, pg_current_snapshot())) FROM keys k",
                ),
                &[&xids, &firsts, &lasts],
            )
            .await?;
        if row.try_get(0)? {
            return Ok(());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Keeps a row that Kyu refused, with what it said. Doing it again changes nothing.
pub(crate) async fn park(
    client: &Client,
    schema: &Schema,
    row: &OutboxRow,
    sqlstate: &str,
    error: &str,
) -> Result<(), tokio_postgres::Error> {
    client
        .execute(
            &schema.sql(
                "INSERT INTO pgmq.outbox_parked
             SELECT o.*, $3, $4 FROM pgmq.outbox o
             WHERE o.xid = $1::text::xid8 AND o.id = $2 AND NOT EXISTS (
                 SELECT FROM pgmq.outbox_parked p WHERE p.xid = o.xid AND p.id = o.id)",
            ),
            &[&row.xid.to_string(), &row.id, &sqlstate, &error],
        )
        .await?;
    Ok(())
}
