//! What one call of a policy may use up.

use crate::profile::Profile;

/// The budget of one call of a phase. Each call starts with a full one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Limits {
    /// Milliseconds of the guest's own computing. Time spent waiting in a host
    /// call does not count. Reaching it stops the policy. 1 to 10,000.
    pub cpu_milliseconds: u32,
    /// Milliseconds in all, waiting included. Reaching it makes the host call
    /// that waits return `unavailable`. 1 to 600,000.
    pub wall_milliseconds: u32,
    /// Bytes of linear memory, summed over all memories of the instance; none: what
    /// its profile has. At least 64 KiB, at most what its profile has.
    pub memory_bytes: Option<usize>,
    /// Table elements, summed over all tables of the instance; none: what its
    /// profile has. At most that.
    pub table_elements: Option<usize>,
    /// Calls into the host. One more stops the policy. 1 to 1,000,000.
    pub host_calls: u32,
    /// Uses of secrets. One more returns `exhausted`. 0 to 1,000.
    pub secret_uses: u32,
    /// Handles alive at once. One more returns `exhausted` or `limit`. 1 to 10,000.
    pub handles: usize,
    /// Calls of its own to backends. One more returns `limit`. 0 to 1,000.
    pub egress_requests: u32,
    /// Times that it sends the exchange's request to the backend. One more returns
    /// `limit`. 0 to 1,000.
    pub forwards: u32,
    /// Bytes of a body that the host holds for policies that read or write it; also,
    /// of all requests together that a policy makes itself. 0 to 64 MiB.
    pub body_bytes: usize,
    /// Log lines. Further lines are dropped and counted. 0 to 10,000.
    pub log_lines: u32,
    /// Bytes of one log line; the rest is cut off. 0 to 64 KiB.
    pub log_line_bytes: usize,
    /// Random bytes. 0 to 1 MiB.
    pub random_bytes: u32,
    /// Bytes of all variables of an exchange. 0 to 16 MiB.
    pub variable_bytes: usize,
    /// Variables of an exchange. 0 to 10,000.
    pub variables: usize,
    /// Values that a policy's cache holds on this node; the one used the longest ago
    /// makes room for another. 0 to 1,000,000.
    pub cache_values: usize,
    /// Bytes of all of them, their keys included. 0 to 1 GiB.
    pub cache_bytes: usize,
    /// Bytes of one of them. More returns `limit`. 0 to 16 MiB.
    pub cache_value_bytes: usize,
    /// Headers on one side of an exchange. 1 to 1,000.
    pub headers: usize,
    /// Bytes of one header's value. 1 to 64 KiB.
    pub header_bytes: usize,
    /// Bytes that one host call may copy out of guest memory or into it. 1 KiB to 64 MiB.
    pub call_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            cpu_milliseconds: 50,
            wall_milliseconds: 2_000,
            memory_bytes: None,
            table_elements: None,
            host_calls: 1_000,
            secret_uses: 32,
            handles: 64,
            egress_requests: 8,
            forwards: 64,
            body_bytes: 1 << 20,
            log_lines: 50,
            log_line_bytes: 1 << 10,
            random_bytes: 1 << 10,
            variable_bytes: 64 << 10,
            variables: 64,
            cache_values: 10_000,
            cache_bytes: 4 << 20,
            cache_value_bytes: 256 << 10,
            headers: 128,
            header_bytes: 16 << 10,
            call_bytes: 1 << 20,
        }
    }
}

/// A limit is set to what it can't be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{limit} is {value}; it can be {least} to {most}{}", of(*profile))]
pub struct LimitFault {
    /// Which limit, as `keyward.toml` spells it.
    pub limit: &'static str,
    /// What it is set to.
    pub value: u64,
    /// The least that it can be.
    pub least: u64,
    /// The most that it can be.
    pub most: u64,
    /// The profile that bounds it, if one does.
    pub profile: Option<Profile>,
}

fn of(profile: Option<Profile>) -> String {
    match profile {
        Some(Profile::Large) | None => String::new(),
        Some(profile) => format!(" in the profile {profile}; a larger profile has more"),
    }
}

