//! Secrets in environment variables: for development only.
//!
//! Every process of the same user can read another's environment, child processes
//! inherit it, and crash reports and orchestrators show it. So a source of this kind
//! exists only where the configuration says that this is development, says so again
//! in the log at each start, and reads the variables that are listed and no others.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStringExt as _;

use futures_util::future::{BoxFuture, FutureExt as _, ready};
use keyward_names::SourceName;
use keyward_vault::{ImportError, Secret, Validity};
use zeroize::Zeroizing;

use crate::SourceVersion;
use crate::error::SourceError;
use crate::files::MAX_BYTES;
use crate::source::{CheckStep, Fetched, Source};

/// A source that reads environment variables of this process: `kind = "environment"`.
/// Keys are their names.
pub struct Environment {
    name: SourceName,
    variables: BTreeSet<String>,
}

impl Environment {
    /// A source of these variables. Warns in the log.
    ///
    /// What a variable holds is what it held when the process started.
    pub fn new(name: SourceName, variables: impl IntoIterator<Item = String>) -> Self {
        tracing::warn!(
            source = %name,
            "DEVELOPMENT ONLY: secrets come from environment variables, which every process of \
             this user can read; use a source of kind files, openbao or key-vault where it matters"
        );
        Self {
            name,
            variables: variables.into_iter().collect(),
        }
    }

    fn read(&self, key: &str) -> Result<Fetched, SourceError> {
        self.check_key(key)?;
        let value = std::env::var_os(key).ok_or(SourceError::NotFound)?;
        let value = Zeroizing::new(value.into_vec());
        let value = Secret::read_from(&value[..], MAX_BYTES).map_err(|error| match error {
            ImportError::Empty => SourceError::Empty,
            _ => SourceError::TooLarge { max: MAX_BYTES },
        })?;
        Ok(Fetched {
            value,
            version: SourceVersion::parse("environment")?,
            validity: Validity::default(),
            enabled: true,
            content_type: None,
        })
    }
}

impl Source for Environment {
    fn name(&self) -> &SourceName {
        &self.name
    }

    fn kind(&self) -> &'static str {
        "environment"
    }

    fn fetch<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Fetched, SourceError>> {
        ready(self.read(key)).boxed()
    }

    fn check<'a>(&'a self, key: Option<&'a str>) -> BoxFuture<'a, Vec<CheckStep>> {
        let count = self.variables.len();
        let listed = CheckStep::passed("variables are listed", format!("{count} of them"));
        let step = "the variable is listed, set and not empty";
        let read = match key.map(|key| self.read(key)) {
            None => CheckStep::skipped(step),
            Some(Ok(_)) => CheckStep::passed(step, ""),
            Some(Err(error)) => CheckStep::failed(step, error),
        };
        ready(vec![listed, read]).boxed()
    }

    fn check_key(&self, key: &str) -> Result<(), SourceError> {
        match self.variables.contains(key) {
            true => Ok(()),
            false => Err(SourceError::Key {
                expected: "the name of a variable that `variables` of the source lists",
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    #[test]
    fn only_the_variables_that_are_listed_are_read() {
        let name = SourceName::parse("dev").unwrap();
        let source = Environment::new(name, ["PATH".to_owned(), "NO_SUCH_VARIABLE".to_owned()]);
        assert!(source.read("PATH").is_ok());
        let error = |key| source.read(key).err().unwrap();
        assert_eq!(error("NO_SUCH_VARIABLE"), SourceError::NotFound);
        assert_eq!(error("HOME").word(), "key");
    }
}
