//! Schedules: each run once, over restarts and jumps of the clock, by its policies.

use bytes::Bytes;
use kyu_engine::*;

use crate::world::*;

/// 2026-01-01T00:00:00Z, a Thursday.
const NEW_YEAR_MS: u64 = 1_767_225_600_000;
const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 86_400_000;

fn template(body: &str) -> MessageTemplate {
    let content = Content::of(body.to_owned()).encode();
    MessageTemplate { content, size_bytes: body.len() as u32, ..MessageTemplate::default() }
}

fn cron(expression: &str, time_zone: &str) -> ScheduleRule {
    ScheduleRule::Cron { expression: expression.into(), time_zone: time_zone.into() }
}

fn every(interval_ms: u64) -> ScheduleRule {
    ScheduleRule::Every { interval_ms, anchor_ms: None }
}

fn to_queue(rule: ScheduleRule) -> ScheduleConfig {
    ScheduleConfig::new(rule, ScheduleTarget::Queue(queue_name("q")), template("run"))
}

fn world() -> (World, QueueId) {
    let mut w = World::new();
    w.now_ms = NEW_YEAR_MS;
    let q = w.queue("q", QueueConfig { retention_ms: 400 * DAY_MS, ..QueueConfig::default() });
    (w, q)
}

fn create(w: &mut World, name: &str, config: ScheduleConfig) -> ScheduleInfo {
    let create = CreateSchedule { name: queue_name(name), config, paused: false };
    match w.run(Command::Schedule(ScheduleCommand::Create(Box::new(create)))) {
        Reply::Schedule(ScheduleReply::Created(info)) => {
            assert_eq!(*info, schedule(w, name));
            (*info).clone()
        }
        other => panic!("{other:?}"),
    }
}

fn invalid(w: &mut World, config: ScheduleConfig) -> String {
    let create = CreateSchedule { name: queue_name("invalid"), config, paused: false };
    match w.try_run(Command::Schedule(ScheduleCommand::Create(Box::new(create)))) {
        Err(Refusal::Schedule(ScheduleRefusal::Invalid(why))) => why,
        other => panic!("{other:?}"),
    }
}

fn change(w: &mut World, command: ScheduleCommand) -> ScheduleInfo {
    match w.run(Command::Schedule(command)) {
        Reply::Schedule(ScheduleReply::Changed(info)) => (*info).clone(),
        other => panic!("{other:?}"),
    }
}

fn schedule(w: &World, name: &str) -> ScheduleInfo {
    let query = Query::Schedule(ScheduleQuery::Get(queue_name(name)));
    match w.engine.query(&query).unwrap() {
        Answer::Schedule(ScheduleAnswer::Schedule(Some(info))) => (*info).clone(),
        other => panic!("{other:?}"),
    }
}

/// Lets time pass a second at a time, as on a server that is up.
fn live(w: &mut World, ms: u64) {
    for _ in 0..ms / 1_000 {
        w.advance(1_000);
    }
}

/// Receives and acknowledges all, and gives the times at which they were due, from new year on.
fn due_times(w: &mut World, queue: QueueId) -> Vec<u64> {
    let mut times = Vec::new();
    loop {
        let deliveries = w.receive(queue, 1_000);
        if deliveries.is_empty() {
            return times;
        }
        for delivery in deliveries {
            let content = w.frame(&delivery).content().unwrap();
            assert_eq!(content.body, Bytes::from_static(b"run"));
            let due: u64 = content.property(Property::ScheduledAt).unwrap().parse().unwrap();
            times.push(due - NEW_YEAR_MS);
            w.ack(&delivery);
        }
    }
}

fn totals(w: &World) -> (u64, u64, u64, u64) {
    let t = schedule(w, "s").totals;
    (t.sent, t.missed, t.overlapped, t.failed)
}

