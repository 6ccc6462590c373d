//! The bytes of facts about queues, messages and move tasks, as they are on disks.

use std::collections::BTreeMap;

use kyu_model::{
    DeadLetter, DedupScope, MoveFailure, MoveStatus, Overflow, QueueConfig, QueueId, QueueKind,
    QueueName, SessionId,
};
use proptest::prelude::*;

use crate::effect::{Effect, Effects};
use crate::machines::FrameNumber;
use crate::move_task::record::{MoveTaskFact, Skipping};
use crate::queue::message_record::{
    Arrival, EnqueuedFact, FramePlace, LeaseEnd, MessageFact, MoveReason, Removal,
};
use crate::queue::record::QueueFact;

const Q: QueueId = QueueId(300);

fn name(name: &str) -> QueueName {
    QueueName { namespace: "n".into(), name: name.into() }
}

fn config() -> QueueConfig {
    QueueConfig {
        kind: QueueKind::Fifo,
        max_messages: Some(5),
        overflow: Overflow::DropHead,
        content_based_deduplication: true,
        dedup_scope: DedupScope::Lane,
        dead_letter: Some(DeadLetter { target: name("d"), max_receives: 9 }),
        attributes: BTreeMap::from([("Policy".into(), "{}".into())]),
        tags: BTreeMap::from([("t".into(), "v".into())]),
        ..QueueConfig::unwritten()
    }
}

fn row(fact: impl Into<Effect>, golden: &'static str) -> (Effect, &'static str) {
    (fact.into(), golden)
}

/// Every effect, with every optional field both ways where that changes the layout.
fn samples() -> Vec<(Effect, &'static str)> {
    let place = FramePlace { offset: 5, bytes: 200 };
    let enqueued = EnqueuedFact {
        queue: Q,
        seq: 7,
        at_ms: 1_000,
        ready_at_ms: None,
        expires_at_ms: None,
        priority: 0,
        lane: None,
        dedup: None,
        message_id: 2,
        frame: place,
        shares: 1,
        via: None,
    };
    let full = EnqueuedFact {
        ready_at_ms: Some(2_000),
        expires_at_ms: Some(3_000),
        priority: 255,
        lane: Some("l".into()),
        dedup: Some(("k".into(), 4_000)),
        shares: 3,
        ..enqueued.clone()
    };
    let via = EnqueuedFact { via: kyu_model::BindingId::new(5), ..enqueued.clone() };
    let lease = |end, attempt| MessageFact::Leased {
        queue: Q,
        at_ms: 1,
        epoch: 2,
        end,
        attempt,
        seqs: vec![10, 11, 9],
    };
    let removed = |reason, at_ms| MessageFact::Removed { queue: Q, reason, seqs: vec![1], at_ms };
    let moved = |reason, arrival| MessageFact::Moved {
        from: Q,
        seq: 1,
        to: QueueId(2),
        to_seq: 3,
        at_ms: 4,
        reason,
        arrival,
    };
    let progressed = |status, skipping| MoveTaskFact::Progressed {
        task: 1,
        at_ms: 2,
        moved: 3,
        status,
        failure: Some("f".into()),
        skipping,
    };
    let skipping = Skipping { skipped: 300, looked_at: 9, reason: Some(MoveFailure::SourceGone) };
    vec![
        row(
            QueueFact::Created { queue: Q, at_ms: 1, name: name("q"), config: Box::new(config()) },
            GOLDEN_CREATED,
        ),
        row(
            QueueFact::Configured {
                queue: Q,
                at_ms: 1,
                config: Box::new(QueueConfig::unwritten()),
            },
            GOLDEN_CONFIGURED,
        ),
        row(QueueFact::Deleted { queue: Q, at_ms: 1 }, "03ac0201"),
        row(QueueFact::Purged { queue: Q, at_ms: 1 }, "04ac0201"),
        row(
            MessageFact::Enqueued(enqueued),
            "05ac0207e80700000000000200000000000000000000000000000005c80101",
        ),
        row(
            MessageFact::Enqueued(full),
            "05ac0207e80701d00f01b817ff01016c01016ba01f0200000000000000000000000000000005c80103",
        ),
        row(
            MessageFact::Enqueued(via),
            "13ac0207e80700000000000200000000000000000000000000000005c8010105",
        ),
        row(lease(LeaseEnd::At(5), None), "06ac02010200050003140203"),
        row(
            lease(LeaseEnd::Session(SessionId(5)), Some("a".into())),
            "06ac02010201050101610314 0203",
        ),
        row(removed(Removal::Dropped, None), "07ac02020102"),
        row(removed(Removal::Deadline, None), "07ac02040102"),
        row(removed(Removal::Expired, Some(300)), "25ac02010102ac02"),
        row(
            MessageFact::Released {
                queue: Q,
                seq: 1,
                ready_at_ms: Some(2),
                order: None,
                counted: true,
            },
            "08ac020101020001",
        ),
        row(MessageFact::Extended { queue: Q, seq: 1, until_ms: 2 }, "09ac020102"),
        row(MessageFact::Promoted { queue: Q, seqs: vec![] }, "0aac0200"),
        row(moved(MoveReason::Redrive, Arrival::ByReason), "0bac020102030402"),
        row(moved(MoveReason::Rejected, Arrival::WithAge), "20ac02010203040100"),
        row(moved(MoveReason::MaxReceives, Arrival::Anew), "20ac02010203040001"),
        row(
            MessageFact::Relocated { from: 1, owners: vec![(Q, 2)], frame: place },
            "0c0105c80101ac0202",
        ),
        row(
            MoveTaskFact::Started {
                task: 1,
                source: Q,
                destination: Some(name("d")),
                max_per_second: Some(500),
                at_ms: 2,
                to_move: 3,
            },
            "0d01ac0201016e016401f4030203",
        ),
        row(progressed(MoveStatus::Failed, Skipping::default()), "0e01020303010166"),
        row(progressed(MoveStatus::Completed, skipping), "2601020301010166ac020902"),
        row(MessageFact::Receivable { queue: Q, at_ms: 5, seqs: vec![1] }, "27ac02050102"),
        row(QueueFact::Paused { queue: Q, at_ms: 1, paused: true }, "23ac020101"),
        row(
            QueueFact::LanePaused { queue: Q, at_ms: 1, lane: "l".into(), paused: false },
            "24ac0201016c00",
        ),
        row(QueueFact::Swept { queue: Q, at_ms: 1 }, "0fac0201"),
        row(QueueFact::NamesSwept { before_ms: 1 }, "1101"),
        row(
            MessageFact::AttemptRepeated { queue: Q, attempt: "a".into(), until_ms: 2 },
            "12ac02016102",
        ),
        row(
            MessageFact::KeptDead { queue: Q, seq: 1, at_ms: 2, reason: MoveReason::Rejected },
            "21ac02010201",
        ),
        row(MessageFact::Revived { queue: Q, seq: 1, at_ms: 2 }, "22ac020102"),
        row(MessageFact::Prioritised { queue: Q, priority: 7, seqs: vec![1, 3] }, "3dac0207020204"),
        row(QueueFact::PauseEnds { queue: Q, lane: None, until_ms: 500 }, "3eac0200f403"),
        row(
            QueueFact::PauseEnds { queue: Q, lane: Some("l".into()), until_ms: 500 },
            "3eac0201016cf403",
        ),
    ]
}

