//! Builds the policies that suites test, where their sources are at hand.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use keyward_component::{Policy, Profile, Project, encode, write};
use keyward_testkit::Suite;

use crate::Common;
use crate::exit::Failure;

/// Builds each policy whose crate is in a suite's folder or above it and whose
/// component the suite names. A component that comes out the same is left as it is. A
/// suite that can't be read may lack a component that was never built: those of its
/// crate that are not there are built, too.
///
/// Errors: a policy does not compile. A suite beside no crate is tested as it is.
pub(super) fn components(suites: &[PathBuf], common: &Common) -> Result<(), Failure> {
    let mut folders: BTreeSet<PathBuf> = BTreeSet::new();
    let mut named: BTreeSet<PathBuf> = BTreeSet::new();
    let mut unread: BTreeSet<PathBuf> = BTreeSet::new();
    for file in suites {
        let Ok(suite) = Suite::load(file) else {
            unread.extend(file.parent().map(plain));
            continue;
        };
        let components = suite.policies.iter();
        named.extend(components.map(|policy| plain(&policy.component.value)));
        folders.extend(suite.file.parent().map(plain));
    }
    let mut built: BTreeSet<PathBuf> = BTreeSet::new();
    folders.extend(unread.iter().cloned());
    for folder in folders {
        let Ok(project) = Project::of(&folder) else {
            continue;
        };
        let wanted = |policy: &&Policy| {
            let component = plain(project.component(policy));
            let is_lacking = unread.contains(&folder) && !component.exists();
            (named.contains(&component) || is_lacking) && !built.contains(&component)
        };
        let policies: Vec<&Policy> = project.policies.iter().filter(wanted).collect();
        if policies.is_empty() {
            continue;
        }
        let modules = project
            .compile(&policies, Profile::Release)
            .map_err(Failure::new)?;
        for (policy, module) in policies.into_iter().zip(modules) {
            let file = project.component(policy);
            let cannot = |what: &str, file: &Path| format!("can't {what} {}", file.display());
            let module = std::fs::read(&module)
                .map_err(|error| Failure::io(error, cannot("read", &module)))?;
            let component = encode(&module, &policy.manifest).map_err(Failure::new)?;
            let changed = write(&file, &component.bytes)
                .map_err(|error| Failure::io(error, cannot("write", &file)))?;
            if changed {
                common.output().say(format!("built {}", file.display()));
            }
            built.insert(plain(&file));
        }
    }
    Ok(())
}

/// The same path for the same file, if it is there.
fn plain(path: impl AsRef<Path>) -> PathBuf {
    let path = path.as_ref();
    // An empty path is the current folder.
    let path = match path.as_os_str().is_empty() {
        true => Path::new("."),
        false => path,
    };
    path.canonicalize()
        .or_else(|_| std::path::absolute(path))
        .unwrap_or_else(|_| path.to_owned())
}
