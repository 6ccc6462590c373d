//! Functions that take messages out of archives, for those who keep them small: `delete_archived`
//! and `purge_archive`, which are also DELETE and TRUNCATE on `pgmq.a_<name>`. Kyu's own: pgmq has
//! tables there.
//!
//! Nobody claims archived messages: of two open transactions that delete the same one, both are told
//! that it was there, and it goes once.

use std::sync::Arc;

use kyu_broker::{QueueInfo, Seq, SeqAction, archive_name};
use kyu_model::limits::MAX_ACQUIRE;
use kyu_pgsql::error::PgError;

use super::admin::count;
use super::by_id::seqs_of;
use super::failure;
use super::limits::MAX_TRANSACTION_MESSAGES;
use super::locks::{Mode, Object};
use super::message::seq_to_id;
use super::names::{self, Found};
use super::session::QueueSession;
use super::transaction::{End, Standing};

impl QueueSession {
    /// The archive of a queue in the engine, if it has one from before the transaction that the
    /// transaction has not emptied.
    pub(super) fn archive_before(
        &mut self,
        found: &Found,
    ) -> Result<Option<Arc<QueueInfo>>, PgError> {
        let since_ms = match found {
            Found::Outside(info) => info.created_at_ms,
            Found::Inside(name) => {
                let changes = self.changes(name)?;
                match &changes.before {
                    Some(info) if changes.standing == Standing::Kept && !changes.archive_purged => {
                        info.created_at_ms
                    }
                    _ => return Ok(None),
                }
            }
        };
        let name = archive_name(&self.queue_name(found.name()));
        let archive = self.shared.broker.directory().by_name(&name);
        // It may belong to an earlier queue of the name, which SQS deleted.
        Ok(archive.filter(|archive| archive.created_at_ms >= since_ms))
    }

    /// Deletes archived messages; those that were there.
    pub(super) async fn delete_archived(
        &mut self,
        name: Option<String>,
        ids: &[i64],
    ) -> Result<Vec<i64>, PgError> {
        let seqs = seqs_of(ids);
        let found = self.find(name).await?;
        self.share("a", found.name()).await?;
        let archive = self.archive_before(&found)?;
        let mut deleted = Vec::new();
        match (found, archive) {
            (Found::Inside(name), archive) => {
                return self.delete_archived_inside(&name, archive, &seqs).await;
            }
            (Found::Outside(_), None) => {}
            (Found::Outside(_), Some(archive)) => {
                for chunk in seqs.chunks(MAX_TRANSACTION_MESSAGES) {
                    let removed = self.at_once(&archive, chunk, SeqAction::Remove).await?;
                    let removed = removed.map(|(removed, _)| removed).unwrap_or_default();
                    deleted.extend(removed.iter().map(|was| seq_to_id(was.receipt.seq)));
                }
            }
        }
        Ok(deleted)
    }

    async fn delete_archived_inside(
        &mut self,
        name: &str,
        archive: Option<Arc<QueueInfo>>,
        seqs: &[Seq],
    ) -> Result<Vec<i64>, PgError> {
        let before = match archive {
            Some(archive) => self.archived_among(&archive, seqs).await?,
            None => Vec::new(),
        };
        if let Some(transaction) = &self.transaction {
            transaction.state.check_room(before.len())?;
        }
        let changes = self.changes(name)?;
        let mut deleted = Vec::new();
        for seq in seqs {
            let own = changes.local.get_mut(seq).filter(|local| local.end == End::Archived);
            let was_there = match own {
                Some(own) => {
                    own.end = End::Removed;
                    true
                }
                None => before.binary_search(seq).is_ok() && changes.unarchived.insert(*seq),
            };
            if was_there {
                deleted.push(seq_to_id(*seq));
            }
        }
        Ok(deleted)
    }

    /// The numbers of these that an archive has, in order.
    async fn archived_among(&self, archive: &QueueInfo, seqs: &[Seq]) -> Result<Vec<Seq>, PgError> {
        let (mut next, last) = (seqs.first().copied(), seqs.last().copied().unwrap_or(0));
        let mut there = Vec::new();
        while let Some(from) = next {
            let most = u32::try_from(last - from + 1).unwrap_or(u32::MAX).min(MAX_ACQUIRE);
            let mark = self.loading.mark();
            let (page, after) = self.browse(archive, from, most, false).await?;
            self.loading.back_to(mark);
            let page = page.iter().map(|row| row.seq);
            there.extend(page.filter(|seq| seqs.binary_search(seq).is_ok()));
            next = after.filter(|after| *after <= last);
        }
        Ok(there)
    }

    /// Empties an archive; how many messages it had.
    pub(super) async fn purge_archive(&mut self, name: Option<String>) -> Result<i64, PgError> {
        let name = names::check(name)?;
        let holder = self.holder();
        self.take(&holder, Object::table("a", &name), Mode::Exclusive).await?;
        let found = self.look_up(&name).ok_or_else(|| failure::no_table("a", &name))?;
        let archive = self.archive_before(&found)?;
        let Found::Inside(name) = found else {
            return match archive {
                Some(archive) => self.purge_outside(archive.id, &name).await,
                None => Ok(0),
            };
        };
        let before = match &archive {
            Some(archive) => self.stats_outside(archive.id, &name).await?.archived,
            None => 0,
        };
        let changes = self.changes(&name)?;
        let before = before.saturating_sub(changes.unarchived.len() as u64);
        let own = changes.local.values_mut().filter(|local| local.end == End::Archived);
        let own = own.map(|local| local.end = End::Removed).count();
        changes.unarchived.clear();
        changes.archive_purged = changes.standing == Standing::Kept;
        Ok(count(before + own as u64))
    }
}
