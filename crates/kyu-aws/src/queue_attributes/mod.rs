//! The 21 attributes of a queue, and those of our own: their names, what may be set to what, and how
//! they read back.

pub(crate) mod defaults;
pub(crate) mod extension;
mod redrive;
mod render;
mod set;

pub(crate) use render::{Reading, read};
pub(crate) use set::{Requested, Target, apply, differing};

use kyu_broker::QueueKind;

use crate::error::{Error, quoted};
use extension::Extension;

/// An attribute of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueueAttribute {
    Policy,
    VisibilityTimeout,
    MaximumMessageSize,
    MessageRetentionPeriod,
    DelaySeconds,
    ReceiveMessageWaitTimeSeconds,
    RedrivePolicy,
    RedriveAllowPolicy,
    FifoQueue,
    ContentBasedDeduplication,
    DeduplicationScope,
    FifoThroughputLimit,
    KmsMasterKeyId,
    KmsDataKeyReusePeriodSeconds,
    SqsManagedSseEnabled,
    ApproximateNumberOfMessages,
    ApproximateNumberOfMessagesNotVisible,
    ApproximateNumberOfMessagesDelayed,
    CreatedTimestamp,
    LastModifiedTimestamp,
    QueueArn,
    /// An attribute that AWS does not have.
    Extension(Extension),
}

impl QueueAttribute {
    /// Those of AWS.
    pub(crate) const ALL: [Self; 21] = [
        Self::Policy,
        Self::VisibilityTimeout,
        Self::MaximumMessageSize,
        Self::MessageRetentionPeriod,
        Self::DelaySeconds,
        Self::ReceiveMessageWaitTimeSeconds,
        Self::RedrivePolicy,
        Self::RedriveAllowPolicy,
        Self::FifoQueue,
        Self::ContentBasedDeduplication,
        Self::DeduplicationScope,
        Self::FifoThroughputLimit,
        Self::KmsMasterKeyId,
        Self::KmsDataKeyReusePeriodSeconds,
        Self::SqsManagedSseEnabled,
        Self::ApproximateNumberOfMessages,
        Self::ApproximateNumberOfMessagesNotVisible,
        Self::ApproximateNumberOfMessagesDelayed,
        Self::CreatedTimestamp,
        Self::LastModifiedTimestamp,
        Self::QueueArn,
    ];

    /// The name on the wire.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Policy => "Policy",
            Self::VisibilityTimeout => "VisibilityTimeout",
            Self::MaximumMessageSize => "MaximumMessageSize",
            Self::MessageRetentionPeriod => "MessageRetentionPeriod",
            Self::DelaySeconds => "DelaySeconds",
            Self::ReceiveMessageWaitTimeSeconds => "ReceiveMessageWaitTimeSeconds",
            Self::RedrivePolicy => "RedrivePolicy",
            Self::RedriveAllowPolicy => "RedriveAllowPolicy",
            Self::FifoQueue => "FifoQueue",
            Self::ContentBasedDeduplication => "ContentBasedDeduplication",
            Self::DeduplicationScope => "DeduplicationScope",
            Self::FifoThroughputLimit => "FifoThroughputLimit",
            Self::KmsMasterKeyId => "KmsMasterKeyId",
            Self::KmsDataKeyReusePeriodSeconds => "KmsDataKeyReusePeriodSeconds",
            Self::SqsManagedSseEnabled => "SqsManagedSseEnabled",
            Self::ApproximateNumberOfMessages => "ApproximateNumberOfMessages",
            Self::ApproximateNumberOfMessagesNotVisible => "ApproximateNumberOfMessagesNotVisible",
            Self::ApproximateNumberOfMessagesDelayed => "ApproximateNumberOfMessagesDelayed",
            Self::CreatedTimestamp => "CreatedTimestamp",
            Self::LastModifiedTimestamp => "LastModifiedTimestamp",
            Self::QueueArn => "QueueArn",
            Self::Extension(extension) => extension.name,
        }
    }

    /// The attribute of that name.
    pub(crate) fn named(name: &str) -> Result<Self, Error> {
        let known = Self::ALL.into_iter().find(|attribute| attribute.name() == name);
        known.or_else(|| Extension::named(name).map(Self::Extension)).ok_or_else(|| unknown(name))
    }

    /// Tells whether it counts messages, which takes a question to the engine.
    pub(crate) const fn is_count(self) -> bool {
        matches!(
            self,
            Self::ApproximateNumberOfMessages
                | Self::ApproximateNumberOfMessagesNotVisible
                | Self::ApproximateNumberOfMessagesDelayed
        )
    }

    /// Checks that a queue of that kind may be given this attribute.
    fn check_settable(self, kind: QueueKind) -> Result<(), Error> {
        match self {
            Self::CreatedTimestamp | Self::LastModifiedTimestamp | Self::QueueArn => {
                Err(unknown(self.name()))
            }
            count if count.is_count() => Err(unknown(self.name())),
            Self::DeduplicationScope | Self::FifoThroughputLimit if kind == QueueKind::Standard => {
                Err(Error::InvalidAttributeName(format!(
                    "You can specify the {} only when FifoQueue is set to true.",
                    self.name()
                )))
            }
            Self::FifoQueue | Self::ContentBasedDeduplication if kind == QueueKind::Standard => {
                Err(unknown(self.name()))
            }
            _ => Ok(()),
        }
    }
}

fn unknown(name: &str) -> Error {
    Error::InvalidAttributeName(format!("Unknown Attribute {}.", quoted(name)))
}
