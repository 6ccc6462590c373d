//! Runs of schedules: which are due, and the messages that they send. A run, its message and the
//! time of the next run are one record: each happens once, whatever crashes.

use std::collections::VecDeque;

use bytes::Bytes;
use kyu_model::limits::{MAX_CATCH_UP_STEPS, MAX_TICK_RUNS};
use kyu_model::{
    AttributeValue, BodyFacts, CatchUp, Content, Context, EnqueueRefusal, Facts, NewMessage,
    NextRun, OverlapPolicy, Property, Publication, Publish, Published, QueueName, Refusal,
    RunOutcome, ScheduleInfo, ScheduleRun, ScheduleTarget, Tick, Unique, UniquePolicy, UniqueScope,
    UnixMs, Value,
};

use crate::decision::{Decided, Wait};
use crate::effect::Effects;
use crate::exchange::decide::publish;
use crate::queue::decide::enqueue::{Batch, new_message_id};
use crate::schedule::decide::schedule::{Times, push, with_jitter};
use crate::schedule::record::ScheduleFact;
use crate::state::State;

/// Returns true if this tick is for schedules. When some are due, every other tick is theirs, so
/// that they do not wait for busy queues, and so that a full log, which takes no messages, does not
/// keep queues from the work that makes room in it.
pub(crate) fn takes_turn(state: &mut State, ctx: &Context) -> bool {
    let is_due = state.schedules.first_due_ms().is_some_and(|at_ms| at_ms <= ctx.wall_ms);
    let had_turn = std::mem::take(&mut *state.schedules_had_turn);
    *state.schedules_had_turn = is_due && !had_turn;
    *state.schedules_had_turn
}

/// Runs the schedules that are due, as many as one tick handles.
pub(crate) fn due(state: &State, ctx: &Context, effects: &mut Effects) -> Decided<Tick> {
    let mut sender = Sender { state, ctx, batch: Batch::new(state, ctx), sent: 0 };
    for info in state.schedules.due(ctx.wall_ms) {
        if sender.sent >= MAX_TICK_RUNS {
            break;
        }
        // A publish numbers the messages of its queues itself: it has a tick of its own.
        let publishes = matches!(info.config.target, ScheduleTarget::Exchange(_));
        if publishes && sender.sent > 0 {
            break;
        }
        run_due(info, &mut sender, effects);
        if publishes {
            break;
        }
    }
    Ok((true, Wait::Record))
}

/// One run beside those that are due.
pub(crate) fn now(
    state: &State,
    info: &ScheduleInfo,
    ctx: &Context,
    effects: &mut Effects,
) -> ScheduleRun {
    let mut sender = Sender { state, ctx, batch: Batch::new(state, ctx), sent: 0 };
    let outcome = sender.send(info, ctx.wall_ms, effects);
    let run = ScheduleRun { due_ms: ctx.wall_ms, at_ms: ctx.now_ms, manual: true, outcome };
    let (name, run_now) = (info.name.clone(), run.clone());
    push(effects, ScheduleFact::Ran { name, run: run_now, missed: 0, next: info.next });
    run
}

/// The runs that were due from a time on and before another, as many as one command takes, and
/// where the next one goes on.
pub(crate) fn backfill(
    state: &State,
    info: &ScheduleInfo,
    (from_ms, until_ms): (UnixMs, UnixMs),
    max: usize,
    ctx: &Context,
    effects: &mut Effects,
) -> (Vec<ScheduleRun>, Option<UnixMs>) {
    let mut sender = Sender { state, ctx, batch: Batch::new(state, ctx), sent: 0 };
    let most = match info.config.target {
        ScheduleTarget::Queue(_) => max,
        // A publish numbers the messages of its queues itself.
        ScheduleTarget::Exchange(_) => max.min(1),
    };
    let Some(times) = Times::of(&info.config) else { return (Vec::new(), None) };
    let mut runs = Vec::new();
    let mut next = times.next_from(&info.config, info.id, from_ms);
    while let Some(NextRun { due_ms, .. }) = next.filter(|next| next.due_ms < until_ms) {
        if runs.len() >= most {
            return (runs, Some(due_ms));
        }
        let outcome = sender.send(info, due_ms, effects);
        let run = ScheduleRun { due_ms, at_ms: ctx.now_ms, manual: true, outcome };
        let (name, ran) = (info.name.clone(), run.clone());
        push(effects, ScheduleFact::Ran { name, run: ran, missed: 0, next: info.next });
        runs.push(run);
        next = times.next(&info.config, info.id, due_ms);
    }
    (runs, None)
}

