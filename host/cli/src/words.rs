//! Grants in words, and the grants that would answer a policy's asks.

use keyward::egress::{Route, Scheme};
use keyward::engine::ManifestAsk;
use keyward::names::{PolicyName, RouteName};
use keyward::vault::{Class, Destination, Grant};
use keyward_gateway::suggest::Suggestion;
pub(crate) use keyward_gateway::suggest::one_line;

/// What a class of use lets the destination learn.
pub(crate) fn class_in_words(class: Class) -> &'static str {
    match class {
        Class::A => "a proof; the key never leaves",
        Class::B => "a bearer that lives for minutes",
        Class::C => "the value itself",
    }
}

/// On which conditions, one phrase each.
pub(crate) fn conditions(grant: &Grant) -> Vec<String> {
    let mut phrases = Vec::new();
    if grant.alias.as_str() != grant.secret.as_str() {
        phrases.push(format!("under the name {}", grant.alias));
    }
    if let Some(until) = grant.not_after {
        phrases.push(format!("until {until}"));
    }
    phrases.push(match &grant.component {
        Some(component) => format!("only as component {component}"),
        None => "whatever component the policy is".to_owned(),
    });
    phrases
}

/// Where a route leads.
pub(crate) fn url(route: &Route) -> String {
    let scheme = match route.scheme() {
        Scheme::Https => "https",
        Scheme::Http => "http",
        Scheme::Postgres => "postgres",
    };
    format!("{scheme}://{}{}", route.authority(), route.base_path())
}

/// A destination as people read it, with the route's URL where it is known.
pub(crate) fn destination(to: &Destination, url: Option<&str>) -> String {
    let methods: Vec<&str> = to.methods.iter().map(|method| method.as_str()).collect();
    let methods = if methods.is_empty() {
        "any method".to_owned()
    } else {
        methods.join(", ")
    };
    let paths: Vec<String> = to
        .paths
        .iter()
        .map(|path| path.as_str().to_owned())
        .collect();
    let paths = if paths.is_empty() {
        "any path".to_owned()
    } else {
        paths.join(", ")
    };
    let url = url.map(|url| format!(" ({url})")).unwrap_or_default();
    format!("{}{url}: {methods} {paths}", to.route)
}

/// A grant, ready for `grants.toml`, that would answer an ask.
pub(crate) fn grant_for(
    policy: &PolicyName,
    ask: &ManifestAsk,
    route: Option<&RouteName>,
) -> String {
    Suggestion {
        policy,
        component: None,
        alias: &ask.alias,
        use_: &ask.use_,
        secret: None,
        route,
        why: &ask.why,
    }
    .to_toml()
}