/// The wall clock stepped by two hours (NTP after a boot with a bad clock), and schedules followed it
/// in 17 days.
#[test]
fn schedules_follow_a_step_of_the_wall_clock_and_leases_do_not() {
    let (mut w, q) = world();
    create(&mut w, "s", to_queue(cron("0 * * * *", "UTC")));
    live(&mut w, HOUR_MS);
    assert_eq!(w.receive(q, 10).len(), 1);
    w.wall_ahead_ms = 2 * HOUR_MS as i64;
    w.advance(1_000);
    assert_eq!(totals(&w).0, 2, "due by the wall");
    assert_eq!(w.receive(q, 10).len(), 1, "the first run is leased still");
    assert_eq!(schedule(&w, "s").next.unwrap().due_ms, NEW_YEAR_MS + 4 * HOUR_MS);
    // Put right again: nothing runs twice, and nothing goes back.
    w.wall_ahead_ms = 0;
    live(&mut w, HOUR_MS);
    assert_eq!(totals(&w).0, 2);
    live(&mut w, 2 * HOUR_MS);
    assert_eq!(totals(&w).0, 3);
    w.restart();
}

/// A boot with a clock that is ahead left times of the future in the log: schedules stood still until
/// the wall had come there.
#[test]
fn schedules_go_by_the_wall_when_the_log_is_ahead_of_it() {
    let (mut w, _) = world();
    w.wall_ahead_ms = -(DAY_MS as i64);
    create(&mut w, "s", to_queue(cron("0 * * * *", "UTC")));
    assert_eq!(schedule(&w, "s").next.unwrap().due_ms, NEW_YEAR_MS - DAY_MS + HOUR_MS);
    live(&mut w, HOUR_MS);
    assert_eq!(totals(&w).0, 1);
}

#[test]
fn each_run_sends_one_message_across_restarts() {
    let (mut w, q) = world();
    create(&mut w, "s", to_queue(cron("*/5 * * * *", "UTC")));
    create(&mut w, "t", to_queue(every(2 * MINUTE_MS)));
    for i in 0..20 {
        live(&mut w, MINUTE_MS);
        if i % 3 == 0 {
            w.take_snapshot();
        }
        w.restart();
    }
    let mut times: Vec<u64> = due_times(&mut w, q).iter().map(|ms| ms / MINUTE_MS).collect();
    times.sort_unstable();
    assert_eq!(times, [2, 4, 5, 6, 8, 10, 10, 12, 14, 15, 16, 18, 20, 20]);
    assert_eq!(totals(&w), (4, 0, 0, 0));
}

/// The message and the next run are one record: a crash that loses it loses both.
#[test]
fn a_run_whose_record_a_crash_took_happens_again() {
    let (mut w, q) = world();
    create(&mut w, "s", to_queue(every(MINUTE_MS)));
    w.now_ms += MINUTE_MS;
    while w.counts(q) == (0, 0, 0) {
        w.run(Command::Tick);
    }
    w.crash_losing_last();
    assert_eq!(w.counts(q), (0, 0, 0));
    w.advance(0);
    assert_eq!(due_times(&mut w, q), [MINUTE_MS]);
    w.restart();
    w.advance(MINUTE_MS - 1);
    assert_eq!(due_times(&mut w, q), Vec::<u64>::new());
}

#[test]
fn after_a_jump_the_latest_run_happens_once() {
    let (mut w, q) = world();
    create(&mut w, "s", to_queue(cron("0 * * * *", "UTC")));
    w.advance(5 * HOUR_MS + 30 * MINUTE_MS);
    assert_eq!(due_times(&mut w, q), [5 * HOUR_MS]);
    assert_eq!(totals(&w), (1, 4, 0, 0));
    let next = schedule(&w, "s").next.unwrap();
    assert_eq!(next.due_ms, NEW_YEAR_MS + 6 * HOUR_MS);
    w.restart();
}

