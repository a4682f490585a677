//! Reads a component without running it: what it imports, exports and asks for.

use std::panic::catch_unwind;

use wasmparser::component_types::ComponentEntityType;
use wasmparser::types::Types;
use wasmparser::{
    ComponentExternalKind, ComponentTypeRef, Parser, Payload, Validator, WasmFeatures,
};

use crate::exchange::Phase;
use crate::manifest::{Manifest, ManifestError, SECTION};
use crate::profile::Profile;
use crate::shape;

/// Everything that a policy may import, by exact name and version.
pub(crate) const ALLOWED_IMPORTS: [&str; 10] = [
    "keyward:policy/exchange@0.1.0",
    "keyward:policy/variables@0.1.0",
    "keyward:policy/egress@0.1.0",
    "keyward:policy/secrets@0.1.0",
    "keyward:policy/counters@0.1.0",
    "keyward:policy/cache@0.1.0",
    "keyward:policy/concurrency@0.1.0",
    "keyward:policy/log@0.1.0",
    "keyward:policy/clock@0.1.0",
    "keyward:policy/random@0.1.0",
];

pub(crate) const CONFIGURATION: &str = "keyward:policy/configuration@0.1.0";

/// Bytes that a component may have.
pub(crate) const MOST_BYTES: usize = 16 << 20;
const PAGE_BYTES: u64 = 64 << 10;

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
    /// What it declares that a sandbox must have room for.
    pub declares: Declares,
}

/// What a component declares that a sandbox must have room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Declares {
    /// Bytes that its memories have at the start, together.
    pub memory_bytes: u64,
    /// Its memories.
    pub memories: u32,
    /// Elements that its tables have at the start, together.
    pub table_elements: u64,
    /// Its tables.
    pub tables: u32,
    /// Its core modules.
    pub core_modules: u32,
    /// Whether it has instructions that only the profile *large* carries out.
    pub large_instructions: bool,
}

impl Declares {
    /// The smallest profile that has room for it: *large* if none has.
    pub fn profile(&self) -> Profile {
        let has_room = |profile: &Profile| {
            self.memory_bytes <= profile.declared_bytes() && self.exceeds(*profile).is_none()
        };
        Profile::ALL
            .into_iter()
            .find(has_room)
            .unwrap_or(Profile::Large)
    }

    /// What that profile can't take; none if it takes everything.
    pub(crate) fn exceeds(&self, profile: Profile) -> Option<String> {
        let wide = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
        let counted = [
            (
                "bytes of memory",
                self.memory_bytes,
                wide(profile.memory_bytes()),
            ),
            (
                "table elements",
                self.table_elements,
                wide(profile.table_elements()),
            ),
            (
                "memories",
                u64::from(self.memories),
                u64::from(profile.memories()),
            ),
            (
                "tables",
                u64::from(self.tables),
                u64::from(profile.tables()),
            ),
            (
                "core modules",
                u64::from(self.core_modules),
                u64::from(profile.core_modules()),
            ),
        ];
        let more = counted
            .into_iter()
            .find(|(_, declared, most)| declared > most)
            .map(|(what, declared, most)| {
                format!("it declares {declared} {what}, which has {most}")
            });
        let instructions = self.large_instructions && profile != Profile::Large;
        more.or_else(|| {
            instructions
                .then(|| "it has SIMD instructions, tail calls or several memories".to_owned())
        })
    }
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
    let features = WasmFeatures::default();
    let small = features
        .difference(WasmFeatures::SIMD | WasmFeatures::MULTI_MEMORY | WasmFeatures::TAIL_CALL);
    let large_instructions = validated(component, small).is_err();
    let types = validated(component, features)?;

    let mut found = Inspection {
        imports: Vec::new(),
        exports: Vec::new(),
        phases: Vec::new(),
        takes_settings: false,
        manifest: Err(ManifestError::Missing),
        forbidden_imports: Vec::new(),
        shape: refused,
        declares: Declares {
            large_instructions,
            ..Declares::default()
        },
    };
    let declares = &mut found.declares;
    let mut depth = 0_usize;
    let mut manifests = 0_usize;
    for payload in Parser::new(0).parse_all(component) {
        match payload.map_err(|error| error.message().to_owned())? {
            Payload::ModuleSection { .. } => {
                depth += 1;
                declares.core_modules = declares.core_modules.saturating_add(1);
            }
            Payload::ComponentSection { .. } => depth += 1,
            Payload::MemorySection(memories) => {
                for memory in memories {
                    let memory = memory.map_err(|error| error.message().to_owned())?;
                    let bytes = memory.initial.saturating_mul(PAGE_BYTES);
                    declares.memories = declares.memories.saturating_add(1);
                    declares.memory_bytes = declares.memory_bytes.saturating_add(bytes);
                }
            }
            Payload::TableSection(tables) => {
                for table in tables {
                    let table = table.map_err(|error| error.message().to_owned())?;
                    let elements = table.ty.initial;
                    declares.tables = declares.tables.saturating_add(1);
                    declares.table_elements = declares.table_elements.saturating_add(elements);
                }
            }
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
    if found.declares.core_modules > Profile::Large.core_modules() {
        found.shape = Some("consists of too many core modules");
    }
    if found.shape.is_none() && !found.exports.iter().all(|name| is_known(&types, name)) {
        found.shape = Some("exports something that is neither a phase nor its configuration");
    }
    Ok(found)
}

/// The component's types, when it is valid.
///
/// The validator takes a few of its own limits for granted: types that hold each other
/// by name, deeper than it expects, end it with a panic.
fn validated(component: &[u8], features: WasmFeatures) -> Result<Types, String> {
    catch_unwind(|| Validator::new_with_features(features).validate_all(component))
        .map_err(|_| "the validator can't judge it".to_owned())?
        .map_err(|error| error.message().to_owned())
}

/// Whether the host knows what is exported under that name, and the export is that
/// and nothing beside: through anything else, a handle could leave its component.
fn is_known(types: &Types, name: &str) -> bool {
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
