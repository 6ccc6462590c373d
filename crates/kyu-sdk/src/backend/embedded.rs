//! An engine in this process: the broker, called directly.

use std::path::PathBuf;
use std::sync::Arc;

use kyu_broker::{
    Acquire, Attribute, AttributeValue, Broker, Claimed, ConfigureQueue, Content, CreateQueue,
    CreateSchedule, DeleteSchedule, Enqueue, Extend, Extended, Group, Lease, LedgerClaim,
    LedgerComplete, LedgerKey, LedgerRefusal, LedgerRelease, MessageTemplate, NewMessage, Options,
    Outcome, QueueConfig, QueueInfo, QueueName, Receipt, Refusal, ScheduleConfig, ScheduleRefusal,
    ScheduleRule, ScheduleTarget, Settle, Settled, StatsOf, Unique, UniquePolicy, UniqueScope,
    UpdateSchedule,
};

use super::declared::{self, Plan};
use super::{
    ClaimRequest, Completion, DECLARE_TRIES, Ending, Failure, Finish, Finished, Handle, Incoming,
    LedgerClaimed, Outgoing, QueueSettings, millis, not_default,
};
use crate::error::Error;
use crate::job::Enqueued;
use crate::schedule::Schedule;

/// The account that the other doors serve by default, so that they show the same queues.
const NAMESPACE: &str = "000000000000";
/// Bytes of jobs that one receive takes.
const MAX_RECEIVE_BYTES: u64 = 8 << 20;

#[derive(Debug)]
pub(crate) struct Embedded {
    broker: Broker,
}

impl Embedded {
    pub(crate) async fn open(dir: PathBuf) -> Result<Self, Error> {
        let opened = tokio::task::spawn_blocking(move || Broker::open(Options::new(dir))).await;
        let opened = opened.map_err(|error| Error::Open(error.to_string()))?;
        Ok(Self { broker: opened.map_err(|error| Error::Open(error.to_string()))? })
    }

    pub(crate) async fn close(&self) {
        self.broker.end_long_polls();
        self.broker.shutdown().await;
    }

    fn queue(&self, name: &str) -> Result<Arc<QueueInfo>, Failure> {
        self.broker.directory().by_name(&queue_name(name)).ok_or(Failure::QueueNotFound)
    }

    pub(crate) async fn declare(&self, settings: &QueueSettings) -> Result<(), Failure> {
        self.create(&settings.dead_letter_queue(), QueueConfig::default()).await?;
        let declared = not_default(&settings.config(NAMESPACE))?;
        let tagged = with_settings(&QueueConfig::default(), declared::tagged(&declared))?;
        if self.create(settings.queue, tagged).await? {
            return Ok(());
        }
        for _ in 0..DECLARE_TRIES {
            let info = self.queue(settings.queue)?;
            let has = not_default(&info.config)?;
            let patch = match declared::plan(&declared, &has) {
                Plan::Keep => return Ok(()),
                Plan::Differs(names) => {
                    super::say_differs(settings.queue, &names);
                    return Ok(());
                }
                Plan::Apply(patch) => patch,
            };
            let config = with_settings(&info.config, declared::applied(&has, &patch))?;
            let (queue, config, expected_version) = (info.id, Box::new(config), info.version);
            let configure = ConfigureQueue { queue, config, expected_version };
            match self.broker.ask(configure).await {
                Ok(_) => {
                    super::say_applied(settings.queue, &patch);
                    return Ok(());
                }
                Err(kyu_broker::Error::Refused(Refusal::VersionConflict)) => {}
                Err(error) => return Err(failure(error)),
            }
        }
        Err(Error::Retry("others keep changing the settings of the queue".into()).into())
    }

    /// Creates a queue; `false` if it was there.
    async fn create(&self, name: &str, config: QueueConfig) -> Result<bool, Failure> {
        let create =
            CreateQueue { name: queue_name(name), config: Box::new(config), name_reuse_wait_ms: 0 };
        match self.broker.ask(create).await {
            Ok(_) => Ok(true),
            Err(kyu_broker::Error::Refused(Refusal::QueueExists(_))) => Ok(false),
            Err(error) => Err(failure(error)),
        }
    }

    pub(crate) async fn enqueue(&self, outgoing: &Outgoing) -> Result<Enqueued, Failure> {
        let messages = vec![self.message(outgoing)?];
        let results = self.broker.ask(Enqueue { messages }).await.map_err(failure)?;
        match results.into_iter().next() {
            Some(Ok(enqueued)) => {
                Ok(Enqueued { id: enqueued.message_id.to_string(), duplicate: enqueued.duplicate })
            }
            Some(Err(kyu_broker::EnqueueRefusal::QueueNotFound(_))) => Err(Failure::QueueNotFound),
            other => Err(invalid(format!("{other:?}"))),
        }
    }

