//! Sends: the messages that were accepted, and their duplicates.

use kyu_broker::{Enqueue, EnqueueRefusal, Enqueued, MessageId, NewMessage, QueueId, Seq, UnixMs};

use super::messages::{Copy, CopyKey, MessageBook};
use super::{Auditor, Request};
use crate::cast::{DEDUP_WINDOW_MS, Role};
use crate::content::number_of;
use crate::coverage::Event;
use crate::violation::{Violation, ensure};

/// The auditor's book of a deduplication id in a queue.
#[derive(Clone, Debug, Default)]
pub(super) struct DedupBook {
    /// The last message that was accepted with it, and when.
    original: Option<(MessageId, UnixMs)>,
    /// True if it perhaps is forgotten (a purge that was cut off).
    doubtful: bool,
    /// A send with it was cut off: a message that nobody knows may be the original.
    unknown: bool,
    life: u32,
}

/// An answer about a message with a deduplication id.
pub(super) struct Window {
    pub(super) key: (QueueId, String),
    pub(super) window_ms: u64,
    pub(super) message_id: MessageId,
    pub(super) duplicate: bool,
}

impl Auditor {
    pub(super) fn note_send(&mut self, message: &NewMessage, at_ms: UnixMs) {
        let Some(number) = number_of(&message.content) else { return };
        self.messages.insert(
            number,
            MessageBook {
                content: message.content.clone(),
                lane: message.lane.clone(),
                dedup_id: message.dedup_id.clone(),
                unique: message.unique.as_ref().map(|unique| unique.key.clone()),
                at_ms,
                delay_ms: message.delay_ms.unwrap_or(0),
                expires_at_ms: message.expires_at_ms,
                message_id: None,
            },
        );
        for root in &message.queues {
            self.copies.insert((number, *root), Copy { life: self.life, ..Copy::default() });
            self.open.entry(*root).or_default().insert(number);
            if let (true, Some(lane)) = (self.role(*root).is_fifo(), &message.lane) {
                self.lanes.entry((*root, lane.clone())).or_default().push(number);
            }
        }
    }

    /// The request did not happen, or these of its messages were not accepted.
    pub(super) fn unsend(&mut self, message: &NewMessage) {
        let Some(number) = number_of(&message.content) else { return };
        for root in &message.queues {
            self.never_was(&(number, *root));
        }
    }

    pub(super) fn enqueued(
        &mut self,
        enqueue: &Enqueue,
        results: &[Result<Enqueued, EnqueueRefusal>],
        request: &Request,
    ) -> Result<(), Violation> {
        ensure!(results.len() == enqueue.messages.len(), "an enqueue answered {results:?}");
        for (message, result) in enqueue.messages.iter().zip(results) {
            match result {
                Ok(enqueued) => self.accepted(message, enqueued, request)?,
                Err(refusal) => self.not_accepted(message, *refusal)?,
            }
        }
        Ok(())
    }

    pub(super) fn not_accepted(
        &mut self,
        message: &NewMessage,
        refusal: EnqueueRefusal,
    ) -> Result<(), Violation> {
        self.unsend(message);
        match refusal {
            EnqueueRefusal::QueueFull(queue) => {
                let role = self.role(queue);
                ensure!(
                    matches!(role, Role::Bounded | Role::Dropping),
                    "{role:?} has no bound and refused a message as full"
                );
                self.coverage.note(Event::QueueFull);
            }
            EnqueueRefusal::QueueNotFound(queue) => {
                ensure!(self.role(queue).passes(), "{:?} was not found", self.role(queue));
            }
            refusal => return Err(Violation(format!("{message:?} was refused: {refusal:?}"))),
        }
        Ok(())
    }

    fn accepted(
        &mut self,
        message: &NewMessage,
        enqueued: &Enqueued,
        request: &Request,
    ) -> Result<(), Violation> {
        let Some(number) = number_of(&message.content) else { return Ok(()) };
        let roots = message.queues.clone();
        if self.check_unique(message, number, enqueued, request)? {
            self.unsend(message);
            return Ok(());
        }
        if self.check_dedup(message, enqueued, request.at_ms)? {
            self.coverage.note(Event::Duplicate);
            self.unsend(message);
            return Ok(());
        }
        self.note_id(number, enqueued.message_id)?;
        self.coverage.note(Event::Accepted);
        if roots.len() > 1 {
            self.coverage.note(Event::FanOut);
        }
        for (index, root) in roots.iter().enumerate() {
            self.note_accepted((number, *root), (index == 0).then_some(enqueued.seq));
        }
        Ok(())
    }

