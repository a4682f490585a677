//! Ten thousand changes to a trail's files: each is found, and named as closely as
//! can be proved. Ten thousand checks of untouched trails: none is found.
//!
//! What `AUDIT.md` says is not detected is left out, and nothing else: the removal
//! of entries that no checkpoint covers, the removal of partial forms, a pruned
//! bundle that comes back as it was, and the whole directory put back to an earlier
//! state. An older checkpoint alone looks like what a crash leaves: verification
//! reports the entries after it as not covered, and opening records it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::fixture::{
    Hand, Memory, actor, block_on, entry, exchange, open, record_exchanges, timestamp,
};
use crate::audit::tiles::{entries, push_entry};
use crate::audit::tree::TILE_WIDTH;
use crate::audit::{
    Act, Administrative, AuditTrail, TrailFault, TrailFile, TrailFinding, VerifyError,
    read_records, verify_trail,
};

const NOON: u64 = 1_699_963_200_000;

/// Numbers that look random and are the same in every run (Marsaglia's xorshift64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Less than `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        (self.roll() % end as u64) as usize
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

type Files = BTreeMap<TrailFile, Vec<u8>>;

/// A trail at rest, and the same at an earlier time.
struct Base {
    key: String,
    files: Files,
    earlier: Files,
    /// How many of its entries its checkpoint covers.
    covered: u64,
}

fn use_often(trail: &AuditTrail, count: u64) {
    for n in 0..count {
        trail.begin(exchange(n as u8)).record(entry("backend"));
    }
    let mut ledger = trail.begin(exchange(0));
    ledger.record(entry("last"));
    block_on(ledger.barrier()).unwrap();
}

fn act(trail: &AuditTrail) {
    let act = Administrative::new(Act::GrantsLoaded, "uid 0", Some("because")).vault(3, [1; 32]);
    trail.append_administrative(act).unwrap();
}

/// Closed twice: after the first part, and after both.
fn closed(first: u64, second: u64) -> Base {
    let (memory, hand) = (Memory::default(), Hand::at(NOON));
    let trail = hand.open(memory.clone());
    use_often(&trail, first);
    drop(trail);
    let earlier = memory.files();
    let trail = hand.open(memory.clone());
    act(&trail);
    use_often(&trail, second);
    let key = trail.verifier_key();
    drop(trail);
    base(key, memory.files(), earlier)
}

fn base(key: String, files: Files, earlier: Files) -> Base {
    let directory = tempfile::tempdir().unwrap();
    let dir = laid_out(&files, directory.path());
    let covered = verify_trail(dir, &key).unwrap().size;
    Base {
        key,
        files,
        earlier,
        covered,
    }
}

/// Pruned: its first bundle is gone.
fn pruned() -> Base {
    let (memory, hand) = (Memory::default(), Hand::at(NOON));
    let trail = hand.open(memory.clone());
    use_often(&trail, 300);
    hand.set(NOON + 10_000);
    use_often(&trail, 20);
    act(&trail);
    let earlier = memory.files();
    trail.prune(timestamp(NOON + 1), &actor()).unwrap().unwrap();
    let key = trail.verifier_key();
    drop(trail);
    base(key, memory.files(), earlier)
}

fn laid_out<'a>(files: &Files, directory: &'a Path) -> &'a Path {
    for (file, bytes) in files {
        write(directory, *file, Some(bytes));
    }
    directory
}

