//! Exchanges and bindings: creating, configuring, deleting.

use std::sync::Arc;

use kyu_model::limits::{
    MAX_ADDRESS_BYTES, MAX_BINDINGS, MAX_CONFIG_BYTES, MAX_EXCHANGES, MAX_KEY_BYTES,
    MAX_MATCHER_CONDITIONS,
};
use kyu_model::{
    Bind, BindingConfig, BindingId, BindingInfo, ConfigureBinding, ConfigureExchange, Context,
    CreateExchange, DeleteExchange, ExchangeConfig, ExchangeId, ExchangeInfo, QueueName, Refusal,
    Unbind,
};

use crate::decision::{Decided, Wait};
use crate::effect::Effects;
use crate::exchange::record::ExchangeFact;
use crate::exchange::store::Exchange;
use crate::state::State;

/// A new exchange, or [`Refusal::ExchangeExists`] with the one of that name.
pub(crate) fn create(
    state: &State,
    command: &CreateExchange,
    ctx: &Context,
    effects: &mut Effects,
) -> Decided<CreateExchange> {
    if let Some(exchange) = state.exchange_by_name(&command.name) {
        return Err(Refusal::ExchangeExists(exchange.info.clone()));
    }
    if state.exchanges.len() >= MAX_EXCHANGES {
        return Err(Refusal::LimitExceeded("exchanges"));
    }
    if command.name.name.len() > MAX_KEY_BYTES || command.name.namespace.len() > MAX_KEY_BYTES {
        return Err(Refusal::LimitExceeded("bytes of an exchange's name"));
    }
    check_exchange(&command.config)?;
    let info = ExchangeInfo {
        id: ExchangeId(*state.next_exchange),
        name: command.name.clone(),
        config: command.config.clone(),
        version: 1,
        created_at_ms: ctx.now_ms,
    };
    effects.push(ExchangeFact::Created {
        exchange: info.id,
        at_ms: ctx.now_ms,
        name: info.name.clone(),
        config: Box::new(info.config.clone()),
    });
    Ok((Arc::new(info), Wait::Record))
}

/// Replaces an exchange's settings.
pub(crate) fn configure(
    state: &State,
    command: &ConfigureExchange,
    effects: &mut Effects,
) -> Decided<ConfigureExchange> {
    let exchange = state.exchange(&command.exchange)?;
    if exchange.info.version != command.expected_version {
        return Err(Refusal::VersionConflict);
    }
    if exchange.info.config.kind != command.config.kind {
        return Err(Refusal::InvalidConfig("the kind of an exchange cannot change"));
    }
    check_exchange(&command.config)?;
    let config = Box::new(command.config.clone());
    effects.push(ExchangeFact::Configured { exchange: exchange.info.id, config });
    Ok(((), Wait::Record))
}

/// The exchange with all its bindings. What was published before stays in the queues.
pub(crate) fn delete(
    state: &State,
    command: &DeleteExchange,
    effects: &mut Effects,
) -> Decided<DeleteExchange> {
    let exchange = state.exchange(&command.exchange)?.info.id;
    effects.push(ExchangeFact::Deleted { exchange });
    Ok(((), Wait::Record))
}

/// A new binding, or [`Refusal::BindingExists`] with the one of that protocol and address.
pub(crate) fn bind(
    state: &State,
    command: &Bind,
    ctx: &Context,
    effects: &mut Effects,
) -> Decided<Bind> {
    let exchange = state.exchange(&command.exchange)?;
    let config = &command.config;
    if let Some(existing) = same_subscriber(exchange, config) {
        return Err(Refusal::BindingExists(existing.clone()));
    }
    if exchange.bindings.len() >= MAX_BINDINGS {
        return Err(Refusal::LimitExceeded("bindings of an exchange"));
    }
    check_binding(config)?;
    let info = BindingInfo {
        id: new_binding_id(state, ctx.seed)?,
        exchange: exchange.info.name.clone(),
        config: config.clone(),
        version: 1,
        created_at_ms: ctx.now_ms,
    };
    effects.push(ExchangeFact::Bound {
        exchange: exchange.info.id,
        binding: info.id,
        at_ms: ctx.now_ms,
        config: Box::new(config.clone()),
    });
    Ok((Arc::new(info), Wait::Record))
}

/// Replaces a binding's settings; its protocol and address cannot change.
pub(crate) fn rebind(
    state: &State,
    command: &ConfigureBinding,
    effects: &mut Effects,
) -> Decided<ConfigureBinding> {
    let old = state.binding(command.binding)?;
    let config = &command.config;
    if old.version != command.expected_version {
        return Err(Refusal::VersionConflict);
    }
    if (&old.config.protocol, &old.config.address) != (&config.protocol, &config.address) {
        return Err(Refusal::InvalidConfig("the subscriber of a binding cannot change"));
    }
    check_binding(config)?;
    let config = Box::new(config.clone());
    effects.push(ExchangeFact::Rebound { binding: old.id, config });
    Ok(((), Wait::Record))
}

/// The end of a binding. Messages that came by it stay in their queues.
pub(crate) fn unbind(state: &State, command: &Unbind, effects: &mut Effects) -> Decided<Unbind> {
    let binding = state.binding(command.binding)?.id;
    effects.push(ExchangeFact::Unbound { binding });
    Ok(((), Wait::Record))
}

fn same_subscriber<'a>(
    exchange: &'a Exchange,
    config: &BindingConfig,
) -> Option<&'a Arc<BindingInfo>> {
    exchange.bindings.values().find(|binding| {
        (&binding.config.protocol, &binding.config.address) == (&config.protocol, &config.address)
    })
}

/// A number that no binding has, from random bits.
fn new_binding_id(state: &State, seed: u64) -> Result<BindingId, Refusal> {
    let mut bits = seed;
    for _ in 0..64 {
        bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        if let Some(id) =
            BindingId::new(z ^ (z >> 31)).filter(|id| !state.bindings.contains_key(id))
        {
            return Ok(id);
        }
    }
    Err(Refusal::LimitExceeded("bindings"))
}

fn check_exchange(config: &ExchangeConfig) -> Result<(), Refusal> {
    let maps = config.attributes.iter().chain(&config.tags);
    let bytes: usize = maps.map(|(key, value)| key.len() + value.len()).sum();
    if bytes > MAX_CONFIG_BYTES {
        return Err(Refusal::InvalidConfig("attributes and tags are too long"));
    }
    Ok(())
}

fn check_binding(config: &BindingConfig) -> Result<(), Refusal> {
    let attributes: usize = config.attributes.iter().map(|(k, v)| k.len() + v.len()).sum();
    if attributes > MAX_CONFIG_BYTES * 8 {
        return Err(Refusal::InvalidConfig("attributes of a binding are too long"));
    }
    let long =
        |name: &QueueName| name.name.len() > MAX_KEY_BYTES || name.namespace.len() > MAX_KEY_BYTES;
    if config.address.len() > MAX_ADDRESS_BYTES
        || config.protocol.len() > MAX_KEY_BYTES
        || long(&config.target)
        || config.dead_letter.as_ref().is_some_and(long)
    {
        return Err(Refusal::InvalidConfig("the address of a binding is too long"));
    }
    if config.matcher.conditions() > MAX_MATCHER_CONDITIONS {
        return Err(Refusal::InvalidConfig("the matcher has too many conditions"));
    }
    Ok(())
}
