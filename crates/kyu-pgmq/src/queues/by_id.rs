//! `delete`, `archive` and `set_vt`: messages named by `msg_id`, in whatever state they are.

use std::time::Duration;

use kyu_broker::engine::limits::MAX_BATCH;
use kyu_broker::{
    BySeq, Command, DeleteQueue, Error, Pin, QueueId, QueueInfo, Refusal, Reply, Seq, SeqAction,
    SeqResult, archive_name,
};

use super::failure::{self, null_vt};
use super::limits::{CLAIM_WAIT_MS, MAX_TRANSACTION_MESSAGES};
use super::message::{MessageRow, seq_to_id};
use super::names::Found;
use super::session::Session;
use super::time::{after, from_pg};
use super::transaction::{End, Local, archive_command};
use crate::error::PgError;

/// The numbers that may be a message's, each once.
fn seqs_of(ids: &[i64]) -> Vec<Seq> {
    let mut seqs: Vec<Seq> =
        ids.iter().filter_map(|id| Seq::try_from(*id).ok()).filter(|seq| *seq > 0).collect();
    seqs.sort_unstable();
    seqs.dedup();
    seqs
}

/// When a message is to be visible again.
#[derive(Clone, Copy, Debug)]
pub(super) enum Show {
    /// In so many seconds.
    In(Option<i64>),
    /// At this time, in microseconds since 2000.
    At(Option<i64>),
}

impl Session {
    /// One command by numbers, without waiting for claims; [`SeqResult::Busy`] stays.
    async fn by_seq_once(
        &self,
        info: &QueueInfo,
        seqs: &[Seq],
        action: SeqAction,
    ) -> Result<(Vec<SeqResult>, Pin), PgError> {
        let command =
            |seqs: &[Seq]| Command::BySeq(BySeq { queue: info.id, seqs: seqs.to_vec(), action });
        // However many there are, it is one step.
        let whole = match seqs.len() {
            0..=MAX_BATCH => command(seqs),
            _ => Command::Atomic(seqs.chunks(MAX_BATCH).map(command).collect()),
        };
        let (reply, pin) = self
            .shared
            .broker
            .submit_pinned(whole)
            .await
            .map_err(|error| failure::broker(error, &info.name.name))?;
        let replies = match reply {
            Reply::Atomic(replies) => replies,
            single => vec![single],
        };
        let results = replies.into_iter().flat_map(|reply| match reply {
            Reply::BySeq(results) => results,
            _ => Vec::new(),
        });
        Ok((results.collect(), pin))
    }

    /// As Postgres waits for the lock of a row, but not for ever: 55P03.
    pub(super) async fn by_seq(
        &self,
        info: &QueueInfo,
        seqs: Vec<Seq>,
        action: SeqAction,
    ) -> Result<(Vec<SeqResult>, Vec<Pin>), PgError> {
        let (mut results, pin) = self.by_seq_once(info, &seqs, action).await?;
        let mut pins = vec![pin];
        let mut waited_ms = 0;
        let mut pause_ms = 2;
        let is_busy = |result: &SeqResult| *result == SeqResult::Busy;
        while results.iter().any(is_busy) && !matches!(action, SeqAction::Acquire(_)) {
            if waited_ms >= CLAIM_WAIT_MS {
                let table = info.name.name.to_lowercase();
                let message = format!("could not obtain lock on row in relation \"q_{table}\"");
                return Err(PgError::new("55P03", message).hint(
                    "Another transaction has read or changed the message and is still open.",
                ));
            }
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            waited_ms += pause_ms;
            pause_ms = (pause_ms * 2).min(100);
            let pairs = seqs.iter().zip(&mut results).filter(|(_, result)| is_busy(result));
            let (busy, slots): (Vec<Seq>, Vec<&mut SeqResult>) =
                pairs.map(|(s, r)| (*s, r)).unzip();
            let (again, pin) = self.by_seq_once(info, &busy, action).await?;
            pins.push(pin);
            for (slot, result) in slots.into_iter().zip(again) {
                *slot = result;
            }
        }
        Ok((results, pins))
    }

    /// The ids that were there and had it done to them.
    async fn do_outside(
        &self,
        info: &QueueInfo,
        seqs: Vec<Seq>,
        action: SeqAction,
    ) -> Result<Vec<i64>, PgError> {
        let mut done = Vec::new();
        for chunk in seqs.chunks(MAX_TRANSACTION_MESSAGES) {
            let (results, _) = self.by_seq(info, chunk.to_vec(), action).await?;
            let hits = chunk.iter().zip(results);
            let hits = hits.filter(|(_, result)| matches!(result, SeqResult::Done(_)));
            done.extend(hits.map(|(seq, _)| seq_to_id(*seq)));
        }
        Ok(done)
    }

    /// Claims messages for the transaction that it does not have yet.
    async fn claim(&mut self, name: &str, seqs: &[Seq], bodies: bool) -> Result<(), PgError> {
        let changes = self.changes(name)?;
        let Some(info) = changes.engine_queue().cloned() else { return Ok(()) };
        let known = &changes.local;
        let new: Vec<Seq> = seqs.iter().filter(|seq| !known.contains_key(seq)).copied().collect();
        let session = self.claim_in(Some(&info));
        for chunk in new.chunks(MAX_TRANSACTION_MESSAGES) {
            let action = SeqAction::Claim(session);
            let rows = if bodies {
                self.by_seq_rows(&info, chunk.to_vec(), action).await?
            } else {
                let (results, _) = self.by_seq(&info, chunk.to_vec(), action).await?;
                let done = results.iter().filter_map(|result| match result {
                    SeqResult::Done(delivery) => Some(MessageRow::bare(delivery)),
                    SeqResult::Missing | SeqResult::Busy => None,
                });
                done.collect()
            };
            self.note_claimed(name, rows)?;
        }
        Ok(())
    }

