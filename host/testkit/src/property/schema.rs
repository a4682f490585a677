//! Settings by chance, as a manifest's JSON schema describes them.
//!
//! What is read of a schema: `type`, `enum`, `const`, `default`, `properties`,
//! `required`, `items`, `minItems`, `maxItems`, `minimum`, `maximum`, `minLength`,
//! `maxLength`, `pattern`, `oneOf`, `anyOf` and `$ref` into the schema itself. Where
//! it says less than the policy's own check, the policy refuses what comes out,
//! which is no failure.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::string::string_regex;
use serde_json::{Map, Value};

/// How deep schemas within schemas are followed.
const MOST_DEPTH: usize = 6;
/// The longest list, where the schema allows more.
const MOST_ITEMS: usize = 4;
/// The longest text, where the schema allows more.
const MOST_CHARACTERS: usize = 24;

/// Settings that a schema allows. `words` are texts that mean something in the
/// suite: names of routes, aliases, headers.
pub(crate) fn settings(schema: &Value, words: &[String]) -> BoxedStrategy<Value> {
    let from = From {
        root: schema,
        words: if words.is_empty() {
            vec!["x".to_owned()]
        } else {
            words.to_vec()
        },
    };
    from.value(schema, 0)
}

struct From<'a> {
    root: &'a Value,
    words: Vec<String>,
}

impl From<'_> {
    fn value(&self, schema: &Value, depth: usize) -> BoxedStrategy<Value> {
        let made = self.made(schema, depth);
        match schema.get("default") {
            None => made,
            Some(default) => prop_oneof![Just(default.clone()), made].boxed(),
        }
    }

    fn made(&self, schema: &Value, depth: usize) -> BoxedStrategy<Value> {
        if depth > MOST_DEPTH {
            return Just(Value::Null).boxed();
        }
        if let Some(value) = schema.get("const") {
            return Just(value.clone()).boxed();
        }
        if let Some(values) = list(schema, "enum") {
            return select(values.to_vec()).boxed();
        }
        if let Some(place) = schema.get("$ref").and_then(Value::as_str) {
            let pointer = place.strip_prefix('#').unwrap_or_default();
            return match self.root.pointer(pointer) {
                Some(schema) if !pointer.is_empty() => self.value(schema, depth + 1),
                _ => Just(Value::Null).boxed(),
            };
        }
        if let Some(choices) = list(schema, "oneOf").or_else(|| list(schema, "anyOf")) {
            let choices = choices.iter().map(|choice| self.value(choice, depth + 1));
            return proptest::strategy::Union::new(choices).boxed();
        }
        match schema.get("type") {
            Some(Value::String(name)) => self.of_type(name, schema, depth),
            Some(Value::Array(names)) if !names.is_empty() => {
                let names = names.iter().filter_map(Value::as_str);
                let choices: Vec<_> = names
                    .map(|name| self.of_type(name, schema, depth))
                    .collect();
                proptest::strategy::Union::new(choices).boxed()
            }
            _ if schema.get("properties").is_some() => self.object(schema, depth),
            _ => self.of_type("string", schema, depth),
        }
    }

    fn of_type(&self, name: &str, schema: &Value, depth: usize) -> BoxedStrategy<Value> {
        match name {
            "object" => self.object(schema, depth),
            "array" => self.array(schema, depth),
            "integer" => integer(schema),
            "number" => number(schema),
            "boolean" => any::<bool>().prop_map(Value::Bool).boxed(),
            "null" => Just(Value::Null).boxed(),
            _ => self.text(schema),
        }
    }

    fn object(&self, schema: &Value, depth: usize) -> BoxedStrategy<Value> {
        let required: Vec<&str> = list(schema, "required")
            .unwrap_or_default()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let none = Map::new();
        let properties = schema
            .get("properties")
            .and_then(Value::as_object)
            .unwrap_or(&none);
        let members: Vec<BoxedStrategy<Option<(String, Value)>>> = properties
            .iter()
            .map(|(name, schema)| {
                let member = self.value(schema, depth + 1);
                let name_of = name.clone();
                let member = member.prop_map(move |value| Some((name_of.clone(), value)));
                if required.contains(&name.as_str()) {
                    member.boxed()
                } else {
                    prop_oneof![Just(None), member].boxed()
                }
            })
            .collect();
        members
            .prop_map(|members| Value::Object(members.into_iter().flatten().collect()))
            .boxed()
    }

    fn array(&self, schema: &Value, depth: usize) -> BoxedStrategy<Value> {
        let least = size(schema, "minItems").unwrap_or(0);
        let most = size(schema, "maxItems").unwrap_or(usize::MAX);
        let most = most.min(least.saturating_add(MOST_ITEMS)).max(least);
        let text = Value::Null;
        let item = self.value(schema.get("items").unwrap_or(&text), depth + 1);
        vec(item, least..=most).prop_map(Value::Array).boxed()
    }

    fn text(&self, schema: &Value) -> BoxedStrategy<Value> {
        let least = size(schema, "minLength").unwrap_or(0);
        let most = size(schema, "maxLength").unwrap_or(usize::MAX);
        let most = most.min(least.saturating_add(MOST_CHARACTERS)).max(least);
        let fits = move |text: &String| (least..=most).contains(&text.chars().count());
        let pattern = schema.get("pattern").and_then(Value::as_str);
        if let Some(Ok(texts)) = pattern.map(string_regex) {
            return texts.prop_map(Value::String).boxed();
        }
        let words: Vec<String> = self
            .words
            .iter()
            .filter(|word| fits(word))
            .cloned()
            .collect();
        let made = vec(select(CHARACTERS.to_vec()), least..=most)
            .prop_map(|characters| characters.into_iter().collect::<String>());
        if words.is_empty() {
            return made.prop_map(Value::String).boxed();
        }
        prop_oneof![select(words), made]
            .prop_map(Value::String)
            .boxed()
    }
}

