//! Sessions of SQL: one queue as pgmq's transactions use it, with claims, reserved numbers, commits
//! in one group, and statements by number beside them. They share one connection to the server: the
//! next command is asked when the one before was answered, so that the auditor knows exactly what
//! the table holds.

use std::ops::Range;

use kyu_broker::{
    Acquire, BySeq, Command, Conclude, Enqueue, EnqueueReserved, Fate, GiveBack, Lease, NewMessage,
    PurgeQueue, QueueId, QueueRef, Reserve, ReservedMessage, Seq, SeqAction, SessionId, UnixMs,
};
use kyu_model::limits::MAX_BATCH;

use crate::audit::{Auditor, TableBook, Wish};
use crate::cast::Role;
use crate::content::content;
use crate::random::Random;

/// Numbers of the messages of this queue: no other client comes to them.
const FIRST_NUMBER: u64 = 1 << 59;
/// Transactions that are open at one time.
const MAX_OPEN: usize = 3;
/// Rows above which nothing more is sent.
const MAX_ROWS: usize = 40;
/// Sessions have numbers that no session of other clients comes to.
const FIRST_SESSION: u64 = 1 << 40;

/// A transaction of a client.
struct Open {
    session: SessionId,
    reserved: Vec<Seq>,
    /// Its commit was asked for, or it is to be rolled back: what it has claimed goes back.
    over: bool,
}

/// The SQL sessions that use the table.
#[derive(Default)]
pub(crate) struct Tables {
    open: Vec<Open>,
    /// Numbers that a transaction has asked for.
    wanted: Option<(SessionId, Range<Seq>)>,
    last_number: u64,
    sessions: u64,
}

impl Tables {
    /// The server died, and all connections with it.
    pub(crate) fn disconnected(&mut self) {
        self.open.clear();
        self.wanted = None;
    }

    /// Returns the next request; `None` while an answer is outstanding, or when what was chosen is
    /// not there.
    pub(crate) fn next(&mut self, auditor: &Auditor, random: &mut Random) -> Option<Wish> {
        let (queue, archive) =
            (auditor.queue_of(Role::Table)?, auditor.queue_of(Role::TableArchive)?);
        let book = &auditor.tables;
        if book.is_asked() {
            return None;
        }
        if let Some((session, seqs)) = self.wanted.take()
            && book.next_seqs(0).start == seqs.end
            && let Some(open) = self.open.iter_mut().find(|open| open.session == session)
        {
            open.reserved.extend(seqs);
        }
        self.open.retain(|open| !open.over || !book.claimed_by(open.session).is_empty());
        if let Some(over) = self.open.iter().find(|open| open.over) {
            return Some(Wish::Table(give_back(over.session, queue)));
        }
        let now_ms = auditor.now_ms;
        let command = match random.weighted(&[16, 8, 2, 16, 10, 14, 8, 8, 4, 12, 4, 1]) {
            0 if book.rows() < MAX_ROWS => {
                let mut message = NewMessage::new(queue, self.content(random));
                message.delay_ms = random.percent(30).then(|| random.between(1, 4_000));
                Command::Enqueue(Enqueue { messages: vec![message] })
            }
            1 => acquire(queue, Lease::For(random.below(6_000)), random),
            2 => acquire(queue, Lease::Take, random),
            3 => by_number(book, queue, archive, now_ms, random),
            4 if self.open.len() < MAX_OPEN => {
                self.sessions += 1;
                let session = SessionId(FIRST_SESSION + self.sessions);
                self.open.push(Open { session, reserved: Vec::new(), over: false });
                return None;
            }
            5 => acquire(queue, Lease::Claim(random.pick(&self.open)?.session), random),
            6 => {
                let session = random.pick(&self.open)?.session;
                let action = match random.percent(70) {
                    true => SeqAction::Claim(session),
                    false => SeqAction::Acquire(Lease::Claim(session)),
                };
                Command::BySeq(BySeq { queue, seqs: book.some_seqs(random), action })
            }
            7 if book.rows() < MAX_ROWS => {
                let session = random.pick(&self.open)?.session;
                let count = random.between(1, 2) as u32;
                self.wanted = Some((session, book.next_seqs(count)));
                Command::Reserve(Reserve { queue, count })
            }
            8 => {
                let session = random.pick(&self.open)?.session;
                let mut back = book.claimed_by(session);
                back.retain(|_| random.percent(50));
                let items = back.into_iter().map(|seq| (seq, Fate::Untouched)).collect();
                Command::Conclude(Conclude { session, queue: QueueRef::Id(queue), items })
            }
            9 => self.commit(book, queue, now_ms, random)?,
            10 => {
                let at = random.below(self.open.len() as u64) as usize;
                let open = self.open.get_mut(at)?;
                open.over = true;
                give_back(open.session, queue)
            }
            11 => Command::PurgeQueue(PurgeQueue { queue, cooldown_ms: 0 }),
            _ => return None,
        };
        Some(Wish::Table(command))
    }

