//! Reading big-endian numbers and texts off the front of a message or a value.

use kyu_pgsql::error::PgError;

/// The rest of a message's body, or of a value, that has not been read yet. Errors are ERROR 08P01,
/// in Postgres' words.
#[derive(Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes not read yet.
    pub(super) fn remaining(&self) -> usize {
        self.0.len()
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], PgError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or_else(insufficient)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PgError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or_else(insufficient)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn i32(&mut self) -> Result<i32, PgError> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, PgError> {
        self.array().map(u16::from_be_bytes)
    }

    /// A text with a zero behind it.
    pub(super) fn text(&mut self) -> Result<&'a str, PgError> {
        let end = memchr::memchr(0, self.0)
            .ok_or_else(|| PgError::new("08P01", "invalid string in message"))?;
        let bytes = self.take(end)?;
        self.take(1)?;
        utf8(bytes)
    }
}

fn insufficient() -> PgError {
    PgError::new("08P01", "insufficient data left in message")
}

/// Text of a client, or 22021 in Postgres' words.
pub(super) fn utf8(bytes: &[u8]) -> Result<&str, PgError> {
    std::str::from_utf8(bytes).map_err(|error| {
        let wrong = bytes.get(error.valid_up_to()..).unwrap_or_default();
        let length = error.error_len().unwrap_or(wrong.len());
        let shown: Vec<String> =
            wrong.iter().take(length).map(|byte| format!("0x{byte:02x}")).collect();
        let message = format!("invalid byte sequence for encoding \"UTF8\": {}", shown.join(" "));
        PgError::new("22021", message)
    })
}
