//! Atomic groups.

use kyu_broker::{
    At, Claimed, Enqueue, Extend, Group, LedgerClaim, LedgerComplete, LedgerKey, LedgerPut,
    LedgerRelease, Publish, Replies, Settle,
};

use super::{ledger, messages, publish};
use crate::api::{Atomic, AtomicCommand, AtomicResult, AtomicResults, InNamespace};
use crate::call::{Call, check_items};
use crate::operation::{Done, Json};
use crate::problem::Problem;

pub(super) async fn run(
    call: &Call<'_>,
    query: InNamespace,
    Json(atomic): Json<Atomic>,
) -> Result<Done<AtomicResults>, Problem> {
    check_items(atomic.commands.len(), "commands")?;
    let namespace = call.namespace(query.namespace);
    let mut group = Group::new();
    let pushed = atomic.commands.into_iter().enumerate().map(|(at, command)| {
        let of_command = |problem: Problem| Problem {
            at: Some(at),
            ..problem.below(&format!("/commands/{at}"))
        };
        push(call, &namespace, command, &mut group).map_err(of_command)
    });
    let pushed = pushed.collect::<Result<Vec<Pushed>, _>>()?;
    let mut replies = call.broker.ask_publish(group).await?;
    let results = pushed.into_iter().map(|pushed| pushed.show(&mut replies));
    Ok(AtomicResults { results: results.collect::<Result<_, _>>()? }.into())
}

/// The place of a command in the group, by its kind.
enum Pushed {
    Send(At<Enqueue>),
    Publish(At<Publish>),
    Settle(At<Settle>),
    Extend(At<Extend>),
    Claim(At<LedgerClaim>),
    CompleteClaim(At<LedgerComplete>),
    ReleaseEntry(At<LedgerRelease>),
    PutRecord(At<LedgerPut>),
}

/// Checks a command and puts it into the group.
fn push(
    call: &Call<'_>,
    namespace: &str,
    command: AtomicCommand,
    group: &mut Group,
) -> Result<Pushed, Problem> {
    let ledger_key = |key: String| LedgerKey { namespace: namespace.to_owned(), key };
    let name = |name: &str| call.name(Some(namespace.to_owned()), name);
    Ok(match command {
        AtomicCommand::Send { queue, messages } => {
            let queue = call.queue_named(&name(&queue))?;
            check_items(messages.len(), "messages")?;
            let messages = messages::prepare_all(call, &queue, messages);
            let enqueue = Enqueue { messages: messages.collect::<Result<_, _>>()? };
            Pushed::Send(group.push(enqueue))
        }
        AtomicCommand::Publish { exchange, messages } => {
            check_items(messages.len(), "messages")?;
            let messages = messages.into_iter().map(|one| publish::prepare(one, call));
            let messages = messages.collect::<Result<_, _>>()?;
            Pushed::Publish(group.push(Publish { exchange: name(&exchange), messages }))
        }
        AtomicCommand::Settle { queue, items } => {
            let queue = call.queue_named(&name(&queue))?.id;
            Pushed::Settle(group.push(messages::settle_command(queue, items)?))
        }
        AtomicCommand::Extend { queue, items } => {
            let queue = call.queue_named(&name(&queue))?.id;
            Pushed::Extend(group.push(messages::extend_command(queue, items)?))
        }
        AtomicCommand::Claim { key, claim } => {
            Pushed::Claim(group.push(ledger::claim_command(ledger_key(key), claim)))
        }
        AtomicCommand::CompleteClaim { key, complete } => {
            let complete = ledger::complete_command(ledger_key(key), complete)?;
            Pushed::CompleteClaim(group.push(complete))
        }
        AtomicCommand::ReleaseEntry { key, token } => {
            let release = LedgerRelease { key: ledger_key(key), token };
            Pushed::ReleaseEntry(group.push(release))
        }
        AtomicCommand::PutRecord { key, record } => {
            Pushed::PutRecord(group.push(ledger::put_command(ledger_key(key), record)?))
        }
    })
}

impl Pushed {
    /// The command's result. A group succeeds as a whole, so that none has a refused entry.
    fn show(self, replies: &mut Replies) -> Result<AtomicResult, Problem> {
        Ok(match self {
            Self::Send(at) => {
                let results = replies.take(at)?.into_iter().map(|one| Ok(messages::sent(&one?)));
                AtomicResult::Send { results: results.collect::<Result<_, Problem>>()? }
            }
            Self::Publish(at) => {
                let results = replies.take(at)?.into_iter().map(|one| Ok(publish::show(&one?)));
                AtomicResult::Publish { results: results.collect::<Result<_, Problem>>()? }
            }
            Self::Settle(at) => {
                let settled = replies.take(at)?.into_iter();
                AtomicResult::Settle { results: settled.map(messages::settle_result).collect() }
            }
            Self::Extend(at) => {
                let extended = replies.take(at)?.into_iter();
                AtomicResult::Extend { results: extended.map(messages::extend_result).collect() }
            }
            Self::Claim(at) => match replies.take(at)? {
                Claimed::Run { token, until_ms } => {
                    AtomicResult::Claim { token, expires_at_ms: until_ms }
                }
                Claimed::AlreadyDone { .. }
                | Claimed::HeldBySomebodyElse { .. }
                | Claimed::KeyReusedWithOtherInput => return Err(Problem::internal()),
            },
            Self::CompleteClaim(at) => {
                AtomicResult::CompleteClaim { expires_at_ms: replies.take(at)? }
            }
            Self::ReleaseEntry(at) => {
                replies.take(at)?;
                AtomicResult::ReleaseEntry
            }
            Self::PutRecord(at) => AtomicResult::PutRecord { version: replies.take(at)? },
        })
    }
}
