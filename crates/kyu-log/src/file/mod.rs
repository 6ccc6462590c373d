//! The file log: an appended record is on disk before it is reported durable, and reads back exactly as
//! it was written.
//!
//! The path of a record: `FileLog::append` copies it into the open batch and gives it an address; the
//! writer thread seals the batch, adds checksums, writes it with one durable write, moves `durable()`
//! forward and calls `on_durable`. There is no timer: while one batch is being written the next one
//! collects.
//!
//! On disk (details and frozen numbers in `format.rs`, reasons in `docs/adr/0002-file-log.md`):
//!
//! ```text
//! DIR/LOCK                     flock: one process at a time
//! DIR/META                     identity of this log and its segment size
//! DIR/00000000000000000007.log segment 7: header block, then batches, each starting at a 4 KiB boundary
//! DIR/snapshot-<address>       the state after all records before that address
//! DIR/*.spare                  a pre-written file without a number yet
//!
//! segment = [header 4 KiB][batch][batch]...[END batch]
//! batch   = [batch header 48 B][record]...[record][zeros to 4 KiB]
//! record  = [record header 20 B][body]
//! ```

mod batch;
pub(crate) mod buffer;
pub(crate) mod format;
mod headers;
mod hot;
mod reader;
mod recover;
mod repair;
mod replay;
mod scan;
mod segments;
mod shared;
mod stopped;
mod survey;
mod tail;
mod verify;
mod writer;

pub use headers::log_id;
pub use reader::FileReader;
pub use repair::{Cut, Refusal, RepairStep, repair};
pub use stopped::{StoppedLog, lock};
pub use verify::{SegmentReport, verify_segments};

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use batch::Chain;
use recover::{Recovered, recover};
use segments::{Prepared, Segments};
use shared::{Counters, Shared};
use survey::{End, Survey};
use tail::{Admission, Tail};
use writer::Writer;

use crate::disk::{Disk, DiskLock};
use crate::error::{AppendError, OpenError, ReplayError};
use crate::log::{
    Appended, History, Log, Metrics, MissingSegment, OnDurable, Opened, SegmentInfo, Space, Visit,
};
use crate::lsn::Geometry;
use crate::{Class, Lsn, Options};

/// A durable, append-only log in a directory, open in this process only.
///
/// `open` gives one with threads: a writer that makes appended records durable on its own, and one
/// that prepares segments. `open_stepped` gives one without threads for simulations: records become
/// durable in `flush`, on the caller's thread, and nothing happens in between.
pub struct FileLog {
    shared: Arc<Shared>,
    reader: FileReader,
    epoch: u64,
    drive: Drive,
    /// The lock on the directory ends with the log.
    _lock: Box<dyn DiskLock>,
}

/// The threads that write, or the writer of a log without threads.
enum Drive {
    Threads { writer: Option<JoinHandle<()>>, preparer: Option<JoinHandle<()>> },
    Stepped(Mutex<Writer>),
}

