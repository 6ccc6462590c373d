//! What the numbers were measured on.

use std::fs;
use std::path::Path;

use serde::Serialize;

/// Facts without which no figure can be compared.
#[derive(Serialize)]
pub(crate) struct Machine {
    /// Processors this process may use.
    pub cores: usize,
    /// The processor's name.
    pub processor: String,
    /// Kernel name and release.
    pub kernel: String,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// File system type and device of the data directory.
    pub file_system: String,
}

impl Machine {
    /// Looks at this machine and the file system that holds `data`.
    pub(crate) fn look(data: &Path) -> Self {
        let cpu_info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let value = |text: &str, name: &str| -> Option<String> {
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let kibibytes = value(&memory, "MemTotal")
            .and_then(|text| text.split_ascii_whitespace().next()?.parse::<u64>().ok());
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            processor: value(&cpu_info, "model name").unwrap_or_else(|| "unknown".into()),
            kernel: format!("Linux {}", release.trim()),
            memory_bytes: kibibytes.unwrap_or(0) * 1024,
            file_system: file_system_of(data).unwrap_or_else(|| "unknown".into()),
        }
    }
}

fn file_system_of(path: &Path) -> Option<String> {
    let path = path.canonicalize().ok()?;
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mount = |line: &str| {
        let mut fields = line.split(' ').map(str::to_owned);
        let (device, point, kind) = (fields.next()?, fields.next()?, fields.next()?);
        path.starts_with(&point).then(|| (point.len(), format!("{kind} on {device}")))
    };
    // The deepest mount point that holds the path is the one that counts; later mounts cover earlier.
    mounts.lines().filter_map(mount).max_by_key(|(depth, _)| *depth).map(|(_, text)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_has_a_file_system() {
        assert!(file_system_of(Path::new("/")).is_some_and(|text| text.contains(" on ")));
    }
}
