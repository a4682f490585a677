//! `keyward value`: named values, for documents, settings and the configuration.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use keyward::names::{KeyVaultReference, SecretName, Tag, ValueName};
use keyward_gateway::config::Config;
use keyward_gateway::control::{Removed, Request, ValueEntry, ValueText};

use crate::Common;
use crate::access::Access;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::table;
use crate::place;
use crate::reason::Reason;
use crate::reference;
use crate::when;

const SET: &str = "\
A name, written {{name}}, stands for one of these:
  --plain        a text that everybody may see, at most 4096 bytes
  --secret       a secret of this vault, which stays where it is: the name is bound to
                 a handle, never to text, and grants decide who may use it
  --reference    a secret in a source: SOURCE:KEY, or in the form of Azure,
                 @Microsoft.KeyVault(…), of a key vault that [sources] has

Setting a name again replaces what it stands for, and its tags. A gateway looks names
up when it starts: what is set takes effect at its next start. Rotating the secret
behind a name takes effect at once.

Examples:
  keyward value set backend-url --plain https://billing.example.com
  keyward value set banner --plain-from-file banner.txt --tag web --tag 2026
  keyward value set billing-key --secret billing-key
  keyward value set partner-key --reference vault-eu:partners/acme
  keyward value set stripe-key --reference \\
    '@Microsoft.KeyVault(VaultName=shop;SecretName=stripe-key)'";

const LIST: &str = "\
Examples:
  keyward value list
  keyward value list --tag web -o json";

const SHOW: &str = "\
Plain texts are shown; of a secret, only its name.

Examples:
  keyward value show backend-url";

const REMOVE: &str = "\
The name stands for nothing from then on. A secret that it was bound to stays. A
gateway that runs keeps what it has; with a place that names it, the next start fails.

Examples:
  keyward value remove backend-url";

/// Named values: what {{name}} stands for.
#[derive(Subcommand)]
pub(crate) enum Value {
    Set(Set),
    List(List),
    Show(Show),
    #[command(visible_alias = "rm")]
    Remove(Remove),
}

/// Say what a name stands for.
#[derive(Args)]
#[command(after_help = SET)]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub(crate) struct Set {
    /// The name: A-Z, a-z, 0-9, "-", "_" and "."
    name: ValueName,
    /// A text that everybody may see.
    #[arg(long, value_name = "TEXT", group = "what")]
    plain: Option<String>,
    /// The same, from a file.
    #[arg(long, value_name = "FILE", group = "what")]
    plain_from_file: Option<PathBuf>,
    /// A secret of this vault.
    #[arg(id = "of-secret", long = "secret", value_name = "NAME", group = "what")]
    of_secret: Option<SecretName>,
    /// A secret in a source.
    #[arg(long, value_name = "SOURCE:KEY", group = "what")]
    reference: Option<String>,
    /// A word to sort it by; may be given several times.
    #[arg(id = "tags", long = "tag", value_name = "TAG")]
    tags: Vec<Tag>,
    #[command(flatten)]
    reason: Reason,
}

/// List the named values.
#[derive(Args)]
#[command(after_help = LIST)]
pub(crate) struct List {
    /// Only those with this tag.
    #[arg(long)]
    tag: Option<Tag>,
}

/// Show what a name stands for.
#[derive(Args)]
#[command(after_help = SHOW)]
pub(crate) struct Show {
    /// Which name.
    name: ValueName,
}

/// Remove a named value.
#[derive(Args)]
#[command(after_help = REMOVE)]
pub(crate) struct Remove {
    /// Which name.
    name: ValueName,
    #[command(flatten)]
    reason: Reason,
}

impl Value {
    pub(crate) fn run(self, common: &Common) -> Outcome {
        match self {
            Self::Set(command) => command.run(common),
            Self::List(command) => command.run(common),
            Self::Show(command) => command.run(common),
            Self::Remove(command) => command.run(common),
        }
    }
}

