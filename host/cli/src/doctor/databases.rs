//! Whether the databases that grants of `query` name can be asked.

use std::sync::Arc;

use keyward::egress::Egress;
use keyward::vault::Vault;
use keyward_gateway::config::Config;
use keyward_gateway::control::{DatabaseEntry, Request, check_databases, wait};

use super::Checks;
use crate::access::{self, Access};
use crate::exit::{Exit, Failure};
use crate::grants;
use crate::output::counted;

/// Has them tried by the gateway that runs, or tries them here. Returns the vault, if it
/// is here.
pub(super) fn check(checks: &mut Checks, config: &Config, access: Access) -> Option<Vault> {
    let here = match access {
        Access::Here(here) => Arc::new(here.into_vault()),
        gateway @ Access::Gateway(_) => {
            let asked = gateway.ask::<Vec<DatabaseEntry>>(Request::DatabaseCheck {}, None);
            told(checks, asked);
            return None;
        }
    };
    told(checks, tried(config, &here));
    // All that shared it is gone.
    Arc::into_inner(here)
}

fn tried(config: &Config, vault: &Arc<Vault>) -> Result<Vec<DatabaseEntry>, Failure> {
    // What is wrong with the grants' file has a check of its own.
    let Ok(grants) = grants::read(config) else {
        return Ok(Vec::new());
    };
    let egress = Egress::new(config.routes.iter().cloned(), Arc::clone(vault));
    let egress = egress.map_err(|error| {
        Failure::new(error).help("correct the route, or the file of its certificate authorities")
    })?;
    let actor = access::actor(None);
    let work = check_databases(vault, &egress, grants.iter().map(|grant| &**grant), &actor);
    wait(work).map_err(access::fault)
}

fn told(checks: &mut Checks, asked: Result<Vec<DatabaseEntry>, Failure>) {
    let entries = match asked {
        Ok(entries) => entries,
        Err(failure) if failure.exit == Exit::Denied => {
            let message = "trying a login takes the role operator".to_owned();
            checks.add("databases", super::Status::Skipped, message, failure.help);
            return;
        }
        Err(failure) => {
            let fix = failure
                .help
                .unwrap_or_else(|| "see the gateway's log".to_owned());
            checks.bad("databases", format!("{:#}", failure.error), fix);
            return;
        }
    };
    for entry in &entries {
        let (grant, secret, route) = (&entry.grant, &entry.secret, &entry.route);
        if entry.faults.is_empty() {
            let statements = counted(entry.statements as usize, "statement");
            checks.good(
                "database",
                format!("{route} takes {secret} and knows the {statements} of grant {grant}"),
            );
        }
        for fault in &entry.faults {
            let about = match &fault.statement {
                Some(statement) => format!("{route}, statement {statement} of grant {grant}"),
                None => format!("{route}, with {secret} of grant {grant}"),
            };
            checks.bad(
                "database",
                format!("{about}: {}", fault.message),
                fault.advice.clone(),
            );
        }
    }
}
