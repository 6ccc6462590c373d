//! Retry budgets and breakers of a queue: list.

use kyu_broker::{Answer, BreakerState, GuardStats, Query};

use crate::api::{BreakerStatus, GuardPage, GuardStatus, Page};
use crate::call::{Call, after, cursor, list_size};
use crate::limits::MAX_ITEMS;
use crate::operation::{Done, Empty};
use crate::problem::Problem;

pub(super) async fn list(
    call: &Call<'_>,
    query: Page,
    _body: Empty,
) -> Result<Done<GuardPage>, Problem> {
    let size = list_size(query.limit)?;
    let after = after(query.cursor.as_deref())?;
    let queue = call.queue(query.namespace)?.id;
    let question = Query::Guards { queue, after, max: (size + 1).min(MAX_ITEMS) };
    let Answer::Guards(mut found) = call.broker.query(question).await? else {
        return Err(Problem::internal());
    };
    let more = found.len() > size || (size == MAX_ITEMS && found.len() == size);
    found.truncate(size);
    let last = found.last().filter(|_| more);
    // A page of nothing but the guard without a key ends before all others.
    let next_cursor = last.map(|last| cursor(last.key.as_deref().unwrap_or_default()));
    Ok(GuardPage { items: found.into_iter().map(status).collect(), next_cursor }.into())
}

fn status(from: GuardStats) -> GuardStatus {
    let GuardStats { key, breaker, successes, failures, tokens, held } = from;
    let breaker = breaker.map(|state| match state {
        BreakerState::Closed => BreakerStatus::Closed,
        BreakerState::Open { until_ms } => BreakerStatus::Open { until_at_ms: until_ms },
        BreakerState::HalfOpen { in_flight, succeeded } => {
            BreakerStatus::HalfOpen { in_flight, succeeded }
        }
        BreakerState::SlowStart { in_flight, allowed } => {
            BreakerStatus::SlowStart { in_flight, allowed }
        }
    });
    GuardStatus { key, breaker, successes, failures, tokens, held }
}
