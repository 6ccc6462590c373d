//! A log in memory, for tests: it keeps the promises of a log without any files.
//!
//! A [`SimStore`] holds the durable records. It survives crashes, and several incarnations may have it
//! open, as with a log on other machines. A [`SimLog`] is one incarnation. It keeps appended records to
//! itself until `flush` moves them into the store: all of them, or, if the power fails, some.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::log::{
    Appended, History, Log, LogReader, Metrics, MissingSegment, OnDurable, Opened, SegmentInfo,
    Space, Visit,
};
use crate::random::Random;
use crate::{AppendError, Class, Lsn, ReplayError};

/// Bytes between two bodies, so that addresses have gaps as in a file.
const RECORD_GAP: u64 = 20;
/// Bytes at the start of a segment that hold no record.
const SEGMENT_GAP: u64 = 64;
/// Space that only `Shrink` appends may use, when the store has a capacity.
const RESERVE_SEGMENTS: u64 = 1;

/// The faults to come. Operations (open, flush, seal, close) are counted from 1; see
/// [`SimStore::operations`].
#[derive(Clone, Debug, Default)]
pub struct SimLogFaults {
    /// The operation at which the power fails: some of what it writes becomes durable, and it and all
    /// later operations fail until [`SimStore::crash`].
    pub crash_at: Option<u64>,
    /// The largest number of segments that the records can use.
    pub max_segments: Option<u64>,
    /// True to ignore seals: the positive control of tests, which must notice the records that an
    /// overtaken owner still writes.
    pub unfenced: bool,
}

/// The durable part of a simulated log. Clones share it.
#[derive(Clone)]
pub struct SimStore {
    state: Arc<Mutex<Stored>>,
}

struct Stored {
    random: Random,
    log_id: u64,
    segment_bytes: u64,
    faults: SimLogFaults,
    operations: u64,
    power: bool,
    /// The number of crashes; incarnations from before the last one are dead.
    life: u64,
    /// The highest epoch at which the log was sealed, which is its owner's.
    epoch: u64,
    /// Bodies by the address of their first byte.
    records: BTreeMap<u64, Bytes>,
    end: u64,
    /// Recycled segments, and the end of the last record in each.
    recycled: BTreeMap<u64, u64>,
    closed_in_order: bool,
}

