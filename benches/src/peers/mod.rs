//! Other systems under the same load generator in the same run, set to acknowledge only what is on
//! disk, as Kyu does. Each is started from what this machine has installed; nothing is linked in.

pub(crate) mod redis;
mod resp;
