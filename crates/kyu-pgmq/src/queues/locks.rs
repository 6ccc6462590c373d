//! Locks, and who waits for whom, as Postgres has it: locks of tables, and lines for messages that
//! an open transaction has claimed.
//!
//! A transaction holds the table of each queue that it touches (`Shared`), so that nobody empties or
//! drops it meanwhile (`Exclusive`); two that create a queue of one name take turns, and so do two
//! that change its settings. Which messages are claimed only the engine knows: who finds one claimed
//! stands in the message's line here, is woken when the holder has ended, and asks the engine again.
//! First come, first served; no lock is taken twice, and all are let go at the end of the owner's
//! transaction. Who has waited for `deadlock_timeout` looks whether everybody waits in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kyu_broker::{QueueId, Seq, SessionId};
use kyu_pgsql::error::PgError;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::limits::{MAX_REORDERS, STRAY_CLAIM_PAUSE_MS};

/// An object that can be locked, or waited for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Object {
    /// The table of a queue or of its archive, such as `q_jobs`.
    Table(String),
    /// A name that is being created or dropped (`pgmq.acquire_queue_lock`).
    Name(String),
    /// The settings of a queue.
    Settings(String),
    /// A message.
    Row(QueueId, Seq),
}

impl Object {
    /// The table of a queue (`q`) or of its archive (`a`).
    pub(super) fn table(prefix: &str, queue: &str) -> Self {
        Self::Table(format!("{prefix}_{}", queue.to_lowercase()))
    }
}

/// The mode of a lock. Only two that are shared go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mode {
    Shared,
    Exclusive,
}

impl Mode {
    fn conflicts(self, other: Self) -> bool {
        self == Self::Exclusive || other == Self::Exclusive
    }
}

/// The session that asks for a lock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Who {
    /// The holder of the lock when it is granted; `None` for a single step, which holds nothing.
    pub(super) owner: Option<SessionId>,
    /// The session's process number, for words.
    pub(super) process: u32,
}

/// The times that a session waits for a lock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// `lock_timeout`; 0 for as long as it takes.
    pub(super) lock_timeout_ms: u64,
    /// The time after which the circle is looked for.
    pub(super) deadlock_timeout_ms: u64,
}

/// The locks of all sessions of a namespace.
#[derive(Debug, Default)]
pub(super) struct Locks {
    // A std Mutex: nothing asynchronous happens while it is held.
    state: Mutex<LockTable>,
    /// Exclusive locks that are held or waited for: as long as there are none, whoever only wants to
    /// share for one step need not ask.
    exclusive: AtomicUsize,
}

#[derive(Debug, Default)]
struct LockTable {
    next_ticket: u64,
    objects: BTreeMap<Object, Lock>,
    /// The objects that each owner holds.
    held: BTreeMap<SessionId, BTreeSet<Object>>,
    /// The object that each owner waits for, and its place in the line.
    waits: BTreeMap<SessionId, (Object, u64)>,
    /// Messages in whose lines the first waits for this owner.
    awaited: BTreeMap<SessionId, BTreeSet<Object>>,
    exclusive: usize,
    /// The number of times that an owner which goes on gave claims back.
    given_back: u64,
}

#[derive(Debug, Default)]
struct Lock {
    holders: BTreeMap<SessionId, Mode>,
    line: Vec<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    ticket: u64,
    who: Who,
    mode: Mode,
    /// The owner of the claim that it waits for, of a message.
    claimed_by: Option<SessionId>,
    /// It asks the engine again, or is about to.
    awake: bool,
    wake: Arc<Notify>,
}

/// A place in a line; left when it is dropped.
pub(super) struct Place<'a> {
    locks: &'a Locks,
    pub(super) object: Object,
    ticket: u64,
    who: Who,
    wake: Arc<Notify>,
    lock_timeout: Option<Instant>,
    deadlock_timeout: Duration,
    /// [`LockTable::given_back`] before the engine was asked.
    given_back: u64,
    fresh: bool,
    pause_ms: u64,
}

