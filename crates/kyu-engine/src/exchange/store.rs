//! An exchange in the state.

use std::collections::BTreeMap;
use std::sync::Arc;

use kyu_model::{BindingId, BindingInfo, DedupScope, ExchangeInfo, ExchangeStats, QueueKind};

use crate::queue::dedup::Dedup;

/// An exchange in the state. Behind an `Arc`: a snapshot copies pointers, and the first change after
/// it copies the one exchange that it touches.
#[derive(Clone)]
pub(crate) struct Exchange {
    pub(crate) info: Arc<ExchangeInfo>,
    pub(crate) bindings: BTreeMap<BindingId, Arc<BindingInfo>>,
    pub(crate) removed_bindings: u64,
    /// Deduplication ids of the last minutes; only where the kind is FIFO.
    pub(crate) dedup: Dedup,
    pub(crate) next_seq: u64,
}

impl Exchange {
    pub(crate) fn new(info: Arc<ExchangeInfo>) -> Self {
        Self {
            info,
            bindings: BTreeMap::new(),
            removed_bindings: 0,
            dedup: Dedup::default(),
            next_seq: 1,
        }
    }

    pub(crate) fn stats(&self) -> ExchangeStats {
        let active = self.bindings.values().filter(|binding| binding.config.active).count() as u64;
        ExchangeStats {
            active,
            pending: self.bindings.len() as u64 - active,
            removed: self.removed_bindings,
        }
    }

    pub(crate) fn is_fifo(&self) -> bool {
        self.info.config.kind == QueueKind::Fifo
    }

    pub(crate) fn dedup_key(&self, lane: Option<&str>, id: &str) -> String {
        let lane = lane.filter(|_| self.info.config.dedup_scope == DedupScope::Lane);
        Dedup::key(lane, id)
    }
}
