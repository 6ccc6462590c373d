//! Transcripts: what a client sends, and what it hears, word for word.

mod bounds;
mod client;
mod fake;
mod login;
mod statements;
mod transactions;

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::oneshot;

use self::client::Client;
use self::fake::{Fake, Log};
use super::{Counts, Door, DoorOptions};

/// A door on a free port over a fake host.
struct Rig {
    address: std::net::SocketAddr,
    log: Log,
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
        let fake = Fake::default();
        let log = fake.log.clone();
        let door = Door::new(fake.clone(), options, Arc::new(Counts::default())).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(door.serve(listener, async move { drop(stopped.await) }));
        Self { address, log, fake, stop: Some(stop), served }
    }

    /// A client whose session has begun.
    async fn client(&self) -> Client {
        let mut client = Client::connect(self.address).await;
        client.startup(&[("user", "u"), ("database", "d")]).await;
        client.until_ready().await;
        client
    }

    /// What the fake was asked since the last time.
    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.log.lock().unwrap())
    }

    async fn shutdown(mut self) {
        let _gone = self.stop.take().unwrap().send(());
        self.served.await.unwrap();
    }
}
