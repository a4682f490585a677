//! Azure API Management's policies as data: what may stand where, with which
//! attributes, and whether this engine has it.

mod auth;
mod calls;
mod flow;
mod limits;
mod refused;
pub mod shape;
mod transform;

/// Stands for an element until its meaning is known.
pub(crate) static UNKNOWN: Element = shape::element("", &[], Content::Nothing);

/// Keyward's own: runs a policy written in Rust.
static WASM_POLICY: Policy = shape::policy(
    Sections::ALL,
    shape::element(
        "wasm-policy",
        &[shape::required("name", Kind::Filled)],
        Content::Nothing,
    )
    .differs(&["API Management has no such policy: it runs a policy of the gateway's configuration, and stands directly in a section"]),
);

pub use shape::{
    Attribute, Child, Content, Element, Group, Kind, Once, Policy, Scope, Scopes, Sections, Status,
    Text,
};

/// All policies: those that this engine has, and those that it knows and refuses.
pub fn all() -> impl Iterator<Item = &'static Policy> {
    SUPPORTED.into_iter().chain(refused::REFUSED.iter())
}

static SUPPORTED: [&Policy; 34] = [
    &flow::BASE,
    &flow::CHOOSE,
    &flow::RETRY,
    &flow::WAIT,
    &flow::INCLUDE_FRAGMENT,
    &flow::LIMIT_CONCURRENCY,
    &flow::RETURN_RESPONSE,
    &flow::MOCK_RESPONSE,
    &transform::SET_VARIABLE,
    &transform::SET_HEADER,
    &transform::SET_QUERY_PARAMETER,
    &transform::SET_BODY,
    &transform::SET_METHOD,
    &transform::SET_STATUS,
    &transform::REWRITE_URI,
    &transform::FIND_AND_REPLACE,
    &calls::FORWARD_REQUEST,
    &calls::SET_BACKEND_SERVICE,
    &calls::SEND_REQUEST,
    &calls::SEND_ONE_WAY_REQUEST,
    &auth::AUTHENTICATION_BASIC,
    &auth::AUTHENTICATION_CERTIFICATE,
    &auth::AUTHENTICATION_MANAGED_IDENTITY,
    &auth::VALIDATE_JWT,
    &auth::CHECK_HEADER,
    &auth::IP_FILTER,
    &auth::CORS,
    &limits::RATE_LIMIT,
    &limits::RATE_LIMIT_BY_KEY,
    &limits::CACHE_LOOKUP_VALUE,
    &limits::CACHE_STORE_VALUE,
    &limits::CACHE_REMOVE_VALUE,
    &limits::TRACE,
    &WASM_POLICY,
];

/// The policy of that name.
pub fn policy(name: &str) -> Option<&'static Policy> {
    all().find(|policy| policy.element.name == name)
}
