//! File descriptors: how many there are, and how many of them connections may take.
//!
//! Every connection is a descriptor, and so is every file of the log while it is open. What is not
//! kept back from connections is taken by them: idle clients alone could keep the log from opening
//! its next segment.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Kept for the log (the segments being written, prepared, read and relocated, snapshots), the
/// listeners and the runtime: about 40 at the most, and as many again.
pub const RESERVED: usize = 96;
/// With fewer, too little is left for connections.
pub const FEWEST: usize = 160;

/// Raises the soft limit of this process to the hard one, and answers what is in force.
pub fn raise() -> io::Result<usize> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // A descriptor takes memory only when it is open, so there is no reason to stay below.
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    Ok(limit())
}

/// The soft limit in force.
pub fn limit() -> usize {
    let current = getrlimit(Resource::Nofile).current;
    current.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// The descriptors of `limit` that are left for connections of all doors: all but [`RESERVED`], and
/// but an eighth for those that are being refused and for connections to others.
pub fn for_connections(limit: usize) -> usize {
    limit.saturating_sub(RESERVED).saturating_sub(limit / 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_the_log_its_descriptors() {
        for limit in [FEWEST, 256, 1_024, 65_536, 1 << 20] {
            let connections = for_connections(limit);
            assert!(connections > 0 && connections + RESERVED < limit, "{limit}");
        }
        assert_eq!(for_connections(64), 0);
    }
}
