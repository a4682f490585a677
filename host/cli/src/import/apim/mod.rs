//! `keyward import apim`: a template of an Azure API Management service.
//!
//! What it promises: it reads files and nothing else, no cloud; a secret's value
//! that stands in one is never written anywhere; what can't be worked out is
//! reported and not guessed; without `--apply` nothing is changed, and with it
//! nothing that is there is replaced.

mod apply;
mod evaluate;
mod expression;
mod guess;
mod json;
mod plan;
mod resources;
mod template;
#[cfg(test)]
mod tests;
mod write;

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;

use self::evaluate::Cloud;
use self::plan::Plan;
use crate::access::Access;
use crate::confirm::Confirm;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::counted;
use crate::reason::Reason;
use crate::{Common, place};

const APIM: &str = "\
Reads an exported template of API Management (the portal's \"Export template\", or what
`az bicep build` makes), or a list as `az apim nv list` prints it. Of named values,
backends and certificates it makes sources, routes, secrets, named values and grants,
and a report of what a person has to look at. Nothing is asked of any cloud.

Values of secrets are not in templates, and one that is there in clear is not written
anywhere: the commands say where it stands, so that it can be piped in. What can't be
worked out is reported and never guessed.

Without --apply nothing is changed. With it, named values are set and secrets are made
of references, after a question; what is there already stays as it is.

It ends with 4 if something needs a person.

Examples:
  keyward import apim template.json
  keyward import apim template.json --parameters production.json --to imported
  keyward import apim template.json --apply --reason \"moving the shop\"
  az apim nv list -g shop --service-name shop-apim > values.json && keyward import apim values.json";

/// What a template of API Management becomes.
#[derive(Args)]
#[command(after_help = APIM)]
pub(crate) struct Apim {
    /// The template, or a list of resources.
    file: PathBuf,
    /// Its parameters: a file as deployments take it.
    #[arg(long, value_name = "FILE")]
    parameters: Option<PathBuf>,
    /// Which of Azure's clouds it is for, where the template asks.
    #[arg(long, value_enum)]
    cloud: Option<Cloud>,
    /// The tenant that its key vaults trust.
    #[arg(long, value_name = "ID")]
    tenant: Option<String>,
    /// Write what it becomes into this folder.
    #[arg(long, value_name = "FOLDER")]
    to: Option<PathBuf>,
    /// Set the named values, and the secrets that come from sources.
    #[arg(long)]
    apply: bool,
    #[command(flatten)]
    confirm: Confirm,
    #[command(flatten)]
    reason: Reason,
}

/// The files that a template becomes, each with its name; none where it is refused. For
/// fuzzing.
#[cfg(feature = "fuzz")]
pub fn files_of(template: &str, parameters: Option<&str>) -> Option<[(&'static str, String); 4]> {
    let steps = evaluate::steps();
    let parameters = match parameters {
        Some(text) => template::parameters(&json::parse(text).ok()?, &steps).ok()?,
        None => BTreeMap::new(),
    };
    let file = json::parse(template).ok()?;
    let found = template::resources(&file, &parameters, &steps, Some(Cloud::Public)).ok()?;
    let plan = resources::plan(&found).ok()?;
    Some(write::files(&plan, std::path::Path::new("template.json")))
}

impl Apim {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let plan = self.plan()?;
        let output = common.output();
        let ends = match plan.open.is_empty() {
            true => Exit::Success,
            false => Exit::Findings,
        };
        if let Some(folder) = &self.to {
            write::write(&plan, &self.file, folder)?;
        }
        if self.apply {
            self.apply(common, &plan)?;
            return Ok(ends);
        }
        let json = write::json(&plan, &self.file)?;
        let text = || match &self.to {
            Some(folder) => {
                let files = write::FILES.join(", ");
                format!(
                    "{}\nin {}: {files}",
                    write::summary(&plan),
                    folder.display()
                )
            }
            None => write::shown(&plan, &self.file),
        };
        output.data(text, || json);
        Ok(ends)
    }

    fn plan(&self) -> Result<Plan, Failure> {
        let steps = evaluate::steps();
        let parameters = match &self.parameters {
            Some(file) => template::parameters(&json::read(file)?, &steps)?,
            None => BTreeMap::new(),
        };
        let file = json::read(&self.file)?;
        let found = template::resources(&file, &parameters, &steps, self.cloud)?;
        let mut plan = resources::plan(&found).map_err(Failure::new)?;
        plan.tenant.clone_from(&self.tenant);
        if let (Some(source), None) = (plan.sources.first(), &plan.tenant) {
            let what = format!(
                "which tenant the vault {} trusts is not in templates",
                source.vault
            );
            plan.open(
                "",
                what,
                "give it with --tenant: az account show --query tenantId",
            );
        }
        Ok(plan)
    }

    fn apply(&self, common: &Common, plan: &Plan) -> Result<(), Failure> {
        let config = place::load(common.config())?;
        let access = Access::open(&config, common)?;
        let steps = apply::Steps::of(plan, &access)?;
        if steps.count() > 0 {
            let what = format!(
                "{} would be made in the vault.",
                counted(steps.count(), "change")
            );
            self.confirm.go_on(common, &what)?;
        }
        let applied = steps.run(&access, self.reason.get())?;
        common.output().entry(&applied, |applied| {
            let mut lines: Vec<String> = applied
                .set
                .iter()
                .map(|set| format!("set   {set}"))
                .collect();
            lines.extend(applied.left.iter().map(|left| format!("left  {left}")));
            lines.push(write::summary(plan));
            lines.join("\n")
        })
    }
}
