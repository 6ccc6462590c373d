//! Explain: the reasons why a message is not delivered now. It uses the receive's own code wherever
//! it can, so that both agree.

use kyu_model::limits::MAX_EXPLAINED_AHEAD;
use kyu_model::{
    Acquire, Context, Delivery, Event, ExplainedMessage, Explanation, Gone, Happened, Hold, Lease,
    Order, Phase, QueueId, Reason, Refusal, Seq, UnixMs, Verdict,
};

use crate::effect::Effects;
use crate::queue::decide::acquire::pick;
use crate::queue::decide::sequences::Sequences;
use crate::queue::delivery::last_delivery;
use crate::queue::message::Message;
use crate::queue::store::Queue;
use crate::retries::decide::guards::Guards;
use crate::state::State;

pub(crate) fn explain(
    state: &State,
    id: QueueId,
    seq: Seq,
    now_ms: UnixMs,
) -> Result<Explanation, Refusal> {
    let queue = state.queue(id)?;
    let mut explanation = Explanation {
        queue: id,
        seq,
        at_ms: now_ms,
        verdict: if seq < *queue.next_seq { Verdict::Gone } else { Verdict::NeverSent },
        reasons: Vec::new(),
        next_event_ms: None,
        possible_from_ms: None,
        message: None,
        gone: None,
        stats: queue.stats(),
    };
    let Some(message) = queue.messages.get(seq) else {
        explanation.gone = (explanation.verdict == Verdict::Gone).then(|| gone(queue, seq));
        return Ok(explanation);
    };
    explanation.message = Some(Box::new(describe(queue, seq, &message)));
    let mut reasons = reasons(state, queue, seq, &message, now_ms);
    if reasons.is_empty() {
        explanation.verdict = turn(state, queue, seq, now_ms);
        explanation.possible_from_ms = Some(now_ms);
        return Ok(explanation);
    }
    let ends = || reasons.iter().map(Reason::until_ms);
    explanation.next_event_ms = ends().flatten().min();
    let last = ends().try_fold(now_ms, |last, end| end.map(|end| end.max(last)));
    explanation.possible_from_ms = last;
    let ends =
        [message.expires_at_ms(), queue.retained_until(&message)].into_iter().flatten().min();
    if let (Some(due_at_ms), Some(expires_at_ms)) = (last, ends)
        && expires_at_ms <= due_at_ms
    {
        explanation.possible_from_ms = None;
        reasons.push(Reason::ExpiresBeforeDue { expires_at_ms, due_at_ms });
    }
    explanation.verdict = Verdict::HeldBack;
    explanation.reasons = reasons;
    Ok(explanation)
}

/// Returns the way in which a message left the queue.
fn gone(queue: &Queue, seq: Seq) -> Gone {
    let totals = &queue.totals;
    let unacknowledged =
        totals.expired + totals.dropped + totals.rejected + totals.moved_out + totals.cancelled;
    match (queue.ends.get(seq), queue.purged_at_ms) {
        (Some(end), _) => Gone::Ended(end.clone()),
        (None, Some(at_ms)) if seq < queue.purged_below => Gone::Purged { at_ms },
        _ if totals.purged > 0 && queue.purged_below == 0 => Gone::Forgotten,
        _ if queue.ends.len() as u64 == unacknowledged => Gone::Acknowledged,
        _ => Gone::Forgotten,
    }
}

