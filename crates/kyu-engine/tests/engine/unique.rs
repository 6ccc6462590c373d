//! Unique jobs, and deduplication over long times.

use kyu_engine::*;

use crate::world::*;

const DAY_MS: u64 = 86_400_000;

pub(crate) fn unique(
    queue: QueueId,
    body: &str,
    scope: UniqueScope,
    policy: UniquePolicy,
) -> NewMessage {
    let unique = Unique { key: "key".into(), scope, policy };
    NewMessage { unique: Some(Box::new(unique)), ..message(queue, body) }
}

fn keep(queue: QueueId, body: &str, scope: UniqueScope) -> NewMessage {
    unique(queue, body, scope, UniquePolicy::Keep)
}

fn replace(queue: QueueId, body: &str) -> NewMessage {
    unique(queue, body, UniqueScope::UntilDone, UniquePolicy::Replace)
}

#[track_caller]
fn assert_duplicate(enqueued: Enqueued, of: Enqueued, why: DuplicateOf) {
    assert!(enqueued.duplicate);
    assert_eq!((enqueued.message_id, enqueued.duplicate_of), (of.message_id, Some(why)));
}

#[test]
fn until_it_is_done_a_job_keeps_others_out_and_each_is_told_of_which_and_why() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig::default());
    let first = w.send_message(keep(q, "1", UniqueScope::UntilDone));
    assert!(!first.duplicate);
    assert_duplicate(
        w.send_message(keep(q, "2", UniqueScope::UntilDone)),
        first,
        DuplicateOf::UniqueWaiting,
    );
    w.restart();
    let delivery = w.receive(q, 1).remove(0);
    assert_duplicate(
        w.send_message(keep(q, "3", UniqueScope::UntilDone)),
        first,
        DuplicateOf::UniqueInFlight,
    );
    w.advance(30_000);
    w.take_snapshot();
    w.restart();
    assert_duplicate(
        w.send_message(keep(q, "4", UniqueScope::UntilDone)),
        first,
        DuplicateOf::UniqueWaiting,
    );
    w.ack(&delivery);
    assert!(!w.send_message(keep(q, "5", UniqueScope::UntilDone)).duplicate);
    assert_eq!(w.receive_bodies(q, 10), ["5"]);
    w.restart();
}

#[test]
fn a_key_belongs_to_one_queue() {
    let mut w = World::new();
    let (a, b) = (w.queue("a", QueueConfig::default()), w.queue("b", QueueConfig::default()));
    w.send_message(keep(a, "1", UniqueScope::UntilDone));
    let both = NewMessage { queues: vec![a, b], ..keep(a, "2", UniqueScope::UntilDone) };
    w.send_message(both);
    assert_eq!((w.counts(a), w.counts(b)), ((1, 0, 0), (1, 0, 0)), "only where it is new");
    w.restart();
}

#[test]
fn for_a_time_a_key_outlives_its_message_over_restarts() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig { retention_ms: DAY_MS, ..QueueConfig::default() });
    let first = w.send_message(keep(q, "1", UniqueScope::For(30 * DAY_MS)));
    let delivery = w.receive(q, 1).remove(0);
    w.ack(&delivery);
    w.advance(29 * DAY_MS);
    w.take_snapshot();
    w.restart();
    assert_duplicate(
        w.send_message(keep(q, "2", UniqueScope::UntilDone)),
        first,
        DuplicateOf::UniqueDone,
    );
    w.advance(DAY_MS);
    assert!(!w.send_message(keep(q, "3", UniqueScope::For(1_000))).duplicate);
    w.advance(1_000);
    assert!(
        !w.send_message(keep(q, "4", UniqueScope::For(1_000))).duplicate,
        "the message is still there, but only time was asked for"
    );
    w.restart();
}

#[test]
fn until_done_and_for_a_time_is_until_both_are_over() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig::default());
    let both = UniqueScope::UntilDoneAndFor(60_000);
    let first = w.send_message(keep(q, "1", both));
    w.advance(120_000);
    w.restart();
    assert_duplicate(w.send_message(keep(q, "2", both)), first, DuplicateOf::UniqueWaiting);
    let delivery = w.receive(q, 1).remove(0);
    w.ack(&delivery);
    let second = w.send_message(keep(q, "3", both));
    assert!(!second.duplicate);
    let delivery = w.receive(q, 1).remove(0);
    w.ack(&delivery);
    assert_duplicate(w.send_message(keep(q, "4", both)), second, DuplicateOf::UniqueDone);
}

