//! The one table from what went wrong to what AWS calls it: JSON name, Query code, HTTP status and
//! text, as recorded from AWS where a recording is public.

use std::borrow::Cow;
use std::fmt;

use kyu_broker::{EnqueueRefusal, Refusal};
use kyu_door::access::{Denied, foreign_host_text};
use kyu_door::http::{Rejection, StatusCode};

use crate::limits::{MAX_BATCH_ENTRIES, MAX_MESSAGE_BYTES, MAX_QUOTED_BYTES};

/// The reason why an action is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Error {
    // What the request asks for is not there, or not so.
    QueueDoesNotExist,
    QueueNameExists { attribute: String },
    QueueDeletedRecently { wait_s: u64 },
    PurgeQueueInProgress { queue: String, cooldown_s: u64 },
    ResourceNotFound(&'static str),
    ReceiptHandleIsInvalid(String),
    OverLimit(String),
    // What the request says is wrong.
    InvalidParameterValue(String),
    MissingParameter(String),
    InvalidAttributeName(String),
    InvalidAttributeValue(String),
    InvalidMessageContents,
    InvalidAddress(String),
    // What is wrong with a batch as a whole.
    TooManyEntriesInBatchRequest { sent: usize },
    EmptyBatchRequest { entry_type: &'static str },
    BatchEntryIdsNotDistinct { id: String },
    BatchRequestTooLong { sent_bytes: usize },
    InvalidBatchEntryId,
    // What is no request of this API.
    UnknownOperation,
    InvalidAction { action: String },
    Serialization(String),
    MalformedInput(String),
    RequestTooLarge { max_bytes: usize },
    RequestTimeout,
    // Who sends it.
    Denied(Denied),
    // What the server cannot do now. SDKs try again by themselves.
    RequestThrottled,
    ServiceUnavailable(&'static str),
    Internal,
}

/// The names of an error on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// The shape's name in the service model, or the exception of the framework beneath it.
    pub(crate) name: &'static str,
    /// The namespace in which that name is defined.
    pub(crate) namespace: &'static str,
    /// `Error.Code` of the Query protocol, and of boto3 and Celery through `x-amzn-query-error`.
    pub(crate) query_code: &'static str,
    pub(crate) status: StatusCode,
    /// Answered in Query as a bare element of this name, without an error document.
    pub(crate) bare_in_query: bool,
}

const SQS: &str = "com.amazonaws.sqs";
const CORAL: &str = "com.amazon.coral.service";

impl Row {
    const fn of(
        namespace: &'static str,
        name: &'static str,
        query_code: &'static str,
        status: StatusCode,
    ) -> Self {
        Self { name, namespace, query_code, status, bare_in_query: false }
    }

    /// The side whose fault it is, as Query says it.
    pub(crate) fn fault(&self) -> &'static str {
        if self.status.is_server_error() { "Receiver" } else { "Sender" }
    }
}

