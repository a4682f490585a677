//! Tests of the grants file: what it says, and what it says when it is wrong.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod diff;
mod errors;
mod errors_of_terms;
mod lock;
mod tokens;

use http::Method;
use jiff::Timestamp;
use keyward_names::{ComponentDigest, GrantId, PolicyName, RouteName, SecretName};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::{Kind, Outcome, SecretInfo};

/// Where what is expected ends with `…`, a list goes on that grows with the uses.
fn check_error(text: &str, expected: &str) {
    let error = Grants::parse("grants.toml", text.trim_start()).map(|_| ());
    let rendered = error.unwrap_err().to_string();
    match expected.trim().strip_suffix('…') {
        Some(beginning) => assert!(rendered.starts_with(beginning), "\n{rendered}\n"),
        None => assert_eq!(rendered, expected.trim(), "\n{rendered}\n"),
    }
}

/// A secret as the vault tells of it.
fn secret(name: &str, kind: Kind, id: Uuid) -> SecretInfo {
    SecretInfo {
        name: SecretName::parse(name).unwrap(),
        kind,
        state: crate::SecretState::Enabled,
        version: 1,
        versions: Vec::new(),
        origin: None,
        source_version: None,
        unavailable: None,
        is_short: name == "short",
        key: None,
        created: Timestamp::UNIX_EPOCH,
        updated: Timestamp::UNIX_EPOCH,
        rotation: crate::Rotation::default(),
        id,
    }
}

const EVERY_USE: &str = r#"
[[grant]]
id = "billing-attach"
policy = "attach-api-key"
secret = "billing-key"
alias = "backend"
use = "attach"
header = "X-Api-Key"
template = "Bearer {secret};v=1"
component = "sha256:abababababababababababababababababababababababababababababababab"
not-after = "2027-01-01T00:00:00Z"

[[grant.to]]
route = "billing"
methods = ["GET"]
paths = ["/v1/charges", "/v1/refunds/{id}"]

[[grant.to]]
route = "billing-eu"
paths = ["/"]

[[grant]]
id = "billing-sign"
policy = "sign-request"
secret = "billing-hmac"
use = "sign-request"
to = [{ route = "billing" }]

[[grant]]
id = "billing-sign-whole"
policy = "sign-request"
secret = "billing-hmac"
alias = "whole"
use = "sign-request"
label = "keyward"
key-id = "Key 1"
covers = ["@method", "@target-uri", "content-digest"]
max-body-bytes = 4_096
lifetime-seconds = 60
not-after = 2027-01-01T02:00:00+02:00
to = [{ route = "billing", methods = ["POST", "PUT"] }]

[[grant]]
id = "make"
policy = "p"
secret = "k"
use = "mac-sign"

[[grant]]
id = "check"
policy = "p"
secret = "k"
use = "mac-verify"

[[grant]]
id = "who"
policy = "require-client-key"
secret = "consumers"
use = "identify"
query = "subscription-key"
"#;

fn parsed() -> Grants {
    match Grants::parse("grants.toml", EVERY_USE) {
        Ok(grants) => grants,
        Err(error) => panic!("{error}"),
    }
}

fn grant(id: &str) -> std::sync::Arc<Grant> {
    let id = GrantId::parse(id).unwrap();
    std::sync::Arc::clone(parsed().get(&id).unwrap())
}

fn route(name: &str) -> RouteName {
    RouteName::parse(name).unwrap()
}

