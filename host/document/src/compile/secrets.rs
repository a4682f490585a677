//! Secrets in documents: where one may stand, under which alias it is asked for,
//! and which variables hold one.

use std::collections::BTreeMap;
use std::ops::Range;

use keyward_document_program::address::Address;
use keyward_document_program::expression::{Expressions, Node as Step, NodeId};
use keyward_document_program::statements::Operand;
use keyward_document_program::{ExpressionId, Member, Type};

use super::{Compiler, SUBSCRIPTION};
use crate::error::{Found, Problem};
use crate::model::{Effective, Node, Payload, SecretReference, Value};
use crate::{Phase, Position};

/// The longest alias.
const MAX_ALIAS: usize = 64;

/// A use of a secret that a document asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRequest {
    /// What the document calls it; its grant has this alias.
    pub alias: String,
    /// The secret's name in the vault, where the document says which one; of a
    /// certificate, its id.
    pub secret: Option<String>,
    /// The use, as grants spell it.
    pub use_: &'static str,
    /// Where it goes.
    pub placement: Placement,
    /// The routes to which it goes; none where it goes nowhere.
    pub routes: Vec<String>,
    /// The fixed paths to which calls of the document's own take it, each with its route.
    /// What goes with the client's request goes to the paths that it takes.
    pub paths: Vec<(String, String)>,
    /// Where the document asks for it first; none if no single place does.
    pub position: Option<Position>,
}

/// Where a secret goes, or what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// A header of a request, with the value alone.
    Header(String),
    /// A query parameter of a request.
    Query(String),
    /// `Authorization: Basic`, with this user and the secret as the password.
    Basic {
        /// The user.
        user: String,
    },
    /// TLS: the certificate is shown.
    Certificate,
    /// `Authorization: Bearer`, with a token for this resource.
    Token {
        /// The resource.
        resource: String,
    },
    /// Tokens of clients are checked with it.
    Verify,
    /// It tells who calls.
    Identify,
}

impl SecretRequest {
    pub(super) fn identify() -> Self {
        Self {
            alias: SUBSCRIPTION.to_owned(),
            secret: None,
            use_: "identify",
            placement: Placement::Identify,
            routes: Vec::new(),
            paths: Vec::new(),
            position: None,
        }
    }
}

/// Around a value: the policy that it belongs to, and the call or answer that this one
/// is a part of.
pub(super) struct Around<'a> {
    pub(super) policy: &'a Node,
    pub(super) call: Option<&'a Node>,
    pub(super) phase: Phase,
}

/// Variables that a document sets to a secret: which one, and whether anything else is
/// put into them.
pub(super) type Variables = BTreeMap<String, Option<SecretReference>>;

/// The variables of the statements in force that hold a secret. `None` where one is also
/// set to something else.
pub(super) fn variables(effective: &Effective) -> Variables {
    let mut secrets = Variables::new();
    let mut others = Vec::new();
    for node in nodes(effective) {
        for (name, secret) in written(node) {
            match secret {
                Some(secret) => {
                    let known = secrets.entry(name.to_owned());
                    let known = known.or_insert_with(|| Some(secret.clone()));
                    if known.as_ref() != Some(secret) {
                        *known = None;
                    }
                }
                None => others.push(name.to_owned()),
            }
        }
    }
    for name in others {
        if let Some(known) = secrets.get_mut(&name) {
            *known = None;
        }
    }
    secrets
}

pub(super) fn nodes(effective: &Effective) -> impl Iterator<Item = &Node> {
    Phase::ALL
        .into_iter()
        .flat_map(|phase| effective.phase(phase))
        .flat_map(Node::walk)
}

/// The variables that a statement sets, with the secret that it puts there.
fn written(node: &Node) -> Vec<(&str, Option<&SecretReference>)> {
    let mut names = Vec::new();
    for field in &node.attributes {
        let sets = match (node.name(), field.name) {
            ("set-variable", "name") => true,
            ("return-response", "response-variable-name") => false,
            (_, name) => name.ends_with("variable-name"),
        };
        if let (true, Some(name)) = (sets, field.value.as_text()) {
            let secret = match node.attribute("value").map(|value| &value.payload) {
                Some(Payload::Secret(secret)) if node.name() == "set-variable" => Some(secret),
                _ => None,
            };
            names.push((name, secret));
        }
    }
    names
}

