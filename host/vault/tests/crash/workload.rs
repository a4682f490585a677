//! What is done to a vault while its disk is recorded, and what was reported done.

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use keyward_names::{Alias, ComponentDigest, ExchangeId, PolicyName, SecretName};
use keyward_vault::disk::Disk;
use keyward_vault::*;

use crate::recorder::{Event, Recorder};

/// Where the vault's files are on a recorded disk.
pub(crate) const HOME: &str = "/v";

pub(crate) fn files_in(directory: &Path) -> VaultFiles {
    VaultFiles::in_directory(directory)
}

pub(crate) const MAC_NAME: &str = "mac";
const HMAC: Kind = Kind::HmacKey {
    algorithm: MacAlgorithm::Sha256,
    encoding: KeyEncoding::Hex,
};

/// With its key file.
pub(crate) fn opening(files: &VaultFiles, durability: Durability) -> Opening {
    let key = KeySource::KeyFile(files.key.clone());
    Opening { key, durability }
}

/// What a test does with a vault: one of these at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A secret of this name, with its first value.
    Add(&'static str),
    /// Its next value.
    Rotate(&'static str),
    /// The grants that [`exchange`](Self::Exchange) needs.
    Grants,
    /// An exchange that uses the MAC key so often, and waits for its barrier.
    Exchange(u8),
    /// So many exchanges that nobody waits for.
    Unwatched(u16),
    /// Close the vault and open it again.
    Reopen,
}

/// What was reported done, and has to be there from then on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    /// Such an act, of this secret and version.
    Act {
        act: &'static str,
        secret: Option<(String, u64)>,
    },
    /// So many uses in this exchange.
    Uses { exchange: ExchangeId, count: u64 },
}

/// One step that was taken.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) promises: Vec<Promise>,
    /// The vault's contents afterwards, as [`shown`].
    pub(crate) after: String,
}

/// All that is known of a vault's contents, but for the values.
pub(crate) fn shown(vault: &Vault) -> String {
    let mut text = String::new();
    for secret in vault.list() {
        text.push_str(&format!("{secret:?}\n"));
    }
    text
}

pub(crate) fn name(text: &str) -> SecretName {
    SecretName::parse(text).unwrap()
}

pub(crate) fn actor() -> Actor {
    Actor {
        name: "uid 1000".to_owned(),
        reason: None,
    }
}

/// The value that a version of a secret has: whoever knows the version knows it.
pub(crate) fn value_of(secret: &str, version: u64) -> String {
    let mut bytes = [0; 32];
    for (place, byte) in bytes.iter_mut().enumerate() {
        let letter = secret.as_bytes()[place % secret.len()];
        *byte = letter ^ (place as u8).wrapping_mul(37) ^ (version as u8).wrapping_mul(101);
    }
    data_encoding::HEXLOWER.encode(&bytes)
}

fn value(secret: &str, version: u64) -> Secret {
    Secret::read_from(value_of(secret, version).as_bytes(), 1 << 10).unwrap()
}

fn kind_of(secret: &str) -> Kind {
    match secret {
        MAC_NAME => HMAC,
        _ => Kind::ApiKey,
    }
}

/// Puts the grant in force with which policy `p` makes codes.
pub(crate) fn set_grants(vault: &Vault) -> Result<(), VaultError> {
    let text = format!(
        "[[grant]]\nid = \"g\"\npolicy = \"p\"\nsecret = \"{MAC_NAME}\"\nalias = \"k\"\n\
         use = \"mac-sign\"\n"
    );
    vault.set_grants(Grants::parse("grants.toml", &text).unwrap(), &actor())
}

/// Makes a code with the key in use.
pub(crate) fn sign(vault: &Vault, ledger: &mut Ledger) -> Option<Mac> {
    let policy = PolicyIdentity {
        name: PolicyName::parse("p").unwrap(),
        component: ComponentDigest::from_bytes([1; 32]),
        asks: vec![Ask {
            alias: Alias::parse("k").unwrap(),
            use_: Use::MacSign,
        }],
    };
    let permit = vault.permit::<uses::MacSign>(&policy, "k", ledger).ok()?;
    permit.sign(b"message").ok()
}