#[test]
fn every_use_reads_as_it_is_written() {
    let attach = grant("billing-attach");
    let Terms::Attach(placement) = &attach.terms else {
        panic!("{attach:?}");
    };
    assert_eq!(placement.to_text(), "x-api-key: Bearer {secret};v=1");
    assert_eq!(attach.alias.as_str(), "backend");
    assert!(attach.is_for(&ComponentDigest::from_bytes([0xab; 32])));
    assert!(!attach.is_for(&ComponentDigest::from_bytes([0; 32])));
    let end: Timestamp = "2027-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(attach.not_after, Some(end));
    assert!(!attach.is_expired(end));
    assert!(attach.is_expired(end + jiff::SignedDuration::from_nanos(1)));

    let Terms::SignRequest(signature) = &grant("billing-sign").terms else {
        panic!();
    };
    assert_eq!(signature.label, "sig1");
    // The key id defaults to the alias, which defaults to the secret's name.
    assert_eq!(signature.key_id, "billing-hmac");
    let covered: Vec<_> = signature.components.iter().map(Component::as_str).collect();
    let default = ["@method", "@authority", "@path", "@query", "content-digest"];
    assert_eq!(covered, default);
    assert_eq!(signature.max_body_bytes, 1_048_576);
    assert_eq!(signature.lifetime_seconds, 300);

    let whole = grant("billing-sign-whole");
    let Terms::SignRequest(signature) = &whole.terms else {
        panic!();
    };
    assert_eq!(
        (signature.label.as_str(), signature.key_id.as_str()),
        ("keyward", "Key 1")
    );
    assert_eq!(
        (signature.max_body_bytes, signature.lifetime_seconds),
        (4096, 60)
    );
    assert_eq!(whole.not_after, Some(end));

    assert_eq!(grant("make").terms, Terms::MacSign);
    assert_eq!(grant("check").terms, Terms::MacVerify);
    let place = KeyPlace::Query("subscription-key".to_owned());
    assert_eq!(grant("who").terms, Terms::Identify(place));
    assert!(grant("who").is_for(&ComponentDigest::from_bytes([0; 32])));
}

#[test]
fn a_destination_allows_what_it_names_and_nothing_else() {
    let attach = grant("billing-attach");
    let (get, post) = (Method::GET, Method::POST);
    for (to, method, path, expected) in [
        ("billing", &get, "/v1/charges", Ok(())),
        ("billing", &get, "/v1/refunds/7", Ok(())),
        ("billing", &post, "/v1/charges", Err(Outcome::OtherMethod)),
        ("billing", &get, "/v1/charges/7", Err(Outcome::OtherPath)),
        ("billing", &get, "/", Err(Outcome::OtherPath)),
        ("billing-eu", &get, "/", Ok(())),
        ("billing-eu", &post, "/", Ok(())),
        ("billing-eu", &Method::TRACE, "/", Err(Outcome::OtherMethod)),
        (
            "billing-eu",
            &Method::CONNECT,
            "/",
            Err(Outcome::OtherMethod),
        ),
        ("other", &get, "/v1/charges", Err(Outcome::OtherRoute)),
    ] {
        let reaches = attach.reaches(&route(to), method, path);
        assert_eq!(reaches, expected, "{to} {method} {path}");
        let allows = |destination: &Destination| destination.allows(&route(to), method, path);
        assert_eq!(attach.to.iter().any(allows), expected.is_ok());
    }
    let sign = grant("billing-sign");
    assert!(
        sign.reaches(&route("billing"), &Method::DELETE, "/any//thing/..")
            .is_ok()
    );
    assert!(grant("make").reaches(&route("billing"), &get, "/").is_err());
}

#[test]
fn a_use_is_found_under_its_policy_alias_and_use() {
    let grants = parsed();
    let find = |policy: &str, alias: &str, use_| {
        let policy = PolicyName::parse(policy).unwrap();
        let found = grants.find(&policy, alias, use_);
        found.map(|grant| grant.id.to_string())
    };
    assert_eq!(
        find("attach-api-key", "backend", Use::Attach).unwrap(),
        "billing-attach"
    );
    assert_eq!(find("p", "k", Use::MacVerify).unwrap(), "check");
    assert_eq!(find("p", "k", Use::Attach), None);
    assert_eq!(find("p", "backend", Use::MacSign), None);
    assert_eq!(find("other", "k", Use::MacSign), None);
    // The secret's name is not an alias once another is given.
    assert_eq!(find("attach-api-key", "billing-key", Use::Attach), None);
    assert_eq!(grants.len(), 6);
    assert!(Grants::none().is_empty());
}

