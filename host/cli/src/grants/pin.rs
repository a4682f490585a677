//! `keyward grants pin`: writes the lock.

use std::io::Write;
use std::path::Path;

use keyward::vault::Lock;
use keyward_gateway::documents::CompiledDocuments;
use keyward_gateway::grants::{components, lock_path};
use serde_json::json;

use super::read;
use crate::access::Access;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::counted;
use crate::{Common, place};

pub(super) fn run(common: &Common) -> Outcome {
    let output = common.output();
    let config = place::load(common.config())?;
    let (Some(file), Some(grants_file)) = (lock_path(&config), &config.grants) else {
        return Err(Failure::new("the configuration names no grants file")
            .help("name one with `[grants] file`"));
    };
    let grants = read(&config)?;
    let access = Access::open(&config, common)?;
    let secrets = access.list()?;
    // A document is a part of the policy that runs it.
    let values = access.values()?;
    let config = config.resolve(&values).map_err(Failure::new)?;
    let documents = CompiledDocuments::of(&config, &config.in_documents(Some(&values)));
    let documents = documents
        .map_err(|fault| Failure::new(format!("{fault}")).help("see `keyward document check`"))?;
    let components = components(&config, Some(&documents));
    let lock = Lock::pin(&grants, &secrets, &components).map_err(|errors| {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Failure {
            exit: Exit::Findings,
            ..Failure::new(format!("nothing was pinned:\n{}", errors.join("\n")))
        }
    })?;
    // A lock that can't be read is replaced like any other; what it said is lost.
    let before = super::lock(&config).ok().flatten();
    let drift = before
        .as_ref()
        .map(|before| before.lock.drift(&grants, Some(&secrets), &components))
        .unwrap_or_default();
    write(&file, grants_file, &lock.to_toml())?;
    let drift: Vec<String> = drift.iter().map(ToString::to_string).collect();
    output.data(
        || {
            let mut text = String::new();
            for one in &drift {
                text.push_str(&format!("{one}\n"));
            }
            let grants = counted(grants.len(), "grant");
            text.push_str(&format!("{} pins {grants}", file.display()));
            text
        },
        || json!({ "lock": file, "grants": grants.len(), "changed": drift }),
    );
    output.say("review it and keep it with the grants file; a running gateway reads it with: keyward grants reload");
    Ok(Exit::Success)
}

/// Replaces a file whole, readable for whoever can read the grants file.
fn write(file: &Path, like: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error| Failure::io(error, format!("can't write {}", file.display()));
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let permissions = std::fs::metadata(like).map_err(failed)?.permissions();
    let mut new = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    new.write_all(text.as_bytes()).map_err(failed)?;
    new.as_file().set_permissions(permissions).map_err(failed)?;
    new.as_file().sync_all().map_err(failed)?;
    new.persist(file).map_err(|error| failed(error.error))?;
    std::fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(failed)
}
