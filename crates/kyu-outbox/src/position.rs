//! The position of a relay, as Kyu's ledger keeps it.

use std::fmt;
use std::str::FromStr;

use crate::source::OutboxRow;

/// Text: `RELAY PLACE source:IDENTITY`. Relays before the identity wrote it without the last word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// The relay that moved it last.
    pub(crate) relay: String,
    pub(crate) place: Place,
    /// The outbox that it is a position in; None until a relay that knows of identities has been
    /// there.
    pub(crate) source: Option<String>,
}

/// The prefix of the identity of the outbox in a text.
const SOURCE: &str = "source:";

/// The part of a source that is in Kyu.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The place of polling: every row up to `(xid, id)`. Text: `XID ID`.
    Polling { xid: u64, id: i64 },
    /// The place of logical replication. Text: `wal SLOT SYSTEM TIMELINE LSN ROWS KEYS`.
    Wal(WalPlace),
}

/// Every row of transactions that committed before `at`, and every row that was in the outbox and
/// is not any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WalPlace {
    pub(crate) slot: String,
    /// `None` while the slot is to be made: then the table says what is not in Kyu. Text: `- - - -`.
    pub(crate) at: Option<StreamPlace>,
    /// Rows that are in Kyu and perhaps still in the outbox: those of the last step.
    pub(crate) keys: Vec<KeyRun>,
}

/// A place in the log of one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StreamPlace {
    /// The cluster's system identifier, and its timeline: numbers of others mean other places.
    pub(crate) system: u64,
    pub(crate) timeline: u32,
    /// The record that committed a transaction.
    pub(crate) lsn: Lsn,
    /// The number of its rows that are in Kyu.
    pub(crate) rows: u64,
}

/// Rows of one transaction with consecutive numbers. Text: `XID:FIRST-LAST`, or `XID:FIRST`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyRun {
    pub(crate) xid: u64,
    pub(crate) first: i64,
    pub(crate) last: i64,
}

/// A place in Postgres' log. Text as Postgres writes it: `16/B374D848`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lsn(pub(crate) u64);

impl Position {
    pub(crate) fn moved_to(&self, place: Place) -> Self {
        Self { place, ..self.clone() }
    }

    /// The same place, as one of this outbox.
    pub(crate) fn bound_to(&self, source: &str) -> Self {
        Self { source: Some(source.to_owned()), ..self.clone() }
    }

    /// The position when these rows, which come next, are in Kyu.
    pub(crate) fn after(&self, rows: &[OutboxRow]) -> Self {
        let place = match (&self.place, rows.last()) {
            (place, None) => place.clone(),
            (Place::Polling { .. }, Some(last)) => Place::Polling { xid: last.xid, id: last.id },
            (Place::Wal(place), Some(last)) => Place::Wal(WalPlace {
                slot: place.slot.clone(),
                at: place.at.as_ref().map(|at| match last.commit {
                    Some((lsn, rows)) => StreamPlace { lsn, rows, ..at.clone() },
                    None => at.clone(),
                }),
                keys: KeyRun::of(rows),
            }),
        };
        self.moved_to(place)
    }
}

impl KeyRun {
    /// The keys of rows, in their order.
    pub(crate) fn of(rows: &[OutboxRow]) -> Vec<Self> {
        let mut runs: Vec<Self> = Vec::new();
        for row in rows {
            match runs.last_mut() {
                Some(run) if run.xid == row.xid && run.last.checked_add(1) == Some(row.id) => {
                    run.last = row.id;
                }
                _ => runs.push(Self { xid: row.xid, first: row.id, last: row.id }),
            }
        }
        runs
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.relay, self.place)?;
        match &self.source {
            Some(source) => write!(f, " {SOURCE}{source}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match self {
            Self::Polling { xid, id } => return write!(f, "{xid} {id}"),
            Self::Wal(place) => place,
        };
        write!(f, "wal {}", place.slot)?;
        match &place.at {
            Some(at) => write!(f, " {} {} {} {} ", at.system, at.timeline, at.lsn, at.rows)?,
            None => f.write_str(" - - - - ")?,
        }
        if place.keys.is_empty() {
            f.write_str("-")?;
        }
        for (n, run) in place.keys.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            write!(f, "{comma}{}:{}", run.xid, run.first)?;
            if run.last != run.first {
                write!(f, "-{}", run.last)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & u64::from(u32::MAX))
    }
}

impl FromStr for Lsn {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (high, low) = text.split_once('/').ok_or(())?;
        let part = |text| u32::from_str_radix(text, 16).map(u64::from).map_err(|_| ());
        Ok(Self(part(high)? << 32 | part(low)?))
    }
}

