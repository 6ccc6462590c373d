//! The facts of the ledger, and their frozen binary form: effects 43 to 47, and snapshot blocks.

use bytes::Bytes;
use kyu_model::wire::{Malformed, Reader, Write};
use kyu_model::{LedgerEntry, LedgerKey, LedgerState, UnixMs};

use crate::machines::LedgerNumber;

/// The facts of ledger entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LedgerFact {
    Claimed {
        key: LedgerKey,
        at_ms: UnixMs,
        token: u64,
        until_ms: UnixMs,
        fingerprint: Bytes,
        holder: String,
    },
    Extended {
        key: LedgerKey,
        at_ms: UnixMs,
        until_ms: UnixMs,
    },
    Completed {
        key: LedgerKey,
        at_ms: UnixMs,
        until_ms: UnixMs,
        result: Bytes,
    },
    Forgotten {
        at_ms: UnixMs,
        keys: Vec<LedgerKey>,
    },
    Put {
        key: LedgerKey,
        at_ms: UnixMs,
        token: u64,
        until_ms: Option<UnixMs>,
        value: Bytes,
    },
}

/// A result up to this long may still be saved when the log is short of space, as an
/// acknowledgement may: the work is done, and forgetting that would do it again.
const SMALL_RESULT_BYTES: usize = 1_024;

impl LedgerFact {
    /// Returns true if the fact adds to what is stored: see [`crate::Effects::grows`].
    pub(crate) fn grows(&self) -> bool {
        match self {
            Self::Claimed { .. } | Self::Put { .. } => true,
            Self::Completed { result, .. } => result.len() > SMALL_RESULT_BYTES,
            Self::Extended { .. } | Self::Forgotten { .. } => false,
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Claimed { key, at_ms, token, until_ms, fingerprint, holder } => {
                out.u8(LedgerNumber::Claimed.into());
                encode_key(key, out);
                out.varint(*at_ms);
                out.varint(*token);
                out.varint(*until_ms);
                out.bytes(fingerprint);
                out.str(holder);
            }
            Self::Extended { key, at_ms, until_ms } => {
                out.u8(LedgerNumber::Extended.into());
                encode_key(key, out);
                out.varint(*at_ms);
                out.varint(*until_ms);
            }
            Self::Completed { key, at_ms, until_ms, result } => {
                out.u8(LedgerNumber::Completed.into());
                encode_key(key, out);
                out.varint(*at_ms);
                out.varint(*until_ms);
                out.bytes(result);
            }
            Self::Forgotten { at_ms, keys } => {
                out.u8(LedgerNumber::Forgotten.into());
                out.varint(*at_ms);
                out.varint(keys.len() as u64);
                for key in keys {
                    encode_key(key, out);
                }
            }
            Self::Put { key, at_ms, token, until_ms, value } => {
                out.u8(LedgerNumber::Put.into());
                encode_key(key, out);
                out.varint(*at_ms);
                out.varint(*token);
                out.opt_varint(*until_ms);
                out.bytes(value);
            }
        }
    }

    pub(crate) fn decode(number: LedgerNumber, r: &mut Reader) -> Result<Self, Malformed> {
        Ok(match number {
            LedgerNumber::Claimed => Self::Claimed {
                key: decode_key(r)?,
                at_ms: r.varint()?,
                token: r.varint()?,
                until_ms: r.varint()?,
                fingerprint: owned(r)?,
                holder: r.string()?,
            },
            LedgerNumber::Extended => {
                Self::Extended { key: decode_key(r)?, at_ms: r.varint()?, until_ms: r.varint()? }
            }
            LedgerNumber::Completed => Self::Completed {
                key: decode_key(r)?,
                at_ms: r.varint()?,
                until_ms: r.varint()?,
                result: owned(r)?,
            },
            LedgerNumber::Forgotten => Self::Forgotten {
                at_ms: r.varint()?,
                keys: (0..r.count()?).map(|_| decode_key(r)).collect::<Result<_, _>>()?,
            },
            LedgerNumber::Put => Self::Put {
                key: decode_key(r)?,
                at_ms: r.varint()?,
                token: r.varint()?,
                until_ms: r.opt_varint()?,
                value: owned(r)?,
            },
        })
    }
}

/// Reads bytes into a buffer of their own, because a slice would keep the whole record in memory.
fn owned(r: &mut Reader) -> Result<Bytes, Malformed> {
    Ok(Bytes::copy_from_slice(&r.bytes()?))
}

