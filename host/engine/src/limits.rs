//! What one call of a policy may use up.

/// The budget of one call of a phase. Each call starts with a full one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Milliseconds of the guest's own computing. Time spent waiting in a host
    /// call does not count. Reaching it stops the policy.
    pub cpu_milliseconds: u32,
    /// Milliseconds in all, waiting included. Reaching it makes the host call
    /// that waits return `unavailable`.
    pub wall_milliseconds: u32,
    /// Bytes of linear memory, summed over all memories of the instance.
    pub memory_bytes: usize,
    /// Table elements, summed over all tables of the instance.
    pub table_elements: usize,
    /// Calls into the host. One more stops the policy.
    pub host_calls: u32,
    /// Uses of secrets. One more returns `exhausted`.
    pub secret_uses: u32,
    /// Handles alive at once. One more returns `exhausted` or `limit`.
    pub handles: usize,
    /// Calls of its own to backends. One more returns `limit`.
    pub egress_requests: u32,
    /// Bytes of a body that the host holds for policies that read or write it; also,
    /// of all requests together that a policy makes itself.
    pub body_bytes: usize,
    /// Log lines. Further lines are dropped and counted.
    pub log_lines: u32,
    /// Bytes of one log line; the rest is cut off.
    pub log_line_bytes: usize,
    /// Random bytes.
    pub random_bytes: u32,
    /// Bytes of all variables of an exchange.
    pub variable_bytes: usize,
    /// Variables of an exchange.
    pub variables: usize,
    /// Headers on one side of an exchange.
    pub headers: usize,
    /// Bytes of one header's value.
    pub header_bytes: usize,
    /// Bytes that one host call may copy out of guest memory.
    pub call_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            cpu_milliseconds: 50,
            wall_milliseconds: 2_000,
            memory_bytes: 16 << 20,
            table_elements: 10_000,
            host_calls: 1_000,
            secret_uses: 32,
            handles: 64,
            egress_requests: 8,
            body_bytes: 1 << 20,
            log_lines: 50,
            log_line_bytes: 1 << 10,
            random_bytes: 1 << 10,
            variable_bytes: 64 << 10,
            variables: 64,
            headers: 128,
            header_bytes: 16 << 10,
            call_bytes: 1 << 20,
        }
    }
}
