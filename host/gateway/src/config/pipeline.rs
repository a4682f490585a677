//! Pipelines: which policies a request passes, by its path.

use std::fmt;
use std::path::{Path, PathBuf};

use http::Method;
use keyward::document::Member;
use keyward::document::policies::Scope;
use keyward::names::{PolicyName, RouteName};

/// `[[pipeline]]`: the policies of the requests under a path, and the route that
/// those requests take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pipeline {
    /// Which requests.
    pub path: PathPrefix,
    /// Where they go.
    pub route: RouteName,
    /// What they pass.
    pub steps: Steps,
    /// The most bytes of a request's body, in the place of the gateway's limit.
    pub max_body_bytes: Option<u64>,
    /// The protocols that clients may upgrade to.
    pub upgrades: Vec<String>,
    /// The methods that it takes.
    pub methods: Vec<Method>,
}

/// What the requests of a pipeline pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Steps {
    /// Policies by phase, in the order in which they run.
    Lists {
        /// Before the backend is chosen.
        inbound: Vec<PolicyName>,
        /// Just before the request leaves.
        backend: Vec<PolicyName>,
        /// After the head of the answer has arrived.
        outbound: Vec<PolicyName>,
        /// After something failed.
        on_error: Vec<PolicyName>,
    },
    /// Policy documents.
    Documents(DocumentSteps),
}

/// The documents of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentSteps {
    /// Each, the broadest scope first; at least one and at most four.
    pub files: Vec<PathBuf>,
    /// The policy under whose name they run.
    pub runs_as: PolicyName,
    /// What they are told of the API, the operation and the product.
    pub facts: Vec<(Member, String)>,
    /// Whether callers need a subscription's key; `None`: where the documents need to know
    /// who calls.
    pub subscription_required: Option<bool>,
}

impl DocumentSteps {
    /// How many scopes there are below the global one.
    pub(crate) const SCOPES: usize = 4;

    /// Each document and its scope, the broadest first.
    pub fn scoped(&self) -> impl Iterator<Item = (Scope, &Path)> {
        let scopes: &[Scope] = match self.files.len() {
            0 | 1 => &[Scope::Api],
            2 => &[Scope::Api, Scope::Operation],
            3 => &[Scope::Product, Scope::Api, Scope::Operation],
            _ => &[
                Scope::Workspace,
                Scope::Product,
                Scope::Api,
                Scope::Operation,
            ],
        };
        let files = self.files.iter().map(PathBuf::as_path);
        scopes.iter().copied().zip(files)
    }
}

/// The beginning of a path, on the border of a segment: `/billing` is a prefix of
/// `/billing` and `/billing/charges` and not of `/billings`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PathPrefix {
    /// Without a slash at its end; empty for `/`.
    text: String,
}

/// Why a text is no path prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathPrefixError {
    /// It does not start with `/`.
    #[error("the path must start with `/`")]
    Relative,
    /// It ends with `/` and is longer than that.
    #[error("the path must not end with `/`: a prefix covers all that is under it")]
    TrailingSlash,
    /// It holds an empty segment, `.` or `..`.
    #[error("the path must have no empty, `.` or `..` segments")]
    Segments,
    /// It holds something other than letters, digits and `-._~!$&'()*+,=:@/`.
    #[error("the path may hold letters, digits and -._~!$&'()*+,=:@/ only")]
    Character,
}

impl PathPrefix {
    /// Parses a prefix. Percent-encoding and `;` are refused: a path has one
    /// spelling here.
    pub fn parse(text: &str) -> Result<Self, PathPrefixError> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(PathPrefixError::Relative);
        };
        if rest.is_empty() {
            return Ok(Self {
                text: String::new(),
            });
        }
        if rest.ends_with('/') {
            return Err(PathPrefixError::TrailingSlash);
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@/".contains(&byte);
        if !rest.bytes().all(plain) {
            return Err(PathPrefixError::Character);
        }
        if rest
            .split('/')
            .any(|segment| matches!(segment, "" | "." | ".."))
        {
            return Err(PathPrefixError::Segments);
        }
        Ok(Self {
            text: text.to_owned(),
        })
    }

    /// Whether a request's path is under this prefix, byte for byte.
    pub fn matches(&self, path: &str) -> bool {
        self.rest(path).is_some()
    }

    /// What of a request's path comes after the prefix: empty, or starting with
    /// `/`; none if the path is not under it.
    pub fn rest<'p>(&self, path: &'p str) -> Option<&'p str> {
        path.strip_prefix(self.text.as_str())
            .filter(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Whether a path is under this prefix for a server to which upper and lower case
    /// are the same.
    pub(crate) fn matches_in_any_case(&self, path: &str) -> bool {
        path.split_at_checked(self.text.len())
            .is_some_and(|(start, rest)| {
                start.eq_ignore_ascii_case(&self.text) && (rest.is_empty() || rest.starts_with('/'))
            })
    }

    /// The prefix as it is written.
    pub fn as_str(&self) -> &str {
        if self.text.is_empty() {
            "/"
        } else {
            &self.text
        }
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PathPrefix({self})")
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    #[test]
    fn a_prefix_ends_on_the_border_of_a_segment() {
        let check = |prefix: &str, path: &str, rest: Option<&str>| {
            assert_eq!(
                PathPrefix::parse(prefix).unwrap().rest(path),
                rest,
                "{prefix} {path}"
            );
        };
        check("/billing", "/billing", Some(""));
        check("/billing", "/billing/", Some("/"));
        check("/billing", "/billing/charges", Some("/charges"));
        check("/billing", "/billings", None);
        check("/billing", "/Billing", None);
        check("/billing", "/", None);
        check("/", "/billing", Some("/billing"));
        check("/", "/", Some("/"));
        check("/", "*", None);
    }

    #[test]
    fn a_prefix_has_one_spelling() {
        let check = |text: &str, error: PathPrefixError| {
            assert_eq!(PathPrefix::parse(text).unwrap_err(), error, "{text}");
        };
        check("", PathPrefixError::Relative);
        check("billing", PathPrefixError::Relative);
        check("/billing/", PathPrefixError::TrailingSlash);
        check("//", PathPrefixError::TrailingSlash);
        check("/a//b", PathPrefixError::Segments);
        check("/a/../b", PathPrefixError::Segments);
        check("/a%2fb", PathPrefixError::Character);
        check("/a;b", PathPrefixError::Character);
        check("/a?b", PathPrefixError::Character);
        check("/ä", PathPrefixError::Character);
    }
}
