//! The two places where queues can be, behind one set of operations. This is the whole difference
//! between an engine in this process and a server.

mod declared;
#[cfg(feature = "embedded")]
mod embedded;
#[cfg(feature = "remote")]
mod remote;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use kyu_model::{
    Backoff, DeadLetter, Guard, GuardKey, LaneLimits, QueueConfig, QueueName, RetryPolicy,
};

use crate::error::Error;
use crate::job::{EnqueueOptions, Enqueued, Job, Limits, Retry};
use crate::schedule::Schedule;

#[cfg(feature = "embedded")]
pub(crate) use embedded::Embedded;
#[cfg(feature = "remote")]
pub(crate) use remote::Remote;

/// See the module.
#[derive(Debug)]
pub(crate) enum Backend {
    #[cfg(feature = "embedded")]
    Embedded(Embedded),
    #[cfg(feature = "remote")]
    Remote(Box<Remote>),
}

/// The reason why an operation failed, as far as the SDK itself reacts to it.
#[derive(Debug)]
pub(crate) enum Failure {
    QueueNotFound,
    /// The claim is no longer ours, or somebody has replaced the record.
    Fenced,
    Other(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::QueueNotFound => Self::Invalid("the queue does not exist".into()),
            Failure::Fenced => Self::Invalid("another attempt holds the claim now".into()),
            Failure::Other(error) => error,
        }
    }
}

/// A job on its way into a queue.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) queue: String,
    pub(crate) body: Bytes,
    pub(crate) delay_ms: Option<u64>,
    /// Unix time.
    pub(crate) expires_at_ms: Option<u64>,
    pub(crate) priority: u8,
    pub(crate) lane: Option<String>,
    pub(crate) dedup_id: Option<String>,
    pub(crate) unique: Option<String>,
    pub(crate) attributes: BTreeMap<String, String>,
}

impl Outgoing {
    pub(crate) fn new<J: Job>(job: &J, options: &EnqueueOptions) -> Result<Self, Error> {
        Ok(Self {
            queue: J::QUEUE.into(),
            body: serde_json::to_vec(job)?.into(),
            delay_ms: options.delay.map(millis),
            expires_at_ms: options.not_after.map(|time| unix_ms() + millis(time)),
            priority: options.priority,
            lane: options.lane.clone(),
            dedup_id: options.dedup_id.clone(),
            unique: options.unique.clone(),
            attributes: options.attributes.clone(),
        })
    }
}

/// Settings of a job type's queue.
#[derive(Clone, Debug)]
pub(crate) struct QueueSettings {
    pub(crate) queue: &'static str,
    pub(crate) retry: Retry,
    pub(crate) limits: Limits,
}

impl QueueSettings {
    pub(crate) fn of<J: Job>() -> Self {
        Self { queue: J::QUEUE, retry: J::RETRY, limits: J::LIMITS }
    }

    pub(crate) fn dead_letter_queue(&self) -> String {
        format!("{}-dead", self.queue)
    }

    /// The settings of the queue, for the engine.
    fn config(&self, namespace: &str) -> QueueConfig {
        let (retry, limits, unlimited) = (&self.retry, &self.limits, QueueConfig::default());
        let max_attempts = retry.max_attempts.max(1);
        let guarded = limits.budget.is_some() || limits.breaker.is_some();
        let target = QueueName { namespace: namespace.to_owned(), name: self.dead_letter_queue() };
        QueueConfig {
            dead_letter: Some(DeadLetter { target, max_receives: max_attempts }),
            retry: Some(RetryPolicy {
                backoff: Backoff::Exponential {
                    first_ms: millis(retry.first),
                    factor_percent: retry.factor_percent,
                    max_ms: millis(retry.longest),
                },
                jitter_percent: retry.jitter_percent,
                max_attempts: Some(max_attempts),
            }),
            max_in_flight: limits.max_in_flight.unwrap_or(unlimited.max_in_flight),
            rate: limits.rate,
            lanes: LaneLimits {
                max_in_flight: limits.lane_max_in_flight,
                rate: limits.lane_rate,
                ..LaneLimits::default()
            },
            guard: guarded.then_some(Guard {
                key: match limits.guard_attribute {
                    Some(_) => GuardKey::Attribute,
                    None => GuardKey::Queue,
                },
                budget: limits.budget,
                breaker: limits.breaker,
            }),
            guard_attribute: limits.guard_attribute.filter(|_| guarded).map(str::to_owned),
            ..unlimited
        }
    }
}

/// Proof of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Handle {
    #[cfg(feature = "embedded")]
    Embedded(kyu_model::Receipt),
    #[cfg(feature = "remote")]
    Remote(String),
}

/// A job in hand.
#[derive(Clone, Debug)]
pub(crate) struct Incoming {
    pub(crate) handle: Handle,
    pub(crate) id: String,
    pub(crate) body: Bytes,
    /// The number of the attempt, from 1.
    pub(crate) attempt: u32,
    /// The time at which the run of its schedule was due, Unix time.
    pub(crate) scheduled_at_ms: Option<u64>,
}

/// Says that a queue has other settings than its job type declares, and which.
fn say_differs(queue: &str, settings: &[String]) {
    let settings = settings.join(", ");
    tracing::warn!(
        queue,
        settings,
        "the queue was there before its job type: settings that the code declares differ and stay"
    );
}

/// Says that a job type's settings were changed with its code.
fn say_applied(queue: &str, patch: &serde_json::Value) {
    let names = patch.as_object().into_iter().flatten().map(|(name, _)| name.as_str());
    let settings: Vec<&str> = names.filter(|name| *name != "tags").collect();
    tracing::info!(queue, settings = settings.join(", "), "the code's new settings are applied");
}

