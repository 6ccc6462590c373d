//! The table: pgmq 1.13.0's functions, aliases, and what is Kyu's own. Names, types and defaults of
//! arguments are as `pg_proc` has them after pgmq's own script ran.

use kyu_broker::Order::{LaneByLane, LaneHeads, RoundRobin};
use kyu_pgsql::error::PgError;
use kyu_pgsql::functions::Effect::{Inserts, Reads, Takes, Writes};
use kyu_pgsql::functions::{Argument, Function};

use super::super::admin::QueueForm;
use super::super::by_id::Show;
use super::super::names;
use super::super::read::Read;
use super::super::send::Delay;
use super::super::topics;
use super::types::{
    Accepted, Bindings, Bool, Gives, Int4, Int8, Int8s, Jsonb, Jsonbs, Message, Metrics, One,
    Queue, QueueInfo, Routes, Set, Text, Throttles, Time, TopicIds, Void,
};
use super::{Entry, declared};

macro_rules! arguments {
    ($($argument:ident: $ty:ident $(=> $default:literal)?),*) => {
        &[$(Argument {
            name: stringify!($argument),
            ty: <$ty as Accepted>::TYPE,
            default: arguments!(@default $($default)?),
        }),*]
    };
    (@default) => { None };
    (@default $default:literal) => { Some($default) };
}

/// A row: `number NAME = schema.function(argument: type => default, ...) -> what it gives,
/// what it does, |session| its code;`. The number is the function's for ever: `pg_proc` shows it.
macro_rules! functions {
    ($(
        $id:literal $name:ident = $schema:ident.$function:ident(
            $($argument:ident: $ty:ident $(=> $default:literal)?),*
        ) -> $gives:ty, $effect:expr, |$session:ident| $code:expr;
    )*) => {
        /// Numbers of the overloads.
        pub(in crate::queues) mod overload {
            use kyu_pgsql::host::OverloadId;
            $(
                #[doc = concat!("`", stringify!($schema), ".", stringify!($function), "(", stringify!($($argument: $ty),*), ")`")]
                pub(in crate::queues) const $name: OverloadId = OverloadId($id);
            )*
        }

        /// Every function under its own name.
        pub(super) const TABLE: &[Entry] = &[$(Entry {
            function: Function {
                id: overload::$name,
                schema: stringify!($schema),
                name: stringify!($function),
                arguments: arguments!($($argument: $ty $(=> $default)?),*),
                returns: <$gives as Gives>::RETURNS,
                effect: $effect,
            },
            run: |session, arguments| {
                Box::pin(async move {
                    let $session = session;
                    $(let ($argument, arguments) = arguments.next::<$ty>()?;)*
                    arguments.end()?;
                    let given: Result<<$gives as Gives>::Given, PgError> = $code;
                    Ok(<$gives as Gives>::rows(given?))
                })
            },
        }),*];
    };
}

macro_rules! aliases {
    ($($schema:ident.$function:ident(
        $($argument:ident: $ty:ident $(=> $default:literal)?),*
    ) = $name:ident;)*) => {
        /// Further names: of the tutorials, and of Supabase's wrappers. One may have fewer arguments
        /// than the function it stands for; the rest is that function's defaults.
        pub(super) const ALIASES: &[Function] = &[$(Function {
            schema: stringify!($schema),
            name: stringify!($function),
            arguments: arguments!($($argument: $ty $(=> $default)?),*),
            ..declared(overload::$name)
        }),*];
    };
}

/// A list of one `msg_id`; NULL is none.
fn one(msg_id: Option<i64>) -> Vec<i64> {
    msg_id.into_iter().collect()
}

/// There was such a message.
#[expect(clippy::needless_pass_by_value, reason = "the end of a chain of calls")]
fn any(done: Vec<i64>) -> bool {
    !done.is_empty()
}

/// The quantity of the two reads by groups that compare with it: NULL is nothing there, and all
/// where it is a LIMIT.
fn compared(qty: Option<i64>) -> Option<i64> {
    qty.or(Some(0))
}

/// An argument that must not be NULL.
fn given(argument: Option<String>, name: &str) -> Result<String, PgError> {
    argument.ok_or_else(|| PgError::new("22004", format!("{name} must not be null")))
}

