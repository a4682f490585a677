//! Compiled code that is kept is loaded only as this vault wrote it.

use std::sync::Arc;

use keyward_engine::{EngineConfig, Profile, Sandbox, Verdict};

use crate::support::{Counting, Lab, Shelf, guest, numbered};

struct Kept {
    lab: Lab,
    compiler: Arc<Counting>,
    shelf: Arc<Shelf>,
}

fn kept() -> Kept {
    let compiler = Arc::new(Counting::default());
    let shelf = Arc::new(Shelf::default());
    let mut config = EngineConfig::default();
    config.compiler = Arc::clone(&compiler) as _;
    config.cache = Some(Arc::clone(&shelf) as _);
    Kept {
        lab: Lab::new(&config),
        compiler,
        shelf,
    }
}

#[test]
fn code_is_compiled_once_for_each_component_and_profile() {
    let Kept {
        lab,
        compiler,
        shelf,
    } = kept();
    for _ in 0..3 {
        for number in 0..2 {
            let policy = lab.load(&numbered(number));
            assert_eq!(lab.run(&policy), Ok(Verdict::Proceed));
        }
    }
    assert_eq!(compiler.compiled(), 2);
    let standard = Sandbox {
        profile: Some(Profile::Standard),
        ..Sandbox::default()
    };
    lab.load_in(&standard, &numbered(0)).unwrap();
    assert_eq!(compiler.compiled(), 3);
    assert_eq!(shelf.0.lock().unwrap().len(), 3);
}

#[test]
fn code_that_was_changed_anywhere_is_compiled_again_and_never_loaded() {
    let Kept {
        lab,
        compiler,
        shelf,
    } = kept();
    let component = guest(1, "", "");
    lab.load(&component);
    let (key, entry) = {
        let shelf = shelf.0.lock().unwrap();
        let (key, entry) = shelf.iter().next().unwrap();
        (*key, entry.clone())
    };
    let mut compiled = compiler.compiled();
    let mut again = |changed: Vec<u8>, what: &str| {
        shelf.0.lock().unwrap().insert(key, changed);
        let policy = lab.load(&component);
        compiled += 1;
        assert_eq!(compiler.compiled(), compiled, "{what}");
        assert_eq!(lab.run(&policy), Ok(Verdict::Proceed), "{what}");
        // Put right again on the way.
        assert_eq!(shelf.0.lock().unwrap()[&key], entry, "{what}");
    };
    // A prime stride visits all parts: headers, code, data, the code over it.
    let stride = 1 + entry.len() / 300;
    for place in (0..entry.len())
        .step_by(stride)
        .chain(entry.len() - 33..entry.len())
    {
        let mut changed = entry.clone();
        changed[place] ^= 1 << (place % 8);
        again(changed, &format!("byte {place}"));
    }
    for length in [0, 1, 31, 32, 33, entry.len() / 2, entry.len() - 1] {
        again(entry[..length].to_vec(), &format!("cut to {length}"));
    }
    again([entry.as_slice(), b"\0"].concat(), "longer");
    again(vec![0; entry.len()], "zeros");

    // Control: as it was written, it is loaded.
    lab.load(&component);
    assert_eq!(compiler.compiled(), compiled);
    // Control: without the check, what was changed would have been loaded. It is
    // not carried out here.
    let mut config = wasmtime::Config::new();
    config.concurrency_support(false);
    let engine = wasmtime::Engine::new(&config).unwrap();
    let code = engine.precompile_component(&component).unwrap();
    let mut accepted = 0;
    for place in (0..code.len()).step_by(1 + code.len() / 300) {
        let mut changed = code.clone();
        changed[place] ^= 1;
        // SAFETY: none of it is carried out.
        #[expect(unsafe_code, reason = "the danger is what is shown")]
        let loaded = unsafe { wasmtime::component::Component::deserialize(&engine, &changed) };
        accepted += u32::from(loaded.is_ok());
    }
    assert!(accepted > 100, "{accepted}");
}

#[test]
fn code_of_another_vault_or_another_component_is_not_loaded() {
    let (one, other) = (kept(), kept());
    let component = guest(1, "", "");
    one.lab.load(&component);
    other.lab.load(&numbered(1));
    let entry = |kept: &Kept| {
        let shelf = kept.shelf.0.lock().unwrap();
        let (key, entry) = shelf.iter().next().unwrap();
        (*key, entry.clone())
    };
    let (key, theirs) = entry(&one);
    let (other_key, ours) = entry(&other);
    assert_ne!(key, other_key);

    // The same component, kept by another vault.
    other.shelf.0.lock().unwrap().insert(key, theirs);
    other.lab.load(&component);
    assert_eq!(other.compiler.compiled(), 2);
    // Ours, under the key of another component.
    other.shelf.0.lock().unwrap().insert(key, ours);
    other.lab.load(&component);
    assert_eq!(other.compiler.compiled(), 3);
    // Control: in its own place it is loaded.
    other.lab.load(&component);
    assert_eq!(other.compiler.compiled(), 3);
}