#[test]
fn the_digest_is_that_of_the_file() {
    let hex = data_encoding::HEXLOWER.encode(&Grants::none().digest());
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(hex, empty);
    assert_eq!(parsed().digest(), super::sha256(EVERY_USE.as_bytes()));
    assert!(
        Grants::parse("grants.toml", "# nothing\n")
            .unwrap()
            .is_empty()
    );
}

#[test]
fn withdrawing_only_takes_away() {
    let grants = parsed();
    let id = |text: &str| GrantId::parse(text).unwrap();
    let fewer = grants.without(&[id("make"), id("unknown")]);
    assert_eq!(fewer.len(), 5);
    assert!(fewer.get(&id("make")).is_none());
    assert_ne!(fewer.digest(), grants.digest());
    assert_eq!(grants.without(&[id("unknown")]).digest(), grants.digest());
    assert_eq!(fewer.changes_since(&grants), (vec![], vec![id("make")]));
    let changed = EVERY_USE.replace("4_096", "8192");
    let changed = Grants::parse("grants.toml", &changed).unwrap();
    let one = vec![id("billing-sign-whole")];
    assert_eq!(changed.changes_since(&grants), (one.clone(), one));
}

#[test]
fn what_a_grant_points_at_is_compared_with_what_there_is() {
    let secret = |name: &str, kind| secret(name, kind, Uuid::nil());
    let hmac: Kind = "hmac-key".parse().unwrap();
    let secrets = [
        secret("billing-kye", Kind::ApiKey),
        secret("billing-hmac", hmac),
        secret("k", Kind::ApiKey),
        secret("consumers", Kind::ClientKeys),
    ];
    let policies = ["attach-api-key", "sign-request", "p"];
    let policies = policies.map(|name| PolicyName::parse(name).unwrap());
    let routes = [route("billing"), route("billing-us")];
    let later: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
    let there = Surroundings {
        secrets: Some(&secrets),
        routes: &routes,
        policies: &policies,
        revoked: &[],
    };
    let findings = parsed().check_at(later, &there);
    let text: Vec<_> = findings.iter().map(ToString::to_string).collect();
    assert_eq!(
        text,
        [
            "grants.toml:2: grant \"billing-attach\": the vault has no secret \"billing-key\"; did you mean \"billing-kye\"?",
            "grants.toml:2: grant \"billing-attach\": there is no route \"billing-eu\"; did you mean \"billing-us\"?",
            "grants.toml:2: grant \"billing-attach\": it has expired: not-after is 2027-01-01T00:00:00Z",
            "grants.toml:29: grant \"billing-sign-whole\": it has expired: not-after is 2027-01-01T00:00:00Z",
            "grants.toml:43: grant \"make\": the secret \"k\" is of kind api-key, which does not allow this use; it takes one of kind hmac-key",
            "grants.toml:49: grant \"check\": the secret \"k\" is of kind api-key, which does not allow this use; it takes one of kind hmac-key",
            "grants.toml:55: grant \"who\": there is no policy \"require-client-key\"; add a [[policy]] of that name",
        ]
    );
    let early = parsed().check_at(Timestamp::UNIX_EPOCH, &there);
    assert_eq!(early.len(), 5);
}

