//! The errors of SNS: code, HTTP status and text, as recorded from AWS where a recording is public.

use bytes::Bytes;
use kyu_broker::Refusal;
use kyu_door::http::StatusCode;

use super::output;
use crate::error::quoted;
use crate::request_id::RequestId;

/// Codes of the service model, by what the caller must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    NotFound,
    ResourceNotFound,
    InvalidParameter,
    ParameterValueInvalid,
    Validation,
    InvalidAction,
    TooManyEntriesInBatchRequest,
    EmptyBatchRequest,
    BatchEntryIdsNotDistinct,
    BatchRequestTooLong,
    InvalidBatchEntryId,
    TopicLimitExceeded,
    SubscriptionLimitExceeded,
    TagLimitExceeded,
    Authorization,
    EndpointDisabled,
    UserError,
    Verification,
    Throttled,
    ServiceUnavailable,
    Internal,
}

impl Code {
    fn row(self) -> (&'static str, StatusCode) {
        const BAD: StatusCode = StatusCode::BAD_REQUEST;
        match self {
            Self::NotFound => ("NotFound", StatusCode::NOT_FOUND),
            Self::ResourceNotFound => ("ResourceNotFound", StatusCode::NOT_FOUND),
            Self::InvalidParameter => ("InvalidParameter", BAD),
            Self::ParameterValueInvalid => ("ParameterValueInvalid", BAD),
            Self::Validation => ("ValidationError", BAD),
            Self::InvalidAction => ("InvalidAction", BAD),
            Self::TooManyEntriesInBatchRequest => ("TooManyEntriesInBatchRequest", BAD),
            Self::EmptyBatchRequest => ("EmptyBatchRequest", BAD),
            Self::BatchEntryIdsNotDistinct => ("BatchEntryIdsNotDistinct", BAD),
            Self::BatchRequestTooLong => ("BatchRequestTooLong", BAD),
            Self::InvalidBatchEntryId => ("InvalidBatchEntryId", BAD),
            Self::TopicLimitExceeded => ("TopicLimitExceeded", StatusCode::FORBIDDEN),
            Self::SubscriptionLimitExceeded => ("SubscriptionLimitExceeded", StatusCode::FORBIDDEN),
            Self::TagLimitExceeded => ("TagLimitExceeded", BAD),
            Self::Authorization => ("AuthorizationError", StatusCode::FORBIDDEN),
            Self::EndpointDisabled => ("EndpointDisabled", BAD),
            Self::UserError => ("UserError", BAD),
            Self::Verification => ("VerificationException", BAD),
            Self::Throttled => ("Throttled", StatusCode::TOO_MANY_REQUESTS),
            Self::ServiceUnavailable => ("ServiceUnavailable", StatusCode::SERVICE_UNAVAILABLE),
            Self::Internal => ("InternalError", StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

/// The reason why an action is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Error {
    pub(crate) code: Code,
    pub(crate) text: String,
}

impl Error {
    pub(crate) fn new(code: Code, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    /// `Invalid parameter: ...`
    pub(crate) fn invalid(what: impl AsRef<str>) -> Self {
        Self::new(Code::InvalidParameter, format!("Invalid parameter: {}", quoted(what.as_ref())))
    }

    /// A parameter that must be there is not.
    pub(crate) fn missing(parameter: &str) -> Self {
        Self::invalid(format!("{parameter} Reason: no value for required parameter"))
    }

    pub(crate) fn invalid_action(action: &str) -> Self {
        let action = quoted(action);
        let text = format!("The action {action} is not valid for this web service.");
        Self::new(Code::InvalidAction, text)
    }

    pub(crate) fn topic_not_found() -> Self {
        Self::new(Code::NotFound, "Topic does not exist")
    }

    pub(crate) fn subscription_not_found() -> Self {
        Self::new(Code::NotFound, "Subscription does not exist")
    }

    pub(crate) fn internal() -> Self {
        let text = "The request processing has failed because of an internal failure.";
        Self::new(Code::Internal, text)
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.code.row().1
    }

    /// The code's name, and whether the caller is at fault: what a batch says of an entry.
    pub(crate) fn name_and_fault(&self) -> (&'static str, bool) {
        let (name, status) = self.code.row();
        (name, !status.is_server_error())
    }

    /// The body of the answer.
    pub(crate) fn answer(&self, id: &RequestId) -> Bytes {
        let (name, sender) = self.name_and_fault();
        output::failure(name, if sender { "Sender" } else { "Receiver" }, &self.text, id)
    }
}

impl From<kyu_broker::Error> for Error {
    fn from(error: kyu_broker::Error) -> Self {
        use kyu_broker::Error as Broker;
        let unavailable = |text: &str| Self::new(Code::ServiceUnavailable, text);
        match error {
            Broker::Refused(refusal) => refusal.into(),
            Broker::StorageFull => unavailable("The server's storage is full."),
            Broker::Overloaded => Self::new(Code::Throttled, "Rate exceeded"),
            Broker::ShuttingDown => unavailable("The server is shutting down."),
            Broker::Internal => Self::internal(),
        }
    }
}

impl From<Refusal> for Error {
    /// Refusals that no action has a better answer to.
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::ExchangeNotFound => Self::topic_not_found(),
            Refusal::BindingNotFound => Self::subscription_not_found(),
            Refusal::PublicationTooLarge { .. } => Self::invalid("Message too long"),
            Refusal::LaneRequired => {
                Self::invalid("The MessageGroupId parameter is required for FIFO topics")
            }
            Refusal::DedupIdRequired => Self::invalid(
                "The topic should either have ContentBasedDeduplication enabled or \
                 MessageDeduplicationId provided explicitly",
            ),
            Refusal::DedupIdNotAllowed => Self::invalid(
                "MessageDeduplicationId Reason: The request includes MessageDeduplicationId \
                 parameter that is not valid for this topic type",
            ),
            Refusal::ExchangeExists(_) => {
                Self::invalid("Attributes Reason: Topic already exists with different attributes")
            }
            Refusal::BindingExists(_) => Self::invalid(
                "Attributes Reason: Subscription already exists with different attributes",
            ),
            Refusal::InvalidConfig(reason) => Self::invalid(format!("Attributes Reason: {reason}")),
            Refusal::VersionConflict => Self::new(Code::Throttled, "Rate exceeded"),
            Refusal::LimitExceeded("exchanges") => {
                Self::new(Code::TopicLimitExceeded, "Topic limit exceeded")
            }
            Refusal::LimitExceeded("bindings of an exchange" | "bindings") => {
                Self::new(Code::SubscriptionLimitExceeded, "Subscription limit exceeded")
            }
            Refusal::LimitExceeded(what) => Self::invalid(format!("Limit exceeded: {what}")),
            // What SNS does not ask for.
            Refusal::QueueNotFound
            | Refusal::QueueExists(_)
            | Refusal::QueueDeletedRecently { .. }
            | Refusal::PurgeInProgress
            | Refusal::TooManyInFlight
            | Refusal::MoveTaskRunning
            | Refusal::MoveTaskNotFound
            | Refusal::BodyFactsRequired
            | Refusal::Atomic { .. }
            | Refusal::NotInAtomic
            | Refusal::Ledger(_)
            | Refusal::Schedule(_) => Self::internal(),
        }
    }
}
