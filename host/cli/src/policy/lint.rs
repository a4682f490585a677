//! `keyward policy lint`: what is wrong or unwise about a policy.

use std::collections::BTreeSet;
use std::path::Path;

use keyward::engine::{Manifest, Profile};
use keyward_component::Code;
use serde::Serialize;
use serde_json::Value;

use super::described::Described;
use super::inspect::resolve;
use crate::Common;
use crate::exit::{Exit, Failure, Outcome};
use crate::place;
use crate::words::one_line;

pub(super) const HELP: &str = "\
Reads the component without running it and says what an author should mend before an
operator meets it, and how. Ends with 4 if there is something.

Examples:
  keyward policy lint target/policies/greet.wasm
  keyward policy lint attach-api-key            by its name in keyward.toml";

/// Less room than this for allocations, in bytes, and most calls have to grow the
/// memory, which is slow.
const LEAST_ARENA_BYTES: u64 = 8 * 1024;
/// What a lean policy has at the start.
const ONE_PAGE: u64 = 64 * 1024;

/// Which function of `secrets` a use begins with.
const OPENED_BY: &[(&str, &str)] = &[
    ("attach", "[static]credential.open"),
    ("sign-request", "[static]signer.open"),
    ("mac-sign", "[static]mac-signer.open"),
    ("mac-verify", "[static]mac-verifier.open"),
    ("identify", "[static]client-keys.open"),
    ("sas", "[static]shared-access.open"),
    ("presign", "[static]presigner.open"),
    ("describe", "[static]connection.open"),
    ("token", "[static]token.open"),
    ("present", "[static]tls-identity.open"),
    ("jws-sign", "[static]jws-signer.open"),
    ("seal", "[static]sealer.open"),
    ("open", "[static]opener.open"),
    ("verify-jwt", "[static]jwt-verifier.open"),
];

/// Something to mend.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Finding {
    /// What sort it is, for programs.
    finding: &'static str,
    message: String,
    /// What to do about it.
    help: String,
}

pub(super) fn lint(common: &Common, policy: &Path) -> Outcome {
    let output = common.output();
    // A component can be looked at where there is no gateway.
    let config = match (common.config(), place::find(None)) {
        (None, Err(_)) => None,
        (named, _) => Some(place::load(named)?),
    };
    let (described, file) = resolve(policy, config.as_ref())?;
    let bytes = std::fs::read(&file)
        .map_err(|error| Failure::io(error, format!("can't read {}", file.display())))?;
    let mut findings = refused(&described);
    // That there is none is among the reasons to refuse it.
    if let Ok(manifest) = &described.inspection.manifest {
        findings.extend(said(manifest));
        findings.extend(settings(manifest, described.inspection.takes_settings));
    }
    findings.extend(memory(&described));
    if let Ok(code) = Code::of(&bytes) {
        findings.extend(built(&code));
        if let Ok(manifest) = &described.inspection.manifest {
            findings.extend(asked(manifest, &code));
        }
    }
    output.entries(&findings, |findings| {
        if findings.is_empty() {
            return format!("{}: nothing to mend", file.display());
        }
        let lines = findings.iter().map(|one| {
            format!(
                "{}: {}\n  {}",
                one.finding,
                one_line(&one.message),
                one_line(&one.help)
            )
        });
        lines.collect::<Vec<_>>().join("\n")
    })?;
    Ok(if findings.is_empty() {
        Exit::Success
    } else {
        Exit::Findings
    })
}

fn finding(finding: &'static str, message: impl Into<String>, help: impl Into<String>) -> Finding {
    Finding {
        finding,
        message: message.into(),
        help: help.into(),
    }
}

/// Why a gateway would not load it.
fn refused(described: &Described) -> Vec<Finding> {
    let imports = &described.inspection.forbidden_imports;
    let other_contract = imports
        .iter()
        .any(|import| import.starts_with("keyward:policy/"));
    let help = if other_contract {
        "it was built for another version of the contract; this host has keyward:policy@0.1.0: \
         build it with the crate keyward-policy 0.1"
    } else {
        "a gateway does not load it; build it with `keyward policy build`"
    };
    let problems = described.problems().into_iter();
    problems
        .map(|problem| finding("refused", problem, help))
        .collect()
}