#[test]
fn a_run_that_is_too_late_is_skipped() {
    let (mut w, q) = world();
    let catch_up = CatchUp::Skip { grace_ms: 10 * MINUTE_MS };
    create(&mut w, "s", ScheduleConfig { catch_up, ..to_queue(cron("0 * * * *", "UTC")) });
    w.advance(5 * HOUR_MS + 30 * MINUTE_MS);
    assert_eq!(due_times(&mut w, q), Vec::<u64>::new());
    assert_eq!(totals(&w), (0, 5, 0, 0));
    w.advance(HOUR_MS - 20 * MINUTE_MS);
    assert_eq!(due_times(&mut w, q), [6 * HOUR_MS], "ten minutes are not too late");
    assert_eq!(totals(&w), (1, 5, 0, 0));
    w.restart();
}

#[test]
fn all_missed_runs_are_caught_up_in_order_to_a_bound() {
    let (mut w, q) = world();
    let catch_up = CatchUp::All { max: 150 };
    create(&mut w, "s", ScheduleConfig { catch_up, ..to_queue(cron("* * * * *", "UTC")) });
    w.advance(200 * MINUTE_MS);
    w.restart();
    let times = due_times(&mut w, q);
    let expected: Vec<u64> = (51..=200).map(|minute| minute * MINUTE_MS).collect();
    assert_eq!(times, expected, "more than one tick's worth");
    assert_eq!(totals(&w), (150, 50, 0, 0));
}

#[test]
fn a_year_of_missed_runs_is_passed_over_in_bounded_ticks() {
    for (rule, step_ms) in
        [(cron("*/10 * * * *", "Europe/Berlin"), 10 * MINUTE_MS), (every(1_000), 1_000)]
    {
        let (mut w, q) = world();
        let catch_up = CatchUp::All { max: 3 };
        create(&mut w, "s", ScheduleConfig { catch_up, ..to_queue(rule) });
        w.advance(365 * DAY_MS);
        let last = 365 * DAY_MS;
        assert_eq!(due_times(&mut w, q), [last - 2 * step_ms, last - step_ms, last]);
        assert_eq!(totals(&w), (3, last / step_ms - 3, 0, 0));
        w.restart();
    }
}

#[test]
fn cron_follows_the_clocks_of_its_zone() {
    let (mut w, q) = world();
    create(&mut w, "s", to_queue(cron("30 2 * * *", "Europe/Berlin")));
    // 2026-03-29: 02:30 does not exist, and runs at 03:00, which is 01:00 UTC.
    let march_28 = NEW_YEAR_MS + 86 * DAY_MS;
    w.advance(march_28 + 12 * HOUR_MS - w.now_ms);
    due_times(&mut w, q);
    let due_ms = schedule(&w, "s").next.unwrap().due_ms;
    assert_eq!(due_ms, march_28 + 25 * HOUR_MS);
    w.restart();
    w.advance(2 * DAY_MS);
    assert_eq!(schedule(&w, "s").last.unwrap().due_ms, march_28 + 48 * HOUR_MS + 30 * MINUTE_MS);
}

#[test]
fn a_run_waits_for_no_earlier_message_unless_it_is_told_to() {
    let (mut w, q) = world();
    create(&mut w, "s", to_queue(every(MINUTE_MS)));
    live(&mut w, 3 * MINUTE_MS);
    assert_eq!(w.counts(q), (3, 0, 0));
}

#[test]
fn an_overlapping_run_is_skipped_until_the_earlier_message_is_done() {
    let (mut w, q) = world();
    let overlap = OverlapPolicy::Skip;
    create(&mut w, "s", ScheduleConfig { overlap, ..to_queue(every(MINUTE_MS)) });
    live(&mut w, 2 * MINUTE_MS);
    w.restart();
    let delivery = w.receive(q, 1).remove(0);
    let first = w.frame(&delivery).message_id;
    live(&mut w, MINUTE_MS);
    assert_eq!(w.counts(q), (1, 0, 0), "its lease has lapsed, and no other came");
    assert_eq!(schedule(&w, "s").last.unwrap().outcome, RunOutcome::Overlapped(first));
    assert_eq!(totals(&w), (1, 0, 2, 0));
    w.ack(&delivery);
    live(&mut w, MINUTE_MS);
    assert_eq!(due_times(&mut w, q), [4 * MINUTE_MS]);
    w.restart();
}

