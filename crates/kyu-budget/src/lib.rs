//! Memory that clients make the server hold, paid from nested budgets: a statement's lies in its
//! connection's, that in its principal's, that in its door's, and that in the process's.
//!
//! It is a crate of its own because the SQL evaluator pays too, and must not see doors.
//!
//! Clients pay for what is there: bytes that have arrived, not bytes that were announced;
//! answers, from before they are loaded until they are written. Who finds no room waits for a
//! bounded time on his own socket, and is then refused in the words of his protocol.
//!
//! A budget in which somebody found no room lately is *pressed*. Those who hold a share of it
//! without getting on (a body that does not arrive, an answer that nobody reads) are then cut off
//! after [`PRESSED_PATIENCE`] instead of their usual time, so that they cannot keep it from others.
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

mod arrival;
mod pace;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

pub use arrival::{Arrival, Terms};
pub use pace::Pace;

/// The time for which a holder of a pressed budget may make no progress: longer than a slow network
/// pauses, shorter than a caller notices.
pub const PRESSED_PATIENCE: Duration = Duration::from_secs(2);
/// The time for which somebody who found no room makes a budget count as pressed. Holders look once
/// in [`PRESSED_PATIENCE`] at the least, so it must be longer.
const PRESSED_FOR: Duration = Duration::from_secs(5);

/// The owner of a budget, from the innermost to the outermost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// One statement's, while it runs and until its result is written.
    Statement,
    /// One connection's.
    Connection,
    /// All connections of one principal, or of everybody who has not shown who he is.
    Principal,
    /// One door's, of one kind (bodies, answers, results).
    Door,
    /// The whole server's.
    Process,
}

impl Level {
    /// The owner in an error's text: "the memory that this connection may hold is taken".
    pub const fn whose(self) -> &'static str {
        match self {
            Self::Statement => "this statement",
            Self::Connection => "this connection",
            Self::Principal => "this caller",
            Self::Door => "this port",
            Self::Process => "this server",
        }
    }
}

/// A budget has no room for a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted {
    /// The owner of that budget.
    pub level: Level,
    /// Its size.
    pub limit_bytes: usize,
}

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whose, mib) = (self.level.whose(), self.limit_bytes >> 20);
        write!(f, "the memory that {whose} may hold at one time ({mib} MiB) is taken")
    }
}

impl std::error::Error for Exhausted {}

/// A bound in bytes, inside that of its parent. Clones share it.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Pot>);

#[derive(Debug)]
struct Pot {
    level: Level,
    limit_bytes: usize,
    parent: Option<Budget>,
    used_bytes: AtomicUsize,
    refusals: AtomicU64,
    began: Instant,
    /// The time at which somebody found no room last, in milliseconds since `began`, plus one; 0
    /// for never.
    pressed_at: AtomicU64,
    freed: Notify,
}

impl Budget {
    /// The outermost one.
    pub fn process(limit_bytes: usize) -> Self {
        Self::new(Level::Process, limit_bytes, None)
    }

    /// One inside this one: what it takes is taken from both.
    pub fn within(&self, level: Level, limit_bytes: usize) -> Self {
        Self::new(level, limit_bytes, Some(self.clone()))
    }

    fn new(level: Level, limit_bytes: usize, parent: Option<Self>) -> Self {
        // That of its parent will do: statements make one each, and asking the clock has a price.
        let began = parent.as_ref().map_or_else(Instant::now, |parent| parent.0.began);
        Self(Arc::new(Pot {
            level,
            limit_bytes,
            parent,
            used_bytes: AtomicUsize::new(0),
            refusals: AtomicU64::new(0),
            began,
            pressed_at: AtomicU64::new(0),
            freed: Notify::new(),
        }))
    }

    /// Bytes that are taken now.
    pub fn used_bytes(&self) -> usize {
        self.0.used_bytes.load(Ordering::Relaxed)
    }

    /// The most that can be taken.
    pub fn limit_bytes(&self) -> usize {
        self.0.limit_bytes
    }

    /// Shares that were refused in the end, for want of room here or in a budget within.
    pub fn refusals(&self) -> u64 {
        self.0.refusals.load(Ordering::Relaxed)
    }

    /// True if somebody found no room lately, here or in a budget around it.
    pub fn is_pressed(&self) -> bool {
        self.chain().any(|pot| match pot.pressed_at.load(Ordering::Relaxed) {
            0 => false,
            at => pot.began.elapsed() < Duration::from_millis(at - 1) + PRESSED_FOR,
        })
    }

    /// An empty share.
    pub fn share(&self) -> Share {
        Share { budget: self.clone(), bytes: 0 }
    }

    fn chain(&self) -> impl Iterator<Item = &Pot> {
        std::iter::successors(Some(self), |budget| budget.0.parent.as_ref()).map(|one| &*one.0)
    }

    /// Takes from this one and all around it, or from none; tells which has no room.
    fn take(&self, bytes: usize) -> Result<(), &Pot> {
        for (taken, pot) in self.chain().enumerate() {
            let fits = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= pot.limit_bytes);
            let (ok, old) = (Ordering::AcqRel, Ordering::Acquire);
            if pot.used_bytes.fetch_update(ok, old, fits).is_err() {
                self.chain().take(taken).for_each(|pot| pot.give_back(bytes));
                return Err(pot);
            }
        }
        Ok(())
    }

    /// Takes as [`Budget::take`] does, waiting for room until `deadline`.
    async fn take_by(&self, bytes: usize, deadline: Instant) -> Result<(), Exhausted> {
        loop {
            let Err(full) = self.take(bytes) else { return Ok(()) };
            let mut freed = std::pin::pin!(full.freed.notified());
            // Before the second try, so that what is given back in between is heard of.
            freed.as_mut().enable();
            let Err(full) = self.take(bytes) else { return Ok(()) };
            full.press();
            let never_fits = bytes > full.limit_bytes;
            if never_fits || tokio::time::timeout_at(deadline, freed).await.is_err() {
                return Err(full.refuse());
            }
        }
    }
}

