//! The ledger: no claim has two live holders, what is done stays done, and what is in one group
//! with it happened as well.

use std::collections::BTreeMap;

use kyu_broker::{
    Claimed, Command, LedgerCommand, LedgerComplete, LedgerPut, LedgerRefusal, LedgerReply, UnixMs,
};

use super::{Auditor, Request, Wish};
use crate::cast::Role;
use crate::coverage::Event;
use crate::violation::{Violation, ensure};

/// A claim that was granted.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) token: u64,
    until_ms: UnixMs,
    /// The time at which the grant was answered.
    event: u64,
    /// Completions and releases that were asked for and not refused.
    ends_asked: u32,
    releases_asked: u32,
    completions: Vec<Completion>,
}

#[derive(Clone, Debug)]
struct Completion {
    until_ms: UnixMs,
    /// The message that was sent in the same group.
    message: Option<u64>,
    answered: bool,
}

/// The auditor's book of the ledger.
#[derive(Default)]
pub(crate) struct LedgerBook {
    highest_token: u64,
    pub(crate) grants: BTreeMap<String, Vec<Grant>>,
    /// Version of the cursor; `None` before the first.
    pub(crate) cursor: Option<u64>,
    /// A move of the cursor was cut off.
    cursor_unknown: bool,
}

/// Returns the result that a completion saves: its token, and the message of its group.
pub(crate) fn result_of(token: u64, message: Option<u64>) -> String {
    format!("{token}:{}", message.unwrap_or(0))
}

fn read_result(result: &[u8]) -> Option<(u64, Option<u64>)> {
    let (token, message) = std::str::from_utf8(result).ok()?.split_once(':')?;
    let message: u64 = message.parse().ok()?;
    Some((token.parse().ok()?, (message > 0).then_some(message)))
}

impl Auditor {
    fn grant_mut(&mut self, key: &str, token: u64) -> Option<&mut Grant> {
        self.ledger.grants.get_mut(key)?.iter_mut().find(|grant| grant.token == token)
    }

    pub(super) fn note_ledger(&mut self, command: &LedgerCommand, at_ms: UnixMs) {
        match command {
            LedgerCommand::Complete(complete) => {
                let message = read_result(&complete.result).and_then(|(_, message)| message);
                let until_ms = at_ms + complete.keep_ms;
                if let Some(grant) = self.grant_mut(&complete.key.key, complete.token) {
                    grant.ends_asked += 1;
                    let answered = false;
                    grant.completions.push(Completion { until_ms, message, answered });
                }
            }
            LedgerCommand::Release(release) => {
                if let Some(grant) = self.grant_mut(&release.key.key, release.token) {
                    grant.ends_asked += 1;
                    grant.releases_asked += 1;
                }
            }
            _ => {}
        }
    }

    /// The command did not happen.
    pub(super) fn undo_ledger(&mut self, command: &LedgerCommand) {
        match command {
            LedgerCommand::Complete(complete) => {
                let message = read_result(&complete.result).and_then(|(_, message)| message);
                if let Some(grant) = self.grant_mut(&complete.key.key, complete.token) {
                    grant.ends_asked = grant.ends_asked.saturating_sub(1);
                    let mut all = grant.completions.iter();
                    if let Some(at) = all.position(|c| !c.answered && c.message == message) {
                        grant.completions.remove(at);
                    }
                }
            }
            LedgerCommand::Release(release) => {
                if let Some(grant) = self.grant_mut(&release.key.key, release.token) {
                    grant.ends_asked = grant.ends_asked.saturating_sub(1);
                    grant.releases_asked = grant.releases_asked.saturating_sub(1);
                }
            }
            _ => {}
        }
    }

    pub(super) fn ledger_unanswered(&mut self, command: &LedgerCommand) {
        if let LedgerCommand::Put(_) = command {
            self.ledger.cursor_unknown = true;
        }
    }

    pub(super) fn ledger_done(
        &mut self,
        command: &LedgerCommand,
        reply: &LedgerReply,
        request: &Request,
    ) -> Result<(), Violation> {
        match (command, reply) {
            (LedgerCommand::Claim(claim), LedgerReply::Claimed(claimed)) => {
                self.claimed(&claim.key.key, claimed, request)
            }
            (LedgerCommand::Complete(complete), LedgerReply::Completed { until_ms }) => {
                self.completed(complete, *until_ms, request)
            }
            (LedgerCommand::Release(_), LedgerReply::Released) => Ok(()),
            (LedgerCommand::Put(put), LedgerReply::Put { version }) => self.moved(put, *version),
            (command, reply) => Err(Violation(format!("{command:?} was answered {reply:?}"))),
        }
    }

