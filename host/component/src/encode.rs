//! From a core module to a component: encoding, manifest, and a look at what came
//! out.

use wasm_encoder::ComponentSection as _;
use wasmparser::{BinaryReaderError, Parser, Payload};
use wit_component::{ComponentEncoder, DecodedWasm};

use crate::manifest::Manifest;
use crate::module::{self, Memory};

/// The custom section that holds a policy's manifest.
const MANIFEST: &str = "keyward:manifest";
/// The package, and its version, that a policy may import from.
const PACKAGE: (&str, &str) = ("keyward:policy/", "@0.1.0");
const CONFIGURATION: &str = "configuration";
/// Exports, in the order in which an exchange meets them.
const ORDER: [&str; 5] = [CONFIGURATION, "inbound", "backend", "outbound", "on-error"];

/// A finished component, and what is worth knowing about it.
#[derive(Clone, Debug)]
pub struct Component {
    /// The component.
    pub bytes: Vec<u8>,
    /// Its phases, and `configuration` where it takes settings.
    pub exports: Vec<String>,
    /// The interfaces that it imports, without package and version.
    pub imports: Vec<String>,
    /// How its memory is laid out.
    pub memory: Memory,
    /// The manifest, as it is embedded.
    pub manifest: Manifest,
}

/// Why a module can't become a policy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// It is no WebAssembly.
    #[error("it is not a WebAssembly module")]
    Malformed(#[from] BinaryReaderError),
    /// The encoder refuses it.
    #[error("it can't be made a component: {0}")]
    Encoder(String),
    /// It reaches for something that no policy has.
    #[error(
        "it imports `{0}`, which no policy can reach: a dependency brings it in; \
         `cargo tree` shows which there are"
    )]
    Import(String),
    /// It exports something that the host does not know.
    #[error("it exports `{0}`, which is neither a phase nor its configuration")]
    Export(String),
    /// There is no decision in it.
    #[error("it exports no phase; is there a `policy! {{ inbound: decide }}`?")]
    NoPhase,
    /// The code brings a section of the manifest's name.
    #[error("the code brings a section `{MANIFEST}` of its own")]
    OwnManifest,
    /// The schema of its settings is no JSON.
    #[error("the schema of its settings is malformed: {0}")]
    Schema(String),
    /// It has the settings of two policies.
    #[error("it has the settings of two policies: a crate has one `policy!`")]
    TwoSchemas,
    /// There is no core module in a component.
    #[error("it has no code")]
    NoCode,
    /// The manifest can't be written.
    #[error("its manifest can't be written: {0}")]
    Manifest(#[from] serde_json::Error),
}

/// Makes a component of a core module and puts the manifest into it, with the
/// schema of the settings that the module brings.
///
/// # Errors
/// It does not validate, imports something outside the contract, has no phase, or
/// has a manifest already.
pub fn encode(module: &[u8], manifest: &Manifest) -> Result<Component, EncodeError> {
    let memory = Memory::of(module)?;
    let (module, schema) = module::take_schema(module)?;
    let mut manifest = manifest.clone();
    if schema.is_some() {
        manifest.settings = schema;
    }
    let section = serde_json::to_vec(&manifest)?;
    let mut bytes = ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| EncodeError::Encoder(format!("{error:#}")))?;
    wasm_encoder::CustomSection {
        name: MANIFEST.into(),
        data: section.as_slice().into(),
    }
    .append_to_component(&mut bytes);
    check_manifest(&bytes, &section)?;
    let (imports, exports) = interfaces(&bytes)?;
    if !exports.iter().any(|export| export != CONFIGURATION) {
        return Err(EncodeError::NoPhase);
    }
    Ok(Component {
        bytes,
        exports,
        imports,
        memory,
        manifest,
    })
}

/// The manifest is there once, at the top level, as it was written.
fn check_manifest(component: &[u8], manifest: &[u8]) -> Result<(), EncodeError> {
    let mut depth = 0_u32;
    let mut found = 0_u32;
    for payload in Parser::new(0).parse_all(component) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CustomSection(section) if section.name() == MANIFEST => {
                if depth != 0 || section.data() != manifest {
                    return Err(EncodeError::OwnManifest);
                }
                found += 1;
            }
            _ => {}
        }
    }
    match found {
        1 => Ok(()),
        _ => Err(EncodeError::OwnManifest),
    }
}

