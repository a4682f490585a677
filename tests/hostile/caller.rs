//! A guest that calls whatever function of the host it is told to, with whatever numbers
//! and bytes: the body of the exchange's request is its script. In the backend phase it
//! does the same with the body that the request has by then. Tests write scripts, and
//! so do chance and a fuzzer.
//!
//! A script is calls, one after the other: a function by its number, and an argument for
//! each of its parameters. `0xff` and a length skip what is data. An argument begins with
//! a tag: below 64 it is the number itself; below 128 a place in the script, sixteen times
//! the next byte; below 192 a handle that was opened; below 200 the exchange; below 224 a
//! number of two bytes; and else one of four.

use std::fmt::Write as _;

use crate::attacker::contract::{DROPS, Function, Returned};
use crate::attacker::{Attacker, assemble, with_section};

/// Where the script is in the guest's memory, and its most bytes.
pub(crate) const SCRIPT: u32 = 131_072;
pub(crate) const MAX_SCRIPT: usize = 60_000;
/// Where results go, and how much of each is told.
const RESULT: u32 = 512;
pub(crate) const TOLD: usize = 16;
/// The most results that are told.
const MAX_TOLD: usize = 1_000;

/// The number of a function in scripts.
pub(crate) fn number(name: &str) -> u8 {
    let functions = Function::all().map(|function| function.name);
    let mut all = functions.chain(DROPS.iter().map(|(name, _)| *name));
    let at = all.position(|one| one == name);
    u8::try_from(at.unwrap_or_else(|| panic!("no function {name}"))).unwrap()
}

/// The guest, with a manifest that asks for these aliases and uses.
pub(crate) fn caller<'a>(asks: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    manifested(&attacker(), asks)
}

