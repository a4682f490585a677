//! What the operator sets.

use keyward_policy::{HeaderName, settings};

/// What the operator sets.
#[settings(check = is_consistent)]
#[derive(Debug)]
pub struct Settings {
    /// The issuer whose tokens pass, by its name in keyward.toml. Without it, tokens
    /// pass that the key of `alias` vouches for.
    pub issuer: Option<String>,
    /// The grant's alias for the key, where no issuer is named.
    #[setting(default = "jwt-key")]
    pub alias: String,
    /// The header with the token: after `Bearer` in `authorization`, else as its whole
    /// value.
    pub header: Option<HeaderName>,
    /// A query parameter with the token, for clients that can't set headers: in place of
    /// the header. The parameter goes on to the backend.
    pub query: Option<String>,
    /// What the token's header may say that it is (`typ`), in any case, such as at+jwt.
    /// Without it, anything.
    pub types: Option<Vec<String>>,
    /// Claims that the token must have.
    #[setting(default = [])]
    pub claims: Vec<Claim>,
    /// Scopes that the token must have, all of them.
    #[setting(default = [])]
    pub scopes: Vec<String>,
    /// The claim with the scopes: words in a text, or an array. Often scope or scp.
    #[setting(default = "scope")]
    pub scope_claim: String,
    /// Roles of which the token must have one.
    #[setting(default = [])]
    pub roles: Vec<String>,
    /// The claim with the roles; a JSON pointer if it begins with a slash, such as
    /// /realm_access/roles.
    #[setting(default = "roles")]
    pub role_claim: String,
    /// Headers in which the backend is told claims. What the client sent in them is
    /// replaced, or removed where the token has no such claim.
    #[setting(default = [])]
    pub set_headers: Vec<ClaimHeader>,
    /// Whether the header with the token is taken out before the backend.
    #[setting(default = false)]
    pub remove_token: bool,
    /// What clients are told that they need a token for (`realm`).
    pub realm: Option<String>,
}

/// A claim that the token must have.
#[settings]
#[derive(Debug)]
pub struct Claim {
    /// Its name; a JSON pointer if it begins with a slash.
    pub name: String,
    /// Its values: the claim is one of these, or an array with one of them. Without it,
    /// any value.
    pub any_of: Option<Vec<String>>,
}

/// A header in which the backend is told a claim.
#[settings]
#[derive(Debug)]
pub struct ClaimHeader {
    /// The header.
    pub header: HeaderName,
    /// The claim; a JSON pointer if it begins with a slash. Arrays are joined by commas.
    pub claim: String,
}

fn is_consistent(settings: &Settings) -> Result<(), &'static str> {
    if settings.header.is_some() && settings.query.is_some() {
        return Err("the token is in a header or in the query: set `header` or `query`");
    }
    if settings.query.is_some() && settings.remove_token {
        return Err("`remove-token` is about a header, and the token is in the query");
    }
    let plain = |text: &String| {
        text.bytes()
            .all(|byte| (byte.is_ascii_graphic() || byte == b' ') && byte != b'"' && byte != b'\\')
    };
    if !settings.realm.iter().chain(&settings.scopes).all(plain) {
        return Err("`realm` and `scopes` are visible ASCII without \" and \\");
    }
    Ok(())
}
