//! Named values in the configuration.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::path::Path;

use keyward::engine::ManifestAsk;
use keyward::names::{ComponentDigest, SecretName, ValueName};
use keyward::vault::Grants;

use super::{Config, ConfigErrors, DocumentSteps, Finding, Known, Steps, Values};
use keyward::document::named_values::{NamedValues as _, Requested};
use keyward::names::KeyVaultReference;

fn parse_text(text: &str) -> Result<Config, ConfigErrors> {
    Config::parse(Path::new("/etc/keyward/keyward.toml"), text)
}

/// A file with named values in the places that can have them.
const WITH_VALUES: &str = r#"
[gateway]
listen = "127.0.0.1:{{port}}"
[[route]]
name = "billing"
url = "https://{{host}}/v1"
[[policy]]
name = "p"
component = "{{folder}}/p.wasm"
settings = { alias = "{{key}}", text = "a {{ host }} b", deep = [{ x = "{{host}}" }], "{{host}}" = 1 }
routes = ["{{route}}"]
[[pipeline]]
path = "/{{host}}"
route = "{{route}}"
inbound = ["{{policy}}"]
[[pipeline]]
path = "/documents"
route = "billing"
document = "{{host}}.xml"
"#;

fn values() -> Values {
    let plain = |text: &str| Known::Plain(text.to_owned());
    let all = [
        ("port", plain("8443")),
        ("host", plain("billing.example.com")),
        ("folder", plain("policies")),
        ("route", plain("billing")),
        ("policy", plain("p")),
        ("nested", plain("{{host}}")),
        ("toml", plain("\"]\n[[route]]\nname = \"evil\"\n")),
        ("bad-port", plain("eighty")),
        (
            "key",
            Known::Secret(SecretName::parse("billing-key").unwrap()),
        ),
        ("far", Known::Reference("azure:far".parse().unwrap())),
        ("half", plain("@Microsoft.Key")),
        (
            "stripe",
            Known::Reference("azure:stripe-key".parse().unwrap()),
        ),
    ];
    all.into_iter()
        .map(|(name, value)| (ValueName::parse(name).unwrap(), value))
        .collect()
}

fn with_value(from: &str, to: &str) -> Vec<String> {
    assert!(WITH_VALUES.contains(from), "{from}");
    let text = WITH_VALUES.replacen(from, to, 1);
    let config = match parse_text(&text) {
        Ok(config) => config,
        Err(errors) => return shown(&errors),
    };
    match config.resolve(&values()) {
        Ok(_) => Vec::new(),
        Err(errors) => shown(&errors),
    }
}

fn shown(errors: &ConfigErrors) -> Vec<String> {
    let one = |finding: &Finding| {
        let (line, column) = errors.position(finding.span.start);
        let help = finding.help.as_deref().unwrap_or_default();
        format!("{line}:{column} {} | {help}", finding.message)
    };
    errors.findings().iter().map(one).collect()
}

