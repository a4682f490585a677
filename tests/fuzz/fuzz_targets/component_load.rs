//! Any bytes as the code of a policy: looked at, compiled, linked, no panic.
//!
//! Bytes that are a component are loaded as they are; others become the core module of
//! one, so that chance reaches the compiler.
#![no_main]

use std::sync::{Arc, LazyLock};

use keyward::engine::{Engine, EngineConfig, PolicySource};
use keyward::names::PolicyName;
use keyward::vault::{Durability, Vault, VaultFiles};
use libfuzzer_sys::fuzz_target;

static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let directory = tempfile::tempdir().expect("a temporary directory").keep();
    let files = VaultFiles::in_directory(&directory);
    Vault::create(&files).expect("a new vault");
    let vault = Vault::open(&files, Durability::Buffered).expect("the vault");
    Engine::new(&EngineConfig::default(), Arc::new(vault)).expect("an engine")
});

fuzz_target!(|bytes: &[u8]| {
    load(bytes);
    load(&around(bytes));
});

fn load(component: &[u8]) {
    let source = PolicySource {
        name: PolicyName::parse("guest").expect("a name"),
        component,
        settings: None,
        routes: &[],
        issuers: &[],
        document: None,
    };
    let _ = ENGINE.load(&source);
}

/// A component with one core module, which has these bytes after its header.
fn around(bytes: &[u8]) -> Vec<u8> {
    let mut component = b"\0asm\x0d\0\x01\0\x01".to_vec();
    let mut length = bytes.len() + 8;
    while length >= 0x80 {
        component.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    component.push(length as u8);
    component.extend(b"\0asm\x01\0\0\0");
    component.extend(bytes);
    component
}
