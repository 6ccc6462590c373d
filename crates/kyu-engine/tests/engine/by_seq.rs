//! Messages named by their numbers, and what SQL transactions rely on.

use kyu_engine::*;

use crate::world::*;

const SESSION: SessionId = SessionId(77);

fn by_seq(w: &mut World, queue: QueueId, seqs: &[Seq], action: SeqAction) -> Vec<SeqResult> {
    match w.run(Command::BySeq(BySeq { queue, seqs: seqs.to_vec(), action })) {
        Reply::BySeq(results) => results,
        other => panic!("{other:?}"),
    }
}

fn done(results: &[SeqResult]) -> Vec<Seq> {
    let seqs = results.iter().filter_map(|result| match result {
        SeqResult::Done(delivery) => Some(delivery.receipt.seq),
        _ => None,
    });
    seqs.collect()
}

fn reserve(w: &mut World, queue: QueueId, count: u32) -> Seq {
    match w.run(Command::Reserve(Reserve { queue, count })) {
        Reply::Reserved { first } => first,
        other => panic!("{other:?}"),
    }
}

fn reserved(w: &World, queue: QueueId, seq: Seq, body: &str) -> Command {
    let message = ReservedMessage { seq, ready_at_ms: w.now_ms, message: message(queue, body) };
    Command::EnqueueReserved(EnqueueReserved {
        queue: QueueRef::Id(queue),
        messages: vec![message],
    })
}

fn conclude(queue: QueueId, items: Vec<(Seq, Fate)>) -> Command {
    Command::Conclude(Conclude { session: SESSION, queue: QueueRef::Id(queue), items })
}

fn browse(w: &World, queue: QueueId) -> Vec<Delivery> {
    let query = Query::Browse(Browse { queue, from: 0, max_messages: 1_000, only_ready: false });
    match w.engine.query(&query).unwrap() {
        Answer::Browsed { messages, next: None } => messages,
        other => panic!("{other:?}"),
    }
}

fn archive_of(w: &mut World, name: &str) -> QueueId {
    let name = archive_name(&queue_name(name));
    let config = Box::new(QueueConfig { retention_ms: FOREVER, ..QueueConfig::default() });
    match w.run(Command::CreateQueue(CreateQueue { name, config, name_reuse_wait_ms: 0 })) {
        Reply::QueueCreated(info) => info.id,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_reserved_number_is_never_given_out_again() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig::default());
    assert_eq!(reserve(&mut w, q, 2), 1);
    w.restart();
    assert_eq!(w.send(q, "three").seq, 3);
    w.take_snapshot();
    w.advance(5);
    let late = reserved(&w, q, 1, "one");
    w.run(late.clone());
    assert!(w.try_run(late).is_err(), "a number is used once");
    w.restart();
    assert_eq!(w.stats(q).last_seq, 3);
    assert_eq!(w.receive_bodies(q, 10), ["one", "three"], "the order is that of the numbers");
    w.restart();
}

#[test]
fn ages_are_right_though_a_smaller_number_came_later() {
    let mut w = World::new();
    let q = w.queue("q", sqs());
    let (first, start) = (reserve(&mut w, q, 1), w.now_ms);
    w.send(q, "two");
    w.advance(1_000);
    let late = reserved(&w, q, first, "one");
    w.run(late);
    let stats = w.stats(q);
    assert_eq!(stats.oldest_enqueued_at_ms, Some(start));
    assert_eq!(stats.newest_enqueued_at_ms, Some(start + 1_000));
    w.restart();
    w.advance(345_600_000 - 1_000);
    assert_eq!(w.counts(q), (1, 0, 0), "only the older one has expired");
}

