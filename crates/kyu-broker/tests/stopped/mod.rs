//! A broker that is not running: a start, `verify` and `repair` agree.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kyu_broker::stopped::{plan_repair, repair, verify};
use kyu_broker::{Core, Frame, OpenError, QueueId, QueueMessages};
use kyu_log::{Disk, Log, LogReader, Lsn, SimDisk};

use crate::rig::{Rig, SEGMENT_BYTES, name};

const MESSAGES: u64 = 60;
const BODY_BYTES: usize = 6_000;

/// Some segments full of messages, the newest snapshot near the end, and a few messages after it.
fn filled() -> (Rig, QueueId) {
    let mut rig = Rig::new();
    let queue = rig.queue("jobs");
    for number in 0..MESSAGES {
        rig.send(queue, &vec![number as u8; BODY_BYTES]);
        if number == MESSAGES - 6 {
            rig.snapshot();
        }
    }
    rig.flush();
    rig.disk.kill_process();
    (rig, queue)
}

fn segment(number: u64) -> PathBuf {
    Path::new("/data").join(format!("{number:020}.log"))
}

fn shared(disk: &SimDisk) -> Arc<dyn Disk> {
    Arc::new(disk.clone())
}

fn open(rig: &Rig, disk: &SimDisk) -> Result<Core<u64>, OpenError> {
    Core::open_stepped(shared(disk), rig.options(), Arc::new(|_| {}))
}

fn copy(disk: &SimDisk) -> SimDisk {
    let copy = SimDisk::new(3);
    for file in disk.files() {
        copy.put(&file, disk.contents(&file).expect("exists"));
    }
    copy
}

/// Messages whose bodies read back, and those whose bodies do not.
fn bodies(core: &mut Core<u64>) -> (u64, u64) {
    let reader = core.log().reader();
    let last = core.log().end().0 / u64::from(SEGMENT_BYTES);
    let live = (0..=last).flat_map(|number| core.engine().live_frames(number));
    let (good, bad): (Vec<_>, Vec<_>) = live.partition(|frame| {
        let bytes = reader.read(Lsn(frame.at), frame.bytes as usize);
        bytes.is_ok_and(|bytes| Frame::decode(bytes).is_ok())
    });
    (good.len() as u64, bad.len() as u64)
}

fn count(messages: &[QueueMessages]) -> u64 {
    messages.iter().map(|of| of.messages).sum()
}

fn check(rig: &Rig, disk: &SimDisk, what: &str) {
    let path = Path::new("/data");
    let verdict = verify(&shared(disk), path).unwrap_or_else(|e| panic!("{what}: {e}"));
    match (&verdict.start, open(rig, &copy(disk))) {
        (Ok(start), Ok(mut core)) => {
            let (good, bad) = bodies(&mut core);
            assert_eq!(count(&start.unreadable), bad, "{what}");
            // The last batch, of one message here, may have been in flight when the process died.
            assert!(!verdict.is_clean() || good + 1 >= MESSAGES, "{what}: {good}, and all is well");
        }
        (Err(said), Err(refused)) => assert_eq!(said.to_string(), refused.to_string(), "{what}"),
        (Ok(_), Err(refused)) => panic!("{what}: verify is content, the start says: {refused}"),
        (Err(said), Ok(_)) => panic!("{what}: the start is content, verify says: {said}"),
    }
    let plan = plan_repair(&shared(disk), path).unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_eq!(plan.steps.is_empty(), verdict.start.is_ok(), "{what}: {plan}");
    repair(&shared(disk), path, &plan).unwrap_or_else(|e| panic!("{what}: {e}"));
    let again = verify(&shared(disk), path).expect("readable");
    assert_eq!(again.start.as_ref().ok(), Some(&plan.start), "{what}");
    let mut core = open(rig, disk).unwrap_or_else(|e| panic!("{what}: {e} after {plan}"));
    let (good, bad) = bodies(&mut core);
    assert_eq!(bad, count(&plan.start.unreadable), "{what}: {plan}");
    let told = plan.steps.iter().any(|step| !step.to_string().contains("nothing is lost"));
    assert!(good + 1 >= MESSAGES || bad > 0 || told, "{what}: {good} messages are left: {plan}");
}

