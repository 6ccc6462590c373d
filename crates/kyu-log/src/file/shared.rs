//! The state that the threads of one log share, and how the log fails.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::disk::DiskFile;
use crate::file::buffer::BufferPool;
use crate::file::hot::HotCache;
use crate::file::replay::Files;
use crate::file::segments::{Prepared, Segments};
use crate::file::tail::Tail;
use crate::limits::BLOCK_BYTES;
use crate::log::{Metrics, OnDurable};
use crate::lsn::Geometry;
use crate::{Lsn, OnFailure, Options};

/// The state of one open log.
///
/// Locks are std mutexes: nothing here is asynchronous. `tail` is never held across I/O.
pub(crate) struct Shared {
    pub(crate) dir: PathBuf,
    pub(crate) geometry: Geometry,
    pub(crate) log_id: u64,
    pub(crate) options: Options,
    tail: Mutex<Tail>,
    /// The writer waits here for batches.
    pub(crate) work: Condvar,
    /// The preparing thread waits here.
    pub(crate) prepare: Condvar,
    /// Appenders and readers wait here for the writer or for a prepared segment.
    pub(crate) progress: Condvar,
    durable: AtomicU64,
    pub(crate) hot: HotCache,
    pub(crate) buffers: Arc<BufferPool>,
    pub(crate) segments: Segments,
    pub(crate) counters: Arc<Counters>,
    pub(crate) on_durable: Mutex<Option<OnDurable>>,
}

/// A counter that several threads raise.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) written_bytes: Counter,
    pub(crate) batches: Counter,
    pub(crate) syncs: Counter,
    pub(crate) recycled: Counter,
    pub(crate) prewritten: Counter,
    pub(crate) cold_reads: Counter,
}

impl Files for Shared {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn log_id(&self) -> u64 {
        self.log_id
    }

    fn durable(&self) -> Lsn {
        self.durable()
    }

    fn numbers(&self) -> Vec<u64> {
        self.segments.numbers()
    }

    fn open(&self, number: u64) -> io::Result<Option<Box<dyn DiskFile>>> {
        match self.segments.hold(number) {
            Some(segment) => self.segments.open_for_read(&segment).map(Some),
            None => Ok(None),
        }
    }

    fn path(&self, number: u64) -> PathBuf {
        self.segments.path(number)
    }
}

impl Shared {
    #[allow(clippy::too_many_arguments)] // The parts of one struct, put together at the one call.
    pub(crate) fn new(
        dir: PathBuf,
        geometry: Geometry,
        log_id: u64,
        options: Options,
        tail: Tail,
        segments: Segments,
        counters: Arc<Counters>,
        durable: Lsn,
    ) -> Shared {
        Shared {
            dir,
            geometry,
            log_id,
            hot: HotCache::new(options.hot_bytes, Arc::clone(&tail.buffers)),
            buffers: Arc::clone(&tail.buffers),
            options,
            tail: Mutex::new(tail),
            work: Condvar::new(),
            prepare: Condvar::new(),
            progress: Condvar::new(),
            durable: AtomicU64::new(durable.0),
            segments,
            counters,
            on_durable: Mutex::new(None),
        }
    }

    pub(crate) fn tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The address up to which everything is on disk.
    pub(crate) fn durable(&self) -> Lsn {
        Lsn(self.durable.load(Ordering::Acquire))
    }

    /// Reports that everything before `to` is on disk.
    pub(crate) fn advance(&self, to: Lsn) {
        self.durable.store(to.0, Ordering::Release);
        let mut callback = self.on_durable.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(callback) = callback.as_mut() {
            callback(to);
        }
    }

    /// Ends this incarnation: nothing more is accepted, and `OnFailure` is called with the error.
    pub(crate) fn fail(&self, error: &io::Error) {
        self.tail().failed = true;
        self.progress.notify_all();
        self.work.notify_all();
        self.prepare.notify_all();
        match &self.options.on_failure {
            OnFailure::Call(callback) => callback(error),
            OnFailure::Abort => {
                eprintln!(
                    "kyu: the log in {} could not be written: {error}. The process ends here, because \
                     it must not act on what is not on disk; a restart replays the log.",
                    self.dir.display()
                );
                std::process::abort();
            }
        }
    }

    /// The number of segments that should exist after the current one.
    fn segments_ahead(&self) -> u64 {
        // Counted in what a segment can hold, so that one spare always has room for the largest record
        // on top of the reserve: an append that waits for a segment never waits in vain.
        let usable_bytes = u64::from(self.geometry.segment_bytes - 2 * BLOCK_BYTES);
        u64::from(self.options.spare_segments.max(1))
            + self.options.reserve_bytes.div_ceil(usable_bytes)
    }

    /// The segment to prepare now, if any.
    pub(crate) fn wanted_segment(&self, tail: &Tail) -> Option<u64> {
        let wanted = tail.prepared_to < tail.segment() + self.segments_ahead();
        let hopeful = !tail.no_space || tail.retry_space;
        (wanted && hopeful && !tail.failed).then_some(tail.prepared_to + 1)
    }

    /// Prepares one segment if one is wanted, or removes retired files if none is. False when there is
    /// nothing to do.
    pub(crate) fn prepare_step(&self) -> bool {
        let wanted = {
            let mut tail = self.tail();
            let wanted = self.wanted_segment(&tail);
            tail.retry_space = false;
            wanted
        };
        let Some(number) = wanted else {
            if let Err(error) = self.segments.remove_retired() {
                self.fail(&error);
            }
            return false;
        };
        match self.segments.prepare(number) {
            Ok(prepared) => {
                let mut tail = self.tail();
                tail.no_space = prepared == Prepared::NoSpace;
                if prepared == Prepared::Yes {
                    tail.prepared_to = number;
                }
                drop(tail);
                self.progress.notify_all();
                prepared == Prepared::Yes
            }
            Err(error) => {
                self.fail(&error);
                false
            }
        }
    }

    /// The preparing thread: keeps segments ahead of the writer until the log stops.
    pub(crate) fn prepare_until_stopped(&self) {
        loop {
            while !self.tail().stopping && self.prepare_step() {}
            let mut tail = self.tail();
            while self.wanted_segment(&tail).is_none() && !tail.retry_space {
                if tail.stopping || tail.failed {
                    return;
                }
                tail = self.prepare.wait(tail).unwrap_or_else(PoisonError::into_inner);
            }
            if tail.stopping || tail.failed {
                return;
            }
        }
    }

    pub(crate) fn metrics(&self) -> Metrics {
        let counters = &self.counters;
        Metrics {
            written_bytes: counters.written_bytes.get(),
            batches: counters.batches.get(),
            syncs: counters.syncs.get(),
            recycled_segments: counters.recycled.get(),
            prewritten_segments: counters.prewritten.get(),
            cold_reads: counters.cold_reads.get(),
        }
    }
}
