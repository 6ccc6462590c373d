//! The table with row locks: what one queue and its archive hold, exactly.
//!
//! Commands come one after the other, so the book knows what each must answer and leave. A crash may
//! lose what was answered without being durable (claims, leases, reserved numbers), and the one
//! command that was out: then the table must be as it was after one of them, and nobody has a claim.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kyu_broker::{
    Acquire, Answer, Browse, BySeq, Command, Conclude, Delivery, Error, Fate, Frame, Lease, Phase,
    Query, QueueId, Refusal, Reply, Response, Seq, SeqAction, SeqResult, SessionId, UnixMs,
};
use kyu_engine::Engine;

use super::Auditor;
use crate::cast::Role;
use crate::content::number_of;
use crate::coverage::Event;
use crate::random::Random;
use crate::violation::{Violation, ensure};

/// A message as a row.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    number: u64,
    reads: u32,
    /// The time at which it is visible, unless it is claimed.
    vt_ms: UnixMs,
    claimed_by: Option<SessionId>,
}

/// The content of the table and its archive.
#[derive(Clone, Debug, Default, PartialEq)]
struct Table {
    rows: BTreeMap<Seq, Row>,
    /// Archived messages: number and reads.
    archived: BTreeMap<Seq, (u64, u32)>,
    next_seq: Seq,
}

/// A command that is not answered yet.
#[derive(Clone, Debug)]
struct Asked {
    ticket: u64,
    command: Command,
    at_ms: UnixMs,
}

/// The auditor's book of the table that SQL sessions use.
#[derive(Debug)]
pub(crate) struct TableBook {
    table: Table,
    /// The earlier contents that a crash may bring back instead, oldest first.
    before: Vec<Table>,
    asked: Option<Asked>,
    /// Sessions of an earlier life whose claims a full log could not end.
    stale: Vec<SessionId>,
}

impl Default for TableBook {
    fn default() -> Self {
        let table = Table { next_seq: 1, ..Table::default() };
        Self { table, before: Vec::new(), asked: None, stale: Vec::new() }
    }
}

impl TableBook {
    pub(crate) fn is_asked(&self) -> bool {
        self.asked.is_some() || !self.stale.is_empty()
    }

    pub(crate) fn rows(&self) -> usize {
        self.table.rows.len()
    }

    pub(crate) fn claimed_by(&self, session: SessionId) -> Vec<Seq> {
        let rows = self.table.rows.iter();
        rows.filter(|(_, row)| row.claimed_by == Some(session)).map(|(seq, _)| *seq).collect()
    }

    /// The numbers that a reservation will give out.
    pub(crate) fn next_seqs(&self, count: u32) -> std::ops::Range<Seq> {
        self.table.next_seq..self.table.next_seq + u64::from(count)
    }

    /// Returns one number or several: of rows, and some that are not there.
    pub(crate) fn some_seqs(&self, random: &mut Random) -> Vec<Seq> {
        let rows: Vec<Seq> = self.table.rows.keys().copied().collect();
        let seqs = (0..random.between(1, 4)).map(|_| match random.pick(&rows) {
            Some(seq) if random.percent(90) => *seq,
            _ => random.below(self.table.next_seq + 2),
        });
        seqs.collect()
    }

    /// Forgets those stale sessions that have ended by now.
    pub(crate) fn look_for_stale(&mut self, engine: &Engine) {
        if !self.stale.is_empty() {
            let left = engine.sessions();
            self.stale.retain(|session| left.contains(session));
        }
    }
}

/// Tells whether an answer proves that everything before it is on disk. An acquire that finds nothing
/// writes nothing, whatever its lease, and so waits for nothing: a crash may still undo the leases
/// that hid the messages from it.
pub(super) fn is_durable(command: &Command, reply: &Reply) -> bool {
    match (command, reply) {
        (Command::Acquire(_), Reply::Acquired(deliveries)) if deliveries.is_empty() => false,
        (
            Command::Reserve(_)
            | Command::GiveBack(_)
            | Command::Acquire(Acquire { lease: Lease::For(_) | Lease::Claim(_), .. })
            | Command::BySeq(BySeq { action: SeqAction::Acquire(_) | SeqAction::Claim(_), .. }),
            _,
        ) => false,
        _ => true,
    }
}