const GOLDEN_CREATED: &str = "01ac0201016e01710101b0ea010080e0e5a40100808040c0a907010500010101e0a71201016e0164090106506f6c696379027b7d010174017600";
const GOLDEN_CONFIGURED: &str =
    "02ac02010100b0ea010080e0e5a40100808040c0a9070000000000e0a71200000000";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// These bytes are on disks: this test may get new rows, never changed ones.
#[test]
fn golden_bytes() {
    for (effect, golden) in samples() {
        let mut effects = Effects::default();
        effects.push(effect.clone());
        assert_eq!(hex(effects.bytes()), golden.replace(' ', ""), "{effect:?}");
        // The frame that a fact names lies before it in the record.
        let mut record = vec![u8::from(FrameNumber::Bytes)];
        record.extend(200u32.to_le_bytes());
        record.extend([0; 200]);
        record.extend(effects.bytes());
        assert_eq!(Effects::decode(&record).map(|read| read.list), Ok(vec![effect]));
    }
}

#[test]
fn every_truncation_of_an_effect_is_refused() {
    for (effect, _) in samples() {
        let mut effects = Effects::default();
        effects.push(effect.clone());
        let bytes = effects.bytes();
        for end in 1..bytes.len() {
            assert!(Effects::decode(&bytes[..end]).is_err(), "{effect:?} cut at {end}");
        }
    }
}

proptest! {
    #[test]
    fn hostile_bytes_are_refused_without_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        sample in 0..20usize,
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let _ = Effects::decode(&bytes);
        let mut effects = Effects::default();
        effects.push(samples()[sample].0.clone());
        let mut bytes = effects.bytes().to_vec();
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let _ = Effects::decode(&bytes);
    }
}