fn encode_key(key: &LedgerKey, out: &mut Vec<u8>) {
    out.str(&key.namespace);
    out.str(&key.key);
}

fn decode_key(r: &mut Reader) -> Result<LedgerKey, Malformed> {
    Ok(LedgerKey { namespace: r.string()?, key: r.string()? })
}

/// An entry in a snapshot.
pub(crate) fn encode_entry(entry: &LedgerEntry, out: &mut Vec<u8>) {
    encode_key(&entry.key, out);
    out.varint(entry.token);
    out.varint(entry.at_ms);
    match &entry.state {
        LedgerState::Claimed { fingerprint, holder, until_ms } => {
            out.u8(0);
            out.bytes(fingerprint);
            out.str(holder);
            out.varint(*until_ms);
        }
        LedgerState::Done { fingerprint, result, until_ms } => {
            out.u8(1);
            out.bytes(fingerprint);
            out.bytes(result);
            out.varint(*until_ms);
        }
        LedgerState::Record { value, until_ms } => {
            out.u8(2);
            out.bytes(value);
            out.opt_varint(*until_ms);
        }
    }
}

pub(crate) fn decode_entry(r: &mut Reader) -> Result<LedgerEntry, Malformed> {
    Ok(LedgerEntry {
        key: decode_key(r)?,
        token: r.varint()?,
        at_ms: r.varint()?,
        state: match r.u8()? {
            0 => LedgerState::Claimed {
                fingerprint: owned(r)?,
                holder: r.string()?,
                until_ms: r.varint()?,
            },
            1 => LedgerState::Done {
                fingerprint: owned(r)?,
                result: owned(r)?,
                until_ms: r.varint()?,
            },
            2 => LedgerState::Record { value: owned(r)?, until_ms: r.opt_varint()? },
            _ => return Err(Malformed("ledger entry")),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::Effects;

    /// These bytes are on disks: this test may get new rows, never changed ones.
    #[test]
    fn golden_bytes() {
        let key = || LedgerKey { namespace: "n".into(), key: "k".into() };
        let bytes = || Bytes::from_static(b"b");
        let samples = [
            (
                LedgerFact::Claimed {
                    key: key(),
                    at_ms: 1,
                    token: 300,
                    until_ms: 3,
                    fingerprint: bytes(),
                    holder: "h".into(),
                },
                "2b016e016b01ac020301620168",
            ),
            (LedgerFact::Extended { key: key(), at_ms: 1, until_ms: 2 }, "2c016e016b0102"),
            (
                LedgerFact::Completed { key: key(), at_ms: 1, until_ms: 2, result: bytes() },
                "2d016e016b01020162",
            ),
            (LedgerFact::Forgotten { at_ms: 1, keys: vec![key()] }, "2e0101016e016b"),
            (
                LedgerFact::Put {
                    key: key(),
                    at_ms: 1,
                    token: 2,
                    until_ms: Some(3),
                    value: bytes(),
                },
                "2f016e016b010201030162",
            ),
        ];
        for (effect, golden) in samples {
            let mut effects = Effects::default();
            effects.push(effect);
            let hex: String = effects.bytes().iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, golden, "{effects:?}");
            assert_eq!(Effects::decode(effects.bytes()).unwrap().list, effects.list);
            for end in 1..effects.bytes().len() {
                assert!(Effects::decode(&effects.bytes()[..end]).is_err(), "cut at {end}");
            }
        }
    }

    #[test]
    fn an_entry_survives_its_snapshot_form() {
        let bytes = || Bytes::from_static(b"b");
        for state in [
            LedgerState::Claimed { fingerprint: bytes(), holder: "h".into(), until_ms: 1 },
            LedgerState::Done { fingerprint: bytes(), result: bytes(), until_ms: 1 },
            LedgerState::Record { value: bytes(), until_ms: None },
        ] {
            let key = LedgerKey { namespace: String::new(), key: "k".into() };
            let entry = LedgerEntry { key, token: 5, at_ms: 6, state };
            let mut out = Vec::new();
            encode_entry(&entry, &mut out);
            let mut reader = Reader::new(out.into());
            assert_eq!(decode_entry(&mut reader), Ok(entry));
            assert_eq!(reader.remaining(), 0);
        }
    }
}
