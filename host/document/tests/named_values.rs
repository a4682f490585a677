//! Named values in documents: put in as texts, and judged as if they stood there.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use keyward_document::Phase;
use keyward_document::model::{Document, Node, Payload, Value};
use keyward_document::named_values::{Lookup, NamedValues, Requested, Unresolved};
use keyward_document::read::{Options, Reading, read};
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
    format!("<policies><inbound>{inbound}</inbound><backend/><outbound/><on-error/></policies>")
}

fn reading(text: &str, values: &dyn NamedValues) -> Reading {
    let options = Options {
        values,
        ..Options::default()
    };
    read("d.xml", text, &options)
}

#[track_caller]
fn sound(text: &str) -> Document {
    let reading = reading(text, &values());
    let said = reading.diagnostics;
    reading.document.unwrap_or_else(|| panic!("{said}"))
}

fn inbound(document: &Document) -> &[Node] {
    &document.section(Phase::Inbound).unwrap().statements
}

/// The header and its values that a step in the text sets.
#[track_caller]
fn header(step: &str) -> (String, Vec<String>) {
    let document = sound(&document(step));
    assert!(document.is_complete());
    let [set] = inbound(&document) else {
        panic!("one statement");
    };
    let text = |value: &Value| value.as_text().unwrap().to_owned();
    let values = set.children_named("value");
    let values = values.map(|value| text(value.text.as_ref().unwrap()));
    (text(set.attribute("name").unwrap()), values.collect())
}

/// The errors of a step, each as one line.
#[track_caller]
fn errors(step: &str) -> Vec<String> {
    let reading = reading(&document(step), &values());
    assert!(reading.document.is_none(), "nothing is wrong with {step}");
    let lines = reading.diagnostics.iter().map(ToString::to_string);
    lines.collect()
}

#[test]
fn values_stand_in_attributes_and_texts() {
    let step = "<set-header name=\"{{header}}\" exists-action=\"{{ action }}\"><value>team {{Team}} &amp; {{Team}}</value><value>{{space}}</value></set-header>";
    let expected = ["team billing & billing", "in the middle"].map(str::to_owned);
    assert_eq!(header(step), ("X-Team".to_owned(), expected.to_vec()));
    let document = sound(&document("<wasm-policy name=\"{{policy}}\"/>"));
    let name = inbound(&document)[0].attribute("name").unwrap();
    assert_eq!(name.as_text(), Some("attach-api-key"));
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
    let said = errors("<set-header name=\"a\"><value>{{two-lines}}</value></set-header>");
    let line_break = "has a line break in it, which a header can't carry";
    assert!(said[0].contains(line_break), "{said:?}");
    assert!(said[0].contains("\"two-lines\""), "{said:?}");
}

#[test]
fn what_is_no_text_is_an_error_that_names_the_value_and_the_place() {
    let said = errors("<set-header name=\"a\"><value>Bearer {{key}}</value></set-header>");
    assert!(said[0].starts_with("d.xml:1:55: "), "{said:?}");
    assert!(said[0].contains("\"key\""), "{said:?}");
    let said = errors("<set-header name=\"a\"><value>{{far}}{{nobody}}</value></set-header>");
    assert!(
        said[0].starts_with("d.xml:1:48: ") && said[0].contains("\"far\""),
        "{said:?}"
    );
    assert!(
        said[1].starts_with("d.xml:1:55: ") && said[1].contains("\"nobody\""),
        "{said:?}"
    );
}

#[test]
fn a_reference_is_a_request_and_never_a_text() {
    let reference = "@Microsoft.KeyVault(VaultName=shop;SecretName=stripe-key)";
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
        assert!(said[0].starts_with(&format!("d.xml:{place}: ")), "{said:?}");
    }
    // Put together out of named values.
    let halves = "<set-header name=\"a\"><value>{{half}}Vault(VaultName=shop;SecretName=a)</value></set-header>";
    assert!(!errors(halves).is_empty());
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
        let read = sound(&text);
        assert!(read.is_complete());
        let [variable] = inbound(&read) else {
            panic!("one statement");
        };
        let of = |name: &str| variable.attribute(name).unwrap();
        assert_eq!(of("name").as_text(), Some("billing key"));
        match &of("value").payload {
            Payload::Secret(secret) => assert_eq!(secret.secret, "billing-key"),
            other => panic!("{other:?}"),
        }
        // Whether it may be had is not known before somebody is asked.
        let unresolved = reading(&text, &Unresolved).document.unwrap();
        assert!(!unresolved.is_complete());
    }
}

#[test]
fn a_variable_is_a_listed_secret_and_nothing_around_it_or_an_error() {
    let said = |value: &str| errors(&format!("<set-variable name=\"k\" value=\"{value}\"/>"));
    let listed = "@Microsoft.KeyVault(VaultName=shop;SecretName=listed)";
    let other = said("@Microsoft.KeyVault(VaultName=shop;SecretName=other)");
    assert!(other[0].contains("nobody lists it"), "{other:?}");
    for around in [format!("Bearer {listed}"), format!("{listed}{{{{Team}}}}")] {
        assert!(said(&around)[0].starts_with("d.xml:1:50: "), "{around}");
    }
    assert!(said("Bearer {{key}}")[0].contains("\"key\""));
    assert!(said("{{far}}")[0].contains("azure:far"));
    assert!(said("{{nobody}}")[0].contains("there is no named value"));
}

#[test]
fn control_what_only_looks_like_a_reference_is_a_text() {
    let step = "<set-header name=\"a\"><value>Microsoft.KeyVault(x)</value></set-header>";
    assert_eq!(header(step).1, ["Microsoft.KeyVault(x)"]);
}

#[test]
fn without_values_a_document_is_checked_as_far_as_it_goes() {
    let text = document("<wasm-policy name=\"{{policy}}\"/><wasm-policy name=\"log\"/>");
    let unresolved = reading(&text, &Unresolved).document.unwrap();
    assert!(!unresolved.is_complete());
    let bad = document("<wasm-policy name=\"{{policy}}\"/><wasm-polcy/>");
    assert_eq!(reading(&bad, &Unresolved).diagnostics.count(), 1);
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
        if let Some(document) = reading(&text, &One(value.clone())).document {
            let steps = inbound(&document);
            prop_assert_eq!(steps.len(), 2);
            let expected = format!("{lead}{value}");
            let expected = expected.trim_matches([' ', '\t', '\r', '\n']);
            let values: Vec<_> = steps[0].children_named("value").collect();
            prop_assert_eq!(values.len(), 1);
            if let Some(Payload::Literal(_)) = values[0].text.as_ref().map(|text| &text.payload) {
                prop_assert_eq!(values[0].text.as_ref().unwrap().as_text(), Some(expected));
            }
        }
    }
}
