//! The simulation itself: it repeats, it passes, and it notices.

use kyu_sim::{Coverage, Event, Options, SyncMode, run};

#[test]
fn fixed_seeds_keep_every_promise() {
    let mut coverage = Coverage::default();
    for seed in 100..120 {
        let report = run(seed, &Options::default());
        assert_eq!(report.violation, None, "cargo xtask sim --seed {seed}");
        coverage.merge(&report.coverage);
    }
    // Some faults need more than twenty runs; these do not.
    for event in [
        Event::PowerLossInOperation,
        Event::LogFailure,
        Event::StateCompared,
        Event::TailLost,
        Event::Recycled,
        Event::Relocated,
        Event::Snapshot,
        Event::ColdRead,
        Event::LongPollWoken,
        Event::DeadLetter,
        Event::DuplicateAfterRestart,
        Event::Stale,
    ] {
        assert!(coverage.count(event) > 0, "never happened: {}", event.name());
    }
}

#[test]
fn a_seed_gives_the_same_run_twice() {
    let options = Options { keep_trace: true, ..Options::default() };
    for seed in [7, 8] {
        let (first, second) = (run(seed, &options), run(seed, &options));
        let lines = first.trace.lines.as_ref().unwrap().iter();
        for (first, second) in lines.zip(second.trace.lines.as_ref().unwrap()) {
            assert_eq!(first, second, "seed {seed}");
        }
        assert_eq!(first.trace.hash(), second.trace.hash());
        assert_eq!(first.coverage, second.coverage);
    }
    let other = run(9, &options);
    assert_ne!(other.trace.hash(), run(7, &options).trace.hash());
}

/// The positive control: a log that says "durable" without a sync. Only the auditor looks, who sees
/// no more than clients do.
#[test]
fn a_log_that_does_not_sync_is_caught() {
    let options = Options { sync: SyncMode::Broken, compare_states: false, ..Options::default() };
    let caught = (0..10).find_map(|seed| run(seed, &options).violation);
    assert!(caught.is_some(), "ten runs over a log that does not sync were found to be in order");
}
