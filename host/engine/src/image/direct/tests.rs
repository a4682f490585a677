//! Guests with and without their stubs.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]
use super::*;

/// A component in the form that the tools give it: the guest imports `hello`, which
/// needs its memory and its allocator, through a stub. `main` are further fields of
/// its module, `more` of the component.
fn component(main: &str, more: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
(import "host" (instance $host (export "hello" (func (result string)))))
(core module $Main
  (import "host" "hello" (func $hello (param i32)))
  (memory (export "memory") 1)
  (table 1 funcref)
  (elem (i32.const 0) func $run)
  (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 64))
  (func $run (export "run") (result i32)
    (call $hello (i32.const 16))
    (i32.load8_u (i32.load (i32.const 16))))
  {main})
(core module $Stubs
  (type $f (func (param i32)))
  (table (export "$imports") 1 funcref)
  (func (export "0") (param i32) (call_indirect (type $f) (local.get 0) (i32.const 0))))
(core module $Filler
  (import "" "0" (func (param i32)))
  (import "" "$imports" (table 1 funcref))
  (elem (i32.const 0) func 0))
(core instance $stubs (instantiate $Stubs))
(core func $stub (alias core export $stubs "0"))
(core instance $imports (export "hello" (func $stub)))
(core instance $main (instantiate $Main (with "host" (instance $imports))))
(alias core export $main "memory" (core memory $memory))
(core func $realloc (alias core export $main "realloc"))
(alias core export $stubs "$imports" (core table $table))
(alias export $host "hello" (func $hello))
(core func $lowered (canon lower (func $hello) (memory $memory) (realloc $realloc)))
(core instance $fills (export "$imports" (table $table)) (export "0" (func $lowered)))
(core instance (instantiate $Filler (with "" (instance $fills))))
(func $run (result u32) (canon lift (core func $main "run")))
{more}
(instance $exports (export "run" (func $run)))
(export "guest" (instance $exports)))"#
    );
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"))
}

/// What `run` returns where `hello` says "hi".
fn ran(component: &[u8]) -> u32 {
    let engine = wasmtime::Engine::default();
    let component = wasmtime::component::Component::new(&engine, component).unwrap();
    let mut linker = wasmtime::component::Linker::<()>::new(&engine);
    linker
        .instance("host")
        .unwrap()
        .func_wrap("hello", |_, (): ()| Ok(("hi".to_owned(),)))
        .unwrap();
    let mut store = wasmtime::Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &component).unwrap();
    let guest = instance.get_export_index(&mut store, None, "guest");
    let run = instance.get_export_index(&mut store, guest.as_ref(), "run");
    let run = instance.get_typed_func::<(), (u32,)>(&mut store, run.unwrap());
    run.unwrap().call(&mut store, ()).unwrap().0
}

/// The core modules of a component that have any code.
fn modules_with_code(component: &[u8]) -> usize {
    let payloads = Parser::new(0).parse_all(component);
    payloads
        .filter(
            |payload| matches!(payload, Ok(Payload::CodeSectionStart { count, .. }) if *count > 0),
        )
        .count()
}

#[test]
fn a_guest_without_its_stubs_does_what_it_did() {
    let before = component("", "");
    let after = direct(&before).unwrap();
    assert_eq!(ran(&before), u32::from(b'h'));
    assert_eq!(ran(&after), u32::from(b'h'));
    // The stubs' module has the allocator's door in their place.
    assert_eq!(modules_with_code(&before), 2);
    assert_eq!(modules_with_code(&after), 2);
    let stubs = |component: &[u8]| {
        let outline = Outline::of(component).unwrap();
        outline.instances.len()
    };
    assert_eq!((stubs(&before), stubs(&after)), (5, 3));
    // Once is enough.
    assert!(direct(&after).is_none());
}

#[test]
fn a_component_of_another_structure_is_left_alone() {
    // Two memories.
    assert!(direct(&component("(memory 1)", "")).is_none());
    assert!(direct(&component("", "")).is_some(), "the control");
    // Nothing to fill in.
    let plain = wat::parse_str("(component (core module (memory 1)))").unwrap();
    assert!(direct(&plain).is_none());
    // The stubs are there twice.
    let twice = "(core instance (instantiate $Stubs))";
    assert!(direct(&component("", twice)).is_none());
    assert!(direct(b"nothing").is_none());
}

#[test]
fn every_byte_that_is_changed_gives_a_valid_component_or_none() {
    let whole = component("", "");
    for place in 0..whole.len() {
        for bit in [1, 0x80] {
            let mut changed = whole.clone();
            changed[place] ^= bit;
            if let Some(direct) = direct(&changed) {
                wasmparser::Validator::new().validate_all(&direct).unwrap();
            }
        }
    }
}
