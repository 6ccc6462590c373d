//! The stream of a slot: one task reads and gathers rows, one tells the source how far Kyu is.
//!
//! Reading stops while enough rows wait: then the source holds the rest, of a large transaction too,
//! on its disk. The source hears of us all the time nevertheless, so that it does not hang up.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncWriteExt, WriteHalf};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;

use super::connection::{Frame, Receiver, ReplicationConnection, ServerError, Stream};
use super::pgoutput::{Decoder, Event};
use crate::error::Error;
use crate::position::{Lsn, StreamPlace};
use crate::source::OutboxRow;

/// Rows of one step, in bytes, when no more are added. Three times as much is in memory, and what the
/// driver makes of it; a step of Kyu takes 12 MiB.
const MAX_CHUNK_BYTES: usize = 4 << 20;
/// The time between two words to the source: far below its `wal_sender_timeout` (60 s unless
/// configured).
const STATUS_EVERY: Duration = Duration::from_secs(1);
/// Every so many of them ask for an answer, so that a connection that is dead shows.
const ASK_EVERY: u32 = 10;
/// Longest silence of the source.
const SILENCE: Duration = Duration::from_secs(60);
/// The time for the farewell.
const FAREWELL: Duration = Duration::from_secs(1);
/// Seconds from 1970 to 2000, where Postgres begins to count.
const POSTGRES_EPOCH_S: u64 = 946_684_800;

/// The rows that came, in order, and the place that may be confirmed with them.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) rows: Vec<OutboxRow>,
    /// The place that may be confirmed once the rows are in Kyu.
    pub(super) confirm: Option<Lsn>,
}

/// See the module.
pub(super) struct WalStream {
    chunks: mpsc::Receiver<Result<Chunk, Error>>,
    confirmed: watch::Sender<Lsn>,
    reader: JoinHandle<()>,
    writer: JoinHandle<()>,
}

impl WalStream {
    /// Begins where the slot was confirmed; rows that are in Kyu already are left out.
    pub(super) fn begin(
        connection: ReplicationConnection,
        place: StreamPlace,
        batch_rows: usize,
        schema: &str,
    ) -> Self {
        // One chunk waits while one is on its way to Kyu and one gathers.
        let (sender, chunks) = mpsc::channel(1);
        let (confirmed, confirmations) = watch::channel(Lsn::default());
        let asked = Arc::new(Notify::new());
        let gathering = Gathering::new(place, batch_rows, Arc::clone(&asked), schema);
        let reader = tokio::spawn(read(connection.receiver, gathering, sender));
        let writer = tokio::spawn(async move {
            // If it cannot be written, nothing will be read either: the reader tells.
            let _ended = write(connection.sender, confirmations, &asked).await;
        });
        Self { chunks, confirmed, reader, writer }
    }

    /// The next rows. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Result<Chunk, Error> {
        let closed = || Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        self.chunks.recv().await.unwrap_or_else(closed)
    }

    /// The slot may forget what is before this.
    pub(super) fn confirm(&self, lsn: Lsn) {
        self.confirmed.send_if_modified(|confirmed| {
            let further = lsn > *confirmed;
            *confirmed = lsn.max(*confirmed);
            further
        });
    }

    /// Tells the source where we are, and takes leave.
    pub(super) async fn close(mut self) {
        let (nothing, _) = watch::channel(Lsn::default());
        drop(std::mem::replace(&mut self.confirmed, nothing));
        let _in_time = tokio::time::timeout(FAREWELL, &mut self.writer).await;
    }
}

impl Drop for WalStream {
    fn drop(&mut self) {
        self.reader.abort();
        self.writer.abort();
    }
}

/// Rows on their way into a chunk.
struct Gathering {
    decoder: Decoder,
    rows: Vec<OutboxRow>,
    bytes: usize,
    confirm: Option<Lsn>,
    /// The commit of the transaction that is being read, and the number of its rows that were read.
    transaction: Option<(Lsn, u64)>,
    /// Up to here all is in Kyu.
    known: StreamPlace,
    batch_rows: usize,
    asked: Arc<Notify>,
}

impl Gathering {
    fn new(known: StreamPlace, batch_rows: usize, asked: Arc<Notify>, schema: &str) -> Self {
        let (decoder, rows) = (Decoder::new(schema), Vec::new());
        Self { decoder, rows, bytes: 0, confirm: None, transaction: None, known, batch_rows, asked }
    }

