//! The table of functions that queues offer: pgmq 1.13.0's, aliases, and what is Kyu's own.
//!
//! One row for each overload: names, argument names, types and defaults as `pg_proc` has them after
//! pgmq's own script ran. `Host::call` gets every argument, in this order, of the declared type.

use kyu_pgsql::functions::{Argument, Function, Functions, Returns};
use kyu_pgsql::types::{Composite, Element, Type};

/// All of them.
pub const ALL: Functions = Functions::new(FUNCTIONS, ALIASES);

const TEXT: Type = Type::Text;
const BOOL: Type = Type::Bool;
const INT4: Type = Type::Int4;
const INT8: Type = Type::Int8;
const INT8S: Type = Type::Array(Element::Int8);
const JSONB: Type = Type::Jsonb;
const JSONBS: Type = Type::Array(Element::Jsonb);
const TIME: Type = Type::Timestamptz;
const VOID: Type = Type::Void;
const MESSAGE: Type = Type::Composite(Composite::MessageRecord);
const QUEUE: Type = Type::Composite(Composite::QueueRecord);
const METRICS: Type = Type::Composite(Composite::MetricsResult);

const TOPIC_IDS: &[(&str, Type)] = &[("queue_name", TEXT), ("msg_id", INT8)];
const BINDINGS: &[(&str, Type)] =
    &[("pattern", TEXT), ("queue_name", TEXT), ("bound_at", TIME), ("compiled_regex", TEXT)];
const QUEUE_INFO: &[(&str, Type)] = &[
    ("queue_name", TEXT),
    ("queue_length", INT8),
    ("newest_msg_age_sec", INT4),
    ("oldest_msg_age_sec", INT4),
    ("total_messages", INT8),
    ("scrape_time", TIME),
    ("queue_visible_length", INT8),
    ("default_partition_length", INT8),
    ("is_partitioned", BOOL),
    ("is_unlogged", BOOL),
    ("created_at", TIME),
];

macro_rules! arguments {
    ($($argument:ident: $ty:ident $(=> $default:literal)?),*) => {
        &[$(Argument {
            name: stringify!($argument),
            ty: $ty,
            default: arguments!(@default $($default)?),
        }),*]
    };
    (@default) => { None };
    (@default $default:literal) => { Some($default) };
}

macro_rules! functions {
    ($($id:literal $name:ident = $schema:ident.$function:ident($($arguments:tt)*) -> $returns:expr;)*) => {
        /// Names of the overloads, for `match`.
        pub(super) mod overload {
            use kyu_pgsql::host::OverloadId;
            $(
                #[doc = concat!("`", stringify!($schema), ".", stringify!($function), "(", stringify!($($arguments)*), ")`")]
                pub(in crate::queues) const $name: OverloadId = OverloadId($id);
            )*
        }

        /// Every function under its own name.
        pub const FUNCTIONS: &[Function] = &[$(Function {
            id: overload::$name,
            schema: stringify!($schema),
            name: stringify!($function),
            arguments: arguments!($($arguments)*),
            returns: $returns,
        }),*];
    };
}

macro_rules! aliases {
    ($($schema:ident.$function:ident($($arguments:tt)*) = $name:ident -> $returns:expr;)*) => {
        /// Further names: of the tutorials, and of Supabase's wrappers.
        pub const ALIASES: &[Function] = &[$(Function {
            id: overload::$name,
            schema: stringify!($schema),
            name: stringify!($function),
            arguments: arguments!($($arguments)*),
            returns: $returns,
        }),*];
    };
}

