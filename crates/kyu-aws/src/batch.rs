//! The parts that the three batch actions share: rules for the batch as a whole, and the answer
//! entry by entry.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::address::is_plain;
use crate::error::Error;
use crate::limits::MAX_BATCH_ENTRIES;
use crate::wire::Text;

/// An entry that was not done.
#[derive(Debug, Serialize)]
#[serde(rename = "BatchResultErrorEntry", rename_all = "PascalCase")]
pub(crate) struct FailedEntry {
    id: String,
    sender_fault: bool,
    code: &'static str,
    message: String,
}

impl FailedEntry {
    pub(crate) fn new(id: String, error: &Error) -> Self {
        let row = error.row();
        // Recorded from AWS: in a batch the same rule reads a little differently.
        let message = error.to_string().replacen(
            "One or more parameters are invalid.",
            "One or more parameters cannot be validated.",
            1,
        );
        let sender_fault = !row.status.is_server_error();
        Self { id, sender_fault, code: row.query_code, message }
    }
}

/// Checks number and ids of the entries, and returns the ids.
pub(crate) fn check<'a>(
    entry_type: &'static str,
    sent: usize,
    ids: impl Iterator<Item = Option<&'a Text<'a>>>,
) -> Result<Vec<String>, Error> {
    if sent == 0 {
        return Err(Error::EmptyBatchRequest { entry_type });
    }
    if sent > MAX_BATCH_ENTRIES {
        return Err(Error::TooManyEntriesInBatchRequest { sent });
    }
    let mut seen = BTreeSet::new();
    let mut checked = Vec::with_capacity(sent);
    for (at, id) in ids.enumerate() {
        let id = id.ok_or_else(|| Error::missing(&format!("{entry_type}.{}.Id", at + 1)))?;
        if !is_plain(id) {
            return Err(Error::InvalidBatchEntryId);
        }
        if !seen.insert(&**id) {
            return Err(Error::BatchEntryIdsNotDistinct { id: id.to_string() });
        }
        checked.push(id.to_string());
    }
    Ok(checked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(ids: &[&str]) -> Result<Vec<String>, Error> {
        let ids: Vec<_> = ids.iter().map(|id| Text((*id).into())).collect();
        check("E", ids.len(), ids.iter().map(Some))
    }

    #[test]
    fn batches_as_a_whole() {
        assert_eq!(checked(&["a", "b"]).unwrap(), ["a", "b"]);
        assert_eq!(checked(&[]), Err(Error::EmptyBatchRequest { entry_type: "E" }));
        assert_eq!(checked(&["x"; 11]), Err(Error::TooManyEntriesInBatchRequest { sent: 11 }));
        assert_eq!(checked(&["a", "a"]), Err(Error::BatchEntryIdsNotDistinct { id: "a".into() }));
        for bad in ["", "a:b", &"x".repeat(81)] {
            assert_eq!(checked(&[bad]), Err(Error::InvalidBatchEntryId));
        }
        assert_eq!(check("E", 1, [None].into_iter()), Err(Error::missing("E.1.Id")));
    }
}
