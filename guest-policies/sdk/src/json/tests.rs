//! The reader of settings, against a second one.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::read;

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Everything {
    text: String,
    #[serde(default)]
    some: Option<u8>,
    #[serde(default)]
    signed: i64,
    #[serde(default)]
    float: f64,
    #[serde(default)]
    flag: bool,
    #[serde(default)]
    list: Vec<Item>,
    #[serde(default)]
    table: BTreeMap<String, u64>,
    #[serde(default)]
    pair: (u8, char),
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Item {
    Plain,
    One(u8),
    Two(u8, u8),
    Named { value: String },
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
enum Tagged {
    Wait { seconds: u64, rate: f64 },
}

/// Both readers take the text and read the same, or both refuse it.
#[track_caller]
fn check<T: DeserializeOwned + PartialEq + core::fmt::Debug>(text: &str) {
    let ours = read::<T>(text);
    let theirs = serde_json::from_str::<T>(text);
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => assert_eq!(ours, theirs, "{text}"),
        (Err(_), Err(_)) => {}
        (ours, theirs) => panic!("{text}: {ours:?} here, {theirs:?} there"),
    }
}

#[test]
fn it_reads_what_another_reader_reads() {
    for text in [
        r#"{"text": ""}"#,
        r#" { "text" : "a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00é😀" , "some" : null } "#,
        r#"{"text": "\ud83d"}"#,
        r#"{"text": "\ud83d\u0041"}"#,
        r#"{"text": "\ude00"}"#,
        r#"{"text": "\u00e"}"#,
        r#"{"text": "\u+0e9"}"#,
        r#"{"text": "\x"}"#,
        "{\"text\": \"a\nb\"}",
        r#"{"text": "a"#,
        r#"{"text": "a\"#,
        r#"{"text": "a\u12é"}"#,
        r#"{"text": "a", "some": 255, "signed": -9223372036854775808, "float": -1.5e3}"#,
        r#"{"text": "a", "some": 256}"#,
        r#"{"text": "a", "some": -1}"#,
        r#"{"text": "a", "some": 1.0}"#,
        r#"{"text": "a", "some": 01}"#,
        r#"{"text": "a", "some": +1}"#,
        r#"{"text": "a", "some": -}"#,
        r#"{"text": "a", "some": 1.}"#,
        r#"{"text": "a", "some": 1e}"#,
        r#"{"text": "a", "float": 1}"#,
        r#"{"text": "a", "float": 1e999}"#,
        r#"{"text": "a", "flag": true}"#,
        r#"{"text": "a", "flag": tru}"#,
        r#"{"text": "a", "flag": "true"}"#,
        r#"{"text": "a", "list": ["plain", {"one": 1}, {"two": [1, 2]}, {"named": {"value": "v"}}]}"#,
        r#"{"text": "a", "list": [{"plain": null}]}"#,
        r#"{"text": "a", "list": ["one"]}"#,
        r#"{"text": "a", "list": [{"two": [1]}]}"#,
        r#"{"text": "a", "list": [{"two": [1, 2, 3]}]}"#,
        r#"{"text": "a", "list": [{"one": 1, "two": [1, 2]}]}"#,
        r#"{"text": "a", "list": [{}]}"#,
        r#"{"text": "a", "list": ["plain",]}"#,
        r#"{"text": "a", "list": ["plain" "plain"]}"#,
        r#"{"text": "a", "list": [,]}"#,
        r#"{"text": "a", "list": ["#,
        r#"{"text": "a", "table": {"a": 18446744073709551615, "b": 0}}"#,
        r#"{"text": "a", "table": {"a": 18446744073709551616}}"#,
        r#"{"text": "a", "table": {"a" 1}}"#,
        r#"{"text": "a", "table": {1: 1}}"#,
        r#"{"text": "a", "pair": [1, "é"]}"#,
        r#"{"text": "a", "pair": [1, "ab"]}"#,
        r#"{"text": "a", "pair": [1]}"#,
        r#"{"text": "a", "pair": [1, "a", 2]}"#,
        r#"{"text": "a", "other": {"b": [1, {"c": "d"}, null, true]}}"#,
        r#"{"text": "a", "text": "b"}"#,
        r#"{"text": "a"} x"#,
        r#"{"text": "a"}}"#,
        "{}",
        "",
        " ",
        "null",
        "[]",
    ] {
        check::<Everything>(text);
    }
    for text in [
        r#"{"do": "wait", "seconds": 3, "rate": 0.5}"#,
        r#"{"seconds": 3, "rate": 1, "do": "wait"}"#,
        r#"{"seconds": 3, "do": "run"}"#,
        r#"{"seconds": 99999999999999999999, "rate": 1, "do": "wait"}"#,
    ] {
        check::<Tagged>(text);
    }
    // What is not asked for is passed over, and must be well-formed too.
    #[derive(Debug, PartialEq, Deserialize)]
    struct Nothing {}
    for text in [
        r#"{"a": [1, [], {}, "x\n", -1.5e+3, null, true, {"b": {"c": []}}], "d": {}}"#,
        r#"{"a": [1 2]}"#,
        r#"{"a": {"b"}}"#,
        r#"{"a": }"#,
        r#"{"a": nul}"#,
    ] {
        check::<Nothing>(text);
    }
}

#[test]
fn a_mistake_is_named_by_its_path() {
    #[track_caller]
    fn says(text: &str, message: &str) {
        assert_eq!(read::<Everything>(text).unwrap_err().to_string(), message);
    }
    says(
        r#"{"text": 1}"#,
        "text: this is a number, expected a string",
    );
    says(
        r#"{"text": "a", "some": 256}"#,
        "some: this is 256, expected u8",
    );
    says(
        r#"{"text": "a", "list": ["plain", {"named": {"value": []}}]}"#,
        "list[1].named.value: this is a list, expected a string",
    );
    says(
        r#"{"text": "a", "list": ["odd"]}"#,
        "list[0]: unknown variant `odd`, expected one of `plain`, `one`, `two`, `named`",
    );
    says("{}", "missing field `text`");
    says(
        r#"{"text": "a", "table": {"x": "1"}}"#,
        "table.x: this is text, expected u64",
    );
}

#[test]
fn nesting_without_end_is_refused() {
    let text = format!("{{\"a\": {}", "[".repeat(100_000));
    #[derive(Debug, Deserialize)]
    struct Nothing {}
    let error = read::<Nothing>(&text).unwrap_err().to_string();
    assert!(error.contains("nested too deeply"), "{error}");
}
