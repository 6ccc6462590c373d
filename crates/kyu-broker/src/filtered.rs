//! Publishing where bindings may filter bodies: they are read by the door, and only if the engine
//! wants them. Which exchanges did is remembered for a while, so that a publish there goes through
//! the engine once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use kyu_engine::{BodyFacts, Command, Content, Publication, Publish, QueueName, Refusal, Reply};

use crate::broker::Broker;
use crate::error::Error;
use crate::facts::{self, Unreadable};

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

impl Broker {
    /// Carries out a publish, or an atomic group that may contain some, as [`Broker::submit`] does.
    /// Bodies are read where a binding filters them.
    pub async fn submit_publish(&self, mut command: Command) -> Result<Reply, PublishError> {
        let filtered = &self.shared.filtered;
        for publish in publishes(&mut command) {
            if filtered.has(&publish.exchange) {
                read_bodies(&mut publish.messages)?;
            }
        }
        match self.submit(command.clone()).await {
            Err(Error::Refused(refusal)) if wants_bodies(&refusal) => {}
            done => return Ok(done?),
        }
        for publish in publishes(&mut command) {
            filtered.note(&publish.exchange);
            read_bodies(&mut publish.messages)?;
        }
        Ok(self.submit(command).await?)
    }
}

fn publishes(command: &mut Command) -> Vec<&mut Publish> {
    match command {
        Command::Publish(publish) => vec![publish],
        Command::Atomic(commands) => commands.iter_mut().flat_map(publishes).collect(),
        _ => Vec::new(),
    }
}

fn wants_bodies(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::BodyFactsRequired => true,
        Refusal::Atomic { refusal: Some(inner), .. } => wants_bodies(inner),
        _ => false,
    }
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
