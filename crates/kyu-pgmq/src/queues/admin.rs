//! `create...`, `drop_queue`, `purge_queue`, `list_queues`, `metrics`: queues as wholes.

use kyu_broker::{
    CreateQueue, DeleteQueue, Error, Group, PurgeQueue, QueueConfig, QueueId, QueueName,
    QueueStats, Refusal, StatsOf, UnixMs, archive_name,
};
use kyu_pgsql::error::PgError;
use kyu_pgsql::value::{Row, Value};

use super::failure;
use super::limits::CONFIGURE_TRIES;
use super::locks::{Mode, Object};
use super::names::{self, Found};
use super::session::QueueSession;
use super::time::{age_seconds, to_pg};
use super::transaction::{End, QueueChanges, Standing, archive_command};

/// The settings that say what kind of table a queue would be in Postgres; they change nothing.
const UNLOGGED: &str = "pgmq.unlogged";
const PARTITIONED: &str = "pgmq.partitioned";

/// The kind of table that a queue would be in Postgres. It changes nothing but how the queue is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QueueForm {
    Plain,
    Unlogged,
    Partitioned,
}

/// A queue as this session sees it.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) name: String,
    /// `None` for one that this transaction has made.
    pub(super) id: Option<QueueId>,
    pub(super) config: QueueConfig,
    pub(super) created_at_ms: UnixMs,
}

impl Listed {
    fn marks(&self) -> [Value; 3] {
        let marked = |mark| Value::Bool(self.config.attributes.contains_key(mark));
        let created_at = Value::Timestamp(to_pg(self.created_at_ms));
        [marked(PARTITIONED), marked(UNLOGGED), created_at]
    }

    /// Columns of `queue_record` and of `pgmq.meta`.
    pub(super) fn record(&self) -> Row {
        std::iter::once(Value::Text(self.name.clone())).chain(self.marks()).collect()
    }
}

impl QueueSession {
    /// All queues as this session sees them, in the order in which they were made.
    pub(super) fn all_queues(&self) -> Vec<Listed> {
        let directory = self.shared.broker.directory();
        let mut outside = directory.list(&self.shared.namespace, "");
        outside.sort_by_key(|info| info.id);
        let listed = |info: &kyu_broker::QueueInfo| Listed {
            name: info.name.name.clone(),
            id: Some(info.id),
            config: info.config.clone(),
            created_at_ms: info.created_at_ms,
        };
        let Some(transaction) = &self.transaction else {
            return outside.iter().map(|info| listed(info)).collect();
        };
        let changed = &transaction.state.queues;
        let mut all: Vec<Listed> = outside
            .iter()
            .filter(|info| {
                changed.get(&info.name.name).is_none_or(|q| q.standing == Standing::Kept)
            })
            .map(|info| listed(info))
            .collect();
        for queue in &mut all {
            if let Some(config) = changed.get(&queue.name).and_then(|q| q.config.as_deref()) {
                queue.config = config.clone();
            }
        }
        let made = changed.iter().filter(|(_, changes)| changes.standing == Standing::Made);
        all.extend(made.map(|(name, changes)| Listed {
            name: name.clone(),
            id: None,
            config: changes.config().cloned().unwrap_or_default(),
            created_at_ms: transaction.begun_at_ms,
        }));
        all
    }

    pub(super) async fn create(
        &mut self,
        name: Option<String>,
        kind: QueueForm,
    ) -> Result<(), PgError> {
        names::table(name.as_deref(), Some("q"))?;
        names::validate(name.as_deref())?;
        let name = name.ok_or_else(failure::null_name)?;
        let _holder = self.take_name(&name).await?;
        if self.look_up(&name).is_some() {
            self.notice_existing(&name);
            return Ok(());
        }
        let mut config = super::queue_config();
        let mark = match kind {
            QueueForm::Plain => None,
            QueueForm::Unlogged => Some(UNLOGGED),
            QueueForm::Partitioned => Some(PARTITIONED),
        };
        config.attributes.extend(mark.map(|mark| (mark.to_owned(), "true".to_owned())));
        if let Some(transaction) = &mut self.transaction {
            let queues = &mut transaction.state.queues;
            let before = queues.remove(&name).and_then(|changes| changes.before);
            queues.insert(name, QueueChanges::made(before, config));
            return Ok(());
        }
        self.create_outside(&self.queue_name(&name), &config).await
    }

    /// Makes a queue and its archive, unless somebody else is faster.
    async fn create_outside(&self, name: &QueueName, config: &QueueConfig) -> Result<(), PgError> {
        let broker = &self.shared.broker;
        for _ in 0..CONFIGURE_TRIES {
            if broker.directory().by_name(name).is_some() {
                return Ok(());
            }
            let orphan = broker.directory().by_name(&archive_name(name));
            let mut group = Group::new();
            group.extend(orphan.map(|queue| DeleteQueue { queue: queue.id }));
            group.push(CreateQueue {
                name: name.clone(),
                config: Box::new(config.clone()),
                name_reuse_wait_ms: 0,
            });
            group.push(archive_command(name));
            match broker.ask(group).await {
                Ok(_) => return Ok(()),
                Err(Error::Refused(Refusal::Atomic { .. })) => {}
                Err(error) => return Err(failure::broker(error, &name.name)),
            }
        }
        Err(failure::conflict("the queue is created and dropped all the time"))
    }

