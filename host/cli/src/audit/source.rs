//! Where a trail is read: through the gateway that runs, or in its folder. The
//! vault is not opened for reading, so that reading leaves no records.

use std::path::{Path, PathBuf};

use clap::Args;
use keyward::vault::{ReadError, VerifyError, query_trail, trail_extent, who_used};
use keyward_gateway::config::Config;
use keyward_gateway::control::{FilterText, RecordEntry, RecordPage, Request};

use crate::Common;
use crate::access::Access;
use crate::exit::{Exit, Failure};
use crate::place::{self, VERIFIER_KEY_FILE};

/// Which trail.
#[derive(Args)]
pub(crate) struct Place {
    /// The trail's folder, such as a copy; otherwise the one in the configuration.
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// A trail that can be read.
pub(crate) enum Trail {
    Gateway(Access),
    Folder(PathBuf),
}

impl Place {
    pub(crate) fn open(self, common: &Common) -> Result<Trail, Failure> {
        if let Some(directory) = self.directory {
            return Ok(Trail::Folder(directory));
        }
        let config = place::load(common.config())?;
        Ok(match Access::running(&config)? {
            Some(gateway) => Trail::Gateway(gateway),
            None => Trail::Folder(config.audit.directory),
        })
    }
}

impl Trail {
    /// Records from an entry on.
    pub(crate) fn query(
        &self,
        filter: &FilterText,
        from: u64,
        limit: u32,
    ) -> Result<RecordPage, Failure> {
        match self {
            Self::Gateway(access) => {
                let request = Request::AuditQuery {
                    filter: Box::new(filter.clone()),
                    from,
                    limit: Some(limit),
                };
                access.ask(request, None)
            }
            Self::Folder(directory) => {
                let filter = filter.read().map_err(Failure::usage)?;
                let covered = trail_extent(directory).map_err(read_failure)?.covered;
                let limit = usize::try_from(limit).unwrap_or(usize::MAX);
                let page = query_trail(directory, &filter, from, limit).map_err(read_failure)?;
                Ok(RecordPage {
                    records: page.records.iter().map(RecordEntry::from).collect(),
                    next: page.next,
                    covered,
                })
            }
        }
    }

    /// Who used a secret: objects with the fields of `UseSummary`.
    pub(super) fn who(
        &self,
        secret: keyward::names::SecretName,
        since: Option<jiff::Timestamp>,
    ) -> Result<Vec<serde_json::Value>, Failure> {
        match self {
            Self::Gateway(access) => {
                let since = since.map(|since| since.to_string());
                access.ask(Request::AuditWho { secret, since }, None)
            }
            Self::Folder(directory) => {
                let uses = who_used(directory, &secret, since).map_err(read_failure)?;
                Ok(uses.iter().map(|used| used.to_json()).collect())
            }
        }
    }
}

/// The running gateway, for who can't read the trail's folder: who can needs
/// nobody's word for what is in it.
pub(super) fn gateway_if_unreadable(config: &Config) -> Result<Option<Access>, Failure> {
    match std::fs::File::open(config.audit.directory.join("checkpoint")) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Access::running(config)
        }
        _ => Ok(None),
    }
}

/// The key that verifies a trail: the one that was given, else the one beside the
/// configuration, else the vault's.
pub(super) fn verifier_key(
    common: &Common,
    config: &Config,
    given: Option<String>,
) -> Result<String, Failure> {
    if let Some(key) = given {
        return Ok(key);
    }
    if let Some(key) = saved_key(&config.file)? {
        return Ok(key);
    }
    Access::open(config, common)?.verifier_key()
}

/// The key beside a configuration, if there is one.
pub(super) fn saved_key(config: &Path) -> Result<Option<String>, Failure> {
    let file = config.with_file_name(VERIFIER_KEY_FILE);
    match std::fs::read_to_string(&file) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::io(error, format!("can't read {}", file.display()))),
    }
}

pub(crate) fn read_failure(error: ReadError) -> Failure {
    let denied = std::error::Error::source(&error)
        .and_then(|source| source.downcast_ref::<std::io::Error>())
        .is_some_and(|source| source.kind() == std::io::ErrorKind::PermissionDenied);
    Failure {
        exit: if denied { Exit::Denied } else { Exit::Failed },
        error: error.into(),
        help: Some("`keyward audit verify` says what is wrong with a trail".to_owned()),
    }
}

pub(super) fn verify_failure(error: VerifyError) -> Failure {
    let (exit, help) = match &error {
        VerifyError::Findings { .. } => (
            Exit::Findings,
            "someone changed the trail, or the key is another trail's; a copy from elsewhere tells",
        ),
        VerifyError::Key(_) => (
            Exit::Usage,
            "`keyward init` printed the key; without --key it comes from audit.vkey or from the vault",
        ),
        VerifyError::Kept(_) => (
            Exit::Usage,
            "`keyward audit checkpoint` prints a checkpoint; keep all of it",
        ),
        VerifyError::File { source, .. }
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            (
                Exit::Denied,
                "run this as the user who owns the trail, or on a copy of it",
            )
        }
        _ => (
            Exit::Failed,
            "[audit] in the configuration, or --directory, says where the trail is",
        ),
    };
    Failure {
        exit,
        error: error.into(),
        help: Some(help.to_owned()),
    }
}
