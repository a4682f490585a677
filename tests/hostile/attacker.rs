//! Attackers as text: components in shapes that no compiler makes.
//!
//! An attacker is two core modules. `libc` has the memory and the allocator that
//! the host calls back into; `main` has the phase and may import every function of
//! the table below. An attack replaces the part that attacks and leaves the rest
//! honest.

use std::fmt::Write as _;

use wasm_encoder::{ComponentSection as _, CustomSection};

/// What the component says about itself: it asks for what [`crate::lab::GRANTS`]
/// gives.
const MANIFEST: &[u8] = br#"{"name":"guest","asks":[{"alias":"backend","use":"attach"},{"alias":"mac","use":"mac-sign"}]}"#;

/// The host's interfaces as a component names them, as far as attacks need them.
const IMPORTS: &str = r#"
(import "keyward:policy/exchange@0.1.0" (instance $exchange
  (export "exchange" (type $e (sub resource)))
  (type $side' (enum "request" "response"))
  (export "side" (type $side (eq $side')))
  (type $failure' (enum "wrong-phase" "invalid" "limit" "unavailable"))
  (export "exchange-failure" (type $failure (eq $failure')))
  (type $verdict' (enum "proceed" "respond" "fail"))
  (export "verdict" (type $verdict (eq $verdict')))
  (export "[method]exchange.status" (func (param "self" (borrow $e)) (result (option u16))))
  (export "[method]exchange.set-status" (func (param "self" (borrow $e)) (param "status" u16)
    (result (result (error $failure)))))
  (export "[method]exchange.header" (func (param "self" (borrow $e)) (param "of" $side)
    (param "name" string) (param "index" u32) (result (option (list u8)))))
  (export "[method]exchange.set-header" (func (param "self" (borrow $e)) (param "of" $side)
    (param "name" string) (param "value" (list u8)) (result (result (error $failure)))))
  (export "[method]exchange.header-names" (func (param "self" (borrow $e)) (param "of" $side)
    (result (list string))))
  (export "[method]exchange.read-body" (func (param "self" (borrow $e)) (param "of" $side)
    (param "max" u32) (result (result (option (list u8)) (error $failure)))))
  (export "[method]exchange.write-body" (func (param "self" (borrow $e)) (param "of" $side)
    (param "part" (list u8)) (result (result (error $failure)))))
))
(alias export $exchange "exchange" (type $ex))
(alias export $exchange "verdict" (type $vd))
(import "keyward:policy/variables@0.1.0" (instance $variables
  (type $failure' (enum "invalid" "limit"))
  (export "variable-failure" (type $failure (eq $failure')))
  (export "get" (func (param "name" string) (result (option (list u8)))))
  (export "set" (func (param "name" string) (param "value" (list u8))
    (result (result (error $failure)))))
))
(import "keyward:policy/egress@0.1.0" (instance $egress
  (type $failure' (enum "denied" "invalid" "limit" "unavailable" "upstream"))
  (export "egress-failure" (type $failure (eq $failure')))
  (export "request" (type $request (sub resource)))
  (export "response" (type $response (sub resource)))
  (export "[static]request.new" (func (param "route" string) (param "method" string)
    (param "path" string) (result (result (own $request) (error $failure)))))
  (export "[method]request.write-body" (func (param "self" (borrow $request))
    (param "part" (list u8)) (result (result (error $failure)))))
  (export "[method]response.status" (func (param "self" (borrow $response)) (result u16)))
  (export "send" (func (param "request" (own $request))
    (result (result (own $response) (error $failure)))))
))
(alias export $egress "request" (type $rq))
(alias export $egress "response" (type $rs))
(import "keyward:policy/secrets@0.1.0" (instance $secrets
  (alias outer $C $ex (type $e'))
  (export "exchange" (type $e (eq $e')))
  (alias outer $C $rq (type $request'))
  (export "request" (type $request (eq $request')))
  (type $failure' (enum "denied" "invalid" "exhausted" "unavailable"))
  (export "secret-failure" (type $failure (eq $failure')))
  (export "credential" (type $credential (sub resource)))
  (export "signer" (type $signer (sub resource)))
  (export "mac-signer" (type $mac-signer (sub resource)))
  (export "mac-verifier" (type $mac-verifier (sub resource)))
  (export "client-keys" (type $client-keys (sub resource)))
  (export "[static]credential.open" (func (param "alias" string)
    (result (result (own $credential) (error $failure)))))
  (export "[method]credential.attach" (func (param "self" (borrow $credential))
    (param "to" (borrow $e)) (result (result (error $failure)))))
  (export "[method]signer.attach" (func (param "self" (borrow $signer))
    (param "to" (borrow $e)) (result (result (error $failure)))))
  (export "[static]mac-signer.open" (func (param "alias" string)
    (result (result (own $mac-signer) (error $failure)))))
  (export "[method]mac-signer.sign" (func (param "self" (borrow $mac-signer))
    (param "message" (list u8)) (result (result (list u8) (error $failure)))))
  (export "[method]mac-verifier.verify" (func (param "self" (borrow $mac-verifier))
    (param "message" (list u8)) (param "code" (list u8)) (result (result bool (error $failure)))))
  (export "[method]client-keys.identify" (func (param "self" (borrow $client-keys))
    (param "exchange" (borrow $e)) (result (result (option string) (error $failure)))))
))
(alias export $secrets "credential" (type $cr))
(alias export $secrets "signer" (type $sg))
(alias export $secrets "mac-signer" (type $ms))
(alias export $secrets "mac-verifier" (type $mv))
(alias export $secrets "client-keys" (type $ck))
(import "keyward:policy/log@0.1.0" (instance $log
  (type $level' (enum "debug" "info" "warn" "error"))
  (export "level" (type $level (eq $level')))
  (export "write" (func (param "level" $level) (param "message" string)))
))
(import "keyward:policy/counters@0.1.0" (instance $counters
  (type $failure' (enum "invalid" "unavailable"))
  (export "counter-failure" (type $failure (eq $failure')))
  (export "increment" (func (param "name" string) (param "by" u32) (param "window-seconds" u32)
    (result (result u64 (error $failure)))))
))
(import "keyward:policy/clock@0.1.0" (instance $clock (export "now" (func (result u64)))))
(import "keyward:policy/random@0.1.0" (instance $random
  (export "bytes" (func (param "length" u32) (result (list u8))))
))
"#;

/// Each function that `main` may import from `host`: its name there, its instance,
/// its name in it, and its core type. A last parameter that is said to be `$out`
/// is where the result goes.
const FUNCTIONS: &[(&str, &str, &str, &str)] = &[
    (
        "status",
        "exchange",
        "[method]exchange.status",
        "(param i32 i32)",
    ),
    (
        "set-status",
        "exchange",
        "[method]exchange.set-status",
        "(param i32 i32 i32)",
    ),
    (
        "header",
        "exchange",
        "[method]exchange.header",
        "(param i32 i32 i32 i32 i32 i32)",
    ),
    (
        "set-header",
        "exchange",
        "[method]exchange.set-header",
        "(param i32 i32 i32 i32 i32 i32 i32)",
    ),
    (
        "header-names",
        "exchange",
        "[method]exchange.header-names",
        "(param i32 i32 i32)",
    ),
    (
        "read-body",
        "exchange",
        "[method]exchange.read-body",
        "(param i32 i32 i32 i32)",
    ),
    (
        "write-body",
        "exchange",
        "[method]exchange.write-body",
        "(param i32 i32 i32 i32 i32)",
    ),
    ("get", "variables", "get", "(param i32 i32 i32)"),
    ("set", "variables", "set", "(param i32 i32 i32 i32 i32)"),
    (
        "request",
        "egress",
        "[static]request.new",
        "(param i32 i32 i32 i32 i32 i32 i32)",
    ),
    (
        "request-body",
        "egress",
        "[method]request.write-body",
        "(param i32 i32 i32 i32)",
    ),
    (
        "response-status",
        "egress",
        "[method]response.status",
        "(param i32) (result i32)",
    ),
    ("send", "egress", "send", "(param i32 i32)"),
    (
        "open",
        "secrets",
        "[static]credential.open",
        "(param i32 i32 i32)",
    ),
    (
        "attach",
        "secrets",
        "[method]credential.attach",
        "(param i32 i32 i32)",
    ),
    (
        "sign-request",
        "secrets",
        "[method]signer.attach",
        "(param i32 i32 i32)",
    ),
    (
        "open-mac",
        "secrets",
        "[static]mac-signer.open",
        "(param i32 i32 i32)",
    ),
    (
        "sign",
        "secrets",
        "[method]mac-signer.sign",
        "(param i32 i32 i32 i32)",
    ),
    (
        "verify",
        "secrets",
        "[method]mac-verifier.verify",
        "(param i32 i32 i32 i32 i32 i32)",
    ),
    (
        "identify",
        "secrets",
        "[method]client-keys.identify",
        "(param i32 i32 i32)",
    ),
    ("log", "log", "write", "(param i32 i32 i32)"),
    (
        "increment",
        "counters",
        "increment",
        "(param i32 i32 i32 i32 i32)",
    ),
    ("now", "clock", "now", "(result i64)"),
    ("random", "random", "bytes", "(param i32 i32)"),
];

/// The handles that a guest can drop: their name in `main`, and the type.
const DROPS: &[(&str, &str)] = &[
    ("drop", "$ex"),
    ("drop-request", "$rq"),
    ("drop-response", "$rs"),
    ("drop-credential", "$cr"),
    ("drop-signer", "$sg"),
    ("drop-mac", "$ms"),
    ("drop-verifier", "$mv"),
    ("drop-keys", "$ck"),
];

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
        for (name, instance, function, ty) in FUNCTIONS {
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
