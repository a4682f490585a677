//! Any text as a template of API Management, and a line of it as its parameters: it ends,
//! what it becomes is TOML without control characters, and the value of a secret that
//! stands beside it is in no file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

/// The value of a secret.
const VALUE: &str = "Kd3-canary-9ZpLx2Vb8Wd";

fuzz_target!(|text: &str| {
    let (parameters, template) = match text.split_once('\n') {
        Some((parameters, template)) => (Some(parameters), template),
        None => (None, text),
    };
    check(template, parameters);
    // As one resource among others, which has its reader get further.
    let Ok(any) = serde_json::from_str::<Value>(template) else {
        return;
    };
    if text.contains("canary") {
        return;
    }
    let named = |name: &str, properties: Value| {
        json!({
            "type": "Microsoft.ApiManagement/service/namedValues",
            "name": name,
            "properties": properties,
        })
    };
    let backend = json!({
        "type": "Microsoft.ApiManagement/service/backends",
        "name": "[concat('shop', '/billing')]",
        "properties": any,
    });
    let secret = json!({ "displayName": "key", "secret": true, "value": VALUE });
    let resources = [any.clone(), named("a", any.clone()), named("b", secret), backend];
    let whole = json!({ "parameters": any, "variables": any, "resources": resources });
    check(&whole.to_string(), parameters);
});

fn check(template: &str, parameters: Option<&str>) {
    let Some(files) = keyward_cli::files_of_apim(template, parameters) else {
        return;
    };
    for (name, text) in files {
        if name.ends_with(".toml") {
            assert!(text.parse::<toml::Table>().is_ok(), "{name}");
        }
        assert!(!text.contains(VALUE), "{name}");
        let shown = |c: char| c == '\n' || !c.is_control();
        assert!(text.chars().all(shown), "{name}");
    }
}
