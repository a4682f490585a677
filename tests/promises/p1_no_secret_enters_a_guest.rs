//! P1: no byte of a secret enters a guest. The memory of every guest is read
//! after every call and searched for every secret in every form.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::Request;
use keyward::engine::Phase;
use keyward_tests::{Backend, Canary, TestGateway};
use serde_json::json;

/// Everything is granted that can be, to each policy: what is held back is held
/// back by the contract alone.
fn grants(policy: &str) -> String {
    format!(
        r#"
[[grant]]
id = "{policy}-attach"
policy = "{policy}"
secret = "billing-key"
alias = "backend"
use = "attach"
header = "x-api-key"
to = [{{ route = "billing", paths = ["/v1/charges", "/elsewhere"] }}]

[[grant]]
id = "{policy}-sign"
policy = "{policy}"
secret = "billing-hmac"
alias = "signing-key"
use = "sign-request"
to = [{{ route = "billing", paths = ["/v1/charges", "/elsewhere"] }}]

[[grant]]
id = "{policy}-who"
policy = "{policy}"
secret = "consumers"
use = "identify"
header = "x-client-key"

[[grant]]
id = "{policy}-mac"
policy = "{policy}"
secret = "mac"
use = "mac-sign"

[[grant]]
id = "{policy}-mac-verify"
policy = "{policy}"
secret = "mac"
use = "mac-verify"
"#
    )
}

struct Seen {
    /// Memories that were read.
    memories: usize,
    /// Canaries found in them, and in which form.
    found: Vec<(&'static str, &'static str)>,
    /// Whether a text that a guest must hold was seen, which shows that memories
    /// are really read.
    witness: bool,
}

/// Runs shipped policies and the thief in every phase and looks into all of them.
/// `pasted` is a header that a policy gets in its settings.
async fn look_into_guests(paste: bool) -> Seen {
    let backend = Backend::start().await;
    let api_key = Arc::new(Canary::new());
    let hmac_key = Arc::new(Canary::new());
    let mac_key = Arc::new(Canary::new());
    let client_key = Arc::new(Canary::new());
    let seen = Arc::new(Mutex::new(Seen {
        memories: 0,
        found: Vec::new(),
        witness: false,
    }));

    let observer = {
        let seen = Arc::clone(&seen);
        let canaries = [
            ("API key", Arc::clone(&api_key)),
            ("request signing key", Arc::clone(&hmac_key)),
            ("message key", Arc::clone(&mac_key)),
            ("client key", Arc::clone(&client_key)),
        ];
        move |memory: &[u8]| {
            let mut seen = seen.lock().unwrap();
            seen.memories += 1;
            seen.witness |= memory.windows(13).any(|window| window == b"x-the-witness");
            for (name, canary) in &canaries {
                if let Some(form) = canary.find_in(memory) {
                    seen.found.push((name, form));
                }
            }
        }
    };
    let pasted = if paste { api_key.text() } else { "harmless" };
    let gateway = TestGateway::builder()
        .api_key("billing-key", api_key.text())
        .hmac_key("billing-hmac", hmac_key.text())
        .hmac_key("mac", mac_key.text())
        .client_keys("consumers", &format!("acme = {}\n", client_key.text()))
        .grants(&["require-client-key", "attach-api-key", "sign-request", "thief"].map(grants).concat())
        .route("billing", &backend.url())
        .inbound("require-client-key", json!({}))
        .inbound("attach-api-key", json!({}))
        .inbound("sign-request", json!({}))
        .inbound(
            "set-headers",
            json!({ "headers": [{ "name": "x-pasted", "action": "override", "values": [pasted] }] }),
        )
        .policy(&Phase::ALL, "hostile/thief", "thief", json!({}), &["billing"])
        .observe_memory(observer)
        .build();
    let request = Request::post("/v1/charges")
        .header("x-client-key", client_key.text())
        .header("x-the-witness", "yes")
        .body(Bytes::from("amount=5"))
        .unwrap();
    gateway.send(request).await;
    assert!(
        !backend.received().is_empty(),
        "the request got as far as the backend"
    );
    drop(gateway);
    let seen = Arc::into_inner(seen).unwrap().into_inner().unwrap();
    assert!(
        seen.memories >= 6,
        "each call's memory is read, not {}",
        seen.memories
    );
    assert!(
        seen.witness,
        "a guest that lists the headers has seen this one"
    );
    seen
}

#[tokio::test]
async fn no_guest_memory_holds_any_secret_in_any_form() {
    let seen = look_into_guests(false).await;
    assert_eq!(seen.found, []);
}

#[tokio::test]
async fn control_a_secret_that_is_pasted_into_settings_is_found_in_guest_memory() {
    let seen = look_into_guests(true).await;
    assert!(seen.found.contains(&("API key", "raw")), "{:?}", seen.found);
}

