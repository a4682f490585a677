//! Recipes: small policies to begin one's own with. `guest-policies/docs/cookbook.md`
//! tells them by what they are for.
//!
//! Each is a whole policy in one file, which becomes a component of its own. Here
//! they are modules, so that one test program runs the tests of all.

#![forbid(unsafe_code)]
#![cfg(test)]
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "../recipes/ab-test.rs"]
mod ab_test;
#[path = "../recipes/allow-paths.rs"]
mod allow_paths;
#[path = "../recipes/ask-authorizer.rs"]
mod ask_authorizer;
#[path = "../recipes/canary.rs"]
mod canary;
#[path = "../recipes/correlation-id.rs"]
mod correlation_id;
#[path = "../recipes/daily-quota.rs"]
mod daily_quota;
#[path = "../recipes/github-webhook.rs"]
mod github_webhook;
#[path = "../recipes/key-per-region.rs"]
mod key_per_region;
#[path = "../recipes/limit-body.rs"]
mod limit_body;
#[path = "../recipes/maintenance-mode.rs"]
mod maintenance_mode;
#[path = "../recipes/problem-json.rs"]
mod problem_json;
#[path = "../recipes/redact-fields.rs"]
mod redact_fields;
#[path = "../recipes/require-content-type.rs"]
mod require_content_type;
#[path = "../recipes/security-headers.rs"]
mod security_headers;
#[path = "../recipes/sign-body.rs"]
mod sign_body;
mod sizes;
