//! Commands and questions, each with the type of its answer, so that a caller gets that type and no
//! other.

use std::sync::Arc;

use crate::by_seq::{BySeq, Conclude, EnqueueReserved, GiveBack, Reserve, SeqResult};
use crate::command::{
    Acquire, Bind, Browse, CancelMoveTask, Command, ConfigureBinding, ConfigureExchange,
    ConfigureQueue, CreateExchange, CreateQueue, DeleteExchange, DeleteQueue, EndSession, Enqueue,
    Explain, Extend, HistoryOf, ListBindings, ListExchanges, ListGuards, ListLanes, Peek, Publish,
    PurgeQueue, Query, Relocate, SetPaused, Settle, StartMoveTask, Unbind,
};
use crate::config::{QueueInfo, QueueStats, QueueTotals};
use crate::exchange::{BindingId, BindingInfo, ExchangeInfo, ExchangeStats};
use crate::explain::Explanation;
use crate::guard_stats::GuardStats;
use crate::ids::{QueueId, QueueName, Seq, UnixMs};
use crate::intervene::{Intervene, Intervened};
use crate::ledger::{
    Claimed, LedgerAnswer, LedgerClaim, LedgerCommand, LedgerComplete, LedgerEntry, LedgerExtend,
    LedgerKey, LedgerPut, LedgerQuery, LedgerRelease, LedgerReply,
};
use crate::reply::{
    Answer, Delivery, EnqueueRefusal, Enqueued, Extended, LaneStats, MessageHistory, MoveTask,
    Published, Reply, Settled,
};
use crate::schedule::{
    BackfillSchedule, Backfilled, CreateSchedule, NextRun, ScheduleAnswer, ScheduleCommand,
    ScheduleConfig, ScheduleInfo, ScheduleQuery, ScheduleReply, ScheduleRun, UpdateSchedule,
};

/// A command, with the type of its reply.
pub trait Ask: Into<Command> {
    /// The type of the command's reply.
    type Reply;

    /// Wraps the reply into the enum that all commands share.
    fn wrap(reply: Self::Reply) -> Reply;

    /// Takes the reply to this command out of that enum; `None` if it is another command's.
    fn unwrap(reply: Reply) -> Option<Self::Reply>;
}

/// A question, with the type of its answer.
pub trait Question: Into<Query> {
    /// The type of the question's answer.
    type Answer;

    /// Takes the answer to this question out of the enum that all questions share; `None` if it is
    /// another question's.
    fn unwrap(answer: Answer) -> Option<Self::Answer>;
}

/// Declares commands that are variants of their own name.
macro_rules! commands {
    ($($command:ident)*) => { $(
        impl From<$command> for Command {
            fn from(command: $command) -> Self {
                Self::$command(command)
            }
        }
    )* };
}

commands! {
    CreateQueue ConfigureQueue DeleteQueue PurgeQueue SetPaused Enqueue Acquire Settle Extend
    EndSession StartMoveTask CancelMoveTask CreateExchange ConfigureExchange DeleteExchange Bind
    ConfigureBinding Unbind Publish Reserve EnqueueReserved BySeq Intervene Conclude GiveBack
    Relocate
}

/// Declares commands that are variants of a machine's own commands.
macro_rules! commands_of {
    ($($command:ident($it:ident) = $variant:expr;)*) => { $(
        impl From<$command> for Command {
            fn from($it: $command) -> Self {
                $variant
            }
        }
    )* };
}

commands_of! {
    LedgerClaim(it) = Self::Ledger(LedgerCommand::Claim(it));
    LedgerExtend(it) = Self::Ledger(LedgerCommand::Extend(it));
    LedgerComplete(it) = Self::Ledger(LedgerCommand::Complete(it));
    LedgerRelease(it) = Self::Ledger(LedgerCommand::Release(it));
    LedgerPut(it) = Self::Ledger(LedgerCommand::Put(it));
    CreateSchedule(it) = Self::Schedule(ScheduleCommand::Create(Box::new(it)));
    UpdateSchedule(it) = Self::Schedule(ScheduleCommand::Update(Box::new(it)));
    DeleteSchedule(it) = Self::Schedule(ScheduleCommand::Delete(it.0));
    PauseSchedule(it) = Self::Schedule(ScheduleCommand::Pause(it.0));
    ResumeSchedule(it) = Self::Schedule(ScheduleCommand::Resume(it.0));
    RunSchedule(it) = Self::Schedule(ScheduleCommand::RunNow(it.0));
    BackfillSchedule(it) = Self::Schedule(ScheduleCommand::Backfill(Box::new(it)));
    Tick(_it) = Self::Tick;
    Atomic(it) = Self::Atomic(it.0);
}

