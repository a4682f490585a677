//! Fetches packages with apt, without touching the system.
//!
//! apt gets a state of its own in a temporary folder, with one source: the
//! machine's own mirror, signed by the key that the machine trusts, in the suite
//! that has the version. Packages are downloaded, never installed.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::steps;

/// An archive, as the machine's own configuration names it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Archive {
    uri: String,
    suites: Vec<String>,
    components: Vec<String>,
    signed_by: Option<String>,
}

/// A folder in which apt may work, also as its own user.
pub(crate) fn folder() -> Result<tempfile::TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("keyward-apt-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(fs::Permissions::from_mode(0o755));
    }
    builder.tempdir().context("can't make a temporary folder")
}

/// Downloads a package of an upstream version (`1.95.0` fits `1.95.0+dfsg1-1`)
/// into `work`.
///
/// Errors: the system has no apt or no usable source; no suite has the version.
pub(crate) fn fetch(work: &Path, package: &str, version: &str) -> Result<PathBuf> {
    let (codename, archive) = own_archive()?;
    fs::create_dir_all(work.join("state"))?;
    let status = work.join("state/status");
    fs::write(&status, "")?;
    let configuration = prepare(work, &status)?;
    for suite in suites(&codename) {
        fs::write(work.join("sources.list"), archive.line(&suite))?;
        let apt = |program: &str| {
            let mut apt = Command::new(program);
            apt.arg("-c").arg(&configuration).current_dir(work);
            apt
        };
        if steps::capture(apt("apt-get").args(["-q", "update"])).is_err() {
            steps::note(format_args!("{suite}: not on this machine's mirror"));
            continue;
        }
        let listed = steps::capture(apt("apt-cache").args(["madison", package]))?;
        let Some(found) = pick(&listed, version) else {
            steps::note(format_args!("{suite}: no {package} {version}"));
            continue;
        };
        steps::note(format_args!("{suite}: {package} {found}"));
        steps::capture(apt("apt-get").args(["-q", "download", &format!("{package}={found}")]))?;
        return fs::read_dir(work)?
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
            .context("apt downloaded nothing");
    }
    bail!("no suite has {package} {version}")
}

/// Downloads packages of the system's own release, and what they need that is not
/// installed, and unpacks all of it into `place`, as into the root of a file system.
///
/// Errors: the system has no apt or no usable source; a package is not to be had.
pub(crate) fn unpack(work: &Path, packages: &[&str], place: &Path) -> Result<()> {
    let (codename, archive) = own_archive()?;
    let configuration = prepare(work, Path::new("/var/lib/dpkg/status"))?;
    fs::write(work.join("sources.list"), archive.line(&codename))?;
    let apt = || {
        let mut apt = Command::new("apt-get");
        apt.arg("-c").arg(&configuration).arg("-q");
        apt
    };
    steps::capture(apt().arg("update"))?;
    steps::capture(
        apt()
            .args(["--yes", "--download-only", "install"])
            .args(packages),
    )?;
    fs::create_dir_all(place)?;
    for entry in fs::read_dir(work.join("cache/archives"))? {
        let package = entry?.path();
        if package
            .extension()
            .is_some_and(|extension| extension == "deb")
        {
            steps::capture(Command::new("dpkg").arg("-x").arg(&package).arg(place))?;
        }
    }
    Ok(())
}

/// The system's release, and the archive that it comes from.
fn own_archive() -> Result<(String, Archive)> {
    let codename = codename(&fs::read_to_string("/etc/os-release").unwrap_or_default())
        .context("this is not a Debian-like system")?;
    let archive = archives(Path::new("/etc/apt"))
        .into_iter()
        .find(|archive| archive.suites.contains(&codename))
        .with_context(|| format!("apt's sources name no archive for `{codename}`"))?;
    Ok((codename, archive))
}

/// Suites that may have it: the likeliest first.
fn suites(codename: &str) -> Vec<String> {
    let mut suites = vec![
        format!("{codename}-backports"),
        "trixie-backports".to_owned(),
        "stable-backports".to_owned(),
        "testing".to_owned(),
        "sid".to_owned(),
        codename.to_owned(),
    ];
    let mut seen = Vec::new();
    suites.retain(|suite| {
        let is_new = !seen.contains(suite);
        seen.push(suite.clone());
        is_new
    });
    suites
}