/// Everything that holds a message back by itself.
fn reasons(
    state: &State,
    queue: &Queue,
    seq: Seq,
    message: &Message,
    now_ms: UnixMs,
) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let delivery = message.history.deliveries;
    match message.phase {
        Phase::Ready | Phase::Backoff(_) | Phase::Parked => {}
        Phase::Delayed(until_ms) => reasons.push(Reason::Delayed { until_ms }),
        Phase::Leased(until_ms) => reasons.push(Reason::Leased { delivery, until_ms }),
        Phase::Held(session) if queue.claims.contains_key(&seq) => {
            reasons.push(Reason::Claimed { session });
        }
        Phase::Held(session) => reasons.push(Reason::HeldBySession { session, delivery }),
        Phase::Archived(_) => return vec![Reason::Archived],
        Phase::Dead(since_ms) => {
            return vec![Reason::Dead { since_ms, reason: message.dead_reason }];
        }
    }
    if queue.is_over(message, now_ms) {
        let retained_until_ms = queue.retention_ends(message);
        let since = [retained_until_ms, message.expires_at_ms()].into_iter().flatten().min();
        reasons.push(Reason::Expired { since_ms: since.unwrap_or(now_ms) });
    }
    if message.phase.in_flight() {
        return reasons;
    }
    let max_receives = state.max_receives(queue);
    let receives = message.history.receives;
    if receives >= max_receives {
        reasons.push(Reason::ReceivedTooOften { receives, max_receives });
    }
    // A message whose guard was taken away goes on with the next tick.
    let orphan = Hold::Budget { ahead: 0, until_ms: now_ms };
    let orphan = (message.phase == Phase::Parked).then_some(orphan);
    reasons.extend(queue.hold_of(seq, message).or(orphan).map(Reason::Retry));
    of_queue(queue, now_ms, &mut reasons);
    of_lane(queue, message, now_ms, &mut reasons);
    if reasons.is_empty() {
        reasons.extend(behind_guarded(queue, seq, message, max_receives, now_ms));
    }
    reasons
}

fn of_queue(queue: &Queue, now_ms: UnixMs, reasons: &mut Vec<Reason>) {
    if *queue.paused {
        reasons.push(Reason::QueuePaused { until_ms: queue.pause_ends.queue });
    }
    let (in_flight, max_in_flight) =
        (queue.in_flight(), u64::from(queue.info.config.max_in_flight));
    if in_flight >= max_in_flight {
        reasons.push(Reason::QueueInFlight { in_flight, max_in_flight });
    }
    let limits = &queue.lanes.limits;
    if let Some(rate) = &limits.queue_rate
        && limits.queue_tokens(now_ms) == 0
    {
        let next_token_ms = rate.next_token_ms(limits.buckets.queue_full_at_ns);
        reasons.push(Reason::QueueRate { next_token_ms });
    }
}

fn of_lane(queue: &Queue, message: &Message, now_ms: UnixMs, reasons: &mut Vec<Reason>) {
    let limits = &queue.lanes.limits;
    let Some(lane) = queue.lanes.get(message.lane) else { return };
    if lane.key.is_some() {
        if lane.gate.paused {
            let ends = &queue.pause_ends.lanes;
            let until_ms = lane.key.as_ref().and_then(|key| ends.get(key)).copied();
            reasons.push(Reason::LanePaused { until_ms });
        }
        if lane.in_flight >= limits.max_in_flight {
            let (in_flight, max_in_flight) =
                (u64::from(lane.in_flight), u64::from(limits.max_in_flight));
            reasons.push(Reason::LaneInFlight { in_flight, max_in_flight });
        }
        if let Some(rate) = &limits.rate
            && rate.available(lane.gate.full_at_ns, now_ms) == 0
        {
            let next_token_ms = rate.next_token_ms(lane.gate.full_at_ns);
            reasons.push(Reason::LaneRate { next_token_ms });
        }
    }
    // The same holds if its lane's first message is stopped: priorities may put a later one there.
    let stopped = |order: &u64| *order < message.order || lane.servable_rank().is_none();
    if let Some(order) = lane.first_blocking().filter(stopped) {
        let seq = queue.seq_at(order);
        let until_ms = queue.messages.get(seq).and_then(|first| first.phase.deadline());
        reasons.push(Reason::BehindInFlight { seq, until_ms });
    }
}

