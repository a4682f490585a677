//! The loss of power while a vault comes to be: created, restored from a backup, or
//! taken back to an earlier state. Until that is reported done, doing it again has
//! to work; from then on, the vault opens.

use std::path::{Path, PathBuf};

use fastrand::Rng;
use keyward_vault::*;

use crate::recorder::{Event, Image, Recorder};
use crate::states::Point;
use crate::steps::{API, MAC, Place, Shown, Step, actor, shown};
use crate::verdict::{check_usable, open};
use crate::workload::{HOME, Workload};

/// Crashes at every point of an act that is recorded on a disk, and lets `after`
/// judge what is left; it is told whether the act was reported done.
fn crash_everywhere(
    start: &Image,
    act: impl FnOnce(&Place),
    after: impl Fn(&Place, bool) -> Result<(), String>,
) {
    let recorder = Recorder::new(start);
    act(&Place::new(recorder.disk(), Path::new(HOME)));
    recorder.mark(Event::Done(0));
    let log = recorder.log();
    let (mut point, mut random) = (Point::start(start), Rng::with_seed(8));
    let (mut done, mut states) = (false, 0);
    for next in log.iter().map(Some).chain([None]) {
        for image in point.crashes(48, &mut random) {
            states += 1;
            let left = Recorder::new(&image);
            let verdict = after(&Place::new(left.disk(), Path::new(HOME)), done);
            let names: Vec<_> = image.0.keys().collect();
            verdict.unwrap_or_else(|wrong| panic!("done: {done}; {wrong}\n{names:?}"));
        }
        let Some(event) = next else { break };
        done |= *event == Event::Done(0);
        point.apply(event);
    }
    assert!(states > 50, "{states}");
}

/// Opens a vault, and asks whether it is usable and holds what it should.
fn assert_opens(place: &Place, expected: Option<&Shown>) -> Result<(), String> {
    let (found, vault) = open(place).map_err(|wrong| wrong.to_string())?;
    if expected.is_some_and(|expected| contents(expected) != contents(&found)) {
        return Err(format!("other contents: {found:?}"));
    }
    check_usable(&vault).map_err(|wrong| wrong.to_string())
}

/// Without the slots and keys, which a restored vault has of its own.
fn contents(shown: &Shown) -> Shown {
    let mut shown = shown.clone();
    shown.retain(|part, _| part != "slots" && part != "keys");
    shown
}

fn empty() -> Image {
    Image([(PathBuf::from("v"), None)].into())
}

fn has_vault(place: &Place) -> bool {
    place.disk.look(&place.files.vault).unwrap().is_some()
}

/// What an operator does before the next try, if a key file is there already.
fn clear_key(place: &Place) {
    if place.disk.look(&place.files.key).unwrap().is_some() {
        place.disk.remove(&place.files.key).unwrap();
    }
}

/// A vault with secrets, closed, and what it holds.
fn sample() -> (Recorder, Shown) {
    let recorder = Recorder::new(&Image::default());
    let (mut workload, _) = Workload::create(&recorder, Durability::Strict);
    workload.run(&[Step::Add(MAC), Step::Add(API), Step::Rotate(API)]);
    workload.end();
    let last = workload.taken.pop().unwrap();
    (recorder, last.after.unwrap())
}

fn create(place: &Place) -> Result<Created, VaultError> {
    let key = NewKey::KeyFile(place.files.key.clone());
    Vault::create_on(&place.disk, &place.files, &key)
}

#[test]
fn a_vault_that_was_being_created_opens_or_can_be_created() {
    crash_everywhere(
        &empty(),
        |place| drop(create(place).unwrap()),
        |place, done| {
            if done || has_vault(place) {
                return assert_opens(place, None);
            }
            clear_key(place);
            create(place).map_err(|error| error.to_string())?;
            assert_opens(place, None)
        },
    );
}

fn restore(place: &Place, backup: &[u8], key: &[u8]) -> Result<Restored, VaultError> {
    let backup_key = place.files.key.with_extension("backup");
    if place.disk.look(&backup_key).unwrap().is_none() {
        let access = disk::Access::Create;
        let mut file = place.disk.open(&backup_key, access).unwrap();
        file.append(key).unwrap();
    }
    Vault::restore_on(
        &place.disk,
        &place.files,
        backup,
        KeySource::KeyFile(backup_key),
        NewKey::KeyFile(place.files.key.clone()),
        &actor(),
    )
}

/// A backup, its key file, and what the vault held.
fn backup() -> (Recorder, Vec<u8>, Vec<u8>, Shown) {
    let (recorder, expected) = sample();
    let place = Place::new(recorder.disk(), Path::new(HOME));
    let vault = place.open(Durability::Strict).unwrap();
    let path = place.files.key.with_extension("backup");
    let backup = vault.backup(NewKey::KeyFile(path), &actor()).unwrap();
    assert_eq!(shown(&vault), expected);
    drop(vault);
    let image = recorder.image();
    let key = image.0[Path::new("v/vault.backup")].clone().unwrap();
    (recorder, backup, key, expected)
}

#[test]
fn a_backup_that_was_being_restored_elsewhere_opens_or_can_be_restored() {
    let (_, backup, key, expected) = backup();
    crash_everywhere(
        &empty(),
        |place| drop(restore(place, &backup, &key).unwrap()),
        |place, done| {
            if !done && !has_vault(place) {
                clear_key(place);
                let backup_key = place.files.key.with_extension("backup");
                place.disk.remove(&backup_key).ok();
                restore(place, &backup, &key).map_err(|error| error.to_string())?;
            }
            assert_opens(place, Some(&expected))
        },
    );
}

#[test]
fn a_backup_that_was_being_restored_beside_its_trail_opens_or_can_be_restored() {
    let (recorder, backup, key, expected) = backup();
    let mut lost = recorder.image();
    for name in ["v/vault.keyward", "v/vault.key"] {
        lost.0.remove(Path::new(name));
    }
    crash_everywhere(
        &lost,
        |place| drop(restore(place, &backup, &key).unwrap()),
        |place, done| {
            if !done && !has_vault(place) {
                clear_key(place);
                restore(place, &backup, &key).map_err(|error| error.to_string())?;
            }
            assert_opens(place, Some(&expected))
        },
    );
}

#[test]
fn an_older_vault_that_was_being_accepted_opens_or_can_be_accepted() {
    let (recorder, expected) = sample();
    let path = Path::new("v/vault.keyward");
    let older = recorder.image().0[path].clone();
    let mut workload = Workload::on(&recorder, Durability::Strict);
    workload.run(&[Step::Rotate(API)]);
    workload.end();
    let mut rolled_back = recorder.image();
    rolled_back.0.insert(path.to_owned(), older);
    let accept = |place: &Place| {
        let key = KeySource::KeyFile(place.files.key.clone());
        Vault::accept_rollback_on(&place.disk, &place.files, key, &actor())
    };
    crash_everywhere(
        &rolled_back,
        |place| assert!(accept(place).unwrap().epoch > 0),
        |place, done| {
            let opened = place.open(Durability::Strict).map(drop);
            match opened {
                Err(VaultError::RolledBack { .. }) if !done => {
                    accept(place).map_err(|error| error.to_string())?;
                }
                // Never by itself: it takes the act.
                opened => opened.map_err(|error| error.to_string())?,
            }
            assert_opens(place, Some(&expected))
        },
    );
}
