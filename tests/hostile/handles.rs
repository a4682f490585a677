//! Handles that were never given (A3), that outlive what they stand for (A4), that
//! are to leave the component (A5), and arguments that change after they were
//! checked (A21).

use std::sync::Arc;

use keyward::engine::{LoadError, PolicyStop, Verdict};
use keyward::names::{GrantId, SecretName};
use keyward::vault::Secret;
use keyward_tests::Canary;

use crate::attacker::{Attacker, body};
use crate::lab::{Lab, actor};

/// Each operation on a handle: what a guest does with the index `$i`.
const OPERATIONS: [&str; 19] = [
    "(call $status (local.get $i) (i32.const 64))",
    "(call $header-names (local.get $i) (i32.const 0) (i32.const 64))",
    "(call $attach (local.get $i) (local.get $x) (i32.const 64))",
    "(call $attach (i32.load (i32.const 20)) (local.get $i) (i32.const 64))",
    "(call $sign-request (local.get $i) (local.get $x) (i32.const 64))",
    "(call $sign (local.get $i) (i32.const 0) (i32.const 0) (i32.const 64))",
    "(call $verify (local.get $i) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 64))",
    "(call $identify (local.get $i) (local.get $x) (i32.const 64))",
    "(call $request-body (local.get $i) (i32.const 0) (i32.const 0) (i32.const 64))",
    "(call $send (local.get $i) (i32.const 64))",
    "(drop (call $response-status (local.get $i)))",
    "(call $drop-credential (local.get $i))",
    "(call $drop-mac (local.get $i))",
    "(call $drop-signer (local.get $i))",
    "(call $drop-request (local.get $i))",
    "(call $drop-response (local.get $i))",
    "(call $header-values (local.get $i) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 64))",
    "(call $request-line (local.get $i) (i32.const 64))",
    "(call $response-header-values (local.get $i) (i32.const 0) (i32.const 0) (i32.const 64))",
];

/// Has an exchange, a credential and a key; tells their indices if it is told to do
/// nothing, and else carries out one operation on an index that is not its own.
fn forger() -> Vec<u8> {
    let mut cases = String::new();
    for operation in OPERATIONS {
        cases = format!("(block {cases}) {operation} (br $end)");
    }
    // Innermost is the choice itself: case n ends n + 1 blocks.
    let labels: String = (0..OPERATIONS.len()).map(|n| format!("{n} ")).collect();
    let choice = format!("(br_table {labels} (local.get $j))");
    let cases = cases.replacen("(block )", &format!("(block {choice})"), 1);
    let attacker = Attacker {
        main: r#"(data (i32.const 0) "backend") (data (i32.const 8) "mac")"#.to_owned(),
        ..body(&format!(
            "(call $open (i32.const 0) (i32.const 7) (i32.const 16))
             (call $open-mac (i32.const 8) (i32.const 3) (i32.const 24))
             (call $random (i32.const 5) (i32.const 40))
             (local.set $j (i32.load8_u (i32.load (i32.const 40))))
             (local.set $i (i32.load offset=1 align=1 (i32.load (i32.const 40))))
             (block $end
               (if (i32.eq (local.get $j) (i32.const 255))
                 (then
                   (call $tell (i32.or (local.get $x) (i32.or
                     (i32.shl (i32.load (i32.const 20)) (i32.const 8))
                     (i32.shl (i32.load (i32.const 28)) (i32.const 16)))))
                   (br $end)))
               {cases})"
        ))
    };
    attacker.build()
}

#[test]
fn an_index_that_was_never_given_or_is_of_another_type_ends_the_guest() {
    let lab = Lab::new();
    let policy = lab.load(&forger()).unwrap();
    let ask = |operation: u8, index: u32| {
        lab.world.feed(&[operation]);
        lab.world.feed(&index.to_le_bytes());
        lab.run(&policy)
    };
    let own = ask(255, 0).told().unwrap().to_le_bytes();
    let [exchange, credential, mac, _] = own.map(u32::from);

    let operations = u8::try_from(OPERATIONS.len()).unwrap();
    let few = (0..16).chain([
        0xffff,
        0x1_0000,
        1 << 28,
        (1 << 28) - 1,
        1 << 30,
        1 << 31,
        !0,
    ]);
    let near = few.flat_map(|index| (0..operations).map(move |operation| (operation, index)));
    // Each index of sixteen bits, each with one of the operations.
    let all = (0..=0xffff).map(|index| ((index % u32::from(operations)) as u8, index));
    let mut taken = std::collections::BTreeSet::new();
    for (operation, index) in near.chain(all) {
        match ask(operation, index).verdict {
            Ok(_) => _ = taken.insert((operation, index)),
            Err(stop) => assert_eq!(stop, PolicyStop::Trap, "{operation} {index}"),
        }
    }
    // Control, and all that is left: each with what it is.
    let right = [
        (0, exchange),
        (1, exchange),
        (2, credential),
        (3, exchange),
        (5, mac),
        (11, credential),
        (12, mac),
        (16, exchange),
        (17, exchange),
    ];
    assert_eq!(taken, right.into_iter().collect());
}

