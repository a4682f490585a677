//! What the guest can't do as a document asks for it: said when it is compiled.

use std::net::IpAddr;

use keyward_document_program::address::{Address, Wrong};
use keyward_names::RouteName;

use super::Compiler;
use crate::error::{Found, Problem};
use crate::model::{Literal, Node, Payload, Value};

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
            "ip-filter" => {
                for range in node.children_named("address-range") {
                    self.address_range(range);
                }
            }
            "rate-limit" => self.identifies = true,
            "send-request" | "send-one-way-request" => self.own_address(node),
            _ => {}
        }
    }

    /// A copy of the client's request without an address goes to the pipeline's route, where
    /// no statement names another.
    fn own_address(&mut self, node: &Node) {
        let copies = node.attribute("mode").filter(|mode| {
            matches!(mode.payload, Payload::Literal(Literal::Word("copy")))
                && node.children_named("set-url").next().is_none()
        });
        let bindings = self.bindings;
        let own = bindings.route.as_ref().map(RouteName::as_str);
        if let (Some(mode), Some(own)) = (copies, own)
            && !self.routed
        {
            self.call_to(node, mode.at.clone(), own);
        }
    }

    /// Holds a route, to which a request of the document's own goes, against those that are
    /// open to it.
    fn call_to(&mut self, node: &Node, at: std::ops::Range<usize>, route: &str) {
        if self.may_call(route) {
            return;
        }
        let help = format!(
            "open it to the document's policy in keyward.toml, as routes = [\"{route}\"] in its [[policy]]; as the pipeline's route it is open to <forward-request> alone"
        );
        let problem = Problem::ClosedRoute(Found::new(route));
        self.fault(node, at, problem, &help);
    }

    /// Whether a request of the document's own may go to a route that it knows.
    pub(super) fn may_call(&self, route: &str) -> bool {
        let own = self.bindings.route.as_ref();
        self.bindings.calls_own_route || own.is_none_or(|own| own.as_str() != route)
    }

    /// A range in which no address lies would let nobody in, or block nobody.
    fn address_range(&mut self, range: &Node) {
        let end = |name| -> Option<IpAddr> {
            let address: IpAddr = range.attribute(name)?.as_text()?.parse().ok()?;
            Some(address.to_canonical())
        };
        let (Some(from), Some(to)) = (end("from"), end("to")) else {
            return;
        };
        if from.is_ipv4() != to.is_ipv4() || from > to {
            let help = "write the lower address in from and the higher one in to, both of IPv4 or both of IPv6";
            self.not_had(range, range.tag.clone(), "a range without addresses", help);
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
        let read = match (node.name(), attribute) {
            ("set-url", "") => Address::parse(text).map(|_| ()),
            ("set-backend-service", "base-url") => Address::base(text).map(|_| ()),
            _ => Ok(()),
        };
        if let Err(wrong @ (Wrong::Dots | Wrong::Query | Wrong::Fragment)) = read {
            let help =
                "write https://host/path without it: what it would lead to depends on who reads it";
            self.not_had(node, value.at.clone(), &wrong.to_string(), help);
            return;
        }
        match (node.name(), attribute) {
            ("set-url", "") | ("set-backend-service", "base-url") if is_in_the_open(text) => {
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
            ("set-url", "") => {
                if let Some(route) = self.route_to(text).map(str::to_owned) {
                    self.call_to(node, value.at.clone(), &route);
                }
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
        let address = Address::parse(text).ok()?;
        let (route, _) = address.route(&self.routes)?;
        Some(&route.name)
    }
}

/// Whether it is the name of another machine, without TLS: no route leads to such a one.
fn is_in_the_open(text: &str) -> bool {
    Address::parse(text).is_ok_and(|address| {
        let bare = address.host.trim_matches(['[', ']']);
        address.scheme == "http" && bare != "localhost" && bare.parse::<IpAddr>().is_err()
    })
}

/// Scheme and host of an address: who it names before the host, its path and its query may
/// say more than a message should.
fn origin(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}")
}
