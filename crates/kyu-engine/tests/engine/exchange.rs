//! Exchanges: one publish to many queues.

use std::collections::BTreeMap;

use kyu_engine::*;

use crate::world::*;

fn exchange(w: &mut World, kind: QueueKind) -> QueueName {
    let config = ExchangeConfig { kind, ..ExchangeConfig::default() };
    w.run(Command::CreateExchange(CreateExchange { name: queue_name("topic"), config }));
    queue_name("topic")
}

fn binding(target: &str) -> BindingConfig {
    BindingConfig {
        protocol: "queue".into(),
        address: target.into(),
        target: queue_name(target),
        matcher: Matcher::Everything,
        bare: false,
        active: true,
        dead_letter: None,
        attributes: BTreeMap::new(),
    }
}

fn bind(w: &mut World, config: BindingConfig) -> BindingId {
    match w.run(Command::Bind(Bind { exchange: queue_name("topic"), config })) {
        Reply::Bound(info) => info.id,
        other => panic!("{other:?}"),
    }
}

fn publication(body: &str) -> Publication {
    Publication {
        content: Content::of(body.to_owned()).encode(),
        size_bytes: body.len() as u32,
        facts: Facts::default(),
        bare_allowed: true,
        lane: None,
        dedup_id: None,
        content_dedup_id: None,
    }
}

fn ordered(body: &str, dedup_id: &str) -> Publication {
    Publication { lane: Some("lane".into()), dedup_id: Some(dedup_id.into()), ..publication(body) }
}

fn publish_command(publication: Publication) -> Command {
    Command::Publish(Publish { exchange: queue_name("topic"), messages: vec![publication] })
}

fn publish(w: &mut World, publication: Publication) -> Published {
    match w.run(publish_command(publication)) {
        Reply::Published(results) => results[0].unwrap(),
        other => panic!("{other:?}"),
    }
}

fn wants(name: &str, text: &str) -> Filter {
    let conditions = vec![Condition::Is(Literal::Text(text.into()))];
    Filter { alternatives: vec![vec![Test { path: name.into(), conditions }]] }
}

#[test]
fn a_publish_to_a_hundred_queues_is_one_record_with_the_body_once() {
    let mut w = World::new();
    exchange(&mut w, QueueKind::Standard);
    let mut queues = Vec::new();
    for at in 0..100 {
        let name = format!("q{at}");
        queues.push(w.queue(&name, QueueConfig::default()));
        bind(&mut w, BindingConfig { bare: at % 2 == 0, ..binding(&name) });
    }
    w.take_snapshot();
    let records = w.log.len();
    let body = "x".repeat(2_000);
    let published = publish(&mut w, publication(&body));
    assert_eq!((published.queues, published.undeliverable), (100, 0));
    assert_eq!(w.log.len(), records + 1);
    assert!(w.log[records].1.len() < 8_000);
    w.restart();
    w.take_snapshot();
    w.restart();
    for (at, queue) in queues.into_iter().enumerate() {
        let delivery = w.receive(queue, 1).remove(0);
        assert_eq!(w.body(&delivery), body);
        assert_eq!(delivery.via.is_some(), at % 2 == 1);
        assert_eq!(w.frame(&delivery).message_id, published.message_id);
        w.ack(&delivery);
    }
    assert_eq!((0..50).map(|segment| w.engine.live_bytes(segment)).sum::<u64>(), 0);
    w.restart();
}

#[test]
fn a_full_target_refuses_the_publication_everywhere() {
    let mut w = World::new();
    exchange(&mut w, QueueKind::Standard);
    let full = QueueConfig { max_messages: Some(0), ..QueueConfig::default() };
    let (open, full) = (w.queue("open", QueueConfig::default()), w.queue("full", full));
    bind(&mut w, binding("open"));
    bind(&mut w, binding("full"));
    let reply = w.run(publish_command(publication("x")));
    assert_eq!(reply, Reply::Published(vec![Err(EnqueueRefusal::QueueFull(full))]));
    assert_eq!(w.counts(open), (0, 0, 0));
}