impl Pot {
    fn refuse(&self) -> Exhausted {
        self.refusals.fetch_add(1, Ordering::Relaxed);
        for around in self.parent.iter().flat_map(Budget::chain) {
            around.refusals.fetch_add(1, Ordering::Relaxed);
        }
        Exhausted { level: self.level, limit_bytes: self.limit_bytes }
    }

    fn press(&self) {
        let ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.pressed_at.store(ms + 1, Ordering::Relaxed);
    }

    fn give_back(&self, bytes: usize) {
        self.used_bytes.fetch_sub(bytes, Ordering::AcqRel);
        if self.pressed_at.load(Ordering::Relaxed) != 0 {
            self.freed.notify_waiters();
        }
    }
}

/// A part of a [`Budget`]. Dropping it gives everything back.
#[derive(Debug)]
pub struct Share {
    budget: Budget,
    bytes: usize,
}

impl Share {
    /// Bytes that it stands for.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The budget that it is taken from.
    pub fn budget(&self) -> Budget {
        self.budget.clone()
    }

    /// True if others want room in its budget; see [`Budget::is_pressed`].
    pub fn is_pressed(&self) -> bool {
        self.bytes > 0 && self.budget.is_pressed()
    }

    /// Adds to it at once, or not at all.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Exhausted> {
        self.budget.take(bytes).map_err(|full| {
            full.press();
            full.refuse()
        })?;
        self.bytes += bytes;
        Ok(())
    }

    /// Adds to it, waiting for room until `deadline`.
    pub async fn grow_by(&mut self, bytes: usize, deadline: Instant) -> Result<(), Exhausted> {
        if bytes > 0 {
            self.budget.take_by(bytes, deadline).await?;
            self.bytes += bytes;
        }
        Ok(())
    }

    /// Makes it stand for so many bytes that are there already: more is taken even from a full
    /// budget, which others then wait for.
    pub fn correct_to(&mut self, bytes: usize) {
        let (more, less) = (bytes.saturating_sub(self.bytes), self.bytes.saturating_sub(bytes));
        for pot in self.budget.chain() {
            if more > 0 {
                pot.used_bytes.fetch_add(more, Ordering::AcqRel);
            } else if less > 0 {
                pot.give_back(less);
            }
        }
        self.bytes = bytes;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.correct_to(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(1)
    }

    #[test]
    fn a_share_lies_in_all_budgets_around_it_and_goes_back_to_all() {
        let process = Budget::process(100);
        let door = process.within(Level::Door, 80);
        let (ann, ben) = (door.within(Level::Principal, 60), door.within(Level::Principal, 60));
        let (mut first, mut second) = (ann.share(), ben.share());
        first.grow(50).unwrap();
        assert_eq!(first.grow(20).unwrap_err().level, Level::Principal);
        // Ben has room; the door has not.
        assert_eq!(second.grow(40).unwrap_err().level, Level::Door);
        assert_eq!(ben.used_bytes(), 0, "a refused share leaves nothing behind");
        assert_eq!((ann.refusals(), ben.refusals(), door.refusals()), (1, 0, 2));
        drop(first);
        second.grow(40).unwrap();
        drop(second);
        for budget in [process, door, ann, ben] {
            assert_eq!(budget.used_bytes(), 0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_room_waits_for_it() {
        let door = Budget::process(1_000).within(Level::Door, 100);
        let mut held = door.share();
        held.grow(90).unwrap();
        let waiting = tokio::spawn({
            let mut share = door.share();
            async move { share.grow_by(20, soon()).await.map(|()| share) }
        });
        tokio::task::yield_now().await;
        assert!(door.is_pressed() && held.is_pressed());
        held.correct_to(70);
        assert_eq!(waiting.await.unwrap().unwrap().bytes(), 20);
        tokio::time::advance(PRESSED_FOR).await;
        assert!(!door.is_pressed(), "it passes");
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_has_an_end_and_what_can_never_fit_does_not_wait() {
        let door = Budget::process(1_000).within(Level::Door, 100);
        let mut held = door.share();
        held.grow(90).unwrap();
        let mut share = door.share();
        let began = Instant::now();
        assert_eq!(share.grow_by(101, soon()).await.unwrap_err().limit_bytes, 100);
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert!(share.grow_by(20, soon()).await.is_err());
        assert!(began.elapsed() >= Duration::from_secs(1));
        assert_eq!((share.bytes(), door.used_bytes(), door.refusals()), (0, 90, 2));
    }

    #[test]
    fn what_is_there_already_counts_even_beyond_the_bound() {
        let door = Budget::process(100);
        let mut share = door.share();
        share.grow(90).unwrap();
        share.correct_to(150);
        assert_eq!(door.used_bytes(), 150);
        assert!(door.share().grow(1).is_err());
        share.correct_to(10);
        assert!(door.share().grow(90).is_ok());
    }
}
