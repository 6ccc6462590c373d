//! The threads that do the core's slow work: writing snapshots, reading frames for relocation.

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use bytes::Bytes;
use kyu_engine::{Frame, Frozen, LiveFrame};
use kyu_log::{LogReader, Lsn, SnapshotStore};

use crate::inbox::Inbox;
use crate::limits::{KEPT_SNAPSHOTS, RELOCATION_READ_BYTES};
use crate::metrics::{Counter, Metrics};
use crate::request::Job;

/// Writes each snapshot that is ordered, until the engine's thread ends.
pub(crate) fn write_snapshots(
    store: &SnapshotStore,
    orders: &Receiver<(Lsn, Box<Frozen>)>,
    inbox: &Inbox<Job>,
) {
    while let Ok((lsn, frozen)) = orders.recv() {
        let bytes = write_snapshot(store, lsn, &frozen);
        let _ends = inbox.push(Job::SnapshotDone { lsn, bytes });
    }
}

/// Writes one snapshot and returns its size. A failure is reported and costs nothing but a longer
/// log: the snapshot before is still there.
pub(crate) fn write_snapshot(store: &SnapshotStore, lsn: Lsn, frozen: &Frozen) -> Option<u64> {
    match store.write(lsn, |mut file| frozen.write(&mut file)) {
        Ok(bytes) => {
            // The log is kept from the one before on, so older ones are of no use.
            if let Err(error) = store.prune(KEPT_SNAPSHOTS) {
                tracing::warn!(%error, "removing old snapshots");
            }
            Some(bytes)
        }
        Err(error) => {
            tracing::error!(%error, %lsn, "a snapshot could not be written; will try again");
            None
        }
    }
}

/// An order to the thread that reads frames.
#[derive(Debug)]
pub(crate) enum ReadOrder {
    Start(Vec<LiveFrame>),
    GoOn,
}

/// Reads frames for relocation, a part at a time, until the engine's thread ends.
pub(crate) fn read_frames(
    reader: &impl LogReader,
    orders: &Receiver<ReadOrder>,
    inbox: &Arc<Inbox<Job>>,
    metrics: &Metrics,
) {
    let mut waiting = Vec::new().into_iter();
    while let Ok(order) = orders.recv() {
        if let ReadOrder::Start(frames) = order {
            waiting = frames.into_iter();
        }
        let mut part = Vec::new();
        let mut part_bytes = 0;
        for live in waiting.by_ref() {
            part_bytes += live.bytes as usize;
            part.extend(read_frame(reader, live, metrics));
            if part_bytes >= RELOCATION_READ_BYTES {
                break;
            }
        }
        let last = waiting.as_slice().is_empty();
        let _ends = inbox.push(Job::FramesRead { frames: part, last });
    }
}

/// Reads one frame; `None` unless it reads back as it was written. Damage must not be copied under
/// a fresh checksum of the log: such a frame stays where it is, and is reported.
fn read_frame(
    reader: &impl LogReader,
    live: LiveFrame,
    metrics: &Metrics,
) -> Option<(LiveFrame, Bytes)> {
    let bytes = match reader.read(Lsn(live.at), live.bytes as usize) {
        Ok(bytes) => bytes,
        // The last message in the segment has ended meanwhile, and the segment was recycled.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::error!(address = live.at, %error, "reading a message for relocation");
            return None;
        }
    };
    if let Err(error) = Frame::decode(bytes.clone()) {
        metrics.add(Counter::DamagedFrames, 1);
        tracing::error!(address = live.at, %error, "a damaged message cannot be relocated");
        return None;
    }
    Some((live, bytes))
}
