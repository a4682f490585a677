//! What a set of grants points at, compared with what there is.

use std::fmt;

use jiff::Timestamp;
use keyward_names::{GrantId, PolicyName, RouteName, SecretName};

use super::report::did_you_mean;
use super::{ClientAuth, Grant, Grants, Place, Placement, ResponseMode, Terms};
use crate::jws::JwsAlgorithm;
use crate::{Cache, KeyAlgorithm, Kind, SecretInfo, SecretState, Slot, Use};

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
        /// The kinds that do.
        takes: Vec<&'static str>,
    },
    /// The tokens are signed with an algorithm that needs another sort of key.
    KeyDoesNotFit {
        /// The certificate.
        secret: SecretName,
        /// What the grant says.
        algorithm: JwsAlgorithm,
        /// What the certificate has.
        key: KeyAlgorithm,
    },
    /// The client proves who it is with another kind of secret.
    AuthDoesNotFit {
        /// The secret.
        secret: SecretName,
        /// What it is.
        kind: Kind,
        /// How the client is to prove it.
        auth: ClientAuth,
    },
    /// The secret's key stays in its source, its certificate was not given, and the grant
    /// has it shown, has it name the key, or has the key prove who a client is.
    NoCertificateHere(SecretName),
    /// The secret is too short to be searched for in answers, and the grant has them
    /// passed on.
    SecretTooShort(SecretName),
    /// The grant's template has a part that such a secret doesn't have.
    NoSuchPart {
        /// The secret.
        secret: SecretName,
        /// What it is.
        kind: Kind,
        /// The part.
        slot: Slot,
    },
    /// A user and a password go into `authorization` without the word `Basic`.
    BasicWithoutScheme(SecretName),
    /// The value becomes a part of addresses.
    InTheQuery(SecretName),
    /// The secret is disabled.
    SecretDisabled(SecretName),
    /// The version of the secret that is in use may be used from this time on.
    SecretNotYetValid(SecretName, Timestamp),
    /// The version of the secret that is in use could be used until this time.
    SecretNoLongerValid(SecretName, Timestamp),
    /// The grant's time is over.
    Expired(Timestamp),
    /// The grant was withdrawn at run time and is not in force.
    Revoked,
    /// Another grant has the same key make codes of any message, and this one
    /// has it vouch for requests or tokens. Such a set is refused as a whole.
    TwoSigners {
        /// The key.
        secret: SecretName,
        /// What this one has it do.
        use_: Use,
        /// The grant of `mac-sign`.
        other: GrantId,
    },
}

