//! Which policies a Cargo package or workspace holds.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::compile::Toolchain;
use crate::manifest::{Ask, Manifest};

/// A Cargo package with policies, or all those of a workspace.
#[derive(Clone, Debug)]
pub struct Project {
    /// The `Cargo.toml` that it was read from.
    pub manifest: PathBuf,
    /// The workspace's root; the package's folder where there is no workspace.
    pub root: PathBuf,
    /// Where Cargo puts what it builds.
    pub target: PathBuf,
    /// The policies, by name.
    pub policies: Vec<Policy>,
    pub(crate) toolchain: Toolchain,
    /// Local packages outside of the root that the policies depend on.
    pub(crate) neighbours: Vec<PathBuf>,
}

/// A policy, as `Cargo.toml` describes it.
#[derive(Clone, Debug)]
pub struct Policy {
    /// What goes into its manifest, but for the schema of its settings.
    pub manifest: Manifest,
    /// The name of the package.
    pub package: String,
    /// The package for Cargo, which may know another of its name (Cargo's "package ID
    /// specification").
    pub id: String,
    /// The package's folder.
    pub folder: PathBuf,
    /// The example that it is; none if it is the package's library.
    pub example: Option<String>,
    /// The file that its code begins with.
    pub source: PathBuf,
    /// The features without which Cargo does not build it.
    pub(crate) features: Vec<String>,
    /// The file that Cargo makes, without its extension.
    pub(crate) artifact: String,
}

/// Why a project can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProjectError {
    /// There is no `Cargo.toml`.
    #[error("there is no Cargo.toml in {} or above it", .0.display())]
    NoManifest(PathBuf),
    /// Cargo can't be run.
    #[error("can't run cargo: {0}")]
    NoCargo(io::Error),
    /// Cargo does not understand the package.
    #[error("cargo can't read {}:\n{said}", manifest.display())]
    Cargo {
        /// The `Cargo.toml`.
        manifest: PathBuf,
        /// What Cargo says about it.
        said: String,
    },
    /// Cargo's answer can't be read.
    #[error("can't read what `cargo metadata` prints: {0}")]
    Answer(serde_json::Error),
    /// There is no policy.
    #[error("{} describes no policy: it has no [package.metadata.keyward]", .0.display())]
    NoPolicy(PathBuf),
    /// The description of a policy is not as it must be.
    #[error("{}: {reason}", manifest.display())]
    Description {
        /// The `Cargo.toml`.
        manifest: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// `[package.metadata.keyward]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    asks: Vec<Ask>,
    /// It runs documents.
    #[serde(default, rename = "runs-documents")]
    runs_documents: bool,
    /// A package of several: its examples, by name.
    policies: Option<BTreeMap<String, Several>>,
}

/// `[package.metadata.keyward.policies.NAME]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Several {
    description: String,
    #[serde(default)]
    asks: Vec<Ask>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_root: PathBuf,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    id: String,
    version: String,
    description: Option<String>,
    manifest_path: PathBuf,
    targets: Vec<Target>,
    metadata: Option<serde_json::Value>,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
    crate_types: Vec<String>,
    src_path: PathBuf,
    #[serde(default, rename = "required-features")]
    features: Vec<String>,
}

#[derive(Deserialize)]
struct Dependency {
    path: Option<PathBuf>,
}