#[test]
fn a_handle_that_is_gone_ends_the_guest() {
    let lab = Lab::new();
    let names = r#"(data (i32.const 0) "backend") (data (i32.const 8) "billingGET/")"#;
    let open = "(call $open (i32.const 0) (i32.const 7) (i32.const 32))
                (local.set $i (i32.load (i32.const 36)))";
    let request = "(call $request (i32.const 8) (i32.const 7) (i32.const 15) (i32.const 3)
                     (i32.const 18) (i32.const 1) (i32.const 32))
                   (local.set $i (i32.load (i32.const 36)))";
    let run = |attack: &str| {
        let attacker = Attacker {
            main: names.to_owned(),
            ..body(attack)
        };
        lab.strike(&attacker.build()).verdict
    };
    for (begin, end) in [
        // Dropped twice; used after it was dropped.
        (
            open,
            "(call $drop-credential (local.get $i)) (call $drop-credential (local.get $i))",
        ),
        (
            open,
            "(call $drop-credential (local.get $i)) (call $attach (local.get $i) (local.get $x) (i32.const 64))",
        ),
        (
            request,
            "(call $drop-request (local.get $i)) (call $send (local.get $i) (i32.const 64))",
        ),
        (
            request,
            "(call $drop-request (local.get $i)) (call $drop-request (local.get $i))",
        ),
        // The exchange, after it was given back.
        (
            "(call $drop (local.get $x))",
            "(call $status (local.get $x) (i32.const 64))",
        ),
        ("(call $drop (local.get $x))", "(call $drop (local.get $x))"),
        // Dropped as what it is not.
        (open, "(call $drop-request (local.get $i))"),
        (open, "(call $drop (local.get $i))"),
    ] {
        assert_eq!(
            run(&format!("{begin} {end}")),
            Err(PolicyStop::Trap),
            "{end}"
        );
        // Control: the first half alone is fine.
        if begin != "(call $drop (local.get $x))" {
            assert_eq!(run(begin), Ok(Verdict::Proceed), "{begin}");
        }
    }
}

#[test]
fn a_handle_of_one_call_is_nothing_in_the_next() {
    let lab = Lab::with(|engine| engine.concurrent_calls = 1);
    let attacker = |attack: &str| Attacker {
        main: r#"(data (i32.const 0) "backend")"#.to_owned(),
        ..body(attack)
    };
    let keeps = "(call $open (i32.const 0) (i32.const 7) (i32.const 32))
                 (call $tell (i32.load (i32.const 36)))";
    let kept = lab.strike(&attacker(keeps).build()).told().unwrap();
    let uses = format!("(call $attach (i32.const {kept}) (local.get $x) (i32.const 64))");
    let ended = lab.strike(&attacker(&uses).build());
    assert_eq!(ended.verdict, Err(PolicyStop::Trap));
    // Control: in the call that opened it, it is the credential.
    let both = format!("{keeps} {uses}");
    assert_eq!(
        lab.strike(&attacker(&both).build()).verdict,
        Ok(Verdict::Proceed)
    );
}

/// Opens a credential, lets something happen, attaches it, and tells what came of it.
fn attaches_later() -> Vec<u8> {
    let attacker = Attacker {
        main: r#"(data (i32.const 0) "backend")"#.to_owned(),
        ..body(
            "(call $open (i32.const 0) (i32.const 7) (i32.const 32))
             (call $random (i32.const 1) (i32.const 48))
             (call $attach (i32.load (i32.const 36)) (local.get $x) (i32.const 64))
             (call $tell (i32.or (i32.shl (i32.load8_u (i32.const 64)) (i32.const 8))
               (i32.load8_u (i32.const 65))))",
        )
    };
    attacker.build()
}

const DENIED: i32 = 1 << 8;

#[test]
fn a_handle_outlives_neither_its_grant_nor_its_secret() {
    let revoke = |lab: &Lab| {
        let vault = Arc::clone(&lab.vault);
        lab.world.on_random(move || {
            let grant = GrantId::parse("attach").unwrap();
            vault.revoke_grant(&grant, &actor()).unwrap();
        });
    };
    let disable = |lab: &Lab| {
        let vault = Arc::clone(&lab.vault);
        lab.world.on_random(move || {
            let name = SecretName::parse("key").unwrap();
            vault.disable(&name, &actor()).unwrap();
        });
    };
    for happens in [&revoke as &dyn Fn(&Lab), &disable] {
        let lab = Lab::new();
        happens(&lab);
        assert_eq!(lab.strike(&attaches_later()).told(), Some(DENIED));
    }
    // Control: when nothing happens in between, it is attached.
    assert_eq!(Lab::new().strike(&attaches_later()).told(), Some(0));
}

