//! Policy documents on the way into the engine: a compiled document as the settings
//! and the asks of the policy that runs it.

use data_encoding::BASE64;
use keyward_document::compile::{Compiled, Needs, SecretRequest};
use keyward_engine::{BOUNDS, Limits, ManifestAsk};
use keyward_names::Alias;
use serde_json::{Value, json};

use crate::pipeline::Forwards;

/// What stands for the global scope where nobody wrote a document for it: as in API
/// Management at its beginning, each request is forwarded, and that is all.
pub const GLOBAL_DOCUMENT: &str = "<policies><inbound /><backend><forward-request /></backend>\
                                   <outbound /><on-error /></policies>";

/// What a policy gets that runs a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Runs {
    /// Its settings: the document's program.
    pub settings: Value,
    /// The uses of secrets that the document asks for.
    pub asks: Vec<ManifestAsk>,
    /// What it may need in one call of a phase.
    pub needs: Needs,
}

/// A document's program is larger than programs can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the document's program is too large: let fragments or an own pipeline do a part of it")]
pub struct TooLarge;

impl Runs {
    /// What the policy gets that runs this document.
    ///
    /// Errors: its program is too large.
    pub fn of(compiled: &Compiled) -> Result<Self, TooLarge> {
        let program = compiled.program.encode().map_err(|_| TooLarge)?;
        Ok(Runs {
            settings: json!({ "program": BASE64.encode(&program) }),
            // What is no alias can be granted to nobody, and is not asked for.
            asks: compiled.requests.iter().filter_map(ask).collect(),
            needs: compiled.needs,
        })
    }

    /// The limits that the document may need, by their names in [`BOUNDS`]: as much as they
    /// can be, at most. Waiting comes on top of the time that every call has.
    pub fn wants(&self) -> [(&'static str, u64); 4] {
        let Needs {
            calls,
            forwards,
            secret_uses,
            waiting,
        } = self.needs;
        let waiting = u64::try_from(waiting.as_millis()).unwrap_or(u64::MAX);
        let usual = u64::from(Limits::default().wall_milliseconds);
        let within = |(limit, value): (&'static str, u64)| {
            let bound = BOUNDS.iter().find(|(name, ..)| *name == limit);
            (limit, bound.map_or(value, |(_, _, most)| value.min(*most)))
        };
        [
            ("egress-requests", calls),
            ("forwards", forwards),
            ("secret-uses", secret_uses),
            ("wall-milliseconds", waiting.saturating_add(usual)),
        ]
        .map(within)
    }

    /// The limits of the policy that runs the document: those that it has, raised to what
    /// the document may need, but for those that its operator `set`.
    pub fn within(&self, limits: Option<&Limits>, set: &[&'static str]) -> Limits {
        let mut limits = limits.cloned().unwrap_or_default();
        for (name, wanted) in self.wants() {
            if !set.contains(&name) && limits.get(name).is_some_and(|has| has < wanted) {
                limits.set(name, wanted);
            }
        }
        limits
    }
}

fn ask(request: &SecretRequest) -> Option<ManifestAsk> {
    Some(ManifestAsk {
        alias: Alias::parse(&request.alias).ok()?,
        setting: None,
        use_: request.use_.to_owned(),
        why: match &request.position {
            Some(position) => format!("the document asks for it at {position}"),
            None => "the document asks who calls".to_owned(),
        },
    })
}

impl From<&Compiled> for Forwards {
    fn from(compiled: &Compiled) -> Self {
        match compiled.host_forwards {
            true => Forwards::ByHost,
            false => Forwards::ByPolicies,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_documents_needs_raise_the_limits_that_no_operator_set() {
        let runs = |calls, seconds| Runs {
            settings: Value::Null,
            asks: Vec::new(),
            needs: Needs {
                calls,
                waiting: Duration::from_secs(seconds),
                ..Needs::default()
            },
        };
        let limits = runs(20, 30).within(None, &[]);
        assert_eq!(limits.egress_requests, 20);
        assert_eq!(limits.wall_milliseconds, 32_000);
        // What it does not need stays; nothing is more than it can be.
        assert_eq!(runs(1, 0).within(None, &[]), Limits::default());
        let limits = runs(1 << 40, 1 << 40).within(None, &[]);
        assert_eq!(limits.egress_requests, 1_000);
        assert_eq!(limits.wall_milliseconds, 600_000);
        // The operator's word stands, even where it is the usual one.
        let own = Limits::default();
        let limits = runs(20, 30).within(Some(&own), &["egress-requests"]);
        assert_eq!(limits.egress_requests, own.egress_requests);
        assert_eq!(limits.wall_milliseconds, 32_000);
    }
}
