//! Random clients: what they ask for next. They know what the auditor knows, and nothing else.

use bytes::Bytes;
use kyu_broker::{
    Acquire, CancelMoveTask, Command, ConfigureQueue, CreateQueue, DeleteQueue, Directory,
    EndSession, Enqueue, Extend, Lease, NewMessage, Outcome, Publish, PurgeQueue, QueueId, Receipt,
    SessionId, SetPaused, Settle, StartMoveTask, Unbind, UnixMs,
};

use crate::audit::{Auditor, Taken, Wish};
use crate::cast::{LEAST_VISIBILITY_MS, Role};
use crate::content::content;
use crate::jobs::unique;
use crate::random::Random;
use crate::topics::{Colour, Topic};

/// Receipts that clients remember, old and stale ones included.
const MAX_RECEIPTS: usize = 60;
const LANES: u64 = 3;
const DEDUP_IDS: u64 = 5;
const SESSIONS: u64 = 3;
/// Deduplication ids that publications use again and again.
const TOPIC_IDS: u64 = 40;
const PASSING_QUEUES: u64 = 3;

/// The next action of a client.
pub(crate) enum Action {
    Ask(Box<Wish>),
    /// A client that waits at a queue goes away.
    Cancel(QueueId, u64),
}

/// The clients, and what they hold.
#[derive(Default)]
pub(crate) struct Clients {
    last_number: u64,
    receipts: Vec<Receipt>,
    lives: u64,
    /// The number of holders that have claimed in the ledger so far.
    pub(crate) holders: u64,
    pub(crate) stale_cursor: Option<u64>,
    /// True if clients send more than they receive, and large bodies.
    pub(crate) flood: bool,
    /// Long polls on their way.
    pub(crate) waiting: Vec<(QueueId, u64)>,
}

impl Clients {
    /// The server died: nobody waits any more; receipts stay.
    pub(crate) fn disconnected(&mut self) {
        self.waiting.clear();
        self.lives += 1;
    }

    /// A message has come into a client's hands.
    pub(crate) fn took(&mut self, taken: &[Taken], random: &mut Random) {
        for one in taken {
            if self.receipts.len() >= MAX_RECEIPTS {
                let oldest = random.below(self.receipts.len() as u64) as usize;
                self.receipts.swap_remove(oldest);
            }
            self.receipts.push(one.delivery.receipt);
        }
    }

    /// Chooses the next action; `None` when what was chosen needs something that is not there.
    pub(crate) fn next(
        &mut self,
        auditor: &Auditor,
        directory: &Directory,
        random: &mut Random,
    ) -> Option<Action> {
        let sends = if self.flood { [60, 40] } else { [30, 6] };
        let weights =
            [sends[0], sends[1], 4, 32, 30, 5, 6, 1, 2, 1, 1, 2, 2, 6, 3, 12, 1, 14, 6, 2];
        let command = match random.weighted(&weights) {
            0 => Command::Enqueue(Enqueue { messages: vec![self.message(auditor, random)?] }),
            1 => self.batch(auditor, random),
            2 => Command::Enqueue(Enqueue { messages: vec![self.fan_out(auditor, random)?] }),
            3 => return self.receive(auditor, random),
            4 => Command::Settle(self.settle(auditor, random)?),
            5 => Command::Extend(self.extend(random)?),
            6 => self.group(auditor, random)?,
            7 => {
                let queue = any_queue(auditor, random)?;
                if auditor.role(queue) == Role::Timed {
                    return None; // how many came to its receivers is to be counted
                }
                Command::PurgeQueue(PurgeQueue { queue, cooldown_ms: 0 })
            }
            8 => create(random),
            9 => {
                let queue =
                    auditor.queue_of(*random.pick(&[Role::Passing, Role::OrderedPassing])?)?;
                Command::DeleteQueue(DeleteQueue { queue })
            }
            10 => configure(auditor, directory, random)?,
            11 => {
                let session = self.session(random);
                Command::EndSession(EndSession { session })
            }
            12 => start_move(auditor, random)?,
            13 => Command::CancelMoveTask(CancelMoveTask { task: random.between(0, 12) }),
            17 => self.ledger(auditor, random)?,
            18 => Self::settle_timed(auditor, random)?,
            19 => Command::SetPaused(set_paused(auditor, random)?),
            15 => Command::Publish(self.publish(random)?),
            16 => {
                let topic = *random.pick(&Topic::ALL)?;
                match random.pick(&auditor.idle) {
                    Some(binding) if random.percent(50) => {
                        Command::Unbind(Unbind { binding: *binding })
                    }
                    _ => Command::Bind(topic.idle_binding(random.below(4))),
                }
            }
            _ => {
                let at = random.below(self.waiting.len() as u64) as usize;
                let (queue, ticket) = self.waiting.get(at).copied()?;
                self.waiting.swap_remove(at);
                return Some(Action::Cancel(queue, ticket));
            }
        };
        Some(Action::Ask(Box::new(Wish::Command(command))))
    }

