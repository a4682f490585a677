//! Why a component could not be loaded, and why a call was stopped.

use keyward_names::PolicyName;

use crate::compile::CompileFault;
use crate::limits::LimitFault;
use crate::manifest::ManifestError;
use crate::profile::Profile;

/// The engine itself could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the sandbox engine could not start on this machine: {0}")]
pub struct EngineError(pub(crate) String);

/// A component was refused. Each variant is something that its author or the
/// operator can mend.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// Larger than the loader takes.
    #[error("policy \"{policy}\": the component has {bytes} bytes; at most {most} are accepted")]
    TooLarge {
        /// Which policy.
        policy: PolicyName,
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        most: usize,
    },
    /// Not a component, or not a valid one.
    #[error(
        "policy \"{policy}\": not a valid WebAssembly component ({detail}); \
         a core module must be wrapped into a component first"
    )]
    Invalid {
        /// Which policy.
        policy: PolicyName,
        /// What the validator says.
        detail: String,
    },
    /// Imports something that a policy does not get.
    #[error(
        "policy \"{policy}\": imports \"{import}\", which no policy can have; \
         a policy may import only: {allowed}"
    )]
    Import {
        /// Which policy.
        policy: PolicyName,
        /// The import's name.
        import: String,
        /// The names of what may be imported.
        allowed: String,
    },
    /// Exports no phase.
    #[error(
        "policy \"{policy}\": exports no phase; \
         it must export at least one of inbound, backend, outbound, on-error of keyward:policy@0.1.0"
    )]
    NoPhase {
        /// Which policy.
        policy: PolicyName,
    },
    /// Built in a way that policies may not be.
    #[error("policy \"{policy}\": {what}")]
    Shape {
        /// Which policy.
        policy: PolicyName,
        /// What is not accepted.
        what: &'static str,
    },
    /// Its manifest can't be read.
    #[error("policy \"{policy}\": {source}")]
    Manifest {
        /// Which policy.
        policy: PolicyName,
        /// What is wrong with it.
        source: ManifestError,
    },
    /// Settings were given to a policy that takes none.
    #[error("policy \"{policy}\" takes no settings; remove them from its entry")]
    NoSettings {
        /// Which policy.
        policy: PolicyName,
    },
    /// A document was given to a policy that runs none.
    #[error(
        "policy \"{policy}\" runs no documents: its manifest does not say `runs-documents`; name a policy whose component is the one called document"
    )]
    RunsNoDocuments {
        /// Which policy.
        policy: PolicyName,
    },
    /// The policy refused its settings.
    #[error("policy \"{policy}\" refuses its settings: {reason}")]
    Settings {
        /// Which policy.
        policy: PolicyName,
        /// The policy's own words. No secret is in reach while it says them.
        reason: String,
    },
    /// The policy stopped while it read its settings.
    #[error("policy \"{policy}\" stopped while it read its settings: {stop}")]
    Configure {
        /// Which policy.
        policy: PolicyName,
        /// Why.
        stop: PolicyStop,
    },
    /// It declares more than its profile has room for.
    #[error(
        "policy \"{policy}\" does not fit the profile {profile}: {what}{}",
        larger(*profile)
    )]
    Profile {
        /// Which policy.
        policy: PolicyName,
        /// The profile that it was to run in.
        profile: Profile,
        /// What there is no room for.
        what: String,
    },
    /// A limit of its own is out of bounds.
    #[error("policy \"{policy}\": {source}")]
    Limit {
        /// Which policy.
        policy: PolicyName,
        /// Which limit.
        source: LimitFault,
    },
    /// The compiler gave no answer.
    #[error("policy \"{policy}\" could not be compiled: {source}")]
    Compile {
        /// Which policy.
        policy: PolicyName,
        /// Why.
        source: CompileFault,
    },
    /// The machine has no room for the profile that it needs.
    #[error("policy \"{policy}\": {source}")]
    Engine {
        /// Which policy.
        policy: PolicyName,
        /// Why.
        source: EngineError,
    },
    /// The sandbox can't take it: too many instances, memories or tables.
    #[error("policy \"{policy}\" does not fit the sandbox: {detail}")]
    Unfit {
        /// Which policy.
        policy: PolicyName,
        /// What does not fit.
        detail: String,
    },
}

fn larger(profile: Profile) -> &'static str {
    match profile {
        Profile::Lean => "; give it the profile standard or large",
        Profile::Standard => "; give it the profile large",
        Profile::Large => "",
    }
}

/// Why a call of a phase ended without a verdict.
///
/// Never shown to a client: the gateway answers with a fixed error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyStop {
    /// It used up its computing time.
    #[error("used up its {0} ms of computing time")]
    Deadline(u32),
    /// It used up its host calls.
    #[error("made more than {0} calls into the host")]
    HostCalls(u32),
    /// It handed over more bytes in one call than the host takes, or asked for more.
    #[error("handed over too many bytes in one call, or asked for too many")]
    CallBytes,
    /// It trapped after it was refused more memory.
    #[error("wanted more than {bytes} bytes of memory, in the profile {profile}")]
    Memory {
        /// What it may have.
        bytes: usize,
        /// The profile that it runs in; a larger one may have more.
        profile: Profile,
    },
    /// It trapped: unreachable code, out of bounds, a panic.
    #[error("trapped")]
    Trap,
    /// No slot for an instance was free, or as many calls of the policy were under
    /// way as there may be.
    #[error("found no free sandbox")]
    NoSlot,
    /// It said `respond` without having made a response.
    #[error("said respond without a response")]
    NoResponse,
    /// It does not export the phase that was asked for.
    #[error("does not have this phase")]
    NoPhase,
}