functions! {
    // pgmq 1.13.0
    1 ACQUIRE_QUEUE_LOCK = pgmq.acquire_queue_lock(queue_name: Text) -> One<Void>, Reads,
        |s| match queue_name {
            Some(queue) => s.take_name(&queue).await.map(|_| ()),
            None => Ok(()),
        };
    2 ARCHIVE_ID = pgmq.archive(queue_name: Text, msg_id: Int8) -> One<Bool>, Writes("INSERT"),
        |s| s.archive(queue_name, &one(msg_id)).await.map(any);
    3 ARCHIVE_IDS = pgmq.archive(queue_name: Text, msg_ids: Int8s) -> Set<Int8>, Writes("INSERT"),
        |s| s.archive(queue_name, &msg_ids).await;
    4 BIND_TOPIC = pgmq.bind_topic(pattern: Text, queue_name: Text) -> One<Void>, Writes("INSERT"),
        |s| s.bind_topic(pattern, queue_name).await;
    5 CONVERT_ARCHIVE_PARTITIONED = pgmq.convert_archive_partitioned(
        table_name: Text, partition_interval: Text => "10000",
        retention_interval: Text => "100000", leading_partition: Int4 => "10"
    ) -> One<Void>, Reads,
        |s| {
            let _no_partitions = (partition_interval, retention_interval, leading_partition);
            s.convert_archive(table_name)
        };
    6 CREATE = pgmq.create(queue_name: Text) -> One<Void>, Writes("CREATE TABLE"),
        |s| s.create(queue_name, QueueForm::Plain).await;
    7 CREATE_FIFO_INDEX = pgmq.create_fifo_index(queue_name: Text) -> One<Void>, Writes("CREATE INDEX"),
        |s| s.create_fifo_index(queue_name).await;
    8 CREATE_FIFO_INDEXES_ALL = pgmq.create_fifo_indexes_all() -> One<Void>, Writes("CREATE INDEX"),
        |s| s.create_fifo_indexes_all().await;
    9 CREATE_NON_PARTITIONED = pgmq.create_non_partitioned(queue_name: Text) -> One<Void>, Writes("CREATE TABLE"),
        |s| s.create(queue_name, QueueForm::Plain).await;
    10 CREATE_PARTITIONED = pgmq.create_partitioned(
        queue_name: Text, partition_interval: Text => "10000",
        retention_interval: Text => "100000", premake: Int4 => "4"
    ) -> One<Void>, Writes("CREATE TABLE"),
        |s| {
            let _no_partitions = (partition_interval, retention_interval);
            s.create_partitioned(queue_name, premake).await
        };
    11 CREATE_UNLOGGED = pgmq.create_unlogged(queue_name: Text) -> One<Void>, Writes("CREATE TABLE"),
        |s| s.create(queue_name, QueueForm::Unlogged).await;
    12 DELETE_ID = pgmq.delete(queue_name: Text, msg_id: Int8) -> One<Bool>, Writes("DELETE"),
        |s| s.delete(queue_name, &one(msg_id), None).await.map(any);
    13 DELETE_IDS = pgmq.delete(queue_name: Text, msg_ids: Int8s) -> Set<Int8>, Writes("DELETE"),
        |s| s.delete(queue_name, &msg_ids, None).await;
    14 DETACH_ARCHIVE = pgmq.detach_archive(queue_name: Text) -> One<Void>, Reads,
        |s| s.detach_archive(queue_name.as_deref());
    15 DISABLE_NOTIFY_INSERT = pgmq.disable_notify_insert(queue_name: Text) -> One<Void>, Writes("DROP TRIGGER"),
        |s| s.disable_notify_insert(queue_name).await;
    16 DROP_QUEUE = pgmq.drop_queue(queue_name: Text) -> One<Bool>, Writes("DROP TABLE"),
        |s| s.drop_queue(queue_name).await;
    17 DROP_QUEUE_PARTITIONED = pgmq.drop_queue(queue_name: Text, partitioned: Bool) -> One<Bool>, Writes("DROP TABLE"),
        |s| {
            let _no_partitions = partitioned;
            s.drop_queue_of_old(queue_name).await
        };
    18 ENABLE_NOTIFY_INSERT = pgmq.enable_notify_insert(queue_name: Text, throttle_interval_ms: Int4 => "250") -> One<Void>, Writes("DROP TRIGGER"),
        |s| s.enable_notify_insert(queue_name, throttle_interval_ms).await;
    19 FORMAT_TABLE_NAME = pgmq.format_table_name(queue_name: Text, prefix: Text) -> One<Text>, Reads,
        |_s| names::table(queue_name.as_deref(), prefix.as_deref());
    20 LIST_NOTIFY_INSERT_THROTTLES = pgmq.list_notify_insert_throttles() -> Throttles, Reads,
        |s| Ok(s.throttles());
    21 LIST_QUEUES = pgmq.list_queues() -> Set<Queue>, Reads,
        |s| Ok(s.all_queues().iter().map(|queue| queue.record()).collect());
    22 LIST_TOPIC_BINDINGS = pgmq.list_topic_bindings() -> Bindings, Reads,
        |s| Ok(s.list_topic_bindings(None));
    23 LIST_TOPIC_BINDINGS_OF = pgmq.list_topic_bindings(queue_name: Text) -> Bindings, Reads,
        |s| Ok(queue_name.map_or_else(Vec::new, |queue| s.list_topic_bindings(Some(&queue))));
    24 METRICS = pgmq.metrics(queue_name: Text) -> One<Metrics>, Reads,
        |s| s.metrics(queue_name).await;
    25 METRICS_ALL = pgmq.metrics_all() -> Set<Metrics>, Reads,
        |s| s.metrics_all().await;
    26 POP = pgmq.pop(queue_name: Text, qty: Int4 => "1") -> Set<Message>, Takes,
        |s| s.read(queue_name, Read::new(Some(0), qty).removing()).await;
    27 PURGE_QUEUE = pgmq.purge_queue(queue_name: Text) -> One<Int8>, Writes("TRUNCATE TABLE"),
        |s| s.purge_queue(queue_name).await;
    28 READ = pgmq.read(queue_name: Text, vt: Int4, qty: Int4, conditional: Jsonb => "{}") -> Set<Message>, Writes("UPDATE"),
        |s| s.read(queue_name, Read::new(vt, qty).only(conditional)).await;
    29 READ_GROUPED = pgmq.read_grouped(queue_name: Text, vt: Int4, qty: Int4) -> Set<Message>, Writes("UPDATE"),
        |s| s.read(queue_name, Read::new(vt, compared(qty)).by(LaneByLane)).await;
    30 READ_GROUPED_HEAD = pgmq.read_grouped_head(queue_name: Text, vt: Int4, qty: Int4) -> Set<Message>, Writes("UPDATE"),
        |s| s.read(queue_name, Read::new(vt, qty).by(LaneHeads)).await;
    31 READ_GROUPED_HEAD_WITH_POLL = pgmq.read_grouped_head_with_poll(
        queue_name: Text, vt: Int4, qty: Int4,
        max_poll_seconds: Int4 => "5", poll_interval_ms: Int4 => "100"
    ) -> Set<Message>, Writes("UPDATE"),
        |s| {
            let read = Read::new(vt, qty).by(LaneHeads);
            s.read(queue_name, read.polling(max_poll_seconds, poll_interval_ms)).await
        };
    32 READ_GROUPED_RR = pgmq.read_grouped_rr(queue_name: Text, vt: Int4, qty: Int4) -> Set<Message>, Writes("UPDATE"),
        |s| s.read(queue_name, Read::new(vt, compared(qty)).by(RoundRobin)).await;
    33 READ_GROUPED_RR_WITH_POLL = pgmq.read_grouped_rr_with_poll(
        queue_name: Text, vt: Int4, qty: Int4,
        max_poll_seconds: Int4 => "5", poll_interval_ms: Int4 => "100"
    ) -> Set<Message>, Writes("UPDATE"),
        |s| {
            let read = Read::new(vt, compared(qty)).by(RoundRobin);
            s.read(queue_name, read.polling(max_poll_seconds, poll_interval_ms)).await
        };
    34 READ_GROUPED_WITH_POLL = pgmq.read_grouped_with_poll(
        queue_name: Text, vt: Int4, qty: Int4,
        max_poll_seconds: Int4 => "5", poll_interval_ms: Int4 => "100"
    ) -> Set<Message>, Writes("UPDATE"),
        |s| {
            let read = Read::new(vt, compared(qty)).by(LaneByLane);
            s.read(queue_name, read.polling(max_poll_seconds, poll_interval_ms)).await
        };
    35 READ_WITH_POLL = pgmq.read_with_poll(
        queue_name: Text, vt: Int4, qty: Int4,
        max_poll_seconds: Int4 => "5", poll_interval_ms: Int4 => "100", conditional: Jsonb => "{}"
    ) -> Set<Message>, Writes("UPDATE"),
        |s| {
            let read = Read::new(vt, qty).only(conditional);
            s.read(queue_name, read.polling(max_poll_seconds, poll_interval_ms)).await
        };
    36 SEND = pgmq.send(queue_name: Text, msg: Jsonb) -> Set<Int8>, Inserts,
        |s| s.send_one(queue_name, msg, None, Delay::OfQueue).await;
    37 SEND_DELAY = pgmq.send(queue_name: Text, msg: Jsonb, delay: Int4) -> Set<Int8>, Inserts,
        |s| s.send_one(queue_name, msg, None, Delay::Seconds(delay)).await;
    38 SEND_AT = pgmq.send(queue_name: Text, msg: Jsonb, delay: Time) -> Set<Int8>, Inserts,
        |s| s.send_one(queue_name, msg, None, Delay::At(delay)).await;
    39 SEND_HEADERS = pgmq.send(queue_name: Text, msg: Jsonb, headers: Jsonb) -> Set<Int8>, Inserts,
        |s| s.send_one(queue_name, msg, headers, Delay::OfQueue).await;
    40 SEND_HEADERS_DELAY = pgmq.send(queue_name: Text, msg: Jsonb, headers: Jsonb, delay: Int4) -> Set<Int8>, Inserts,
        |s| s.send_one(queue_name, msg, headers, Delay::Seconds(delay)).await;
    41 SEND_HEADERS_AT = pgmq.send(queue_name: Text, msg: Jsonb, headers: Jsonb, delay: Time) -> Set<Int8>, Inserts,
        |s| s.send_one(queue_name, msg, headers, Delay::At(delay)).await;
    42 SEND_BATCH = pgmq.send_batch(queue_name: Text, msgs: Jsonbs) -> Set<Int8>, Inserts,
        |s| s.send_batch(queue_name, msgs, None, Delay::OfQueue).await;
    43 SEND_BATCH_DELAY = pgmq.send_batch(queue_name: Text, msgs: Jsonbs, delay: Int4) -> Set<Int8>, Inserts,
        |s| s.send_batch(queue_name, msgs, None, Delay::Seconds(delay)).await;
    44 SEND_BATCH_AT = pgmq.send_batch(queue_name: Text, msgs: Jsonbs, delay: Time) -> Set<Int8>, Inserts,
        |s| s.send_batch(queue_name, msgs, None, Delay::At(delay)).await;
    45 SEND_BATCH_HEADERS = pgmq.send_batch(queue_name: Text, msgs: Jsonbs, headers: Jsonbs) -> Set<Int8>, Inserts,
        |s| s.send_batch(queue_name, msgs, headers, Delay::OfQueue).await;
    46 SEND_BATCH_HEADERS_DELAY = pgmq.send_batch(queue_name: Text, msgs: Jsonbs, headers: Jsonbs, delay: Int4) -> Set<Int8>, Inserts,
        |s| s.send_batch(queue_name, msgs, headers, Delay::Seconds(delay)).await;
    47 SEND_BATCH_HEADERS_AT = pgmq.send_batch(queue_name: Text, msgs: Jsonbs, headers: Jsonbs, delay: Time) -> Set<Int8>, Inserts,
        |s| s.send_batch(queue_name, msgs, headers, Delay::At(delay)).await;
    48 SEND_BATCH_TOPIC = pgmq.send_batch_topic(routing_key: Text, msgs: Jsonbs) -> TopicIds, Writes("INSERT"),
        |s| s.send_batch_topic(routing_key, msgs, None, Delay::OfQueue).await;
    49 SEND_BATCH_TOPIC_DELAY = pgmq.send_batch_topic(routing_key: Text, msgs: Jsonbs, delay: Int4) -> TopicIds, Writes("INSERT"),
        |s| s.send_batch_topic(routing_key, msgs, None, Delay::Seconds(delay)).await;
    50 SEND_BATCH_TOPIC_AT = pgmq.send_batch_topic(routing_key: Text, msgs: Jsonbs, delay: Time) -> TopicIds, Writes("INSERT"),
        |s| s.send_batch_topic(routing_key, msgs, None, Delay::At(delay)).await;
    51 SEND_BATCH_TOPIC_HEADERS = pgmq.send_batch_topic(routing_key: Text, msgs: Jsonbs, headers: Jsonbs) -> TopicIds, Writes("INSERT"),
        |s| s.send_batch_topic(routing_key, msgs, headers, Delay::OfQueue).await;
    52 SEND_BATCH_TOPIC_HEADERS_DELAY = pgmq.send_batch_topic(routing_key: Text, msgs: Jsonbs, headers: Jsonbs, delay: Int4) -> TopicIds, Writes("INSERT"),
        |s| s.send_batch_topic(routing_key, msgs, headers, Delay::Seconds(delay)).await;
    53 SEND_BATCH_TOPIC_HEADERS_AT = pgmq.send_batch_topic(routing_key: Text, msgs: Jsonbs, headers: Jsonbs, delay: Time) -> TopicIds, Writes("INSERT"),
        |s| s.send_batch_topic(routing_key, msgs, headers, Delay::At(delay)).await;
    54 SEND_TOPIC = pgmq.send_topic(routing_key: Text, msg: Jsonb) -> One<Int4>, Writes("INSERT"),
        |s| s.send_topic(routing_key, msg, None, Some(0)).await;
    55 SEND_TOPIC_DELAY = pgmq.send_topic(routing_key: Text, msg: Jsonb, delay: Int4) -> One<Int4>, Writes("INSERT"),
        |s| s.send_topic(routing_key, msg, None, delay).await;
    56 SEND_TOPIC_HEADERS_DELAY = pgmq.send_topic(routing_key: Text, msg: Jsonb, headers: Jsonb, delay: Int4) -> One<Int4>, Writes("INSERT"),
        |s| s.send_topic(routing_key, msg, headers, delay).await;
    57 SET_VT_ID_SECONDS = pgmq.set_vt(queue_name: Text, msg_id: Int8, vt: Int4) -> Set<Message>, Writes("UPDATE"),
        |s| s.set_vt(queue_name, &one(msg_id), Show::In(vt)).await;
    58 SET_VT_ID_AT = pgmq.set_vt(queue_name: Text, msg_id: Int8, vt: Time) -> Set<Message>, Writes("UPDATE"),
        |s| s.set_vt(queue_name, &one(msg_id), Show::At(vt)).await;
    59 SET_VT_IDS_SECONDS = pgmq.set_vt(queue_name: Text, msg_ids: Int8s, vt: Int4) -> Set<Message>, Writes("UPDATE"),
        |s| s.set_vt(queue_name, &msg_ids, Show::In(vt)).await;
    60 SET_VT_IDS_AT = pgmq.set_vt(queue_name: Text, msg_ids: Int8s, vt: Time) -> Set<Message>, Writes("UPDATE"),
        |s| s.set_vt(queue_name, &msg_ids, Show::At(vt)).await;
    61 TEST_ROUTING = pgmq.test_routing(routing_key: Text) -> Routes, Reads,
        |s| s.test_routing(routing_key.as_deref());
    62 UNBIND_TOPIC = pgmq.unbind_topic(pattern: Text, queue_name: Text) -> One<Bool>, Writes("DELETE"),
        |s| s.unbind_topic(pattern, queue_name).await;
    63 UPDATE_NOTIFY_INSERT = pgmq.update_notify_insert(queue_name: Text, throttle_interval_ms: Int4) -> One<Void>, Writes("UPDATE"),
        |s| s.update_notify_insert(queue_name, throttle_interval_ms).await;
    64 VALIDATE_QUEUE_NAME = pgmq.validate_queue_name(queue_name: Text) -> One<Void>, Reads,
        |_s| names::validate(queue_name.as_deref());
    65 VALIDATE_ROUTING_KEY = pgmq.validate_routing_key(routing_key: Text) -> One<Bool>, Reads,
        |_s| topics::check_key(routing_key.as_deref()).map(|_| true);
    66 VALIDATE_TOPIC_PATTERN = pgmq.validate_topic_pattern(pattern: Text) -> One<Bool>, Reads,
        |_s| topics::check_pattern(pattern.as_deref()).map(|_| true);
    // Kyu's own
    100 Q_INFO = pgmq.q_info(queue_name: Text) -> QueueInfo, Reads,
        |s| s.q_info(queue_name).await.map(|row| vec![row]);
    101 DELETE_FENCED = pgmq.delete(queue_name: Text, msg_id: Int8, read_ct: Int4) -> One<Bool>, Writes("DELETE"),
        |s| match read_ct {
            Some(_) => s.delete(queue_name, &one(msg_id), read_ct).await.map(any),
            // NULL equals no count.
            None => Ok(false),
        };
    102 PEEK = pgmq.peek(queue_name: Text, qty: Int4 => "1") -> Set<Message>, Reads,
        |s| s.peek(queue_name, qty).await;
    103 SET_DEAD_LETTER = pgmq.set_dead_letter(queue_name: Text, dead_letter_queue: Text, max_reads: Int4 => "5") -> One<Void>, Writes("UPDATE"),
        |s| s.set_dead_letter(queue_name, dead_letter_queue, max_reads).await;
    104 SET_RETENTION = pgmq.set_retention(queue_name: Text, seconds: Int4) -> One<Void>, Writes("UPDATE"),
        |s| s.set_retention(queue_name, seconds).await;
    105 OUTBOX_POSITION = pgmq.outbox_position(source: Text) -> One<Text>, Reads,
        |s| s.outbox_position(&given(source, "source")?).await;
    107 OUTBOX_TAKE_OVER = pgmq.outbox_take_over(source: Text, relay: Text) -> One<Text>, Writes("UPDATE"),
        |s| {
            let (source, relay) = (given(source, "source")?, given(relay, "relay")?);
            s.outbox_take_over(&source, &relay).await.map(Some)
        };
    106 OUTBOX_ADVANCE = pgmq.outbox_advance(source: Text, expected_position: Text, position: Text) -> One<Void>, Writes("UPDATE"),
        |s| {
            let (source, position) = (given(source, "source")?, given(position, "position")?);
            s.outbox_advance(&source, expected_position.as_deref(), position).await
        };
    108 DELETE_ARCHIVED_ID = pgmq.delete_archived(queue_name: Text, msg_id: Int8) -> One<Bool>, Writes("DELETE"),
        |s| s.delete_archived(queue_name, &one(msg_id)).await.map(any);
    109 DELETE_ARCHIVED_IDS = pgmq.delete_archived(queue_name: Text, msg_ids: Int8s) -> Set<Int8>, Writes("DELETE"),
        |s| s.delete_archived(queue_name, &msg_ids).await;
    110 PURGE_ARCHIVE = pgmq.purge_archive(queue_name: Text) -> One<Int8>, Writes("TRUNCATE TABLE"),
        |s| s.purge_archive(queue_name).await;
    111 QUEUE_SETTINGS = pgmq.queue_settings(queue_name: Text) -> One<Jsonb>, Reads,
        |s| s.queue_settings(queue_name);
    112 SET_QUEUE_SETTINGS = pgmq.set_queue_settings(queue_name: Text, settings: Jsonb) -> One<Jsonb>, Writes("UPDATE"),
        |s| s.set_queue_settings(queue_name, settings).await;
}

aliases! {
    // Methods of the Python client, taken for SQL by tutorials.
    pgmq.create_queue(queue_name: Text) = CREATE;
    pgmq.create_partitioned_queue(queue_name: Text, partition_interval: Text => "10000", retention_interval: Text => "100000") = CREATE_PARTITIONED;
    // Supabase Queues.
    pgmq_public.send(queue_name: Text, message: Jsonb, sleep_seconds: Int4 => "0") = SEND_DELAY;
    pgmq_public.send_batch(queue_name: Text, messages: Jsonbs, sleep_seconds: Int4 => "0") = SEND_BATCH_DELAY;
    pgmq_public.read(queue_name: Text, sleep_seconds: Int4, n: Int4) = READ;
    pgmq_public.pop(queue_name: Text) = POP;
    pgmq_public.archive(queue_name: Text, message_id: Int8) = ARCHIVE_ID;
    pgmq_public.archive(queue_name: Text, msg_id: Int8) = ARCHIVE_ID;
    pgmq_public.delete(queue_name: Text, message_id: Int8) = DELETE_ID;
    pgmq_public.delete(queue_name: Text, msg_id: Int8) = DELETE_ID;
}
