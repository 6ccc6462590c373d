//! Publish: each publication to every queue whose binding wants it, in one record and with its
//! content stored once; to all of them or to none.

use std::collections::BTreeMap;

use kyu_model::limits::{DEDUP_WINDOW_MS, MAX_BATCH, MAX_FILTER_WORK, MAX_ROUTES};
use kyu_model::{
    BindingConfig, BodyFacts, Content, Context, EnqueueRefusal, Matcher, MessageId, NewMessage,
    Property, Publication, Publish, Published, Refusal,
};

use crate::decision::{Decided, Wait};
use crate::effect::Effects;
use crate::exchange::record::{ExchangeFact, PublishedFact};
use crate::exchange::store::Exchange;
use crate::queue::decide::enqueue::{Batch, Target, check_shape, new_message_id};
use crate::queue::store::Queue;
use crate::state::State;

pub(crate) fn decide(
    state: &State,
    command: &Publish,
    ctx: &Context,
    effects: &mut Effects,
) -> Decided<Publish> {
    let exchange = state.exchange(&command.exchange)?;
    if command.messages.len() > MAX_BATCH {
        return Err(Refusal::LimitExceeded("messages of one publish"));
    }
    let mut press = Press {
        state,
        exchange,
        batch: Batch::new(state, ctx),
        ctx,
        given: BTreeMap::new(),
        next_seq: exchange.next_seq,
    };
    let mut results = Vec::with_capacity(command.messages.len());
    // The command as a whole is refused before it has any effect.
    let mut work: usize = 0;
    for publication in &command.messages {
        press.check(publication)?;
        work = work.saturating_add(press.filter_work(publication));
    }
    if work > MAX_FILTER_WORK {
        return Err(Refusal::LimitExceeded("comparisons of filters in one publish"));
    }
    let mut routes = 0;
    for (at, publication) in command.messages.iter().enumerate() {
        let result = press.publish(at as u64, publication, effects);
        routes += result.map_or(0, |published| published.queues);
        if routes as usize > MAX_ROUTES {
            return Err(Refusal::LimitExceeded("queues of one publish"));
        }
        results.push(result);
    }
    Ok((results, Wait::Record))
}

struct Press<'a> {
    state: &'a State,
    exchange: &'a Exchange,
    batch: Batch<'a>,
    ctx: &'a Context,
    /// Deduplication ids of this command.
    given: BTreeMap<String, Published>,
    next_seq: u64,
}

impl<'a> Press<'a> {
    /// Checks one publication; an error refuses the whole command, because the publication is wrong
    /// for this exchange or says too little.
    fn check(&self, publication: &Publication) -> Result<(), Refusal> {
        if self.exchange.is_fifo() {
            if publication.lane.is_none() {
                return Err(Refusal::LaneRequired);
            }
            if self.dedup_id(publication).is_none() {
                return Err(Refusal::DedupIdRequired);
            }
        } else if publication.dedup_id.is_some() {
            return Err(Refusal::DedupIdNotAllowed);
        }
        let max_bytes = self.exchange.info.config.max_message_bytes;
        if publication.size_bytes > max_bytes {
            return Err(Refusal::PublicationTooLarge { max_bytes });
        }
        let unread = publication.facts.body == BodyFacts::Unread;
        if unread && self.active().any(|config| matches!(config.matcher, Matcher::Body(_))) {
            return Err(Refusal::BodyFactsRequired);
        }
        Ok(())
    }

    fn active(&self) -> impl Iterator<Item = &BindingConfig> {
        self.exchange.bindings.values().map(|binding| &binding.config).filter(|one| one.active)
    }

    fn filter_work(&self, publication: &Publication) -> usize {
        let work = self.active().map(|config| config.matcher.work(&publication.facts));
        work.fold(0, usize::saturating_add)
    }