/// What a set of grants is compared with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Surroundings<'a> {
    /// The vault's secrets; `None` where nobody could ask the vault, and then
    /// nothing is said about secrets.
    pub secrets: Option<&'a [SecretInfo]>,
    /// The gateway's routes.
    pub routes: &'a [RouteName],
    /// The gateway's policies.
    pub policies: &'a [PolicyName],
    /// The grants that are revoked.
    pub revoked: &'a [GrantId],
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
            FindingFault::KindDoesNotFit {
                secret,
                kind,
                takes,
            } => write!(
                f,
                "the secret \"{secret}\" is of kind {}, which does not allow this use; it takes one of kind {}",
                kind.as_str(),
                takes.join(" or ")
            ),
            FindingFault::KeyDoesNotFit {
                secret,
                algorithm,
                key,
            } => {
                let fitting = JwsAlgorithm::ALL.iter().filter(|one| one.key() == *key);
                let fitting: Vec<_> = fitting.map(JwsAlgorithm::as_str).collect();
                write!(
                    f,
                    "{algorithm} takes a key of {}, and the certificate \"{secret}\" has one of {key}, so every use is refused; with that, algorithm is {}",
                    algorithm.key(),
                    fitting.join(" or ")
                )
            }
            FindingFault::AuthDoesNotFit { secret, kind, auth } => write!(
                f,
                "{} takes a secret of kind {}, and \"{secret}\" is of kind {}, so no token can be had; with that, auth is {}",
                auth.as_str(),
                auth.kind(),
                kind.as_str(),
                ClientAuth::ALL
                    .iter()
                    .filter(|one| one.kind() == kind.as_str())
                    .map(ClientAuth::as_str)
                    .collect::<Vec<_>>()
                    .join(" or ")
            ),
            FindingFault::NoCertificateHere(name) => write!(
                f,
                "the key of \"{name}\" stays in its source and its certificate is not here, so every use is refused; put the chain here: keyward secret rotate {name} --from-file CHAIN.pem"
            ),
            FindingFault::SecretTooShort(name) => write!(
                f,
                "the secret \"{name}\" has fewer than 12 bytes, too few to be searched for in answers, so every use is refused; give it a longer value, or the grant response = \"status-only\""
            ),
            FindingFault::NoSuchPart { secret, kind, slot } => write!(
                f,
                "the secret \"{secret}\" is of kind {}, which has no {{{}}}, so every use is refused",
                kind.as_str(),
                slot.as_str()
            ),
            FindingFault::BasicWithoutScheme(name) => write!(
                f,
                "the secret \"{name}\" is of kind basic: in authorization it needs template = \"Basic {{secret}}\""
            ),
            FindingFault::InTheQuery(name) => write!(
                f,
                "the secret \"{name}\" becomes a part of addresses, which backends write into their logs; use a header if the backend reads one"
            ),
            FindingFault::SecretDisabled(name) => write!(
                f,
                "the secret \"{name}\" is disabled; to enable it: keyward secret enable {name}"
            ),
            FindingFault::SecretNotYetValid(name, from) => write!(
                f,
                "the secret \"{name}\" is valid from {from} on; to change that: keyward secret validity {name}"
            ),
            FindingFault::SecretNoLongerValid(name, until) => write!(
                f,
                "the secret \"{name}\" was valid until {until}; give it a new value: keyward secret rotate {name}"
            ),
            FindingFault::Expired(time) => {
                write!(f, "it has expired: not-after is {time}")
            }
            FindingFault::Revoked => write!(
                f,
                "it is revoked and not in force; remove it, or: keyward grants reinstate {}",
                self.grant
            ),
            FindingFault::TwoSigners {
                secret,
                use_,
                other,
            } => {
                let (vouches, sign, forged) = match use_ {
                    Use::VerifyJwt => ("vouch for tokens", " sign", "a token"),
                    _ => ("sign requests", "", "a request's signature"),
                };
                write!(
                    f,
                    "the secret \"{secret}\" would {vouches}, and by grant \"{other}\"{sign} any message, so that a policy could make {forged} itself; the gateway refuses the file; use two keys"
                )
            }
        }
    }
}

impl Grants {
    /// Compares the set with what is around it. Returns what is missing or doesn't
    /// fit, in the order of the file.
    pub fn check_against(&self, there: &Surroundings<'_>) -> Vec<Finding> {
        self.check_at(Timestamp::now(), there)
    }

    /// The same, at a given time.
    pub(crate) fn check_at(&self, now: Timestamp, there: &Surroundings<'_>) -> Vec<Finding> {
        let Surroundings {
            secrets,
            routes,
            policies,
            revoked,
        } = *there;
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
            if let Some(secrets) = secrets {
                check_secret(grant, now, secrets, &mut find);
            }
            let endpoint = grant.terms.endpoint().map(|endpoint| &endpoint.route);
            for route in grant.to.iter().map(|to| &to.route).chain(endpoint) {
                if !routes.contains(route) {
                    let near = did_you_mean(route.as_str(), routes.iter().map(AsRef::as_ref));
                    find(FindingFault::UnknownRoute(route.clone()), near);
                }
            }
            if let Some(end) = grant.not_after.filter(|_| grant.is_expired(now)) {
                find(FindingFault::Expired(end), String::new());
            }
            if revoked.contains(&grant.id) {
                find(FindingFault::Revoked, String::new());
            }
            if let Some(other) = self.also_makes_codes(grant) {
                let fault = FindingFault::TwoSigners {
                    secret: grant.secret.clone(),
                    use_: grant.use_(),
                    other: other.id.clone(),
                };
                find(fault, String::new());
            }
        }
        findings
    }

    /// For a grant of `sign-request` or `verify-jwt`: a grant that has the same key make
    /// codes. A policy that makes codes of any message could make one of a request's
    /// signature base or of a token, so a key that vouches for either makes no codes.
    pub(crate) fn also_makes_codes(&self, signer: &Grant) -> Option<&Grant> {
        let makes = |other: &&Grant| other.secret == signer.secret && other.use_() == Use::MacSign;
        let others = || self.iter().map(AsRef::as_ref);
        match signer.use_() {
            Use::SignRequest | Use::VerifyJwt => others().find(makes),
            _ => None,
        }
    }
}

