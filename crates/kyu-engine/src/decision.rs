//! The result of deciding a command.

use kyu_model::{Address, Ask, Refusal, Reply};

use crate::effect::Effects;

/// The event that a reply must wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The record of this command (and with it all before it).
    Record,
    /// The reply waits only for the log up to this address: leases of a queue that is at-least-once
    /// are logged lazily, but no message is handed out before its enqueue is durable.
    Until(Address),
}

/// The outcome of a command.
#[derive(Clone, Debug)]
pub struct Decision {
    /// Facts to log and then to apply.
    pub effects: Effects,
    /// Answer, to be given when `wait` is over.
    pub reply: Reply,
    /// The event that the reply waits for.
    pub wait: Wait,
}

/// The reply to a command, and what it waits for.
pub(crate) type Decided<A> = Result<(<A as Ask>::Reply, Wait), Refusal>;

/// A reply in the form that all share.
pub(crate) type Wrapped = Result<(Reply, Wait), Refusal>;

/// The command only says which one it is.
pub(crate) fn answer<A: Ask>(_command: &A, decided: Decided<A>) -> Wrapped {
    decided.map(|(reply, wait)| (A::wrap(reply), wait))
}
