//! What is nested without end (E4): the host's own parsers must stop where the
//! nesting does not. Each runs in a process of its own, because what it must not do
//! is end the process.

use keyward::engine::{LoadError, ManifestError, inspect};

use crate::attacker::body;
use crate::lab::{Lab, alone};

/// A component whose one section of types holds component types inside of each
/// other, `depth` of them: `0x41 0x01 0x01` opens one that declares one type.
fn nested_types(depth: usize) -> Vec<u8> {
    let mut section = vec![1];
    for _ in 0..depth {
        section.extend([0x41, 1, 1]);
    }
    section.extend([0x41, 0]);
    let mut component = b"\0asm\x0d\0\x01\0".to_vec();
    component.push(7);
    leb(&mut component, section.len());
    component.extend(section);
    component
}

/// A number as the binary format writes it: little-endian base 128.
pub(crate) fn leb(into: &mut Vec<u8>, mut number: usize) {
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            into.push(low);
            return;
        }
        into.push(low | 0x80);
    }
}

/// Components inside of each other, `depth` of them, with nothing in them.
fn nested_components(depth: usize) -> Vec<u8> {
    const HEADER: &[u8] = b"\0asm\x0d\0\x01\0";
    // From the inside out, the size of what a component has after its header.
    let mut sizes = vec![0_usize];
    for level in 0..depth {
        let inner = HEADER.len() + sizes[level];
        let mut length = Vec::new();
        leb(&mut length, inner);
        sizes.push(1 + length.len() + inner);
    }
    let mut component = HEADER.to_vec();
    for level in (0..depth).rev() {
        component.push(4);
        leb(&mut component, HEADER.len() + sizes[level]);
        component.extend(HEADER);
    }
    component
}

/// A chain of types, each an option of the one before.
fn chained_types(length: usize) -> Vec<u8> {
    let mut section = Vec::new();
    leb(&mut section, length);
    section.push(0x7f);
    for before in 0..length - 1 {
        section.push(0x6b);
        // A type's number, as a signed one.
        let mut number = before;
        while number >= 64 {
            section.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        section.push(number as u8);
    }
    let mut component = b"\0asm\x0d\0\x01\0".to_vec();
    component.push(7);
    leb(&mut component, section.len());
    component.extend(section);
    component
}

/// A chain of types of instances, each of which exports the one before.
fn chained_instances(length: usize) -> Vec<u8> {
    let mut text = "(component (type $t0 (instance))".to_owned();
    for n in 1..length {
        text.push_str(&format!(
            "(type $t{n} (instance (alias outer 1 $t{} (type $a)) (export \"a\" (instance (type $a)))))",
            n - 1
        ));
    }
    text.push(')');
    wat::parse_str(text).unwrap()
}

#[test]
fn what_is_nested_too_deeply_is_refused() {
    if !alone("nesting::what_is_nested_too_deeply_is_refused") {
        return;
    }
    let lab = Lab::new();
    for depth in [17, 200, 1_000, 10_000, 1_000_000, 5_000_000] {
        let component = nested_types(depth);
        assert!(
            inspect(&component).unwrap_err().contains("nests types"),
            "{depth}"
        );
        let refused = lab.load(&component).map(drop).unwrap_err();
        assert!(
            matches!(refused, LoadError::Invalid { .. }),
            "{depth}: {refused}"
        );
    }
    for depth in [5, 100, 10_000, 1_000_000] {
        let component = nested_components(depth);
        let said = inspect(&component).unwrap_err();
        assert!(said.contains("nests components"), "{depth}: {said}");
    }
    for length in [200, 10_000, 900_000] {
        assert!(inspect(&chained_types(length)).is_err(), "{length}");
    }
    for length in [200, 10_000] {
        let component = chained_instances(length);
        assert!(inspect(&component).is_err(), "{length}");
        assert!(lab.load(&component).is_err(), "{length}");
    }
    // Control: what is nested a little is only not a policy.
    for component in [
        nested_types(15),
        nested_components(4),
        chained_types(50),
        chained_instances(50),
    ] {
        assert!(inspect(&component).is_ok());
        let refused = lab.load(&component).map(drop).unwrap_err();
        assert!(matches!(refused, LoadError::NoPhase { .. }), "{refused}");
    }
}

#[test]
fn control_without_the_walk_before_it_the_reader_runs_out_of_stack() {
    const NAME: &str = "nesting::control_without_the_walk_before_it_the_reader_runs_out_of_stack";
    if std::env::var("KEYWARD_TEST_ALONE").is_ok_and(|test| test == NAME) {
        // What the sandbox does with it by itself: the process ends here.
        let plain = wasmtime::Engine::default();
        let outcome = wasmtime::component::Component::new(&plain, nested_types(1_000_000));
        println!("survived: {}", outcome.is_err());
        return;
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args([NAME, "--exact", "--nocapture"])
        .env("KEYWARD_TEST_ALONE", NAME)
        .output()
        .unwrap();
    assert!(!output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("overflow"));
}

#[test]
fn a_type_that_doubles_with_each_line_is_refused_before_it_is_large() {
    let mut text = "(component (type $t0 (tuple u8 u8))".to_owned();
    for n in 1..60 {
        text.push_str(&format!("(type $t{n} (tuple $t{} $t{}))", n - 1, n - 1));
    }
    text.push(')');
    let component = wat::parse_str(text).unwrap();
    let begun = std::time::Instant::now();
    assert!(inspect(&component).unwrap_err().contains("type size"));
    assert!(begun.elapsed() < std::time::Duration::from_secs(5));
}

#[test]
fn text_in_the_manifest_that_is_nested_too_deeply_is_refused() {
    let nested = |depth: usize| {
        let manifest = format!(
            r#"{{"name":"guest","settings":{}{}}}"#,
            "[".repeat(depth),
            "]".repeat(depth)
        );
        let mut component = wat::parse_str("(component)").unwrap();
        let section = wasm_encoder::CustomSection {
            name: "keyward:manifest".into(),
            data: manifest.into_bytes().into(),
        };
        wasm_encoder::ComponentSection::append_to_component(&section, &mut component);
        inspect(&component).unwrap().manifest
    };
    for depth in [200, 30_000] {
        let refused = nested(depth).unwrap_err();
        assert!(
            matches!(refused, ManifestError::Malformed(_)),
            "{depth}: {refused}"
        );
    }
    // Control: text that is nested a little is read.
    assert!(nested(100).is_ok());
}

#[test]
fn code_that_is_nested_deeply_is_compiled_or_refused() {
    if !alone("nesting::code_that_is_nested_deeply_is_compiled_or_refused") {
        return;
    }
    let lab = Lab::new();
    for depth in [1_000, 30_000] {
        let attacker = body(&format!(
            "{} {}",
            "block ".repeat(depth),
            "end ".repeat(depth)
        ));
        let loaded = lab.load(&attacker.build());
        match loaded {
            Ok(policy) => assert!(lab.run(&policy).verdict.is_ok()),
            Err(refused) => assert!(matches!(refused, LoadError::Unfit { .. }), "{refused}"),
        }
    }
}