/// A limit, as `keyward.toml` spells it, with the least and the most that it can be
/// in any profile.
pub type Bound = (&'static str, u64, u64);

/// Every limit.
pub const BOUNDS: [Bound; 21] = [
    ("memory-bytes", 64 << 10, 256 << 20),
    ("table-elements", 0, 100_000),
    ("cpu-milliseconds", 1, 10_000),
    ("wall-milliseconds", 1, 600_000),
    ("host-calls", 1, 1_000_000),
    ("secret-uses", 0, 1_000),
    ("handles", 1, 10_000),
    ("egress-requests", 0, 1_000),
    ("forwards", 0, 1_000),
    ("body-bytes", 0, 64 << 20),
    ("log-lines", 0, 10_000),
    ("log-line-bytes", 0, 64 << 10),
    ("random-bytes", 0, 1 << 20),
    ("variable-bytes", 0, 16 << 20),
    ("variables", 0, 10_000),
    ("cache-values", 0, 1_000_000),
    ("cache-bytes", 0, 1 << 30),
    ("cache-value-bytes", 0, 16 << 20),
    ("headers", 1, 1_000),
    ("header-bytes", 1, 64 << 10),
    ("call-bytes", 1 << 10, 64 << 20),
];

impl Limits {
    /// Sets a limit by its name in [`BOUNDS`]. Whether it can be that, and in which
    /// profile, is for [`Limits::check`]; a number beyond all bounds becomes the
    /// largest there is. Another name changes nothing.
    pub fn set(&mut self, limit: &str, value: u64) {
        let narrow = u32::try_from(value).unwrap_or(u32::MAX);
        let size = usize::try_from(value).unwrap_or(usize::MAX);
        match limit {
            "memory-bytes" => self.memory_bytes = Some(size),
            "table-elements" => self.table_elements = Some(size),
            "cpu-milliseconds" => self.cpu_milliseconds = narrow,
            "wall-milliseconds" => self.wall_milliseconds = narrow,
            "host-calls" => self.host_calls = narrow,
            "secret-uses" => self.secret_uses = narrow,
            "handles" => self.handles = size,
            "egress-requests" => self.egress_requests = narrow,
            "forwards" => self.forwards = narrow,
            "body-bytes" => self.body_bytes = size,
            "log-lines" => self.log_lines = narrow,
            "log-line-bytes" => self.log_line_bytes = size,
            "random-bytes" => self.random_bytes = narrow,
            "variable-bytes" => self.variable_bytes = size,
            "variables" => self.variables = size,
            "cache-values" => self.cache_values = size,
            "cache-bytes" => self.cache_bytes = size,
            "cache-value-bytes" => self.cache_value_bytes = size,
            "headers" => self.headers = size,
            "header-bytes" => self.header_bytes = size,
            "call-bytes" => self.call_bytes = size,
            _ => {}
        }
    }

    /// A limit by its name in [`BOUNDS`]; none where its profile says it.
    pub fn get(&self, limit: &str) -> Option<u64> {
        let wide = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
        Some(match limit {
            "memory-bytes" => wide(self.memory_bytes?),
            "table-elements" => wide(self.table_elements?),
            "cpu-milliseconds" => u64::from(self.cpu_milliseconds),
            "wall-milliseconds" => u64::from(self.wall_milliseconds),
            "host-calls" => u64::from(self.host_calls),
            "secret-uses" => u64::from(self.secret_uses),
            "handles" => wide(self.handles),
            "egress-requests" => u64::from(self.egress_requests),
            "forwards" => u64::from(self.forwards),
            "body-bytes" => wide(self.body_bytes),
            "log-lines" => u64::from(self.log_lines),
            "log-line-bytes" => wide(self.log_line_bytes),
            "random-bytes" => u64::from(self.random_bytes),
            "variable-bytes" => wide(self.variable_bytes),
            "variables" => wide(self.variables),
            "cache-values" => wide(self.cache_values),
            "cache-bytes" => wide(self.cache_bytes),
            "cache-value-bytes" => wide(self.cache_value_bytes),
            "headers" => wide(self.headers),
            "header-bytes" => wide(self.header_bytes),
            "call-bytes" => wide(self.call_bytes),
            _ => return None,
        })
    }

    /// Whether a policy can have these limits in that profile.
    ///
    /// Errors: the first that is out of its bounds.
    pub fn check(&self, profile: Profile) -> Result<(), LimitFault> {
        let wide = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
        for (limit, least, most) in BOUNDS {
            let (most, bounded_by) = match limit {
                "memory-bytes" => (wide(profile.memory_bytes()), Some(profile)),
                "table-elements" => (wide(profile.table_elements()), Some(profile)),
                _ => (most, None),
            };
            match self.get(limit) {
                Some(value) if value < least || value > most => {
                    return Err(LimitFault {
                        limit,
                        value,
                        least,
                        most,
                        profile: bounded_by,
                    });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Bytes of memory that an instance in that profile may have.
    pub(crate) fn memory_in(&self, profile: Profile) -> usize {
        let most = profile.memory_bytes();
        self.memory_bytes.map_or(most, |bytes| bytes.min(most))
    }

    /// Table elements that an instance in that profile may have.
    pub(crate) fn elements_in(&self, profile: Profile) -> usize {
        let most = profile.table_elements();
        self.table_elements
            .map_or(most, |elements| elements.min(most))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]
    use super::*;

    #[test]
    fn a_limit_out_of_its_bounds_is_named_with_them() {
        for profile in Profile::ALL {
            Limits::default().check(profile).unwrap();
        }
        let limits = Limits {
            memory_bytes: Some(40 << 20),
            ..Limits::default()
        };
        limits.check(Profile::Standard).unwrap();
        let said = limits.check(Profile::Lean).unwrap_err().to_string();
        assert_eq!(
            said,
            "memory-bytes is 41943040; it can be 65536 to 16777216 in the profile lean; \
             a larger profile has more"
        );
        let limits = Limits {
            cpu_milliseconds: 0,
            ..Limits::default()
        };
        let said = limits.check(Profile::Large).unwrap_err().to_string();
        assert_eq!(said, "cpu-milliseconds is 0; it can be 1 to 10000");
    }

    #[test]
    fn each_limit_can_be_set_by_its_name_and_has_a_default_within_its_bounds() {
        for (limit, least, most) in BOUNDS {
            let mut limits = Limits::default();
            let default = limits.get(limit);
            assert!(default.is_none_or(|default| least <= default && default <= most));
            limits.set(limit, most);
            assert_eq!(limits.get(limit), Some(most), "{limit}");
            limits.check(Profile::Large).unwrap();
            limits.set(limit, most + 1);
            assert_eq!(limits.check(Profile::Large).unwrap_err().limit, limit);
        }
    }
}