    fn content(&mut self, random: &mut Random) -> bytes::Bytes {
        self.last_number += 1;
        let len = if random.percent(10) { 10_000 } else { random.between(8, 500) };
        content(FIRST_NUMBER + self.last_number, len as usize)
    }

    /// One group: what became of the claims, perhaps a purge, what was sent, and what became of that.
    fn commit(
        &mut self,
        book: &TableBook,
        queue: QueueId,
        now_ms: UnixMs,
        random: &mut Random,
    ) -> Option<Command> {
        let at = random.below(self.open.len() as u64) as usize;
        let open = self.open.get_mut(at)?;
        open.over = true;
        let (session, reserved) = (open.session, std::mem::take(&mut open.reserved));
        let conclude = |items: Vec<(Seq, Fate)>| {
            Command::Conclude(Conclude { session, queue: QueueRef::Id(queue), items })
        };
        let claimed = book.claimed_by(session).into_iter().take(MAX_BATCH);
        let mut commands = vec![conclude(claimed.map(|s| (s, fate(now_ms, random))).collect())];
        if random.percent(4) {
            commands.push(Command::PurgeQueue(PurgeQueue { queue, cooldown_ms: 0 }));
        }
        let sent: Vec<Seq> = reserved.into_iter().filter(|_| random.percent(80)).collect();
        let messages = sent.iter().map(|seq| ReservedMessage {
            seq: *seq,
            ready_at_ms: now_ms + random.below(3) * 700,
            message: NewMessage::new(queue, self.content(random)),
        });
        let messages: Vec<ReservedMessage> = messages.collect();
        if !messages.is_empty() {
            let queue = QueueRef::Id(queue);
            commands.push(Command::EnqueueReserved(EnqueueReserved { queue, messages }));
        }
        // Read, or archived, by the transaction that sent it.
        let mut own: Vec<(Seq, Fate)> =
            sent.into_iter().map(|seq| (seq, fate(now_ms, random))).collect();
        own.retain(|(_, fate)| matches!(fate, Fate::Received { .. } | Fate::Archived { .. }));
        if !own.is_empty() {
            commands.push(conclude(own));
        }
        Some(Command::Atomic(commands))
    }
}

fn give_back(session: SessionId, queue: QueueId) -> Command {
    Command::GiveBack(GiveBack { session, queues: vec![queue] })
}

fn acquire(queue: QueueId, lease: Lease, random: &mut Random) -> Command {
    let max_messages = random.between(1, 4) as u32;
    Command::Acquire(Acquire { lease, ..Acquire::new(queue, max_messages) })
}

fn by_number(
    book: &TableBook,
    queue: QueueId,
    archive: QueueId,
    now_ms: UnixMs,
    random: &mut Random,
) -> Command {
    let seqs = book.some_seqs(random);
    let action = match random.weighted(&[30, 15, 25, 20, 10]) {
        0 => SeqAction::Remove,
        1 => SeqAction::RemoveIfReceived(random.below(3) as u32),
        2 => SeqAction::ShowAt((now_ms + random.below(6_000)).saturating_sub(2_000)),
        3 => SeqAction::Archive { to: archive },
        _ => SeqAction::Acquire(Lease::For(random.between(1, 5_000))),
    };
    Command::BySeq(BySeq { queue, seqs, action })
}

fn fate(now_ms: UnixMs, random: &mut Random) -> Fate {
    let ready_at_ms = (now_ms + random.below(5_000)).saturating_sub(1_000);
    match random.weighted(&[15, 25, 15, 25, 20]) {
        0 => Fate::Untouched,
        1 => Fate::Received { times: random.between(1, 3) as u32, at_ms: now_ms, ready_at_ms },
        2 => Fate::Received { times: 0, at_ms: 0, ready_at_ms },
        3 => Fate::Removed,
        _ => Fate::Archived { times: random.below(2) as u32, at_ms: now_ms },
    }
}
