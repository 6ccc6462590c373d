//! Transactions that move messages between two queues, with crashes between any two steps: every
//! message is in exactly one of them, and what was committed stays committed.

use std::collections::{BTreeMap, BTreeSet};

use kyu_broker::{
    Answer, Browse, Command, Conclude, Delivery, EnqueueReserved, Fate, GiveBack, Lease,
    NewMessage, Query, QueueId, QueueRef, Reply, Reserve, ReservedMessage, Response, Seq,
    SessionId,
};

use crate::rig::{self, Rig};

const PAYLOADS: u32 = 12;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

/// A place of a message.
type Place = (QueueId, Seq);

struct Open {
    session: SessionId,
    from: QueueId,
    to: QueueId,
    /// Payload, its number in `from`, and the one reserved in `to`.
    moves: Vec<(String, Seq, Seq)>,
}

struct Bank {
    rig: Rig,
    random: Random,
    queues: [QueueId; 2],
    open: Vec<Open>,
    /// Commits whose answer has not come yet, with the places that they lead to.
    submitted: Vec<(u64, Vec<(String, Place)>)>,
    /// Where each payload may be: the last place that was acknowledged, and later ones.
    places: BTreeMap<String, Vec<Place>>,
    acknowledged: BTreeSet<Place>,
    sessions: u64,
    crashes: u32,
    commits: u32,
}

impl Bank {
    fn new(seed: u64) -> Self {
        let mut rig = Rig::new();
        let queues = [rig.queue("a"), rig.queue("b")];
        let mut places = BTreeMap::new();
        for n in 0..PAYLOADS {
            let payload = format!("payload {n}");
            rig.send(queues[0], payload.as_bytes());
            places.insert(payload, vec![(queues[0], u64::from(n) + 1)]);
        }
        Self {
            rig,
            random: Random(seed),
            queues,
            open: Vec::new(),
            submitted: Vec::new(),
            places,
            acknowledged: BTreeSet::new(),
            sessions: 0,
            crashes: 0,
            commits: 0,
        }
    }

    fn step(&mut self) {
        match self.random.below(20) {
            0..=6 => self.begin(),
            7..=10 => self.commit(),
            11 => self.roll_back(),
            12..=15 => self.rig.flush(),
            16 => self.crash(),
            17 => {
                self.rig.flush();
                self.rig.work();
            }
            18 => self.rig.advance(1_000),
            _ => self.rig.core.hand_over(),
        }
        self.note_answers();
    }

    fn begin(&mut self) {
        let way = self.random.below(2) as usize;
        let (from, to) = (self.queues[way], self.queues[1 - way]);
        self.sessions += 1;
        let session = SessionId(self.sessions);
        let ticket = self.rig.receive_as(from, Lease::Claim(session), 0);
        let Some(result) = self.rig.take(ticket) else {
            // It waits for the frame's own record; nobody will have it.
            return self.rig.core.give_back(GiveBack { session, queues: vec![from] });
        };
        let mut moves = Vec::new();
        for delivery in rig::deliveries_of(&result) {
            let reserve = self.rig.submit(Command::Reserve(Reserve { queue: to, count: 1 }));
            let Reply::Reserved { first } = self.rig.reply(reserve) else { panic!() };
            moves.push((self.payload(&delivery), delivery.receipt.seq, first));
        }
        if !moves.is_empty() {
            self.open.push(Open { session, from, to, moves });
        }
    }

    fn payload(&mut self, delivery: &Delivery) -> String {
        String::from_utf8(self.rig.body(delivery).to_vec()).unwrap()
    }

    fn any_open(&mut self) -> Option<Open> {
        let count = self.open.len() as u64;
        (count > 0).then(|| self.open.swap_remove(self.random.below(count) as usize))
    }

    fn commit(&mut self) {
        let Some(open) = self.any_open() else { return };
        let now_ms = self.rig.now_ms;
        let messages = open.moves.iter().map(|(payload, _, seq)| {
            let content = kyu_broker::Content::of(payload.clone()).encode();
            let message = NewMessage::new(open.to, content);
            ReservedMessage { seq: *seq, ready_at_ms: now_ms, message }
        });
        let queue = QueueRef::Id(open.to);
        let enqueue = EnqueueReserved { queue, messages: messages.collect() };
        let items = open.moves.iter().map(|(_, seq, _)| (*seq, Fate::Removed)).collect();
        let (session, queue) = (open.session, QueueRef::Id(open.from));
        let conclude = Conclude { session, queue, items };
        let group = vec![Command::EnqueueReserved(enqueue), Command::Conclude(conclude)];
        let ticket = self.rig.submit(Command::Atomic(group));
        let mut led = Vec::new();
        for (payload, _, seq) in open.moves {
            self.places.get_mut(&payload).unwrap().push((open.to, seq));
            led.push((payload, (open.to, seq)));
        }
        self.submitted.push((ticket, led));
    }

    fn roll_back(&mut self) {
        if let Some(open) = self.any_open() {
            self.rig.core.give_back(GiveBack { session: open.session, queues: vec![open.from] });
        }
    }

    fn note_answers(&mut self) {
        let submitted = std::mem::take(&mut self.submitted);
        for (ticket, led) in submitted {
            let Some(result) = self.rig.take(ticket) else {
                self.submitted.push((ticket, led));
                continue;
            };
            let Ok(Response::Reply(Reply::Atomic(replies))) = result else { panic!("{result:?}") };
            assert_eq!(replies[1], Reply::Concluded { missing: Vec::new() }, "claims hold");
            self.commits += 1;
            for (payload, place) in led {
                assert!(self.acknowledged.insert(place), "{place:?} was given out twice");
                let places = self.places.get_mut(&payload).unwrap();
                let at = places.iter().position(|known| *known == place).unwrap();
                places.drain(..at);
            }
        }
    }

    fn crash(&mut self) {
        self.note_answers();
        self.rig.crash();
        self.crashes += 1;
        self.open.clear();
        self.submitted.clear();
        self.rig.flush();
        self.check();
    }

    fn browse(&mut self, queue: QueueId) -> Vec<Delivery> {
        let query =
            Query::Browse(Browse { queue, from: 0, max_messages: 1_000, only_ready: false });
        match self.rig.core.engine().query(&query) {
            Ok(Answer::Browsed { messages, next: None }) => messages,
            other => panic!("{other:?}"),
        }
    }

    /// Every payload is where it may be, and nowhere else; nothing is claimed.
    fn check(&mut self) {
        let mut found = BTreeMap::new();
        for queue in self.queues {
            for delivery in self.browse(queue) {
                let payload = self.payload(&delivery);
                let place = (queue, delivery.receipt.seq);
                assert!(self.places[&payload].contains(&place), "{payload} at {place:?}");
                assert_eq!(found.insert(payload, place), None, "a message is there twice");
            }
            assert_eq!(self.rig.stats(queue).in_flight, 0, "a claim outlived its session");
        }
        assert_eq!(found.len(), PAYLOADS as usize, "a message is lost");
        // What is on disk now stays, whether anybody was told or not.
        self.places = found.into_iter().map(|(payload, place)| (payload, vec![place])).collect();
    }
}

#[test]
fn messages_that_transactions_move_are_never_lost_doubled_or_left_claimed() {
    let (mut crashes, mut commits) = (0, 0);
    for seed in 0..40 {
        let mut bank = Bank::new(seed);
        for _ in 0..200 {
            bank.step();
        }
        bank.crash();
        crashes += bank.crashes;
        commits += bank.commits;
    }
    assert!(crashes > 100 && commits > 400, "{crashes} crashes, {commits} commits");
}
