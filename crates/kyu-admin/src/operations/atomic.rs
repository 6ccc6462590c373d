//! Atomic groups.

use kyu_broker::{
    Claimed, Command, Enqueue, LedgerCommand, LedgerKey, LedgerRelease, LedgerReply, Publish, Reply,
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
    let commands = atomic.commands.into_iter().enumerate().map(|(at, command)| {
        let of_command = |problem: Problem| Problem {
            at: Some(at),
            ..problem.below(&format!("/commands/{at}"))
        };
        prepare(call, &namespace, command).map_err(of_command)
    });
    let commands = commands.collect::<Result<Vec<Command>, _>>()?;
    match call.broker.submit_publish(Command::Atomic(commands)).await? {
        Reply::Atomic(replies) => {
            let results = replies.into_iter().map(show).collect::<Result<_, _>>()?;
            Ok(AtomicResults { results }.into())
        }
        _ => Err(Problem::internal()),
    }
}

fn prepare(call: &Call<'_>, namespace: &str, command: AtomicCommand) -> Result<Command, Problem> {
    let ledger_key = |key: String| LedgerKey { namespace: namespace.to_owned(), key };
    let name = |name: &str| call.name(Some(namespace.to_owned()), name);
    Ok(match command {
        AtomicCommand::Send { queue, messages } => {
            let queue = call.queue_named(&name(&queue))?;
            check_items(messages.len(), "messages")?;
            let messages = messages::prepare_all(call, &queue, messages);
            Command::Enqueue(Enqueue { messages: messages.collect::<Result<_, _>>()? })
        }
        AtomicCommand::Publish { exchange, messages } => {
            check_items(messages.len(), "messages")?;
            let messages = messages.into_iter().map(|one| publish::prepare(one, call));
            let messages = messages.collect::<Result<_, _>>()?;
            Command::Publish(Publish { exchange: name(&exchange), messages })
        }
        AtomicCommand::Settle { queue, items } => {
            let queue = call.queue_named(&name(&queue))?.id;
            Command::Settle(messages::settle_command(queue, items)?)
        }
        AtomicCommand::Extend { queue, items } => {
            let queue = call.queue_named(&name(&queue))?.id;
            Command::Extend(messages::extend_command(queue, items)?)
        }
        AtomicCommand::Claim { key, claim } => {
            Command::Ledger(ledger::claim_command(ledger_key(key), claim))
        }
        AtomicCommand::CompleteClaim { key, complete } => {
            Command::Ledger(ledger::complete_command(ledger_key(key), complete)?)
        }
        AtomicCommand::ReleaseEntry { key, token } => {
            let release = LedgerRelease { key: ledger_key(key), token };
            Command::Ledger(LedgerCommand::Release(release))
        }
        AtomicCommand::PutRecord { key, record } => {
            Command::Ledger(ledger::put_command(ledger_key(key), record)?)
        }
    })
}

/// A group succeeds as a whole, so that no reply in it has a refused entry.
fn show(reply: Reply) -> Result<AtomicResult, Problem> {
    Ok(match reply {
        Reply::Enqueued(results) => {
            let results = results.into_iter().map(|one| Ok(messages::sent(&one?)));
            AtomicResult::Send { results: results.collect::<Result<_, Problem>>()? }
        }
        Reply::Published(results) => {
            let results = results.into_iter().map(|one| Ok(publish::show(&one?)));
            AtomicResult::Publish { results: results.collect::<Result<_, Problem>>()? }
        }
        Reply::Settled(settled) => AtomicResult::Settle {
            results: settled.into_iter().map(messages::settle_result).collect(),
        },
        Reply::Extended(extended) => AtomicResult::Extend {
            results: extended.into_iter().map(messages::extend_result).collect(),
        },
        Reply::Ledger(reply) => match reply {
            LedgerReply::Claimed(Claimed::Run { token, until_ms }) => {
                AtomicResult::Claim { token, expires_at_ms: until_ms }
            }
            LedgerReply::Completed { until_ms } => {
                AtomicResult::CompleteClaim { expires_at_ms: until_ms }
            }
            LedgerReply::Released => AtomicResult::ReleaseEntry,
            LedgerReply::Put { version } => AtomicResult::PutRecord { version },
            LedgerReply::Claimed(_) | LedgerReply::Extended { .. } => {
                return Err(Problem::internal());
            }
        },
        _ => return Err(Problem::internal()),
    })
}