    /// An identifier belongs to one message.
    pub(super) fn note_id(&mut self, number: u64, id: MessageId) -> Result<(), Violation> {
        let twice = self.ids.insert(id, number);
        ensure!(
            twice.is_none_or(|other| other == number),
            "message id {id} was given to messages {twice:?} and {number}"
        );
        if let Some(book) = self.messages.get_mut(&number) {
            book.message_id = Some(id);
        }
        Ok(())
    }

    pub(super) fn note_accepted(&mut self, key: CopyKey, seq: Option<Seq>) {
        if let Some(copy) = self.copies.get_mut(&key) {
            copy.known = true;
            copy.seq = seq;
        }
        if let Some(book) = self.queues.get_mut(&key.1) {
            book.sent.0 += 1;
        }
    }

    /// Returns true if the answer is a duplicate; a wrong one is a violation.
    fn check_dedup(
        &mut self,
        message: &NewMessage,
        enqueued: &Enqueued,
        at_ms: UnixMs,
    ) -> Result<bool, Violation> {
        let (Some(_), Some(root)) = (&message.dedup_id, message.queues.first()) else {
            ensure!(!enqueued.duplicate, "a message without an id was called a duplicate");
            return Ok(false);
        };
        let window = Window {
            key: self.dedup_key(*root, message),
            window_ms: DEDUP_WINDOW_MS,
            message_id: enqueued.message_id,
            duplicate: enqueued.duplicate,
        };
        self.check_window(window, at_ms)
    }

    /// Holds an answer about a deduplication id against the books, and writes it down.
    pub(super) fn check_window(&mut self, found: Window, at_ms: UnixMs) -> Result<bool, Violation> {
        let Window { key, window_ms, message_id, duplicate } = found;
        let life = self.life;
        let book = self.dedup.entry(key.clone()).or_default();
        let fresh = book.original.filter(|(_, at)| at_ms < at + window_ms);
        if duplicate {
            let same = fresh.is_some_and(|(id, _)| id == message_id);
            ensure!(
                same || book.unknown,
                "{key:?} at {at_ms}: a duplicate of {message_id} was seen, but the books say {book:?}"
            );
            if book.life < life && same {
                self.coverage.note(Event::DuplicateAfterRestart);
            }
            return Ok(true);
        }
        ensure!(
            fresh.is_none() || book.doubtful,
            "{key:?} at {at_ms}: accepted within the deduplication window of {book:?}"
        );
        let original = Some((message_id, at_ms));
        *book = DedupBook { original, doubtful: false, unknown: false, life };
        Ok(false)
    }

    fn dedup_key(&self, root: QueueId, message: &NewMessage) -> (QueueId, String) {
        let id = message.dedup_id.as_deref().unwrap_or_default();
        let lane = match self.role(root) {
            Role::OrderedLettered => message.lane.as_deref().unwrap_or_default(),
            _ => "",
        };
        (root, format!("{lane}/{id}"))
    }

    /// A purge forgets deduplication ids; one that was cut off perhaps did.
    pub(super) fn forget_dedup(&mut self, queue: QueueId, surely: bool) {
        if surely {
            self.dedup.retain(|(root, _), _| *root != queue);
        } else {
            let of_queue = self.dedup.iter_mut().filter(|((root, _), _)| *root == queue);
            of_queue.for_each(|(_, book)| book.doubtful = true);
        }
    }

    /// The server died before it answered a publish.
    pub(super) fn publish_unanswered(&mut self, message: &NewMessage) {
        if let Some(id) = &message.dedup_id {
            let key = (super::publishes::OF_TOPIC, id.clone());
            self.dedup.entry(key).or_default().unknown = true;
        }
        self.copies_unanswered(message);
    }

    /// The server died before it answered: the message is there or not.
    pub(super) fn send_unanswered(&mut self, message: &NewMessage) {
        if let (Some(_), Some(root)) = (&message.dedup_id, message.queues.first()) {
            let key = self.dedup_key(*root, message);
            let book = self.dedup.entry(key).or_default();
            book.unknown = true;
        }
        self.copies_unanswered(message);
    }

    fn copies_unanswered(&mut self, message: &NewMessage) {
        let Some(number) = number_of(&message.content) else { return };
        for root in &message.queues {
            let key: CopyKey = (number, *root);
            self.not_sure(&key);
            if let Some(copy) = self.copies.get_mut(&key) {
                copy.cut_off = true;
            }
            if let Some(book) = self.queues.get_mut(root) {
                book.sent.1 += 1;
            }
        }
    }
}