#[test]
fn named_values_are_put_in_once_they_are_known() {
    let unresolved = parse_text(WITH_VALUES).unwrap();
    let names: Vec<&str> = unresolved
        .unresolved
        .iter()
        .map(|place| place.name.as_str())
        .collect();
    assert_eq!(names.len(), 11, "{names:?}");
    // All but those in settings say where requests go or what runs.
    let steering = unresolved.unresolved.iter().filter(|place| place.steers);
    let mut steering: Vec<&str> = steering.map(|place| place.name.as_str()).collect();
    steering.sort_unstable();
    assert_eq!(
        steering,
        [
            "folder", "host", "host", "host", "policy", "port", "route", "route"
        ]
    );
    assert_eq!(unresolved.routes.len(), 0);
    assert_eq!(unresolved.route_names.len(), 1);
    assert!(unresolved.policies[0].unresolved);
    assert_eq!(unresolved.pipelines.len(), 1);

    let config = unresolved.resolve(&values()).unwrap();
    assert!(config.unresolved.is_empty());
    assert_eq!(config.gateway.listen, "127.0.0.1:8443".parse().unwrap());
    assert_eq!(config.routes[0].authority(), "billing.example.com");
    let policy = &config.policies[0];
    assert!(!policy.unresolved);
    assert_eq!(policy.component, Path::new("/etc/keyward/policies/p.wasm"));
    assert_eq!(policy.routes[0].as_str(), "billing");
    assert_eq!(
        policy.settings,
        serde_json::json!({
            "text": "a billing.example.com b",
            "deep": [{ "x": "billing.example.com" }],
            "{{host}}": 1,
        })
    );
    let secret = &policy.secret_settings[0];
    assert_eq!(
        (
            secret.setting.as_str(),
            secret.written.as_str(),
            secret.secret.as_str()
        ),
        ("alias", "the named value \"key\"", "billing-key")
    );
    let paths: Vec<String> = config
        .pipelines
        .iter()
        .map(|pipeline| pipeline.path.to_string())
        .collect();
    assert_eq!(paths, ["/billing.example.com", "/documents"]);
    assert_eq!(
        config.pipelines[1].steps,
        Steps::Documents(DocumentSteps {
            files: vec!["/etc/keyward/billing.example.com.xml".into()],
            runs_as: keyward::names::PolicyName::parse("document").unwrap(),
            facts: Vec::new(),
            subscription_required: None,
        })
    );
    // Resolving again, with other values, starts from the file.
    assert!(config.resolve(&Values::default()).is_err());
}

#[test]
fn a_value_changes_neither_the_structure_nor_another_value() {
    for value in ["nested", "toml"] {
        let text = WITH_VALUES.replacen("a {{ host }} b", &format!("{{{{{value}}}}}"), 1);
        let config = parse_text(&text).unwrap().resolve(&values()).unwrap();
        assert_eq!(config.route_names.len(), 1);
        let text = config.policies[0].settings["text"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(
            text.starts_with("{{host}}") || text.starts_with("\"]"),
            "{text}"
        );
    }
}

#[test]
fn what_a_value_brings_is_judged_as_if_it_stood_there() {
    assert_eq!(
        with_value("{{port}}", "{{bad-port}}"),
        [
            "3:10 `listen` is not an address and a port | write an IP address and a port: \"127.0.0.1:8080\", \"[::1]:8080\", \"0.0.0.0:8080\" for all addresses\nthe text here comes from the named value \"bad-port\""
        ]
    );
    assert_eq!(
        with_value("route = \"{{route}}\"", "route = \"{{host}}\""),
        [
            "14:9 unknown route \"billing.example.com\" | define it with [[route]], or use one of: billing\nthe text here comes from the named value \"host\""
        ]
    );
    let said = with_value("https://{{host}}", "https://{{toml}}");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("6:7 `url`: "), "{said:?}");
}

#[test]
fn what_is_no_text_is_an_error_that_names_the_value_and_the_place() {
    assert_eq!(
        with_value("https://{{host}}", "https://{{hots}}"),
        ["6:16 there is no named value \"hots\" | did you mean \"host\"?"]
    );
    assert_eq!(
        with_value("https://{{host}}", "https://{{key}}"),
        [
            "6:16 the named value \"key\" is secret; it can stand only where a policy asks for a secret | it can be the whole of a policy's setting in which the policy names a secret's alias; the secret is \"billing-key\""
        ]
    );
    for (from, to) in [
        ("a {{ host }} b", "Bearer {{key}}"),
        ("x = \"{{host}}\"", "x = \"{{key}}\""),
    ] {
        let said = with_value(from, to);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("\"key\" is secret"), "{said:?}");
    }
    let said = with_value("{{folder}}", "{{far}}");
    assert_eq!(
        said,
        [
            "9:14 the named value \"far\" is a reference to a secret; it can stand only where a policy asks for a secret | no secret gets its values from there; add one, and grant it: keyward secret set NAME --kind KIND --from azure:far"
        ]
    );
}

