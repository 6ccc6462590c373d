//! Unique keys: while one is held, no second message with it comes into a queue.

/// A unique key with its rules: no second message with the key comes into a queue while one holds
/// it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unique {
    /// The key, within each target queue. From 1 to [`crate::limits::MAX_KEY_BYTES`] bytes.
    pub key: String,
    /// The time for which this message holds the key.
    pub scope: UniqueScope,
    /// The policy for this message if another one holds the key.
    pub policy: UniquePolicy,
}

/// The time for which a message holds its unique key. Purging the queue frees all keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UniqueScope {
    /// The message holds the key while it is in the queue: until it is acknowledged, expires, is
    /// dropped, or moves to the dead-letter queue. One that is brought back from there holds no
    /// key.
    UntilDone,
    /// The message holds the key for this many milliseconds from its enqueue, done or not; at most
    /// [`crate::limits::MAX_UNIQUE_MS`].
    For(u64),
    /// The message holds the key until it is done, and at least for this many milliseconds.
    UntilDoneAndFor(u64),
}

/// The policy for a new message whose unique key is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UniquePolicy {
    /// It is dropped as a duplicate.
    #[default]
    Keep,
    /// A holder that waits (ready or delayed) is removed, and the new message takes its place in
    /// the order; its delay, priority and lane are its own. While the holder is in flight, or done
    /// with its time not over, the new message is dropped as a duplicate.
    Replace,
}