impl Set {
    fn value(&self, config: &Config) -> Result<ValueText, Failure> {
        if let Some(text) = &self.plain {
            return plain(text);
        }
        if let Some(file) = &self.plain_from_file {
            let text = std::fs::read_to_string(file)
                .map_err(|error| Failure::io(error, format!("can't read {}", file.display())))?;
            // A file ends in a line end that is not part of the text.
            let text = text.strip_suffix('\n').unwrap_or(&text);
            return plain(text);
        }
        match (&self.of_secret, &self.reference) {
            (Some(name), _) => Ok(ValueText::Secret(name.clone())),
            (None, Some(text)) => reference::resolve(text, config).map(ValueText::Reference),
            (None, None) => Err(Failure::usage("say what the name stands for")),
        }
    }

    fn run(self, common: &Common) -> Outcome {
        let config = place::load(common.config())?;
        let value = self.value(&config)?;
        let request = Request::ValueSet {
            name: self.name,
            value,
            tags: BTreeSet::from_iter(self.tags),
        };
        let entry: ValueEntry = Access::open(&config, common)?.ask(request, self.reason.get())?;
        common.output().entry(&entry, |entry| {
            format!("{} is {}", entry.name, words(&entry.value))
        })?;
        common.output().say(match &entry.value {
            ValueText::Secret(name) => format!(
                "places that name it: from the gateway's next start on; rotating {name} takes effect at once"
            ),
            ValueText::Plain(_) | ValueText::Reference(_) => {
                "places that name it: from the gateway's next start on".to_owned()
            }
        });
        Ok(Exit::Success)
    }
}

/// A plain text; one that asks for a secret is none.
fn plain(text: &str) -> Result<ValueText, Failure> {
    match KeyVaultReference::is_meant_by(text) {
        true => Err(Failure::usage(
            "the text is a Key Vault reference, and would be used as it is",
        )
        .help("give it with --reference")),
        false => Ok(ValueText::Plain(text.to_owned())),
    }
}

impl List {
    fn run(self, common: &Common) -> Outcome {
        let config = place::load(common.config())?;
        let request = Request::ValueList { tag: self.tag };
        let entries: Vec<ValueEntry> = Access::open(&config, common)?.ask(request, None)?;
        common.output().entries(&entries, |entries| {
            if entries.is_empty() {
                return "No named values. Set one: keyward value set NAME --plain TEXT".to_owned();
            }
            let rows: Vec<_> = entries.iter().map(row).collect();
            table(["NAME", "STANDS FOR", "TAGS", "SET"], &rows)
        })?;
        Ok(Exit::Success)
    }
}

impl Show {
    fn run(self, common: &Common) -> Outcome {
        let config = place::load(common.config())?;
        let request = Request::ValueShow { name: self.name };
        let entry: ValueEntry = Access::open(&config, common)?.ask(request, None)?;
        common.output().entry(&entry, |entry| {
            format!(
                "{}: {}\ntags     {}\ncreated  {}\nset      {}",
                entry.name,
                words(&entry.value),
                tags(entry),
                entry.created,
                entry.updated
            )
        })?;
        Ok(Exit::Success)
    }
}

impl Remove {
    fn run(self, common: &Common) -> Outcome {
        let config = place::load(common.config())?;
        let request = Request::ValueRemove { name: self.name };
        let removed: Removed = Access::open(&config, common)?.ask(request, self.reason.get())?;
        common.output().entry(&removed, |removed| {
            format!("{} stands for nothing any more", removed.removed)
        })?;
        Ok(Exit::Success)
    }
}

fn row(entry: &ValueEntry) -> [String; 4] {
    const LONGEST: usize = 48;
    let what = words(&entry.value);
    let mut shown: String = what.chars().take(LONGEST).collect();
    if shown.len() < what.len() {
        shown.push('…');
    }
    [
        entry.name.to_string(),
        shown,
        tags(entry),
        when::short(&entry.updated),
    ]
}

fn words(value: &ValueText) -> String {
    match value {
        ValueText::Plain(text) => format!("\"{}\"", text.escape_debug()),
        ValueText::Secret(name) => format!("secret {name}"),
        ValueText::Reference(reference) => format!("reference {reference}"),
    }
}

fn tags(entry: &ValueEntry) -> String {
    let tags: Vec<String> = entry.tags.iter().map(ToString::to_string).collect();
    match tags.is_empty() {
        true => "-".to_owned(),
        false => tags.join(", "),
    }
}
