//! Lets scripts of other origins use an API (CORS, as the Fetch standard says it).
//!
//! A browser's question in advance (a preflight) is answered here and does not
//! reach the backend. What the backend says about CORS itself is replaced, since
//! two answers are none. A request from an origin that may not is passed on without
//! leave: CORS protects a browser's user, not the backend, and clients that are no
//! browsers send no origin.
//!
//! It stands first in the inbound phase, and in the outbound phase. Answers that
//! other policies give in its place (401, 429) carry no leave: a script learns that
//! it failed and not why.

#![forbid(unsafe_code)]

use keyward_policy::{
    Decision, Exchange, Failure, HeaderName, Message, Problem, Schema, Setting, Verdict, policy,
    settings,
};
use serde::Deserialize;

/// What the operator sets.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Written")]
pub struct Settings {
    origins: Origins,
    methods: Vec<String>,
    headers: Vec<HeaderName>,
    exposed: Vec<HeaderName>,
    credentials: bool,
    max_age: u32,
}

#[derive(Debug)]
enum Origins {
    All,
    These(Vec<String>),
}

#[settings]
struct Written {
    /// The origins that may: "https://app.example.com", or "*" alone for all.
    allow_origins: Vec<String>,
    /// The methods that they may use.
    #[setting(default = ["GET", "HEAD", "POST"])]
    allow_methods: Vec<String>,
    /// The headers that they may send beyond those that every script may.
    #[setting(default = [])]
    allow_headers: Vec<HeaderName>,
    /// The headers of an answer that they may read beyond those that every script may.
    #[setting(default = [])]
    expose_headers: Vec<HeaderName>,
    /// Whether browsers send cookies and client certificates along. Not with "*".
    #[setting(default = false)]
    allow_credentials: bool,
    /// For how many seconds a browser may remember what it was told.
    #[setting(default = 600, max = 86_400)]
    max_age: u32,
}

impl Setting for Settings {
    const SCHEMA: Schema = Written::SCHEMA;
}

impl TryFrom<Written> for Settings {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let origins = match written.allow_origins.as_slice() {
            [] => return Err("`allow-origins` is empty: nobody could use it".to_owned()),
            [all] if all == "*" => Origins::All,
            these => {
                for origin in these {
                    check_origin(origin)?;
                }
                Origins::These(written.allow_origins)
            }
        };
        if written.allow_credentials && matches!(origins, Origins::All) {
            return Err(
                "`allow-credentials` with \"*\" would let every page act for its visitor; list the origins"
                    .to_owned(),
            );
        }
        for method in &written.allow_methods {
            // A token (RFC 9110, 9.1), and not the wildcard.
            let is_method = HeaderName::new(method).is_some() && method != "*";
            if !is_method || method.bytes().any(|byte| byte.is_ascii_lowercase()) {
                return Err(format!("{method:?} is no method; methods are upper-case"));
            }
        }
        Ok(Self {
            origins,
            methods: written.allow_methods,
            headers: written.allow_headers,
            exposed: written.expose_headers,
            credentials: written.allow_credentials,
            max_age: written.max_age,
        })
    }
}

/// An origin as browsers write it (RFC 6454, 6.2): scheme, host, and the port only
/// where it is not the scheme's own.
fn check_origin(origin: &str) -> Result<(), String> {
    let fault = |what: &str| Err(format!("{origin:?} {what}"));
    if origin == "*" {
        return fault("stands alone or not at all");
    }
    if origin == "null" {
        return fault("is the origin of every sandboxed page, an attacker's too");
    }
    let Some((scheme, authority)) = origin.split_once("://") else {
        return fault("is no origin; write it as browsers do: https://app.example.com");
    };
    let is_lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_lowercase())
        && scheme
            .bytes()
            .all(|byte| is_lower(byte) || b"+.-".contains(&byte));
    let is_authority = !authority.is_empty()
        && authority
            .bytes()
            .all(|byte| is_lower(byte) || b".-:[]_".contains(&byte));
    if !is_scheme || !is_authority {
        return fault(
            "is no origin; write it as browsers do, in lower case and without a path: https://app.example.com",
        );
    }
    let own_port = match scheme {
        "https" => ":443",
        "http" => ":80",
        _ => return Ok(()),
    };
    if authority.ends_with(own_port) {
        return fault("names the scheme's own port, which browsers leave out");
    }
    Ok(())
}

impl Settings {
    fn allows(&self, origin: &str) -> bool {
        match &self.origins {
            Origins::All => true,
            Origins::These(origins) => origins.iter().any(|allowed| allowed == origin),
        }
    }

    /// Says that this origin may.
    fn give_leave(&self, origin: &str, response: &Message<'_>) -> Result<(), Failure> {
        let shown = match self.origins {
            Origins::All => "*",
            Origins::These(_) => origin,
        };
        response.set_header("access-control-allow-origin", shown)?;
        if self.credentials {
            response.set_header("access-control-allow-credentials", "true")?;
        }
        Ok(())
    }

    /// The answer depends on the origin, so that no cache gives it to another one.
    fn depends_on_origin(&self) -> bool {
        matches!(self.origins, Origins::These(_))
    }
}

fn origin(exchange: &Exchange<'_>) -> Option<String> {
    exchange.request().header_text("origin")
}

/// Answers a browser's question in advance.
///
/// # Errors
/// [`Failure`], as the host refused it.
pub fn answer_preflight(settings: &Settings, exchange: &Exchange<'_>) -> Decision {
    let request = exchange.request();
    let asked = request.header_text("access-control-request-method");
    let (Some(origin), Some(method)) = (origin(exchange), asked) else {
        return Ok(Verdict::Proceed);
    };
    if exchange.method() != "OPTIONS" {
        return Ok(Verdict::Proceed);
    }
    const VARY: &str = "origin, access-control-request-method, access-control-request-headers";
    let is_allowed = settings.allows(&origin) && settings.methods.contains(&method);
    if !is_allowed {
        return exchange.reject(
            Problem::new(403, "Forbidden")
                .detail("This origin may not do this here.")
                .header("vary", VARY),
        );
    }
    let response = exchange.respond(204)?;
    settings.give_leave(&origin, &response)?;
    response.set_header("access-control-allow-methods", settings.methods.join(", "))?;
    if !settings.headers.is_empty() {
        response.set_header("access-control-allow-headers", list(&settings.headers))?;
    }
    response.set_header("access-control-max-age", settings.max_age.to_string())?;
    response.set_header("vary", VARY)?;
    Ok(Verdict::Respond)
}

/// Says on an answer who may read it.
///
/// # Errors
/// [`Failure::Limit`] if the response has too many headers.
pub fn give_leave(settings: &Settings, exchange: &Exchange<'_>) -> Decision {
    let response = exchange.response();
    for name in response.header_names() {
        if name.starts_with("access-control-") {
            response.remove_header(&name)?;
        }
    }
    if settings.depends_on_origin() {
        response.append_header("vary", "origin")?;
    }
    let Some(origin) = origin(exchange).filter(|origin| settings.allows(origin)) else {
        return Ok(Verdict::Proceed);
    };
    settings.give_leave(&origin, &response)?;
    if !settings.exposed.is_empty() {
        response.set_header("access-control-expose-headers", list(&settings.exposed))?;
    }
    Ok(Verdict::Proceed)
}

fn list(names: &[HeaderName]) -> String {
    let names: Vec<&str> = names.iter().map(|name| &**name).collect();
    names.join(", ")
}

policy! {
    settings: Settings,
    inbound: answer_preflight,
    outbound: give_leave,
}

#[cfg(test)]
mod tests;