    fn new_content(&mut self, random: &mut Random) -> Bytes {
        self.last_number += 1;
        let sizes = if self.flood { [20, 40, 40] } else { [70, 25, 5] };
        let len = match random.weighted(&sizes) {
            0 => random.between(8, 400),
            1 => random.between(400, 4_000),
            _ => random.between(4_000, 40_000),
        };
        content(self.last_number, len as usize)
    }

    fn message(&mut self, auditor: &Auditor, random: &mut Random) -> Option<NewMessage> {
        let roles = [
            Role::Plain,
            Role::Plain,
            Role::Lettered,
            Role::Lettered,
            Role::Ordered,
            Role::Ordered,
            Role::OrderedLettered,
            Role::Retried,
            Role::Retried,
            Role::Urgent,
            Role::Bounded,
            Role::Dropping,
            Role::Single,
            Role::Single,
            Role::Limited,
            Role::Limited,
            Role::Passing,
            Role::OrderedPassing,
        ];
        let role = *random.pick(&roles)?;
        let queue = auditor.queue_of(role)?;
        let mut message = self.plain_message(vec![queue], random);
        message.unique = (role == Role::Single).then(|| Box::new(unique(random)));
        if role.is_fifo() {
            message.lane = Some(lane(random));
            message.dedup_id = random.percent(30).then(|| random.below(DEDUP_IDS).to_string());
        } else {
            let laned = if role == Role::Limited { 90 } else { 30 };
            message.lane = random.percent(laned).then(|| lane(random));
            message.delay_ms = random.percent(20).then(|| random.between(1, 5_000));
            message.priority = if random.percent(20) { random.below(256) as u8 } else { 0 };
            let expires = match role {
                Role::Plain | Role::Passing => random.percent(10),
                Role::Urgent => random.percent(50),
                _ => false,
            };
            message.expires_at_ms = expires.then(|| auditor.now_ms + random.between(1_000, 20_000));
        }
        Some(message)
    }

    /// One publication or several, to an exchange.
    fn publish(&mut self, random: &mut Random) -> Option<Publish> {
        let topic = *random.pick(&Topic::ALL)?;
        let count = if random.percent(20) { random.between(2, 5) } else { 1 };
        let mut messages = Vec::new();
        for _ in 0..count {
            let content = self.new_content(random);
            let colour = *random.pick(&Colour::ALL)?;
            let ordered = topic == Topic::Ordered;
            let lane = (ordered || random.percent(30)).then(|| lane(random));
            // None that a send has: queues would know them, too.
            let dedup_id = ordered.then(|| match random.percent(40) {
                true => format!("again-{}", random.below(TOPIC_IDS)),
                false => format!("once-{}", self.last_number),
            });
            messages.push(topic.publication(content, colour, lane, dedup_id));
        }
        Some(Publish { exchange: topic.name(), messages })
    }

    pub(crate) fn plain_message(
        &mut self,
        queues: Vec<QueueId>,
        random: &mut Random,
    ) -> NewMessage {
        NewMessage {
            queues,
            content: self.new_content(random),
            delay_ms: None,
            expires_at_ms: None,
            priority: 0,
            lane: None,
            dedup_id: None,
            unique: None,
        }
    }

    /// One plain message to the queue of a role.
    pub(crate) fn send_to(
        &mut self,
        role: Role,
        auditor: &Auditor,
        random: &mut Random,
    ) -> Option<Command> {
        let queue = auditor.queue_of(role)?;
        let messages = vec![self.plain_message(vec![queue], random)];
        Some(Command::Enqueue(Enqueue { messages }))
    }