#[test]
fn messages_are_removed_and_shown_in_whatever_phase_they_are() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig::default());
    for body in ["leased", "ready", "kept"] {
        w.send(q, body);
    }
    w.send_message(NewMessage { delay_ms: Some(5_000), ..message(q, "delayed") });
    let leased = w.receive(q, 1).remove(0);
    assert_eq!(done(&by_seq(&mut w, q, &[1, 2, 2, 9], SeqAction::Remove)), [1, 2]);
    assert_eq!(w.ack(&leased), Settled::Gone);
    let (now, later) = (w.now_ms, w.now_ms + 9_000);
    let shown = by_seq(&mut w, q, &[3], SeqAction::ShowAt(later));
    assert!(matches!(&shown[0], SeqResult::Done(d) if d.phase == Phase::Delayed(later)));
    by_seq(&mut w, q, &[4], SeqAction::ShowAt(now - 1));
    assert_eq!(w.counts(q), (1, 1, 0));
    w.restart();
    assert_eq!(w.receive_bodies(q, 9), ["delayed"]);
    // A leased message keeps its lease, and its receipt.
    by_seq(&mut w, q, &[4], SeqAction::ShowAt(later));
    assert_eq!(w.counts(q), (0, 1, 1));
    w.advance(9_000);
    assert_eq!(w.counts(q), (2, 0, 0));
    let stale = by_seq(&mut w, q, &[4], SeqAction::RemoveIfReceived(2));
    assert_eq!(stale, [SeqResult::Missing]);
    assert_eq!(done(&by_seq(&mut w, q, &[4], SeqAction::RemoveIfReceived(1))), [4]);
}

#[test]
fn only_ready_messages_are_leased_by_number() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig::default());
    for body in ["one", "two", "three"] {
        w.send(q, body);
    }
    w.receive(q, 1);
    let results = by_seq(&mut w, q, &[1, 3], SeqAction::Acquire(Lease::For(1_000)));
    assert_eq!(done(&results), [3]);
    let SeqResult::Done(delivery) = &results[1] else { panic!() };
    assert_eq!((delivery.receive_count, w.body(delivery)), (1, "three".into()));
    w.restart();
    assert_eq!(w.counts(q), (1, 0, 2));
    assert_eq!(w.ack(delivery), Settled::Done);
}

#[test]
fn a_message_that_was_received_too_often_is_not_leased_by_number() {
    let mut w = World::new();
    let dead = w.queue("dead", QueueConfig::default());
    let rule = DeadLetter { target: queue_name("dead"), max_receives: 1 };
    let q = w.queue("q", QueueConfig { dead_letter: Some(rule), ..QueueConfig::default() });
    w.send(q, "one");
    assert_eq!(done(&by_seq(&mut w, q, &[1], SeqAction::Acquire(Lease::For(0)))), [1]);
    let again = by_seq(&mut w, q, &[1], SeqAction::Acquire(Lease::For(0)));
    assert_eq!(again, [SeqResult::Missing]);
    w.restart();
    assert_eq!((w.counts(q), w.counts(dead)), ((0, 0, 0), (1, 0, 0)));
}

#[test]
fn a_message_that_is_taken_is_gone() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig::default());
    w.send(q, "one");
    let Reply::Acquired(taken) = w.run(acquire(q, 5, Lease::Take)) else { panic!() };
    assert_eq!(w.body(&taken[0]), "one");
    w.restart();
    assert_eq!(w.counts(q), (0, 0, 0));
}

#[test]
fn where_a_message_is_claimed_others_do_all_or_nothing_and_claims_stop_before_it() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig::default());
    let archive = w.queue("archive", QueueConfig::default());
    for body in ["1", "2", "3", "4"] {
        w.send(q, body);
    }
    by_seq(&mut w, q, &[2], SeqAction::Claim(SESSION));
    let busy = SeqResult::Busy(SESSION);
    let before = browse(&w, q);
    for action in [SeqAction::Remove, SeqAction::ShowAt(0), SeqAction::Archive { to: archive }] {
        let results = by_seq(&mut w, q, &[1, 9, 2, 3], action);
        assert_eq!(results, [busy.clone(), busy.clone(), busy.clone(), busy.clone()]);
        assert_eq!(browse(&w, q), before, "{action:?} did nothing");
    }
    let remove = |seqs: &[u64]| {
        Command::BySeq(BySeq { queue: q, seqs: seqs.to_vec(), action: SeqAction::Remove })
    };
    let refused = w.try_run(Command::Atomic(vec![remove(&[1]), remove(&[2])]));
    assert!(matches!(refused, Err(Refusal::Atomic { at: 1, .. })), "{refused:?}");
    assert_eq!(browse(&w, q), before);
    let fenced = by_seq(&mut w, q, &[1, 2], SeqAction::RemoveIfReceived(5));
    assert_eq!(fenced, [SeqResult::Missing, SeqResult::Missing], "nothing to wait for");
    // A session that waits for the second message must not lock the fourth.
    let other = SessionId(8);
    let again = by_seq(&mut w, q, &[2], SeqAction::Claim(SESSION));
    assert!(matches!(&again[..], [SeqResult::Done(d)] if d.phase == Phase::Ready), "has it");
    let results = by_seq(&mut w, q, &[1, 2, 4], SeqAction::Claim(other));
    assert_eq!((done(&results), &results[1..]), (vec![1], &[busy.clone(), busy][..]));
    assert_eq!(w.receive_bodies(q, 9), ["3", "4"], "passes over what is claimed");
}