impl Compiler<'_> {
    /// Variables that hold a secret here and something else there.
    pub(super) fn conflicting_variables(&mut self, effective: &Effective) {
        for node in nodes(effective) {
            for (name, secret) in written(node) {
                if secret.is_some() && self.variables.get(name) == Some(&None) {
                    let problem = Problem::SecretUse(format!(
                        "the variable {} holds a secret here and something else elsewhere",
                        Found::new(name)
                    ));
                    let help = "use two variables: what attaches a secret has to know which one";
                    self.fault(node, node.tag.clone(), problem, help);
                }
            }
        }
    }

    /// A secret that stands for a whole value.
    pub(super) fn secret(
        &mut self,
        node: &Node,
        attribute: &'static str,
        value: &Value,
        secret: &SecretReference,
        around: &Around<'_>,
    ) -> Option<Operand> {
        if node.name() == "set-variable" {
            // No use yet, and so nothing that is asked for.
            return Some(Operand::Secret(
                self.statements.secret(&plain(&secret.secret)),
            ));
        }
        let (use_, placement, suffix) = self.placement(node, attribute, value, around)?;
        let alias = format!("{}.{suffix}", plain(&secret.secret));
        self.ask(
            node,
            value.at.clone(),
            alias,
            Some(secret.secret.clone()),
            use_,
            placement,
            around,
        )
    }

    /// A text that names a secret of the gateway: a certificate, a resource.
    pub(super) fn credential(
        &mut self,
        node: &Node,
        attribute: &'static str,
        value: &Value,
        text: &str,
        around: &Around<'_>,
    ) -> Option<Operand> {
        match (node.name(), attribute) {
            ("authentication-certificate", "certificate-id") => {
                let alias = format!("{}.certificate", plain(text));
                let at = value.at.clone();
                self.ask(
                    node,
                    at,
                    alias,
                    Some(plain(text)),
                    "present",
                    Placement::Certificate,
                    around,
                )
            }
            ("authentication-managed-identity", "resource") => {
                let host = text.split_once("://").map_or(text, |(_, rest)| rest);
                let alias = format!("{}.token", plain(host.trim_end_matches('/')));
                let resource = text.to_owned();
                let at = value.at.clone();
                self.ask(
                    node,
                    at,
                    alias,
                    None,
                    "token",
                    Placement::Token { resource },
                    around,
                )
            }
            _ => None,
        }
    }

    /// Where a secret goes from the place where it stands: use, placement, and what the
    /// alias ends in.
    fn placement(
        &mut self,
        node: &Node,
        attribute: &'static str,
        value: &Value,
        around: &Around<'_>,
    ) -> Option<(&'static str, Placement, String)> {
        let name_of = |policy: &Node| {
            let name = policy.attribute("name");
            name.and_then(Value::as_text).map(str::to_owned)
        };
        let leaves = match around.call.map(Node::name) {
            Some("return-response") => false,
            Some(_) => true,
            None => matches!(around.phase, Phase::Inbound | Phase::Backend),
        };
        match (around.policy.name(), node.name(), attribute) {
            ("set-header" | "set-query-parameter", "value", _) if !leaves => {
                let what = "a secret in an answer to the client";
                let help =
                    "clients never get a secret: remove the header, or give it another value";
                self.not_had(node, value.at.clone(), what, help);
                None
            }
            (policy @ ("set-header" | "set-query-parameter"), "value", _) => {
                let Some(name) = name_of(around.policy) else {
                    let what = "a secret at a place whose name an expression says";
                    let help = "write the name itself: a grant says where a secret goes";
                    self.not_had(node, value.at.clone(), what, help);
                    return None;
                };
                if around.policy.children.len() > 1 {
                    let help = "give it alone: one <value>, the secret";
                    self.not_had(node, value.at.clone(), "a secret among other values", help);
                    return None;
                }
                let appends = around.policy.attribute("exists-action").and_then(|action| {
                    match &action.payload {
                        Payload::Literal(crate::model::Literal::Word(word)) => Some(*word),
                        _ => None,
                    }
                });
                let plainly = around.policy.attribute("exists-action").is_none();
                if !plainly && !matches!(appends, Some("override" | "skip")) {
                    let help = "write exists-action=\"override\", or \"skip\": what is attached is the only value";
                    self.not_had(node, value.at.clone(), "a secret beside other values", help);
                    return None;
                }
                Some(if policy == "set-header" {
                    let suffix = plain(&name);
                    ("attach", Placement::Header(name), suffix)
                } else {
                    let suffix = format!("query.{}", plain(&name));
                    ("attach", Placement::Query(name), suffix)
                })
            }
            ("authentication-basic", _, "password") => {
                let user = around.policy.attribute("username");
                let Some(user) = user.and_then(Value::as_text) else {
                    // The guest writes neither of the two, and the grant can't know the other.
                    let what = "a secret password of a user who is not written out";
                    let help = "write username=\"…\" itself, or keep user and password as one secret of kind basic, whose user the grant then attaches";
                    self.not_had(node, value.at.clone(), what, help);
                    return None;
                };
                let user = user.to_owned();
                Some(("attach", Placement::Basic { user }, "basic".to_owned()))
            }
            (_, "key", _) => Some(("verify-jwt", Placement::Verify, "verify-jwt".to_owned())),
            _ => {
                let what = "a secret here";
                let help = "a secret can stand alone in a header's or query parameter's <value> on its way to a backend, in password=\"…\" of authentication-basic, and in <key> of validate-jwt; user and password that are both secret are one secret of kind basic";
                self.not_had(node, value.at.clone(), what, help);
                None
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one for each part of a request")]
    fn ask(
        &mut self,
        node: &Node,
        at: Range<usize>,
        alias: String,
        secret: Option<String>,
        use_: &'static str,
        placement: Placement,
        around: &Around<'_>,
    ) -> Option<Operand> {
        if alias.len() > MAX_ALIAS {
            let problem = Problem::SecretUse(format!(
                "what grants would call this use, {}, has more than {MAX_ALIAS} characters",
                Found::new(&alias)
            ));
            self.fault(node, at, problem, "give the secret a shorter name");
            return None;
        }
        if ends_in_a_slash(around) {
            let what = "a secret for an address whose path ends in \"/\"";
            let help = "leave the last \"/\" out: no grant names such a path, since servers read it in more than one way";
            self.not_had(node, at, what, help);
            return None;
        }
        let id = self.statements.secret(&alias);
        let with_the_request = around.call.is_none() && use_ != "verify-jwt";
        self.found.secret(with_the_request);
        let routes = if use_ == "verify-jwt" {
            Vec::new()
        } else {
            self.routes(around)
        };
        let paths: Vec<_> = self.fixed_path(around).into_iter().collect();
        match self.requests.iter_mut().find(|known| known.alias == alias) {
            Some(known) if known.placement == placement && known.use_ == use_ => {
                for path in paths {
                    if !known.paths.contains(&path) {
                        known.paths.push(path);
                    }
                }
                for route in routes {
                    if !known.routes.contains(&route) {
                        known.routes.push(route);
                    }
                }
            }
            Some(_) => {
                let problem = Problem::SecretUse(format!(
                    "two uses of secrets would both be called {}",
                    Found::new(&alias)
                ));
                let help =
                    "give the named values names that differ in more than case and punctuation";
                self.fault(node, at, problem, help);
                return None;
            }
            None => {
                let position = self.place_of(node, at);
                self.requests.push(SecretRequest {
                    alias,
                    secret,
                    use_,
                    placement,
                    routes,
                    paths,
                    position,
                });
            }
        }
        Some(Operand::Secret(id))
    }

    /// The routes on which something goes that stands there.
    fn routes(&self, around: &Around<'_>) -> Vec<String> {
        let all = || -> Vec<String> {
            let names = self.bindings.routes.iter();
            let names = names.map(|(name, _)| name.as_str().to_owned());
            names.filter(|name| self.may_call(name)).collect()
        };
        let Some(call) = around.call else {
            let own = self.bindings.route.iter();
            let own = own.map(|route| route.as_str().to_owned());
            return own.chain(self.backends.iter().cloned()).collect();
        };
        let url = call.children_named("set-url").next();
        let url = url.and_then(|url| url.text.as_ref()?.as_text());
        match url {
            Some(url) => self.route_to(url).map(str::to_owned).into_iter().collect(),
            // An expression says where: it may be any of those that are open.
            None => all(),
        }
    }

    /// Route and path of a call whose URL is fixed.
    fn fixed_path(&self, around: &Around<'_>) -> Option<(String, String)> {
        let url = around.call?.children_named("set-url").next()?;
        let url = url.text.as_ref()?.as_text()?;
        let path = Address::parse(url).ok()?.path;
        Some((self.route_to(url)?.to_owned(), path))
    }

    /// Looks at what an expression reads: a variable that holds a secret is no text. As
    /// the whole expression, and where a secret may stand, it is that secret.
    pub(super) fn read_variables(
        &mut self,
        node: &Node,
        attribute: &'static str,
        value: &Value,
        id: ExpressionId,
        from: usize,
        around: &Around<'_>,
    ) -> Option<Operand> {
        let built = self.expressions.built();
        let root = built.get(id).map(|expression| expression.root);
        let whole = root.and_then(|root| whole_variable(built, root));
        let whole = whole.filter(|name| self.variables.contains_key(*name));
        if let Some(name) = whole {
            let name = name.to_owned();
            // One that holds different things was complained of where it is set.
            let secret = self.variables.get(&name).cloned().flatten()?;
            if node.name() == "set-variable" {
                let what = "a variable that holds a secret, in another variable";
                let help = "use the variable that was set first, or set this one to {{name}}, too";
                self.not_had(node, value.at.clone(), what, help);
                return None;
            }
            return match self.secret(node, attribute, value, &secret, around)? {
                Operand::Secret(id) => {
                    Some(Operand::SecretVariable(self.statements.text(&name), id))
                }
                other => Some(other),
            };
        }
        self.identifies |= (from..built.nodes()).any(|at| {
            let node = u32::try_from(at).ok().and_then(|at| built.node(NodeId(at)));
            matches!(
                node,
                Some(Step::Call(
                    Member::ContextSubscription | Member::ContextUser,
                    _
                ))
            )
        });
        let read = (from..built.nodes())
            .filter_map(|at| reads(built, NodeId(u32::try_from(at).ok()?)))
            .find(|name| self.variables.contains_key(*name));
        if let Some(name) = read {
            let problem = Problem::SecretUse(format!(
                "the variable {} holds a secret, which no expression can read",
                Found::new(name)
            ));
            let help = "use the variable alone, as @((string)context.Variables[\"name\"]), where a secret may stand; to test whether it is there, use ContainsKey";
            self.fault(node, value.at.clone(), problem, help);
            return None;
        }
        Some(Operand::Expression(id))
    }
}

/// The variable that a node reads, if that is all it does.
fn whole_variable(expressions: &Expressions, id: NodeId) -> Option<&str> {
    match expressions.node(id)? {
        Step::Cast(Type::String | Type::Object, inner)
        | Step::CastOrNull(Type::String | Type::Object, inner)
        | Step::As(Type::String, inner)
        | Step::Return(inner) => whole_variable(expressions, *inner),
        Step::Block(list) => match expressions.list(*list) {
            [only] => whole_variable(expressions, *only),
            _ => None,
        },
        _ => reads(expressions, id),
    }
}

/// The variable whose value a node reads, where its name is fixed.
fn reads(expressions: &Expressions, id: NodeId) -> Option<&str> {
    let (Step::Call(member, list) | Step::CallFor(member, _, list)) = expressions.node(id)? else {
        return None;
    };
    let reads = matches!(
        member,
        Member::VariablesIndex
            | Member::VariablesGet
            | Member::VariablesGetAs
            | Member::VariablesGetAsOr
    );
    match expressions.list(*list) {
        [_, name, ..] if reads => match expressions.node(*name)? {
            Step::Text(text) => Some(expressions.text(*text)),
            _ => None,
        },
        _ => None,
    }
}

/// Whether the call around a secret has a fixed address with a path that no grant names.
fn ends_in_a_slash(around: &Around<'_>) -> bool {
    let url = around
        .call
        .and_then(|call| call.children_named("set-url").next());
    let url = url.and_then(|url| url.text.as_ref()?.as_text());
    let address = url.and_then(|url| Address::parse(url).ok());
    address.is_some_and(|address| address.path.len() > 1 && address.path.ends_with('/'))
}

/// A name as aliases may be: in lower case, with `-` for what they can't have.
fn plain(name: &str) -> String {
    let text: String = name
        .chars()
        .map(|c| match c.to_ascii_lowercase() {
            c @ ('a'..='z' | '0'..='9' | '.' | '_') => c,
            _ => '-',
        })
        .collect();
    let text = text.trim_start_matches(['.', '_', '-']);
    if text.is_empty() {
        "secret".to_owned()
    } else {
        text.to_owned()
    }
}