#[test]
fn an_overlapping_run_replaces_the_message_that_waits() {
    let (mut w, q) = world();
    let overlap = OverlapPolicy::Replace;
    create(&mut w, "s", ScheduleConfig { overlap, ..to_queue(every(MINUTE_MS)) });
    live(&mut w, 3 * MINUTE_MS);
    w.restart();
    assert_eq!(w.counts(q), (1, 0, 0));
    let delivery = w.receive(q, 1).remove(0);
    let extend = w.extend(&delivery, HOUR_MS);
    assert_eq!(extend, Extended::Done);
    live(&mut w, MINUTE_MS);
    assert_eq!(w.counts(q), (0, 0, 1), "one in flight is not replaced");
    assert_eq!(totals(&w), (3, 0, 1, 0));
}

#[test]
fn jitter_puts_each_run_off_by_its_own_time_and_previews_know_it() {
    let (mut w, q) = world();
    let jitter_ms = 40_000;
    let info = create(&mut w, "s", ScheduleConfig { jitter_ms, ..to_queue(every(MINUTE_MS)) });
    let query = Query::Schedule(ScheduleQuery::NextRuns { name: info.name, max: 20 });
    let Answer::Schedule(ScheduleAnswer::Runs(runs)) = w.engine.query(&query).unwrap() else {
        panic!()
    };
    assert_eq!(runs[0], info.next.unwrap());
    let spread: std::collections::BTreeSet<u64> =
        runs.iter().map(|run| run.at_ms - run.due_ms).collect();
    assert!(spread.len() > 15 && spread.iter().all(|ms| *ms <= jitter_ms), "{spread:?}");
    for run in runs {
        w.advance(run.at_ms - 1 - w.now_ms);
        assert_eq!(w.counts(q), (0, 0, 0));
        w.advance(1);
        w.restart();
        assert_eq!(due_times(&mut w, q), [run.due_ms - NEW_YEAR_MS]);
    }
}

#[test]
fn a_preview_needs_no_schedule() {
    let (w, _) = world();
    let preview = |config: ScheduleConfig| {
        let (config, after_ms) = (Box::new(config), NEW_YEAR_MS);
        w.engine.query(&Query::Schedule(ScheduleQuery::Preview { config, after_ms, max: 3 }))
    };
    let Ok(Answer::Schedule(ScheduleAnswer::Runs(runs))) =
        preview(to_queue(cron("0 9 * * MON-FRI", "America/New_York")))
    else {
        panic!()
    };
    let due: Vec<u64> = runs.iter().map(|run| (run.due_ms - NEW_YEAR_MS) / HOUR_MS).collect();
    assert_eq!(due, [14, 24 + 14, 4 * 24 + 14]);
    assert!(matches!(
        preview(to_queue(cron("0 9 * *", "UTC"))),
        Err(Refusal::Schedule(ScheduleRefusal::Invalid(_)))
    ));
}

#[test]
fn a_paused_schedule_does_not_run_and_catches_nothing_up() {
    let (mut w, q) = world();
    create(&mut w, "s", to_queue(every(MINUTE_MS)));
    let paused = change(&mut w, ScheduleCommand::Pause(queue_name("s")));
    assert_eq!((paused.paused, paused.next), (true, None));
    w.advance(HOUR_MS + 1_000);
    w.restart();
    let resumed = change(&mut w, ScheduleCommand::Resume(queue_name("s")));
    assert_eq!(resumed.next.unwrap().due_ms, NEW_YEAR_MS + HOUR_MS + MINUTE_MS);
    live(&mut w, MINUTE_MS);
    assert_eq!(due_times(&mut w, q), [61 * MINUTE_MS]);
    assert_eq!(totals(&w), (1, 0, 0, 0));
    w.restart();
}

