#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};

use crate::testing::{schema, settings};
use crate::{HeaderName, settings};

/// What the operator sets.
#[settings(check = is_consistent)]
struct Whole {
    /// How often, "at
    /// most".
    #[setting(default = 3, min = 1, max = 100)]
    how_often: u32,
    /// What to do.
    #[setting(default = "turn-away")]
    then: Then,
    header: Option<HeaderName>,
    #[setting(default = ["a", "b\\"])]
    words: Vec<String>,
    #[setting(min = 1)]
    parts: Vec<Part>,
    #[setting(default = -1)]
    offset: i64,
}

#[settings]
#[derive(Debug, PartialEq)]
enum Then {
    /// Answer 429.
    TurnAway,
    Log,
}

/// A part.
#[settings]
struct Part {
    #[setting(max = 3)]
    name: String,
    #[setting(default = true)]
    on: bool,
}

fn is_consistent(whole: &Whole) -> Result<(), String> {
    match whole.words.len() {
        7 => Err("seven is too many".to_owned()),
        _ => Ok(()),
    }
}

#[test]
fn the_schema_says_what_is_read() {
    let schema: Value = serde_json::from_str(&schema::<Whole>()).unwrap();
    let expected = json!({
        "description": "What the operator sets.",
        "type": "object", "additionalProperties": false, "required": ["parts"],
        "properties": {
            "how-often": {
                "description": "How often, \"at most\".",
                "type": "integer", "minimum": 1, "maximum": 100, "default": 3,
            },
            "then": {
                "description": "What to do. turn-away: Answer 429.",
                "enum": ["turn-away", "log"], "default": "turn-away",
            },
            "header": {
                "type": "string", "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", "examples": ["x-example"],
            },
            "words": {"type": "array", "items": {"type": "string"}, "default": ["a", "b\\"]},
            "parts": {
                "type": "array", "minItems": 1,
                "items": {
                    "description": "A part.",
                    "type": "object", "additionalProperties": false, "required": ["name"],
                    "properties": {
                        "name": {"type": "string", "maxLength": 3},
                        "on": {"type": "boolean", "default": true},
                    },
                },
            },
            "offset": {
                "type": "integer", "minimum": i64::MIN, "maximum": i64::MAX, "default": -1,
            },
        },
    });
    assert_eq!(schema, expected, "{schema:#}");
}

#[test]
fn what_is_left_out_is_the_default_that_the_schema_names() {
    let whole: Whole = settings(r#"{"parts": [{"name": "a"}]}"#).unwrap();
    assert_eq!(whole.how_often, 3);
    assert_eq!(whole.then, Then::TurnAway);
    assert!(whole.header.is_none());
    assert_eq!(whole.words, ["a", "b\\"]);
    assert_eq!(whole.offset, -1);
    assert!(whole.parts[0].on);
    assert_eq!(whole.parts[0].name, "a");
}

#[test]
fn what_is_out_of_bounds_is_refused_with_the_bounds_and_the_place() {
    let refused = |text: &str| settings::<Whole>(text).err().unwrap();
    assert_eq!(
        refused(r#"{"parts": [{"name": "a"}], "how-often": 101}"#),
        "`how-often` is 1 to 100"
    );
    assert_eq!(refused(r#"{"parts": []}"#), "`parts` has at least 1 item");
    assert_eq!(
        refused(r#"{"parts": [{"name": "a"}, {"name": "long"}]}"#),
        "parts[1]: `name` has at most 3 characters"
    );
    assert_eq!(
        refused(r#"{"parts": [{"name": "a"}], "words": ["", "", "", "", "", "", ""]}"#),
        "seven is too many"
    );
    assert!(refused(r#"{"parts": [], "how_often": 1}"#).contains("unknown field `how_often`"));
    assert!(refused(r#"{"how-often": 1}"#).contains("missing field `parts`"));
}

#[test]
fn where_every_setting_has_a_default_so_has_the_type() {
    /// Nothing has to be set.
    #[settings]
    #[derive(Debug, PartialEq)]
    struct Easy {
        #[setting(default = "x-id")]
        header: HeaderName,
        #[setting(default = [])]
        list: Vec<u8>,
        maybe: Option<bool>,
    }
    assert_eq!(Easy::default(), settings("{}").unwrap());
    assert_eq!(&*Easy::default().header, "x-id");
}
