//! What a process has cost so far, read from /proc: CPU time, bytes written, memory.

use std::fs;
use std::time::Duration;

/// The kernel reports CPU time in ticks of 1/100 s on every Linux that Rust's std supports.
const TICKS_PER_SECOND: u64 = 100;

/// A reading of one process's counters.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// CPU time in user mode, all threads.
    pub user: Duration,
    /// CPU time in the kernel, all threads.
    pub system: Duration,
    /// Bytes the process caused to be sent to the storage layer.
    pub written_bytes: u64,
    /// Resident memory now.
    pub resident_bytes: u64,
    /// The most resident memory so far.
    pub peak_resident_bytes: u64,
}

impl Usage {
    /// Reads process `pid`; `None` if it is gone.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let (user, system) = parse_cpu(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        // Unreadable for a process of another user: CPU and memory are still worth a line.
        let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
        Some(Self {
            user,
            system,
            written_bytes: parse_field(&io, "write_bytes:").unwrap_or(0),
            resident_bytes: parse_field(&status, "VmRSS:").unwrap_or(0) * 1024,
            peak_resident_bytes: parse_field(&status, "VmHWM:").unwrap_or(0) * 1024,
        })
    }

    /// Reads this process.
    pub(crate) fn of_this_process() -> Self {
        Self::of(std::process::id()).unwrap_or_default()
    }

    /// What was spent since `earlier`; memory is the state at `self`.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
            written_bytes: self.written_bytes.saturating_sub(earlier.written_bytes),
            ..*self
        }
    }
}

fn parse_cpu(stat: &str) -> Option<(Duration, Duration)> {
    // The second field is the program's name in parentheses and may hold spaces; count behind it.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    let ticks = |count: u64| Duration::from_millis(count * 1000 / TICKS_PER_SECOND);
    Some((ticks(next()?), ticks(next()?)))
}

fn parse_field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let stat = "42 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20";
        assert_eq!(
            parse_cpu(stat),
            Some((Duration::from_millis(2500), Duration::from_millis(500)))
        );
    }

    #[test]
    fn this_process_has_memory_and_another_can_be_gone() {
        assert!(Usage::of_this_process().resident_bytes > 0);
        assert!(Usage::of(u32::MAX).is_none());
    }
}
