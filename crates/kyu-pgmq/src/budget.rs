//! Memory that clients make the server hold, counted in bytes: a statement's share lies in its
//! session's, and that in the door's.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::error::PgError;

/// Statements hold so much without asking anybody: small ones must not touch the counters that all
/// sessions share.
const FREE_BYTES: usize = 32 << 10;

/// More is taken in pieces of this size.
const PIECE_BYTES: usize = 64 << 10;

/// A bound in bytes, inside that of its parent.
#[derive(Debug)]
pub struct Budget {
    /// Whose memory it is, for the error's detail.
    whose: &'static str,
    most: usize,
    used: AtomicUsize,
    parent: Option<Arc<Budget>>,
}

impl Budget {
    /// The outermost one: that of a door.
    pub fn new(whose: &'static str, most_bytes: usize) -> Arc<Self> {
        Arc::new(Self { whose, most: most_bytes, used: AtomicUsize::new(0), parent: None })
    }

    /// One inside this one. What it takes is taken from both.
    pub fn nested(self: &Arc<Self>, whose: &'static str, most_bytes: usize) -> Arc<Self> {
        let parent = Some(Arc::clone(self));
        Arc::new(Self { whose, most: most_bytes, used: AtomicUsize::new(0), parent })
    }

    /// Bytes that are taken now.
    pub fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    /// Takes from this one and all that it lies in, or from none.
    fn take(&self, bytes: usize) -> Result<(), PgError> {
        let before = self.used.fetch_add(bytes, Relaxed);
        if before.saturating_add(bytes) > self.most {
            self.used.fetch_sub(bytes, Relaxed);
            return Err(self.out_of_memory(bytes));
        }
        if let Some(parent) = &self.parent
            && let Err(error) = parent.take(bytes)
        {
            self.used.fetch_sub(bytes, Relaxed);
            return Err(error);
        }
        Ok(())
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Relaxed);
        if let Some(parent) = &self.parent {
            parent.give_back(bytes);
        }
    }

    /// What Postgres says when `malloc` gives nothing (`mcxt.c`).
    fn out_of_memory(&self, bytes: usize) -> PgError {
        let (whose, most) = (self.whose, self.most >> 20);
        let detail =
            format!("Failed on request of size {bytes}: {whose} may hold {most} MiB at a time.");
        let error = PgError { detail: Some(detail), ..PgError::new("53200", "out of memory") };
        error.hint("Read or make less at a time; close cursors and prepared statements.")
    }
}

/// A share of a [`Budget`]. Dropping it gives everything back.
#[derive(Debug)]
pub struct Held {
    budget: Arc<Budget>,
    bytes: usize,
    /// What has been taken from the budget for them, in whole pieces.
    taken: usize,
}

impl Held {
    /// An empty share.
    pub fn new(budget: &Arc<Budget>) -> Self {
        Self { budget: Arc::clone(budget), bytes: 0, taken: 0 }
    }

    /// Bytes that it stands for.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds to it.
    ///
    /// # Errors
    /// 53200 if a budget that it lies in has no more; then nothing is added.
    pub fn grow(&mut self, bytes: usize) -> Result<(), PgError> {
        let wanted = self.bytes.saturating_add(bytes);
        let pieces = wanted.saturating_sub(FREE_BYTES).div_ceil(PIECE_BYTES);
        let missing = pieces.saturating_mul(PIECE_BYTES).saturating_sub(self.taken);
        if missing > 0 {
            self.budget.take(missing)?;
            self.taken += missing;
        }
        self.bytes = wanted;
        Ok(())
    }

    /// Goes back to a size that it had before.
    pub fn back_to(&mut self, bytes: usize) {
        self.bytes = self.bytes.min(bytes);
        // A piece is kept, or loops at an edge would take and give it back with each row.
        let pieces = self.bytes.saturating_sub(FREE_BYTES).div_ceil(PIECE_BYTES) + 1;
        let spare = self.taken.saturating_sub(pieces.saturating_mul(PIECE_BYTES));
        if spare > 0 {
            self.budget.give_back(spare);
            self.taken -= spare;
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.taken > 0 {
            self.budget.give_back(self.taken);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn a_share_lies_in_all_budgets_above_it_and_goes_back_to_all() {
        let door = Budget::new("the door", 3 * MIB);
        let (one, two) = (door.nested("a session", 2 * MIB), door.nested("a session", 2 * MIB));
        let (mut first, mut second) = (Held::new(&one), Held::new(&two));
        first.grow(2 * MIB).unwrap();
        // The session has room; the door has not.
        let error = second.grow(2 * MIB).unwrap_err();
        assert_eq!((error.code, error.message.as_str()), ("53200", "out of memory"));
        assert!(error.detail.unwrap().contains("the door"));
        assert_eq!(two.used(), 0, "a refused share leaves nothing behind");
        drop(first);
        second.grow(2 * MIB).unwrap();
        assert!(second.grow(MIB).unwrap_err().detail.unwrap().contains("a session"));
        drop(second);
        assert_eq!((door.used(), one.used(), two.used()), (0, 0, 0));
    }

    #[test]
    fn small_shares_touch_no_counter() {
        let door = Budget::new("the door", 0);
        let mut held = Held::new(&door);
        held.grow(FREE_BYTES).unwrap();
        assert_eq!(held.grow(1).unwrap_err().code, "53200");
        assert_eq!(held.bytes(), FREE_BYTES);
    }

    #[test]
    fn what_is_given_back_can_be_taken_by_others() {
        let door = Budget::new("the door", 4 * MIB);
        let mut held = Held::new(&door);
        held.grow(4 * MIB).unwrap();
        held.back_to(0);
        assert!(door.used() <= PIECE_BYTES);
        let mut other = Held::new(&door);
        other.grow(3 * MIB).unwrap();
    }
}
