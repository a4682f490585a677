//! What changes between two sets of grants, by what they mean: who could do more,
//! and who less.
//!
//! Order, comments and spelling are no change. A grant is compared with the one
//! of its id, or, where that id is new, with the one that gave the same policy the
//! same use under the same alias. Whatever can't be told to be narrower or equal
//! counts as wider.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use http::Method;
use keyward_names::{GrantId, RouteName};

use super::Grants;
use super::grant::{
    Answers, Component, Destination, Grant, RequestSignature, ResponseMode, RetryOn401, Terms,
    TokenTerms, WhenReflected,
};
use super::path::PathTemplate;
use super::terms::{OauthTerms, Placement, QueryTerms};

/// What a change does to a policy's authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// Something is allowed that was not.
    Wider,
    /// Something is no longer allowed.
    Narrower,
    /// Neither: how a grant is called, what a signature is labelled.
    Same,
}

impl Effect {
    /// As people read it: `wider`, `narrower`, `same`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Wider => "wider",
            Self::Narrower => "narrower",
            Self::Same => "same",
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What became of a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It was changed.
    Changed,
}

impl ChangeKind {
    /// As people read it: `added`, `removed`, `changed`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

/// A grant that differs between two sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The grant's id in the new set; in the old one if it was removed.
    pub grant: GrantId,
    /// What became of it.
    pub kind: ChangeKind,
    /// The grant as it was; none if it is new.
    pub old: Option<Arc<Grant>>,
    /// The grant as it is; none if it was removed.
    pub new: Option<Arc<Grant>>,
    /// Each part that differs, in words, and what it does.
    pub parts: Vec<(Effect, String)>,
}

impl Change {
    /// Whether something is allowed now that was not.
    pub fn widens(&self) -> bool {
        self.parts
            .iter()
            .any(|(effect, _)| *effect == Effect::Wider)
    }
}

impl Grants {
    /// What differs from another set, in the order of this one; what is gone comes
    /// last, in the order of the other. Nothing for two sets that mean the same.
    ///
    /// Times are compared as they are written: that a grant's end has passed
    /// makes no difference here. Where routes lead is not part of a grant.
    pub fn diff(&self, before: &Self) -> Vec<Change> {
        let mut taken: BTreeSet<&GrantId> = BTreeSet::new();
        let mut pairs = Vec::new();
        for new in self.iter() {
            let old = before.get(&new.id).or_else(|| {
                let same = before.find(&new.policy, new.alias.as_str(), new.use_())?;
                // Its own id is still there: then it is its own.
                self.get(&same.id).is_none().then_some(same)
            });
            if let Some(old) = old {
                taken.insert(&old.id);
            }
            pairs.push((new, old));
        }
        let mut changes = Vec::new();
        for (new, old) in pairs {
            let (kind, parts) = match old {
                Some(old) => (ChangeKind::Changed, compare(old, new)),
                None => {
                    let text = new.to_sentence();
                    (ChangeKind::Added, vec![(Effect::Wider, text)])
                }
            };
            if !parts.is_empty() {
                changes.push(Change {
                    grant: new.id.clone(),
                    kind,
                    old: old.cloned(),
                    new: Some(Arc::clone(new)),
                    parts,
                });
            }
        }
        for old in before.iter().filter(|old| !taken.contains(&old.id)) {
            changes.push(Change {
                grant: old.id.clone(),
                kind: ChangeKind::Removed,
                old: Some(Arc::clone(old)),
                new: None,
                parts: vec![(Effect::Narrower, old.to_sentence())],
            });
        }
        changes
    }
}

pub(super) type Parts = Vec<(Effect, String)>;

