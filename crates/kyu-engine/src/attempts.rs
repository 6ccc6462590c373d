//! Receive attempts that can be repeated (SQS ReceiveRequestAttemptId).

use std::collections::{BTreeMap, VecDeque};

use crate::ids::{Receipt, UnixMs};

/// What an attempt returned, and until when it can be repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) until_ms: UnixMs,
    /// Until when its messages were leased.
    pub(crate) leased_until_ms: UnixMs,
    pub(crate) receipts: Vec<Receipt>,
}

/// The attempts of a queue.
#[derive(Clone, Default)]
pub(crate) struct Attempts {
    by_id: BTreeMap<String, Attempt>,
    expiry: VecDeque<(UnixMs, String)>,
}

impl Attempts {
    pub(crate) fn get(&self, id: &str, now_ms: UnixMs) -> Option<&Attempt> {
        self.by_id.get(id).filter(|attempt| attempt.until_ms > now_ms)
    }

    /// Remembers an attempt, or forgets it (only a roll-back does); returns what was there.
    pub(crate) fn replace(&mut self, id: &str, new: Option<Attempt>) -> Option<Attempt> {
        match new {
            None => self.by_id.remove(id),
            Some(attempt) => {
                self.expiry.push_back((attempt.until_ms, id.to_owned()));
                self.by_id.insert(id.to_owned(), attempt)
            }
        }
    }

    /// Forgets what has expired.
    pub(crate) fn sweep(&mut self, now_ms: UnixMs) {
        while let Some((until, id)) = self.expiry.pop_front_if(|(until, _)| *until <= now_ms) {
            if self.by_id.get(&id).is_some_and(|attempt| attempt.until_ms <= until) {
                self.by_id.remove(&id);
            }
        }
    }

    pub(crate) fn first_expiry(&self) -> Option<UnixMs> {
        self.expiry.front().map(|(until, _)| *until)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Attempt)> {
        self.by_id.iter().map(|(id, attempt)| (id.as_str(), attempt))
    }
}
