//! Bits that change on the platter: on a copy of the disk, so that the run goes on unharmed.
//!
//! A flipped bit may be refused at open, may lie where nothing is needed, or may be in the body of a
//! message, which then is refused when it is read. It must never give another state or other bytes.
//! In the last batch it looks like a write that the power cut off, and only that batch may go.

use std::sync::Arc;

use bytes::Bytes;
use kyu_broker::{Core, Frame, OpenError, stopped};
use kyu_log::{Disk, Log, LogReader, Lsn, SimDisk};

use crate::coverage::{Coverage, Event};
use crate::random::Random;
use crate::violation::{Violation, ensure};
use crate::world::World;

/// The outcome for a copy with a flipped bit.
pub(crate) enum Flip {
    Refused,
    Opened { core: Box<Core<u64>>, what: String },
}

/// Flips a bit on a copy of the disk at rest and opens it.
pub(crate) fn flip(world: &World, random: &mut Random) -> Result<Option<Flip>, Violation> {
    let copy = copy_of(&world.disk, random.next());
    let files = copy.files();
    let Some(file) = random.pick(&files) else { return Ok(None) };
    let bytes = copy.contents(file).unwrap_or_default();
    // Most of a segment is zeros that nobody reads: look for something written.
    let places: Vec<u64> = (0..16).map(|_| random.below(bytes.len() as u64)).collect();
    let written = places.iter().find(|at| bytes.get(**at as usize).is_some_and(|b| *b != 0));
    let Some(at) = written.or(places.first()).copied() else { return Ok(None) };
    if !copy.flip_bit(file, at, random.below(8) as u8) {
        return Ok(None);
    }
    let what = format!("a flipped bit at {at} of {}", file.display());
    verified(world, &copy, &what)?;
    match world.open_copy(&copy) {
        Ok(core) => Ok(Some(Flip::Opened { core: Box::new(core), what })),
        Err(OpenError::Failed(text)) => Err(Violation(format!("{what}: {text}"))),
        Err(error) => {
            ensure!(!error.to_string().is_empty(), "{what} was refused without a word");
            Ok(Some(Flip::Refused))
        }
    }
}

/// Verifies a damaged copy, which must find what a start finds, and repairs a copy of it, which must
/// start then.
fn verified(world: &World, damaged: &SimDisk, what: &str) -> Result<(), Violation> {
    let failed = |error: OpenError| Violation(format!("{what}: {error}"));
    let shared: Arc<dyn Disk> = Arc::new(copy_of(damaged, 0));
    let verdict = stopped::verify(&shared, world.dir()).map_err(failed)?;
    match (&verdict.start, world.open_copy(&copy_of(damaged, 1))) {
        (Ok(_), Ok(_)) => Ok(()),
        (Err(said), Err(refused)) => {
            ensure!(
                said.to_string() == refused.to_string(),
                "{what}: verify says {said}, and the start says {refused}"
            );
            // What cannot be repaired says so, and changes nothing.
            let Ok(plan) = stopped::plan_repair(&shared, world.dir()) else { return Ok(()) };
            stopped::repair(&shared, world.dir(), &plan).map_err(failed)?;
            let repaired = stopped::verify(&shared, world.dir()).map_err(failed)?;
            ensure!(repaired.start.is_ok(), "{what}: not repaired by {plan}");
            Ok(())
        }
        (Ok(_), Err(refused)) => {
            Err(Violation(format!("{what}: verify is content, the start says {refused}")))
        }
        (Err(said), Ok(_)) => {
            Err(Violation(format!("{what}: the start is content, verify says {said}")))
        }
    }
}

fn copy_of(disk: &SimDisk, seed: u64) -> SimDisk {
    let copy = SimDisk::new(seed);
    for file in disk.files() {
        if let Some(bytes) = disk.contents(&file) {
            copy.put(&file, bytes);
        }
    }
    copy
}

/// Holds an opened copy against the world that was opened without the flip.
pub(crate) fn judge(
    flip: Flip,
    world: &mut World,
    coverage: &mut Coverage,
) -> Result<(), Violation> {
    let Flip::Opened { mut core, what } = flip else {
        coverage.note(Event::FlipRefused);
        return Ok(());
    };
    let (found, expected) = (core.log().durable().0, world.core.log().durable().0);
    if found != expected {
        ensure!(
            found < expected && found >= world.flushed.0,
            "{what}: the log ends at {found}, not {expected}; the last batch began at {}",
            world.flushed.0
        );
        coverage.note(Event::FlipInTail);
        return Ok(());
    }
    // Where the world had no room to end old sessions, the copy, whose disk has room, is ahead.
    let comparable = world.core.engine().sessions().is_empty();
    ensure!(
        !comparable || core.engine().digest() == world.core.engine().digest(),
        "{what} was accepted and gives another state"
    );
    let mut damaged = 0;
    for segment in 0..=expected / world.segment_bytes() {
        for live in core.engine().live_frames(segment) {
            let (at, len) = (Lsn(live.at), live.bytes as usize);
            let read = whole(core.log().reader().read(at, len));
            let right = whole(world.core.log().reader().read(at, len));
            ensure!(right.is_some(), "the body at {at} cannot be read");
            damaged += u64::from(read.is_none());
            ensure!(read.is_none() || read == right, "{what} gives a wrong body at {at}");
        }
    }
    coverage.add(Event::FlipInBody, damaged);
    coverage.note(Event::FlipHarmless);
    Ok(())
}

fn whole(read: std::io::Result<Bytes>) -> Option<Frame> {
    Frame::decode(read.ok()?).ok()
}
