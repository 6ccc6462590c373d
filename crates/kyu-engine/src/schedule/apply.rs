//! Applying the facts of schedules. As in `apply.rs`: nothing is judged, nothing can fail, and code
//! may only be added to.

use std::sync::Arc;

use kyu_model::{QueueName, RunOutcome, ScheduleInfo, ScheduleTotals};

use crate::schedule::record::ScheduleFact;
use crate::state::State;

impl State {
    pub(crate) fn apply_schedule(&mut self, effect: &ScheduleFact) {
        match effect {
            ScheduleFact::Created { name, id, at_ms, config, paused, next } => {
                self.note_time(*at_ms);
                *self.last_schedule = (*self.last_schedule).max(*id);
                let info = ScheduleInfo {
                    id: *id,
                    name: name.clone(),
                    config: (**config).clone(),
                    version: 1,
                    paused: *paused,
                    created_at_ms: *at_ms,
                    modified_at_ms: *at_ms,
                    next: *next,
                    last: None,
                    totals: ScheduleTotals::default(),
                };
                self.schedules.replace(name, Some(Arc::new(info)));
            }
            ScheduleFact::Configured { name, at_ms, config, next } => {
                self.note_time(*at_ms);
                self.change_schedule(name, |info| {
                    info.config = (**config).clone();
                    info.version += 1;
                    info.modified_at_ms = *at_ms;
                    info.next = *next;
                });
            }
            ScheduleFact::Paused { name, at_ms, paused, next } => {
                self.note_time(*at_ms);
                self.change_schedule(name, |info| {
                    info.paused = *paused;
                    info.modified_at_ms = *at_ms;
                    info.next = *next;
                });
            }
            ScheduleFact::Deleted { name, at_ms } => {
                self.note_time(*at_ms);
                self.schedules.replace(name, None);
            }
            ScheduleFact::Ran { name, run, missed, next } => {
                self.note_time(run.at_ms);
                self.change_schedule(name, |info| {
                    let totals = &mut info.totals;
                    totals.missed += missed;
                    match run.outcome {
                        RunOutcome::Sent(_) => totals.sent += 1,
                        RunOutcome::Overlapped(_) => totals.overlapped += 1,
                        RunOutcome::Failed(_) => totals.failed += 1,
                    }
                    info.last = Some(run.clone());
                    info.next = *next;
                });
            }
            ScheduleFact::Missed { name, at_ms, missed, next } => {
                self.note_time(*at_ms);
                self.change_schedule(name, |info| {
                    info.totals.missed += missed;
                    info.next = *next;
                });
            }
        }
    }

    fn change_schedule(&mut self, name: &QueueName, change: impl FnOnce(&mut ScheduleInfo)) {
        let Some(info) = self.schedules.by_name.get(name) else { return };
        let mut info = (**info).clone();
        change(&mut info);
        self.schedules.replace(name, Some(Arc::new(info)));
    }
}
