//! `keyward grants check`: each grant in words, held against what there is.

use keyward::names::{GrantId, PolicyName};
use keyward::vault::{FindingFault, Grants, SecretInfo, Surroundings};
use keyward_gateway::config::{Config, Values};
use keyward_gateway::control::{GrantList, Request};
use keyward_gateway::documents::CompiledDocuments;
use keyward_gateway::grants::components;
use serde_json::{Value, json};

use super::explain::{in_json, url_of};
use super::read;
use crate::Common;
use crate::access::Access;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{YELLOW, counted, table};
use crate::place;
use crate::policy::Described;
use crate::words;

/// Something about the grants that is not in order.
pub(crate) struct Remark {
    /// The grant that it is about, if it is about one.
    pub(crate) grant: Option<String>,
    pub(crate) text: String,
    /// What `keyward doctor` has a check of its own for: that a component can't be
    /// read, that a secret is disabled or its time is over.
    pub(crate) elsewhere: bool,
}

/// Holds grants against what there is. `secrets` is `None` where the vault was
/// not asked, and so is `values`.
pub(crate) fn remarks(
    config: &Config,
    grants: &Grants,
    secrets: Option<&[SecretInfo]>,
    values: Option<&Values>,
    revoked: &[GrantId],
) -> Vec<Remark> {
    // What is wrong with them is for other checks.
    let documents = CompiledDocuments::of(config, &config.in_documents(values)).ok();
    let policies: Vec<PolicyName> = config
        .policies
        .iter()
        .map(|policy| policy.name.clone())
        .collect();
    let mut remarks: Vec<Remark> = Vec::new();
    let there = Surroundings {
        secrets,
        routes: &config.route_names,
        policies: &policies,
        revoked,
    };
    for finding in grants.check_against(&there) {
        remarks.push(Remark {
            elsewhere: matches!(
                finding.fault,
                FindingFault::SecretDisabled(_) | FindingFault::SecretNoLongerValid(..)
            ),
            grant: Some(finding.grant.to_string()),
            text: finding.to_string(),
        });
    }
    remarks.extend(of_lock(config, grants, secrets, documents.as_ref()));
    for policy in &config.policies {
        if policy.unresolved {
            // Its settings may say what it asks for.
            continue;
        }
        let described = match Described::bound(config, policy, grants) {
            Ok(described) => described,
            Err(failure) if failure.exit == Exit::Findings => {
                let text = failure.error.to_string();
                remarks.push(Remark {
                    grant: None,
                    // It is a finding like the others.
                    text: text.strip_prefix("error: ").unwrap_or(&text).to_owned(),
                    elsewhere: false,
                });
                continue;
            }
            Err(failure) => {
                let text = format!("{:#}; what it asks for is not known", failure.error);
                remarks.push(Remark {
                    grant: None,
                    text,
                    elsewhere: true,
                });
                continue;
            }
        };
        let described = match documents.as_ref().and_then(|all| all.runs(&policy.name)) {
            Some(runs) => described.running(policy, runs),
            // What it asks for stands in documents that are not known.
            None if documents.is_none() && described.runs_documents() => continue,
            None => described,
        };
        for grant in grants.of_policy(&policy.name) {
            let use_ = grant.use_();
            let mut remark = |text: String| {
                let text = format!("grant \"{}\": {text}", grant.id);
                remarks.push(Remark {
                    elsewhere: false,
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
                elsewhere: false,
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

/// What differs from the lock, if there is one.
fn of_lock(
    config: &Config,
    grants: &Grants,
    secrets: Option<&[SecretInfo]>,
    documents: Option<&CompiledDocuments>,
) -> Vec<Remark> {
    let remark = |grant: Option<String>, text: String| Remark {
        grant,
        text,
        elsewhere: false,
    };
    match keyward_gateway::grants::read_lock(config) {
        Ok(None) => Vec::new(),
        Ok(Some(found)) => found
            .lock
            .drift(grants, secrets, &components(config, documents))
            .iter()
            .map(|drift| {
                let text = format!("{}: {drift}", found.file.display());
                remark(drift.grant().map(ToString::to_string), text)
            })
            .collect(),
        Err(fault) => vec![remark(None, fault.to_string())],
    }
}

/// What the vault says.
struct Asked {
    secrets: Vec<SecretInfo>,
    values: Values,
    revoked: Vec<GrantId>,
}

impl Asked {
    fn of(config: &Config, common: &Common) -> Result<Self, Failure> {
        let access = Access::open(config, common)?;
        let list: GrantList = access.ask(Request::GrantsList {}, None)?;
        Ok(Self {
            secrets: access.list()?,
            values: access.values()?,
            revoked: list.revoked,
        })
    }
}

pub(super) fn run(common: &Common, offline: bool) -> Outcome {
    let output = common.output();
    let config = place::load(common.config())?;
    let grants = read(&config)?;
    let asked = match offline {
        true => None,
        false => Some(Asked::of(&config, common)?),
    };
    let config = match &asked {
        Some(asked) => config.resolve(&asked.values).map_err(|errors| Failure {
            exit: Exit::Findings,
            ..Failure::new(errors)
        })?,
        None => config,
    };
    if !config.unresolved.is_empty() {
        output.say(format!(
            "{} in the configuration not looked up; what depends on it is not checked",
            counted(config.unresolved.len(), "named value")
        ));
    }
    let remarks = remarks(
        &config,
        &grants,
        asked.as_ref().map(|asked| asked.secrets.as_slice()),
        asked.as_ref().map(|asked| &asked.values),
        asked.as_ref().map_or(&[], |asked| asked.revoked.as_slice()),
    );
    output.data(
        || text(&config, &grants),
        || to_json(&config, &grants, &remarks),
    );
    if !super::is_pinned(&config) && !grants.is_empty() {
        output.say("the grants are not pinned: a policy or a secret can be changed without review; see `keyward grants pin --help`");
    }
    for Remark { text, .. } in &remarks {
        output.say(format!("{} {text}", output.paint(YELLOW, "finding:")));
    }
    Ok(if remarks.is_empty() {
        Exit::Success
    } else {
        Exit::Findings
    })
}

fn text(config: &Config, grants: &Grants) -> String {
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
        out.push_str(&format!("  {}\n", grant.to_sentence()));
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

fn to_json(config: &Config, grants: &Grants, remarks: &[Remark]) -> Value {
    let grants: Vec<Value> = grants.iter().map(|grant| in_json(config, grant)).collect();
    let findings: Vec<Value> = remarks
        .iter()
        .map(|remark| json!({ "grant": remark.grant, "text": remark.text }))
        .collect();
    json!({ "grants": grants, "findings": findings })
}