fn write(directory: &Path, file: TrailFile, bytes: Option<&Vec<u8>>) {
    let path = directory.join(file.path());
    match bytes {
        Some(bytes) => {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        None => std::fs::remove_file(path).unwrap_or(()),
    }
}

/// What a change was: the files that it touched, and the one entry if it stayed
/// within one.
struct Change {
    what: &'static str,
    entry: Option<u64>,
}

/// Makes one random change.
fn change(base: &Base, dice: &mut Dice) -> (Files, Change) {
    let mut files = base.files.clone();
    let names: Vec<_> = files.keys().copied().collect();
    let file = *dice.pick(&names);
    let bytes = files.get_mut(&file).unwrap();
    let mut entry = None;
    let what = match dice.below(12) {
        0..3 => {
            let at = dice.below(bytes.len());
            bytes[at] ^= 1 << dice.below(8);
            entry = entry_at(file, &base.files[&file], at);
            "a bit"
        }
        3 => {
            let at = dice.below(bytes.len());
            bytes[at] = dice.roll() as u8;
            entry = entry_at(file, &base.files[&file], at);
            "a byte"
        }
        4 => {
            let at = dice.below(bytes.len());
            let length = (1 + dice.below(100)).min(bytes.len() - at);
            bytes[at..at + length].fill_with(|| dice.roll() as u8);
            "some bytes"
        }
        5 => {
            bytes.truncate(dice.below(bytes.len()));
            "truncated"
        }
        6 => {
            let length = 1 + dice.below(400);
            bytes.extend((0..length).map(|_| dice.roll() as u8));
            "longer"
        }
        7 => {
            if !is_partial(file) {
                files.remove(&file);
            }
            "removed"
        }
        8 => {
            let other = match dice.below(3) {
                0 => *dice.pick(&names),
                1 => TrailFile::Bundle {
                    index: dice.below(6) as u64,
                },
                _ => TrailFile::Tile {
                    level: dice.below(2) as u8,
                    index: dice.below(6) as u64,
                },
            };
            let copy = bytes.clone();
            files.insert(other, copy);
            "copied"
        }
        9 => {
            let other = *dice.pick(&names);
            let (one, two) = (files[&file].clone(), files[&other].clone());
            files.insert(file, two);
            files.insert(other, one);
            "swapped"
        }
        10 => {
            let old: Vec<_> = base.earlier.keys().copied().collect();
            let file = *dice.pick(&old);
            if matches!(file, TrailFile::Bundle { .. }) && !files.contains_key(&file) {
                // Pruned: that it comes back as it was is no change of the trail.
                return change(base, dice);
            }
            files.insert(file, base.earlier[&file].clone());
            "an older file"
        }
        _ => change_entries(file, bytes, dice),
    };
    (files, Change { what, entry })
}

fn is_partial(file: TrailFile) -> bool {
    matches!(
        file,
        TrailFile::PartialTile { .. } | TrailFile::PartialBundle { .. }
    )
}

/// Swaps, removes, repeats or inserts entries, where a file has any.
fn change_entries(file: TrailFile, bytes: &mut Vec<u8>, dice: &mut Dice) -> &'static str {
    if !matches!(
        file,
        TrailFile::Bundle { .. } | TrailFile::Tail { .. } | TrailFile::PartialBundle { .. }
    ) {
        return "nothing";
    }
    let mut all: Vec<_> = entries(bytes).map(<[u8]>::to_vec).collect();
    let (a, b) = (dice.below(all.len()), dice.below(all.len()));
    let what = match dice.below(4) {
        0 => {
            all.swap(a, b);
            "entries swapped"
        }
        1 => {
            all.remove(a);
            "an entry removed"
        }
        2 => {
            all[b] = all[a].clone();
            "an entry repeated in place of another"
        }
        _ => {
            let copy = all[a].clone();
            all.insert(b, copy);
            "an entry inserted"
        }
    };
    bytes.clear();
    all.iter().for_each(|entry| push_entry(bytes, entry));
    what
}

/// The number of the entry, without the two bytes of its length, in which a byte
/// lies.
fn entry_at(file: TrailFile, bytes: &[u8], at: usize) -> Option<u64> {
    let (TrailFile::Bundle { index } | TrailFile::Tail { index }) = file else {
        return None;
    };
    let mut start = 0;
    for (entry, number) in entries(bytes).zip(index * TILE_WIDTH..) {
        if (start + 2..start + 2 + entry.len()).contains(&at) {
            return Some(number);
        }
        start += 2 + entry.len();
    }
    None
}

/// What verification and, if that finds nothing, opening say.
enum Found {
    Findings(Vec<TrailFinding>),
    /// Opening refused it, or recorded that it was not as it was left.
    AtOpening,
    Nothing,
}

fn look(directory: &Path, base: &Base) -> Found {
    match verify_trail(directory, &base.key) {
        Err(VerifyError::Findings { findings, .. }) => return Found::Findings(findings),
        Err(error) => panic!("{error}"),
        Ok(_) => {}
    }
    let Ok(trail) = open(directory) else {
        return Found::AtOpening;
    };
    drop(trail);
    let recovered = read_records(directory).map(Result::unwrap).any(|record| {
        record["entry"].as_u64() >= Some(base.covered) && record["act"] == "recovered"
    });
    if recovered {
        Found::AtOpening
    } else {
        Found::Nothing
    }
}

