//! Explanations, from the engine's facts to JSON and to a sentence.

use std::fmt::Write;

use kyu_broker::{
    EndKind, Gone as EngineGone, Happened as EngineEvent, Reason as EngineReason,
    Verdict as EngineVerdict,
};

use crate::api::{DeadReason, Event, Explanation, Gone, Happened, Hold, Reason, Verdict};

pub(crate) fn show(from: kyu_broker::Explanation) -> Explanation {
    let (verdict, ahead, ahead_is_exact) = match from.verdict {
        EngineVerdict::DeliverableNow => (Verdict::DeliverableNow, None, None),
        EngineVerdict::Behind { ahead, exact } => (Verdict::Behind, Some(ahead), Some(exact)),
        EngineVerdict::HeldBack => (Verdict::HeldBack, None, None),
        EngineVerdict::Gone => (Verdict::Gone, None, None),
        EngineVerdict::NeverSent => (Verdict::NeverSent, None, None),
    };
    let mut shown = Explanation {
        summary: String::new(),
        verdict,
        ahead,
        ahead_is_exact,
        reasons: from.reasons.into_iter().map(reason).collect(),
        next_event_at_ms: from.next_event_ms,
        possible_from_at_ms: from.possible_from_ms,
        now_ms: from.at_ms,
        lane: None,
        guarded_by: None,
        priority: None,
        expires_at_ms: None,
        retained_until_at_ms: None,
        receive_count: None,
        total_receive_count: None,
        gone: from.gone.map(gone),
        timeline: Vec::new(),
    };
    if let Some(message) = from.message {
        shown.lane = message.lane;
        shown.guarded_by = message.guarded_by;
        shown.priority = Some(message.priority);
        shown.expires_at_ms = message.expires_at_ms;
        shown.retained_until_at_ms = message.retained_until_ms;
        shown.receive_count = Some(message.last.receive_count);
        shown.total_receive_count = Some(message.last.total_receive_count);
        let events = message.timeline.into_iter();
        shown.timeline =
            events.map(|one| Event { at_ms: one.at_ms, what: happened(one.what) }).collect();
    }
    shown.summary = summary(&shown);
    shown
}

fn reason(from: EngineReason) -> Reason {
    match from {
        EngineReason::Delayed { until_ms } => Reason::Delayed { until_at_ms: until_ms },
        EngineReason::Leased { delivery, until_ms } => {
            Reason::Leased { delivery, until_at_ms: until_ms }
        }
        EngineReason::HeldBySession { delivery, .. } => Reason::HeldBySession { delivery },
        EngineReason::Claimed { .. } => Reason::Claimed,
        EngineReason::Archived => Reason::Archived,
        EngineReason::Dead { since_ms, reason } => {
            Reason::Dead { since_at_ms: since_ms, dead_reason: reason.map(Into::into) }
        }
        EngineReason::ExpiresBeforeDue { expires_at_ms, due_at_ms } => {
            Reason::ExpiresBeforeDue { expires_at_ms, due_at_ms }
        }
        EngineReason::Expired { since_ms } => Reason::Expired { since_at_ms: since_ms },
        EngineReason::ReceivedTooOften { receives, max_receives } => {
            Reason::ReceivedTooOften { receives, max_receives }
        }
        EngineReason::QueuePaused { until_ms } => Reason::QueuePaused { until_at_ms: until_ms },
        EngineReason::QueueInFlight { in_flight, max_in_flight } => {
            Reason::QueueInFlight { in_flight, max_in_flight }
        }
        EngineReason::QueueRate { next_token_ms } => {
            Reason::QueueRate { until_at_ms: next_token_ms }
        }
        EngineReason::LanePaused { until_ms } => Reason::LanePaused { until_at_ms: until_ms },
        EngineReason::LaneInFlight { in_flight, max_in_flight } => {
            Reason::LaneInFlight { in_flight, max_in_flight }
        }
        EngineReason::LaneRate { next_token_ms } => Reason::LaneRate { until_at_ms: next_token_ms },
        EngineReason::BehindInFlight { seq, until_ms } => {
            Reason::BehindInFlight { seq, until_at_ms: until_ms }
        }
        EngineReason::Retry(hold) => Reason::Retry { hold: hold.into() },
    }
}

