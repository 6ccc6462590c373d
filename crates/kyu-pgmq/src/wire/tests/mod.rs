//! Transcripts: what a client sends, and what it hears, word for word.

mod bounds;
mod client;
mod fake;
mod login;
mod statements;
mod transactions;

use std::sync::Arc;

use kyu_budget::Budget;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use self::client::Client;
use self::fake::{Fake, Log};
use super::{Counts, Door, DoorMemory, DoorOptions, Queues};

/// A door on a free port over a fake host.
struct Rig {
    address: std::net::SocketAddr,
    log: Log,
    memory: DoorMemory,
    process: Budget,
    /// Tells the sessions that listen.
    fake: Fake,
    stop: Option<oneshot::Sender<()>>,
    served: tokio::task::JoinHandle<()>,
}

impl Rig {
    async fn open() -> Self {
        Self::with(DoorOptions::default()).await
    }

    async fn with(options: DoorOptions) -> Self {
        Self::within(&Budget::process(1 << 30), options).await
    }

    /// A door that shares the memory of a process with others.
    async fn within(process: &Budget, options: DoorOptions) -> Self {
        let fake = Fake::default();
        let rig = Self::over(fake.clone(), process, options).await;
        Self { log: fake.log.clone(), fake, ..rig }
    }

    /// A door over other queues than the fake's.
    async fn over<Q: Queues>(queues: Q, process: &Budget, options: DoorOptions) -> Self {
        let memory = DoorMemory::new(process, &options.limits);
        let counts = Arc::new(Counts::default());
        let door = Door::new(queues, options, memory.clone(), counts).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(door.serve(listener, async move { drop(stopped.await) }));
        let (process, fake) = (process.clone(), Fake::default());
        let (log, stop) = (fake.log.clone(), Some(stop));
        Self { address, log, memory, process, fake, stop, served }
    }

    /// A client whose session has begun.
    async fn client(&self) -> Client {
        let mut client = Client::connect(self.address).await;
        client.startup(&[("user", "u"), ("database", "d")]).await;
        client.until_ready().await;
        client
    }

    /// The questions to the fake since the last time.
    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.log.lock().unwrap())
    }

    async fn shutdown(mut self) {
        let _gone = self.stop.take().unwrap().send(());
        self.served.await.unwrap();
    }
}