/// The short names of the interfaces that a component imports and exports.
fn interfaces(component: &[u8]) -> Result<(Vec<String>, Vec<String>), EncodeError> {
    let decoded = wit_component::decode(component)
        .map_err(|error| EncodeError::Encoder(format!("{error:#}")))?;
    let DecodedWasm::Component(resolve, world) = decoded else {
        return Err(EncodeError::Encoder("it became something else".to_owned()));
    };
    let world = &resolve.worlds[world];
    let short = |key: &wit_parser::WorldKey| -> Result<String, String> {
        let full = resolve.name_world_key(key);
        full.strip_prefix(PACKAGE.0)
            .and_then(|rest| rest.strip_suffix(PACKAGE.1))
            .map(str::to_owned)
            .ok_or(full)
    };
    let imports: Result<Vec<_>, _> = world.imports.keys().map(short).collect();
    let exports: Result<Vec<_>, _> = world.exports.keys().map(short).collect();
    let mut imports = imports.map_err(EncodeError::Import)?;
    let mut exports = exports.map_err(EncodeError::Export)?;
    imports.sort();
    exports.sort_by_key(|export| ORDER.iter().position(|name| name == export));
    Ok((imports, exports))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const CONTRACT: &str = "
        package keyward:policy@0.1.0;
        interface clock { now: func() -> u64; }
        interface inbound { handle: func() -> u32; }
        world policy { import clock; export inbound; }
        world idle { import clock; }
    ";
    const MODULE: &str = r#"
        (import "keyward:policy/clock@0.1.0" "now" (func (result i64)))
        (func (export "keyward:policy/inbound@0.1.0#handle") (result i32) i32.const 0)
        (memory (export "memory") 1)
        (global (mut i32) (i32.const 16384))
        (global (export "__heap_base") i32 (i32.const 20480))
    "#;

    /// A module with the component types of a world, as a policy's build leaves it.
    fn module(contract: &str, world: &str, text: &str) -> Vec<u8> {
        let mut resolve = wit_parser::Resolve::default();
        let package = resolve.push_str("contract.wit", contract).unwrap();
        let world = resolve.select_world(&[package], Some(world)).unwrap();
        let mut module = wat::parse_str(format!("(module {text})")).unwrap();
        wit_component::embed_component_metadata(
            &mut module,
            &resolve,
            world,
            wit_component::StringEncoding::UTF8,
        )
        .unwrap();
        module
    }

    fn manifest() -> Manifest {
        Manifest {
            name: "p".to_owned(),
            version: "0.1.0".to_owned(),
            description: "Tests.".to_owned(),
            asks: Vec::new(),
            runs_documents: false,
            settings: None,
        }
    }

    #[test]
    fn a_component_carries_its_manifest_once_and_tells_its_memory() {
        let built = encode(&module(CONTRACT, "policy", MODULE), &manifest()).unwrap();
        assert_eq!(built.imports, ["clock"]);
        assert_eq!(built.exports, ["inbound"]);
        assert_eq!(
            built.memory,
            Memory {
                total: 65_536,
                stack: 16_384,
                arena: 45_056
            }
        );
        assert_eq!(built.memory.data(), 4_096);
        let section = serde_json::to_vec(&manifest()).unwrap();
        assert!(check_manifest(&built.bytes, &section).is_ok());
        assert!(check_manifest(&built.bytes, b"another").is_err());
    }

    #[test]
    fn the_schema_that_the_code_brings_stands_in_the_manifest_and_nowhere_else() {
        let text =
            format!("{MODULE} (@custom \"keyward:settings\" \"{{\\\"title\\\":\\\"mine\\\"}}\")");
        let built = encode(&module(CONTRACT, "policy", &text), &manifest()).unwrap();
        assert_eq!(built.manifest.settings.unwrap()["title"], "mine");
        let found = built.bytes.windows(4).filter(|part| *part == b"mine");
        assert_eq!(found.count(), 1);
    }

    #[test]
    fn code_can_not_bring_a_manifest_of_its_own() {
        let text = format!("{MODULE} (@custom \"keyward:manifest\" \"mine\")");
        let refused = encode(&module(CONTRACT, "policy", &text), &manifest()).unwrap_err();
        assert!(matches!(refused, EncodeError::OwnManifest), "{refused}");
    }

    #[test]
    fn an_import_from_elsewhere_is_refused_and_named() {
        let contract = "
            package other:place@0.1.0;
            interface files { open: func() -> u64; }
            interface inbound { handle: func() -> u32; }
            world policy { import files; export inbound; }
        ";
        let text = MODULE
            .replace(
                "keyward:policy/clock@0.1.0\" \"now",
                "other:place/files@0.1.0\" \"open",
            )
            .replace("keyward:policy/inbound", "other:place/inbound");
        let refused = encode(&module(contract, "policy", &text), &manifest()).unwrap_err();
        assert!(
            refused.to_string().contains("other:place/files@0.1.0"),
            "{refused}"
        );
    }

    #[test]
    fn a_component_without_a_phase_is_refused() {
        let text = MODULE.replace("(export \"keyward:policy/inbound@0.1.0#handle\")", "");
        let refused = encode(&module(CONTRACT, "idle", &text), &manifest()).unwrap_err();
        assert!(matches!(refused, EncodeError::NoPhase), "{refused}");
    }
}