#[test]
fn what_happens_with_answers_is_read_written_and_compared() {
    let text = |keys: &str| {
        format!(
            "[[grant]]\nid = \"g\"\npolicy = \"p\"\nsecret = \"short\"\nuse = \"attach\"\n\
             header = \"x-api-key\"\ntemplate = \"{{secret}}\"\n{keys}\
             to = [{{ route = \"billing\", paths = [\"/a\"] }}]\n"
        )
    };
    let grants = |keys: &str| Grants::parse("grants.toml", &text(keys)).unwrap();
    let (usual, strict) = (
        grants(""),
        grants(
            "response = \"status-only\"\nreflected = \"revoke\"\ndecode = true\nretry-on-401 = true\n",
        ),
    );
    let Terms::Attach(placement) = &strict.iter().next().unwrap().terms else {
        panic!("an attach grant");
    };
    assert_eq!(placement.response, ResponseMode::StatusOnly);
    assert_eq!(placement.reflected, WhenReflected::Revoke);
    assert!(placement.decode);
    assert_eq!(placement.retry, RetryOn401::Idempotent);
    let any = grants("retry-any-method = true\nretry-on-401 = true\n");
    for grants in [&usual, &strict, &any] {
        let again = Grants::parse("grants.toml", &grants.to_toml()).unwrap();
        assert!(again.diff(grants).is_empty());
    }
    let effects = |new: &Grants, old: &Grants| -> Vec<Effect> {
        let changes = new.diff(old);
        changes[0].parts.iter().map(|(effect, _)| *effect).collect()
    };
    let (wider, narrower) = (Effect::Wider, Effect::Narrower);
    assert_eq!(effects(&strict, &usual), [narrower, wider, narrower, wider]);
    assert_eq!(effects(&usual, &strict), [wider, narrower, wider, narrower]);
    assert_eq!(effects(&any, &usual), [wider]);

    let secrets = [secret("short", Kind::ApiKey, Uuid::nil())];
    let there = Surroundings {
        secrets: Some(&secrets),
        routes: &[route("billing")],
        policies: &[PolicyName::parse("p").unwrap()],
        revoked: &[],
    };
    let findings = usual.check_against(&there);
    let fault = FindingFault::SecretTooShort(SecretName::parse("short").unwrap());
    assert_eq!(findings[0].fault, fault);
    assert!(strict.check_against(&there).is_empty());

    for keys in [
        "response = \"none\"\n",
        "decode = 1\n",
        "reflected = \"Block\"\n",
        "retry-on-401 = 1\n",
        "retry-any-method = true\n",
    ] {
        let error = Grants::parse("grants.toml", &text(keys)).unwrap_err();
        assert_eq!(error.problems().count(), 1, "{keys}");
    }
}

#[test]
fn all_that_is_wrong_is_reported_at_once_with_its_place() {
    let text = EVERY_USE
        .replace("\"mac-sign\"", "\"mac-sing\"")
        .replace("\"who\"", "\"Who\"")
        .replace("\"X-Api-Key\"", "\"Host\"");
    let error = Grants::parse("grants.toml", &text).unwrap_err();
    let problems: Vec<_> = error
        .problems()
        .map(|(line, column, _)| (line, column))
        .collect();
    assert_eq!(problems, [(8, 10), (47, 7), (56, 6)]);
}

#[test]
fn a_flood_of_problems_is_cut_and_counted() {
    let text = "[[grant]]\n".repeat(40);
    let error = Grants::parse("grants.toml", &text).unwrap_err().to_string();
    assert!(error.ends_with("and 110 more problems"), "{error}");
    let large = "#".repeat(5 << 20);
    let error = Grants::parse("grants.toml", &large)
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("error: the file is too large"));
    assert!(error.len() < 1000, "{}", error.len());
}

/// Pieces from which a fuzzer gets past the TOML parser now and then.
const PIECES: [&str; 24] = [
    "[[grant]]\n",
    "[[grant.to]]\n",
    "id = \"g\"\n",
    "policy = \"p\"\n",
    "secret = \"s\"\n",
    "use = \"attach\"\n",
    "use = \"sign-request\"\n",
    "use = \"identify\"\n",
    "header = \"x\"\n",
    "template = \"a{secret}\"\n",
    "to = [{ route = \"r\", paths = [\"/\"] }]\n",
    "to = []\n",
    "covers = [\"@method\", 7]\n",
    "query = \"q\"\n",
    "not-after = 2027-01-01T00:00:00Z\n",
    "not-after = \"\u{0}\"\n",
    "ü = 'ü'\n",
    "\u{feff}",
    "id = \"\u{1f511}\"\n",
    "max-body-bytes = -1\n",
    "grant = 1\n",
    "route = \"r\"\n",
    "[grant]\n",
    "methods = [\"ü\"]\n",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>()) {
        if let Err(error) = Grants::parse("grants.toml", &text) {
            prop_assert!(error.problems().count() > 0);
        }
    }

    #[test]
    fn no_arrangement_of_pieces_makes_the_parser_panic(
        pieces in proptest::collection::vec((0..PIECES.len(), 0..40usize), 0..30)
    ) {
        // Each piece whole, or cut anywhere.
        let text: String = pieces
            .iter()
            .map(|(piece, cut)| {
                let piece = PIECES[*piece];
                let end = if *cut < 10 { piece.floor_char_boundary(*cut) } else { piece.len() };
                &piece[..end]
            })
            .collect();
        if let Err(error) = Grants::parse("grants.toml", &text) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}

