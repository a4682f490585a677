#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::path::Path;

use super::reader::Wrongs;
use super::{SecretText, Suite, parse};

const FORMAT: &str = include_str!("../../FORMAT.md");

/// The examples of the format's description.
fn examples() -> Vec<&'static str> {
    let parts = FORMAT.split("```toml\n").skip(1);
    parts
        .map(|part| part.split("```").next().unwrap())
        .collect()
}

fn errors(text: &str) -> String {
    Suite::parse(Path::new("x.test.toml"), text)
        .unwrap_err()
        .to_string()
}

#[test]
fn every_example_of_the_format_is_a_suite() {
    assert_eq!(examples().len(), 4);
    for example in examples() {
        let suite = Suite::parse(Path::new("x.test.toml"), example);
        let suite = suite.unwrap_or_else(|errors| panic!("{errors}"));
        assert!(!suite.cases.is_empty());
    }
}

#[test]
fn every_key_is_described_in_the_section_of_its_table() {
    let wrongs = Wrongs::default();
    for example in examples() {
        parse::parse(Path::new("x.test.toml"), example, &wrongs);
    }
    let asked = wrongs.asked();
    assert!(asked.len() > 120, "{}", asked.len());
    for (title, key) in asked {
        let heading = format!("### {title}\n");
        let section = FORMAT.split_once(heading.as_str());
        let (_, section) = section.unwrap_or_else(|| panic!("no section {title:?}"));
        let section = section.split("\n### ").next().unwrap();
        let section = section.split("\n## ").next().unwrap();
        assert!(section.contains(&format!("`{key}`")), "{key} of {title}");
    }
}

#[test]
fn all_errors_are_shown_at_once_each_in_its_place() {
    let text = r#"
policy = "p.wasm"
[secrets.stripe]
kind = "api-kee"
[[grant]]
id = "g"
policy = "p"
secret = "strip"
alias = "a"
use = "attach"
header = "x-a"
to = [{ route = "backend", paths = ["/a"] }]
[[case]]
name = "one"
requst = { path = "/" }
expect = { status = 99, verdict.inbound = "proced", headers.x.begin = "a" }
[[case]]
name = "one"
request = { path = "no", key = "acme" }
"#;
    let errors = errors(text);
    for part in [
        "x.test.toml:4:8",
        "unknown kind",
        "x.test.toml:15:1",
        "did you mean `request`?",
        "a status is 100 to 599",
        "no such verdict",
        "no way to expect a text: `begin`",
        "there are two cases called \"one\"",
        "no path that a request can have",
        "no set of client keys has a subject \"acme\"",
    ] {
        assert!(errors.contains(part), "{part}\n{errors}");
    }
}

#[test]
fn errors_in_grants_stand_where_the_suite_has_them() {
    let text = r#"policy = "p.wasm"
[secrets.stripe]
kind = "api-key"
[[case]]
name = "before"
[[grant]]
id = "g"
policy = "p"
secret = "strip"
alias = "a"
use = "mac-verify"
[[case]]
name = "after"
"#;
    let errors = errors(text);
    assert!(errors.contains("x.test.toml:9:10"), "{errors}");
    assert!(errors.contains("did you mean \"stripe\"?"), "{errors}");
    let errors = self::errors(&text.replace("mac-verify", "mac-verif"));
    assert!(errors.contains("x.test.toml:11:"), "{errors}");
}

#[test]
fn a_case_has_grants_of_its_own_which_no_other_has() {
    let text = r#"policy = "p.wasm"
[secrets.stripe]
kind = "api-key"
[[case]]
name = "one"
[[case.grant]]
id = "own"
policy = "p"
secret = "stripe"
alias = "a"
use = "attach"
header = "x-a"
to = [{ route = "backend", paths = ["/a/{id}"] }]
[[case]]
name = "two"
[[grant]]
id = "of-all"
policy = "p"
secret = "stripe"
alias = "b"
use = "attach"
header = "x-b"
[[grant.to]]
route = "backend"
paths = ["/b"]
"#;
    let suite = Suite::parse(Path::new("x.test.toml"), text).unwrap_or_else(|e| panic!("{e}"));
    let ids = |case: usize| -> Vec<String> {
        let grants = suite.grants_of(&suite.cases[case]);
        grants.iter().map(|grant| grant.id.to_string()).collect()
    };
    assert_eq!(ids(0), ["own", "of-all"]);
    assert_eq!(ids(1), ["of-all"]);
    // What is wrong with one stands where the suite has it.
    let errors = self::errors(&text.replacen("\"stripe\"\nalias", "\"strip\"\nalias", 1));
    assert!(errors.contains("x.test.toml:9:10"), "{errors}");
    assert!(errors.contains("did you mean \"stripe\"?"), "{errors}");
    let errors = self::errors(&text.replacen("use = \"attach\"", "use = \"atach\"", 1));
    assert!(errors.contains("x.test.toml:11:"), "{errors}");
    let errors = self::errors(&text.replace("[[case.grant]]", "grant = []\n[case.x]"));
    assert!(errors.contains("write [[case.grant]]"), "{errors}");
}

