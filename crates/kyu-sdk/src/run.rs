//! One attempt, from its receive to its end: lease kept alive, time limited, panics caught.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tracing::Instrument;

use crate::backend::{Backend, Ending, Failure, Finish, Finished, Incoming, millis};
use crate::context::{Attempt, Context};
use crate::error::{Error, JobError};
use crate::worker::Kind;

/// Tries to tell the queue how an attempt ended, before its lease is left to lapse.
const FINISH_TRIES: u32 = 5;

/// The end of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Done,
    Failed,
    Dead,
    GivenBack,
    Stale,
}

/// Runs a handler and settles its job. When `cut_off` is over first, the handler is dropped and its
/// job given back uncounted.
pub(crate) async fn run(
    backend: &Arc<Backend>,
    kind: &Arc<Kind>,
    job: Incoming,
    lease: Duration,
    cut_off: impl Future<Output = ()>,
) -> Ended {
    let queue = kind.settings.queue;
    let span = tracing::info_span!("job", queue, id = %job.id, attempt = job.attempt);
    let context = Context {
        shared: Arc::new(Attempt {
            backend: Arc::clone(backend),
            queue,
            handle: job.handle.clone(),
            id: job.id,
            number: job.attempt,
            scheduled_at_ms: job.scheduled_at_ms,
            fingerprint: Sha256::digest(&job.body).into(),
            staged: std::sync::Mutex::default(),
        }),
    };
    // A task of its own, so that a panic is its end and not the worker's.
    let handler = {
        let (kind, context, body) = (Arc::clone(kind), context.clone(), job.body);
        tokio::spawn(async move { kind.attempt(body, context).await }.instrument(span.clone()))
    };
    let stop = handler.abort_handle();
    let result = tokio::select! {
        biased;
        done = handler => match done {
            Ok(result) => result,
            Err(error) => Err(JobError::Failed(format!("panicked: {error}"))),
        },
        () = tokio::time::sleep(kind.timeout) => {
            Err(JobError::Failed(format!("took longer than {:?}", kind.timeout)))
        }
        () = lost_lease(&context, lease) => {
            stop.abort();
            tracing::warn!(parent: &span, "the lease is lost: another attempt may have begun");
            return Ended::Stale;
        }
        () = cut_off => Err(JobError::NotYet(Duration::ZERO)),
    };
    stop.abort();
    let (ending, ended) = ending_of(result, kind, job.attempt);
    if ended != Ended::Done {
        tracing::info!(parent: &span, ?ending, "not done");
    }
    settle(&context, ending, ended).instrument(span).await
}

/// Extends the lease over and over; returns when it is lost.
async fn lost_lease(context: &Context, lease: Duration) {
    let attempt = &context.shared;
    loop {
        tokio::time::sleep(lease / 3).await;
        match attempt.backend.extend(attempt.queue, &attempt.handle, lease).await {
            Ok(true) => {}
            // Somebody else has it, or it is gone with its queue.
            Ok(false) | Err(Failure::QueueNotFound) => return,
            // Tried again in time: a lease lasts three of these.
            Err(error) => tracing::warn!(error = %Error::from(error), "extending a lease"),
        }
    }
}

/// The ending of an attempt. The queue says whether it was the last one; here it is only counted.
fn ending_of(result: Result<(), JobError>, kind: &Kind, attempt: u32) -> (Ending, Ended) {
    let last = attempt >= kind.settings.retry.max_attempts;
    let failed = if last { Ended::Dead } else { Ended::Failed };
    match result {
        Ok(()) => (Ending::Ack, Ended::Done),
        Err(JobError::Failed(error)) => (Ending::Failed { delay_ms: None, error }, failed),
        Err(JobError::FailedRetryIn(error, delay)) => {
            (Ending::Failed { delay_ms: Some(millis(delay)), error }, failed)
        }
        Err(JobError::Dead(error)) => (Ending::Dead { error }, Ended::Dead),
        Err(JobError::NotYet(delay)) => {
            (Ending::GiveBack { delay_ms: millis(delay) }, Ended::GivenBack)
        }
    }
}

async fn settle(context: &Context, ending: Ending, ended: Ended) -> Ended {
    let attempt = &context.shared;
    let staged = context.take_staged();
    let keep = ending == Ending::Ack;
    let finish = Finish {
        queue: attempt.queue,
        handle: attempt.handle.clone(),
        ending,
        outgoing: if keep { staged.outgoing } else { Vec::new() },
        completions: if keep { staged.completions } else { Vec::new() },
    };
    for tried in 1..=FINISH_TRIES {
        match attempt.backend.finish(&finish).await {
            Ok(Finished::Done) => return ended,
            Ok(Finished::Stale) => {
                tracing::warn!("the attempt ended too late to count");
                return Ended::Stale;
            }
            Err(failure) => {
                let error = Error::from(failure);
                tracing::warn!(%error, tried, "telling how an attempt ended");
                if !matches!(error, Error::Retry(_)) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(100) * tried).await;
            }
        }
    }
    // The lease lapses, and the job is tried again.
    Ended::Failed
}
