//! Settings of queues as JSON: one form for every door that shows or takes them (the admin API, SQL,
//! the `kyu:` attributes of SQS).
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

/// Makes conversions between the words of this crate's user and the engine's for the same things.
#[macro_export]
macro_rules! same_words {
    ($($name:ident { $($variant:ident),+ })+) => {$(
        impl From<kyu_model::$name> for $name {
            fn from(word: kyu_model::$name) -> Self {
                match word { $(kyu_model::$name::$variant => Self::$variant,)+ }
            }
        }

        impl From<$name> for kyu_model::$name {
            fn from(word: $name) -> Self {
                match word { $($name::$variant => Self::$variant,)+ }
            }
        }
    )+};
}

mod convert;
mod convert_policies;
mod duration;
pub mod limits;
mod merge;
mod pairs;
mod policies;
mod queue;

pub use convert::{apply, check_targets, of};
pub use duration::duration_ms;
pub use merge::{merge, patched};
pub use pairs::of_pairs;
pub use policies::*;
pub use queue::*;
