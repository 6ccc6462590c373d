//! Names of queues: which are allowed, and which queue one means.

use std::sync::Arc;

use kyu_broker::{QueueInfo, QueueName};
use kyu_pgsql::error::PgError;

use super::failure::{no_table, null_name, raise};
use super::session::QueueSession;
use super::transaction::{QueueChanges, Standing};

/// Longest name of a queue, in characters: that of its table would be cut otherwise.
const MAX_CHARACTERS: usize = 47;

/// `pgmq.validate_queue_name`.
pub(super) fn validate(name: Option<&str>) -> Result<(), PgError> {
    if name.is_some_and(|name| name.chars().count() > MAX_CHARACTERS) {
        return Err(raise("queue name is too long, maximum length is 47 characters"));
    }
    Ok(())
}

/// `pgmq.format_table_name`.
pub(super) fn table(name: Option<&str>, prefix: Option<&str>) -> Result<Option<String>, PgError> {
    let forbidden = ["$", ";", "--", "'"];
    if name.is_some_and(|name| forbidden.iter().any(|part| name.contains(part))) {
        return Err(raise("queue name contains invalid characters: $, ;, --, or \\'"));
    }
    Ok(name.zip(prefix).map(|(name, prefix)| format!("{prefix}_{name}").to_lowercase()))
}

/// A name that can stand for a queue.
pub(super) fn check(name: Option<String>) -> Result<String, PgError> {
    table(name.as_deref(), Some("q"))?;
    name.ok_or_else(null_name)
}

/// A queue that is there.
#[derive(Clone, Debug)]
pub(super) enum Found {
    /// The queue as it is outside; no transaction is open.
    Outside(Arc<QueueInfo>),
    /// The transaction's view of it, under this name.
    Inside(String),
}

impl Found {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Outside(info) => &info.name.name,
            Self::Inside(name) => name,
        }
    }
}

impl QueueSession {
    pub(super) fn queue_name(&self, name: &str) -> QueueName {
        QueueName { namespace: self.shared.namespace.clone(), name: name.to_owned() }
    }

    /// The queue of this name outside of the transaction. Tables fold case, so a name that is not
    /// there as it is written may mean one that differs by case.
    pub(super) fn outside(&self, name: &str) -> Option<Arc<QueueInfo>> {
        let directory = self.shared.broker.directory();
        directory.by_name(&self.queue_name(name)).or_else(|| {
            let all = directory.list(&self.shared.namespace, "");
            let folded = name.to_lowercase();
            all.into_iter().find(|queue| queue.name.name.to_lowercase() == folded)
        })
    }

    /// The queue of this name, as this session sees it now.
    pub(super) fn look_up(&mut self, name: &str) -> Option<Found> {
        let Some(transaction) = &self.transaction else {
            return self.outside(name).map(Found::Outside);
        };
        let folded = name.to_lowercase();
        let queues = &transaction.state.queues;
        let known = queues.get_key_value(name).map(|(known, _)| known.clone());
        let known =
            known.or_else(|| queues.keys().find(|key| key.to_lowercase() == folded).cloned());
        if let Some(known) = known {
            let there = queues.get(&known).is_some_and(|q| q.standing != Standing::Dropped);
            return there.then_some(Found::Inside(known));
        }
        let info = self.outside(name)?;
        let key = info.name.name.clone();
        let transaction = self.transaction.as_mut()?;
        transaction.state.queues.entry(key.clone()).or_insert_with(|| QueueChanges::of(info));
        Some(Found::Inside(key))
    }

    /// The queue that an argument names, which nobody drops or empties until the transaction is
    /// over. 42P01 if it is not there.
    pub(super) async fn find(&mut self, name: Option<String>) -> Result<Found, PgError> {
        let name = check(name)?;
        self.share("q", &name).await?;
        self.look_up(&name).ok_or_else(|| no_table("q", &name))
    }

    /// The transaction's view of a queue that [`QueueSession::look_up`] found inside.
    pub(super) fn changes(&mut self, name: &str) -> Result<&mut QueueChanges, PgError> {
        let changes = self.transaction.as_mut().and_then(|t| t.state.queues.get_mut(name));
        changes.ok_or_else(|| no_table("q", name))
    }
}
