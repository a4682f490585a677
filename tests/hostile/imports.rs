//! What a component may import and consist of (E10): the contract by its exact name
//! and version, and instructions that policies need.

use keyward::engine::{LoadError, Profile};

use crate::attacker::{Attacker, assemble, with_manifest};
use crate::lab::Lab;

fn refusal(lab: &Lab, component: &[u8]) -> LoadError {
    lab.load(component).map(drop).unwrap_err()
}

#[test]
fn an_import_is_one_of_ours_to_the_letter_or_refused() {
    let lab = Lab::new();
    for import in [
        "wasi:filesystem/types@0.2.0",
        "wasi:cli/environment@0.2.0",
        "wasi:http/outgoing-handler@0.2.0",
        "wasi:sockets/tcp@0.2.0",
        "wasi:io/streams@0.2.6",
        "keyward:policy/secrets@0.1.1",
        "keyward:policy/secrets@0.2.0",
        "keyward:policy/secrets@1.0.0",
        "keyward:policy/secrets@0.1.0-rc.1",
        "keyward:policy/secrets@0.1.0+build",
        "keyward:policy/secrets",
        "keyward:policy/secret@0.1.0",
        "keyward:policies/secrets@0.1.0",
        "keyward-policy:policy/secrets@0.1.0",
        "secrets",
    ] {
        let text = format!("(component (import \"{import}\" (instance)))");
        let refused = refusal(&lab, &with_manifest(&assemble(&text)));
        assert!(
            matches!(refused, LoadError::Import { .. }),
            "{import}: {refused}"
        );
    }
    // A name of ours for something of another kind.
    for kind in [
        "(func)",
        "(core module)",
        "(component)",
        "(type (sub resource))",
    ] {
        let name = if kind.starts_with("(type") {
            "secrets"
        } else {
            "keyward:policy/secrets@0.1.0"
        };
        let text = format!("(component (import \"{name}\" {kind}))");
        // Where not even the validator takes it, that is as good.
        let Ok(component) = wat::parse_str(text) else {
            continue;
        };
        let refused = refusal(&lab, &with_manifest(&component));
        assert!(
            matches!(
                refused,
                LoadError::Import { .. } | LoadError::Invalid { .. }
            ),
            "{kind}: {refused}"
        );
    }
    // Control: an import of ours is taken, and only the phase is missing.
    let ours = "(component (import \"keyward:policy/secrets@0.1.0\" (instance)))";
    let refused = refusal(&lab, &with_manifest(&assemble(ours)));
    assert!(matches!(refused, LoadError::NoPhase { .. }), "{refused}");
}

#[test]
fn a_function_that_the_contract_does_not_have_is_not_stubbed() {
    let lab = Lab::new();
    let plain = wasmtime::Engine::default();
    for (interface, function) in [
        (
            "secrets@0.1.0",
            "(export \"reveal\" (func (param \"name\" string) (result string)))",
        ),
        ("clock@0.1.0", "(export \"now\" (func (result string)))"),
        (
            "clock@0.1.0",
            "(export \"now\" (func (param \"zone\" string) (result u64)))",
        ),
        ("random@0.1.0", "(export \"seed\" (func (result u64)))"),
    ] {
        // Beside what the template imports: under the same name nothing fits twice, so
        // this component is made of its own text.
        let text = format!(
            r#"(component
              (import "keyward:policy/{interface}" (instance {function}))
              (import "keyward:policy/exchange@0.1.0" (instance $exchange
                (export "exchange" (type $e (sub resource)))
                (type $verdict' (enum "proceed" "respond" "fail"))
                (export "verdict" (type $verdict (eq $verdict')))))
              (alias export $exchange "exchange" (type $ex))
              (alias export $exchange "verdict" (type $vd))
              (core func $drop (canon resource.drop $ex))
              (core module $Main
                (import "host" "drop" (func $drop (param i32)))
                (func (export "handle") (param i32) (result i32)
                  (call $drop (local.get 0)) (i32.const 0)))
              (core instance $main (instantiate $Main
                (with "host" (instance (export "drop" (func $drop))))))
              (func $handle (param "exchange" (borrow $ex)) (result $vd)
                (canon lift (core func $main "handle")))
              (instance $inbound (export "handle" (func $handle)))
              (export "keyward:policy/inbound@0.1.0" (instance $inbound)))"#
        );
        let bytes = with_manifest(&assemble(&text));
        let refused = refusal(&lab, &bytes);
        assert!(
            matches!(refused, LoadError::Unfit { .. }),
            "{function}: {refused}"
        );
        // Control: a host that stubs what it does not know takes it.
        let component = wasmtime::component::Component::new(&plain, &bytes).unwrap();
        let mut linker = wasmtime::component::Linker::<()>::new(&plain);
        linker.define_unknown_imports_as_traps(&component).unwrap();
        linker.instantiate_pre(&component).unwrap();
    }
}

/// What WebAssembly has beside what policies need. The last column: whether guests
/// that bring a language's run-time system have it.
const FEATURES: [(&str, &str, bool); 13] = [
    (
        "SIMD",
        "(core module (func (drop (v128.const i32x4 0 0 0 0))))",
        true,
    ),
    (
        "tail calls",
        "(core module (func $f (return_call $f)))",
        true,
    ),
    (
        "several memories",
        "(core module (memory 1) (memory 1))",
        true,
    ),
    (
        "relaxed SIMD",
        "(core module (func (param v128) (result v128)
           (i32x4.relaxed_trunc_f32x4_s (local.get 0))))",
        false,
    ),
    ("shared memory", "(core module (memory 1 1 shared))", false),
    ("64-bit memory", "(core module (memory i64 1))", false),
    ("exceptions", "(core module (tag))", false),
    (
        "collected structures",
        "(core module (type (struct)))",
        false,
    ),
    (
        "small pages",
        "(core module (memory 1 (pagesize 1)))",
        false,
    ),
    (
        "wide arithmetic",
        "(core module (func (param i64 i64) (result i64 i64)
           (i64.mul_wide_u (local.get 0) (local.get 1))))",
        false,
    ),
    (
        "continuations",
        "(core module (type $f (func)) (type (cont $f)))",
        false,
    ),
    ("streams", "(type (stream u8))", false),
    ("futures", "(type (future u8))", false),
];

#[test]
fn what_no_policy_needs_is_refused() {
    let standard = Lab::of(Profile::Standard);
    let large = Lab::of(Profile::Large);
    let lean = Lab::new();
    for (name, fields, in_large) in FEATURES {
        let attacker = Attacker {
            component: fields.to_owned(),
            ..Attacker::default()
        };
        let component = attacker.build();
        for lab in [&lean, &standard] {
            assert!(lab.load(&component).is_err(), "{name}");
        }
        // Control, for those that some guests have: there it is loaded.
        let loaded = large.load(&component).map(drop);
        assert_eq!(loaded.is_ok(), in_large, "{name}: {loaded:?}");
    }
    // Control: a module without any of that is loaded.
    let plain = Attacker {
        component: "(core module (func))".to_owned(),
        ..Attacker::default()
    };
    for lab in [&lean, &standard, &large] {
        lab.load(&plain.build()).map(drop).unwrap();
    }
}