fn gone(from: EngineGone) -> Gone {
    let end = match from {
        EngineGone::Acknowledged => return Gone::Acknowledged,
        EngineGone::Purged { at_ms } => return Gone::Purged { at_ms },
        EngineGone::Forgotten => return Gone::Forgotten,
        EngineGone::Ended(end) => end,
    };
    let at_ms = end.at_ms;
    match end.kind {
        EndKind::Expired => Gone::Expired { at_ms },
        EndKind::Deadline => Gone::Deadline { at_ms },
        EndKind::Dropped => Gone::Dropped { at_ms },
        EndKind::Rejected => Gone::Rejected { at_ms },
        EndKind::Cancelled => Gone::Cancelled { at_ms },
        EndKind::Moved => {
            let (to, to_seq) =
                end.to.map(|(name, seq)| (name.name.clone(), seq)).unwrap_or_default();
            let (consumer, error) = (end.consumer, end.error);
            Gone::Moved {
                at_ms,
                to,
                to_seq,
                dead_reason: end.dead_reason.map(Into::into),
                consumer: consumer.map(|consumer| consumer.to_string()),
                error: error.map(|error| error.to_string()),
            }
        }
    }
}

fn happened(from: EngineEvent) -> Happened {
    match from {
        EngineEvent::Enqueued => Happened::Enqueued,
        EngineEvent::FirstReceived => Happened::FirstReceived,
        EngineEvent::Attempt(attempt) => Happened::Attempt { attempt: attempt.into() },
        EngineEvent::Forgotten { attempts } => Happened::Forgotten { attempts },
        EngineEvent::LastReceived { delivery, consumer } => {
            Happened::LastReceived { delivery, consumer }
        }
        EngineEvent::DeadLettered { from, reason } => {
            Happened::DeadLettered { from: from.name.clone(), reason: reason.map(Into::into) }
        }
    }
}

/// Such as `held back: lane "tenant-7" is at its limit (4 of 4); next event in 1.5 s`.
fn summary(shown: &Explanation) -> String {
    let mut text = match (shown.verdict, shown.ahead) {
        (Verdict::DeliverableNow, _) => "deliverable now".to_owned(),
        (Verdict::Behind, ahead) => {
            let least = if shown.ahead_is_exact == Some(false) { "at least " } else { "" };
            format!("ready, {least}{} ahead", ahead.unwrap_or_default())
        }
        (Verdict::HeldBack, _) => {
            let reasons = shown.reasons.iter().map(|one| words(one, shown));
            format!("held back: {}", reasons.collect::<Vec<_>>().join("; "))
        }
        (Verdict::Gone, _) => match &shown.gone {
            Some(gone) => format!("gone: {}", words_of_end(gone, shown)),
            None => "gone".to_owned(),
        },
        (Verdict::NeverSent, _) => "no message has had this number yet".to_owned(),
    };
    // Writing to a string does not fail.
    let _ = match (shown.verdict, shown.next_event_at_ms) {
        (Verdict::HeldBack, Some(at_ms)) => write!(text, "; next event {}", span(at_ms, shown)),
        (Verdict::HeldBack, None) => write!(text, "; time alone changes nothing"),
        _ => Ok(()),
    };
    text
}

fn words_of_end(gone: &Gone, shown: &Explanation) -> String {
    match gone {
        Gone::Acknowledged => "acknowledged".to_owned(),
        Gone::Expired { at_ms } => format!("expired {}", ago(*at_ms, shown)),
        Gone::Deadline { at_ms } => format!("its own time was over {}", ago(*at_ms, shown)),
        Gone::Dropped { at_ms } => format!("it made room for others {}", ago(*at_ms, shown)),
        Gone::Rejected { at_ms } => format!("rejected {}", ago(*at_ms, shown)),
        Gone::Cancelled { at_ms } => format!("cancelled {}", ago(*at_ms, shown)),
        Gone::Moved { at_ms, to, to_seq, dead_reason, consumer, error } => {
            let dead = dead_reason.map_or("", words_of_death);
            let by = consumer.as_ref().map_or(String::new(), |by| format!(", last with {by}"));
            let error = error.as_ref().map_or(String::new(), |error| format!(", after {error:?}"));
            let ago = ago(*at_ms, shown);
            format!("{dead}moved {ago} to {to:?} as number {to_seq}{by}{error}")
        }
        Gone::Purged { at_ms } => {
            format!("acknowledged, or purged {}", ago(*at_ms, shown))
        }
        Gone::Forgotten => "acknowledged, or so long ago that nobody remembers".to_owned(),
    }
}

fn words_of_death(reason: DeadReason) -> &'static str {
    match reason {
        DeadReason::MaxReceives => "received too often and ",
        DeadReason::Rejected => "rejected and ",
        DeadReason::Deadline => "past its own time and ",
        DeadReason::Retention => "past the retention and ",
    }
}

