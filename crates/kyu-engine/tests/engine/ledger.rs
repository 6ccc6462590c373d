//! The ledger: work that is done once, and records that are compared and set.

use bytes::Bytes;
use kyu_engine::*;

use crate::world::*;

pub(crate) fn ledger_key(key: &str) -> LedgerKey {
    LedgerKey { namespace: "000000000000".into(), key: key.into() }
}

pub(crate) fn claim(key: &str, input: &str, holder: &str) -> Command {
    Command::Ledger(LedgerCommand::Claim(LedgerClaim {
        key: ledger_key(key),
        fingerprint: Bytes::copy_from_slice(input.as_bytes()),
        lease_ms: 10_000,
        holder: holder.into(),
    }))
}

pub(crate) fn complete(key: &str, token: u64, result: &str) -> Command {
    let result = Bytes::copy_from_slice(result.as_bytes());
    let complete = LedgerComplete { key: ledger_key(key), token, result, keep_ms: 60_000 };
    Command::Ledger(LedgerCommand::Complete(complete))
}

fn release(key: &str, token: u64) -> Command {
    Command::Ledger(LedgerCommand::Release(LedgerRelease { key: ledger_key(key), token }))
}

pub(crate) fn put(key: &str, expected: Option<u64>, value: &str) -> Command {
    let value = Bytes::copy_from_slice(value.as_bytes());
    let put = LedgerPut { key: ledger_key(key), expected, value, keep_ms: None };
    Command::Ledger(LedgerCommand::Put(put))
}

pub(crate) fn claimed(w: &mut World, command: Command) -> Claimed {
    match w.run(command) {
        Reply::Ledger(LedgerReply::Claimed(claimed)) => claimed,
        other => panic!("{other:?}"),
    }
}

fn run_token(w: &mut World, command: Command) -> u64 {
    match claimed(w, command) {
        Claimed::Run { token, .. } => token,
        other => panic!("{other:?}"),
    }
}

