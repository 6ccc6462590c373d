//! Typed jobs, over an engine in this process and over a server: the same stories for both.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use kyu::{
    Breaker, Claimed, Context, EnqueueOptions, Job, JobError, Kyu, Layer, Limits, Next, Retry,
    Schedule, Server, ServerOptions, Summary, Worker,
};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};

const QUICK: Retry = Retry {
    max_attempts: 3,
    first: Duration::from_millis(20),
    factor_percent: 100,
    longest: Duration::from_millis(20),
    jitter_percent: 0,
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Mail {
    to: String,
}

impl Job for Mail {
    const QUEUE: &'static str = "mails";
    const RETRY: Retry = QUICK;
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Invoice {
    order: u64,
}

impl Job for Invoice {
    const QUEUE: &'static str = "invoices";
    const RETRY: Retry = QUICK;
}

fn mail(to: &str) -> Mail {
    Mail { to: to.into() }
}

/// A store, and how it is reached.
struct Place {
    kyu: Kyu,
    server: Option<Server>,
    _dir: TestDir,
}

struct TestDir(std::path::PathBuf);

impl TestDir {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("kyu-jobs-{}-{number}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        Self(dir)
    }
}

impl Drop for TestDir {
    fn drop(&mut self) {
        // A log that loses its files ends the process, and with it the report of what failed.
        if !std::thread::panicking() {
            let _not_there = std::fs::remove_dir_all(&self.0);
        }
    }
}

impl Place {
    async fn embedded() -> Self {
        let dir = TestDir::new();
        Self { kyu: Kyu::open(&dir.0).await.unwrap(), server: None, _dir: dir }
    }

    async fn remote() -> Self {
        let dir = TestDir::new();
        let mut options = ServerOptions::new(&dir.0);
        options.http = Some("127.0.0.1:0".into());
        let server = Server::start(options).await.unwrap();
        let kyu = Kyu::connect(&server.http_url().unwrap()).unwrap();
        Self { kyu, server: Some(server), _dir: dir }
    }

    async fn end(self) {
        self.kyu.close().await;
        if let Some(server) = self.server {
            server.shutdown().await;
        }
    }
}

/// Tells the same story over both.
async fn over_both<F: Future<Output = ()>>(story: impl Fn(Kyu) -> F) {
    for place in [Place::embedded().await, Place::remote().await] {
        story(place.kyu.clone()).await;
        place.end().await;
    }
}

/// A worker that ends when `done` is notified.
async fn work(worker: Worker, done: &Notify) -> Summary {
    worker.run_until(done.notified()).await.unwrap()
}

#[tokio::test]
async fn a_job_is_done_once_and_gone() {
    over_both(|kyu| async move {
        let sent = kyu.enqueue(&mail("ann")).await.unwrap();
        assert!(!sent.duplicate);
        assert_eq!(kyu.counts::<Mail>().await.unwrap(), (1, 0, 0));
        let (done, (ran, mut runs)) = (Arc::new(Notify::new()), mpsc::unbounded_channel());
        let worker = Worker::new(&kyu).handle({
            let done = Arc::clone(&done);
            move |job: Mail, context: Context| {
                ran.send((job, context.id().to_owned(), context.attempt())).unwrap();
                done.notify_one();
                async { Ok(()) }
            }
        });
        let summary = work(worker, &done).await;
        assert_eq!(summary, Summary { done: 1, ..Summary::default() });
        assert_eq!(runs.recv().await, Some((mail("ann"), sent.id, 1)));
        assert_eq!(kyu.counts::<Mail>().await.unwrap(), (0, 0, 0));
    })
    .await;
}

#[tokio::test]
async fn a_failing_job_is_tried_again_and_in_the_end_dead_lettered_with_panics_counted() {
    #[derive(Serialize, Deserialize)]
    struct DeadMail {
        to: String,
    }
    impl Job for DeadMail {
        const QUEUE: &'static str = "mails-dead";
    }
    over_both(|kyu| async move {
        kyu.enqueue(&mail("nobody")).await.unwrap();
        let done = Arc::new(Notify::new());
        let tries = Arc::new(AtomicU32::new(0));
        let worker = Worker::new(&kyu)
            .handle({
                let tries = Arc::clone(&tries);
                move |_: Mail, context: Context| {
                    tries.fetch_add(1, Ordering::Relaxed);
                    async move {
                        match context.attempt() {
                            1 => Err(JobError::failed("no route")),
                            2 => panic!("a bug"),
                            _ => Err(std::io::Error::other("refused").into()),
                        }
                    }
                }
            })
            .handle({
                let done = Arc::clone(&done);
                move |job: DeadMail, _: Context| {
                    assert_eq!(job.to, "nobody");
                    done.notify_one();
                    async { Ok(()) }
                }
            });
        let summary = work(worker, &done).await;
        assert_eq!(summary, Summary { failed: 2, dead: 1, done: 1, ..Summary::default() });
        assert_eq!(tries.load(Ordering::Relaxed), 3);
        assert_eq!(kyu.counts::<Mail>().await.unwrap(), (0, 0, 0));
    })
    .await;
}

/// The story of the welcome e-mail: the first attempt sends and records, and fails afterwards. The
/// second finds the record and does not send again.
#[tokio::test]
async fn a_recorded_effect_is_not_done_again() {
    over_both(|kyu| async move {
        kyu.enqueue(&mail("ann")).await.unwrap();
        let (done, sent) = (Arc::new(Notify::new()), Arc::new(AtomicU32::new(0)));
        let worker = Worker::new(&kyu).handle({
            let (done, sent) = (Arc::clone(&done), Arc::clone(&sent));
            move |job: Mail, context: Context| {
                let (done, sent) = (Arc::clone(&done), Arc::clone(&sent));
                async move {
                    let receipt: String = context
                        .once(&format!("welcome/{}", job.to), async || {
                            let number = sent.fetch_add(1, Ordering::Relaxed);
                            Ok::<_, JobError>(format!("receipt {number}"))
                        })
                        .await?;
                    assert_eq!(receipt, "receipt 0");
                    if context.attempt() == 1 {
                        return Err(JobError::failed("crashed after sending"));
                    }
                    done.notify_one();
                    Ok(())
                }
            }
        });
        let summary = work(worker, &done).await;
        assert_eq!(summary, Summary { failed: 1, done: 1, ..Summary::default() });
        assert_eq!(sent.load(Ordering::Relaxed), 1);
    })
    .await;
}

#[tokio::test]
async fn a_key_that_stands_for_another_input_is_refused() {
    over_both(|kyu| async move {
        kyu.enqueue(&mail("ann")).await.unwrap();
        kyu.enqueue(&mail("bob")).await.unwrap();
        let done = Arc::new(Notify::new());
        let worker = Worker::new(&kyu).concurrency(1).handle({
            let done = Arc::clone(&done);
            move |job: Mail, context: Context| {
                let done = Arc::clone(&done);
                async move {
                    if job.to == "bob" {
                        done.notify_one();
                    }
                    context.once("the same key", async || Ok::<_, JobError>(())).await
                }
            }
        });
        let summary = work(worker, &done).await;
        assert_eq!(summary, Summary { done: 1, dead: 1, ..Summary::default() });
    })
    .await;
}

/// Jobs that a handler enqueues and results that it remembers become true with its acknowledgement,
/// or not at all.
#[tokio::test]
async fn what_a_handler_adds_is_there_if_and_only_if_its_job_is_done() {
    over_both(|kyu| async move {
        kyu.enqueue(&mail("ann")).await.unwrap();
        kyu.declare::<Invoice>().await.unwrap();
        let (done, (ran, mut claims)) = (Arc::new(Notify::new()), mpsc::unbounded_channel());
        let worker = Worker::new(&kyu).handle({
            let done = Arc::clone(&done);
            move |_: Mail, context: Context| {
                let (done, ran) = (Arc::clone(&done), ran.clone());
                async move {
                    context.enqueue(&Invoice { order: 17 })?;
                    if context.attempt() == 1 {
                        return Err(JobError::failed("after adding"));
                    }
                    if let Claimed::Run(claim) = context.claim::<u32>("booked/17").await? {
                        ran.send(claim.token()).unwrap();
                        claim.complete_with_ack(&4)?;
                    }
                    done.notify_one();
                    Ok(())
                }
            }
        });
        let summary = work(worker, &done).await;
        assert_eq!(summary, Summary { failed: 1, done: 1, ..Summary::default() });
        assert_eq!(kyu.counts::<Invoice>().await.unwrap(), (1, 0, 0), "of the second attempt");
        assert!(claims.recv().await.is_some_and(|token| token > 0));
    })
    .await;
}

/// A worker that is told to stop gives unfinished jobs back as if they had never begun.
#[tokio::test]
async fn a_stopped_worker_gives_its_job_back_uncounted() {
    over_both(|kyu| async move {
        kyu.enqueue(&mail("ann")).await.unwrap();
        let started = Arc::new(Notify::new());
        let worker = Worker::new(&kyu).grace(Duration::from_millis(1)).handle({
            let started = Arc::clone(&started);
            move |_: Mail, _: Context| {
                started.notify_one();
                std::future::pending::<Result<(), JobError>>()
            }
        });
        let summary = work(worker, &started).await;
        assert_eq!(summary, Summary { given_back: 1, ..Summary::default() });
        let done = Arc::new(Notify::new());
        let worker = Worker::new(&kyu).handle({
            let done = Arc::clone(&done);
            move |_: Mail, context: Context| {
                assert_eq!(context.attempt(), 1);
                done.notify_one();
                async { Ok(()) }
            }
        });
        assert_eq!(work(worker, &done).await.done, 1);
    })
    .await;
}

/// A job that takes longer than its lease keeps it: no other attempt begins.
#[tokio::test]
async fn a_lease_is_kept_alive_while_its_job_runs() {
    over_both(|kyu| async move {
        kyu.enqueue(&mail("ann")).await.unwrap();
        let done = Arc::new(Notify::new());
        let worker = Worker::new(&kyu).lease(Duration::from_secs(1)).handle({
            let done = Arc::clone(&done);
            move |_: Mail, context: Context| {
                let done = Arc::clone(&done);
                async move {
                    assert_eq!(context.attempt(), 1);
                    tokio::time::sleep(Duration::from_millis(1_500)).await;
                    done.notify_one();
                    Ok(())
                }
            }
        });
        assert_eq!(work(worker, &done).await, Summary { done: 1, ..Summary::default() });
    })
    .await;
}

/// A job that is gone (its queue was purged by hand) has no worker any more: the handler ends with
/// its next heartbeat, and not at the end of work that nobody wants.
#[tokio::test]
async fn a_handler_whose_job_is_gone_is_aborted() {
    let place = Place::remote().await;
    place.kyu.enqueue(&mail("ann")).await.unwrap();
    let (begun, ended) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let worker = Worker::new(&place.kyu).lease(Duration::from_secs(1)).handle({
        let (begun, ended) = (Arc::clone(&begun), Arc::clone(&ended));
        move |_: Mail, _| {
            let (begun, ended) = (Arc::clone(&begun), NotifyOnDrop(Arc::clone(&ended)));
            async move {
                begun.notify_one();
                std::future::pending::<()>().await;
                drop(ended);
                Ok(())
            }
        }
    });
    let address = place.server.as_ref().unwrap().http_address().unwrap();
    let purge = async {
        begun.notified().await;
        let request = "POST /v1/queues/mails/purge HTTP/1.1\r\nhost: localhost\r\n\
                       connection: close\r\ncontent-length: 0\r\n\r\n";
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains("\"purged_messages\":1"), "{answer}");
    };
    let (summary, ()) = tokio::join!(work(worker, &ended), purge);
    assert_eq!(summary, Summary { stale: 1, ..Summary::default() });
    place.end().await;
}

struct NotifyOnDrop(Arc<Notify>);

impl Drop for NotifyOnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[tokio::test]
async fn options_say_when_and_whether_a_job_is_added() {
    over_both(|kyu| async move {
        let options = EnqueueOptions {
            delay: Some(Duration::from_secs(600)),
            dedup_id: Some("welcome/ann".into()),
            lane: Some("tenant-7".into()),
            priority: 3,
            ..EnqueueOptions::default()
        };
        let first = kyu.enqueue_with(&mail("ann"), &options).await.unwrap();
        let second = kyu.enqueue_with(&mail("ann"), &options).await.unwrap();
        assert!(second.duplicate);
        assert_eq!(second.id, first.id);
        assert_eq!(kyu.counts::<Mail>().await.unwrap(), (0, 1, 0));
    })
    .await;
}

/// A unique job is there once until it is done; limits are the queue's.
#[tokio::test]
async fn a_unique_job_is_added_again_only_when_it_is_done() {
    over_both(|kyu| async move {
        let unique =
            EnqueueOptions { unique: Some("report/7".into()), ..EnqueueOptions::default() };
        let first = kyu.enqueue_with(&mail("ann"), &unique).await.unwrap();
        let second = kyu.enqueue_with(&mail("ann"), &unique).await.unwrap();
        assert!(second.duplicate);
        assert_eq!(second.id, first.id);
        let done = Arc::new(Notify::new());
        let worker = Worker::new(&kyu).handle({
            let done = Arc::clone(&done);
            move |_: Mail, _: Context| {
                done.notify_one();
                async { Ok(()) }
            }
        });
        assert_eq!(work(worker, &done).await.done, 1);
        assert!(!kyu.enqueue_with(&mail("ann"), &unique).await.unwrap().duplicate);
    })
    .await;
}

/// A dependency that is down holds up the jobs that need it, and no others.
#[tokio::test]
async fn a_breaker_by_attribute_holds_up_only_the_jobs_that_need_what_is_down() {
    #[derive(Serialize, Deserialize)]
    struct Charge {
        to: String,
    }
    impl Job for Charge {
        const QUEUE: &'static str = "charges";
        const RETRY: Retry = QUICK;
        const LIMITS: Limits = Limits {
            breaker: Some(Breaker {
                window_ms: 600_000,
                min_attempts: 2,
                failure_percent: 50,
                open_ms: 600_000,
                probes: 1,
                slow_start_percent: 100,
            }),
            guard_attribute: Some("dependency"),
            ..Limits::NONE
        };
    }
    over_both(|kyu| async move {
        for to in ["stripe", "stripe", "stripe", "paypal", "paypal", "paypal"] {
            let attributes = [("dependency".to_owned(), to.to_owned())].into();
            let options = EnqueueOptions { attributes, ..EnqueueOptions::default() };
            kyu.enqueue_with(&Charge { to: to.into() }, &options).await.unwrap();
        }
        let (done, failed) = (Arc::new(Notify::new()), Arc::new(AtomicU32::new(0)));
        let worker = Worker::new(&kyu).concurrency(1).handle({
            let (done, failed) = (Arc::clone(&done), Arc::clone(&failed));
            let paid = AtomicU32::new(0);
            move |charge: Charge, _: Context| {
                let is_down = charge.to == "stripe";
                let count = if is_down { &*failed } else { &paid };
                if count.fetch_add(1, Ordering::Relaxed) == 2 {
                    done.notify_one();
                }
                async move { if is_down { Err(JobError::failed("it is down")) } else { Ok(()) } }
            }
        });
        assert_eq!(work(worker, &done).await.done, 3);
        assert_eq!(failed.load(Ordering::Relaxed), 2, "the breaker of stripe has opened");
    })
    .await;
}

/// The queue, not the worker, keeps the limits: two workers together do not pass them.
#[tokio::test]
async fn limits_hold_for_all_workers_together() {
    #[derive(Serialize, Deserialize)]
    struct Call;
    impl Job for Call {
        const QUEUE: &'static str = "calls";
        const LIMITS: Limits = Limits { max_in_flight: Some(2), ..Limits::NONE };
    }
    over_both(|kyu| async move {
        for _ in 0..12 {
            kyu.enqueue(&Call).await.unwrap();
        }
        let (running, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let worker = || {
            let (running, most) = (Arc::clone(&running), Arc::clone(&most));
            Worker::new(&kyu).handle(move |_: Call, _: Context| {
                let (running, most) = (Arc::clone(&running), Arc::clone(&most));
                async move {
                    most.fetch_max(running.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    running.fetch_sub(1, Ordering::Relaxed);
                    Ok(())
                }
            })
        };
        let drained = || async {
            while !matches!(kyu.counts::<Call>().await, Ok((0, 0, 0))) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let (one, two) = tokio::join!(worker().run_until(drained()), worker().run_until(drained()));
        assert_eq!(one.unwrap().done + two.unwrap().done, 12);
        assert_eq!(most.load(Ordering::Relaxed), 2);
    })
    .await;
}

#[tokio::test]
async fn a_schedule_enqueues_and_saying_it_again_changes_nothing() {
    over_both(|kyu| async move {
        let every = Schedule::every(Duration::from_secs(1));
        for _ in 0..2 {
            kyu.schedule("greetings", &every, &mail("everybody")).await.unwrap();
        }
        let done = Arc::new(Notify::new());
        let worker = Worker::new(&kyu).handle({
            let done = Arc::clone(&done);
            move |job: Mail, context: Context| {
                assert_eq!(job, mail("everybody"));
                assert!(context.scheduled_at().unwrap() <= std::time::SystemTime::now());
                done.notify_one();
                async { Ok(()) }
            }
        });
        assert_eq!(work(worker, &done).await.done, 1);
        kyu.unschedule("greetings").await.unwrap();
        kyu.unschedule("greetings").await.unwrap();
        let wrong = Schedule::cron("61 * * * *", "UTC");
        assert!(kyu.schedule("wrong", &wrong, &mail("nobody")).await.is_err());
    })
    .await;
}

/// A release of the code gave a job more attempts, and its queue went on with the old number: it had
/// been made once, and nobody said that the change meant nothing.
#[tokio::test]
async fn a_changed_retry_in_the_code_is_applied_to_the_queue() {
    #[derive(Serialize, Deserialize)]
    struct Export;
    impl Job for Export {
        const QUEUE: &'static str = "exports";
        const RETRY: Retry = Retry { max_attempts: 1, ..QUICK };
    }
    /// The same job, a release later.
    #[derive(Serialize, Deserialize)]
    struct LaterExport;
    impl Job for LaterExport {
        const QUEUE: &'static str = "exports";
        const RETRY: Retry = QUICK;
    }
    over_both(|kyu| async move {
        let done = Arc::new(Notify::new());
        let fails = |last_attempt: u32| {
            let done = Arc::clone(&done);
            move |context: Context| {
                if context.attempt() == last_attempt {
                    done.notify_one();
                }
                async { Err(JobError::failed("the disk is full")) }
            }
        };
        kyu.enqueue(&Export).await.unwrap();
        let once = fails(1);
        let worker = Worker::new(&kyu).handle(move |_: Export, context: Context| once(context));
        assert_eq!(work(worker, &done).await, Summary { dead: 1, ..Summary::default() });
        kyu.enqueue(&LaterExport).await.unwrap();
        let thrice = fails(3);
        let worker =
            Worker::new(&kyu).handle(move |_: LaterExport, context: Context| thrice(context));
        let summary = work(worker, &done).await;
        assert_eq!(summary, Summary { failed: 2, dead: 1, ..Summary::default() });
    })
    .await;
}

#[tokio::test]
async fn layers_wrap_around_every_attempt_the_first_outermost() {
    struct Note(&'static str, mpsc::UnboundedSender<&'static str>);
    impl Layer for Note {
        fn call<'a>(
            &'a self,
            _: &'a Context,
            next: Next<'a>,
        ) -> std::pin::Pin<Box<dyn Future<Output = Result<(), JobError>> + Send + 'a>> {
            Box::pin(async move {
                self.1.send(self.0).unwrap();
                next.run().await
            })
        }
    }
    let place = Place::embedded().await;
    place.kyu.enqueue(&mail("ann")).await.unwrap();
    let (done, (notes, mut noted)) = (Arc::new(Notify::new()), mpsc::unbounded_channel());
    let worker = Worker::new(&place.kyu)
        .layer(Note("outer", notes.clone()))
        .layer(Note("inner", notes.clone()))
        .handle({
            let done = Arc::clone(&done);
            move |_: Mail, _: Context| {
                notes.send("job").unwrap();
                done.notify_one();
                async { Ok(()) }
            }
        });
    work(worker, &done).await;
    let mut order = Vec::new();
    while let Ok(note) = noted.try_recv() {
        order.push(note);
    }
    assert_eq!(order, ["outer", "inner", "job"]);
    place.end().await;
}

/// Jobs that were enqueued are still there when the process comes back.
#[tokio::test]
async fn jobs_outlive_the_process_that_enqueued_them() {
    let dir = TestDir::new();
    let kyu = Kyu::open(&dir.0).await.unwrap();
    kyu.enqueue(&mail("ann")).await.unwrap();
    kyu.close().await;
    let kyu = Kyu::open(&dir.0).await.unwrap();
    assert_eq!(kyu.counts::<Mail>().await.unwrap(), (1, 0, 0));
    kyu.close().await;
}