fn words(reason: &Reason, shown: &Explanation) -> String {
    let lane = shown.lane.as_deref().unwrap_or_default();
    let of_guard = shown.guarded_by.as_deref().map_or(String::new(), |by| format!(" of {by}"));
    match reason {
        Reason::Delayed { until_at_ms } => format!("delayed, ready {}", span(*until_at_ms, shown)),
        Reason::Leased { delivery, until_at_ms } => {
            format!(
                "delivery {delivery} is being worked on, its lease ends {}",
                span(*until_at_ms, shown)
            )
        }
        Reason::HeldBySession { delivery } => format!("delivery {delivery} is held by a session"),
        Reason::Claimed => "an open transaction has read it".to_owned(),
        Reason::Archived => "it is in an archive".to_owned(),
        Reason::Dead { dead_reason, .. } => {
            let why = dead_reason.map_or("", words_of_death).trim_end_matches(" and ");
            let because = if why.is_empty() { String::new() } else { format!(" ({why})") };
            format!(
                "it is dead{because} and kept, as there is nowhere to move it; a move task of this \
                 queue brings it back"
            )
        }
        Reason::ExpiresBeforeDue { expires_at_ms, .. } => {
            format!("it expires before it is due: {}", span(*expires_at_ms, shown))
        }
        Reason::Expired { .. } => "it is expired and will be removed".to_owned(),
        Reason::ReceivedTooOften { receives, max_receives } => {
            format!("received {receives} of {max_receives} times, the next receive moves it")
        }
        Reason::QueuePaused { until_at_ms } => {
            format!("the queue is paused{}", until(*until_at_ms, shown))
        }
        Reason::QueueInFlight { in_flight, max_in_flight } => {
            format!("the queue is at its limit ({in_flight} of {max_in_flight} in flight)")
        }
        Reason::QueueRate { until_at_ms } => {
            format!("the queue's rate has a token {}", span(*until_at_ms, shown))
        }
        Reason::LanePaused { until_at_ms } => {
            format!("lane {lane:?} is paused{}", until(*until_at_ms, shown))
        }
        Reason::LaneInFlight { in_flight, max_in_flight } => {
            format!("lane {lane:?} is at its limit ({in_flight} of {max_in_flight} in flight)")
        }
        Reason::LaneRate { until_at_ms } => {
            format!("the rate of lane {lane:?} has a token {}", span(*until_at_ms, shown))
        }
        Reason::BehindInFlight { seq, .. } => {
            format!("message {seq} of its lane is in flight before it")
        }
        Reason::Retry { hold: Hold::Backoff { until_at_ms } } => {
            format!("it failed and is tried again {}", span(*until_at_ms, shown))
        }
        Reason::Retry { hold: Hold::Budget { ahead, until_at_ms } } => {
            let span = span(*until_at_ms, shown);
            format!(
                "the retry budget{of_guard} is spent, {ahead} before it, a token {span} at the latest"
            )
        }
        Reason::Retry { hold: Hold::Breaker { until_at_ms } } => {
            format!("the breaker{of_guard} is open, attempts {}", span(*until_at_ms, shown))
        }
        Reason::Retry { hold: Hold::SlowStart { in_flight, allowed } } => {
            format!(
                "the breaker{of_guard} is closing and lets {allowed} attempts run \
                 ({in_flight} do)"
            )
        }
    }
}

/// The time since an instant, in words.
fn ago(at_ms: u64, shown: &Explanation) -> String {
    match shown.now_ms.saturating_sub(at_ms) {
        0 => "just now".to_owned(),
        ms => format!("{} ago", length(ms)),
    }
}

/// A length of time in the units that people would use.
fn length(ms: u64) -> String {
    let (s, min, h) = (ms.div_ceil(1_000), ms.div_ceil(60_000), ms.div_ceil(3_600_000));
    match ms {
        0..10_000 => format!("{ms} ms"),
        10_000..=120_000 => format!("{s} s"),
        120_001..=7_200_000 => format!("{min} min"),
        7_200_001..=172_800_000 => format!("{h} h"),
        _ => format!("{} d", ms.div_ceil(86_400_000)),
    }
}

/// The end of a pause, if it ends by itself, in words.
fn until(until_at_ms: Option<u64>, shown: &Explanation) -> String {
    until_at_ms.map_or(String::new(), |at_ms| format!(" and goes on {}", span(at_ms, shown)))
}

/// The distance of an instant, in words.
fn span(at_ms: u64, shown: &Explanation) -> String {
    match at_ms.saturating_sub(shown.now_ms) {
        0 => "now".to_owned(),
        ms => format!("in {}", length(ms)),
    }
}