/// What the manifest leaves open.
fn said(manifest: &Manifest) -> Vec<Finding> {
    let mut findings = Vec::new();
    if manifest.description.trim().is_empty() {
        findings.push(finding(
            "no-description",
            "it does not say what it does",
            "write one sentence as `description` under [package] in Cargo.toml",
        ));
    }
    for ask in &manifest.asks {
        if ask.why.trim().is_empty() {
            findings.push(finding(
                "no-reason",
                format!(
                    "it does not say why it asks for {} of {}",
                    ask.use_, ask.alias
                ),
                "write `why`: the operator who decides about the grant reads it",
            ));
        }
        let settings = manifest.settings.as_ref();
        if let (Some(setting), Some(settings)) = (&ask.setting, settings)
            && settings["properties"].get(setting).is_none()
        {
            findings.push(finding(
                "no-such-setting",
                format!(
                    "its ask for {} names the setting {setting}, and there is none",
                    ask.alias
                ),
                "correct `setting`, or leave it out",
            ));
        }
    }
    findings
}

/// Settings that an operator can't write without reading the code.
fn settings(manifest: &Manifest, takes_settings: bool) -> Vec<Finding> {
    let Some(schema) = manifest.settings.as_ref() else {
        return Vec::from_iter(takes_settings.then(|| {
            finding(
                "no-schema",
                "it takes settings, and nobody can see which",
                "put `#[keyward_policy::settings]` on the type of the settings",
            )
        }));
    };
    let mut findings = Vec::new();
    walk("", schema, &mut findings);
    findings
}

fn walk(path: &str, schema: &Value, findings: &mut Vec<Finding>) {
    if let Some(default) = schema.get("default")
        && !fits(default, schema)
    {
        findings.push(finding(
            "wrong-default",
            format!("the default of `{path}` is none of its values: loading would stop"),
            "correct `#[setting(default = …)]`",
        ));
    }
    for (name, setting) in schema["properties"].as_object().into_iter().flatten() {
        let path = match path {
            "" => name.clone(),
            path => format!("{path}.{name}"),
        };
        if setting["description"]
            .as_str()
            .unwrap_or_default()
            .is_empty()
        {
            findings.push(finding(
                "undocumented-setting",
                format!("nothing says what `{path}` is"),
                "write a documentation comment on the field",
            ));
        }
        walk(&path, setting, findings);
    }
    if let Some(items) = schema.get("items") {
        walk(&format!("{path}[]"), items, findings);
    }
}

/// Whether a value is one that a schema describes, as far as the SDK's schemas go.
fn fits(value: &Value, schema: &Value) -> bool {
    if let Some(names) = schema["enum"].as_array() {
        return names.contains(value);
    }
    let within = |size: f64, least: &str, most: &str| {
        schema[least].as_f64().is_none_or(|least| size >= least)
            && schema[most].as_f64().is_none_or(|most| size <= most)
    };
    #[expect(
        clippy::cast_precision_loss,
        reason = "lengths, compared with bounds of a few digits"
    )]
    match (schema["type"].as_str(), value) {
        (Some("boolean"), Value::Bool(_)) => true,
        (Some("integer" | "number"), Value::Number(number)) => number
            .as_f64()
            .is_some_and(|number| within(number, "minimum", "maximum")),
        (Some("string"), Value::String(text)) => {
            within(text.chars().count() as f64, "minLength", "maxLength")
        }
        (Some("array"), Value::Array(items)) => {
            within(items.len() as f64, "minItems", "maxItems")
                && items.iter().all(|item| fits(item, &schema["items"]))
        }
        (Some("object"), Value::Object(_)) | (None, _) => true,
        _ => false,
    }
}

/// A memory that makes calls slow.
fn memory(described: &Described) -> Vec<Finding> {
    let declares = &described.inspection.declares;
    if declares.profile() != Profile::Lean {
        return vec![finding(
            "not-lean",
            format!(
                "it needs the profile {}: a call costs more, and fewer run at once",
                declares.profile()
            ),
            "keep big tables out of the code, or accept it: `keyward policy build` shows the memory",
        )];
    }
    let pages = declares.memory_bytes.div_ceil(ONE_PAGE);
    Vec::from_iter((pages > 1).then(|| {
        finding(
            "many-pages",
            format!("its memory has {pages} pages of 64 KiB at the start; one is quickest"),
            "keep big tables and texts out of the code",
        )
    }))
}

