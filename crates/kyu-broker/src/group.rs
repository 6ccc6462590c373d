//! Atomic groups whose replies have types: a command that is put into a group gives a place, and the
//! place gives that command's reply.

use std::marker::PhantomData;

use kyu_engine::{Ask, Command, Publish, Reply};

use crate::error::Error;

/// Commands that are carried out together or not at all, in the order in which they were pushed.
/// At most [`kyu_engine::limits::MAX_ATOMIC`]; with more, [`crate::Broker::ask`] refuses.
#[derive(Clone, Debug, Default)]
pub struct Group(Vec<Command>);

/// A command's place in a [`Group`], and in the [`Replies`] to it.
#[derive(Debug)]
pub struct At<A> {
    index: usize,
    command: PhantomData<fn() -> A>,
}

/// The replies to a [`Group`]; each can be taken once. A group is carried out as a whole, so that no
/// reply in it has a refused entry.
#[derive(Debug)]
pub struct Replies(Vec<Option<Reply>>);

impl Group {
    /// A group of no commands.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a command at the end; its reply will be at the place that is returned.
    pub fn push<A: Ask>(&mut self, command: A) -> At<A> {
        self.0.push(command.into());
        At { index: self.0.len() - 1, command: PhantomData }
    }

    /// The number of commands.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Tells whether there is nothing to be done.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The publishes among the commands.
    pub(crate) fn publishes(&mut self) -> impl Iterator<Item = &mut Publish> {
        self.0.iter_mut().filter_map(|command| {
            if let Command::Publish(publish) = command { Some(publish) } else { None }
        })
    }
}

impl<A: Ask> Extend<A> for Group {
    fn extend<I: IntoIterator<Item = A>>(&mut self, commands: I) {
        self.0.extend(commands.into_iter().map(Into::into));
    }
}

impl Replies {
    /// The reply to the command at this place. [`Error::Internal`] if the place is another group's.
    pub fn take<A: Ask>(&mut self, at: At<A>) -> Result<A::Reply, Error> {
        let reply = self.0.get_mut(at.index).and_then(Option::take);
        reply.and_then(A::unwrap).ok_or(Error::Internal)
    }
}

impl From<Group> for Command {
    fn from(group: Group) -> Self {
        Self::Atomic(group.0)
    }
}

impl Ask for Group {
    type Reply = Replies;

    fn wrap(replies: Replies) -> Reply {
        Reply::Atomic(replies.0.into_iter().flatten().collect())
    }

    fn unwrap(reply: Reply) -> Option<Replies> {
        if let Reply::Atomic(replies) = reply {
            Some(Replies(replies.into_iter().map(Some).collect()))
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use kyu_engine::{LedgerPut, PurgeQueue, QueueId, Reserve};

    use super::*;

    #[test]
    fn each_place_gives_the_reply_to_its_own_command_and_once() {
        let queue = QueueId(1);
        let mut group = Group::new();
        let purge = group.push(PurgeQueue { queue, cooldown_ms: 0 });
        let reserve = group.push(Reserve { queue, count: 3 });
        assert!(matches!(Command::from(group), Command::Atomic(commands) if commands.len() == 2));
        let answered =
            Reply::Atomic(vec![Reply::QueuePurged { messages: 7 }, Reply::Reserved { first: 5 }]);
        let mut replies = Group::unwrap(answered).unwrap();
        assert_eq!(replies.take(reserve), Ok(5));
        assert_eq!(replies.take(purge), Ok(7));
        let mut other = Group::new();
        other.push(Reserve { queue, count: 1 });
        let foreign = other.push(Reserve { queue, count: 1 });
        assert_eq!(replies.take(foreign), Err(Error::Internal), "taken already");
    }

    #[test]
    fn a_place_of_another_group_gives_nothing() {
        let mut other = Group::new();
        let at: At<LedgerPut> = At { index: 0, command: PhantomData };
        let beyond = {
            other.push(Reserve { queue: QueueId(1), count: 1 });
            other.push(Reserve { queue: QueueId(1), count: 1 })
        };
        let mut replies =
            Group::unwrap(Reply::Atomic(vec![Reply::QueuePurged { messages: 7 }])).unwrap();
        assert_eq!(replies.take(beyond), Err(Error::Internal));
        assert_eq!(replies.take(at), Err(Error::Internal));
    }
}
