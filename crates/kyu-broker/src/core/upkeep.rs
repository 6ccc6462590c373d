//! The core's upkeep, which bounds disk use and restart time: snapshots, segment recycling, relocation.
//!
//! The core decides what is to be done and when; work that takes long or touches files is handed
//! out as [`Work`] and its result comes back.
//!
//! A segment may be reused when all of these conditions hold, checked in this order:
//! it is closed; it lies before the last but one snapshot, so that a replay does not need it even if
//! the last snapshot is damaged (a full log waits only for the last one); it holds no live frame; the
//! commands that ended its last frames are durable, so that a crash does not bring them back; and no
//! receiver still holds an address in it.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;
use kyu_engine::{Address, Command, Frozen, LiveFrame, Relocate, Reply, UnixMs};
use kyu_log::{Log, Lsn};

use super::Core;
use crate::limits::{
    RELOCATED_BYTES_PER_STEP, RELOCATED_FRAMES_PER_STEP, RELOCATION_PAUSE_BYTES,
    RELOCATION_READ_BYTES,
};
use crate::metrics::Counter;
use crate::pins::OldPin;

/// The time between two inspections of all segments when nothing else gives a reason.
const LOOK_EVERY_MS: u64 = 1_000;
/// The time after which something that waits for the disk or a reader is checked again.
const POLL_MS: u64 = 5;

/// Work for another thread.
pub enum Work {
    /// A state to be written as the snapshot of `lsn`; [`Core::snapshot_done`] comes after it.
    Snapshot {
        /// The address from which replay continues.
        lsn: Lsn,
        /// The state.
        frozen: Box<Frozen>,
    },
    /// Frames of one segment, in order, to be read and passed to [`Core::frames_read`], a part at a
    /// time while [`Core::wants_frames`].
    ReadFrames(Vec<LiveFrame>),
}

/// The state of upkeep.
pub(super) struct Upkeep {
    /// The newest snapshot on disk.
    snapshot_lsn: Address,
    snapshot_bytes: u64,
    /// The snapshot before it, or the start of the log: the address to which a start can fall back.
    fallback_lsn: Address,
    snapshot: Snapshot,
    /// Segments that meet all conditions for recycling but the last two.
    parked: VecDeque<Parked>,
    parked_segments: BTreeSet<u64>,
    relocation: Option<Relocation>,
    /// The time before which relocation does not try again after it found no room even in the reserve.
    relocate_not_before_ms: UnixMs,
    /// Segments whose live frames could not all be moved at the first try.
    tried: BTreeSet<u64>,
    /// Segments whose live frames could not all be moved at the second try; ignored until a restart.
    unmovable: BTreeSet<u64>,
    next_look_ms: UnixMs,
    looked_at: Address,
}

enum Snapshot {
    None,
    /// A snapshot that was taken and will be written once the log is durable up to its address.
    Frozen(Address, Box<Frozen>),
    Writing,
}

#[derive(Debug)]
struct Parked {
    segments: Vec<u64>,
    durable_from: Address,
    pin: OldPin,
}

/// The relocation of the live frames of one segment to the log's tail.
#[derive(Debug)]
struct Relocation {
    segment: u64,
    started: bool,
    /// True once all frames have been read.
    read: bool,
    frames: VecDeque<(LiveFrame, Bytes)>,
    frame_bytes: usize,
}

impl Upkeep {
    pub(super) fn new(snapshot_lsn: Address, snapshot_bytes: u64, fallback_lsn: Address) -> Self {
        Self {
            snapshot_lsn,
            snapshot_bytes,
            fallback_lsn,
            snapshot: Snapshot::None,
            parked: VecDeque::new(),
            parked_segments: BTreeSet::new(),
            relocation: None,
            relocate_not_before_ms: 0,
            tried: BTreeSet::new(),
            unmovable: BTreeSet::new(),
            next_look_ms: 0,
            looked_at: 0,
        }
    }
}

