//! The JSON Schema of `keyward.toml`, from the list of its keys.

use serde_json::{Map, Value, json};

use super::keys::{KEYS, Key, NAMED, Shape, section_of};

impl Shape {
    /// What a value is, for people.
    pub fn in_words(self) -> String {
        match self {
            Shape::Address => "an IP address and a port".to_owned(),
            Shape::Path => "a path, relative to the file".to_owned(),
            Shape::Paths => "a path, relative to the file, or several".to_owned(),
            Shape::Url => "a URL".to_owned(),
            Shape::Name => "a name: 1 to 64 of `a-z 0-9 . _ -`".to_owned(),
            Shape::Prefix => "the beginning of a path".to_owned(),
            Shape::Text => "a text".to_owned(),
            Shape::Word(words) => words
                .iter()
                .map(|word| format!("`\"{word}\"`"))
                .collect::<Vec<_>>()
                .join(" or "),
            Shape::Days => "days, such as `\"400d\"`".to_owned(),
            Shape::Duration => "a time, such as `\"30s\"`, `\"5m\"`, `\"1h\"`".to_owned(),
            Shape::Count(least, most) => format!("a whole number, {least} to {most}"),
            Shape::Share => "a number, 0 to 1".to_owned(),
            Shape::Flag => "`true` or `false`".to_owned(),
            Shape::Texts => "texts".to_owned(),
            Shape::Table => "a table".to_owned(),
        }
    }

    fn schema(self) -> Value {
        match self {
            Shape::Address | Shape::Path | Shape::Url | Shape::Text => json!({ "type": "string" }),
            Shape::Name => json!({ "type": "string", "pattern": "^[a-z0-9][a-z0-9._-]{0,63}$" }),
            Shape::Prefix => json!({ "type": "string", "pattern": "^/" }),
            Shape::Word(words) => json!({ "type": "string", "enum": words }),
            Shape::Days => json!({ "type": "string", "pattern": "^[0-9]+d$" }),
            Shape::Duration => json!({ "type": "string", "pattern": "^[0-9]+[smhd]$" }),
            Shape::Count(least, most) => {
                json!({ "type": "integer", "minimum": least, "maximum": most })
            }
            Shape::Share => json!({ "type": "number", "minimum": 0, "maximum": 1 }),
            Shape::Flag => json!({ "type": "boolean" }),
            Shape::Paths => json!({ "anyOf": [
                { "type": "string" },
                { "type": "array", "items": { "type": "string" } },
            ] }),
            Shape::Texts => json!({ "type": "array", "items": { "type": "string" } }),
            Shape::Table => json!({ "type": "object" }),
        }
    }
}

/// The schema (JSON Schema 2020-12) of the file as a JSON document: which tables
/// and keys there are and what each holds. That names are defined, that a
/// pipeline has one way of saying what runs, and what more there is between keys
/// is for `keyward config check`.
pub fn schema() -> Value {
    let Value::Object(mut root) = table(&[]) else {
        return Value::Null;
    };
    let dialect = "https://json-schema.org/draft/2020-12/schema";
    root.insert("$schema".to_owned(), json!(dialect));
    root.insert("title".to_owned(), json!("keyward.toml"));
    root.insert("required".to_owned(), json!(["gateway"]));
    Value::Object(root)
}

/// The table at a path: its keys, and the tables in it.
fn table(path: &[&str]) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    // Tables that the file names itself: `[sources.NAME]`.
    let mut named = json!(false);
    for key in KEYS {
        let (section, many) = section_of(key.section);
        match section.strip_prefix(path) {
            Some([]) => {
                properties.insert(key.name.to_owned(), property(key));
                if key.required {
                    required.push(key.name);
                }
            }
            Some([NAMED, ..]) if named == json!(false) => {
                let inside: Vec<&str> = path.iter().chain(&[NAMED]).copied().collect();
                named = table(&inside);
            }
            Some([NAMED, ..]) => {}
            Some([inner, rest @ ..]) if !properties.contains_key(*inner) => {
                let inside: Vec<&str> = path.iter().chain([inner]).copied().collect();
                let items = table(&inside);
                let table = match many && rest.is_empty() {
                    true => json!({ "type": "array", "items": items }),
                    false => items,
                };
                properties.insert((*inner).to_owned(), table);
            }
            _ => {}
        }
    }
    let mut table = json!({
        "type": "object",
        "additionalProperties": named,
        "properties": properties,
    });
    if !required.is_empty() {
        table["required"] = json!(required);
    }
    table
}

fn property(key: &Key) -> Value {
    let mut schema = key.shape.schema();
    schema["description"] = json!(key.about);
    // A default as the list has it is TOML, and most of it JSON as well.
    let default = key.default.map(serde_json::from_str::<Value>);
    if let Some(Ok(default)) = default {
        schema["default"] = default;
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_is_in_the_schema_where_the_file_has_it() {
        let schema = schema();
        let listen = &schema["properties"]["gateway"]["properties"]["listen"];
        assert_eq!(listen["type"], "string");
        assert_eq!(
            schema["properties"]["gateway"]["required"],
            json!(["listen"])
        );
        let roles = &schema["properties"]["control"]["properties"]["roles"];
        assert_eq!(roles["properties"]["viewer"]["type"], "array");
        let route = &schema["properties"]["route"]["items"];
        assert_eq!(route["required"], json!(["name", "url"]));
        assert_eq!(route["additionalProperties"], false);
        let source = &schema["properties"]["sources"]["additionalProperties"];
        assert_eq!(source["required"], json!(["kind"]));
        assert_eq!(source["additionalProperties"], false);
        let most = &schema["properties"]["gateway"]["properties"]["limits"];
        assert_eq!(most["properties"]["max-connections"]["default"], 4096);
    }
}
