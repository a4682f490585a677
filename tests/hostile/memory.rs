//! Memory (E2) and tables (E3): what one call may have is a sum, and what a
//! component declares can't pass it.

use keyward::engine::{LoadError, PolicyStop, Profile, Verdict};

use crate::attacker::{Attacker, body};
use crate::lab::Lab;

/// Takes pages one by one until there are no more, and tells how many.
const GROW: &str = "
    (loop $more
      (if (i32.ne (memory.grow (i32.const 1)) (i32.const -1))
        (then (local.set $i (i32.add (local.get $i) (i32.const 1))) (br $more))))
    (call $tell (local.get $i))";

#[test]
fn memory_ends_at_its_limit() {
    let policy = body(GROW).build();
    // One of the 256 pages was there from the beginning.
    assert_eq!(Lab::new().strike(&policy).told(), Some(255));
    // Control: a lower limit gives less, a larger sandbox more.
    let lower = Lab::with(|engine| engine.limits.memory_bytes = Some(1 << 20));
    assert_eq!(lower.strike(&policy).told(), Some(15));
    let standard = Lab::of(Profile::Standard);
    assert_eq!(standard.strike(&policy).told(), Some(1_023));
    // All at once, or more than there can be, is no way around.
    for pages in [256, 65_535, 65_536, -1] {
        let at_once = body(&format!("(call $tell (memory.grow (i32.const {pages})))"));
        assert_eq!(
            Lab::new().strike(&at_once.build()).told(),
            Some(-1),
            "{pages}"
        );
    }
}

/// Whether the component runs, or is stopped before its phase is reached.
fn runs(lab: &Lab, component: &[u8]) -> bool {
    match lab.load(component) {
        Ok(policy) => match lab.run(&policy).verdict {
            Ok(_) => true,
            Err(stop) => {
                assert!(
                    matches!(stop, PolicyStop::Trap | PolicyStop::NoSlot),
                    "{stop}"
                );
                false
            }
        },
        Err(LoadError::Unfit { .. } | LoadError::Invalid { .. } | LoadError::Profile { .. }) => {
            false
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn what_a_component_declares_can_not_pass_the_limit() {
    let lab = Lab::new();
    let memory = |memory: &str| Attacker {
        memory: memory.to_owned(),
        ..Attacker::default()
    };
    assert!(runs(&lab, &memory("256").build()));
    assert!(!runs(&lab, &memory("257").build()));
    assert!(!runs(&lab, &memory("65536").build()));
    // A second memory, in a module of its own or in the same.
    let second = Attacker {
        component: "(core module $M (memory 1)) (core instance (instantiate $M))".to_owned(),
        ..Attacker::default()
    };
    assert!(!runs(&lab, &second.build()));
    let second = Attacker {
        libc: "(memory 1)".to_owned(),
        ..Attacker::default()
    };
    assert!(!runs(&lab, &second.build()));
    // Control: the sandbox itself, as it comes, takes both.
    let plain = wasmtime::Engine::default();
    assert!(wasmtime::component::Component::new(&plain, second.build()).is_ok());
}

#[test]
fn big_data_fills_its_own_memory_and_no_more() {
    let lab = Lab::new();
    let eight = "x".repeat(8 << 20);
    let data = |place: usize| Attacker {
        memory: "160".to_owned(),
        libc: format!("(data (i32.const {place}) \"{eight}\")"),
        ..Attacker::default()
    };
    assert!(runs(&lab, &data(65_536).build()));
    // Control and attack: one byte decides whether the last one is outside.
    let last = (160 << 16) - (8 << 20) + 1;
    assert!(runs(&lab, &data(last - 1).build()));
    assert!(!runs(&lab, &data(last).build()));
    // More than a component may have.
    let three = Attacker {
        component: format!("(core module (data \"{eight}\") (data \"{eight}\"))"),
        ..Attacker::default()
    };
    let refused = lab.load(&three.build()).map(drop).unwrap_err();
    assert!(matches!(refused, LoadError::TooLarge { .. }), "{refused}");
    // Segments that nobody ever uses: some run, very many are refused.
    let many = |count: usize| Attacker {
        main: "(data \"x\")".repeat(count),
        ..Attacker::default()
    };
    assert!(runs(&lab, &many(1_000).build()));
    assert!(!runs(&lab, &many(90_000).build()));
}

#[test]
fn tables_have_so_many_elements_together() {
    let lab = Lab::new();
    let tables = |tables: &str| Attacker {
        main: tables.to_owned(),
        ..Attacker::default()
    };
    assert!(runs(&lab, &tables("(table 10000 funcref)").build()));
    assert!(!runs(&lab, &tables("(table 10001 funcref)").build()));
    assert!(!runs(&lab, &tables("(table 4000000000 funcref)").build()));
    assert!(runs(
        &lab,
        &tables("(table 4000 funcref) (table 6000 funcref)").build()
    ));
    assert!(!runs(
        &lab,
        &tables("(table 6000 funcref) (table 6000 funcref)").build()
    ));
    assert!(!runs(
        &lab,
        &tables(&"(table 1 funcref)".repeat(50)).build()
    ));
    // Control: a larger sandbox takes what was too many.
    let higher = Lab::of(Profile::Standard);
    assert!(runs(
        &higher,
        &tables("(table 6000 funcref) (table 6000 funcref)").build()
    ));
}

#[test]
fn a_table_grows_to_its_limit() {
    let grow = Attacker {
        main: "(table $t 0 funcref)".to_owned(),
        ..body(
            "(loop $more
               (if (i32.ne (table.grow $t (ref.null func) (i32.const 100)) (i32.const -1))
                 (then (local.set $i (i32.add (local.get $i) (i32.const 100))) (br $more))))
             (call $tell (local.get $i))",
        )
    };
    assert_eq!(Lab::new().strike(&grow.build()).told(), Some(10_000));
    let higher = Lab::of(Profile::Standard);
    assert_eq!(higher.strike(&grow.build()).told(), Some(20_000));
}

#[test]
fn huge_element_segments_end_the_guest_and_not_the_host() {
    let lab = Lab::new();
    let segment = format!("(elem $e func {})", "$f ".repeat(200_000));
    let init = |from: i64, count: i64| Attacker {
        main: format!("(table $t 100 funcref) (func $f) {segment}"),
        ..body(&format!(
            "(table.init $t $e (i32.const 0) (i32.const {from}) (i32.const {count}))"
        ))
    };
    // Control: where all of it is there, it is carried out.
    for (from, count, fits) in [
        (0, 100, true),
        (199_900, 100, true),
        (0, 101, false),
        (199_901, 100, false),
        (0, 200_000, false),
        (1, 4_294_967_295, false),
        (4_294_967_295, 4_294_967_295, false),
    ] {
        let ended = lab.strike(&init(from, count).build()).verdict;
        let expected = if fits {
            Ok(Verdict::Proceed)
        } else {
            Err(PolicyStop::Trap)
        };
        assert_eq!(ended, expected, "{count} from {from}");
    }
    // One that is put in place at the start, and is larger than its table.
    let active = Attacker {
        main: format!(
            "(table $t 100 funcref) (func $f) (elem (i32.const 0) func {})",
            "$f ".repeat(200_000)
        ),
        ..Attacker::default()
    };
    assert!(!runs(&lab, &active.build()));
}
