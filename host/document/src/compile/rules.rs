//! What the guest can't do as a document asks for it: said when it is compiled.

use super::Compiler;
use crate::error::{Found, Problem};
use crate::model::{Literal, Node, Payload, Value};

/// The parts of an absolute URL that routes are chosen by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) scheme: String,
    pub(super) host: String,
    pub(super) port: u16,
    /// From the first `/` on, without query.
    pub(super) path: String,
}

impl Url {
    /// An `http` or `https` URL without user information.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.trim().split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let default = match scheme.as_str() {
            "https" => 443,
            "http" => 80,
            _ => return None,
        };
        let rest = rest.split(['?', '#']).next()?;
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, ""),
        };
        if authority.contains('@') {
            return None;
        }
        let (host, port) = match authority.rsplit_once(':') {
            // A colon within brackets is of an IPv6 address.
            Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
            _ => (authority, default),
        };
        if host.is_empty() {
            return None;
        }
        Some(Self {
            scheme,
            host: host.to_ascii_lowercase(),
            port,
            path: path.to_owned(),
        })
    }

    /// Whether it is a name of another machine, without TLS: no route leads to such a one.
    fn is_in_the_open(&self) -> bool {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        let is_address = bare.parse::<std::net::IpAddr>().is_ok();
        self.scheme == "http" && !is_address && bare != "localhost"
    }

    /// Whether an address lies at or below this one.
    fn leads_to(&self, other: &Self) -> bool {
        let base = self.path.trim_end_matches('/');
        (&self.scheme, &self.host, self.port) == (&other.scheme, &other.host, other.port)
            && other
                .path
                .strip_prefix(base)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl Compiler<'_> {
    /// What holds for an element as a whole.
    pub(super) fn rules(&mut self, node: &Node) {
        match node.name() {
            "forward-request" => self.only(
                node,
                "follow-redirects",
                "false",
                "leave it out: a redirect goes to the client, since what is attached for one address must not follow to another",
            ),
            "validate-jwt" => {
                self.only(
                    node,
                    "require-signed-tokens",
                    "true",
                    "leave it out: a token that nobody signed says nothing",
                );
                for part in node.children_named("decryption-keys") {
                    let help = "have tokens signed and not encrypted, or decrypt them with a policy of your own";
                    self.not_had(part, part.tag.clone(), "encrypted tokens", help);
                }
                let keys = node.children_named("issuer-signing-keys");
                for key in keys.flat_map(|keys| keys.children_named("key")) {
                    self.signing_key(key);
                }
            }
            "authentication-certificate" => {
                for name in ["body", "thumbprint"] {
                    if let Some(value) = node.attribute(name) {
                        let help = "store the certificate in the vault and name it: certificate-id=\"NAME\"";
                        let what = format!("a certificate by its {name}");
                        self.not_had(node, value.at.clone(), &what, help);
                    }
                }
            }
            "authentication-managed-identity" => {
                if let Some(value) = node.attribute("output-token-variable-name") {
                    let help = "leave it out: the token is attached to the request, and no expression can read it";
                    self.not_had(node, value.at.clone(), "a token in a variable", help);
                }
            }
            "rate-limit" => self.identifies = true,
            _ => {}
        }
    }

    /// Keys that stand in the document itself are none.
    fn signing_key(&mut self, key: &Node) {
        let public = key
            .attribute("n")
            .or_else(|| key.attribute("certificate-id"));
        if let Some(value) = public {
            let help = "name who publishes it: an [issuers.NAME] of the gateway's configuration, and <openid-config url=\"…\"/> here";
            self.not_had(key, value.at.clone(), "a public key in a document", help);
        } else if let Some(text) = &key.text
            && !matches!(text.payload, Payload::Secret(_) | Payload::Later)
        {
            let help = "store it in the vault and write <key>{{name}}</key>: whoever reads the document could sign tokens with it";
            self.not_had(key, text.at.clone(), "a signing key in a document", help);
        }
    }

    /// An attribute that can only be one thing here.
    fn only(&mut self, node: &Node, name: &'static str, word: &str, help: &str) {
        let Some(value) = node.attribute(name) else {
            return;
        };
        let is = match &value.payload {
            Payload::Literal(Literal::Bool(value)) => *value == (word == "true"),
            _ => false,
        };
        if !is {
            let what = format!("{name} that is anything but {word:?}");
            self.not_had(node, value.at.clone(), &what, help);
        }
    }

    pub(super) fn not_had(
        &mut self,
        node: &Node,
        at: std::ops::Range<usize>,
        what: &str,
        help: &str,
    ) {
        self.fault(node, at, Problem::NotHad(what.to_owned()), help);
    }

    /// Holds a fixed address against what the gateway knows. One that an expression
    /// makes is held against the same when it is made.
    pub(super) fn address(
        &mut self,
        node: &Node,
        attribute: &'static str,
        value: &Value,
        text: &str,
    ) {
        match (node.name(), attribute) {
            ("set-url", "") | ("set-backend-service", "base-url")
                if Url::parse(text).is_some_and(|url| url.is_in_the_open()) =>
            {
                let help = "write https://: what goes to another machine without TLS, everyone on the way can read, and no route leads there";
                let what = "an http:// address of another machine";
                self.not_had(node, value.at.clone(), what, help);
            }
            ("set-url", "") | ("set-backend-service", "base-url")
                if self.route_to(text).is_none() =>
            {
                let help = "add a route to it to keyward.toml ([[route]] with name and url), and open it to the document's policy (routes = [\"NAME\"])";
                let problem = Problem::NoRoute(Found::new(&origin(text)));
                self.fault(node, value.at.clone(), problem, help);
            }
            ("set-backend-service", "backend-id") => {
                let mut known = self.bindings.routes.iter();
                if !known.any(|(name, _)| name.as_str() == text) {
                    let help = "a backend's id is the name of a route: add one of that name to keyward.toml, and open it to the document's policy (routes = [\"NAME\"])";
                    self.fault(
                        node,
                        value.at.clone(),
                        Problem::NoRoute(Found::new(text)),
                        help,
                    );
                }
            }
            ("openid-config", "url") => {
                let mut known = self.bindings.issuers.iter();
                if !known.any(|(_, url)| url == text) {
                    let help = "add the issuer to keyward.toml ([issuers.NAME] with this URL), and open it to the document's policy (issuers = [\"NAME\"])";
                    let problem = Problem::NoIssuer(Found::new(&origin(text)));
                    self.fault(node, value.at.clone(), problem, help);
                }
            }
            _ => {}
        }
    }

    /// The name of the route that leads to an address; the longest path wins.
    pub(super) fn route_to(&self, text: &str) -> Option<&str> {
        let url = Url::parse(text)?;
        let leads = self.bindings.routes.iter().filter_map(|(name, to)| {
            let to = Url::parse(to)?;
            to.leads_to(&url).then_some((to.path.len(), name))
        });
        leads
            .max_by_key(|(length, _)| *length)
            .map(|(_, name)| name.as_str())
    }
}

