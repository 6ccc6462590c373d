//! Settings of queues: notifications, dead-letter rule, retention, all others as JSON, and the marks of what Postgres
//! would have made beside a queue (indexes).

use std::fmt::Display;
use std::sync::Arc;

use kyu_broker::{ConfigureQueue, DeadLetter, Error, FOREVER, QueueConfig, QueueName, Refusal};
use kyu_pgsql::error::PgError;
use kyu_pgsql::types::json;
use kyu_pgsql::value::{Row, Value};

use super::failure::{self, no_table, null_throttle, raise};
use super::limits::{CONFIGURE_TRIES, MAX_SETTINGS_BYTES};
use super::locks::{Mode, Object};
use super::names::Found;
use super::notify;
use super::session::QueueSession;
use super::time::to_pg;

/// The setting that says that there is an index for groups.
const FIFO_INDEX: &str = "pgmq.fifo_index";

impl QueueSession {
    /// Changes a queue's settings, one session after the other; `change` gets the queue's name, may
    /// be called again, and changes nothing if it fails.
    pub(super) async fn configure(
        &mut self,
        queue: &str,
        change: impl Fn(&str, &mut QueueConfig) -> Result<(), PgError> + Send,
    ) -> Result<(), PgError> {
        let holder = self.holder();
        self.take(&holder, Object::Settings(queue.to_lowercase()), Mode::Exclusive).await?;
        self.share("q", queue).await?;
        for _ in 0..CONFIGURE_TRIES {
            let info = match self.look_up(queue) {
                None => return Err(no_table("q", queue)),
                Some(Found::Inside(name)) => {
                    self.refresh(&name);
                    let changes = self.changes(&name)?;
                    let mut config = changes.config().cloned().unwrap_or_default();
                    change(&name, &mut config)?;
                    changes.config = Some(Box::new(config));
                    changes.adjusted = true;
                    return Ok(());
                }
                Some(Found::Outside(info)) => info,
            };
            let mut config = Box::new(info.config.clone());
            change(&info.name.name, &mut config)?;
            if *config == info.config {
                return Ok(());
            }
            let (queue, expected_version) = (info.id, info.version);
            let configure = ConfigureQueue { queue, config, expected_version };
            match self.shared.broker.ask(configure).await {
                Err(Error::Refused(Refusal::VersionConflict)) => {}
                Err(error) => return Err(failure::broker(error, &info.name.name)),
                Ok(_) => return Ok(()),
            }
        }
        Err(failure::conflict("the settings of the queue"))
    }

    /// Sees the settings that others have committed since the transaction first touched a queue.
    fn refresh(&mut self, name: &str) {
        let now = self.outside(name);
        if let (Ok(changes), Some(now)) = (self.changes(name), now)
            && changes.config.is_none()
            && changes.before.as_ref().is_some_and(|before| before.id == now.id)
        {
            changes.before = Some(now);
        }
    }

    /// The settings that a queue has now, for this session.
    fn config_of(&mut self, queue: &str) -> Option<(String, QueueConfig)> {
        match self.look_up(queue)? {
            Found::Outside(info) => Some((info.name.name.clone(), info.config.clone())),
            Found::Inside(name) => {
                let config = self.changes(&name).ok()?.config()?.clone();
                Some((name, config))
            }
        }
    }

    fn forget_notified(&self, queue: &str) {
        if let Some(info) = self.outside(queue) {
            self.shared.hub.forget(info.id);
        }
    }

    /// Says what `DROP TRIGGER IF EXISTS` says.
    fn notice_no_trigger(&mut self, queue: &str) {
        if let Some((name, config)) = self.config_of(queue)
            && !config.attributes.contains_key(notify::SETTING)
        {
            let table = name.to_lowercase();
            let message = format!(
                "trigger \"trigger_notify_queue_insert_listeners\" for relation \
                 \"pgmq.q_{table}\" does not exist, skipping"
            );
            self.notice("NOTICE", "00000", message);
        }
    }

