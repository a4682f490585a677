//! From documents to policies in the engine.

use std::fmt::Write as _;
use std::path::Path;

use keyward_document::compile::{Bindings, Compiled, compile};
use keyward_document::model::{Effective, NoFragments, effective};
use keyward_document::read::{Options, read};
use keyward_engine::{Engine, ManifestAsk, Policy, PolicySource};
use keyward_names::{PolicyName, RouteName};

/// Ten statements and five expressions in each section.
pub(crate) const DOCUMENT: &str = include_str!("document.xml");

/// A document of one statement: what a call of any costs.
pub(crate) const ONE_STATEMENT: &str = "<policies>\
    <inbound><set-method>GET</set-method></inbound>\
    <backend><forward-request /></backend>\
    <outbound><set-status code=\"200\" reason=\"OK\" /></outbound><on-error /></policies>";

/// A document in which nothing is repeated, of a hundred statements and fifty expressions.
pub(crate) fn hundred_statements() -> String {
    let mut inbound = String::new();
    for n in 0..10 {
        let _ = write!(
            inbound,
            "<set-variable name=\"tenant-{n}\" value=\"@(context.Request.Headers.GetValueOrDefault(\"x-tenant-{n}\", \"none\"))\" />\n\
             <set-variable name=\"plan-{n}\" value=\"@((string)context.Variables[\"tenant-{n}\"] == \"acme\" ? \"gold\" : \"silver\")\" />\n\
             <check-header name=\"accept-{n}\" failed-check-httpcode=\"406\" failed-check-error-message=\"Not acceptable\" ignore-case=\"true\"><value>application/json</value></check-header>\n\
             <set-header name=\"x-debug-{n}\" exists-action=\"delete\" />\n\
             <set-header name=\"x-line-{n}\" exists-action=\"override\"><value>@($\"{{context.Request.Method}} {{context.Request.Url.Path}} {n}\")</value></set-header>\n\
             <choose><when condition=\"@((string)context.Variables[\"plan-{n}\"] == \"gold\")\">\
             <set-header name=\"x-priority-{n}\" exists-action=\"override\"><value>high</value></set-header></when></choose>\n\
             <set-query-parameter name=\"page-size-{n}\" exists-action=\"skip\"><value>50</value></set-query-parameter>\n\
             <rewrite-uri template=\"/v{n}/charges\" />\n\
             <set-header name=\"x-caller-{n}\" exists-action=\"override\"><value>@(context.Request.IpAddress + \", {n} \" + (string)context.Variables[\"plan-{n}\"])</value></set-header>\n",
        );
    }
    format!(
        "<policies>\n<inbound>\n{inbound}</inbound>\n<backend><forward-request /></backend>\n\
         <outbound />\n<on-error />\n</policies>\n"
    )
}

pub(crate) fn bindings() -> Bindings {
    let route = RouteName::parse("backend").unwrap();
    Bindings {
        route: Some(route.clone()),
        routes: vec![(route, "https://backend.example".to_owned())],
        ..Bindings::default()
    }
}

pub(crate) fn in_force(text: &str) -> Effective {
    let reading = read("bench.xml", text, &Options::default());
    let document = reading
        .document
        .unwrap_or_else(|| panic!("{}", reading.diagnostics));
    effective(&[&document], &NoFragments).unwrap()
}

pub(crate) fn compiled(text: &str) -> Compiled {
    compile(&in_force(text), &bindings()).unwrap_or_else(|errors| panic!("{errors}"))
}

/// The settings that hold a document's program, as the gateway writes them.
pub(crate) fn settings(compiled: &Compiled) -> serde_json::Value {
    let program = compiled.program.encode().unwrap();
    serde_json::json!({ "program": data_encoding::BASE64.encode(&program) })
}

pub(crate) fn component(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../target/policies")
        .join(name)
        .with_extension("wasm");
    std::fs::read(path).expect("the policy that is measured is not built; run `cargo xtask guests`")
}

/// Loads a document, as the settings of the component that runs it.
pub(crate) fn load(engine: &Engine, component: &[u8], settings: &serde_json::Value) -> Policy {
    load_with(engine, component, Some(settings), Some(&[]))
}

/// Loads a policy that is no document.
pub(crate) fn load_plain(
    engine: &Engine,
    name: &str,
    settings: Option<&serde_json::Value>,
) -> Policy {
    load_with(engine, &component(name), settings, None)
}

fn load_with(
    engine: &Engine,
    component: &[u8],
    settings: Option<&serde_json::Value>,
    document: Option<&[ManifestAsk]>,
) -> Policy {
    let source = PolicySource {
        name: PolicyName::parse("bench").unwrap(),
        component,
        settings,
        routes: &[],
        issuers: &[],
        document,
    };
    engine.load(&source).unwrap()
}
