//! The meaning of each refusal of the broker to a caller. No arm for "the rest": a new refusal must
//! be given an answer.

use kyu_broker::{EnqueueRefusal, Error, LedgerRefusal, PublishError, Refusal, ScheduleRefusal};

use crate::problem::{Code, Problem};

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(refusal) => refusal.into(),
            Error::StorageFull => Self::of(Code::StorageFull),
            Error::Overloaded => Self::of(Code::Overloaded),
            Error::ShuttingDown => Self::of(Code::ShuttingDown),
            Error::Internal => Self::internal(),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::QueueNotFound => Self::of(Code::QueueNotFound),
            Refusal::QueueExists(_) => Self::of(Code::QueueExists),
            Refusal::QueueDeletedRecently { wait_ms } => {
                let problem = Self::of(Code::QueueDeletedRecently);
                Self { retry_after_ms: Some(wait_ms), ..problem }
            }
            Refusal::PurgeInProgress => Self::of(Code::PurgeInProgress),
            Refusal::VersionConflict => Self::of(Code::VersionConflict),
            Refusal::InvalidConfig(reason) => Self::new(Code::InvalidSetting, reason),
            Refusal::TooManyInFlight => Self::of(Code::TooManyInFlight),
            Refusal::LimitExceeded(what) => {
                Self::new(Code::LimitExceeded, format!("Too many or too large: {what}."))
            }
            Refusal::MoveTaskRunning => Self::of(Code::MoveTaskRunning),
            Refusal::MoveTaskNotFound => Self::of(Code::MoveTaskNotFound),
            Refusal::ExchangeNotFound => Self::of(Code::ExchangeNotFound),
            Refusal::ExchangeExists(_) => Self::of(Code::ExchangeExists),
            Refusal::BindingNotFound => Self::of(Code::BindingNotFound),
            Refusal::BindingExists(_) => Self::of(Code::BindingExists),
            Refusal::PublicationTooLarge { max_bytes } => Self::new(
                Code::MessageTooLarge,
                format!("A publication of this exchange may have {max_bytes} bytes."),
            ),
            Refusal::LaneRequired => Self::of(Code::LaneRequired),
            Refusal::DedupIdRequired => Self::of(Code::DedupIdRequired),
            Refusal::DedupIdNotAllowed => Self::of(Code::DedupIdNotAllowed),
            // A publish looks at bodies always.
            Refusal::BodyFactsRequired => Self::internal(),
            Refusal::Atomic { at, refusal } => {
                let inner = refusal.map(|refusal| Self::from(*refusal));
                Self { at: Some(at), ..inner.unwrap_or_else(|| Self::of(Code::ItemRefused)) }
            }
            Refusal::NotInAtomic => Self::of(Code::NotInAtomic),
            Refusal::Ledger(refusal) => refusal.into(),
            Refusal::Schedule(refusal) => refusal.into(),
        }
    }
}

impl From<PublishError> for Problem {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Unreadable(reason) => Self::at("/body", format!("body: {reason}.")),
            PublishError::Broker(error) => error.into(),
        }
    }
}

impl From<LedgerRefusal> for Problem {
    fn from(refusal: LedgerRefusal) -> Self {
        match refusal {
            LedgerRefusal::TokenLost => Self::of(Code::TokenLost),
            LedgerRefusal::Conflict { version: Some(version) } => {
                Self::new(Code::RecordConflict, format!("The record has version {version}."))
            }
            LedgerRefusal::Conflict { version: None } => {
                Self::new(Code::RecordConflict, "There is no record.")
            }
            LedgerRefusal::OtherKind => Self::of(Code::OtherEntryKind),
            LedgerRefusal::Malformed(what) => Self::invalid(what),
        }
    }
}

impl From<ScheduleRefusal> for Problem {
    fn from(refusal: ScheduleRefusal) -> Self {
        match refusal {
            ScheduleRefusal::NotFound => Self::of(Code::ScheduleNotFound),
            ScheduleRefusal::Exists(_) => Self::of(Code::ScheduleExists),
            ScheduleRefusal::Invalid(what) => Self::new(Code::InvalidSetting, what),
        }
    }
}

impl From<EnqueueRefusal> for Problem {
    fn from(refusal: EnqueueRefusal) -> Self {
        match refusal {
            EnqueueRefusal::QueueNotFound(_) => Self::of(Code::QueueNotFound),
            EnqueueRefusal::QueueFull(_) => Self::of(Code::QueueFull),
            EnqueueRefusal::LaneRequired(_) => Self::of(Code::LaneRequired),
            EnqueueRefusal::Malformed => {
                Self::invalid("lane and dedup_id have 1 to 512 bytes where they are given.")
            }
            EnqueueRefusal::TooLarge => Self::of(Code::MessageTooLarge),
        }
    }
}
