//! Turns a client away that sends too many requests.
//!
//! Each limit allows a number of requests in each window of a number of seconds,
//! on this node. Windows of different clients begin at different times, so that
//! not all of them come back at once. A client may send twice the number around
//! the border of two windows; where that is too much, a second, shorter limit
//! holds it down. A request that is turned away counts as well, in the limit that it
//! broke and in those before. Pipelines with the same limits share the counts.
//!
//! The client is told where it stands in `ratelimit` and `ratelimit-policy`
//! (draft-ietf-httpapi-ratelimit-headers) where the policy stands in the outbound
//! phase, too, and in any case in the 429 with its `retry-after` (RFC 9110, 10.2.3).

#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv6Addr};

use keyward_policy::{Decision, Exchange, Failure, Level, Problem, Verdict, policy, settings};

/// The variable that carries the state of the limits from the request to the
/// response.
const STATE: &str = "ratelimit";

/// What the operator sets.
#[settings(check = fits_together)]
#[derive(Debug)]
pub struct Settings {
    /// At most `requests` in each window of `seconds`. All of them hold.
    #[setting(min = 1, max = 4)]
    limits: Vec<Limit>,
    /// Whose requests are counted together.
    #[setting(default = "address")]
    by: By,
    /// The policy whose variable `subject` says who is calling; without it,
    /// `require-client-key`. For `by = "subject"`.
    subject_from: Option<String>,
    /// The bits of an IPv6 address that count; without it 64, since one customer has
    /// at least a /64. For `by = "address"`.
    #[setting(min = 32, max = 128)]
    ipv6_prefix: Option<u8>,
}

/// At most `requests` in each window of `seconds`.
#[settings]
#[derive(Debug)]
pub struct Limit {
    /// How many requests.
    #[setting(min = 1, max = 1_000_000_000)]
    requests: u32,
    /// How long a window is.
    #[setting(min = 1, max = 86_400)]
    seconds: u32,
}

/// Whose requests are counted together.
#[settings]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Those of a client's address.
    Address,
    /// Those of the subject that a policy before this one identified.
    Subject,
    /// All.
    Everyone,
}

fn fits_together(settings: &Settings) -> Result<(), &'static str> {
    if settings.subject_from.is_some() && settings.by != By::Subject {
        return Err("`subject-from` is for `by = \"subject\"`");
    }
    if settings.ipv6_prefix.is_some() && settings.by != By::Address {
        return Err("`ipv6-prefix` is for `by = \"address\"`");
    }
    Ok(())
}

/// Counts the request, and answers 429 where it is one too many.
///
/// # Errors
/// [`Failure::Unavailable`] if it is unknown who is calling, or nothing can be
/// counted.
pub fn decide(settings: &Settings, exchange: &Exchange<'_>) -> Decision {
    let who = who(settings, exchange)?;
    let now = exchange.now();
    let mut tightest: Option<Standing> = None;
    for (number, limit) in settings.limits.iter().enumerate() {
        let window = Window::of(limit, &who, now);
        // One policy may stand in several places, with limits of each place's own.
        let name = format!(
            "{}/{}/{}/{who}",
            limit.requests, limit.seconds, window.index
        );
        let count = exchange.increment(&name, 1, window.seconds_left)?;
        let standing = Standing {
            limit: number,
            left: u64::from(limit.requests).saturating_sub(count),
            seconds: window.seconds_left,
        };
        if count > u64::from(limit.requests) {
            return exchange.reject(
                Problem::new(429, "Too Many Requests")
                    .detail("There have been too many requests. Try again later.")
                    .header("retry-after", &standing.seconds.to_string())
                    .header("ratelimit-policy", &policy_of(settings))
                    .header("ratelimit", &standing.to_string()),
            );
        }
        if tightest.is_none_or(|tightest| standing.left < tightest.left) {
            tightest = Some(standing);
        }
    }
    if let Some(standing) = tightest {
        exchange.set_variable(STATE, standing.to_string())?;
    }
    Ok(Verdict::Proceed)
}

/// Tells the client where it stands.
///
/// # Errors
/// [`Failure::Limit`] if the response has too many headers.
pub fn tell(settings: &Settings, exchange: &Exchange<'_>) -> Decision {
    if let Some(standing) = exchange.variable(STATE) {
        let response = exchange.response();
        response.set_header("ratelimit-policy", policy_of(settings))?;
        response.set_header("ratelimit", standing)?;
    }
    Ok(Verdict::Proceed)
}

policy! {
    settings: Settings,
    inbound: decide,
    outbound: tell,
}

/// How much of a limit is left, for how long.
#[derive(Clone, Copy)]
struct Standing {
    limit: usize,
    left: u64,
    seconds: u32,
}

impl std::fmt::Display for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\";r={};t={}", self.limit, self.left, self.seconds)
    }
}

fn policy_of(settings: &Settings) -> String {
    let mut text = String::new();
    for (number, limit) in settings.limits.iter().enumerate() {
        let comma = if number == 0 { "" } else { ", " };
        // Writing to a text does not fail.
        let _ = write!(
            text,
            "{comma}\"{number}\";q={};w={}",
            limit.requests, limit.seconds
        );
    }
    text
}

/// A window of a limit.
struct Window {
    index: u64,
    seconds_left: u32,
}

impl Window {
    /// The one that `now` lies in, in milliseconds.
    fn of(limit: &Limit, who: &str, now: u64) -> Self {
        let length = u64::from(limit.seconds) * 1000;
        let moved = now.saturating_add(hash(who) % length);
        let left = length - moved % length;
        Self {
            index: moved / length,
            seconds_left: u32::try_from(left.div_ceil(1000)).unwrap_or(limit.seconds),
        }
    }
}

/// FNV-1a: spreads the windows of clients, and is no protection.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Whose request it is, in at most 64 bytes.
fn who(settings: &Settings, exchange: &Exchange<'_>) -> Result<String, Failure> {
    match settings.by {
        By::Everyone => Ok(String::new()),
        By::Address => Ok(match exchange.client_ip()? {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => {
                let shift = u32::from(128_u8.saturating_sub(settings.ipv6_prefix.unwrap_or(64)));
                let bits = address.to_bits() >> shift << shift;
                Ipv6Addr::from_bits(bits).to_string()
            }
        }),
        By::Subject => {
            let from = settings.subject_from.as_deref();
            let subject = exchange.variable_of(from.unwrap_or("require-client-key"), "subject");
            let Some(subject) = subject.and_then(|subject| String::from_utf8(subject).ok()) else {
                exchange.log(
                    Level::Error,
                    "no policy before this one has said who is calling; put it after the one that identifies clients",
                );
                return Err(Failure::Unavailable);
            };
            Ok(subject)
        }
    }
}

#[cfg(test)]
mod tests;
