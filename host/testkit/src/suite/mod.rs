//! What a suite says, read and checked.
//!
//! [`Suite::parse`] reports everything that is wrong with a text at once, each with its
//! place. What it returns is consistent: every name that is used is defined, tables are
//! filled in, one case a row. It opens no file; [`Suite::load`] opens the suite's own.

mod case;
mod errors;
mod expected;
mod mock;
mod node;
mod parse;
mod parse_case;
mod parse_documents;
mod parse_expected;
mod parse_grants;
mod parse_issuers;
mod parse_mock;
mod parse_policies;
mod parse_query;
mod parse_values;
mod query;
mod reader;
#[cfg(test)]
mod tests;
mod token;

use std::net::IpAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use keyward::Issuer;
use keyward::document::Member;
use keyward::engine::{Limits, Phase};
use keyward::names::KeyVaultReference;
use keyward::names::{IssuerName, PolicyName, RouteName, SecretName, Subject, ValueName};
use keyward::vault::{Grants, Kind, Validity};

use crate::property::Property;
pub use case::{Case, Certificate, ClientKey, Request, Step};
pub use errors::{SuiteErrors, Wrong};
pub use expected::{
    AuditExpected, BodyExpected, CallExpected, Expected, HeaderExpected, LogExpected, Matcher,
    MatcherForm, SignatureExpected, VariableExpected, VerdictExpected,
};

pub use crate::hostile::Echo;
pub use mock::{Answer, Backend, Fault, RequestMatch};
pub use query::QueryAnswer;
pub(crate) use token::KEY_ID;
pub use token::{IssuerKey, Signed, Signer, Token};

/// Bytes of a suite's text.
pub type Span = Range<usize>;

/// Something and where it stands in the suite's text.
#[derive(Clone, Debug)]
pub struct At<T> {
    /// It.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

/// A suite: what its cases have in common, and the cases.
#[derive(Clone, Debug)]
pub struct Suite {
    /// The file, as it was named.
    pub file: PathBuf,
    /// The file's name without `.test.toml`.
    pub name: String,
    /// The text of the file: what spans are about.
    pub text: String,
    /// The policies, and where they run.
    pub policies: Vec<PolicyUnderTest>,
    /// The documents that say what runs, in place of the policies' phases, the broadest
    /// scope first.
    pub documents: Vec<At<PathBuf>>,
    /// The document of the outer scope, where `document` says `<base/>`.
    pub global_document: Option<At<PathBuf>>,
    /// The fragments that documents include, by their ids.
    pub fragments: Vec<(String, At<PathBuf>)>,
    /// The policy that runs the documents' own statements.
    pub runs_as: PolicyName,
    /// What documents are told of the API, the operation and the product.
    pub facts: Vec<(Member, String)>,
    /// Whether callers of its documents need a key; `None`: where the documents need to
    /// know who calls.
    pub subscription_required: Option<bool>,
    /// Whether each statement that runs is told to the log.
    pub trace_document: bool,
    /// The secrets.
    pub secrets: Vec<SecretSection>,
    /// The sets of client keys.
    pub clients: Vec<ClientsSection>,
    /// The named values.
    pub values: Vec<ValueSection>,
    /// The Key Vault references that an operator lists for documents.
    pub references: Vec<ReferenceSection>,
    /// The routes; the first is the pipeline's.
    pub routes: Vec<RouteSection>,
    /// The issuers whose tokens the policies may have checked.
    pub issuers: Vec<Issuer>,
    /// Keys for those of them whose tokens cases send.
    pub issuer_keys: Vec<IssuerKey>,
    /// The grants.
    pub grants: Grants,
    /// What backends answer, after what a case says itself.
    pub backends: Vec<Backend>,
    /// What databases answer, after what a case says itself.
    pub queries: Vec<QueryAnswer>,
    /// The cases, each table's rows as cases of their own.
    pub cases: Vec<Case>,
    /// What is tried beside them by chance.
    pub property: Option<Property>,
}

/// A policy that a suite tests.
#[derive(Clone, Debug)]
pub struct PolicyUnderTest {
    /// What grants, documents and expectations call it.
    pub name: PolicyName,
    /// The component's file.
    pub component: At<PathBuf>,
    /// Its settings, named values filled in; `None` where none are given.
    pub settings: Option<serde_json::Value>,
    /// The phases that it runs in; `None`: all that it has.
    pub phases: Option<Vec<Phase>>,
    /// The routes that it may call itself.
    pub routes: Vec<RouteName>,
    /// The issuers whose tokens it may have checked: all of the suite's.
    pub issuers: Vec<IssuerName>,
    /// What each call of it may use up; `None`: the engine's defaults.
    pub limits: Option<Limits>,
    /// Which limits the suite sets, by their names. What a document needs raises the
    /// others.
    pub set_limits: Vec<&'static str>,
}

/// A secret of a suite.
#[derive(Clone, Debug)]
pub struct SecretSection {
    /// Its name.
    pub name: SecretName,
    /// What it is.
    pub kind: Kind,
    /// Its value; `None`: a canary of that kind.
    pub value: Option<SecretText>,
    /// When it may be used.
    pub validity: Validity,
    /// The version before it.
    pub previous: Option<PreviousSection>,
    /// Whether it is disabled.
    pub disabled: bool,
    /// Where it stands.
    pub span: Span,
}

/// The version of a secret before its current one.
#[derive(Clone, Debug)]
pub struct PreviousSection {
    /// Its value; `None`: a canary of that kind.
    pub value: Option<SecretText>,
    /// When it may be used.
    pub validity: Validity,
}

/// Where a value comes from that is no canary.
#[derive(Clone, Debug)]
pub enum SecretText {
    /// It stands in the suite.
    Given(SecretValue),
    /// It is what this file holds.
    File(At<PathBuf>),
}

/// A value that a suite gives itself. It is no secret, but it is searched for like one.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(pub(crate) Vec<u8>);

impl std::fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretValue")
    }
}

