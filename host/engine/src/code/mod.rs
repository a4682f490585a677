//! The code of policies: made by the compiler, kept, and shared.
//!
//! Policies of one component that differ only in their settings run the same code: it
//! is compiled once and loaded once. What their settings changed in the memory that
//! instances start from is a module of its own for each of them.

pub(crate) mod cache;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use keyward_names::PolicyName;
use keyward_vault::{Vault, digest_component};
use wasmtime::Module;
use wasmtime::component::{Component, InstancePre};

use self::cache::CodeKey;
use crate::compile::{self, CompileFault, Refused, Task};
use crate::config::{CodeConfig, EngineConfig};
use crate::engine::{Engine, Tier};
use crate::error::{LoadError, PolicyStop};
use crate::image::{self, IMPORT};
use crate::limits::Limits;
use crate::profile::Profile;
use crate::state::CallState;
use crate::trusted;

/// What a digest names.
type Digest = [u8; 32];

/// What the policies of a profile share.
#[derive(Default)]
pub(crate) struct Codes {
    /// The code that policies run, as long as one of them is there.
    loaded: Mutex<HashMap<CodeKey, Place>>,
    /// What runs `configure`.
    configuring: OnceLock<wasmtime::Engine>,
    /// What was configured last: policies of one component are often loaded one after
    /// the other.
    instrumented: Mutex<Option<(CodeKey, Component)>>,
}

/// Whoever holds it makes the code, the others wait.
type Place = Arc<Mutex<Weak<Component>>>;

impl Codes {
    fn place(&self, key: CodeKey) -> Place {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.retain(|_, place| {
            let gone = || place.try_lock().is_ok_and(|code| code.strong_count() == 0);
            Arc::strong_count(place) > 1 || !gone()
        });
        Arc::clone(loaded.entry(key).or_default())
    }
}

/// Code and data of a policy, linked.
pub(crate) struct Linked {
    pub(crate) pre: InstancePre<CallState>,
    /// Keeps the code where others find it.
    pub(crate) code: Arc<Component>,
}

/// What is to be made ready to run.
pub(crate) struct Making<'a> {
    pub(crate) policy: &'a PolicyName,
    pub(crate) component: &'a [u8],
    /// The settings as JSON; none if the component takes none.
    pub(crate) configure: Option<&'a str>,
    pub(crate) limits: &'a Limits,
}

/// Which code a configured component runs, and the data of its own.
struct Own {
    common: Digest,
    data: Option<Vec<u8>>,
}

impl Own {
    /// As it is kept.
    fn to_entry(&self) -> Vec<u8> {
        [&self.common, self.data.as_deref().unwrap_or_default()].concat()
    }

    fn of_entry(entry: &[u8]) -> Option<Self> {
        let (common, data) = entry.split_first_chunk()?;
        Some(Own {
            common: *common,
            data: (!data.is_empty()).then(|| data.to_vec()),
        })
    }
}

impl Engine {
    /// Makes a component ready to run: with its settings read, compiled and linked, as
    /// far as that was not done before.
    pub(crate) fn linked(&self, tier: &Tier, making: &Making<'_>) -> Result<Linked, LoadError> {
        let work = Work {
            engine: &self.config,
            vault: &self.shared.vault,
            tier,
            code: self.config.code(tier.profile),
            making,
        };
        let (code, own) = match making.configure {
            None => {
                let digest = *digest_component(making.component).as_bytes();
                (work.code(digest, Some(making.component))?, None)
            }
            Some(settings) => work.configured(settings)?,
        };
        let code = code.ok_or_else(|| work.fault(CompileFault::Garbled))?;
        let unfit = |error| work.refusal(Refused::unfit(error));
        let pre = match own {
            None => tier.linker.instantiate_pre(&code),
            Some(own) => Module::new(&tier.wasmtime, own).and_then(|own| {
                let mut linker = tier.linker.clone();
                linker.root().module(IMPORT, &own)?;
                linker.instantiate_pre(&code)
            }),
        };
        Ok(Linked {
            pre: pre.map_err(unfit)?,
            code,
        })
    }
}

/// Making one policy ready.
struct Work<'a> {
    engine: &'a EngineConfig,
    vault: &'a Vault,
    tier: &'a Tier,
    code: CodeConfig,
    making: &'a Making<'a>,
}

type Found = (Option<Arc<Component>>, Option<Vec<u8>>);

