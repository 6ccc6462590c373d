//! Schedules in the state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kyu_machine::Replace;
use kyu_model::limits::MAX_LISTED;
use kyu_model::{QueueName, ScheduleInfo, UnixMs};

/// All schedules.
#[derive(Default)]
pub(crate) struct Schedules {
    pub(crate) by_name: BTreeMap<QueueName, Arc<ScheduleInfo>>,

    // What follows is derived, and not in snapshots.
    due: BTreeSet<(UnixMs, QueueName)>,
    /// The bytes of the contents.
    bytes: u64,
}

impl Replace for Schedules {
    type Key = QueueName;
    type Entry = Arc<ScheduleInfo>;

    fn replace(&mut self, name: &QueueName, new: Option<Self::Entry>) -> Option<Self::Entry> {
        let bytes = |info: &ScheduleInfo| info.config.message.content.len() as u64;
        let due = new.as_ref().and_then(|info| info.next).map(|next| next.at_ms);
        self.bytes += new.as_deref().map_or(0, bytes);
        let old = match new {
            Some(info) => self.by_name.insert(name.clone(), info),
            None => self.by_name.remove(name),
        };
        self.bytes -= old.as_deref().map_or(0, bytes);
        if let Some(next) = old.as_ref().and_then(|old| old.next) {
            self.due.remove(&(next.at_ms, name.clone()));
        }
        if let Some(at_ms) = due {
            self.due.insert((at_ms, name.clone()));
        }
        old
    }
}

impl Schedules {
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn first_due_ms(&self) -> Option<UnixMs> {
        self.due.first().map(|(at_ms, _)| *at_ms)
    }

    /// Returns schedules with a run that is to happen by now, longest due first.
    pub(crate) fn due(&self, now_ms: UnixMs) -> impl Iterator<Item = &Arc<ScheduleInfo>> {
        let due = self.due.iter().take_while(move |(at_ms, _)| *at_ms <= now_ms);
        due.filter_map(|(_, name)| self.by_name.get(name))
    }

    pub(crate) fn list(
        &self,
        namespace: &str,
        after: Option<&str>,
        max: usize,
    ) -> Vec<Arc<ScheduleInfo>> {
        let name = after.unwrap_or_default().to_owned();
        let from = QueueName { namespace: namespace.to_owned(), name };
        let named = self.by_name.range(from..);
        named
            .take_while(|(name, _)| name.namespace == namespace)
            .filter(|(name, _)| after.is_none_or(|after| name.name.as_str() > after))
            .take(max.min(MAX_LISTED))
            .map(|(_, info)| info.clone())
            .collect()
    }
}
