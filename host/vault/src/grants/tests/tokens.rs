//! Grants of certificates: shown, and signing tokens.

use super::check_error as check;
use super::*;
use crate::{JwsAlgorithm, KeyId, SubjectRule, Terms};

const TOKENS: &str = r#"
[[grant]]
id = "tokens"
policy = "p"
secret = "cert"
use = "jws-sign"
algorithm = "ES256"
issuer = "https://gateway.example"
audience = ["https://b.example", "https://a.example"]
subject-prefix = "user:"
claims = ["tenant", "role"]
lifetime-seconds = 120
key-id = "text:abc"
header = "x-token"
template = "JWT {token};v=1"
returns = "jws"
to = [{ route = "billing" }]

[[grant]]
id = "shown"
policy = "p"
secret = "cert"
use = "present"
to = [{ route = "billing", methods = ["GET"] }]
"#;

fn parsed(text: &str) -> Grants {
    Grants::parse("grants.toml", text)
        .map_err(|error| format!("{error}"))
        .unwrap()
}

#[test]
fn grants_of_certificates_read_as_they_are_written() {
    let grants = parsed(TOKENS);
    let of = |id: &str| grants.iter().find(|grant| grant.id.as_str() == id).unwrap();
    let Terms::JwsSign(terms) = &of("tokens").terms else {
        panic!("another use");
    };
    assert_eq!(terms.algorithm, JwsAlgorithm::Es256);
    assert_eq!(terms.audience, ["https://b.example", "https://a.example"]);
    assert_eq!(terms.subject, SubjectRule::Prefixed("user:".to_owned()));
    assert_eq!(terms.claims, ["tenant", "role"]);
    assert_eq!(terms.lifetime_seconds, 120);
    assert_eq!(terms.key_id, KeyId::Text("abc".to_owned()));
    assert_eq!((&*terms.prefix, &*terms.suffix), ("JWT ", ";v=1"));
    assert!(terms.returns);
    assert_eq!(of("shown").terms, Terms::Present);
    // Written out, they are the same.
    let again = parsed(&grants.to_toml());
    let both = grants.iter().zip(again.iter());
    assert!(both.into_iter().all(|(one, other)| one == other));
    assert!(again.diff(&grants).is_empty());
}

