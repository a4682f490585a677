//! Tokens (JWT) that the kit makes for requests, with keys that stand in no suite.

use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue, StatusCode};
use keyward::names::{IssuerName, SecretName};
use keyward::vault::{Kind, TokenAlgorithm, TokenMaker};
use keyward::{Issuer, KeysAt};
use serde_json::{Map, Value as Json, json};

use super::mock::{Answer, Backend, RequestMatch};
use super::node::{Entry, Node, Value};
use super::parse::Known;
use super::reader::Table;
use super::{At, Case};

/// How long a token is good for where nothing says it.
const LIFETIME: Duration = Duration::from_secs(3600);
/// What the keys of the kit's making are called.
pub(crate) const KEY_ID: &str = "kit";
const TITLE: &str = "a token";

/// A token that a client sends, made when the request is.
#[derive(Clone, Debug)]
pub struct Token {
    /// Whose key signs it.
    pub signer: Signer,
    /// How it is signed, and what its header says of that.
    pub signed: Signed,
    /// `typ`.
    pub type_: String,
    /// `kid`; `None`: what the key is called, if it is.
    pub key_id: Option<String>,
    /// Claims beside those that it has by itself, or in their place.
    pub claims: Map<String, Json>,
    /// Claims that it does not have.
    pub without: Vec<String>,
    /// How long it is good for.
    pub lifetime: Duration,
    /// Whether another key signs it, which nobody knows.
    pub forged: bool,
    /// Where it stands; after `Bearer ` in `authorization`.
    pub header: HeaderName,
}

/// Whose key signs a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signer {
    /// An `hmac-key` of the suite.
    Secret(SecretName),
    /// An issuer of the suite, with a key of the kit's making.
    Issuer(IssuerName),
}

/// How a token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signed {
    /// As its key is for.
    Usual,
    /// In this way.
    With(TokenAlgorithm),
    /// Not at all (`none`).
    Not,
}

/// The key of an issuer, which the kit made, and what is published of it.
#[derive(Clone)]
pub struct IssuerKey {
    pub(crate) issuer: IssuerName,
    pub(crate) maker: TokenMaker,
    /// A JSON Web Key Set.
    pub(crate) published: String,
}

impl std::fmt::Debug for IssuerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("IssuerKey").field(&self.issuer).finish()
    }
}

/// A token as far as it is written: in `[tokens.NAME]`, or in a request.
#[derive(Clone, Default)]
pub(crate) struct Written {
    secret: Option<SecretName>,
    issuer: Option<IssuerName>,
    signed: Option<Signed>,
    type_: Option<String>,
    key_id: Option<String>,
    claims: Map<String, Json>,
    without: Vec<String>,
    lifetime: Option<Duration>,
    forged: Option<bool>,
    header: Option<HeaderName>,
}

/// `[tokens.NAME]`.
pub(crate) fn tokens(table: &Table<'_>, known: &Known<'_>) -> Vec<(String, Written)> {
    let all = table.table("tokens", "[tokens]");
    let mut tokens = Vec::new();
    for Entry { key, node, .. } in all.iter().flat_map(Table::entries) {
        if let Some(section) = Table::of(TITLE, node, table.wrongs) {
            let written = written(&section, known);
            section.finish();
            tokens.push((key.clone(), written));
        }
    }
    tokens
}

/// `token` of a request: a name, or a table.
pub(crate) fn token(table: &Table<'_>, known: &Known<'_>) -> Option<Token> {
    let node = table.get("token")?;
    if let Value::Text(name) = &node.value {
        let name = At {
            value: name.as_str(),
            span: node.span.clone(),
        };
        return whole(named(&name, known)?, node, known);
    }
    let own = Table::of(TITLE, node, table.wrongs)?;
    let base = match own.text("like") {
        Some(name) => named(&name, known)?,
        None => Written::default(),
    };
    let mut token = base.with(written(&own, known));
    // Two keys would be two tokens: what stands in the request counts.
    if own.get("issuer").is_some() {
        token.secret = None;
    } else if own.get("secret").is_some() {
        token.issuer = None;
    }
    own.finish();
    whole(token, node, known)
}

fn named(name: &At<&str>, known: &Known<'_>) -> Option<Written> {
    let mut tokens = known.tokens.iter();
    let found = tokens.find(|(there, _)| there == name.value);
    if found.is_none() {
        let message = format!("there is no token \"{}\"", name.value.escape_debug());
        let help = "tokens are those of [tokens.NAME]; one that is sent as it is is a header";
        known.wrongs.add_help(&name.span, message, help);
    }
    found.map(|(_, written)| written.clone())
}

impl Written {
    fn with(self, own: Self) -> Self {
        let mut claims = self.claims;
        claims.extend(own.claims);
        Self {
            secret: own.secret.or(self.secret),
            issuer: own.issuer.or(self.issuer),
            signed: own.signed.or(self.signed),
            type_: own.type_.or(self.type_),
            key_id: own.key_id.or(self.key_id),
            claims,
            without: [self.without, own.without].concat(),
            lifetime: own.lifetime.or(self.lifetime),
            forged: own.forged.or(self.forged),
            header: own.header.or(self.header),
        }
    }
}