impl FromStr for Position {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words: Vec<&str> = text.split(' ').collect();
        let source = words.last().and_then(|word| word.strip_prefix(SOURCE)).map(str::to_owned);
        if source.is_some() {
            words.pop();
        }
        let place = match words.as_slice() {
            [_, xid, id] => polling(xid, id),
            [_, "wal", slot, at @ .., keys] => wal(slot, at, keys),
            _ => None,
        };
        let relay = words.first().filter(|relay| !relay.is_empty());
        let position =
            relay.zip(place).map(|(relay, place)| Self { relay: (*relay).into(), place, source });
        position.ok_or_else(|| format!("the position {text:?} is none of a relay"))
    }
}

fn polling(xid: &str, id: &str) -> Option<Place> {
    Some(Place::Polling { xid: xid.parse().ok()?, id: id.parse().ok()? })
}

fn wal(slot: &str, at: &[&str], keys: &str) -> Option<Place> {
    let at = match at {
        ["-", "-", "-", "-"] => None,
        [system, timeline, lsn, rows] => Some(StreamPlace {
            system: system.parse().ok()?,
            timeline: timeline.parse().ok()?,
            lsn: lsn.parse().ok()?,
            rows: rows.parse().ok()?,
        }),
        _ => return None,
    };
    let run = |text: &str| {
        let (xid, ids) = text.split_once(':')?;
        let (first, last) = ids.split_once('-').unwrap_or((ids, ids));
        Some(KeyRun {
            xid: xid.parse().ok()?,
            first: first.parse().ok()?,
            last: last.parse().ok()?,
        })
    };
    let keys = match keys {
        "-" => Vec::new(),
        keys => keys.split(',').map(run).collect::<Option<Vec<_>>>()?,
    };
    Some(Place::Wal(WalPlace { slot: slot.to_owned(), at, keys }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Target;

    fn wal_position() -> Position {
        let at = StreamPlace { system: u64::MAX, timeline: 3, lsn: Lsn(0x16_B374_D848), rows: 2 };
        let keys = vec![
            KeyRun { xid: 7, first: 1, last: 3 },
            KeyRun { xid: 8, first: i64::MAX, last: i64::MAX },
        ];
        let place = WalPlace { slot: "kyu_outbox_a".into(), at: Some(at), keys };
        Position { relay: "a1".into(), place: Place::Wal(place), source: None }
    }

    /// Frozen: a newer relay reads what an older one has left.
    #[test]
    fn positions_have_these_texts() {
        let polling = Place::Polling { xid: u64::MAX, id: 7 };
        let polling = Position { relay: "a1".into(), place: polling, source: None };
        let bound = polling.bound_to("0b5e");
        let made = WalPlace { slot: "s".into(), at: None, keys: Vec::new() };
        let made = Position { relay: "a1".into(), place: Place::Wal(made), source: None };
        for (position, text) in [
            (polling, "a1 18446744073709551615 7"),
            (bound, "a1 18446744073709551615 7 source:0b5e"),
            (made.bound_to("0b5e"), "a1 wal s - - - - - source:0b5e"),
            (
                wal_position(),
                "a1 wal kyu_outbox_a 18446744073709551615 3 16/B374D848 2 \
                 7:1-3,8:9223372036854775807",
            ),
            (made, "a1 wal s - - - - -"),
        ] {
            assert_eq!(position.to_string(), text);
            assert_eq!(text.parse(), Ok(position));
        }
        for bad in [
            "",
            "a1",
            "a1 x 7",
            "a1 1",
            " 1 2",
            "a1 wal s",
            "a1 wal s 1 1 0/0 0",
            "a1 wal s - - - - 7",
        ] {
            assert!(bad.parse::<Position>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn it_moves_to_the_last_row_and_names_the_rows_of_the_step() {
        let row = |xid, id, rows| OutboxRow {
            xid,
            id,
            commit: Some((Lsn(9), rows)),
            to: Target::Queue("q".into()),
            message: None,
            headers: None,
            visible_at: None,
            too_large: false,
        };
        let after = wal_position().after(&[row(7, 4, 1), row(7, 5, 2), row(9, 6, 1), row(9, 8, 2)]);
        let Place::Wal(place) = after.place else { panic!() };
        assert_eq!(place.at.map(|at| (at.lsn, at.rows, at.timeline)), Some((Lsn(9), 2, 3)));
        let run = |xid, first, last| KeyRun { xid, first, last };
        assert_eq!(place.keys, [run(7, 4, 5), run(9, 6, 6), run(9, 8, 8)]);
        assert_eq!(wal_position().after(&[]), wal_position());
    }
}
