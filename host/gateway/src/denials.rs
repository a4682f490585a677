//! Denied uses: what would allow them, and a word in the log at the first.
//!
//! The reason for a denial is told to operators only, from the audit trail; a
//! policy learns nothing but that it was denied.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use keyward::names::{Alias, ComponentDigest, GrantId, PolicyName, RouteName};
use keyward::vault::{Destination, Grant, Grants, Outcome, PathTemplate, Refusal, Terms, Use};

use crate::suggest::Suggestion;

/// More kinds of denials than this are not told apart in the log.
const MAX_KINDS: usize = 1024;

/// Which kinds of denials the log has had.
#[derive(Debug, Default)]
pub(crate) struct Told(Mutex<BTreeSet<Refusal>>);

impl Told {
    /// Logs each denial that is the first of its kind.
    pub(crate) fn tell(&self, refusals: &[Refusal]) {
        for refusal in refusals {
            if self.is_first(refusal) {
                tracing::warn!(
                    policy = refusal.policy.as_str(),
                    use_ = refusal.use_.as_str(),
                    outcome = refusal.outcome.as_str(),
                    "a policy was denied the use of a secret; `keyward grants denied` says what would allow it"
                );
            }
        }
    }

    fn is_first(&self, refusal: &Refusal) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.len() < MAX_KINDS && told.insert(refusal.clone())
    }
}

/// A denied use, as the audit trail has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// Which policy.
    pub policy: PolicyName,
    /// The component that it was.
    pub component: ComponentDigest,
    /// What it called the secret; none if that is no alias.
    pub alias: Option<Alias>,
    /// What it wanted to do.
    pub use_: Use,
    /// The grant that came closest.
    pub grant: Option<GrantId>,
    /// Where it wanted to go, where it is about that.
    pub route: Option<RouteName>,
    /// Why not.
    pub outcome: Outcome,
}

/// What would allow a denied use, for the operator to decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// This, in the grants file: a new grant, or an old one as it would have to be.
    Toml(String),
    /// This command.
    Command(String),
    /// No grant and no command: what is the matter.
    Words(String),
}