#[test]
fn a_run_can_be_asked_for() {
    let (mut w, q) = world();
    let overlap = OverlapPolicy::Skip;
    create(&mut w, "s", ScheduleConfig { overlap, ..to_queue(every(HOUR_MS)) });
    change(&mut w, ScheduleCommand::Pause(queue_name("s")));
    let run_now = || Command::Schedule(ScheduleCommand::RunNow(queue_name("s")));
    w.advance(5);
    let Reply::Schedule(ScheduleReply::Ran(run)) = w.run(run_now()) else { panic!() };
    let RunOutcome::Sent(id) = run.outcome else { panic!("{run:?}") };
    assert!(run.manual);
    let Reply::Schedule(ScheduleReply::Ran(again)) = w.run(run_now()) else { panic!() };
    assert_eq!(again.outcome, RunOutcome::Overlapped(id));
    assert_eq!(schedule(&w, "s").last, Some(again));
    w.restart();
    assert_eq!(due_times(&mut w, q), [5]);
}

#[test]
fn an_update_counts_from_now_and_guards_against_another() {
    let (mut w, _) = world();
    let info = create(&mut w, "s", to_queue(every(HOUR_MS)));
    w.advance(MINUTE_MS);
    let update = |config, expected_version| {
        let name = queue_name("s");
        ScheduleCommand::Update(Box::new(UpdateSchedule { name, config, expected_version }))
    };
    let updated = change(&mut w, update(to_queue(every(2 * HOUR_MS)), info.version));
    assert_eq!(updated, schedule(&w, "s"));
    assert_eq!(updated.next.unwrap().due_ms, NEW_YEAR_MS + MINUTE_MS + 2 * HOUR_MS);
    let stale = Command::Schedule(update(to_queue(every(HOUR_MS)), info.version));
    assert_eq!(w.try_run(stale), Err(Refusal::VersionConflict));
    w.restart();
    // A schedule that is read and written back stays in its rhythm.
    w.advance(HOUR_MS);
    let same = change(&mut w, update(updated.config.clone(), updated.version));
    assert_eq!(same.next, updated.next);
}

#[test]
fn a_deleted_schedule_is_gone_and_its_name_free() {
    let (mut w, q) = world();
    let first = create(&mut w, "s", to_queue(every(MINUTE_MS)));
    let taken =
        CreateSchedule { name: queue_name("s"), config: first.config.clone(), paused: false };
    let taken = Command::Schedule(ScheduleCommand::Create(Box::new(taken)));
    assert!(matches!(
        w.try_run(taken),
        Err(Refusal::Schedule(ScheduleRefusal::Exists(info))) if *info == first
    ));
    w.run(Command::Schedule(ScheduleCommand::Delete(queue_name("s"))));
    w.take_snapshot();
    w.restart();
    assert_eq!(w.engine.next_due_ms(), None);
    let gone = Command::Schedule(ScheduleCommand::Delete(queue_name("s")));
    assert_eq!(w.try_run(gone), Err(Refusal::Schedule(ScheduleRefusal::NotFound)));
    let second = create(&mut w, "s", to_queue(every(MINUTE_MS)));
    assert!(second.id > first.id);
    live(&mut w, MINUTE_MS);
    assert_eq!(w.counts(q), (1, 0, 0));
}

