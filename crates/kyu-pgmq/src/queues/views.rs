//! Relations: tables of pgmq as views of the engine's state and of the transaction's.

use std::collections::BTreeSet;

use kyu_model::limits::MAX_ACQUIRE;
use kyu_pgsql::error::PgError;
use kyu_pgsql::host::{Relation, ScanBounds};
use kyu_pgsql::value::Row;

use super::failure::{no_table, too_much};
use super::limits::MAX_ANSWER_BYTES;
use super::message::MessageRow;
use super::names::Found;
use super::session::QueueSession;
use super::transaction::End;

impl QueueSession {
    pub(super) async fn rows_of(
        &mut self,
        relation: &Relation,
        bounds: &ScanBounds,
    ) -> Result<Vec<Row>, PgError> {
        match relation {
            Relation::Meta => Ok(self.all_queues().iter().map(|queue| queue.record()).collect()),
            Relation::TopicBindings => Ok(self.topic_bindings()),
            Relation::NotifyInsertThrottle => Ok(self.throttles()),
            Relation::Queue(name) => {
                self.share("q", name).await?;
                let found = self.look_up(name).ok_or_else(|| no_table("q", name))?;
                let rows = match found {
                    Found::Outside(info) => self.pages(&info, bounds, |_| true).await?,
                    Found::Inside(name) => self.table_within(&name, bounds).await?,
                };
                Ok(rows.iter().map(MessageRow::record).collect())
            }
            Relation::Archive(name) => {
                self.share("a", name).await?;
                let found = self.look_up(name).ok_or_else(|| no_table("a", name))?;
                let gone = match &found {
                    Found::Inside(name) => self.changes(name)?.unarchived.clone(),
                    Found::Outside(_) => BTreeSet::new(),
                };
                let mut rows = match self.archive_before(&found)? {
                    Some(archive) => {
                        self.pages(&archive, bounds, |row| !gone.contains(&row.seq)).await?
                    }
                    None => Vec::new(),
                };
                if let Found::Inside(name) = &found {
                    let local = self.changes(name)?.local.values();
                    let archived = local.filter(|local| local.end == End::Archived);
                    rows.extend(archived.map(|local| local.row.clone()));
                    rows.sort_by_key(|row| row.seq);
                }
                Ok(rows.iter().map(MessageRow::archived).collect())
            }
        }
    }

    /// All messages of a queue as the transaction sees it, in order of their numbers.
    pub(super) async fn table(
        &mut self,
        name: &str,
        limit: usize,
    ) -> Result<Vec<MessageRow>, PgError> {
        let limit = u64::try_from(limit).ok();
        self.table_within(name, &ScanBounds { msg_id: None, limit }).await
    }

    async fn table_within(
        &mut self,
        name: &str,
        bounds: &ScanBounds,
    ) -> Result<Vec<MessageRow>, PgError> {
        let changes = self.changes(name)?;
        let own: Vec<u64> = changes.local.keys().copied().collect();
        let mut rows = match changes.engine_queue().cloned() {
            Some(info) => {
                let is_other = |row: &MessageRow| own.binary_search(&row.seq).is_err();
                self.pages(&info, bounds, is_other).await?
            }
            None => Vec::new(),
        };
        let local = self.changes(name)?.local.values();
        let live = local.filter(|local| local.end == End::Live);
        rows.extend(live.map(|local| local.row.clone()));
        rows.sort_by_key(|row| row.seq);
        Ok(rows)
    }

    /// Messages of a queue outside, page by page.
    async fn pages(
        &self,
        info: &kyu_broker::QueueInfo,
        bounds: &ScanBounds,
        wanted: impl Fn(&MessageRow) -> bool,
    ) -> Result<Vec<MessageRow>, PgError> {
        let only = bounds.msg_id.map(|id| u64::try_from(id).unwrap_or(0));
        let limit = bounds.limit.and_then(|limit| usize::try_from(limit).ok());
        let limit = limit.unwrap_or(usize::MAX);
        let (mut rows, mut bytes) = (Vec::new(), 0);
        let mut next = Some(only.unwrap_or(0));
        while let (Some(from), true) = (next, rows.len() < limit) {
            let most = u32::try_from(limit - rows.len()).unwrap_or(u32::MAX).min(MAX_ACQUIRE);
            let most = if only.is_some() { 1 } else { most };
            let (page, after) = self.browse(info, from, most, false).await?;
            next = after.filter(|_| only.is_none());
            let page = page.into_iter().filter(|row| only.is_none_or(|seq| row.seq == seq));
            for row in page.filter(|row| wanted(row)) {
                bytes += row.bytes();
                rows.push(row);
            }
            if bytes > MAX_ANSWER_BYTES {
                let hint = "Use LIMIT, a condition on msg_id, or pgmq.metrics to count.";
                return Err(too_much("the table is too large to be read as a whole", hint));
            }
        }
        Ok(rows)
    }

    pub(super) fn all_relations(&self) -> Vec<Relation> {
        let tables = [Relation::Meta, Relation::TopicBindings, Relation::NotifyInsertThrottle];
        let queues = self.all_queues().into_iter().flat_map(|queue| {
            let name = queue.name.to_lowercase();
            [Relation::Queue(name.clone()), Relation::Archive(name)]
        });
        tables.into_iter().chain(queues).collect()
    }
}
