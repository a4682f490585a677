//! The work of making a component ready to run: bytes in, bytes out, so that it
//! can be done in another process with limits of its own.
//!
//! A job holds all that its result depends on. Its answer is a byte that says
//! which, and what was made or why there is nothing. No job carries machine code: whoever
//! is asked can be asked anything.

use std::borrow::Cow;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::{Deserialize, Serialize};
use wasmtime::{Config, Engine};

use crate::config::CodeConfig;
use crate::image::{self, Image, Readings, State};

const DONE: u8 = 0;
const REFUSED: u8 = 1;

/// Carries out jobs. What it answers becomes machine code that the host runs: it
/// must be what [`compile`] made of that job, from nobody else.
pub trait Compiler: Debug + Send + Sync + 'static {
    /// The answer of [`compile`] to `job`.
    ///
    /// Errors: there is none.
    fn compile(&self, job: &[u8]) -> Result<Vec<u8>, CompileFault>;
}

/// Compiles on the calling thread and on those of the process. For tests, and for
/// who trusts the components: a hostile one can make compiling take long and much
/// memory.
#[derive(Debug, Clone, Copy, Default)]
pub struct InProcess;

impl Compiler for InProcess {
    fn compile(&self, job: &[u8]) -> Result<Vec<u8>, CompileFault> {
        Ok(answer(job, false))
    }
}

/// Why a compiler gave no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompileFault {
    /// It can't be started.
    #[error("the compiler can't be started: {0}")]
    NotStarted(#[source] std::io::Error),
    /// It took too long.
    #[error("compiling it took more than {0} s and was given up")]
    TookTooLong(u64),
    /// It ended without an answer, as it does when it reaches its limits.
    #[error(
        "the compiler ended without an answer ({0}); \
         a component that needs too much memory or time does that"
    )]
    Ended(String),
    /// It answered too much.
    #[error("its compiled code has more than {0} bytes")]
    TooLarge(usize),
    /// Its answer makes no sense: it is of another version.
    #[error("the compiler's answer is not that of this version of Keyward")]
    Garbled,
}

/// Does a job and returns its answer, on the calling thread alone. For a process
/// that does nothing else; see [`Compiler`].
pub fn compile(job: &[u8]) -> Vec<u8> {
    answer(job, true)
}

/// What to do with a component.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Task<'a> {
    /// Compile it as it is.
    Code,
    /// Compile it to run its `configure`.
    Instrument,
    /// Write into it what `configure` left. The memories lie before the component.
    Image {
        readings: Cow<'a, Readings>,
        memories: usize,
    },
}

#[derive(Serialize, Deserialize)]
struct Head<'a> {
    version: String,
    profile: String,
    reports: bool,
    task: Task<'a>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Refused {
    /// The sandbox can't take it, and why.
    Unfit(String),
    /// The policy refuses its settings, and why.
    Settings(String),
    /// `configure` used up that many milliseconds.
    Deadline(u32),
    /// `configure` trapped.
    Trap,
    /// The job can't be read.
    Garbled,
}

impl Refused {
    /// What a library says that can't take a component.
    pub(crate) fn unfit(error: wasmtime::Error) -> Self {
        Refused::Unfit(format!("{error:#}"))
    }
}

/// The job of compiling a component, as it is or to be configured.
pub(crate) fn job(code: CodeConfig, task: Task<'_>, component: &[u8]) -> Vec<u8> {
    written(code, task, &[], component)
}

/// The job of writing into a component what `configure` left.
pub(crate) fn image_job(code: CodeConfig, state: &State, component: &[u8]) -> Vec<u8> {
    let task = Task::Image {
        readings: Cow::Borrowed(&state.readings),
        memories: state.memories.len(),
    };
    written(code, task, &state.memories, component)
}

fn written(code: CodeConfig, task: Task<'_>, memories: &[u8], component: &[u8]) -> Vec<u8> {
    let head = Head {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        profile: code.profile.as_str().to_owned(),
        reports: code.reports,
        task,
    };
    let head = serde_json::to_vec(&head).unwrap_or_default();
    let length = u32::try_from(head.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), head.as_slice(), memories, component].concat()
}

fn read(job: &[u8]) -> Option<(Head<'_>, &[u8])> {
    let (head, rest) = after_length(job)?;
    let head: Head<'_> = serde_json::from_slice(head).ok()?;
    (head.version == env!("CARGO_PKG_VERSION")).then_some((head, rest))
}

