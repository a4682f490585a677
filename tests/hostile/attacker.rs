//! Attackers as text: components in shapes that no compiler makes.
//!
//! An attacker is two core modules. `libc` has the memory and the allocator that
//! the host calls back into; `main` has the phase and may import every function of
//! the table below. An attack replaces the part that attacks and leaves the rest
//! honest.

// Others take this file from where they are.
#[path = "attacker/contract.rs"]
pub(crate) mod contract;

use std::fmt::Write as _;

use wasm_encoder::{ComponentSection as _, CustomSection};

use contract::{DROPS, Function, IMPORTS};

/// What the component says about itself: it asks for what [`crate::lab::GRANTS`]
/// gives.
const MANIFEST: &[u8] = br#"{"name":"guest","asks":[{"alias":"backend","use":"attach"},{"alias":"mac","use":"mac-sign"}]}"#;

/// A component with a phase `inbound` that proceeds, but for its attack.
///
/// In `main`, `$x` is the exchange in the body of the phase, `$tell` leaves a number
/// for the test, and the first 1,024 bytes of memory are for the attack's use.
pub(crate) struct Attacker {
    /// What the phase does before it proceeds.
    pub(crate) body: String,
    /// Further imports of `main`, and further fields.
    pub(crate) imports: String,
    pub(crate) main: String,
    /// Pages of memory at the start, and at most.
    pub(crate) memory: String,
    /// Further fields of `libc`.
    pub(crate) libc: String,
    /// What the allocator does before it allocates.
    pub(crate) realloc: String,
    /// The body of the function after the phase; none if there is no such function.
    pub(crate) after: Option<String>,
    /// Further fields of the component, before the phase is exported.
    pub(crate) component: String,
    /// What stands in the phase's export beside the phase.
    pub(crate) beside: String,
    /// How strings are encoded.
    pub(crate) encoding: &'static str,
}

impl Default for Attacker {
    fn default() -> Self {
        Attacker {
            body: String::new(),
            imports: String::new(),
            main: String::new(),
            memory: "1".to_owned(),
            libc: String::new(),
            realloc: String::new(),
            after: None,
            component: String::new(),
            beside: String::new(),
            encoding: "utf8",
        }
    }
}

/// An attacker whose phase does that, and which is honest otherwise.
pub(crate) fn body(body: &str) -> Attacker {
    Attacker {
        body: body.to_owned(),
        ..Attacker::default()
    }
}

impl Attacker {
    /// The component, with its manifest.
    pub(crate) fn build(&self) -> Vec<u8> {
        with_manifest(&assemble(&self.text()))
    }

    pub(crate) fn text(&self) -> String {
        let Attacker {
            body,
            imports,
            main,
            memory,
            libc,
            realloc,
            after,
            component,
            beside,
            encoding,
        } = self;
        let mut lowered = String::new();
        let mut given = String::new();
        let mut imported = String::new();
        for called in Function::all() {
            let Function {
                name,
                instance,
                function,
                ..
            } = called;
            let ty = called.to_type();
            writeln!(
                lowered,
                "(alias export ${instance} \"{function}\" (func ${name}'))
                 (core func ${name} (canon lower (func ${name}') (memory (core memory $libc \"memory\"))
                   (realloc (core func $libc \"realloc\")) string-encoding={encoding}))"
            )
            .unwrap();
            writeln!(given, "(export \"{name}\" (func ${name}))").unwrap();
            writeln!(imported, "(import \"host\" \"{name}\" (func ${name} {ty}))").unwrap();
        }
        for (name, ty) in DROPS {
            writeln!(lowered, "(core func ${name} (canon resource.drop {ty}))").unwrap();
            writeln!(given, "(export \"{name}\" (func ${name}))").unwrap();
            writeln!(
                imported,
                "(import \"host\" \"{name}\" (func ${name} (param i32)))"
            )
            .unwrap();
        }
        let (after, after_option) = match after {
            Some(after) => (
                format!("(func (export \"after\") (param i32) {after})"),
                "(post-return (core func $main \"after\"))",
            ),
            None => (String::new(), ""),
        };
        format!(
            r#"(component $C
{IMPORTS}
(core module $Libc
  (memory (export "memory") {memory})
  (global $next (mut i32) (i32.const 1024))
  {libc}
  (func $realloc (export "realloc") (param $old i32) (param $size i32) (param $align i32)
    (param $new i32) (result i32) (local $at i32)
    {realloc}
    (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
    (global.set $next (i32.add (local.get $at) (local.get $new)))
    ;; Forgets what it gave when its page is full: no attack keeps so much.
    (if (i32.gt_u (global.get $next) (i32.const 61440))
      (then (global.set $next (i32.const 1024))))
    (local.get $at)))
(core instance $libc (instantiate $Libc))
{lowered}
(core module $Main
  (import "libc" "memory" (memory 1))
  {imported}
  {imports}
  (data (i32.const 1000) "told")
  (func $tell (param $n i32)
    (i32.store (i32.const 1004) (local.get $n))
    (call $set (i32.const 1000) (i32.const 4) (i32.const 1004) (i32.const 4) (i32.const 1008)))
  {main}
  {after}
  (func (export "handle") (param $x i32) (result i32) (local $i i32) (local $j i32)
    {body}
    (call $drop (local.get $x))
    (i32.const 0)))
(core instance $main (instantiate $Main
  (with "libc" (instance $libc))
  (with "host" (instance {given}))))
(func $handle (param "exchange" (borrow $ex)) (result $vd)
  (canon lift (core func $main "handle") {after_option}))
{component}
(instance $inbound (export "handle" (func $handle)) {beside})
(export "keyward:policy/inbound@0.1.0" (instance $inbound)))"#
        )
    }
}

/// A component from its text.
pub(crate) fn assemble(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"))
}

/// A component with the manifest that policies must have.
pub(crate) fn with_manifest(component: &[u8]) -> Vec<u8> {
    with_section(component, MANIFEST)
}

/// A component with this manifest.
pub(crate) fn with_section(component: &[u8], manifest: &[u8]) -> Vec<u8> {
    let mut bytes = component.to_vec();
    CustomSection {
        name: "keyward:manifest".into(),
        data: manifest.into(),
    }
    .append_to_component(&mut bytes);
    bytes
}