    fn message(&self, outgoing: &Outgoing) -> Result<NewMessage, Failure> {
        Ok(NewMessage {
            delay_ms: outgoing.delay_ms,
            expires_at_ms: outgoing.expires_at_ms,
            priority: outgoing.priority,
            lane: outgoing.lane.clone(),
            dedup_id: outgoing.dedup_id.clone(),
            unique: outgoing.unique.clone().map(|key| {
                let (scope, policy) = (UniqueScope::UntilDone, UniquePolicy::Keep);
                Box::new(Unique { key, scope, policy })
            }),
            ..NewMessage::new(self.queue(&outgoing.queue)?.id, content(outgoing).encode())
        })
    }

    pub(crate) async fn receive(
        &self,
        queue: &str,
        most: u32,
        lease_ms: u64,
        wait_ms: u64,
    ) -> Result<Vec<Incoming>, Failure> {
        let acquire = Acquire {
            max_bytes: MAX_RECEIVE_BYTES,
            lease: Lease::For(lease_ms),
            ..Acquire::new(self.queue(queue)?.id, most)
        };
        let received = self.broker.receive(acquire, wait_ms).await.map_err(failure)?;
        received
            .into_iter()
            .map(|received| {
                let content = received.message.content();
                let content = content.map_err(|error| invalid(error.to_string()))?;
                Ok(Incoming {
                    handle: Handle::Embedded(received.delivery.receipt),
                    id: received.message.message_id.to_string(),
                    scheduled_at_ms: content.scheduled_at_ms(),
                    body: content.body,
                    attempt: received.delivery.receive_count,
                })
            })
            .collect()
    }

    pub(crate) async fn extend(
        &self,
        queue: &str,
        handle: &Handle,
        lease_ms: u64,
    ) -> Result<bool, Failure> {
        let items = vec![(receipt(handle)?, lease_ms)];
        let extend = Extend { queue: self.queue(queue)?.id, items };
        let results = self.broker.ask(extend).await.map_err(failure)?;
        Ok(results.first() == Some(&Extended::Done))
    }

    pub(crate) async fn finish(&self, finish: &Finish) -> Result<Finished, Failure> {
        let items = vec![(receipt(&finish.handle)?, outcome(&finish.ending))];
        let settle = Settle { queue: self.queue(finish.queue)?.id, items };
        if finish.outgoing.is_empty() && finish.completions.is_empty() {
            let results = self.broker.ask(settle).await.map_err(failure)?;
            let done = results.first() == Some(&Settled::Done);
            return Ok(if done { Finished::Done } else { Finished::Stale });
        }
        let mut group = Group::new();
        group.push(settle);
        group.extend(finish.completions.iter().map(complete));
        let messages: Result<Vec<_>, _> =
            finish.outgoing.iter().map(|outgoing| self.message(outgoing)).collect();
        group.push(Enqueue { messages: messages? });
        match self.broker.ask(group).await {
            Ok(_) => Ok(Finished::Done),
            // The first command is the settle: the delivery no longer counts.
            Err(kyu_broker::Error::Refused(Refusal::Atomic { at: 0, refusal: None })) => {
                Ok(Finished::Stale)
            }
            Err(error) => Err(failure(error)),
        }
    }

    pub(crate) async fn claim(&self, claim: &ClaimRequest) -> Result<LedgerClaimed, Failure> {
        let command = LedgerClaim {
            key: ledger_key(&claim.key),
            fingerprint: claim.fingerprint.clone(),
            lease_ms: claim.lease_ms,
            holder: claim.holder.clone(),
        };
        let claimed = self.broker.ask(command).await.map_err(failure)?;
        Ok(match claimed {
            Claimed::Run { token, .. } => LedgerClaimed::Run { token },
            Claimed::AlreadyDone { result, .. } => LedgerClaimed::Done { result },
            Claimed::HeldBySomebodyElse { until_ms, .. } => {
                LedgerClaimed::Held { for_ms: until_ms.saturating_sub(self.broker.now_ms()) }
            }
            Claimed::KeyReusedWithOtherInput => LedgerClaimed::Reused,
        })
    }

    pub(crate) async fn complete(&self, completion: &Completion) -> Result<(), Failure> {
        self.broker.ask(complete(completion)).await.map(drop).map_err(failure)
    }

    pub(crate) async fn release_claim(&self, key: &str, token: u64) -> Result<(), Failure> {
        let release = LedgerRelease { key: ledger_key(key), token };
        self.broker.ask(release).await.map_err(failure)
    }

    pub(crate) async fn schedule(
        &self,
        name: &str,
        schedule: &Schedule,
        job: &Outgoing,
    ) -> Result<(), Failure> {
        let name = queue_name(name);
        let config = schedule_config(schedule, job);
        let create = CreateSchedule { name: name.clone(), config: config.clone(), paused: false };
        match self.broker.ask(create).await {
            Err(kyu_broker::Error::Refused(Refusal::Schedule(refusal))) => match refusal {
                // Saying the same again must not move its next run.
                ScheduleRefusal::Exists(found) if same(&config, &found.config) => Ok(()),
                ScheduleRefusal::Exists(found) => {
                    let expected_version = found.version;
                    let update = UpdateSchedule { name, config, expected_version };
                    self.broker.ask(update).await.map(drop).map_err(failure)
                }
                refusal => Err(invalid(format!("{refusal:?}"))),
            },
            result => result.map(drop).map_err(failure),
        }
    }

