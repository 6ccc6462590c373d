//! The writer: one durable write for each batch, one at a time.

use std::io;
use std::sync::{Arc, PoisonError};

use crate::SyncMode;
use crate::disk::DiskFile;
use crate::file::batch::{Batch, Chain, Finished};
use crate::file::segments::Segment;
use crate::file::shared::Shared;

/// The only writer of segment contents. A batch is begun only when the one before it is durable, which
/// is what recovery relies on to tell a torn tail from damage.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    chain: Chain,
    current: Option<(Arc<Segment>, Box<dyn DiskFile>)>,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, chain: Chain) -> Writer {
        Writer { shared, chain, current: None }
    }

    /// Writes everything appended so far. False if the log has failed.
    pub(crate) fn write_all(&mut self) -> bool {
        loop {
            match self.write_next() {
                Ok(true) => {}
                Ok(false) => return !self.shared.tail().failed,
                Err(error) => {
                    self.shared.fail(&error);
                    return false;
                }
            }
        }
    }

    /// Writes one batch. False if there is none, or if the log has failed earlier.
    pub(crate) fn write_next(&mut self) -> io::Result<bool> {
        let batch = {
            let mut tail = self.shared.tail();
            if tail.failed { None } else { tail.take() }
        };
        match batch {
            Some(batch) => self.write(batch).map(|()| true),
            None => Ok(false),
        }
    }

    /// The writer thread: writes as long as there is something, sleeps when not, and returns after the
    /// last batch when the log stops. There is no timer: while a batch is on its way to the disk, the
    /// next one collects.
    pub(crate) fn run(mut self) {
        loop {
            if !self.write_all() {
                return;
            }
            let mut tail = self.shared.tail();
            while !tail.has_work() {
                if tail.stopping || tail.failed {
                    return;
                }
                tail.writer_idle = true;
                tail = self.shared.work.wait(tail).unwrap_or_else(PoisonError::into_inner);
                tail.writer_idle = false;
            }
        }
    }

    fn write(&mut self, batch: Batch) -> io::Result<()> {
        let (segment, offset) = (batch.segment, u64::from(batch.offset));
        let Finished { start, padded, len, chain } = batch.finish(self.chain);
        let padded = Arc::new(padded);
        self.shared.hot.insert(start, &padded, len);
        // A reader may have been waiting for these bytes to become readable in memory.
        self.shared.progress.notify_all();
        let sync = self.shared.options.sync;
        let file = self.file(segment)?;
        match sync {
            SyncMode::Always => file.write_durable_at(padded.as_slice(), offset)?,
            SyncMode::Broken => file.write_at(padded.as_slice(), offset)?,
        }
        let written_bytes = padded.len() as u64;
        self.shared.buffers.give_back(padded);
        self.chain = chain;
        let counters = &self.shared.counters;
        counters.written_bytes.add(written_bytes);
        counters.batches.add(1);
        counters.syncs.add(1);
        self.shared.advance(chain.record_end);
        self.shared.tail().writing = false;
        self.shared.progress.notify_all();
        Ok(())
    }

    fn file(&mut self, number: u64) -> io::Result<&dyn DiskFile> {
        let current = match self.current.take() {
            Some(current) if current.0.number == number => current,
            _ => {
                let segment = self.shared.segments.hold(number).ok_or_else(|| {
                    io::Error::other(format!("segment {number} is not prepared (a bug)"))
                })?;
                let file = self.shared.segments.open_for_write(&segment)?;
                // A segment was begun: there may be one to prepare.
                self.shared.prepare.notify_all();
                (segment, file)
            }
        };
        Ok(self.current.insert(current).1.as_ref())
    }
}