    /// Says what `CREATE ... IF NOT EXISTS` says of a queue's tables and indexes.
    fn notice_existing(&mut self, name: &str) {
        let table = name.to_lowercase();
        let relations = [
            format!("q_{table}"),
            format!("a_{table}"),
            format!("q_{table}_vt_idx"),
            format!("archived_at_idx_{name}"),
        ];
        for relation in relations {
            let message = format!("relation \"{relation}\" already exists, skipping");
            self.notice("NOTICE", "42P07", message);
        }
    }

    /// Creates a queue as if in partitions, which there are not.
    pub(super) async fn create_partitioned(
        &mut self,
        name: Option<String>,
        premake: Option<i64>,
    ) -> Result<(), PgError> {
        if let Some(premake) = premake.filter(|premake| *premake < 1) {
            return Err(failure::raise(format!("premake must be at least 1, got {premake}")));
        }
        self.create(name, QueueForm::Partitioned).await
    }

    /// `drop_queue(queue_name, partitioned)`.
    pub(super) async fn drop_queue_of_old(
        &mut self,
        name: Option<String>,
    ) -> Result<bool, PgError> {
        let message = "drop_queue(queue_name, partitioned) is deprecated and will be removed in \
                       PGMQ v2.0. Use drop_queue(queue_name) instead";
        self.notice("WARNING", "01000", message.to_owned());
        self.drop_queue(name).await?;
        Ok(true)
    }

    /// `detach_archive`: nothing, as in pgmq.
    pub(super) fn detach_archive(&mut self, name: Option<&str>) -> Result<(), PgError> {
        names::table(name, Some("a"))?;
        let message = "detach_archive(queue_name) is deprecated and is a no-op. It will be removed \
                       in PGMQ v2.0. Archive tables are no longer member objects.";
        self.notice("WARNING", "01000", message.to_owned());
        Ok(())
    }

    /// `convert_archive_partitioned`: archives are not in partitions, there is nothing to convert.
    pub(super) fn convert_archive(&mut self, name: Option<String>) -> Result<(), PgError> {
        let table = names::table(name.as_deref(), Some("a"))?.unwrap_or_default();
        if name.and_then(|name| self.look_up(&name)).is_none() {
            self.notice("NOTICE", "00000", format!("Table {table}s does not exists"));
        }
        Ok(())
    }

    pub(super) async fn drop_queue(&mut self, name: Option<String>) -> Result<bool, PgError> {
        names::table(name.as_deref(), Some("q"))?;
        let shown = name.clone().unwrap_or_else(|| "<NULL>".to_owned());
        let holder = self.take_name(&shown).await?;
        let mut found = name.and_then(|name| self.look_up(&name));
        if let Some(there) = &found {
            let name = there.name().to_owned();
            for prefix in ["q", "a"] {
                self.take(&holder, Object::table(prefix, &name), Mode::Exclusive).await?;
            }
            found = self.look_up(&name);
        }
        let info = match found {
            None => {
                let message = format!("pgmq queue `{shown}` does not exist");
                self.notice("NOTICE", "00000", message);
                return Ok(false);
            }
            Some(Found::Inside(name)) => {
                if let Some(transaction) = &mut self.transaction {
                    transaction.stray = true;
                }
                let changes = self.changes(&name)?;
                changes.standing = Standing::Dropped;
                changes.config = None;
                changes.local.clear();
                return Ok(true);
            }
            Some(Found::Outside(info)) => info,
        };
        let broker = self.shared.broker.clone();
        for _ in 0..CONFIGURE_TRIES {
            if broker.directory().by_id(info.id).is_none() {
                return Ok(false); // somebody else was faster
            }
            let archive = broker.directory().by_name(&archive_name(&info.name));
            let ids = std::iter::once(info.id).chain(archive.map(|archive| archive.id));
            let mut group = Group::new();
            group.extend(ids.map(|queue| DeleteQueue { queue }));
            match broker.ask(group).await {
                Err(Error::Refused(Refusal::Atomic { .. })) => {}
                Err(error) => return Err(failure::broker(error, &info.name.name)),
                Ok(_) => {
                    self.shared.hub.forget(info.id);
                    return Ok(true);
                }
            }
        }
        Err(failure::conflict("the queue is created and dropped all the time"))
    }

    pub(super) async fn purge_queue(&mut self, name: Option<String>) -> Result<i64, PgError> {
        let name = names::check(name)?;
        let holder = self.holder();
        self.take(&holder, Object::table("q", &name), Mode::Exclusive).await?;
        let found = self.look_up(&name).ok_or_else(|| failure::no_table("q", &name))?;
        match found {
            Found::Inside(name) => {
                let (stats, ..) = self.stats_inside(&name).await?;
                let before = stats.ready + stats.delayed + stats.in_flight;
                if let Some(transaction) = &mut self.transaction {
                    transaction.stray = true;
                }
                let changes = self.changes(&name)?;
                changes.purged = changes.standing == Standing::Kept;
                changes.local.retain(|_, local| local.end == End::Archived);
                Ok(count(before))
            }
            Found::Outside(info) => self.purge_outside(info.id, &info.name.name).await,
        }
    }

