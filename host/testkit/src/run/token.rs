//! Makes the tokens that requests carry.

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use keyward::vault::{KeyEncoding, Kind, MacAlgorithm, Terms, TokenAlgorithm, TokenMaker};
use serde_json::{Map, Value, json};

use crate::suite::{Case, IssuerKey, KEY_ID, Signed, Signer, Token};
use crate::world::Prepared;

/// A token, and the header in which it stands; `now` is in seconds since 1970. `None`
/// where it can't be made: the machine has no randomness to give.
pub(super) fn made(
    prepared: &Prepared<'_>,
    case: &Case,
    token: &Token,
    now: i64,
) -> Option<(HeaderName, HeaderValue)> {
    let (maker, key_id) = maker(prepared, token)?;
    let algorithm = match token.signed {
        Signed::Not => "none",
        _ => maker.algorithm().as_str(),
    };
    let maker = match token.forged {
        true => TokenMaker::generate(maker.algorithm())?,
        false => maker,
    };
    let mut header = json!({ "alg": algorithm, "typ": token.type_ });
    let key_id = token.key_id.as_deref().or(key_id);
    if let (Some(key_id), Some(header)) = (key_id, header.as_object_mut()) {
        header.insert("kid".to_owned(), key_id.into());
    }
    let claims = claims(prepared, case, token, now);
    let mut text = maker.token(&header, &claims)?;
    if token.signed == Signed::Not {
        let end = text.rfind('.')?;
        text.truncate(end + 1);
    }
    if token.header == AUTHORIZATION {
        text.insert_str(0, "Bearer ");
    }
    Some((token.header.clone(), HeaderValue::from_str(&text).ok()?))
}

/// The key, and what it is called.
fn maker(prepared: &Prepared<'_>, token: &Token) -> Option<(TokenMaker, Option<&'static str>)> {
    match &token.signer {
        Signer::Secret(name) => {
            let mut canaries = prepared.canaries.iter();
            let canary = canaries.find(|canary| canary.secret == name.as_str())?;
            let Kind::HmacKey {
                algorithm,
                encoding,
            } = canary.kind
            else {
                return None;
            };
            let key = match encoding {
                KeyEncoding::Raw => canary.import.clone(),
                KeyEncoding::Hex => HEXLOWER_PERMISSIVE.decode(&canary.import).ok()?,
                KeyEncoding::Base64 => BASE64.decode(&canary.import).ok()?,
            };
            let algorithm = match token.signed {
                Signed::With(other) => of_token(other)?,
                _ => algorithm,
            };
            Some((TokenMaker::of_mac(algorithm, &key), None))
        }
        Signer::Issuer(name) => {
            let mut keys = prepared.suite.issuer_keys.iter();
            let key: &IssuerKey = keys.find(|key| key.issuer == *name)?;
            let own = key.maker.algorithm();
            let maker = match token.signed {
                // With what everybody can read as the key: whoever lets a token choose
                // its algorithm takes it.
                Signed::With(other) if other.is_symmetric() => {
                    TokenMaker::of_mac(of_token(other)?, key.published.as_bytes())
                }
                Signed::With(other) if other != own => TokenMaker::generate(other)?,
                _ => key.maker.clone(),
            };
            Some((maker, Some(KEY_ID)))
        }
    }
}

fn of_token(algorithm: TokenAlgorithm) -> Option<MacAlgorithm> {
    match algorithm {
        TokenAlgorithm::Hs256 => Some(MacAlgorithm::Sha256),
        TokenAlgorithm::Hs384 => Some(MacAlgorithm::Sha384),
        TokenAlgorithm::Hs512 => Some(MacAlgorithm::Sha512),
        _ => None,
    }
}

/// Issuer and audience are those that are expected of such a token; what the suite says
/// counts before that.
fn claims(prepared: &Prepared<'_>, case: &Case, token: &Token, now: i64) -> Value {
    let grants = prepared.suite.grants_of(case);
    let (issuer, audiences) = match &token.signer {
        Signer::Secret(name) => grants
            .iter()
            .find_map(|grant| match &grant.terms {
                Terms::VerifyJwt(terms) if grant.secret == *name => {
                    Some((terms.issuer.clone(), terms.audiences.clone()))
                }
                _ => None,
            })
            .unwrap_or_default(),
        Signer::Issuer(name) => {
            let mut issuers = prepared.suite.issuers.iter();
            let issuer = issuers.find(|issuer| issuer.name == *name);
            issuer
                .map(|issuer| (issuer.rules.issuer.clone(), issuer.rules.audiences.clone()))
                .unwrap_or_default()
        }
    };
    let mut claims = Map::new();
    let mut add = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            claims.insert(name.to_owned(), value);
        }
    };
    let lifetime = i64::try_from(token.lifetime.as_secs()).unwrap_or(i64::MAX / 2);
    add("iss", issuer.map(Value::from));
    add("aud", audiences.into_iter().next().map(Value::from));
    add("iat", Some(now.into()));
    add("exp", Some(now.saturating_add(lifetime).into()));
    claims.extend(token.claims.clone());
    claims.retain(|name, _| !token.without.contains(name));
    Value::Object(claims)
}