#[test]
fn what_is_read_before_the_vault_or_named_by_others_holds_no_named_value() {
    for (from, to, place) in [
        (
            "[[route]]",
            "[vault]\nfile = \"{{folder}}/v\"\n[[route]]",
            "5:9",
        ),
        (
            "[[route]]",
            "[control]\nsocket = \"{{folder}}/s\"\n[[route]]",
            "5:11",
        ),
        (
            "[[route]]",
            "[grants]\nfile = \"{{folder}}/g\"\n[[route]]",
            "5:9",
        ),
        ("name = \"billing\"", "name = \"{{route}}\"", "5:9"),
    ] {
        let said = with_value(from, to);
        let expected = format!("{place} a named value can't stand here");
        assert!(
            said.iter().any(|said| said.starts_with(&expected)),
            "{said:?}"
        );
    }
}

#[test]
fn a_secret_value_becomes_the_alias_under_which_it_is_granted() {
    let config = parse_text(WITH_VALUES).unwrap().resolve(&values()).unwrap();
    let asks: Vec<ManifestAsk> = serde_json::from_str(
        r#"[{"alias":"backend","setting":"alias","use":"attach","why":"because"}]"#,
    )
    .unwrap();
    let component = ComponentDigest::from_bytes([1; 32]);
    let grant = |id: &str, alias: &str| {
        format!(
            "[[grant]]\nid = \"{id}\"\npolicy = \"p\"\nsecret = \"billing-key\"\nalias = \"{alias}\"\nuse = \"attach\"\nheader = \"x-a\"\nto = [{{ route = \"billing\", paths = [\"/\"] }}]\n"
        )
    };
    let bind = |grants: &str, asks: &[ManifestAsk]| {
        let grants = Grants::parse("grants.toml", grants).unwrap();
        let bound = config.bind(&config.policies[0], &component, asks, &grants);
        bound.map(|settings| settings["alias"].as_str().unwrap().to_owned())
    };
    assert_eq!(bind(&grant("a", "key"), &asks).unwrap(), "key");
    let two = grant("a", "key") + &grant("b", "backend");
    assert_eq!(bind(&two, &asks).unwrap(), "backend");
    let two = grant("a", "one") + &grant("b", "other");
    let said = shown(&bind(&two, &asks).unwrap_err());
    assert!(
        said[0].contains("under several aliases | write the one that is meant: one, other"),
        "{said:?}"
    );
    // Not granted: the grant that would do, ready to paste.
    let other = grant("a", "key").replace("billing-key", "another");
    for grants in ["", other.as_str()] {
        let said = shown(&bind(grants, &asks).unwrap_err());
        let (head, toml) = said[0].split_once("decided:\n\n").unwrap();
        assert!(
            head.starts_with(
                "10:22 the named value \"key\" is secret, and policy p is not granted"
            ),
            "{head}"
        );
        let suggested = Grants::parse("grants.toml", toml).unwrap();
        assert_eq!(
            suggested.iter().next().unwrap().secret.as_str(),
            "billing-key"
        );
        assert!(bind(toml, &asks).is_ok());
    }
    let said = shown(&bind(&grant("a", "key"), &[]).unwrap_err());
    assert!(said[0].contains("`alias` is no such setting"), "{said:?}");
}

/// A file with two key vaults, in which a text is to be put for the alias.
fn with_vaults(alias: &str) -> String {
    let vault = |name: &str, vault: &str| {
        format!(
            "[sources.{name}]\nkind = \"key-vault\"\nvault = \"{vault}\"\ntenant = \"72f988bf-86f1-41af-91ab-2d7cd011db47\"\n"
        )
    };
    format!(
        "[gateway]\nlisten = \"127.0.0.1:1\"\n[[policy]]\nname = \"p\"\ncomponent = \"p.wasm\"\nsettings = {{ alias = {alias} }}\n{}{}",
        vault("azure", "https://shop.vault.azure.net"),
        vault("other", "https://other.vault.azure.net:8443"),
    )
}

/// Values, where `billing-key` comes from `azure:stripe-key`, and two from
/// `azure:twice`.
fn fetched() -> Values {
    let origins = [
        ("billing-key", "azure:stripe-key"),
        ("one", "azure:twice"),
        ("two", "azure:twice"),
    ];
    let mut values = values();
    for (secret, origin) in origins {
        values.fetch(SecretName::parse(secret).unwrap(), &origin.parse().unwrap());
    }
    values
}