/// What a text is made of: mostly what names are made of.
const CHARACTERS: [char; 32] = [
    'a',
    'b',
    'c',
    'd',
    'e',
    'k',
    'x',
    'z',
    'A',
    'Z',
    '0',
    '1',
    '2',
    '9',
    '-',
    '_',
    '.',
    '/',
    ':',
    '*',
    ' ',
    '"',
    '\\',
    '%',
    '&',
    '<',
    '{',
    '}',
    '\n',
    '\0',
    'é',
    '\u{1f511}',
];

fn list<'a>(schema: &'a Value, key: &str) -> Option<&'a [Value]> {
    let values = schema.get(key)?.as_array()?;
    (!values.is_empty()).then_some(values)
}

fn size(schema: &Value, key: &str) -> Option<usize> {
    schema
        .get(key)?
        .as_u64()
        .and_then(|size| size.try_into().ok())
}

fn integer(schema: &Value) -> BoxedStrategy<Value> {
    let bound = |key: &str| schema.get(key).and_then(Value::as_i64);
    let least = bound("minimum").unwrap_or(-1000);
    let most = bound("maximum").unwrap_or(1_000_000).max(least);
    // Small numbers and the bounds are where things happen.
    let small = most.min(least.saturating_add(10));
    prop_oneof![least..=small, least..=most, Just(most)]
        .prop_map(Value::from)
        .boxed()
}

fn number(schema: &Value) -> BoxedStrategy<Value> {
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    let least = bound("minimum").unwrap_or(-1000.0);
    let most = bound("maximum").unwrap_or(1e6).max(least);
    (0.0..=1.0_f64)
        .prop_map(move |part| Value::from(least + (most - least) * part))
        .boxed()
}

#[cfg(test)]
mod tests {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    use serde_json::json;

    use super::*;

    fn some(schema: &Value) -> Vec<Value> {
        let mut runner = TestRunner::deterministic();
        let words = ["orders".to_owned()];
        let settings = settings(schema, &words);
        (0..300)
            .map(|_| settings.new_tree(&mut runner).expect("a value").current())
            .collect()
    }

    #[test]
    fn settings_are_as_the_schema_says() {
        let schema = json!({
            "type": "object",
            "required": ["limits"],
            "properties": {
                "limits": {
                    "type": "array", "minItems": 1, "maxItems": 3,
                    "items": {
                        "type": "object", "required": ["requests"],
                        "properties": { "requests": { "type": "integer", "minimum": 1, "maximum": 9 } },
                    },
                },
                "by": { "enum": ["address", "subject"], "default": "address" },
                "name": { "type": "string", "minLength": 2, "maxLength": 6 },
                "header": { "type": "string", "pattern": "x-[a-z]{1,3}" },
            },
        });
        let values = some(&schema);
        for value in &values {
            let limits = value["limits"].as_array().expect("limits");
            assert!((1..=3).contains(&limits.len()));
            for limit in limits {
                assert!((1..=9).contains(&limit["requests"].as_i64().expect("a number")));
            }
            if let Some(by) = value.get("by") {
                assert!(["address", "subject"].contains(&by.as_str().expect("a text")));
            }
            if let Some(name) = value.get("name").and_then(Value::as_str) {
                assert!((2..=6).contains(&name.chars().count()), "{name}");
            }
            if let Some(header) = value.get("header").and_then(Value::as_str) {
                assert!(header.starts_with("x-") && header.len() <= 5);
            }
        }
        assert!(values.iter().any(|value| value["name"] == "orders"));
        assert!(values.iter().any(|value| value.get("by").is_none()));
    }

    #[test]
    fn a_schema_that_says_little_or_goes_in_circles_still_gives_values() {
        let circle = json!({
            "$defs": { "node": { "type": "object", "properties": { "next": { "$ref": "#/$defs/node" } } } },
            "$ref": "#/$defs/node",
        });
        for schema in [
            circle,
            json!({}),
            json!(true),
            json!({ "type": "object" }),
            json!({ "type": ["integer", "null"], "minimum": 3, "maximum": 1 }),
            json!({ "oneOf": [{ "type": "boolean" }, { "type": "number" }] }),
            json!({ "type": "string", "pattern": "(" }),
            json!({ "type": "string", "minLength": 9, "maxLength": 3 }),
            json!({ "enum": [] }),
            json!({ "$ref": "#/nowhere" }),
        ] {
            assert_eq!(some(&schema).len(), 300, "{schema}");
        }
    }
}