fn refusal(w: &mut World, command: Command) -> LedgerRefusal {
    match w.try_run(command) {
        Err(Refusal::Ledger(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

fn version(w: &mut World, command: Command) -> u64 {
    match w.run(command) {
        Reply::Ledger(LedgerReply::Put { version }) => version,
        other => panic!("{other:?}"),
    }
}

fn entry(w: &World, key: &str) -> Option<LedgerEntry> {
    match w.engine.query(&Query::Ledger(LedgerQuery::Get(ledger_key(key)))).unwrap() {
        Answer::Ledger(LedgerAnswer::Entry(entry)) => entry,
        other => panic!("{other:?}"),
    }
}

#[test]
fn work_is_done_once_and_its_result_is_told_to_all_who_ask_later() {
    let mut w = World::new();
    let token = run_token(&mut w, claim("pay", "10 EUR", "a"));
    let held = Claimed::HeldBySomebodyElse { holder: "a".into(), until_ms: w.now_ms + 10_000 };
    assert_eq!(claimed(&mut w, claim("pay", "10 EUR", "b")), held);
    w.restart();
    assert_eq!(claimed(&mut w, claim("pay", "10 EUR", "b")), held);
    w.run(complete("pay", token, "receipt 7"));
    w.take_snapshot();
    w.restart();
    let done = Claimed::AlreadyDone {
        result: Bytes::from_static(b"receipt 7"),
        token,
        until_ms: w.now_ms + 60_000,
    };
    assert_eq!(claimed(&mut w, claim("pay", "10 EUR", "b")), done);
    w.advance(60_000);
    assert_eq!(entry(&w, "pay"), None, "forgotten in time, by the tick");
    assert!(matches!(claimed(&mut w, claim("pay", "10 EUR", "b")), Claimed::Run { .. }));
    w.restart();
}

#[test]
fn a_key_for_other_input_is_a_mistake_that_is_told() {
    let mut w = World::new();
    let token = run_token(&mut w, claim("k", "one", "a"));
    assert_eq!(claimed(&mut w, claim("k", "two", "a")), Claimed::KeyReusedWithOtherInput);
    w.run(complete("k", token, "r"));
    assert_eq!(claimed(&mut w, claim("k", "two", "b")), Claimed::KeyReusedWithOtherInput);
}

#[test]
fn a_lapsed_claim_is_taken_over_and_its_first_holder_fenced() {
    let mut w = World::new();
    let first = run_token(&mut w, claim("k", "i", "a"));
    w.advance(10_000);
    let second = run_token(&mut w, claim("k", "i", "b"));
    assert!(second > first);
    assert_eq!(refusal(&mut w, complete("k", first, "late")), LedgerRefusal::TokenLost);
    assert_eq!(refusal(&mut w, release("k", first)), LedgerRefusal::TokenLost);
    w.restart();
    w.run(complete("k", second, "good"));
    assert_eq!(refusal(&mut w, complete("k", first, "late")), LedgerRefusal::TokenLost);
}

#[test]
fn a_lapsed_claim_that_nobody_took_can_still_be_completed() {
    let mut w = World::new();
    let token = run_token(&mut w, claim("k", "i", "a"));
    w.advance(LAPSED_CLAIM_KEPT_MS);
    w.run(complete("k", token, "late"));
    let other = run_token(&mut w, claim("other", "i", "a"));
    w.advance(10_000 + LAPSED_CLAIM_KEPT_MS);
    assert_eq!(refusal(&mut w, complete("other", other, "too late")), LedgerRefusal::TokenLost);
}

#[test]
fn an_answer_that_was_lost_can_be_asked_for_again() {
    let mut w = World::new();
    let token = run_token(&mut w, claim("k", "i", "delivery 1"));
    w.advance(4_000);
    let until_ms = w.now_ms + 10_000;
    let again = claimed(&mut w, claim("k", "i", "delivery 1"));
    assert_eq!(again, Claimed::Run { token, until_ms }, "the same claim, with a new lease");
    let once = w.run(complete("k", token, "r"));
    let records = w.log.len();
    w.advance(1);
    assert_eq!(w.run(complete("k", token, "r")), once);
    assert_eq!(w.log.len(), records, "nothing happened");
    assert_eq!(refusal(&mut w, complete("k", token, "other")), LedgerRefusal::TokenLost);
    assert!(
        matches!(claimed(&mut w, claim("n", "i", "")), Claimed::Run { .. })
            && matches!(claimed(&mut w, claim("n", "i", "")), Claimed::HeldBySomebodyElse { .. }),
        "a nameless holder is never recognised"
    );
}

#[test]
fn a_claim_is_extended_and_released() {
    let mut w = World::new();
    let token = run_token(&mut w, claim("k", "i", "a"));
    w.advance(9_000);
    let extend = LedgerExtend { key: ledger_key("k"), token, lease_ms: 10_000 };
    w.run(Command::Ledger(LedgerCommand::Extend(extend.clone())));
    w.advance(9_000);
    w.restart();
    assert!(matches!(claimed(&mut w, claim("k", "i", "b")), Claimed::HeldBySomebodyElse { .. }));
    w.run(release("k", token));
    let next = run_token(&mut w, claim("k", "i", "b"));
    assert!(next > token);
    let extend = Command::Ledger(LedgerCommand::Extend(extend));
    assert_eq!(refusal(&mut w, extend), LedgerRefusal::TokenLost);
}

#[test]
fn acknowledgement_follow_up_and_result_are_one_record_or_none() {
    let mut w = World::new();
    let (jobs, mails) =
        (w.queue("jobs", QueueConfig::default()), w.queue("mails", QueueConfig::default()));
    w.send(jobs, "job");
    let job = w.receive(jobs, 1).remove(0);
    let token = run_token(&mut w, claim("k", "i", "a"));
    let group = |token| {
        Command::Atomic(vec![
            Command::Settle(Settle { queue: jobs, items: vec![(job.receipt, Outcome::Ack)] }),
            Command::Enqueue(Enqueue { messages: vec![message(mails, "mail")] }),
            put("count", None, "1"),
            complete("k", token, "r"),
        ])
    };
    let digest = w.engine.digest();
    let refused = w.try_run(group(token + 1)).unwrap_err();
    let lost = Some(Box::new(Refusal::Ledger(LedgerRefusal::TokenLost)));
    assert_eq!(refused, Refusal::Atomic { at: 3, refusal: lost });
    assert_eq!(w.engine.digest(), digest);
    let records = w.log.len();
    w.run(group(token));
    assert_eq!(w.log.len(), records + 1);
    w.restart();
    assert_eq!((w.counts(jobs), w.counts(mails)), ((0, 0, 0), (1, 0, 0)));
    assert!(matches!(entry(&w, "k").unwrap().state, LedgerState::Done { .. }));
    assert!(entry(&w, "count").is_some());
}

#[test]
fn a_group_that_claims_what_another_holds_is_refused() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig::default());
    run_token(&mut w, claim("k", "i", "a"));
    let group = Command::Atomic(vec![
        Command::Enqueue(Enqueue { messages: vec![message(q, "x")] }),
        claim("mine", "i", "b"),
        claim("k", "i", "b"),
    ]);
    assert_eq!(w.try_run(group), Err(Refusal::Atomic { at: 2, refusal: None }));
    assert_eq!((w.counts(q), entry(&w, "mine")), ((0, 0, 0), None));
    assert!(w.engine.next_due_ms().is_some(), "the first claim is still watched");
    w.restart();
}

/// The outbox relay: messages and the cursor of their source in one record, two relays fenced.
#[test]
fn of_two_relays_at_one_cursor_only_the_first_goes_on() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig::default());
    let start = version(&mut w, put("outbox:db", None, "0"));
    assert_eq!(
        refusal(&mut w, put("outbox:db", None, "0")),
        LedgerRefusal::Conflict { version: Some(start) }
    );
    let relay = |expected, cursor: &str| {
        Command::Atomic(vec![
            Command::Enqueue(Enqueue { messages: vec![message(q, cursor)] }),
            put("outbox:db", Some(expected), cursor),
        ])
    };
    let Reply::Atomic(replies) = w.run(relay(start, "1")) else { panic!() };
    let Reply::Ledger(LedgerReply::Put { version: next }) = replies[1] else { panic!() };
    let conflict = LedgerRefusal::Conflict { version: Some(next) };
    let refused = Refusal::Atomic { at: 1, refusal: Some(Box::new(Refusal::Ledger(conflict))) };
    assert_eq!(w.try_run(relay(start, "1")), Err(refused));
    w.restart();
    w.run(relay(next, "2"));
    assert_eq!(w.receive_bodies(q, 10), ["1", "2"]);
    w.advance(400 * 86_400_000);
    assert!(entry(&w, "outbox:db").is_some(), "a record without an end stays");
}

