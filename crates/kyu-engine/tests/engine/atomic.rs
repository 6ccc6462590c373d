//! Atomic groups: all or nothing, with read-your-writes.

use std::collections::BTreeMap;

use kyu_engine::*;

use crate::world::*;

fn enqueue(message: NewMessage) -> Command {
    Command::Enqueue(Enqueue { messages: vec![message] })
}

fn ack(receipt: Receipt) -> Command {
    Command::Settle(Settle { queue: receipt.queue, items: vec![(receipt, Outcome::Ack)] })
}

#[test]
fn an_acknowledgement_and_what_follows_from_it_are_one_record() {
    let mut w = World::new();
    let (jobs, results) = (w.queue("jobs", QueueConfig::default()), w.queue("out", fifo()));
    w.send(jobs, "job");
    let job = w.receive(jobs, 1).remove(0);
    let records = w.log.len();
    w.run(Command::Atomic(vec![ack(job.receipt), enqueue(in_lane(results, "l", "result"))]));
    assert_eq!(w.log.len(), records + 1);
    w.restart();
    assert_eq!(w.counts(jobs), (0, 0, 0));
    assert_eq!(w.receive_bodies(results, 1), ["result"]);
}

#[test]
fn a_group_reads_its_own_writes() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig::default());
    let reply = w.run(Command::Atomic(vec![
        enqueue(message(q, "new")),
        acquire(q, 10, Lease::QueueDefault),
    ]));
    let Reply::Atomic(replies) = reply else { panic!() };
    let Reply::Acquired(deliveries) = &replies[1] else { panic!() };
    assert_eq!(w.body(&deliveries[0]), "new", "its frame has its place in the log");
    assert_eq!(w.counts(q), (0, 0, 1));
    w.restart();
    assert_eq!(w.ack(&deliveries[0].clone()), Settled::Done);
}

#[test]
fn one_refusal_undoes_all() {
    let mut w = World::new();
    let rule = DeadLetter { target: queue_name("dead"), max_receives: 1 };
    let dead = w.queue("dead", fifo());
    let q = w.queue("q", QueueConfig { dead_letter: Some(rule), ..fifo() });
    w.send_message(in_lane(q, "a", "one"));
    let stale = w.receive(q, 1).remove(0);
    w.advance(30_000);
    w.send_message(in_lane(q, "b", "two"));
    let group = vec![
        enqueue(NewMessage { dedup_id: Some("d".into()), ..in_lane(q, "new lane", "three") }),
        acquire(q, 10, Lease::QueueDefault),
        ack(stale.receipt),
    ];
    let digest = w.engine.digest();
    let refusal = w.try_run(Command::Atomic(group)).unwrap_err();
    assert!(matches!(refusal, Refusal::Atomic { at: 2, refusal: None }));
    assert_eq!(w.engine.digest(), digest);
    assert_eq!((w.counts(q), w.counts(dead)), ((2, 0, 0), (0, 0, 0)));
    assert_eq!(w.receive_bodies(q, 10), ["two"], "message one is dead-lettered only now");
    w.restart();
}

#[test]
fn a_group_may_not_stand_in_a_group() {
    let mut w = World::new();
    let group = vec![Command::Atomic(vec![])];
    assert_eq!(w.try_run(Command::Atomic(group)), Err(Refusal::NotInAtomic));
}

/// Before, a third of the commands could stand in a group: a deployment that made a topic, bound a
/// queue and set up its schedule could stop half-way.
#[test]
fn a_whole_set_up_is_one_record_or_nothing() {
    let mut w = World::new();
    let jobs = w.queue("jobs", QueueConfig::default());
    let commands = || {
        let (name, exchange) = (queue_name("orders"), queue_name("orders"));
        let config = BindingConfig {
            protocol: "queue".into(),
            address: "jobs".into(),
            target: queue_name("jobs"),
            matcher: Matcher::Everything,
            bare: false,
            active: true,
            dead_letter: None,
            attributes: BTreeMap::new(),
        };
        let template = MessageTemplate {
            content: Content::of("run".to_owned()).encode(),
            size_bytes: 3,
            ..MessageTemplate::default()
        };
        let rule = ScheduleRule::Every { interval_ms: 60_000_000, anchor_ms: None };
        let schedule = CreateSchedule {
            name: queue_name("nightly"),
            config: ScheduleConfig::new(rule, ScheduleTarget::Queue(queue_name("jobs")), template),
            paused: false,
        };
        let pause = SetPaused { queue: jobs, lane: None, paused: true, until_ms: Some(1_500_000) };
        vec![
            Command::CreateExchange(CreateExchange { name, config: ExchangeConfig::default() }),
            Command::Bind(Bind { exchange, config }),
            Command::SetPaused(pause),
            Command::Schedule(ScheduleCommand::Create(Box::new(schedule))),
            Command::Schedule(ScheduleCommand::RunNow(queue_name("nightly"))),
            Command::Reserve(Reserve { queue: jobs, count: 3 }),
        ]
    };
    let mut refused = commands();
    refused.push(Command::DeleteExchange(DeleteExchange { exchange: queue_name("missing") }));
    let before = w.log.len();
    assert!(matches!(w.try_run(Command::Atomic(refused)), Err(Refusal::Atomic { at: 6, .. })));
    assert_eq!((w.log.len(), w.stats(jobs).ready, w.stats(jobs).paused), (before, 0, false));

    let Reply::Atomic(replies) = w.run(Command::Atomic(commands())) else { panic!() };
    assert_eq!((replies.len(), w.log.len()), (6, before + 1));
    let stats = w.stats(jobs);
    assert_eq!((stats.ready, stats.paused, stats.last_seq), (1, true, 4));
    w.advance(1_000_000);
    assert!(!w.stats(jobs).paused, "the pause ended by itself");
    w.restart();
}
