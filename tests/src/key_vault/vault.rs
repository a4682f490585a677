//! The vault's data plane (Microsoft, "Azure Key Vault REST API reference").

use bytes::Bytes;
use data_encoding::{BASE64, BASE64URL, BASE64URL_NOPAD, HEXLOWER};
use http::header::{AUTHORIZATION, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Method};
use http_body_util::Full;
use serde_json::{Value, json};

use super::TENANT;
use super::keys::RsaKey;
use super::server::{Answer, Asked, answer, raw};
use super::state::{Challenge, State, Stored};

fn error(status: u16, code: &str, message: &str) -> Answer {
    answer(
        status,
        &json!({ "error": { "code": code, "message": message } }),
    )
}

fn forbidden(inner: &str, message: &str) -> Answer {
    let body = json!({
        "error": { "code": "Forbidden", "message": message, "innererror": { "code": inner } }
    });
    answer(403, &body)
}

pub(super) fn answer_to(asked: &Asked<'_>, state: &mut State, authority: &str) -> Answer {
    let authorization = asked.header(AUTHORIZATION.as_str());
    if !state.accepts(authorization) {
        return challenge(state, authority);
    }
    if let Some((status, body, retry_after)) = state.vault_faults.pop_front() {
        let mut answer = raw(status, body);
        if let Some(wait) = retry_after {
            let wait = HeaderValue::from_str(&wait).unwrap();
            answer.headers_mut().insert(RETRY_AFTER, wait);
        }
        return answer;
    }
    if asked.parameter("api-version").is_none() {
        return error(400, "BadParameter", "api-version must be specified");
    }
    let path: Vec<&str> = asked.path.trim_matches('/').split('/').collect();
    match (asked.method.clone(), path.as_slice()) {
        (Method::GET, ["secrets"]) => {
            let newest = state
                .secrets
                .iter()
                .filter_map(|(name, all)| Some((name, all.last()?)));
            let items: Vec<Value> = newest
                .map(|(name, stored)| item(asked, name, stored))
                .collect();
            answer(200, &json!({ "value": items, "nextLink": null }))
        }
        (Method::GET, ["secrets", name, "versions"]) => {
            let versions = state
                .secrets
                .get(*name)
                .map(Vec::as_slice)
                .unwrap_or_default();
            let items: Vec<Value> = versions
                .iter()
                .map(|stored| {
                    let mut item = item(asked, name, stored);
                    item["id"] = json!(id(asked, "secrets", name, &stored.version));
                    item
                })
                .collect();
            answer(200, &json!({ "value": items, "nextLink": null }))
        }
        (Method::GET, ["secrets", name]) => secret(asked, state, name, None),
        (Method::GET, ["secrets", name, version]) => secret(asked, state, name, Some(version)),
        (Method::PUT, ["secrets", name]) => {
            let body: Value = serde_json::from_slice(asked.body).unwrap_or_default();
            let Some(value) = body["value"].as_str() else {
                return error(400, "BadParameter", "value");
            };
            state.set_typed(name, value, body["contentType"].as_str());
            change(state.newest(name), &body["attributes"]);
            secret(asked, state, name, None)
        }
        (Method::PATCH, ["secrets", name, version]) => {
            let body: Value = serde_json::from_slice(asked.body).unwrap_or_default();
            let Some(stored) = find(state, name, Some(version)) else {
                return missing("Secret", name);
            };
            change(stored, &body["attributes"]);
            let stored = stored.clone();
            let mut bundle = item(asked, name, &stored);
            bundle["id"] = json!(id(asked, "secrets", name, &stored.version));
            answer(200, &bundle)
        }
        (Method::GET, ["certificates", name, ..]) => certificate(asked, state, name),
        (Method::POST, ["keys", name, "create"]) => {
            state.add_key(name);
            key(asked, state, name, None)
        }
        (Method::GET, ["keys", name]) => key(asked, state, name, None),
        (Method::GET, ["keys", name, version]) => key(asked, state, name, Some(version)),
        (Method::POST, ["keys", name, version, operation @ ("wrapkey" | "unwrapkey")]) => {
            operate(asked, state, name, version, operation)
        }
        _ => error(404, "NotFound", "no such resource"),
    }
}

fn challenge(state: &State, authority: &str) -> Answer {
    let mut refused = match &state.challenge {
        Challenge::Redirect(to) => {
            let mut answer = raw(307, String::new());
            let to = HeaderValue::from_str(to).unwrap();
            answer.headers_mut().insert(LOCATION, to);
            return answer;
        }
        Challenge::Body(length) => {
            let mut answer = raw(401, String::new());
            *answer.body_mut() = Full::new(Bytes::from(vec![b'x'; *length]));
            answer
        }
        _ => error(
            401,
            "Unauthorized",
            "AKV10000: Request is missing a Bearer or PoP token.",
        ),
    };
    for value in state.challenges(authority) {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        refused.headers_mut().append(WWW_AUTHENTICATE, value);
    }
    refused
}

fn missing(what: &str, name: &str) -> Answer {
    let message = format!("A {what} with (name/id) {name} was not found in this key vault.");
    error(404, &format!("{what}NotFound"), &message)
}

