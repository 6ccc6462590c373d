//! The auditor's book of one message, and of its copy in one queue.

use bytes::Bytes;
use kyu_broker::{MessageId, QueueId, Seq, UnixMs};

use super::Auditor;
use crate::cast::Role;

/// A message number and the queue that clients sent it to. The copy may move within the family of
/// that queue (its dead-letter queue), which holds at most one copy of each message.
pub(super) type CopyKey = (u64, QueueId);

/// A message as it was sent.
#[derive(Clone, Debug)]
pub(super) struct MessageBook {
    pub(super) content: Bytes,
    pub(super) lane: Option<String>,
    pub(super) dedup_id: Option<String>,
    pub(super) unique: Option<String>,
    pub(super) at_ms: UnixMs,
    pub(super) delay_ms: UnixMs,
    pub(super) expires_at_ms: Option<UnixMs>,
    pub(super) message_id: Option<MessageId>,
}

/// A message in a queue.
#[derive(Clone, Debug, Default)]
pub(super) struct Copy {
    /// True if the message surely was accepted.
    pub(super) known: bool,
    /// The event since which the copy surely is removed.
    pub(super) gone: Option<u64>,
    /// The number of requests on their way that may remove it.
    pub(super) doubts: u32,
    /// The event since which it perhaps is removed, or was never accepted.
    pub(super) perhaps_gone: Option<u64>,
    /// Nothing but a send that was cut off makes it doubtful: a purge that was cut off after the
    /// send is a doubt of its own, which finding the message elsewhere does not settle.
    pub(super) cut_off: bool,
    /// Its number in the queue that it was sent to, if that was answered.
    pub(super) seq: Option<Seq>,
    /// It perhaps is not in its place any more: moved to another queue and perhaps back.
    pub(super) displaced: bool,
    /// It was perhaps rejected, and kept as dead where it is.
    pub(super) buried: bool,
    pub(super) life: u32,
    pub(super) deliveries: u32,
}

impl Auditor {
    /// Returns true if the copy is in the queues of its family, without doubt.
    pub(super) fn surely_there(&self, key: &CopyKey) -> bool {
        self.there_but_for_time(key)
            && !self.may_have_expired(key, self.now_ms)
            && self.role(key.1) != Role::Dropping
    }

    /// Returns true if the copy is there without doubt, unless its time is over or it made room.
    fn there_but_for_time(&self, key: &CopyKey) -> bool {
        self.copies.get(key).is_some_and(|copy| {
            copy.known && copy.gone.is_none() && copy.doubts == 0 && copy.perhaps_gone.is_none()
        })
    }

    /// Returns true if the copy, which surely is under lease, is there without doubt: retention
    /// takes nothing from its worker, and no room is made by it.
    pub(super) fn surely_in_hand(&self, key: &CopyKey) -> bool {
        let expires_at_ms = self.messages.get(&key.0).and_then(|message| message.expires_at_ms);
        self.there_but_for_time(key) && expires_at_ms.is_none_or(|at_ms| at_ms > self.now_ms)
    }

    /// Returns true if it may be gone because its time is over.
    pub(super) fn may_have_expired(&self, key: &CopyKey, now_ms: UnixMs) -> bool {
        // What is late there goes to the dead letters, and never is lost.
        self.role(key.1) != Role::Urgent && self.is_late(key, now_ms)
    }

    /// Returns true if its time may be over. Its retention counts from its send or later, and not
    /// before its delay is over (a delay of less than a hundredth of it does not count).
    pub(super) fn is_late(&self, key: &CopyKey, now_ms: UnixMs) -> bool {
        let Some(message) = self.messages.get(&key.0) else { return true };
        let retention_ms = self.retention_ms(key);
        let counted_ms = message.delay_ms.saturating_sub(retention_ms / 100);
        (message.at_ms + counted_ms).saturating_add(retention_ms) <= now_ms
            || message.expires_at_ms.is_some_and(|at| at <= now_ms)
    }

    /// Returns true if its time is over without doubt: nobody has had it in his hands, so that no
    /// lease and no delay can have begun a new retention period, and it is not a dead letter.
    pub(super) fn has_surely_expired(&self, key: &CopyKey, now_ms: UnixMs) -> bool {
        let Some(message) = self.messages.get(&key.0) else { return false };
        let untouched = self.copies.get(key).is_some_and(|copy| copy.deliveries == 0);
        let buried = self.copies.get(key).is_some_and(|copy| copy.buried);
        let counts_from_send = self.role(key.1) == Role::Plain && message.delay_ms == 0;
        let retained_ms = message.at_ms.saturating_add(self.retention_ms(key));
        untouched && counts_from_send && retained_ms <= now_ms
            || !buried && message.expires_at_ms.is_some_and(|at| at <= now_ms)
    }

    fn retention_ms(&self, key: &CopyKey) -> UnixMs {
        self.queues.get(&key.1).map_or(0, |book| book.retention_ms)
    }

    /// Notes that the copy surely is gone from now on.
    pub(super) fn remove(&mut self, key: &CopyKey) {
        if let Some(copy) = self.copies.get_mut(key) {
            copy.gone.get_or_insert(self.event);
        }
        if let Some(open) = self.open.get_mut(&key.1) {
            open.remove(&key.0);
        }
    }

    /// Notes that the copy never was there.
    pub(super) fn never_was(&mut self, key: &CopyKey) {
        self.copies.remove(key);
        if let Some(open) = self.open.get_mut(&key.1) {
            open.remove(&key.0);
        }
    }

    /// A message whose send was cut off was found in one of its queues: then it went to all of them.
    pub(super) fn found_somewhere(&mut self, number: u64) {
        let siblings = self.copies.range_mut((number, QueueId(0))..=(number, QueueId(u32::MAX)));
        for (_, copy) in siblings {
            if std::mem::take(&mut copy.cut_off) {
                (copy.known, copy.perhaps_gone) = (true, None);
            }
        }
    }

    pub(super) fn not_sure(&mut self, key: &CopyKey) {
        let event = self.event;
        if let Some(copy) = self.copies.get_mut(key) {
            copy.perhaps_gone = Some(event);
            copy.cut_off = false;
        }
    }
}