#[test]
fn matchers_choose_and_a_body_is_asked_for_only_when_needed() {
    let mut w = World::new();
    exchange(&mut w, QueueKind::Standard);
    let (a, b) = (w.queue("a", QueueConfig::default()), w.queue("b", QueueConfig::default()));
    bind(&mut w, BindingConfig { matcher: Matcher::Attributes(wants("k", "v")), ..binding("a") });
    let attributes = BTreeMap::from([("k".to_owned(), vec![Value::Text("v".into())])]);
    let facts = Facts { attributes: attributes.clone(), ..Facts::default() };
    assert_eq!(publish(&mut w, Publication { facts, ..publication("one") }).queues, 1);
    assert_eq!(publish(&mut w, publication("two")).queues, 0);

    let second = bind(
        &mut w,
        BindingConfig { matcher: Matcher::Body(wants("k", "v")), active: false, ..binding("b") },
    );
    publish(&mut w, publication("not active: not asked"));
    let config = BindingConfig { matcher: Matcher::Body(wants("k", "v")), ..binding("b") };
    let rebind = |expected_version| {
        let config = config.clone();
        Command::ConfigureBinding(ConfigureBinding { binding: second, config, expected_version })
    };
    assert_eq!(w.try_run(rebind(9)), Err(Refusal::VersionConflict));
    w.run(rebind(1));
    w.restart();
    let refused = w.try_run(publish_command(publication("x")));
    assert_eq!(refused, Err(Refusal::BodyFactsRequired));
    let facts = Facts { body: BodyFacts::Document(attributes.into()), ..Facts::default() };
    assert_eq!(publish(&mut w, Publication { facts, ..publication("three") }).queues, 1);
    let facts = Facts { body: BodyFacts::Opaque, ..Facts::default() };
    assert_eq!(publish(&mut w, Publication { facts, ..publication("four") }).queues, 0);
    assert_eq!(w.receive_bodies(a, 10), ["one"]);
    assert_eq!(w.receive_bodies(b, 10), ["three"]);
}

#[test]
fn what_has_no_queue_goes_to_the_dead_letter_queue_and_still_says_how_it_came() {
    let mut w = World::new();
    exchange(&mut w, QueueKind::Standard);
    let dead = w.queue("dead", QueueConfig::default());
    let dead_letter = Some(queue_name("dead"));
    let wrapped = bind(&mut w, BindingConfig { dead_letter, ..binding("gone") });
    bind(&mut w, binding("lost"));
    let published = publish(&mut w, publication("x"));
    assert_eq!((published.queues, published.undeliverable), (1, 1));
    w.restart();
    let delivery = w.receive(dead, 1).remove(0);
    assert_eq!(delivery.via, Some(wrapped));
    w.queue("gone", QueueConfig::default());
    publish(&mut w, publication("y"));
    assert_eq!(w.receive(dead, 1), [], "the queue is back");
}

