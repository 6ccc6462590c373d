//! The signatures of messages of topics in SQS envelopes, as each topic's `SignatureVersion` says.
//! The broker is asked once for each topic, and the actions that change a topic keep the answer up to
//! date: topics are changed through this door only.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use kyu_broker::{ExchangeConfig, ExchangeNamed, QueueName, Refusal};

use super::address;
use super::signing::Hash;
use crate::call::Call;

/// Topics that are remembered, for RAM. With more, all are forgotten and asked about again.
const MAX_REMEMBERED: usize = 10_000;

/// Topics by ARN, with the hash that their attribute names; `None` for those without one.
#[derive(Default)]
pub(crate) struct SignedTopics(Mutex<HashMap<String, Option<Hash>>>);

impl SignedTopics {
    /// The hash that a topic names; `None` if it names none, or there is no such topic any more.
    pub(super) async fn of(
        &self,
        call: &Call<'_>,
        topic_arn: &str,
    ) -> Result<Option<Hash>, kyu_broker::Error> {
        if let Some(known) = self.lock().get(topic_arn) {
            return Ok(*known);
        }
        let hash = match address::topic_anywhere(topic_arn, call.options) {
            None => None,
            Some(topic) => match call.broker.look_up(ExchangeNamed(topic)).await {
                Ok((topic, _)) => stated(&topic.config),
                Err(kyu_broker::Error::Refused(Refusal::ExchangeNotFound)) => None,
                Err(error) => return Err(error),
            },
        };
        self.remember(topic_arn.to_owned(), hash);
        Ok(hash)
    }

    /// A topic has these settings now; `None` for one that is gone.
    pub(super) fn note(&self, call: &Call<'_>, topic: &QueueName, config: Option<&ExchangeConfig>) {
        self.remember(address::topic_arn(topic, call.options), config.and_then(stated));
    }

    fn remember(&self, topic_arn: String, hash: Option<Hash>) {
        let mut topics = self.lock();
        if topics.len() >= MAX_REMEMBERED {
            topics.clear();
        }
        topics.insert(topic_arn, hash);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Option<Hash>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stated(config: &ExchangeConfig) -> Option<Hash> {
    let version = config.attributes.get("SignatureVersion")?;
    Some(Hash::of_version(Some(version)))
}
