//! The log as its user sees it.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use bytes::Bytes;

use crate::batch::Chain;
use crate::disk::{Disk, DiskLock};
use crate::error::{AppendError, OpenError, ReplayError};
use crate::log::{History, MissingSegment};
use crate::lsn::Geometry;
use crate::recover::{Recovered, recover};
use crate::replay;
use crate::scan::Visit;
use crate::segments::{Prepared, SegmentInfo, Segments};
use crate::shared::{Counters, Metrics, Shared, Space};
use crate::stopped::lock;
use crate::survey::{End, Survey};
use crate::tail::{Admission, Tail};
use crate::writer::Writer;
use crate::{Class, Lsn, Options, Reader};

/// A durable, append-only log in a directory, open in this process only.
///
/// `open` gives one with threads: a writer that makes appended records durable on its own, and one
/// that prepares segments. `open_stepped` gives one without threads for simulations: records become
/// durable in `flush`, on the caller's thread, and nothing happens in between.
pub struct FileLog {
    shared: Arc<Shared>,
    reader: Reader,
    drive: Drive,
    /// The lock on the directory ends with the log.
    _lock: Box<dyn DiskLock>,
}

/// Who does the writing.
enum Drive {
    Threads { writer: Option<JoinHandle<()>>, preparer: Option<JoinHandle<()>> },
    Stepped(Mutex<Writer>),
}

/// Where a record went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Address of the first byte of the body.
    pub body_at: Lsn,
    /// Address after the last byte: the record is durable when `durable() >= end`, and replay from
    /// `end` gives what comes after it.
    pub end: Lsn,
}

/// What was found when a log was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Replay can begin here or later.
    pub first: Lsn,
    /// The end of the last record.
    pub last: Lsn,
    /// This incarnation's number, larger than any before it, and durable already.
    pub epoch: u64,
    /// The identity of the log.
    pub log_id: u64,
    /// The segment size of the log, which is not that of the options if the log existed.
    pub segment_bytes: u32,
    /// A batch that was being written when the last incarnation ended, and was dropped.
    pub torn_tail: Option<TornTail>,
    /// The last incarnation ended with `close`.
    pub closed_in_order: bool,
}

/// A batch that was never reported durable and was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// Where it began; the log continues here.
    pub at: Lsn,
}

impl FileLog {
    /// Opens the log in `dir`, creating it if there is none, with its own threads.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: Options,
    ) -> Result<(FileLog, Opened), OpenError> {
        let (mut log, opened) = FileLog::open_stepped(disk, dir, options)?;
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            thread::Builder::new()
                .name(name.to_owned())
                .spawn(work)
                .map_err(OpenError::io("starting a thread"))
        };
        let stepped =
            std::mem::replace(&mut log.drive, Drive::Threads { writer: None, preparer: None });
        if let Drive::Stepped(writer) = stepped {
            let writer = writer.into_inner().unwrap_or_else(PoisonError::into_inner);
            let shared = log.shared.clone();
            let preparer =
                spawn("kyu-log-prepare", Box::new(move || shared.prepare_until_stopped()))?;
            let writer = spawn("kyu-log-write", Box::new(move || writer.run()))?;
            log.drive = Drive::Threads { writer: Some(writer), preparer: Some(preparer) };
        }
        Ok((log, opened))
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
        let recovered = recover(disk.as_ref(), dir, &options)?;
        let opened = recovered.survey.opened();
        check_size(&options, opened.segment_bytes)?;
        let (shared, chain) = assemble(disk, dir, options, recovered);
        let mut writer = Writer::new(shared.clone(), Chain { epoch: opened.epoch, ..chain });
        begin_incarnation(&shared, &mut writer)?;
        let reader = Reader::new(shared.clone());
        let log =
            FileLog { shared, reader, drive: Drive::Stepped(Mutex::new(writer)), _lock: lock };
        Ok((log, opened))
    }

    /// Assigns an address to a record and takes a copy of it; it becomes durable later, after all
    /// records before it.
    ///
    /// Waits only if the writer is 64 MiB behind or the next segment is not prepared yet.
    pub fn append(&mut self, class: Class, body: &[u8]) -> Result<Appended, AppendError> {
        self.append_with(class, body.len(), |_| body)
    }

    /// Like `append`, but the body may depend on its own address. `make` gets the address of the first
    /// byte and answers exactly `len` bytes.
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

    /// Waits for what `admission` lacks; without threads, does it.
    fn await_room<'a>(
        &'a self,
        mut tail: std::sync::MutexGuard<'a, Tail>,
        admission: Admission,
    ) -> std::sync::MutexGuard<'a, Tail> {
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

    /// Returns when everything appended so far is durable.
    pub fn flush(&self) -> Result<(), AppendError> {
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
        if self.shared.tail().failed { Err(AppendError::Failed) } else { Ok(()) }
    }

    /// Every record that ends at or before this address is on disk.
    pub fn durable(&self) -> Lsn {
        self.shared.durable()
    }

    /// The end of the last appended record, durable or not.
    pub fn end(&self) -> Lsn {
        self.shared.tail().record_end
    }

    /// Calls `callback` with the new durable address after each durable write, in order, on the writer
    /// thread (in `flush` for a stepped log). It replaces an earlier callback and must not call the log.
    pub fn on_durable(&self, callback: Box<dyn FnMut(Lsn) + Send>) {
        *self.shared.on_durable.lock().unwrap_or_else(PoisonError::into_inner) = Some(callback);
    }

    /// The `len` bytes at `at`, durable or not, if they are in memory.
    pub fn read_hot(&self, at: Lsn, len: usize) -> Option<Bytes> {
        self.reader.read_hot(at, len)
    }

    /// A handle to read bytes by address from any thread.
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// Gives back a closed segment in which nothing is live and which no replay needs. Any order.
    /// False if there is no such segment or it is not closed.
    ///
    /// A reader in the middle of it finishes first; nothing can be read from it afterwards, except what
    /// is still in memory.
    pub fn recycle(&self, segment: u64) -> bool {
        let closed = segment < self.shared.geometry.segment(self.shared.durable());
        if !closed || !self.shared.segments.retire(segment) {
            return false;
        }
        self.shared.tail().retry_space = true;
        self.shared.prepare.notify_all();
        true
    }

    /// The segments that hold records or are about to, oldest first.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        let bytes = u64::from(self.shared.geometry.segment_bytes);
        let open = self.shared.geometry.segment(self.shared.durable());
        let last = self.shared.tail().segment();
        let numbers = self.shared.segments.numbers().into_iter().filter(|number| *number <= last);
        numbers.map(|number| SegmentInfo { number, bytes, closed: number < open }).collect()
    }

    /// How much space there is.
    pub fn space(&self) -> std::io::Result<Space> {
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

    /// Counters since `open`.
    pub fn metrics(&self) -> Metrics {
        self.shared.metrics()
    }

    /// Visits every record of one closed segment, verified, whatever is before or after it.
    pub fn scan_segment<E>(&self, number: u64, visit: Visit<'_, E>) -> Result<(), ReplayError<E>> {
        // Held for the whole scan, so that the file is not reused under it.
        let _held = self.shared.segments.hold(number);
        replay::scan_segment(self.shared.as_ref(), number, visit)
    }

    /// Makes everything durable, marks that the incarnation ended in good order, and releases the lock.
    pub fn close(mut self) -> Result<(), AppendError> {
        self.shared.tail().mark_close();
        self.stop();
        if self.shared.tail().failed { Err(AppendError::Failed) } else { Ok(()) }
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
