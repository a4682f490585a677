//! What tests leave out on a machine that can't have others' servers. Such a test
//! passes, and writes its server and its name into a list; nobody shall take it for
//! one that proved something.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::servers::WITHOUT;
use crate::workspace;

/// Names the list to the tests: a line for each test, `SERVER<tab>TEST`.
pub(crate) const LIST: &str = "KEYWARD_LEFT_OUT";

/// How many tests each server was needed for and not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeftOut(BTreeMap<String, u64>);

fn file() -> PathBuf {
    workspace::root().join("target/left-out")
}

/// Begins a list and returns where it is.
///
/// Errors: an older one can't be removed.
pub(crate) fn begin() -> Result<PathBuf> {
    let file = file();
    match fs::remove_file(&file) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).context("can't remove what earlier tests left out")
        }
        _ => Ok(file),
    }
}

/// Reads the list.
///
/// Errors: it is there and can't be read.
pub(crate) fn end() -> Result<LeftOut> {
    match fs::read_to_string(file()) {
        Ok(text) => Ok(LeftOut::parse(&text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(LeftOut::default()),
        Err(error) => Err(error).context("can't read what the tests left out"),
    }
}

impl LeftOut {
    fn parse(text: &str) -> Self {
        let mut servers = BTreeMap::new();
        for line in text.lines() {
            let (server, _) = line.split_once('\t').unwrap_or((line, ""));
            *servers.entry(server.to_owned()).or_default() += 1;
        }
        Self(servers)
    }

    /// How many tests proved nothing.
    pub(crate) fn tests(&self) -> u64 {
        self.0.values().sum()
    }

    /// A line about it; none if nothing was left out.
    pub(crate) fn told(&self) -> Option<String> {
        let counted = |(server, tests): (&String, &u64)| format!("{server} ({tests})");
        let servers: Vec<String> = self.0.iter().map(counted).collect();
        (!servers.is_empty()).then(|| {
            format!(
                "{} tests left out, since {WITHOUT} is set: they need {}",
                self.tests(),
                servers.join(", ")
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_counted_by_server() {
        let list = "OpenBao\tvalues::a\nPostgreSQL\tbounds::b\nOpenBao\tlogins::c\n";
        let left_out = LeftOut::parse(list);
        assert_eq!(left_out.tests(), 3);
        assert_eq!(
            left_out.told().as_deref(),
            Some(
                "3 tests left out, since KEYWARD_WITHOUT_SERVERS is set: they need \
                 OpenBao (2), PostgreSQL (1)"
            )
        );
        assert_eq!(LeftOut::parse("").told(), None);
    }
}