impl Error {
    /// The table.
    pub(crate) fn row(&self) -> Row {
        const BAD: StatusCode = StatusCode::BAD_REQUEST;
        let sqs = |name, query_code, status| Row::of(SQS, name, query_code, status);
        let coral = |name, query_code, status| Row::of(CORAL, name, query_code, status);
        match self {
            Self::QueueDoesNotExist => {
                sqs("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", BAD)
            }
            Self::QueueNameExists { .. } => sqs("QueueNameExists", "QueueAlreadyExists", BAD),
            Self::QueueDeletedRecently { .. } => {
                sqs("QueueDeletedRecently", "AWS.SimpleQueueService.QueueDeletedRecently", BAD)
            }
            Self::PurgeQueueInProgress { .. } => sqs(
                "PurgeQueueInProgress",
                "AWS.SimpleQueueService.PurgeQueueInProgress",
                StatusCode::FORBIDDEN,
            ),
            Self::ResourceNotFound(_) => {
                sqs("ResourceNotFoundException", "ResourceNotFoundException", StatusCode::NOT_FOUND)
            }
            Self::ReceiptHandleIsInvalid(_) => {
                sqs("ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid", BAD)
            }
            Self::OverLimit(_) => sqs("OverLimit", "OverLimit", StatusCode::FORBIDDEN),
            Self::InvalidParameterValue(_) => {
                sqs("InvalidParameterValueException", "InvalidParameterValue", BAD)
            }
            Self::MissingParameter(_) => {
                sqs("MissingRequiredParameterException", "MissingParameter", BAD)
            }
            Self::InvalidAttributeName(_) => {
                sqs("InvalidAttributeName", "InvalidAttributeName", BAD)
            }
            Self::InvalidAttributeValue(_) => {
                sqs("InvalidAttributeValue", "InvalidAttributeValue", BAD)
            }
            Self::InvalidMessageContents => {
                sqs("InvalidMessageContents", "InvalidMessageContents", BAD)
            }
            Self::InvalidAddress(_) => {
                sqs("InvalidAddress", "InvalidAddress", StatusCode::NOT_FOUND)
            }
            Self::TooManyEntriesInBatchRequest { .. } => sqs(
                "TooManyEntriesInBatchRequest",
                "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
                BAD,
            ),
            Self::EmptyBatchRequest { .. } => {
                sqs("EmptyBatchRequest", "AWS.SimpleQueueService.EmptyBatchRequest", BAD)
            }
            Self::BatchEntryIdsNotDistinct { .. } => sqs(
                "BatchEntryIdsNotDistinct",
                "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
                BAD,
            ),
            Self::BatchRequestTooLong { .. } => {
                sqs("BatchRequestTooLong", "AWS.SimpleQueueService.BatchRequestTooLong", BAD)
            }
            Self::InvalidBatchEntryId => {
                sqs("InvalidBatchEntryId", "AWS.SimpleQueueService.InvalidBatchEntryId", BAD)
            }
            Self::UnknownOperation => Row {
                bare_in_query: true,
                ..coral("UnknownOperationException", "UnknownOperation", StatusCode::NOT_FOUND)
            },
            Self::InvalidAction { .. } => coral("InvalidAction", "InvalidAction", BAD),
            Self::Serialization(_) => coral("SerializationException", "MalformedInput", BAD),
            Self::MalformedInput(_) => coral("SerializationException", "MalformedInput", BAD),
            Self::RequestTooLarge { .. } => coral(
                "RequestEntityTooLargeException",
                "RequestEntityTooLarge",
                StatusCode::PAYLOAD_TOO_LARGE,
            ),
            Self::RequestTimeout => {
                coral("RequestTimeoutException", "RequestTimeout", StatusCode::REQUEST_TIMEOUT)
            }
            Self::Denied(denied) => denied_row(denied),
            Self::RequestThrottled => {
                sqs("RequestThrottled", "RequestThrottled", StatusCode::SERVICE_UNAVAILABLE)
            }
            Self::ServiceUnavailable(_) => coral(
                "ServiceUnavailableException",
                "ServiceUnavailable",
                StatusCode::SERVICE_UNAVAILABLE,
            ),
            Self::Internal => {
                coral("InternalFailure", "InternalFailure", StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }

    /// The text, where Query has another one than JSON.
    pub(crate) fn query_text(&self) -> String {
        match self {
            Self::QueueDoesNotExist => {
                "The specified queue does not exist for this wsdl version.".into()
            }
            other => other.to_string(),
        }
    }

    /// `Value V for parameter P is invalid. Reason: R`
    pub(crate) fn invalid(value: impl fmt::Display, parameter: &str, reason: &str) -> Self {
        let value = value.to_string();
        let value = quoted(&value);
        Self::InvalidParameterValue(format!(
            "Value {value} for parameter {parameter} is invalid. Reason: {reason}"
        ))
    }

    /// A parameter that must be there is not.
    pub(crate) fn missing(parameter: &str) -> Self {
        Self::MissingParameter(format!("The request must contain the parameter {parameter}."))
    }

    /// A FIFO queue needs a deduplication id from somewhere.
    pub(crate) fn no_deduplication_id() -> Self {
        Self::InvalidParameterValue(
            "The queue should either have ContentBasedDeduplication enabled or \
             MessageDeduplicationId provided explicitly"
                .into(),
        )
    }

    /// The message is larger than its queue allows.
    pub(crate) fn message_too_long(max_bytes: u32) -> Self {
        Self::InvalidParameterValue(format!(
            "One or more parameters are invalid. Reason: Message must be shorter than {max_bytes} bytes."
        ))
    }
}

fn denied_row(denied: &Denied) -> Row {
    let coral = |name, query_code, status| Row::of(CORAL, name, query_code, status);
    match denied {
        Denied::NotLoopback | Denied::CrossSite | Denied::ForeignHost(_) => {
            coral("AccessDeniedException", "AccessDenied", StatusCode::FORBIDDEN)
        }
        Denied::NoSignature => coral(
            "MissingAuthenticationTokenException",
            "MissingAuthenticationToken",
            StatusCode::FORBIDDEN,
        ),
        Denied::Incomplete(_) => {
            coral("IncompleteSignatureException", "IncompleteSignature", StatusCode::BAD_REQUEST)
        }
        Denied::UnknownKey => {
            coral("UnrecognizedClientException", "InvalidClientTokenId", StatusCode::FORBIDDEN)
        }
        Denied::WrongSignature => {
            coral("InvalidSignatureException", "SignatureDoesNotMatch", StatusCode::FORBIDDEN)
        }
        Denied::Expired(_) => {
            coral("RequestExpiredException", "RequestExpired", StatusCode::BAD_REQUEST)
        }
    }
}

fn denied_text(denied: &Denied) -> Cow<'_, str> {
    let text = match denied {
        Denied::ForeignHost(host) => return foreign_host_text(host).into(),
        Denied::NotLoopback => {
            "This server has no credentials configured, so it serves its own machine only."
        }
        Denied::CrossSite => {
            "This server has no credentials configured, so it serves no web page of another site."
        }
        Denied::NoSignature => "Request is missing Authentication Token",
        Denied::UnknownKey => "The security token included in the request is invalid.",
        Denied::WrongSignature => {
            "The request signature we calculated does not match the signature you provided. \
             Check your AWS Secret Access Key and signing method. \
             Consult the service documentation for details."
        }
        Denied::Incomplete(reason) | Denied::Expired(reason) => reason,
    };
    text.into()
}

impl fmt::Display for Error {
    /// The text of the error, for JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::QueueDoesNotExist => f.write_str("The specified queue does not exist."),
            Self::QueueNameExists { attribute } => write!(
                f,
                "A queue already exists with the same name and a different value for attribute \
                 {attribute}"
            ),
            Self::QueueDeletedRecently { wait_s } => write!(
                f,
                "You must wait {wait_s} seconds after deleting a queue before you can create \
                 another with the same name."
            ),
            Self::PurgeQueueInProgress { queue, cooldown_s } => write!(
                f,
                "Only one PurgeQueue operation on {queue} is allowed every {cooldown_s} seconds."
            ),
            Self::ResourceNotFound(text) | Self::ServiceUnavailable(text) => f.write_str(text),
            Self::ReceiptHandleIsInvalid(text)
            | Self::OverLimit(text)
            | Self::InvalidParameterValue(text)
            | Self::MissingParameter(text)
            | Self::InvalidAttributeName(text)
            | Self::InvalidAttributeValue(text)
            | Self::Serialization(text)
            | Self::MalformedInput(text) => f.write_str(text),
            Self::InvalidMessageContents => f.write_str(
                "Invalid characters found. Valid unicode characters are \
                 #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF",
            ),
            Self::InvalidAddress(address) => {
                write!(f, "The address {address} is not valid for this endpoint.")
            }
            Self::TooManyEntriesInBatchRequest { sent } => write!(
                f,
                "Maximum number of entries per request are {MAX_BATCH_ENTRIES}. You have sent {sent}."
            ),
            Self::EmptyBatchRequest { entry_type } => {
                write!(f, "There should be at least one {entry_type} in the request.")
            }
            Self::BatchEntryIdsNotDistinct { id } => write!(f, "Id {id} repeated."),
            Self::BatchRequestTooLong { sent_bytes } => write!(
                f,
                "Batch requests cannot be longer than {MAX_MESSAGE_BYTES} bytes. \
                 You have sent {sent_bytes} bytes."
            ),
            Self::InvalidBatchEntryId => f.write_str(
                "A batch entry id can only contain alphanumeric characters, hyphens and \
                 underscores. It can be at most 80 letters long.",
            ),
            Self::UnknownOperation => f.write_str("The operation is not known."),
            Self::InvalidAction { action } => {
                write!(f, "The action {action} is not valid for this endpoint.")
            }
            Self::RequestTooLarge { max_bytes } => {
                write!(f, "The request body must not be larger than {max_bytes} bytes.")
            }
            Self::RequestTimeout => f.write_str("The request did not arrive in time."),
            Self::Denied(denied) => f.write_str(&denied_text(denied)),
            Self::RequestThrottled => f.write_str("Rate exceeded."),
            Self::Internal => {
                f.write_str("The request processing has failed because of an internal failure.")
            }
        }
    }
}

