//! What every log on every disk does when nothing goes wrong.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kyu_log::{
    Class, Disk, FileLog, History, Lsn, OpenError, Opened, Options, RealDisk, ReplayError, SimDisk,
};

use crate::support::{self, SEGMENT_BYTES, append, bodies, body, replay};

/// A disk, a directory on it, and whether the log has threads.
struct Place {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    threads: bool,
    direct: bool,
}

impl Place {
    fn open(&self) -> Result<(FileLog, Opened), OpenError> {
        self.open_with(support::options())
    }

    fn open_with(&self, options: Options) -> Result<(FileLog, Opened), OpenError> {
        let options = Options { direct_io: self.direct, ..options };
        if self.threads {
            FileLog::open(self.disk.clone(), &self.dir, options)
        } else {
            FileLog::open_stepped(self.disk.clone(), &self.dir, options)
        }
    }
}

/// Runs a scenario on the real disk (direct and buffered) and the simulated one, with and without
/// threads.
fn everywhere(scenario: fn(&Place)) {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    for threads in [false, true] {
        for direct in [false, true] {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("kyu-log-test-{}-{count}", std::process::id());
            let dir = std::env::temp_dir().join(name);
            let place = Place { disk: Arc::new(RealDisk), dir: dir.clone(), threads, direct };
            scenario(&place);
            std::fs::remove_dir_all(dir).expect("the directory is ours");
        }
        let disk = Arc::new(SimDisk::new(7));
        scenario(&Place { disk, dir: support::dir(), threads, direct: true });
    }
}

#[test]
fn what_was_appended_comes_back_in_order_after_close_and_reopen() {
    everywhere(|place| {
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
    });
}

#[test]
fn replay_begins_after_the_record_whose_end_it_is_given() {
    everywhere(|place| {
        let (mut log, _) = place.open().expect("new");
        let ends: Vec<Lsn> = (0..100).map(|n| append(&mut log, n, 1000).end).collect();
        log.flush().expect("written");
        for (count, end) in ends.iter().enumerate() {
            assert_eq!(replay(&log, *end).expect("whole").len(), 99 - count);
        }
        let inside = Lsn(ends[10].0 - 1);
        assert!(matches!(replay(&log, inside), Err(ReplayError::BadStart { .. })));
        let beyond = Lsn(ends[99].0 + 1);
        assert!(matches!(replay(&log, beyond), Err(ReplayError::BadStart { .. })));
    });
}

#[test]
fn a_second_opener_is_told_who_is_there() {
    everywhere(|place| {
        let (log, _) = place.open().expect("new");
        assert!(matches!(place.open(), Err(OpenError::Locked(_))));
        drop(log);
        place.open().expect("free again");
    });
}

#[test]
fn durable_follows_what_is_appended_and_says_so_in_order() {
    everywhere(|place| {
        let (mut log, _) = place.open().expect("new");
        let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
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
    });
}

#[test]
fn any_part_of_any_body_can_be_read_hot_and_cold_before_and_after_it_is_durable() {
    everywhere(|place| {
        for hot_bytes in [0, 20_000, 1 << 20] {
            let (mut log, opened) =
                place.open_with(Options { hot_bytes, ..support::options() }).expect("opens");
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
        }
    });
}

#[test]
fn a_batch_append_is_the_same_as_single_ones() {
    everywhere(|place| {
        let (mut log, _) = place.open().expect("new");
        let expected: Vec<Vec<u8>> = (0..200).map(|n| body(n, 500)).collect();
        let mut places = Vec::new();
        log.append_all(Class::Grow, expected.iter().map(Vec::as_slice), |a| places.push(a.body_at))
            .expect("there is space");
        log.flush().expect("written");
        let records = replay(&log, Lsn::ZERO).expect("whole");
        assert_eq!(records, places.into_iter().zip(expected).collect::<Vec<_>>());
    });
}

#[test]
fn a_body_can_contain_its_own_address() {
    everywhere(|place| {
        let (mut log, _) = place.open().expect("new");
        for _ in 0..100 {
            let mut bytes = vec![0; 1000];
            let mut own = Lsn::ZERO;
            let slot = &mut bytes;
            let appended = log
                .append_with(Class::Grow, 1000, |at| {
                    own = at;
                    slot[..8].copy_from_slice(&at.0.to_le_bytes());
                    slot
                })
                .expect("there is space");
            assert_eq!(appended.body_at, own);
        }
        log.flush().expect("written");
        for (at, body) in replay(&log, Lsn::ZERO).expect("whole") {
            assert_eq!(body[..8], at.0.to_le_bytes());
        }
    });
}

#[test]
fn a_body_that_fills_a_segment_fits_and_one_byte_more_does_not() {
    everywhere(|place| {
        let (mut log, _) = place.open().expect("new");
        let Err(kyu_log::AppendError::TooLarge { limit_bytes }) =
            log.append(Class::Grow, &vec![1; SEGMENT_BYTES as usize])
        else {
            panic!("it cannot fit");
        };
        append(&mut log, 1, 10);
        append(&mut log, 2, limit_bytes);
        append(&mut log, 3, 0);
        assert!(log.append(Class::Grow, &vec![1; limit_bytes + 1]).is_err());
        log.flush().expect("written");
        assert_eq!(bodies(&log), [body(1, 10), body(2, limit_bytes), body(3, 0)]);
    });
}