/// The runs of one schedule that are due.
struct Due {
    /// The latest runs, in order, as many as may be caught up.
    latest: VecDeque<NextRun>,
    /// The number of runs before them that were missed.
    missed: u64,
    /// The first run that is not due; `None` also if the search for it was given up.
    next: Option<NextRun>,
    given_up: bool,
}

fn run_due(info: &ScheduleInfo, sender: &mut Sender<'_>, effects: &mut Effects) {
    let ctx = sender.ctx;
    let keep = match info.config.catch_up {
        CatchUp::Skip { .. } | CatchUp::One => 1,
        CatchUp::All { max } => max.max(1) as usize,
    };
    let Due { mut latest, mut missed, next, given_up } = find_due(info, keep, ctx.wall_ms);
    let pass = |missed, next, effects: &mut Effects| {
        let (name, at_ms) = (info.name.clone(), ctx.now_ms);
        push(effects, ScheduleFact::Missed { name, at_ms, missed, next });
    };
    if given_up {
        // The next tick goes on from here.
        sender.sent += MAX_TICK_RUNS;
        return pass(missed, latest.front().copied(), effects);
    }
    if let (CatchUp::Skip { grace_ms }, Some(run)) = (info.config.catch_up, latest.front())
        && ctx.wall_ms.saturating_sub(run.at_ms) > grace_ms
    {
        return pass(missed + 1, next, effects);
    }
    let publishes = matches!(info.config.target, ScheduleTarget::Exchange(_));
    while let Some(run) = latest.pop_front() {
        let outcome = sender.send(info, run.due_ms, effects);
        let next = latest.front().copied().or(next);
        let run = ScheduleRun { due_ms: run.due_ms, at_ms: ctx.now_ms, manual: false, outcome };
        push(effects, ScheduleFact::Ran { name: info.name.clone(), run, missed, next });
        missed = 0;
        if publishes || sender.sent >= MAX_TICK_RUNS {
            break;
        }
    }
}

fn find_due(info: &ScheduleInfo, keep: usize, wall_ms: UnixMs) -> Due {
    let mut due = Due { latest: VecDeque::new(), missed: 0, next: info.next, given_up: false };
    let times = Times::of(&info.config);
    if let (Some(Times::Every { interval_ms, .. }), Some(next)) = (&times, &mut due.next) {
        // Straight to the last ones. Jitter is never more than the interval, so that what is
        // passed over was due indeed.
        let end_ms = info.config.until_ms.map_or(u64::MAX, |until_ms| until_ms.saturating_sub(1));
        let behind = wall_ms.min(end_ms).saturating_sub(next.due_ms) / interval_ms;
        due.missed = behind.saturating_sub(keep as u64 + 1);
        if due.missed > 0 {
            *next = with_jitter(&info.config, info.id, next.due_ms + due.missed * interval_ms);
        }
    }
    let mut steps = 0;
    while let Some(run) = due.next.filter(|run| run.at_ms <= wall_ms) {
        due.latest.push_back(run);
        if due.latest.len() > keep {
            due.latest.pop_front();
            due.missed += 1;
        }
        due.next = times.as_ref().and_then(|times| times.next(&info.config, info.id, run.due_ms));
        steps += 1;
        if steps == MAX_CATCH_UP_STEPS {
            due.given_up = due.next.is_some_and(|next| next.at_ms <= wall_ms);
            break;
        }
    }
    due
}

struct Sender<'a> {
    state: &'a State,
    ctx: &'a Context,
    batch: Batch<'a>,
    sent: usize,
}