    /// Empties a queue, or an archive, at once; how many messages it had.
    pub(super) async fn purge_outside(&self, queue: QueueId, name: &str) -> Result<i64, PgError> {
        let purged = self.shared.broker.ask(PurgeQueue { queue, cooldown_ms: 0 }).await;
        purged.map(count).map_err(|error| failure::broker(error, name))
    }

    pub(super) async fn stats_outside(
        &self,
        queue: QueueId,
        name: &str,
    ) -> Result<QueueStats, PgError> {
        let stats = self.shared.broker.look_up(StatsOf(queue)).await;
        stats.map_err(|error| failure::broker(error, name))
    }

    /// Counts as the transaction sees them.
    async fn stats_inside(&mut self, name: &str) -> Result<(QueueStats, UnixMs), PgError> {
        let now_ms = self.shared.broker.now_ms();
        let changes = self.changes(name)?;
        let (kept, purged) = (changes.engine_queue().cloned(), changes.purged);
        let last_seq = changes.next_seq - 1;
        let before = changes.before.as_ref().map(|info| info.id);
        let mut stats = match (kept, before) {
            (Some(info), _) => self.stats_outside(info.id, name).await?,
            (None, Some(id)) if purged => {
                let stats = self.stats_outside(id, name).await?;
                QueueStats { last_seq: stats.last_seq, ..QueueStats::default() }
            }
            _ => QueueStats { last_seq, ..QueueStats::default() },
        };
        for local in self.changes(name)?.local.values() {
            // Claims are in flight for the engine.
            stats.in_flight = stats.in_flight.saturating_sub(u64::from(local.sent.is_none()));
            if local.end != End::Live {
                continue;
            }
            match local.is_visible(to_pg(now_ms)) {
                true => stats.ready += 1,
                false => stats.in_flight += 1,
            }
            if local.sent.is_some() {
                let at_ms = local.row.enqueued_at_ms;
                let (oldest, newest) = (stats.oldest_enqueued_at_ms, stats.newest_enqueued_at_ms);
                stats.oldest_enqueued_at_ms = Some(oldest.map_or(at_ms, |old| old.min(at_ms)));
                stats.newest_enqueued_at_ms = Some(newest.map_or(at_ms, |new| new.max(at_ms)));
            }
        }
        Ok((stats, now_ms))
    }

    /// `count(*)` of a queue's table.
    pub(super) async fn count_messages(&mut self, name: &str) -> Result<u64, PgError> {
        let stats = match self.find(Some(name.to_owned())).await? {
            Found::Outside(info) => self.stats_outside(info.id, &info.name.name).await?,
            Found::Inside(name) => self.stats_inside(&name).await?.0,
        };
        Ok(stats.ready + stats.delayed + stats.in_flight)
    }

    /// Columns of `metrics_result`.
    pub(super) async fn metrics(&mut self, name: Option<String>) -> Result<Row, PgError> {
        let found = self.find(name.clone()).await?;
        let (stats, now_ms) = match &found {
            Found::Outside(info) => {
                let stats = self.stats_outside(info.id, &info.name.name).await?;
                (stats, self.shared.broker.now_ms())
            }
            Found::Inside(name) => self.stats_inside(name).await?,
        };
        let age = |at_ms: Option<UnixMs>| {
            at_ms.map_or(Value::Null, |at_ms| Value::Int(age_seconds(now_ms, at_ms)))
        };
        Ok(vec![
            Value::Text(name.unwrap_or_default()),
            Value::Int(count(stats.ready + stats.delayed + stats.in_flight)),
            age(stats.newest_enqueued_at_ms),
            age(stats.oldest_enqueued_at_ms),
            Value::Int(count(stats.last_seq)),
            Value::Timestamp(self.now_us()),
            Value::Int(count(stats.ready)),
            Value::Null,
        ])
    }

    pub(super) async fn metrics_all(&mut self) -> Result<Vec<Row>, PgError> {
        let mut rows = Vec::new();
        for queue in self.all_queues() {
            match self.metrics(Some(queue.name)).await {
                // Dropped meanwhile.
                Err(error) if error.code == "42P01" => {}
                row => rows.push(row?),
            }
        }
        Ok(rows)
    }

    /// Kyu's own: `metrics` and what `list_queues` says.
    pub(super) async fn q_info(&mut self, name: Option<String>) -> Result<Row, PgError> {
        let mut row = self.metrics(name.clone()).await?;
        let found = self.find(name).await?;
        let listed = self.all_queues().into_iter().find(|queue| queue.name == found.name());
        row.extend(listed.map(|queue| queue.marks()).into_iter().flatten());
        Ok(row)
    }
}

pub(super) fn count(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
