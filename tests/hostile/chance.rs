//! Modules by chance: whatever code a guest consists of, it runs, is stopped or is
//! refused, and the host is as it was.

use arbitrary::Unstructured;
use wasm_smith::Config;

use crate::attacker::{Attacker, assemble, body, with_manifest};
use crate::lab::Lab;
use crate::nesting::leb;

/// The export that each module must have, and the features that policies have.
fn config() -> Config {
    Config {
        exports: Some(wat::parse_str(format!("(module {PLACEHOLDER})")).unwrap()),
        allow_start_export: true,
        max_imports: 0,
        max_memories: 1,
        max_tables: 4,
        max_instructions: 400,
        max_memory32_bytes: 1 << 20,
        max_table_elements: 100,
        reference_types_enabled: false,
        simd_enabled: false,
        relaxed_simd_enabled: false,
        threads_enabled: false,
        shared_everything_threads_enabled: false,
        gc_enabled: false,
        exceptions_enabled: false,
        tail_call_enabled: false,
        memory64_enabled: false,
        multi_value_enabled: true,
        custom_page_sizes_enabled: false,
        wide_arithmetic_enabled: false,
        ..Config::default()
    }
}

/// What stands in the place of the module.
const PLACEHOLDER: &str = "(func (export \"handle\") (param i32) (result i32) i32.const 0)";

/// A module as the code of a phase. It never gives the exchange back, so that it can
/// only trap, be stopped, or end with a complaint about that.
fn component(module: &[u8]) -> Vec<u8> {
    let text = format!(
        r#"(component
          (import "keyward:policy/exchange@0.1.0" (instance $exchange
            (export "exchange" (type $e (sub resource)))
            (type $verdict' (enum "proceed" "respond" "fail"))
            (export "verdict" (type $verdict (eq $verdict')))))
          (alias export $exchange "exchange" (type $ex))
          (alias export $exchange "verdict" (type $vd))
          (core module {PLACEHOLDER})
          (core instance $main (instantiate 0))
          (func $handle (param "exchange" (borrow $ex)) (result $vd)
            (canon lift (core func $main "handle")))
          (instance $inbound (export "handle" (func $handle)))
          (export "keyward:policy/inbound@0.1.0" (instance $inbound)))"#
    );
    let mut component = assemble(&text);
    let placeholder = wat::parse_str(format!("(module {PLACEHOLDER})")).unwrap();
    let place = component
        .windows(placeholder.len())
        .position(|bytes| bytes == placeholder)
        .unwrap();
    // The byte before it is its length.
    assert_eq!(usize::from(component[place - 1]), placeholder.len());
    let mut length = Vec::new();
    leb(&mut length, module.len());
    let section = length.into_iter().chain(module.iter().copied());
    component.splice(place - 1..place + placeholder.len(), section);
    with_manifest(&component)
}

#[test]
fn code_by_chance_runs_or_is_stopped() {
    let lab = Lab::new();
    lab.world.hurry();
    let honest = lab.load(&body("").build()).unwrap();
    let (mut loaded, mut refused) = (0, 0);
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    lab.ticking(std::time::Duration::from_micros(50), || {
        for _ in 0..200 {
            let bytes: Vec<u8> = (0..4_000)
                .map(|_| {
                    seed ^= seed << 13;
                    seed ^= seed >> 7;
                    seed ^= seed << 17;
                    (seed >> 32) as u8
                })
                .collect();
            let Ok(module) = wasm_smith::Module::new(config(), &mut Unstructured::new(&bytes))
            else {
                continue;
            };
            match lab.load(&component(&module.to_bytes())) {
                Ok(policy) => {
                    loaded += 1;
                    assert!(lab.run(&policy).verdict.is_err());
                }
                Err(_) => refused += 1,
            }
        }
    });
    println!("{loaded} were loaded, {refused} refused");
    // Control: it was not all refused at the door.
    assert!(loaded > 50, "{loaded}");
    assert!(lab.run(&honest).verdict.is_ok());
}

#[test]
fn damaged_components_are_refused_or_run() {
    // Each byte of a small component, in turn, becomes another.
    let attacker = Attacker {
        main: r#"(data (i32.const 0) "backend")"#.to_owned(),
        ..body(
            "(call $open (i32.const 0) (i32.const 7) (i32.const 16))
             (call $attach (i32.load (i32.const 20)) (local.get $x) (i32.const 32))
             (call $header-names (local.get $x) (i32.const 0) (i32.const 48))",
        )
    };
    let component = attacker.build();
    let lab = Lab::new();
    lab.world.hurry();
    assert!(lab.strike(&component).verdict.is_ok());
    let (mut loaded, mut refused) = (0, 0);
    lab.ticking(std::time::Duration::from_micros(50), || {
        for place in (8..component.len()).step_by(7) {
            for change in [0x01, 0x80, 0xff] {
                let mut damaged = component.clone();
                damaged[place] ^= change;
                match lab.load(&damaged) {
                    Ok(policy) => {
                        loaded += 1;
                        let _ = lab.run(&policy);
                    }
                    Err(_) => refused += 1,
                }
            }
        }
    });
    println!("{loaded} were loaded, {refused} refused");
    assert!(loaded > 0 && refused > 0);
}
