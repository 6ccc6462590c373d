//! Jobs that time enqueues.

use std::time::Duration;

use kyu_model::{CatchUp, OverlapPolicy, ScheduleRule};

/// A timetable by which a job is enqueued over and over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    pub(crate) rule: ScheduleRule,
    pub(crate) jitter: Duration,
    pub(crate) catch_up: CatchUp,
    pub(crate) overlap: OverlapPolicy,
}

impl Schedule {
    /// A schedule by a cron expression of five fields (six: seconds first) in an IANA time zone,
    /// such as `Schedule::cron("30 2 * * *", "Europe/Berlin")`.
    pub fn cron(expression: &str, time_zone: &str) -> Self {
        Self::by(ScheduleRule::Cron { expression: expression.into(), time_zone: time_zone.into() })
    }

    /// A schedule at an interval, the first time one interval from now.
    pub fn every(interval: Duration) -> Self {
        Self::by(ScheduleRule::Every {
            interval_ms: crate::backend::millis(interval),
            anchor_ms: None,
        })
    }

    fn by(rule: ScheduleRule) -> Self {
        let (catch_up, overlap) = (CatchUp::default(), OverlapPolicy::default());
        Self { rule, jitter: Duration::ZERO, catch_up, overlap }
    }

    /// Each run comes later by a time from 0 to this.
    #[must_use]
    pub fn jitter(self, jitter: Duration) -> Self {
        Self { jitter, ..self }
    }

    /// Sets what becomes of runs that could not happen in time; one for all of them unless said.
    #[must_use]
    pub fn catch_up(self, catch_up: CatchUp) -> Self {
        Self { catch_up, ..self }
    }

    /// Sets what happens while the job of an earlier run is still there; both unless said.
    #[must_use]
    pub fn overlap(self, overlap: OverlapPolicy) -> Self {
        Self { overlap, ..self }
    }
}