#[test]
fn the_contract_has_no_function_that_gives_a_secret_or_takes_a_candidate() {
    // Every function of `secrets` by name: a new one has to be looked at here.
    let contract = include_str!("../../wit/secrets.wit");
    let functions: Vec<&str> = contract
        .lines()
        .filter(|line| line.contains("func("))
        .map(|line| line.trim().trim_end_matches(';'))
        .collect();
    let expected = [
        "open: static func(alias: string) -> result<credential, secret-failure>",
        "attach: func(to: borrow<exchange>) -> result<_, secret-failure>",
        "attach-to-request: func(to: borrow<request>) -> result<_, secret-failure>",
        "attach-with: func(to: borrow<exchange>, holes: list<tuple<string, string>>) -> result<_, secret-failure>",
        "attach-to-request-with: func(to: borrow<request>, holes: list<tuple<string, string>>) -> result<_, secret-failure>",
        "open: static func(alias: string) -> result<signer, secret-failure>",
        "attach: func(to: borrow<exchange>) -> result<_, secret-failure>",
        "attach-to-request: func(to: borrow<request>) -> result<_, secret-failure>",
        "open: static func(alias: string) -> result<mac-signer, secret-failure>",
        "sign: func(message: list<u8>) -> result<list<u8>, secret-failure>",
        "open: static func(alias: string) -> result<mac-verifier, secret-failure>",
        "verify: func(message: list<u8>, code: list<u8>) -> result<bool, secret-failure>",
        "open: static func(alias: string) -> result<token, secret-failure>",
        "attach: func(to: borrow<exchange>) -> result<_, secret-failure>",
        "attach-to-request: func(to: borrow<request>) -> result<_, secret-failure>",
        "attach-on-behalf-of: func(to: borrow<exchange>, subject-token: string) -> result<_, secret-failure>",
        "open: static func(alias: string) -> result<shared-access, secret-failure>",
        "attach: func(to: borrow<exchange>, terms: shared-access-terms) -> result<_, secret-failure>",
        "attach-to-request: func(to: borrow<request>, terms: shared-access-terms) -> result<_, secret-failure>",
        "open: static func(alias: string) -> result<presigner, secret-failure>",
        "attach: func(to: borrow<exchange>) -> result<_, secret-failure>",
        "attach-to-request: func(to: borrow<request>) -> result<_, secret-failure>",
        "open: static func(alias: string) -> result<connection, secret-failure>",
        "part: func(name: string) -> result<option<string>, secret-failure>",
        "open: static func(alias: string) -> result<jwt-verifier, secret-failure>",
        "open-issuer: static func(name: string) -> result<jwt-verifier, secret-failure>",
        // What it answers is what the token holds that it was given.
        "verify: func(token: string) -> result<verified-jwt, jwt-failure>",
        "open: static func(alias: string) -> result<client-keys, secret-failure>",
        "identify: func(exchange: borrow<exchange>) -> result<option<string>, secret-failure>",
        "open: static func(alias: string) -> result<sealer, secret-failure>",
        "seal: func(plaintext: list<u8>, context: list<u8>) -> result<list<u8>, secret-failure>",
        "open: static func(alias: string) -> result<opener, secret-failure>",
        "open-sealed: func(sealed: list<u8>, context: list<u8>) -> result<list<u8>, secret-failure>",
        "open: static func(alias: string) -> result<tls-identity, secret-failure>",
        "attach: func(to: borrow<exchange>) -> result<_, secret-failure>",
        "attach-to-request: func(to: borrow<request>) -> result<_, secret-failure>",
        "open: static func(alias: string) -> result<jws-signer, secret-failure>",
        "attach: func(to: borrow<exchange>, claims: token-claims) -> result<_, secret-failure>",
        "attach-to-request: func(to: borrow<request>, claims: token-claims) -> result<_, secret-failure>",
        "sign: func(claims: token-claims) -> result<string, secret-failure>",
        "open: static func(alias: string) -> result<database, secret-failure>",
        "query: func(statement: string, parameters: list<query-value>)",
    ];
    assert_eq!(functions, expected);
}

#[test]
fn a_gateway_does_not_serve_while_guest_memory_can_be_read() {
    use keyward::engine::EngineConfig;
    use keyward::vault::{Durability, Vault, VaultFiles};
    use keyward_gateway::assemble::{OpenError, assemble_with};
    use keyward_gateway::config::Config;

    let directory = tempfile::tempdir().unwrap();
    let config = Config::parse(
        &directory.path().join("keyward.toml"),
        "[gateway]\nlisten = \"127.0.0.1:0\"\n",
    )
    .unwrap();
    let files = VaultFiles::in_directory(directory.path());
    Vault::create(&files).unwrap();
    let open = |engine: EngineConfig| {
        let vault = Vault::open(&files, Durability::Strict).unwrap();
        assemble_with(&config, vault, &TestGateway::actor(), engine).map(|_| ())
    };
    let mut engine = EngineConfig::default();
    engine.guest_debug = true;
    assert!(matches!(open(engine), Err(OpenError::Debuggable)));
    // Control: with it off, the same gateway opens.
    open(EngineConfig::default()).unwrap();
}