/// Tries against others that change a queue's settings at the same time.
const DECLARE_TRIES: usize = 8;

/// A queue's settings that differ from the default: an older server need not know the others.
fn not_default(config: &QueueConfig) -> Result<serde_json::Value, Error> {
    let mut settings = serde_json::to_value(kyu_settings::of(config))?;
    retain_changed(&mut settings)?;
    Ok(settings)
}

fn retain_changed(settings: &mut serde_json::Value) -> Result<(), Error> {
    let defaults = serde_json::to_value(kyu_settings::QueueSettings::default())?;
    if let serde_json::Value::Object(fields) = settings {
        fields.retain(|name, value| defaults.get(name) != Some(value));
    }
    Ok(())
}

/// The end of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Ack,
    /// Failed; due again after this time, or when the queue's retry policy says.
    Failed {
        delay_ms: Option<u64>,
        error: String,
    },
    /// The attempt is not counted; the job is due again after this time.
    GiveBack {
        delay_ms: u64,
    },
    Dead {
        error: String,
    },
}

/// A result to be saved in the ledger.
#[derive(Clone, Debug)]
pub(crate) struct Completion {
    pub(crate) key: String,
    pub(crate) token: u64,
    pub(crate) result: Bytes,
    pub(crate) keep_ms: u64,
}

/// The end of an attempt and all that becomes true with it, or not at all.
#[derive(Clone, Debug)]
pub(crate) struct Finish {
    pub(crate) queue: &'static str,
    pub(crate) handle: Handle,
    pub(crate) ending: Ending,
    pub(crate) outgoing: Vec<Outgoing>,
    pub(crate) completions: Vec<Completion>,
}

/// The outcome of a finish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finished {
    Done,
    /// The delivery no longer counts: another has the job, or it is gone.
    Stale,
}

/// Answer to a claim in the ledger.
#[derive(Clone, Debug)]
pub(crate) enum LedgerClaimed {
    Run { token: u64 },
    Done { result: Bytes },
    Held { for_ms: u64 },
    Reused,
}

/// A claim to be made.
#[derive(Clone, Debug)]
pub(crate) struct ClaimRequest {
    pub(crate) key: String,
    pub(crate) fingerprint: Bytes,
    pub(crate) holder: String,
    pub(crate) lease_ms: u64,
}

macro_rules! either {
    ($self:ident, $backend:ident => $call:expr) => {
        match $self {
            #[cfg(feature = "embedded")]
            Backend::Embedded($backend) => $call.await,
            #[cfg(feature = "remote")]
            Backend::Remote($backend) => $call.await,
        }
    };
}

impl Backend {
    pub(crate) async fn declare(&self, settings: &QueueSettings) -> Result<(), Failure> {
        either!(self, backend => backend.declare(settings))
    }

    pub(crate) async fn enqueue(&self, outgoing: &Outgoing) -> Result<Enqueued, Failure> {
        either!(self, backend => backend.enqueue(outgoing))
    }

    /// Waits up to `wait` for the first. If the future is dropped, what was on its way goes back.
    pub(crate) async fn receive(
        &self,
        queue: &str,
        most: u32,
        lease: Duration,
        wait: Duration,
    ) -> Result<Vec<Incoming>, Failure> {
        let (lease_ms, wait_ms) = (millis(lease), millis(wait));
        either!(self, backend => backend.receive(queue, most, lease_ms, wait_ms))
    }

    /// Extends a lease; `false` if the delivery no longer counts.
    pub(crate) async fn extend(
        &self,
        queue: &str,
        handle: &Handle,
        lease: Duration,
    ) -> Result<bool, Failure> {
        let lease_ms = millis(lease);
        either!(self, backend => backend.extend(queue, handle, lease_ms))
    }

    pub(crate) async fn finish(&self, finish: &Finish) -> Result<Finished, Failure> {
        either!(self, backend => backend.finish(finish))
    }

    pub(crate) async fn claim(&self, claim: &ClaimRequest) -> Result<LedgerClaimed, Failure> {
        either!(self, backend => backend.claim(claim))
    }

    pub(crate) async fn complete(&self, completion: &Completion) -> Result<(), Failure> {
        either!(self, backend => backend.complete(completion))
    }

    pub(crate) async fn release_claim(&self, key: &str, token: u64) -> Result<(), Failure> {
        either!(self, backend => backend.release_claim(key, token))
    }

    pub(crate) async fn schedule(
        &self,
        name: &str,
        schedule: &Schedule,
        job: &Outgoing,
    ) -> Result<(), Failure> {
        either!(self, backend => backend.schedule(name, schedule, job))
    }

    pub(crate) async fn unschedule(&self, name: &str) -> Result<(), Failure> {
        either!(self, backend => backend.unschedule(name))
    }

    pub(crate) async fn counts(&self, queue: &str) -> Result<(u64, u64, u64), Failure> {
        either!(self, backend => backend.counts(queue))
    }

    pub(crate) async fn close(&self) {
        match self {
            #[cfg(feature = "embedded")]
            Self::Embedded(embedded) => embedded.close().await,
            #[cfg(feature = "remote")]
            Self::Remote(_) => {}
        }
    }
}

/// Whole milliseconds, at least 1 for times that are not 0.
pub(crate) fn millis(time: Duration) -> u64 {
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    if time.is_zero() { 0 } else { ms.max(1) }
}

#[cfg(feature = "remote")]
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unix_ms() -> u64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}