fn after(ms: u64) -> Instant {
    Instant::now() + Duration::from_millis(ms)
}

impl Locks {
    fn lock(&self) -> MutexGuard<'_, LockTable> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes what a change of the state means for those who do not ask.
    fn done(&self, state: MutexGuard<'_, LockTable>) {
        self.exclusive.store(state.exclusive, Ordering::Release);
    }

    /// True if a step that shares its tables may have to wait.
    pub(super) fn may_wait(&self) -> bool {
        self.exclusive.load(Ordering::Acquire) > 0
    }

    /// Takes a lock for `who`, waiting for it.
    ///
    /// # Errors
    /// 55P03 after `lock_timeout`, 40P01 if everybody waits in a circle. Dropping the future leaves
    /// the line.
    pub(super) async fn acquire(
        &self,
        who: Who,
        object: Object,
        mode: Mode,
        patience: Patience,
    ) -> Result<(), PgError> {
        let mut place = {
            let mut state = self.lock();
            if state.try_take(who, &object, mode) {
                self.done(state);
                return Ok(());
            }
            let place = self.stand(&mut state, who, object, mode, patience);
            self.done(state);
            place
        };
        place.wait_while(|state, place| state.has(&place.object, place.ticket)).await
    }

    /// The number of those who wait now.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        let state = self.lock();
        let waiters = state.objects.values().flat_map(|lock| &lock.line);
        waiters.filter(|waiter| !waiter.awake).count()
    }

    /// A place in a message's line.
    pub(super) fn join(&self, who: Who, queue: QueueId, seq: Seq, patience: Patience) -> Place<'_> {
        let mut state = self.lock();
        let place = self.stand(&mut state, who, Object::Row(queue, seq), Mode::Exclusive, patience);
        self.done(state);
        place
    }

    fn stand(
        &self,
        state: &mut LockTable,
        who: Who,
        object: Object,
        mode: Mode,
        patience: Patience,
    ) -> Place<'_> {
        state.next_ticket += 1;
        let (ticket, wake) = (state.next_ticket, Arc::new(Notify::new()));
        let is_row = matches!(object, Object::Row(..));
        let waiter =
            Waiter { ticket, who, mode, claimed_by: None, awake: is_row, wake: Arc::clone(&wake) };
        state.exclusive += usize::from(mode == Mode::Exclusive && !is_row);
        if let (Some(owner), false) = (who.owner, is_row) {
            state.waits.insert(owner, (object.clone(), ticket));
        }
        let lock = state.objects.entry(object.clone()).or_default();
        // Who holds it already waits only for those who hold it too.
        let first = who.owner.is_some_and(|owner| lock.holders.contains_key(&owner));
        let at = if first { 0 } else { lock.line.len() };
        lock.line.insert(at, waiter);
        let lock_timeout = patience.lock_timeout_ms;
        Place {
            locks: self,
            object,
            ticket,
            who,
            wake,
            lock_timeout: (lock_timeout > 0).then(|| after(lock_timeout)),
            deadlock_timeout: Duration::from_millis(patience.deadlock_timeout_ms),
            given_back: state.given_back,
            fresh: true,
            pause_ms: 0,
        }
    }

    /// The owner's transaction is over: its locks are free, and whoever waits for its claims asks
    /// again. Call it when the claims have been given back.
    pub(super) fn end(&self, owner: SessionId) {
        let mut state = self.lock();
        let held = state.held.remove(&owner).unwrap_or_default();
        for object in &held {
            state.free(object, owner);
        }
        state.wake_claimants(owner);
        self.done(state);
    }

    /// The owner lets go of some locks, or of some claims, and goes on.
    pub(super) fn let_go(&self, owner: SessionId, objects: &[Object]) {
        let mut state = self.lock();
        for object in objects {
            if state.held.get_mut(&owner).is_some_and(|held| held.remove(object)) {
                state.free(object, owner);
            }
        }
        state.given_back += 1;
        state.wake_claimants(owner);
        self.done(state);
    }
}