fn compare(old: &Grant, new: &Grant) -> Parts {
    let mut parts = Parts::new();
    if old.id != new.id {
        parts.push((Effect::Same, format!("its id was \"{}\"", old.id)));
    }
    if old.policy != new.policy {
        parts.push((
            Effect::Wider,
            format!("policy {} may now, instead of {}", new.policy, old.policy),
        ));
    }
    if old.secret != new.secret {
        parts.push((
            Effect::Wider,
            format!("it is about secret {}, not {}", new.secret, old.secret),
        ));
    }
    if old.alias != new.alias
        && (new.alias.as_str() != new.secret.as_str() || old.secret == new.secret)
    {
        // Another ask of the policy's manifest may be answered by it.
        parts.push((
            Effect::Wider,
            format!("the policy calls it {}, not {}", new.alias, old.alias),
        ));
    }
    match (&old.component, &new.component) {
        (old, new) if old == new => {}
        (Some(_), None) => parts.push((
            Effect::Wider,
            "whatever component the policy is may use it; it was for one only".to_owned(),
        )),
        (None, Some(new)) => {
            parts.push((Effect::Narrower, format!("only as component {new}")));
        }
        (Some(old), Some(new)) => {
            parts.push((Effect::Wider, format!("for component {new}, not {old}")))
        }
        (None, None) => {}
    }
    match (old.not_after, new.not_after) {
        (old, new) if old == new => {}
        (Some(old), None) => parts.push((Effect::Wider, format!("it has no end; it had: {old}"))),
        (None, Some(new)) => parts.push((Effect::Narrower, format!("it ends: {new}"))),
        (Some(old), Some(new)) => {
            let (effect, when) = match new > old {
                true => (Effect::Wider, "later"),
                false => (Effect::Narrower, "earlier"),
            };
            parts.push((effect, format!("it ends {when}: {new}, not {old}")));
        }
        (None, None) => {}
    }
    compare_terms(&old.terms, &new.terms, &mut parts);
    compare_destinations(&old.to, &new.to, &mut parts);
    parts
}

fn compare_terms(old: &Terms, new: &Terms, parts: &mut Parts) {
    match (old, new) {
        (old, new) if old == new => {}
        (Terms::Attach(old), Terms::Attach(new)) => compare_placements(old, new, parts),
        (Terms::Identify(old), Terms::Identify(new)) => parts.push((
            Effect::Wider,
            format!(
                "clients put their key into {}, not {}",
                new.to_text(),
                old.to_text()
            ),
        )),
        (Terms::SignRequest(old), Terms::SignRequest(new)) => compare_signatures(old, new, parts),
        (Terms::SharedKey(old), Terms::SharedKey(new)) => new.compare(old, parts),
        (Terms::SigV4(old), Terms::SigV4(new)) => new.compare(old, parts),
        (Terms::SharedAccess(old), Terms::SharedAccess(new)) => new.compare(old, parts),
        (Terms::Presign(old), Terms::Presign(new)) => new.compare(old, parts),
        (Terms::Token(old), Terms::Token(new)) => compare_oauth(old, new, parts),
        (Terms::JwsSign(old), Terms::JwsSign(new)) => old.compare(new, parts),
        (Terms::Seal(old), Terms::Seal(new)) | (Terms::Open(old), Terms::Open(new)) => {
            parts.push((Effect::Wider, new.instead_of(old)));
        }
        (Terms::VerifyJwt(old), Terms::VerifyJwt(new)) => compare_tokens(old, new, parts),
        (Terms::Query(old), Terms::Query(new)) => QueryTerms::compare(old, new, parts),
        (old, new) => {
            let (old, new) = (old.use_(), new.use_());
            let classes = match old.class() == new.class() {
                true => String::new(),
                false => format!(", class {} instead of {}", new.class(), old.class()),
            };
            parts.push((
                Effect::Wider,
                format!("it allows {new}, not {old}{classes}"),
            ));
        }
    }
}

fn compare_placements(old: &Placement, new: &Placement, parts: &mut Parts) {
    let (before, after) = (old.to_text(), new.to_text());
    if before != after {
        parts.push((
            Effect::Wider,
            format!("the value goes into \"{after}\", not \"{before}\""),
        ));
    } else if old.place != new.place {
        parts.push((
            Effect::Wider,
            format!("the policy fills other holes in \"{after}\""),
        ));
    }
    let answers = [old, new].map(|placement| Terms::Attach(placement.clone()).answers());
    if let [Some(old), Some(new)] = answers {
        compare_answers(&old, &new, parts);
    }
}

pub(super) fn compare_answers(old: &Answers, new: &Answers, parts: &mut Parts) {
    let of = |wider: bool| match wider {
        true => Effect::Wider,
        false => Effect::Narrower,
    };
    if old.response != new.response {
        let text = match new.response {
            ResponseMode::Full => "the whole answer is passed on, not only its status",
            ResponseMode::StatusOnly => "only the status of the answer is passed on",
        };
        parts.push((of(new.response == ResponseMode::Full), text.to_owned()));
    }
    if old.decode != new.decode {
        let text = match new.decode {
            true => "encoded answers are passed on once a decoded copy was searched",
            false => "no encoded answers are passed on",
        };
        parts.push((of(new.decode), text.to_owned()));
    }
    if old.reflected != new.reflected {
        let text = match new.reflected {
            WhenReflected::Block => "it is not revoked when its value comes back",
            WhenReflected::Revoke => "it is revoked when its value comes back three times",
        };
        parts.push((of(new.reflected == WhenReflected::Block), text.to_owned()));
    }
    if old.retry != new.retry {
        let text = match new.retry {
            RetryOn401::Never => "no request is sent once more after a 401",
            RetryOn401::Idempotent => {
                "a request with an idempotent method, and no other, is sent once more after a 401, if there is another version"
            }
            RetryOn401::AnyMethod => {
                "a request with any method is sent once more after a 401, if there is another version"
            }
        };
        parts.push((of(new.retry > old.retry), text.to_owned()));
    }
}