/// A vault, a disk, and what was done so far.
pub(crate) struct Workload {
    recorder: Recorder,
    files: VaultFiles,
    durability: Durability,
    vault: Option<Vault>,
    pub(crate) taken: Vec<Taken>,
}

impl Workload {
    /// Creates a vault on a disk.
    pub(crate) fn create(recorder: &Recorder, durability: Durability) -> (Self, String) {
        let files = files_in(Path::new(HOME));
        let disk = recorder.disk();
        disk.make_directory(Path::new(HOME)).unwrap();
        disk.sync_directory(Path::new("/")).unwrap();
        recorder.mark(Event::Begun(0));
        let created = Vault::create_on(&disk, &files, &NewKey::KeyFile(files.key.clone())).unwrap();
        recorder.mark(Event::Done(0));
        let mut this = Self::on(recorder, durability);
        this.taken.push(Taken {
            promises: vec![act("vault-created")],
            after: String::new(),
        });
        (this, created.verifier_key)
    }

    /// On a disk that has a vault.
    pub(crate) fn on(recorder: &Recorder, durability: Durability) -> Self {
        Self {
            recorder: recorder.clone(),
            files: files_in(Path::new(HOME)),
            durability,
            vault: None,
            taken: Vec::new(),
        }
    }

    /// Takes steps, each of which has to succeed.
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
                after: self.vault.as_ref().map(shown).unwrap(),
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
            let disk: Arc<dyn Disk> = self.recorder.disk();
            self.vault = Some(Vault::open_on(
                &disk,
                &self.files,
                opening(&self.files, self.durability),
            )?);
        }
        Ok(())
    }

    /// Takes a step. Errors: the process was killed.
    fn take(&mut self, step: Step) -> Result<(), VaultError> {
        let number = self.taken.len();
        self.recorder.mark(Event::Begun(number));
        let promises = self.perform(step)?;
        if self.recorder.is_killed() {
            return Err(VaultError::ReadOnly);
        }
        self.recorder.mark(Event::Done(number));
        let after = self.vault.as_ref().map(shown).unwrap();
        self.taken.push(Taken { promises, after });
        Ok(())
    }

    fn perform(&mut self, step: Step) -> Result<Vec<Promise>, VaultError> {
        if step == Step::Reopen {
            self.vault = None;
        }
        self.open()?;
        let vault = self.vault.as_ref().unwrap();
        let of = |act, info: &SecretInfo| Promise::Act {
            act,
            secret: Some((info.name.as_str().to_owned(), info.version)),
        };
        Ok(match step {
            Step::Reopen => vec![act("opened")],
            Step::Grants => {
                set_grants(vault)?;
                vec![act("grants-loaded")]
            }
            Step::Add(secret) => {
                let first = value(secret, 1);
                let info = vault.add(&name(secret), kind_of(secret), first, &actor())?;
                vec![of("secret-added", &info)]
            }
            Step::Rotate(secret) => {
                let version = version_of(vault, secret) + 1;
                let info = vault.rotate(&name(secret), value(secret, version), &actor())?;
                vec![of("secret-rotated", &info)]
            }
            Step::Exchange(count) => {
                let exchange = new_exchange_id();
                let mut ledger = vault.begin(exchange);
                for _ in 0..count {
                    sign(vault, &mut ledger);
                }
                block_on(ledger.barrier())?;
                let count = u64::from(count);
                vec![Promise::Uses { exchange, count }]
            }
            Step::Unwatched(count) => {
                for _ in 0..count {
                    sign(vault, &mut vault.begin(new_exchange_id()));
                }
                Vec::new()
            }
        })
    }
}

fn act(act: &'static str) -> Promise {
    Promise::Act { act, secret: None }
}

fn version_of(vault: &Vault, secret: &str) -> u64 {
    let mut all = vault.list().into_iter();
    all.find(|info| info.name.as_str() == secret)
        .map_or(0, |info| info.version)
}

/// Runs a future on this thread.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}