impl LockTable {
    fn has(&self, object: &Object, ticket: u64) -> bool {
        let line = self.objects.get(object).map(|lock| &lock.line);
        line.is_some_and(|line| line.iter().any(|waiter| waiter.ticket == ticket))
    }

    /// Takes a lock that is free for `who`.
    fn try_take(&mut self, who: Who, object: &Object, mode: Mode) -> bool {
        if let Some(lock) = self.objects.get(object) {
            let held = who.owner.and_then(|owner| lock.holders.get(&owner));
            if held.is_some_and(|held| *held >= mode) {
                return true;
            }
            let behind = held.is_none() && lock.line.iter().any(|w| w.mode.conflicts(mode));
            if behind || !lock.is_free_for(who.owner, mode) {
                return false;
            }
        }
        self.take(who.owner, object, mode);
        true
    }

    fn take(&mut self, owner: Option<SessionId>, object: &Object, mode: Mode) {
        let Some(owner) = owner else { return };
        let lock = self.objects.entry(object.clone()).or_default();
        let before = lock.holders.insert(owner, mode);
        if mode == Mode::Exclusive && before != Some(Mode::Exclusive) {
            self.exclusive += 1;
        }
        self.held.entry(owner).or_default().insert(object.clone());
    }

    fn free(&mut self, object: &Object, owner: SessionId) {
        let Some(lock) = self.objects.get_mut(object) else { return };
        if lock.holders.remove(&owner) == Some(Mode::Exclusive) {
            self.exclusive -= 1;
        }
        self.serve(object);
    }

    /// Gives a table to those in front of its line, as far as they go together; wakes the first of
    /// a message's line.
    fn serve(&mut self, object: &Object) {
        loop {
            let Some(lock) = self.objects.get_mut(object) else { return };
            let Some(first) = lock.line.first_mut() else {
                if lock.holders.is_empty() {
                    self.objects.remove(object);
                }
                return;
            };
            if matches!(object, Object::Row(..)) {
                if !first.awake {
                    first.awake = true;
                    first.wake.notify_one();
                    let owner = first.who.owner;
                    self.stop_waiting(owner);
                }
                return;
            }
            let (owner, mode) = (first.who.owner, first.mode);
            if !lock.is_free_for(owner, mode) {
                return;
            }
            let waiter = lock.line.remove(0);
            self.exclusive -= usize::from(mode == Mode::Exclusive);
            self.stop_waiting(owner);
            self.take(owner, object, mode);
            waiter.wake.notify_one();
        }
    }

    fn stop_waiting(&mut self, owner: Option<SessionId>) {
        if let Some(owner) = owner {
            self.waits.remove(&owner);
        }
    }

    fn leave(&mut self, object: &Object, ticket: u64) {
        let Some(lock) = self.objects.get_mut(object) else { return };
        let Some(at) = lock.line.iter().position(|waiter| waiter.ticket == ticket) else { return };
        let waiter = lock.line.remove(at);
        let is_row = matches!(object, Object::Row(..));
        self.exclusive -= usize::from(waiter.mode == Mode::Exclusive && !is_row);
        self.stop_waiting(waiter.who.owner);
        self.serve(object);
    }

    /// Wakes those who wait for a claim of this owner.
    fn wake_claimants(&mut self, owner: SessionId) {
        let rows = self.awaited.remove(&owner).unwrap_or_default();
        rows.iter().for_each(|row| self.serve(row));
    }