#[test]
fn a_handle_means_the_version_that_its_exchange_began_with() {
    // Signs the same twice with one handle, and tells where the codes differ.
    let signs = |what: &str| Attacker {
        main: r#"(data (i32.const 0) "mac")"#.to_owned(),
        ..body(&format!(
            "(call $open-mac (i32.const 0) (i32.const 3) (i32.const 16))
             (call $sign (i32.load (i32.const 20)) (i32.const 0) (i32.const 3) (i32.const 32))
             (local.set $i (i32.load (i32.load (i32.const 36))))
             (call $random (i32.const 1) (i32.const 48))
             (call $sign (i32.load (i32.const 20)) (i32.const 0) (i32.const 3) (i32.const 32))
             (call $tell {what})"
        ))
    };
    let twice = signs("(i32.xor (local.get $i) (i32.load (i32.load (i32.const 36))))");
    let lab = Lab::new();
    let vault = Arc::clone(&lab.vault);
    lab.world.on_random(move || {
        let name = SecretName::parse("mac").unwrap();
        let value = Secret::read_from(Canary::new().text().as_bytes(), 256).unwrap();
        vault.rotate(&name, value, &actor()).unwrap();
    });
    // Rotated between the two, by the call that lies there.
    assert_eq!(lab.strike(&twice.build()).told(), Some(0));
    // Control: the next exchange signs with the new version, and so does each after it.
    let first = signs("(local.get $i)");
    let codes = [(); 3].map(|()| lab.strike(&first.build()).told().unwrap());
    assert!(codes[0] != codes[1] && codes[1] != codes[2], "{codes:?}");
}

#[test]
fn a_component_through_which_a_handle_could_leave_is_refused() {
    let inner = r#"(component $Inner
          (import "credential" (type $c (sub resource)))
          (core module $M (func (export "take") (param i32)))
          (core instance $m (instantiate $M))
          (func $take (param "c" (own $c)) (canon lift (core func $m "take")))
          (export "take" (func $take)))
        (instance $inner (instantiate $Inner (with "credential" (type $cr))))
        (alias export $inner "take" (func $take''))
        (core func $take (canon lower (func $take'')))"#;
    let borrowed = r#"(core module $Code (func (export "f")))
        (component $Inner
          (alias outer $C $Code (core module $Code))
          (core instance (instantiate $Code)))"#;
    let leak = "(func $leak (result (own $cr)) (canon lift (core func $main \"leak\")))";
    let lab = Lab::new();
    let plain = wasmtime::Engine::default();
    for (component, beside, why) in [
        (inner.to_owned(), "", "code of its own"),
        (borrowed.to_owned(), "", "code of its own"),
        (
            format!("{leak} (export \"leak\" (func $leak))"),
            "",
            "neither a phase",
        ),
        (
            format!(
                "{leak} (instance $i (export \"leak\" (func $leak))) (export \"keyward:policy/leak@0.1.0\" (instance $i))"
            ),
            "",
            "neither a phase",
        ),
        (
            leak.to_owned(),
            "(export \"leak\" (func $leak))",
            "neither a phase",
        ),
    ] {
        let attacker = Attacker {
            component,
            beside: beside.to_owned(),
            main: "(func (export \"leak\") (result i32) (i32.const 1))".to_owned(),
            ..Attacker::default()
        };
        let bytes = attacker.build();
        let refused = lab.load(&bytes).map(drop).unwrap_err();
        let LoadError::Shape { what, .. } = &refused else {
            panic!("{refused}");
        };
        assert!(what.contains(why), "{what}");
        // Control: the sandbox itself takes it.
        wasmtime::component::Component::new(&plain, &bytes).unwrap();
    }
}

