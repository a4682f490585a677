//! What `../document/document.xml` says, statement by statement, written in Rust: for measuring
//! what it costs that a document is a document.

#![forbid(unsafe_code)]

use keyward_policy::{Decision, Exchange, Failure, Verdict, policy};

const TENANT: &str = "tenant";
const PLAN: &str = "plan";

/// The inbound section.
///
/// # Errors
/// [`Failure`], as the host refused it.
pub fn inbound(exchange: &Exchange<'_>) -> Decision {
    let request = exchange.request();
    let tenant = request.header_text("x-tenant");
    let tenant = tenant.unwrap_or_else(|| "none".to_owned());
    exchange.set_variable(TENANT, &tenant)?;
    let plan = if tenant == "acme" { "gold" } else { "silver" };
    exchange.set_variable(PLAN, plan)?;
    let accepts = request.header_text("accept").unwrap_or_default();
    if !accepts.eq_ignore_ascii_case("application/json") {
        exchange.respond(406)?.write_body("Not acceptable")?;
        return Ok(Verdict::Respond);
    }
    request.remove_header("x-debug")?;
    let asked = exchange.request_line();
    let line = format!("{} {}", asked.method, asked.path);
    request.set_header("x-line", line)?;
    if plan == "gold" {
        request.set_header("x-priority", "high")?;
    }
    if exchange.query("page-size").is_none() {
        exchange.set_query("page-size", "50")?;
    }
    exchange.set_path("/v2/charges")?;
    let caller = format!("{}, {plan}", exchange.client_address());
    request.set_header("x-caller", caller)?;
    Ok(Verdict::Proceed)
}

/// The outbound section.
///
/// # Errors
/// As of [`inbound`].
pub fn outbound(exchange: &Exchange<'_>) -> Decision {
    let response = exchange.response();
    let kind = response.header_text("content-type").unwrap_or_default();
    let kind = if kind.starts_with("application/json") {
        "json"
    } else {
        "other"
    };
    response.set_header("x-kind", kind)?;
    let (tenant, plan) = (text(exchange, TENANT)?, text(exchange, PLAN)?);
    response.set_header("x-tenant", format!("{tenant}/{plan}"))?;
    if exchange.status() == Some(200) {
        response.set_header("cache-control", "private, max-age=60")?;
    }
    response.remove_header("server")?;
    response.remove_header("x-powered-by")?;
    let asked = exchange.request_line();
    let line = format!("{} {}", asked.method.to_lowercase(), asked.path);
    response.set_header("x-answers", line)?;
    if !response.has_header("x-content-type-options") {
        response.set_header("x-content-type-options", "nosniff")?;
    }
    let vary = response.header_text("vary").unwrap_or_default();
    response.set_header("vary", format!("{vary},x-tenant"))?;
    Ok(Verdict::Proceed)
}

fn text(exchange: &Exchange<'_>, name: &str) -> Result<String, Failure> {
    let bytes = exchange.variable(name).unwrap_or_default();
    String::from_utf8(bytes).map_err(|_| Failure::Invalid)
}

policy! {
    inbound: inbound,
    outbound: outbound,
}
