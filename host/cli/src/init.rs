//! `keyward init`: the files of a new gateway.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use clap::Args;
use keyward::vault::{Vault, VaultFiles};
use serde_json::json;

use crate::Common;
use crate::access::vault_failure;
use crate::exit::{Exit, Failure, Outcome};
use crate::place::{CONFIG_FILE, VERIFIER_KEY_FILE};

const EXAMPLES: &str = "\
Makes, and never overwrites:
  keyward.toml     the configuration, with comments
  grants.toml      who may use which secret for what: nothing yet
  vault.keyward    the vault: secrets, sealed
  vault.key        the vault's key; without it the vault can't be opened
  audit/           the audit trail
  audit.vkey       the key that verifies the trail; it is public

Examples:
  keyward init
  keyward init /etc/keyward --listen 0.0.0.0:8080";

/// Make a gateway: configuration, grants, vault and audit trail.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Init {
    /// The folder; it is made if it is not there.
    #[arg(default_value = ".")]
    dir: PathBuf,

    /// Where clients will connect.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
}

impl Init {
    pub(crate) fn run(self, common: &Common) -> Outcome {
        let output = common.output();
        let path = |name: &str| match self.dir.as_os_str() == "." {
            true => PathBuf::from(name),
            false => self.dir.join(name),
        };
        let (config, grants) = (path(CONFIG_FILE), path("grants.toml"));
        let files = VaultFiles {
            vault: path("vault.keyward"),
            key: path("vault.key"),
            audit: path("audit"),
        };
        let verifier = path(VERIFIER_KEY_FILE);
        let made = [
            &config,
            &grants,
            &files.vault,
            &files.key,
            &files.audit,
            &verifier,
        ];
        refuse_to_overwrite(&made.map(PathBuf::as_path))?;
        make_folder(&self.dir, 0o755)?;
        let created = Vault::create(&files).map_err(vault_failure)?;
        write_new(&verifier, &format!("{}\n", created.verifier_key))?;
        write_new(&grants, GRANTS)?;
        // Last, so that a half-made gateway is not taken for a whole one.
        write_new(
            &config,
            &CONFIG.replace("{listen}", &self.listen.to_string()),
        )?;

        let key = created.verifier_key;
        output.data(
            || {
                format!(
                    "Made a gateway in {dir}.\n\
                     \n\
                     Keep this key of the audit trail somewhere else too, where whoever could change\n\
                     the trail can't change it; `keyward audit verify --key` takes it:\n\
                     \n    {key}\n\
                     \n\
                     Keep a copy of {vault_key} in a safe place, apart from the vault: without it the\n\
                     secrets are gone.\n\
                     \n\
                     Next:\n\
                     \x20 1. Name your backend, policies and pipeline in {config}.\n\
                     \x20 2. keyward secret set NAME --kind api-key    store a secret\n\
                     \x20 3. keyward policy inspect POLICY             see what it asks for; grant it in {grants}\n\
                     \x20 4. keyward doctor                            check everything\n\
                     \x20 5. keyward serve",
                    dir = if self.dir.as_os_str() == "." { "this folder".into() } else { self.dir.display().to_string() },
                    vault_key = files.key.display(),
                    config = config.display(),
                    grants = grants.display(),
                )
            },
            || {
                json!({
                    "config": config,
                    "grants": grants,
                    "vault": files.vault,
                    "vault-key": files.key,
                    "audit": files.audit,
                    "audit-verifier-key": key,
                })
            },
        );
        Ok(Exit::Success)
    }
}

fn refuse_to_overwrite(paths: &[&Path]) -> Result<(), Failure> {
    // A link that leads nowhere is something too.
    let there: Vec<String> = paths
        .iter()
        .filter(|path| path.symlink_metadata().is_ok())
        .map(|path| path.display().to_string())
        .collect();
    if there.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "there already: {}; nothing was changed",
        there.join(", ")
    ))
    .help("name another folder: keyward init DIR"))
}

fn make_folder(folder: &Path, mode: u32) -> Result<(), Failure> {
    DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(folder)
        .map_err(|error| Failure::io(error, format!("can't make the folder {}", folder.display())))
}

fn write_new(file: &Path, text: &str) -> Result<(), Failure> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(file)
        .and_then(|mut opened| {
            opened.write_all(text.as_bytes())?;
            opened.sync_all()
        })
        .map_err(|error| Failure::io(error, format!("can't write {}", file.display())))
}

/// A configuration that works as it is, and shows the rest in comments.
const CONFIG: &str = include_str!("../templates/keyward.toml");
/// No grants, and one of each use in comments.
const GRANTS: &str = include_str!("../templates/grants.toml");
