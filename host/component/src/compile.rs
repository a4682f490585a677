//! Compiling policies for their target.

use std::env;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use crate::project::{Policy, Project};

/// The target that policies are built for.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// The stack of a policy, in bytes. It lies first in memory, so that running out
/// of it traps instead of overwriting data.
const STACK_BYTES: u32 = 16 * 1024;

/// Where, within the sysroot, the standard library's source is.
const LIBRARY: &str = "lib/rustlib/src/rust/library";

/// How a policy is compiled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// Small and quick to start: what a gateway should load.
    #[default]
    Release,
    /// Compiled quickly, with checks for overflow and with assertions.
    Debug,
}

/// The programs that compile, as the environment (`CARGO`, `RUSTC`) or else the path
/// names them.
#[derive(Clone, Debug)]
pub struct Toolchain {
    /// Where they are run: what stands there says which toolchain it is.
    folder: PathBuf,
}

/// Why policies can't be compiled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// A program can't be run.
    #[error("can't run {program}: {error}")]
    NotRun {
        /// `cargo` or `rustc`.
        program: &'static str,
        /// Why not.
        error: io::Error,
    },
    /// The compiler fails to say something about itself.
    #[error("`rustc {asked}` failed: {said}")]
    Rustc {
        /// What it was asked.
        asked: &'static str,
        /// What it said.
        said: String,
    },
    /// The target's standard library is not installed.
    #[error("the Rust toolchain has no target {TARGET}")]
    NoTarget,
    /// The compiler found mistakes, and has said which.
    #[error("cargo could not build the policy ({0})")]
    Failed(ExitStatus),
}

impl Profile {
    /// The profile's name, for Cargo.
    fn name(self) -> &'static str {
        match self {
            Self::Release => "guest",
            Self::Debug => "guest-debug",
        }
    }

    /// What it is, so that it is the same in every package and workspace.
    fn definition(self) -> &'static [&'static str] {
        match self {
            Self::Release => &[
                "inherits=\"release\"",
                "opt-level=\"s\"",
                "lto=true",
                "codegen-units=1",
                "panic=\"abort\"",
                "strip=\"debuginfo\"",
                "debug=false",
            ],
            Self::Debug => &[
                "inherits=\"dev\"",
                "opt-level=1",
                "panic=\"abort\"",
                "strip=\"debuginfo\"",
                "debug=false",
            ],
        }
    }
}

