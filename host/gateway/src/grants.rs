//! The grants of a configuration: the file, its lock, and what the lock is
//! compared with.
//!
//! With a lock beside the grants file nothing is loaded that differs from it, and
//! what is loaded is bound to what it says.

use std::path::{Path, PathBuf};

use keyward::egress::Route;
use keyward::names::PolicyName;
use keyward::vault::{
    Components, Drift, Grants, GrantsError, Lock, RouteAddresses, SecretInfo, digest_component,
};

use crate::config::{Config, Steps};
use crate::documents::CompiledDocuments;

/// Why grants can't be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GrantsFault {
    /// A file can't be read.
    #[error("{what} {} can't be read: {source}", file.display())]
    Unreadable {
        /// What the file is.
        what: &'static str,
        /// Which file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The grants file or its lock has errors.
    #[error(transparent)]
    Invalid(#[from] GrantsError),
    /// What there is differs from what was pinned.
    #[error("{}", drifted(file, drift))]
    Drifted {
        /// The lock.
        file: PathBuf,
        /// Each difference; at least one.
        drift: Vec<Drift>,
    },
}

/// What has drifted, and how to pin anew.
fn drifted(file: &Path, drift: &[Drift]) -> String {
    let mut text = format!(
        "the grants are not those that {} pins, so none of them is loaded:",
        file.display()
    );
    for one in drift {
        text.push_str(&format!("\n  {one}"));
    }
    text.push_str("\nreview what has changed, then pin anew with: keyward grants pin");
    text
}

/// A lock that was read.
pub struct LockFile {
    /// Where it is.
    pub file: PathBuf,
    /// What it says.
    pub lock: Lock,
    text: String,
}

/// The grants of a configuration, as the file has them; no lock is looked at.
///
/// Errors: the file can't be read or has errors.
pub fn read_grants(config: &Config) -> Result<Grants, GrantsFault> {
    let Some(file) = &config.grants else {
        return Ok(Grants::none());
    };
    let text = read("the grants file", file)?;
    Ok(Grants::parse(&file.display().to_string(), &text)?)
}

/// Where the lock of a configuration's grants is, or would be: beside the file,
/// of the same name but for its ending, which is `.lock`.
pub fn lock_path(config: &Config) -> Option<PathBuf> {
    config
        .grants
        .as_deref()
        .map(|file| file.with_extension("lock"))
}

/// The lock of a configuration's grants; none if there is no such file.
///
/// Errors: it can't be read or has errors.
pub fn read_lock(config: &Config) -> Result<Option<LockFile>, GrantsFault> {
    let Some(file) = lock_path(config) else {
        return Ok(None);
    };
    let text = match read("the grants' lock", &file) {
        Ok(text) => text,
        Err(GrantsFault::Unreadable { source, .. })
            if source.kind() == std::io::ErrorKind::NotFound =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let lock = Lock::parse(&file.display().to_string(), &text)?;
    Ok(Some(LockFile { file, lock, text }))
}

/// The digests of a configuration's policies, as far as their components can be read. A
/// policy that runs documents has one with them: without `documents` it is left out.
pub fn components(config: &Config, documents: Option<&CompiledDocuments>) -> Components {
    let runs_documents = |name: &PolicyName| {
        config
            .pipelines
            .iter()
            .any(|pipeline| match &pipeline.steps {
                Steps::Documents(steps) => steps.runs_as == *name,
                Steps::Lists { .. } => false,
            })
    };
    config
        .policies
        .iter()
        .filter_map(|policy| {
            let bytes = std::fs::read(&policy.component).ok()?;
            let digest = match documents {
                Some(documents) => documents.digest(&policy.name, &bytes),
                None if runs_documents(&policy.name) => return None,
                None => None,
            };
            let digest = digest.unwrap_or_else(|| digest_component(&bytes));
            Some((policy.name.clone(), digest))
        })
        .collect()
}

/// Where routes lead, for the vault to bind grants to.
pub(crate) fn addresses(routes: &[Route]) -> RouteAddresses {
    let routes = routes.iter();
    routes
        .map(|route| (route.name().clone(), route.leads_to()))
        .collect()
}

/// The grants of a configuration as they may come into force: those of the file,
/// or, where there is a lock, those of the file bound to what the lock says.
///
/// `components` says what the policies are; those that run, where some do.
///
/// Errors: a file can't be read or has errors, or something differs from the
/// lock.
pub fn load_grants(
    config: &Config,
    secrets: &[SecretInfo],
    components: &Components,
) -> Result<Grants, GrantsFault> {
    let grants = read_grants(config)?;
    let Some(LockFile { file, lock, text }) = read_lock(config)? else {
        return Ok(grants);
    };
    let drift = lock.drift(&grants, Some(secrets), components);
    if drift.is_empty() {
        Ok(grants.pinned(&lock, &text))
    } else {
        Err(GrantsFault::Drifted { file, drift })
    }
}

fn read(what: &'static str, file: &Path) -> Result<String, GrantsFault> {
    std::fs::read_to_string(file).map_err(|source| GrantsFault::Unreadable {
        what,
        file: file.to_owned(),
        source,
    })
}
