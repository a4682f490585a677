//! `keyward grants`: who may use which secret, for what.

use std::path::Path;

use clap::Subcommand;
use keyward::names::{PolicyName, RouteName};
use keyward::vault::SecretInfo;
use keyward_gateway::config::Config;
use serde_json::{Value, json};

use crate::Common;
use crate::access::{self, Access};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{YELLOW, counted, table};
use crate::place;
use crate::policy::Described;
use crate::words;

const CHECK: &str = "\
Shows each grant in words, with its class and where the secret may go, and checks
them against the vault, the routes, the policies and what the policies ask for.

Classes, by what the destination learns:
  A  a proof; the key never leaves
  B  a bearer that lives for minutes
  C  the value itself

Ends with 4 if something is not in order: a name that does not exist, a use that
does not fit the secret, a grant that has expired or that no policy asks for.

Examples:
  keyward grants check
  keyward grants check --offline      without opening the vault
  keyward grants check -o json";

const RELOAD: &str = "\
A file with errors changes nothing: the grants that were in force stay in force.

Examples:
  keyward grants check && keyward grants reload
  keyward grants reload --reason \"contract with A. ended\"";

/// Who may use which secret, for what.
#[derive(Subcommand)]
pub(crate) enum Grants {
    /// Show each grant in words and check it.
    #[command(after_help = CHECK)]
    Check {
        /// Do not open the vault: names and kinds of secrets are not checked.
        #[arg(long)]
        offline: bool,
    },

    /// Have the running gateway read the grants again; what is revoked is dead at once.
    #[command(after_help = RELOAD)]
    Reload {
        /// Why, for the audit trail.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
}

impl Grants {
    pub(crate) fn run(self, common: &Common) -> Outcome {
        match self {
            Self::Check { offline } => check(common, offline),
            Self::Reload { reason } => reload(common, reason.as_deref()),
        }
    }
}

/// Something about the grants that is not in order.
pub(crate) struct Remark {
    /// The grant that it is about, if it is about one.
    pub(crate) grant: Option<String>,
    pub(crate) text: String,
    /// That a component can't be read, which other commands say too.
    pub(crate) unread: bool,
}

/// Reads the grants that a configuration names. Errors in the file are findings.
pub(crate) fn read(config: &Config) -> Result<keyward::vault::Grants, Failure> {
    match &config.grants {
        None => Ok(keyward::vault::Grants::none()),
        Some(file) => read_file(file),
    }
}

fn read_file(file: &Path) -> Result<keyward::vault::Grants, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::io(error, format!("can't read the grants in {}", file.display()))
            .help("`[grants] file` in the configuration names the file; leave it out if nothing is granted")
    })?;
    keyward::vault::Grants::parse(&file.display().to_string(), &text).map_err(|errors| Failure {
        exit: Exit::Findings,
        ..Failure::new(errors)
    })
}

/// Holds grants against what there is. `secrets` is `None` where the vault was
/// not asked.
pub(crate) fn remarks(
    config: &Config,
    grants: &keyward::vault::Grants,
    secrets: Option<&[SecretInfo]>,
) -> Vec<Remark> {
    let routes: Vec<RouteName> = config
        .routes
        .iter()
        .map(|route| route.name().clone())
        .collect();
    let policies: Vec<PolicyName> = config
        .policies
        .iter()
        .map(|policy| policy.name.clone())
        .collect();
    let mut remarks: Vec<Remark> = Vec::new();
    if let Some(secrets) = secrets {
        for finding in grants.check_against(secrets, &routes, &policies) {
            remarks.push(Remark {
                unread: false,
                grant: Some(finding.grant.to_string()),
                text: finding.to_string(),
            });
        }
    }
    for policy in &config.policies {
        let described =
            match Described::read(policy.name.clone(), &policy.component, &policy.settings) {
                Ok(described) => described,
                Err(failure) => {
                    let text = format!("{:#}; what it asks for is not known", failure.error);
                    remarks.push(Remark {
                        grant: None,
                        text,
                        unread: true,
                    });
                    continue;
                }
            };
        for grant in grants.of_policy(&policy.name) {
            let use_ = grant.use_();
            let mut remark = |text: String| {
                let text = format!("grant \"{}\": {text}", grant.id);
                remarks.push(Remark {
                    unread: false,
                    grant: Some(grant.id.to_string()),
                    text,
                });
            };
            if !described.asks_for(&grant.alias, use_) {
                remark(format!(
                    "policy {} does not ask for {use_} of {}: the grant has no effect",
                    policy.name, grant.alias
                ));
            }
            if !grant.is_for(&described.digest) {
                remark(format!(
                    "policy {} is component {}, not the one that the grant is for: the grant has no effect",
                    policy.name, described.digest
                ));
            }
        }
        for ask in described.not_granted(grants) {
            remarks.push(Remark {
                unread: false,
                grant: None,
                text: format!(
                    "policy {} asks for {} of {}, which is not granted; see `keyward policy inspect {}`",
                    policy.name, ask.use_, ask.alias, policy.name
                ),
            });
        }
    }
    remarks
}

