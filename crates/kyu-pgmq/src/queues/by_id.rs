//! `delete`, `archive` and `set_vt`: messages named by `msg_id`, in whatever state they are.

use kyu_broker::{
    BySeq, DeleteQueue, Delivery, Error, Group, Pin, QueueId, QueueInfo, Refusal, Seq, SeqAction,
    SeqResult, SessionId, archive_name,
};
use kyu_model::limits::MAX_BATCH;
use kyu_pgsql::error::PgError;
use kyu_pgsql::host::{Relation, ScanBounds};

use super::failure::{self, null_vt};
use super::limits::MAX_TRANSACTION_MESSAGES;
use super::locks::{Object, Place};
use super::message::{MessageRow, seq_to_id};
use super::names::Found;
use super::session::QueueSession;
use super::time::{after, from_pg};
use super::transaction::{End, Local, archive_command};
use super::waiting::Own;

/// The numbers that may be a message's, each once.
pub(super) fn seqs_of(ids: &[i64]) -> Vec<Seq> {
    let mut seqs: Vec<Seq> =
        ids.iter().filter_map(|id| Seq::try_from(*id).ok()).filter(|seq| *seq > 0).collect();
    seqs.sort_unstable();
    seqs.dedup();
    seqs
}

/// The time at which a message is to be visible again.
#[derive(Clone, Copy, Debug)]
pub(super) enum Show {
    /// In so many seconds.
    In(Option<i64>),
    /// At this time, in microseconds since 2000.
    At(Option<i64>),
}

/// The message of a result, if the action was done.
pub(super) fn done(result: SeqResult) -> Option<Delivery> {
    match result {
        SeqResult::Done(delivery) => Some(delivery),
        SeqResult::Missing | SeqResult::Busy(_) => None,
    }
}

/// Claims that were got, and how that ended.
struct Claimed {
    deliveries: Vec<Delivery>,
    /// Keep the bodies where the deliveries say.
    pins: Vec<Pin>,
    end: Result<(), PgError>,
}

impl QueueSession {
    /// One command by numbers, without waiting for claims.
    pub(super) async fn by_seq(
        &self,
        info: &QueueInfo,
        seqs: &[Seq],
        action: SeqAction,
    ) -> Result<(Vec<SeqResult>, Pin), PgError> {
        let command = BySeq { queue: info.id, seqs: seqs.to_vec(), action };
        let answered = self.shared.broker.ask_pinned(command).await;
        answered.map_err(|error| failure::broker(error, &info.name.name))
    }

