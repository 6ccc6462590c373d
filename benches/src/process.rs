//! What a server has cost so far, read from /proc: CPU time, bytes written, memory. A server may be
//! one process or, as Postgres is, a process and its children.

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
    /// Reads the server whose first process is `pid`, its children included, dead or alive; `None`
    /// if it is gone. Memory that children share counts once; a peak is only known for a server of
    /// one process, and is its memory now for others.
    pub(crate) fn of_server(pid: u32) -> Option<Self> {
        let own = Self::of_process(pid, true)?;
        let mut all = own;
        let mut shared_bytes = shared_bytes(pid);
        all.resident_bytes = own.resident_bytes.saturating_sub(shared_bytes);
        let mut alone = true;
        for child in children(pid) {
            let Some(usage) = Self::of_process(child, true) else { continue };
            alone = false;
            let shared = self::shared_bytes(child);
            shared_bytes = shared_bytes.max(shared);
            all.user += usage.user;
            all.system += usage.system;
            all.written_bytes += usage.written_bytes;
            all.resident_bytes += usage.resident_bytes.saturating_sub(shared);
        }
        all.resident_bytes += shared_bytes;
        if !alone {
            all.peak_resident_bytes = all.resident_bytes;
        }
        Some(all)
    }

    /// Reads process `pid`, with the CPU time of its dead children if so asked; the bytes that those
    /// wrote are always its own, as the kernel counts.
    fn of_process(pid: u32, with_dead_children: bool) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (user, system) = parse_cpu(&stat, with_dead_children)?;
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
        Self::of_process(std::process::id(), false).unwrap_or_default()
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

/// Processes whose parent is `pid`.
fn children(pid: u32) -> Vec<u32> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let numbers = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_child = |child: &u32| {
        let stat = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        parse_parent(&stat) == Some(pid)
    };
    numbers.filter(is_child).collect()
}

/// Resident memory that is not the process's alone.
fn shared_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = |name| parse_field(&status, name).unwrap_or(0) * 1024;
    field("RssFile:") + field("RssShmem:")
}

/// The numbers of a stat line behind the program's name, which stands in parentheses and may hold
/// spaces: the first is the state.
fn fields(stat: &str) -> Option<impl Iterator<Item = &str>> {
    stat.rsplit_once(')').map(|(_, fields)| fields.split_ascii_whitespace())
}

fn parse_parent(stat: &str) -> Option<u32> {
    fields(stat)?.nth(1)?.parse().ok()
}

/// User and kernel time, of the process alone or with its dead children.
fn parse_cpu(stat: &str, with_dead_children: bool) -> Option<(Duration, Duration)> {
    let mut fields = fields(stat)?.skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    let (mut user, mut system) = (next()?, next()?);
    if with_dead_children {
        user += next()?;
        system += next()?;
    }
    let ticks = |count: u64| Duration::from_millis(count * 1000 / TICKS_PER_SECOND);
    Some((ticks(user), ticks(system)))
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
        let stat = "42 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 250 50 8 3 20";
        let ms = Duration::from_millis;
        assert_eq!(parse_cpu(stat, false), Some((ms(2500), ms(500))));
        assert_eq!(parse_cpu(stat, true), Some((ms(2580), ms(530))));
        assert_eq!(parse_parent(stat), Some(1));
    }

    #[test]
    fn this_process_has_memory_and_another_can_be_gone() {
        assert!(Usage::of_this_process().resident_bytes > 0);
        assert!(Usage::of_server(u32::MAX).is_none());
    }
}