impl Denial {
    /// What happened, in words.
    pub fn in_words(&self) -> &'static str {
        match self.outcome {
            Outcome::NotGranted => "no grant gives it that",
            Outcome::NotAsked => "a grant does, but the policy's manifest does not ask for it",
            Outcome::OtherComponent => "the grant is for another component",
            Outcome::Expired => "the grant has ended",
            Outcome::NoSecret => "the vault has no such secret",
            Outcome::KindDoesNotFit => {
                "the secret is of a kind that can't be used so, or stays in its source"
            }
            Outcome::OtherRoute => "the request went to a route that the grant does not name",
            Outcome::OtherMethod => "the request had a method that the grant does not name",
            Outcome::OtherPath => "the request had a path that the grant does not name",
            Outcome::OtherAuthority => "the request named another host than the route's",
            Outcome::Revoked => "the grant was withdrawn",
            Outcome::BudgetSpent => "the exchange had spent its uses",
            Outcome::BodyTooLarge => "the body was too large to be signed",
            Outcome::Disabled => "the secret is disabled",
            Outcome::NotValid => "the secret is not valid at this time",
            Outcome::TooShort => "the secret is too short to be searched for in answers",
            Outcome::Unavailable => "the secret's source gives no value that may be used now",
            _ => "it was denied",
        }
    }

    /// What would allow it, as the grants are now.
    pub fn remedy(&self, grants: &Grants, route: Option<&RouteName>) -> Remedy {
        let grant = self.grant.as_ref().and_then(|id| grants.get(id));
        match (self.outcome, grant) {
            (Outcome::NotGranted, _) => self.new_grant(grants, route),
            (Outcome::NotAsked, _) => Remedy::Words(
                "no grant helps: what a policy may do is what it asks for and is granted; if a setting names the alias, correct the setting, else the policy has to be built anew"
                    .to_owned(),
            ),
            // Of a grant that is gone there is nothing to widen.
            (
                Outcome::OtherComponent
                | Outcome::Expired
                | Outcome::OtherRoute
                | Outcome::OtherMethod
                | Outcome::OtherPath
                | Outcome::BodyTooLarge,
                None,
            ) => self.new_grant(grants, route),
            (Outcome::OtherComponent, Some(grant)) => match grant.component {
                Some(_) => with(grant, "", |grant| grant.component = Some(self.component)),
                None => Remedy::Command("keyward grants pin".to_owned()),
            },
            (Outcome::Expired, Some(grant)) => with(
                grant,
                "# not-after = \"2031-01-01T00:00:00Z\"  # choose an end",
                |grant| grant.not_after = None,
            ),
            (Outcome::OtherRoute, Some(grant)) => self.with_route(grant),
            (Outcome::OtherMethod, Some(grant)) => {
                with(grant, &self.widen("methods"), |_| {})
            }
            (Outcome::OtherPath, Some(grant)) => with(grant, &self.widen("paths"), |_| {}),
            (Outcome::BodyTooLarge, Some(grant)) => with(
                grant,
                "# raise max-body-bytes to what the policy signs; the host holds it in memory",
                |_| {},
            ),
            (Outcome::NoSecret, Some(grant)) => {
                Remedy::Command(format!("keyward secret set {} --kind KIND", grant.secret))
            }
            (Outcome::Disabled, Some(grant)) => {
                Remedy::Command(format!("keyward secret enable {}", grant.secret))
            }
            (Outcome::NotValid, Some(grant)) => {
                Remedy::Command(format!("keyward secret validity {}", grant.secret))
            }
            (Outcome::Unavailable, Some(grant)) => {
                Remedy::Command(format!("keyward secret refresh {}", grant.secret))
            }
            (Outcome::TooShort, Some(grant)) => Remedy::Words(format!(
                "give {} a value of at least 12 bytes, or the grant response = \"status-only\"",
                grant.secret
            )),
            (Outcome::Revoked, Some(grant)) => {
                Remedy::Command(format!("keyward grants reinstate {}", grant.id))
            }
            (Outcome::KindDoesNotFit, Some(grant)) => Remedy::Words(format!(
                "grant another secret: {} is of a kind that does not allow {}, or its key stays in its source, which can't do that",
                grant.secret, self.use_
            )),
            (Outcome::OtherAuthority, _) => Remedy::Words(
                "no grant helps: a secret goes only to the host of its route; look at the policy"
                    .to_owned(),
            ),
            (Outcome::BudgetSpent, _) => Remedy::Words(
                "no grant helps: an exchange has a fixed number of uses; look at the policy"
                    .to_owned(),
            ),
            _ => Remedy::Words("the grant is not in the file any more".to_owned()),
        }
    }

    fn new_grant(&self, grants: &Grants, route: Option<&RouteName>) -> Remedy {
        let Some(alias) = &self.alias else {
            return Remedy::Words(
                "the policy asked by something that is no alias, or by so many that they were counted together; look at the policy"
                    .to_owned(),
            );
        };
        if let Some(grant) = grants.find(&self.policy, alias.as_str(), self.use_) {
            return Remedy::Words(format!("it is granted by now, by \"{}\"", grant.id));
        }
        let toml = Suggestion {
            policy: &self.policy,
            component: None,
            alias,
            use_: self.use_.as_str(),
            secret: None,
            route: self.route.as_ref().or(route),
            why: "",
        }
        .to_toml();
        Remedy::Toml(toml)
    }

    fn with_route(&self, grant: &Grant) -> Remedy {
        let Some(route) = &self.route else {
            return Remedy::Words("the trail does not say which route".to_owned());
        };
        let example = match &grant.terms {
            Terms::Attach(_) | Terms::Token(_) | Terms::SharedAccess(_) | Terms::Presign(_) => {
                PathTemplate::parse("/v1/example/{id}").ok()
            }
            _ => None,
        };
        let note = format!("# name the methods and paths at \"{route}\"; the trail has none");
        with(grant, &note, |grant| {
            grant.to.push(Destination {
                route: route.clone(),
                methods: Vec::new(),
                paths: example.into_iter().collect(),
            });
        })
    }

    fn widen(&self, what: &str) -> String {
        let route = self.route.as_ref().map_or("its route", RouteName::as_str);
        format!("# add to the {what} of \"{route}\" what the policy needs; the trail has none")
    }
}

