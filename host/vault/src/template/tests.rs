//! Whatever goes into a hole, the rest is read as it was written.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::chosen::OtherChoice;
use crate::holes::Holes;
use crate::secret::Secret;

const SECRET: &str = "s3cr\"et\\&=+%:;,</a>";

/// Texts that have ended a field, a string or a header elsewhere.
const HOSTILE: &[&str] = &[
    "",
    "\"",
    "\\",
    "\\\"",
    "\",\"admin\":true,\"x\":\"",
    "\"}",
    "\u{2028}",
    "\u{0}",
    "\r\nx-injected: 1",
    "\n",
    "a&admin=1",
    "&",
    "=",
    "+",
    "%26admin%3D1",
    "%",
    "%00",
    ";admin=1",
    "a,b",
    "a:b",
    "a b",
    " a",
    "a ",
    "{secret}",
    "{password}",
    "{tenant}",
    "${secret}",
    "#",
    "/../admin",
    "?x=1",
    "\u{ff02}",
    "\u{202e}",
    "é",
    "\u{feff}",
    "💥",
    "</script>",
    "\t",
    "\u{7f}",
    "1e9",
    "-0",
    "01",
    "9223372036854775808",
    "-9223372036854775808",
    "null",
    "true",
];

fn declared() -> Declared {
    let holes = [
        ("tenant", HoleType::Text),
        ("id", HoleType::Token),
        ("count", HoleType::Integer),
    ];
    let holes = holes.into_iter();
    holes.map(|(name, kind)| (name.to_owned(), kind)).collect()
}

fn template(text: &str, position: Position) -> Template {
    Template::parse(text, &declared(), position).unwrap()
}

fn holes(tenant: &str, id: &str, count: &str) -> Holes {
    let holes = [("tenant", tenant), ("id", id), ("count", count)];
    Holes::new(
        holes
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
            .into(),
    )
    .unwrap()
}

fn filling(holes: &Holes) -> (Secret, &Holes) {
    (Secret::copy_of(SECRET.as_bytes()), holes)
}

fn text_of(bytes: Result<bytes::Bytes, Unfilled>) -> String {
    String::from_utf8(bytes.unwrap().to_vec()).unwrap()
}

fn filled<T>(holes: &Holes, write: impl FnOnce(&Filling<'_>) -> T) -> T {
    let (secret, holes) = filling(holes);
    write(&Filling {
        secret: Some(secret.expose()),
        user: None,
        password: None,
        holes,
    })
}

fn pairs(text: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        let spaced = text.replace('+', " ");
        let bytes: Vec<u8> = percent_encoding::percent_decode_str(&spaced).collect();
        String::from_utf8(bytes).unwrap()
    };
    let pair = |field: &str| {
        let (name, value) = field.split_once('=').unwrap();
        (decode(name), decode(value))
    };
    text.split('&').map(pair).collect()
}

fn form_fields() -> Vec<(String, Template)> {
    [
        ("grant type", "client&credentials"),
        ("tenant", "{tenant}"),
        ("key", "{secret}"),
        ("at", "{id}:{count}"),
    ]
    .map(|(name, text)| (name.to_owned(), template(text, Position::Form)))
    .into()
}

fn document() -> JsonTemplate {
    let text = |text: &str| JsonTemplate::Text(template(text, Position::Json));
    JsonTemplate::Object(vec![
        (
            "auth".to_owned(),
            JsonTemplate::Object(vec![
                ("key".to_owned(), text("{secret}")),
                ("tenant".to_owned(), text("{tenant}")),
            ]),
        ),
        (
            "a\"b".to_owned(),
            JsonTemplate::Array(vec![
                text("{count}"),
                text("{id}/{count}"),
                JsonTemplate::Number(-7),
                JsonTemplate::Boolean(true),
            ]),
        ),
    ])
}

/// Fills every template with these texts. Whether each place took them.
fn fill_all(tenant: &str, id: &str, count: &str) -> [bool; 4] {
    let holes = holes(tenant, id, count);
    let takes = |template: &Template, position| template.takes(&holes, position).is_ok();

    let header = template("K {tenant}|{secret}|{id}/{count}", Position::Header);
    let by_header = takes(&header, Position::Header);
    if by_header {
        let text = filled(&holes, |filling| {
            text_of(single("", &header, Encoding::Plain, filling))
        });
        let rest = text.strip_prefix("K ").unwrap();
        let (first, rest) = rest.split_once('|').unwrap();
        let (secret, rest) = rest.rsplit_once('|').unwrap();
        assert_eq!(
            (first, secret, rest.split_once('/')),
            (tenant, SECRET, Some((id, count)))
        );
        assert!(http::HeaderValue::from_str(&text).is_ok());
    }
    let query = template("{tenant}:{secret}", Position::Query);
    let by_query = takes(&query, Position::Query);
    if by_query {
        let text = filled(&holes, |filling| {
            text_of(single("/p?a=1&key=", &query, Encoding::Percent, filling))
        });
        assert_eq!(
            pairs(text.strip_prefix("/p?").unwrap()),
            [
                ("a".to_owned(), "1".to_owned()),
                ("key".to_owned(), format!("{tenant}:{SECRET}"))
            ]
        );
        assert!(text.parse::<http::uri::PathAndQuery>().is_ok());
    }
    let fields = form_fields();
    let by_form = fields.iter().all(|(_, field)| takes(field, Position::Form));
    if by_form {
        let text = filled(&holes, |filling| text_of(form(&fields, filling)));
        let expected = [
            ("grant type", "client&credentials".to_owned()),
            ("tenant", tenant.to_owned()),
            ("key", SECRET.to_owned()),
            ("at", format!("{id}:{count}")),
        ];
        assert_eq!(
            pairs(&text),
            expected.map(|(name, value)| (name.to_owned(), value))
        );
    }
    let document = document();
    let by_json = document
        .texts()
        .into_iter()
        .all(|text| takes(text, Position::Json));
    if by_json {
        let text = filled(&holes, |filling| text_of(json(&document, filling)));
        let number: i64 = count.parse().unwrap();
        let expected = json!({
            "auth": { "key": SECRET, "tenant": tenant },
            "a\"b": [number, format!("{id}/{count}"), -7, true],
        });
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
    }
    [by_header, by_query, by_form, by_json]
}