/// A set of client keys.
#[derive(Clone, Debug)]
pub struct ClientsSection {
    /// Its name: that of the secret.
    pub name: SecretName,
    /// The subjects; each gets a canary as its key.
    pub subjects: Vec<Subject>,
    /// Where it stands.
    pub span: Span,
}

/// A Key Vault reference that a document may hold.
#[derive(Clone, Debug)]
pub struct ReferenceSection {
    /// The reference.
    pub reference: KeyVaultReference,
    /// The secret that has its values from there.
    pub secret: SecretName,
}

/// A named value.
#[derive(Clone, Debug)]
pub struct ValueSection {
    /// Its name.
    pub name: ValueName,
    /// What it stands for.
    pub value: ValueText,
}

/// What a named value stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueText {
    /// A text.
    Plain(String),
    /// A secret of the suite.
    Secret(SecretName),
}

/// A route: a backend's place, though nobody is there but the kit.
#[derive(Clone, Debug)]
pub struct RouteSection {
    /// Its name.
    pub name: RouteName,
    /// Its URL.
    pub url: String,
    /// Whether its backend speaks HTTP/2.
    pub http2: bool,
    /// How long an answer may take; `None`: the egress's default.
    pub timeout: Option<Duration>,
    /// Where it stands.
    pub span: Span,
}

/// The address that a client has where a case says nothing.
pub const DEFAULT_CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
/// The host that a client asks for where a case says nothing.
pub const DEFAULT_HOST: &str = "gateway.example";
/// When a case begins where it says nothing: 2026-01-01T00:00:00Z, in milliseconds.
pub const DEFAULT_TIME: i64 = 1_767_225_600_000;

impl Suite {
    /// The grants that are in force in a case.
    pub fn grants_of(&self, case: &Case) -> Grants {
        match &case.grants {
            Some(grants) => grants.clone(),
            None if case.without.is_empty() => self.grants.clone(),
            None => self.grants.without(&case.without),
        }
    }

    /// Reads a suite's file.
    ///
    /// Errors: it can't be read, or everything that is wrong with it.
    pub fn load(file: impl AsRef<Path>) -> Result<Self, SuiteErrors> {
        let file = file.as_ref();
        let text = std::fs::read_to_string(file)
            .map_err(|error| SuiteErrors::unreadable(file, error.kind()))?;
        Self::parse(file, &text)
    }
}
