//! Policies of one component whose settings differ share its code and nothing else.

use std::sync::Arc;

use keyward_engine::{EngineConfig, LoadError, Policy, PolicySource, PolicyStop, Verdict};
use keyward_names::PolicyName;

use crate::support::{Counting, IMPORTS, Lab, Shelf, component};

/// A component that takes settings `{"n":D}` and answers its phase with the verdict
/// number D; 9 it refuses, 8 traps. `data` are further fields of its core module.
fn configured_guest(data: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
{IMPORTS}
(core module $Main
  (import "host" "drop" (func $drop (param i32)))
  (memory (export "memory") 2)
  {data}
  (global $calls (mut i32) (i32.const 0))
  (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 70000))
  (func (export "configure") (param $text i32) (param $length i32) (result i32)
    (local $n i32)
    (local.set $n (i32.sub (i32.load8_u offset=5 (local.get $text)) (i32.const 48)))
    (if (i32.eq (local.get $n) (i32.const 8)) (then unreachable))
    ;; The verdict lies at 40, what makes it so at 66000: two places of the memory.
    (i32.store8 (i32.const 40) (local.get $n))
    (i32.store8 (i32.const 66000) (i32.const 1))
    (global.set $calls (i32.const 1))
    ;; result<_, string>: error or not, and "no".
    (i32.store8 (i32.const 16) (i32.eq (local.get $n) (i32.const 9)))
    (i32.store (i32.const 20) (i32.const 30))
    (i32.store (i32.const 24) (i32.const 2))
    (i32.store16 (i32.const 30) (i32.const 0x6f6e))
    (i32.const 16))
  (func (export "handle") (param $x i32) (result i32) (local $n i32)
    (call $drop (local.get $x))
    (if (i32.eqz (i32.load8_u (i32.const 66000))) (then unreachable))
    (if (i32.eqz (global.get $calls)) (then unreachable))
    (local.set $n (i32.load8_u (i32.const 40)))
    ;; Gone with the call.
    (i32.store8 (i32.const 40) (i32.const 7))
    (local.get $n)))
(core instance $main (instantiate $Main
  (with "host" (instance (export "drop" (func $drop))))))
(func $handle (param "exchange" (borrow $ex)) (result $vd)
  (canon lift (core func $main "handle")))
(func $configure (param "settings" string) (result (result (error string)))
  (canon lift (core func $main "configure")
    (memory (core memory $main "memory")) (realloc (core func $main "realloc"))))
(instance $inbound (export "handle" (func $handle)))
(instance $configuration (export "configure" (func $configure)))
(export "keyward:policy/configuration@0.1.0" (instance $configuration))
(export "keyward:policy/inbound@0.1.0" (instance $inbound)))"#
    );
    component(&text)
}

fn load(lab: &Lab, component: &[u8], number: u8) -> Result<Policy, LoadError> {
    lab.engine.load(&PolicySource {
        name: PolicyName::parse("guest").unwrap(),
        component,
        settings: Some(&serde_json::json!({ "n": number })),
        routes: &[],
        issuers: &[],
        document: None,
    })
}

fn counting(shelf: Option<&Arc<Shelf>>) -> (EngineConfig, Arc<Counting>) {
    let compiler = Arc::new(Counting::default());
    let mut config = EngineConfig::default();
    config.compiler = Arc::clone(&compiler) as _;
    config.cache = shelf.map(|shelf| Arc::clone(shelf) as _);
    (config, compiler)
}

fn runs_by_its_settings(lab: &Lab, component: &[u8], compiler: &Counting) -> [u32; 2] {
    let proceeds = load(lab, component, 0).unwrap();
    let first = compiler.compiled();
    let fails = load(lab, component, 2).unwrap();
    let second = compiler.compiled() - first;
    for _ in 0..20 {
        assert_eq!(lab.run(&proceeds), Ok(Verdict::Proceed));
        assert_eq!(lab.run(&fails), Ok(Verdict::Fail));
    }
    [first, second]
}