impl<T: Send + 'static, L: Log> Core<T, L> {
    /// Does a small step of upkeep, and returns work for another thread if there is some.
    pub fn upkeep(&mut self) -> Option<Work> {
        self.recycle_parked();
        self.relocate_step();
        if self.now_ms >= self.upkeep.next_look_ms || self.rolled() {
            self.upkeep.next_look_ms = self.now_ms + LOOK_EVERY_MS;
            self.upkeep.looked_at = self.log_end;
            // An unknown amount of space is treated as enough.
            let full = self.log.space().is_ok_and(|space| space.full);
            self.look_over_segments(full);
            self.freeze_if_due(full);
            self.end_stale_sessions();
        }
        self.start_snapshot().or_else(|| self.start_reading())
    }

    /// Reports the end of [`Work::Snapshot`]; `None` if it could not be written.
    pub fn snapshot_done(&mut self, lsn: Lsn, bytes: Option<u64>) {
        self.upkeep.snapshot = Snapshot::None;
        match bytes {
            Some(bytes) => {
                self.upkeep.fallback_lsn = self.upkeep.snapshot_lsn;
                self.upkeep.snapshot_lsn = lsn.0;
                self.upkeep.snapshot_bytes = bytes;
                self.upkeep.next_look_ms = self.now_ms;
                self.metrics.add(Counter::Snapshots, 1);
                self.metrics.add(Counter::SnapshotBytes, bytes);
            }
            None => self.metrics.add(Counter::SnapshotFailures, 1),
        }
    }

    /// Accepts frames of [`Work::ReadFrames`] that were read back undamaged. `last` ends the reading.
    pub fn frames_read(&mut self, frames: Vec<(LiveFrame, Bytes)>, last: bool) {
        let Some(relocation) = &mut self.upkeep.relocation else { return };
        relocation.frame_bytes += frames.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
        relocation.frames.extend(frames);
        relocation.read |= last;
    }

    /// Returns true if the reading may go on, and false while enough frames wait to be moved.
    pub fn wants_frames(&self) -> bool {
        self.upkeep.relocation.as_ref().is_none_or(|r| r.frame_bytes < RELOCATION_READ_BYTES)
    }

    /// The number of bytes of log that a restart would replay.
    pub fn log_bytes_since_snapshot(&self) -> u64 {
        self.log_end.saturating_sub(self.upkeep.snapshot_lsn)
    }

    /// Bytes of the newest snapshot.
    pub fn snapshot_bytes(&self) -> u64 {
        self.upkeep.snapshot_bytes
    }

    pub(super) fn next_upkeep_ms(&self) -> Option<UnixMs> {
        let frozen = matches!(self.upkeep.snapshot, Snapshot::Frozen(..));
        let moving = self.upkeep.relocation.as_ref().is_some_and(|r| !r.frames.is_empty());
        if moving && !self.relocation_rests() {
            return Some(self.now_ms);
        }
        if frozen || moving || !self.upkeep.parked.is_empty() {
            return Some(self.now_ms + POLL_MS);
        }
        // An idle log gives no new reason to look.
        let news = self.log_end != self.upkeep.looked_at
            || self.upkeep.next_look_ms <= self.now_ms
            || !self.stale_sessions.is_empty();
        news.then_some(self.upkeep.next_look_ms)
    }

    /// Returns true if the log has begun a new segment since the last inspection.
    fn rolled(&self) -> bool {
        self.log_end / self.segment_bytes != self.upkeep.looked_at / self.segment_bytes
    }

    fn relocation_rests(&self) -> bool {
        self.log_is_busy() || self.now_ms < self.upkeep.relocate_not_before_ms
    }

    fn log_is_busy(&self) -> bool {
        self.log_end.saturating_sub(self.outbox.durable()) > RELOCATION_PAUSE_BYTES
    }

    fn start_snapshot(&mut self) -> Option<Work> {
        let Snapshot::Frozen(lsn, _) = self.upkeep.snapshot else { return None };
        // A snapshot must not know more than the log.
        if self.outbox.durable() < lsn {
            return None;
        }
        match std::mem::replace(&mut self.upkeep.snapshot, Snapshot::Writing) {
            Snapshot::Frozen(lsn, frozen) => Some(Work::Snapshot { lsn: Lsn(lsn), frozen }),
            Snapshot::None | Snapshot::Writing => None,
        }
    }

    fn freeze_if_due(&mut self, full: bool) {
        if !matches!(self.upkeep.snapshot, Snapshot::None) {
            return;
        }
        let grown = self.log_bytes_since_snapshot();
        let due = self.policy.snapshot_after_log_bytes.max(self.upkeep.snapshot_bytes);
        // A full log needs its closed segments back sooner: any that the snapshot would free.
        let first_kept = self.upkeep.snapshot_lsn / self.segment_bytes;
        let frees = first_kept < self.log_end / self.segment_bytes;
        if grown > due || (frees && full) {
            self.upkeep.snapshot = Snapshot::Frozen(self.log_end, Box::new(self.engine.freeze()));
        }
    }

    /// Parks the segments that can be recycled. If too much of the others is dead, chooses one to
    /// relocate.
    fn look_over_segments(&mut self, full: bool) {
        let needed_from = if full { self.upkeep.snapshot_lsn } else { self.upkeep.fallback_lsn };
        let before = needed_from / self.segment_bytes;
        let (mut free, mut closed_bytes, mut live_bytes) = (Vec::new(), 0, 0);
        let mut emptiest: Option<(u64, u64)> = None;
        for segment in self.log.segments() {
            let number = segment.number;
            if !segment.closed || self.upkeep.parked_segments.contains(&number) {
                continue;
            }
            let live = self.engine.live_bytes(number);
            if live == 0 && number < before {
                free.push(number);
                continue;
            }
            closed_bytes += segment.bytes;
            live_bytes += live;
            if number < before
                && !self.upkeep.unmovable.contains(&number)
                && emptiest.is_none_or(|(least, _)| live < least)
            {
                emptiest = Some((live, number));
            }
        }
        if !free.is_empty() {
            self.upkeep.parked_segments.extend(&free);
            let (durable_from, pin) = (self.log_end, self.pins.turn());
            self.upkeep.parked.push_back(Parked { segments: free, durable_from, pin });
        }
        let allowed = live_bytes.saturating_mul(2).saturating_add(self.policy.relocate_above_bytes);
        let wanted = closed_bytes > allowed || full;
        if let (true, None, Some((live, segment))) = (wanted, &self.upkeep.relocation, emptiest)
            && live < self.segment_bytes / 2
        {
            self.upkeep.relocation = Some(Relocation {
                segment,
                started: false,
                read: false,
                frames: VecDeque::new(),
                frame_bytes: 0,
            });
        }
    }

    /// Recycles parked segments, oldest generation first.
    fn recycle_parked(&mut self) {
        if self.upkeep.parked.is_empty() {
            return;
        }
        let durable = self.outbox.durable();
        while let Some(parked) = self.upkeep.parked.front() {
            if parked.durable_from > durable || !parked.pin.released() {
                return;
            }
            let Some(parked) = self.upkeep.parked.pop_front() else { return };
            for segment in parked.segments {
                self.upkeep.parked_segments.remove(&segment);
                self.log.recycle(segment);
                self.metrics.add(Counter::RecycledSegments, 1);
            }
        }
    }

    fn start_reading(&mut self) -> Option<Work> {
        let relocation = self.upkeep.relocation.as_mut().filter(|r| !r.started)?;
        relocation.started = true;
        Some(Work::ReadFrames(self.engine.live_frames(relocation.segment)))
    }

    /// Moves a few frames, unless commands keep the log busy.
    fn relocate_step(&mut self) {
        if self.upkeep.relocation.is_none() || self.relocation_rests() {
            return;
        }
        let mut moved_bytes = 0;
        for _ in 0..RELOCATED_FRAMES_PER_STEP {
            let Some((live, frame)) = self.next_to_relocate() else { break };
            let bytes = frame.len();
            let relocate =
                Relocate { from: live.at, frame: frame.clone(), owners: live.owners.clone() };
            match self.execute(&Command::Relocate(relocate)) {
                Ok((Reply::Relocated { moved: true }, _)) => {
                    self.metrics.add(Counter::RelocatedBytes, bytes as u64);
                    moved_bytes += bytes;
                }
                Ok(_) => {}
                Err(_) => return self.put_back(live, frame),
            }
            if moved_bytes >= RELOCATED_BYTES_PER_STEP {
                break;
            }
        }
        self.end_relocation();
    }

    fn end_relocation(&mut self) {
        let ended = |r: &mut Relocation| r.read && r.frames.is_empty();
        let Some(relocation) = self.upkeep.relocation.take_if(ended) else { return };
        self.upkeep.next_look_ms = self.now_ms;
        // Owners may have changed between the list and the move: once more, but not for ever.
        if self.engine.live_bytes(relocation.segment) > 0
            && !self.upkeep.tried.insert(relocation.segment)
        {
            tracing::error!(segment = relocation.segment, "live messages cannot be moved");
            self.upkeep.unmovable.insert(relocation.segment);
        }
    }

    /// Puts a frame back for which there was no room even in the reserve, and pauses relocation.
    fn put_back(&mut self, live: LiveFrame, frame: Bytes) {
        self.upkeep.relocate_not_before_ms = self.now_ms + LOOK_EVERY_MS;
        if let Some(relocation) = &mut self.upkeep.relocation {
            relocation.frame_bytes += frame.len();
            relocation.frames.push_front((live, frame));
        }
    }

    fn next_to_relocate(&mut self) -> Option<(LiveFrame, Bytes)> {
        let relocation = self.upkeep.relocation.as_mut()?;
        let (live, frame) = relocation.frames.pop_front()?;
        relocation.frame_bytes -= frame.len();
        Some((live, frame))
    }
}