/// What a setting is bound to, or what is said.
fn bound(alias: &str) -> Result<(String, String), String> {
    let config = parse_text(&with_vaults(alias)).map_err(|errors| shown(&errors).join("\n"))?;
    assert_eq!(config.unresolved.len(), 1, "{alias}");
    let settings = config.policies[0].settings.to_string();
    assert!(!settings.contains("@Microsoft"), "{settings}");
    let config = config.resolve(&fetched());
    let config = config.map_err(|errors| shown(&errors).join("\n"))?;
    let secret = &config.policies[0].secret_settings[0];
    Ok((secret.written.clone(), secret.secret.to_string()))
}

#[test]
fn a_reference_stands_for_the_secret_that_comes_from_there() {
    for (alias, written) in [
        (
            "\"@Microsoft.KeyVault(VaultName=shop;SecretName=stripe-key)\"",
            "azure:stripe-key",
        ),
        (
            "\"@Microsoft.KeyVault(SecretUri=https://shop.vault.azure.net/secrets/stripe-key/)\"",
            "azure:stripe-key",
        ),
        ("\"{{stripe}}\"", "the named value \"stripe\""),
    ] {
        let expected = (written.to_owned(), "billing-key".to_owned());
        assert_eq!(bound(alias), Ok(expected), "{alias}");
    }
}

#[test]
fn a_reference_that_leads_nowhere_is_an_error_with_what_to_do() {
    let key_vault = |inside: &str| format!("\"@Microsoft.KeyVault({inside})\"");
    for (alias, words) in [
        (
            key_vault("VaultName=shop;SecretName=unknown"),
            "6:22 azure:unknown is a reference, and no secret gets its values from azure:unknown | no secret gets its values from there; add one, and grant it: keyward secret set NAME --kind KIND --from azure:unknown",
        ),
        (
            key_vault("VaultName=shop;SecretName=twice"),
            "6:22 azure:twice is a reference, and several secrets get their values from azure:twice | say which is meant with a named value: keyward value set NAME --secret, with one of one, two",
        ),
        (
            key_vault("VaultName=evil;SecretName=stripe-key"),
            "6:22 no source of kind \"key-vault\" is the vault evil, so it is not asked | if it may be, add to keyward.toml:\n\n[sources.evil]\nkind = \"key-vault\"\nvault = \"https://evil.vault.azure.net\"\n",
        ),
        (
            key_vault("SecretUri=https://shop.vault.azure.net:444/secrets/stripe-key"),
            "6:22 no source of kind \"key-vault\" is the vault shop.vault.azure.net:444",
        ),
        (
            key_vault("SecretUri=http://shop.vault.azure.net/secrets/stripe-key"),
            "6:53 the URI has to start with https://",
        ),
        (
            "\"Bearer @Microsoft.KeyVault(VaultName=shop;SecretName=stripe-key)\"".to_owned(),
            "6:23 a Key Vault reference is the whole of a value",
        ),
        (
            "{ deep = \"@Microsoft.KeyVault(VaultName=shop;SecretName=stripe-key)\" }".to_owned(),
            "6:31 a Key Vault reference can't stand here | it can be the whole of a policy's setting",
        ),
    ] {
        let said = bound(&alias).unwrap_err();
        assert!(said.starts_with(words), "{alias}:\n{said}");
        assert!(!said.contains("SecretName="), "{said}");
    }
}

#[test]
fn a_reference_is_a_text_nowhere() {
    let reference = "@Microsoft.KeyVault(VaultName=shop;SecretName=stripe-key)";
    for (from, to) in [
        ("https://{{host}}/v1", reference.to_owned()),
        ("{{folder}}/p.wasm", reference.to_owned()),
        ("name = \"billing\"", format!("name = \"{reference}\"")),
        ("x = \"{{host}}\"", format!("x = \"a {reference}\"")),
        ("a {{ host }} b", format!("a {reference}")),
        // Put together out of named values.
        (
            "a {{ host }} b",
            "{{half}}Vault(VaultName=shop;SecretName=a)".to_owned(),
        ),
        (
            "[[route]]",
            format!("[vault]\nfile = \"{reference}\"\n[[route]]"),
        ),
        (
            "[[route]]",
            format!("[grants]\nfile = \"{reference}\"\n[[route]]"),
        ),
    ] {
        let said = with_value(from, &to);
        assert!(
            said.iter().any(|said| said.contains("Key Vault reference")),
            "{to}: {said:?}"
        );
    }
    // Control: the same text without what makes it a reference is taken.
    assert_eq!(
        with_value("a {{ host }} b", "a Microsoft.KeyVault(x)"),
        [""; 0]
    );
}