#[test]
fn a_secret_has_a_value_or_a_file_of_one() {
    let text = r#"policy = "p.wasm"
[secrets.a]
kind = "certificate"
value-from = "certificates/a.pem"
[secrets.b]
kind = "hmac-key"
previous = { value = "old-old-old-old-old", not-after = "2026-01-01T00:00:00Z" }
[[case]]
name = "one"
"#;
    let suite =
        Suite::parse(Path::new("folder/x.test.toml"), text).unwrap_or_else(|e| panic!("{e}"));
    let Some(SecretText::File(file)) = &suite.secrets[0].value else {
        panic!("{:?}", suite.secrets[0]);
    };
    assert_eq!(file.value, Path::new("folder/certificates/a.pem"));
    let previous = suite.secrets[1].previous.as_ref().unwrap();
    assert!(matches!(previous.value, Some(SecretText::Given(_))));
    assert!(previous.validity.not_after.is_some());
    let errors = errors(&text.replace("value-from", "value = \"x\"\nvalue-from"));
    assert!(errors.contains("not both"), "{errors}");
}

#[test]
fn a_token_needs_one_key_that_the_suite_has() {
    let text = r#"policy = "p.wasm"
[secrets.a]
kind = "hmac-key"
[secrets.b]
kind = "api-key"
[issuers.login]
issuer = "i"
route = "backend"
[tokens.good]
secret = "a"
claims = { exp = 2026-01-01T00:01:00Z, sub = "alice", n = 1 }
[[case]]
name = "one"
request = { token = TOKEN }
"#;
    let with = |token: &str| text.replace("TOKEN", token);
    let whole = with(r#"{ like = "good", claims = { sub = "bob" }, without = ["iat"] }"#);
    let suite = Suite::parse(Path::new("x.test.toml"), &whole).unwrap_or_else(|e| panic!("{e}"));
    let token = suite.cases[0].steps[0].request.token.as_ref().unwrap();
    assert_eq!(token.claims["exp"], 1_767_225_660);
    assert_eq!(token.claims["sub"], "bob");
    assert_eq!(token.claims["n"], 1);
    assert_eq!(token.without, ["iat"]);
    // Another key in place of the one that it is like.
    let other = with(r#"{ like = "good", issuer = "login" }"#);
    let suite = Suite::parse(Path::new("x.test.toml"), &other).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(suite.issuer_keys.len(), 1);
    assert_eq!(suite.backends.len(), 1);
    for (token, error) in [
        ("\"other\"", "there is no token \"other\""),
        ("{ like = \"god\" }", "there is no token \"god\""),
        ("{ secret = \"b\" }", "no hmac-key is called \"b\""),
        ("{ issuer = \"x\" }", "there is no issuer \"x\""),
        ("{ claims = {} }", "a token needs a key that signs it"),
        (
            "{ secret = \"a\", algorithm = \"ES256\" }",
            "an hmac-key signs with HS256",
        ),
        ("{ secret = \"a\", algorithm = \"HS1\" }", "there are RS256"),
        (
            "{ like = \"good\", forge = true }",
            "did you mean `forged`?",
        ),
    ] {
        let errors = errors(&with(token));
        assert!(errors.contains(error), "{token}\n{errors}");
    }
}

#[test]
fn a_misspelt_key_is_named_beside_what_is_missing_and_no_key_is_listed_twice() {
    let errors = errors(
        "policy = \"p.wasm\"\n[[case]]\nnmae = \"one\"\n[secrets.a]\nkind = \"api-key\"\nvaleu = \"x\"\n",
    );
    for part in [
        "[[case]] has no `name`",
        "[[case]] has no key `nmae`",
        "did you mean `name`?",
        "did you mean `value`?",
        "valid keys: kind, algorithm, encoding, value,",
    ] {
        assert!(errors.contains(part), "{part}\n{errors}");
    }
}

#[test]
fn rows_are_cases_of_their_own() {
    let text = r#"policy = "p.wasm"
[[case]]
name = "{path} gets {status}"
request = { path = "{path}", headers = { "{header}" = "v" } }
expect = { status = "{status}" }
table = [{ path = "/a", status = 200, header = "x-a" }, { path = "/b", status = 404, header = "x-b" }]
"#;
    let suite = Suite::parse(Path::new("x.test.toml"), text).unwrap_or_else(|e| panic!("{e}"));
    let names: Vec<&str> = suite.cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names, ["/a gets 200", "/b gets 404"]);
    let step = &suite.cases[1].steps[0];
    assert_eq!(step.request.path, "/b");
    assert_eq!(step.request.headers[0].0, "x-b");
    assert_eq!(step.expected.status.as_ref().unwrap().value, [404]);
}

proptest::proptest! {
    /// Examples with a piece cut out and another one put in: whatever they are then, the
    /// parser says what is wrong with them and doesn't panic.
    #[test]
    fn no_text_makes_the_parser_panic(
        example in 0_usize..4,
        from in 0.0..1.0_f64,
        length in 0_usize..60,
        piece in "[a-z\"'{}=\\[\\]\n.,0-9 é-]{0,12}",
    ) {
        let text = examples()[example];
        let at = |share: f64| {
            let place = (text.len() as f64 * share) as usize;
            (0..=place).rev().find(|place| text.is_char_boundary(*place)).unwrap()
        };
        let start = at(from);
        let end = (start + length..=text.len()).find(|end| text.is_char_boundary(*end));
        let text = format!("{}{piece}{}", &text[..start], &text[end.unwrap_or(text.len())..]);
        if let Err(errors) = Suite::parse(Path::new("x.test.toml"), &text) {
            proptest::prop_assert!(!errors.wrong().is_empty());
            errors.to_string();
        }
    }
}
