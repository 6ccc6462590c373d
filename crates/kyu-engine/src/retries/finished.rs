//! Messages that were acknowledged after more than one delivery: when another of their deliveries
//! is acknowledged as well, the work was done twice.

use std::collections::{BTreeMap, VecDeque};

use kyu_model::limits::MAX_FINISHED_KEPT;
use kyu_model::{Receipt, Seq};

/// The delivery that was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) epoch: u32,
    pub(crate) delivery: u32,
    /// True if another delivery was acknowledged as well.
    pub(crate) twice: bool,
}

impl Done {
    /// Returns true if a receipt is of another delivery.
    pub(crate) fn is_other(&self, receipt: &Receipt) -> bool {
        (receipt.epoch, receipt.delivery) != (self.epoch, self.delivery)
    }

    /// Returns true if a receipt is of an earlier delivery.
    pub(crate) fn is_later_than(&self, epoch: u32, delivery: u32) -> bool {
        (epoch, delivery) < (self.epoch, self.delivery)
    }
}

/// The last such messages of a queue.
#[derive(Clone, Debug, Default)]
pub(crate) struct Finished {
    by_seq: BTreeMap<Seq, Done>,
    /// The messages in order of their ends.
    order: VecDeque<Seq>,
}

impl Finished {
    pub(crate) fn get(&self, seq: Seq) -> Option<Done> {
        self.by_seq.get(&seq).copied()
    }

    pub(crate) fn add(&mut self, seq: Seq, done: Done) {
        if self.by_seq.insert(seq, done).is_none() {
            self.order.push_back(seq);
        }
        while self.order.len() > MAX_FINISHED_KEPT {
            if let Some(oldest) = self.order.pop_front() {
                self.by_seq.remove(&oldest);
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// Returns the messages in the order in which [`Finished::add`] must get them back.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Seq, Done)> {
        self.order.iter().filter_map(|seq| Some((*seq, *self.by_seq.get(seq)?)))
    }
}