    /// Claims messages and changes those that are there as the transaction sees it.
    async fn change_inside(
        &mut self,
        name: &str,
        seqs: &[Seq],
        bodies: bool,
        mut change: impl FnMut(&mut Local) -> bool,
    ) -> Result<Vec<MessageRow>, PgError> {
        self.claim(name, seqs, bodies).await?;
        let local = &mut self.changes(name)?.local;
        let mut changed = Vec::new();
        for seq in seqs {
            if let Some(local) = local.get_mut(seq)
                && local.end == End::Live
                && change(local)
            {
                changed.push(local.row.clone());
            }
        }
        Ok(changed)
    }

    /// `delete`; with `read_ct` only if the message was read this often and not more (fencing).
    pub(super) async fn delete(
        &mut self,
        name: Option<String>,
        ids: &[i64],
        read_ct: Option<i64>,
    ) -> Result<Vec<i64>, PgError> {
        let seqs = seqs_of(ids);
        match self.find(name)? {
            Found::Outside(info) => {
                let action = match read_ct {
                    None => SeqAction::Remove,
                    Some(count) => {
                        SeqAction::RemoveIfReceived(u32::try_from(count).unwrap_or(u32::MAX))
                    }
                };
                self.do_outside(&info, seqs, action).await
            }
            Found::Inside(name) => {
                let removed = self.change_inside(&name, &seqs, false, |local| {
                    let right = read_ct.is_none_or(|count| i64::from(local.row.read_ct) == count);
                    if right {
                        local.end = End::Removed;
                    }
                    right
                });
                Ok(removed.await?.iter().map(|row| seq_to_id(row.seq)).collect())
            }
        }
    }

    pub(super) async fn archive(
        &mut self,
        name: Option<String>,
        ids: &[i64],
    ) -> Result<Vec<i64>, PgError> {
        let seqs = seqs_of(ids);
        match self.find(name)? {
            Found::Outside(info) => {
                let to = self.archive_of(&info).await?;
                self.do_outside(&info, seqs, SeqAction::Archive { to }).await
            }
            Found::Inside(name) => {
                let now_ms = self.shared.broker.now_ms();
                let before = self.changes(&name)?.engine_queue().cloned();
                if let Some(info) = before {
                    self.archive_of(&info).await?;
                }
                let archived = self.change_inside(&name, &seqs, true, |local| {
                    local.end = End::Archived;
                    local.row.archived_at_ms = now_ms;
                    true
                });
                Ok(archived.await?.iter().map(|row| seq_to_id(row.seq)).collect())
            }
        }
    }

    /// The archive of a queue, made if it has none: SQS makes queues without.
    pub(super) async fn archive_of(&self, info: &QueueInfo) -> Result<QueueId, PgError> {
        let broker = &self.shared.broker;
        let name = archive_name(&info.name);
        let mut commands = Vec::new();
        if let Some(known) = broker.directory().by_name(&name) {
            if known.created_at_ms >= info.created_at_ms {
                return Ok(known.id);
            }
            // It belonged to an earlier queue of the name, which SQS deleted.
            commands.push(Command::DeleteQueue(DeleteQueue { queue: known.id }));
        }
        commands.push(archive_command(&info.name));
        match broker.submit(Command::Atomic(commands)).await {
            Ok(Reply::Atomic(replies)) => match replies.last() {
                Some(Reply::QueueCreated(made)) => Ok(made.id),
                _ => Err(failure::broker(Error::Internal, &info.name.name)),
            },
            // Somebody else was faster.
            Err(Error::Refused(Refusal::Atomic { .. })) => {
                let made = broker.directory().by_name(&name);
                made.map(|made| made.id).ok_or_else(|| failure::conflict("the archive"))
            }
            Ok(_) => Err(failure::broker(Error::Internal, &info.name.name)),
            Err(error) => Err(failure::broker(error, &info.name.name)),
        }
    }

    pub(super) async fn set_vt(
        &mut self,
        name: Option<String>,
        ids: &[i64],
        show: Show,
    ) -> Result<Vec<MessageRow>, PgError> {
        let seqs = seqs_of(ids);
        let found = self.find(name)?;
        let now_ms = self.shared.broker.now_ms();
        let at_us = match show {
            Show::In(seconds) => seconds.map(|seconds| after(now_ms, seconds)),
            Show::At(us) => us,
        };
        let at_us = at_us.ok_or_else(|| null_vt(found.name()))?;
        match found {
            Found::Outside(info) => {
                let mut rows = Vec::new();
                for chunk in seqs.chunks(MAX_TRANSACTION_MESSAGES) {
                    let action = SeqAction::ShowAt(from_pg(at_us));
                    rows.extend(self.by_seq_rows(&info, chunk.to_vec(), action).await?);
                }
                rows.iter_mut().for_each(|row| row.vt_us = at_us);
                Ok(rows)
            }
            Found::Inside(name) => {
                let shown = self.change_inside(&name, &seqs, true, |local| {
                    local.row.vt_us = at_us;
                    local.shown = true;
                    true
                });
                shown.await
            }
        }
    }
}
