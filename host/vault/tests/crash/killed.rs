//! A process that is killed while it writes, on the real file system.
//!
//! The child is this test's own executable. It takes random steps and reports each
//! on a pipe, before it begins and once it is done. The parent kills it
//! (`SIGKILL`) somewhere in or after a step that it has chosen before, opens what
//! is left, and holds it against what was reported.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use fastrand::Rng;
use keyward_vault::disk::FileSystem;
use keyward_vault::*;
use serde::{Deserialize, Serialize};

use crate::steps::{API, KEYS, MAC, Outcome, PRUNED, Place, Promise, Shown, Step, perform, shown};
use crate::verdict::{Trail, Wrong, check_complete, check_usable, open, records, verify};

const DIRECTORY: &str = "KEYWARD_CRASH_DIRECTORY";
const SEED: &str = "KEYWARD_CRASH_SEED";
const BUFFERED: &str = "KEYWARD_CRASH_BUFFERED";
/// What a line of the child's starts with; the test harness writes others.
const MARK: &str = "keyward-crash ";

/// Written while a child is made, read while a vault is opened and closed: between
/// `fork` and `exec` a child has a copy of every descriptor of this process, and
/// with it the locks of vaults that other tests are about to open again.
static FORKING: RwLock<()> = RwLock::new(());

fn nobody_forks() -> RwLockReadGuard<'static, ()> {
    FORKING.read().unwrap_or_else(PoisonError::into_inner)
}

/// A line from the child.
#[derive(Debug, Serialize, Deserialize)]
enum Report {
    /// A step begins: its number, and the parts of the contents it may change.
    Begun(u64, Vec<String>),
    /// It is done.
    Done(u64, Vec<Promise>, Shown),
}

/// The reports of one child in their order. One that is lost would make what is
/// found look like a loss of the vault's.
#[derive(Default)]
struct Reports {
    begun: u64,
    done: u64,
    /// The kill has cut one, which is the last.
    cut: bool,
}

impl Reports {
    /// What a line says; `None` if it is no report, or one that the kill has cut.
    fn next(&mut self, line: &str) -> Result<Option<Report>, Wrong> {
        let Some(at) = line.find(MARK) else {
            return Ok(None);
        };
        if self.cut {
            return Err(Wrong(format!("a report after one that was cut: {line}")));
        }
        let Ok(report) = serde_json::from_str(&line[at + MARK.len()..]) else {
            self.cut = true;
            return Ok(None);
        };
        let (number, expected) = match &report {
            Report::Begun(number, _) => {
                self.begun += 1;
                (*number, self.done)
            }
            Report::Done(number, ..) => {
                self.done += 1;
                (*number, self.begun - self.begun.min(1))
            }
        };
        match number == expected {
            true => Ok(Some(report)),
            false => Err(Wrong(format!("step {number} was reported, not {expected}"))),
        }
    }
}

/// Every part that contents can have.
const PARTS: [&str; 13] = [
    "secret mac",
    "secret api",
    "secret spare",
    "secret keys",
    "secret fed",
    "secret held",
    "clients keys",
    "value Greeting",
    "value Key",
    "revoked",
    "slots",
    "keys",
    PRUNED,
];

#[test]
#[ignore = "the process that the other tests kill"]
fn child() {
    let variable = |name| std::env::var(name).unwrap();
    let directory = PathBuf::from(variable(DIRECTORY));
    let mut random = Rng::with_seed(variable(SEED).parse().unwrap());
    let durability = match variable(BUFFERED).as_str() {
        "true" => Durability::Buffered,
        _ => Durability::Strict,
    };
    let place = place_in(&directory);
    let open = || place.open(durability).unwrap();
    let mut vault = Some(open());
    let first = [
        Step::Add(MAC),
        Step::Add(API),
        Step::Add(KEYS),
        Step::Grants,
    ];
    for number in 0.. {
        let step = match usize::try_from(number).ok().and_then(|at| first.get(at)) {
            Some(step) => *step,
            None => Step::random(&mut random),
        };
        let parts = PARTS.iter().filter(|part| step.touches(part));
        report(&Report::Begun(
            number,
            parts.map(ToString::to_string).collect(),
        ));
        let mut promises = Vec::new();
        if step == Step::Reopen {
            vault = None;
            promises.push(Promise::act("opened"));
        }
        let vault = vault.get_or_insert_with(open);
        if let Outcome::Done(more) = perform(vault, &place, step).unwrap() {
            promises.extend(more);
        }
        report(&Report::Done(number, promises, shown(vault)));
    }
}

fn place_in(directory: &Path) -> Place {
    Place::new(Arc::new(FileSystem), directory)
}

/// One line, in one write.
fn report(report: &Report) {
    let line = format!("\n{MARK}{}\n", serde_json::to_string(report).unwrap());
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).unwrap();
    out.flush().unwrap();
}