/// The caller's own text, cut so that no answer grows with the request.
pub(crate) fn quoted(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_QUOTED_BYTES)).unwrap_or_default()
}

impl From<kyu_broker::Error> for Error {
    fn from(error: kyu_broker::Error) -> Self {
        use kyu_broker::Error as Broker;
        match error {
            Broker::Refused(refusal) => refusal.into(),
            Broker::StorageFull => Self::ServiceUnavailable(
                "The server's storage is full: it takes no messages until some are deleted. \
                 Receiving and deleting work.",
            ),
            Broker::Overloaded => Self::RequestThrottled,
            Broker::ShuttingDown => Self::ServiceUnavailable("The server is shutting down."),
            Broker::Internal => Self::Internal,
        }
    }
}

impl From<Refusal> for Error {
    /// Refusals that no action has a better answer to.
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::QueueNotFound => Self::QueueDoesNotExist,
            Refusal::QueueExists(_) => Self::QueueNameExists { attribute: "QueueName".into() },
            Refusal::QueueDeletedRecently { wait_ms } => {
                Self::QueueDeletedRecently { wait_s: wait_ms.div_ceil(1000) }
            }
            Refusal::PurgeInProgress => {
                Self::PurgeQueueInProgress { queue: "this queue".into(), cooldown_s: 60 }
            }
            Refusal::TooManyInFlight => Self::OverLimit(
                "Too many messages are in flight: delete some before you receive more.".into(),
            ),
            Refusal::InvalidConfig(reason) => Self::InvalidAttributeValue(reason.into()),
            Refusal::LimitExceeded(what) => Self::OverLimit(format!("Limit exceeded: {what}.")),
            Refusal::MoveTaskRunning => Self::InvalidParameterValue(
                "There is already a task running. Only one active task is allowed for a source \
                 queue arn at a given time."
                    .into(),
            ),
            Refusal::MoveTaskNotFound => Self::ResourceNotFound("Task does not exist."),
            Refusal::VersionConflict => Self::RequestThrottled,
            // SQS has no topics and no ledger, and sends no atomic groups.
            Refusal::ExchangeNotFound
            | Refusal::ExchangeExists(_)
            | Refusal::BindingNotFound
            | Refusal::BindingExists(_)
            | Refusal::PublicationTooLarge { .. }
            | Refusal::LaneRequired
            | Refusal::DedupIdRequired
            | Refusal::DedupIdNotAllowed
            | Refusal::BodyFactsRequired
            | Refusal::Atomic { .. }
            | Refusal::NotInAtomic
            | Refusal::Ledger(_)
            | Refusal::Schedule(_) => Self::Internal,
        }
    }
}

