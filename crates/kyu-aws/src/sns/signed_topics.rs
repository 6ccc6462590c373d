//! Which topics have their messages signed in SQS envelopes: those whose `SignatureVersion` somebody
//! has set. Read once, then kept up to date by the actions that change it: topics are changed through
//! this door only.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use kyu_broker::{Answer, ExchangeConfig, Query, QueueKind, QueueName};
use tokio::sync::OnceCell;

use super::address;
use super::signing::Hash;
use crate::call::Call;

/// Topics by ARN.
pub(crate) type Signed = BTreeMap<String, Hash>;

/// Topics of one question to the broker.
const PAGE: usize = 1_000;

#[derive(Default)]
pub(crate) struct SignedTopics {
    read: OnceCell<()>,
    topics: Mutex<Arc<Signed>>,
}

impl SignedTopics {
    /// The topics; the first call reads them from the broker.
    pub(super) async fn of(&self, call: &Call<'_>) -> Result<Arc<Signed>, kyu_broker::Error> {
        self.read.get_or_try_init(|| self.read_all(call)).await?;
        Ok(Arc::clone(&self.lock()))
    }

    async fn read_all(&self, call: &Call<'_>) -> Result<(), kyu_broker::Error> {
        let mut after = None;
        loop {
            let namespace = call.options.account.clone();
            let query = Query::Exchanges { namespace, after, max: PAGE };
            let Answer::Exchanges(topics) = call.broker.query(query).await? else {
                return Err(kyu_broker::Error::Internal);
            };
            for topic in &topics {
                self.note(call, &topic.name, Some(&topic.config));
            }
            if topics.len() < PAGE {
                return Ok(());
            }
            after = topics.last().map(|topic| topic.name.name.clone());
        }
    }

    /// A topic has these settings now; `None` for one that is gone.
    pub(super) fn note(&self, call: &Call<'_>, topic: &QueueName, config: Option<&ExchangeConfig>) {
        let stated = config.filter(|config| config.kind == QueueKind::Standard);
        let stated = stated.and_then(|config| config.attributes.get("SignatureVersion"));
        let hash = stated.map(|version| Hash::of_version(Some(version)));
        let arn = address::topic_arn(topic, call.options);
        let mut topics = self.lock();
        if topics.get(&arn).copied() == hash {
            return;
        }
        let changed = Arc::make_mut(&mut topics);
        match hash {
            Some(hash) => changed.insert(arn, hash),
            None => changed.remove(&arn),
        };
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Arc<Signed>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