    /// Returns those that stand in a waiter's way, each with the object and whether that is a matter
    /// of the line only. Of those in front the nearest is enough: it waits for the others.
    fn blockers(&self, object: &Object, ticket: u64) -> Vec<Edge> {
        let Some(lock) = self.objects.get(object) else { return Vec::new() };
        let Some(at) = lock.line.iter().position(|waiter| waiter.ticket == ticket) else {
            return Vec::new();
        };
        let Some(waiter) = lock.line.get(at) else { return Vec::new() };
        if waiter.awake {
            return Vec::new();
        }
        let in_front = at.checked_sub(1).and_then(|at| lock.line.get(at));
        let line = in_front.map(|w| Edge {
            object: object.clone(),
            ticket: w.ticket,
            by_line: !matches!(object, Object::Row(..)),
        });
        let mut found: Vec<Edge> = line.into_iter().collect();
        let holders = lock.holders.iter().filter(|(owner, mode)| {
            Some(**owner) != waiter.who.owner && mode.conflicts(waiter.mode)
        });
        for owner in holders.map(|(owner, _)| *owner).chain(waiter.claimed_by) {
            if let Some((object, ticket)) = self.waits.get(&owner) {
                found.push(Edge { object: object.clone(), ticket: *ticket, by_line: false });
            }
        }
        found
    }

    /// The circle in which a waiter waits, if there is one: itself first, each with how it waits for
    /// the next.
    fn circle(&self, object: &Object, ticket: u64) -> Option<Vec<Edge>> {
        let mut path: Vec<(Edge, Vec<Edge>)> = Vec::new();
        let mut seen = BTreeSet::new();
        let start = Edge { object: object.clone(), ticket, by_line: false };
        let next = self.blockers(object, ticket);
        path.push((start, next));
        while let Some((_, next)) = path.last_mut() {
            let Some(edge) = next.pop() else {
                path.pop();
                continue;
            };
            if edge.ticket == ticket {
                // How the last waits for the first is known only now.
                let mut circle: Vec<Edge> = path.into_iter().map(|(edge, _)| edge).collect();
                let mut ways: Vec<bool> = circle.iter().skip(1).map(|edge| edge.by_line).collect();
                ways.push(edge.by_line);
                circle.iter_mut().zip(ways).for_each(|(edge, by_line)| edge.by_line = by_line);
                return Some(circle);
            }
            if seen.insert(edge.ticket) {
                let next = self.blockers(&edge.object, edge.ticket);
                path.push((edge, next));
            }
        }
        None
    }

    /// Looks for a circle. One that is so only by somebody's place in a line is broken by putting
    /// that one in front; any other fails with 40P01.
    fn break_circle(&mut self, object: &Object, ticket: u64) -> Result<(), PgError> {
        for _ in 0..MAX_REORDERS {
            let Some(circle) = self.circle(object, ticket) else { return Ok(()) };
            let Some(hurried) = circle.iter().find(|edge| edge.by_line) else {
                return Err(self.deadlock(&circle));
            };
            if let Some(lock) = self.objects.get_mut(&hurried.object)
                && let Some(at) = lock.line.iter().position(|w| w.ticket == hurried.ticket)
            {
                let waiter = lock.line.remove(at);
                lock.line.insert(0, waiter);
            }
            self.serve(&hurried.object);
        }
        match self.circle(object, ticket) {
            Some(circle) => Err(self.deadlock(&circle)),
            None => Ok(()),
        }
    }

    /// 40P01 in Postgres' words.
    fn deadlock(&self, circle: &[Edge]) -> PgError {
        let waiter_of = |edge: &Edge| {
            let line = self.objects.get(&edge.object).map(|lock| lock.line.iter());
            line.into_iter().flatten().find(|waiter| waiter.ticket == edge.ticket)
        };
        let next = circle.iter().cycle().skip(1);
        let lines = circle.iter().zip(next).filter_map(|(edge, next)| {
            let (waiter, blocker) = (waiter_of(edge)?, waiter_of(next)?);
            Some(format!(
                "Process {} waits for {}; blocked by process {}.",
                waiter.who.process,
                waiter.wanted(&edge.object),
                blocker.who.process
            ))
        });
        let detail = lines.collect::<Vec<_>>().join("\n");
        let error = PgError::new("40P01", "deadlock detected").hint("Run the transaction again.");
        PgError { detail: Some(detail), ..error }
    }
}

