//! Engine and log alone: enqueue, lease and acknowledge in batches, through the broker's core,
//! which is what its engine thread runs.

use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kyu_broker::{
    Acquire, Ask, Command, CreateQueue, Delivery, Enqueue, Lease, Order, Outcome as Ending,
    QueueId, Reply, Settle, Settled,
};
use kyu_broker::{Completion, Core, CoreOptions, Deliver, Policy, ReceiveId, Response, Work};
use kyu_engine::Frozen;
use kyu_log::{Log, LogReader, Lsn, RealDisk};

use super::{bench_queue, message};
use crate::Error;
use crate::load::{Outcome, Pace, Recorder};
use crate::options::Options;
use crate::process::Usage;
use crate::report::{Report, Row};

/// Messages in a batch; as many batches are under way as the other workloads have connections.
const BATCH_SIZES: [usize; 3] = [1, 10, 100];
const WARM_UP: Duration = Duration::from_secs(1);
/// Series.
const ENQUEUE: usize = 0;
const CYCLE: usize = 1;

/// Adds one row for each batch size.
pub(crate) fn run(options: &Options, directory: &Path, report: &mut Report) -> Result<(), Error> {
    for batch in BATCH_SIZES {
        let data = directory.join(format!("engine-log-{batch}"));
        let outcome = Spine::open(&data, options, batch)?.measure(options.window())?;
        std::fs::remove_dir_all(&data)?;
        let name = format!("enqueue+lease+ack, batches of {batch}");
        let chains = usize::from(options.connections);
        report.add(Row::new("engine+log", &name, chains, Pace::Closed, &outcome));
    }
    Ok(())
}

/// The step that a request was, so that its completion starts the next one of its batch.
struct Ticket {
    step: Step,
    /// When its batch was enqueued, in nanoseconds of the recorder's clock.
    began: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Create,
    Enqueue,
    Acquire,
    Settle,
}

type Done = Vec<Completion<Ticket>>;

/// The reply to a command of this type.
fn reply_to<A: Ask>(reply: Reply) -> Result<A::Reply, Error> {
    A::unwrap(reply).ok_or_else(|| "the reply to another command".into())
}

/// The core and its surroundings.
struct Spine {
    core: Core<Ticket>,
    reader: kyu_log::FileReader,
    queue: QueueId,
    batch: usize,
    chains: usize,
    body: Bytes,
    /// Completions come from the log's writer thread.
    arrived: Arc<(Mutex<Done>, Condvar)>,
    snapshots: Sender<(Lsn, Box<Frozen>)>,
    written: Receiver<(Lsn, Option<u64>)>,
    receives: u64,
    in_flight: usize,
    began: Instant,
    recorder: Recorder,
}