    fn batch(&mut self, auditor: &Auditor, random: &mut Random) -> Command {
        let count = random.between(2, 10);
        let messages = (0..count).filter_map(|_| self.message(auditor, random)).collect();
        Command::Enqueue(Enqueue { messages })
    }

    fn fan_out(&mut self, auditor: &Auditor, random: &mut Random) -> Option<NewMessage> {
        let roles =
            [Role::Plain, Role::Lettered, Role::Ordered, Role::OrderedLettered, Role::Bounded];
        let mut queues: Vec<QueueId> = roles
            .iter()
            .filter(|_| random.percent(50))
            .filter_map(|r| auditor.queue_of(*r))
            .collect();
        if queues.is_empty() {
            queues.push(auditor.queue_of(Role::Plain)?);
        }
        let mut message = self.plain_message(queues, random);
        message.lane = Some(lane(random));
        Some(message)
    }

    fn receive(&mut self, auditor: &Auditor, random: &mut Random) -> Option<Action> {
        let queue = any_queue(auditor, random)?;
        let fifo = auditor.role(queue).is_fifo();
        let mut acquire = acquire(queue, random);
        if fifo && random.percent(15) {
            acquire.attempt_id = Some(format!("try-{}", random.below(3)));
            acquire.lease = Lease::For(random.between(1_000, 10_000));
        } else if random.percent(12) {
            acquire.lease = Lease::Session(self.session(random));
        }
        let wait_ms = if random.percent(35) { random.between(1, 20_000) } else { 0 };
        Some(Action::Ask(Box::new(Wish::Receive { acquire, wait_ms })))
    }

    fn settle(&mut self, auditor: &Auditor, random: &mut Random) -> Option<Settle> {
        let first = self.any_receipt(random)?;
        let mut receipts = vec![first];
        for _ in 0..random.below(4) {
            let more = self.any_receipt(random)?;
            let new = receipts.iter().all(|r| r.seq != more.seq);
            if new && more.queue == first.queue {
                receipts.push(more);
            }
        }
        let fifo = auditor.role(first.queue).is_fifo();
        let items: Vec<_> =
            receipts.into_iter().map(|receipt| (receipt, outcome(fifo, random))).collect();
        if random.percent(80) {
            self.receipts.retain(|r| items.iter().all(|(done, _)| done != r));
        }
        Some(Settle { queue: first.queue, items })
    }

    fn extend(&mut self, random: &mut Random) -> Option<Extend> {
        let receipt = self.any_receipt(random)?;
        let run_ms = if random.percent(15) { 0 } else { random.between(500, 20_000) };
        Some(Extend { queue: receipt.queue, items: vec![(receipt, run_ms)] })
    }

    /// Acknowledge one message and send another, and receive what was sent, all or nothing.
    fn group(&mut self, auditor: &Auditor, random: &mut Random) -> Option<Command> {
        let message = self.message(auditor, random)?;
        let queue = *message.queues.first()?;
        let mut commands = if random.percent(30) {
            vec![Command::Publish(self.publish(random)?)]
        } else {
            vec![Command::Enqueue(Enqueue { messages: vec![message] })]
        };
        if random.percent(60) {
            commands.push(Command::Acquire(acquire(queue, random)));
        }
        if let (true, Some(receipt)) = (random.percent(60), self.any_receipt(random)) {
            let items = vec![(receipt, Outcome::Ack)];
            commands.push(Command::Settle(Settle { queue: receipt.queue, items }));
        }
        Some(Command::Atomic(commands))
    }

    /// A session of this life: identifiers do not come again after a restart.
    fn session(&self, random: &mut Random) -> SessionId {
        SessionId(self.lives * SESSIONS + random.below(SESSIONS))
    }

    fn any_receipt(&self, random: &mut Random) -> Option<Receipt> {
        random.pick(&self.receipts).copied()
    }
}

fn any_queue(auditor: &Auditor, random: &mut Random) -> Option<QueueId> {
    let mut roles = Role::LASTING.to_vec();
    roles.retain(|role| !role.is_table());
    roles.extend([
        Role::Passing,
        Role::OrderedPassing,
        Role::Lettered,
        Role::Ordered,
        Role::Retried,
    ]);
    roles.extend([Role::Limited; 2]);
    auditor.queue_of(*random.pick(&roles)?)
}

