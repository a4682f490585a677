//! `keyward man`: manual pages.

use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory};
use clap_mangen::Man as Page;
use serde_json::json;

use crate::exit::{Exit, Failure, Outcome};
use crate::output::counted;
use crate::{CommandLine, Common};

const EXAMPLES: &str = "\
Examples:
  keyward man --to /usr/local/share/man/man1
  keyward man secret rotate | man -l -";

/// Print a manual page, or write all of them to a folder.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Man {
    /// The command that the page is about; otherwise keyward itself.
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,

    /// Write a page for each command to this folder, which must be there.
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    to: Option<PathBuf>,
}

impl Man {
    pub(crate) fn run(self, common: &Common) -> Outcome {
        let mut root = CommandLine::command();
        // Gives each its full name, and the options that all have.
        root.build();
        if let Some(folder) = &self.to {
            let mut files = Vec::new();
            write_all(&root, "keyward", folder, &mut files)?;
            common.output().data(
                || format!("{} in {}", counted(files.len(), "page"), folder.display()),
                || json!({ "folder": folder, "pages": files }),
            );
            return Ok(Exit::Success);
        }
        let mut wanted = &root;
        let mut name = "keyward".to_owned();
        for word in &self.command {
            wanted = wanted
                .get_subcommands()
                .find(|command| command.get_name() == word)
                .ok_or_else(|| Failure::usage(format!("there is no command {name} {word}")))?;
            name = format!("{name} {word}");
        }
        let page = page(wanted)?;
        common
            .output()
            .data(|| page.clone(), || json!({ "command": name, "page": page }));
        Ok(Exit::Success)
    }
}

/// Writes the page of a command and of those below it.
fn write_all(
    command: &clap::Command,
    name: &str,
    folder: &Path,
    files: &mut Vec<String>,
) -> Result<(), Failure> {
    let file = format!("{name}.1");
    let path = folder.join(&file);
    std::fs::write(&path, page(command)?)
        .map_err(|error| Failure::io(error, format!("can't write {}", path.display())))?;
    files.push(file);
    for below in command.get_subcommands() {
        if below.get_name() != "help" && !below.is_hide_set() {
            write_all(
                below,
                &format!("{name}-{}", below.get_name()),
                folder,
                files,
            )?;
        }
    }
    Ok(())
}

fn page(command: &clap::Command) -> Result<String, Failure> {
    let command = command.clone().version(env!("CARGO_PKG_VERSION"));
    let mut page = Vec::new();
    Page::new(command)
        .manual("Keyward")
        .render(&mut page)
        .map_err(|error| Failure::io(error, "can't make the page"))?;
    String::from_utf8(page).map_err(Failure::new)
}