impl SimStore {
    /// An empty log. The same seed and the same calls give the same log.
    pub fn new(seed: u64, segment_bytes: u32) -> SimStore {
        let state = Stored {
            random: Random(seed),
            log_id: seed | 1,
            segment_bytes: u64::from(segment_bytes),
            faults: SimLogFaults::default(),
            operations: 0,
            power: true,
            life: 0,
            epoch: 0,
            records: BTreeMap::new(),
            end: 0,
            recycled: BTreeMap::new(),
            closed_in_order: false,
        };
        SimStore { state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, Stored> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the faults to come.
    pub fn set_faults(&self, faults: SimLogFaults) {
        self.state().faults = faults;
    }

    /// The number of operations so far.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Power loss and restart: all incarnations are dead, and `crash_at` is cleared.
    pub fn crash(&self) {
        let mut state = self.state();
        state.life += 1;
        state.power = true;
        state.faults.crash_at = None;
    }

    /// Opens a new incarnation, which takes the log over: it seals the log at its own, new epoch. The
    /// incarnation before it may still exist and will find out.
    pub fn open(&self) -> Result<(SimLog, Opened), AppendError> {
        let mut state = self.state();
        if state.begin() {
            return Err(AppendError::Failed);
        }
        state.epoch += 1;
        let opened = Opened {
            first: Lsn(state.recycled.values().copied().max().unwrap_or(0)),
            last: Lsn(state.end),
            epoch: state.epoch,
            log_id: state.log_id,
            segment_bytes: state.segment_bytes as u32,
            torn_tail: None,
            closed_in_order: std::mem::take(&mut state.closed_in_order),
        };
        let own = Own {
            epoch: state.epoch,
            life: state.life,
            end: state.end,
            durable: state.end,
            pending: BTreeMap::new(),
            failed: false,
            metrics: Metrics::default(),
        };
        drop(state);
        let own = Arc::new(Mutex::new(own));
        Ok((SimLog { store: self.clone(), own, on_durable: Mutex::new(None) }, opened))
    }
}

impl Stored {
    /// Counts an operation. Returns true if the power fails at it, or is off.
    fn begin(&mut self) -> bool {
        self.operations += 1;
        self.power &= self.faults.crash_at != Some(self.operations);
        !self.power
    }

    fn segment(&self, at: u64) -> u64 {
        at / self.segment_bytes
    }

    /// The address of a body of `len` bytes that follows a record that ended at `end`.
    fn place(&self, end: u64, len: u64) -> u64 {
        let (segment, at) = (self.segment(end), end + RECORD_GAP);
        if segment > 0 && at + len <= (segment + 1) * self.segment_bytes {
            return at;
        }
        (segment + 1) * self.segment_bytes + SEGMENT_GAP
    }

    fn take(&mut self, records: BTreeMap<u64, Bytes>) {
        if let Some((at, body)) = records.last_key_value() {
            self.end = at + body.len() as u64;
        }
        self.records.extend(records);
    }

    /// Segments that hold records, and the last one.
    fn segments(&self) -> Vec<u64> {
        let last = self.segment(self.end).max(1);
        (1..=last).filter(|number| !self.recycled.contains_key(number)).collect()
    }
}

/// One incarnation of a simulated log: [`SimStore::open`]. It has no threads; what it appends becomes
/// durable in `flush`.
pub struct SimLog {
    store: SimStore,
    own: Arc<Mutex<Own>>,
    on_durable: Mutex<Option<OnDurable>>,
}

/// The state of an incarnation, which its readers share.
struct Own {
    epoch: u64,
    life: u64,
    end: u64,
    durable: u64,
    /// Appended and not durable.
    pending: BTreeMap<u64, Bytes>,
    failed: bool,
    metrics: Metrics,
}

impl Own {
    /// Fails if the incarnation was sealed or has died.
    fn check(&mut self, stored: &Stored) -> Result<(), AppendError> {
        if self.failed || self.life != stored.life {
            self.pending.clear();
            return Err(AppendError::Failed);
        }
        if self.epoch < stored.epoch && !stored.faults.unfenced {
            self.pending.clear();
            return Err(AppendError::Sealed { by: stored.epoch });
        }
        Ok(())
    }
}

impl SimLog {
    // Always in this order: own, then the store.
    fn own(&self) -> MutexGuard<'_, Own> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the pending records into the store; if the power fails, a random part of them.
    fn write(&self, close: bool) -> Result<(), AppendError> {
        let mut own = self.own();
        let mut stored = self.store.state();
        own.check(&stored)?;
        if own.pending.is_empty() && !close {
            return Ok(());
        }
        let lost_power = stored.begin();
        let mut batch = std::mem::take(&mut own.pending);
        if lost_power {
            let kept = stored.random.next() % (batch.len() as u64 + 1);
            let cut = batch.keys().nth(kept as usize).copied();
            batch = cut.map_or(batch.clone(), |cut| {
                batch.range(..cut).map(|(at, body)| (*at, body.clone())).collect()
            });
        }
        own.metrics.batches += 1;
        own.metrics.syncs += 1;
        own.metrics.written_bytes += batch.values().map(|body| body.len() as u64).sum::<u64>();
        stored.take(batch);
        if lost_power {
            own.failed = true;
            return Err(AppendError::Failed);
        }
        stored.closed_in_order = close;
        own.durable = stored.end;
        let end = Lsn(stored.end);
        drop((own, stored));
        let mut callback = self.on_durable.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(callback) = callback.as_mut() {
            callback(end);
        }
        Ok(())
    }
}

impl History for SimLog {
    fn replay<E>(&self, from: Lsn, visit: Visit<'_, E>) -> Result<Lsn, ReplayError<E>> {
        let stored = self.store.state();
        if from.0 > stored.end {
            let reason = format!("the log ends at {}, before it: records are missing", stored.end);
            return Err(ReplayError::BadStart { from, reason });
        }
        if let Some((segment, _)) = stored.recycled.iter().find(|(_, end)| **end > from.0) {
            return Err(ReplayError::Missing { segment: *segment, file: file_of(*segment) });
        }
        let (records, end) = (stored.records.clone(), stored.end);
        drop(stored);
        for (at, body) in &records {
            if at + body.len() as u64 <= from.0 {
                continue;
            }
            if at - RECORD_GAP < from.0 {
                let reason = "it is in the middle of a record".to_owned();
                return Err(ReplayError::BadStart { from, reason });
            }
            visit(Lsn(*at), body).map_err(ReplayError::Visitor)?;
        }
        Ok(Lsn(end))
    }

    fn reaches(&self, from: Lsn) -> bool {
        let stored = self.store.state();
        from.0 <= stored.end && stored.recycled.values().all(|end| *end <= from.0)
    }

    fn missing(&self, segments: &[u64]) -> io::Result<Vec<MissingSegment>> {
        let there = self.store.state().segments();
        let gone = segments.iter().filter(|number| !there.contains(number));
        Ok(gone.map(|number| MissingSegment { number: *number, file: file_of(*number) }).collect())
    }

    fn segment_bytes(&self) -> u32 {
        self.store.state().segment_bytes as u32
    }
}

/// The name of a segment in messages.
fn file_of(segment: u64) -> PathBuf {
    PathBuf::from(format!("simulated segment {segment}"))
}

impl Log for SimLog {
    type Reader = SimReader;

    fn append(&mut self, class: Class, body: &[u8]) -> Result<Appended, AppendError> {
        let mut own = self.own();
        let stored = self.store.state();
        own.check(&stored)?;
        let len = body.len() as u64;
        let limit = stored.segment_bytes - SEGMENT_GAP;
        if len > limit {
            return Err(AppendError::TooLarge { limit_bytes: limit as usize });
        }
        let at = stored.place(own.end, len);
        let reserve = if class == Class::Grow { RESERVE_SEGMENTS } else { 0 };
        let begun = stored.segment(at).saturating_sub(stored.recycled.len() as u64);
        if stored.faults.max_segments.is_some_and(|max| begun + reserve > max) {
            return Err(AppendError::Full);
        }
        drop(stored);
        own.pending.insert(at, Bytes::copy_from_slice(body));
        own.end = at + len;
        Ok(Appended { body_at: Lsn(at), end: Lsn(own.end) })
    }

    fn flush(&self) -> Result<(), AppendError> {
        self.write(false)
    }

    fn durable(&self) -> Lsn {
        Lsn(self.own().durable)
    }

    fn end(&self) -> Lsn {
        Lsn(self.own().end)
    }

    fn on_durable(&self, callback: OnDurable) {
        *self.on_durable.lock().unwrap_or_else(PoisonError::into_inner) = Some(callback);
    }

    fn reader(&self) -> SimReader {
        SimReader { store: self.store.clone(), own: Arc::clone(&self.own) }
    }

    fn recycle(&self, segment: u64) -> bool {
        let mut own = self.own();
        let mut stored = self.store.state();
        let closed = segment < stored.segment(stored.end);
        if own.check(&stored).is_err() || !closed || !stored.segments().contains(&segment) {
            return false;
        }
        let bytes = stored.segment_bytes;
        let range = segment * bytes..(segment + 1) * bytes;
        let last = stored.records.range(range.clone()).next_back();
        let end = last.map_or(range.start, |(at, body)| at + body.len() as u64);
        stored.records.retain(|at, _| !range.contains(at));
        stored.recycled.insert(segment, end);
        own.metrics.recycled_segments += 1;
        true
    }

    fn segments(&self) -> Vec<SegmentInfo> {
        let stored = self.store.state();
        let (bytes, open) = (stored.segment_bytes, stored.segment(stored.end));
        let numbers = stored.segments().into_iter();
        numbers.map(|number| SegmentInfo { number, bytes, closed: number < open }).collect()
    }

    fn space(&self) -> io::Result<Space> {
        let own = self.own();
        let stored = self.store.state();
        let used = stored.segments().len() as u64;
        let max = stored.faults.max_segments.unwrap_or(u64::from(u32::MAX));
        let free_bytes = max.saturating_sub(used) * stored.segment_bytes;
        let rest = stored.segment_bytes - own.end % stored.segment_bytes;
        let full = used + RESERVE_SEGMENTS > max;
        let used_bytes = used * stored.segment_bytes;
        Ok(Space { used_bytes, headroom_bytes: free_bytes + rest, free_bytes, full })
    }

    fn metrics(&self) -> Metrics {
        self.own().metrics
    }

    fn seal(&mut self, epoch: u64) -> Result<(), AppendError> {
        let mut own = self.own();
        let mut stored = self.store.state();
        if own.failed || own.life != stored.life || stored.begin() {
            own.failed = true;
            return Err(AppendError::Failed);
        }
        stored.epoch = stored.epoch.max(epoch);
        Ok(())
    }

    fn close(self) -> Result<(), AppendError> {
        self.write(true)
    }
}

/// A reader of a simulated log.
#[derive(Clone)]
pub struct SimReader {
    store: SimStore,
    own: Arc<Mutex<Own>>,
}

impl LogReader for SimReader {
    fn read(&self, at: Lsn, len: usize) -> io::Result<Bytes> {
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = self.store.state();
        let within = |records: &BTreeMap<u64, Bytes>| {
            let (begin, body) = records.range(..=at.0).next_back()?;
            let from = usize::try_from(at.0 - begin).ok()?;
            let to = from.checked_add(len)?;
            (to <= body.len()).then(|| body.slice(from..to))
        };
        within(&own.pending).or_else(|| within(&stored.records)).ok_or_else(|| {
            let what = format!("nothing is stored at log address {at}");
            io::Error::new(io::ErrorKind::NotFound, what)
        })
    }

    fn read_hot(&self, at: Lsn, len: usize) -> Option<Bytes> {
        self.read(at, len).ok()
    }
}
