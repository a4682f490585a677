#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use super::*;
use std::collections::HashSet;

fn class(size: usize, count: usize) -> &'static Class {
    Box::leak(Box::new(Class::new(size, count).unwrap()))
}

#[test]
fn a_place_is_held_by_one_holder_and_wiped_for_the_next() {
    let class = class(64, 70);
    let mut places: Vec<_> = (0..70).map(|_| class.take(33).unwrap()).collect();
    assert!(class.take(1).is_none(), "all are taken");
    let starts: HashSet<_> = places.iter().map(|place| place.as_ptr()).collect();
    assert_eq!(starts.len(), 70);
    for (number, place) in places.iter_mut().enumerate() {
        place.fill(number as u8 + 1);
    }
    for (number, place) in places.iter().enumerate() {
        assert!(place.iter().all(|byte| *byte == number as u8 + 1));
    }
    let freed = places.remove(40).as_ptr();
    let again = class.take(64).unwrap();
    assert_eq!(again.as_ptr(), freed);
    assert_eq!(*again, [0; 64]);
    assert!(class.take(65).is_none(), "longer than a place");
}

#[test]
fn places_are_held_by_one_holder_among_many_threads() {
    let class = class(64, 5);
    std::thread::scope(|scope| {
        for thread in 0..8_u8 {
            scope.spawn(move || {
                for _ in 0..2000 {
                    if let Some(mut place) = class.take(64) {
                        assert_eq!(*place, [0; 64]);
                        place.fill(thread + 1);
                        std::thread::yield_now();
                        assert_eq!(*place, [thread + 1; 64]);
                    }
                }
            });
        }
    });
}

/// The lines of `/proc/self/smaps` about the mapping that has an address.
fn smaps(address: *const u8) -> String {
    let text = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut found = String::new();
    let mut inside = false;
    for line in text.lines() {
        let range = line.split(' ').next().unwrap_or_default().split_once('-');
        let range = range.and_then(|(from, to)| {
            let number = |text| usize::from_str_radix(text, 16).ok();
            Some(number(from)?..number(to)?)
        });
        if let Some(range) = range {
            inside = range.contains(&address.addr());
        }
        if inside {
            found.push_str(line);
            found.push('\n');
        }
    }
    found
}

#[test]
fn the_system_says_of_secret_pages_what_we_say() {
    let pages = Pages::map(5000).unwrap();
    assert_eq!(pages.len() % rustix::param::page_size(), 0);
    let smaps = smaps(pages.as_ptr());
    let has = |word: &str| smaps.contains(word);
    match pages.protection() {
        MemoryProtection::SecretMemory => {
            assert!(
                has("secretmem") && has(" lo") && has(" dd") && has(" dc"),
                "{smaps}"
            );
        }
        MemoryProtection::Locked => assert!(has(" lo") && has(" dd") && has(" wf"), "{smaps}"),
        MemoryProtection::Unlocked => assert!(has(" dd"), "{smaps}"),
    }
}

#[test]
fn pages_without_secret_memory_are_locked_and_not_dumped() {
    let mut pages = Pages::map(5000).unwrap();
    let locked = pages.make_locked().unwrap();
    pages.zeroize();
    let smaps = smaps(pages.as_ptr());
    assert!(smaps.contains(" dd") && smaps.contains(" wf"), "{smaps}");
    assert_eq!(smaps.contains(" lo"), locked, "{smaps}");
}

#[test]
fn pages_lie_between_pages_that_can_not_be_touched() {
    let pages = Pages::map(1).unwrap();
    let before = pages.as_ptr().wrapping_sub(1);
    let after = pages.as_ptr().wrapping_add(pages.len());
    for outside in [before, after] {
        let smaps = smaps(outside);
        assert!(smaps.contains("---p"), "{smaps}");
    }
}

#[test]
fn what_is_placed_is_dropped_once_wherever_it_lives() {
    struct Counted<'a>(&'a AtomicU64, [u64; 9]);
    impl Drop for Counted<'_> {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let drops = AtomicU64::new(0);
    let class = class(128, 1);
    let placed = Placed::new(Counted(&drops, [7; 9]), class.take(128));
    assert!(placed.place.is_some());
    let without = Placed::new(Counted(&drops, [8; 9]), class.take(128));
    assert!(without.place.is_none());
    assert_eq!((placed.1, without.1), ([7; 9], [8; 9]));
    drop(placed);
    drop(without);
    assert_eq!(drops.load(Ordering::Relaxed), 2);
    assert_eq!(*class.take(128).unwrap(), [0; 128]);
}