    /// One step, however many there are; the messages that were there. `None` if a transaction has
    /// claimed one of them: then nothing was done.
    pub(super) async fn at_once(
        &self,
        info: &QueueInfo,
        seqs: &[Seq],
        action: SeqAction,
    ) -> Result<Option<(Vec<Delivery>, Pin)>, PgError> {
        let is_busy = |result: &SeqResult| matches!(result, SeqResult::Busy(_));
        if seqs.len() <= MAX_BATCH {
            let (results, pin) = self.by_seq(info, seqs, action).await?;
            let free = !results.iter().any(is_busy);
            return Ok(free.then(|| (results.into_iter().filter_map(done).collect(), pin)));
        }
        let mut group = Group::new();
        let part = |seqs: &[Seq]| BySeq { queue: info.id, seqs: seqs.to_vec(), action };
        let places: Vec<_> = seqs.chunks(MAX_BATCH).map(|seqs| group.push(part(seqs))).collect();
        let failed = |error| failure::broker(error, &info.name.name);
        let (mut replies, pin) = match self.shared.broker.ask_pinned(group).await {
            Ok(answered) => answered,
            Err(Error::Refused(Refusal::Atomic { refusal: None, .. })) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mut deliveries = Vec::with_capacity(seqs.len());
        for at in places {
            deliveries.extend(replies.take(at).map_err(failed)?.into_iter().filter_map(done));
        }
        Ok(Some((deliveries, pin)))
    }

    /// Claims messages in order of their numbers. Where another transaction has claimed one, this
    /// waits until that has ended, with those before it claimed and those behind it free.
    async fn claim_in_order(&self, info: &QueueInfo, seqs: &[Seq], session: SessionId) -> Claimed {
        let mut claimed = Claimed { deliveries: Vec::new(), pins: Vec::new(), end: Ok(()) };
        let mut place: Option<Place<'_>> = None;
        let mut rest = seqs;
        while let Some(chunk) = rest.chunks(MAX_BATCH).next() {
            let (results, pin) = match self.by_seq(info, chunk, SeqAction::Claim(session)).await {
                Ok(answer) => answer,
                Err(error) => return Claimed { end: Err(error), ..claimed },
            };
            let mut holder = None;
            let mut known = 0;
            for result in results {
                if let SeqResult::Busy(by) = result {
                    holder = Some(by);
                    break;
                }
                claimed.deliveries.extend(done(result));
                known += 1;
            }
            claimed.pins.push(pin);
            rest = rest.get(known..).unwrap_or_default();
            let (Some(holder), Some(seq)) = (holder, rest.first()) else { continue };
            let row = Object::Row(info.id, *seq);
            if place.as_ref().is_none_or(|place| place.object != row) {
                let who = self.who(Some(session));
                // One place at a time.
                drop(place.take());
                place = Some(self.shared.locks.join(who, info.id, *seq, self.patience));
            }
            if let Some(place) = &mut place
                && let Err(error) = place.wait_for(holder).await
            {
                return Claimed { end: Err(error), ..claimed };
            }
        }
        claimed
    }

    /// Claims messages for the transaction that it does not have yet.
    async fn claim(&mut self, name: &str, seqs: &[Seq], bodies: bool) -> Result<(), PgError> {
        let changes = self.changes(name)?;
        let Some(info) = changes.engine_queue().cloned() else { return Ok(()) };
        let known = &changes.local;
        let new: Vec<Seq> = seqs.iter().filter(|seq| !known.contains_key(seq)).copied().collect();
        let session = self.claim_in(Some(&info));
        for chunk in new.chunks(MAX_TRANSACTION_MESSAGES) {
            let Claimed { deliveries, pins, end } =
                self.claim_in_order(&info, chunk, session).await;
            let rows = match pins.first() {
                Some(pin) if bodies => self.with_bodies(&info, deliveries, pin).await?,
                _ => deliveries.iter().map(MessageRow::bare).collect(),
            };
            // Also after an error: a savepoint may bring the transaction back to life.
            self.note_claimed(name, rows)?;
            end?;
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
        let info = match self.find(name).await? {
            Found::Inside(name) => return self.delete_inside(&name, &seqs, read_ct).await,
            Found::Outside(info) => info,
        };
        let action = match read_ct {
            None => SeqAction::Remove,
            Some(count) => SeqAction::RemoveIfReceived(u32::try_from(count).unwrap_or(u32::MAX)),
        };
        let mut deleted = Vec::new();
        for chunk in seqs.chunks(MAX_TRANSACTION_MESSAGES) {
            if let Some((done, _)) = self.at_once(&info, chunk, action).await? {
                deleted.extend(done.iter().map(|delivery| seq_to_id(delivery.receipt.seq)));
                continue;
            }
            let own = Own::begin(self);
            let name = own.0.find(Some(info.name.name.clone())).await?;
            deleted.extend(own.0.delete_inside(name.name(), chunk, read_ct).await?);
            own.commit().await?;
        }
        Ok(deleted)
    }

    async fn delete_inside(
        &mut self,
        name: &str,
        seqs: &[Seq],
        read_ct: Option<i64>,
    ) -> Result<Vec<i64>, PgError> {
        let removed = self.change_inside(name, seqs, false, |local| {
            let right = read_ct.is_none_or(|count| i64::from(local.row.read_ct) == count);
            if right {
                local.end = End::Removed;
            }
            right
        });
        Ok(removed.await?.iter().map(|row| seq_to_id(row.seq)).collect())
    }

    pub(super) async fn archive(
        &mut self,
        name: Option<String>,
        ids: &[i64],
    ) -> Result<Vec<i64>, PgError> {
        let seqs = seqs_of(ids);
        let found = self.find(name).await?;
        self.share("a", found.name()).await?;
        let info = match found {
            Found::Inside(name) => return self.archive_inside(&name, &seqs).await,
            Found::Outside(info) => info,
        };
        let to = self.archive_of(&info).await?;
        let mut archived = Vec::new();
        for chunk in seqs.chunks(MAX_TRANSACTION_MESSAGES) {
            if let Some((done, _)) = self.at_once(&info, chunk, SeqAction::Archive { to }).await? {
                archived.extend(done.iter().map(|delivery| seq_to_id(delivery.receipt.seq)));
                continue;
            }
            let own = Own::begin(self);
            let name = own.0.find(Some(info.name.name.clone())).await?;
            own.0.share("a", name.name()).await?;
            archived.extend(own.0.archive_inside(name.name(), chunk).await?);
            own.commit().await?;
        }
        Ok(archived)
    }

    async fn archive_inside(&mut self, name: &str, seqs: &[Seq]) -> Result<Vec<i64>, PgError> {
        let now_ms = self.shared.broker.now_ms();
        let before = self.changes(name)?.engine_queue().cloned();
        if let Some(info) = before {
            self.archive_of(&info).await?;
        }
        let archived = self.change_inside(name, seqs, true, |local| {
            local.end = End::Archived;
            local.row.archived_at_ms = now_ms;
            true
        });
        Ok(archived.await?.iter().map(|row| seq_to_id(row.seq)).collect())
    }

    /// The archive of a queue, made if it has none: SQS makes queues without.
    pub(super) async fn archive_of(&self, info: &QueueInfo) -> Result<QueueId, PgError> {
        let broker = &self.shared.broker;
        let name = archive_name(&info.name);
        let mut group = Group::new();
        if let Some(known) = broker.directory().by_name(&name) {
            if known.created_at_ms >= info.created_at_ms {
                return Ok(known.id);
            }
            // It belonged to an earlier queue of the name, which SQS deleted.
            group.push(DeleteQueue { queue: known.id });
        }
        let archive = group.push(archive_command(&info.name));
        let made = match broker.ask(group).await {
            Ok(mut replies) => replies.take(archive),
            Err(error) => Err(error),
        };
        match made {
            Ok(made) => Ok(made.id),
            // Somebody else was faster.
            Err(Error::Refused(Refusal::Atomic { .. })) => {
                let made = broker.directory().by_name(&name);
                made.map(|made| made.id).ok_or_else(|| failure::conflict("the archive"))
            }
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
        let found = self.find(name).await?;
        let now_ms = self.shared.broker.now_ms();
        let at_us = match show {
            Show::In(seconds) => seconds.map(|seconds| after(now_ms, seconds)),
            Show::At(us) => us,
        };
        let Some(at_us) = at_us else { return self.set_no_vt(found.name(), &seqs).await };
        let info = match found {
            Found::Inside(name) => return self.set_vt_inside(&name, &seqs, at_us).await,
            Found::Outside(info) => info,
        };
        let mut rows = Vec::new();
        for chunk in seqs.chunks(MAX_TRANSACTION_MESSAGES) {
            let action = SeqAction::ShowAt(from_pg(at_us));
            if let Some((done, pin)) = self.at_once(&info, chunk, action).await? {
                rows.extend(self.with_bodies(&info, done, &pin).await?);
                continue;
            }
            let own = Own::begin(self);
            let name = own.0.find(Some(info.name.name.clone())).await?;
            rows.extend(own.0.set_vt_inside(name.name(), chunk, at_us).await?);
            own.commit().await?;
        }
        rows.iter_mut().for_each(|row| row.vt_us = at_us);
        Ok(rows)
    }

    /// NULL as the time: an error if there is a message that would get it.
    async fn set_no_vt(&mut self, name: &str, seqs: &[Seq]) -> Result<Vec<MessageRow>, PgError> {
        let table = Relation::Queue(name.to_owned());
        for seq in seqs {
            let bounds = ScanBounds { msg_id: Some(seq_to_id(*seq)), limit: Some(1) };
            if !self.rows_of(&table, &bounds).await?.is_empty() {
                return Err(null_vt(name));
            }
        }
        Ok(Vec::new())
    }

    async fn set_vt_inside(
        &mut self,
        name: &str,
        seqs: &[Seq],
        at_us: i64,
    ) -> Result<Vec<MessageRow>, PgError> {
        let shown = self.change_inside(name, seqs, true, |local| {
            local.row.vt_us = at_us;
            local.shown = true;
            true
        });
        shown.await
    }
}
