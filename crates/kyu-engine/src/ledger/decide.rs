//! The ledger: claims of work that must be done once, and records that are compared and set.

use bytes::Bytes;
use kyu_model::limits::{
    MAX_FINGERPRINT_BYTES, MAX_KEY_BYTES, MAX_LEASE_MS, MAX_LEDGER_BYTES, MAX_LEDGER_KEEP_MS,
    MAX_LEDGER_VALUE_BYTES,
};
use kyu_model::{
    Claimed, Context, LedgerAnswer, LedgerClaim, LedgerCommand, LedgerComplete, LedgerEntry,
    LedgerExtend, LedgerKey, LedgerPut, LedgerQuery, LedgerRefusal, LedgerRelease, LedgerReply,
    LedgerState, Refusal, Reply, UnixMs,
};

use crate::decision::{Wait, Wrapped};
use crate::effect::Effects;
use crate::ledger::record::LedgerFact;
use crate::state::State;

type Done = Result<LedgerReply, Refusal>;

pub(crate) fn decide(
    state: &State,
    command: &LedgerCommand,
    ctx: &Context,
    effects: &mut Effects,
) -> Wrapped {
    let reply = match command {
        LedgerCommand::Claim(c) => claim(state, c, ctx, effects),
        LedgerCommand::Extend(c) => extend(state, c, ctx, effects),
        LedgerCommand::Complete(c) => complete(state, c, ctx, effects),
        LedgerCommand::Release(c) => release(state, c, ctx, effects),
        LedgerCommand::Put(c) => put(state, c, ctx, effects),
    };
    Ok((Reply::Ledger(reply?), Wait::Record))
}

/// Forgets entries whose time is over. Returns true if there may be more of them.
pub(crate) fn sweep(state: &State, ctx: &Context, effects: &mut Effects) -> bool {
    let keys = state.ledger.due(ctx.now_ms);
    let more = keys.len() >= kyu_model::limits::MAX_TICK_MESSAGES;
    if !keys.is_empty() {
        push(effects, LedgerFact::Forgotten { at_ms: ctx.now_ms, keys });
    }
    more
}

fn claim(state: &State, c: &LedgerClaim, ctx: &Context, effects: &mut Effects) -> Done {
    check_key(&c.key)?;
    check(c.fingerprint.len() <= MAX_FINGERPRINT_BYTES, "fingerprint")?;
    check(c.holder.len() <= MAX_KEY_BYTES, "holder")?;
    let until_ms = lease_end(c.lease_ms, ctx)?;
    let mut token = *state.next_token;
    if let Some(entry) = state.ledger.live(&c.key, ctx.now_ms) {
        match &entry.state {
            LedgerState::Record { .. } => return refuse(LedgerRefusal::OtherKind),
            LedgerState::Claimed { fingerprint, .. } | LedgerState::Done { fingerprint, .. }
                if *fingerprint != c.fingerprint =>
            {
                return Ok(LedgerReply::Claimed(Claimed::KeyReusedWithOtherInput));
            }
            LedgerState::Done { result, until_ms, .. } => {
                let (result, until_ms) = (result.clone(), *until_ms);
                let done = Claimed::AlreadyDone { result, token: entry.token, until_ms };
                return Ok(LedgerReply::Claimed(done));
            }
            LedgerState::Claimed { holder, until_ms, .. } if *until_ms > ctx.now_ms => {
                if c.holder.is_empty() || *holder != c.holder {
                    let (holder, until_ms) = (holder.clone(), *until_ms);
                    let held = Claimed::HeldBySomebodyElse { holder, until_ms };
                    return Ok(LedgerReply::Claimed(held));
                }
                token = entry.token;
            }
            LedgerState::Claimed { .. } => {}
        }
    }
    check_room(state)?;
    let effect = LedgerFact::Claimed {
        key: c.key.clone(),
        at_ms: ctx.now_ms,
        token,
        until_ms,
        fingerprint: detached(&c.fingerprint),
        holder: c.holder.clone(),
    };
    push(effects, effect);
    Ok(LedgerReply::Claimed(Claimed::Run { token, until_ms }))
}

fn extend(state: &State, c: &LedgerExtend, ctx: &Context, effects: &mut Effects) -> Done {
    let until_ms = lease_end(c.lease_ms, ctx)?;
    claimed_under(state, &c.key, c.token, ctx)?;
    push(effects, LedgerFact::Extended { key: c.key.clone(), at_ms: ctx.now_ms, until_ms });
    Ok(LedgerReply::Extended { until_ms })
}

