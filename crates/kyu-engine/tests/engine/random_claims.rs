//! Random transactions beside random commands by number, against a model that says exactly what
//! every read returns.

use std::collections::{BTreeMap, BTreeSet};

use kyu_engine::*;
use proptest::prelude::*;

use crate::world::*;

const SESSIONS: u64 = 3;

#[derive(Clone, Debug)]
enum Step {
    Send { delay_ms: u64 },
    Read { max: u32, lease_ms: u64 },
    Take { max: u32 },
    ByNumber { pick: usize, what: u8, ms: u64 },
    Reserve { session: u64 },
    ClaimNext { session: u64, max: u32 },
    ClaimNumber { session: u64, pick: usize },
    GiveBack { session: u64 },
    Commit { session: u64, fates: u64 },
    Purge,
    Time(u64),
    Restart,
    Snapshot,
}

fn step() -> impl Strategy<Value = Step> {
    let pick = || any::<prop::sample::Index>().prop_map(|pick| pick.index(1_000));
    let session = || 0..SESSIONS;
    prop_oneof![
        6 => prop_oneof![2 => Just(0), 1 => 1..5_000u64].prop_map(|delay_ms| Step::Send { delay_ms }),
        5 => (1..4u32, prop_oneof![1 => Just(0), 3 => 1..6_000u64]).prop_map(|(max, lease_ms)| Step::Read { max, lease_ms }),
        1 => (1..3u32).prop_map(|max| Step::Take { max }),
        6 => (pick(), 0..4u8, 0..9_000u64).prop_map(|(pick, what, ms)| Step::ByNumber { pick, what, ms }),
        3 => session().prop_map(|session| Step::Reserve { session }),
        5 => (session(), 1..4u32).prop_map(|(session, max)| Step::ClaimNext { session, max }),
        4 => (session(), pick()).prop_map(|(session, pick)| Step::ClaimNumber { session, pick }),
        1 => session().prop_map(|session| Step::GiveBack { session }),
        4 => (session(), any::<u64>()).prop_map(|(session, fates)| Step::Commit { session, fates }),
        1 => Just(Step::Purge),
        4 => (0..6_000u64).prop_map(Step::Time),
        1 => Just(Step::Restart),
        1 => Just(Step::Snapshot),
    ]
}

/// A row as Postgres would have it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Row {
    reads: u32,
    /// The time at which it is visible; what is past counts as 0.
    vt_ms: UnixMs,
    claimed_by: Option<u64>,
}

struct Model {
    w: World,
    queue: QueueId,
    archive: QueueId,
    rows: BTreeMap<Seq, Row>,
    archived: BTreeSet<Seq>,
    reserved: BTreeMap<u64, Vec<Seq>>,
    next: Seq,
    snapshots: u32,
}

impl Model {
    fn new() -> Self {
        let mut w = World::new();
        let config = QueueConfig {
            retention_ms: FOREVER,
            fairness: Fairness::StrictOrder,
            back_after_receives: None,
            ..QueueConfig::default()
        };
        let queue = w.queue("q", config.clone());
        let create = CreateQueue {
            name: archive_name(&queue_name("q")),
            config: Box::new(config),
            name_reuse_wait_ms: 0,
        };
        let Reply::QueueCreated(archive) = w.run(Command::CreateQueue(create)) else { panic!() };
        Self {
            w,
            queue,
            archive: archive.id,
            rows: BTreeMap::new(),
            archived: BTreeSet::new(),
            reserved: BTreeMap::new(),
            next: 1,
            snapshots: 0,
        }
    }

    fn visible(&self, max: u32) -> Vec<Seq> {
        let now_ms = self.w.now_ms;
        let visible =
            self.rows.iter().filter(|(_, row)| row.vt_ms <= now_ms && row.claimed_by.is_none());
        visible.map(|(seq, _)| *seq).take(max as usize).collect()
    }

    fn acquire(&mut self, max: u32, lease: Lease) -> Vec<Seq> {
        let expected = self.visible(max);
        let Reply::Acquired(deliveries) = self.w.run(acquire(self.queue, max, lease)) else {
            panic!()
        };
        let seqs: Vec<Seq> = deliveries.iter().map(|delivery| delivery.receipt.seq).collect();
        assert_eq!(seqs, expected, "what a read returns");
        for delivery in &deliveries {
            assert_eq!(self.w.body(delivery), delivery.receipt.seq.to_string());
        }
        seqs
    }