#[test]
fn a_waiting_job_is_replaced_in_its_place() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig::default());
    w.send(q, "before");
    let old = w.send_message(replace(q, "old"));
    w.send(q, "after");
    let new = w.send_message(replace(q, "new"));
    assert_eq!((new.duplicate, new.replaced), (false, Some(old.message_id)));
    w.restart();
    let newest = w.send_message(replace(q, "newest"));
    assert_eq!(newest.replaced, Some(new.message_id));
    w.take_snapshot();
    w.restart();
    assert_eq!(w.receive_bodies(q, 10), ["before", "newest", "after"]);
    assert_duplicate(w.send_message(replace(q, "too late")), newest, DuplicateOf::UniqueInFlight);
}

#[test]
fn a_delayed_job_is_put_off_by_the_next_one() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig::default());
    for body in ["1", "2", "3"] {
        w.send_message(NewMessage { delay_ms: Some(5_000), ..replace(q, body) });
        w.advance(4_000);
    }
    assert_eq!(w.counts(q), (0, 1, 0));
    w.advance(1_000);
    w.restart();
    assert_eq!(w.receive_bodies(q, 10), ["3"]);
}

#[test]
fn in_a_group_of_its_lane_the_replacement_stands_where_the_old_one_stood() {
    let mut w = World::new();
    let q = w.queue("q", fifo());
    let in_a = |message| NewMessage { lane: Some("a".into()), ..message };
    w.send_message(in_a(message(q, "1")));
    w.send_message(in_a(replace(q, "old")));
    w.send_message(in_a(message(q, "3")));
    w.send_message(in_a(replace(q, "new")));
    w.restart();
    assert_eq!(w.receive_bodies(q, 10), ["1", "new", "3"]);
}

#[test]
fn within_one_command_a_key_counts_as_well() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig::default());
    let send = |w: &mut World, messages| match w.run(Command::Enqueue(Enqueue { messages })) {
        Reply::Enqueued(results) => {
            results.into_iter().map(Result::unwrap).collect::<Vec<Enqueued>>()
        }
        other => panic!("{other:?}"),
    };
    let scope = UniqueScope::UntilDone;
    let kept = send(&mut w, vec![keep(q, "1", scope), keep(q, "2", scope)]);
    assert_duplicate(kept[1], kept[0], DuplicateOf::UniqueWaiting);
    let replaced = send(&mut w, vec![replace(q, "3"), replace(q, "4")]);
    assert_eq!(replaced[0].replaced, Some(kept[0].message_id));
    assert_eq!(replaced[1].replaced, Some(replaced[0].message_id));
    w.restart();
    assert_eq!(w.receive_bodies(q, 10), ["4"]);
}

#[test]
fn a_full_queue_takes_a_replacement() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig { max_messages: Some(1), ..QueueConfig::default() });
    w.send_message(replace(q, "old"));
    w.send_message(replace(q, "new"));
    let refused = w.run(Command::Enqueue(Enqueue { messages: vec![message(q, "other")] }));
    assert_eq!(refused, Reply::Enqueued(vec![Err(EnqueueRefusal::QueueFull(q))]));
    assert_eq!(w.receive_bodies(q, 10), ["new"]);
    w.restart();
}

#[test]
fn a_dead_letter_frees_its_key_and_takes_none_when_it_comes_back() {
    let mut w = World::new();
    let rule = DeadLetter { target: queue_name("dead"), max_receives: 1 };
    let dead = w.queue("dead", QueueConfig::default());
    let q = w.queue("q", QueueConfig { dead_letter: Some(rule), ..QueueConfig::default() });
    w.send_message(keep(q, "1", UniqueScope::UntilDone));
    w.receive(q, 1);
    w.advance(30_000);
    assert_eq!(w.receive_bodies(q, 1), Vec::<String>::new());
    assert_eq!(w.counts(dead), (1, 0, 0));
    let second = w.send_message(keep(q, "2", UniqueScope::UntilDone));
    assert!(!second.duplicate);
    let back = StartMoveTask { source: dead, destination: None, max_per_second: None };
    w.run(Command::StartMoveTask(back));
    w.advance(1);
    w.restart();
    assert_eq!(w.counts(q), (2, 0, 0));
    let delivery = w.receive(q, 1).remove(0);
    assert_eq!(w.body(&delivery), "2");
    w.ack(&delivery);
    assert!(!w.send_message(keep(q, "3", UniqueScope::UntilDone)).duplicate);
    w.restart();
}