/// What has its length before it, and what follows.
fn after_length(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

/// The code in a compiler's answer, or why there is none.
pub(crate) fn code_of(answer: &[u8]) -> Result<Result<&[u8], Refused>, CompileFault> {
    match answer.split_first() {
        Some((&DONE, code)) => Ok(Ok(code)),
        Some((&REFUSED, why)) => match serde_json::from_slice(why) {
            Ok(Refused::Garbled) | Err(_) => Err(CompileFault::Garbled),
            Ok(refused) => Ok(Err(refused)),
        },
        _ => Err(CompileFault::Garbled),
    }
}

/// The image in a compiler's answer, or why there is none.
pub(crate) fn image_in(answer: &[u8]) -> Result<Result<Image, Refused>, CompileFault> {
    let image = match code_of(answer)? {
        Ok(image) => image,
        Err(refused) => return Ok(Err(refused)),
    };
    let (own, common) = after_length(image).ok_or(CompileFault::Garbled)?;
    Ok(Ok(Image {
        common: common.to_vec(),
        own: (!own.is_empty()).then(|| own.to_vec()),
    }))
}

fn answer(job: &[u8], alone: bool) -> Vec<u8> {
    // The library that takes the snapshot was written for components that their
    // owner trusts. What it does not expect must not end the host.
    let made = catch_unwind(AssertUnwindSafe(|| make(job, alone)))
        .unwrap_or_else(|_| Err(Refused::Unfit("no image can be made of it".to_owned())));
    let (which, rest) = match made {
        Ok(done) => (DONE, done),
        Err(refused) => (REFUSED, serde_json::to_vec(&refused).unwrap_or_default()),
    };
    let mut answer = Vec::with_capacity(1 + rest.len());
    answer.push(which);
    answer.extend_from_slice(&rest);
    answer
}

fn make(job: &[u8], alone: bool) -> Result<Vec<u8>, Refused> {
    let (head, rest) = read(job).ok_or(Refused::Garbled)?;
    let code = CodeConfig {
        profile: head.profile.parse().map_err(|_| Refused::Garbled)?,
        reports: head.reports,
    };
    let compiled = |config: Config, component: &[u8]| {
        let engine = Engine::new(&config).map_err(Refused::unfit)?;
        engine
            .precompile_component(component)
            .map_err(Refused::unfit)
    };
    match head.task {
        Task::Code => {
            let direct = image::direct(rest);
            compiled(code.compiling(alone), direct.as_deref().unwrap_or(rest))
        }
        Task::Instrument => {
            let instrumented = image::instrumented(rest).map_err(Refused::unfit)?;
            compiled(code.configuring(alone), &instrumented)
        }
        Task::Image { readings, memories } => {
            let (memories, component) = rest.split_at_checked(memories).ok_or(Refused::Garbled)?;
            let image = image::image_of(component, &readings, memories).map_err(Refused::unfit)?;
            let own = image.own.unwrap_or_default();
            let length = u32::try_from(own.len()).map_err(|_| Refused::Garbled)?;
            Ok([&length.to_be_bytes(), own.as_slice(), &image.common].concat())
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]
    use super::*;
    use crate::profile::Profile;

    fn lean() -> CodeConfig {
        CodeConfig {
            profile: Profile::Lean,
            reports: false,
        }
    }

    #[test]
    fn an_answer_holds_code_or_says_why_not() {
        let component = wat::parse_str("(component)").unwrap();
        let job = job(lean(), Task::Code, &component);
        let code = compile(&job);
        assert!(code_of(&code).unwrap().is_ok());
        assert_eq!(InProcess.compile(&job).unwrap(), code);
        let refused = compile(&job_of(b"nothing"));
        assert!(matches!(code_of(&refused).unwrap(), Err(Refused::Unfit(_))));
    }

    fn job_of(component: &[u8]) -> Vec<u8> {
        job(lean(), Task::Code, component)
    }

    #[test]
    fn a_job_or_an_answer_that_makes_no_sense_is_an_error() {
        for job in [&b""[..], &[0, 0, 0, 9], &[0, 0, 0, 1, b'{'], &[255; 64]] {
            assert!(matches!(code_of(&compile(job)), Err(CompileFault::Garbled)));
        }
        for answer in [&b""[..], &[REFUSED], &[9, 9]] {
            assert!(matches!(code_of(answer), Err(CompileFault::Garbled)));
        }
    }
}