#[test]
fn a_claim_hides_and_leaves_no_trace_when_it_is_given_back() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig::default());
    for body in ["ready", "leased", "next"] {
        w.send(q, body);
    }
    let seconds = w.receive(q, 2);
    w.run(Command::Settle(Settle {
        queue: q,
        items: vec![(
            seconds[0].receipt,
            Outcome::Release { to_tail: false, delay_ms: 0, counted: true },
        )],
    }));
    w.take_snapshot();
    let before = browse(&w, q);
    let Reply::Acquired(claimed) = w.run(acquire(q, 1, Lease::Claim(SESSION))) else { panic!() };
    assert_eq!(w.body(&claimed[0]), "ready");
    let by_number = by_seq(&mut w, q, &[2], SeqAction::Claim(SESSION));
    assert_eq!(done(&by_number), [2]);
    assert_eq!(by_seq(&mut w, q, &[1], SeqAction::Remove), [SeqResult::Busy(SESSION)]);
    assert_eq!(browse(&w, q), before, "others see it as it was");
    w.restart();
    w.take_snapshot();
    w.restart();
    assert_eq!(w.receive_bodies(q, 5), ["next"]);
    let Reply::GivenBack { messages: 2 } =
        w.run(Command::GiveBack(GiveBack { session: SESSION, queues: vec![q] }))
    else {
        panic!()
    };
    w.restart();
    assert_eq!(browse(&w, q)[..2], before[..2], "count and times are as before");
    assert_eq!(w.ack(&seconds[1]), Settled::Done, "the older receipt still counts");
}

#[test]
fn a_crash_gives_claims_back() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig::default());
    w.send(q, "one");
    let before = browse(&w, q);
    w.run(acquire(q, 1, Lease::Claim(SESSION)));
    w.restart();
    assert_eq!(w.engine.sessions(), [SESSION]);
    w.run(Command::EndSession(EndSession { session: SESSION }));
    assert_eq!(browse(&w, q), before);
    w.restart();
}

#[test]
fn an_abandoned_claim_leaves_no_trace() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig::default());
    w.send(q, "one");
    w.receive(q, 1);
    w.advance(30_000);
    let before = browse(&w, q);
    let Reply::Acquired(claimed) = w.run(acquire(q, 1, Lease::Claim(SESSION))) else { panic!() };
    let back = Outcome::Release { to_tail: false, delay_ms: 0, counted: false };
    assert_eq!(w.settle(claimed[0].receipt, back), Settled::Done);
    assert_eq!(browse(&w, q), before);
}

#[test]
fn a_commit_is_one_record_and_says_what_became_of_each_message() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig::default());
    let archive = archive_of(&mut w, "q");
    for body in ["read", "deleted", "archived", "untouched", "moved"] {
        w.send(q, body);
    }
    w.run(acquire(q, 5, Lease::Claim(SESSION)));
    let (seq, now) = (reserve(&mut w, q, 1), w.now_ms);
    let records = w.log.len();
    let received = |ready_at_ms| Fate::Received { times: 1, at_ms: now, ready_at_ms };
    let group = vec![
        reserved(&w, q, seq, "sent and read"),
        conclude(
            q,
            vec![
                (1, received(now + 30_000)),
                (2, Fate::Removed),
                (3, Fate::Archived { times: 1, at_ms: now }),
                (4, Fate::Untouched),
                (5, Fate::Received { times: 0, at_ms: 0, ready_at_ms: now + 10 }),
                (seq, received(now)),
                (99, Fate::Removed),
            ],
        ),
    ];
    let Reply::Atomic(replies) = w.run(Command::Atomic(group)) else { panic!() };
    assert_eq!(replies[1], Reply::Concluded { missing: vec![99] });
    assert_eq!(w.log.len(), records + 1);
    w.restart();
    let left: Vec<_> =
        browse(&w, q).iter().map(|d| (d.receipt.seq, d.receive_count, d.phase)).collect();
    assert_eq!(
        left,
        [
            (1, 1, Phase::Leased(now + 30_000)),
            (4, 0, Phase::Ready),
            (5, 0, Phase::Delayed(now + 10)),
            (6, 1, Phase::Ready),
        ]
    );
    let archived = browse(&w, archive);
    assert_eq!(w.body(&archived[0]), "archived");
    assert_eq!(archived[0].receipt.seq, 3);
    assert_eq!((archived[0].receive_count, archived[0].phase), (1, Phase::Archived(now)));
    assert_eq!(w.stats(archive).archived, 1);
    w.take_snapshot();
    w.advance(700_000_000);
    assert_eq!(w.stats(archive).archived, 1, "an archive keeps for ever");
    w.restart();
}

