//! What belongs to a token: where it is fetched, how, for what, and where it goes.

use http::HeaderName;
use keyward_names::RouteName;
use toml::Spanned;
use toml::de::DeValue;

use crate::grants::fields::{Fields, Found, accept, article, text};
use crate::grants::grant::{ResponseMode, RetryOn401, WhenReflected};
use crate::grants::parse::GrantReader;
use crate::grants::path::PathTemplate;

/// The longest template around a token, in characters.
const MAX_TEMPLATE_CHARS: usize = 1024;
/// The most scopes, and the most resources.
const MAX_LISTED: usize = 32;
/// The longest scope, audience, resource or client id, in characters.
const MAX_TEXT_CHARS: usize = 1024;
/// The longest time for which a grant may have a token used: a day.
const MAX_LIFETIME_SECONDS: u64 = 24 * 60 * 60;
const DEFAULT_LIFETIME_SECONDS: u64 = 60 * 60;

const SLOT: &str = "{token}";
const EXAMPLE: &str = "endpoint = { route = \"identity\", path = \"/oauth2/token\" }";

/// How a bearer token is had from an authorisation server and what is done with it
/// (RFC 6749, 4.4; RFC 7523; RFC 8693).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OauthTerms {
    /// Where the token is asked for.
    pub endpoint: TokenEndpoint,
    /// How the client proves who it is there.
    pub auth: ClientAuth,
    /// The client's id, where the secret doesn't hold it.
    pub client_id: Option<String>,
    /// What the token is asked for with.
    pub flow: TokenFlow,
    /// What the token is to allow (RFC 6749, 3.3); none for the server's default.
    pub scopes: Vec<String>,
    /// For whom it is, as some servers want it said (`audience`).
    pub audience: Option<String>,
    /// For whom it is (RFC 8707): absolute URIs.
    pub resources: Vec<String>,
    /// The header that it is written into, whose other occurrences are removed.
    pub header: HeaderName,
    /// What stands before the token: visible ASCII and spaces.
    pub prefix: String,
    /// What stands after it.
    pub suffix: String,
    /// The longest time for which a token is used, in seconds, however long the
    /// server says that it lives.
    pub max_lifetime_seconds: u64,
    /// What of a backend's answer is passed on.
    pub response: ResponseMode,
    /// Whether encoded answers are decoded for the search.
    pub decode: bool,
    /// What happens when the token is found in answers again and again.
    pub reflected: WhenReflected,
    /// Whether a request to which the backend answers 401 is sent once more, with a
    /// new token.
    pub retry: RetryOn401,
}

/// A token endpoint: a path at a route that the operator named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenEndpoint {
    /// The route.
    pub route: RouteName,
    /// The path, below the route's own.
    pub path: String,
}

/// How a client proves to a token endpoint who it is. The word is that of the
/// registry of token endpoint authentication methods (RFC 7591, 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// Its secret in the header `authorization` (RFC 6749, 2.3.1). The endpoint
    /// learns the secret.
    #[default]
    SecretBasic,
    /// Its secret in the request's form. The endpoint learns the secret.
    SecretPost,
    /// A signed assertion (RFC 7523, 2.2). The endpoint learns a proof.
    PrivateKeyJwt,
    /// A certificate in the TLS session (RFC 8705, 2). The endpoint learns a proof.
    TlsClientAuth,
}

impl ClientAuth {
    /// The kind of secret that it takes.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::SecretBasic | Self::SecretPost => "oauth-client",
            Self::PrivateKeyJwt | Self::TlsClientAuth => "certificate",
        }
    }

    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::SecretBasic,
        Self::SecretPost,
        Self::PrivateKeyJwt,
        Self::TlsClientAuth,
    ];

    /// As people write it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::SecretBasic => "client_secret_basic",
            Self::SecretPost => "client_secret_post",
            Self::PrivateKeyJwt => "private_key_jwt",
            Self::TlsClientAuth => "tls_client_auth",
        }
    }

    /// Whether the token endpoint is given a secret itself.
    pub const fn sends_secret(&self) -> bool {
        matches!(self, Self::SecretBasic | Self::SecretPost)
    }
}

