//! Recipes: small policies to begin one's own with. `guest-policies/docs/cookbook.md`
//! tells them by what they are for.
//!
//! Each is a whole policy in one file, which becomes a component of its own. Here
//! they are modules, so that one test program runs the tests of all.

#![forbid(unsafe_code)]
#![cfg(any(test, doctest))]
#![cfg_attr(test, expect(clippy::unwrap_used, reason = "tests"))]

/// What the documents show compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/porting-proxy-wasm.md")]
struct Porting;

#[cfg(test)]
#[path = "../recipes/ab-test.rs"]
mod ab_test;
#[cfg(test)]
#[path = "../recipes/add-profile.rs"]
mod add_profile;
#[cfg(test)]
#[path = "../recipes/allow-paths.rs"]
mod allow_paths;
#[cfg(test)]
#[path = "../recipes/ask-authorizer.rs"]
mod ask_authorizer;
#[cfg(test)]
#[path = "../recipes/canary.rs"]
mod canary;
#[cfg(test)]
#[path = "../recipes/correlation-id.rs"]
mod correlation_id;
#[cfg(test)]
#[path = "../recipes/daily-quota.rs"]
mod daily_quota;
#[cfg(test)]
#[path = "../recipes/github-webhook.rs"]
mod github_webhook;
#[cfg(test)]
#[path = "../recipes/key-per-region.rs"]
mod key_per_region;
#[cfg(test)]
#[path = "../recipes/limit-body.rs"]
mod limit_body;
#[cfg(test)]
#[path = "../recipes/maintenance-mode.rs"]
mod maintenance_mode;
#[cfg(test)]
#[path = "../recipes/problem-json.rs"]
mod problem_json;
#[cfg(test)]
#[path = "../recipes/redact-fields.rs"]
mod redact_fields;
#[cfg(test)]
#[path = "../recipes/require-content-type.rs"]
mod require_content_type;
#[cfg(test)]
#[path = "../recipes/security-headers.rs"]
mod security_headers;
#[cfg(test)]
#[path = "../recipes/sign-body.rs"]
mod sign_body;
#[cfg(test)]
mod sizes;
#[cfg(test)]
#[path = "../recipes/vouch-for-user.rs"]
mod vouch_for_user;