fn written(table: &Table<'_>, known: &Known<'_>) -> Written {
    let secret = table.parsed::<SecretName>("secret");
    let secret = secret.filter(|secret| {
        let kind = known.keys.iter().find(|(name, _)| *name == secret.value);
        let is_key = matches!(kind, Some((_, Kind::HmacKey { .. })));
        if !is_key {
            let message = format!("no hmac-key is called \"{}\"", secret.value);
            known.wrongs.add(&secret.span, message);
        }
        is_key
    });
    let issuer = table.parsed::<IssuerName>("issuer");
    let issuer = issuer.filter(|issuer| {
        let is_known = known.issuers.contains(&issuer.value);
        if !is_known {
            let message = format!("there is no issuer \"{}\"", issuer.value);
            let help = "issuers are those of [issuers.NAME]";
            known.wrongs.add_help(&issuer.span, message, help);
        }
        is_known
    });
    let own = |key| table.text(key).map(|text| text.value.to_owned());
    let without = table.parsed_list::<String>("without").unwrap_or_default();
    Written {
        secret: secret.map(|secret| secret.value),
        issuer: issuer.map(|issuer| issuer.value),
        signed: signed(table),
        type_: own("type"),
        key_id: own("key-id"),
        claims: claims(table),
        without: without.into_iter().map(|name| name.value).collect(),
        lifetime: table.duration("lifetime"),
        forged: table.flag("forged"),
        header: table.parsed::<HeaderName>("header").map(|name| name.value),
    }
}

fn signed(table: &Table<'_>) -> Option<Signed> {
    if table.text("algorithm")?.value == "none" {
        return Some(Signed::Not);
    }
    let algorithm = table.parsed::<TokenAlgorithm>("algorithm")?;
    Some(Signed::With(algorithm.value))
}

/// Claims as JSON; a time is in seconds since 1970.
fn claims(table: &Table<'_>) -> Map<String, Json> {
    let Some(claims) = table.table("claims", "claims") else {
        return Map::new();
    };
    let entries = claims.entries().iter();
    entries
        .map(|Entry { key, node, .. }| {
            let time = match &node.value {
                Value::Other(text) => text.parse::<jiff::Timestamp>().ok(),
                _ => None,
            };
            let value = match time {
                Some(time) => Json::from(time.as_second()),
                None => node.json(&mut |text, _| text.to_owned()),
            };
            (key.clone(), value)
        })
        .collect()
}

fn whole(written: Written, node: &Node, known: &Known<'_>) -> Option<Token> {
    let wrong = |message: &str| {
        let help = "write secret = \"NAME\" of an hmac-key, or issuer = \"NAME\"";
        known.wrongs.add_help(&node.span, message, help);
        None
    };
    let signed = written.signed.unwrap_or(Signed::Usual);
    let signer = match (written.secret, written.issuer) {
        (Some(secret), None) => {
            if let Signed::With(algorithm) = signed
                && !algorithm.is_symmetric()
            {
                return wrong("an hmac-key signs with HS256, HS384 or HS512");
            }
            Signer::Secret(secret)
        }
        (None, Some(issuer)) => Signer::Issuer(issuer),
        (Some(_), Some(_)) => return wrong("one key signs a token"),
        (None, None) => return wrong("a token needs a key that signs it"),
    };
    Some(Token {
        signer,
        signed,
        type_: written.type_.unwrap_or_else(|| "JWT".to_owned()),
        key_id: written.key_id,
        claims: written.claims,
        without: written.without,
        lifetime: written.lifetime.unwrap_or(LIFETIME),
        forged: written.forged.unwrap_or(false),
        header: written.header.unwrap_or(AUTHORIZATION),
    })
}

/// Keys for the issuers whose tokens the cases send.
pub(crate) fn issuer_keys(issuers: &[Issuer], cases: &[Case]) -> Vec<IssuerKey> {
    let is_sent = |issuer: &&Issuer| {
        let mut steps = cases.iter().flat_map(|case| &case.steps);
        steps.any(|step| {
            let token = step.request.token.as_ref();
            token.is_some_and(|token| token.signer == Signer::Issuer(issuer.name.clone()))
        })
    };
    let sent = issuers.iter().filter(is_sent);
    sent.filter_map(|issuer| {
        let maker = TokenMaker::generate(*issuer.algorithms.first()?)?;
        let key = maker.published(KEY_ID)?;
        Some(IssuerKey {
            issuer: issuer.name.clone(),
            maker,
            published: json!({ "keys": [key] }).to_string(),
        })
    })
    .collect()
}

/// What an issuer answers who asks for its keys.
pub(crate) fn publishing(issuer: &Issuer, key: &IssuerKey) -> Option<Backend> {
    let KeysAt::Path(path) = &issuer.keys else {
        return None;
    };
    let json = HeaderValue::from_static("application/json");
    Some(Backend {
        route: Some(issuer.route.clone()),
        matches: RequestMatch {
            path: Some(path.path().to_owned()),
            ..RequestMatch::default()
        },
        answer: Answer {
            status: StatusCode::OK,
            headers: vec![(http::header::CONTENT_TYPE, json)],
            body: key.published.clone().into_bytes(),
            ..Answer::default()
        },
        times: None,
        span: 0..0,
    })
}