fn complete(state: &State, c: &LedgerComplete, ctx: &Context, effects: &mut Effects) -> Done {
    check(c.result.len() <= MAX_LEDGER_VALUE_BYTES, "result")?;
    let until_ms = keep_end(c.keep_ms, ctx)?;
    // Asked again because the answer was lost.
    if let Some(LedgerEntry { state: LedgerState::Done { result, until_ms, .. }, token, .. }) =
        state.ledger.live(&c.key, ctx.now_ms)
        && (*token, result) == (c.token, &c.result)
    {
        return Ok(LedgerReply::Completed { until_ms: *until_ms });
    }
    claimed_under(state, &c.key, c.token, ctx)?;
    let result = detached(&c.result);
    let effect = LedgerFact::Completed { key: c.key.clone(), at_ms: ctx.now_ms, until_ms, result };
    push(effects, effect);
    Ok(LedgerReply::Completed { until_ms })
}

fn release(state: &State, c: &LedgerRelease, ctx: &Context, effects: &mut Effects) -> Done {
    let entry = state.ledger.live(&c.key, ctx.now_ms).filter(|entry| entry.token == c.token);
    if entry.is_none() {
        return refuse(LedgerRefusal::TokenLost);
    }
    push(effects, LedgerFact::Forgotten { at_ms: ctx.now_ms, keys: vec![c.key.clone()] });
    Ok(LedgerReply::Released)
}

fn put(state: &State, c: &LedgerPut, ctx: &Context, effects: &mut Effects) -> Done {
    check_key(&c.key)?;
    check(c.value.len() <= MAX_LEDGER_VALUE_BYTES, "value")?;
    let until_ms = c.keep_ms.map(|keep_ms| keep_end(keep_ms, ctx)).transpose()?;
    let version = match state.ledger.live(&c.key, ctx.now_ms) {
        None => None,
        Some(LedgerEntry { state: LedgerState::Record { .. }, token, .. }) => Some(*token),
        Some(_) => return refuse(LedgerRefusal::OtherKind),
    };
    if version != c.expected {
        return refuse(LedgerRefusal::Conflict { version });
    }
    check_room(state)?;
    let token = *state.next_token;
    let value = detached(&c.value);
    let effect = LedgerFact::Put { key: c.key.clone(), at_ms: ctx.now_ms, token, until_ms, value };
    push(effects, effect);
    Ok(LedgerReply::Put { version: token })
}

/// The claim of a key, if this token is its; also one whose time is over, until another takes it.
fn claimed_under(state: &State, key: &LedgerKey, token: u64, ctx: &Context) -> Result<(), Refusal> {
    match state.ledger.live(key, ctx.now_ms) {
        Some(LedgerEntry { state: LedgerState::Claimed { .. }, token: of_claim, .. })
            if *of_claim == token =>
        {
            Ok(())
        }
        _ => Err(Refusal::Ledger(LedgerRefusal::TokenLost)),
    }
}

fn check_key(key: &LedgerKey) -> Result<(), Refusal> {
    let fits = key.namespace.len() <= MAX_KEY_BYTES && key.key.len() <= MAX_KEY_BYTES;
    check(fits && !key.key.is_empty(), "key")
}

fn check(fine: bool, what: &'static str) -> Result<(), Refusal> {
    if fine { Ok(()) } else { Err(Refusal::Ledger(LedgerRefusal::Malformed(what))) }
}

fn check_room(state: &State) -> Result<(), Refusal> {
    if state.ledger.stats().bytes >= MAX_LEDGER_BYTES {
        return Err(Refusal::LimitExceeded("bytes of the ledger"));
    }
    Ok(())
}

fn lease_end(lease_ms: u64, ctx: &Context) -> Result<UnixMs, Refusal> {
    check((1..=MAX_LEASE_MS).contains(&lease_ms), "lease_ms")?;
    Ok(ctx.now_ms.saturating_add(lease_ms))
}

fn keep_end(keep_ms: u64, ctx: &Context) -> Result<UnixMs, Refusal> {
    check(keep_ms <= MAX_LEDGER_KEEP_MS, "keep_ms")?;
    Ok(ctx.now_ms.saturating_add(keep_ms))
}

fn refuse(refusal: LedgerRefusal) -> Done {
    Err(Refusal::Ledger(refusal))
}

/// Returns a copy of the bytes for the state, which must not keep a door's whole buffer in memory.
fn detached(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

fn push(effects: &mut Effects, effect: LedgerFact) {
    effects.push(effect);
}

pub(crate) fn answer(state: &State, query: &LedgerQuery) -> LedgerAnswer {
    match query {
        LedgerQuery::Get(key) => {
            LedgerAnswer::Entry(state.ledger.get(key).map(|entry| (**entry).clone()))
        }
        LedgerQuery::List { namespace, prefix, after, max } => {
            LedgerAnswer::Entries(state.ledger.list(namespace, prefix, after.as_deref(), *max))
        }
        LedgerQuery::Stats => LedgerAnswer::Stats(state.ledger.stats()),
    }
}
