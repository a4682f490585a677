//! Which crates are policies, and what they say about themselves.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use crate::{steps, workspace};

/// A crate that becomes a component.
pub(crate) struct Guest {
    /// The crate's name, for cargo.
    pub(crate) package: String,
    /// The file that cargo builds, without its extension.
    pub(crate) artifact: String,
    /// Where the component goes, within `target/policies`.
    pub(crate) output: PathBuf,
    /// What goes into its section `keyward:manifest`.
    pub(crate) manifest: Manifest,
}

/// The manifest, as it is embedded.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Manifest {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) description: String,
    pub(crate) asks: Vec<Ask>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) settings: Option<serde_json::Value>,
}

/// A use of a secret that a policy asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ask {
    alias: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    setting: Option<String>,
    #[serde(rename = "use")]
    use_: String,
    why: String,
}

/// `[package.metadata.keyward]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    asks: Vec<Ask>,
    settings: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    description: Option<String>,
    manifest_path: PathBuf,
    targets: Vec<Target>,
    metadata: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    crate_types: Vec<String>,
}

/// All guests of the workspace, by name.
///
/// Errors: a guest's `Cargo.toml` is not as it must be; the error says where.
pub(crate) fn guests() -> Result<Vec<Guest>> {
    let text =
        steps::capture(workspace::cargo().args(["metadata", "--no-deps", "--format-version=1"]))?;
    let metadata: Metadata =
        serde_json::from_str(&text).context("can't read what `cargo metadata` prints")?;
    let root = workspace::root();
    let mut guests = Vec::new();
    for package in metadata.packages {
        let path = package.manifest_path.clone();
        if let Some(guest) = guest(package, &root).with_context(|| path.display().to_string())? {
            guests.push(guest);
        }
    }
    guests.sort_by(|one, other| one.output.cmp(&other.output));
    Ok(guests)
}

fn guest(package: Package, root: &Path) -> Result<Option<Guest>> {
    let Some(written) = package
        .metadata
        .as_ref()
        .and_then(|metadata| metadata.get("keyward"))
    else {
        return Ok(None);
    };
    let written = Written::deserialize(written).context("[package.metadata.keyward]")?;
    let library = package
        .targets
        .iter()
        .find(|target| target.crate_types.iter().any(|kind| kind == "cdylib"))
        .context("a policy needs `crate-type = [\"cdylib\", \"rlib\"]` under [lib]")?;
    let folder = package.manifest_path.parent().unwrap_or(root);
    let folder_name = folder
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    // Hostile guests are called by their folder: `loop` can't be a crate's name.
    let is_hostile = folder.starts_with(root.join("tests"));
    let name = if is_hostile {
        folder_name.clone()
    } else {
        package.name.clone()
    };
    if folder.starts_with(root.join("guest-policies")) && folder_name != name {
        bail!("the folder `{folder_name}` and the crate `{name}` must share their name");
    }
    let file = format!("{name}.wasm");
    Ok(Some(Guest {
        output: if is_hostile {
            Path::new("hostile").join(file)
        } else {
            file.into()
        },
        artifact: library.name.replace('-', "_"),
        package: package.name,
        manifest: Manifest {
            name,
            version: package.version,
            description: package
                .description
                .context("a policy needs a `description` under [package]")?,
            asks: written.asks,
            settings: written.settings,
        },
    }))
}
