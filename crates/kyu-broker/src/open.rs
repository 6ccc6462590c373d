//! Opens a broker and starts its threads.

use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use kyu_log::{Disk, Log, RealDisk, SyncMode};

use crate::admission::Admission;
use crate::background::{read_frames, write_snapshots};
use crate::bodies::Bodies;
use crate::broken_disk::BrokenDisk;
use crate::broker::{Broker, Shared};
use crate::clock::Clock;
use crate::core::{Core, CoreOptions, Deliver, OpenError};
use crate::engine_thread::EngineThread;
use crate::filtered::Filtered;
use crate::inbox::Inbox;
use crate::options::Options;
use crate::request::{Job, Ticket, deliver};
use crate::thread::{self, Threads};

/// Makes the fault tests' checker prove itself: with this set to `1`, replies do not wait for the
/// disk, and a crash loses acknowledged work.
const BREAK_SYNC_VARIABLE: &str = "KYU_TEST_BREAK_SYNC";

impl Broker {
    /// Opens the directory, replays what is there, and starts the threads. May take as long as
    /// reading a snapshot and the log after it.
    pub fn open(mut options: Options) -> Result<Self, OpenError> {
        let broken = std::env::var_os(BREAK_SYNC_VARIABLE).is_some_and(|value| value == "1");
        let disk: Arc<dyn Disk> = if broken {
            eprintln!(
                "kyu: WARNING: {BREAK_SYNC_VARIABLE}=1: NOTHING IS SAFE. Work is acknowledged \
                 before it is written. This is for tests that must notice the loss."
            );
            options.log.sync = SyncMode::Broken;
            Arc::new(BrokenDisk)
        } else {
            Arc::new(RealDisk)
        };
        let inbox = Arc::new(Inbox::new());
        let deliver_to: Deliver<Ticket> = {
            let inbox = Arc::clone(&inbox);
            Arc::new(move |completion| deliver(&inbox, completion))
        };
        let core_options = CoreOptions {
            dir: options.dir,
            log: options.log,
            policy: options.policy,
            seed: random_seed(),
        };
        let core = Core::open(disk, &core_options, deliver_to)?;
        Self::start(core, inbox, options.max_waiting_requests)
            .map_err(|error| OpenError::Failed(format!("starting a thread: {error}")))
    }

    fn start(
        mut core: Core<Ticket>,
        inbox: Arc<Inbox<Job>>,
        max_waiting_requests: usize,
    ) -> std::io::Result<Self> {
        let clock = Arc::new(Clock::start(core.now_ms()));
        let (directory, metrics) = (Arc::clone(core.directory()), Arc::clone(core.metrics()));
        let (epoch, reader, store) = (core.epoch(), core.log().reader(), core.snapshots().clone());
        let (snapshots, snapshot_orders) = channel();
        let (frame_reads, read_orders) = channel();
        let slow: Threads = vec![
            thread::spawn("kyu-snapshot", {
                let inbox = Arc::clone(&inbox);
                move || write_snapshots(&store, &snapshot_orders, &inbox)
            })?,
            thread::spawn("kyu-relocate", {
                let (reader, inbox) = (reader.clone(), Arc::clone(&inbox));
                let metrics = Arc::clone(&metrics);
                move || read_frames(&reader, &read_orders, &inbox, &metrics)
            })?,
        ];
        let engine = EngineThread {
            core,
            inbox: Arc::clone(&inbox),
            clock: Arc::clone(&clock),
            snapshots,
            frame_reads,
            frame_reader_waits: false,
            threads: slow,
        };
        let mut threads = vec![thread::spawn("kyu-engine", move || engine.run())?];
        let bodies = Bodies::start(reader, Arc::clone(&metrics), &mut threads)?;
        let admission = Admission::new(max_waiting_requests);
        let (receives, threads) = (AtomicU64::new(1), Mutex::new(threads));
        let shared = Shared {
            inbox,
            admission,
            bodies,
            directory,
            clock,
            metrics,
            epoch,
            receives,
            sessions: AtomicU64::new(1),
            threads,
            filtered: Filtered::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }
}

/// Random bits of the operating system. The standard library keys its hash maps with them and
/// shows them no other way.
fn random_seed() -> u64 {
    std::hash::RandomState::new().build_hasher().finish()
}
