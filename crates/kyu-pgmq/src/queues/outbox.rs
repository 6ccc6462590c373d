//! The cursor of an outbox relay: a record of the engine's ledger that moves in the same atomic
//! group as the messages that are relayed. See the crate `kyu-outbox`.

use kyu_broker::{Error, LedgerEntryOf, LedgerKey, LedgerPut, LedgerRefusal, LedgerState, Refusal};
use kyu_pgsql::error::PgError;

use super::failure;
use super::session::QueueSession;

const MAX_TRIES: usize = 100;

/// A move of a cursor that a transaction has made and not committed.
#[derive(Clone, Debug)]
pub(super) struct CursorMove {
    /// Version of the record that it replaces.
    expected: Option<u64>,
    position: String,
}

impl QueueSession {
    fn cursor_key(&self, source: &str) -> LedgerKey {
        LedgerKey { namespace: self.shared.namespace.to_string(), key: format!("outbox/{source}") }
    }

    /// Version and text of a cursor, as it is outside.
    async fn cursor(&self, source: &str) -> Result<Option<(u64, String)>, PgError> {
        let entry = self.shared.broker.look_up(LedgerEntryOf(self.cursor_key(source))).await;
        let entry = entry.map_err(|error| failure::broker(error, ""))?;
        Ok(entry.and_then(|entry| {
            let LedgerState::Record { value, .. } = entry.state else { return None };
            Some((entry.token, String::from_utf8_lossy(&value).into_owned()))
        }))
    }

    /// `pgmq.outbox_position`; NULL if the source was never relayed.
    pub(super) async fn outbox_position(&self, source: &str) -> Result<Option<String>, PgError> {
        let moved = self.transaction.as_ref().and_then(|open| open.state.cursors.get(source));
        match moved {
            Some(moved) => Ok(Some(moved.position.clone())),
            None => Ok(self.cursor(source).await?.map(|(_, position)| position)),
        }
    }

    /// `pgmq.outbox_take_over`: puts another name before a position (`RELAY XID ID`), so that the
    /// relay that had it finds out at its next step. At once, not with a transaction.
    pub(super) async fn outbox_take_over(
        &self,
        source: &str,
        relay: &str,
    ) -> Result<String, PgError> {
        if relay.is_empty() || relay.contains(' ') {
            return Err(PgError::new("22023", "the name of a relay is one word"));
        }
        // The relay that is at work moves the cursor all the time, so one try may come between.
        for _ in 0..MAX_TRIES {
            let (expected, found) = self.cursor(source).await?.unzip();
            let rest = found.as_deref().and_then(|found| found.split_once(' '));
            let rest = rest.map_or("0 0", |(_, rest)| rest);
            let moved = CursorMove { expected, position: format!("{relay} {rest}") };
            let position = moved.position.clone();
            match self.shared.broker.ask(moved.command(self.cursor_key(source))).await {
                Ok(_) => return Ok(position),
                Err(Error::Refused(Refusal::Ledger(LedgerRefusal::Conflict { .. }))) => {}
                Err(error) => return Err(failure::broker(error, "")),
            }
        }
        Err(taken_over(source, None))
    }

    /// `pgmq.outbox_advance`: 40001 unless the cursor is where it is expected, now and at the commit.
    pub(super) async fn outbox_advance(
        &mut self,
        source: &str,
        expected: Option<&str>,
        position: String,
    ) -> Result<(), PgError> {
        let moved = self.transaction.as_ref().and_then(|open| open.state.cursors.get(source));
        let (version, found) = match moved {
            Some(moved) => (moved.expected, Some(moved.position.clone())),
            None => self.cursor(source).await?.unzip(),
        };
        if found.as_deref() != expected {
            return Err(taken_over(source, found.as_deref()));
        }
        let moved = CursorMove { expected: version, position };
        if let Some(transaction) = &mut self.transaction {
            transaction.state.cursors.insert(source.to_owned(), moved);
            return Ok(());
        }
        match self.shared.broker.ask(moved.command(self.cursor_key(source))).await {
            Ok(_) => Ok(()),
            Err(Error::Refused(Refusal::Ledger(LedgerRefusal::Conflict { .. }))) => {
                Err(taken_over(source, None))
            }
            Err(error) => Err(failure::broker(error, "")),
        }
    }

    /// The moves of the open transaction, for its atomic group.
    pub(super) fn cursor_commands(&self) -> Vec<LedgerPut> {
        let cursors = self.transaction.iter().flat_map(|open| &open.state.cursors);
        cursors.map(|(source, moved)| moved.clone().command(self.cursor_key(source))).collect()
    }
}

impl CursorMove {
    fn command(self, key: LedgerKey) -> LedgerPut {
        let (expected, value) = (self.expected, self.position.into());
        LedgerPut { key, expected, value, keep_ms: None }
    }
}

fn taken_over(source: &str, position: Option<&str>) -> PgError {
    let position = position.unwrap_or("another");
    failure::conflict(&format!("the outbox cursor of {source:?} is at {position:?}"))
}