/// The grant as it would have to be, with what is left to decide.
fn with(grant: &Grant, note: &str, change: impl FnOnce(&mut Grant)) -> Remedy {
    let mut grant = grant.clone();
    change(&mut grant);
    let mut toml = grant.to_toml();
    if !note.is_empty() {
        toml.push_str(note);
        toml.push('\n');
    }
    Remedy::Toml(toml)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    const FILE: &str = r#"
[[grant]]
id = "attach"
policy = "p"
secret = "key"
alias = "backend"
use = "attach"
header = "x-api-key"
not-after = "2020-01-01T00:00:00Z"
to = [{ route = "billing", methods = ["GET"], paths = ["/v1/charges"] }]
"#;

    fn denial(outcome: Outcome) -> Denial {
        let about_a_grant = outcome != Outcome::NotGranted;
        Denial {
            policy: PolicyName::parse("p").unwrap(),
            component: ComponentDigest::from_bytes([1; 32]),
            alias: Alias::parse(if about_a_grant { "backend" } else { "other" }).ok(),
            use_: Use::Attach,
            grant: about_a_grant.then(|| GrantId::parse("attach").unwrap()),
            route: RouteName::parse("elsewhere").ok(),
            outcome,
        }
    }

    fn remedy(outcome: Outcome) -> Remedy {
        let grants = Grants::parse("grants.toml", FILE).unwrap();
        denial(outcome).remedy(&grants, None)
    }

    #[test]
    fn what_is_suggested_allows_more_and_is_a_grant() {
        let old = Grants::parse("grants.toml", FILE).unwrap();
        for (outcome, widens) in [
            (Outcome::NotGranted, true),
            (Outcome::Expired, true),
            (Outcome::OtherRoute, true),
            // What to add is not in the trail.
            (Outcome::OtherMethod, false),
            (Outcome::OtherPath, false),
        ] {
            let Remedy::Toml(toml) = remedy(outcome) else {
                panic!("{outcome:?} has no TOML");
            };
            let file = match outcome {
                Outcome::NotGranted => format!("{FILE}\n{toml}"),
                _ => toml.clone(),
            };
            let new = Grants::parse("grants.toml", &file)
                .map_err(|error| format!("{error}\n{file}"))
                .unwrap();
            let widened = new.diff(&old).iter().any(keyward::vault::Change::widens);
            assert_eq!(widened, widens, "{outcome:?}\n{toml}");
        }
    }

    #[test]
    fn each_kind_of_denial_is_told_once_and_not_without_end() {
        let told = Told::default();
        let refusal = |policy: &str, outcome| Refusal {
            policy: PolicyName::parse(policy).unwrap(),
            use_: Use::Attach,
            outcome,
        };
        assert!(told.is_first(&refusal("p", Outcome::Expired)));
        assert!(!told.is_first(&refusal("p", Outcome::Expired)));
        assert!(told.is_first(&refusal("p", Outcome::OtherPath)));
        assert!(told.is_first(&refusal("q", Outcome::Expired)));
        let more = (0..2 * MAX_KINDS).map(|n| refusal(&format!("p{n}"), Outcome::Expired));
        let first = more.filter(|refusal| told.is_first(refusal)).count();
        assert_eq!(first, MAX_KINDS - 3);
    }

    #[test]
    fn what_no_grant_allows_is_said() {
        for (outcome, command) in [
            (Outcome::NoSecret, "keyward secret set key --kind KIND"),
            (Outcome::Disabled, "keyward secret enable key"),
            (Outcome::Revoked, "keyward grants reinstate attach"),
            (Outcome::OtherComponent, "keyward grants pin"),
        ] {
            assert_eq!(remedy(outcome), Remedy::Command(command.to_owned()));
        }
        for outcome in [
            Outcome::NotAsked,
            Outcome::OtherAuthority,
            Outcome::BudgetSpent,
        ] {
            assert!(matches!(remedy(outcome), Remedy::Words(_)), "{outcome:?}");
        }
        let granted = Denial {
            alias: Alias::parse("backend").ok(),
            grant: None,
            ..denial(Outcome::NotGranted)
        };
        let grants = Grants::parse("grants.toml", FILE).unwrap();
        let said = granted.remedy(&grants, None);
        assert_eq!(
            said,
            Remedy::Words("it is granted by now, by \"attach\"".to_owned())
        );
    }
}
