//! From a core module to a component: encoding, manifest, and a look at what
//! came out.

use anyhow::{Context as _, Result, bail};
use wasm_encoder::ComponentSection as _;
use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, DecodedWasm};

/// The custom section that holds a policy's manifest.
const MANIFEST: &str = "keyward:manifest";
/// The package, and its version, that a policy may import from.
const PACKAGE: (&str, &str) = ("keyward:policy/", "@0.1.0");
const CONFIGURATION: &str = "configuration";
/// Exports, in the order in which an exchange meets them.
const ORDER: [&str; 5] = [CONFIGURATION, "inbound", "backend", "outbound", "on-error"];

/// A finished component, and what is worth knowing about it.
pub(crate) struct Built {
    /// The component.
    pub(crate) bytes: Vec<u8>,
    /// Its phases, and `configuration` where it takes settings.
    pub(crate) exports: Vec<String>,
    /// The interfaces that it imports.
    pub(crate) imports: Vec<String>,
    /// How its memory is laid out.
    pub(crate) memory: Memory,
}

/// The first memory of a core module, in bytes.
#[derive(Debug, PartialEq)]
pub(crate) struct Memory {
    /// The whole initial memory.
    pub(crate) total: u64,
    /// The stack, from address 0.
    pub(crate) stack: u64,
    /// What is left after the data: the arena for allocations.
    pub(crate) arena: u64,
}

/// Makes a component of a core module and puts the manifest into it.
///
/// Errors: it does not validate, imports something outside the contract, or
/// already has a manifest.
pub(crate) fn build(module: &[u8], manifest: &[u8]) -> Result<Built> {
    let memory = memory(module).context("can't read the module's memory")?;
    let mut bytes = ComponentEncoder::default()
        .validate(true)
        .module(module)
        .context("can't read the module's component types")?
        .encode()
        .context("can't make a component of the module")?;
    wasm_encoder::CustomSection {
        name: MANIFEST.into(),
        data: manifest.into(),
    }
    .append_to_component(&mut bytes);
    check_manifest(&bytes, manifest)?;
    let (imports, exports) = interfaces(&bytes)?;
    if !exports.iter().any(|export| export != CONFIGURATION) {
        bail!("it exports no phase; is there a `policy! {{ inbound: … }}`?");
    }
    Ok(Built {
        bytes,
        exports,
        imports,
        memory,
    })
}

/// The manifest is there once, at the top level, as it was written.
fn check_manifest(component: &[u8], manifest: &[u8]) -> Result<()> {
    let mut depth = 0_u32;
    let mut found = 0_u32;
    for payload in Parser::new(0).parse_all(component) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CustomSection(section) if section.name() == MANIFEST => {
                if depth != 0 || section.data() != manifest {
                    bail!("the code brings a section `{MANIFEST}` of its own");
                }
                found += 1;
            }
            _ => {}
        }
    }
    match found {
        1 => Ok(()),
        _ => bail!("the component has {found} sections `{MANIFEST}` instead of one"),
    }
}

/// The short names of the interfaces that a component imports and exports.
fn interfaces(component: &[u8]) -> Result<(Vec<String>, Vec<String>)> {
    let DecodedWasm::Component(resolve, world) = wit_component::decode(component)? else {
        bail!("what was encoded is not a component");
    };
    let world = &resolve.worlds[world];
    let short = |key: &wit_parser::WorldKey| -> Result<String> {
        let full = resolve.name_world_key(key);
        full.strip_prefix(PACKAGE.0)
            .and_then(|rest| rest.strip_suffix(PACKAGE.1))
            .map(str::to_owned)
            .with_context(|| {
                format!(
                    "`{full}` is outside `{}*{}`: a policy can't reach it; a dependency brings it in",
                    PACKAGE.0, PACKAGE.1
                )
            })
    };
    let mut imports = world
        .imports
        .keys()
        .map(short)
        .collect::<Result<Vec<_>>>()?;
    let mut exports = world
        .exports
        .keys()
        .map(short)
        .collect::<Result<Vec<_>>>()?;
    imports.sort();
    exports.sort_by_key(|export| ORDER.iter().position(|name| name == export));
    Ok((imports, exports))
}

/// Reads the layout from the module's memory and its exported `__heap_base` and
/// the initial value of its stack pointer.
fn memory(module: &[u8]) -> Result<Memory> {
    let mut total = 0;
    let mut globals = Vec::new();
    let mut heap_base = None;
    for payload in Parser::new(0).parse_all(module) {
        match payload? {
            Payload::MemorySection(section) => {
                for memory in section {
                    total = memory?.initial * 64 * 1024;
                }
            }
            Payload::GlobalSection(section) => {
                for global in section {
                    let mut operators = global?.init_expr.get_operators_reader();
                    globals.push(match operators.read()? {
                        wasmparser::Operator::I32Const { value } => {
                            u64::from(value.cast_unsigned())
                        }
                        _ => 0,
                    });
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export?;
                    if export.name == "__heap_base" {
                        heap_base = globals.get(export.index as usize).copied();
                    }
                }
            }
            _ => {}
        }
    }
    // The stack pointer is the linker's first global; the stack lies first.
    let stack = globals.first().copied().unwrap_or(0);
    let used = heap_base.unwrap_or(total);
    Ok(Memory {
        total,
        stack,
        arena: total.saturating_sub(used),
    })
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

    #[test]
    fn a_component_carries_its_manifest_once_and_tells_its_memory() {
        let built = build(&module(CONTRACT, "policy", MODULE), b"{\"name\":\"p\"}").unwrap();
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
        assert!(check_manifest(&built.bytes, b"{\"name\":\"p\"}").is_ok());
        assert!(check_manifest(&built.bytes, b"another").is_err());
    }

    #[test]
    fn code_can_not_bring_a_manifest_of_its_own() {
        let text = format!("{MODULE} (@custom \"keyward:manifest\" \"mine\")");
        assert!(build(&module(CONTRACT, "policy", &text), b"{}").is_err());
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
        let refused = build(&module(contract, "policy", &text), b"{}")
            .err()
            .unwrap();
        assert!(
            refused.to_string().contains("other:place/files@0.1.0"),
            "{refused}"
        );
    }

    #[test]
    fn a_component_without_a_phase_is_refused() {
        let text = MODULE.replace("(export \"keyward:policy/inbound@0.1.0#handle\")", "");
        assert!(build(&module(CONTRACT, "idle", &text), b"{}").is_err());
    }
}
