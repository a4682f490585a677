//! Reads a component without running it: what it imports, exports and asks for.

use wasmparser::component_types::ComponentEntityType;
use wasmparser::{
    ComponentExternalKind, ComponentTypeRef, Parser, Payload, Validator, WasmFeatures,
};

use crate::exchange::Phase;
use crate::manifest::{Manifest, ManifestError, SECTION};
use crate::shape;

/// Everything that a policy may import, by exact name and version.
pub(crate) const ALLOWED_IMPORTS: [&str; 8] = [
    "keyward:policy/exchange@0.1.0",
    "keyward:policy/variables@0.1.0",
    "keyward:policy/egress@0.1.0",
    "keyward:policy/secrets@0.1.0",
    "keyward:policy/counters@0.1.0",
    "keyward:policy/log@0.1.0",
    "keyward:policy/clock@0.1.0",
    "keyward:policy/random@0.1.0",
];

pub(crate) const CONFIGURATION: &str = "keyward:policy/configuration@0.1.0";

/// Bytes that a component may have.
pub(crate) const MOST_BYTES: usize = 16 << 20;

/// The name of a phase's export.
pub(crate) fn export_of(phase: Phase) -> &'static str {
    match phase {
        Phase::Inbound => "keyward:policy/inbound@0.1.0",
        Phase::Backend => "keyward:policy/backend@0.1.0",
        Phase::Outbound => "keyward:policy/outbound@0.1.0",
        Phase::OnError => "keyward:policy/on-error@0.1.0",
    }
}

/// What a component is, learnt without running it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Inspection {
    /// Top-level imports, in order. The whole of what the component can reach.
    pub imports: Vec<String>,
    /// Top-level exports, in order.
    pub exports: Vec<String>,
    /// The phases that it has.
    pub phases: Vec<Phase>,
    /// Whether it takes settings.
    pub takes_settings: bool,
    /// What it says about itself, if that can be read.
    pub manifest: Result<Manifest, ManifestError>,
    /// Imports that no policy can have.
    pub forbidden_imports: Vec<String>,
    /// Something about its structure that is not accepted.
    pub shape: Option<&'static str>,
}

/// Inspects a component.
///
/// Errors: the validator's words, when the bytes are not a valid component or are
/// more than 16 MiB.
pub fn inspect(component: &[u8]) -> Result<Inspection, String> {
    if component.len() > MOST_BYTES {
        return Err(format!(
            "it has {} bytes; at most {MOST_BYTES} are accepted",
            component.len()
        ));
    }
    // First of all: the validator goes down as far as a component is nested.
    let refused = shape::refused(component)?;
    let types = Validator::new_with_features(WasmFeatures::default())
        .validate_all(component)
        .map_err(|error| error.message().to_owned())?;

    let mut found = Inspection {
        imports: Vec::new(),
        exports: Vec::new(),
        phases: Vec::new(),
        takes_settings: false,
        manifest: Err(ManifestError::Missing),
        forbidden_imports: Vec::new(),
        shape: refused,
    };
    let mut depth = 0_usize;
    let mut manifests = 0_usize;
    for payload in Parser::new(0).parse_all(component) {
        match payload.map_err(|error| error.message().to_owned())? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(imports) if depth == 0 => {
                for import in imports {
                    let import = import.map_err(|error| error.message().to_owned())?;
                    let name = import.name.name.to_owned();
                    let known = ALLOWED_IMPORTS.contains(&name.as_str())
                        && matches!(import.ty, ComponentTypeRef::Instance(_));
                    if !known {
                        found.forbidden_imports.push(name.clone());
                    }
                    found.imports.push(name);
                }
            }
            Payload::ComponentExportSection(exports) if depth == 0 => {
                for export in exports {
                    let export = export.map_err(|error| error.message().to_owned())?;
                    let name = export.name.name;
                    if export.kind == ComponentExternalKind::Instance {
                        if let Some(phase) = Phase::ALL
                            .into_iter()
                            .find(|phase| export_of(*phase) == name)
                        {
                            found.phases.push(phase);
                        }
                        found.takes_settings |= name == CONFIGURATION;
                    }
                    found.exports.push(name.to_owned());
                }
            }
            Payload::CustomSection(section) if depth == 0 && section.name() == SECTION => {
                manifests += 1;
                found.manifest = if manifests > 1 {
                    Err(ManifestError::Repeated)
                } else {
                    Manifest::parse(section.data())
                };
            }
            _ => {}
        }
    }
    if found.shape.is_none() && !found.exports.iter().all(|name| is_known(&types, name)) {
        found.shape = Some("exports something that is neither a phase nor its configuration");
    }
    Ok(found)
}

/// Whether the host knows what is exported under that name, and the export is that
/// and nothing beside: through anything else, a handle could leave its component.
fn is_known(types: &wasmparser::types::Types, name: &str) -> bool {
    let function = if name == CONFIGURATION {
        "configure"
    } else if Phase::ALL.into_iter().any(|phase| export_of(phase) == name) {
        "handle"
    } else {
        return false;
    };
    let item = types.as_ref().component_item_for_export(name);
    let Some(ComponentEntityType::Instance(instance)) = item.map(|item| item.ty) else {
        return false;
    };
    types[instance]
        .exports
        .iter()
        .all(|(name, item)| match item.ty {
            ComponentEntityType::Type { .. } => true,
            ComponentEntityType::Func(_) => name == function,
            _ => false,
        })
}