fn id(asked: &Asked<'_>, collection: &str, name: &str, version: &str) -> String {
    format!("{}/{collection}/{name}/{version}", asked.base)
}

fn attributes(stored: &Stored) -> Value {
    let mut attributes = json!({
        "enabled": stored.enabled,
        "created": stored.created,
        "updated": stored.created,
        "recoveryLevel": "Recoverable+Purgeable",
        "recoverableDays": 90,
    });
    for (name, moment) in [("nbf", stored.not_before), ("exp", stored.expires)] {
        if let Some(moment) = moment {
            attributes[name] = json!(moment);
        }
    }
    attributes
}

/// As in a list: without the value, and without the version in its id.
fn item(asked: &Asked<'_>, name: &str, stored: &Stored) -> Value {
    let mut item = json!({
        "id": format!("{}/secrets/{name}", asked.base),
        "attributes": attributes(stored),
    });
    if let Some(content_type) = &stored.content_type {
        item["contentType"] = json!(content_type);
    }
    item
}

fn find<'s>(state: &'s mut State, name: &str, version: Option<&str>) -> Option<&'s mut Stored> {
    let versions = state.secrets.get_mut(name)?;
    match version {
        None => versions.last_mut(),
        Some(version) => versions.iter_mut().find(|stored| stored.version == version),
    }
}

fn secret(asked: &Asked<'_>, state: &mut State, name: &str, version: Option<&str>) -> Answer {
    let is_certificate = state.certificates.contains_key(name);
    let Some(stored) = find(state, name, version) else {
        return missing("Secret", name);
    };
    if !stored.enabled {
        return forbidden(
            "SecretDisabled",
            "Operation get is not allowed on a disabled secret.",
        );
    }
    // That its dates are over is for who asks to see.
    let mut bundle = item(asked, name, stored);
    bundle["id"] = json!(id(asked, "secrets", name, &stored.version));
    bundle["value"] = json!(stored.value);
    if is_certificate {
        bundle["kid"] = json!(id(asked, "keys", name, &stored.version));
        bundle["managed"] = json!(true);
    }
    answer(200, &bundle)
}

fn change(stored: &mut Stored, attributes: &Value) {
    if let Some(enabled) = attributes["enabled"].as_bool() {
        stored.enabled = enabled;
    }
    stored.not_before = attributes["nbf"].as_i64().or(stored.not_before);
    stored.expires = attributes["exp"].as_i64().or(stored.expires);
}

/// The public part only: the private key is in the secret that `sid` names.
fn certificate(asked: &Asked<'_>, state: &mut State, name: &str) -> Answer {
    let Some(der) = state.certificates.get(name).cloned() else {
        return missing("Certificate", name);
    };
    let Some(stored) = find(state, name, None) else {
        return missing("Certificate", name);
    };
    let body = json!({
        "id": id(asked, "certificates", name, &stored.version),
        "kid": id(asked, "keys", name, &stored.version),
        "sid": id(asked, "secrets", name, &stored.version),
        "x5t": BASE64URL_NOPAD.encode(HEXLOWER.encode(&der[..10.min(der.len())]).as_bytes()),
        "cer": BASE64.encode(&der),
        "attributes": attributes(stored),
        "contentType": stored.content_type,
        "policy": {
            "id": format!("{}/certificates/{name}/policy", asked.base),
            "key_props": { "exportable": true, "kty": "RSA", "key_size": 2048, "reuse_key": false },
            "secret_props": { "contentType": stored.content_type },
            "issuer": { "name": "Unknown" },
            "attributes": { "enabled": true },
        },
        "tid": TENANT,
    });
    answer(200, &body)
}

fn find_key<'s>(state: &'s State, name: &str, version: Option<&str>) -> Option<&'s RsaKey> {
    let versions = state.keys.get(name)?;
    match version {
        None => versions.last(),
        Some(version) => versions.iter().find(|key| key.version == version),
    }
}

fn key(asked: &Asked<'_>, state: &State, name: &str, version: Option<&str>) -> Answer {
    let Some(key) = find_key(state, name, version) else {
        return missing("Key", name);
    };
    let body = json!({
        "key": key.jwk(&id(asked, "keys", name, &key.version)),
        "attributes": { "enabled": true, "exportable": false },
    });
    answer(200, &body)
}

fn operate(asked: &Asked<'_>, state: &State, name: &str, version: &str, operation: &str) -> Answer {
    let Some(key) = find_key(state, name, Some(version)) else {
        return missing("Key", name);
    };
    let body: Value = serde_json::from_slice(asked.body).unwrap_or_default();
    let text = body["value"].as_str().unwrap_or_default();
    let value = BASE64URL_NOPAD
        .decode(text.as_bytes())
        .or_else(|_| BASE64URL.decode(text.as_bytes()));
    let algorithm = body["alg"].as_str().unwrap_or_default();
    let outcome = value.ok().and_then(|value| match operation {
        "wrapkey" => key.wrap(algorithm, &value),
        _ => key.unwrap(algorithm, &value),
    });
    match outcome {
        Some(bytes) => answer(
            200,
            &json!({
                "kid": id(asked, "keys", name, version),
                "value": BASE64URL_NOPAD.encode(&bytes),
            }),
        ),
        None => error(400, "BadParameter", "The parameter is incorrect."),
    }
}
