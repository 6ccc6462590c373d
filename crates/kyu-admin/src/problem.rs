//! The reason why a request was not carried out, as the caller sees it (RFC 9457). The codes are
//! stable.

use std::borrow::Cow;

use hyper::StatusCode;
use kyu_door::access::{Denied, foreign_host_text};
use kyu_door::http::Rejection;

use crate::api::{ItemError, ProblemBody};

macro_rules! codes {
    ($($(#[doc = $title:literal])+ $variant:ident => $name:literal, $status:ident;)+) => {
        /// The kinds of problems. Names are part of the API and stay.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code {
            $($(#[doc = $title])+ $variant,)+
        }

        impl Code {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The name in `code`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The name in words.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => concat!($($title),+).trim_ascii(),)+ }
            }

            /// The HTTP status.
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)+ }
            }
        }
    };
}

codes! {
    /// The request is not JSON of the expected form.
    MalformedRequest => "malformed_request", BAD_REQUEST;
    /// A value is not allowed.
    InvalidArgument => "invalid_argument", BAD_REQUEST;
    /// A setting is not allowed.
    InvalidSetting => "invalid_setting", BAD_REQUEST;
    /// More than one request may ask for.
    LimitExceeded => "limit_exceeded", BAD_REQUEST;
    /// The queue or exchange is FIFO: messages need a lane.
    LaneRequired => "lane_required", BAD_REQUEST;
    /// The exchange is FIFO: messages need a deduplication id.
    DedupIdRequired => "dedup_id_required", BAD_REQUEST;
    /// Only FIFO exchanges know deduplication ids.
    DedupIdNotAllowed => "dedup_id_not_allowed", BAD_REQUEST;
    /// The command cannot be part of an atomic group.
    NotInAtomic => "not_in_atomic", BAD_REQUEST;
    /// Credentials are missing or wrong.
    Unauthenticated => "unauthenticated", UNAUTHORIZED;
    /// The caller may not use this server.
    Forbidden => "forbidden", FORBIDDEN;
    /// There is nothing at this path.
    NoSuchRoute => "no_such_route", NOT_FOUND;
    /// There is no such queue.
    QueueNotFound => "queue_not_found", NOT_FOUND;
    /// There is no such exchange.
    ExchangeNotFound => "exchange_not_found", NOT_FOUND;
    /// There is no such binding.
    BindingNotFound => "binding_not_found", NOT_FOUND;
    /// There is no such move task, or it has ended.
    MoveTaskNotFound => "move_task_not_found", NOT_FOUND;
    /// There is no such schedule.
    ScheduleNotFound => "schedule_not_found", NOT_FOUND;
    /// There is no such message in the queue.
    MessageNotFound => "message_not_found", NOT_FOUND;
    /// There is no such entry in the ledger.
    EntryNotFound => "entry_not_found", NOT_FOUND;
    /// The path does not take this method.
    MethodNotAllowed => "method_not_allowed", METHOD_NOT_ALLOWED;
    /// The request did not arrive in time.
    RequestTimeout => "request_timeout", REQUEST_TIMEOUT;
    /// The name of the queue is taken.
    QueueExists => "queue_exists", PRECONDITION_FAILED;
    /// The name of the exchange is taken.
    ExchangeExists => "exchange_exists", PRECONDITION_FAILED;
    /// The name of the schedule is taken.
    ScheduleExists => "schedule_exists", PRECONDITION_FAILED;
    /// The queue is bound to the exchange.
    BindingExists => "binding_exists", CONFLICT;
    /// The queue of that name was deleted a moment ago.
    QueueDeletedRecently => "queue_deleted_recently", CONFLICT;
    /// The queue was purged a moment ago.
    PurgeInProgress => "purge_in_progress", CONFLICT;
    /// The queue is being emptied by a move task.
    MoveTaskRunning => "move_task_running", CONFLICT;
    /// Somebody works on the message.
    MessageInFlight => "message_in_flight", CONFLICT;
    /// That is not for messages in this state.
    NotApplicable => "not_applicable", CONFLICT;
    /// The queue that the message came from is not known, or not there.
    NoSource => "no_source", CONFLICT;
    /// As many messages are in flight as the queue allows.
    TooManyInFlight => "too_many_in_flight", CONFLICT;
    /// The queue is at its limit.
    QueueFull => "queue_full", CONFLICT;
    /// One item of an atomic group could not be done, so none was.
    ItemRefused => "item_refused", CONFLICT;
    /// Another has the claim now, or it is completed or forgotten.
    TokenLost => "token_lost", CONFLICT;
    /// The record has another version.
    RecordConflict => "record_conflict", CONFLICT;
    /// The key is a claim's and not a record's, or the other way round.
    OtherEntryKind => "other_entry_kind", CONFLICT;
    /// It was changed by somebody else meanwhile.
    VersionConflict => "version_conflict", PRECONDITION_FAILED;
    /// The message is too large.
    MessageTooLarge => "message_too_large", PAYLOAD_TOO_LARGE;
    /// The request is too large.
    RequestTooLarge => "request_too_large", PAYLOAD_TOO_LARGE;
    /// The request's body is not declared as JSON.
    UnsupportedMediaType => "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE;
    /// The server could not do it, and whether it was done is not known.
    Internal => "internal", INTERNAL_SERVER_ERROR;
    /// Too many requests are waiting.
    Overloaded => "overloaded", SERVICE_UNAVAILABLE;
    /// The server is shutting down.
    ShuttingDown => "shutting_down", SERVICE_UNAVAILABLE;
    /// The disk is full: new messages are refused, receiving and acknowledging work.
    StorageFull => "storage_full", INSUFFICIENT_STORAGE;
}