/// Writes the configuration of an apt with a state of its own, which takes `status`
/// for what is installed.
fn prepare(work: &Path, status: &Path) -> Result<PathBuf> {
    for folder in ["state/lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(work.join(folder))?;
    }
    let at = |name: &str| work.join(name).display().to_string();
    let mut text = String::new();
    for (option, value) in [
        ("Dir::State", at("state")),
        ("Dir::State::lists", at("state/lists")),
        ("Dir::State::status", status.display().to_string()),
        ("Dir::Cache", at("cache")),
        ("Dir::Cache::archives", at("cache/archives")),
        ("Dir::Etc::sourcelist", at("sources.list")),
        ("Dir::Etc::sourceparts", "/dev/null".to_owned()),
        ("Dir::Etc::preferences", "/dev/null".to_owned()),
        ("Dir::Etc::preferencesparts", "/dev/null".to_owned()),
        ("Acquire::Languages", "none".to_owned()),
        ("APT::Install-Recommends", "false".to_owned()),
        // Nothing of the system's is changed, so there is nothing to lock.
        ("Debug::NoLocking", "true".to_owned()),
        ("Acquire::Retries", "2".to_owned()),
        ("Acquire::http::Timeout", "60".to_owned()),
        // A suite that can't be read is a failure, not a warning.
        ("APT::Update::Error-Mode", "any".to_owned()),
    ] {
        writeln!(text, "{option} \"{value}\";")?;
    }
    // Hooks of the system's apt have no business here: they clear its caches.
    for hooks in ["Pre-Invoke", "Post-Invoke", "Post-Invoke-Success"] {
        writeln!(text, "#clear APT::Update::{hooks};")?;
    }
    let path = work.join("apt.conf");
    fs::write(&path, text)?;
    Ok(path)
}

impl Archive {
    /// One line of `sources.list`, for another suite of the same archive.
    fn line(&self, suite: &str) -> String {
        let signed_by = match &self.signed_by {
            Some(key) => format!(" signed-by={key}"),
            None => String::new(),
        };
        format!(
            "deb [target=Packages{signed_by}] {} {suite} {}\n",
            self.uri,
            self.components.join(" ")
        )
    }
}

/// The version in `apt-cache madison`'s list that is of an upstream version.
fn pick(listed: &str, version: &str) -> Option<String> {
    listed
        .lines()
        .filter_map(|line| line.split('|').nth(1))
        .map(str::trim)
        .find(|found| {
            found
                .strip_prefix(version)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', '-', '~']))
        })
        .map(str::to_owned)
}

fn codename(os_release: &str) -> Option<String> {
    os_release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .map(|name| name.trim_matches('"').to_owned())
        .filter(|name| !name.is_empty())
}

/// The archives of a machine, from both formats of apt's sources.
fn archives(etc: &Path) -> Vec<Archive> {
    let mut files = vec![etc.join("sources.list")];
    if let Ok(entries) = fs::read_dir(etc.join("sources.list.d")) {
        files.extend(entries.filter_map(Result::ok).map(|entry| entry.path()));
    }
    files.sort();
    let mut archives = Vec::new();
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else {
            continue;
        };
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => archives.extend(text.lines().filter_map(one_line)),
            Some("sources") => archives.extend(paragraphs(&text).filter_map(deb822)),
            _ => {}
        }
    }
    archives
}

/// `deb [signed-by=…] URI SUITE COMPONENT…`
fn one_line(line: &str) -> Option<Archive> {
    let line = line.split('#').next()?.trim();
    let mut rest = line
        .strip_prefix("deb")?
        .strip_prefix([' ', '\t'])?
        .trim_start();
    let mut signed_by = None;
    if let Some(options) = rest.strip_prefix('[') {
        let (options, after) = options.split_once(']')?;
        signed_by = options
            .split_whitespace()
            .find_map(|option| option.strip_prefix("signed-by="))
            .map(str::to_owned);
        rest = after;
    }
    let mut words = rest.split_whitespace().map(str::to_owned);
    Some(Archive {
        uri: words.next()?,
        suites: vec![words.next()?],
        components: words.collect(),
        signed_by,
    })
}