impl Auditor {
    pub(super) fn table_asked(&mut self, ticket: u64, command: Command) {
        let at_ms = self.now_ms;
        self.tables.asked = Some(Asked { ticket, command, at_ms });
    }

    /// Returns true if an answer belongs here.
    pub(super) fn is_of_table(&self, ticket: u64) -> bool {
        self.tables.asked.as_ref().is_some_and(|asked| asked.ticket == ticket)
    }

    pub(super) fn table_answered(
        &mut self,
        result: &Result<Response, Error>,
        frames: &[Bytes],
    ) -> Result<(), Violation> {
        let Some(asked) = self.tables.asked.take() else { return Ok(()) };
        let reply = match result {
            Ok(Response::Reply(reply)) => reply,
            Err(Error::StorageFull)
            | Err(Error::Refused(Refusal::LimitExceeded("bytes of a log record"))) => return Ok(()),
            other => {
                return Err(Violation(format!("{:?} was answered {other:?}", asked.command)));
            }
        };
        let (archive, before) = (self.queue_of(Role::TableArchive), self.tables.table.clone());
        let expected = self.tables.table.run(&asked.command, asked.at_ms, archive);
        ensure!(
            is_as_expected(reply, &expected),
            "{:?} was answered {reply:?}, not {expected:?}; the table was {before:?}",
            asked.command
        );
        self.check_numbers(reply, frames, &before)?;
        self.count_table(&asked.command, &expected);
        match is_durable(&asked.command, reply) {
            true => self.tables.before.clear(),
            false => self.tables.before.push(before),
        }
        Ok(())
    }

    /// The bytes of what was delivered are those of the rows.
    fn check_numbers(
        &self,
        reply: &Reply,
        frames: &[Bytes],
        before: &Table,
    ) -> Result<(), Violation> {
        let deliveries = super::deliveries_of(reply);
        for (delivery, frame) in deliveries.iter().zip(frames) {
            let seq = delivery.receipt.seq;
            let number = Frame::decode(frame.clone()).ok().and_then(|f| number_of(&f.content));
            let row = before.rows.get(&seq).map(|row| row.number);
            ensure!(number == row, "row {seq} is message {row:?}, and reads as {number:?}");
        }
        Ok(())
    }

    fn count_table(&mut self, command: &Command, expected: &Expected) {
        match (command, expected) {
            (Command::Atomic(_), _) => self.coverage.note(Event::TableCommit),
            (Command::GiveBack(_), Expected::Count(1..)) => {
                self.coverage.note(Event::TableRollback);
            }
            (Command::BySeq(_), Expected::BySeq(results)) => {
                let busy = results.iter().any(|result| matches!(result, One::Busy(_)));
                self.coverage.add(Event::TableBusy, u64::from(busy));
            }
            _ => {}
        }
    }

    /// Compares the table with the engine, when everything that was answered is on disk and no
    /// answer is outstanding.
    pub(crate) fn check_table(&mut self, engine: &Engine) -> Result<(), Violation> {
        if self.tables.asked.is_some() {
            return Ok(());
        }
        self.tables.before.clear();
        let (Some(queue), Some(archive)) =
            (self.queue_of(Role::Table), self.queue_of(Role::TableArchive))
        else {
            return Ok(());
        };
        let found = Found::of(engine, queue, archive)?;
        found.compare(&self.tables.table, self.now_ms)
    }

