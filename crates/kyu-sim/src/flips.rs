//! Bits that change on the platter: on a copy of the disk, so that the run goes on unharmed.
//!
//! A flipped bit may be refused at open, may lie where nothing is needed, or may be in the body of a
//! message, which then is refused when it is read. It must never give another state or other bytes.
//! In the last batch it looks like a write that the power cut off, and only that batch may go.

use bytes::Bytes;
use kyu_broker::{Core, Frame, OpenError};
use kyu_log::{Log, LogReader, Lsn, SimDisk};

use crate::coverage::{Coverage, Event};
use crate::random::Random;
use crate::violation::{Violation, ensure};
use crate::world::World;

/// What became of a copy with a flipped bit.
pub(crate) enum Flip {
    Refused,
    Opened { core: Box<Core<u64>>, what: String },
}

/// Flips a bit on a copy of the disk at rest and opens it.
pub(crate) fn flip(world: &World, random: &mut Random) -> Result<Option<Flip>, Violation> {
    let copy = SimDisk::new(random.next());
    for file in world.disk.files() {
        if let Some(bytes) = world.disk.contents(&file) {
            copy.put(&file, bytes);
        }
    }
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
    match world.open_copy(&copy) {
        Ok(core) => Ok(Some(Flip::Opened { core: Box::new(core), what })),
        Err(OpenError::Failed(text)) => Err(Violation(format!("{what}: {text}"))),
        Err(error) => {
            ensure!(!error.to_string().is_empty(), "{what} was refused without a word");
            Ok(Some(Flip::Refused))
        }
    }
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