/// The command [`ScheduleCommand::Delete`].
#[derive(Clone, Debug)]
pub struct DeleteSchedule(pub QueueName);

/// The command [`ScheduleCommand::Pause`].
#[derive(Clone, Debug)]
pub struct PauseSchedule(pub QueueName);

/// The command [`ScheduleCommand::Resume`].
#[derive(Clone, Debug)]
pub struct ResumeSchedule(pub QueueName);

/// The command [`ScheduleCommand::RunNow`].
#[derive(Clone, Debug)]
pub struct RunSchedule(pub QueueName);

/// The command [`Command::Tick`].
#[derive(Clone, Copy, Debug)]
pub struct Tick;

/// The command [`Command::Atomic`].
#[derive(Clone, Debug)]
pub struct Atomic(pub Vec<Command>);

/// Declares for each command the type of its reply, and the form that all replies share.
macro_rules! asks {
    ($( $command:ident => () in $unit:path; )* --- $( $reply_of:ident => $reply:ty as $it:ident in ($($form:tt)*); )*) => {
        $(
            impl Ask for $command {
                type Reply = ();

                fn wrap((): ()) -> Reply {
                    $unit
                }

                fn unwrap(reply: Reply) -> Option<()> {
                    matches!(reply, $unit).then_some(())
                }
            }
        )*
        $(
            impl Ask for $reply_of {
                type Reply = $reply;

                fn wrap($it: $reply) -> Reply {
                    $($form)*
                }

                fn unwrap(reply: Reply) -> Option<$reply> {
                    if let $($form)* = reply { Some($it) } else { None }
                }
            }
        )*
    };
}

asks! {
    DeleteQueue => () in Reply::QueueDeleted;
    ConfigureExchange => () in Reply::ExchangeConfigured;
    DeleteExchange => () in Reply::ExchangeDeleted;
    ConfigureBinding => () in Reply::BindingConfigured;
    Unbind => () in Reply::Unbound;
    ---
    CreateQueue => Arc<QueueInfo> as info in (Reply::QueueCreated(info));
    ConfigureQueue => Arc<QueueInfo> as info in (Reply::QueueConfigured(info));
    PurgeQueue => u64 as messages in (Reply::QueuePurged { messages });
    SetPaused => bool as changed in (Reply::PausedSet { changed });
    Enqueue => Vec<Result<Enqueued, EnqueueRefusal>> as results in (Reply::Enqueued(results));
    EnqueueReserved => Vec<Result<Enqueued, EnqueueRefusal>> as results in (Reply::Enqueued(results));
    Acquire => Vec<Delivery> as deliveries in (Reply::Acquired(deliveries));
    Settle => Vec<Settled> as results in (Reply::Settled(results));
    Extend => Vec<Extended> as results in (Reply::Extended(results));
    EndSession => u64 as messages in (Reply::SessionEnded { messages });
    StartMoveTask => u64 as task in (Reply::MoveTaskStarted { task });
    CancelMoveTask => MoveTask as task in (Reply::MoveTaskCancelled(task));
    CreateExchange => Arc<ExchangeInfo> as info in (Reply::ExchangeCreated(info));
    Bind => Arc<BindingInfo> as info in (Reply::Bound(info));
    Publish => Vec<Result<Published, EnqueueRefusal>> as results in (Reply::Published(results));
    Reserve => Seq as first in (Reply::Reserved { first });
    BySeq => Vec<SeqResult> as results in (Reply::BySeq(results));
    Intervene => Vec<Intervened> as results in (Reply::Intervened(results));
    Conclude => Vec<Seq> as missing in (Reply::Concluded { missing });
    GiveBack => u64 as messages in (Reply::GivenBack { messages });
    LedgerClaim => Claimed as claimed in (Reply::Ledger(LedgerReply::Claimed(claimed)));
    LedgerExtend => UnixMs as until_ms in (Reply::Ledger(LedgerReply::Extended { until_ms }));
    LedgerComplete => UnixMs as until_ms in (Reply::Ledger(LedgerReply::Completed { until_ms }));
    LedgerPut => u64 as version in (Reply::Ledger(LedgerReply::Put { version }));
    CreateSchedule => Arc<ScheduleInfo> as info in (Reply::Schedule(ScheduleReply::Created(info)));
    UpdateSchedule => Arc<ScheduleInfo> as info in (Reply::Schedule(ScheduleReply::Changed(info)));
    PauseSchedule => Arc<ScheduleInfo> as info in (Reply::Schedule(ScheduleReply::Changed(info)));
    ResumeSchedule => Arc<ScheduleInfo> as info in (Reply::Schedule(ScheduleReply::Changed(info)));
    RunSchedule => ScheduleRun as run in (Reply::Schedule(ScheduleReply::Ran(run)));
    BackfillSchedule => Backfilled as done in (Reply::Schedule(ScheduleReply::Backfilled(done)));
    Relocate => bool as moved in (Reply::Relocated { moved });
    Tick => bool as more in (Reply::Ticked { more });
    Atomic => Vec<Reply> as replies in (Reply::Atomic(replies));
}

