//! Both forms as they are written, and each way to write neither.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use proptest::prelude::*;

use super::KeyVaultFault as Fault;
use super::*;

const VERSION: &str = "0123456789abcdef0123456789abcdef";

fn at(host: &str, port: u16) -> KeyVault {
    let host = host.to_owned();
    KeyVault::At { host, port }
}

#[track_caller]
fn check(text: &str, vault: KeyVault, key: &str) {
    let read = KeyVaultReference::parse(text).unwrap_or_else(|errors| panic!("{text}: {errors}"));
    assert_eq!((read.vault(), read.key().as_str()), (&vault, key), "{text}");
    assert_eq!(
        KeyVaultReference::parse(&read.to_string()),
        Ok(read),
        "{text}"
    );
}

/// Each mistake as the part of the text that it is about.
#[track_caller]
fn mistakes(text: &str) -> Vec<(&str, Fault)> {
    let errors = KeyVaultReference::parse(text).unwrap_err();
    let said = |mistake: &KeyVaultMistake| (text.get(mistake.span.clone()).unwrap(), mistake.fault);
    errors.iter().map(said).collect()
}

#[test]
fn both_forms_name_a_secret() {
    let shop = || at("shop.vault.azure.net", 443);
    let uri = "@Microsoft.KeyVault(SecretUri=https://shop.vault.azure.net/secrets/stripe-key";
    check(&format!("{uri})"), shop(), "stripe-key");
    check(&format!("{uri}/)"), shop(), "stripe-key");
    check(
        &format!("{uri}/{VERSION})"),
        shop(),
        &format!("stripe-key/{VERSION}"),
    );
    check(
        &format!("{uri}/{VERSION}/)"),
        shop(),
        &format!("stripe-key/{VERSION}"),
    );
    let named =
        |rest: &str| format!("@Microsoft.KeyVault(VaultName=shop;SecretName=stripe-key{rest})");
    let shop = || KeyVault::Named("shop".to_owned());
    check(&named(""), shop(), "stripe-key");
    check(&named(";"), shop(), "stripe-key");
    check(&named(";SecretVersion="), shop(), "stripe-key");
    check(
        &named(&format!(";SecretVersion={VERSION}")),
        shop(),
        &format!("stripe-key/{VERSION}"),
    );
}

#[test]
fn case_and_space_are_left_to_who_writes() {
    let shop = || KeyVault::Named("shop".to_owned());
    check(
        " @microsoft.keyvault( secretname = a ; VAULTNAME=Shop ) ",
        shop(),
        "a",
    );
    check(
        "@Microsoft.KeyVault(SECRETURI=HTTPS://Shop.Vault.Azure.NET/secrets/A)",
        at("shop.vault.azure.net", 443),
        "A",
    );
    check(
        "@Microsoft.KeyVault(SecretUri=https://localhost:8443/secrets/a)",
        at("localhost", 8443),
        "a",
    );
}

