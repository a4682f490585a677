//! What the guest takes as its settings.

use document::Settings;
use keyward_policy::testing::{schema, settings};

#[test]
fn a_program_that_is_none_is_a_settings_error() {
    for (text, expected) in [
        (r#"{"program": "?"}"#, "program: it is no Base64"),
        (
            r#"{"program": "AAAA"}"#,
            "program: not a program of this version; compile the document again",
        ),
        (r"{}", "missing field `program`"),
    ] {
        let refused = settings::<Settings>(text).err();
        assert_eq!(refused.as_deref(), Some(expected), "{text}");
    }
}

#[test]
fn the_schema_says_what_a_program_is() {
    assert!(schema::<Settings>().contains("in Base64"));
}
