//! The end of the command. The exit codes are stable: scripts rely on them.

use std::fmt;
use std::process::ExitCode;

/// Shown by `kyu --help`.
pub(crate) const CODES: &str = "Exit codes:\n  0  ended in good order\n  1  failed\n  2  bad \
    arguments or settings\n  3  the log is damaged: see `kyu log verify`\n  4  a port or the data \
    directory is in use\n  5  what is named is not there\n  6  its state does not allow it\n  7  the \
    server refuses the caller\n  8  no server answers";

/// The reason why the command did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Anything else.
    Failed(String),
    /// The arguments contradict each other or what is on disk.
    Usage(String),
    /// The log needs repair.
    Damaged(String),
    /// Somebody else has the port or the directory.
    InUse(String),
    /// A verb that talks to a server.
    Client(kyu_cli::Failure),
}

impl Failure {
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Damaged(_) => 3,
            Self::InUse(_) => 4,
            Self::Client(failure) => failure.code(),
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(text) | Self::Usage(text) | Self::Damaged(text) | Self::InUse(text) => {
                f.write_str(text)
            }
            Self::Client(failure) => failure.fmt(f),
        }
    }
}

impl From<kyu::StartError> for Failure {
    fn from(error: kyu::StartError) -> Self {
        let text = error.to_string();
        match error {
            kyu::StartError::PortInUse { .. } => Self::InUse(text),
            kyu::StartError::OpenToTheWorld { .. }
            | kyu::StartError::WeakCredential { .. }
            | kyu::StartError::FewDescriptors { .. } => Self::Usage(text),
            kyu::StartError::Listen { .. } => Self::Failed(text),
            kyu::StartError::Open(error) => Self::open(&error, text),
        }
    }
}

impl Failure {
    /// The failure for errors of opening a data directory, or of looking at it.
    pub(crate) fn open(error: &kyu_broker::OpenError, text: String) -> Self {
        use kyu_broker::OpenError;
        match error {
            OpenError::Log(error) => Self::log(error, text),
            OpenError::Snapshots(kyu_log::SnapshotError::Io(_))
            | OpenError::Replay { error: kyu_log::ReplayError::Io(_), .. }
            | OpenError::Failed(_) => Self::Failed(text),
            OpenError::Snapshots(_)
            | OpenError::Replay { .. }
            | OpenError::Lost(_)
            | OpenError::Damaged(_) => Self::Damaged(text),
        }
    }

    fn log(error: &kyu_log::OpenError, text: String) -> Self {
        match error {
            kyu_log::OpenError::Locked(_) => Self::InUse(text),
            kyu_log::OpenError::BadOptions(_) => Self::Usage(text),
            kyu_log::OpenError::Damaged(_) => Self::Damaged(text),
            kyu_log::OpenError::Incompatible { .. }
            | kyu_log::OpenError::NoSpace(_)
            | kyu_log::OpenError::Io { .. } => Self::Failed(text),
        }
    }
}
