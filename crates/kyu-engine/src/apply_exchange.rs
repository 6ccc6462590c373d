//! Applying what concerns exchanges and bindings. As in `apply.rs`: nothing is judged, nothing can
//! fail, and code may only be added to.

use std::sync::Arc;

use crate::dedup::Original;
use crate::effect::{ExchangeEffect, PublishedEffect};
use crate::exchange::{BindingId, BindingInfo, Exchange, ExchangeId, ExchangeInfo};
use crate::ids::MessageId;
use crate::state::State;

impl State {
    pub(crate) fn apply_exchange(&mut self, effect: &ExchangeEffect) {
        match effect {
            ExchangeEffect::Created { exchange, at_ms, name, config } => {
                self.note_time(*at_ms);
                self.next_exchange = self.next_exchange.max(exchange.0 + 1);
                self.exchange_names.insert(name.clone(), *exchange);
                let info = ExchangeInfo {
                    id: *exchange,
                    name: name.clone(),
                    config: (**config).clone(),
                    version: 1,
                    created_at_ms: *at_ms,
                };
                self.exchanges.insert(*exchange, Arc::new(Exchange::new(Arc::new(info))));
            }
            ExchangeEffect::Configured { exchange, config } => {
                let Some(exchange) = self.exchanges.get_mut(exchange) else { return };
                let info = Arc::make_mut(&mut Arc::make_mut(exchange).info);
                info.config = (**config).clone();
                info.version += 1;
            }
            ExchangeEffect::Deleted { exchange } => {
                let Some(exchange) = self.exchanges.remove(exchange) else { return };
                self.exchange_names.remove(&exchange.info.name);
                for binding in exchange.bindings.keys() {
                    self.bindings.remove(binding);
                }
            }
            ExchangeEffect::Bound { exchange, binding, at_ms, config } => {
                self.note_time(*at_ms);
                let Some(owner) = self.exchanges.get_mut(exchange) else { return };
                let info = BindingInfo {
                    id: *binding,
                    exchange: owner.info.name.clone(),
                    config: (**config).clone(),
                    version: 1,
                    created_at_ms: *at_ms,
                };
                Arc::make_mut(owner).bindings.insert(*binding, Arc::new(info));
                self.bindings.insert(*binding, *exchange);
            }
            ExchangeEffect::Rebound { binding, config } => {
                let Some(owner) = self.owner_mut(*binding) else { return };
                let Some(info) = owner.bindings.get_mut(binding) else { return };
                let info = Arc::make_mut(info);
                info.config = (**config).clone();
                info.version += 1;
            }
            ExchangeEffect::Unbound { binding } => {
                let Some(owner) = self.owner_mut(*binding) else { return };
                owner.bindings.remove(binding);
                owner.removed_bindings += 1;
                self.bindings.remove(binding);
            }
            ExchangeEffect::Published(published) => self.note_published(published),
        }
    }

    fn owner_mut(&mut self, binding: BindingId) -> Option<&mut Exchange> {
        let exchange: ExchangeId = *self.bindings.get(&binding)?;
        self.exchanges.get_mut(&exchange).map(Arc::make_mut)
    }

    /// Remembers an ordered publication, and forgets those of long ago: there is no timer for that,
    /// so an exchange that falls silent keeps what it knew of its last minutes.
    fn note_published(&mut self, published: &PublishedEffect) {
        self.note_time(published.at_ms);
        self.keep_exchange(published.exchange);
        let Some(exchange) = self.exchanges.get_mut(&published.exchange) else { return };
        let exchange = Arc::make_mut(exchange);
        exchange.next_seq = exchange.next_seq.max(published.seq + 1);
        let original = Original {
            message_id: MessageId(published.message_id),
            seq: published.seq,
            until_ms: published.until_ms,
        };
        exchange.dedup.sweep(published.at_ms);
        exchange.dedup.replace(&published.key, Some(original));
    }
}