fn check_placement(placement: &Placement, info: &SecretInfo, find: &mut impl FnMut(FindingFault)) {
    let name = &info.name;
    let slots = placement.place.slots();
    // Of a password, what is sent as base64 is always long enough.
    let shows = match info.kind {
        Kind::Basic => slots.contains(&Slot::Password),
        _ => true,
    };
    if info.is_short && shows && placement.response == ResponseMode::Full {
        find(FindingFault::SecretTooShort(name.clone()));
    }
    if let Some(slot) = slots.iter().find(|slot| !slot.fits(&info.kind))
        && Use::Attach.fits(&info.kind)
    {
        find(FindingFault::NoSuchPart {
            secret: name.clone(),
            kind: info.kind,
            slot: *slot,
        });
    }
    if let Place::Header {
        name: header,
        value,
    } = &placement.place
        && info.kind == Kind::Basic
        && *header == http::header::AUTHORIZATION
        && slots.contains(&Slot::Secret)
        && !value.to_text().to_ascii_lowercase().starts_with("basic ")
    {
        find(FindingFault::BasicWithoutScheme(name.clone()));
    }
    if matches!(placement.place, Place::Query { .. }) {
        find(FindingFault::InTheQuery(name.clone()));
    }
}

/// Whether the key of a secret whose kind fits can do what the grant says.
fn check_key(grant: &Grant, info: &SecretInfo, find: &mut impl FnMut(FindingFault)) {
    let secret = || info.name.clone();
    match (&grant.terms, info.key) {
        (Terms::JwsSign(terms), Some(key)) if terms.algorithm.key() != key => {
            find(FindingFault::KeyDoesNotFit {
                secret: secret(),
                algorithm: terms.algorithm,
                key,
            });
        }
        (Terms::Token(terms), _) if terms.auth.kind() != info.kind.as_str() => {
            find(FindingFault::AuthDoesNotFit {
                secret: secret(),
                kind: info.kind,
                auth: terms.auth,
            });
        }
        _ => {}
    }
}

fn check_secret(
    grant: &Grant,
    now: Timestamp,
    secrets: &[SecretInfo],
    find: &mut impl FnMut(FindingFault, String),
) {
    let name = &grant.secret;
    let Some(info) = secrets.iter().find(|secret| secret.name == *name) else {
        let near = did_you_mean(name.as_str(), secrets.iter().map(|info| info.name.as_str()));
        return find(FindingFault::UnknownSecret(name.clone()), near);
    };
    let mut find = |fault| find(fault, String::new());
    if !grant.terms.fits(&info.kind) {
        let kinds = Kind::all().filter(|kind| grant.terms.fits(kind));
        let mut takes: Vec<_> = kinds.map(|kind| kind.as_str()).collect();
        takes.dedup();
        find(FindingFault::KindDoesNotFit {
            secret: name.clone(),
            kind: info.kind,
            takes,
        });
    } else {
        check_key(grant, info, &mut find);
    }
    let stays = info
        .origin
        .as_ref()
        .is_some_and(|origin| origin.cache == Cache::Remote);
    // What is here of such a key is its certificate.
    if stays && info.versions.is_empty() && grant.terms.need_certificate() {
        find(FindingFault::NoCertificateHere(name.clone()));
    }
    if let Terms::Attach(placement) = &grant.terms {
        check_placement(placement, info, &mut find);
    } else {
        let passes_answers = grant
            .terms
            .answers()
            .is_some_and(|answers| answers.response == ResponseMode::Full);
        if info.is_short && passes_answers {
            find(FindingFault::SecretTooShort(name.clone()));
        }
    }
    if info.state == SecretState::Disabled {
        find(FindingFault::SecretDisabled(name.clone()));
    }
    let mut versions = info.versions.iter();
    let Some(current) = versions.find(|version| version.number == info.version) else {
        return;
    };
    if let Some(from) = current.validity.not_before.filter(|from| now < *from) {
        find(FindingFault::SecretNotYetValid(name.clone(), from));
    }
    if let Some(until) = current.validity.not_after.filter(|until| now >= *until) {
        find(FindingFault::SecretNoLongerValid(name.clone(), until));
    }
}