/// With what a token is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenFlow {
    /// With nothing but who the client is (RFC 6749, 4.4).
    #[default]
    ClientCredentials,
    /// With a token that came with the client's request, as an assertion (RFC 7523,
    /// 2.1).
    JwtBearer,
    /// The same, as Microsoft's identity platform wants it
    /// (`requested_token_use=on_behalf_of`).
    OnBehalfOf,
    /// With a token that came with the client's request, to be exchanged (RFC 8693).
    TokenExchange,
}

impl TokenFlow {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::ClientCredentials,
        Self::JwtBearer,
        Self::OnBehalfOf,
        Self::TokenExchange,
    ];

    /// As people write it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::ClientCredentials => "client-credentials",
            Self::JwtBearer => "jwt-bearer",
            Self::OnBehalfOf => "on-behalf-of",
            Self::TokenExchange => "token-exchange",
        }
    }

    /// Whether it takes a token that came with the client's request.
    pub const fn needs_subject(&self) -> bool {
        !matches!(self, Self::ClientCredentials)
    }
}

crate::kind::display_as_str!(ClientAuth, TokenFlow);

impl OauthTerms {
    /// The header and what is written into it: `authorization: Bearer {token}`.
    pub fn to_text(&self) -> String {
        format!("{}: {}{SLOT}{}", self.header, self.prefix, self.suffix)
    }

    /// The template as a grants file has it.
    pub(in crate::grants) fn template(&self) -> String {
        format!("{}{SLOT}{}", self.prefix, self.suffix)
    }

    /// What it says of the token and of answers, for the person who reviews it.
    pub(in crate::grants) fn in_words(&self) -> String {
        let TokenEndpoint { route, path } = &self.endpoint;
        let mut words = format!(
            "of route {route}, path {path}, by {} and {}",
            self.auth.as_str(),
            self.flow.as_str()
        );
        if !self.scopes.is_empty() {
            words.push_str(&format!(", for the scopes {}", self.scopes.join(" ")));
        }
        if let Some(audience) = &self.audience {
            words.push_str(&format!(", for the audience {audience}"));
        }
        if !self.resources.is_empty() {
            words.push_str(&format!(", for {}", self.resources.join(" ")));
        }
        words.push_str(&format!(
            ", used for at most {} s",
            self.max_lifetime_seconds
        ));
        if self.flow.needs_subject() {
            words.push_str("; in exchange for a token that came with the client's request");
        }
        if self.auth.sends_secret() {
            words.push_str("; the token endpoint learns the client's secret");
        }
        if self.response == ResponseMode::StatusOnly {
            words.push_str("; only the status of the answer is passed on");
        }
        if self.decode {
            words.push_str("; encoded answers are passed on once a decoded copy was searched");
        }
        if self.reflected == WhenReflected::Revoke {
            words.push_str("; it is revoked when a token comes back three times");
        }
        words.push_str(match self.retry {
            RetryOn401::Never => "; a 401 is passed on",
            RetryOn401::Idempotent => {
                "; after a 401 a request with an idempotent method is sent once more, with a new token"
            }
            RetryOn401::AnyMethod => {
                "; after a 401 a request with any method is sent once more, with a new token"
            }
        });
        words
    }

    /// What belongs to it in a grants file, line by line.
    pub(in crate::grants) fn to_toml(&self) -> String {
        use crate::grants::render::{array, quoted};
        let TokenEndpoint { route, path } = &self.endpoint;
        let mut toml = format!(
            "endpoint = {{ route = {}, path = {} }}\nauth = {}\n",
            quoted(route.as_str()),
            quoted(path),
            quoted(self.auth.as_str())
        );
        let mut line = |key: &str, value: String| toml.push_str(&format!("{key} = {value}\n"));
        if let Some(id) = &self.client_id {
            line("client-id", quoted(id));
        }
        if self.flow != TokenFlow::default() {
            line("flow", quoted(self.flow.as_str()));
        }
        if !self.scopes.is_empty() {
            line("scopes", array(self.scopes.iter().map(String::as_str)));
        }
        if let Some(audience) = &self.audience {
            line("audience", quoted(audience));
        }
        if !self.resources.is_empty() {
            line("resource", array(self.resources.iter().map(String::as_str)));
        }
        line("header", quoted(self.header.as_str()));
        line("template", quoted(&self.template()));
        line(
            "max-lifetime-seconds",
            self.max_lifetime_seconds.to_string(),
        );
        if self.response != ResponseMode::default() {
            line("response", quoted(self.response.as_str()));
        }
        if self.reflected != WhenReflected::default() {
            line("reflected", quoted(self.reflected.as_str()));
        }
        if self.decode {
            line("decode", "true".to_owned());
        }
        match self.retry {
            RetryOn401::Never => line("retry-on-401", "false".to_owned()),
            RetryOn401::Idempotent => {}
            RetryOn401::AnyMethod => {
                line("retry-on-401", "true".to_owned());
                line("retry-any-method", "true".to_owned());
            }
        }
        toml
    }
}

