//! The server and its namespaces.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServerInfo {
    /// Version of the program.
    pub version: String,
    /// Namespace of requests that name none.
    pub namespace: String,
    /// Rises by one with every start on the same data.
    pub epoch: u32,
    /// The server's time.
    pub now_ms: u64,
    /// Queues in all namespaces.
    pub queues: u64,
}

/// The counts of the server since it started, and its measures now. Names as in `/metrics`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServerStats {
    /// Values that only rise.
    pub counters: BTreeMap<String, u64>,
    /// Values that rise and fall.
    pub gauges: BTreeMap<String, u64>,
}

/// A tenant: queues and exchanges of different namespaces never meet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// Requests that name no namespace mean this one.
    pub is_default: bool,
}

/// The namespaces that have queues, and the server's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Namespaces {
    /// In order of name.
    pub items: Vec<Namespace>,
}