fn compare_oauth(old: &OauthTerms, new: &OauthTerms, parts: &mut Parts) {
    let of = |wider: bool| match wider {
        true => Effect::Wider,
        false => Effect::Narrower,
    };
    let all = |texts: &[String]| texts.join(" ");
    let listed = |old: &[String], new: &[String]| {
        let mut sorted = (old.to_vec(), new.to_vec());
        sorted.0.sort();
        sorted.1.sort();
        (sorted.0 != sorted.1).then(|| {
            // None is the server's default, which may be all that there is.
            let is_less = !new.is_empty() && new.iter().all(|one| old.contains(one));
            (of(!is_less), format!("{}, not {}", all(new), all(old)))
        })
    };
    let place = |terms: &OauthTerms| format!("{} {}", terms.endpoint.route, terms.endpoint.path);
    let client = |terms: &OauthTerms| terms.client_id.clone().unwrap_or_default();
    let mut differs = |what: &str, old: String, new: String| {
        if old != new {
            let text = format!("{what} {new:?}, not {old:?}");
            parts.push((Effect::Wider, text));
        }
    };
    differs("tokens are asked for at", place(old), place(new));
    differs("the client is", client(old), client(new));
    differs("the token goes into", old.to_text(), new.to_text());
    differs(
        "the client proves who it is by",
        old.auth.to_string(),
        new.auth.to_string(),
    );
    differs(
        "tokens are asked for with",
        old.flow.to_string(),
        new.flow.to_string(),
    );
    differs(
        "tokens are for the audience",
        old.audience.clone().unwrap_or_default(),
        new.audience.clone().unwrap_or_default(),
    );
    for (what, old, new) in [
        ("the scopes are", &old.scopes, &new.scopes),
        ("the resources are", &old.resources, &new.resources),
    ] {
        if let Some((effect, text)) = listed(old, new) {
            parts.push((effect, format!("{what} {text}")));
        }
    }
    let (before, after) = (old.max_lifetime_seconds, new.max_lifetime_seconds);
    if before != after {
        let text = format!("a token is used for {after} s at most, not {before}");
        parts.push((of(after > before), text));
    }
    let answers = [old, new].map(|terms| Terms::Token(Box::new(terms.clone())).answers());
    if let [Some(old), Some(new)] = answers {
        compare_answers(&old, &new, parts);
    }
}

fn compare_signatures(old: &RequestSignature, new: &RequestSignature, parts: &mut Parts) {
    if old.label != new.label {
        parts.push((
            Effect::Same,
            format!(
                "signatures are labelled \"{}\", not \"{}\"",
                new.label, old.label
            ),
        ));
    }
    if old.key_id != new.key_id {
        parts.push((
            Effect::Same,
            format!(
                "signatures name the key \"{}\", not \"{}\"",
                new.key_id, old.key_id
            ),
        ));
    }
    let only_in = |these: &[Component], those: &[Component]| -> Vec<&'static str> {
        let mut names: Vec<_> = these
            .iter()
            .filter(|part| !those.contains(part))
            .map(Component::as_str)
            .collect();
        names.dedup();
        names
    };
    let gone = only_in(&old.components, &new.components);
    if !gone.is_empty() {
        parts.push((
            Effect::Wider,
            format!("signatures no longer cover {}", gone.join(", ")),
        ));
    }
    let came = only_in(&new.components, &old.components);
    if !came.is_empty() {
        parts.push((
            Effect::Narrower,
            format!("signatures cover {} too", came.join(", ")),
        ));
    }
    let mut number = |what: &str, unit: &str, old: u64, new: u64| {
        if old != new {
            let effect = match new > old {
                true => Effect::Wider,
                false => Effect::Narrower,
            };
            parts.push((effect, format!("{what} {new} {unit}, not {old}")));
        }
    };
    number(
        "bodies are signed up to",
        "bytes",
        old.max_body_bytes,
        new.max_body_bytes,
    );
    number(
        "signatures are valid for",
        "seconds",
        old.lifetime_seconds,
        new.lifetime_seconds,
    );
}

