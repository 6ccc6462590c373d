//! Random appends, flushes, crashes and reopens against a vector.

use proptest::prelude::*;

use kyu_log::{Lsn, SimDisk, SimFaults};

use crate::support::{append, body, open, replay};

#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    Flush,
    Crash,
    Kill,
    Close,
    PowerLossIn(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..4000usize).prop_map(Step::Append),
        1 => (20_000..24_000usize).prop_map(Step::Append),
        4 => Just(Step::Flush),
        1 => Just(Step::Crash),
        1 => Just(Step::Kill),
        1 => Just(Step::Close),
        1 => (1..8u64).prop_map(Step::PowerLossIn),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn the_log_is_a_vector_that_keeps_what_was_flushed(
        seed in any::<u64>(),
        steps in proptest::collection::vec(step(), 1..80),
    ) {
        let disk = SimDisk::new(seed);
        let faults = |crash_at| SimFaults {
            crash_at, torn_sectors: true, short_reads: true, ..SimFaults::default()
        };
        disk.set_faults(faults(None));
        let mut log = open(&disk).expect("new").0;
        let (mut model, mut durable): (Vec<(Lsn, Vec<u8>)>, usize) = (Vec::new(), 0);
        for (number, step) in steps.into_iter().enumerate() {
            let mut lost_power = false;
            match step {
                Step::Append(len) => {
                    let bytes = body(number as u64, len);
                    match log.append(kyu_log::Class::Grow, &bytes) {
                        Ok(appended) => model.push((appended.body_at, bytes)),
                        Err(_) => lost_power = true,
                    }
                }
                Step::Flush => match log.flush() {
                    Ok(()) => durable = model.len(),
                    Err(_) => lost_power = true,
                },
                Step::PowerLossIn(operations) => {
                    disk.set_faults(faults(Some(disk.operations() + operations)));
                }
                Step::Crash => lost_power = true,
                Step::Kill | Step::Close => {
                    if matches!(step, Step::Close) && log.close().is_ok() {
                        durable = model.len();
                    }
                    disk.kill_process();
                    match open(&disk) {
                        Ok((opened, _)) => log = opened,
                        Err(_) => {
                            disk.crash();
                            log = open(&disk).expect("power is back").0;
                        }
                    }
                    let found = replay(&log, Lsn::ZERO).expect("whole");
                    prop_assert!(found.len() >= durable);
                    model.truncate(found.len());
                    prop_assert_eq!(&found, &model);
                    durable = model.len();
                }
            }
            if lost_power {
                disk.crash();
                log = open(&disk).expect("power is back").0;
                let found = replay(&log, Lsn::ZERO).expect("whole");
                prop_assert!(found.len() >= durable);
                model.truncate(found.len());
                prop_assert_eq!(&found, &model);
                durable = model.len();
            }
        }
        disk.set_faults(SimFaults::default());
        disk.crash();
        let mut log = open(&disk).expect("power is back").0;
        append(&mut log, 1, 1);
    }
}