#[test]
fn expiry_and_purge_free_keys() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig::default());
    let scope = UniqueScope::UntilDone;
    let expires_at_ms = Some(w.now_ms + 10);
    w.send_message(NewMessage { expires_at_ms, ..keep(q, "1", scope) });
    w.advance(10);
    assert!(!w.send_message(keep(q, "2", UniqueScope::UntilDoneAndFor(DAY_MS))).duplicate);
    w.run(Command::PurgeQueue(PurgeQueue { queue: q, cooldown_ms: 0 }));
    assert!(!w.send_message(keep(q, "3", scope)).duplicate);
    w.restart();
}

#[test]
fn a_refused_group_gives_keys_back_as_they_were() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig::default());
    let first = w.send_message(replace(q, "first"));
    let stale = Receipt { queue: q, seq: 999, delivery: 1, epoch: 1 };
    let group = Command::Atomic(vec![
        Command::Enqueue(Enqueue { messages: vec![replace(q, "second")] }),
        acquire(q, 1, Lease::QueueDefault),
        Command::Settle(Settle { queue: q, items: vec![(stale, Outcome::Ack)] }),
    ]);
    let digest = w.engine.digest();
    assert!(w.try_run(group).is_err());
    assert_eq!(w.engine.digest(), digest);
    let third = w.send_message(replace(q, "third"));
    assert_eq!(third.replaced, Some(first.message_id));
    let delivery = w.receive(q, 1).remove(0);
    let group = Command::Atomic(vec![
        Command::Settle(Settle { queue: q, items: vec![(delivery.receipt, Outcome::Ack)] }),
        Command::Enqueue(Enqueue { messages: vec![replace(q, "fourth")] }),
    ]);
    let Reply::Atomic(replies) = w.run(group) else { panic!() };
    let Reply::Enqueued(results) = &replies[1] else { panic!() };
    assert_eq!(results[0].unwrap().replaced, None, "the group sees its own acknowledgement");
    w.restart();
}

#[test]
fn a_key_out_of_bounds_is_refused() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig::default());
    let mut refused = |key: &str, scope| {
        let unique = Some(Unique { key: key.into(), scope, policy: UniquePolicy::Keep });
        let messages = vec![NewMessage { unique: unique.map(Box::new), ..message(q, "x") }];
        match w.run(Command::Enqueue(Enqueue { messages })) {
            Reply::Enqueued(results) => results[0] == Err(EnqueueRefusal::Malformed),
            other => panic!("{other:?}"),
        }
    };
    assert!(refused("", UniqueScope::UntilDone));
    assert!(refused(&"k".repeat(limits::MAX_KEY_BYTES + 1), UniqueScope::UntilDone));
    assert!(refused("k", UniqueScope::For(limits::MAX_UNIQUE_MS + 1)));
    assert!(!refused("k", UniqueScope::For(limits::MAX_UNIQUE_MS)));
}

#[test]
fn deduplication_ids_are_remembered_for_thirty_days_if_the_queue_says_so() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig { dedup_window_ms: 30 * DAY_MS, ..QueueConfig::default() });
    let again = |body| NewMessage { dedup_id: Some("d".into()), ..message(q, body) };
    let first = w.send_message(again("1"));
    let delivery = w.receive(q, 1).remove(0);
    w.ack(&delivery);
    w.advance(30 * DAY_MS - 1);
    w.take_snapshot();
    w.restart();
    assert_duplicate(w.send_message(again("2")), first, DuplicateOf::DedupId);
    w.advance(1);
    assert!(!w.send_message(again("3")).duplicate);
    w.restart();
}