    fn by_number(&mut self, seq: Seq, action: SeqAction) -> bool {
        let command = BySeq { queue: self.queue, seqs: vec![seq], action };
        let Reply::BySeq(results) = self.w.run(Command::BySeq(command)) else { panic!() };
        let row = self.rows.get(&seq);
        match &results[0] {
            SeqResult::Missing => assert_eq!(row, None),
            SeqResult::Busy(holder) => {
                assert_eq!(row.and_then(|row| row.claimed_by), Some(holder.0));
            }
            SeqResult::Done(_) => {
                let claimed_by = row.unwrap().claimed_by.map(SessionId);
                assert!(claimed_by.is_none_or(|by| action == SeqAction::Claim(by)));
            }
        }
        matches!(results[0], SeqResult::Done(_))
    }

    /// Any number that was given out, and some that were not.
    fn number(&self, pick: usize) -> Seq {
        pick as u64 % (self.next + 2)
    }

    fn step(&mut self, step: Step) {
        let now_ms = self.w.now_ms;
        match step {
            Step::Send { delay_ms } => {
                let new = message(self.queue, &self.next.to_string());
                let new = NewMessage { delay_ms: Some(delay_ms), ..new };
                assert_eq!(self.w.send_message(new).seq, self.next);
                self.insert(self.next, now_ms + delay_ms);
                self.next += 1;
            }
            Step::Read { max, lease_ms } => {
                for seq in self.acquire(max, Lease::For(lease_ms)) {
                    let row = self.rows.get_mut(&seq).unwrap();
                    row.reads += 1;
                    row.vt_ms = now_ms + lease_ms;
                }
            }
            Step::Take { max } => {
                for seq in self.acquire(max, Lease::Take) {
                    self.rows.remove(&seq);
                }
            }
            Step::ByNumber { pick, what, ms } => self.change(self.number(pick), what, ms),
            Step::Reserve { session } => {
                let reserve = Reserve { queue: self.queue, count: 1 };
                let Reply::Reserved { first } = self.w.run(Command::Reserve(reserve)) else {
                    panic!()
                };
                assert_eq!(first, self.next);
                self.next += 1;
                self.reserved.entry(session).or_default().push(first);
            }
            Step::ClaimNext { session, max } => {
                for seq in self.acquire(max, Lease::Claim(SessionId(session))) {
                    self.rows.get_mut(&seq).unwrap().claimed_by = Some(session);
                }
            }
            Step::ClaimNumber { session, pick } => {
                let seq = self.number(pick);
                if self.by_number(seq, SeqAction::Claim(SessionId(session))) {
                    self.rows.get_mut(&seq).unwrap().claimed_by = Some(session);
                }
            }
            Step::GiveBack { session } => {
                let (session_id, queues) = (SessionId(session), vec![self.queue, self.archive]);
                self.w.run(Command::GiveBack(GiveBack { session: session_id, queues }));
                self.end(session);
            }
            Step::Commit { session, fates } => self.commit(session, fates),
            Step::Purge => {
                let purge = PurgeQueue { queue: self.queue, cooldown_ms: 0 };
                self.w.run(Command::PurgeQueue(purge));
                self.rows.clear();
            }
            Step::Time(ms) => self.w.advance(ms),
            Step::Restart => {
                self.w.restart();
                for session in self.w.engine.sessions() {
                    self.w.run(Command::EndSession(EndSession { session }));
                }
                (0..SESSIONS).for_each(|session| self.end(session));
            }
            Step::Snapshot => {
                self.w.take_snapshot();
                self.snapshots += 1;
            }
        }
        // A lease that lapsed under a claim is over at the next tick, which is due at once.
        self.w.advance(0);
        self.check();
    }

    fn insert(&mut self, seq: Seq, vt_ms: UnixMs) {
        self.rows.insert(seq, Row { reads: 0, vt_ms, claimed_by: None });
    }

    fn end(&mut self, session: u64) {
        self.reserved.remove(&session);
        for row in self.rows.values_mut().filter(|row| row.claimed_by == Some(session)) {
            row.claimed_by = None;
        }
    }

    fn change(&mut self, seq: Seq, what: u8, ms: u64) {
        let now_ms = self.w.now_ms;
        match what {
            0 if self.by_number(seq, SeqAction::Remove) => {
                self.rows.remove(&seq);
            }
            1 if self.by_number(seq, SeqAction::Archive { to: self.archive }) => {
                self.rows.remove(&seq);
                self.archived.insert(seq);
            }
            // Also into the past.
            2 | 3
                if self.by_number(seq, SeqAction::ShowAt((now_ms + ms).saturating_sub(3_000))) =>
            {
                self.rows.get_mut(&seq).unwrap().vt_ms = (now_ms + ms).saturating_sub(3_000);
            }
            _ => {}
        }
    }