#[test]
fn each_mistake_is_told_with_its_place() {
    let uri = |uri: &str| format!("@Microsoft.KeyVault(SecretUri={uri})");
    for (text, span, fault) in [
        ("", "", Fault::Start),
        (
            "Microsoft.KeyVault(x)",
            "Microsoft.KeyVault(x)",
            Fault::Start,
        ),
        ("@Microsoft.KeyVault", "@Microsoft.KeyVault", Fault::Start),
        (
            "@Microsoft.KeyVault (x)",
            "@Microsoft.KeyVault (x)",
            Fault::Start,
        ),
        (
            "Bearer @Microsoft.KeyVault(x)",
            "Bearer @Microsoft.KeyVault(x)",
            Fault::Start,
        ),
        (
            "@Microsoft.KeyVault(VaultName=shop",
            "@Microsoft.KeyVault(VaultName=shop",
            Fault::Open,
        ),
        ("@Microsoft.KeyVault()", "", Fault::Form),
        ("@Microsoft.KeyVault(shop)", "shop", Fault::Form),
        (
            "@Microsoft.KeyVault(;VaultName=shop;SecretName=a)",
            "",
            Fault::Form,
        ),
        (
            "@Microsoft.KeyVault(VaultName=shop;SecretName=a)b",
            "b",
            Fault::Rest,
        ),
        (
            "@Microsoft.KeyVault(VaultName=shop;SecretName=a))",
            ")",
            Fault::Rest,
        ),
        (
            "@Microsoft.KeyVault(VaultName=shop;SecretName=a;Identity=b)",
            "Identity",
            Fault::UnknownPart,
        ),
        (
            "@Microsoft.KeyVault(VaultName=shop;SecretName=a;secretname=b)",
            "secretname=b",
            Fault::Second,
        ),
        (
            "@Microsoft.KeyVault(SecretName=a)",
            "SecretName=a",
            Fault::Missing("VaultName"),
        ),
        (
            "@Microsoft.KeyVault(VaultName=shop)",
            "VaultName=shop",
            Fault::Missing("SecretName"),
        ),
        (
            "@Microsoft.KeyVault(VaultName=evil.com/;SecretName=a)",
            "evil.com/",
            Fault::VaultName,
        ),
        (
            "@Microsoft.KeyVault(VaultName=ab;SecretName=a)",
            "ab",
            Fault::VaultName,
        ),
        (
            "@Microsoft.KeyVault(VaultName=shop;SecretName=a/../b)",
            "a/../b",
            Fault::SecretName,
        ),
        (
            "@Microsoft.KeyVault(VaultName=shop;SecretName=)",
            "",
            Fault::SecretName,
        ),
        (
            "@Microsoft.KeyVault(VaultName=shop;SecretName=a;SecretVersion=1)",
            "1",
            Fault::SecretVersion,
        ),
    ] {
        assert_eq!(mistakes(text), [(span, fault)], "{text}");
    }
    for (text, span, fault) in [
        (
            "http://shop.vault.azure.net/secrets/a",
            "http://shop.vault.azure.net/secrets/a",
            Fault::Scheme,
        ),
        (
            "shop.vault.azure.net/secrets/a",
            "shop.vault.azure.net/secrets/a",
            Fault::Scheme,
        ),
        (
            "https:/shop.vault.azure.net/secrets/a",
            "https:/shop.vault.azure.net/secrets/a",
            Fault::Scheme,
        ),
        (
            "https:\\\\shop.vault.azure.net/secrets/a",
            "https:\\\\shop.vault.azure.net/secrets/a",
            Fault::Scheme,
        ),
        (
            "https://shop.vault.azure.net@evil.example/secrets/a",
            "shop.vault.azure.net@",
            Fault::UserInfo,
        ),
        (
            "https://u:p@shop.vault.azure.net/secrets/a",
            "u:p@",
            Fault::UserInfo,
        ),
        ("https:///secrets/a", "", Fault::Host),
        (
            "https://shop.vault.azure.net./secrets/a",
            "shop.vault.azure.net.",
            Fault::Host,
        ),
        (
            "https://shop.vault.azure.net\\evil/secrets/a",
            "shop.vault.azure.net\\evil",
            Fault::Host,
        ),
        (
            "https://shop%2evault.azure.net/secrets/a",
            "shop%2evault.azure.net",
            Fault::Host,
        ),
        (
            "https://shоp.vault.azure.net/secrets/a",
            "shоp.vault.azure.net",
            Fault::Host,
        ),
        ("https://[::1]/secrets/a", ":1]", Fault::Port),
        ("https://shop.vault.azure.net:/secrets/a", "", Fault::Port),
        ("https://shop.vault.azure.net:0/secrets/a", "0", Fault::Port),
        (
            "https://shop.vault.azure.net:+443/secrets/a",
            "+443",
            Fault::Port,
        ),
        (
            "https://shop.vault.azure.net:65536/secrets/a",
            "65536",
            Fault::Port,
        ),
        (
            "https://shop.vault.azure.net/secrets/a?api-version=7.4",
            "?api-version=7.4",
            Fault::Query,
        ),
        (
            "https://shop.vault.azure.net/secrets/a#b",
            "#b",
            Fault::Fragment,
        ),
        ("https://shop.vault.azure.net", "", Fault::Path),
        ("https://shop.vault.azure.net/", "", Fault::Path),
        (
            "https://shop.vault.azure.net/secrets",
            "secrets",
            Fault::Path,
        ),
        (
            "https://shop.vault.azure.net/Secrets/a",
            "Secrets/a",
            Fault::Path,
        ),
        (
            "https://shop.vault.azure.net//secrets/a",
            "/secrets/a",
            Fault::Path,
        ),
        (
            "https://shop.vault.azure.net/deletedsecrets/a",
            "deletedsecrets/a",
            Fault::Path,
        ),
        (
            "https://shop.vault.azure.net/keys/a",
            "keys",
            Fault::NotASecret,
        ),
        (
            "https://shop.vault.azure.net/certificates/a",
            "certificates",
            Fault::NotASecret,
        ),
        (
            "https://shop.vault.azure.net/secrets/a%2fb",
            "a%2fb",
            Fault::SecretName,
        ),
        (
            "https://shop.vault.azure.net/secrets/..",
            "..",
            Fault::SecretName,
        ),
        (
            "https://shop.vault.azure.net/secrets/a/1",
            "1",
            Fault::SecretVersion,
        ),
    ] {
        let text = uri(text);
        assert_eq!(mistakes(&text), [(span, fault)], "{text}");
    }
    let long = uri(&"x".repeat(1024));
    assert_eq!(mistakes(&long), [(long.as_str(), Fault::TooLong)]);
}

