//! Random appends, flushes, crashes and reopens against a vector, of every log.

use proptest::prelude::*;

use kyu_log::{Class, Log, Lsn};

use crate::places::{Faulty, FaultyFiles, SimPlace};
use crate::support::{append, body, replay};

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

/// The log holds what was appended, as far as a crash has left it, and no less than what was flushed.
fn check<P: Faulty>(place: &P, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut log = place.open().expect("new").0;
    let (mut model, mut durable): (Vec<(Lsn, Vec<u8>)>, usize) = (Vec::new(), 0);
    for (number, step) in steps.into_iter().enumerate() {
        let mut reopened = None;
        let mut lost_power = false;
        match step {
            Step::Append(len) => {
                let bytes = body(number as u64, len);
                match log.append(Class::Grow, &bytes) {
                    Ok(appended) => model.push((appended.body_at, bytes)),
                    Err(_) => lost_power = true,
                }
            }
            Step::Flush => match log.flush() {
                Ok(()) => durable = model.len(),
                Err(_) => lost_power = true,
            },
            Step::PowerLossIn(operations) => place.lose_power_in(operations),
            Step::Crash => lost_power = true,
            Step::Kill => {
                place.kill();
                reopened = Some(place.open());
            }
            Step::Close => {
                if log.close().is_ok() {
                    durable = model.len();
                }
                place.kill();
                let again = place.open();
                log = match again {
                    Ok((again, _)) => again,
                    Err(_) => {
                        place.crash();
                        place.open().expect("power is back").0
                    }
                };
                durable = compare(&log, &mut model, durable)?;
            }
        }
        match reopened {
            Some(Ok((again, _))) => log = again,
            Some(Err(_)) => lost_power = true,
            None if !lost_power => continue,
            None => {}
        }
        if lost_power {
            place.crash();
            log = place.open().expect("power is back").0;
        }
        durable = compare(&log, &mut model, durable)?;
    }
    place.crash();
    let mut log = place.open().expect("power is back").0;
    append(&mut log, 1, 1);
    Ok(())
}

/// Compares a reopened log with the model, and cuts the model to what is left.
fn compare(
    log: &impl Log,
    model: &mut Vec<(Lsn, Vec<u8>)>,
    durable: usize,
) -> Result<usize, TestCaseError> {
    let found = replay(log, Lsn::ZERO).expect("whole");
    prop_assert!(found.len() >= durable);
    model.truncate(found.len());
    prop_assert_eq!(&found, &*model);
    Ok(model.len())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn the_log_is_a_vector_that_keeps_what_was_flushed(
        seed in any::<u64>(),
        steps in proptest::collection::vec(step(), 1..80),
    ) {
        check(&FaultyFiles::new(seed), steps)?;
    }

    #[test]
    fn the_simulated_log_is_one_too(
        seed in any::<u64>(),
        steps in proptest::collection::vec(step(), 1..80),
    ) {
        check(&SimPlace::new(seed), steps)?;
    }
}
