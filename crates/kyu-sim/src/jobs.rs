//! Clients of the ledger, of unique keys and of schedules.

use bytes::Bytes;
use kyu_broker::{
    Command, Enqueue, LedgerClaim, LedgerCommand, LedgerComplete, LedgerKey, LedgerPut,
    LedgerRelease, NewMessage, Outcome, Settle, Unique, UniquePolicy, UniqueScope,
};

use crate::audit::{Auditor, result_of};
use crate::cast::Role;
use crate::clients::Clients;
use crate::content::number_of;
use crate::random::Random;

const KEYS: u64 = 3;

fn key(name: String) -> LedgerKey {
    LedgerKey { namespace: "sim".into(), key: name }
}

impl Clients {
    /// Claims, completes, releases, or moves the cursor of a relay.
    pub(crate) fn ledger(&mut self, auditor: &Auditor, random: &mut Random) -> Option<Command> {
        let name = format!("work-{}", random.below(KEYS));
        match random.weighted(&[40, 40, 5, 25]) {
            0 => {
                self.holders += 1;
                Some(Command::Ledger(LedgerCommand::Claim(LedgerClaim {
                    key: key(name),
                    fingerprint: Bytes::from_static(b"input"),
                    lease_ms: random.between(500, 8_000),
                    holder: self.holders.to_string(),
                })))
            }
            1 => self.complete(name, auditor, random),
            2 => {
                let token = random.pick(auditor.ledger.grants.get(&name)?)?.token;
                let release = LedgerRelease { key: key(name), token };
                Some(Command::Ledger(LedgerCommand::Release(release)))
            }
            _ => {
                // One relay of several may not know where the others are.
                let stale = random.percent(20);
                let expected = if stale { self.stale_cursor } else { auditor.ledger.cursor };
                self.stale_cursor = expected;
                let message = self.send_plain(auditor, random)?;
                let value = message.content.slice(..message.content.len().min(64));
                let put = LedgerPut { key: key("cursor".into()), expected, value, keep_ms: None };
                Some(Command::Atomic(vec![
                    Command::Enqueue(Enqueue { messages: vec![message] }),
                    Command::Ledger(LedgerCommand::Put(put)),
                ]))
            }
        }
    }

    /// Mostly the newest claim, and sometimes with a message in the same group.
    fn complete(
        &mut self,
        name: String,
        auditor: &Auditor,
        random: &mut Random,
    ) -> Option<Command> {
        let grants = auditor.ledger.grants.get(&name)?;
        let grant = if random.percent(75) { grants.last()? } else { random.pick(grants)? };
        let token = grant.token;
        let message =
            if random.percent(50) { Some(self.send_plain(auditor, random)?) } else { None };
        let number = message.as_ref().and_then(|message| number_of(&message.content));
        let complete = Command::Ledger(LedgerCommand::Complete(LedgerComplete {
            key: key(name),
            token,
            result: result_of(token, number).into(),
            keep_ms: random.between(2_000, 20_000),
        }));
        Some(match message {
            None => complete,
            Some(message) => Command::Atomic(vec![
                Command::Enqueue(Enqueue { messages: vec![message] }),
                complete,
            ]),
        })
    }

    fn send_plain(&mut self, auditor: &Auditor, random: &mut Random) -> Option<NewMessage> {
        let queue = auditor.queue_of(Role::Plain)?;
        Some(self.plain_message(vec![queue], random))
    }

    /// Settles messages that schedules sent.
    pub(crate) fn settle_timed(auditor: &Auditor, random: &mut Random) -> Option<Command> {
        let receipt = *random.pick(&auditor.timed.receipts)?;
        let back = Outcome::Release { to_tail: false, delay_ms: 0, counted: true };
        let outcome = [Outcome::Ack, back, Outcome::Dead][random.weighted(&[80, 15, 5])].clone();
        Some(Command::Settle(Settle { queue: receipt.queue, items: vec![(receipt, outcome)] }))
    }
}

/// A key for a message of [`Role::Single`].
pub(crate) fn unique(random: &mut Random) -> Unique {
    let policy = if random.percent(50) { UniquePolicy::Keep } else { UniquePolicy::Replace };
    Unique { key: format!("job-{}", random.below(KEYS)), scope: UniqueScope::UntilDone, policy }
}
