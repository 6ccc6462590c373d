//! Order within the lanes of FIFO queues, which is also their lock.

use std::collections::BTreeSet;

use super::{Auditor, Taken};
use crate::violation::{Violation, ensure};

impl Auditor {
    /// A message of a lane comes only when every earlier one of the lane is gone or comes with it,
    /// before it, in the same answer. One that is under lease is not gone: so the lane is locked.
    pub(super) fn check_lanes(&mut self, batch: &[Taken]) -> Result<(), Violation> {
        let mut before: BTreeSet<u64> = BTreeSet::new();
        for taken in batch {
            let queue = taken.delivery.receipt.queue;
            let (role, number) = (self.role(queue), taken.number);
            let lane = self.messages.get(&number).and_then(|book| book.lane.clone());
            if let (true, true, Some(lane)) = (role.is_fifo(), role.root() == role, lane) {
                let in_place = self.copies.get(&(number, queue)).is_some_and(|copy| {
                    !copy.displaced && copy.seq.is_none_or(|seq| seq == taken.delivery.receipt.seq)
                });
                let earlier = self.earlier_in_lane(&(queue, lane.clone()), number);
                for other in earlier {
                    let key = (other, queue);
                    let displaced = self.copies.get(&key).is_none_or(|copy| copy.displaced);
                    ensure!(
                        !in_place
                            || displaced
                            || before.contains(&other)
                            || !self.surely_there(&key),
                        "lane {lane} of {role:?}: message {number} came before message {other}"
                    );
                }
            }
            before.insert(number);
        }
        Ok(())
    }

    /// Returns the numbers that arrived before this one; forgets those at the front that are gone.
    fn earlier_in_lane(&mut self, lane: &(kyu_broker::QueueId, String), number: u64) -> Vec<u64> {
        let Some(all) = self.lanes.get_mut(lane) else { return Vec::new() };
        let copies = &self.copies;
        let open = |n: &u64| copies.get(&(*n, lane.0)).is_some_and(|copy| copy.gone.is_none());
        let first_open = all.iter().position(open).unwrap_or(all.len());
        all.drain(..first_open);
        all.iter().copied().take_while(|n| *n != number).collect()
    }
}
