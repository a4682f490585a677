//! From a crate to a component: which policies a Cargo package holds, compiling
//! them, encoding, and the manifest.
//!
//! Nothing that was built is run here. What a policy says about itself comes from
//! `Cargo.toml`, the schema of its settings from a section that the compiler wrote:
//!
//! ```no_run
//! use keyward_component::{Profile, Project};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let project = Project::of("policies/greet".as_ref())?;
//! let policies: Vec<_> = project.policies.iter().collect();
//! let modules = project.compile(&policies, Profile::Release)?;
//! for (policy, module) in policies.iter().zip(modules) {
//!     let component = keyward_component::encode(&std::fs::read(module)?, &policy.manifest)?;
//!     keyward_component::write(&project.component(policy), &component.bytes)?;
//! }
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod code;
mod compile;
mod encode;
mod manifest;
mod module;
mod project;
mod write;

pub use code::Code;
pub use compile::{CompileError, Profile, TARGET, Toolchain};
pub use encode::{Component, EncodeError, encode};
pub use manifest::{Ask, Manifest};
pub use module::Memory;
pub use project::{Policy, Project, ProjectError};
pub use write::write;