impl FileLog {
    /// Opens the log in `dir`, creating it if there is none, with its own threads.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: Options,
    ) -> Result<(FileLog, Opened), OpenError> {
        let (log, opened) = FileLog::open_stepped(disk, dir, options)?;
        Ok((log.with_threads()?, opened))
    }

    /// Gives a log without threads its threads.
    pub fn with_threads(mut self) -> Result<FileLog, OpenError> {
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            thread::Builder::new()
                .name(name.to_owned())
                .spawn(work)
                .map_err(OpenError::io("starting a thread"))
        };
        let stepped =
            std::mem::replace(&mut self.drive, Drive::Threads { writer: None, preparer: None });
        if let Drive::Stepped(writer) = stepped {
            let writer = writer.into_inner().unwrap_or_else(PoisonError::into_inner);
            let shared = self.shared.clone();
            let preparer =
                spawn("kyu-log-prepare", Box::new(move || shared.prepare_until_stopped()))?;
            let writer = spawn("kyu-log-write", Box::new(move || writer.run()))?;
            self.drive = Drive::Threads { writer: Some(writer), preparer: Some(preparer) };
        }
        Ok(self)
    }

    /// Opens the log in `dir` without threads: everything happens on the caller's thread, in `flush`
    /// and, where it would otherwise wait, in `append`.
    pub fn open_stepped(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: Options,
    ) -> Result<(FileLog, Opened), OpenError> {
        disk.create_dir(dir).map_err(OpenError::io(format!("creating {}", dir.display())))?;
        let lock = lock(disk.as_ref(), dir)?;
        FileLog::open_locked(disk, dir, lock, options)
    }

    /// Opens the log in `dir` without threads, under the directory's lock ([`lock`]), which the caller
    /// has taken to look at the stopped log first.
    pub fn open_locked(
        disk: Arc<dyn Disk>,
        dir: &Path,
        lock: Box<dyn DiskLock>,
        options: Options,
    ) -> Result<(FileLog, Opened), OpenError> {
        let recovered = recover(disk.as_ref(), dir, &options)?;
        let opened = recovered.survey.opened();
        check_size(&options, opened.segment_bytes)?;
        let (shared, chain) = assemble(disk, dir, options, recovered);
        let mut writer = Writer::new(shared.clone(), Chain { epoch: opened.epoch, ..chain });
        begin_incarnation(&shared, &mut writer)?;
        let epoch = opened.epoch;
        let reader = FileReader::new(shared.clone());
        let log = FileLog {
            shared,
            reader,
            epoch,
            drive: Drive::Stepped(Mutex::new(writer)),
            _lock: lock,
        };
        Ok((log, opened))
    }

    /// Appends a record whose body may depend on its own address. `make` gets the address of the first
    /// byte and returns exactly `len` bytes. Waits only if the writer is 64 MiB behind or the next
    /// segment is not prepared yet.
    pub fn append_with<'a>(
        &mut self,
        class: Class,
        len: usize,
        make: impl FnOnce(Lsn) -> &'a [u8],
    ) -> Result<Appended, AppendError> {
        let mut tail = self.shared.tail();
        let limit_bytes = tail.max_body_bytes();
        if len > limit_bytes {
            return Err(AppendError::TooLarge { limit_bytes });
        }
        let mut tried_again = false;
        loop {
            let admission = tail.admit(class, len);
            match admission {
                Admission::Yes => break,
                Admission::Failed => return Err(AppendError::Failed),
                Admission::Sealed(by) => return Err(AppendError::Sealed { by }),
                Admission::Full if tried_again || matches!(self.drive, Drive::Threads { .. }) => {
                    tail.retry_space = true;
                    drop(tail);
                    self.shared.prepare.notify_all();
                    return Err(AppendError::Full);
                }
                Admission::Full | Admission::AwaitSegment | Admission::AwaitWriter => {
                    tried_again |= admission == Admission::Full;
                    tail = self.await_room(tail, admission);
                }
            }
        }
        let body = make(tail.next_body_at(len));
        debug_assert_eq!(body.len(), len, "the address was computed for this length");
        let appended = tail.push(body);
        let wake = tail.writer_idle;
        drop(tail);
        if wake {
            self.shared.work.notify_one();
        }
        Ok(appended)
    }

    /// Appends several records, in order, under one lock. Stops at the first that is refused; those
    /// before it stay appended.
    pub fn append_all<'a>(
        &mut self,
        class: Class,
        bodies: impl IntoIterator<Item = &'a [u8]>,
        mut appended: impl FnMut(Appended),
    ) -> Result<(), AppendError> {
        let mut bodies = bodies.into_iter();
        loop {
            // Fast under one lock as long as there is room, then one body the slow way.
            let mut tail = self.shared.tail();
            let limit_bytes = tail.max_body_bytes();
            let refused = bodies.by_ref().find(|body| {
                let room =
                    body.len() <= limit_bytes && tail.admit(class, body.len()) == Admission::Yes;
                if room {
                    appended(tail.push(body));
                }
                !room
            });
            let wake = tail.writer_idle;
            drop(tail);
            if wake {
                self.shared.work.notify_one();
            }
            match refused {
                Some(body) => appended(self.append(class, body)?),
                None => return Ok(()),
            }
        }
    }

    fn outcome(&self) -> Result<(), AppendError> {
        let tail = self.shared.tail();
        match tail.sealed_by {
            _ if tail.failed => Err(AppendError::Failed),
            Some(by) => Err(AppendError::Sealed { by }),
            None => Ok(()),
        }
    }

    /// Waits until everything that was appended is written; without threads, writes it.
    fn idle_writer(&self) {
        match &self.drive {
            Drive::Stepped(writer) => {
                writer.lock().unwrap_or_else(PoisonError::into_inner).write_all();
            }
            Drive::Threads { .. } => {
                let mut tail = self.shared.tail();
                while (tail.has_work() || tail.writing) && !tail.failed {
                    self.shared.work.notify_one();
                    tail = self.shared.progress.wait(tail).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Waits until the condition that `admission` names is gone; without threads, does the work for it.
    fn await_room<'a>(
        &'a self,
        mut tail: MutexGuard<'a, Tail>,
        admission: Admission,
    ) -> MutexGuard<'a, Tail> {
        match &self.drive {
            Drive::Threads { .. } => {
                self.shared.prepare.notify_all();
                self.shared.progress.wait(tail).unwrap_or_else(PoisonError::into_inner)
            }
            Drive::Stepped(writer) => {
                tail.retry_space = true;
                drop(tail);
                if admission == Admission::AwaitWriter {
                    writer.lock().unwrap_or_else(PoisonError::into_inner).write_all();
                } else {
                    self.shared.prepare_step();
                }
                self.shared.tail()
            }
        }
    }

    /// The address that `append` would give the body of a record of `len` bytes now. With threads the
    /// writer may close the batch in between and make it wrong: use `append_with` there.
    pub fn next_body_at(&self, len: usize) -> Lsn {
        self.shared.tail().next_body_at(len)
    }

    /// Visits every record of one closed segment, verified, whatever is before or after it.
    pub fn scan_segment<E>(&self, number: u64, visit: Visit<'_, E>) -> Result<(), ReplayError<E>> {
        // Held for the whole scan, so that the file is not reused under it.
        let _held = self.shared.segments.hold(number);
        replay::scan_segment(self.shared.as_ref(), number, visit)
    }

    fn stop(&mut self) {
        self.shared.tail().stopping = true;
        self.shared.work.notify_all();
        self.shared.prepare.notify_all();
        match &mut self.drive {
            Drive::Stepped(writer) => {
                writer.get_mut().unwrap_or_else(PoisonError::into_inner).write_all();
            }
            Drive::Threads { writer, preparer } => {
                for thread in [writer.take(), preparer.take()].into_iter().flatten() {
                    // A panic there has been reported by the panic hook.
                    let _ = thread.join();
                }
            }
        }
    }
}

impl History for FileLog {
    fn replay<E>(&self, from: Lsn, visit: Visit<'_, E>) -> Result<Lsn, ReplayError<E>> {
        replay::replay(self.shared.as_ref(), from, visit)
    }

    fn reaches(&self, from: Lsn) -> bool {
        replay::reaches(self.shared.as_ref(), from)
    }

    fn missing(&self, segments: &[u64]) -> std::io::Result<Vec<MissingSegment>> {
        replay::missing_of(self.shared.as_ref(), segments)
    }

    fn segment_bytes(&self) -> u32 {
        self.shared.geometry.segment_bytes
    }
}

impl Log for FileLog {
    type Reader = FileReader;

    fn append(&mut self, class: Class, body: &[u8]) -> Result<Appended, AppendError> {
        self.append_with(class, body.len(), |_| body)
    }

    fn flush(&self) -> Result<(), AppendError> {
        match &self.drive {
            Drive::Stepped(writer) => {
                writer.lock().unwrap_or_else(PoisonError::into_inner).write_all();
                while self.shared.prepare_step() {}
            }
            Drive::Threads { .. } => {
                let mut tail = self.shared.tail();
                let target = tail.record_end;
                while self.shared.durable() < target && !tail.failed {
                    self.shared.work.notify_one();
                    tail = self.shared.progress.wait(tail).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
        self.outcome()
    }

    fn durable(&self) -> Lsn {
        self.shared.durable()
    }

    fn end(&self) -> Lsn {
        self.shared.tail().record_end
    }

    /// See [`Log::on_durable`]; the callback runs on the writer thread, or in `flush` for a stepped
    /// log.
    fn on_durable(&self, callback: OnDurable) {
        *self.shared.on_durable.lock().unwrap_or_else(PoisonError::into_inner) = Some(callback);
    }

    fn reader(&self) -> FileReader {
        self.reader.clone()
    }

    /// See [`Log::recycle`]; the file is reused only after all its readers have finished.
    fn recycle(&self, segment: u64) -> bool {
        let closed = segment < self.shared.geometry.segment(self.shared.durable());
        if !closed || !self.shared.segments.retire(segment) {
            return false;
        }
        self.shared.tail().retry_space = true;
        self.shared.prepare.notify_all();
        true
    }

    fn segments(&self) -> Vec<SegmentInfo> {
        let bytes = u64::from(self.shared.geometry.segment_bytes);
        let open = self.shared.geometry.segment(self.shared.durable());
        let last = self.shared.tail().segment();
        let numbers = self.shared.segments.numbers().into_iter().filter(|number| *number <= last);
        numbers.map(|number| SegmentInfo { number, bytes, closed: number < open }).collect()
    }

    fn space(&self) -> std::io::Result<Space> {
        let segments = self.shared.segments.file_count();
        let free_bytes = self.shared.segments.free_bytes()?;
        let tail = self.shared.tail();
        Ok(Space {
            used_bytes: segments * u64::from(self.shared.geometry.segment_bytes),
            headroom_bytes: tail.headroom_bytes(),
            free_bytes,
            full: tail.admit(Class::Grow, 0) == Admission::Full,
        })
    }

    fn metrics(&self) -> Metrics {
        self.shared.metrics()
    }

    /// See [`Log::seal`]. The directory's lock keeps other owners out, and the mark that opened this
    /// incarnation has sealed the log at its epoch, so only a higher epoch has an effect: it ends this
    /// incarnation.
    fn seal(&mut self, epoch: u64) -> Result<(), AppendError> {
        if epoch <= self.epoch {
            return Ok(());
        }
        let mut tail = self.shared.tail();
        // What the writer has taken comes before the seal.
        while tail.writing && !tail.failed {
            tail = self.shared.progress.wait(tail).unwrap_or_else(PoisonError::into_inner);
        }
        tail.give_up(epoch, self.shared.durable());
        let mut tried_again = false;
        while tail.needs_segment() && !tail.failed {
            if tail.no_space && !tail.retry_space {
                if std::mem::replace(&mut tried_again, true) {
                    return Err(AppendError::Full);
                }
                tail.retry_space = true;
            }
            tail = self.await_room(tail, Admission::AwaitSegment);
        }
        if tail.failed {
            return Err(AppendError::Failed);
        }
        tail.mark_seal(epoch);
        drop(tail);
        self.epoch = epoch;
        self.idle_writer();
        if self.shared.tail().failed { Err(AppendError::Failed) } else { Ok(()) }
    }

    /// See [`Log::close`]; it also releases the directory's lock.
    fn close(mut self) -> Result<(), AppendError> {
        if self.shared.tail().sealed_by.is_none() {
            self.shared.tail().mark_close();
        }
        self.stop();
        self.outcome()
    }
}

impl Drop for FileLog {
    /// Ends the threads. A log with threads writes what was appended; a stepped one writes nothing, so
    /// that dropping it is the same as the death of its process.
    fn drop(&mut self) {
        if matches!(self.drive, Drive::Threads { .. }) {
            self.stop();
        }
    }
}

fn check_size(options: &Options, segment_bytes: u32) -> Result<(), OpenError> {
    let segment = u64::from(segment_bytes);
    let least = 2 * segment + options.reserve_bytes.next_multiple_of(segment);
    match options.max_log_bytes {
        Some(max) if max < least => Err(OpenError::BadOptions(format!(
            "max_log_bytes {max} must be at least {least}: two segments and the reserve"
        ))),
        _ => Ok(()),
    }
}

fn assemble(
    disk: Arc<dyn Disk>,
    dir: &Path,
    options: Options,
    recovered: Recovered,
) -> (Arc<Shared>, Chain) {
    let Recovered { survey, spares } = recovered;
    let Survey { meta, numbers, prepared_to, end, .. } = survey;
    let geometry = Geometry { segment_bytes: meta.segment_bytes };
    let (log_id, counters) = (meta.log_id, Arc::new(Counters::default()));
    let segments =
        Segments::new(disk, dir, geometry, log_id, &options, counters.clone(), &numbers, spares);
    let End { chain, segment, offset, .. } = end;
    let end = chain.record_end;
    let tail = Tail::new(geometry, options.reserve_bytes, segment, offset, prepared_to, end);
    let dir = dir.to_path_buf();
    let shared = Shared::new(dir, geometry, log_id, options, tail, segments, counters, end);
    (Arc::new(shared), chain)
}

/// Writes the mark that makes the new epoch durable.
fn begin_incarnation(shared: &Shared, writer: &mut Writer) -> Result<(), OpenError> {
    loop {
        let next = {
            let tail = shared.tail();
            (tail.prepared_to < tail.segment()).then_some(tail.prepared_to + 1)
        };
        let Some(number) = next else { break };
        match shared.segments.prepare(number).map_err(OpenError::io("preparing a segment"))? {
            Prepared::Yes => shared.tail().prepared_to = number,
            Prepared::NoSpace => return Err(OpenError::NoSpace(shared.dir.clone())),
        }
    }
    shared.tail().mark_open();
    while writer.write_next().map_err(OpenError::io("writing the opening mark"))? {}
    Ok(())
}
