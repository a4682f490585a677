//! What is nested without end (E4): the host's own parsers must stop where the
//! nesting does not. Each runs in a process of its own, because what it must not do
//! is end the process.

use keyward::engine::{LoadError, inspect};

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

fn leb(into: &mut Vec<u8>, mut number: usize) {
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

#[test]
fn types_that_are_nested_too_deeply_are_refused() {
    if !alone("nesting::types_that_are_nested_too_deeply_are_refused") {
        return;
    }
    for depth in [200, 1000, 10_000, 1_000_000, 5_000_000] {
        println!("{depth}: {:?}", inspect(&nested_types(depth)).err());
    }
    let lab = Lab::new();
    let refused = lab.load(&nested_types(1_000_000)).map(drop);
    assert!(matches!(refused, Err(LoadError::Invalid { .. })));
}