/// A vault that survives one child after the other.
struct Ordeal {
    directory: tempfile::TempDir,
    verifier_key: String,
    buffered: bool,
    /// What the children have reported done.
    promises: Vec<Promise>,
    /// How many of these may be gone from the trail, if it is pruned.
    pruned_before: usize,
    /// The contents after the last step that is known to have been done.
    last: Shown,
}

/// What came of one child.
#[derive(Debug, Default)]
pub(crate) struct Kills {
    pub(crate) kills: u64,
    /// Of these, how many came in the middle of a step.
    pub(crate) within: u64,
    /// Steps that were reported done.
    pub(crate) done: u64,
    /// Trails that were found with entries that no checkpoint covered.
    pub(crate) uncovered: u64,
    /// Steps that were done, and not reported.
    pub(crate) unreported: u64,
}

impl Ordeal {
    fn new(buffered: bool) -> Self {
        let _whole = nobody_forks();
        let directory = tempfile::tempdir().unwrap();
        let place = place_in(directory.path());
        let created = Vault::create(&place.files).unwrap();
        let last = shown(&place.open(Durability::Strict).unwrap());
        Self {
            directory,
            verifier_key: created.verifier_key,
            buffered,
            promises: vec![Promise::act("vault-created")],
            pruned_before: 0,
            last,
        }
    }

