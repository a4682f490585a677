//! Cases: what a client sends.

use std::net::IpAddr;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use jiff::Timestamp;
use keyward::names::{GrantId, PolicyName, SecretName, Subject};
use keyward::vault::Grants;

use super::{Backend, Expected, QueryAnswer, Span, Token};
use crate::leak::LeakExpected;

/// One case: some requests, one after the other, and what is expected.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name, with a table's row filled in. Unique in its suite.
    pub name: String,
    /// Where it stands.
    pub span: Span,
    /// When it begins.
    pub at: Timestamp,
    /// Where the random bytes come from that policies see.
    pub seed: u64,
    /// Settings in place of the suite's, by policy.
    pub settings: Vec<(PolicyName, serde_json::Value)>,
    /// All that are in force, where it has grants of its own; `None`: the suite's but for
    /// `without`.
    pub grants: Option<Grants>,
    /// Grants of the suite that are not in force.
    pub without: Vec<GrantId>,
    /// What backends answer, before what the suite says.
    pub backends: Vec<Backend>,
    /// What databases answer, before what the suite says.
    pub queries: Vec<QueryAnswer>,
    /// Whether what came of it is compared with what is kept beside the suite.
    pub snapshot: bool,
    /// Leaks that it shows on purpose.
    pub leaks: Vec<LeakExpected>,
    /// Its requests, at least one.
    pub steps: Vec<Step>,
}

/// One request of a case.
#[derive(Clone, Debug)]
pub struct Step {
    /// How much time passes before it.
    pub advance: Duration,
    /// The request.
    pub request: Request,
    /// What is expected of it.
    pub expected: Expected,
    /// Where it stands.
    pub span: Span,
}

/// What a client sends.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its method.
    pub method: Method,
    /// Its path and query.
    pub path: String,
    /// The host that it asks for.
    pub host: String,
    /// Its headers, in order.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Its body.
    pub body: Vec<u8>,
    /// The client's address.
    pub client: IpAddr,
    /// The client key that it presents.
    pub key: Option<ClientKey>,
    /// The token that it carries.
    pub token: Option<Token>,
    /// The server name that it asked for when it opened its TLS connection.
    pub server_name: Option<String>,
    /// The certificate that it showed.
    pub certificate: Option<Certificate>,
}

/// The key of a client, which the kit puts where the grant says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientKey {
    /// Of which set.
    pub clients: SecretName,
    /// Whose.
    pub subject: Subject,
}

/// What a client's certificate says, as if TLS had verified it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificate {
    /// Its holder: `CN=orders,O=Example`.
    pub subject: String,
    /// Who vouches for it.
    pub issuer: String,
    /// Its number, in hexadecimal.
    pub serial: String,
    /// The DNS names in it.
    pub dns_names: Vec<String>,
    /// The URIs in it.
    pub uris: Vec<String>,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
}
