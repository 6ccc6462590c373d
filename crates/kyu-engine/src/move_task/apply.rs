//! Applying the facts of move tasks.

use kyu_model::limits::MAX_MOVE_TASKS_KEPT;
use kyu_model::{MoveStatus, MoveTask};

use crate::move_task::record::MoveTaskFact;
use crate::state::State;

impl State {
    pub(crate) fn apply_task(&mut self, fact: &MoveTaskFact) {
        match fact {
            MoveTaskFact::Started { task, source, destination, max_per_second, at_ms, to_move } => {
                self.note_time(*at_ms);
                *self.next_task = (*self.next_task).max(task + 1);
                let started = MoveTask {
                    id: *task,
                    source: *source,
                    destination: destination.clone(),
                    max_per_second: *max_per_second,
                    status: MoveStatus::Running,
                    started_at_ms: *at_ms,
                    moved: 0,
                    to_move: *to_move,
                    failure: None,
                    reason: None,
                    skipped: 0,
                    looked_at: 0,
                };
                self.tasks.insert(task, started);
                let of_source = self.tasks.values().filter(|t| t.source == *source);
                let oldest: Vec<u64> =
                    of_source.map(|t| t.id).rev().skip(MAX_MOVE_TASKS_KEPT).collect();
                for id in oldest {
                    self.tasks.remove(&id);
                }
            }
            MoveTaskFact::Progressed { task, at_ms, moved, status, failure, skipping } => {
                self.note_time(*at_ms);
                let Some(before) = self.tasks.get(task) else { return };
                let progressed = MoveTask {
                    moved: *moved,
                    status: *status,
                    failure: failure.clone(),
                    skipped: skipping.skipped,
                    looked_at: skipping.looked_at,
                    reason: skipping.reason,
                    ..before.clone()
                };
                self.tasks.insert(task, progressed);
            }
        }
    }
}