/// How it was compiled.
fn built(code: &Code<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if code.memory.total == ONE_PAGE && code.memory.arena < LEAST_ARENA_BYTES {
        findings.push(finding(
            "little-arena",
            format!(
                "{} bytes are left for allocations: most calls will grow the memory",
                code.memory.arena
            ),
            "keep big tables and texts out of the code",
        ));
    }
    if code.debug_bytes > 0 {
        findings.push(finding(
            "debug-information",
            format!("{} bytes of it are for debuggers", code.debug_bytes),
            "build it with `keyward policy build`, which leaves them out",
        ));
    }
    if !code.has_names {
        findings.push(finding(
            "no-names",
            "its functions have no names: a report about a trap says little",
            "strip debugging information alone: strip = \"debuginfo\"",
        ));
    }
    findings
}

/// What it asks for against what the code can do.
fn asked(manifest: &Manifest, code: &Code<'_>) -> Vec<Finding> {
    let imported: BTreeSet<&str> = code
        .imports
        .iter()
        .filter(|(interface, _)| interface.starts_with("keyward:policy/secrets@"))
        .map(|(_, function)| *function)
        .collect();
    let mut findings = Vec::new();
    for &(use_, function) in OPENED_BY {
        let opens = imported.contains(function);
        let mut asks = manifest
            .asks
            .iter()
            .filter(|ask| ask.use_ == use_)
            .peekable();
        if opens && asks.peek().is_none() {
            findings.push(finding(
                "not-asked-for",
                format!("the code uses secrets ({use_}) and the manifest does not ask for it"),
                "ask under [[package.metadata.keyward.asks]], or take the code out: \
                 without an ask every call is denied",
            ));
        }
        for ask in asks {
            let message = if !opens {
                format!(
                    "it asks for {use_} of {}, and the code never does that",
                    ask.alias
                )
            } else if ask.setting.is_none() && !code.holds(ask.alias.as_str()) {
                format!(
                    "it asks for {use_} of {}, a name that the code does not hold",
                    ask.alias
                )
            } else {
                continue;
            };
            findings.push(finding(
                "asked-in-vain",
                message,
                "take the ask out of Cargo.toml: operators grant what is asked for",
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kinds(findings: &[Finding]) -> Vec<&'static str> {
        findings.iter().map(|finding| finding.finding).collect()
    }

    #[test]
    fn a_default_has_to_fit_its_setting() {
        let check = |setting: Value, fits: bool| {
            let schema = json!({ "properties": { "a": setting } });
            let mut findings = Vec::new();
            walk("", &schema, &mut findings);
            let wrong = kinds(&findings).contains(&"wrong-default");
            assert_eq!(wrong, !fits, "{schema}");
        };
        check(json!({"type": "integer", "maximum": 3, "default": 3}), true);
        check(
            json!({"type": "integer", "maximum": 3, "default": 4}),
            false,
        );
        check(json!({"type": "integer", "default": "4"}), false);
        check(json!({"enum": ["x"], "default": "x"}), true);
        check(json!({"enum": ["x"], "default": "y"}), false);
        let list = json!({"type": "array", "minItems": 1, "items": {"type": "string"}});
        let with = |default: Value| {
            let mut list = list.clone();
            list["default"] = default;
            list
        };
        check(with(json!(["a"])), true);
        check(with(json!([])), false);
        check(with(json!([1])), false);
    }

    #[test]
    fn settings_are_documented_at_every_depth() {
        let manifest = Manifest {
            settings: Some(json!({"properties": {
                "a": {"type": "array", "description": "Some.", "items": {
                    "properties": {"b": {"type": "boolean"}},
                }},
            }})),
            ..Manifest::default()
        };
        let findings = settings(&manifest, true);
        assert_eq!(kinds(&findings), ["undocumented-setting"]);
        assert!(findings[0].message.contains("`a[].b`"), "{findings:?}");
        assert_eq!(kinds(&settings(&Manifest::default(), true)), ["no-schema"]);
        assert!(settings(&Manifest::default(), false).is_empty());
    }
}