    pub(crate) async fn unschedule(&self, name: &str) -> Result<(), Failure> {
        match self.broker.ask(DeleteSchedule(queue_name(name))).await {
            Err(kyu_broker::Error::Refused(Refusal::Schedule(ScheduleRefusal::NotFound))) => Ok(()),
            result => result.map_err(failure),
        }
    }

    pub(crate) async fn counts(&self, queue: &str) -> Result<(u64, u64, u64), Failure> {
        let stats = StatsOf(self.queue(queue)?.id);
        let stats = self.broker.look_up(stats).await.map_err(failure)?;
        Ok((stats.ready, stats.delayed, stats.in_flight))
    }
}

/// A queue's configuration with these settings as JSON has them.
fn with_settings(config: &QueueConfig, settings: serde_json::Value) -> Result<QueueConfig, Error> {
    let mut config = config.clone();
    let settings = serde_json::from_value(settings)?;
    kyu_settings::apply(settings, NAMESPACE, &mut config).map_err(Error::Invalid)?;
    Ok(config)
}

fn queue_name(name: &str) -> QueueName {
    QueueName { namespace: NAMESPACE.into(), name: name.into() }
}

fn schedule_config(schedule: &Schedule, job: &Outgoing) -> ScheduleConfig {
    let message = MessageTemplate {
        content: Content::of(job.body.clone()).encode(),
        size_bytes: u32::try_from(job.body.len()).unwrap_or(u32::MAX),
        ..MessageTemplate::default()
    };
    let target = ScheduleTarget::Queue(queue_name(&job.queue));
    ScheduleConfig {
        jitter_ms: millis(schedule.jitter),
        catch_up: schedule.catch_up,
        overlap: schedule.overlap,
        ..ScheduleConfig::new(schedule.rule.clone(), target, message)
    }
}

/// Tells whether a schedule is what was asked for. The anchor of an interval was chosen by the engine.
fn same(asked: &ScheduleConfig, found: &ScheduleConfig) -> bool {
    let mut found = found.clone();
    if let (ScheduleRule::Every { anchor_ms: None, .. }, ScheduleRule::Every { anchor_ms, .. }) =
        (&asked.rule, &mut found.rule)
    {
        *anchor_ms = None;
    }
    *asked == found
}

fn ledger_key(key: &str) -> LedgerKey {
    LedgerKey { namespace: NAMESPACE.into(), key: key.into() }
}

fn complete(completion: &Completion) -> LedgerComplete {
    LedgerComplete {
        key: ledger_key(&completion.key),
        token: completion.token,
        result: completion.result.clone(),
        keep_ms: completion.keep_ms,
    }
}

fn outcome(ending: &Ending) -> Outcome {
    match ending {
        Ending::Ack => Outcome::Ack,
        Ending::Failed { delay_ms, error } => {
            Outcome::Failed { error: error.clone(), delay_ms: *delay_ms, retry: true }
        }
        Ending::GiveBack { delay_ms } => {
            Outcome::Release { to_tail: false, delay_ms: *delay_ms, counted: false }
        }
        Ending::Dead { error } => {
            Outcome::Failed { error: error.clone(), delay_ms: None, retry: false }
        }
    }
}

fn receipt(handle: &Handle) -> Result<Receipt, Failure> {
    match handle {
        Handle::Embedded(receipt) => Ok(*receipt),
        #[cfg(feature = "remote")]
        Handle::Remote(_) => Err(invalid("the delivery came from a server".into())),
    }
}

fn failure(error: kyu_broker::Error) -> Failure {
    use kyu_broker::Error as Broker;
    match error {
        Broker::Refused(Refusal::QueueNotFound) => Failure::QueueNotFound,
        Broker::Refused(Refusal::Ledger(
            LedgerRefusal::TokenLost | LedgerRefusal::Conflict { .. },
        )) => Failure::Fenced,
        Broker::Refused(Refusal::Atomic { refusal: Some(refusal), .. }) => {
            failure(Broker::Refused(*refusal))
        }
        Broker::Refused(refusal) => invalid(format!("{refusal:?}")),
        Broker::StorageFull | Broker::Overloaded | Broker::ShuttingDown | Broker::Internal => {
            Failure::Other(Error::Retry(error.to_string()))
        }
    }
}

fn invalid(text: String) -> Failure {
    Failure::Other(Error::Invalid(text))
}

/// The same as the admin API makes of a message with these attributes.
fn content(outgoing: &Outgoing) -> Content {
    let attributes = outgoing.attributes.iter().map(|(name, value)| Attribute {
        name: name.clone(),
        data_type: "String".to_owned(),
        value: AttributeValue::Text(value.clone()),
    });
    Content { attributes: attributes.collect(), ..Content::of(outgoing.body.clone()) }
}
