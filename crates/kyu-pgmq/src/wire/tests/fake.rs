//! A host that writes down what it is asked.

use std::sync::{Arc, Mutex};

use kyu_budget::Budget;
use kyu_pgsql::error::{Notice, PgError};
use kyu_pgsql::functions::Functions;
use kyu_pgsql::host::{Host, OverloadId, Relation, ScanBounds};
use kyu_pgsql::value::{Row, Value};
use tokio::sync::mpsc;

use crate::queues::functions;
use crate::wire::{Notification, Queues};

/// The questions to all hosts, in order.
pub(super) type Log = Arc<Mutex<Vec<String>>>;

#[derive(Clone, Default)]
pub(super) struct Fake {
    pub(super) log: Log,
    pub(super) sessions: Arc<Mutex<Vec<mpsc::Sender<Notification>>>>,
}

pub(super) struct FakeHost {
    log: Log,
}

impl Queues for Fake {
    type Host = FakeHost;

    fn open(&self, _process: u32, _memory: &Budget) -> (FakeHost, mpsc::Receiver<Notification>) {
        let (sender, receiver) = mpsc::channel(8);
        self.sessions.lock().unwrap().push(sender);
        (FakeHost { log: Arc::clone(&self.log) }, receiver)
    }

    fn notify(&self, notification: Notification) {
        for session in self.sessions.lock().unwrap().iter() {
            let _full_or_gone = session.try_send(notification.clone());
        }
    }
}

impl FakeHost {
    fn note(&self, what: impl Into<String>) {
        self.log.lock().unwrap().push(what.into());
    }
}

impl Drop for FakeHost {
    fn drop(&mut self) {
        self.note("dropped");
    }
}

impl Host for FakeHost {
    fn functions(&self) -> Functions {
        functions::ALL
    }

    /// `read_with_poll` never returns, `drop_queue` fails, what gives rows gives five.
    async fn call(
        &mut self,
        overload: OverloadId,
        arguments: Vec<Value>,
    ) -> Result<Vec<Row>, PgError> {
        let function = functions::ALL.by_id(overload).unwrap();
        self.note(function.name);
        match function.name {
            "read_with_poll" => std::future::pending().await,
            "drop_queue" => Err(PgError::new("42P01", "relation \"pgmq.q_x\" does not exist")),
            "send" => Ok(vec![vec![Value::Int(arguments.len() as i64)]]),
            "delete" => Ok((1..=5).map(|id| vec![Value::Int(id)]).collect()),
            _ => Ok(vec![vec![Value::Void]]),
        }
    }

    async fn scan(&mut self, _: &Relation, _: &ScanBounds) -> Result<Vec<Row>, PgError> {
        Ok(Vec::new())
    }

    async fn relations(&mut self) -> Result<Vec<Relation>, PgError> {
        Ok(Vec::new())
    }

    async fn begin(&mut self) -> Result<(), PgError> {
        self.note("begin");
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), PgError> {
        self.note("commit");
        Ok(())
    }

    async fn rollback(&mut self) {
        self.note("rollback");
    }

    async fn savepoint(&mut self, name: &str) -> Result<(), PgError> {
        self.note(format!("savepoint {name}"));
        Ok(())
    }

    async fn rollback_to(&mut self, name: &str) -> Result<(), PgError> {
        self.note(format!("rollback to {name}"));
        Ok(())
    }

    async fn release(&mut self, name: &str) -> Result<(), PgError> {
        self.note(format!("release {name}"));
        Ok(())
    }

    fn now(&self) -> i64 {
        0
    }

    fn take_notices(&mut self) -> Vec<Notice> {
        Vec::new()
    }

    fn listen(&mut self, channel: &str) -> Result<(), PgError> {
        self.note(format!("listen {channel}"));
        Ok(())
    }

    fn unlisten(&mut self, channel: Option<&str>) -> Result<(), PgError> {
        self.note(format!("unlisten {}", channel.unwrap_or("*")));
        Ok(())
    }
}
