//! A secret of each kind, granted to the policy `guest` for each use: what attackers are
//! given, so that they get as far as they can.

use keyward::names::SecretName;
use keyward::vault::{Actor, Grants, Kind, Secret, Vault};

/// What each alias is granted, and for what.
pub(crate) const USES: [(&str, &str, &str); 11] = [
    ("app", "app", "token"),
    ("exchanged", "app", "token"),
    ("tls", "cert", "present"),
    ("jws", "cert", "jws-sign"),
    ("store", "store", "sas"),
    ("parts", "store", "describe"),
    ("aws", "aws", "presign"),
    ("data", "data", "seal"),
    ("data", "data", "open"),
    ("jwt", "jwt", "verify-jwt"),
    ("db", "db", "query"),
];

/// What was planted where secrets are.
pub(crate) const CANARIES: [&str; 3] = [
    "c4n4ry-of-the-client-secret",
    "c4n4ry-of-the-database",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
];

/// The aliases and uses, as a manifest asks for them.
pub(crate) fn asks() -> Vec<(&'static str, &'static str)> {
    USES.map(|(alias, _, use_)| (alias, use_)).to_vec()
}

/// Adds the secrets, and puts the grants in force beside those `before`.
pub(crate) fn grant_all(vault: &Vault, before: &str) {
    let actor = Actor {
        name: "test".to_owned(),
        reason: None,
    };
    let made = rcgen::generate_simple_self_signed(["client.example".to_owned()]).unwrap();
    let certificate = made.cert.pem() + &made.signing_key.serialize_pem();
    let key = data_encoding::BASE64.encode(&[7; 64]);
    let hex = "00112233445566778899aabbccddeeff8f01e233b47516c758f92a9b0c6dde4f";
    let [client, database, aws] = CANARIES;
    for (name, kind, value) in [
        (
            "app",
            "oauth-client",
            format!(r#"{{"client_id":"app","client_secret":"{client}"}}"#),
        ),
        ("cert", "certificate", certificate),
        (
            "store",
            "storage-account",
            format!(
                "DefaultEndpointsProtocol=https;AccountName=acct1;AccountKey={key};\
                 EndpointSuffix=core.windows.net"
            ),
        ),
        (
            "aws",
            "aws-key",
            format!(
                "[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = {aws}\n"
            ),
        ),
        ("data", "data-key", hex[..32].to_owned()),
        ("jwt", "hmac-key", hex.to_owned()),
        (
            "db",
            "database",
            format!("postgres://app:{database}@db.example/orders?sslmode=verify-full"),
        ),
        // There, and granted to nobody.
        ("other", "api-key", "c4n4ry-of-nobody-0123".to_owned()),
    ] {
        let value = Secret::read_from(value.as_bytes(), 1 << 20).unwrap();
        let (name, kind) = (SecretName::parse(name).unwrap(), kind.parse::<Kind>());
        vault.add(&name, kind.unwrap(), value, &actor).unwrap();
    }
    let mut grants = before.to_owned();
    for (index, (alias, secret, use_)) in USES.into_iter().enumerate() {
        let rest = match (alias, use_) {
            ("exchanged", _) => {
                "endpoint = { route = \"identity\", path = \"/token\" }\nflow = \"token-exchange\""
            }
            (_, "token") => "endpoint = { route = \"identity\", path = \"/token\" }",
            (_, "jws-sign") => {
                "algorithm = \"ES256\"\nissuer = \"https://g.example\"\n\
                 audience = \"https://b.example\"\nsubject-prefix = \"user-\"\n\
                 claims = [\"role\", \"groups\"]\nreturns = \"jws\""
            }
            (_, "sas") => {
                "scope = \"resource\"\nservice = \"blob\"\nresource = \"c\"\n\
                 permissions = [\"read\"]"
            }
            (_, "presign") => "region = \"eu-west-1\"\nservice = \"s3\"",
            _ => "",
        };
        let to = match use_ {
            "query" => "to = [{ route = \"db\" }]",
            "token" | "sas" | "presign" => {
                "to = [{ route = \"billing\", paths = [\"/c/{blob}\"] }]"
            }
            "describe" | "seal" | "open" | "verify-jwt" => "",
            _ => "to = [{ route = \"billing\" }]",
        };
        let statement = match use_ {
            "query" => {
                "[[grant.statement]]\nname = \"one\"\nsql = \"SELECT $1\"\nparameters = [\"text\"]\n"
            }
            _ => "",
        };
        grants.push_str(&format!(
            "\n[[grant]]\nid = \"u{index}\"\npolicy = \"guest\"\nsecret = \"{secret}\"\n\
             alias = \"{alias}\"\nuse = \"{use_}\"\n{rest}\n{to}\n{statement}"
        ));
    }
    let grants = Grants::parse("grants.toml", &grants).unwrap();
    vault.set_grants(grants, &actor).unwrap();
}