    fn is_full(&self) -> bool {
        self.rows.len() >= self.batch_rows || self.bytes >= MAX_CHUNK_BYTES
    }

    /// A transaction goes as one unless it is too large.
    fn is_whole(&self) -> bool {
        self.transaction.is_none() && (!self.rows.is_empty() || self.confirm.is_some())
    }

    fn take(&mut self) -> Chunk {
        self.bytes = 0;
        Chunk { rows: std::mem::take(&mut self.rows), confirm: self.confirm.take() }
    }

    fn add(&mut self, frame: Frame) -> Result<(), Error> {
        let Frame { tag, mut body, cut } = frame;
        match tag {
            b'd' => {}
            b'E' => return Err(ServerError::parse(&body).into()),
            // The source ends the stream: it is shutting down.
            b'c' | b'C' | b'Z' => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            _ => return Ok(()),
        }
        use bytes::Buf;
        match body.try_get_u8().map_err(io::Error::from)? {
            b'w' if body.len() >= 24 => {
                let (_start, _end) = (body.get_u64(), body.get_u64());
                let sent_us = body.get_i64();
                let event = self.decoder.decode(body, sent_us, cut)?;
                self.happened(event);
            }
            b'k' if body.len() >= 17 => {
                let (end, _sent) = (Lsn(body.get_u64()), body.get_u64());
                // Between transactions, everything up to here has been sent.
                if self.transaction.is_none() {
                    self.confirm = Some(end);
                }
                if body.get_u8() == 1 {
                    self.asked.notify_one();
                }
            }
            _ => return Err(io::Error::from(io::ErrorKind::InvalidData).into()),
        }
        Ok(())
    }

    fn happened(&mut self, event: Event) {
        match event {
            Event::Begin(commit) => self.transaction = Some((commit, 0)),
            Event::Commit(end) => {
                self.transaction = None;
                self.confirm = Some(end);
            }
            Event::Row(mut row) => {
                let Some((commit, rows)) = &mut self.transaction else { return };
                *rows += 1;
                if (*commit, *rows) <= (self.known.lsn, self.known.rows) {
                    return;
                }
                row.commit = Some((*commit, *rows));
                self.bytes += row.bytes();
                self.rows.push(*row);
            }
            Event::Nothing => {}
        }
    }
}

async fn read(
    mut receiver: Receiver,
    mut gathering: Gathering,
    chunks: mpsc::Sender<Result<Chunk, Error>>,
) {
    if let Err(error) = gather(&mut receiver, &mut gathering, &chunks).await {
        // Whoever listens no longer does not want to know.
        let _told = chunks.send(Err(error)).await;
    }
}

async fn gather(
    receiver: &mut Receiver,
    gathering: &mut Gathering,
    chunks: &mpsc::Sender<Result<Chunk, Error>>,
) -> Result<(), Error> {
    let closed = || Error::Lost("nobody listens".into());
    loop {
        // What has arrived goes together.
        while !gathering.is_full() {
            match receiver.buffered()? {
                Some(frame) => gathering.add(frame)?,
                None => break,
            }
        }
        if gathering.is_full() {
            chunks.send(Ok(gathering.take())).await.map_err(|_| closed())?;
        } else if gathering.is_whole() {
            tokio::select! {
                biased;
                permit = chunks.reserve() => permit.map_err(|_| closed())?.send(Ok(gathering.take())),
                frame = receiver.next() => gathering.add(frame?)?,
            }
        } else {
            let frame = tokio::time::timeout(SILENCE, receiver.next()).await;
            gathering.add(frame.map_err(|_| Error::Lost("the source is silent".into()))??)?;
        }
    }
}

async fn write(
    mut sender: WriteHalf<Box<dyn Stream>>,
    mut confirmed: watch::Receiver<Lsn>,
    asked: &Notify,
) -> io::Result<()> {
    let mut ticks = tokio::time::interval(STATUS_EVERY);
    let mut said: u32 = 0;
    loop {
        let mut leaving = false;
        tokio::select! {
            _ = ticks.tick() => said = said.wrapping_add(1),
            () = asked.notified() => {}
            changed = confirmed.changed() => leaving = changed.is_err(),
        }
        let lsn = *confirmed.borrow_and_update();
        let mut out = BytesMut::new();
        frontend::CopyData::new(status(lsn, said.is_multiple_of(ASK_EVERY)))?.write(&mut out);
        if leaving {
            frontend::copy_done(&mut out);
            frontend::terminate(&mut out);
        }
        sender.write_all(&out).await?;
        sender.flush().await?;
        if leaving {
            return sender.shutdown().await;
        }
    }
}

