//! Every bound of the broker, with its reason and the error it causes.

/// Memory of requests that are inside, from admission to reply, in units of [`ADMISSION_UNIT_BYTES`]:
/// 256 MiB. Further requests wait their turn.
pub const ADMISSION_UNITS: u32 = 256 << 10;
/// Every request costs one unit and its content.
pub const ADMISSION_UNIT_BYTES: usize = 1 << 10;
/// Requests that wait for admission. `Error::Overloaded`.
pub const MAX_WAITING_REQUESTS: usize = 64 << 10;
/// The largest number of long polls that wait for a message; each costs some 300 bytes.
/// `Error::Overloaded`.
pub const MAX_WAITING_RECEIVES: usize = 100_000;
/// Longest long poll. Longer ones are cut to it (SQS allows 20 s, AMQP has no such wait).
pub const MAX_WAIT_MS: u64 = 3_600_000;
/// Commands between two hand-overs of replies to the log's writer thread, for latency.
pub(crate) const COMMANDS_PER_HAND_OVER: usize = 128;
/// Frames relocated between two looks into the inbox, for latency.
pub(crate) const RELOCATED_FRAMES_PER_STEP: usize = 64;
/// Bytes relocated between two looks into the inbox, for latency.
pub(crate) const RELOCATED_BYTES_PER_STEP: usize = 256 << 10;
/// Appended but not durable bytes above which relocation pauses, so that it leaves the disk and
/// the log's buffer to commands.
pub(crate) const RELOCATION_PAUSE_BYTES: u64 = 4 << 20;
/// Frames read but not yet relocated, for RAM; also the size of one step of reading.
pub(crate) const RELOCATION_READ_BYTES: usize = 1 << 20;
/// Threads that read cold bodies: enough to keep a disk's queue busy, few enough for two cores.
pub(crate) const COLD_READ_THREADS: usize = 4;
/// Receives whose cold bodies are being read or waited for. More wait their turn.
pub(crate) const MAX_COLD_RECEIVES: usize = 1_024;

/// Snapshots on disk: the newest, and one to fall back to if the newest is damaged.
pub(crate) const KEPT_SNAPSHOTS: usize = 2;
