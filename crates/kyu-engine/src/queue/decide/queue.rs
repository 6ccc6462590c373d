//! Creating, configuring, deleting and purging queues.

use std::sync::Arc;

use kyu_model::limits::{MAX_CONFIG_BYTES, MAX_KEY_BYTES, MAX_QUEUES};
use kyu_model::{
    ConfigureQueue, Context, CreateQueue, DeleteQueue, PurgeQueue, QueueConfig, QueueId, Refusal,
};

use crate::decision::{Decided, Wait};
use crate::effect::Effects;
use crate::queue::record::QueueFact;
use crate::state::State;

/// Creates a queue, or refuses with [`Refusal::QueueExists`] and the queue of that name.
pub(crate) fn create(
    state: &State,
    command: &CreateQueue,
    ctx: &Context,
    effects: &mut Effects,
) -> Decided<CreateQueue> {
    if let Some(queue) = state.by_name(&command.name) {
        return Err(Refusal::QueueExists(queue.info.clone()));
    }
    if let Some(deleted_at_ms) = state.deleted_names.get(&command.name) {
        let wait_ms =
            deleted_at_ms.saturating_add(command.name_reuse_wait_ms).saturating_sub(ctx.now_ms);
        if wait_ms > 0 {
            return Err(Refusal::QueueDeletedRecently { wait_ms });
        }
    }
    if state.queues.len() >= MAX_QUEUES {
        return Err(Refusal::LimitExceeded("queues"));
    }
    if command.name.name.len() > MAX_KEY_BYTES || command.name.namespace.len() > MAX_KEY_BYTES {
        return Err(Refusal::LimitExceeded("bytes of a queue's name"));
    }
    check(&command.config)?;
    let id = QueueId(*state.next_queue);
    effects.push(QueueFact::Created {
        queue: id,
        at_ms: ctx.now_ms,
        name: command.name.clone(),
        config: command.config.clone(),
    });
    let info = kyu_model::QueueInfo {
        id,
        name: command.name.clone(),
        config: (*command.config).clone(),
        version: 1,
        created_at_ms: ctx.now_ms,
        modified_at_ms: ctx.now_ms,
    };
    Ok((Arc::new(info), Wait::Record))
}

/// Replaces a queue's settings.
pub(crate) fn configure(
    state: &State,
    command: &ConfigureQueue,
    ctx: &Context,
    effects: &mut Effects,
) -> Decided<ConfigureQueue> {
    let queue = state.queue(command.queue)?;
    if queue.info.version != command.expected_version {
        return Err(Refusal::VersionConflict);
    }
    if queue.info.config.kind != command.config.kind {
        return Err(Refusal::InvalidConfig("the kind of a queue cannot change"));
    }
    check(&command.config)?;
    effects.push(QueueFact::Configured {
        queue: command.queue,
        at_ms: ctx.now_ms,
        config: command.config.clone(),
    });
    let mut info = (*queue.info).clone();
    info.config.clone_from(&command.config);
    info.version += 1;
    info.modified_at_ms = ctx.now_ms;
    Ok((Arc::new(info), Wait::Record))
}

fn check(config: &QueueConfig) -> Result<(), Refusal> {
    let maps = config.attributes.iter().chain(&config.tags);
    let bytes: usize = maps.map(|(key, value)| key.len() + value.len()).sum();
    let bytes = bytes + config.lanes.weights.keys().map(String::len).sum::<usize>();
    if bytes > MAX_CONFIG_BYTES {
        return Err(Refusal::InvalidConfig("attributes, tags and weights are too long"));
    }
    if config.dead_letter.as_ref().is_some_and(|rule| rule.max_receives == 0) {
        return Err(Refusal::InvalidConfig("max_receives must be at least 1"));
    }
    config.check().map_err(Refusal::InvalidConfig)
}

/// Deletes the queue and everything in it.
pub(crate) fn delete(
    state: &State,
    command: &DeleteQueue,
    ctx: &Context,
    effects: &mut Effects,
) -> Decided<DeleteQueue> {
    state.queue(command.queue)?;
    effects.push(QueueFact::Deleted { queue: command.queue, at_ms: ctx.now_ms });
    Ok(((), Wait::Record))
}

/// Removes everything in the queue.
pub(crate) fn purge(
    state: &State,
    command: &PurgeQueue,
    ctx: &Context,
    effects: &mut Effects,
) -> Decided<PurgeQueue> {
    let queue = state.queue(command.queue)?;
    let again_at_ms = queue.purged_at_ms.map(|at| at.saturating_add(command.cooldown_ms));
    if command.cooldown_ms > 0 && again_at_ms.is_some_and(|at| ctx.now_ms < at) {
        return Err(Refusal::PurgeInProgress);
    }
    effects.push(QueueFact::Purged { queue: command.queue, at_ms: ctx.now_ms });
    Ok((queue.len(), Wait::Record))
}
