//! Schedules on the core: they wake receivers at their time, once, and a full log stops nothing but
//! them.

use kyu_broker::{
    Command, Content, CreateSchedule, Error, MessageTemplate, Query, Response, ScheduleAnswer,
    ScheduleCommand, ScheduleConfig, ScheduleQuery, ScheduleRule, ScheduleTarget, ScheduleTotals,
};

use crate::rig::{self, Rig, SEGMENT_BYTES};

const INTERVAL_MS: u64 = 60_000;

/// A schedule that sends to the queue of its name.
fn schedule(rig: &mut Rig, name: &str) {
    let rule = ScheduleRule::Every { interval_ms: INTERVAL_MS, anchor_ms: None };
    let content = Content::of("run").encode();
    let message = MessageTemplate { content, ..MessageTemplate::default() };
    let config = ScheduleConfig::new(rule, ScheduleTarget::Queue(rig::name(name)), message);
    let create = CreateSchedule { name: rig::name(name), config, paused: false };
    let create = rig.submit(Command::Schedule(ScheduleCommand::Create(Box::new(create))));
    rig.flush();
    rig.reply(create);
}

fn totals(rig: &mut Rig, name: &str) -> ScheduleTotals {
    let query = rig.query(Query::Schedule(ScheduleQuery::Get(rig::name(name))));
    rig.flush();
    let Some(Ok(Response::Answer(kyu_broker::Answer::Schedule(answer)))) = rig.take(query) else {
        panic!("no answer")
    };
    let ScheduleAnswer::Schedule(Some(info)) = answer else { panic!("{answer:?}") };
    info.totals
}

#[test]
fn a_run_wakes_the_receiver_that_waits_and_a_crash_makes_it_happen_again() {
    let mut rig = Rig::new();
    let queue = rig.queue("q");
    schedule(&mut rig, "q");
    let due_ms = rig.now_ms + INTERVAL_MS;
    assert_eq!(rig.core.engine().next_due_ms(), Some(due_ms), "until then all may sleep");
    let waiting = rig.receive(queue, 2 * INTERVAL_MS);
    rig.advance(INTERVAL_MS - 1);
    rig.flush();
    assert!(rig.take(waiting).is_none());
    rig.advance(1);
    assert!(rig.take(waiting).is_none(), "handed out before it is durable");
    // The record of the run is lost, and so is its message: the run is still due.
    rig.crash();
    rig.flush();
    assert_eq!(rig.stats(queue).ready, 1);
    rig.crash();
    assert_eq!(rig.stats(queue).ready, 1, "it is durable now, and happens no more");
    let delivery = {
        let receive = rig.receive(queue, 0);
        rig.flush();
        rig.deliveries(receive).remove(0)
    };
    rig.ack(queue, delivery.receipt);
    rig.advance(INTERVAL_MS - 1);
    rig.flush();
    assert_eq!(rig.stats(queue).ready, 0);
}

#[test]
fn on_a_full_log_runs_wait_while_leases_lapse_and_acknowledgements_go_on() {
    let mut rig = Rig::with(|options| {
        options.log.max_log_bytes = Some(24 * u64::from(SEGMENT_BYTES));
    });
    let (queue, timed) = (rig.queue("q"), rig.queue("timed"));
    schedule(&mut rig, "timed");
    for bytes in [20_000, 10] {
        let body = vec![7; bytes];
        loop {
            let send = rig.submit(rig::enqueue(queue, &body));
            rig.flush();
            match rig.take(send) {
                Some(Ok(_)) => {}
                Some(Err(error)) => break assert_eq!(error, Error::StorageFull),
                None => panic!("no answer"),
            }
        }
    }
    let receive = rig.receive(queue, 0);
    rig.flush();
    let leased = rig.deliveries(receive).remove(0);
    rig.advance(INTERVAL_MS + 1_000);
    rig.flush();
    assert_eq!(rig.stats(timed).ready, 0, "no room for its message");
    assert_eq!(rig.stats(queue).in_flight, 0, "the lease has lapsed all the same");
    rig.ack(queue, leased.receipt);
    // Room again.
    while rig.stats(queue).ready > 0 {
        rig.receive_and_ack(queue);
        rig.work();
    }
    rig.advance(1_000);
    rig.flush();
    assert_eq!(rig.stats(timed).ready, 1, "late, but not lost");
    assert_eq!(totals(&mut rig, "timed").sent, 1);
}