#[test]
fn settings_are_read_into_data_of_their_own_and_the_code_is_compiled_once() {
    let component = configured_guest(r#"(data (i32.const 100) "what it begins with")"#);
    let (config, compiler) = counting(None);
    let lab = Lab::new(&config);
    // To run `configure`, to write the image, the code; then another image.
    let compiled = runs_by_its_settings(&lab, &component, &compiler);
    assert_eq!(compiled, [3, 1]);
}

#[test]
fn what_is_kept_is_neither_configured_nor_compiled_again() {
    let component = configured_guest("");
    let shelf = Arc::new(Shelf::default());
    let (config, compiler) = counting(Some(&shelf));
    let lab = Lab::new(&config);
    runs_by_its_settings(&lab, &component, &compiler);
    let made = compiler.compiled();
    let beside = keyward_engine::Engine::new(&config, Arc::clone(&lab.vault)).unwrap();
    let load = |number| {
        beside.load(&PolicySource {
            name: PolicyName::parse("guest").unwrap(),
            component: &component,
            settings: Some(&serde_json::json!({ "n": number })),
            routes: &[],
            issuers: &[],
            document: None,
        })
    };
    load(2).unwrap();
    load(0).unwrap();
    assert_eq!(compiler.compiled(), made);
    // Control: other settings are read.
    load(1).unwrap();
    assert_eq!(compiler.compiled(), made + 1);
}

#[test]
fn data_that_were_changed_where_they_are_kept_are_made_again() {
    let component = configured_guest("");
    let shelf = Arc::new(Shelf::default());
    let (config, compiler) = counting(Some(&shelf));
    let lab = Lab::new(&config);
    drop(load(&lab, &component, 2).unwrap());
    let image = {
        // The smallest of the three: it has no code.
        let shelf = shelf.0.lock().unwrap();
        let (key, _) = shelf.iter().min_by_key(|(_, entry)| entry.len()).unwrap();
        *key
    };
    let whole = shelf.0.lock().unwrap()[&image].clone();
    for place in 0..whole.len() {
        let mut changed = whole.clone();
        changed[place] ^= 1;
        shelf.0.lock().unwrap().insert(image, changed);
        let made = compiler.compiled();
        let policy = load(&lab, &component, 2).unwrap();
        assert!(compiler.compiled() > made, "byte {place}");
        assert_eq!(lab.run(&policy), Ok(Verdict::Fail), "byte {place}");
        assert_eq!(shelf.0.lock().unwrap()[&image], whole);
    }
    // Control: as it was written it is believed.
    let made = compiler.compiled();
    load(&lab, &component, 2).unwrap();
    assert_eq!(compiler.compiled(), made);
}

#[test]
fn a_component_whose_segments_have_numbers_has_code_of_its_own_and_runs() {
    let component = configured_guest(
        r#"(data $named "x") (func (memory.init $named (i32.const 9) (i32.const 0) (i32.const 1)))"#,
    );
    let (config, compiler) = counting(None);
    let lab = Lab::new(&config);
    let compiled = runs_by_its_settings(&lab, &component, &compiler);
    // The second has code of its own.
    assert_eq!(compiled, [3, 2]);
}

#[test]
fn settings_that_are_refused_and_a_configure_that_traps_are_errors() {
    let component = configured_guest("");
    let lab = Lab::new(&EngineConfig::default());
    let refused = load(&lab, &component, 9).map(|_| ()).unwrap_err();
    assert!(
        matches!(&refused, LoadError::Settings { reason, .. } if reason == "no"),
        "{refused}"
    );
    let trapped = load(&lab, &component, 8).map(|_| ()).unwrap_err();
    let stop = |error: &LoadError| match error {
        LoadError::Configure { stop, .. } => Some(*stop),
        _ => None,
    };
    assert_eq!(stop(&trapped), Some(PolicyStop::Trap), "{trapped}");
    // Control: others of the same component load after that.
    load(&lab, &component, 0).unwrap();
}

/// What loads in one engine loads in another with another vault, from nothing.
#[test]
fn nothing_of_another_vault_is_believed() {
    let component = configured_guest("");
    let shelf = Arc::new(Shelf::default());
    let (config, _) = counting(Some(&shelf));
    let one = Lab::new(&config);
    load(&one, &component, 0).unwrap();
    let (config, compiler) = counting(Some(&shelf));
    let other = Lab::new(&config);
    load(&other, &component, 0).unwrap();
    assert_eq!(compiler.compiled(), 3);
}
