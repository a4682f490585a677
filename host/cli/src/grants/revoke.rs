//! `keyward grants revoke`, `reinstate`, `list`: what is in force, and less of it.

use clap::Args;
use keyward::names::GrantId;
use keyward_gateway::config::Config;
use keyward_gateway::control::{GrantEntry, GrantList, Request};
use serde_json::{Value, json};

use super::read;
use crate::access::Access;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::table;
use crate::reason::Reason;
use crate::{Common, place};

const REVOKE: &str = "\
The grant is dead at once, on whatever the running gateway is doing, and stays so:
also after a restart, and whatever grants file is loaded, until it is reinstated. Take
it out of the file next. Through a running gateway this takes the role approver.

Examples:
  keyward grants revoke billing-attach --reason \"key seen in a log\"
  keyward grants list";

const REINSTATE: &str = "\
Only what was revoked; what a grants file does not allow, this does not allow either.

Examples:
  keyward grants reinstate billing-attach --reason \"false alarm\"";

const LIST: &str = "\
What the running gateway has loaded and not revoked. Where none runs no grants are in
force; then it lists the grants file's, and what is revoked of them.

Examples:
  keyward grants list
  keyward grants list -o json";

/// Withdraw a grant at once.
#[derive(Args)]
#[command(after_help = REVOKE)]
pub(crate) struct Revoke {
    /// The grant.
    #[arg(value_name = "ID")]
    id: GrantId,
    #[command(flatten)]
    reason: Reason,
}

/// Put a revoked grant in force again.
#[derive(Args)]
#[command(after_help = REINSTATE)]
pub(crate) struct Reinstate {
    /// The grant.
    #[arg(value_name = "ID")]
    id: GrantId,
    #[command(flatten)]
    reason: Reason,
}

/// List the grants in force and those that are revoked.
#[derive(Args)]
#[command(after_help = LIST)]
pub(crate) struct List {}

impl Revoke {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let config = place::load(common.config())?;
        let access = Access::open(&config, common)?;
        // A gateway knows what it has loaded; a vault alone takes any id.
        if !access.is_gateway() {
            must_be_in_file(&config, &self.id)?;
        }
        let grant = self.id.clone();
        let list: GrantList = access.ask(Request::GrantsRevoke { grant }, self.reason.get())?;
        done(common, &self.id, "revoked", &list);
        Ok(Exit::Success)
    }
}

impl Reinstate {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let config = place::load(common.config())?;
        let access = Access::open(&config, common)?;
        let grant = self.id.clone();
        let list: GrantList = access.ask(Request::GrantsReinstate { grant }, self.reason.get())?;
        done(common, &self.id, "reinstated", &list);
        Ok(Exit::Success)
    }
}

impl List {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let config = place::load(common.config())?;
        let access = Access::open(&config, common)?;
        let mut list: GrantList = access.ask(Request::GrantsList {}, None)?;
        if !access.is_gateway() {
            let grants = read(&config)?.without(&list.revoked);
            list.grants = grants
                .iter()
                .map(|grant| GrantEntry::from(grant.as_ref()))
                .collect();
        }
        let gateway = access.is_gateway();
        common.output().data(
            || text(&list),
            || json!({ "grants": list.grants, "revoked": list.revoked, "gateway": gateway }),
        );
        if !gateway {
            common
                .output()
                .say("no gateway is running: these are the grants of the file");
        }
        Ok(Exit::Success)
    }
}

fn must_be_in_file(config: &Config, id: &GrantId) -> Result<(), Failure> {
    // A file that can't be read is no reason not to revoke.
    let Ok(grants) = read(config) else {
        return Ok(());
    };
    if grants.get(id).is_some() {
        return Ok(());
    }
    let known: Vec<&str> = grants.iter().map(|grant| grant.id.as_str()).collect();
    Err(Failure::new(format!("there is no grant \"{id}\""))
        .help(format!("grants there are: {}", known.join(", "))))
}

fn done(common: &Common, id: &GrantId, what: &str, list: &GrantList) {
    common.output().data(
        || format!("grant {id} {what}"),
        || {
            let revoked: Vec<Value> = list.revoked.iter().map(|id| json!(id)).collect();
            json!({ "grant": id, "revoked": revoked })
        },
    );
}

fn text(list: &GrantList) -> String {
    let mut rows: Vec<[String; 6]> = Vec::new();
    for grant in &list.grants {
        rows.push([
            grant.class.clone(),
            grant.use_.clone(),
            grant.policy.clone(),
            grant.secret.clone(),
            grant.id.to_string(),
            grant.not_after.clone().unwrap_or_default(),
        ]);
    }
    let mut out = match rows.is_empty() {
        true => "Nothing is granted: no policy can use any secret.\n".to_owned(),
        false => table(
            ["CLASS", "USE", "POLICY", "SECRET", "GRANT", "UNTIL"],
            &rows,
        ),
    };
    for id in &list.revoked {
        out.push_str(&format!("revoked: {id}\n"));
    }
    out
}