#[test]
fn a_key_that_signs_requests_and_makes_codes_is_found() {
    let text = r#"
[[grant]]
id = "codes"
policy = "p"
secret = "hmac"
use = "mac-sign"
[[grant]]
id = "requests"
policy = "p"
secret = "hmac"
use = "sign-request"
to = [{ route = "billing" }]
"#;
    let grants = Grants::parse("grants.toml", text).unwrap();
    let policies = [PolicyName::parse("p").unwrap()];
    let revoked = [GrantId::parse("codes").unwrap()];
    let there = Surroundings {
        secrets: None,
        routes: &[route("billing")],
        policies: &policies,
        revoked: &revoked,
    };
    let findings = grants.check_against(&there);
    let said: Vec<_> = findings.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "grants.toml:2: grant \"codes\": it is revoked and not in force; remove it, or: keyward grants reinstate codes",
            "grants.toml:7: grant \"requests\": the secret \"hmac\" would sign requests, and by grant \"codes\" any message, so that a policy could make a request's signature itself; the gateway refuses the file; use two keys",
        ]
    );
}

#[test]
fn a_secret_that_can_not_be_used_now_is_found() {
    let grants = Grants::parse(
        "grants.toml",
        "[[grant]]\nid = \"g\"\npolicy = \"p\"\nsecret = \"key\"\nuse = \"mac-sign\"\n",
    )
    .unwrap();
    let time = |text: &str| text.parse::<Timestamp>().unwrap();
    let now = time("2030-01-01T00:00:00Z");
    let said = |state, validity| {
        let mut secret = secret("key", "hmac-key".parse().unwrap(), Uuid::nil());
        secret.state = state;
        secret.versions = vec![crate::VersionInfo {
            number: 1,
            created: Timestamp::UNIX_EPOCH,
            validity,
            state: crate::VersionState::Current,
            accepted_until: None,
        }];
        let secrets = [secret];
        let there = Surroundings {
            secrets: Some(&secrets),
            policies: &[PolicyName::parse("p").unwrap()],
            ..Surroundings::default()
        };
        let findings = grants.check_at(now, &there);
        let texts = findings.iter().map(ToString::to_string);
        texts.collect::<Vec<_>>()
    };
    let (enabled, disabled) = (crate::SecretState::Enabled, crate::SecretState::Disabled);
    let always = crate::Validity::default();
    assert_eq!(said(enabled, always), [""; 0]);
    let head = "grants.toml:1: grant \"g\": the secret \"key\"";
    assert_eq!(
        said(disabled, always),
        [format!(
            "{head} is disabled; to enable it: keyward secret enable key"
        )]
    );
    let from = crate::Validity {
        not_before: Some(time("2030-01-01T00:00:01Z")),
        not_after: None,
    };
    assert_eq!(
        said(enabled, from),
        [format!(
            "{head} is valid from 2030-01-01T00:00:01Z on; to change that: keyward secret validity key"
        )]
    );
    let until = crate::Validity {
        not_before: None,
        not_after: Some(now),
    };
    assert_eq!(
        said(enabled, until),
        [format!(
            "{head} was valid until 2030-01-01T00:00:00Z; give it a new value: keyward secret rotate key"
        )]
    );
}
