//! Ways in for the fuzz targets (`fuzz/`): every parser that reads bytes of a client. Not part of
//! the API.

/// Reads bytes as the first packet of a connection.
pub fn startup(bytes: &[u8]) {
    crate::wire::fuzz_startup(bytes);
}

/// Reads bytes as messages, one after another, and their values as parameters of every type.
pub fn messages(bytes: &[u8]) {
    crate::wire::fuzz_messages(bytes);
}