functions! {
    // pgmq 1.13.0
    1 ACQUIRE_QUEUE_LOCK = pgmq.acquire_queue_lock(queue_name: TEXT) -> Returns::One(VOID);
    2 ARCHIVE_ID = pgmq.archive(queue_name: TEXT, msg_id: INT8) -> Returns::One(BOOL);
    3 ARCHIVE_IDS = pgmq.archive(queue_name: TEXT, msg_ids: INT8S) -> Returns::Set(INT8);
    4 BIND_TOPIC = pgmq.bind_topic(pattern: TEXT, queue_name: TEXT) -> Returns::One(VOID);
    5 CONVERT_ARCHIVE_PARTITIONED = pgmq.convert_archive_partitioned(table_name: TEXT, partition_interval: TEXT => "10000", retention_interval: TEXT => "100000", leading_partition: INT4 => "10") -> Returns::One(VOID);
    6 CREATE = pgmq.create(queue_name: TEXT) -> Returns::One(VOID);
    7 CREATE_FIFO_INDEX = pgmq.create_fifo_index(queue_name: TEXT) -> Returns::One(VOID);
    8 CREATE_FIFO_INDEXES_ALL = pgmq.create_fifo_indexes_all() -> Returns::One(VOID);
    9 CREATE_NON_PARTITIONED = pgmq.create_non_partitioned(queue_name: TEXT) -> Returns::One(VOID);
    10 CREATE_PARTITIONED = pgmq.create_partitioned(queue_name: TEXT, partition_interval: TEXT => "10000", retention_interval: TEXT => "100000", premake: INT4 => "4") -> Returns::One(VOID);
    11 CREATE_UNLOGGED = pgmq.create_unlogged(queue_name: TEXT) -> Returns::One(VOID);
    12 DELETE_ID = pgmq.delete(queue_name: TEXT, msg_id: INT8) -> Returns::One(BOOL);
    13 DELETE_IDS = pgmq.delete(queue_name: TEXT, msg_ids: INT8S) -> Returns::Set(INT8);
    14 DETACH_ARCHIVE = pgmq.detach_archive(queue_name: TEXT) -> Returns::One(VOID);
    15 DISABLE_NOTIFY_INSERT = pgmq.disable_notify_insert(queue_name: TEXT) -> Returns::One(VOID);
    16 DROP_QUEUE = pgmq.drop_queue(queue_name: TEXT) -> Returns::One(BOOL);
    17 DROP_QUEUE_PARTITIONED = pgmq.drop_queue(queue_name: TEXT, partitioned: BOOL) -> Returns::One(BOOL);
    18 ENABLE_NOTIFY_INSERT = pgmq.enable_notify_insert(queue_name: TEXT, throttle_interval_ms: INT4 => "250") -> Returns::One(VOID);
    19 FORMAT_TABLE_NAME = pgmq.format_table_name(queue_name: TEXT, prefix: TEXT) -> Returns::One(TEXT);
    20 LIST_NOTIFY_INSERT_THROTTLES = pgmq.list_notify_insert_throttles() -> Returns::Table(&[("queue_name", TEXT), ("throttle_interval_ms", INT4), ("last_notified_at", TIME)]);
    21 LIST_QUEUES = pgmq.list_queues() -> Returns::Set(QUEUE);
    22 LIST_TOPIC_BINDINGS = pgmq.list_topic_bindings() -> Returns::Table(BINDINGS);
    23 LIST_TOPIC_BINDINGS_OF = pgmq.list_topic_bindings(queue_name: TEXT) -> Returns::Table(BINDINGS);
    24 METRICS = pgmq.metrics(queue_name: TEXT) -> Returns::One(METRICS);
    25 METRICS_ALL = pgmq.metrics_all() -> Returns::Set(METRICS);
    26 POP = pgmq.pop(queue_name: TEXT, qty: INT4 => "1") -> Returns::Set(MESSAGE);
    27 PURGE_QUEUE = pgmq.purge_queue(queue_name: TEXT) -> Returns::One(INT8);
    28 READ = pgmq.read(queue_name: TEXT, vt: INT4, qty: INT4, conditional: JSONB => "{}") -> Returns::Set(MESSAGE);
    29 READ_GROUPED = pgmq.read_grouped(queue_name: TEXT, vt: INT4, qty: INT4) -> Returns::Set(MESSAGE);
    30 READ_GROUPED_HEAD = pgmq.read_grouped_head(queue_name: TEXT, vt: INT4, qty: INT4) -> Returns::Set(MESSAGE);
    31 READ_GROUPED_HEAD_WITH_POLL = pgmq.read_grouped_head_with_poll(queue_name: TEXT, vt: INT4, qty: INT4, max_poll_seconds: INT4 => "5", poll_interval_ms: INT4 => "100") -> Returns::Set(MESSAGE);
    32 READ_GROUPED_RR = pgmq.read_grouped_rr(queue_name: TEXT, vt: INT4, qty: INT4) -> Returns::Set(MESSAGE);
    33 READ_GROUPED_RR_WITH_POLL = pgmq.read_grouped_rr_with_poll(queue_name: TEXT, vt: INT4, qty: INT4, max_poll_seconds: INT4 => "5", poll_interval_ms: INT4 => "100") -> Returns::Set(MESSAGE);
    34 READ_GROUPED_WITH_POLL = pgmq.read_grouped_with_poll(queue_name: TEXT, vt: INT4, qty: INT4, max_poll_seconds: INT4 => "5", poll_interval_ms: INT4 => "100") -> Returns::Set(MESSAGE);
    35 READ_WITH_POLL = pgmq.read_with_poll(queue_name: TEXT, vt: INT4, qty: INT4, max_poll_seconds: INT4 => "5", poll_interval_ms: INT4 => "100", conditional: JSONB => "{}") -> Returns::Set(MESSAGE);
    36 SEND = pgmq.send(queue_name: TEXT, msg: JSONB) -> Returns::Set(INT8);
    37 SEND_DELAY = pgmq.send(queue_name: TEXT, msg: JSONB, delay: INT4) -> Returns::Set(INT8);
    38 SEND_AT = pgmq.send(queue_name: TEXT, msg: JSONB, delay: TIME) -> Returns::Set(INT8);
    39 SEND_HEADERS = pgmq.send(queue_name: TEXT, msg: JSONB, headers: JSONB) -> Returns::Set(INT8);
    40 SEND_HEADERS_DELAY = pgmq.send(queue_name: TEXT, msg: JSONB, headers: JSONB, delay: INT4) -> Returns::Set(INT8);
    41 SEND_HEADERS_AT = pgmq.send(queue_name: TEXT, msg: JSONB, headers: JSONB, delay: TIME) -> Returns::Set(INT8);
    42 SEND_BATCH = pgmq.send_batch(queue_name: TEXT, msgs: JSONBS) -> Returns::Set(INT8);
    43 SEND_BATCH_DELAY = pgmq.send_batch(queue_name: TEXT, msgs: JSONBS, delay: INT4) -> Returns::Set(INT8);
    44 SEND_BATCH_AT = pgmq.send_batch(queue_name: TEXT, msgs: JSONBS, delay: TIME) -> Returns::Set(INT8);
    45 SEND_BATCH_HEADERS = pgmq.send_batch(queue_name: TEXT, msgs: JSONBS, headers: JSONBS) -> Returns::Set(INT8);
    46 SEND_BATCH_HEADERS_DELAY = pgmq.send_batch(queue_name: TEXT, msgs: JSONBS, headers: JSONBS, delay: INT4) -> Returns::Set(INT8);
    47 SEND_BATCH_HEADERS_AT = pgmq.send_batch(queue_name: TEXT, msgs: JSONBS, headers: JSONBS, delay: TIME) -> Returns::Set(INT8);
    48 SEND_BATCH_TOPIC = pgmq.send_batch_topic(routing_key: TEXT, msgs: JSONBS) -> Returns::Table(TOPIC_IDS);
    49 SEND_BATCH_TOPIC_DELAY = pgmq.send_batch_topic(routing_key: TEXT, msgs: JSONBS, delay: INT4) -> Returns::Table(TOPIC_IDS);
    50 SEND_BATCH_TOPIC_AT = pgmq.send_batch_topic(routing_key: TEXT, msgs: JSONBS, delay: TIME) -> Returns::Table(TOPIC_IDS);
    51 SEND_BATCH_TOPIC_HEADERS = pgmq.send_batch_topic(routing_key: TEXT, msgs: JSONBS, headers: JSONBS) -> Returns::Table(TOPIC_IDS);
    52 SEND_BATCH_TOPIC_HEADERS_DELAY = pgmq.send_batch_topic(routing_key: TEXT, msgs: JSONBS, headers: JSONBS, delay: INT4) -> Returns::Table(TOPIC_IDS);
    53 SEND_BATCH_TOPIC_HEADERS_AT = pgmq.send_batch_topic(routing_key: TEXT, msgs: JSONBS, headers: JSONBS, delay: TIME) -> Returns::Table(TOPIC_IDS);
    54 SEND_TOPIC = pgmq.send_topic(routing_key: TEXT, msg: JSONB) -> Returns::One(INT4);
    55 SEND_TOPIC_DELAY = pgmq.send_topic(routing_key: TEXT, msg: JSONB, delay: INT4) -> Returns::One(INT4);
    56 SEND_TOPIC_HEADERS_DELAY = pgmq.send_topic(routing_key: TEXT, msg: JSONB, headers: JSONB, delay: INT4) -> Returns::One(INT4);
    57 SET_VT_ID_SECONDS = pgmq.set_vt(queue_name: TEXT, msg_id: INT8, vt: INT4) -> Returns::Set(MESSAGE);
    58 SET_VT_ID_AT = pgmq.set_vt(queue_name: TEXT, msg_id: INT8, vt: TIME) -> Returns::Set(MESSAGE);
    59 SET_VT_IDS_SECONDS = pgmq.set_vt(queue_name: TEXT, msg_ids: INT8S, vt: INT4) -> Returns::Set(MESSAGE);
    60 SET_VT_IDS_AT = pgmq.set_vt(queue_name: TEXT, msg_ids: INT8S, vt: TIME) -> Returns::Set(MESSAGE);
    61 TEST_ROUTING = pgmq.test_routing(routing_key: TEXT) -> Returns::Table(&[("pattern", TEXT), ("queue_name", TEXT), ("compiled_regex", TEXT)]);
    62 UNBIND_TOPIC = pgmq.unbind_topic(pattern: TEXT, queue_name: TEXT) -> Returns::One(BOOL);
    63 UPDATE_NOTIFY_INSERT = pgmq.update_notify_insert(queue_name: TEXT, throttle_interval_ms: INT4) -> Returns::One(VOID);
    64 VALIDATE_QUEUE_NAME = pgmq.validate_queue_name(queue_name: TEXT) -> Returns::One(VOID);
    65 VALIDATE_ROUTING_KEY = pgmq.validate_routing_key(routing_key: TEXT) -> Returns::One(BOOL);
    66 VALIDATE_TOPIC_PATTERN = pgmq.validate_topic_pattern(pattern: TEXT) -> Returns::One(BOOL);
    // Kyu's own
    100 Q_INFO = pgmq.q_info(queue_name: TEXT) -> Returns::Table(QUEUE_INFO);
    101 DELETE_FENCED = pgmq.delete(queue_name: TEXT, msg_id: INT8, read_ct: INT4) -> Returns::One(BOOL);
    102 PEEK = pgmq.peek(queue_name: TEXT, qty: INT4 => "1") -> Returns::Set(MESSAGE);
    103 SET_DEAD_LETTER = pgmq.set_dead_letter(queue_name: TEXT, dead_letter_queue: TEXT, max_reads: INT4 => "5") -> Returns::One(VOID);
    104 SET_RETENTION = pgmq.set_retention(queue_name: TEXT, seconds: INT4) -> Returns::One(VOID);
    105 OUTBOX_POSITION = pgmq.outbox_position(source: TEXT) -> Returns::One(TEXT);
    107 OUTBOX_TAKE_OVER = pgmq.outbox_take_over(source: TEXT, relay: TEXT) -> Returns::One(TEXT);
    106 OUTBOX_ADVANCE = pgmq.outbox_advance(source: TEXT, expected_position: TEXT, position: TEXT) -> Returns::One(VOID);
    108 DELETE_ARCHIVED_ID = pgmq.delete_archived(queue_name: TEXT, msg_id: INT8) -> Returns::One(BOOL);
    109 DELETE_ARCHIVED_IDS = pgmq.delete_archived(queue_name: TEXT, msg_ids: INT8S) -> Returns::Set(INT8);
    110 PURGE_ARCHIVE = pgmq.purge_archive(queue_name: TEXT) -> Returns::One(INT8);
}