impl From<EnqueueRefusal> for Error {
    fn from(refusal: EnqueueRefusal) -> Self {
        match refusal {
            EnqueueRefusal::QueueNotFound(_) => Self::QueueDoesNotExist,
            EnqueueRefusal::QueueFull(_) => Self::OverLimit("The queue is at its limit.".into()),
            EnqueueRefusal::LaneRequired(_) => Self::missing("MessageGroupId"),
            EnqueueRefusal::Malformed => Self::InvalidParameterValue(
                "MessageGroupId or MessageDeduplicationId is empty or too long.".into(),
            ),
            EnqueueRefusal::TooLarge => Self::message_too_long(MAX_MESSAGE_BYTES),
        }
    }
}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::SeveralHosts => {
                Self::MalformedInput("The request has more than one Host header.".into())
            }
            Rejection::BodyTooLarge { max_bytes } => Self::RequestTooLarge { max_bytes },
            Rejection::BodyTimeout => Self::RequestTimeout,
            Rejection::BodyBroken => Self::MalformedInput("The request body broke off.".into()),
            Rejection::Busy => Self::ServiceUnavailable("The server is short of memory."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_cut_at_a_character() {
        let long = "é".repeat(MAX_QUOTED_BYTES);
        let text = Error::invalid(&long, "P", "R").to_string();
        assert!(text.len() < MAX_QUOTED_BYTES + 100 && text.contains("é for parameter P"));
    }
}