/// Standby status update: written, flushed and applied are one here.
fn status(lsn: Lsn, answer: bool) -> BytesMut {
    let mut body = BytesMut::with_capacity(34);
    body.put_u8(b'r');
    for _ in 0..3 {
        body.put_u64(lsn.0);
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.unwrap_or_default().saturating_sub(Duration::from_secs(POSTGRES_EPOCH_S));
    body.put_u64(u64::try_from(now.as_micros()).unwrap_or_default());
    body.put_u8(u8::from(answer));
    body
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Target;

    fn gathering(lsn: u64, rows: u64, batch_rows: usize) -> Gathering {
        let known = StreamPlace { system: 1, timeline: 1, lsn: Lsn(lsn), rows };
        Gathering::new(known, batch_rows, Arc::default(), "pgmq")
    }

    fn transaction(gathering: &mut Gathering, commit: u64, ids: &[i64]) {
        gathering.happened(Event::Begin(Lsn(commit)));
        for id in ids {
            gathering.happened(row(*id));
        }
        gathering.happened(Event::Commit(Lsn(commit + 8)));
    }

    fn row(id: i64) -> Event {
        Event::Row(Box::new(OutboxRow {
            xid: 7,
            id,
            commit: None,
            to: Target::Queue("q".into()),
            message: Some("{}".into()),
            headers: None,
            visible_at: None,
            too_large: false,
        }))
    }

    fn keepalive(end: u64) -> Frame {
        let mut body = BytesMut::new();
        body.put_u8(b'k');
        body.put_u64(end);
        body.put_u64(0);
        body.put_u8(0);
        Frame { tag: b'd', body: body.freeze(), cut: false }
    }

    #[test]
    fn what_a_slot_sends_again_is_left_out_row_by_row() {
        let mut gathering = gathering(20, 2, 100);
        transaction(&mut gathering, 10, &[1, 2]);
        transaction(&mut gathering, 20, &[3, 4, 5]);
        transaction(&mut gathering, 30, &[6]);
        let chunk = gathering.take();
        let came: Vec<_> = chunk.rows.iter().map(|row| (row.id, row.commit)).collect();
        assert_eq!(came, [(5, Some((Lsn(20), 3))), (6, Some((Lsn(30), 1)))]);
        assert_eq!(chunk.confirm, Some(Lsn(38)));
    }

    #[test]
    fn a_transaction_is_cut_only_if_it_is_larger_than_a_step_and_confirmed_when_it_is_over() {
        let mut gathering = gathering(0, 0, 2);
        gathering.happened(Event::Begin(Lsn(10)));
        gathering.happened(row(1));
        assert!(!gathering.is_whole() && !gathering.is_full());
        gathering.happened(row(2));
        assert!(gathering.is_full());
        assert_eq!(gathering.take().confirm, None);
        // The log goes on to its end only when all of it is in Kyu.
        gathering.add(keepalive(99)).unwrap();
        gathering.happened(row(3));
        gathering.happened(Event::Commit(Lsn(18)));
        assert!(gathering.is_whole());
        let chunk = gathering.take();
        assert_eq!((chunk.rows.len(), chunk.confirm), (1, Some(Lsn(18))));
        // Between transactions a keepalive moves it, for the log of other tables.
        gathering.add(keepalive(99)).unwrap();
        assert_eq!(gathering.take().confirm, Some(Lsn(99)));
    }

    #[test]
    fn an_end_of_the_stream_or_nonsense_is_an_error() {
        let mut gathering = gathering(0, 0, 2);
        for (tag, body) in [(b'c', &b""[..]), (b'd', b""), (b'd', b"w123"), (b'E', b"C57P01\0\0")] {
            let frame = Frame { tag, body: bytes::Bytes::from_static(body), cut: false };
            assert!(matches!(gathering.add(frame), Err(Error::Lost(_))), "{}", char::from(tag));
        }
    }
}