impl GrantReader<'_, '_, '_> {
    pub(super) fn oauth(&mut self) -> Option<OauthTerms> {
        let endpoint = self.endpoint();
        let auth = self.word("auth", ClientAuth::ALL, ClientAuth::as_str);
        let client_id = self.client_id(auth);
        let flow = self.word("flow", TokenFlow::ALL, TokenFlow::as_str);
        let scopes = self.listed(
            "scopes",
            is_scope,
            "a scope is visible ASCII without \" and \\",
        );
        let audience = match self.fields.key("audience") {
            None => Some(None),
            Some(_) => self
                .checked_text("audience", is_visible, "an audience is visible ASCII")
                .map(Some),
        };
        let resources = self.listed(
            "resource",
            is_resource,
            "a resource is an absolute URI without a fragment: \"https://api.example.com/\"",
        );
        let header = match self.fields.key("header") {
            None => Some(http::header::AUTHORIZATION),
            Some(_) => self
                .fields
                .text("header", self.problems)
                .and_then(|found| self.header(found)),
        };
        let template = match self.fields.key("template") {
            None => Some(("Bearer ".to_owned(), String::new())),
            Some(_) => self
                .fields
                .text("template", self.problems)
                .and_then(|found| self.oauth_template(found)),
        };
        let lifetime = match self.fields.key("max-lifetime-seconds") {
            None => Some(DEFAULT_LIFETIME_SECONDS),
            Some(_) => self.fields.number(
                "max-lifetime-seconds",
                1..=MAX_LIFETIME_SECONDS,
                self.problems,
            ),
        };
        let response = self.word("response", ResponseMode::ALL, ResponseMode::as_str);
        let reflected = self.word("reflected", WhenReflected::ALL, WhenReflected::as_str);
        let decode = match self.fields.key("decode") {
            None => Some(false),
            Some(_) => self.fields.boolean("decode", self.problems),
        };
        let retry = match self.fields.key("retry-on-401") {
            // A token may have been withdrawn before its time, and a new one is had
            // without asking anybody.
            None if self.fields.key("retry-any-method").is_none() => Some(RetryOn401::Idempotent),
            _ => self.retry(),
        };
        let (prefix, suffix) = template?;
        Some(OauthTerms {
            endpoint: endpoint?,
            auth: auth?,
            client_id: client_id?,
            flow: flow?,
            scopes: scopes?,
            audience: audience?,
            resources: resources?,
            header: header?,
            prefix,
            suffix,
            max_lifetime_seconds: lifetime?,
            response: response?,
            decode: decode?,
            reflected: reflected?,
            retry: retry?,
        })
    }

    fn endpoint(&mut self) -> Option<TokenEndpoint> {
        let what = "a grant of \"token\"";
        self.fields.need("endpoint", what, EXAMPLE, self.problems);
        let value: &Spanned<DeValue<'_>> = self.fields.get("endpoint")?;
        let DeValue::Table(table) = value.get_ref() else {
            self.problems.add(
                value.span(),
                format!(
                    "\"endpoint\" must be a table, not {}",
                    article(value.get_ref())
                ),
                "not a table",
                format!("for example: {EXAMPLE}"),
            );
            return None;
        };
        let fields = Fields::new(table, value.span());
        let what = "an endpoint";
        fields.only(what, &["route", "path"], self.problems);
        let route = fields
            .needed("route", what, EXAMPLE, self.problems)
            .and_then(|found| accept(found, RouteName::parse, self.problems));
        let path = fields.needed("path", what, EXAMPLE, self.problems);
        let path = path.and_then(|found| {
            let is_path = PathTemplate::parse(found.value).is_ok()
                && !found.value.contains(['{', '}', '*', '?', '#']);
            if !is_path {
                self.problems.add(
                    found.span.clone(),
                    "not the path of a token endpoint",
                    "not valid",
                    "a path starts with / and is fixed: \"/oauth2/v2.0/token\"".to_owned(),
                );
            }
            is_path.then_some(found)
        });
        Some(TokenEndpoint {
            route: route?.value,
            path: path?.value.to_owned(),
        })
    }

    fn client_id(&mut self, auth: Option<ClientAuth>) -> Option<Option<String>> {
        let auth = auth?;
        match (self.fields.key("client-id"), auth.sends_secret()) {
            (None, true) => Some(None),
            (None, false) => {
                let what = format!("a grant of \"token\" with {}", auth.as_str());
                let example = "client-id = \"orders-gateway\"";
                self.fields.need("client-id", &what, example, self.problems);
                None
            }
            (Some(span), true) => {
                self.problems.add(
                    span,
                    format!("\"client-id\" has no meaning with {}", auth.as_str()),
                    "remove this",
                    "a secret of the kind oauth-client holds the client's id".to_owned(),
                );
                None
            }
            (Some(_), false) => self
                .checked_text("client-id", is_visible, "a client id is visible ASCII")
                .map(Some),
        }
    }

    /// An array of texts, or one text; none where the key isn't there.
    fn listed(&mut self, key: &str, is: fn(&str) -> bool, help: &str) -> Option<Vec<String>> {
        if self.fields.key(key).is_none() {
            return Some(Vec::new());
        }
        let values = self.fields.array(key, "texts", self.problems)?;
        if values.value.is_empty() || values.value.len() > MAX_LISTED {
            self.problems.add(
                values.span,
                format!("{key:?} names none, or more than {MAX_LISTED}"),
                "not such a list",
                format!("leave {key:?} out for the server's default"),
            );
            return None;
        }
        let (mut all, mut complete) = (Vec::new(), true);
        for value in &values.value {
            let Some(found) = text(value, "each of them", self.problems) else {
                complete = false;
                continue;
            };
            if is(found.value) && !all.iter().any(|one| one == found.value) {
                all.push(found.value.to_owned());
                continue;
            }
            let message = format!("not valid in {key:?}, or there twice");
            self.problems
                .add(found.span, message, "not valid", help.to_owned());
            complete = false;
        }
        complete.then_some(all)
    }

    /// What stands before and after the one slot.
    fn oauth_template(&mut self, found: Found<&str>) -> Option<(String, String)> {
        let Found { value, span } = found;
        let visible = |c: char| c == ' ' || c.is_ascii_graphic();
        let parts = value.split_once(SLOT).filter(|(prefix, suffix)| {
            let mut fixed = prefix.chars().chain(suffix.chars());
            fixed.all(|c| visible(c) && c != '{' && c != '}')
                && !prefix.starts_with(' ')
                && !suffix.ends_with(' ')
                && value.len() <= MAX_TEMPLATE_CHARS
        });
        if parts.is_none() {
            self.problems.add(
                span,
                "not a template for a token",
                "not valid",
                "a template is fixed visible ASCII around one {token}: \"Bearer {token}\""
                    .to_owned(),
            );
        }
        parts.map(|(prefix, suffix)| (prefix.to_owned(), suffix.to_owned()))
    }
}

/// Visible ASCII without what a file or a form would have to escape in texts.
fn is_visible(text: &str) -> bool {
    (1..=MAX_TEXT_CHARS).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// A scope (RFC 6749, 3.3).
fn is_scope(text: &str) -> bool {
    is_visible(text) && !text.contains(['"', '\\'])
}

/// An absolute URI without a fragment (RFC 8707, 2).
fn is_resource(text: &str) -> bool {
    let scheme = text.split_once(':').map(|(scheme, _)| scheme);
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    };
    is_visible(text) && !text.contains('#') && scheme.is_some_and(is_scheme)
}