    pub(super) async fn enable_notify_insert(
        &mut self,
        queue: Option<String>,
        throttle_ms: Option<i64>,
    ) -> Result<(), PgError> {
        if throttle_ms.is_some_and(|ms| ms < 0) {
            return Err(raise("throttle_interval_ms must be non-negative"));
        }
        super::names::table(queue.as_deref(), Some("q"))?;
        let name = queue.unwrap_or_default();
        if self.look_up(&name).is_none() {
            return Err(raise(format!(
                "Queue \"{name}\" does not exist. Create it first using pgmq.create()"
            )));
        }
        self.notice_no_trigger(&name);
        let throttle = throttle_ms.ok_or_else(null_throttle)?.to_string();
        self.forget_notified(&name);
        self.configure(&name, |_, config| {
            config.attributes.insert(notify::SETTING.to_owned(), throttle.clone());
            Ok(())
        })
        .await
    }

    pub(super) async fn disable_notify_insert(
        &mut self,
        queue: Option<String>,
    ) -> Result<(), PgError> {
        let name = super::names::check(queue)?;
        self.notice_no_trigger(&name);
        self.configure(&name, |_, config| {
            config.attributes.remove(notify::SETTING);
            Ok(())
        })
        .await
    }

    pub(super) async fn update_notify_insert(
        &mut self,
        queue: Option<String>,
        throttle_ms: Option<i64>,
    ) -> Result<(), PgError> {
        if let Some(ms) = throttle_ms.filter(|ms| *ms < 0) {
            return Err(raise(format!("throttle_interval_ms must be non-negative, got: {ms}")));
        }
        let name = queue.unwrap_or_default();
        let Some((_, config)) = self.config_of(&name) else {
            return Err(raise(format!(
                "Queue \"{name}\" does not exist. Create the queue first using pgmq.create()"
            )));
        };
        if !config.attributes.contains_key(notify::SETTING) {
            return Err(raise(format!(
                "Queue \"{name}\" does not have notify_insert enabled. Enable it first using \
                 pgmq.enable_notify_insert()"
            )));
        }
        self.enable_notify_insert(Some(name), throttle_ms).await
    }

    /// `list_notify_insert_throttles`, and the table `notify_insert_throttle`.
    pub(super) fn throttles(&self) -> Vec<Row> {
        let rows = self.all_queues().into_iter().filter_map(|queue| {
            let throttle_ms: i64 = queue.config.attributes.get(notify::SETTING)?.parse().ok()?;
            let last_ms = queue.id.map_or(0, |id| self.shared.hub.last_ms(id));
            Some(vec![
                Value::Text(queue.name),
                Value::Int(throttle_ms),
                Value::Timestamp(to_pg(last_ms)),
            ])
        });
        let mut rows: Vec<Row> = rows.collect();
        rows.sort_by(|a, b| match (a.first(), b.first()) {
            (Some(Value::Text(a)), Some(Value::Text(b))) => a.cmp(b),
            _ => std::cmp::Ordering::Equal,
        });
        rows
    }

    pub(super) async fn create_fifo_index(&mut self, queue: Option<String>) -> Result<(), PgError> {
        let name = super::names::check(queue)?;
        if let Some((name, config)) = self.config_of(&name)
            && config.attributes.contains_key(FIFO_INDEX)
        {
            let index = format!("q_{}_fifo_idx", name.to_lowercase());
            let message = format!("relation \"{index}\" already exists, skipping");
            self.notice("NOTICE", "42P07", message);
        }
        self.configure(&name, |_, config| {
            config.attributes.insert(FIFO_INDEX.to_owned(), "true".to_owned());
            Ok(())
        })
        .await
    }

    /// `create_fifo_indexes_all`.
    pub(super) async fn create_fifo_indexes_all(&mut self) -> Result<(), PgError> {
        for queue in self.all_queues() {
            self.create_fifo_index(Some(queue.name)).await?;
        }
        Ok(())
    }

    pub(super) fn with_fifo_index(&self) -> Vec<String> {
        let all = self.all_queues().into_iter();
        let marked = all.filter(|queue| queue.config.attributes.contains_key(FIFO_INDEX));
        marked.map(|queue| queue.name).collect()
    }

