//! The Postgres protocol, version 3: bytes in, statements out, rows back.

pub mod oid;
