//! Publishes: to every queue that wants a publication, or to none; once for each deduplication id;
//! and in an ordered exchange with numbers that rise.

use kyu_broker::{
    Answer, EnqueueRefusal, NewMessage, Publication, Publish, Published, Query, QueueId,
};
use kyu_engine::Engine;

use super::sends::Window;
use super::{Auditor, Request};
use crate::content::number_of;
use crate::coverage::Event;
use crate::topics::Topic;
use crate::violation::{Violation, ensure};

/// The time for which an exchange remembers deduplication ids
/// (`kyu_engine::limits::DEDUP_WINDOW_MS`, which follows the SNS developer guide).
const TOPIC_WINDOW_MS: u64 = 300_000;
/// Stands for an exchange where the books of deduplication ids name a queue: no queue has it.
pub(super) const OF_TOPIC: QueueId = QueueId(u32::MAX);

impl Auditor {
    /// A publication as the send of the same message to all queues that want it.
    fn as_send(&self, topic: Topic, publication: &Publication) -> NewMessage {
        let roles = topic.roles_of(publication);
        NewMessage {
            queues: roles.into_iter().filter_map(|role| self.queue_of(role)).collect(),
            content: publication.content.clone(),
            delay_ms: None,
            expires_at_ms: None,
            priority: 0,
            lane: publication.lane.clone(),
            dedup_id: publication.dedup_id.clone(),
            unique: None,
        }
    }

    pub(super) fn sends_of(&self, publish: &Publish) -> Vec<NewMessage> {
        let Some(topic) = Topic::named(&publish.exchange) else { return Vec::new() };
        publish.messages.iter().map(|publication| self.as_send(topic, publication)).collect()
    }

    pub(super) fn published(
        &mut self,
        publish: &Publish,
        results: &[Result<Published, EnqueueRefusal>],
        request: &Request,
    ) -> Result<(), Violation> {
        ensure!(results.len() == publish.messages.len(), "a publish answered {results:?}");
        for (message, result) in self.sends_of(publish).iter().zip(results) {
            match result {
                Ok(published) => self.publication_accepted(message, published, request)?,
                Err(refusal) => self.not_accepted(message, *refusal)?,
            }
        }
        Ok(())
    }

    fn publication_accepted(
        &mut self,
        message: &NewMessage,
        published: &Published,
        request: &Request,
    ) -> Result<(), Violation> {
        let Some(number) = number_of(&message.content) else { return Ok(()) };
        let window = message.dedup_id.as_ref().map(|id| Window {
            key: (OF_TOPIC, id.clone()),
            window_ms: TOPIC_WINDOW_MS,
            message_id: published.message_id,
            duplicate: published.duplicate,
        });
        ensure!(window.is_some() || !published.duplicate, "a duplicate without an id");
        if let Some(window) = window
            && self.check_window(window, request.at_ms)?
        {
            self.coverage.note(Event::Duplicate);
            self.unsend(message);
            return Ok(());
        }
        ensure!(
            published.queues as usize == message.queues.len() && published.undeliverable == 0,
            "publication {number} must go to {:?}: {published:?}",
            message.queues
        );
        self.check_sequence(number, message, published)?;
        self.note_id(number, published.message_id)?;
        self.coverage.note(Event::Published);
        for root in &message.queues {
            self.note_accepted((number, *root), None);
        }
        Ok(())
    }

    /// Checks that sequence numbers rise with the order of the requests, which is that of the
    /// messages' numbers.
    fn check_sequence(
        &mut self,
        number: u64,
        message: &NewMessage,
        published: &Published,
    ) -> Result<(), Violation> {
        ensure!(
            published.sequence.is_some() == message.dedup_id.is_some(),
            "publication {number} has the sequence number {:?}",
            published.sequence
        );
        let Some(sequence) = published.sequence else { return Ok(()) };
        let before = self.sequences.range(..number).next_back().map(|(_, sequence)| *sequence);
        let after = self.sequences.range(number..).next().map(|(_, sequence)| *sequence);
        ensure!(
            before.is_none_or(|before| before < sequence)
                && after.is_none_or(|after| sequence < after),
            "publication {number} has the sequence number {sequence}, between {before:?} and {after:?}"
        );
        self.sequences.insert(number, sequence);
        Ok(())
    }

    /// The exchanges and their bindings are there as long as the run is.
    pub(super) fn check_topics(&self, engine: &Engine) -> Result<(), Violation> {
        for topic in Topic::ALL {
            let found = engine.query(&Query::Exchange(topic.name()));
            let Ok(Answer::Exchange(_, stats)) = found else {
                return Err(Violation(format!("{topic:?} is lost: {found:?}")));
            };
            let least = topic.routes().len() as u64;
            ensure!(stats.active >= least, "{topic:?} has lost a binding: {stats:?}");
        }
        Ok(())
    }
}