/// The bodies of live messages lie in old segments, which a start does not read. It used to start
/// without such a segment, and the messages in it were never delivered and never missed.
#[test]
fn a_start_without_a_segment_that_messages_lie_in_is_refused() {
    let (rig, _) = filled();
    assert!(rig.disk.vanish(&segment(2)));
    let refused = open(&rig, &rig.disk).err().expect("messages are gone");
    let OpenError::Lost(lost) = &refused else { panic!("{refused}") };
    assert_eq!(lost.segments.iter().map(|s| s.number).collect::<Vec<_>>(), [2]);
    let named = format!("{}/jobs", name("jobs").namespace);
    assert!(lost.messages.iter().all(|of| of.queue == named && of.messages > 5), "{refused}");
    assert!(refused.to_string().contains("00000000000000000002.log"), "{refused}");
    rig.disk.kill_process();

    // Given up, the messages stay where they are, known as unreadable, and everything else works.
    let plan = plan_repair(&shared(&rig.disk), Path::new("/data")).expect("can be given up");
    assert_eq!(plan.start.unreadable, lost.messages);
    assert!(plan.to_string().contains("put an empty segment in the place of"), "{plan}");
    repair(&shared(&rig.disk), Path::new("/data"), &plan).expect("as planned");
    let mut core = open(&rig, &rig.disk).expect("repaired");
    assert_eq!(bodies(&mut core), (MESSAGES - count(&lost.messages), count(&lost.messages)));
}

/// A service manager starts a refused server again and again. Each try wrote a mark into the log, and
/// dropped what was in flight, before it found out.
#[test]
fn a_refused_start_changes_nothing() {
    let (rig, _) = filled();
    for number in 1..=9 {
        let disk = copy(&rig.disk);
        assert!(disk.vanish(&segment(number)), "{number}");
        let bytes = || disk.files().into_iter().map(|f| (disk.contents(&f), f)).collect::<Vec<_>>();
        let before = bytes();
        assert!(open(&rig, &disk).is_err(), "segment {number} is needed");
        assert!(bytes() == before, "segment {number}");
    }
}

/// A segment in which nothing is live is recycled, and no start misses it.
#[test]
fn a_recycled_segment_is_not_missed() {
    let (mut rig, queue) = filled();
    rig.crash();
    for _ in 0..30 {
        rig.receive_and_ack(queue);
    }
    rig.disk.kill_process();
    // As if it had been recycled.
    assert!(rig.disk.vanish(&segment(1)));
    rig.crash();
    rig.disk.kill_process();
    let verdict = verify(&shared(&rig.disk), Path::new("/data")).expect("readable");
    assert!(verdict.start.is_ok() && verdict.is_clean(), "{verdict:?}");
}

#[test]
fn every_damage_to_every_file_is_told_and_mended() {
    let (rig, _) = filled();
    check(&rig, &copy(&rig.disk), "undamaged");
    let files = rig.disk.files().into_iter().filter(|file| !file.ends_with("LOCK"));
    for file in files.filter(|file| file.extension() != Some("spare".as_ref())) {
        let bytes = rig.disk.contents(&file).expect("exists");
        let damaged = |what: &str, bytes: Option<Vec<u8>>| {
            let disk = copy(&rig.disk);
            match bytes {
                Some(bytes) => disk.put(&file, bytes),
                None => assert!(disk.vanish(&file)),
            }
            check(&rig, &disk, &format!("{} {what}", file.display()));
        };
        damaged("is gone", None);
        for len in (0..bytes.len()).step_by(9_973).chain([4096, bytes.len() - 1, bytes.len() + 9]) {
            let mut cut = bytes.clone();
            cut.resize(len, 1);
            damaged(&format!("is cut to {len}"), Some(cut));
        }
        let mut unwritten = bytes.clone();
        unwritten.iter_mut().skip(4096).for_each(|byte| *byte = 0);
        // The last segment as if nothing had ever been written to it cannot be told from one that was
        // only prepared: nothing else in the log knows of it.
        let last = verify(&shared(&rig.disk), Path::new("/data")).expect("readable").segments;
        let is_last = last.last().is_some_and(|last| file == segment(last.number));
        if unwritten != bytes && !is_last {
            damaged("is unwritten", Some(unwritten));
        }
        for at in (0..bytes.len()).step_by(7_919).chain(0..40) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 4;
            damaged(&format!("is flipped at {at}"), Some(flipped));
        }
    }
}