fn lane(random: &mut Random) -> String {
    format!("lane-{}", random.below(LANES))
}

fn acquire(queue: QueueId, random: &mut Random) -> Acquire {
    let lease = if random.percent(30) {
        Lease::QueueDefault
    } else {
        Lease::For(random.between(LEAST_VISIBILITY_MS, 15_000))
    };
    let max_messages = random.between(1, 10) as u32;
    let max_bytes = if random.percent(20) { 2_000 } else { u64::MAX };
    let consumer = random.percent(30).then(|| format!("consumer {}", random.below(3)));
    let acquire = Acquire::new(queue, max_messages);
    Acquire { lease, max_bytes, consumer, with_history: random.percent(70), ..acquire }
}

fn outcome(fifo: bool, random: &mut Random) -> Outcome {
    match random.weighted(&[60, 20, 10, 10]) {
        0 => Outcome::Ack,
        // In a FIFO queue a message goes back to its place, or order could not be checked.
        1 => Outcome::Release {
            to_tail: !fifo && random.percent(30),
            delay_ms: if !fifo && random.percent(40) { random.between(1, 4_000) } else { 0 },
            counted: random.percent(70),
        },
        2 => Outcome::Failed {
            error: format!("error {}", random.below(10)),
            delay_ms: (!fifo && random.percent(30)).then(|| random.below(3_000)),
            retry: random.percent(85),
        },
        _ => Outcome::Dead,
    }
}

fn create(random: &mut Random) -> Command {
    let role = if random.percent(50) { Role::Passing } else { Role::OrderedPassing };
    let name = role.name(random.below(PASSING_QUEUES));
    Command::CreateQueue(CreateQueue { name, config: role.config().into(), name_reuse_wait_ms: 0 })
}

fn configure(auditor: &Auditor, directory: &Directory, random: &mut Random) -> Option<Command> {
    let info = directory.by_id(auditor.queue_of(Role::Plain)?)?;
    let mut config = info.config.clone();
    let visibility_ms: UnixMs = random.between(LEAST_VISIBILITY_MS, 8_000);
    config.visibility_timeout_ms = visibility_ms;
    config.tags.insert("changed".into(), visibility_ms.to_string());
    let expected_version = info.version;
    Some(Command::ConfigureQueue(ConfigureQueue {
        queue: info.id,
        config: config.into(),
        expected_version,
    }))
}

fn set_paused(auditor: &Auditor, random: &mut Random) -> Option<SetPaused> {
    let queue = auditor.queue_of(Role::Limited)?;
    let lane = random.percent(70).then(|| lane(random));
    Some(SetPaused { queue, lane, paused: random.percent(40), until_ms: None })
}

/// Returns the commands that release everything that the queue with limits holds back.
pub(crate) fn lift_limits(auditor: &Auditor, directory: &Directory) -> Vec<Command> {
    let Some(info) = auditor.queue_of(Role::Limited).and_then(|id| directory.by_id(id)) else {
        return Vec::new();
    };
    let (queue, expected_version) = (info.id, info.version);
    let lanes = (0..LANES).map(|n| Some(format!("lane-{n}"))).chain([None]);
    let resume = lanes
        .map(|lane| Command::SetPaused(SetPaused { queue, lane, paused: false, until_ms: None }));
    let config = Role::Rescue.config().into();
    let configure = ConfigureQueue { queue, config, expected_version };
    resume.chain([Command::ConfigureQueue(configure)]).collect()
}

fn start_move(auditor: &Auditor, random: &mut Random) -> Option<Command> {
    let source = *random.pick(&[
        Role::Dead,
        Role::Dead,
        Role::OrderedDead,
        Role::RetriedDead,
        Role::UrgentDead,
        Role::Plain,
        Role::Single,
        Role::Ordered,
        Role::Bounded,
    ])?;
    let rescue = source == Role::Dead && random.percent(50);
    let destination = if rescue { auditor.queue_of(Role::Rescue) } else { None };
    let source = auditor.queue_of(source)?;
    let max_per_second = random.percent(50).then_some(2);
    Some(Command::StartMoveTask(StartMoveTask { source, destination, max_per_second }))
}