/// An attacker whose manifest asks for these aliases and uses.
pub(crate) fn manifested<'a>(
    attacker: &Attacker,
    asks: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Vec<u8> {
    let asks = asks.into_iter();
    let asks = asks.map(|(alias, use_)| format!(r#"{{"alias":"{alias}","use":"{use_}"}}"#));
    let asks: Vec<_> = asks.collect();
    let manifest = format!(r#"{{"name":"guest","asks":[{}]}}"#, asks.join(","));
    with_section(&assemble(&attacker.text()), manifest.as_bytes())
}

/// The phase once more, as the backend phase.
pub(crate) const BACKEND: &str = r#"
(func $again (param "exchange" (borrow $ex)) (result $vd) (canon lift (core func $main "handle")))
(instance $backend (export "handle" (func $again)))
(export "keyward:policy/backend@0.1.0" (instance $backend))"#;

fn attacker() -> Attacker {
    let mut calls: Vec<String> = Function::all().map(|function| call(&function)).collect();
    // The exchange itself is never given back early.
    calls.extend(DROPS.iter().map(|(name, _)| match *name {
        "drop" => "(drop (call $arg))".to_owned(),
        name => format!("(call ${name} (call $arg))"),
    }));
    // Innermost is the choice: call n stands after n + 1 blocks.
    let labels: String = (0..=calls.len()).map(|n| format!("{n} ")).collect();
    let mut cases = format!("(block (br_table {labels} (call $byte)))");
    for call in &calls {
        cases = format!("(block {cases} {call} (br $done))");
    }
    Attacker {
        memory: "6".to_owned(),
        main: format!(
            r#"
  (global $p (mut i32) (i32.const {SCRIPT}))
  (global $end (mut i32) (i32.const {SCRIPT}))
  (global $opened (mut i32) (i32.const 0))
  (global $told (mut i32) (i32.const 262144))
  (func $byte (result i32) (local $b i32)
    (if (i32.lt_u (global.get $p) (global.get $end))
      (then
        (local.set $b (i32.load8_u (global.get $p)))
        (global.set $p (i32.add (global.get $p) (i32.const 1)))))
    (local.get $b))
  (func $two (result i32)
    (i32.or (call $byte) (i32.shl (call $byte) (i32.const 8))))
  (func $arg_of (param $x i32) (result i32) (local $t i32)
    (local.set $t (call $byte))
    (if (i32.lt_u (local.get $t) (i32.const 64)) (then (return (local.get $t))))
    (if (i32.lt_u (local.get $t) (i32.const 128))
      (then (return (i32.add (i32.const {SCRIPT}) (i32.shl (call $byte) (i32.const 4))))))
    (if (i32.lt_u (local.get $t) (i32.const 192))
      (then (return (i32.load (i32.add (i32.const 768)
        (i32.shl (i32.and (local.get $t) (i32.const 15)) (i32.const 2)))))))
    (if (i32.lt_u (local.get $t) (i32.const 200)) (then (return (local.get $x))))
    (if (i32.lt_u (local.get $t) (i32.const 224)) (then (return (call $two))))
    (i32.or (call $two) (i32.shl (call $two) (i32.const 16))))
  (global $x (mut i32) (i32.const 0))
  (func $arg (result i32) (call $arg_of (global.get $x)))
  (func $keep
    (if (i32.eqz (i32.load8_u (i32.const {RESULT})))
      (then
        (i32.store (i32.add (i32.const 768)
            (i32.shl (i32.and (global.get $opened) (i32.const 15)) (i32.const 2)))
          (i32.load (i32.const {handle})))
        (global.set $opened (i32.add (global.get $opened) (i32.const 1))))))
  (func $next
    (block $done {cases}
      ;; Data.
      (global.set $p (i32.add (call $two) (global.get $p)))))"#,
            handle = RESULT + 4,
        ),
        component: BACKEND.to_owned(),
        ..crate::attacker::body(&format!(
            r#"
    (global.set $x (local.get $x))
    (block $read (loop $more
      (call $read-body (local.get $x) (i32.const 0) (i32.const {MAX_SCRIPT}) (i32.const 16))
      (br_if $read (i32.load8_u (i32.const 16)))
      (br_if $read (i32.eqz (i32.load8_u (i32.const 20))))
      (br_if $read (i32.gt_u
        (i32.add (i32.sub (global.get $end) (i32.const {SCRIPT})) (i32.load (i32.const 28)))
        (i32.const {MAX_SCRIPT})))
      (memory.copy (global.get $end) (i32.load (i32.const 24)) (i32.load (i32.const 28)))
      (global.set $end (i32.add (global.get $end) (i32.load (i32.const 28))))
      (br $more)))
    (block $end (loop $again
      (br_if $end (i32.ge_u (global.get $p) (global.get $end)))
      (i64.store (i32.const {RESULT}) (i64.const 0))
      (i64.store (i32.const {second}) (i64.const 0))
      (call $next)
      (if (i32.lt_u (global.get $told) (i32.const {last}))
        (then
          (memory.copy (global.get $told) (i32.const {RESULT}) (i32.const {TOLD}))
          (global.set $told (i32.add (global.get $told) (i32.const {TOLD})))))
      (br $again)))
    (call $set (i32.const 1000) (i32.const 4) (i32.const 262144)
      (i32.sub (global.get $told) (i32.const 262144)) (i32.const 1008))"#,
            second = RESULT + 8,
            last = 262_144 + MAX_TOLD * TOLD,
        ))
    }
}

/// Calls a function with arguments of the script's, and keeps the handle that it opened.
fn call(function: &Function) -> String {
    let mut text = String::new();
    let given = match function.result {
        Returned::InMemory => function.parameters - 1,
        _ => function.parameters,
    };
    let _ = write!(text, "(call ${}", function.name);
    text.push_str(&" (call $arg)".repeat(given));
    match function.result {
        Returned::InMemory => {
            let _ = write!(text, " (i32.const {RESULT}))");
        }
        Returned::Nowhere => text.push(')'),
        Returned::Number(_) => text = format!("(drop {text}))"),
    }
    let opens = function.name.starts_with("open-") && function.name != "open-sealed";
    if opens || ["open", "request", "send"].contains(&function.name) {
        text.push_str("(call $keep)");
    }
    text
}

/// A script that is being written.
#[derive(Default)]
pub(crate) struct Script {
    data: Vec<u8>,
    calls: Vec<u8>,
}

/// An argument.
#[derive(Clone, Copy)]
pub(crate) enum Argument<'a> {
    Number(u32),
    /// A handle, by when it was opened.
    Handle(u8),
    /// The exchange.
    Exchange,
    /// A text or bytes: where they are, and how many.
    Bytes(&'a [u8]),
}

impl Script {
    /// Puts bytes into the script, at a multiple of 8. Where they are in the guest's
    /// memory.
    pub(crate) fn place(&mut self, bytes: &[u8]) -> u32 {
        // Three bytes of the script stand before them.
        while !(self.data.len() + 3).is_multiple_of(8) {
            self.data.push(0);
        }
        let at = self.data.len() + 3;
        self.data.extend_from_slice(bytes);
        SCRIPT + u32::try_from(at).unwrap()
    }

    pub(crate) fn call(&mut self, name: &str, arguments: &[Argument<'_>]) -> &mut Self {
        self.calls.push(number(name));
        for argument in arguments {
            match argument {
                Argument::Number(number) => self.number(*number),
                Argument::Handle(at) => self.calls.push(128 + at),
                Argument::Exchange => self.calls.push(192),
                Argument::Bytes(bytes) => {
                    let at = self.place(bytes);
                    self.number(at);
                    self.number(u32::try_from(bytes.len()).unwrap());
                }
            }
        }
        self
    }

    fn number(&mut self, number: u32) {
        self.calls.push(255);
        self.calls.extend_from_slice(&number.to_le_bytes());
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let length = u16::try_from(self.data.len()).unwrap();
        let mut script = vec![0xff];
        script.extend_from_slice(&length.to_le_bytes());
        script.extend_from_slice(&self.data);
        script.extend_from_slice(&self.calls);
        script
    }
}
