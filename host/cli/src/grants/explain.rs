//! `keyward grants explain`: what is allowed, in the words of a reviewer.

use keyward::names::{ComponentDigest, GrantId, RouteName};
use keyward::vault::{Grant, Terms, Use};
use keyward_gateway::config::Config;
use serde_json::{Value, json};

use super::read;
use crate::exit::{Exit, Failure, Outcome};
use crate::{Common, place, words};

pub(super) fn run(common: &Common, ids: &[GrantId]) -> Outcome {
    let config = place::load(common.config())?;
    let grants = read(&config)?;
    for id in ids {
        if grants.get(id).is_none() {
            let known: Vec<&str> = grants.iter().map(|grant| grant.id.as_str()).collect();
            return Err(Failure::new(format!("there is no grant \"{id}\""))
                .help(format!("grants there are: {}", known.join(", "))));
        }
    }
    let lock = super::lock(&config)?;
    let chosen: Vec<_> = grants
        .iter()
        .filter(|grant| ids.is_empty() || ids.contains(&grant.id))
        .collect();
    common.output().data(
        || {
            let texts = chosen.iter().map(|grant| {
                let lock = lock.as_ref();
                let pinned = lock.and_then(|found| found.lock.component(&grant.id));
                in_words(&config, grant, pinned)
            });
            let texts: Vec<String> = texts.collect();
            match texts.is_empty() {
                true => "Nothing is granted: no policy can use any secret.".to_owned(),
                false => texts.join("\n"),
            }
        },
        || {
            let grants: Vec<Value> = chosen.iter().map(|grant| in_json(&config, grant)).collect();
            json!({ "grants": grants })
        },
    );
    Ok(Exit::Success)
}

/// What whoever is at the other end learns of the secret.
pub(super) fn learns(use_: Use) -> &'static str {
    match use_ {
        Use::Attach => "whoever answers there learns the value itself",
        Use::SignRequest => {
            "whoever answers there learns a signature of that one request; the key stays here"
        }
        Use::MacSign => {
            "the policy sees the codes that it makes, of whatever message; the key stays here"
        }
        Use::MacVerify => "the policy learns whether a code is right; the key stays here",
        Use::Token => {
            "whoever answers there learns a token that lives for a while; the secret stays here, or is shown to the token endpoint only"
        }
        Use::Present => {
            "whoever answers there learns the certificate, and that its holder asks; the key stays here"
        }
        Use::JwsSign => {
            "whoever gets a token may use it until it expires, where it is accepted; the key stays here"
        }
        Use::Seal => "the policy sees the sealed data; the key stays here",
        Use::Open => "the policy sees the data that it opens; the key stays here",
        Use::VerifyJwt => {
            "the policy reads the claims of tokens that the key vouches for; the key stays here"
        }
        Use::Identify => "the policy learns the client's name; no policy and no backend sees a key",
        Use::Sas => {
            "whoever answers there learns a shared access signature that is good for minutes; the key stays here"
        }
        Use::Presign => {
            "whoever answers there learns a URL that is good for minutes; the key stays here"
        }
        Use::Describe => {
            "the policy reads the public parts of the connection string; the key stays here"
        }
        Use::Query => {
            "the policy sees the rows; the database learns a proof that the host knows the password"
        }
    }
}

fn in_words(config: &Config, grant: &Grant, pinned: Option<&ComponentDigest>) -> String {
    let class = grant.use_().class();
    let mut lines = vec![grant.id.to_string()];
    let mut line = |title: &str, text: String| lines.push(format!("  {title:<8}{text}"));
    let component = match (&grant.component, pinned) {
        (Some(component), _) => format!("only as component {component}"),
        (None, Some(component)) => format!("only as component {component}, which is pinned"),
        (None, None) => "whatever component it is".to_owned(),
    };
    line("who", format!("policy {}, {component}", grant.policy));
    line("what", grant.to_sentence());
    line("class", format!("{class}: {}", learns(grant.use_())));
    if let Terms::SignRequest(signature) = &grant.terms {
        let covers: Vec<&str> = signature
            .components
            .iter()
            .map(|part| part.as_str())
            .collect();
        line("covers", covers.join(", "));
        line(
            "bounds",
            format!(
                "bodies up to {} bytes; a signature is valid for {} s",
                signature.max_body_bytes, signature.lifetime_seconds
            ),
        );
    }
    if let Terms::SharedAccess(_) = &grant.terms {
        line(
            "bounds",
            "the policy chooses scope, permissions and lifetime within that; the request's path says what it is for"
                .to_owned(),
        );
    }
    for (index, to) in grant.to.iter().enumerate() {
        let url = url_of(config, &to.route);
        let title = if index == 0 { "where" } else { "" };
        line(title, words::destination(to, url.as_deref()));
    }
    if grant.to.is_empty() {
        line(
            "where",
            "nowhere: nothing of it goes into a request".to_owned(),
        );
    }
    line(
        "until",
        grant
            .not_after
            .map_or("no end".to_owned(), |end| end.to_string()),
    );
    line("called", format!("{}, by the policy", grant.alias));
    lines.push(String::new());
    lines.join("\n")
}

/// A grant with all that is said about it in words.
pub(super) fn in_json(config: &Config, grant: &Grant) -> Value {
    let use_ = grant.use_();
    let to: Vec<Value> = grant
        .to
        .iter()
        .map(|to| {
            json!({
                "route": to.route.as_str(),
                "url": url_of(config, &to.route),
                "methods": to.methods.iter().map(|method| method.as_str()).collect::<Vec<_>>(),
                "paths": to.paths.iter().map(|path| path.as_str()).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "id": grant.id.as_str(),
        "policy": grant.policy.as_str(),
        "secret": grant.secret.as_str(),
        "alias": grant.alias.as_str(),
        "use": use_.as_str(),
        "class": use_.class().as_str(),
        "learns": learns(use_),
        "component": grant.component.map(|component| component.to_string()),
        "not-after": grant.not_after.map(|until| until.to_string()),
        "to": to,
        "words": grant.to_sentence(),
        "conditions": words::conditions(grant),
        "toml": grant.to_toml(),
    })
}

/// Where a route leads, where it is known.
pub(super) fn url_of(config: &Config, name: &RouteName) -> Option<String> {
    config
        .routes
        .iter()
        .find(|route| route.name() == name)
        .map(words::url)
}
