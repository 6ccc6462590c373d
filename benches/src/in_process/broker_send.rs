//! The broker as a door uses it, without HTTP: many tasks, each sending one message at a time.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kyu_broker::{Broker, Options as BrokerOptions};
use kyu_broker::{Enqueue, QueueId};

use super::{bench_queue, message};
use crate::Error;
use crate::load::{Outcome, Pace, Recorder};
use crate::options::Options;
use crate::process::Usage;
use crate::report::{Report, Row};

const WARM_UP: Duration = Duration::from_secs(1);

/// Adds one row for one task and one for as many tasks as connections.
pub(crate) fn run(options: &Options, directory: &Path, report: &mut Report) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for tasks in [1, usize::from(options.connections)] {
        let data = directory.join(format!("broker-send-{tasks}"));
        let outcome = runtime.block_on(measure(&data, options, tasks))?;
        std::fs::remove_dir_all(&data)?;
        report.add(Row::new("broker", "enqueue one message", tasks, Pace::Closed, &outcome));
    }
    Ok(())
}

async fn measure(data: &Path, options: &Options, tasks: usize) -> Result<Outcome, Error> {
    let broker = Broker::open(BrokerOptions::new(data)).map_err(|error| error.to_string())?;
    let created = broker.ask(bench_queue()).await;
    let queue = created.map_err(|error| format!("CreateQueue: {error}"))?;
    let recorder = Arc::new(Mutex::new(Recorder::new(&["enqueue"])));
    let began = Instant::now();
    let body = Bytes::from(vec![b'x'; options.size]);
    let senders: Vec<_> = (0..tasks)
        .map(|_| {
            let (broker, body, recorder) = (broker.clone(), body.clone(), Arc::clone(&recorder));
            tokio::spawn(send_for_ever(broker, queue.id, body, began, recorder))
        })
        .collect();
    let lock = || recorder.lock().unwrap_or_else(PoisonError::into_inner);
    tokio::time::sleep(WARM_UP).await;
    let before = Usage::of_this_process();
    let opened = Instant::now();
    lock().open_window();
    tokio::time::sleep(options.window()).await;
    lock().close_window();
    let elapsed = opened.elapsed();
    let spent = Usage::of_this_process().since(&before);
    senders.iter().for_each(tokio::task::JoinHandle::abort);
    for sender in senders {
        if let Ok(Err(error)) = sender.await {
            return Err(error);
        }
    }
    broker.shutdown().await;
    let mut recorder = lock();
    let recorder = std::mem::replace(&mut *recorder, Recorder::new(&[]));
    Ok(Outcome {
        elapsed,
        requests: recorder.requests,
        messages: recorder.messages,
        refused: 0,
        first_refusal: None,
        unsent: 0,
        latencies: recorder.into_latencies(),
        client: Usage::default(),
        server: Some(spent),
    })
}

async fn send_for_ever(
    broker: Broker,
    queue: QueueId,
    body: Bytes,
    began: Instant,
    recorder: Arc<Mutex<Recorder>>,
) -> Result<(), Error> {
    loop {
        let due = began.elapsed().as_nanos() as u64;
        let messages = vec![message(queue, &body)];
        match broker.ask(Enqueue { messages }).await {
            Ok(results) if results.iter().all(Result::is_ok) => {}
            other => return Err(format!("enqueue: {other:?}").into()),
        }
        let mut recorder = recorder.lock().unwrap_or_else(PoisonError::into_inner);
        recorder.now = began.elapsed().as_nanos() as u64;
        recorder.record(0, due);
        recorder.count(1);
    }
}