/// A waiter, and how it waits for the next of a circle.
#[derive(Clone, Debug)]
struct Edge {
    object: Object,
    ticket: u64,
    by_line: bool,
}

impl Lock {
    /// True if the holders let an owner have it.
    fn is_free_for(&self, owner: Option<SessionId>, mode: Mode) -> bool {
        let mut others = self.holders.iter().filter(|(holder, _)| Some(**holder) != owner);
        others.all(|(_, held)| !held.conflicts(mode))
    }
}

impl Waiter {
    /// The thing that it waits for, as Postgres names it.
    fn wanted(&self, object: &Object) -> String {
        match (object, self.claimed_by) {
            (Object::Table(table), _) => {
                let mode = match self.mode {
                    Mode::Shared => "RowExclusiveLock",
                    Mode::Exclusive => "AccessExclusiveLock",
                };
                format!("{mode} on relation \"{table}\"")
            }
            (Object::Name(name), _) => format!("ExclusiveLock on advisory lock \"{name}\""),
            (Object::Settings(name), _) => {
                format!("ShareRowExclusiveLock on relation \"q_{name}\"")
            }
            // The number of a transaction, as Postgres has it: 32 bits.
            (Object::Row(..), Some(holder)) => {
                format!("ShareLock on transaction {}", holder.0 & u64::from(u32::MAX))
            }
            (Object::Row(_, seq), None) => format!("ExclusiveLock on tuple (0,{seq})"),
        }
    }
}

impl Place<'_> {
    /// Waits until it is worth asking the engine again: the message is claimed by `holder`.
    ///
    /// # Errors
    /// As [`Locks::acquire`].
    pub(super) async fn wait_for(&mut self, holder: SessionId) -> Result<(), PgError> {
        let is_open = {
            let mut state = self.locks.lock();
            let is_open = state.held.contains_key(&holder);
            // Between the engine's answer and now the claim may have gone.
            let before = std::mem::replace(&mut self.given_back, state.given_back);
            let changed = std::mem::take(&mut self.fresh) || before != state.given_back;
            if let Some(lock) = state.objects.get_mut(&self.object)
                && let Some(at) = lock.line.iter().position(|w| w.ticket == self.ticket)
                && let Some(waiter) = lock.line.get_mut(at)
                && (at > 0 || (is_open && !changed))
            {
                waiter.claimed_by = (at == 0).then_some(holder);
                waiter.awake = false;
                if at == 0 {
                    state.awaited.entry(holder).or_default().insert(self.object.clone());
                }
                if let Some(owner) = self.who.owner {
                    state.waits.insert(owner, (self.object.clone(), self.ticket));
                }
            }
            is_open
        };
        if !is_open {
            // It has just ended, or its claims were left by a server that could not log their end.
            let pause = sleep_until(after(self.pause_ms));
            tokio::select! {
                biased;
                () = pause => {}
                () = until(self.lock_timeout) => return Err(lock_timeout()),
            }
            self.pause_ms = (self.pause_ms * 2).clamp(1, STRAY_CLAIM_PAUSE_MS);
        }
        self.wait_while(|state, place| {
            let lock = state.objects.get(&place.object);
            let own = lock.and_then(|lock| lock.line.iter().find(|w| w.ticket == place.ticket));
            own.is_some_and(|waiter| !waiter.awake)
        })
        .await?;
        self.given_back = self.locks.lock().given_back;
        Ok(())
    }

    async fn wait_while(
        &mut self,
        waits: impl Fn(&LockTable, &Self) -> bool,
    ) -> Result<(), PgError> {
        let mut look_at = Some(Instant::now() + self.deadlock_timeout);
        loop {
            let (wake, timeout) = (Arc::clone(&self.wake), self.lock_timeout);
            if !waits(&self.locks.lock(), self) {
                return Ok(());
            }
            tokio::select! {
                biased;
                () = wake.notified() => {}
                () = until(timeout) => return Err(lock_timeout()),
                () = until(look_at) => {
                    look_at = None;
                    let mut state = self.locks.lock();
                    let broken = state.break_circle(&self.object, self.ticket);
                    self.locks.done(state);
                    broken?;
                }
            }
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.locks.lock();
        state.leave(&self.object, self.ticket);
        self.locks.done(state);
    }
}