impl Sender<'_> {
    fn send(&mut self, info: &ScheduleInfo, due_ms: UnixMs, effects: &mut Effects) -> RunOutcome {
        let index = self.sent as u64;
        self.sent += 1;
        let text = due_ms.to_string();
        let content =
            Content::add_property(&info.config.message.content, Property::ScheduledAt, &text);
        let outcome = match &info.config.target {
            ScheduleTarget::Queue(queue) => self.enqueue(info, queue, content, index, effects),
            ScheduleTarget::Exchange(exchange) => {
                self.publish(info, exchange, content, due_ms, effects)
            }
        };
        outcome.unwrap_or_else(|why| RunOutcome::Failed(why.to_owned()))
    }

    fn enqueue(
        &mut self,
        info: &ScheduleInfo,
        queue: &QueueName,
        content: Bytes,
        index: u64,
        effects: &mut Effects,
    ) -> Result<RunOutcome, &'static str> {
        let queue = self.state.by_name(queue).ok_or("the queue does not exist")?;
        let template = &info.config.message;
        let policy = match info.config.overlap {
            OverlapPolicy::Allow => None,
            OverlapPolicy::Skip => Some(UniquePolicy::Keep),
            OverlapPolicy::Replace => Some(UniquePolicy::Replace),
        };
        let message = NewMessage {
            queues: vec![queue.id()],
            content,
            delay_ms: template.delay_ms,
            expires_at_ms: template
                .expires_after_ms
                .map(|after_ms| self.ctx.now_ms.saturating_add(after_ms)),
            priority: template.priority,
            lane: template.lane.clone(),
            dedup_id: None,
            unique: policy.map(|policy| {
                // Users' keys are text; nobody types this one.
                let key = format!("\u{1}schedule {}", info.id);
                Box::new(Unique { key, scope: UniqueScope::UntilDone, policy })
            }),
        };
        let enqueued = self.batch.add(index, &message, effects).map_err(why)?;
        Ok(if enqueued.duplicate {
            RunOutcome::Overlapped(enqueued.message_id)
        } else {
            RunOutcome::Sent(enqueued.message_id)
        })
    }

    fn publish(
        &self,
        info: &ScheduleInfo,
        exchange: &QueueName,
        content: Bytes,
        due_ms: UnixMs,
        effects: &mut Effects,
    ) -> Result<RunOutcome, &'static str> {
        let there = self.state.exchange_by_name(exchange).ok_or("the exchange does not exist")?;
        let publication = Publication {
            facts: facts(&content),
            content,
            size_bytes: info.config.message.size_bytes,
            bare_allowed: true,
            lane: info.config.message.lane.clone(),
            dedup_id: there.is_fifo().then(|| format!("schedule {} {due_ms}", info.id)),
            content_dedup_id: None,
        };
        let command = Publish { exchange: exchange.clone(), messages: vec![publication] };
        let (results, _) =
            publish::decide(self.state, &command, self.ctx, effects).map_err(|refusal| {
                match refusal {
                    Refusal::LaneRequired => "the exchange needs a lane",
                    Refusal::PublicationTooLarge { .. } => {
                        "the message is too large for the exchange"
                    }
                    Refusal::ExchangeNotFound
                    | Refusal::DedupIdRequired
                    | Refusal::DedupIdNotAllowed
                    | Refusal::BodyFactsRequired
                    | Refusal::LimitExceeded(_)
                    | Refusal::InvalidConfig(_)
                    | Refusal::QueueNotFound
                    | Refusal::QueueExists(_)
                    | Refusal::QueueDeletedRecently { .. }
                    | Refusal::PurgeInProgress
                    | Refusal::VersionConflict
                    | Refusal::TooManyInFlight
                    | Refusal::MoveTaskRunning
                    | Refusal::MoveTaskNotFound
                    | Refusal::ExchangeExists(_)
                    | Refusal::BindingNotFound
                    | Refusal::BindingExists(_)
                    | Refusal::Atomic { .. }
                    | Refusal::NotInAtomic
                    | Refusal::Ledger(_)
                    | Refusal::Schedule(_) => "the exchange refused the message",
                }
            })?;
        match results.first() {
            Some(Ok(Published { message_id, .. })) => Ok(RunOutcome::Sent(*message_id)),
            Some(Err(refusal)) => Err(why(*refusal)),
            None => Ok(RunOutcome::Sent(new_message_id(self.ctx.seed, 0))),
        }
    }
}

fn why(refusal: EnqueueRefusal) -> &'static str {
    match refusal {
        EnqueueRefusal::QueueNotFound(_) => "the queue does not exist",
        EnqueueRefusal::QueueFull(_) => "the queue is full",
        EnqueueRefusal::LaneRequired(_) => "the queue needs a lane",
        EnqueueRefusal::Malformed => "the queue does not take such a message",
        EnqueueRefusal::TooLarge => "the message is too large",
    }
}

/// Returns the facts that matchers may look at: the attributes. Only doors read the body as a
/// document.
fn facts(content: &Bytes) -> Facts {
    let attributes = Content::decode(content.clone()).unwrap_or_default().attributes;
    let values = attributes.into_iter().filter_map(|attribute| {
        let AttributeValue::Text(text) = attribute.value else { return None };
        let value = match text.trim().parse::<f64>() {
            Ok(value) if attribute.data_type.starts_with("Number") => {
                Value::Number { value, text: Some(text) }
            }
            _ => Value::Text(text),
        };
        Some((attribute.name, vec![value]))
    });
    Facts { attributes: values.collect(), body: BodyFacts::Opaque }
}
