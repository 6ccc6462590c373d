//! The schedules of a run, and when each is due: said once more, and more simply than the engine
//! says it.

use kyu_broker::{
    CatchUp, Command, CreateSchedule, MessageTemplate, OverlapPolicy, QueueName, ScheduleCommand,
    ScheduleConfig, ScheduleRule, ScheduleTarget, UnixMs,
};

use crate::cast::Role;
use crate::content::content;

/// Contents of schedules have numbers that no client comes to.
const FIRST_NUMBER: u64 = 1 << 60;

/// A schedule that lives as long as the run; all send to [`Role::Timed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// Every three seconds, and each run happens.
    Every,
    /// Every five seconds with jitter; a run that overlaps does not happen.
    Skipping,
    /// A schedule by a cron expression; a run that overlaps replaces the one that waits.
    Replacing,
}

impl Timer {
    pub(crate) const ALL: [Self; 3] = [Self::Every, Self::Skipping, Self::Replacing];

    pub(crate) fn name(self) -> QueueName {
        QueueName { namespace: "sim".into(), name: format!("{self:?}") }
    }

    /// Returns the schedule whose messages have this number as their content.
    pub(crate) fn numbered(number: u64) -> Option<Self> {
        let at = number.checked_sub(FIRST_NUMBER)?;
        Self::ALL.into_iter().find(|timer| *timer as u64 == at)
    }

    fn config(self, start_ms: UnixMs) -> ScheduleConfig {
        let every = |interval_ms| ScheduleRule::Every { interval_ms, anchor_ms: Some(start_ms) };
        let message = MessageTemplate {
            content: content(FIRST_NUMBER + self as u64, 16),
            ..MessageTemplate::default()
        };
        let config = |rule| {
            ScheduleConfig::new(rule, ScheduleTarget::Queue(Role::Timed.name(0)), message.clone())
        };
        match self {
            Self::Every => {
                ScheduleConfig { catch_up: CatchUp::All { max: 500 }, ..config(every(3_000)) }
            }
            Self::Skipping => ScheduleConfig {
                jitter_ms: 2_000,
                overlap: OverlapPolicy::Skip,
                ..config(every(5_000))
            },
            Self::Replacing => ScheduleConfig {
                catch_up: CatchUp::Skip { grace_ms: 4_000 },
                overlap: OverlapPolicy::Replace,
                ..config(ScheduleRule::Cron {
                    expression: "*/7 * * * * *".into(),
                    time_zone: "UTC".into(),
                })
            },
        }
    }

    pub(crate) fn create(self, start_ms: UnixMs) -> Command {
        let (name, config) = (self.name(), self.config(start_ms));
        let create = CreateSchedule { name, config, paused: false };
        Command::Schedule(ScheduleCommand::Create(Box::new(create)))
    }

    pub(crate) fn pause(self) -> Command {
        Command::Schedule(ScheduleCommand::Pause(self.name()))
    }

    /// Returns true if a run is due at this time.
    pub(crate) fn is_due(self, start_ms: UnixMs, at_ms: UnixMs) -> bool {
        match self {
            Self::Every => at_ms > start_ms && (at_ms - start_ms).is_multiple_of(3_000),
            Self::Skipping => at_ms > start_ms && (at_ms - start_ms).is_multiple_of(5_000),
            Self::Replacing => {
                at_ms.is_multiple_of(1_000) && (at_ms / 1_000 % 60).is_multiple_of(7)
            }
        }
    }

    /// Runs due after the start and before this time.
    pub(crate) fn runs_before(self, start_ms: UnixMs, end_ms: UnixMs) -> u64 {
        // All are due on full seconds, as the start is.
        let seconds = (start_ms + 1_000..end_ms).step_by(1_000);
        seconds.filter(|at_ms| self.is_due(start_ms, *at_ms)).count() as u64
    }
}