#[test]
fn a_version_never_comes_back() {
    let mut w = World::new();
    let first = version(&mut w, put("k", None, "a"));
    w.run(release("k", first));
    w.take_snapshot();
    w.restart();
    let second = version(&mut w, put("k", None, "a"));
    assert!(second > first);
    assert_eq!(
        refusal(&mut w, put("k", Some(first), "b")),
        LedgerRefusal::Conflict { version: Some(second) }
    );
    assert_eq!(refusal(&mut w, claim("k", "i", "a")), LedgerRefusal::OtherKind);
    let token = run_token(&mut w, claim("work", "i", "a"));
    assert_eq!(refusal(&mut w, put("work", Some(token), "b")), LedgerRefusal::OtherKind);
}

#[test]
fn what_is_out_of_bounds_is_refused() {
    let mut w = World::new();
    let malformed = |w: &mut World, command| match refusal(w, command) {
        LedgerRefusal::Malformed(what) => what,
        other => panic!("{other:?}"),
    };
    let long = "x".repeat(limits::MAX_LEDGER_VALUE_BYTES + 1);
    assert_eq!(malformed(&mut w, put("k", None, &long)), "value");
    assert_eq!(malformed(&mut w, put("", None, "v")), "key");
    assert_eq!(malformed(&mut w, put(&long, None, "v")), "key");
    assert_eq!(malformed(&mut w, claim("k", &long, "h")), "fingerprint");
    assert_eq!(malformed(&mut w, claim("k", "i", &long)), "holder");
    assert_eq!(malformed(&mut w, complete("k", 1, &long)), "result");
    let lease_ms = limits::MAX_LEASE_MS + 1;
    let extend = LedgerExtend { key: ledger_key("k"), token: 1, lease_ms };
    assert_eq!(malformed(&mut w, Command::Ledger(LedgerCommand::Extend(extend))), "lease_ms");
}
