//! The memory of a pgmq port: one budget for all that its clients make it hold, and in it one for
//! messages on their way. There is no part for each principal: a port has one user, and strangers
//! send nothing that is large enough to be paid for.

use kyu_budget::{Budget, Level};

use super::limits::{Limits, SMALL_MESSAGE_BYTES};

/// The budgets of a port. Clones share them.
#[derive(Clone, Debug)]
pub struct DoorMemory {
    pub(super) sessions: Budget,
    pub(super) messages: Budget,
}

impl DoorMemory {
    /// Budgets inside `process`, as large as `limits` says.
    pub fn new(process: &Budget, limits: &Limits) -> Self {
        let sessions = process.within(Level::Door, limits.memory_bytes);
        // Whatever is configured, one message of the largest size must be possible.
        let largest = limits.max_message_bytes.saturating_add(SMALL_MESSAGE_BYTES);
        let messages = limits.large_message_budget_bytes.max(largest);
        let messages = sessions.within(Level::Door, messages);
        Self { sessions, messages }
    }

    /// The budget of everything: statements, results, cursors, and messages that arrive.
    pub fn sessions(&self) -> &Budget {
        &self.sessions
    }

    /// The budget of messages that arrive, within the other.
    pub fn messages(&self) -> &Budget {
        &self.messages
    }
}
