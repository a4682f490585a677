//! What a set of grants points at, compared with what there is.

use std::fmt;

use jiff::Timestamp;
use keyward_names::{GrantId, PolicyName, RouteName, SecretName};

use super::report::did_you_mean;
use super::{Grant, Grants};
use crate::{Kind, SecretInfo};

/// Something that a grant names and that isn't there, or doesn't fit.
///
/// The grant is harmless: what it allows is refused. But it is not what its
/// author meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The grants file.
    pub file: String,
    /// The line in which the grant starts, counted from 1.
    pub line: usize,
    /// The grant.
    pub grant: GrantId,
    /// What is wrong.
    pub fault: FindingFault,
    /// `; did you mean "…"?`, or nothing.
    suggestion: String,
}

/// What can be wrong with a grant that is well formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FindingFault {
    /// The vault has no such secret.
    UnknownSecret(SecretName),
    /// The gateway has no such route.
    UnknownRoute(RouteName),
    /// The gateway has no such policy.
    UnknownPolicy(PolicyName),
    /// The secret's kind doesn't allow the use.
    KindDoesNotFit {
        /// The secret.
        secret: SecretName,
        /// What it is.
        kind: Kind,
    },
    /// The grant's time is over.
    Expired(Timestamp),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: grant \"{}\": ", self.file, self.line, self.grant)?;
        let missing = |f: &mut fmt::Formatter<'_>, what: fmt::Arguments<'_>, help| {
            f.write_fmt(what)?;
            match self.suggestion.as_str() {
                "" => f.write_fmt(help),
                suggestion => f.write_str(suggestion),
            }
        };
        match &self.fault {
            FindingFault::UnknownSecret(name) => missing(
                f,
                format_args!("the vault has no secret \"{name}\""),
                format_args!("; add it with: keyward secret set {name}"),
            ),
            FindingFault::UnknownRoute(name) => missing(
                f,
                format_args!("there is no route \"{name}\""),
                format_args!("; add a [[route]] of that name"),
            ),
            FindingFault::UnknownPolicy(name) => missing(
                f,
                format_args!("there is no policy \"{name}\""),
                format_args!("; add a [[policy]] of that name"),
            ),
            FindingFault::KindDoesNotFit { secret, kind } => write!(
                f,
                "the secret \"{secret}\" is of kind {}, which does not allow this use",
                kind.as_str()
            ),
            FindingFault::Expired(time) => {
                write!(f, "it has expired: not-after is {time}")
            }
        }
    }
}

impl Grants {
    /// Compares the set with the secrets, routes and policies that there are.
    /// Returns what is missing or doesn't fit, in the order of the file.
    pub fn check_against(
        &self,
        secrets: &[SecretInfo],
        routes: &[RouteName],
        policies: &[PolicyName],
    ) -> Vec<Finding> {
        self.check_at(Timestamp::now(), secrets, routes, policies)
    }

    /// The same, at a given time.
    pub(crate) fn check_at(
        &self,
        now: Timestamp,
        secrets: &[SecretInfo],
        routes: &[RouteName],
        policies: &[PolicyName],
    ) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (grant, line) in &self.inner.grants {
            let mut find = |fault, suggestion| {
                findings.push(Finding {
                    file: self.inner.file.clone(),
                    line: *line,
                    grant: grant.id.clone(),
                    fault,
                    suggestion,
                });
            };
            if !policies.contains(&grant.policy) {
                let near = did_you_mean(grant.policy.as_str(), policies.iter().map(AsRef::as_ref));
                find(FindingFault::UnknownPolicy(grant.policy.clone()), near);
            }
            check_secret(grant, secrets, &mut find);
            for destination in &grant.to {
                let route = &destination.route;
                if !routes.contains(route) {
                    let near = did_you_mean(route.as_str(), routes.iter().map(AsRef::as_ref));
                    find(FindingFault::UnknownRoute(route.clone()), near);
                }
            }
            if let Some(end) = grant.not_after.filter(|_| grant.is_expired(now)) {
                find(FindingFault::Expired(end), String::new());
            }
        }
        findings
    }
}

fn check_secret(
    grant: &Grant,
    secrets: &[SecretInfo],
    find: &mut impl FnMut(FindingFault, String),
) {
    let name = &grant.secret;
    match secrets.iter().find(|secret| secret.name == *name) {
        None => {
            let near = did_you_mean(name.as_str(), secrets.iter().map(|info| info.name.as_str()));
            find(FindingFault::UnknownSecret(name.clone()), near);
        }
        Some(info) if !grant.use_().fits(&info.kind) => find(
            FindingFault::KindDoesNotFit {
                secret: name.clone(),
                kind: info.kind,
            },
            String::new(),
        ),
        Some(_) => {}
    }
}
