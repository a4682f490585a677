//! `keyward document`: policy documents of Azure API Management, read and
//! looked over.

mod around;
mod check;
mod effective;
mod explain;
mod grants;
#[cfg(feature = "testkit")]
mod live;
#[cfg(feature = "testkit")]
mod run;
#[cfg(feature = "testkit")]
mod steps;

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use keyward::document::named_values::{NamedValues, Unresolved};
use keyward::document::policies::Scope;
use keyward::document::read::{Options, Reading, read};

use crate::Common;
use crate::exit::{Failure, Outcome};
use crate::place;

/// The longest document that is read, in bytes; a longer one is a finding.
const LONGEST: u64 = 1024 * 1024;

/// Read Azure API Management's policy documents, and see what they do.
#[derive(Subcommand)]
pub(crate) enum Document {
    /// Say what is wrong with policy documents, and what to write instead.
    #[command(after_help = check::HELP)]
    Check(check::Check),
    /// Show what is in force: scopes and fragments put together.
    #[command(after_help = effective::HELP)]
    Effective(effective::Show),
    /// Say in words what a document does, and which secrets and values it uses.
    #[command(after_help = explain::HELP)]
    Explain(explain::Explain),
    /// Print the grants that documents ask for, for the grants file.
    #[command(after_help = grants::HELP)]
    Grants(grants::Show),
    /// Send a request through documents, and show all that they do.
    #[cfg(feature = "testkit")]
    #[command(after_help = run::RUN)]
    Run(Box<run::Sends>),
    /// Send a request through documents, and show each statement as it runs.
    #[cfg(feature = "testkit")]
    #[command(after_help = run::TRACE)]
    Trace(Box<run::Run>),
}

impl Document {
    pub(crate) fn run(self, common: &Common) -> Outcome {
        match self {
            Self::Check(check) => check.run(common),
            Self::Effective(show) => show.run(common),
            Self::Explain(explain) => explain.run(common),
            Self::Grants(show) => show.run(common),
            #[cfg(feature = "testkit")]
            Self::Run(run) => run.run(common),
            #[cfg(feature = "testkit")]
            Self::Trace(run) => run.run(common, true),
        }
    }
}

/// A file's name and text; `-` is standard input.
fn text_of(file: &Path) -> Result<(String, String), Failure> {
    let name = file.display().to_string();
    let (name, read) = if name == "-" {
        let mut bytes = Vec::new();
        let read = std::io::stdin()
            .lock()
            .take(LONGEST)
            .read_to_end(&mut bytes);
        ("standard input".to_owned(), read.map(|_| bytes))
    } else {
        let open = std::fs::File::open(file);
        let read = open.and_then(|file| {
            let mut bytes = Vec::new();
            file.take(LONGEST).read_to_end(&mut bytes).map(|_| bytes)
        });
        (name, read)
    };
    let bytes = read.map_err(|error| Failure::io(error, format!("can't read {name}")))?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok((name, text)),
        Err(_) => Err(Failure::new(format!("{name} is not UTF-8"))
            .help("save it as UTF-8, without a byte order mark or with one")),
    }
}

/// Files, and those in folders that end in `.xml`, in the order of their names.
fn files(named: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in named {
        if path.is_dir() {
            let mut within = Vec::new();
            collect(path, &mut within)?;
            within.sort();
            files.append(&mut within);
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let failed = |error| Failure::io(error, format!("can't read {}", folder.display()));
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        // Not through links: they can lead in a circle.
        if entry.file_type().map_err(failed)?.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "xml") {
            files.push(path);
        }
    }
    Ok(())
}

/// Has documents read with what the configuration says about named values, if there is
/// one.
fn reading<T>(
    common: &Common,
    work: impl FnOnce(&dyn NamedValues) -> Result<T, Failure>,
) -> Result<T, Failure> {
    match (common.config(), place::find(None)) {
        (None, Err(_)) => work(&Unresolved),
        (named, _) => {
            let config = place::load(named)?;
            work(&config.in_documents(None))
        }
    }
}

/// Reads a file's text.
fn read_one(name: &str, text: &str, scope: Option<Scope>, values: &dyn NamedValues) -> Reading {
    let options = Options {
        scope,
        values,
        ..Options::default()
    };
    read(name, text, &options)
}

/// A scope by its name.
fn scope(name: &str) -> Result<Scope, String> {
    Scope::parse(name).ok_or_else(|| {
        let names = Scope::ALL.map(Scope::as_str).join(", ");
        format!("scopes are {names}")
    })
}