impl Work<'_> {
    /// The code of a component whose settings are read, and the data of its own.
    fn configured(&self, settings: &str) -> Result<Found, LoadError> {
        let key = self.image_key(settings);
        let kept = self.kept(&key).and_then(|entry| Own::of_entry(&entry));
        if let Some(own) = kept
            && let Some(code) = self.code(own.common, None)?
        {
            return Ok((Some(code), own.data));
        }
        let instrumented = self.instrumented()?;
        let engine = self.configuring()?;
        let (limits, profile) = (self.making.limits, self.code.profile);
        let state = image::configured(&engine, &instrumented, settings, limits, profile)
            .map_err(|refused| self.refusal(refused))?;
        let job = compile::image_job(self.code, &state, self.making.component);
        let answer = self.ask(&job)?;
        let image = compile::image_in(&answer)
            .map_err(|fault| self.fault(fault))?
            .map_err(|refused| self.refusal(refused))?;
        let own = Own {
            common: *digest_component(&image.common).as_bytes(),
            data: image.own,
        };
        self.keep(&key, &own.to_entry());
        Ok((self.code(own.common, Some(&image.common))?, own.data))
    }

    /// The code of the component with that digest: what others run, what is kept, or
    /// what the compiler makes of `component`. None if it is nowhere and there is no
    /// component.
    fn code(
        &self,
        digest: Digest,
        component: Option<&[u8]>,
    ) -> Result<Option<Arc<Component>>, LoadError> {
        let key = cache::key(&self.tier.fingerprint, self.code, b"code", &digest);
        let place = self.tier.codes.place(key);
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(code) = place.upgrade() {
            return Ok(Some(code));
        }
        let loaded = |code: &[u8]| trusted::load(&self.tier.wasmtime, code);
        let kept = self.kept(&key).and_then(|code| loaded(&code).ok());
        let code = match (kept, component) {
            (Some(code), _) => code,
            (None, None) => return Ok(None),
            (None, Some(component)) => self.made(Task::Code, component, &key, loaded)?,
        };
        let code = Arc::new(code);
        *place = Arc::downgrade(&code);
        Ok(Some(code))
    }

    /// The component, ready for its `configure` to be run.
    fn instrumented(&self) -> Result<Component, LoadError> {
        let engine = self.configuring()?;
        let digest = digest_component(self.making.component);
        let fingerprint = cache::fingerprint(&engine);
        let key = cache::key(&fingerprint, self.code, b"configure", digest.as_bytes());
        let last = &self.tier.codes.instrumented;
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((there, component)) = &*last
            && *there == key
        {
            return Ok(component.clone());
        }
        let loaded = |code: &[u8]| trusted::load(&engine, code);
        let kept = self.kept(&key).and_then(|code| loaded(&code).ok());
        let component = match kept {
            Some(component) => component,
            None => self.made(Task::Instrument, self.making.component, &key, loaded)?,
        };
        *last = Some((key, component.clone()));
        Ok(component)
    }

    fn configuring(&self) -> Result<wasmtime::Engine, LoadError> {
        let place = &self.tier.codes.configuring;
        if let Some(engine) = place.get() {
            return Ok(engine.clone());
        }
        let engine = wasmtime::Engine::new(&self.code.configuring(false))
            .map_err(|error| self.refusal(Refused::unfit(error)))?;
        Ok(place.get_or_init(|| engine).clone())
    }

    /// What the compiler makes of a component, loaded, and kept if it can be.
    fn made(
        &self,
        task: Task<'_>,
        component: &[u8],
        key: &CodeKey,
        loaded: impl Fn(&[u8]) -> wasmtime::Result<Component>,
    ) -> Result<Component, LoadError> {
        let answer = self.ask(&compile::job(self.code, task, component))?;
        let code = compile::code_of(&answer)
            .map_err(|fault| self.fault(fault))?
            .map_err(|refused| self.refusal(refused))?;
        let component = loaded(code).map_err(|error| {
            // Compiled code that can't be loaded says why: its pool has no room for it.
            match wasmtime::Engine::detect_precompiled(code) {
                Some(_) => self.refusal(Refused::Unfit(match self.code.profile {
                    Profile::Large => format!("{error:#}"),
                    smaller => format!(
                        "the profile {smaller} has no room for it, `profile = \"large\"` may have: {error:#}"
                    ),
                })),
                None => self.fault(CompileFault::Garbled),
            }
        })?;
        self.keep(key, code);
        Ok(component)
    }

    fn ask(&self, job: &[u8]) -> Result<Vec<u8>, LoadError> {
        let answer = self.engine.compiler.compile(job);
        answer.map_err(|fault| self.fault(fault))
    }

    /// What settings are read from, all that the image depends on.
    fn image_key(&self, settings: &str) -> CodeKey {
        let (limits, profile) = (self.making.limits, self.code.profile);
        let what = [
            &u64::from(limits.cpu_milliseconds).to_be_bytes()[..],
            &bytes_of(limits.memory_in(profile)),
            &bytes_of(limits.elements_in(profile)),
            &bytes_of(settings.len()),
            settings.as_bytes(),
            self.making.component,
        ]
        .concat();
        cache::key(&self.tier.fingerprint, self.code, b"image", &what)
    }

    /// What is kept under that key, if the vault wrote it.
    fn kept(&self, key: &CodeKey) -> Option<Vec<u8>> {
        let mut entry = self.engine.cache.as_deref()?.get(key)?;
        let length = cache::open(self.vault, key, &entry)?.len();
        entry.truncate(length);
        Some(entry)
    }

    fn keep(&self, key: &CodeKey, what: &[u8]) {
        if let Some(cache) = self.engine.cache.as_deref()
            && let Some(entry) = cache::seal(self.vault, key, what)
        {
            cache.put(key, &entry);
        }
    }

    fn fault(&self, source: CompileFault) -> LoadError {
        LoadError::Compile {
            policy: self.making.policy.clone(),
            source,
        }
    }

    fn refusal(&self, refused: Refused) -> LoadError {
        let policy = self.making.policy.clone();
        match refused {
            Refused::Unfit(detail) => LoadError::Unfit { policy, detail },
            Refused::Settings(reason) => LoadError::Settings { policy, reason },
            Refused::Deadline(milliseconds) => LoadError::Configure {
                policy,
                stop: PolicyStop::Deadline(milliseconds),
            },
            Refused::Trap | Refused::Garbled => LoadError::Configure {
                policy,
                stop: PolicyStop::Trap,
            },
        }
    }
}

fn bytes_of(size: usize) -> [u8; 8] {
    u64::try_from(size).unwrap_or(u64::MAX).to_be_bytes()
}
