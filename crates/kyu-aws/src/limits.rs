//! Every bound of the SQS API, with its error. The numbers are those of the AWS quotas pages
//! (2026-11) unless a comment says otherwise.

/// A message, and the messages of a batch together: body, attribute names, types and values.
pub(crate) const MAX_MESSAGE_BYTES: u32 = 1_048_576;
/// Smallest `MaximumMessageSize`. `InvalidAttributeValue`.
pub(crate) const MIN_MAXIMUM_MESSAGE_BYTES: u32 = 1_024;
/// Entries of a batch. `TooManyEntriesInBatchRequest`.
pub(crate) const MAX_BATCH_ENTRIES: usize = 10;
/// Batch entry ids, queue names and permission labels, in characters.
pub(crate) const MAX_NAME_CHARS: usize = 80;
/// Messages of one receive. `InvalidParameterValue`.
pub(crate) const MAX_RECEIVE_MESSAGES: i64 = 10;
/// Longest long poll. `InvalidParameterValue`.
pub(crate) const MAX_WAIT_S: i64 = 20;
/// Longest visibility timeout. `InvalidParameterValue`.
pub(crate) const MAX_VISIBILITY_TIMEOUT_S: i64 = 43_200;
/// Longest delay. `InvalidParameterValue`.
pub(crate) const MAX_DELAY_S: i64 = 900;
/// Attributes of a message. `InvalidParameterValue`.
pub(crate) const MAX_MESSAGE_ATTRIBUTES: usize = 10;
/// Name and type of a message attribute, in characters. `InvalidParameterValue`.
pub(crate) const MAX_ATTRIBUTE_NAME_CHARS: usize = 256;
/// Group, deduplication and attempt ids, in characters. `InvalidParameterValue`.
pub(crate) const MAX_ID_CHARS: usize = 128;
/// `maxReceiveCount` of a redrive policy, which is also `InvalidParameterValue` at 0.
pub(crate) const MAX_RECEIVE_COUNT: u32 = 1_000;
/// Queues that a redrive allow policy may name. `InvalidParameterValue`.
pub(crate) const MAX_REDRIVE_SOURCES: usize = 10;
/// A queue policy. `InvalidAttributeValue`.
pub(crate) const MAX_POLICY_BYTES: usize = 8_192;
/// Statements of a queue policy. `OverLimit`.
pub(crate) const MAX_POLICY_STATEMENTS: usize = 20;
/// Principals of one AddPermission. `OverLimit`.
pub(crate) const MAX_PERMISSION_ACCOUNTS: usize = 50;
/// Actions of one AddPermission. `OverLimit`.
pub(crate) const MAX_PERMISSION_ACTIONS: usize = 7;
/// Tags of a queue. `InvalidParameterValue`.
pub(crate) const MAX_TAGS: usize = 50;
/// A tag's key, in characters. `InvalidParameterValue`.
pub(crate) const MAX_TAG_KEY_CHARS: usize = 128;
/// A tag's value, in characters. `InvalidParameterValue`.
pub(crate) const MAX_TAG_VALUE_CHARS: usize = 256;
/// Queues of one list page. `InvalidParameterValue`.
pub(crate) const MAX_LIST_RESULTS: i64 = 1_000;
/// Tasks of one ListMessageMoveTasks. `InvalidParameterValue`.
pub(crate) const MAX_MOVE_TASKS: i64 = 10;
/// Messages a second of a move task. `InvalidParameterValue`.
pub(crate) const MAX_MOVES_PER_SECOND: i64 = 500;
/// The KMS data key reuse period, in seconds. `InvalidAttributeValue`.
pub(crate) const KMS_REUSE_S: std::ops::RangeInclusive<i64> = 60..=86_400;
/// The retention period, in seconds. `InvalidAttributeValue`.
pub(crate) const RETENTION_S: std::ops::RangeInclusive<i64> = 60..=1_209_600;

/// Frames that one receive may return, so that an answer stays in proportion: ten largest messages.
pub(crate) const MAX_RECEIVE_BYTES: u64 = 16 << 20;
/// Names in one list of attribute names, far above what can be meant. Ours. `InvalidParameterValue`.
pub(crate) const MAX_LISTED_NAMES: usize = 100;
/// Attributes in one CreateQueue or SetQueueAttributes; there are 21. Ours. `InvalidParameterValue`.
pub(crate) const MAX_QUEUE_ATTRIBUTES: usize = 32;
/// Parameters of one Query request: ten entries with ten attributes each need some 450. Ours.
/// `MalformedInput`.
pub(crate) const MAX_FORM_PARAMETERS: usize = 2_000;
/// Parts of a Query parameter's name: `Entry.1.MessageAttribute.1.Value.StringValue` has six. Ours.
/// `MalformedInput`.
pub(crate) const MAX_FORM_DEPTH: usize = 8;
/// Longest stretch of the caller's text that an error message repeats. Ours.
pub(crate) const MAX_QUOTED_BYTES: usize = 1_024;
/// Attempts at a read-modify-write of queue settings that others change too. `RequestThrottled`.
pub(crate) const MAX_RECONFIGURE_TRIES: u32 = 16;
