//! Where a relay stands, as Kyu's ledger keeps it.

use std::fmt;
use std::str::FromStr;

/// Everything up to `(xid, id)` is in Kyu. Text: `RELAY XID ID`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// The relay that moved it last.
    pub(crate) relay: String,
    pub(crate) xid: u64,
    pub(crate) id: i64,
}

impl Position {
    pub(crate) fn moved_to(&self, xid: u64, id: i64) -> Self {
        Self { relay: self.relay.clone(), xid, id }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.relay, self.xid, self.id)
    }
}

impl FromStr for Position {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unreadable = || format!("the position {text:?} is none of a relay");
        let mut words = text.split(' ');
        let (relay, xid, id) = (words.next(), words.next(), words.next());
        Ok(Self {
            relay: relay.filter(|relay| !relay.is_empty()).ok_or_else(unreadable)?.to_owned(),
            xid: xid.and_then(|xid| xid.parse().ok()).ok_or_else(unreadable)?,
            id: id.and_then(|id| id.parse().ok()).ok_or_else(unreadable)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_survives_its_text_and_nonsense_is_refused() {
        let position = Position { relay: "a1".into(), xid: u64::MAX, id: 7 };
        assert_eq!(position.to_string().parse(), Ok(position));
        for bad in ["", "a1", "a1 x 7", "a1 1", " 1 2"] {
            assert!(bad.parse::<Position>().is_err(), "{bad:?}");
        }
    }
}
