//! How the messages of topics are signed in SQS envelopes: what their `SignatureVersion` says. Asked
//! of the broker once for each topic, then kept up to date by the actions that change it: topics are
//! changed through this door only.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use kyu_broker::{Answer, ExchangeConfig, Query, QueueName, Refusal};

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
            Some(topic) => match call.broker.query(Query::Exchange(topic)).await {
                Ok(Answer::Exchange(topic, _)) => stated(&topic.config),
                Ok(_) => return Err(kyu_broker::Error::Internal),
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
