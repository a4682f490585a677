//! Grants in words, and the grants that would answer a policy's asks.

use std::fmt::Write as _;

use keyward::egress::{Route, Scheme};
use keyward::engine::ManifestAsk;
use keyward::names::PolicyName;
use keyward::vault::{Class, Destination, Grant, Use};

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

/// A grant, ready for `grants.toml`, that would answer an ask. What the operator
/// has to decide stands in it as an example with a comment.
pub(crate) fn grant_for(policy: &PolicyName, ask: &ManifestAsk, route: Option<&str>) -> String {
    let alias = &ask.alias;
    let route = route.unwrap_or("my-route");
    let use_ = ask.use_.as_str();
    let mut toml = String::new();
    let why = one_line(&ask.why);
    if !why.is_empty() {
        let _ = writeln!(toml, "# {why}");
    }
    // A name and a word can be longer together than a name may be.
    let id: String = format!("{policy}-{alias}").chars().take(64).collect();
    let _ = writeln!(toml, "[[grant]]\nid = \"{id}\"\npolicy = \"{policy}\"");
    let _ = writeln!(
        toml,
        "secret = \"{alias}\"  # the name of your secret: keyward secret list"
    );
    let _ = writeln!(toml, "alias = \"{alias}\"\nuse = \"{use_}\"");
    match use_.parse::<Use>() {
        Ok(Use::Attach) => {
            let _ = writeln!(
                toml,
                "header = \"x-api-key\"  # where the backend expects it"
            );
            let _ = writeln!(
                toml,
                "template = \"{{secret}}\"  # or \"Bearer {{secret}}\""
            );
            let _ = writeln!(
                toml,
                "to = [{{ route = \"{route}\", methods = [\"GET\"], paths = [\"/v1/example/{{id}}\"] }}]  # it learns the value"
            );
        }
        Ok(Use::SignRequest) => {
            let _ = writeln!(toml, "to = [{{ route = \"{route}\" }}]");
        }
        Ok(Use::Identify) => {
            let _ = writeln!(
                toml,
                "header = \"x-api-key\"  # where clients put their key; or: query = \"subscription-key\""
            );
        }
        Ok(Use::MacSign | Use::MacVerify) | Err(_) => {}
    }
    toml
}

/// What a component says about itself, on one line and without control
/// characters: it is shown in terminals and written into comments.
pub(crate) fn one_line(text: &str) -> String {
    const LONGEST: usize = 400;
    let words = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty());
    let line = words.collect::<Vec<_>>().join(" ");
    let shown: String = line
        .chars()
        .filter(|c| !is_invisible(*c))
        .take(LONGEST)
        .collect();
    if line.chars().count() > LONGEST {
        format!("{shown}…")
    } else {
        shown
    }
}

/// Characters that reorder or hide the text around them.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;
    use keyward::names::Alias;
    use keyward::vault::Grants;

    #[test]
    fn a_grant_for_an_ask_is_a_grant() {
        let policy = PolicyName::parse("attach-api-key").unwrap();
        for use_ in Use::ALL {
            let why = "because\n[[grant]]\u{202e}\u{1b}[31m".to_owned();
            let ask = ManifestAsk {
                alias: Alias::parse("backend").unwrap(),
                setting: None,
                use_: use_.to_string(),
                why,
            };
            let toml = grant_for(&policy, &ask, Some("billing"));
            let grants = Grants::parse("grants.toml", &toml)
                .map_err(|error| format!("{error}\n{toml}"))
                .unwrap();
            let grants: Vec<_> = grants.iter().collect();
            assert_eq!(grants.len(), 1, "{toml}");
            assert_eq!(grants[0].use_(), use_);
            assert!(grants[0].to_sentence().contains("attach-api-key"));
        }
    }

    #[test]
    fn what_a_component_says_stays_on_its_line() {
        assert_eq!(one_line(" a\r\n\u{1b}[31mb\u{202e} c "), "a [31mb c");
        assert!(one_line(&"x".repeat(1000)).chars().count() == 401);
    }
}
