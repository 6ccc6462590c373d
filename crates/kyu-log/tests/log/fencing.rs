//! Two owners of one log: the younger takes it over while the elder still believes that it is its own.

use kyu_log::{AppendError, Class, Log, Lsn, SimLog, SimLogFaults, SimStore};
use proptest::prelude::*;

use crate::support::{SEGMENT_BYTES, body, replay};

/// A step of one of the owners, who are numbered by age.
#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    Flush(usize),
    /// A new owner opens the log.
    TakeOver,
    PowerLossIn(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..4usize).prop_map(Step::Append),
        4 => (0..4usize).prop_map(Step::Flush),
        2 => Just(Step::TakeOver),
        1 => (1..6u64).prop_map(Step::PowerLossIn),
    ]
}

/// An owner, and what it has appended and not made durable.
struct Owner {
    log: SimLog,
    pending: Vec<Vec<u8>>,
}

/// What was acknowledged is there, once and in order, and an owner that was overtaken is never told
/// that anything of its own became durable.
fn check(store: &SimStore, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut owners = vec![Owner { log: store.open().expect("new").0, pending: Vec::new() }];
    let mut acknowledged: Vec<Vec<u8>> = Vec::new();
    let mut unknown: Vec<Vec<u8>> = Vec::new();
    for (number, step) in steps.into_iter().enumerate() {
        let mut lost_power = false;
        match step {
            Step::Append(age) => {
                let youngest = owners.len() - 1;
                let at = youngest.saturating_sub(age);
                let bytes = body(number as u64, 900);
                let appended = owners[at].log.append(Class::Grow, &bytes);
                if at == youngest {
                    prop_assert!(appended.is_ok());
                    owners[at].pending.push(bytes);
                } else {
                    let sealed = matches!(appended, Err(AppendError::Sealed { .. }));
                    prop_assert!(sealed, "{appended:?}");
                }
            }
            Step::Flush(age) => {
                let youngest = owners.len() - 1;
                let at = youngest.saturating_sub(age);
                let flushed = owners[at].log.flush();
                let pending = std::mem::take(&mut owners[at].pending);
                match flushed {
                    Ok(()) => {
                        prop_assert!(at == youngest);
                        acknowledged.extend(pending);
                    }
                    Err(AppendError::Sealed { by }) => {
                        prop_assert!(at < youngest && by > 0);
                    }
                    Err(_) => {
                        unknown = pending;
                        lost_power = true;
                    }
                }
            }
            Step::TakeOver => match store.open() {
                Ok((log, _)) => owners.push(Owner { log, pending: Vec::new() }),
                Err(_) => lost_power = true,
            },
            Step::PowerLossIn(operations) => {
                let crash_at = Some(store.operations() + operations);
                store.set_faults(SimLogFaults { crash_at, ..SimLogFaults::default() });
            }
        }
        if lost_power {
            store.crash();
            let (log, _) = store.open().expect("power is back");
            let found = replay(&log, Lsn::ZERO).expect("whole");
            let found: Vec<_> = found.into_iter().map(|(_, body)| body).collect();
            prop_assert!(found.starts_with(&acknowledged));
            let more = &found[acknowledged.len()..];
            prop_assert!(unknown.starts_with(more), "a part of the batch that was cut off");
            acknowledged = found;
            unknown.clear();
            owners = vec![Owner { log, pending: Vec::new() }];
        }
    }
    let log = &owners.last().expect("at least one").log;
    let found = replay(log, Lsn::ZERO).expect("whole").into_iter().map(|(_, body)| body);
    prop_assert_eq!(found.collect::<Vec<_>>(), acknowledged);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn nothing_of_an_overtaken_owner_becomes_durable(
        seed in any::<u64>(),
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        check(&SimStore::new(seed, SEGMENT_BYTES), steps)?;
    }
}

/// The positive control: where seals are not heeded, the check finds the ghosts.
#[test]
fn a_log_without_a_fence_is_caught() {
    let take_over =
        [Step::Append(0), Step::TakeOver, Step::Append(0), Step::Flush(0), Step::Flush(1)];
    let fenced = SimStore::new(1, SEGMENT_BYTES);
    assert!(check(&fenced, take_over.to_vec()).is_ok());
    let unfenced = SimStore::new(1, SEGMENT_BYTES);
    unfenced.set_faults(SimLogFaults { unfenced: true, ..SimLogFaults::default() });
    assert!(check(&unfenced, take_over.to_vec()).is_err());
}