#[test]
fn no_hostile_text_in_a_hole_changes_how_the_rest_is_read() {
    let mut taken = [0; 4];
    let mut count = |took: [bool; 4]| {
        for (sum, took) in taken.iter_mut().zip(took) {
            *sum += usize::from(took);
        }
    };
    for text in HOSTILE {
        count(fill_all(text, "id-1", "42"));
        count(fill_all("t", text, "42"));
        count(fill_all("t", "id-1", text));
    }
    // It is no test if none of them gets in.
    assert!(taken.iter().all(|count| *count > 10), "{taken:?}");
}

/// The same documents, put together as texts.
fn unescaped(tenant: &str) -> (Option<Value>, usize, bool) {
    let json = format!("{{\"key\":\"{SECRET}\",\"tenant\":\"{tenant}\"}}").replace(SECRET, "s");
    let form = format!("tenant={tenant}&key=s");
    let header = format!("K {tenant}|s");
    (
        serde_json::from_str(&json).ok(),
        form.split('&').count(),
        header.split('|').count() == 2 && http::HeaderValue::from_str(&header).is_ok(),
    )
}

#[test]
fn control_texts_put_together_without_escapes_are_read_otherwise() {
    let (mut json, mut form, mut header) = (0, 0, 0);
    for text in HOSTILE {
        let (value, fields, is_header) = unescaped(text);
        let expected = json!({ "key": "s", "tenant": text });
        json += usize::from(value != Some(expected));
        form += usize::from(fields != 2);
        header += usize::from(!is_header);
    }
    assert!(json > 5 && form > 1 && header > 1, "{json} {form} {header}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn no_text_in_a_hole_changes_how_the_rest_is_read(
        tenant in "\\PC{0,12}|[ -~]{0,12}|[\\x00-\\x7f]{0,6}",
        id in "[A-Za-z0-9._~-]{1,8}|[ -~]{0,6}",
        count in "-?[0-9]{1,20}|[ -~]{0,4}",
    ) {
        fill_all(&tenant, &id, &count);
    }
}

#[test]
fn what_a_hole_takes_depends_on_its_type_and_place() {
    let takes = |text: &str, position, value: &str| {
        let template = template(text, position);
        let names: BTreeMap<_, _> = template.holes().collect();
        let holes = names
            .keys()
            .map(|name| ((*name).to_owned(), value.to_owned()));
        let holes = Holes::new(holes.collect()).unwrap();
        template.takes(&holes, position) == Ok(())
    };
    use Position::*;
    for (text, position, value, expected) in [
        ("{id} {secret}", Header, "a-b", true),
        ("{id} {secret}", Header, "", false),
        ("{id} {secret}", Header, "a b", false),
        ("{id}-{secret}", Header, "a-b", false),
        ("{tenant}:{secret}", Header, "a/b", true),
        ("{tenant}:{secret}", Header, "a:b", false),
        ("{tenant}:{secret}", Header, "é", false),
        ("{tenant}:{secret}", Query, "a&b", true),
        ("{tenant}", Form, "two\nlines", true),
        ("to {tenant}", Form, "two\nlines", false),
        ("to {tenant}", Form, "é", true),
        ("to {tenant}", Form, "a b", false),
        ("{tenant}", Json, "\u{0}", false),
        ("{count}", Json, "7", true),
        ("{count}", Json, "07", false),
        ("{count}", Json, "7.0", false),
        ("{count}", Json, "-7", true),
    ] {
        assert_eq!(takes(text, position, value), expected, "{text} {value:?}");
    }
    let long = "x".repeat(MAX_HOLE_BYTES + 1);
    assert!(!takes("{tenant}", Form, &long));
    assert!(takes("{tenant}", Form, &long[1..]));
}

#[test]
fn a_template_needs_all_its_holes_and_holes_have_bounds() {
    let template = template("{tenant}:{secret}", Position::Header);
    assert_eq!(
        template.takes(&Holes::default(), Position::Header),
        Err(OtherChoice)
    );
    let many = |count: usize, text: &str| {
        let holes = (0..count).map(|index| (format!("h{index}"), text.to_owned()));
        Holes::new(holes.collect()).is_ok()
    };
    assert!(many(32, "x"));
    assert!(!many(33, "x"));
    assert!(!many(9, &"x".repeat(4096)));
    let twice = vec![
        ("a".to_owned(), "1".to_owned()),
        ("a".to_owned(), "2".to_owned()),
    ];
    assert!(Holes::new(twice).is_err());
}
