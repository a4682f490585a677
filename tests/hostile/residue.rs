//! What others leave behind (E11): a guest finds in its memory, tables and globals
//! what its own image put there, whoever had the place before.

use keyward::engine::{Policy, PolicyStop, Verdict};

use crate::attacker::{Attacker, body};
use crate::lab::Lab;

/// Reads how many pages to take from the test. Both guests begin with it.
const TAKE: &str = "
    (call $random (i32.const 4) (i32.const 0))
    (local.set $j (i32.load (i32.load (i32.const 0))))
    (drop (memory.grow (local.get $j)))";

/// Counts the words from 4,096 to the end of memory that are not zero, the elements of
/// the table that are not null, and whether a global is not as it was declared.
const LOOK: &str = "
    (local.set $j (i32.shl (memory.size) (i32.const 16)))
    (local.set $i (i32.const 4096))
    (loop $more
      (if (i64.ne (i64.load (local.get $i)) (i64.const 0))
        (then (global.set $found (i32.add (global.get $found) (i32.const 1)))))
      (local.set $i (i32.add (local.get $i) (i32.const 8)))
      (br_if $more (i32.lt_u (local.get $i) (local.get $j))))
    (local.set $i (i32.const 0))
    (loop $more
      (if (i32.eqz (ref.is_null (table.get $t (local.get $i))))
        (then (global.set $found (i32.add (global.get $found) (i32.const 1)))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $more (i32.lt_u (local.get $i) (table.size $t))))
    (if (i64.ne (global.get $g) (i64.const 7))
      (then (global.set $found (i32.add (global.get $found) (i32.const 1)))))";

/// Writes over all of that.
const SOIL: &str = "
    (memory.fill (i32.const 4096) (i32.const 0xa5)
      (i32.sub (i32.shl (memory.size) (i32.const 16)) (i32.const 4096)))
    (table.fill $t (i32.const 0) (ref.func $f) (table.size $t))
    (global.set $g (i64.const -1))";

fn guest(what: &str) -> Attacker {
    Attacker {
        main: "(table $t 3000 funcref) (func $f) (elem declare func $f)
               (global $g (mut i64) (i64.const 7)) (global $found (mut i32) (i32.const 0))"
            .to_owned(),
        ..body(&format!("{TAKE} {what} (call $tell (global.get $found))"))
    }
}

fn with_pages(lab: &Lab, policy: &Policy, pages: u32) -> i32 {
    lab.world.feed(&pages.to_le_bytes());
    let ended = lab.run(policy);
    assert_eq!(ended.verdict, Ok(Verdict::Proceed));
    ended.told().unwrap()
}

/// How often another guest had the place before: 10⁵ times, or a hundred times for each
/// round of the command for long runs.
fn rounds() -> u32 {
    let rounds = std::env::var("KEYWARD_SOAK_ROUNDS").ok();
    rounds.map_or(100_000, |rounds| 100 * rounds.parse::<u32>().unwrap())
}

#[test]
fn a_guest_finds_nothing_of_those_before_it() {
    // One place, so that each call has that of the call before.
    let lab = Lab::with(|engine| engine.concurrent_calls = 1);
    let soils = lab.load(&guest(SOIL).build()).unwrap();
    let looks = lab.load(&guest(LOOK).build()).unwrap();
    let dies = lab
        .load(&guest(&format!("{SOIL} unreachable")).build())
        .unwrap();
    for round in 0..rounds() {
        // Mostly what stays mapped between calls, sometimes all that there is.
        let pages = match round % 500 {
            0 => 255,
            n if n % 20 == 0 => 15,
            _ => 1,
        };
        if round % 7 == 0 {
            lab.world.feed(&u32::to_le_bytes(pages));
            assert_eq!(lab.run(&dies).verdict, Err(PolicyStop::Trap));
        } else {
            with_pages(&lab, &soils, pages);
        }
        assert_eq!(with_pages(&lab, &looks, pages), 0, "round {round}");
    }
}

#[test]
fn control_what_is_left_in_ones_own_memory_is_found() {
    let lab = Lab::with(|engine| engine.concurrent_calls = 1);
    let both = lab.load(&guest(&format!("{SOIL} {LOOK}")).build()).unwrap();
    // Every word of two pages but the first 4 KiB, every element, and the global.
    let words = ((2 << 16) - 4096) / 8;
    assert_eq!(with_pages(&lab, &both, 1), words + 3000 + 1);
}