/// What documents are told of a reference, where these are listed.
fn requested(references: &str, reference: &str) -> Requested {
    let text = format!(
        "{}[documents]\nreferences = {references}\n",
        with_vaults("\"x\"")
    );
    let config = parse_text(&text).unwrap();
    let reference = KeyVaultReference::parse(reference).unwrap();
    let told = |values| config.in_documents(values).request(&reference);
    let later = told(None);
    match told(Some(&fetched())) {
        refused @ Requested::Refused { .. } => {
            // What the file alone says needs no vault.
            let only_in_vault = matches!(later, Requested::Later);
            assert!(later == refused || only_in_vault);
            refused
        }
        other => {
            assert_eq!(later, Requested::Later);
            other
        }
    }
}

#[test]
fn a_document_gets_what_its_operator_lists_and_nothing_else() {
    let stripe = "@Microsoft.KeyVault(VaultName=shop;SecretName=stripe-key)";
    let refused = |why: &str, help: &str| Requested::Refused {
        why: why.to_owned(),
        help: help.to_owned(),
    };
    assert_eq!(
        requested("[\"azure:stripe-key\"]", stripe),
        Requested::Secret("billing-key".to_owned())
    );
    assert_eq!(
        requested("[\"azure:twice\"]", stripe),
        refused(
            "keyward.toml does not list azure:stripe-key for documents",
            "let the operator write in its section [documents]: references = [\"azure:twice\", \"azure:stripe-key\"]",
        )
    );
    // The same name in another vault, and another version, are other secrets.
    for other in [
        "@Microsoft.KeyVault(SecretUri=https://other.vault.azure.net:8443/secrets/stripe-key)",
        "@Microsoft.KeyVault(VaultName=shop;SecretName=stripe-key;SecretVersion=0123456789abcdef0123456789abcdef)",
    ] {
        let said = requested("[\"azure:stripe-key\"]", other);
        assert!(
            matches!(&said, Requested::Refused { why, .. } if why.contains("does not list")),
            "{said:?}"
        );
    }
    let unlisted = requested(
        "[]",
        "@Microsoft.KeyVault(VaultName=elsewhere;SecretName=stripe-key)",
    );
    assert!(matches!(unlisted, Requested::Refused { .. }));
    // Listed, and no secret, or several, come from there.
    let nobody = requested(
        "[\"azure:far\"]",
        "@Microsoft.KeyVault(VaultName=shop;SecretName=far)",
    );
    assert!(
        matches!(&nobody, Requested::Refused { help, .. } if help.contains("--from azure:far")),
        "{nobody:?}"
    );
    let twice = requested(
        "[\"azure:twice\"]",
        "@Microsoft.KeyVault(VaultName=shop;SecretName=twice)",
    );
    assert!(
        matches!(&twice, Requested::Refused { why, .. } if why.contains("several")),
        "{twice:?}"
    );
}

#[test]
fn the_list_for_documents_names_sources_that_there_are() {
    let said = |references: &str| {
        let text = format!(
            "{}[documents]\nreferences = {references}\n",
            with_vaults("\"x\"")
        );
        shown(&parse_text(&text).unwrap_err()).join("\n")
    };
    assert!(said("[\"nowhere:key\"]").contains("no source \"nowhere\""));
    assert!(said("[\"azure\"]").contains("`references`: "));
    assert!(said("[\"azure:{{key}}\"]").contains("a named value can't stand here"));
    assert!(
        said("[\"@Microsoft.KeyVault(VaultName=shop;SecretName=a)\"]").contains("can't stand here")
    );
}