fn lock_timeout() -> PgError {
    PgError::new("55P03", "canceling statement due to lock timeout")
}

/// Completes at a time, or never.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(owner: u64) -> Who {
        Who { owner: Some(SessionId(owner)), process: u32::try_from(owner).unwrap() }
    }

    fn step() -> Who {
        Who { owner: None, process: 99 }
    }

    const PATIENT: Patience = Patience { lock_timeout_ms: 0, deadlock_timeout_ms: 1_000 };

    fn table(name: &str) -> Object {
        Object::table("q", name)
    }

    /// Waits in a task of its own, and says so when it is done.
    fn spawn(
        locks: &Arc<Locks>,
        who: Who,
        object: Object,
        mode: Mode,
    ) -> tokio::task::JoinHandle<Result<(), PgError>> {
        let locks = Arc::clone(locks);
        tokio::spawn(async move { locks.acquire(who, object, mode, PATIENT).await })
    }

    async fn until_waiting(locks: &Locks, count: usize) {
        while locks.waiting() != count {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_table_is_shared_or_had_alone_and_the_line_is_kept() {
        let locks = Arc::new(Locks::default());
        assert!(!locks.may_wait());
        for owner in [1, 2] {
            locks.acquire(who(owner), table("q"), Mode::Shared, PATIENT).await.unwrap();
        }
        let alone = spawn(&locks, who(3), table("q"), Mode::Exclusive);
        until_waiting(&locks, 1).await;
        assert!(locks.may_wait());
        // Who comes later stands behind, though the holders would share; who holds it does not.
        let later = spawn(&locks, step(), table("q"), Mode::Shared);
        until_waiting(&locks, 2).await;
        locks.acquire(who(1), table("q"), Mode::Shared, PATIENT).await.unwrap();
        locks.acquire(step(), table("other"), Mode::Shared, PATIENT).await.unwrap();
        locks.end(SessionId(1));
        assert_eq!(locks.waiting(), 2);
        locks.end(SessionId(2));
        alone.await.unwrap().unwrap();
        assert_eq!(locks.waiting(), 1);
        locks.end(SessionId(3));
        later.await.unwrap().unwrap();
        assert!(!locks.may_wait());
        assert!(locks.lock().objects.is_empty() && locks.lock().held.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_lock_timeout_ends_the_wait_and_leaves_the_line() {
        let locks = Arc::new(Locks::default());
        locks.acquire(who(1), table("q"), Mode::Shared, PATIENT).await.unwrap();
        let began = Instant::now();
        let patience = Patience { lock_timeout_ms: 2_500, ..PATIENT };
        let error = locks.acquire(who(2), table("q"), Mode::Exclusive, patience).await.unwrap_err();
        assert_eq!(error.to_string(), "55P03: canceling statement due to lock timeout");
        assert_eq!(began.elapsed().as_millis(), 2_500);
        locks.acquire(who(3), table("q"), Mode::Shared, PATIENT).await.unwrap();
        // So does a future that is dropped: a cancelled statement, a dead connection.
        let waits = spawn(&locks, who(2), table("q"), Mode::Exclusive);
        until_waiting(&locks, 1).await;
        waits.abort();
        until_waiting(&locks, 0).await;
        assert!(!locks.may_wait());
    }

    #[tokio::test(start_paused = true)]
    async fn the_one_that_closes_a_circle_is_told_who_stands_in_it() {
        let locks = Arc::new(Locks::default());
        for (owner, name) in [(1, "a"), (2, "b"), (3, "c")] {
            locks.acquire(who(owner), table(name), Mode::Exclusive, PATIENT).await.unwrap();
        }
        let first = spawn(&locks, who(1), table("b"), Mode::Shared);
        let second = spawn(&locks, who(2), table("c"), Mode::Exclusive);
        until_waiting(&locks, 2).await;
        // They have looked, and found no circle.
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let began = Instant::now();
        let error = locks.acquire(who(3), table("a"), Mode::Exclusive, PATIENT).await.unwrap_err();
        assert_eq!((error.code, began.elapsed().as_millis()), ("40P01", 1_000));
        let detail = "Process 3 waits for AccessExclusiveLock on relation \"q_a\"; blocked by process 1.\n\
                      Process 1 waits for RowExclusiveLock on relation \"q_b\"; blocked by process 2.\n\
                      Process 2 waits for AccessExclusiveLock on relation \"q_c\"; blocked by process 3.";
        assert_eq!(error.detail.as_deref(), Some(detail));
        locks.end(SessionId(3));
        second.await.unwrap().unwrap();
        locks.end(SessionId(2));
        first.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_circle_by_the_order_of_a_line_alone_is_undone() {
        let locks = Arc::new(Locks::default());
        locks.acquire(who(1), table("a"), Mode::Shared, PATIENT).await.unwrap();
        locks.acquire(who(2), table("b"), Mode::Exclusive, PATIENT).await.unwrap();
        let purge = spawn(&locks, who(3), table("a"), Mode::Exclusive);
        until_waiting(&locks, 1).await;
        // The second could share with the first, but for the purge that waits for the first.
        let hurried = spawn(&locks, who(2), table("a"), Mode::Shared);
        until_waiting(&locks, 2).await;
        let first = spawn(&locks, who(1), table("b"), Mode::Shared);
        hurried.await.unwrap().unwrap();
        locks.end(SessionId(2));
        first.await.unwrap().unwrap();
        locks.end(SessionId(1));
        purge.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn two_that_share_and_both_want_it_alone_are_a_deadlock() {
        let locks = Arc::new(Locks::default());
        for owner in [1, 2] {
            locks.acquire(who(owner), table("q"), Mode::Shared, PATIENT).await.unwrap();
        }
        let first = spawn(&locks, who(1), table("q"), Mode::Exclusive);
        until_waiting(&locks, 1).await;
        let error = locks.acquire(who(2), table("q"), Mode::Exclusive, PATIENT).await.unwrap_err();
        assert_eq!(error.code, "40P01");
        locks.end(SessionId(2));
        first.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_in_a_message_s_line_asks_again_when_its_claimant_ends() {
        let locks = Arc::new(Locks::default());
        let holder = SessionId(1);
        locks.acquire(who(1), table("q"), Mode::Shared, PATIENT).await.unwrap();
        let mut first = locks.join(who(2), QueueId(1), 7, PATIENT);
        let mut second = locks.join(who(3), QueueId(1), 7, PATIENT);
        first.wait_for(holder).await.unwrap(); // once more, now that it stands in the line
        // Each leaves the line when it is done.
        let mut a = Box::pin(async move { first.wait_for(holder).await });
        let mut b = Box::pin(async move { second.wait_for(holder).await });
        tokio::select! {
            biased;
            _ = &mut a => panic!("the claim is still there"),
            _ = &mut b => panic!("not its turn"),
            () = tokio::time::sleep(Duration::from_secs(60)) => {}
        }
        locks.end(holder);
        a.await.unwrap();
        b.await.unwrap();
        assert!(locks.lock().objects.is_empty() && locks.lock().awaited.is_empty());
    }
}
