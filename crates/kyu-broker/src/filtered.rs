//! Publishing where bindings may filter bodies: they are read by the door, and only if the engine
//! wants them. Which exchanges did is remembered for a while, so that a publish there goes through
//! the engine once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use kyu_engine::{Ask, BodyFacts, Content, Publication, Publish, QueueName, Refusal};

use crate::broker::Broker;
use crate::error::Error;
use crate::facts::{self, Unreadable};
use crate::group::Group;

/// Exchanges that are remembered, for RAM. With more, all are forgotten.
const MAX_REMEMBERED: usize = 10_000;
/// The time for which they are remembered. Filters may be removed, and then bodies are read in vain.
const REMEMBERED: Duration = Duration::from_mins(1);

/// The exchanges whose bindings filter bodies, as far as a publish was told.
#[derive(Debug, Default)]
pub(crate) struct Filtered(Mutex<HashMap<QueueName, Instant>>);

impl Filtered {
    fn has(&self, exchange: &QueueName) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(exchange).is_some_and(|since| since.elapsed() < REMEMBERED)
    }

    fn note(&self, exchange: &QueueName) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_REMEMBERED {
            known.clear();
        }
        known.insert(exchange.clone(), Instant::now());
    }
}

/// The reason why a publish was not carried out.
#[derive(Debug)]
pub enum PublishError {
    /// A binding filters bodies, and one of these cannot be filtered.
    Unreadable(Unreadable),
    /// Any other error of the broker.
    Broker(Error),
}

impl From<Error> for PublishError {
    fn from(error: Error) -> Self {
        Self::Broker(error)
    }
}

impl From<Unreadable> for PublishError {
    fn from(reason: Unreadable) -> Self {
        Self::Unreadable(reason)
    }
}

/// A command by which messages are published: a publish, or an atomic group that may have some.
pub trait Publishes: Ask + Clone {
    /// The publishes in it.
    fn publishes(&mut self) -> impl Iterator<Item = &mut Publish>;
}

impl Publishes for Publish {
    fn publishes(&mut self) -> impl Iterator<Item = &mut Publish> {
        std::iter::once(self)
    }
}

impl Publishes for Group {
    fn publishes(&mut self) -> impl Iterator<Item = &mut Publish> {
        Self::publishes(self)
    }
}

impl Broker {
    /// Carries out a publish, or an atomic group that may have some, as [`Broker::ask`] does.
    /// Bodies are read where a binding filters them.
    pub async fn ask_publish<A: Publishes>(
        &self,
        mut command: A,
    ) -> Result<A::Reply, PublishError> {
        let filtered = &self.shared.filtered;
        for publish in command.publishes() {
            if filtered.has(&publish.exchange) {
                read_bodies(&mut publish.messages)?;
            }
        }
        match self.ask(command.clone()).await {
            Err(Error::Refused(refusal)) if wants_bodies(&refusal) => {}
            done => return Ok(done?),
        }
        for publish in command.publishes() {
            filtered.note(&publish.exchange);
            read_bodies(&mut publish.messages)?;
        }
        Ok(self.ask(command).await?)
    }
}

/// Tells whether a publish was refused for nothing but its unread bodies, alone or in a group.
fn wants_bodies(refusal: &Refusal) -> bool {
    let reason =
        if let Refusal::Atomic { refusal: Some(inner), .. } = refusal { inner } else { refusal };
    *reason == Refusal::BodyFactsRequired
}

fn read_bodies(messages: &mut [Publication]) -> Result<(), PublishError> {
    for message in messages {
        let content = Content::decode(message.content.clone());
        let body = content.map_err(|_| Error::Internal)?.body;
        message.facts.body = match std::str::from_utf8(&body) {
            Ok(text) => facts::of_body(text)?,
            Err(_) => BodyFacts::Opaque,
        };
    }
    Ok(())
}
