//! The ledger: claim, extend, complete, release, records.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use kyu_broker::{
    LedgerClaim, LedgerComplete, LedgerEntryOf, LedgerExtend, LedgerKey, LedgerPut, LedgerRelease,
    LedgerState, ListLedger,
};

use crate::api::{
    Claimed, CompleteClaim, EntryExpiry, EntryState, ExtendClaim, InNamespace, LedgerEntry,
    LedgerPage, ListEntries, NewClaim, PutRecord, RecordVersion, ReleaseEntry,
};
use crate::call::{Call, after, cursor, list_size};
use crate::content::{bytes_of, text_or_base64};
use crate::limits::MAX_ITEMS;
use crate::operation::{Done, Empty, Json};
use crate::problem::{Code, Problem};

pub(super) async fn claim(
    call: &Call<'_>,
    query: InNamespace,
    Json(new): Json<NewClaim>,
) -> Result<Done<Claimed>, Problem> {
    let claimed = call.broker.ask(claim_command(key(call, query), new)).await?;
    Ok(show_claimed(claimed).into())
}

pub(super) async fn extend(
    call: &Call<'_>,
    query: InNamespace,
    Json(extend): Json<ExtendClaim>,
) -> Result<Done<EntryExpiry>, Problem> {
    let ExtendClaim { token, lease_ms } = extend;
    let command = LedgerExtend { key: key(call, query), token, lease_ms };
    let expires_at_ms = call.broker.ask(command).await?;
    Ok(EntryExpiry { expires_at_ms }.into())
}

pub(super) async fn complete(
    call: &Call<'_>,
    query: InNamespace,
    Json(complete): Json<CompleteClaim>,
) -> Result<Done<EntryExpiry>, Problem> {
    let expires_at_ms = call.broker.ask(complete_command(key(call, query), complete)?).await?;
    Ok(EntryExpiry { expires_at_ms }.into())
}

pub(super) async fn release(
    call: &Call<'_>,
    query: InNamespace,
    Json(ReleaseEntry { token }): Json<ReleaseEntry>,
) -> Result<Done<()>, Problem> {
    call.broker.ask(LedgerRelease { key: key(call, query), token }).await?;
    Ok(().into())
}

pub(super) async fn put(
    call: &Call<'_>,
    query: InNamespace,
    Json(put): Json<PutRecord>,
) -> Result<Done<RecordVersion>, Problem> {
    let version = call.broker.ask(put_command(key(call, query), put)?).await?;
    Ok(RecordVersion { version }.into())
}

pub(super) async fn get(
    call: &Call<'_>,
    query: InNamespace,
    _body: Empty,
) -> Result<Done<LedgerEntry>, Problem> {
    let entry = call.broker.look_up(LedgerEntryOf(key(call, query))).await?;
    Ok(show(entry.ok_or(Problem::of(Code::EntryNotFound))?, true).into())
}

pub(super) async fn list(
    call: &Call<'_>,
    query: ListEntries,
    _body: Empty,
) -> Result<Done<LedgerPage>, Problem> {
    let size = list_size(query.limit)?;
    let question = ListLedger {
        namespace: call.namespace(query.namespace),
        prefix: query.prefix.unwrap_or_default(),
        after: after(query.cursor.as_deref())?,
        max: (size + 1).min(MAX_ITEMS),
    };
    let mut found = call.broker.look_up(question).await?;
    let more = found.len() > size || (size == MAX_ITEMS && found.len() == size);
    found.truncate(size);
    let next_cursor = found.last().filter(|_| more).map(|last| cursor(&last.key.key));
    let items = found.into_iter().map(|entry| show(entry, false)).collect();
    Ok(LedgerPage { items, next_cursor }.into())
}

fn key(call: &Call<'_>, query: InNamespace) -> LedgerKey {
    LedgerKey { namespace: call.namespace(query.namespace), key: call.parameter(0).to_owned() }
}

pub(super) fn claim_command(key: LedgerKey, new: NewClaim) -> LedgerClaim {
    let NewClaim { fingerprint, lease_ms, holder } = new;
    LedgerClaim { key, fingerprint: fingerprint.into(), lease_ms, holder }
}

pub(super) fn complete_command(
    key: LedgerKey,
    complete: CompleteClaim,
) -> Result<LedgerComplete, Problem> {
    let CompleteClaim { token, result, result_base64, keep_ms } = complete;
    let result = match (result, result_base64) {
        (Some(text), None) => Bytes::from(text),
        (None, Some(encoded)) => bytes_of("result_base64", &encoded)?,
        (None, None) => Bytes::new(),
        (Some(_), Some(_)) => {
            let detail = "A completion has one of result and result_base64.";
            return Err(Problem::at("/result", detail));
        }
    };
    Ok(LedgerComplete { key, token, result, keep_ms })
}

pub(super) fn put_command(key: LedgerKey, put: PutRecord) -> Result<LedgerPut, Problem> {
    let value = match (put.value, put.value_base64) {
        (Some(text), None) => Bytes::from(text),
        (None, Some(encoded)) => bytes_of("value_base64", &encoded)?,
        (None, None) | (Some(_), Some(_)) => {
            return Err(Problem::at("/value", "A record has one of value and value_base64."));
        }
    };
    let (expected, keep_ms) = (put.expected_version, put.keep_ms);
    Ok(LedgerPut { key, expected, value, keep_ms })
}

pub(super) fn show_claimed(claimed: kyu_broker::Claimed) -> Claimed {
    match claimed {
        kyu_broker::Claimed::Run { token, until_ms } => {
            Claimed::Run { token, expires_at_ms: until_ms }
        }
        kyu_broker::Claimed::AlreadyDone { result, token, until_ms } => {
            let (result, result_base64) = text_or_base64(&result);
            Claimed::AlreadyDone { result, result_base64, token, expires_at_ms: until_ms }
        }
        kyu_broker::Claimed::HeldBySomebodyElse { holder, until_ms } => {
            Claimed::Held { holder, expires_at_ms: until_ms }
        }
        kyu_broker::Claimed::KeyReusedWithOtherInput => Claimed::KeyReused,
    }
}

fn show(entry: kyu_broker::LedgerEntry, with_value: bool) -> LedgerEntry {
    let (state, fingerprint, holder, value, expires_at_ms) = match entry.state {
        LedgerState::Claimed { fingerprint, holder, until_ms } => {
            (EntryState::Claimed, Some(fingerprint), Some(holder), None, Some(until_ms))
        }
        LedgerState::Done { fingerprint, result, until_ms } => {
            (EntryState::Done, Some(fingerprint), None, Some(result), Some(until_ms))
        }
        LedgerState::Record { value, until_ms } => {
            (EntryState::Record, None, None, Some(value), until_ms)
        }
    };
    let value = value.filter(|_| with_value);
    let (value, value_base64) = value.as_ref().map_or((None, None), text_or_base64);
    LedgerEntry {
        key: entry.key.key,
        state,
        token: entry.token,
        changed_at_ms: entry.at_ms,
        expires_at_ms,
        holder,
        fingerprint: fingerprint.map(|bytes| match std::str::from_utf8(&bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => BASE64.encode(&bytes),
        }),
        value,
        value_base64,
    }
}
