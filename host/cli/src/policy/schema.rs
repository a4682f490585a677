//! Settings in words, from the schema in a manifest.

use serde_json::Value;

use crate::words::one_line;

/// One line for each setting, those of a table below it. A schema that is not a table
/// of settings is shown as it is.
pub(super) fn lines(schema: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    if schema["properties"].is_object() {
        table(schema, 1, &mut lines);
    } else {
        let text = serde_json::to_string_pretty(schema).unwrap_or_default();
        lines.extend(text.lines().map(|line| format!("  {}", one_line(line))));
    }
    lines
}

fn table(schema: &Value, depth: usize, lines: &mut Vec<String>) {
    let is_required = |name: &String| {
        let required = schema["required"].as_array();
        required.is_some_and(|names| names.iter().any(|required| required == name))
    };
    for (name, setting) in schema["properties"].as_object().into_iter().flatten() {
        let mut words = vec![kind(setting)];
        words.extend(bounds(setting));
        if is_required(name) {
            words.push("required".to_owned());
        }
        if let Some(default) = setting.get("default") {
            words.push(format!("default {default}"));
        }
        let about = setting["description"].as_str().unwrap_or_default();
        let colon = if about.is_empty() { "" } else { ": " };
        lines.push(format!(
            "{:indent$}{} ({}){colon}{}",
            "",
            one_line(name),
            one_line(&words.join(", ")),
            one_line(about),
            indent = 2 * depth,
        ));
        // The settings of a table, and of each table of a list.
        for inner in [setting, &setting["items"]] {
            if inner["properties"].is_object() {
                table(inner, depth + 1, lines);
            }
        }
    }
}

fn kind(setting: &Value) -> String {
    if let Some(names) = setting["enum"].as_array() {
        let names: Vec<String> = names.iter().map(Value::to_string).collect();
        return names.join(" | ");
    }
    let words = match setting["type"].as_str() {
        Some("string") => "text",
        Some("integer") => "whole number",
        Some("number") => "number",
        Some("boolean") => "true | false",
        Some("array") => return format!("list of {}", several(&setting["items"])),
        Some("object") => "table",
        _ => "anything",
    };
    words.to_owned()
}

fn several(items: &Value) -> String {
    match items["type"].as_str() {
        Some("string") if items["enum"].is_null() => "texts".to_owned(),
        Some("integer" | "number") => "numbers".to_owned(),
        Some("object") => "tables".to_owned(),
        _ => kind(items),
    }
}

/// Bounds that say more than the type does.
fn bounds(setting: &Value) -> Option<String> {
    let (least, most, unit) = match setting["type"].as_str()? {
        "integer" | "number" => ("minimum", "maximum", ""),
        "string" => ("minLength", "maxLength", " characters"),
        "array" => ("minItems", "maxItems", " of them"),
        _ => return None,
    };
    let (least, most) = (setting.get(least), setting.get(most));
    match (least, most) {
        (Some(least), Some(most)) => Some(format!("{least} to {most}{unit}")),
        (Some(least), None) => Some(format!("at least {least}{unit}")),
        (None, Some(most)) => Some(format!("at most {most}{unit}")),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_are_told_in_words_and_tables_below_their_lists() {
        let schema = json!({"required": ["limits"], "properties": {
            "alias": {"type": "string", "default": "backend", "description": "The grant's alias."},
            "by": {"enum": ["address", "subject"]},
            "limits": {"type": "array", "minItems": 1, "items": {"type": "object", "properties": {
                "seconds": {"type": "integer", "minimum": 1, "maximum": 60},
            }}},
        }});
        assert_eq!(
            lines(&schema),
            [
                "  alias (text, default \"backend\"): The grant's alias.",
                "  by (\"address\" | \"subject\")",
                "  limits (list of tables, at least 1 of them, required)",
                "    seconds (whole number, 1 to 60)",
            ]
        );
        assert_eq!(lines(&json!(true)), ["  true"]);
    }
}