impl Ask for LedgerRelease {
    type Reply = ();

    fn wrap((): ()) -> Reply {
        Reply::Ledger(LedgerReply::Released)
    }

    fn unwrap(reply: Reply) -> Option<()> {
        matches!(reply, Reply::Ledger(LedgerReply::Released)).then_some(())
    }
}

impl Ask for DeleteSchedule {
    type Reply = ();

    fn wrap((): ()) -> Reply {
        Reply::Schedule(ScheduleReply::Deleted)
    }

    fn unwrap(reply: Reply) -> Option<()> {
        matches!(reply, Reply::Schedule(ScheduleReply::Deleted)).then_some(())
    }
}

/// Declares questions: each with its variant of [`Query`], the type of its answer, and the variant
/// of [`Answer`] that holds it.
macro_rules! questions {
    ($( $question:ident($it:ident) = $query:expr => $answer:ty as $out:tt in ($($form:tt)*); )*) => { $(
        impl From<$question> for Query {
            fn from($it: $question) -> Self {
                $query
            }
        }

        impl Question for $question {
            type Answer = $answer;

            fn unwrap(answer: Answer) -> Option<$answer> {
                if let $($form)* = answer { Some($out) } else { None }
            }
        }
    )* };
}

questions! {
    StatsOf(it) = Self::Stats(it.0) => QueueStats as stats in (Answer::Stats(stats));
    TotalsOf(it) = Self::Totals(it.0) => QueueTotals as totals in (Answer::Totals(totals));
    DeadLetterSourcesOf(it) = Self::DeadLetterSources(it.0)
        => Vec<QueueName> as names in (Answer::DeadLetterSources(names));
    MoveTasksOf(it) = Self::MoveTasks(it.0)
        => Vec<MoveTask> as tasks in (Answer::MoveTasks(tasks));
    ExchangeNamed(it) = Self::Exchange(it.0)
        => (Arc<ExchangeInfo>, ExchangeStats) as (info, stats) in (Answer::Exchange(info, stats));
    ListExchanges(it) = Self::Exchanges(it)
        => Vec<Arc<ExchangeInfo>> as found in (Answer::Exchanges(found));
    BindingOf(it) = Self::Binding(it.0) => Arc<BindingInfo> as info in (Answer::Binding(info));
    ListBindings(it) = Self::Bindings(it)
        => Vec<Arc<BindingInfo>> as found in (Answer::Bindings(found));
    LedgerEntryOf(it) = Self::Ledger(LedgerQuery::Get(it.0))
        => Option<LedgerEntry> as entry in (Answer::Ledger(LedgerAnswer::Entry(entry)));
    ListLedger(it) = Self::Ledger(LedgerQuery::List {
        namespace: it.namespace, prefix: it.prefix, after: it.after, max: it.max,
    }) => Vec<LedgerEntry> as found in (Answer::Ledger(LedgerAnswer::Entries(found)));
    Browse(it) = Self::Browse(it)
        => (Vec<Delivery>, Option<Seq>) as (messages, next) in (Answer::Browsed { messages, next });
    ListLanes(it) = Self::Lanes(it) => Vec<LaneStats> as found in (Answer::Lanes(found));
    PausedLanesOf(it) = Self::PausedLanes(it.0)
        => Vec<String> as keys in (Answer::PausedLanes(keys));
    ListGuards(it) = Self::Guards(it) => Vec<GuardStats> as found in (Answer::Guards(found));
    Explain(it) = Self::Explain(it)
        => Box<Explanation> as explanation in (Answer::Explained(explanation));
    Peek(it) = Self::Peek(it) => Vec<Delivery> as deliveries in (Answer::Peeked(deliveries));
    HistoryOf(it) = Self::History(it)
        => Option<Box<MessageHistory>> as history in (Answer::History(history));
    ScheduleNamed(it) = Self::Schedule(ScheduleQuery::Get(it.0))
        => Option<Arc<ScheduleInfo>> as info in (Answer::Schedule(ScheduleAnswer::Schedule(info)));
    ListSchedules(it) = Self::Schedule(ScheduleQuery::List {
        namespace: it.namespace, after: it.after, max: it.max,
    }) => Vec<Arc<ScheduleInfo>> as found in (Answer::Schedule(ScheduleAnswer::Schedules(found)));
    PreviewRuns(it) = Self::Schedule(ScheduleQuery::Preview {
        config: Box::new(it.config), after_ms: it.after_ms, max: it.max,
    }) => Vec<NextRun> as runs in (Answer::Schedule(ScheduleAnswer::Runs(runs)));
    NextRunsOf(it) = Self::Schedule(ScheduleQuery::NextRuns { name: it.name, max: it.max })
        => Vec<NextRun> as runs in (Answer::Schedule(ScheduleAnswer::Runs(runs)));
}