#[test]
fn an_empty_body_is_a_record() {
    everywhere(|place| {
        let (mut log, _) = place.open().expect("new");
        log.append(Class::Grow, b"").expect("there is space");
        log.append(Class::Shrink, b"").expect("there is space");
        log.close().expect("written");
        let (log, _) = place.open().expect("reopens");
        assert_eq!(bodies(&log), [b"", b""]);
    });
}

#[test]
fn closed_segments_are_scanned_and_recycled_in_any_order() {
    everywhere(|place| {
        let (mut log, _) = place.open().expect("new");
        let places: Vec<Lsn> = (0..300).map(|n| append(&mut log, n, 1000).body_at).collect();
        log.flush().expect("written");
        let closed: Vec<u64> =
            log.segments().iter().filter(|s| s.closed).map(|s| s.number).collect();
        let mut scanned = Vec::new();
        for number in &closed {
            log.scan_segment(*number, &mut |at, _| {
                scanned.push(at);
                Ok::<(), ()>(())
            })
            .expect("whole");
        }
        assert_eq!(scanned, places[..scanned.len()]);
        assert!(!log.recycle(*closed.last().unwrap() + 1), "the open one stays");
        for number in [closed[3], closed[0], closed[1]] {
            assert!(log.recycle(number));
            assert!(!log.recycle(number), "once");
            assert!(log.scan_segment::<()>(number, &mut |_, _| Ok(())).is_err());
        }
        let kept = log.reader().read(places[4 * 29 + 10], 8);
        assert!(kept.is_ok(), "segments between recycled ones are readable");
        assert!(matches!(replay(&log, Lsn::ZERO), Err(ReplayError::Missing { segment: 1, .. })));
        assert!(!log.reaches(Lsn::ZERO));
        // The rest replays from a snapshot taken at the end of the last recycled segment.
        let from = scanned_end(&log, closed[4]);
        assert!(log.reaches(from));
        for number in 300..600 {
            append(&mut log, number, 1000);
        }
        log.close().expect("written");
        let (log, _) = place.open().expect("reopens");
        let records = replay(&log, from).expect("whole");
        assert_eq!(records.last().map(|(_, b)| b.clone()), Some(body(599, 1000)));
        assert!(log.reaches(from));
    });
}

fn scanned_end(log: &FileLog, number: u64) -> Lsn {
    let mut end = Lsn::ZERO;
    log.scan_segment(number, &mut |at, body| {
        end = Lsn(at.0 + body.len() as u64);
        Ok::<(), ()>(())
    })
    .expect("whole");
    end
}

#[test]
fn files_of_others_are_refused_with_their_name() {
    let disk = SimDisk::new(1);
    let (one, two) = (Path::new("/one"), Path::new("/two"));
    for dir in [one, two] {
        let (mut log, _) =
            FileLog::open_stepped(Arc::new(disk.clone()), dir, support::options()).expect("new");
        for number in 0..50 {
            append(&mut log, number, 1000);
        }
        log.close().expect("written");
    }
    let reopen =
        |dir: &Path| match FileLog::open_stepped(Arc::new(disk.clone()), dir, support::options()) {
            Ok(_) => panic!("it must not open"),
            Err(error) => error.to_string(),
        };
    let file = support::segment_file(one, 2);
    let own = disk.contents(&file).expect("exists");
    disk.put(&file, disk.contents(&support::segment_file(two, 2)).expect("exists"));
    assert!(reopen(one).contains("belongs to another log"));
    disk.put(&file, disk.contents(&support::segment_file(one, 1)).expect("exists"));
    assert!(reopen(one).contains("is segment 1 under a wrong name"));
    let mut newer = own.clone();
    newer[8] = 2;
    disk.put(&file, newer);
    assert!(reopen(one).contains("version 2"));
    disk.put(&file, own);
    disk.vanish(&one.join("META"));
    assert!(reopen(one).contains("missing"));
}

#[test]
fn a_missing_segment_is_named() {
    let disk = SimDisk::new(1);
    let (mut log, _) = support::open(&disk).expect("new");
    for number in 0..100 {
        append(&mut log, number, 1000);
    }
    log.close().expect("written");
    disk.vanish(&support::segment_file(&support::dir(), 2));
    let (log, _) = support::open(&disk).expect("a snapshot may cover it");
    assert!(matches!(replay(&log, Lsn::ZERO), Err(ReplayError::Missing { segment: 2, .. })));
}

/// The largest record and a reserve of whole segments: waiting for a segment must end.
#[test]
fn the_largest_records_fit_beside_the_reserve() {
    everywhere(|place| {
        let reserve_bytes = 3 * u64::from(SEGMENT_BYTES);
        let options = Options { reserve_bytes, ..support::options() };
        let (mut log, _) = place.open_with(options).expect("new");
        let len = SEGMENT_BYTES as usize - 2 * 4096 - 48 - 20;
        for number in 0..20 {
            append(&mut log, number, len);
            append(&mut log, number, 9);
        }
        log.flush().expect("written");
        assert_eq!(bodies(&log).len(), 40);
    });
}