#[test]
fn archived_messages_keep_their_numbers_and_are_never_delivered() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig::default());
    let archive = archive_of(&mut w, "q");
    w.send(q, "one");
    w.send(q, "two");
    assert_eq!(done(&by_seq(&mut w, q, &[2, 1, 7], SeqAction::Archive { to: archive })), [2, 1]);
    assert_eq!(w.counts(q), (0, 0, 0));
    assert_eq!(w.counts(archive), (0, 0, 0));
    let none: [String; 0] = [];
    assert_eq!(w.receive_bodies(archive, 5), none);
    w.restart();
    let seqs: Vec<_> = browse(&w, archive).iter().map(|d| d.receipt.seq).collect();
    assert_eq!(seqs, [1, 2]);
    w.run(Command::DeleteQueue(DeleteQueue { queue: archive }));
    w.restart();
}

#[test]
fn queues_made_emptied_and_deleted_in_a_group_that_is_refused_are_as_before() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig::default());
    let other = w.queue("other", QueueConfig::default());
    for queue in [q, other] {
        w.send(queue, "one");
    }
    w.receive(q, 1);
    w.engine.take_directory_changes();
    let digest = w.engine.digest();
    let name = queue_name("q");
    let create = CreateQueue { name: name.clone(), config: Box::default(), name_reuse_wait_ms: 0 };
    let at = ReservedMessage { seq: 1, ready_at_ms: 0, message: message(q, "new") };
    let enqueue = EnqueueReserved { queue: QueueRef::Name(name), messages: vec![at] };
    let mut config = Box::new(QueueConfig::default());
    config.tags.insert("k".into(), "v".into());
    let group = vec![
        Command::ConfigureQueue(ConfigureQueue { queue: other, config, expected_version: 1 }),
        Command::PurgeQueue(PurgeQueue { queue: other, cooldown_ms: 0 }),
        Command::DeleteQueue(DeleteQueue { queue: q }),
        Command::CreateQueue(create),
        Command::EnqueueReserved(enqueue),
    ];
    let mut refused = group.clone();
    refused.push(Command::DeleteQueue(DeleteQueue { queue: q }));
    assert!(w.try_run(Command::Atomic(refused)).is_err());
    assert_eq!(w.engine.digest(), digest);
    assert!(w.engine.take_directory_changes().is_empty());
    w.restart();
    w.engine.take_directory_changes();
    w.run(Command::Atomic(group));
    assert_eq!(w.engine.take_directory_changes().len(), 3);
    w.restart();
    let (new, found) = w.engine.queues().map(|q| (q.id, q.name.name.clone())).last().unwrap();
    assert_eq!(found, "q");
    assert_eq!(w.receive_bodies(new, 5), ["new"]);
    assert_eq!(w.counts(other), (0, 0, 0));
}

#[test]
fn a_browse_goes_page_by_page() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig::default());
    for _ in 0..5_000 {
        w.send(q, "x");
    }
    w.receive(q, 10);
    let page = |from, max_messages, only_ready| {
        let query = Query::Browse(Browse { queue: q, from, max_messages, only_ready });
        match w.engine.query(&query).unwrap() {
            Answer::Browsed { messages, next } => (messages.len(), next),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(page(0, 10, false), (10, Some(11)));
    assert_eq!(page(0, 10, true), (10, Some(21)));
    assert_eq!(page(4_995, 10, false), (6, None));
    assert_eq!(page(9_999, 10, false), (0, None));
}
