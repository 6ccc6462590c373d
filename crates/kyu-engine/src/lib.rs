//! The queue engine: a pure, deterministic state machine.
//!
//! Commands are decided into effects, effects go to the log, and applying them is the only way
//! state changes: `state == replay(log)` at every position. The engine knows no clock, no
//! randomness, no I/O and no threads; time and random bits come in with each command.
//!
//! ```text
//!            enqueue                    acquire                   ack
//!  (nothing) ------> DELAYED --time--> READY ------> LEASED/HELD ----> (gone)
//!               \______________________^ ^                 |  |
//!                                        \__ release, lapse, end of session
//!                                                           |
//!                 received too often, or dead -----> READY in the dead-letter queue
//! ```
//!
//! Bodies are not here: a message knows the address of its [`Frame`] in the log.
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

mod apply;
mod apply_exchange;
mod apply_ledger;
mod apply_limits;
mod apply_retry;
mod apply_schedule;
mod ask;
mod attempts;
mod by_seq;
mod chunk;
mod claim;
mod codec;
mod command;
mod config;
mod config_codec;
mod content;
mod dead;
mod dead_letters;
mod decide;
mod dedup;
mod document;
mod effect;
mod ends;
mod engine;
mod exchange;
mod exchange_codec;
mod explain;
mod finished;
mod frame;
mod frames;
#[cfg(test)]
mod golden;
mod guard;
mod guard_codec;
mod guard_keys;
mod guard_stats;
mod ids;
mod intervene;
mod lane;
mod lane_limits;
mod lane_policy;
mod ledger;
mod ledger_codec;
pub mod limits;
mod load_error;
mod machines;
mod matcher;
mod message;
mod message_codec;
mod message_fact;
mod move_task_fact;
mod pause_ends;
mod picks;
mod queue;
mod queue_fact;
mod queue_guards;
mod rate;
mod reply;
mod retention;
mod retry;
mod retry_codec;
mod retry_fact;
mod schedule;
mod schedule_codec;
mod seq_set;
mod slow_start;
mod snapshot;
mod snapshot_ends;
mod snapshot_keys;
mod snapshot_limits;
mod snapshot_retry;
mod snapshot_task;
mod state;
mod trail;
mod unique;

pub use kyu_machine::wire;

pub use ask::*;
pub use by_seq::*;
pub use command::*;
pub use config::*;
pub use content::{Attribute, AttributeValue, Content, Property, SCHEDULED_AT};
pub use decide::{Decision, Wait, archive_name};
pub use document::{Document, List, Place};
pub use effect::Effects;
pub use ends::{End, EndKind};
pub use engine::{Engine, LiveFrame};
pub use exchange::{
    BindingConfig, BindingId, BindingInfo, ExchangeConfig, ExchangeId, ExchangeInfo, ExchangeStats,
};
pub use explain::{Event, ExplainedMessage, Explanation, Gone, Happened, Reason, Verdict};
pub use frame::Frame;
pub use guard_stats::{BreakerState, GuardStats};
pub use ids::*;
pub use intervene::{Chosen, Intervene, Intervened, Intervention};
pub use lane_policy::{Fairness, LaneLimits, RateLimit};
pub use ledger::{
    Claimed, LAPSED_CLAIM_KEPT_MS, LedgerAnswer, LedgerClaim, LedgerCommand, LedgerComplete,
    LedgerEntry, LedgerExtend, LedgerKey, LedgerPut, LedgerQuery, LedgerRefusal, LedgerRelease,
    LedgerReply, LedgerState, LedgerStats,
};
pub use load_error::LoadError;
pub use matcher::*;
pub use message::Phase;
pub use reply::*;
pub use retention::RetentionFrom;
pub use retry::*;
pub use schedule::{
    BackfillSchedule, Backfilled, CatchUp, CreateSchedule, MessageTemplate, NextRun, OverlapPolicy,
    RunOutcome, ScheduleAnswer, ScheduleCommand, ScheduleConfig, ScheduleInfo, ScheduleQuery,
    ScheduleRefusal, ScheduleReply, ScheduleRule, ScheduleRun, ScheduleTarget, ScheduleTotals,
    UpdateSchedule,
};
pub use snapshot::Frozen;
pub use state::DirectoryChange;
pub use unique::{Unique, UniquePolicy, UniqueScope};
