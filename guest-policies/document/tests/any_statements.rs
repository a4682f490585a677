//! No document and no program makes the guest panic or run on.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

#[path = "../../../tests/fuzz/bodies/statements.rs"]
mod statements;

use keyward_document_program::Program;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

/// Bits of statements, so that their combinations say something.
fn pieces() -> impl Strategy<Value = String> {
    let value = prop::sample::select(vec![
        "a",
        "",
        "1",
        "true",
        "{{key}}",
        "{{team}}",
        "@(1)",
        "@(true)",
        "@(null)",
        "@(\"x\")",
        "@((string)context.Variables[\"a\"])",
        "@(context.Response.StatusCode)",
        "@(context.Response.StatusCode > 1)",
        "@(context.LastError.Message)",
        "@(context.Request.Body.As<JObject>(true)[\"a\"])",
        "@(((IResponse)context.Variables[\"a\"]).Body.As<string>())",
        "@(new JObject(new JProperty(\"a\", 1)))",
        "https://orders.example/v1/x",
        "@(\"https://orders.example/v1/\" + context.RequestId)",
        "/a/{b}",
    ]);
    let piece = prop_oneof![
        value.clone().prop_map(|v| format!("<set-variable name=\"a\" value=\"{v}\"/>")),
        value.clone().prop_map(|v| format!("<set-header name=\"x-a\" exists-action=\"override\"><value>{v}</value></set-header>")),
        value.clone().prop_map(|v| format!("<set-header name=\"x-a\" exists-action=\"append\"><value>{v}</value><value>b</value></set-header>")),
        value.clone().prop_map(|v| format!("<set-query-parameter name=\"q\"><value>{v}</value></set-query-parameter>")),
        value.clone().prop_map(|v| format!("<set-body>{v}</set-body>")),
        value.clone().prop_map(|v| format!("<set-status code=\"{v}\" reason=\"a\"/>")),
        value.clone().prop_map(|v| format!("<rewrite-uri template=\"{v}\"/>")),
        value.clone().prop_map(|v| format!("<set-backend-service base-url=\"{v}\"/>")),
        value.clone().prop_map(|v| format!("<find-and-replace from=\"a\" to=\"{v}\"/>")),
        value.clone().prop_map(|v| format!("<choose><when condition=\"{v}\"><set-method>PUT</set-method></when><otherwise><return-response><set-body>{v}</set-body></return-response></otherwise></choose>")),
        value.clone().prop_map(|v| format!("<retry condition=\"{v}\" count=\"3\" interval=\"{v}\"><set-body>b</set-body></retry>")),
        value.clone().prop_map(|v| format!("<send-request response-variable-name=\"a\" timeout=\"{v}\"><set-url>https://orders.example/v1</set-url><set-method>GET</set-method></send-request>")),
        value.clone().prop_map(|v| format!("<authentication-basic username=\"{v}\" password=\"{{{{key}}}}\"/>")),
        value.clone().prop_map(|v| format!("<forward-request timeout=\"{v}\"/>")),
        value.prop_map(|v| format!("<trace source=\"a\"><message>{v}</message></trace>")),
        Just("<mock-response/>".to_owned()),
        Just("<return-response response-variable-name=\"a\"/>".to_owned()),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

/// The program of a document that uses much.
fn program() -> Vec<u8> {
    use keyward_document::compile::{Bindings, compile};
    use keyward_document::model::{NoFragments, effective};
    use keyward_document::read::{Options, read};
    let text = "<policies><inbound><set-variable name='a' value='@(1)'/><choose><when condition='@(true)'><set-header name='x'><value>@(\"a\" + 1)</value></set-header></when></choose><retry condition='@(false)' count='2'><set-body>b</set-body></retry><rewrite-uri template='/a'/></inbound><backend><forward-request timeout='3'/></backend><outbound><set-status code='@(201)'/></outbound><on-error><return-response><set-body>c</set-body></return-response></on-error></policies>";
    let document = read("a.xml", text, &Options::default()).document.unwrap();
    let effective = effective(&[&document], &NoFragments).unwrap();
    let compiled = compile(&effective, &Bindings::default()).unwrap();
    compiled.program.encode().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_statements_run_or_are_refused(text in pieces()) {
        statements::any_statements(&text);
    }

    #[test]
    fn a_program_with_any_bytes_changed_runs_or_is_refused(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut bytes = program();
        for (at, byte) in changes {
            *at.get_mut::<u8>(&mut bytes) = byte;
        }
        if let Ok(program) = Program::decode(&bytes) {
            statements::run(program, &[]);
        }
    }
}

/// Control: most of what is put together is run.
#[test]
fn control_statements_by_chance_do_run() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let ran = (0..200).filter(|_| {
        let text = pieces().new_tree(&mut runner).unwrap().current();
        statements::any_statements(&text) > 0
    });
    let ran = ran.count();
    assert!(ran > 60, "{ran} of 200");
}