fn check(common: &Common, offline: bool) -> Outcome {
    let output = common.output();
    let config = place::load(common.config())?;
    let grants = read(&config)?;
    let secrets = match offline {
        true => None,
        false => Some(Access::open(&config, common)?.list()?),
    };
    let remarks = remarks(&config, &grants, secrets.as_deref());
    output.data(
        || text(&config, &grants),
        || to_json(&config, &grants, &remarks),
    );
    for Remark { text, .. } in &remarks {
        output.say(format!("{} {text}", output.paint(YELLOW, "finding:")));
    }
    Ok(if remarks.is_empty() {
        Exit::Success
    } else {
        Exit::Findings
    })
}

fn reload(common: &Common, reason: Option<&str>) -> Outcome {
    let output = common.output();
    let config = place::load(common.config())?;
    let reloaded = access::reload_grants(&config, reason)?;
    output.data(
        || format!(
                "in force: {}; digest {}",
                counted(usize::try_from(reloaded.grants).unwrap_or(usize::MAX), "grant"),
                reloaded.digest
            ),
        || json!({ "grants": reloaded.grants, "digest": reloaded.digest, "findings": reloaded.findings }),
    );
    for finding in &reloaded.findings {
        output.say(format!("{} {finding}", output.paint(YELLOW, "finding:")));
    }
    Ok(if reloaded.findings.is_empty() {
        Exit::Success
    } else {
        Exit::Findings
    })
}

fn url_of(config: &Config, name: &RouteName) -> Option<String> {
    config
        .routes
        .iter()
        .find(|route| route.name() == name)
        .map(words::url)
}

fn text(config: &Config, grants: &keyward::vault::Grants) -> String {
    let mut out = String::new();
    let mut rows = Vec::new();
    for grant in grants.iter() {
        let use_ = grant.use_();
        let class = use_.class();
        out.push_str(&format!(
            "{}: class {class} ({}), {use_}\n",
            grant.id,
            words::class_in_words(class)
        ));
        out.push_str(&format!("  {}\n", words::sentence(grant)));
        out.push_str(&format!("  {}\n", words::conditions(grant).join("; ")));
        for to in &grant.to {
            let url = url_of(config, &to.route);
            out.push_str(&format!(
                "  to {}\n",
                words::destination(to, url.as_deref())
            ));
        }
        out.push('\n');
        rows.push([
            class.to_string(),
            use_.to_string(),
            grant.policy.to_string(),
            grant.secret.to_string(),
            grant.id.to_string(),
        ]);
    }
    if rows.is_empty() {
        return "Nothing is granted: no policy can use any secret.\n".to_owned();
    }
    out.push_str(&table(["CLASS", "USE", "POLICY", "SECRET", "GRANT"], &rows));
    out
}

fn to_json(config: &Config, grants: &keyward::vault::Grants, remarks: &[Remark]) -> Value {
    let grants: Vec<Value> = grants
        .iter()
        .map(|grant| {
            let use_ = grant.use_();
            let to: Vec<Value> = grant
                .to
                .iter()
                .map(|to| {
                    json!({
                        "route": to.route.as_str(),
                        "url": url_of(config, &to.route),
                        "methods": to.methods.iter().map(|method| method.as_str()).collect::<Vec<_>>(),
                        "paths": to.paths.iter().map(|path| path.as_str()).collect::<Vec<_>>(),
                    })
                })
                .collect();
            json!({
                "id": grant.id.as_str(),
                "policy": grant.policy.as_str(),
                "secret": grant.secret.as_str(),
                "alias": grant.alias.as_str(),
                "use": use_.as_str(),
                "class": use_.class().as_str(),
                "component": grant.component.map(|component| component.to_string()),
                "not-after": grant.not_after.map(|until| until.to_string()),
                "to": to,
                "words": words::sentence(grant),
                "conditions": words::conditions(grant),
            })
        })
        .collect();
    let findings: Vec<Value> = remarks
        .iter()
        .map(|remark| json!({ "grant": remark.grant, "text": remark.text }))
        .collect();
    json!({ "grants": grants, "findings": findings })
}
