//! Named values in documents: put in as texts, and judged as if they stood there.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use keyward_document::named_values::{Lookup, NamedValues, Requested};
use keyward_document::{Document, Phase, SetHeader};
use keyward_names::KeyVaultReference;
use proptest::prelude::*;

struct Values(Vec<(&'static str, Lookup)>);

impl NamedValues for Values {
    fn look_up(&self, name: &str) -> Lookup {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map_or(Lookup::Unknown(None), |(_, value)| value.clone())
    }

    fn request(&self, reference: &KeyVaultReference) -> Requested {
        match reference.secret() {
            "listed" => Requested::Secret("billing-key".to_owned()),
            _ => Requested::Refused {
                why: "nobody lists it".to_owned(),
                help: "list it".to_owned(),
            },
        }
    }
}

fn values() -> Values {
    let plain = |text: &str| Lookup::Plain(text.to_owned());
    Values(vec![
        ("Team", plain("billing")),
        ("header", plain("X-Team")),
        ("policy", plain("attach-api-key")),
        ("action", plain("append")),
        ("space", plain(" in the middle\n ")),
        ("nested", plain("{{Team}}")),
        (
            "markup",
            plain("</value><wasm-policy name=\"thief\"/><value>&amp;"),
        ),
        ("two-lines", plain("a\r\nset-cookie: b")),
        ("host-header", plain("Transfer-Encoding")),
        ("expression", plain("@(context.Request)")),
        ("key", Lookup::Secret("billing-key".to_owned())),
        (
            "far",
            Lookup::Reference {
                reference: "azure:far".to_owned(),
                secret: None,
            },
        ),
        (
            "fetched",
            Lookup::Reference {
                reference: "azure:fetched".to_owned(),
                secret: Some("billing-key".to_owned()),
            },
        ),
        ("half", plain("@Microsoft.Key")),
    ])
}

fn document(inbound: &str) -> String {
    format!("<policies><inbound>{inbound}</inbound></policies>")
}

/// The header and its values that a step in the text sets.
#[track_caller]
fn header(step: &str) -> (String, Vec<String>) {
    let document = Document::parse_with("d.xml", &document(step), &values()).unwrap();
    assert!(document.is_complete());
    let steps = document.section(Phase::Inbound).unwrap().steps().to_vec();
    assert_eq!(steps.len(), 1, "{steps:?}");
    let set: &SetHeader = steps[0].as_set_header().unwrap();
    (set.name().to_string(), set.values().to_vec())
}

/// The errors of a step, each as one line.
#[track_caller]
fn errors(step: &str) -> Vec<String> {
    let text = document(step);
    let errors = Document::parse_with("d.xml", &text, &values()).unwrap_err();
    let lines = errors.iter().map(ToString::to_string);
    lines.collect()
}

#[test]
fn values_stand_in_attributes_and_texts() {
    let step = "<set-header name=\"{{header}}\" exists-action=\"{{ action }}\"><value>team {{Team}} &amp; {{Team}}</value><value>{{space}}</value></set-header>";
    let expected = ["team billing & billing", "in the middle"].map(str::to_owned);
    assert_eq!(header(step), ("x-team".to_owned(), expected.to_vec()));
    let text = document("<wasm-policy name=\"{{policy}}\"/>");
    let document = Document::parse_with("d.xml", &text, &values()).unwrap();
    let calls = document.splice(None).calls(Phase::Inbound);
    assert_eq!(calls[0].policy.as_str(), "attach-api-key");
}

#[test]
fn a_value_is_put_in_once_and_makes_no_markup() {
    for (name, expected) in [
        ("nested", "{{Team}}"),
        (
            "markup",
            "</value><wasm-policy name=\"thief\"/><value>&amp;",
        ),
    ] {
        let step = format!("<set-header name=\"a\"><value>{{{{{name}}}}}</value></set-header>");
        assert_eq!(header(&step).1, [expected]);
    }
}

#[test]
fn what_a_value_brings_is_judged_as_if_it_stood_there() {
    assert_eq!(
        errors("<set-header name=\"a\"><value>{{two-lines}}</value></set-header>"),
        [
            "d.xml:1:48: <value> has a line break in it, which a header can't carry; write it on one line, in ASCII; the text here comes from the named value \"two-lines\""
        ]
    );
    assert_eq!(
        errors("<set-header name=\"{{host-header}}\"><value>x</value></set-header>"),
        [
            "d.xml:1:38: the header \"Transfer-Encoding\" is written by the gateway itself; a document can't change it; leave this step out; the text here comes from the named value \"host-header\""
        ]
    );
    assert_eq!(
        errors("<wasm-policy name=\"{{Team}} x\"/>")[0],
        "d.xml:1:39: not a valid policy name: character 8 is not one of a-z, 0-9, '.', '_' and '-'; write the name that the policy has in keyward.toml; the text here comes from the named value \"Team\""
    );
    assert!(
        errors("<set-header name=\"a\"><value>{{expression}}</value></set-header>")[0]
            .contains("policy expressions are not supported yet")
    );
}

#[test]
fn what_is_no_text_is_an_error_that_names_the_value_and_the_place() {
    assert_eq!(
        errors("<set-header name=\"a\"><value>Bearer {{key}}</value></set-header>"),
        [
            "d.xml:1:55: the named value \"key\" is secret; it can stand only where a policy asks for a secret; a document can't attach a secret itself: grant \"billing-key\" to a policy such as attach-api-key, and put <wasm-policy name=\"attach-api-key\"/> here"
        ]
    );
    assert_eq!(
        errors("<set-header name=\"a\"><value>{{far}}{{nobody}}</value></set-header>"),
        [
            "d.xml:1:48: the named value \"far\" is a reference to a secret; it can stand only where a policy asks for a secret; no secret gets its values from there; add one, and grant it: keyward secret set NAME --kind KIND --from azure:far",
            "d.xml:1:55: there is no named value \"nobody\"; set it with: keyward value set nobody --plain TEXT",
        ]
    );
}

#[test]
fn a_reference_is_a_request_and_never_a_text() {
    let reference = "@Microsoft.KeyVault(VaultName=shop;SecretName=stripe-key)";
    let help = "a document can't fetch a secret itself: let the operator add it with keyward secret set NAME --kind KIND --from SOURCE:stripe-key, where SOURCE is the vault shop in [sources], grant it to a policy such as attach-api-key, and put <wasm-policy name=\"attach-api-key\"/> here";
    for (step, place) in [
        (
            format!("<set-header name=\"a\"><value>{reference}</value></set-header>"),
            "1:48",
        ),
        (
            format!("<set-header name=\"a\"><value>Bearer {reference}</value></set-header>"),
            "1:48",
        ),
        (
            format!("<set-header name=\"{reference}\"><value>x</value></set-header>"),
            "1:38",
        ),
        (format!("<wasm-policy name=\"{reference}\"/>"), "1:39"),
    ] {
        let said = errors(&step);
        let expected = format!(
            "d.xml:{place}: a Key Vault reference is a request for a secret, and no text; "
        );
        assert!(said[0].starts_with(&expected), "{said:?}");
        // Only of a reference that is one can be said what to do.
        if place != "1:48" || !step.contains("Bearer") {
            assert_eq!(said[0], format!("{expected}{help}"));
        }
    }
    let unsupported = format!("<set-query-parameter name=\"key\" value=\"{reference}\"/>");
    assert_eq!(
        errors(&unsupported),
        [
            "d.xml:1:20: the policy \"set-query-parameter\" is known, but does not run yet; what runs here is base, set-header, set-variable and wasm-policy; anything else is a policy written in Rust (<wasm-policy>)".to_owned(),
            format!("d.xml:1:59: a Key Vault reference is a request for a secret, and no text; {help}"),
        ]
    );
    // Put together out of named values.
    let halves = "<set-header name=\"a\"><value>{{half}}Vault(VaultName=shop;SecretName=a)</value></set-header>";
    assert!(errors(halves)[0].contains("is a request for a secret, and no text"));
    // What is wrong with one, where.
    let wrong = "<set-header name=\"a\"><value>@Microsoft.KeyVault(SecretUri=http://x)</value></set-header>";
    assert_eq!(
        errors(wrong),
        [
            "d.xml:1:48: a Key Vault reference is a request for a secret, and no text; correct it first: not a Key Vault reference: at byte 31: the URI has to start with https://"
        ]
    );
}

#[test]
fn a_variable_stands_for_a_secret_that_the_operator_lists() {
    for value in [
        "@Microsoft.KeyVault(VaultName=shop;SecretName=listed)",
        " @microsoft.keyvault( SecretUri = https://shop.vault.azure.net/secrets/listed ) ",
        "{{key}}",
        "{{ fetched }}",
    ] {
        let step = format!("<set-variable name=\"{{{{Team}}}} key\" value=\"{value}\"/>");
        let text = document(&step);
        let read = Document::parse_with("d.xml", &text, &values()).unwrap();
        assert!(read.is_complete());
        let steps = read.section(Phase::Inbound).unwrap().steps().to_vec();
        let variable = steps[0].as_set_variable().unwrap();
        assert_eq!(
            (variable.name(), variable.secret()),
            ("billing key", "billing-key")
        );
        // It runs nothing, and comes between no others.
        let header = "<set-header name=\"a\"><value>b</value></set-header>";
        let text = document(&format!("{header}{step}{header}"));
        let read = Document::parse_with("d.xml", &text, &values()).unwrap();
        let calls = read.splice(None).calls(Phase::Inbound);
        assert_eq!(calls.len(), 1);
        let settings = calls[0].settings.as_ref().unwrap().to_string();
        assert!(!settings.contains("billing-key"), "{settings}");
        // Whether it may be had is not known before somebody is asked.
        assert!(!Document::parse("d.xml", &text).unwrap().is_complete());
    }
}

#[test]
fn a_variable_is_a_listed_secret_and_nothing_around_it_or_an_error() {
    let said = |value: &str| errors(&format!("<set-variable name=\"k\" value=\"{value}\"/>"));
    let listed = "@Microsoft.KeyVault(VaultName=shop;SecretName=listed)";
    assert_eq!(
        said("@Microsoft.KeyVault(VaultName=shop;SecretName=other)"),
        ["d.xml:1:50: this secret can't be had here: nobody lists it; list it"]
    );
    for around in [format!("Bearer {listed}"), format!("{listed}{{{{Team}}}}")] {
        let said = said(&around);
        assert!(
            said[0].contains("is a request for a secret, and no text"),
            "{said:?}"
        );
    }
    assert!(said("{{half}}Vault(VaultName=shop;SecretName=listed)")[0].contains("no text"));
    assert!(said("Bearer {{key}}")[0].contains("the named value \"key\" is secret"));
    assert!(said("{{far}}")[0].contains("keyward secret set NAME --kind KIND --from azure:far"));
    assert!(said("{{nobody}}")[0].contains("there is no named value"));
    assert!(said("@(1)")[0].contains("expressions are not supported yet"));
    for text in ["a text", "{{Team}}", ""] {
        assert!(said(text)[0].contains("anything but a secret"), "{text}");
    }
    // Where no variable is set, a listed one is no text either.
    let header = format!("<set-header name=\"a\"><value>{listed}</value></set-header>");
    assert!(errors(&header)[0].contains("grant \"billing-key\" to a policy"));
    assert!(errors("<set-variable value=\"{{key}}\"/>")[0].contains("no attribute \"name\""));
    assert!(errors("<set-variable name=\"k\"/>")[0].contains("no attribute \"value\""));
    let long = format!(
        "<set-variable name=\"{}\" value=\"{{{{key}}}}\"/>",
        "k".repeat(129)
    );
    assert!(errors(&long)[0].contains("1 to 128 characters"));
    assert!(
        errors("<set-variable name=\"k\" value=\"{{key}}\">x</set-variable>")[0]
            .contains("has to be empty")
    );
}

#[test]
fn control_what_only_looks_like_a_reference_is_a_text() {
    let step = "<set-header name=\"a\"><value>Microsoft.KeyVault(x)</value></set-header>";
    assert_eq!(header(step).1, ["Microsoft.KeyVault(x)"]);
}

#[test]
fn a_reference_that_a_secret_is_fetched_for_names_that_secret() {
    let said = errors("<set-header name=\"a\"><value>{{fetched}}</value></set-header>");
    assert!(said[0].contains("is a reference to a secret"), "{said:?}");
    assert!(
        said[0].contains("grant \"billing-key\" to a policy"),
        "{said:?}"
    );
}

#[test]
fn without_values_a_document_is_checked_as_far_as_it_goes() {
    let text = document("<wasm-policy name=\"{{policy}}\"/><wasm-policy name=\"log\"/>");
    let unresolved = Document::parse("d.xml", &text).unwrap();
    assert!(!unresolved.is_complete());
    assert_eq!(unresolved.section(Phase::Inbound).unwrap().steps().len(), 1);
    let bad = document("<wasm-policy name=\"{{policy}}\"/><wasm-polcy/>");
    assert_eq!(Document::parse("d.xml", &bad).unwrap_err().count(), 1);
}

proptest! {
    /// A value that stands in a text makes no step and no text around itself.
    #[test]
    fn no_value_changes_the_structure(value in "\\PC{0,40}", lead in "[ -~&&[^<&{@]]{0,10}") {
        struct One(String);
        impl NamedValues for One {
            fn look_up(&self, _: &str) -> Lookup {
                Lookup::Plain(self.0.clone())
            }
        }
        let step = format!("<set-header name=\"a\"><value>{lead}{{{{v}}}}</value></set-header><base/>");
        let text = document(&step);
        if let Ok(document) = Document::parse_with("d.xml", &text, &One(value.clone())) {
            let steps = document.section(Phase::Inbound).unwrap().steps();
            prop_assert_eq!(steps.len(), 2);
            let expected = format!("{lead}{value}");
            let expected = expected.trim_matches([' ', '\t', '\r', '\n']);
            let values = steps[0].as_set_header().unwrap().values();
            prop_assert_eq!(values, [expected.to_owned()]);
        }
    }
}
