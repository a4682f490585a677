//! Carrying a plan out: what can be set without a value that a person has to bring.

use std::collections::BTreeSet;

use keyward::names::Tag;
use keyward::vault::{KeyEncoding, Kind, MacAlgorithm};
use keyward_gateway::control::{
    OriginText, Request, SecretEntry, ValidityText, ValueEntry, ValueText,
};
use serde::Serialize;

use super::plan::{Plan, SecretValue, StandsFor};
use crate::access::Access;
use crate::exit::Failure;

/// What became of a plan.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Applied {
    /// What was set.
    pub(super) set: Vec<String>,
    /// What is as it would be set, or was left because something of that name is
    /// there, or because it waits for a value; with why.
    pub(super) left: Vec<String>,
}

/// What there is to do.
pub(super) struct Steps {
    requests: Vec<(String, Request)>,
    pub(super) left: Vec<String>,
}

impl Steps {
    /// How many changes.
    pub(super) fn count(&self) -> usize {
        self.requests.len()
    }

    /// Holds a plan against what the vault has. Nothing that is there is replaced.
    ///
    /// Errors: the vault can't be asked.
    pub(super) fn of(plan: &Plan, access: &Access) -> Result<Self, Failure> {
        let secrets = access.secrets()?;
        let values: Vec<ValueEntry> = access.ask(Request::ValueList { tag: None }, None)?;
        let mut there: BTreeSet<_> = secrets.iter().map(|entry| entry.name.clone()).collect();
        let mut steps = Self {
            requests: Vec::new(),
            left: Vec::new(),
        };
        for secret in &plan.secrets {
            let name = &secret.name;
            if there.contains(name) {
                steps
                    .left
                    .push(format!("{name}: there is a secret of that name"));
                continue;
            }
            match &secret.value {
                SecretValue::From(reference) => {
                    there.insert(name.clone());
                    let request = Request::SecretSet {
                        name: name.clone(),
                        kind: kind(secret.kind).into(),
                        validity: ValidityText::default(),
                        generate: false,
                        from: Some(OriginText {
                            reference: reference.clone(),
                            cache: None,
                        }),
                        chain: false,
                    };
                    steps
                        .requests
                        .push((format!("secret {name} from {reference}"), request));
                }
                _ => steps
                    .left
                    .push(format!("{name}: its value has to be brought")),
            }
        }
        for value in &plan.values {
            let name = &value.name;
            let stands_for = match &value.stands_for {
                StandsFor::Plain(text) => ValueText::Plain(text.clone()),
                StandsFor::Secret(secret) if there.contains(secret) => {
                    ValueText::Secret(secret.clone())
                }
                StandsFor::Secret(secret) => {
                    steps.left.push(super::write::left(name, secret));
                    continue;
                }
            };
            if let Some(known) = values.iter().find(|known| known.name == *name) {
                let why = match known.value == stands_for {
                    true => "it is set already",
                    false => "it stands for something else already",
                };
                steps.left.push(format!("{name}: {why}"));
                continue;
            }
            let tags: BTreeSet<Tag> = value
                .tags
                .iter()
                .filter_map(|tag| Tag::parse(tag).ok())
                .collect();
            let request = Request::ValueSet {
                name: name.clone(),
                value: stands_for,
                tags,
            };
            steps
                .requests
                .push((format!("named value {name}"), request));
        }
        Ok(steps)
    }

    /// Carries it out, in order.
    ///
    /// Errors: the first step that fails; those before it are done.
    pub(super) fn run(self, access: &Access, reason: Option<&str>) -> Result<Applied, Failure> {
        let mut applied = Applied {
            set: Vec::new(),
            left: self.left,
        };
        for (what, request) in self.requests {
            let done = match &request {
                Request::ValueSet { .. } => access.ask::<ValueEntry>(request, reason).map(drop),
                _ => access.ask::<SecretEntry>(request, reason).map(drop),
            };
            if let Err(mut failure) = done {
                failure.help.get_or_insert_with(|| match applied.set.len() {
                    0 => format!("nothing was set; it failed at {what}"),
                    count => format!(
                        "{count} were set before; it failed at {what}; run it again to go on"
                    ),
                });
                return Err(failure);
            }
            applied.set.push(what);
        }
        Ok(applied)
    }
}

/// A guessed kind, with what `secret set` takes unless told otherwise.
fn kind(word: &str) -> Kind {
    match word {
        "basic" => Kind::Basic,
        "hmac-key" => Kind::HmacKey {
            algorithm: MacAlgorithm::Sha256,
            encoding: KeyEncoding::Raw,
        },
        "oauth-client" => Kind::OauthClient,
        "certificate" => Kind::Certificate,
        "service-bus" => Kind::ServiceBus,
        "storage-account" => Kind::StorageAccount,
        "database" => Kind::Database,
        "aws-key" => Kind::AwsKey,
        _ => Kind::ApiKey,
    }
}
