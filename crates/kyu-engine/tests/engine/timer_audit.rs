//! Schedules among random commands: each run is accounted for once.

use kyu_engine::*;

use crate::world::*;

const INTERVAL_MS: u64 = 1_700;

/// A schedule that skips what overlaps, and one that catches up to three; nobody receives what they
/// send until the end.
pub(crate) fn begin(w: &mut World) {
    for (name, catch_up, overlap) in [
        ("skipping", CatchUp::One, OverlapPolicy::Skip),
        ("catching up", CatchUp::All { max: 3 }, OverlapPolicy::Allow),
    ] {
        w.queue(name, QueueConfig { retention_ms: 30_000, ..QueueConfig::default() });
        let rule = ScheduleRule::Every { interval_ms: INTERVAL_MS, anchor_ms: None };
        let content = Content::of("run").encode();
        let message = MessageTemplate { content, ..MessageTemplate::default() };
        let target = ScheduleTarget::Queue(queue_name(name));
        let config = ScheduleConfig::new(rule, target, message);
        let config = ScheduleConfig { jitter_ms: 600, catch_up, overlap, ..config };
        let create = CreateSchedule { name: queue_name(name), config, paused: false };
        w.run(Command::Schedule(ScheduleCommand::Create(Box::new(create))));
    }
}

pub(crate) fn check(w: &World) {
    for name in ["skipping", "catching up"] {
        let query = Query::Schedule(ScheduleQuery::Get(queue_name(name)));
        let Ok(Answer::Schedule(ScheduleAnswer::Schedule(Some(info)))) = w.engine.query(&query)
        else {
            panic!()
        };
        let Some(next) = info.next else { continue };
        assert!(next.at_ms > w.now_ms, "{name} is late");
        let runs = (next.due_ms - info.created_at_ms) / INTERVAL_MS - 1;
        let t = info.totals;
        assert_eq!(t.sent + t.missed + t.overlapped + t.failed, runs, "{name}: {t:?}");
        assert_eq!(t.failed, 0);
        let queue = w.engine.queues().find(|queue| queue.name == info.name).unwrap().id;
        let Ok(Answer::Totals(totals)) = w.engine.query(&Query::Totals(queue)) else { panic!() };
        assert_eq!(totals.sent, t.sent, "{name}");
        let there = w.stats(queue).ready;
        assert!(name != "skipping" || there <= 1, "{there} messages overlap");
    }
}

/// Nothing of them is left.
pub(crate) fn end(w: &mut World) {
    for name in ["skipping", "catching up"] {
        w.run(Command::Schedule(ScheduleCommand::Pause(queue_name(name))));
    }
}