/// Returns the reason for a message of a FIFO queue with guards by attribute whose lane is stopped:
/// the guard of the lane's first message that a receive would come to stops it, which the next
/// receive will note (see [`Guards::put_aside`]).
fn behind_guarded(
    queue: &Queue,
    seq: Seq,
    message: &Message,
    max_receives: u32,
    now_ms: UnixMs,
) -> Option<Reason> {
    queue.info.config.guard_attribute.as_ref().filter(|_| queue.is_fifo())?;
    let lane = queue.lanes.get(message.lane)?;
    let passes =
        |first: &Message| queue.is_over(first, now_ms) || first.history.receives >= max_receives;
    let mut rank = lane.servable_rank();
    for _ in 0..MAX_EXPLAINED_AHEAD {
        let first = queue.seq_at(rank?.order);
        let there = queue.messages.get(first)?;
        if !passes(&there) {
            let stopped = first != seq && queue.hold_of(first, &there).is_some();
            return stopped.then_some(Reason::BehindInFlight { seq: first, until_ms: None });
        }
        rank = lane.servable_after(rank?);
    }
    None
}

/// Returns the verdict on a message that nothing holds back by itself: whether it is its turn.
fn turn(state: &State, queue: &Queue, seq: Seq, now_ms: UnixMs) -> Verdict {
    let next = Acquire {
        queue: queue.id(),
        max_messages: 1,
        max_bytes: u64::MAX,
        lease: Lease::QueueDefault,
        order: Order::OfQueue,
        attempt_id: None,
        consumer: None,
        with_history: false,
    };
    let ctx = Context { now_ms, wall_ms: now_ms, seed: 0, epoch: 0 };
    let (mut sequences, mut guards) = (Sequences::default(), Guards::new(queue, now_ms));
    let unused = (&mut sequences, &mut guards);
    let first = pick(state, queue, 1, &next, &ctx, unused, &mut Effects::default());
    if first.first().is_some_and(|(first, _)| *first == seq) {
        return Verdict::DeliverableNow;
    }
    let before = queue.lanes.all_picks().map(|(rank, _)| queue.seq_at(rank.order));
    let ahead = before.take(MAX_EXPLAINED_AHEAD).take_while(|before| *before != seq).count();
    Verdict::Behind { ahead: ahead as u64, exact: ahead < MAX_EXPLAINED_AHEAD }
}

fn describe(queue: &Queue, seq: Seq, message: &Message) -> ExplainedMessage {
    let past_attempts = message.past_attempts();
    let last = Delivery { past_attempts, ..last_delivery(queue.id(), seq, message) };
    ExplainedMessage {
        lane: queue.lane_key(message).map(str::to_owned),
        guarded_by: queue.guarded_by(&queue.whose(seq, message.lane)),
        priority: message.priority,
        expires_at_ms: message.expires_at_ms(),
        retained_until_ms: queue.retained_until(message),
        timeline: timeline(message, &last),
        last,
    }
}

fn timeline(message: &Message, last: &Delivery) -> Vec<Event> {
    let event = |at_ms, what| Event { at_ms, what };
    let mut events = vec![event(message.enqueued_at_ms, Happened::Enqueued)];
    let history = &message.history;
    let attempts = &last.past_attempts;
    let forgotten = message.trail.as_ref().map_or(0, |trail| trail.forgotten);
    if forgotten > 0 {
        let what = Happened::Forgotten { attempts: forgotten };
        events.push(event(history.first_received_at_ms, what));
    }
    if attempts.is_empty() && history.first_received_at_ms > 0 {
        events.push(event(history.first_received_at_ms, Happened::FirstReceived));
    }
    for attempt in attempts {
        events.push(event(attempt.started_at_ms, Happened::Attempt(attempt.clone())));
    }
    // The last attempt is told once: it is over and kept, or it is this.
    if history.last_received_at_ms > 0 && (message.phase.in_flight() || attempts.is_empty()) {
        let consumer = message.trail.as_ref().and_then(|trail| trail.consumer.clone());
        let what = Happened::LastReceived { delivery: history.deliveries, consumer };
        events.push(event(history.last_received_at_ms, what));
    }
    if let Some(from) = last.dead_letter_source.clone() {
        let what = Happened::DeadLettered { from, reason: last.dead_reason };
        events.push(event(message.enqueued_at_ms, what));
    }
    events.sort_by_key(|event| event.at_ms);
    events
}
