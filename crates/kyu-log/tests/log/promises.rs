//! What every log promises, wherever it lies.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use kyu_log::{AppendError, Class, History, Log, LogReader, Lsn, ReplayError};

use crate::places::Place;
use crate::support::{SEGMENT_BYTES, append, bodies, body, replay};

/// Each scenario is a test of each log.
macro_rules! of_every_log {
    ($($scenario:ident,)*) => {
        mod files {
            $(#[test]
            fn $scenario() {
                crate::places::on_files(super::$scenario);
            })*
        }
        mod simulated {
            $(#[test]
            fn $scenario() {
                super::$scenario(&crate::places::SimPlace::new(7));
            })*
        }
    };
}

of_every_log! {
    what_was_appended_comes_back_in_order_after_close_and_reopen,
    replay_begins_after_the_record_whose_end_it_is_given,
    durable_follows_what_is_appended_and_says_so_in_order,
    any_part_of_any_body_can_be_read_before_and_after_it_is_durable,
    a_body_that_fills_a_segment_fits_and_one_byte_more_does_not,
    an_empty_body_is_a_record,
    closed_segments_are_recycled_in_any_order,
    a_sealed_incarnation_is_over_and_what_it_had_not_made_durable_is_gone,
    a_seal_is_durable_and_the_next_epoch_is_not_below_it,
    a_seal_that_is_no_higher_than_the_own_epoch_changes_nothing,
}

fn what_was_appended_comes_back_in_order_after_close_and_reopen<P: Place>(place: &P) {
    let (mut log, opened) = place.open().expect("new");
    assert_eq!((opened.epoch, opened.last), (1, Lsn::ZERO));
    let mut expected = Vec::new();
    for number in 0..300 {
        let len = (number as usize * 131) % 3000;
        let appended = append(&mut log, number, len);
        expected.push((appended.body_at, body(number, len)));
    }
    let end = log.end();
    log.close().expect("written");
    let (log, opened) = place.open().expect("reopens");
    assert!(opened.closed_in_order);
    assert_eq!((opened.epoch, opened.last, opened.first), (2, end, Lsn::ZERO));
    assert_eq!(replay(&log, Lsn::ZERO).expect("whole"), expected);
    assert!(log.segments().len() > 5, "the records span segments");
}

fn replay_begins_after_the_record_whose_end_it_is_given<P: Place>(place: &P) {
    let (mut log, _) = place.open().expect("new");
    let ends: Vec<Lsn> = (0..100).map(|n| append(&mut log, n, 1000).end).collect();
    log.flush().expect("written");
    for (count, end) in ends.iter().enumerate() {
        assert_eq!(replay(&log, *end).expect("whole").len(), 99 - count);
        assert!(log.reaches(*end));
    }
    let inside = Lsn(ends[10].0 - 1);
    assert!(matches!(replay(&log, inside), Err(ReplayError::BadStart { .. })));
    let beyond = Lsn(ends[99].0 + 1);
    assert!(matches!(replay(&log, beyond), Err(ReplayError::BadStart { .. })));
    assert!(!log.reaches(beyond));
}

fn durable_follows_what_is_appended_and_says_so_in_order<P: Place>(place: &P) {
    let (mut log, _) = place.open().expect("new");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = seen.clone();
    log.on_durable(Box::new(move |lsn| sink.lock().unwrap().push(lsn)));
    for number in 0..50 {
        let end = append(&mut log, number, 700).end;
        log.flush().expect("written");
        assert!(log.durable() >= end);
    }
    let last = log.end();
    log.close().expect("written");
    let seen = seen.lock().unwrap();
    assert!(seen.is_sorted());
    assert_eq!(seen.last(), Some(&last));
}

fn any_part_of_any_body_can_be_read_before_and_after_it_is_durable<P: Place>(place: &P) {
    for hot_bytes in [0, 20_000, 1 << 20] {
        let (mut log, opened) = place.open_with(hot_bytes).expect("opens");
        let reader = log.reader();
        let mut places = Vec::new();
        for number in 0..120 {
            let len = 100 + (number as usize * 997) % 9000;
            let at = append(&mut log, number, len).body_at;
            let expected = body(number, len);
            assert_eq!(reader.read(at, len).expect("unwritten"), expected);
            places.push((at, expected));
            if number % 7 == 0 {
                log.flush().expect("written");
            }
        }
        log.flush().expect("written");
        for (at, expected) in &places {
            let len = expected.len();
            assert_eq!(reader.read(*at, len).expect("written"), expected);
            let part = reader.read(Lsn(at.0 + 50), 20).expect("written");
            assert_eq!(part, &expected[50..70]);
        }
        assert!(reader.read(Lsn(log.end().0 + 1), 10).is_err());
        assert_eq!(opened.segment_bytes, SEGMENT_BYTES);
        assert_eq!(log.segment_bytes(), SEGMENT_BYTES);
    }
}

fn a_body_that_fills_a_segment_fits_and_one_byte_more_does_not<P: Place>(place: &P) {
    let (mut log, _) = place.open().expect("new");
    let too_large = log.append(Class::Grow, &vec![1; SEGMENT_BYTES as usize]);
    let Err(AppendError::TooLarge { limit_bytes }) = too_large else {
        panic!("it cannot fit");
    };
    append(&mut log, 1, 10);
    append(&mut log, 2, limit_bytes);
    append(&mut log, 3, 0);
    assert!(log.append(Class::Grow, &vec![1; limit_bytes + 1]).is_err());
    log.flush().expect("written");
    assert_eq!(bodies(&log), [body(1, 10), body(2, limit_bytes), body(3, 0)]);
}

