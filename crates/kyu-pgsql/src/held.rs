//! Memory that a statement pays for before it takes it, in pieces.

use kyu_budget::{Budget, Exhausted, Share};

use crate::error::PgError;

/// Statements hold so much without asking anybody: small ones must not touch the counters that all
/// sessions share.
const FREE_BYTES: usize = 32 << 10;

/// More is taken in pieces of this size.
const PIECE_BYTES: usize = 64 << 10;

/// The error that Postgres gives when `malloc` gives nothing (`mcxt.c`).
fn out_of_memory(bytes: usize, exhausted: &Exhausted) -> PgError {
    let (whose, most) = (exhausted.level.whose(), exhausted.limit_bytes >> 20);
    let detail =
        format!("Failed on request of size {bytes}: {whose} may hold {most} MiB at a time.");
    let error = PgError { detail: Some(detail), ..PgError::new("53200", "out of memory") };
    error.hint("Read or make less at a time; close cursors and prepared statements.")
}

/// A share of a [`Budget`], taken in pieces. Dropping it gives everything back.
#[derive(Debug)]
pub struct Held {
    bytes: usize,
    /// The share that was taken from the budget for them, in whole pieces.
    taken: Share,
}

impl Held {
    /// An empty share.
    pub fn new(budget: &Budget) -> Self {
        Self { bytes: 0, taken: budget.share() }
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
        let missing = pieces.saturating_mul(PIECE_BYTES).saturating_sub(self.taken.bytes());
        if missing > 0 {
            self.taken.grow(missing).map_err(|exhausted| out_of_memory(missing, &exhausted))?;
        }
        self.bytes = wanted;
        Ok(())
    }

    /// Goes back to a size that it had before.
    pub fn back_to(&mut self, bytes: usize) {
        self.bytes = self.bytes.min(bytes);
        // A piece is kept, or loops at an edge would take and give it back with each row.
        let pieces = self.bytes.saturating_sub(FREE_BYTES).div_ceil(PIECE_BYTES) + 1;
        let most = pieces.saturating_mul(PIECE_BYTES);
        if self.taken.bytes() > most {
            self.taken.correct_to(most);
        }
    }
}

#[cfg(test)]
mod tests {
    use kyu_budget::Level;

    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn a_share_lies_in_all_budgets_above_it_and_goes_back_to_all() {
        let door = Budget::process(4 * MIB).within(Level::Door, 3 * MIB);
        let session = || door.within(Level::Connection, 2 * MIB);
        let (one, two) = (session(), session());
        let (mut first, mut second) = (Held::new(&one), Held::new(&two));
        first.grow(2 * MIB).unwrap();
        // The session has room; the door has not.
        let error = second.grow(2 * MIB).unwrap_err();
        assert_eq!((error.code, error.message.as_str()), ("53200", "out of memory"));
        assert!(error.detail.unwrap().contains("this port"));
        assert_eq!(two.used_bytes(), 0, "a refused share leaves nothing behind");
        drop(first);
        second.grow(2 * MIB).unwrap();
        assert!(second.grow(MIB).unwrap_err().detail.unwrap().contains("this connection"));
        drop(second);
        assert_eq!((door.used_bytes(), one.used_bytes(), two.used_bytes()), (0, 0, 0));
    }

    #[test]
    fn small_shares_touch_no_counter() {
        let door = Budget::process(0);
        let mut held = Held::new(&door);
        held.grow(FREE_BYTES).unwrap();
        assert_eq!(held.grow(1).unwrap_err().code, "53200");
        assert_eq!(held.bytes(), FREE_BYTES);
    }

    #[test]
    fn what_is_given_back_can_be_taken_by_others() {
        let door = Budget::process(4 * MIB);
        let mut held = Held::new(&door);
        held.grow(4 * MIB).unwrap();
        held.back_to(0);
        assert!(door.used_bytes() <= PIECE_BYTES);
        let mut other = Held::new(&door);
        other.grow(3 * MIB).unwrap();
    }
}