aliases! {
    // Methods of the Python client, taken for SQL by tutorials.
    pgmq.create_queue(queue_name: TEXT) = CREATE -> Returns::One(VOID);
    pgmq.create_partitioned_queue(queue_name: TEXT, partition_interval: TEXT => "10000", retention_interval: TEXT => "100000") = CREATE_PARTITIONED -> Returns::One(VOID);
    // Supabase Queues.
    pgmq_public.send(queue_name: TEXT, message: JSONB, sleep_seconds: INT4 => "0") = SEND_DELAY -> Returns::Set(INT8);
    pgmq_public.send_batch(queue_name: TEXT, messages: JSONBS, sleep_seconds: INT4 => "0") = SEND_BATCH_DELAY -> Returns::Set(INT8);
    pgmq_public.read(queue_name: TEXT, sleep_seconds: INT4, n: INT4) = READ -> Returns::Set(MESSAGE);
    pgmq_public.pop(queue_name: TEXT) = POP -> Returns::Set(MESSAGE);
    pgmq_public.archive(queue_name: TEXT, message_id: INT8) = ARCHIVE_ID -> Returns::One(BOOL);
    pgmq_public.archive(queue_name: TEXT, msg_id: INT8) = ARCHIVE_ID -> Returns::One(BOOL);
    pgmq_public.delete(queue_name: TEXT, message_id: INT8) = DELETE_ID -> Returns::One(BOOL);
    pgmq_public.delete(queue_name: TEXT, msg_id: INT8) = DELETE_ID -> Returns::One(BOOL);
}