impl Project {
    /// Reads the project of a folder, or of a `Cargo.toml`: its package, or every
    /// package where it is a workspace's root without one of its own. A folder
    /// without a `Cargo.toml` belongs to the one above it.
    ///
    /// # Errors
    /// There is none, Cargo can't read it, or a policy is not described as it must
    /// be; the error names the file.
    pub fn of(place: &Path) -> Result<Self, ProjectError> {
        let place = std::path::absolute(place).map_err(ProjectError::NoCargo)?;
        let manifest = place
            .ancestors()
            .map(|folder| match folder.ends_with("Cargo.toml") {
                true => folder.to_owned(),
                false => folder.join("Cargo.toml"),
            })
            .find(|manifest| manifest.is_file())
            .ok_or_else(|| ProjectError::NoManifest(place.clone()))?;
        let toolchain = Toolchain::of(manifest.parent().unwrap_or(&place));
        let output = toolchain
            .cargo()
            .args(["metadata", "--no-deps", "--format-version=1"])
            .arg("--manifest-path")
            .arg(&manifest)
            .output()
            .map_err(ProjectError::NoCargo)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(ProjectError::Cargo { manifest, said });
        }
        let metadata = serde_json::from_slice(&output.stdout).map_err(ProjectError::Answer)?;
        read(manifest, metadata, toolchain)
    }

    /// Where a policy's component goes: `target/policies/NAME.wasm`.
    #[must_use]
    pub fn component(&self, policy: &Policy) -> PathBuf {
        let file = format!("{}.wasm", policy.manifest.name);
        self.target.join("policies").join(file)
    }
}

fn read(
    manifest: PathBuf,
    metadata: Metadata,
    toolchain: Toolchain,
) -> Result<Project, ProjectError> {
    let mut packages = metadata.packages;
    // The path as cargo spells it may have other links.
    let real = manifest.canonicalize().unwrap_or_else(|_| manifest.clone());
    let is_asked = |package: &Package| {
        let path = &package.manifest_path;
        *path == manifest || path.canonicalize().is_ok_and(|path| path == real)
    };
    if packages.iter().any(is_asked) {
        packages.retain(is_asked);
    }
    let mut policies = Vec::new();
    let mut neighbours: Vec<PathBuf> = Vec::new();
    for package in packages {
        let outside = package
            .dependencies
            .iter()
            .filter_map(|one| one.path.clone());
        neighbours.extend(outside.filter(|path| !path.starts_with(&metadata.workspace_root)));
        let path = package.manifest_path.clone();
        let found = policies_of(package).map_err(|reason| ProjectError::Description {
            manifest: path,
            reason,
        })?;
        policies.extend(found);
    }
    if policies.is_empty() {
        return Err(ProjectError::NoPolicy(manifest));
    }
    policies.sort_by(|one, other| one.manifest.name.cmp(&other.manifest.name));
    neighbours.sort();
    neighbours.dedup();
    Ok(Project {
        manifest,
        root: metadata.workspace_root,
        target: metadata.target_directory,
        policies,
        toolchain,
        neighbours,
    })
}

fn policies_of(package: Package) -> Result<Vec<Policy>, String> {
    let Some(written) = package
        .metadata
        .as_ref()
        .and_then(|metadata| metadata.get("keyward"))
    else {
        return Ok(Vec::new());
    };
    let written = Written::deserialize(written)
        .map_err(|error| format!("[package.metadata.keyward]: {error}"))?;
    let folder = package.manifest_path.parent().map(Path::to_owned);
    let policy = |target: &Target, name: String, description: String, asks: Vec<Ask>| Policy {
        manifest: Manifest {
            name,
            version: package.version.clone(),
            description,
            asks,
            runs_documents: written.runs_documents,
            settings: None,
        },
        package: package.name.clone(),
        id: package.id.clone(),
        folder: folder.clone().unwrap_or_default(),
        example: target.is_example().then(|| target.name.clone()),
        source: target.src_path.clone(),
        features: target.features.clone(),
        artifact: target.name.replace('-', "_"),
    };
    let Some(several) = written.policies else {
        let library = package
            .targets
            .iter()
            .find(|target| target.is_component() && !target.is_example())
            .ok_or("a policy needs `crate-type = [\"cdylib\", \"rlib\"]` under [lib]")?;
        let description = package
            .description
            .clone()
            .ok_or("a policy needs a `description` under [package]")?;
        let name = package.name.clone();
        return Ok(vec![policy(library, name, description, written.asks)]);
    };
    if !written.asks.is_empty() {
        return Err("where there are `policies`, each has `asks` of its own".to_owned());
    }
    several
        .into_iter()
        .map(|(name, one)| {
            let target = package
                .targets
                .iter()
                .find(|target| target.name == name && target.is_example())
                .filter(|target| target.is_component());
            let target = target.ok_or_else(|| {
                format!(
                    "the policy `{name}` needs an [[example]] of that name with \
                     `crate-type = [\"cdylib\"]`"
                )
            })?;
            Ok(policy(target, name, one.description, one.asks))
        })
        .collect()
}

