//! Reads settings: JSON into a type that implements `serde::Deserialize`.
//!
//! A mistake is named by its path, `headers[2].action`: what the operator wrote
//! was a table in a configuration file, so lines and columns of the JSON would
//! mean nothing.

use serde::Deserialize;

/// Reads settings.
///
/// Errors: what is wrong and where, for the operator.
pub(crate) fn read<'de, S: Deserialize<'de>>(text: &'de str) -> Result<S, String> {
    let mut json = serde_json::Deserializer::from_str(text);
    let settings = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let words = error.inner().to_string();
        // The library's place in the text, which the operator never sees.
        let words = words.split(" at line ").next().unwrap_or_default();
        if path == "." {
            words.to_owned()
        } else {
            format!("{path}: {words}")
        }
    })?;
    json.end()
        .map_err(|_| "something follows the end of the JSON".to_owned())?;
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        #[serde(default)]
        list: Vec<Item>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Item {
        number: u8,
    }

    #[track_caller]
    fn refused(text: &str) -> String {
        read::<Settings>(text)
            .map(|settings| settings.list.len())
            .expect_err("it was read")
    }

    #[test]
    fn a_mistake_is_named_by_its_path() {
        assert_eq!(
            refused(r#"{"list": [{"number": 1}, {"number": 300}]}"#),
            "list[1].number: invalid value: integer `300`, expected u8"
        );
        assert_eq!(
            refused(r#"{"lists": []}"#),
            "lists: unknown field `lists`, expected `list`"
        );
        assert_eq!(
            refused("7"),
            "invalid type: integer `7`, expected struct Settings"
        );
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for text in ["", "{", "{} {}", "{\"list\": [}"] {
            assert!(read::<Settings>(text).is_err(), "{text}");
        }
        assert!(read::<Settings>("{}").is_ok_and(|settings| settings.list.is_empty()));
        let one = read::<Settings>(r#"{"list": [{"number": 7}]}"#);
        assert_eq!(
            one.map(|settings| settings.list.first().map(|item| item.number)),
            Ok(Some(7))
        );
    }
}
