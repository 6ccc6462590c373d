//! Ends and starts of the server: what was promised before must hold after.

use kyu_broker::{Command, Directory, Outcome, QueueId};

use super::answers::passing_role;
use super::{Auditor, Request, Wish};
use crate::cast::{Presence, Role};
use crate::coverage::Event;
use crate::violation::{Violation, ensure};

impl Auditor {
    /// The process has ended: requests without an answer may or may not have happened.
    pub(crate) fn died(&mut self) {
        self.event += 1;
        self.life += 1;
        for (_, request) in std::mem::take(&mut self.pending) {
            self.coverage.note(Event::Unanswered);
            for key in request.touched.clone() {
                if let Some(copy) = self.copies.get_mut(&key) {
                    copy.doubts = 0;
                }
                self.not_sure(&key);
            }
            self.unanswered(&request);
        }
        // Sessions end with the process, and what it knew of room on the disk.
        self.end_leases(|lease| lease.session.is_some());
        self.full = false;
    }

    fn unanswered(&mut self, request: &Request) {
        match &request.wish {
            Wish::Receive { acquire, .. } => self.leased_unseen(acquire.queue),
            Wish::Command(command) => self.command_unanswered(command),
            // The book of tables knows.
            Wish::Table(_) => {}
        }
    }

    fn command_unanswered(&mut self, command: &Command) {
        match command {
            Command::Enqueue(enqueue) => {
                enqueue.messages.iter().for_each(|message| self.send_unanswered(message));
            }
            Command::Publish(publish) => {
                let messages = self.sends_of(publish);
                messages.iter().for_each(|message| self.publish_unanswered(message));
            }
            Command::Acquire(acquire) => self.leased_unseen(acquire.queue),
            Command::Settle(settle) => {
                let acks = settle.items.iter().filter(|(_, outcome)| *outcome == Outcome::Ack);
                let acks = acks.count() as u64;
                if let Some(book) = self.queues.get_mut(&settle.queue) {
                    book.acked.1 += acks;
                }
            }
            Command::Ledger(ledger) => self.ledger_unanswered(ledger),
            Command::PurgeQueue(purge) => self.forget_dedup(purge.queue, false),
            Command::Atomic(commands) => {
                commands.iter().for_each(|command| self.command_unanswered(command));
            }
            _ => {}
        }
    }

    /// Notes that messages of this queue may have been leased without the auditor's knowledge.
    fn leased_unseen(&mut self, queue: QueueId) {
        if !self.role(queue).has_family() {
            return;
        }
        let Some(root) = self.queues.get(&queue).map(|book| book.root) else { return };
        for number in self.open.get(&root).cloned().unwrap_or_default() {
            if let Some(copy) = self.copies.get_mut(&(number, root)) {
                copy.displaced = true;
            }
        }
    }

    /// The server is there again. Its directory must show every queue whose creation was confirmed,
    /// none whose deletion was, and settings at least as new as was confirmed.
    pub(crate) fn restarted(&mut self, directory: &Directory) -> Result<(), Violation> {
        for (id, book) in &mut self.queues {
            let found = directory.by_id(*id);
            match (book.presence, &found) {
                (Presence::There, None) => {
                    return Err(Violation(format!("queue {:?} is lost", book.name.name)));
                }
                (Presence::Deleted, Some(_)) => {
                    return Err(Violation(format!("queue {:?} came back", book.name.name)));
                }
                (Presence::Doubtful, None) => book.presence = Presence::Deleted,
                (Presence::Doubtful, Some(_)) => book.presence = Presence::There,
                (Presence::There, Some(_)) | (Presence::Deleted, None) => {}
            }
            if let Some(info) = found {
                ensure!(
                    (book.version..=book.version_asked).contains(&info.version),
                    "queue {:?} has version {}, confirmed {}, asked {}",
                    book.name.name,
                    info.version,
                    book.version,
                    book.version_asked
                );
                book.version = info.version;
                book.version_asked = info.version;
            }
        }
        self.settle_presence();
        self.adopt(directory);
        Ok(())
    }

    /// The messages of a deleted queue are gone.
    fn settle_presence(&mut self) {
        let deleted = self.queues.iter().filter(|(_, book)| book.presence == Presence::Deleted);
        let deleted: Vec<QueueId> = deleted.map(|(id, _)| *id).collect();
        for queue in deleted {
            for number in self.open.remove(&queue).unwrap_or_default() {
                self.remove(&(number, queue));
            }
        }
    }

    /// Adopts queues whose creation was cut off and happened.
    fn adopt(&mut self, directory: &Directory) {
        for info in directory.list("sim", "") {
            if !self.queues.contains_key(&info.id) {
                let lasting = Role::LASTING.iter().find(|role| role.name(0) == info.name);
                let role = lasting.copied().unwrap_or_else(|| passing_role(&info));
                self.add_queue(&info, role);
            }
        }
    }
}