#[test]
fn several_mistakes_are_told_at_once() {
    assert_eq!(
        mistakes("@Microsoft.KeyVault(VaultName=x;SecretName=a b)y"),
        [
            ("x", Fault::VaultName),
            ("a b", Fault::SecretName),
            ("y", Fault::Rest)
        ]
    );
    let both = "@Microsoft.KeyVault(SecretUri=http://x;VaultName=shop)";
    let inside = "SecretUri=http://x;VaultName=shop";
    assert_eq!(
        mistakes(both),
        [(inside, Fault::BothForms), ("http://x", Fault::Scheme)]
    );
    let said =
        KeyVaultReference::parse("@Microsoft.KeyVault(VaultName=x;SecretName=a)").unwrap_err();
    assert_eq!(
        said.to_string(),
        "not a Key Vault reference: at byte 31: the name of a vault has 3 to 24 of A-Z, a-z, 0-9 and `-`, a letter first"
    );
}

#[test]
fn what_is_meant_as_a_reference_is_found_wherever_it_stands() {
    for text in [
        "@Microsoft.KeyVault(VaultName=shop;SecretName=a)",
        "Bearer @microsoft.keyvault(",
        "ä@MICROSOFT.KEYVAULT",
    ] {
        assert!(KeyVaultReference::is_meant_by(text), "{text}");
    }
    for text in [
        "",
        "@Microsoft.KeyVaul",
        "Microsoft.KeyVault(x)",
        "@(context)",
    ] {
        assert!(!KeyVaultReference::is_meant_by(text), "{text}");
    }
    assert!(KeyVaultReference::is_in(b"\xff@Microsoft.KeyVault\xff"));
}