impl Toolchain {
    /// The toolchain that counts in a folder.
    #[must_use]
    pub fn of(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// A `cargo` command in that folder.
    #[must_use]
    pub fn cargo(&self) -> Command {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(&self.folder);
        // What `cargo run` says about who calls would make dependencies build again.
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR" {
                cargo.env_remove(name);
            }
        }
        cargo
    }

    fn rustc(&self, asked: &'static str) -> Result<String, CompileError> {
        let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        let output = rustc
            .current_dir(&self.folder)
            .args(asked.split_whitespace())
            .output()
            .map_err(|error| CompileError::NotRun {
                program: "rustc",
                error,
            })?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(CompileError::Rustc { asked, said });
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Sees to it that the target is installed.
    ///
    /// # Errors
    /// [`CompileError::NoTarget`] if it is not.
    pub fn check_target(&self) -> Result<(), CompileError> {
        let folder = self.rustc("--print target-libdir --target wasm32-unknown-unknown")?;
        let is_there = std::fs::read_dir(folder).is_ok_and(|entries| {
            entries.filter_map(Result::ok).any(|entry| {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                name.starts_with("libstd-") && name.ends_with(".rlib")
            })
        });
        if is_there {
            Ok(())
        } else {
            Err(CompileError::NoTarget)
        }
    }

    /// The flags for everything that is compiled for the target, for
    /// `CARGO_ENCODED_RUSTFLAGS`: [the places](Self::remapped_paths), and the stack.
    ///
    /// # Errors
    /// The compiler can't be asked.
    pub fn flags(&self, others: &[PathBuf]) -> Result<OsString, CompileError> {
        let mut flags = self.remapped_paths(others)?;
        flags.push(format!("-Clink-arg=-zstack-size={STACK_BYTES}").into());
        // The separator of CARGO_ENCODED_RUSTFLAGS.
        Ok(flags.join("\x1f".as_ref()))
    }

    /// Flags that make the places where things are built the same everywhere: those
    /// of `others`, local packages outside of the workspace, of the compiler's release
    /// and of Cargo. What lies in the workspace is compiled by its path there.
    ///
    /// A component is known by its digest, which must not depend on where it was
    /// built; and where that was is nobody's business.
    ///
    /// # Errors
    /// The compiler can't be asked.
    pub fn remapped_paths(&self, others: &[PathBuf]) -> Result<Vec<OsString>, CompileError> {
        let sysroot = PathBuf::from(self.rustc("--print sysroot")?);
        let version = self.rustc("-vV")?;
        let commit = version
            .lines()
            .find_map(|line| line.strip_prefix("commit-hash: "))
            .unwrap_or("unknown");
        let mut flags = Vec::new();
        let mut remap = |from: &Path, to: &str| {
            let mut flag = OsString::from("--remap-path-prefix=");
            flag.push(from);
            flag.push("=");
            flag.push(to);
            flags.push(flag);
        };
        for other in others {
            remap(
                other,
                &other.file_name().unwrap_or_default().to_string_lossy(),
            );
        }
        remap(&sysroot.join(LIBRARY), &format!("/rustc/{commit}/library"));
        let home = env::var_os("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
        if let Some(home) = home {
            remap(&home, "/cargo");
        }
        Ok(flags)
    }
}

impl Project {
    /// A Cargo command on policies as they are built: `build`, or `clippy`. What it
    /// makes lies apart from what is built for the host, so that neither waits for
    /// the other or clears what it has built.
    ///
    /// # Errors
    /// The target is not installed, or the compiler can't be asked.
    pub fn cargo(
        &self,
        command: &str,
        policies: &[&Policy],
        profile: Profile,
    ) -> Result<Command, CompileError> {
        self.toolchain.check_target()?;
        let mut cargo = self.toolchain.cargo();
        cargo
            .arg(command)
            .arg("--manifest-path")
            .arg(&self.manifest)
            .args(["--target", TARGET])
            .arg("--target-dir")
            .arg(self.guests())
            .arg(format!("--profile={}", profile.name()));
        for line in profile.definition() {
            cargo.arg("--config");
            cargo.arg(format!("profile.{}.{line}", profile.name()));
        }
        if policies.iter().any(|policy| policy.example.is_none()) {
            cargo.arg("--lib");
        }
        for policy in policies {
            cargo.args(["--package", &policy.id]);
            if let Some(example) = &policy.example {
                cargo.args(["--example", example]);
            }
            for feature in &policy.features {
                cargo.arg(format!("--features={}/{feature}", policy.package));
            }
        }
        // Set whole, so that flags meant for the host do not reach the guests.
        let flags = self.toolchain.flags(&self.neighbours)?;
        cargo.env("CARGO_ENCODED_RUSTFLAGS", flags);
        Ok(cargo)
    }

    /// Compiles policies and returns their core modules, in the same order. What
    /// Cargo says goes to standard error.
    ///
    /// # Errors
    /// The target is not installed, or there are mistakes in the code.
    pub fn compile(
        &self,
        policies: &[&Policy],
        profile: Profile,
    ) -> Result<Vec<PathBuf>, CompileError> {
        let status = self
            .cargo("build", policies, profile)?
            .arg("--quiet")
            .status()
            .map_err(|error| CompileError::NotRun {
                program: "cargo",
                error,
            })?;
        if !status.success() {
            return Err(CompileError::Failed(status));
        }
        let built = self.guests().join(TARGET).join(profile.name());
        let module = |policy: &&Policy| {
            let folder = match policy.example {
                Some(_) => built.join("examples"),
                None => built.clone(),
            };
            folder.join(format!("{}.wasm", policy.artifact))
        };
        Ok(policies.iter().map(module).collect())
    }

    fn guests(&self) -> PathBuf {
        self.target.join("guests")
    }
}
