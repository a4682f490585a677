//! JSON as others wrote it, read strictly: a key that stands twice in an object is
//! an error, because who reads the file and who deploys it could each believe
//! another one.

use std::fmt;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::exit::Failure;

/// The largest file that is read, in bytes: four times what a deployment may have.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// Reads a file. Errors: it can't be read, is too large, no JSON, too deep (127
/// levels), or has a key twice; none shows a part of the text.
pub(super) fn read(file: &Path) -> Result<Value, Failure> {
    let shown = file.display();
    let unreadable = |error| Failure::io(error, format!("can't read {shown}"));
    let length = std::fs::metadata(file).map_err(unreadable)?.len();
    if length > MAX_BYTES {
        return Err(Failure::new(format!(
            "{shown} is larger than {} MiB",
            MAX_BYTES / 1024 / 1024
        )));
    }
    let text = std::fs::read_to_string(file).map_err(unreadable)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    parse(text).map_err(|error| {
        // The reader's own words can hold a part of the text.
        let why = match error.classify() {
            serde_json::error::Category::Data => "a key stands twice in an object",
            serde_json::error::Category::Eof => "it ends too early",
            _ => "it is no JSON, or more than 127 levels deep",
        };
        Failure::new(format!(
            "{shown}:{}:{}: {why}",
            error.line(),
            error.column()
        ))
        .help("templates can have comments and Bicep has another form; `az bicep build` writes JSON without")
    })
}

/// Reads a text.
pub(super) fn parse(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str::<Strict>(text).map(|Strict(value)| value)
}

/// A member of an object. Templates are read without regard to the case of keys
/// (Azure Resource Manager, "Understand the structure and syntax").
pub(super) fn member<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    let object = value.as_object()?;
    object.get(name).or_else(|| {
        let found = object
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value)
    })
}

/// As [`member`], and `null` is as good as none.
pub(super) fn given<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    member(value, name).filter(|value| !value.is_null())
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((key, Strict(value))) = entries.next_entry::<String, Strict>()? {
            let same = |there: &String| there.eq_ignore_ascii_case(&key);
            // The tail of a long object is not compared with all of it.
            let twice = match object.len() {
                0..=64 => object.keys().any(same),
                _ => object.contains_key(&key),
            };
            if twice {
                return Err(A::Error::custom("a key twice"));
            }
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;
    use serde_json::json;

    #[test]
    fn json_is_read_as_it_is() {
        let text = r#"{"a": [1, -2, 0.5, true, null, "x"], "b": {"c": {}}}"#;
        let expected = json!({ "a": [1, -2, 0.5, true, null, "x"], "b": { "c": {} } });
        assert_eq!(parse(text).unwrap(), expected);
        assert_eq!(member(&expected, "B"), Some(&json!({ "c": {} })));
        assert_eq!(given(&json!({ "a": null }), "a"), None);
    }

    #[test]
    fn a_key_twice_is_an_error_in_whatever_case() {
        for text in [
            r#"{"a": 1, "a": 2}"#,
            r#"{"value": 1, "Value": 2}"#,
            r#"[{"x": {"b": 1, "b": 1}}]"#,
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(
                error.classify(),
                serde_json::error::Category::Data,
                "{text}"
            );
        }
    }

    #[test]
    fn depth_ends_somewhere() {
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse(&deep(100)).is_ok());
        assert!(parse(&deep(100_000)).is_err());
    }
}
