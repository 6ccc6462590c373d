//! Applying the facts of the ledger. As in `apply.rs`: nothing is judged, nothing can fail, and
//! code may only be added to.

use std::sync::Arc;

use bytes::Bytes;
use kyu_model::{LedgerEntry, LedgerKey, LedgerState};

use crate::ledger::record::LedgerFact;
use crate::state::State;

impl State {
    pub(crate) fn apply_ledger(&mut self, effect: &LedgerFact) {
        match effect {
            LedgerFact::Claimed { key, at_ms, token, until_ms, fingerprint, holder } => {
                self.note_time(*at_ms);
                let (fingerprint, holder) = (fingerprint.clone(), holder.clone());
                let state = LedgerState::Claimed { fingerprint, holder, until_ms: *until_ms };
                self.write_entry(key, *token, *at_ms, state);
            }
            LedgerFact::Extended { key, at_ms, until_ms: new_until_ms } => {
                self.note_time(*at_ms);
                let Some(mut entry) = self.ledger.get(key).map(|entry| (**entry).clone()) else {
                    return;
                };
                if let LedgerState::Claimed { until_ms, .. } = &mut entry.state {
                    *until_ms = *new_until_ms;
                }
                entry.at_ms = *at_ms;
                self.ledger.insert(key, Arc::new(entry));
            }
            LedgerFact::Completed { key, at_ms, until_ms, result } => {
                self.note_time(*at_ms);
                let old = self.ledger.get(key);
                let token = old.map_or(0, |entry| entry.token);
                let fingerprint = match old.map(|entry| &entry.state) {
                    Some(LedgerState::Claimed { fingerprint, .. }) => fingerprint.clone(),
                    _ => Bytes::new(),
                };
                let (result, until_ms) = (result.clone(), *until_ms);
                let state = LedgerState::Done { fingerprint, result, until_ms };
                self.write_entry(key, token, *at_ms, state);
            }
            LedgerFact::Forgotten { at_ms, keys } => {
                self.note_time(*at_ms);
                for key in keys {
                    self.ledger.remove(key);
                }
            }
            LedgerFact::Put { key, at_ms, token, until_ms, value } => {
                self.note_time(*at_ms);
                let state = LedgerState::Record { value: value.clone(), until_ms: *until_ms };
                self.write_entry(key, *token, *at_ms, state);
            }
        }
    }

    fn write_entry(&mut self, key: &LedgerKey, token: u64, at_ms: u64, state: LedgerState) {
        self.ledger.insert(key, Arc::new(LedgerEntry { key: key.clone(), token, at_ms, state }));
        *self.next_token = (*self.next_token).max(token.saturating_add(1));
    }
}