/// The paragraphs of a deb822 file, each a list of fields.
fn paragraphs(text: &str) -> impl Iterator<Item = Vec<(String, String)>> {
    let mut paragraphs = Vec::new();
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.lines().chain([""]) {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            if !fields.is_empty() {
                paragraphs.push(std::mem::take(&mut fields));
            }
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push('\n');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    paragraphs.into_iter()
}

fn deb822(fields: Vec<(String, String)>) -> Option<Archive> {
    let field = |name: &str| {
        fields
            .iter()
            .find(|(field, _)| field == name)
            .map(|(_, value)| value.as_str())
    };
    let words = |name: &str| -> Vec<String> {
        field(name)
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned)
            .collect()
    };
    if field("enabled").is_some_and(|enabled| enabled == "no")
        || !words("types").contains(&"deb".to_owned())
    {
        return None;
    }
    Some(Archive {
        uri: words("uris").into_iter().next()?,
        suites: words("suites"),
        components: words("components"),
        // A key that stands in the file itself can't be handed on in one line.
        signed_by: field("signed-by")
            .filter(|key| key.starts_with('/'))
            .map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn archive(signed_by: Option<&str>) -> Archive {
        Archive {
            uri: "http://mirror.test/debian".to_owned(),
            suites: vec!["bookworm".to_owned()],
            components: vec!["main".to_owned(), "contrib".to_owned()],
            signed_by: signed_by.map(str::to_owned),
        }
    }

    #[test]
    fn both_formats_of_sources_are_read() {
        let etc = tempfile::tempdir().unwrap();
        fs::create_dir(etc.path().join("sources.list.d")).unwrap();
        fs::write(
            etc.path().join("sources.list"),
            "# a comment\n\
             deb-src http://mirror.test/debian bookworm main\n\
             deb [arch=amd64 signed-by=/k.gpg] http://mirror.test/debian bookworm main contrib # x\n\
             deb http://mirror.test/debian bookworm main contrib\n",
        )
        .unwrap();
        fs::write(
            etc.path().join("sources.list.d/debian.sources"),
            "Types: deb deb-src\n# http://elsewhere.test\nURIs: http://mirror.test/debian\n\
             Suites: bookworm\nComponents: main\n contrib\nSigned-By: /k.gpg\n\n\
             Enabled: no\nTypes: deb\nURIs: http://off.test\nSuites: bookworm\n\n\
             Types: deb-src\nURIs: http://source.test\nSuites: bookworm\n",
        )
        .unwrap();
        fs::write(
            etc.path().join("sources.list.d/old.list.disabled"),
            "deb http://x y z",
        )
        .unwrap();
        let keyed = archive(Some("/k.gpg"));
        assert_eq!(archives(etc.path()), [keyed.clone(), archive(None), keyed]);
    }

    #[test]
    fn the_package_is_of_the_compilers_version_exactly() {
        let listed =
            " rust-src | 1.95.10+dfsg1-1 | somewhere\n rust-src | 1.95.0+dfsg1-1~bpo13+1 | there\n";
        assert_eq!(pick(listed, "1.95.0").unwrap(), "1.95.0+dfsg1-1~bpo13+1");
        assert_eq!(pick(listed, "1.95.1"), None);
        assert_eq!(pick("", "1.95.0"), None);
    }

    #[test]
    fn a_line_carries_the_key_and_the_components() {
        assert_eq!(
            archive(Some("/k.gpg")).line("sid"),
            "deb [target=Packages signed-by=/k.gpg] http://mirror.test/debian sid main contrib\n"
        );
    }

    #[test]
    fn each_suite_is_tried_once() {
        assert_eq!(
            suites("trixie"),
            [
                "trixie-backports",
                "stable-backports",
                "testing",
                "sid",
                "trixie"
            ]
        );
        assert_eq!(
            codename("ID=debian\nVERSION_CODENAME=\"trixie\"\n").unwrap(),
            "trixie"
        );
        assert_eq!(codename("ID=other\n"), None);
    }
}