    fn commit(&mut self, session: u64, fates: u64) {
        let now_ms = self.w.now_ms;
        let reserved = self.reserved.remove(&session).unwrap_or_default();
        let messages = reserved.iter().map(|seq| ReservedMessage {
            seq: *seq,
            ready_at_ms: now_ms + (fates % 3) * 500,
            message: message(self.queue, &seq.to_string()),
        });
        let enqueue =
            EnqueueReserved { queue: QueueRef::Id(self.queue), messages: messages.collect() };
        let mine = self.rows.iter().filter(|(_, row)| row.claimed_by == Some(session));
        let mut items: Vec<(Seq, Fate)> = mine
            .map(|(seq, _)| (*seq, fate(fates.rotate_right(*seq as u32 % 64) % 5, now_ms)))
            .collect();
        // Another's claims are not this session's to end.
        let other = self.rows.iter().find(|(_, row)| row.claimed_by.is_some_and(|s| s != session));
        let other = other.map(|(seq, _)| *seq);
        items.extend(other.map(|seq| (seq, Fate::Removed)));
        let queue = QueueRef::Id(self.queue);
        let conclude = Conclude { session: SessionId(session), queue, items: items.clone() };
        let group = vec![Command::EnqueueReserved(enqueue), Command::Conclude(conclude)];
        let Reply::Atomic(replies) = self.w.run(Command::Atomic(group)) else { panic!() };
        assert_eq!(
            replies[1],
            Reply::Concluded { missing: other.into_iter().collect() },
            "claims hold"
        );
        for seq in reserved {
            self.insert(seq, now_ms + (fates % 3) * 500);
        }
        for (seq, fate) in items.into_iter().filter(|(seq, _)| Some(*seq) != other) {
            let row = self.rows.get_mut(&seq).unwrap();
            row.claimed_by = None;
            match fate {
                Fate::Untouched => {}
                Fate::Received { times, ready_at_ms, .. } => {
                    row.reads += times;
                    row.vt_ms = ready_at_ms;
                }
                Fate::Removed => {
                    self.rows.remove(&seq);
                }
                Fate::Archived { .. } => {
                    self.rows.remove(&seq);
                    self.archived.insert(seq);
                }
            }
        }
    }

    fn browse(&self, queue: QueueId) -> Vec<Delivery> {
        let query =
            Query::Browse(Browse { queue, from: 0, max_messages: 1_000, only_ready: false });
        match self.w.engine.query(&query).unwrap() {
            Answer::Browsed { messages, next: None } => messages,
            other => panic!("{other:?}"),
        }
    }

    /// Checks that a view shows what the model has, claimed or not.
    fn check(&self) {
        let now_ms = self.w.now_ms;
        let past_is_past = |at_ms: UnixMs| if at_ms <= now_ms { 0 } else { at_ms };
        let shown: Vec<(Seq, u32, UnixMs)> = self
            .browse(self.queue)
            .iter()
            .map(|delivery| {
                let vt_ms = match delivery.phase {
                    Phase::Ready => 0,
                    Phase::Delayed(at_ms) | Phase::Leased(at_ms) => at_ms,
                    other => panic!("{other:?}"),
                };
                (delivery.receipt.seq, delivery.receive_count, past_is_past(vt_ms))
            })
            .collect();
        let expected: Vec<(Seq, u32, UnixMs)> =
            self.rows.iter().map(|(seq, row)| (*seq, row.reads, past_is_past(row.vt_ms))).collect();
        assert_eq!(shown, expected);
        let archived: BTreeSet<Seq> =
            self.browse(self.archive).iter().map(|delivery| delivery.receipt.seq).collect();
        assert_eq!(archived, self.archived);
        let stats = self.w.stats(self.queue);
        assert_eq!(stats.last_seq, self.next - 1);
        assert_eq!(stats.ready + stats.delayed + stats.in_flight, self.rows.len() as u64);
    }

    fn finish(&mut self) {
        self.step(Step::Restart);
        self.step(Step::Purge);
        self.w.run(Command::DeleteQueue(DeleteQueue { queue: self.archive }));
        let last = self.w.log.last().map_or(0, |(at, _)| at / SEGMENT_BYTES);
        for segment in 0..=last {
            assert_eq!(self.w.engine.live_bytes(segment), 0, "segment {segment} is pinned");
        }
        self.w.restart();
    }
}

fn fate(of: u64, now_ms: UnixMs) -> Fate {
    match of {
        0 => Fate::Untouched,
        1 => Fate::Received { times: 2, at_ms: now_ms, ready_at_ms: now_ms + 2_000 },
        2 => Fate::Received { times: 0, at_ms: 0, ready_at_ms: now_ms },
        3 => Fate::Removed,
        _ => Fate::Archived { times: 1, at_ms: now_ms },
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn transactions_are_as_a_table_with_row_locks(steps in prop::collection::vec(step(), 1..120)) {
        let mut model = Model::new();
        for step in steps {
            model.step(step);
        }
        model.finish();
    }
}
