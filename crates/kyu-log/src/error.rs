//! The errors of the log, named by what the caller can do about them.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::Lsn;

/// The reason why `append` refused a record. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// No space: retry after something was recycled. `Shrink` appends may still work.
    Full,
    /// The body can never fit: fix the call.
    TooLarge {
        /// The largest body that this log takes.
        limit_bytes: usize,
    },
    /// A write or sync failed earlier: this incarnation is over.
    Failed,
    /// The log was sealed at a higher epoch: another incarnation may append, this one is over.
    Sealed {
        /// The epoch of the seal.
        by: u64,
    },
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AppendError::Full => f.write_str("the log is full"),
            AppendError::TooLarge { limit_bytes } => {
                write!(f, "the record is larger than the limit of {limit_bytes} bytes")
            }
            AppendError::Failed => f.write_str("the log failed to write and is closed"),
            AppendError::Sealed { by } => {
                write!(f, "the log was sealed at epoch {by}: another owner has taken it over")
            }
        }
    }
}

impl std::error::Error for AppendError {}

/// A place in the log whose bytes are not those that were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The segment file.
    pub file: PathBuf,
    /// Offset in the file.
    pub offset: u64,
    /// The same place as an address.
    pub lsn: Lsn,
    /// The fault, in words.
    pub reason: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is damaged at offset {} (address {}): {}; `kyu log verify` shows what is affected and \
             `kyu log repair` can cut it off",
            self.file.display(),
            self.offset,
            self.lsn,
            self.reason
        )
    }
}

/// The reason why a log did not open. Nothing was changed.
#[derive(Debug)]
pub enum OpenError {
    /// Another process has it open.
    Locked(PathBuf),
    /// An option is out of range.
    BadOptions(String),
    /// The files are not what this program wrote: wrong version, another log's file, a missing file.
    Incompatible {
        /// The file.
        file: PathBuf,
        /// The fault, in words.
        reason: String,
    },
    /// Acknowledged records would be lost by going on.
    Damaged(Damage),
    /// There is no space for even one segment.
    NoSpace(PathBuf),
    /// An operation of the system failed.
    Io {
        /// The action that failed, in words ("reading FILE").
        doing: String,
        /// The system's error.
        source: io::Error,
    },
}

impl OpenError {
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> OpenError {
        let doing = doing.into();
        move |source| OpenError::Io { doing, source }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Locked(file) => {
                write!(
                    f,
                    "another process holds {}: is a server already running there?",
                    file.display()
                )
            }
            OpenError::BadOptions(reason) => write!(f, "bad log options: {reason}"),
            OpenError::Incompatible { file, reason } => write!(f, "{}: {reason}", file.display()),
            OpenError::Damaged(damage) => damage.fmt(f),
            OpenError::NoSpace(dir) => {
                write!(f, "no disk space for a segment in {}", dir.display())
            }
            OpenError::Io { doing, source } => write!(f, "{doing}: {source}"),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            OpenError::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// The reason why records could not be read back in order.
#[derive(Debug)]
pub enum ReplayError<E> {
    /// The visitor stopped with its own error.
    Visitor(E),
    /// Records are damaged.
    Damaged(Damage),
    /// A segment that is needed is not there.
    Missing {
        /// The segment's number.
        segment: u64,
        /// The file that should exist.
        file: PathBuf,
    },
    /// `from` is not the end of a record of this log: a snapshot of another log, or newer than the log.
    BadStart {
        /// The address that was asked for.
        from: Lsn,
        /// The reason, in words.
        reason: String,
    },
    /// An operation of the system failed.
    Io(io::Error),
}

impl<E: fmt::Display> fmt::Display for ReplayError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplayError::Visitor(error) => error.fmt(f),
            ReplayError::Damaged(damage) => damage.fmt(f),
            ReplayError::Missing { segment, file } => {
                write!(f, "segment {segment} is missing: {} does not exist", file.display())
            }
            ReplayError::BadStart { from, reason } => {
                write!(f, "cannot replay from address {from}: {reason}")
            }
            ReplayError::Io(error) => write!(f, "reading the log: {error}"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for ReplayError<E> {}

impl<E> From<io::Error> for ReplayError<E> {
    fn from(error: io::Error) -> Self {
        ReplayError::Io(error)
    }
}