#[test]
fn what_a_token_may_say_beyond_before_is_wider() {
    let before = parsed(TOKENS);
    for (old, new, wider) in [
        ("lifetime-seconds = 120", "lifetime-seconds = 60", false),
        ("lifetime-seconds = 120", "lifetime-seconds = 121", true),
        (r#"["tenant", "role"]"#, r#"["role"]"#, false),
        (r#"["tenant", "role"]"#, r#"["tenant", "role", "x"]"#, true),
        (r#""https://b.example", "#, "", false),
        (r#""https://b.example", "#, r#""https://c.example", "#, true),
        (r#""user:""#, r#""user:a""#, false),
        (r#""user:""#, r#""""#, true),
        ("subject-prefix = \"user:\"\n", "", false),
        ("https://gateway.example", "https://other.example", true),
        ("ES256", "ES384", true),
        ("returns = \"jws\"\n", "", false),
        ("x-token", "x-other", true),
    ] {
        let after = parsed(&TOKENS.replacen(old, new, 1));
        let changes = after.diff(&before);
        assert_eq!(changes.len(), 1, "{old} -> {new}");
        let widens = changes.iter().any(|change| change.widens());
        assert_eq!(widens, wider, "{old} -> {new}");
    }
}

#[test]
fn an_algorithm_and_claims_that_there_are_not_are_shown() {
    check(
        r#"
[[grant]]
id = "g"
policy = "p"
secret = "cert"
use = "jws-sign"
algorithm = "HS256"
issuer = "i"
audience = []
claims = ["tenant", "sub"]
to = [{ route = "billing" }]
"#,
        r#"
error: unknown "algorithm": "HS256"; did you mean "ES256"?
 --> grants.toml:6:13
  |
6 | algorithm = "HS256"
  |             ^^^^^^^ not valid
  |
  = help: one of: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA

error: "audience" must have 1 to 32 texts
 --> grants.toml:8:12
  |
8 | audience = []
  |            ^^ not so many

error: the claim is the host's own
 --> grants.toml:9:21
  |
9 | claims = ["tenant", "sub"]
  |                     ^^^^^ not valid
  |
  = help: iss, sub, aud, exp, nbf, iat, jti and cnf are made from the grant's other keys
"#,
    );
}

#[test]
fn a_key_that_can_not_do_what_a_grant_says_is_found() {
    let remote = |cache| crate::Origin {
        reference: "bao:transit/key".parse().unwrap(),
        cache,
    };
    let of = |text: &str, info: SecretInfo| -> Vec<String> {
        let there = Surroundings {
            secrets: Some(&[info]),
            routes: &[route("billing")],
            policies: &[PolicyName::parse("p").unwrap()],
            revoked: &[],
        };
        let findings = parsed(text).check_at(Timestamp::UNIX_EPOCH, &there);
        findings.iter().map(ToString::to_string).collect()
    };
    let with = |name: &str, kind, key| SecretInfo {
        key,
        ..secret(name, kind, Uuid::nil())
    };

    let signs = TOKENS.split("\n[[grant]]\nid = \"shown\"").next().unwrap();
    let certificate = |key| with("cert", Kind::Certificate, Some(key));
    assert_eq!(
        of(signs, certificate(crate::KeyAlgorithm::Rsa)),
        [
            "grants.toml:2: grant \"tokens\": ES256 takes a key of P-256, and the certificate \"cert\" has one of RSA, so every use is refused; with that, algorithm is RS256 or RS384 or RS512 or PS256 or PS384 or PS512"
        ]
    );
    assert_eq!(of(signs, certificate(crate::KeyAlgorithm::P256)), [""; 0]);

    let token = |auth: &str| {
        let id = match auth.starts_with("client_secret") {
            true => "",
            false => "client-id = \"app-1\"\n",
        };
        format!(
            "[[grant]]\nid = \"t\"\npolicy = \"p\"\nsecret = \"client\"\nuse = \"token\"\n\
             auth = \"{auth}\"\n{id}endpoint = {{ route = \"billing\", path = \"/token\" }}\n\
             to = [{{ route = \"billing\", paths = [\"/a\"] }}]\n"
        )
    };
    let client = || with("client", Kind::OauthClient, None);
    let certificate = || with("client", Kind::Certificate, None);
    assert_eq!(
        of(&token("private_key_jwt"), client()),
        [
            "grants.toml:1: grant \"t\": private_key_jwt takes a secret of kind certificate, and \"client\" is of kind oauth-client, so no token can be had; with that, auth is client_secret_basic or client_secret_post"
        ]
    );
    assert_eq!(of(&token("client_secret_post"), certificate()).len(), 1);
    assert_eq!(of(&token("client_secret_post"), client()), [""; 0]);
    assert_eq!(of(&token("tls_client_auth"), certificate()), [""; 0]);

    let attach = "[[grant]]\nid = \"a\"\npolicy = \"p\"\nsecret = \"k\"\nuse = \"attach\"\n\
                  form = { key = \"{secret}\" }\n\
                  to = [{ route = \"billing\", methods = [\"POST\"], paths = [\"/a\"] }]\n";
    let from = |kind, cache| SecretInfo {
        origin: Some(remote(cache)),
        ..secret("k", kind, Uuid::nil())
    };
    let present = attach
        .replace("attach\"", "present\"")
        .replace("form = { key = \"{secret}\" }\n", "");
    assert_eq!(
        of(&present, from(Kind::Certificate, crate::Cache::Remote)),
        [
            "grants.toml:1: grant \"a\": the key of \"k\" stays in its source and its certificate is not here, so every use is refused; put the chain here: keyward secret rotate k --from-file CHAIN.pem"
        ]
    );
    let memory = crate::Cache::Memory;
    assert_eq!(of(&present, from(Kind::Certificate, memory)), [""; 0]);
    assert_eq!(of(attach, from(Kind::ApiKey, memory)), [""; 0]);

    let query = "[[grant]]\nid = \"q\"\npolicy = \"p\"\nsecret = \"k\"\nuse = \"query\"\n\
                 to = [{ route = \"billing\" }]\n\
                 [[grant.statement]]\nname = \"one\"\nsql = \"SELECT 1\"\n";
    let found = of(query, secret("k", Kind::ConnectionString, Uuid::nil()));
    assert_eq!(
        found,
        [
            "grants.toml:1: grant \"q\": the secret \"k\" is of kind connection-string, which does not allow this use; it takes one of kind database"
        ]
    );
}
