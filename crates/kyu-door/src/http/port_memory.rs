//! The memory of an HTTP port: one budget for bodies that arrive and one for answers, in each a part
//! for every principal and one for all who have not shown who they are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::budget::{Budget, Level};
use crate::limits::Limits;

/// See the module. Clones share it.
#[derive(Clone, Debug)]
pub struct PortMemory {
    bodies: Arc<Kind>,
    answers: Arc<Kind>,
}

/// The budget of one kind.
#[derive(Debug)]
struct Kind {
    port: Budget,
    strangers: Budget,
    principal_bytes: usize,
    connection_bytes: usize,
    // A std Mutex: held for a search among the configured principals.
    principals: Mutex<HashMap<Arc<str>, Budget>>,
}

impl PortMemory {
    /// Inside `process`, as large as `limits` says.
    pub fn new(process: &Budget, limits: &Limits) -> Self {
        // At least one largest body, or it could never be read.
        let bodies = limits.large_body_budget_bytes.max(limits.max_body_bytes);
        let body = limits.max_body_bytes;
        let (answers, answer) = (limits.answer_budget_bytes, limits.max_answer_bytes);
        Self {
            bodies: Arc::new(Kind::new(process, bodies, body)),
            answers: Arc::new(Kind::new(process, answers.max(answer), answer)),
        }
    }

    /// Of bodies that arrive.
    pub fn bodies(&self) -> &Budget {
        &self.bodies.port
    }

    /// Of answers that are not written yet.
    pub fn answers(&self) -> &Budget {
        &self.answers.port
    }

    pub(super) fn bodies_of(&self, principal: Option<&Arc<str>>) -> Budget {
        self.bodies.connection(principal)
    }

    pub(super) fn answers_of(&self, principal: Option<&Arc<str>>) -> Budget {
        self.answers.connection(principal)
    }
}

impl Kind {
    /// Strangers have a quarter, so that they can keep nobody from the rest; a principal has three
    /// quarters, so that one alone does not keep it from all others.
    fn new(process: &Budget, port_bytes: usize, connection_bytes: usize) -> Self {
        let port = process.within(Level::Door, port_bytes);
        let strangers = port.within(Level::Principal, (port_bytes / 4).max(connection_bytes));
        let principal_bytes = (port_bytes / 4 * 3).max(connection_bytes);
        Self { port, strangers, principal_bytes, connection_bytes, principals: Mutex::default() }
    }

    fn connection(&self, principal: Option<&Arc<str>>) -> Budget {
        let Some(principal) = principal else {
            return self.strangers.within(Level::Connection, self.connection_bytes);
        };
        let mut principals = self.principals.lock().unwrap_or_else(PoisonError::into_inner);
        let of_principal = match principals.get(principal) {
            Some(budget) => budget,
            None => {
                let budget = self.port.within(Level::Principal, self.principal_bytes);
                principals.entry(Arc::clone(principal)).or_insert(budget)
            }
        };
        of_principal.within(Level::Connection, self.connection_bytes)
    }
}
