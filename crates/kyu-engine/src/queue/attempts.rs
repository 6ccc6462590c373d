//! Receive attempts that can be repeated (SQS ReceiveRequestAttemptId).

use std::collections::{BTreeMap, BTreeSet};

use kyu_machine::Replace;
use kyu_model::{Receipt, UnixMs};

/// The messages that a receive attempt returned, and the time until which it can be repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) until_ms: UnixMs,
    /// The time until which its messages were leased.
    pub(crate) leased_until_ms: UnixMs,
    pub(crate) receipts: Vec<Receipt>,
}

/// The attempts of a queue.
#[derive(Clone, Default)]
pub(crate) struct Attempts {
    by_id: BTreeMap<String, Attempt>,
    /// The same ids by expiry: sorted, because a snapshot brings them back in another order.
    expiry: BTreeSet<(UnixMs, String)>,
}

impl Attempts {
    pub(crate) fn get(&self, id: &str, now_ms: UnixMs) -> Option<&Attempt> {
        self.by_id.get(id).filter(|attempt| attempt.until_ms > now_ms)
    }

    /// Forgets what has expired.
    pub(crate) fn sweep(&mut self, now_ms: UnixMs) {
        while self.first_expiry().is_some_and(|until_ms| until_ms <= now_ms) {
            let Some((_, id)) = self.expiry.pop_first() else { return };
            self.by_id.remove(&id);
        }
    }

    pub(crate) fn first_expiry(&self) -> Option<UnixMs> {
        self.expiry.first().map(|(until, _)| *until)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Attempt)> {
        self.by_id.iter().map(|(id, attempt)| (id.as_str(), attempt))
    }
}

impl Replace for Attempts {
    type Key = str;
    type Entry = Attempt;

    /// Remembers an attempt, or forgets it (only a roll-back does).
    fn replace(&mut self, id: &str, new: Option<Attempt>) -> Option<Attempt> {
        let until_ms = new.as_ref().map(|attempt| attempt.until_ms);
        let old = match new {
            None => self.by_id.remove(id),
            Some(attempt) => self.by_id.insert(id.to_owned(), attempt),
        };
        if let Some(old) = &old {
            self.expiry.remove(&(old.until_ms, id.to_owned()));
        }
        if let Some(until_ms) = until_ms {
            self.expiry.insert((until_ms, id.to_owned()));
        }
        old
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(until_ms: UnixMs) -> Attempt {
        Attempt { until_ms, leased_until_ms: 0, receipts: Vec::new() }
    }

    /// Found by the simulation: a snapshot brings attempts back by id, and a sweep that trusted the
    /// order of arrival kept an expired one behind one that was not: the state after a restart was
    /// not the state before.
    #[test]
    fn what_is_swept_does_not_depend_on_the_order_of_arrival() {
        for ids in [["a", "b"], ["b", "a"]] {
            let mut attempts = Attempts::default();
            for id in ids {
                attempts.replace(id, Some(attempt(if id == "a" { 200 } else { 100 })));
            }
            attempts.sweep(150);
            assert_eq!(attempts.iter().map(|(id, _)| id).collect::<Vec<_>>(), ["a"]);
            assert_eq!(attempts.first_expiry(), Some(200));
        }
    }

    #[test]
    fn a_renewed_attempt_is_kept_for_its_new_time_and_a_roll_back_restores_the_old() {
        let mut attempts = Attempts::default();
        attempts.replace("a", Some(attempt(100)));
        let old = attempts.replace("a", Some(attempt(200)));
        attempts.sweep(150);
        assert_eq!(attempts.iter().count(), 1);
        attempts.replace("a", old);
        assert_eq!(attempts.first_expiry(), Some(100));
    }
}