    fn spawn(&self, random: &mut Rng) -> Child {
        let executable = std::env::current_exe().unwrap();
        // `spawn` returns once the child has its own image.
        let _alone = FORKING.write().unwrap_or_else(PoisonError::into_inner);
        Command::new(executable)
            .args(["--ignored", "--exact", "killed::child", "--nocapture"])
            .env(DIRECTORY, self.directory.path())
            .env(SEED, random.u64(..).to_string())
            .env(BUFFERED, self.buffered.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Runs a child, kills it, and judges what is left.
    fn round(&mut self, random: &mut Rng, kills: &mut Kills) -> Result<(), Wrong> {
        let mut child = self.spawn(random);
        let begun = self.follow(&mut child, random, kills);
        // Where a report was wrong, it is still alive.
        child.kill().unwrap();
        child.wait().unwrap();
        let begun = begun?;
        kills.kills += 1;
        self.judge(&begun, kills)
    }

    /// Reads what a child reports, and kills it. Returns the parts that the step may
    /// have changed in which it died.
    fn follow(
        &mut self,
        child: &mut Child,
        random: &mut Rng,
        kills: &mut Kills,
    ) -> Result<Vec<String>, Wrong> {
        // The first steps build the vault; after them, any.
        let fatal = random.u64(..12);
        let delay = Duration::from_micros(random.u64(..3000));
        let mut begun = Vec::new();
        let mut killed = false;
        let mut reports = Reports::default();
        // After the kill, what it had written to the pipe is still read.
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.map_err(|error| Wrong(format!("no report can be read: {error}")))?;
            match reports.next(&line)? {
                None => {}
                Some(Report::Begun(number, parts)) => {
                    begun = parts;
                    if begun.iter().any(|part| part == PRUNED) {
                        self.pruned_before = self.promises.len();
                    }
                    if number == fatal && !killed {
                        std::thread::sleep(delay);
                        child.kill().unwrap();
                        killed = true;
                    }
                }
                Some(Report::Done(_, promises, shown)) => {
                    kills.done += 1;
                    self.promises.extend(promises);
                    self.last = shown;
                    begun.clear();
                }
            }
        }
        match killed {
            true => Ok(begun),
            false => Err(Wrong("the child ended by itself".to_owned())),
        }
    }

    fn judge(&mut self, begun: &[String], kills: &mut Kills) -> Result<(), Wrong> {
        let _whole = nobody_forks();
        let place = place_in(self.directory.path());
        let audit = &place.files.audit;
        let found = verify(audit, &self.verifier_key)?;
        kills.uncovered += u64::from(found.uncovered > 0);
        let (shown, vault) = open(&place)?;
        let changed = shown != self.last;
        kills.within += u64::from(!begun.is_empty());
        kills.unreported += u64::from(changed);
        let untouched = |of: &Shown| {
            let mut of = of.clone();
            of.retain(|part, _| !begun.contains(part) && part != "secret afterwards");
            of
        };
        if untouched(&shown) != untouched(&self.last) {
            let last = &self.last;
            return Err(Wrong(format!(
                "other contents than were reported, but for {begun:?}:\n{shown:?}\n{last:?}"
            )));
        }
        check_usable(&vault)?;
        self.last = crate::steps::shown(&vault);
        drop(vault);
        let trail = Trail {
            covered: found.size,
            records: check_complete(audit, &self.verifier_key)?,
        };
        let from = match trail.is_pruned() {
            true => self.pruned_before,
            false => 0,
        };
        trail.check_promises(self.promises.iter().skip(from))
    }
}

/// Kills so many children; each vault lives through at most so many.
pub(crate) fn kill(
    rounds: u64,
    each: u64,
    buffered: bool,
    random: &mut Rng,
    mut progress: impl FnMut(&Kills),
) -> Result<Kills, Wrong> {
    let mut kills = Kills::default();
    let mut ordeal = Ordeal::new(buffered);
    for round in 0..rounds {
        if round % each == 0 {
            ordeal = Ordeal::new(buffered);
        }
        ordeal.round(random, &mut kills).map_err(|Wrong(what)| {
            let kept = std::mem::replace(&mut ordeal, Ordeal::new(buffered));
            let kept = kept.directory.keep();
            Wrong(format!("round {round}, kept in {}: {what}", kept.display()))
        })?;
        progress(&kills);
    }
    Ok(kills)
}

fn assert_survives(rounds: u64, buffered: bool, seed: u64) {
    let mut random = Rng::with_seed(seed);
    let kills = kill(rounds, 10, buffered, &mut random, |_| {});
    let kills = kills.unwrap_or_else(|wrong| panic!("{wrong}"));
    assert_eq!(kills.kills, rounds);
    // The kills came where they hurt.
    assert!(
        kills.within > rounds / 4 && kills.done > rounds,
        "{kills:?}"
    );
    assert!(kills.uncovered > 0, "{kills:?}");
}

#[test]
fn two_hundred_killed_processes_lose_nothing_that_was_reported_done() {
    assert_survives(200, false, 1);
}

/// A buffered trail is synced late, but written before a barrier opens: a process
/// that is killed loses none of it.
#[test]
fn killed_processes_lose_nothing_of_a_buffered_trail() {
    assert_survives(50, true, 2);
}

#[test]
fn a_report_that_is_lost_is_not_blamed_on_the_vault() {
    let lines = |steps: &[&str]| {
        let mut reports = Reports::default();
        let read = |line: &&str| reports.next(line).map(|report| report.is_some());
        steps.iter().map(read).collect::<Result<Vec<_>, _>>()
    };
    let begun = |number: u64| format!("{MARK}{{\"Begun\":[{number},[]]}}");
    let done = |number: u64| format!("{MARK}{{\"Done\":[{number},[],{{}}]}}");
    let (begun_0, done_0, begun_1, done_1) = (begun(0), done(0), begun(1), done(1));
    let cut = &done_1[..done_1.len() - 4];
    let whole = lines(&["running 1 test", &begun_0, &done_0, &begun_1, cut]).unwrap();
    assert_eq!(whole, [false, true, true, true, false]);
    assert!(lines(&[&begun_0, &begun_1]).is_err());
    assert!(lines(&[&begun_0, &done_0, &done_1]).is_err());
    assert!(lines(&[&begun_0, &done_0, &begun_1, cut, &done_1]).is_err());
    // What the harness writes before a report on its line is no part of it.
    let behind = format!("test killed::child ... {begun_0}");
    assert_eq!(lines(&[&behind, &done_0]).unwrap(), [true, true]);
}

/// What a kill may leave of a step is what the step is said to touch: of client
/// keys that are added, the secret and its clients.
#[test]
fn a_step_changes_no_other_part_than_those_it_touches() {
    let directory = tempfile::tempdir().unwrap();
    let place = place_in(directory.path());
    let vault = {
        let _whole = nobody_forks();
        Vault::create(&place.files).unwrap();
        place.open(Durability::Buffered).unwrap()
    };
    let mut random = Rng::with_seed(5);
    let first = [
        Step::Add(MAC),
        Step::Add(API),
        Step::Add(KEYS),
        Step::Grants,
    ];
    let more = std::iter::repeat_with(|| Step::random(&mut random));
    let mut changes = 0;
    for step in first.into_iter().chain(more.take(300)) {
        let before = shown(&vault);
        perform(&vault, &place, step).unwrap();
        let after = shown(&vault);
        for part in before.keys().chain(after.keys()) {
            let changed = before.get(part) != after.get(part);
            changes += u32::from(changed);
            assert!(
                !changed || (PARTS.contains(&&**part) && step.touches(part)),
                "{step:?} changes {part}"
            );
        }
    }
    assert!(changes > 100, "{changes}");
}

/// The control: records that are promised and not there are missed.
#[test]
fn control_a_lost_record_is_missed() {
    let mut ordeal = Ordeal::new(false);
    let (mut random, mut kills) = (Rng::with_seed(3), Kills::default());
    ordeal.round(&mut random, &mut kills).unwrap();
    let lost = Promise::Uses(new_exchange_id().to_string(), 1);
    let trail = Trail {
        covered: u64::MAX,
        records: records(&place_in(ordeal.directory.path()).files.audit).unwrap(),
    };
    trail.check_promises(ordeal.promises.iter()).unwrap();
    assert!(trail.check_promises([lost].iter()).is_err());
    ordeal
        .last
        .insert("secret api".to_owned(), "other".to_owned());
    assert!(ordeal.judge(&[], &mut kills).is_err());
}