    /// Kyu's own: after so many reads a message goes to another queue instead of being read once
    /// more. NULL takes the rule away.
    pub(super) async fn set_dead_letter(
        &mut self,
        queue: Option<String>,
        target: Option<String>,
        max_reads: Option<i64>,
    ) -> Result<(), PgError> {
        let name = super::names::check(queue)?;
        let rule = match (target, max_reads) {
            (None, _) | (_, None) => None,
            (Some(target), Some(max_reads)) => {
                let max_receives = u32::try_from(max_reads).ok().filter(|max| *max > 0);
                let max_receives = max_receives
                    .ok_or_else(|| PgError::new("22023", "max_reads must be at least 1"))?;
                let found = self.look_up(&target).ok_or_else(|| no_table("q", &target))?;
                if self.look_up(&name).is_some_and(|own| own.name() == found.name()) {
                    let message = "a queue is not its own dead-letter queue";
                    return Err(PgError::new("22023", message));
                }
                Some(DeadLetter { target: self.queue_name(found.name()), max_receives })
            }
        };
        self.configure(&name, |_, config| {
            config.dead_letter.clone_from(&rule);
            Ok(())
        })
        .await
    }

    /// Kyu's own: the age at which messages go away by themselves; NULL for never.
    pub(super) async fn set_retention(
        &mut self,
        queue: Option<String>,
        seconds: Option<i64>,
    ) -> Result<(), PgError> {
        let name = super::names::check(queue)?;
        let retention_ms = match seconds {
            None => FOREVER,
            Some(seconds) => u64::try_from(seconds)
                .ok()
                .filter(|seconds| *seconds > 0)
                .map(|seconds| seconds.saturating_mul(1_000))
                .ok_or_else(|| PgError::new("22023", "retention must be at least 1 second"))?,
        };
        self.configure(&name, |_, config| {
            config.retention_ms = retention_ms;
            Ok(())
        })
        .await
    }

    /// Kyu's own: all settings of a queue, in the form in which `/v1` has them.
    pub(super) fn queue_settings(&mut self, queue: Option<String>) -> Result<Arc<str>, PgError> {
        let name = super::names::check(queue)?;
        let (_, config) = self.config_of(&name).ok_or_else(|| no_table("q", &name))?;
        let settings = serde_json::to_string(&kyu_settings::of(&config));
        let settings = settings.map_err(|error| PgError::new("XX000", error.to_string()))?;
        json::canonical(&settings).map(Arc::from)
    }

    /// Kyu's own: changes the settings that a merge patch (RFC 7396) names, and gives all of them.
    /// A queue that dead or expired messages would go to must exist.
    pub(super) async fn set_queue_settings(
        &mut self,
        queue: Option<String>,
        settings: Option<Arc<str>>,
    ) -> Result<Arc<str>, PgError> {
        let name = super::names::check(queue)?;
        let settings =
            settings.ok_or_else(|| PgError::new("22004", "settings must not be null"))?;
        if settings.len() > MAX_SETTINGS_BYTES {
            return Err(failure::too_much("the settings are too long", "Leave tags out."));
        }
        let mut patch: serde_json::Value = serde_json::from_str(&settings).map_err(invalid)?;
        for target in ["/dead_letter/queue", "/expired_to/queue"] {
            if let Some(target) = patch.pointer_mut(target)
                && let Some(queue) = target.as_str()
            {
                let found = self.look_up(queue).ok_or_else(|| no_table("q", queue))?;
                *target = found.name().into();
            }
        }
        let namespace = self.shared.namespace.clone();
        self.configure(&name, |name, config| {
            let settings = kyu_settings::patched(config, &patch).map_err(invalid)?;
            if settings.kind != config.kind {
                return Err(invalid("kind cannot change"));
            }
            kyu_settings::apply(settings, &namespace, config).map_err(invalid)?;
            let name = QueueName { namespace: namespace.clone(), name: name.to_owned() };
            kyu_settings::check_targets(&name, config).map_err(invalid)
        })
        .await?;
        self.queue_settings(Some(name))
    }
}

fn invalid(what: impl Display) -> PgError {
    PgError::new("22023", what.to_string())
}