fn compare_tokens(old: &TokenTerms, new: &TokenTerms, parts: &mut Parts) {
    if old.issuer != new.issuer {
        let effect = match (&old.issuer, &new.issuer) {
            (None, Some(_)) => Effect::Narrower,
            _ => Effect::Wider,
        };
        let named = |tokens: &TokenTerms| tokens.issuer.clone().unwrap_or("any issuer".to_owned());
        let text = format!("tokens are of {}, not {}", named(new), named(old));
        parts.push((effect, text));
    }
    let only_in = |these: &TokenTerms, those: &TokenTerms| -> Vec<String> {
        let others = &those.audiences;
        let mut names = these.audiences.clone();
        names.retain(|name| !others.contains(name));
        names
    };
    let (came, gone) = (only_in(new, old), only_in(old, new));
    if !came.is_empty() {
        parts.push((
            Effect::Wider,
            format!("tokens may be for {}", came.join(", ")),
        ));
    }
    if !gone.is_empty() {
        // Without any audience, tokens that name none are taken.
        let effect = match new.audiences.is_empty() {
            true => Effect::Wider,
            false => Effect::Narrower,
        };
        parts.push((effect, format!("tokens may not be for {}", gone.join(", "))));
    }
    let (before, after) = (old.clock_skew_seconds, new.clock_skew_seconds);
    if before != after {
        let effect = match after > before {
            true => Effect::Wider,
            false => Effect::Narrower,
        };
        parts.push((
            effect,
            format!("clocks may differ by {after} seconds, not {before}"),
        ));
    }
}

/// One method (or any) and one path (or any) of one route.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Reach<'a> {
    route: &'a RouteName,
    method: Option<&'a Method>,
    path: Option<&'a PathTemplate>,
}

impl<'a> Reach<'a> {
    /// All that a list of destinations reaches.
    fn of(to: &'a [Destination]) -> Vec<Self> {
        let mut reached: Vec<Self> = Vec::new();
        for destination in to {
            for method in some_or_any(&destination.methods) {
                for path in some_or_any(&destination.paths) {
                    let reach = Self {
                        route: &destination.route,
                        method,
                        path,
                    };
                    if !reached.contains(&reach) {
                        reached.push(reach);
                    }
                }
            }
        }
        reached
    }

    /// Whether every request that `other` is about is one that this is about.
    fn covers(&self, other: &Self) -> bool {
        let method = self.method.is_none() || self.method == other.method;
        let path = match (self.path, other.path) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(this), Some(other)) => this.covers(other),
        };
        self.route == other.route && method && path
    }
}

/// Each item, or `None` once, which stands for any.
fn some_or_any<T>(items: &[T]) -> Vec<Option<&T>> {
    match items {
        [] => vec![None],
        items => items.iter().map(Some).collect(),
    }
}

/// There are infinitely many methods and values of a segment, so what several
/// destinations cover together, one of them covers alone.
fn compare_destinations(old: &[Destination], new: &[Destination], parts: &mut Parts) {
    let (before, after) = (Reach::of(old), Reach::of(new));
    let beyond = |these: &[Reach<'_>], those: &[Reach<'_>]| -> Vec<String> {
        let rest: Vec<&Reach<'_>> = these
            .iter()
            .filter(|reach| !those.iter().any(|other| other.covers(reach)))
            .collect();
        in_words(&rest)
    };
    for text in beyond(&after, &before) {
        parts.push((Effect::Wider, format!("it may now go to {text}")));
    }
    for text in beyond(&before, &after) {
        parts.push((Effect::Narrower, format!("it may no longer go to {text}")));
    }
}

/// One text for each route and method.
fn in_words(reached: &[&Reach<'_>]) -> Vec<String> {
    let mut groups: Vec<(&RouteName, Option<&Method>, Vec<&str>)> = Vec::new();
    for reach in reached {
        let path = reach.path.map_or("any path", PathTemplate::as_str);
        let group = groups
            .iter_mut()
            .find(|(route, method, _)| *route == reach.route && *method == reach.method);
        match group {
            Some((_, _, paths)) => paths.push(path),
            None => groups.push((reach.route, reach.method, vec![path])),
        }
    }
    groups
        .into_iter()
        .map(|(route, method, paths)| {
            let method = method.map_or("any method", Method::as_str);
            format!("{route}: {method} {}", paths.join(", "))
        })
        .collect()
}