#[test]
fn only_a_vault_that_is_listed_is_a_source() {
    let names = ["shop", "other", "twin"].map(|name| SourceName::parse(name).unwrap());
    let [shop, other, twin] = &names;
    let listed = [
        (shop, "Shop.vault.azure.net", 443),
        (other, "other.vault.azure.net", 8443),
        (twin, "other.vault.azure.cn", 443),
    ];
    let source = |inside: &str| {
        let text = format!("@Microsoft.KeyVault({inside})");
        KeyVaultReference::parse(&text).unwrap().source(listed)
    };
    assert_eq!(
        source("SecretUri=https://shop.vault.azure.net/secrets/a"),
        Ok(shop)
    );
    assert_eq!(
        source("SecretUri=https://other.vault.azure.net:8443/secrets/a"),
        Ok(other)
    );
    assert_eq!(source("VaultName=SHOP;SecretName=a"), Ok(shop));
    for elsewhere in [
        "SecretUri=https://shop.vault.azure.net:444/secrets/a",
        "SecretUri=https://other.vault.azure.net/secrets/a",
        "SecretUri=https://shop.vault.azure.net.evil.example/secrets/a",
        "SecretUri=https://evil.example/secrets/a",
        "SecretUri=https://shop/secrets/a",
        "VaultName=shopp;SecretName=a",
    ] {
        let refused = source(elsewhere).unwrap_err();
        assert!(
            matches!(refused, NoKeyVaultSource::Unlisted { .. }),
            "{elsewhere}"
        );
        assert!(
            refused.help().contains("kind = \"key-vault\""),
            "{elsewhere}"
        );
    }
    let refused = source("VaultName=other;SecretName=a").unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the vault other is several sources: other, twin"
    );
    assert_eq!(
        refused.help(),
        "write the one that is meant: other:a or twin:a"
    );
}

/// Texts that are nearly references: pieces of them in any order.
fn nearly() -> impl Strategy<Value = String> {
    let pieces = [
        "@Microsoft.KeyVault",
        "(",
        ")",
        ";",
        "=",
        "SecretUri",
        "VaultName",
        "SecretName",
        "SecretVersion",
        "https://",
        "http://",
        "shop",
        ".vault.azure.net",
        ":8443",
        "@",
        "/",
        "secrets",
        "/secrets/a",
        VERSION,
        "?",
        "#",
        "\\",
        " ",
        "ä",
        "\0",
        "%2f",
    ];
    let piece = prop_oneof![
        proptest::sample::select(pieces.to_vec()).prop_map(str::to_owned),
        "\\PC"
    ];
    let inside = proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat());
    (any::<bool>(), inside).prop_map(|(wrapped, inside)| match wrapped {
        true => format!("@Microsoft.KeyVault({inside})"),
        false => inside,
    })
}

proptest! {
    /// What is read is a reference that is written and read again; what is not says
    /// where, within the text and between its characters.
    #[test]
    fn any_text_is_a_reference_or_has_mistakes(text in nearly()) {
        match KeyVaultReference::parse(&text) {
            Ok(read) => {
                prop_assert!(KeyVaultReference::is_meant_by(&text));
                let key = read.key();
                prop_assert!(!key.contains(|c: char| !(c.is_ascii_alphanumeric() || "-/".contains(c))));
                prop_assert_eq!(KeyVaultReference::parse(&read.to_string()), Ok(read));
            }
            Err(errors) => {
                prop_assert!(errors.iter().next().is_some());
                for mistake in errors.iter() {
                    prop_assert!(text.get(mistake.span.clone()).is_some());
                }
            }
        }
    }

    /// A reference never leads to a host that was not listed, whatever it says.
    #[test]
    fn no_text_reaches_a_vault_that_is_not_listed(text in nearly()) {
        let name = SourceName::parse("shop").unwrap();
        let listed = [(&name, "shop.vault.azure.net", 443)];
        if let Ok(read) = KeyVaultReference::parse(&text) {
            let reached = read.source(listed).is_ok();
            let host = text.to_ascii_lowercase();
            prop_assert!(!reached || host.contains("//shop.vault.azure.net/") || host.contains("vaultname"));
        }
    }
}
