//! Where tokens are: IMDS, App Service, and the authority.

use http::Method;
use serde_json::{Value, json};

use super::server::{Answer, Asked, answer, raw};
use super::state::{Assigned, State, now};
use super::{FEDERATED_TOKEN, IDENTITY_HEADER, RESOURCE, TENANT, WORKLOAD_CLIENT};

fn error(status: u16, code: &str, description: &str) -> Answer {
    answer(
        status,
        &json!({ "error": code, "error_description": description }),
    )
}

fn fault(state: &mut State) -> Option<Answer> {
    let (status, body) = state.identity_faults.pop_front()?;
    Some(raw(status, body))
}

/// The instance metadata service (Microsoft, "How to use managed identities on a VM to
/// acquire an access token").
pub(super) fn imds(asked: &Asked<'_>, state: &mut State) -> Answer {
    if asked.header("metadata") != Some("true") {
        return error(
            400,
            "bad_request_102",
            "Required metadata header not specified",
        );
    }
    if asked.path != "/metadata/identity/oauth2/token" || asked.method != Method::GET {
        return error(404, "not_found", "");
    }
    if asked.header("x-forwarded-for").is_some() {
        return error(400, "invalid_request", "proxied");
    }
    if let Some(fault) = fault(state) {
        return fault;
    }
    if asked
        .parameter("api-version")
        .is_none_or(|version| version < "2018-02-01")
    {
        return error(400, "invalid_request", "api-version");
    }
    let Some(resource) = asked.parameter("resource") else {
        return error(400, "invalid_request", "resource");
    };
    let resource = resource.to_owned();
    let identity = match whose(asked, state, &["msi_res_id", "mi_res_id"]) {
        Ok(identity) => identity,
        Err(description) => return error(400, "invalid_request", description),
    };
    if !is_known(&resource) {
        return error(
            400,
            "invalid_resource",
            "AADSTS500011: The resource principal was not found in the tenant.",
        );
    }
    let mut body = token(state, &resource, identity);
    body["expires_in"] = number(state, state.token_life);
    body["ext_expires_in"] = number(state, state.token_life);
    body["not_before"] = number(state, now() - 300);
    body["refresh_token"] = json!("");
    answer(200, &body)
}

/// App Service's endpoint (Microsoft, "How to use managed identities for App Service").
pub(super) fn app_service(asked: &Asked<'_>, state: &mut State) -> Answer {
    let refuse = |status: u16, message: &str| {
        answer(status, &json!({ "statusCode": status, "message": message }))
    };
    if asked.path.trim_end_matches('/') != "/msi/token" || asked.method != Method::GET {
        return refuse(404, "Not Found");
    }
    if let Some(fault) = fault(state) {
        return fault;
    }
    if asked.header("x-identity-header") != Some(IDENTITY_HEADER) {
        return refuse(401, "Unauthorized");
    }
    if asked.parameter("api-version") != Some("2019-08-01") {
        return refuse(400, "The api-version is not supported");
    }
    let Some(resource) = asked.parameter("resource").map(str::to_owned) else {
        return refuse(400, "resource");
    };
    match whose(asked, state, &["mi_res_id"]) {
        Ok(identity) => answer(200, &token(state, &resource, identity)),
        Err(_) => refuse(
            400,
            "No User Assigned or Delegated Managed Identity found for specified \
             ClientId/ResourceId/PrincipalId.",
        ),
    }
}

/// The authority's token endpoint, for client assertions (RFC 7523, 2.2).
pub(super) fn log_in(asked: &Asked<'_>, state: &mut State) -> Answer {
    let refuse = |status: u16, error: &str, code: u32, text: &str| {
        let body = json!({
            "error": error,
            "error_description": format!("AADSTS{code}: {text} Trace ID: 0"),
            "error_codes": [code],
        });
        answer(status, &body)
    };
    if let Some(fault) = fault(state) {
        return fault;
    }
    if asked.path != format!("/{TENANT}/oauth2/v2.0/token") {
        return refuse(400, "invalid_request", 90002, "Tenant not found.");
    }
    if asked.method != Method::POST {
        return refuse(
            400,
            "invalid_request",
            900_561,
            "The endpoint only accepts POST.",
        );
    }
    let form: Vec<(String, String)> = url::form_urlencoded::parse(asked.body)
        .into_owned()
        .collect();
    let field = |name: &str| {
        let found = form.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    };
    if field("grant_type") != Some("client_credentials")
        || field("client_assertion_type")
            != Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
    {
        return refuse(400, "invalid_request", 900_144, "A parameter is missing.");
    }
    if field("client_id") != Some(WORKLOAD_CLIENT) {
        return refuse(
            400,
            "unauthorized_client",
            700_016,
            "Application was not found.",
        );
    }
    if field("client_assertion") != Some(FEDERATED_TOKEN) {
        return refuse(
            401,
            "invalid_client",
            700_213,
            "No matching federated identity record found for presented assertion subject.",
        );
    }
    let Some(resource) = field("scope").and_then(|scope| scope.strip_suffix("/.default")) else {
        return refuse(400, "invalid_scope", 70011, "The scope is not valid.");
    };
    if !is_known(resource) {
        return refuse(
            400,
            "invalid_resource",
            500_011,
            "The resource was not found.",
        );
    }
    let minted = state.mint(resource);
    answer(
        200,
        &json!({
            "token_type": "Bearer",
            "expires_in": state.token_life,
            "ext_expires_in": state.token_life,
            "access_token": minted,
        }),
    )
}

fn is_known(resource: &str) -> bool {
    [RESOURCE, "https://graph.microsoft.com"].contains(&resource)
}

/// The client id of whose token is meant.
fn whose(asked: &Asked<'_>, state: &State, resource_id: &[&str]) -> Result<String, &'static str> {
    let find = |of: fn(&Assigned) -> &str, id: &str| {
        let found = state
            .assigned
            .iter()
            .find(|known| of(known).eq_ignore_ascii_case(id));
        found
            .map(|known| known.client_id.clone())
            .ok_or("Identity not found")
    };
    if let Some(id) = asked.parameter("client_id") {
        return find(|known| &known.client_id, id);
    }
    if let Some(id) = asked.parameter("object_id") {
        return find(|known| &known.object_id, id);
    }
    if let Some(id) = resource_id.iter().find_map(|name| asked.parameter(name)) {
        return find(|known| &known.resource_id, id);
    }
    match (state.has_system_identity, state.assigned.as_slice()) {
        (true, _) => Ok("00000000-0000-0000-0000-000000000001".to_owned()),
        (false, [only]) => Ok(only.client_id.clone()),
        (false, []) => Err("Identity not found"),
        (false, _) => Err(
            "Multiple user assigned identities exist, please specify the clientId / resourceId of \
             the identity in the token request",
        ),
    }
}

/// Documented as a text, and seen as a number.
fn number(state: &State, number: i64) -> Value {
    match state.plain_numbers {
        true => json!(number),
        false => json!(number.to_string()),
    }
}

fn token(state: &mut State, resource: &str, client_id: String) -> Value {
    let minted = state.mint(resource);
    let said = state.says_resource.clone();
    json!({
        "access_token": minted,
        "client_id": client_id,
        "expires_on": number(state, now() + state.token_life),
        "resource": said.unwrap_or_else(|| resource.to_owned()),
        "token_type": "Bearer",
    })
}
