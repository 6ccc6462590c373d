//! The core over a log in memory, which two servers may believe to be their own.

use std::sync::{Arc, Mutex};

use kyu_broker::{
    Acquire, Command, Completion, Core, CoreOptions, Error, Outcome, QueueId, ReceiveId, Reply,
    Response, Settle, Work,
};
use kyu_log::{Disk, Log, LogReader, SimDisk, SimLog, SimLogFaults, SimStore};

use crate::rig::{self, Rig, SEGMENT_BYTES, deliveries_of};

struct Server {
    core: Core<u64, SimLog>,
    done: Arc<Mutex<Vec<Completion<u64>>>>,
    tickets: u64,
}

impl Server {
    /// Takes the log over.
    fn start(store: &SimStore, disk: &SimDisk) -> Server {
        let options = CoreOptions { seed: 5, ..Rig::new().options().clone() };
        let done: Arc<Mutex<Vec<Completion<u64>>>> = Arc::default();
        let sink = Arc::clone(&done);
        let deliver = Arc::new(move |completion| sink.lock().unwrap().push(completion));
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        let opened = store.open().expect("the power is on");
        let core = Core::over(opened, disk, &options, deliver).expect("whole");
        Server { core, done, tickets: 0 }
    }

    fn submit(&mut self, command: &Command) -> u64 {
        self.tickets += 1;
        self.core.submit(command, self.tickets);
        self.core.hand_over();
        self.tickets
    }

    fn answer(&self, ticket: u64) -> Option<Result<Response, Error>> {
        let mut done = self.done.lock().unwrap();
        let at = done.iter().position(|completion| completion.ticket == ticket)?;
        Some(done.swap_remove(at).result)
    }

    fn reply(&mut self, command: &Command) -> Reply {
        let ticket = self.submit(command);
        self.core.log().flush().expect("the log is this server's");
        match self.answer(ticket).expect("answered").expect("done") {
            Response::Reply(reply) => reply,
            Response::Answer(answer) => panic!("not a reply: {answer:?}"),
        }
    }

    fn queue(&mut self) -> QueueId {
        match self.reply(&rig::create("jobs")) {
            Reply::QueueCreated(info) => info.id,
            other => panic!("not created: {other:?}"),
        }
    }

    fn take(&mut self, queue: QueueId) -> Vec<Vec<u8>> {
        self.tickets += 1;
        let acquire = Acquire { max_bytes: 1 << 20, ..Acquire::new(queue, 10) };
        self.core.receive(ReceiveId(self.tickets), acquire, 0, self.tickets);
        self.core.hand_over();
        self.core.log().flush().expect("the log is this server's");
        let deliveries = deliveries_of(&self.answer(self.tickets).expect("answered"));
        let reader = self.core.log().reader();
        let bodies = deliveries.iter().map(|delivery| {
            let at = kyu_log::Lsn(delivery.frame_at);
            let bytes = reader.read(at, delivery.frame_bytes as usize).expect("readable");
            let frame = kyu_broker::Frame::decode(bytes).expect("whole");
            frame.content().expect("content").body.to_vec()
        });
        let bodies = bodies.collect();
        let items = deliveries.iter().map(|d| (d.receipt, Outcome::Ack)).collect();
        self.reply(&Command::Settle(Settle { queue, items }));
        bodies
    }

    /// Upkeep until there is none. True if a snapshot was written.
    fn work(&mut self) -> bool {
        let mut written = false;
        for _ in 0..50 {
            self.core.advance(self.core.now_ms() + 1_000);
            if let Some(Work::Snapshot { lsn, frozen }) = self.core.upkeep() {
                let store = self.core.snapshots().clone();
                let bytes = store.write(lsn, |mut file| frozen.write(&mut file)).expect("written");
                self.core.snapshot_done(lsn, Some(bytes));
                written = true;
            }
            self.core.log().flush().expect("the log is this server's");
        }
        written
    }
}

#[test]
fn a_server_on_a_simulated_log_comes_back_as_it_was() {
    let (store, disk) = (SimStore::new(1, SEGMENT_BYTES), SimDisk::new(1));
    let mut server = Server::start(&store, &disk);
    let queue = server.queue();
    let (mut sent, mut taken, mut snapshots) = (0u32, 0u32, 0);
    for round in 0..70u32 {
        for _ in 0..6 {
            server.reply(&rig::enqueue(queue, &[&sent.to_le_bytes()[..], &[7; 3000]].concat()));
            sent += 1;
        }
        for body in server.take(queue) {
            assert_eq!(body[..4], taken.to_le_bytes(), "nothing is lost, nothing comes twice");
            taken += 1;
        }
        snapshots += u32::from(server.work());
        if round % 7 == 3 {
            let digest = server.core.engine().digest();
            store.crash();
            server = Server::start(&store, &disk);
            assert_eq!(server.core.engine().digest(), digest, "round {round}");
        }
    }
    assert_eq!(sent, taken);
    assert!(snapshots > 2, "{snapshots}");
    assert!(server.core.log().segments()[0].number > 5, "segments were recycled");
}

/// The elder server has a send under way when the younger takes the log over. It never answers it,
/// and whoever asks it for more is sent away; the younger has what was acknowledged, and only that.
#[test]
fn a_server_that_was_overtaken_acknowledges_nothing_more() {
    let (store, disk) = (SimStore::new(2, SEGMENT_BYTES), SimDisk::new(2));
    let mut elder = Server::start(&store, &disk);
    let queue = elder.queue();
    elder.reply(&rig::enqueue(queue, b"acknowledged"));
    let under_way = elder.submit(&rig::enqueue(queue, b"under way"));

    let mut younger = Server::start(&store, &disk);
    younger.reply(&rig::enqueue(queue, b"of the younger"));
    assert!(elder.core.log().flush().is_err());
    assert!(elder.answer(under_way).is_none());
    let late = elder.submit(&rig::enqueue(queue, b"late"));
    let answer = elder.answer(late);
    assert!(matches!(answer, None | Some(Err(Error::ShuttingDown))), "{answer:?}");
    assert_eq!(younger.take(queue), [&b"acknowledged"[..], b"of the younger"]);
}

#[test]
fn a_full_simulated_log_refuses_sends_and_takes_acknowledgements() {
    let (store, disk) = (SimStore::new(3, SEGMENT_BYTES), SimDisk::new(3));
    store.set_faults(SimLogFaults { max_segments: Some(4), ..SimLogFaults::default() });
    let mut server = Server::start(&store, &disk);
    let queue = server.queue();
    let mut sent = 0;
    loop {
        let ticket = server.submit(&rig::enqueue(queue, &[1; 5_000]));
        server.core.log().flush().expect("written");
        match server.answer(ticket).expect("answered") {
            Ok(_) => sent += 1,
            Err(error) => break assert_eq!(error, Error::StorageFull),
        }
    }
    assert!(sent > 20, "{sent}");
    while !server.take(queue).is_empty() {}
    server.work();
    server.work();
    server.reply(&rig::enqueue(queue, b"there is room again"));
}