/// Changes a base so many times. Returns how often verification found it, and how
/// often only opening did.
fn mutate(base: &Base, times: usize, seed: u64) -> (usize, usize) {
    let mut dice = Dice(seed);
    let directory = tempfile::tempdir().unwrap();
    let directory = laid_out(&base.files, directory.path()).to_owned();
    let (mut verified, mut opened) = (0, 0);
    while verified + opened < times {
        let (files, change) = change(base, &mut dice);
        let names: BTreeSet<_> = files.keys().chain(base.files.keys()).copied().collect();
        let touched: Vec<TrailFile> = names
            .into_iter()
            .filter(|file| files.get(file) != base.files.get(file))
            .collect();
        if touched.is_empty() || files == base.earlier {
            continue;
        }
        std::fs::create_dir_all(&directory).unwrap();
        for file in &touched {
            write(&directory, *file, files.get(file));
        }
        let what = format!(
            "{} in {touched:?}, seed {seed}, number {}",
            change.what,
            verified + opened
        );
        match look(&directory, base) {
            Found::Nothing => panic!("not found: {what}"),
            Found::AtOpening => {
                opened += 1;
                // Opening wrote to it.
                std::fs::remove_dir_all(&directory).unwrap();
                laid_out(&base.files, &directory);
                continue;
            }
            Found::Findings(findings) => {
                verified += 1;
                assert!(named(&findings, &touched), "{what}: {findings:?}");
                if let Some(entry) = change.entry {
                    let first = findings.iter().filter_map(|finding| finding.entry).min();
                    assert_eq!(first, Some(entry), "{what}: {findings:?}");
                }
            }
        }
        for file in &touched {
            write(&directory, *file, base.files.get(file));
        }
    }
    std::fs::remove_dir_all(&directory).unwrap();
    (verified, opened)
}

/// Whether one of the findings is about one of the files, as what it is.
fn named(findings: &[TrailFinding], touched: &[TrailFile]) -> bool {
    let place = |file: &TrailFile| match *file {
        // The same bundle, under the name that it has or should have.
        TrailFile::Tail { index } | TrailFile::Bundle { index } => TrailFile::Bundle { index },
        other => other,
    };
    let is_touched = |file: &TrailFile| touched.iter().any(|other| place(other) == place(file));
    // An older checkpoint shows in the entries that it doesn't cover.
    let of_entries = [TrailFault::AddedAfterClose, TrailFault::FileMissing];
    let replayed = |finding: &TrailFinding| {
        touched == [TrailFile::Checkpoint] && of_entries.contains(&finding.fault)
    };
    let mut findings = findings.iter();
    findings.any(|finding| is_touched(&finding.file) || replayed(finding))
}

#[test]
fn ten_thousand_changes_are_all_found_and_named() {
    let bases = [closed(20, 18), closed(270, 3), pruned(), closed(240, 14)];
    let share = [7_000, 1_000, 1_000, 1_000];
    let found = std::thread::scope(|scope| {
        let runs: Vec<_> = (bases.iter().zip(share).zip(1..))
            .map(|((base, times), seed)| scope.spawn(move || mutate(base, times, seed * 0x9e37)))
            .collect();
        runs.into_iter()
            .map(|run| {
                run.join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .fold((0, 0), |sum, (a, b)| (sum.0 + a, sum.1 + b))
    });
    assert_eq!(found.0 + found.1, 10_000);
    // Only an older checkpoint put back passes as what a crash leaves.
    assert!(found.0 > 9_500, "{found:?}");
}

#[test]
fn ten_thousand_untouched_checks_find_nothing() {
    let bases = [closed(3, 2), pruned()];
    std::thread::scope(|scope| {
        for (base, times) in bases.iter().zip([9_900, 100]) {
            scope.spawn(move || {
                let directory = tempfile::tempdir().unwrap();
                let directory = laid_out(&base.files, directory.path());
                for _ in 0..times {
                    let report = verify_trail(directory, &base.key).unwrap();
                    assert_eq!((report.size, report.uncovered), (base.covered, 0));
                }
            });
        }
    });
    // Trails that are used between the checks.
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..20 {
        let trail = open(directory.path()).unwrap();
        record_exchanges(&trail, 3);
        let key = trail.verifier_key();
        verify_trail(directory.path(), &key).unwrap();
        drop(trail);
        verify_trail(directory.path(), &key).unwrap();
    }
}