/// Scheme and host of an address: its path and query may say more than a message
/// should.
fn origin(text: &str) -> String {
    let end = text.find("://").and_then(|at| {
        text.get(at + 3..)?
            .find(['/', '?', '#'])
            .map(|slash| at + 3 + slash)
    });
    text.get(..end.unwrap_or(text.len()))
        .unwrap_or(text)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_lies_below_another_by_whole_segments() {
        let url = |text| Url::parse(text);
        let base = url("https://API.example:443/v1/");
        for (text, below) in [
            ("https://api.example/v1", true),
            ("https://api.example/v1/orders?x=1", true),
            ("https://api.example/v10", false),
            ("http://api.example/v1", false),
            ("https://api.example:8443/v1", false),
        ] {
            let found = url(text);
            let holds = base
                .as_ref()
                .zip(found.as_ref())
                .is_some_and(|(a, b)| a.leads_to(b));
            assert_eq!(holds, below, "{text}");
        }
        for (text, open) in [
            ("http://api.example/", true),
            ("https://api.example/", false),
            ("http://localhost:8080/", false),
            ("http://[::1]/", false),
        ] {
            let found = url(text).map(|url| url.is_in_the_open());
            assert_eq!(found, Some(open), "{text}");
        }
        for text in ["https://", "ftp://a", "https://u:p@a/", "https://a:x/", "a"] {
            assert_eq!(url(text), None, "{text}");
        }
        assert_eq!(
            url("http://[::1]:8080/x").map(|url| (url.host, url.port)),
            Some(("[::1]".to_owned(), 8080))
        );
    }
}
