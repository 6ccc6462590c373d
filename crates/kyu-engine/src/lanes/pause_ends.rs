//! The times at which pauses of a queue and of its lanes end by themselves.

use std::collections::BTreeMap;
use std::sync::Arc;

use kyu_model::UnixMs;
use kyu_model::wire::{Malformed, Reader, Write};

/// The ends of a queue's pauses. What is paused without an end is not in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PauseEnds {
    /// The end of the whole queue's pause.
    pub(crate) queue: Option<UnixMs>,
    /// The ends of single lanes' pauses, by key; at most as many as lanes may be paused.
    pub(crate) lanes: BTreeMap<Arc<str>, UnixMs>,
}

impl PauseEnds {
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_none() && self.lanes.is_empty()
    }

    /// Returns the time at which the first pause ends.
    pub(crate) fn first_due_ms(&self) -> Option<UnixMs> {
        self.lanes.values().copied().chain(self.queue).min()
    }

    /// Sets or forgets the end of one pause; `lane` is `None` for the queue's.
    pub(crate) fn set(&mut self, lane: Option<&str>, until_ms: Option<UnixMs>) {
        match (lane, until_ms) {
            (None, until_ms) => self.queue = until_ms,
            (Some(lane), Some(until_ms)) => drop(self.lanes.insert(lane.into(), until_ms)),
            (Some(lane), None) => drop(self.lanes.remove(lane)),
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.opt_varint(self.queue);
        for (lane, until_ms) in &self.lanes {
            out.str(lane);
            out.varint(*until_ms);
        }
    }

    pub(crate) fn decode(r: &mut Reader) -> Result<Self, Malformed> {
        let mut ends = Self { queue: r.opt_varint()?, lanes: BTreeMap::new() };
        while r.remaining() > 0 {
            let (lane, until_ms) = (r.string()?, r.varint()?);
            ends.lanes.insert(lane.into(), until_ms);
        }
        Ok(ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        let lanes = BTreeMap::from([("a".into(), 2)]);
        let ends = PauseEnds { queue: Some(1), lanes };
        let mut bytes = Vec::new();
        ends.encode(&mut bytes);
        assert_eq!(bytes, [1, 1, 1, b'a', 2]);
        assert_eq!(PauseEnds::decode(&mut Reader::new(bytes.into())), Ok(ends));
    }
}