#[test]
fn an_ordered_exchange_numbers_and_deduplicates() {
    let mut w = World::new();
    exchange(&mut w, QueueKind::Fifo);
    let (ordered_queue, standard) =
        (w.queue("q.fifo", fifo()), w.queue("q", QueueConfig::default()));
    bind(&mut w, binding("q.fifo"));
    bind(&mut w, binding("q"));
    let first = publish(&mut w, ordered("one", "a"));
    assert_eq!((first.sequence, first.queues), (Some(1), 2));
    w.restart();
    w.take_snapshot();
    w.restart();
    w.advance(299_999);
    let again = publish(&mut w, ordered("one again", "a"));
    assert_eq!((again.message_id, again.sequence), (first.message_id, Some(1)));
    assert!(again.duplicate);
    let second = publish(&mut w, ordered("two", "b"));
    assert_eq!(second.sequence, Some(2));
    w.advance(1);
    assert_eq!(publish(&mut w, ordered("three", "a")).sequence, Some(3));
    w.restart();
    let deliveries = w.receive(ordered_queue, 10);
    let sequences: Vec<_> = deliveries
        .iter()
        .map(|d| w.frame(d).content().unwrap().property(Property::Sequence).unwrap().to_owned())
        .collect();
    assert_eq!(sequences, ["1", "2", "3"]);
    assert_eq!(w.receive_bodies(standard, 10), ["one", "two", "three"]);

    let refused = |w: &mut World, p| w.try_run(publish_command(p)).unwrap_err();
    assert_eq!(refused(&mut w, publication("x")), Refusal::LaneRequired);
    let no_id = Publication { dedup_id: None, ..ordered("x", "") };
    assert_eq!(refused(&mut w, no_id), Refusal::DedupIdRequired);
}

#[test]
fn acknowledge_and_publish_are_one_step_or_none() {
    let mut w = World::new();
    exchange(&mut w, QueueKind::Fifo);
    let (jobs, out) = (w.queue("jobs", QueueConfig::default()), w.queue("out", fifo()));
    bind(&mut w, binding("out"));
    w.send(jobs, "job");
    let job = w.receive(jobs, 1).remove(0);
    let ack =
        |receipt| Command::Settle(Settle { queue: jobs, items: vec![(receipt, Outcome::Ack)] });
    let stale = Receipt { seq: 99, ..job.receipt };
    let group = vec![publish_command(ordered("x", "a")), ack(stale)];
    assert!(matches!(w.try_run(Command::Atomic(group)), Err(Refusal::Atomic { at: 1, .. })));
    let group = vec![publish_command(ordered("x", "a")), ack(job.receipt)];
    w.run(Command::Atomic(group));
    w.restart();
    assert_eq!((w.counts(jobs), w.counts(out)), ((0, 0, 0), (1, 0, 0)));
}

#[test]
fn exchanges_and_bindings_are_listed_and_end() {
    let mut w = World::new();
    let name = exchange(&mut w, QueueKind::Standard);
    let create = CreateExchange { name: name.clone(), config: ExchangeConfig::default() };
    let refused = w.try_run(Command::CreateExchange(create));
    assert!(matches!(refused, Err(Refusal::ExchangeExists(info)) if info.name == name));
    let mut ids: Vec<BindingId> = (0..5).map(|at| bind(&mut w, binding(&at.to_string()))).collect();
    ids.sort();
    let again = Bind { exchange: name.clone(), config: binding("0") };
    assert!(matches!(w.try_run(Command::Bind(again)), Err(Refusal::BindingExists(_))));
    w.take_snapshot();
    w.run(Command::Unbind(Unbind { binding: ids[0] }));
    w.restart();
    let list = |w: &World, exchange, after| match w
        .engine
        .query(&Query::Bindings(ListBindings { exchange, after, max: 3 }))
        .unwrap()
    {
        Answer::Bindings(infos) => infos.iter().map(|info| info.id).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(list(&w, None, None), ids[1..4]);
    assert_eq!(list(&w, Some(name.clone()), Some(ids[3])), ids[4..]);
    let Answer::Exchange(_, stats) = w.engine.query(&Query::Exchange(name.clone())).unwrap() else {
        panic!()
    };
    assert_eq!(stats, ExchangeStats { active: 4, pending: 0, removed: 1 });
    w.run(Command::DeleteExchange(DeleteExchange { exchange: name.clone() }));
    w.restart();
    assert_eq!(list(&w, None, None), []);
    assert_eq!(w.engine.query(&Query::Exchange(name)), Err(Refusal::ExchangeNotFound));
    let listed =
        Query::Exchanges(ListExchanges { namespace: "000000000000".into(), after: None, max: 9 });
    assert_eq!(w.engine.query(&listed), Ok(Answer::Exchanges(vec![])));
}