impl Target {
    fn is_component(&self) -> bool {
        self.crate_types.iter().any(|kind| kind == "cdylib")
    }

    fn is_example(&self) -> bool {
        self.kind.iter().any(|kind| kind == "example")
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use serde_json::json;

    use super::*;

    fn policies(package: serde_json::Value) -> Result<Vec<Policy>, String> {
        let mut whole = json!({
            "name": "some-policy", "id": "path+file:///p#some-policy@1.2.3", "version": "1.2.3", "description": "It decides.",
            "manifest_path": "/p/Cargo.toml", "dependencies": [],
            "targets": [{"name": "some_policy", "kind": ["cdylib", "rlib"], "crate_types": ["cdylib", "rlib"],
                "src_path": "/p/src/lib.rs"}],
        });
        for (key, value) in package.as_object().unwrap() {
            whole[key] = value.clone();
        }
        policies_of(serde_json::from_value(whole).unwrap())
    }

    #[test]
    fn a_library_is_a_policy_with_what_its_package_says() {
        let ask = json!({"alias": "backend", "use": "attach", "why": "the key"});
        let found = policies(json!({"metadata": {"keyward": {"asks": [ask]}}})).unwrap();
        let [policy] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!(policy.manifest.name, "some-policy");
        assert_eq!(policy.manifest.version, "1.2.3");
        assert_eq!(policy.manifest.asks[0].alias, "backend");
        assert!(!policy.manifest.runs_documents);
        assert_eq!(policy.source, Path::new("/p/src/lib.rs"));
        assert_eq!(policy.artifact, "some_policy");
        assert_eq!(policy.example, None);
    }

    #[test]
    fn examples_are_policies_each_with_its_own_description() {
        let found = policies(json!({
            "targets": [{"name": "one-way", "kind": ["example"], "crate_types": ["cdylib"],
                "src_path": "/p/recipes/one-way.rs",
                "required-features": ["component"]}],
            "metadata": {"keyward": {"policies": {"one-way": {"description": "It turns."}}}},
        }));
        let found = found.unwrap();
        assert_eq!(found[0].example.as_deref(), Some("one-way"));
        assert_eq!(found[0].manifest.name, "one-way");
        assert_eq!(found[0].manifest.description, "It turns.");
        assert_eq!(found[0].artifact, "one_way");
        assert_eq!(found[0].features, ["component"]);
    }

    #[test]
    fn what_is_not_as_it_must_be_is_said() {
        let check = |package, words: &str| {
            let refused = policies(package).unwrap_err();
            assert!(refused.contains(words), "{refused}");
        };
        let keyward = |value| json!({"metadata": {"keyward": value}});
        check(keyward(json!({"ask": []})), "unknown field `ask`");
        check(
            keyward(json!({"asks": [{"alias": "A b", "use": "attach", "why": ""}]})),
            "[package.metadata.keyward]",
        );
        check(
            keyward(json!({"policies": {"none": {"description": ""}}})),
            "[[example]]",
        );
        check(
            json!({"metadata": {"keyward": {}}, "description": null}),
            "description",
        );
        check(
            json!({"metadata": {"keyward": {}}, "targets": []}),
            "cdylib",
        );
        assert!(policies(json!({"metadata": null})).unwrap().is_empty());
    }
}