#[test]
fn an_argument_that_changes_after_it_was_taken_changes_nothing() {
    let lab = Lab::new();
    // When the host asks for room for its answer, the name that it was asked about
    // becomes another.
    let attacker = Attacker {
        main: r#"(data (i32.const 0) "mine12")"#.to_owned(),
        realloc: "(i32.store8 (i32.const 0) (i32.const 0x78))".to_owned(),
        ..body(
            "(call $set (i32.const 0) (i32.const 4) (i32.const 4) (i32.const 1) (i32.const 16))
             (i32.store8 (i32.const 0) (i32.const 0x78))
             (call $set (i32.const 0) (i32.const 4) (i32.const 5) (i32.const 1) (i32.const 16))
             (i32.store8 (i32.const 0) (i32.const 0x6d))
             (call $get (i32.const 0) (i32.const 4) (i32.const 16))
             (local.set $i (i32.load8_u (i32.load (i32.const 20))))
             (call $get (i32.const 0) (i32.const 4) (i32.const 16))
             (local.set $j (i32.load8_u (i32.load (i32.const 20))))
             (call $tell (i32.or (i32.shl (local.get $i) (i32.const 8)) (local.get $j)))",
        )
    };
    let told = lab.strike(&attacker.build()).told().unwrap();
    // The first answer is about "mine". Control: the name had become "xine", about
    // which the second is.
    assert_eq!(told, i32::from(b'1') << 8 | i32::from(b'2'));
}

#[test]
fn a_message_that_changes_after_it_was_taken_is_signed_as_it_was() {
    let lab = Lab::new();
    let sign = "(call $sign (i32.load (i32.const 20)) (i32.const 4) (i32.const 8) (i32.const 32))";
    let first = "(i32.load (i32.load (i32.const 36)))";
    let attack = |between: &str| {
        let attacker = Attacker {
            main: r#"(data (i32.const 0) "mac") (data (i32.const 4) "message.")"#.to_owned(),
            realloc: "(i32.store8 (i32.const 4) (i32.const 0x78))".to_owned(),
            ..body(&format!(
                "(call $open-mac (i32.const 0) (i32.const 3) (i32.const 16))
                 {sign} (local.set $i {first})
                 {between}
                 {sign} (call $tell (i32.xor (local.get $i) {first}))"
            ))
        };
        lab.strike(&attacker.build()).told().unwrap()
    };
    assert_eq!(attack("(i32.store8 (i32.const 4) (i32.const 0x6d))"), 0);
    // Control: the message did change, and the other one has another code.
    assert_ne!(attack(""), 0);
}

#[test]
fn a_guest_that_calls_the_host_while_the_host_calls_it_ends() {
    let lab = Lab::new();
    // The allocator, and the function after the phase, call an import.
    let through_the_allocator = |realloc: &str| Attacker {
        libc: "(type $now (func (result i64))) (table $t (export \"table\") 1 funcref)".to_owned(),
        realloc: realloc.to_owned(),
        imports: "(import \"libc\" \"table\" (table $t 1 funcref))".to_owned(),
        main: "(elem (table $t) (i32.const 0) func $now)".to_owned(),
        ..body("(call $random (i32.const 8) (i32.const 0))")
    };
    let calls = "(drop (call_indirect (type $now) (i32.const 0)))";
    let ended = lab.strike(&through_the_allocator(calls).build());
    assert_eq!(ended.verdict, Err(PolicyStop::Trap));
    assert_eq!(
        lab.strike(&through_the_allocator("").build()).verdict,
        Ok(Verdict::Proceed)
    );

    let after = |after: &str| Attacker {
        after: Some(after.to_owned()),
        ..Attacker::default()
    };
    let ended = lab.strike(&after("(drop (call $now))").build());
    assert_eq!(ended.verdict, Err(PolicyStop::Trap));
    assert_eq!(
        lab.strike(&after("(nop)").build()).verdict,
        Ok(Verdict::Proceed)
    );
}

#[test]
fn a_place_for_an_answer_that_is_no_place_ends_the_guest() {
    let lab = Lab::new();
    let allocator = |call: &str, result: &str| Attacker {
        main: r#"(data (i32.const 32) "x-one")"#.to_owned(),
        realloc: result.to_owned(),
        ..body(call)
    };
    let headers = || {
        let mut exchange = lab.exchange();
        exchange
            .request
            .headers
            .insert("x-one", "1".parse().unwrap());
        exchange
    };
    for call in [
        "(call $header-names (local.get $x) (i32.const 0) (i32.const 16))",
        "(call $header-values (local.get $x) (i32.const 0) (i32.const 32) (i32.const 5)
           (i32.const 16))",
    ] {
        for result in ["-8", "3", "65532", "2147483647"] {
            let attacker = allocator(call, &format!("(return (i32.const {result}))"));
            let policy = lab.load(&attacker.build()).unwrap();
            let ended = lab.run_on(&policy, headers());
            assert_eq!(ended.verdict, Err(PolicyStop::Trap), "{call} {result}");
        }
        // Control: inside its own memory it may hurt itself: over the place of the result.
        for result in ["0", "16"] {
            let attacker = allocator(call, &format!("(return (i32.const {result}))"));
            let policy = lab.load(&attacker.build()).unwrap();
            assert_eq!(lab.run_on(&policy, headers()).verdict, Ok(Verdict::Proceed));
        }
    }
}