    /// The server is there again: the table is one that it may be, and all claims are over.
    pub(crate) fn table_restarted(&mut self, engine: &Engine) -> Result<(), Violation> {
        let (Some(queue), Some(archive)) =
            (self.queue_of(Role::Table), self.queue_of(Role::TableArchive))
        else {
            return Ok(());
        };
        let found = Found::of(engine, queue, archive)?;
        let book = &mut self.tables;
        let mut candidates = std::mem::take(&mut book.before);
        candidates.push(book.table.clone());
        if let Some(asked) = book.asked.take() {
            let mut after = book.table.clone();
            after.run(&asked.command, asked.at_ms, Some(archive));
            candidates.push(after);
        }
        let now_ms = self.now_ms;
        let is = |table: &&Table| found.compare(table, now_ms).is_ok();
        let Some(table) = candidates.iter().rev().find(is) else {
            let newest = candidates.last().map(|table| found.compare(table, now_ms));
            return Err(Violation(format!(
                "the table after the restart is none of {} that it may be: {newest:?}",
                candidates.len()
            )));
        };
        let had_claims = table.rows.values().any(|row| row.claimed_by.is_some());
        book.table = table.clone();
        book.table.rows.values_mut().for_each(|row| row.claimed_by = None);
        // Numbers that were given out and not used may be given out again.
        book.table.next_seq = found.next_seq;
        book.stale = engine.sessions();
        self.coverage.note(Event::TableCompared);
        self.coverage.add(Event::TableClaimsLost, u64::from(had_claims));
        Ok(())
    }
}

