//! Steps on a recorded disk: what was done, in marks of its log, and what was
//! promised.

use std::path::Path;

use keyward_vault::*;

use crate::recorder::{Event, Recorder};
use crate::steps::{Outcome, Place, Promise, Shown, Step, perform, shown};

/// Where the vault's files are on a recorded disk.
pub(crate) const HOME: &str = "/v";

/// One step that was taken.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) promises: Vec<Promise>,
    /// The vault's contents afterwards; `None` before there is a vault.
    pub(crate) after: Option<Shown>,
    /// Whether entries from before it may be gone from the trail since.
    pub(crate) prunes: bool,
}

/// A vault, a disk, and what was done so far.
pub(crate) struct Workload {
    recorder: Recorder,
    place: Place,
    durability: Durability,
    vault: Option<Vault>,
    pub(crate) taken: Vec<Taken>,
}

impl Workload {
    /// Creates a vault on a disk. Also gives its verifier key.
    pub(crate) fn create(recorder: &Recorder, durability: Durability) -> (Self, String) {
        let mut this = Self::on(recorder, durability);
        let Place { disk, files } = &this.place;
        disk.make_directory(Path::new(HOME)).unwrap();
        disk.sync_directory(Path::new("/")).unwrap();
        recorder.mark(Event::Begun(0));
        let key = NewKey::KeyFile(files.key.clone());
        let created = Vault::create_on(disk, files, &key).unwrap();
        recorder.mark(Event::Done(0));
        let vault_created = Promise::act("vault-created");
        // Looked at on another disk, so that the log says nothing of it.
        let elsewhere = Recorder::new(&recorder.image());
        let empty = Place::new(elsewhere.disk(), Path::new(HOME)).open(durability);
        this.taken.push(Taken {
            promises: vec![vault_created],
            after: Some(shown(&empty.unwrap())),
            prunes: false,
        });
        (this, created.verifier_key)
    }

    /// On a disk that has a vault.
    pub(crate) fn on(recorder: &Recorder, durability: Durability) -> Self {
        Self {
            recorder: recorder.clone(),
            place: Place::new(recorder.disk(), Path::new(HOME)),
            durability,
            vault: None,
            taken: Vec::new(),
        }
    }

    /// Takes steps, on a disk that works.
    pub(crate) fn run(&mut self, steps: &[Step]) {
        for step in steps {
            self.take(*step).unwrap();
        }
    }

    /// Takes steps until one fails, because the process is killed. The next process
    /// finds either what was before that step or what it would have come to; from
    /// then on it is as good as promised.
    pub(crate) fn run_until_killed(&mut self, steps: &[Step]) {
        let killed = steps.iter().any(|step| self.take(*step).is_err());
        self.end();
        self.recorder.revive();
        if killed {
            self.open().unwrap();
            let number = self.taken.len();
            self.taken.push(Taken {
                promises: Vec::new(),
                after: self.vault.as_ref().map(shown),
                prunes: false,
            });
            self.recorder.mark(Event::Done(number));
        }
    }

    /// Ends the process: in order, if it is alive.
    pub(crate) fn end(&mut self) {
        self.vault = None;
    }

    /// Opens the vault if it isn't, without its being a step.
    pub(crate) fn open(&mut self) -> Result<(), VaultError> {
        if self.vault.is_none() {
            self.vault = Some(self.place.open(self.durability)?);
        }
        Ok(())
    }

    /// Takes a step. Errors: the process was killed.
    fn take(&mut self, step: Step) -> Result<(), VaultError> {
        let number = self.taken.len();
        self.recorder.mark(Event::Begun(number));
        let mut promises = Vec::new();
        if step == Step::Reopen {
            self.end();
            promises.push(Promise::act("opened"));
        }
        self.open()?;
        let vault = self.vault.as_ref().unwrap();
        if let Outcome::Done(more) = perform(vault, &self.place, step)? {
            promises.extend(more);
        }
        if self.recorder.is_killed() {
            return Err(VaultError::ReadOnly);
        }
        let after = Some(shown(vault));
        self.recorder.mark(Event::Done(number));
        self.taken.push(Taken {
            promises,
            after,
            prunes: step == Step::Prune,
        });
        Ok(())
    }
}