fn an_empty_body_is_a_record<P: Place>(place: &P) {
    let (mut log, _) = place.open().expect("new");
    log.append(Class::Grow, b"").expect("there is space");
    log.append(Class::Shrink, b"").expect("there is space");
    log.close().expect("written");
    let (log, _) = place.open().expect("reopens");
    assert_eq!(bodies(&log), [b"", b""]);
}

fn closed_segments_are_recycled_in_any_order<P: Place>(place: &P) {
    let (mut log, _) = place.open().expect("new");
    let mut places: BTreeMap<u64, Vec<(Lsn, Lsn)>> = BTreeMap::new();
    for number in 0..300 {
        let appended = append(&mut log, number, 1000);
        let segment = appended.body_at.0 / u64::from(SEGMENT_BYTES);
        places.entry(segment).or_default().push((appended.body_at, appended.end));
    }
    log.flush().expect("written");
    let closed: Vec<u64> = log.segments().iter().filter(|s| s.closed).map(|s| s.number).collect();
    assert!(closed.len() > 6 && closed.iter().all(|number| places.contains_key(number)));
    assert!(!log.recycle(*closed.last().unwrap() + 1), "the open one stays");
    for number in [closed[3], closed[0], closed[1]] {
        assert!(log.recycle(number));
        assert!(!log.recycle(number), "once");
        let (at, _) = places[&number][0];
        assert!(log.reader().read(at, 1000).is_err() || log.reader().read_hot(at, 8).is_some());
    }
    let missing = log.missing(&[closed[0], closed[2], closed[3]]).expect("known");
    let missing: Vec<u64> = missing.iter().map(|segment| segment.number).collect();
    assert_eq!(missing, [closed[0], closed[3]]);
    let (between, _) = *places[&closed[2]].last().expect("some");
    assert!(log.reader().read(between, 8).is_ok(), "segments between recycled ones are readable");
    assert!(matches!(replay(&log, Lsn::ZERO), Err(ReplayError::Missing { segment: 1, .. })));
    assert!(!log.reaches(Lsn::ZERO));
    // The rest replays from a snapshot taken at the end of the last recycled segment.
    let from = places[&closed[4]].last().expect("some").1;
    assert!(log.reaches(from));
    for number in 300..600 {
        append(&mut log, number, 1000);
    }
    log.close().expect("written");
    let (log, _) = place.open().expect("reopens");
    let records = replay(&log, from).expect("whole");
    assert_eq!(records.last().map(|(_, b)| b.clone()), Some(body(599, 1000)));
    assert!(log.reaches(from));
}

/// Two servers may believe that they own a log. Once one has sealed it, nothing that the other still
/// has under way may become durable: it would lie between what the new owner has acknowledged.
fn a_sealed_incarnation_is_over_and_what_it_had_not_made_durable_is_gone<P: Place>(place: &P) {
    let (mut log, opened) = place.open().expect("new");
    let mut kept = Vec::new();
    for number in 0..60 {
        append(&mut log, number, 1000);
        kept.push(body(number, 1000));
    }
    log.flush().expect("written");
    for number in 60..130 {
        append(&mut log, number, 1000);
        kept.push(body(number, 1000));
    }
    let by = opened.epoch + 3;
    log.seal(by).expect("sealed");
    assert_eq!(log.append(Class::Grow, b"late"), Err(AppendError::Sealed { by }));
    assert_eq!(log.append(Class::Shrink, b"late"), Err(AppendError::Sealed { by }));
    assert_eq!(log.flush(), Err(AppendError::Sealed { by }));
    let sealed = log.durable();
    assert_eq!(log.close(), Err(AppendError::Sealed { by }));
    let (mut log, opened) = place.open().expect("reopens");
    assert_eq!(opened.last, sealed, "nothing became durable after the seal");
    let found = bodies(&log);
    // With threads some of what was not flushed had been written before the seal.
    assert!(found.len() >= 60);
    assert_eq!(found, kept[..found.len()]);
    append(&mut log, 7, 5000);
    log.close().expect("written");
    let (log, _) = place.open().expect("reopens");
    assert_eq!(bodies(&log)[found.len()..], [body(7, 5000)]);
}

fn a_seal_is_durable_and_the_next_epoch_is_not_below_it<P: Place>(place: &P) {
    let mut highest = 0;
    for round in 0..20 {
        let (mut log, opened) = place.open().expect("opens");
        assert!(opened.epoch > highest, "round {round}");
        append(&mut log, round, 1500);
        log.flush().expect("written");
        highest = opened.epoch + round % 4;
        log.seal(highest).expect("sealed");
    }
    let (log, opened) = place.open().expect("opens");
    assert!(opened.epoch > highest);
    assert_eq!(bodies(&log).len(), 20);
}

fn a_seal_that_is_no_higher_than_the_own_epoch_changes_nothing<P: Place>(place: &P) {
    place.open().expect("new").0.close().expect("written");
    let (mut log, opened) = place.open().expect("reopens");
    append(&mut log, 1, 100);
    log.seal(opened.epoch - 1).expect("nothing to do");
    log.seal(opened.epoch).expect("nothing to do");
    append(&mut log, 2, 100);
    log.close().expect("written");
    assert_eq!(bodies(&place.open().expect("reopens").0), [body(1, 100), body(2, 100)]);
}