    fn claimed(
        &mut self,
        key: &str,
        claimed: &Claimed,
        request: &Request,
    ) -> Result<(), Violation> {
        let at_ms = request.at_ms;
        match claimed {
            Claimed::Run { token, until_ms } => {
                self.coverage.note(Event::LedgerGranted);
                ensure!(
                    *token > self.ledger.highest_token,
                    "token {token} after {}",
                    self.ledger.highest_token
                );
                self.ledger.highest_token = *token;
                self.check_free(key, *token, at_ms)?;
                let grant = Grant {
                    token: *token,
                    until_ms: *until_ms,
                    event: self.event,
                    ends_asked: 0,
                    releases_asked: 0,
                    completions: Vec::new(),
                };
                self.ledger.grants.entry(key.to_owned()).or_default().push(grant);
            }
            Claimed::AlreadyDone { result, token, until_ms } => {
                self.coverage.note(Event::LedgerDone);
                let read = read_result(result);
                let Some((_, message)) = read.filter(|(of, _)| of == token) else {
                    return Err(Violation(format!("{key}: token {token} has result {result:?}")));
                };
                ensure!(*until_ms > at_ms, "{key}: a result that is over was shown");
                let asked = self.grant_mut(key, *token).is_some_and(|grant| {
                    grant.completions.iter().any(|completion| completion.message == message)
                });
                ensure!(asked, "{key}: nobody completed {token} with {message:?}");
                self.group_happened(message)?;
            }
            Claimed::HeldBySomebodyElse { until_ms, .. } => {
                self.coverage.note(Event::LedgerHeld);
                ensure!(*until_ms > at_ms, "{key}: a claim that is over is held");
            }
            Claimed::KeyReusedWithOtherInput => {
                return Err(Violation(format!("{key}: all inputs are the same")));
            }
        }
        Ok(())
    }

    /// Checks that no earlier claim of the key binds at this time.
    fn check_free(&self, key: &str, token: u64, at_ms: UnixMs) -> Result<(), Violation> {
        let plain = self.queue_of(Role::Plain);
        for grant in self.ledger.grants.get(key).into_iter().flatten() {
            ensure!(
                grant.ends_asked > 0 || grant.until_ms <= at_ms,
                "{key} at {at_ms}: {token} was granted beside {grant:?}"
            );
            if grant.releases_asked > 0 {
                continue;
            }
            for completion in grant.completions.iter().filter(|c| c.until_ms > at_ms) {
                let copy = completion.message.zip(plain).and_then(|key| self.copies.get(&key));
                ensure!(
                    !completion.answered && !copy.is_some_and(|copy| copy.known),
                    "{key} at {at_ms}: {token} was granted though it is done: {grant:?}"
                );
            }
        }
        Ok(())
    }

    /// A group left its mark in the ledger, so its message was accepted.
    fn group_happened(&mut self, message: Option<u64>) -> Result<(), Violation> {
        let Some((number, plain)) = message.zip(self.queue_of(Role::Plain)) else { return Ok(()) };
        ensure!(
            self.copies.contains_key(&(number, plain)),
            "message {number} was not accepted, but the result of its group is saved"
        );
        self.found_somewhere(number);
        Ok(())
    }

    fn completed(
        &mut self,
        complete: &LedgerComplete,
        until_ms: UnixMs,
        request: &Request,
    ) -> Result<(), Violation> {
        let key = &complete.key.key;
        let later = self.ledger.grants.get(key).into_iter().flatten();
        let later = later.filter(|grant| grant.token > complete.token);
        for grant in later {
            ensure!(
                grant.event > request.event,
                "{key}: the stale {} was completed after {grant:?}",
                complete.token
            );
        }
        let message = read_result(&complete.result).and_then(|(_, message)| message);
        if let Some(grant) = self.grant_mut(key, complete.token) {
            let mut open = grant.completions.iter_mut().filter(|c| !c.answered);
            if let Some(completion) = open.find(|c| c.message == message) {
                // Asked again, it is not remembered for longer.
                (completion.answered, completion.until_ms) = (true, until_ms);
            }
        }
        Ok(())
    }

    fn moved(&mut self, put: &LedgerPut, version: u64) -> Result<(), Violation> {
        let book = &mut self.ledger;
        ensure!(
            book.cursor_unknown || put.expected == book.cursor,
            "the cursor went from {:?} to {version}, but was at {:?}",
            put.expected,
            book.cursor
        );
        ensure!(version > book.highest_token, "version {version} after {}", book.highest_token);
        book.highest_token = version;
        (book.cursor, book.cursor_unknown) = (Some(version), false);
        self.coverage.note(Event::CursorMoved);
        Ok(())
    }

    /// A refusal, alone or of a group.
    pub(super) fn ledger_refused(
        &mut self,
        refusal: &LedgerRefusal,
        request: &Request,
    ) -> Result<(), Violation> {
        let Wish::Command(command) = &request.wish else { return Ok(()) };
        match (refusal, of_ledger(command)) {
            (LedgerRefusal::TokenLost, Some(LedgerCommand::Complete(complete))) => {
                self.coverage.note(Event::LedgerFenced);
                let grants = self.ledger.grants.get(&complete.key.key).into_iter().flatten();
                for grant in grants.filter(|grant| grant.token == complete.token) {
                    ensure!(
                        grant.ends_asked > 0 || grant.until_ms <= request.at_ms,
                        "a live holder was fenced: {grant:?}"
                    );
                }
                Ok(())
            }
            (LedgerRefusal::TokenLost, Some(LedgerCommand::Release(_))) => Ok(()),
            (LedgerRefusal::Conflict { version }, Some(LedgerCommand::Put(put))) => {
                self.coverage.note(Event::CursorConflict);
                let book = &mut self.ledger;
                ensure!(
                    book.cursor_unknown || (put.expected != book.cursor && *version == book.cursor),
                    "the cursor is at {:?}, and {put:?} was told {version:?}",
                    book.cursor
                );
                (book.cursor, book.cursor_unknown) = (*version, false);
                Ok(())
            }
            (refusal, command) => Err(Violation(format!("{command:?} was refused: {refusal:?}"))),
        }
    }
}

/// The ledger's command in a command or group.
fn of_ledger(command: &Command) -> Option<&LedgerCommand> {
    match command {
        Command::Ledger(ledger) => Some(ledger),
        Command::Atomic(commands) => commands.iter().find_map(of_ledger),
        _ => None,
    }
}
