//! What the kernel says of this process, from `/proc`. Elsewhere than on Linux
//! all of it is 0.

/// Memory, descriptors, threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) resident_bytes: u64,
    pub(super) descriptors: u64,
    pub(super) threads: u64,
}

pub(super) fn look() -> Process {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let descriptors = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    Process {
        resident_bytes: field(&status, "VmRSS:").saturating_mul(1024),
        // Reading the folder takes one itself.
        descriptors: u64::try_from(descriptors).unwrap_or(0).saturating_sub(1),
        threads: field(&status, "Threads:"),
    }
}

/// The number after a field's name (proc_pid_status(5)).
fn field(status: &str, name: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_the_number_after_its_name() {
        let status = "Name:\tkeyward\nVmRSS:\t   2048 kB\nThreads:\t7\n";
        assert_eq!(field(status, "VmRSS:"), 2048);
        assert_eq!(field(status, "Threads:"), 7);
        assert_eq!(field(status, "VmSize:"), 0);
    }

    #[test]
    fn a_process_has_memory_and_descriptors() {
        let process = look();
        assert!(process.resident_bytes > 1 << 20, "{process:?}");
        assert!(process.descriptors > 2, "{process:?}");
    }
}
