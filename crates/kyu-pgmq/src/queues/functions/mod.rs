//! The functions that queues offer. One row of `table.rs` is one function: its name, its typed
//! arguments with their defaults, what it gives, what it does to transactions that are READ ONLY,
//! and the code that runs it. The catalogue, the choice of an overload and the call all read the row.

mod table;
mod types;

use std::future::Future;
use std::pin::Pin;

use kyu_pgsql::error::PgError;
use kyu_pgsql::functions::{Function, Functions};
use kyu_pgsql::host::OverloadId;
use kyu_pgsql::value::{Row, Value};

use self::table::{ALIASES, TABLE};
use self::types::Arguments;
use super::session::QueueSession;

#[cfg(test)]
pub(super) use table::overload;

/// A function with its code.
#[derive(Clone, Copy)]
struct Entry {
    function: Function,
    run: Run,
}

type RowsFuture<'a> = Pin<Box<dyn Future<Output = Result<Vec<Row>, PgError>> + Send + 'a>>;
type Run = for<'a> fn(&'a mut QueueSession, Arguments) -> RowsFuture<'a>;

/// The declarations of all functions, and their further names.
pub const ALL: Functions = Functions::new(&DECLARED, ALIASES);

#[expect(clippy::indexing_slicing, reason = "checked when it is compiled")]
const DECLARED: [Function; TABLE.len()] = {
    let mut declared = [TABLE[0].function; TABLE.len()];
    let mut at = 0;
    while at < TABLE.len() {
        declared[at] = TABLE[at].function;
        at += 1;
    }
    declared
};

/// The declaration of a function, for its aliases.
#[expect(clippy::indexing_slicing, clippy::panic, reason = "checked when it is compiled")]
const fn declared(id: OverloadId) -> Function {
    let mut at = 0;
    while at < TABLE.len() {
        if TABLE[at].function.id.0 == id.0 {
            return TABLE[at].function;
        }
        at += 1;
    }
    panic!("an alias of no function")
}

impl QueueSession {
    /// Calls a function with all its arguments, as declared.
    pub(super) async fn call_function(
        &mut self,
        overload: OverloadId,
        arguments: Vec<Value>,
    ) -> Result<Vec<Row>, PgError> {
        match TABLE.iter().find(|entry| entry.function.id == overload) {
            Some(entry) => (entry.run)(self, Arguments::new(arguments)).await,
            None => Err(PgError::new("XX000", "a call of no function")),
        }
    }
}

#[cfg(test)]
mod tests {
    use kyu_pgsql::functions::Effect;

    use super::*;

    /// `pg_proc` shows the numbers, and a call is found by them.
    #[test]
    fn every_function_has_a_number_of_its_own() {
        let mut numbers: Vec<u16> = TABLE.iter().map(|entry| entry.function.id.0).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), TABLE.len());
        assert_eq!(ALL.own().len(), TABLE.len());
    }

    /// A row says it for itself; that none of these says so by mistake can only be listed again.
    #[test]
    fn what_only_reads_is_known() {
        let reads: Vec<&str> = TABLE
            .iter()
            .filter(|entry| entry.function.effect == Effect::Reads)
            .map(|entry| entry.function.name)
            .collect();
        let expected = "acquire_queue_lock convert_archive_partitioned detach_archive \
                        format_table_name list_notify_insert_throttles list_queues \
                        list_topic_bindings list_topic_bindings metrics metrics_all test_routing \
                        validate_queue_name validate_routing_key validate_topic_pattern q_info peek \
                        outbox_position queue_settings";
        assert_eq!(reads.join(" "), expected);
    }
}
