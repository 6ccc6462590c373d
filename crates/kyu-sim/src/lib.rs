//! Seeded simulation: random clients, faults and restarts against the whole server below the doors.
//!
//! One run is `kyu_broker::Core` over `kyu_log` on its simulated disk, on one thread, with everything
//! from one seed: what clients ask, how time passes, when the power goes, which sector tears. An
//! auditor watches requests, answers and restarts from outside and keeps books of its own; a second,
//! inner check compares the state after every restart with the state that the log had at that place.
//! `docs/adr/0005-simulation.md` says what is promised, what is tested, and what is not.

mod audit;
mod cast;
mod clients;
mod content;
mod coverage;
mod flips;
mod jobs;
mod lives;
mod random;
mod run;
mod tables;
mod timed;
mod topics;
mod trace;
mod violation;
mod world;

pub use coverage::{Coverage, Event};
pub use kyu_log::SyncMode;
pub use run::{Options, Report, run};
pub use trace::Trace;
pub use violation::Violation;