/// A problem on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) code: Code,
    pub(crate) detail: Cow<'static, str>,
    /// The place in the body that is wrong, as a JSON pointer.
    pub(crate) pointer: Option<String>,
    /// The command of an atomic group.
    pub(crate) at: Option<usize>,
    pub(crate) retry_after_ms: Option<u64>,
}

impl Problem {
    pub(crate) fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into(), pointer: None, at: None, retry_after_ms: None }
    }

    /// The title says it all.
    pub(crate) fn of(code: Code) -> Self {
        Self::new(code, code.title())
    }

    pub(crate) fn invalid(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::InvalidArgument, detail)
    }

    /// A value in the body that is not allowed; `field` is a JSON pointer below what was being read.
    pub(crate) fn at(field: &str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { pointer: Some(field.to_owned()), ..Self::invalid(detail) }
    }

    /// The same problem, seen from what holds the part that was being read: `/messages/3`.
    pub(crate) fn below(self, place: &str) -> Self {
        let pointer = format!("{place}{}", self.pointer.unwrap_or_default());
        Self { pointer: Some(pointer), ..self }
    }

    /// The broker answered what it cannot answer.
    pub(crate) fn internal() -> Self {
        Self::of(Code::Internal)
    }

    pub(crate) fn body(&self) -> ProblemBody {
        ProblemBody {
            kind: format!("urn:kyu:problem:{}", self.code.name()),
            title: self.code.title().to_owned(),
            status: self.code.status().as_u16(),
            detail: self.detail.to_string(),
            code: self.code.name().to_owned(),
            pointer: self.pointer.clone(),
            at: self.at.map(|at| at as u64),
            retry_after_ms: self.retry_after_ms,
        }
    }

    /// The problem as the result of one item of a batch.
    pub(crate) fn item(&self) -> ItemError {
        ItemError {
            code: self.code.name().to_owned(),
            detail: self.detail.to_string(),
            pointer: self.pointer.clone(),
        }
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::NotLoopback => Self::new(
                Code::Forbidden,
                "This server has no credentials configured, so it serves its own machine only.",
            ),
            Denied::CrossSite => {
                Self::new(Code::Forbidden, "Web pages of other sites may not use this server.")
            }
            Denied::ForeignHost(host) => Self::new(Code::Forbidden, foreign_host_text(&host)),
            Denied::NoSignature => Self::new(
                Code::Unauthenticated,
                "Send the access key as HTTP Basic credentials, or sign the request (SigV4).",
            ),
            Denied::UnknownKey => Self::new(Code::Unauthenticated, "The access key is not known."),
            Denied::WrongSignature => {
                Self::new(Code::Unauthenticated, "The secret or the signature is wrong.")
            }
            Denied::Incomplete(reason) | Denied::Expired(reason) => {
                Self::new(Code::Unauthenticated, reason)
            }
        }
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::SeveralHosts => Self::invalid("The request has more than one Host header."),
            Rejection::BodyTooLarge { max_bytes } => Self::new(
                Code::RequestTooLarge,
                format!("The body of a request may have {max_bytes} bytes."),
            ),
            Rejection::BodyTimeout => Self::of(Code::RequestTimeout),
            Rejection::BodyBroken => {
                Self::new(Code::MalformedRequest, "The request broke off in its body.")
            }
            Rejection::Busy => {
                Self::new(Code::Overloaded, "There is no memory for the request now; try again.")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_words_and_stand_for_one_code_each() {
        let names: BTreeSet<_> = Code::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        assert!(names.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
        assert!(Code::ALL.iter().all(|code| code.title().ends_with('.')));
    }
}