/// The answer that a command must have.
#[derive(Clone, Debug, PartialEq)]
enum Expected {
    /// One message, under this number.
    Sent(Seq),
    Reserved(Seq),
    /// These messages, with the receive counts that they have now.
    Acquired(Vec<(Seq, u32)>),
    BySeq(Vec<One>),
    Missing(Vec<Seq>),
    /// Messages given back or purged.
    Count(u64),
    Done,
    Group(Vec<Expected>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum One {
    Done(Seq),
    Missing,
    Busy(SessionId),
}

fn is_as_expected(reply: &Reply, expected: &Expected) -> bool {
    match (reply, expected) {
        (Reply::Enqueued(results), Expected::Sent(seq)) => {
            matches!(results.as_slice(), [Ok(one)] if one.seq == *seq)
        }
        (Reply::Enqueued(results), Expected::Done) => results.iter().all(Result::is_ok),
        (Reply::Reserved { first }, Expected::Reserved(seq)) => first == seq,
        (Reply::Acquired(deliveries), Expected::Acquired(expected)) => {
            let found = deliveries.iter().map(|d| (d.receipt.seq, d.receive_count));
            found.eq(expected.iter().copied())
        }
        (Reply::BySeq(results), Expected::BySeq(expected)) => {
            let found = results.iter().map(|result| match result {
                SeqResult::Done(delivery) => One::Done(delivery.receipt.seq),
                SeqResult::Missing => One::Missing,
                SeqResult::Busy(session) => One::Busy(*session),
            });
            found.eq(expected.iter().copied())
        }
        (Reply::Concluded { missing }, Expected::Missing(expected)) => missing == expected,
        (Reply::GivenBack { messages } | Reply::QueuePurged { messages }, Expected::Count(n)) => {
            messages == n
        }
        (Reply::Atomic(replies), Expected::Group(expected)) => {
            replies.len() == expected.len()
                && replies.iter().zip(expected).all(|(r, e)| is_as_expected(r, e))
        }
        _ => false,
    }
}

impl Table {
    /// Applies a command to the table, and returns the answer that it must have.
    fn run(&mut self, command: &Command, at_ms: UnixMs, archive: Option<QueueId>) -> Expected {
        match command {
            Command::Enqueue(enqueue) => {
                let seq = self.next_seq;
                for message in &enqueue.messages {
                    let vt_ms = at_ms + message.delay_ms.unwrap_or(0);
                    self.insert(self.next_seq, &message.content, vt_ms);
                }
                Expected::Sent(seq)
            }
            Command::Reserve(reserve) => {
                let first = self.next_seq;
                self.next_seq += u64::from(reserve.count);
                Expected::Reserved(first)
            }
            Command::EnqueueReserved(enqueue) => {
                for reserved in &enqueue.messages {
                    self.insert(reserved.seq, &reserved.message.content, reserved.ready_at_ms);
                }
                Expected::Done
            }
            Command::Acquire(acquire) => {
                let seqs = self.visible(at_ms, acquire.max_messages as usize);
                let counts = |table: &Self, seq: &Seq| table.rows.get(seq).map_or(0, |r| r.reads);
                let before: Vec<u32> = seqs.iter().map(|seq| counts(self, seq)).collect();
                self.lease(&seqs, acquire.lease, at_ms);
                let counted = u32::from(!matches!(acquire.lease, Lease::Claim(_)));
                let seqs = seqs.into_iter().zip(before);
                Expected::Acquired(seqs.map(|(seq, reads)| (seq, reads + counted)).collect())
            }
            Command::BySeq(by_seq) => Expected::BySeq(self.by_seq(by_seq, at_ms)),
            Command::Conclude(conclude) => Expected::Missing(self.conclude(conclude, at_ms)),
            Command::GiveBack(back) => {
                let mine = |row: &&mut Row| row.claimed_by == Some(back.session);
                let rows = self.rows.values_mut().filter(mine);
                Expected::Count(rows.map(|row| row.claimed_by = None).count() as u64)
            }
            Command::PurgeQueue(purge) if Some(purge.queue) == archive => {
                let count = self.archived.len();
                self.archived.clear();
                Expected::Count(count as u64)
            }
            Command::PurgeQueue(_) => {
                let count = self.rows.len();
                self.rows.clear();
                Expected::Count(count as u64)
            }
            Command::Atomic(commands) => {
                let all = commands.iter().map(|command| self.run(command, at_ms, archive));
                Expected::Group(all.collect())
            }
            _ => Expected::Done,
        }
    }

    fn insert(&mut self, seq: Seq, content: &Bytes, vt_ms: UnixMs) {
        let number = number_of(content).unwrap_or(0);
        self.rows.insert(seq, Row { number, reads: 0, vt_ms, claimed_by: None });
        self.next_seq = self.next_seq.max(seq + 1);
    }

    fn visible(&self, at_ms: UnixMs, most: usize) -> Vec<Seq> {
        let rows = self.rows.iter();
        let visible = rows.filter(|(_, row)| row.vt_ms <= at_ms && row.claimed_by.is_none());
        visible.map(|(seq, _)| *seq).take(most).collect()
    }

    fn lease(&mut self, seqs: &[Seq], lease: Lease, at_ms: UnixMs) {
        for seq in seqs {
            let Some(row) = self.rows.get_mut(seq) else { continue };
            match lease {
                Lease::Claim(session) => row.claimed_by = Some(session),
                Lease::For(ms) => {
                    row.reads += 1;
                    row.vt_ms = at_ms + ms;
                }
                _ => drop(self.rows.remove(seq)),
            }
        }
    }

    fn by_seq(&mut self, command: &BySeq, at_ms: UnixMs) -> Vec<One> {
        let acquires = matches!(command.action, SeqAction::Acquire(_));
        let (mut seen, mut results, mut stopped_by) = (BTreeSet::new(), Vec::new(), None);
        for seq in &command.seqs {
            let row = self.rows.get(seq).filter(|_| seen.insert(*seq));
            results.push(match (row, command.action) {
                (None, _) => One::Missing,
                (Some(row), SeqAction::RemoveIfReceived(times)) if row.reads != times => {
                    One::Missing
                }
                (Some(Row { claimed_by: Some(by), .. }), SeqAction::Claim(session))
                    if *by == session =>
                {
                    One::Done(*seq)
                }
                (Some(Row { claimed_by: Some(session), .. }), _) => {
                    if !acquires {
                        stopped_by = Some(*session);
                        break;
                    }
                    One::Busy(*session)
                }
                (Some(row), SeqAction::Acquire(_)) if row.vt_ms > at_ms => One::Missing,
                (Some(_), _) => One::Done(*seq),
            });
        }
        if let Some(session) = stopped_by {
            if !matches!(command.action, SeqAction::Claim(_)) {
                results.clear();
            }
            results.resize(command.seqs.len(), One::Busy(session));
        }
        for result in &results {
            let One::Done(seq) = result else { continue };
            match command.action {
                SeqAction::Acquire(lease) => self.lease(&[*seq], lease, at_ms),
                SeqAction::Claim(session) => self.lease(&[*seq], Lease::Claim(session), at_ms),
                SeqAction::Remove | SeqAction::RemoveIfReceived(_) => {
                    self.rows.remove(seq);
                }
                SeqAction::ShowAt(vt_ms) => {
                    if let Some(row) = self.rows.get_mut(seq) {
                        row.vt_ms = vt_ms;
                    }
                }
                SeqAction::Archive { .. } => self.archive(*seq),
            }
        }
        results
    }

    fn archive(&mut self, seq: Seq) {
        if let Some(row) = self.rows.remove(&seq) {
            self.archived.insert(seq, (row.number, row.reads));
        }
    }

    fn conclude(&mut self, command: &Conclude, at_ms: UnixMs) -> Vec<Seq> {
        let mut missing = Vec::new();
        for (seq, fate) in &command.items {
            let row = self.rows.get_mut(seq);
            let Some(row) = row.filter(|row| row.claimed_by.is_none_or(|s| s == command.session))
            else {
                missing.push(*seq);
                continue;
            };
            row.claimed_by = None;
            match fate {
                Fate::Untouched => {}
                Fate::Received { times, ready_at_ms, .. } => {
                    row.reads += times;
                    row.vt_ms = if *ready_at_ms <= at_ms { 0 } else { *ready_at_ms };
                }
                Fate::Removed => drop(self.rows.remove(seq)),
                Fate::Archived { times, .. } => {
                    row.reads += times;
                    self.archive(*seq);
                }
            }
        }
        missing
    }
}

/// The state that the engine shows.
struct Found {
    rows: Vec<Delivery>,
    archived: Vec<Delivery>,
    next_seq: Seq,
}

impl Found {
    fn of(engine: &Engine, queue: QueueId, archive: QueueId) -> Result<Self, Violation> {
        let no_counts = |refusal| Violation(format!("{queue:?} has no counts: {refusal:?}"));
        let next_seq = engine.stats(queue).map_err(no_counts)?.last_seq + 1;
        Ok(Self { rows: browse(engine, queue)?, archived: browse(engine, archive)?, next_seq })
    }

    fn compare(&self, table: &Table, now_ms: UnixMs) -> Result<(), Violation> {
        let rows = self.rows.iter().map(|d| (d.receipt.seq, d.receive_count));
        let expected = table.rows.iter().map(|(seq, row)| (*seq, row.reads));
        ensure!(
            rows.clone().eq(expected.clone()),
            "the table holds {:?}, not {:?}",
            rows.collect::<Vec<_>>(),
            expected.collect::<Vec<_>>()
        );
        for (delivery, row) in self.rows.iter().zip(table.rows.values()) {
            let vt_ms = match delivery.phase {
                Phase::Ready => 0,
                Phase::Delayed(at_ms) | Phase::Leased(at_ms) => at_ms,
                other => return Err(Violation(format!("a row is {other:?}: {row:?}"))),
            };
            let past = |at_ms: UnixMs| if at_ms <= now_ms { 0 } else { at_ms };
            ensure!(past(vt_ms) == past(row.vt_ms), "{delivery:?} is not {row:?} at {now_ms}");
        }
        let archived = self.archived.iter().map(|d| (d.receipt.seq, d.receive_count));
        let expected = table.archived.iter().map(|(seq, (_, reads))| (*seq, *reads));
        ensure!(
            archived.clone().eq(expected.clone()),
            "the archive holds {:?}, not {:?}",
            archived.collect::<Vec<_>>(),
            expected.collect::<Vec<_>>()
        );
        Ok(())
    }
}

fn browse(engine: &Engine, queue: QueueId) -> Result<Vec<Delivery>, Violation> {
    let (mut all, mut next) = (Vec::new(), Some(0));
    while let Some(from) = next {
        let query = Query::Browse(Browse { queue, from, max_messages: 1_000, only_ready: false });
        match engine.query(&query) {
            Ok(Answer::Browsed { messages, next: after }) => {
                all.extend(messages);
                next = after;
            }
            other => return Err(Violation(format!("{queue:?} cannot be browsed: {other:?}"))),
        }
    }
    Ok(all)
}
