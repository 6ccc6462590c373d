//! One body in many queues, and what the log must keep.

use kyu_engine::*;

use crate::world::*;

fn live(w: &World) -> u64 {
    (0..=w.log.last().map_or(0, |(at, _)| at / SEGMENT_BYTES)).map(|s| w.engine.live_bytes(s)).sum()
}

#[test]
fn a_fan_out_stores_the_body_once_and_keeps_it_until_the_last_queue_is_done() {
    let mut w = World::new();
    let queues: Vec<QueueId> =
        (0..100).map(|i| w.queue(&format!("q{i}"), QueueConfig::default())).collect();
    let body = "x".repeat(2_000);
    let records = w.log.len();
    w.send_message(NewMessage { queues: queues.clone(), ..message(queues[0], &body) });
    assert_eq!(w.log.len(), records + 1, "one record: all queues or none");
    assert!(w.log[records].1.len() < 8_000, "the body is there once");
    let before = live(&w);
    assert!((2_000..2_100).contains(&before));
    w.take_snapshot();
    for (i, queue) in queues.iter().enumerate() {
        let delivery = w.receive(*queue, 1).remove(0);
        assert_eq!(w.body(&delivery), body);
        w.ack(&delivery);
        assert_eq!(live(&w), if i < 99 { before } else { 0 });
    }
    w.restart();
}

#[test]
fn a_fan_out_to_a_missing_queue_goes_nowhere() {
    let mut w = World::new();
    let q = w.queue("q", QueueConfig::default());
    let missing = QueueId(77);
    let m = NewMessage { queues: vec![q, missing], ..message(q, "x") };
    let reply = w.run(Command::Enqueue(Enqueue { messages: vec![m] }));
    assert_eq!(reply, Reply::Enqueued(vec![Err(EnqueueRefusal::QueueNotFound(missing))]));
    assert_eq!(w.counts(q), (0, 0, 0));
}

#[test]
fn relocation_empties_an_old_segment() {
    let mut w = World::new();
    let (a, b) = (w.queue("a", QueueConfig::default()), w.queue("b", QueueConfig::default()));
    w.send_message(NewMessage { queues: vec![a, b], ..message(a, "shared") });
    w.send(a, "own");
    while w.log.last().unwrap().0 / SEGMENT_BYTES == 1 {
        let sent = w.send(b, &"fill".repeat(50));
        let _ = sent;
    }
    let in_b = w.receive(b, 1_000);
    for delivery in in_b.iter().skip(1) {
        w.ack(delivery);
    }
    let frames = w.engine.live_frames(1);
    assert_eq!(frames.len(), 2);
    assert_eq!(frames[0].owners.len(), 2, "both queues need the shared frame");
    for frame in frames {
        let (at, record) = w.log.iter().rfind(|(at, _)| *at <= frame.at).unwrap();
        let start = (frame.at - at) as usize;
        let bytes = record[start..start + frame.bytes as usize].to_vec();
        let mut partly = frame.owners.clone();
        if partly.pop().is_some() && !partly.is_empty() {
            let relocate = Relocate { from: frame.at, frame: bytes.clone().into(), owners: partly };
            assert_eq!(w.run(Command::Relocate(relocate)), Reply::Relocated { moved: false });
        }
        let relocate = Relocate { from: frame.at, frame: bytes.into(), owners: frame.owners };
        assert_eq!(w.run(Command::Relocate(relocate)), Reply::Relocated { moved: true });
    }
    assert_eq!(w.engine.live_bytes(1), 0);
    w.restart();
    assert_eq!(w.receive_bodies(a, 10), ["shared", "own"]);
    assert_eq!(w.body(&in_b[0]), "shared", "the old place is still readable until recycled");
}
