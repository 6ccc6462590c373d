//! Taking locks and waiting for them, for a session; see [`super::locks`].

use std::sync::Arc;

use kyu_broker::SessionId;
use kyu_pgsql::error::PgError;

use super::Shared;
use super::locks::{Mode, Object, Who};
use super::session::QueueSession;

/// The holder of a statement's locks: the transaction, or, without one, this until it is dropped.
#[derive(Debug)]
pub(super) struct Holder {
    shared: Arc<Shared>,
    owner: SessionId,
    ends: bool,
}

impl Drop for Holder {
    fn drop(&mut self) {
        if self.ends {
            self.shared.locks.end(self.owner);
        }
    }
}

/// A transaction around one statement that came without. Rolls back unless it is committed, also
/// if the statement is cancelled.
pub(super) struct Own<'a>(pub(super) &'a mut QueueSession);

impl<'a> Own<'a> {
    pub(super) fn begin(session: &'a mut QueueSession) -> Self {
        session.begin_transaction();
        Self(session)
    }

    pub(super) async fn commit(self) -> Result<(), PgError> {
        self.0.commit_transaction().await
    }
}

impl Drop for Own<'_> {
    fn drop(&mut self) {
        self.0.roll_back();
    }
}

impl QueueSession {
    pub(super) fn who(&self, owner: Option<SessionId>) -> Who {
        Who { owner, process: self.process }
    }

    /// For locks that only one may have.
    pub(super) fn holder(&self) -> Holder {
        let open = self.transaction.as_ref().map(|transaction| transaction.session);
        Holder {
            shared: Arc::clone(&self.shared),
            owner: open.unwrap_or_else(|| self.shared.broker.new_session()),
            ends: open.is_none(),
        }
    }

    /// Takes a lock, waiting for it; kept as long as the holder is.
    pub(super) async fn take(
        &mut self,
        holder: &Holder,
        object: Object,
        mode: Mode,
    ) -> Result<(), PgError> {
        if let Some(transaction) = &mut self.transaction {
            transaction.locked.insert(object.clone());
        }
        let who = self.who(Some(holder.owner));
        self.shared.locks.acquire(who, object, mode, self.patience).await
    }

    /// Two that create or drop a queue of one name take turns.
    pub(super) async fn take_name(&mut self, queue: &str) -> Result<Holder, PgError> {
        let holder = self.holder();
        let name = Object::Name(format!("pgmq.queue_{}", queue.to_lowercase()));
        self.take(&holder, name, Mode::Exclusive).await?;
        Ok(holder)
    }

    /// Shares the table of a queue (`q`) or of its archive (`a`) with others: until the end of the
    /// transaction, or for one step, which only waits until nobody else has it alone.
    pub(super) async fn share(&mut self, prefix: &str, queue: &str) -> Result<(), PgError> {
        let locks = &self.shared.locks;
        let owner = match &mut self.transaction {
            None if !locks.may_wait() => return Ok(()),
            None => None,
            Some(transaction) => {
                if !transaction.locked.insert(Object::table(prefix, queue)) {
                    return Ok(());
                }
                Some(transaction.session)
            }
        };
        let (who, table) = (self.who(owner), Object::table(prefix, queue));
        self.shared.locks.acquire(who, table, Mode::Shared, self.patience).await
    }
}