impl Spine {
    fn open(data: &Path, options: &Options, batch: usize) -> Result<Self, Error> {
        let core_options = CoreOptions {
            dir: data.to_owned(),
            log: kyu_log::Options::default(),
            policy: Policy::default(),
            seed: 1,
        };
        let arrived = Arc::new((Mutex::new(Done::new()), Condvar::new()));
        let deliver: Deliver<Ticket> = {
            let arrived = Arc::clone(&arrived);
            Arc::new(move |completion| {
                let (done, wake) = &*arrived;
                done.lock().unwrap_or_else(PoisonError::into_inner).push(completion);
                wake.notify_one();
            })
        };
        let mut core = Core::open(Arc::new(RealDisk), &core_options, deliver)
            .map_err(|error| error.to_string())?;
        let reader = core.log().reader();
        let (snapshots, orders) = mpsc::channel::<(Lsn, Box<Frozen>)>();
        let (results, written) = mpsc::channel();
        let store = core.snapshots().clone();
        std::thread::spawn(move || {
            for (lsn, frozen) in orders {
                let bytes = store.write(lsn, |mut file| frozen.write(&mut file)).ok();
                let _pruned = store.prune(2);
                if results.send((lsn, bytes)).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            core,
            reader,
            queue: QueueId(0),
            batch,
            chains: usize::from(options.connections),
            body: Bytes::from(vec![b'x'; options.size]),
            arrived,
            snapshots,
            written,
            receives: 0,
            in_flight: 0,
            began: Instant::now(),
            recorder: Recorder::new(&["enqueue", "enqueue to ack"]),
        })
    }

    fn measure(mut self, window: Duration) -> Result<Outcome, Error> {
        self.submit(Step::Create, &Command::CreateQueue(bench_queue()));
        self.core.hand_over();
        while self.in_flight > 0 {
            self.turn()?;
        }
        (0..self.chains).for_each(|_| self.enqueue());
        self.core.hand_over();
        self.run_for(WARM_UP)?;
        let before = Usage::of_this_process();
        let opened = Instant::now();
        self.recorder.open_window();
        self.run_for(window)?;
        self.recorder.close_window();
        let elapsed = opened.elapsed();
        let spent = Usage::of_this_process().since(&before);
        self.core.finish();
        self.core.close();
        Ok(Outcome {
            elapsed,
            requests: self.recorder.requests,
            messages: self.recorder.messages,
            refused: 0,
            first_refusal: None,
            unsent: 0,
            latencies: self.recorder.into_latencies(),
            client: Usage::default(),
            server: Some(spent),
        })
    }

    fn run_for(&mut self, time: Duration) -> Result<(), Error> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.turn()?;
        }
        Ok(())
    }

    /// What the broker's engine thread does in one turn.
    fn turn(&mut self) -> Result<(), Error> {
        let done = {
            let (done, wake) = &*self.arrived;
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            while done.is_empty() {
                done = wake.wait(done).unwrap_or_else(PoisonError::into_inner);
            }
            std::mem::take(&mut *done)
        };
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        self.core.advance(since_epoch.as_millis() as u64);
        self.recorder.now = self.began.elapsed().as_nanos() as u64;
        for completion in done {
            self.in_flight -= 1;
            self.next_step(completion)?;
        }
        self.core.hand_over();
        while let Ok((lsn, bytes)) = self.written.try_recv() {
            self.core.snapshot_done(lsn, bytes);
        }
        match self.core.upkeep() {
            Some(Work::Snapshot { lsn, frozen }) => self.snapshots.send((lsn, frozen))?,
            // A flowing queue leaves nothing behind that were worth moving.
            Some(Work::ReadFrames(_)) => self.core.frames_read(Vec::new(), true),
            None => {}
        }
        Ok(())
    }

    fn next_step(&mut self, completion: Completion<Ticket>) -> Result<(), Error> {
        let Completion { ticket, result, pin } = completion;
        let Response::Reply(reply) = result.map_err(|error| error.to_string())? else {
            return Err("an answer to a command".into());
        };
        match ticket.step {
            Step::Create => self.queue = reply_to::<CreateQueue>(reply)?.id,
            Step::Enqueue => {
                let results = reply_to::<Enqueue>(reply)?;
                if results.iter().any(Result::is_err) {
                    return Err(format!("a message was refused: {results:?}").into());
                }
                self.recorder.record(ENQUEUE, ticket.began);
                self.acquire(ticket.began);
            }
            Step::Acquire => {
                let deliveries = reply_to::<Acquire>(reply)?;
                // Perhaps those of another batch, but never fewer: every batch takes what it put in.
                if deliveries.len() != self.batch {
                    return Err(format!("{} messages of {}", deliveries.len(), self.batch).into());
                }
                self.settle(&deliveries, ticket.began)?;
            }
            Step::Settle => {
                let results = reply_to::<Settle>(reply)?;
                if results.iter().any(|result| *result != Settled::Done) {
                    return Err(format!("an acknowledgement failed: {results:?}").into());
                }
                self.recorder.record(CYCLE, ticket.began);
                self.recorder.count(results.len() as u64);
                self.enqueue();
            }
        }
        drop(pin);
        Ok(())
    }

    fn submit(&mut self, step: Step, command: &Command) {
        let ticket = Ticket { step, began: self.recorder.now };
        self.in_flight += 1;
        self.core.submit(command, ticket);
    }

    fn enqueue(&mut self) {
        let messages = (0..self.batch).map(|_| message(self.queue, &self.body)).collect();
        self.submit(Step::Enqueue, &Command::Enqueue(Enqueue { messages }));
    }

    fn acquire(&mut self, began: u64) {
        let acquire = Acquire {
            queue: self.queue,
            max_messages: self.batch as u32,
            max_bytes: u64::MAX,
            lease: Lease::QueueDefault,
            order: Order::OfQueue,
            attempt_id: None,
            consumer: None,
            with_history: false,
        };
        self.receives += 1;
        self.in_flight += 1;
        let ticket = Ticket { step: Step::Acquire, began };
        self.core.receive(ReceiveId(self.receives), acquire, 0, ticket);
    }

    /// Reads every body, as a door would to send it, then acknowledges.
    fn settle(&mut self, deliveries: &[Delivery], began: u64) -> Result<(), Error> {
        for delivery in deliveries {
            let length = delivery.frame_bytes as usize;
            let body = self.reader.read_hot(Lsn(delivery.frame_at), length);
            std::hint::black_box(body.ok_or("a body that was just enqueued is not in memory")?);
        }
        let items = deliveries.iter().map(|delivery| (delivery.receipt, Ending::Ack)).collect();
        let command = Command::Settle(Settle { queue: self.queue, items });
        self.in_flight += 1;
        self.core.submit(&command, Ticket { step: Step::Settle, began });
        Ok(())
    }
}
