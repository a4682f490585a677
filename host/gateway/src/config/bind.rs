//! Secret named values in a policy's settings become aliases.
//!
//! A setting in which a policy's manifest names an alias may be `{{name}}` of a
//! secret value. The policy then gets the alias under which it is granted that
//! secret, and never the secret.

use std::ops::Range;

use keyward::engine::ManifestAsk;
use keyward::names::{Alias, ComponentDigest, SecretName};
use keyward::vault::{Grants, Use};
use serde_json::Value;

use super::diagnostics::{ConfigErrors, Finding};
use super::{Config, PolicySection};
use crate::suggest::Suggestion;

/// A setting that is a secret named value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretSetting {
    /// The setting.
    pub setting: String,
    /// What stands there: a named value or a reference, in words.
    pub written: String,
    /// The secret that it stands for.
    pub secret: SecretName,
    /// Where it stands: bytes of the file.
    pub span: Range<usize>,
}

impl Config {
    /// The settings of a policy with its secret named values bound: each becomes
    /// the alias under which the grants give the policy that secret for the use
    /// that it asks for in that setting.
    ///
    /// Errors: a setting that names no alias, or a secret that is not granted, each
    /// with its place.
    pub fn bind(
        &self,
        policy: &PolicySection,
        component: &ComponentDigest,
        asks: &[ManifestAsk],
        grants: &Grants,
    ) -> Result<Value, ConfigErrors> {
        let mut settings = policy.settings.clone();
        let mut findings = Vec::new();
        for bound in &policy.secret_settings {
            match self.alias(policy, component, asks, grants, bound) {
                Ok(alias) => {
                    if let Some(object) = settings.as_object_mut() {
                        let alias = Value::String(alias.to_string());
                        object.insert(bound.setting.clone(), alias);
                    }
                }
                Err((message, help)) => findings.push(Finding {
                    span: bound.span.clone(),
                    message,
                    help: Some(help),
                }),
            }
        }
        if findings.is_empty() {
            Ok(settings)
        } else {
            Err(ConfigErrors::new(&self.file, &self.source, findings))
        }
    }

    fn alias(
        &self,
        policy: &PolicySection,
        component: &ComponentDigest,
        asks: &[ManifestAsk],
        grants: &Grants,
        bound: &SecretSetting,
    ) -> Result<Alias, (String, String)> {
        let SecretSetting {
            setting,
            written,
            secret,
            ..
        } = bound;
        let name = &policy.name;
        let names_it = |ask: &&ManifestAsk| ask.setting.as_deref() == Some(setting);
        let asks_here: Vec<&ManifestAsk> = asks.iter().filter(names_it).collect();
        let Some(first) = asks_here.first() else {
            let others: Vec<_> = asks
                .iter()
                .filter_map(|ask| ask.setting.as_deref())
                .collect();
            let help = match others.as_slice() {
                [] => format!("policy {name} asks for no secret in any setting"),
                others => format!(
                    "settings in which policy {name} does: {}",
                    others.join(", ")
                ),
            };
            let message = format!(
                "{written} is secret; it can stand only where a policy asks for a secret, and `{setting}` is no such setting"
            );
            return Err((message, help));
        };
        // The aliases under which every use is granted that the setting is about.
        let granted = |alias: &Alias, ask: &ManifestAsk| {
            ask.use_
                .parse::<Use>()
                .ok()
                .and_then(|use_| grants.find(name, alias.as_str(), use_))
                .is_some_and(|grant| grant.secret == *secret && grant.is_for(component))
        };
        let mut aliases: Vec<&Alias> = Vec::new();
        for grant in grants.of_policy(name) {
            let all = asks_here.iter().all(|ask| granted(&grant.alias, ask));
            if all && !aliases.contains(&&grant.alias) {
                aliases.push(&grant.alias);
            }
        }
        match aliases.as_slice() {
            [alias] => Ok(Alias::clone(alias)),
            [] => {
                let message = format!(
                    "{written} is secret, and policy {name} is not granted its secret \"{secret}\" for what it asks for here"
                );
                let missing = |ask: &&&ManifestAsk| !granted(&first.alias, ask);
                let toml: Vec<String> = asks_here
                    .iter()
                    .filter(missing)
                    .map(|ask| {
                        Suggestion {
                            policy: name,
                            component: None,
                            alias: &ask.alias,
                            use_: &ask.use_,
                            secret: Some(secret),
                            route: self.route_names.first(),
                            why: &ask.why,
                        }
                        .to_toml()
                    })
                    .collect();
                let help = format!(
                    "a grant that would allow it, once you have decided:\n\n{}",
                    toml.join("\n")
                );
                Err((message, help))
            }
            several => match several.iter().find(|alias| ***alias == first.alias) {
                Some(alias) => Ok(Alias::clone(alias)),
                None => {
                    let names: Vec<_> = several.iter().map(|alias| alias.as_str()).collect();
                    let message = format!(
                        "{written} is secret, and policy {name} is granted its secret \"{secret}\" under several aliases"
                    );
                    let help = format!("write the one that is meant: {}", names.join(", "));
                    Err((message, help))
                }
            },
        }
    }
}