/// The question [`Query::Stats`].
#[derive(Clone, Copy, Debug)]
pub struct StatsOf(pub QueueId);

/// The question [`Query::Totals`].
#[derive(Clone, Copy, Debug)]
pub struct TotalsOf(pub QueueId);

/// The question [`Query::DeadLetterSources`].
#[derive(Clone, Debug)]
pub struct DeadLetterSourcesOf(pub QueueName);

/// The question [`Query::MoveTasks`].
#[derive(Clone, Copy, Debug)]
pub struct MoveTasksOf(pub QueueId);

/// The question [`Query::Exchange`].
#[derive(Clone, Debug)]
pub struct ExchangeNamed(pub QueueName);

/// The question [`Query::Binding`].
#[derive(Clone, Copy, Debug)]
pub struct BindingOf(pub BindingId);

/// The question [`Query::PausedLanes`].
#[derive(Clone, Copy, Debug)]
pub struct PausedLanesOf(pub QueueId);

/// The question [`LedgerQuery::Get`].
#[derive(Clone, Debug)]
pub struct LedgerEntryOf(pub LedgerKey);

/// The question [`LedgerQuery::List`].
#[derive(Clone, Debug)]
pub struct ListLedger {
    /// The namespace.
    pub namespace: String,
    /// The prefix that the listed keys have.
    pub prefix: String,
    /// The key after which the list begins; `None` begins at the first.
    pub after: Option<String>,
    /// The most to list, up to [`crate::limits::MAX_LISTED`].
    pub max: usize,
}

/// The question [`ScheduleQuery::Get`].
#[derive(Clone, Debug)]
pub struct ScheduleNamed(pub QueueName);

/// The question [`ScheduleQuery::List`].
#[derive(Clone, Debug)]
pub struct ListSchedules {
    /// The namespace.
    pub namespace: String,
    /// The name after which the list begins; `None` begins at the first.
    pub after: Option<String>,
    /// The most to list, up to [`crate::limits::MAX_LISTED`].
    pub max: usize,
}

/// The question [`ScheduleQuery::Preview`].
#[derive(Clone, Debug)]
pub struct PreviewRuns {
    /// The settings.
    pub config: ScheduleConfig,
    /// The time after which the listed runs are due.
    pub after_ms: UnixMs,
    /// The most to list, up to [`crate::limits::MAX_PREVIEW`].
    pub max: usize,
}

/// The question [`ScheduleQuery::NextRuns`].
#[derive(Clone, Debug)]
pub struct NextRunsOf {
    /// The schedule.
    pub name: QueueName,
    /// The most to list, up to [`crate::limits::MAX_PREVIEW`].
    pub max: usize,
}