    fn dedup_id<'p>(&self, publication: &'p Publication) -> Option<&'p str> {
        let by_content = self.exchange.info.config.content_based_deduplication;
        let of_content = publication.content_dedup_id.as_deref().filter(|_| by_content);
        publication.dedup_id.as_deref().or(of_content).filter(|_| self.exchange.is_fifo())
    }

    fn publish(
        &mut self,
        at: u64,
        publication: &Publication,
        effects: &mut Effects,
    ) -> Result<Published, EnqueueRefusal> {
        let dedup_id = self.dedup_id(publication);
        let lane = publication.lane.as_deref();
        let key = dedup_id.map(|id| self.exchange.dedup_key(lane, id));
        if let Some(original) = key.as_deref().and_then(|key| self.original(key)) {
            return Ok(original);
        }
        let message_id = new_message_id(self.ctx.seed, at);
        let sequence = key.as_ref().map(|_| self.next_seq);
        let mut message = NewMessage {
            queues: Vec::new(),
            content: publication.content.clone(),
            delay_ms: None,
            expires_at_ms: None,
            priority: 0,
            lane: publication.lane.clone(),
            dedup_id: dedup_id.map(str::to_owned),
            unique: None,
        };
        check_shape(&message)?;
        if let Some(sequence) = sequence {
            let text = sequence.to_string();
            message.content = Content::add_property(&message.content, Property::Sequence, &text);
        }
        let (targets, undeliverable) = self.route(publication);
        if !targets.is_empty() {
            self.batch.place(message_id, &message, &targets, effects)?;
        }
        let queues = targets.len() as u32;
        let published = Published { message_id, sequence, queues, undeliverable, duplicate: false };
        if let (Some(key), Some(seq)) = (key, sequence) {
            self.note(key, seq, published, effects);
        }
        Ok(published)
    }

    /// The publication that this key repeats, within the window.
    fn original(&self, key: &str) -> Option<Published> {
        if let Some(earlier) = self.given.get(key) {
            return Some(Published { duplicate: true, ..*earlier });
        }
        self.exchange.dedup.get(key, self.ctx.now_ms).map(|original| Published {
            message_id: original.message_id,
            sequence: Some(original.seq),
            queues: 0,
            undeliverable: 0,
            duplicate: true,
        })
    }

    fn note(&mut self, key: String, seq: u64, published: Published, effects: &mut Effects) {
        let MessageId(message_id) = published.message_id;
        effects.push(ExchangeFact::Published(Box::new(PublishedFact {
            exchange: self.exchange.info.id,
            seq,
            at_ms: self.ctx.now_ms,
            until_ms: self.ctx.now_ms.saturating_add(DEDUP_WINDOW_MS),
            message_id,
            key: key.clone(),
        })));
        self.next_seq = seq + 1;
        self.given.insert(key, published);
    }

    /// Returns the targets of a publication, and the number of bindings that want it but have no
    /// queue for it.
    fn route(&self, publication: &Publication) -> (Vec<Target<'a>>, u32) {
        let mut targets = Vec::new();
        let mut undeliverable = 0;
        for binding in self.exchange.bindings.values() {
            let config = &binding.config;
            if !config.active || !config.matcher.wants(&publication.facts) {
                continue;
            }
            let via = (!config.bare).then_some(binding.id);
            match self.queue_of(config, publication) {
                Some(queue) => targets.push(Target { queue, via, dedups: queue.is_fifo() }),
                None => undeliverable += 1,
            }
        }
        (targets, undeliverable)
    }

    /// The queue of a binding, or else its dead-letter queue.
    fn queue_of(&self, config: &BindingConfig, publication: &Publication) -> Option<&'a Queue> {
        let takes = |queue: &&Queue| !queue.is_fifo() || publication.lane.is_some();
        let deliverable = !config.bare || publication.bare_allowed;
        let target = self.state.by_name(&config.target).filter(|_| deliverable).filter(takes);
        target.or_else(|| self.state.by_name(config.dead_letter.as_ref()?).filter(takes))
    }
}