#[test]
fn schedules_are_listed_by_name() {
    let (mut w, _) = world();
    for name in ["c", "a", "b"] {
        create(&mut w, name, to_queue(every(MINUTE_MS)));
    }
    let list = |after: Option<&str>, max| {
        let (namespace, after) = (queue_name("").namespace, after.map(str::to_owned));
        let query = Query::Schedule(ScheduleQuery::List { namespace, after, max });
        match w.engine.query(&query).unwrap() {
            Answer::Schedule(ScheduleAnswer::Schedules(list)) => {
                list.iter().map(|info| info.name.name.clone()).collect::<Vec<String>>()
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(list(None, 10), ["a", "b", "c"]);
    assert_eq!(list(Some("a"), 1), ["b"]);
}

#[test]
fn a_target_that_is_not_there_makes_runs_fail_until_it_is() {
    let (mut w, q) = world();
    create(&mut w, "s", to_queue(every(MINUTE_MS)));
    w.run(Command::DeleteQueue(DeleteQueue { queue: q }));
    live(&mut w, 2 * MINUTE_MS);
    assert_eq!(totals(&w), (0, 0, 0, 2));
    let last = schedule(&w, "s").last.unwrap();
    assert_eq!(last.outcome, RunOutcome::Failed("the queue does not exist".into()));
    let q = w.queue("q", QueueConfig::default());
    live(&mut w, MINUTE_MS);
    assert_eq!(due_times(&mut w, q), [3 * MINUTE_MS]);
    w.restart();
}

#[test]
fn an_exchange_is_published_to() {
    let (mut w, q) = world();
    let other = w.queue("other", QueueConfig::default());
    let name = queue_name("topic");
    let config = ExchangeConfig::default();
    w.run(Command::CreateExchange(CreateExchange { name: name.clone(), config }));
    for queue in ["q", "other"] {
        let config = BindingConfig {
            protocol: "test".into(),
            address: queue.into(),
            target: queue_name(queue),
            matcher: Matcher::Everything,
            active: true,
            bare: true,
            dead_letter: None,
            attributes: Default::default(),
        };
        w.run(Command::Bind(Bind { exchange: name.clone(), config }));
    }
    let target = ScheduleTarget::Exchange(name);
    let config = ScheduleConfig { target, ..to_queue(every(MINUTE_MS)) };
    create(&mut w, "s", config.clone());
    create(&mut w, "t", to_queue(every(MINUTE_MS)));
    live(&mut w, 2 * MINUTE_MS);
    w.restart();
    assert_eq!(due_times(&mut w, other), [MINUTE_MS, 2 * MINUTE_MS]);
    assert_eq!(due_times(&mut w, q).len(), 4);
    let overlap = OverlapPolicy::Skip;
    assert!(invalid(&mut w, ScheduleConfig { overlap, ..config }).contains("overlap"));
}

#[test]
fn a_schedule_has_a_first_and_a_last_day() {
    let (mut w, q) = world();
    let (from_ms, until_ms) = (NEW_YEAR_MS + 2 * DAY_MS, NEW_YEAR_MS + 4 * DAY_MS);
    let (from_ms, until_ms) = (Some(from_ms), Some(until_ms));
    for (name, rule) in [("s", cron("@daily", "UTC")), ("t", every(DAY_MS))] {
        let catch_up = CatchUp::All { max: 10 };
        create(&mut w, name, ScheduleConfig { from_ms, until_ms, catch_up, ..to_queue(rule) });
    }
    w.advance(10 * DAY_MS);
    let mut times = due_times(&mut w, q);
    times.sort_unstable();
    assert_eq!(times, [2 * DAY_MS, 2 * DAY_MS, 3 * DAY_MS, 3 * DAY_MS]);
    assert_eq!((schedule(&w, "s").next, schedule(&w, "t").next), (None, None));
    w.restart();
}

#[test]
fn busy_queues_and_schedules_take_turns() {
    let (mut w, q) = world();
    for i in 0..250 {
        create(&mut w, &format!("s{i}"), to_queue(every(MINUTE_MS)));
    }
    for _ in 0..3 {
        let delayed = NewMessage { delay_ms: Some(MINUTE_MS), ..message(q, "delayed") };
        w.run(Command::Enqueue(Enqueue { messages: vec![delayed; 1_000] }));
    }
    w.now_ms += MINUTE_MS;
    for _ in 0..4 {
        w.run(Command::Tick);
    }
    let (ready, delayed, _) = w.counts(q);
    assert_eq!((ready, delayed), (2_000 + 200, 1_000), "two ticks each");
    w.advance(0);
    assert_eq!(w.counts(q), (3_250, 0, 0));
    w.restart();
}

#[test]
fn settings_out_of_bounds_are_refused_with_the_reason() {
    let (mut w, _) = world();
    let good = to_queue(every(MINUTE_MS));
    let message = |message| ScheduleConfig { message, ..good.clone() };
    let large = template(&"x".repeat(limits::MAX_SCHEDULE_CONTENT_BYTES));
    let lane = MessageTemplate { lane: Some(String::new()), ..template("run") };
    for (config, says) in [
        (to_queue(cron("* * *", "UTC")), "fields"),
        (to_queue(cron("0 0 30 2 *", "UTC")), "never runs"),
        (to_queue(cron("@daily", "Europe/Atlantis")), "no time zone"),
        (to_queue(every(999)), "interval"),
        (to_queue(every(limits::MAX_INTERVAL_MS + 1)), "interval"),
        (ScheduleConfig { jitter_ms: MINUTE_MS + 1, ..good.clone() }, "jitter"),
        (
            ScheduleConfig { from_ms: Some(5), until_ms: Some(5), ..good.clone() },
            "before it begins",
        ),
        (ScheduleConfig { catch_up: CatchUp::All { max: 0 }, ..good.clone() }, "caught up"),
        (message(large), "bytes"),
        (message(lane), "lane"),
    ] {
        let why = invalid(&mut w, config);
        assert!(why.contains(says), "{why}");
    }
}

/// A bug in the consumer ate three days of reports: the runs are wanted again, each with its own time.
#[test]
fn what_was_due_in_the_past_is_run_again_with_its_own_times() {
    let (mut w, q) = world();
    create(&mut w, "s", to_queue(every(MINUTE_MS)));
    live(&mut w, 5 * MINUTE_MS);
    assert_eq!(due_times(&mut w, q).len(), 5);
    let next = schedule(&w, "s").next;
    let fill = |from_ms, until_ms, overlap| {
        let (name, from_ms, until_ms) =
            (queue_name("s"), NEW_YEAR_MS + from_ms, NEW_YEAR_MS + until_ms);
        let fill = BackfillSchedule { name, from_ms, until_ms, overlap, max: u32::MAX };
        Command::Schedule(ScheduleCommand::Backfill(Box::new(fill)))
    };
    let filled = |w: &mut World, command| match w.run(command) {
        Reply::Schedule(ScheduleReply::Backfilled(Backfilled { runs, next_from_ms })) => {
            (runs.len(), next_from_ms)
        }
        other => panic!("{other:?}"),
    };
    // From 2 minutes on, up to but without 4 minutes.
    assert_eq!(filled(&mut w, fill(2 * MINUTE_MS, 4 * MINUTE_MS, None)), (2, None));
    w.restart();
    assert_eq!(due_times(&mut w, q), [2 * MINUTE_MS, 3 * MINUTE_MS]);
    // The runs to come are as they were, and time that is not past cannot be filled.
    assert_eq!(schedule(&w, "s").next, next);
    for wrong in [fill(4, 4, None), fill(0, 5 * MINUTE_MS + 2, None)] {
        let refused = w.try_run(wrong).unwrap_err();
        assert!(matches!(refused, Refusal::Schedule(ScheduleRefusal::Invalid(_))));
    }
    // One command has room for a hundred; the next goes on where it ended.
    live(&mut w, 120 * MINUTE_MS);
    assert_eq!(due_times(&mut w, q).len(), 120);
    let most = filled(&mut w, fill(MINUTE_MS, 125 * MINUTE_MS, None));
    assert_eq!(most, (100, Some(NEW_YEAR_MS + 101 * MINUTE_MS)));
    assert_eq!(filled(&mut w, fill(101 * MINUTE_MS, 125 * MINUTE_MS, None)), (24, None));
    assert_eq!(due_times(&mut w, q).len(), 124);
    // With a policy of its own for earlier messages that are still there.
    assert_eq!(
        filled(&mut w, fill(MINUTE_MS, 4 * MINUTE_MS, Some(OverlapPolicy::Skip))),
        (3, None)
    );
    assert_eq!(due_times(&mut w, q), [MINUTE_MS]);
}
