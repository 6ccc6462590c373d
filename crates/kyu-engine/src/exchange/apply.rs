//! Applying the facts of exchanges and bindings. As in `apply.rs`: nothing is judged, nothing can
//! fail, and code may only be added to.

use std::sync::Arc;

use kyu_machine::Replace;
use kyu_model::{BindingInfo, ExchangeId, ExchangeInfo, MessageId};

use crate::exchange::record::{ExchangeFact, PublishedFact};
use crate::exchange::store::Exchange;
use crate::queue::dedup::Original;
use crate::state::State;

impl State {
    pub(crate) fn apply_exchange(&mut self, effect: &ExchangeFact) {
        match effect {
            ExchangeFact::Created { exchange, at_ms, name, config } => {
                self.note_time(*at_ms);
                *self.next_exchange = (*self.next_exchange).max(exchange.0 + 1);
                self.exchange_names.insert(name, *exchange);
                let info = ExchangeInfo {
                    id: *exchange,
                    name: name.clone(),
                    config: (**config).clone(),
                    version: 1,
                    created_at_ms: *at_ms,
                };
                self.exchanges.insert(exchange, Arc::new(Exchange::new(Arc::new(info))));
            }
            ExchangeFact::Configured { exchange, config } => {
                self.change_exchange(*exchange, |exchange| {
                    let info = Arc::make_mut(&mut exchange.info);
                    info.config = (**config).clone();
                    info.version += 1;
                });
            }
            ExchangeFact::Deleted { exchange } => {
                let Some(exchange) = self.exchanges.remove(exchange) else { return };
                self.exchange_names.remove(&exchange.info.name);
                for binding in exchange.bindings.keys() {
                    self.bindings.remove(binding);
                }
            }
            ExchangeFact::Bound { exchange, binding, at_ms, config } => {
                self.note_time(*at_ms);
                self.change_exchange(*exchange, |exchange| {
                    let info = BindingInfo {
                        id: *binding,
                        exchange: exchange.info.name.clone(),
                        config: (**config).clone(),
                        version: 1,
                        created_at_ms: *at_ms,
                    };
                    exchange.bindings.insert(*binding, Arc::new(info));
                });
                if self.exchanges.contains_key(exchange) {
                    self.bindings.insert(binding, *exchange);
                }
            }
            ExchangeFact::Rebound { binding, config } => {
                let Some(owner) = self.bindings.get(binding).copied() else { return };
                self.change_exchange(owner, |exchange| {
                    let Some(info) = exchange.bindings.get_mut(binding) else { return };
                    let info = Arc::make_mut(info);
                    info.config = (**config).clone();
                    info.version += 1;
                });
            }
            ExchangeFact::Unbound { binding } => {
                let Some(owner) = self.bindings.remove(binding) else { return };
                self.change_exchange(owner, |exchange| {
                    exchange.bindings.remove(binding);
                    exchange.removed_bindings += 1;
                });
            }
            ExchangeFact::Published(published) => self.note_published(published),
        }
    }

    fn change_exchange(&mut self, id: ExchangeId, change: impl FnOnce(&mut Exchange)) {
        // Taken out, so that it is copied only while a trial or a snapshot has the old one.
        let Some(mut exchange) = self.exchanges.remove(&id) else { return };
        change(Arc::make_mut(&mut exchange));
        self.exchanges.insert(&id, exchange);
    }

    /// Remembers an ordered publication, and forgets old ones. There is no timer for that, so an
    /// exchange that falls silent keeps the memory of its last minutes.
    fn note_published(&mut self, published: &PublishedFact) {
        self.note_time(published.at_ms);
        let original = Original {
            message_id: MessageId(published.message_id),
            seq: published.seq,
            until_ms: published.until_ms,
        };
        self.change_exchange(published.exchange, |exchange| {
            exchange.next_seq = exchange.next_seq.max(published.seq + 1);
            exchange.dedup.sweep(published.at_ms);
            exchange.dedup.replace(&published.key, Some(original));
        });
    }
}
