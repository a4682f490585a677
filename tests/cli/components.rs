//! Components for `keyward policy inspect`, which reads and never runs them.

use std::path::Path;
use std::sync::OnceLock;

/// Phases and imports are told by name, so empty instances do.
const ATTACH: &str = r#"(component
    (import "keyward:policy/exchange@0.1.0" (instance))
    (import "keyward:policy/secrets@0.1.0" (instance))
    (instance $empty)
    (export "keyward:policy/inbound@0.1.0" (instance $empty))
    (export "keyward:policy/configuration@0.1.0" (instance $empty))
    (@custom "keyward:manifest"
        "{\"name\":\"attach-api-key\",\"version\":\"0.1.0\","
        "\"description\":\"Attaches the backend's key.\","
        "\"asks\":[{\"alias\":\"backend\",\"use\":\"attach\",\"why\":\"the key that the\\nbackend \\u001b[31mexpects\"}],"
        "\"settings\":{\"type\":\"object\",\"properties\":{\"alias\":{\"type\":\"string\"}}}}"))"#;

/// Asks for what its setting `alias` names.
const SETTING: &str = r#"(component
    (import "keyward:policy/secrets@0.1.0" (instance))
    (instance $empty)
    (export "keyward:policy/inbound@0.1.0" (instance $empty))
    (export "keyward:policy/configuration@0.1.0" (instance $empty))
    (@custom "keyward:manifest"
        "{\"name\":\"attach-by-setting\",\"version\":\"0.1.0\",\"description\":\"Attaches a key.\","
        "\"asks\":[{\"alias\":\"backend\",\"setting\":\"alias\",\"use\":\"attach\",\"why\":\"the key\"}]}"))"#;

const FORBIDDEN: &str = r#"(component
    (import "wasi:filesystem/types@0.2.0" (instance)))"#;

/// A folder with `attach.wasm`, `setting.wasm` and `forbidden.wasm`.
pub(crate) fn folder() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    FOLDER
        .get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            for (name, text) in [
                ("attach", ATTACH),
                ("setting", SETTING),
                ("forbidden", FORBIDDEN),
            ] {
                std::fs::write(
                    folder.path().join(name).with_extension("wasm"),
                    wat::parse_str(text).unwrap(),
                )
                .unwrap();
            }
            folder
        })
        .path()
}
