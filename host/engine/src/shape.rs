//! The structure of a component, looked at before anything else reads it.
//!
//! Those who read a component after this (the validator, the instrumentation, the
//! compiler) follow its nesting with their own stack, and the end of that stack is
//! the end of the process. This walk has no recursion, and what it passes is nested
//! a few levels at most.

use wasmparser::{
    BinaryReader, BinaryReaderError, ComponentType, ComponentTypeDeclaration, Encoding, Parser,
    Payload,
};

/// Components and modules inside of each other, the outermost not counted.
const MOST_DEPTH: usize = 4;
/// Types of components and instances inside of each other.
const MOST_TYPE_DEPTH: usize = 16;

/// What about a component is not accepted, if anything.
///
/// Errors: it can't be read, or is nested so deeply that nobody should read on.
pub(crate) fn refused(component: &[u8]) -> Result<Option<&'static str>, String> {
    let mut refused = None;
    // For each level that is open, whether it is a component.
    let mut open = Vec::new();
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload.map_err(said)?;
        let inner = open.len() > 1;
        match payload {
            Payload::Version { encoding, .. } => {
                if open.is_empty() && encoding != Encoding::Component {
                    return Err("it is a core module".to_owned());
                }
                open.push(encoding);
            }
            Payload::End(_) => _ = open.pop(),
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. }
                if open.len() > MOST_DEPTH =>
            {
                return Err(format!(
                    "it nests components more than {MOST_DEPTH} levels deep"
                ));
            }
            // A second program inside would be a place to pass a handle on to. The
            // components that the tools nest rename types and functions, no more.
            Payload::ModuleSection { .. }
            | Payload::InstanceSection(_)
            | Payload::ComponentCanonicalSection(_)
                if inner =>
            {
                refused = Some("contains a component with code of its own");
            }
            Payload::ComponentTypeSection(types) => {
                let bytes = component.get(types.range()).unwrap_or_default();
                if !nests_within(bytes, MOST_TYPE_DEPTH).map_err(said)? {
                    return Err(format!(
                        "it nests types more than {MOST_TYPE_DEPTH} levels deep"
                    ));
                }
                for defined in types {
                    // A guest's own resources live in tables that no limiter sees.
                    if matches!(defined.map_err(said)?, ComponentType::Resource { .. }) {
                        refused = Some("defines resource types of its own, which policies may not");
                    }
                }
            }
            _ => {}
        }
    }
    Ok(refused)
}

/// Whether the types of a section hold each other at most that deeply. Only types of
/// components and instances can hold others; all others name them by number.
fn nests_within(section: &[u8], most: usize) -> Result<bool, BinaryReaderError> {
    let mut reader = BinaryReader::new(section, 0);
    // For each level that is open, how many of its entries are still to come.
    let mut open = vec![reader.read_var_u32()?];
    while let Some(left) = open.last_mut() {
        let Some(rest) = left.checked_sub(1) else {
            open.pop();
            continue;
        };
        *left = rest;
        if open.len() > 1 {
            let is_type = reader.clone().read_u8()? == 0x01;
            if !is_type {
                reader.read::<ComponentTypeDeclaration<'_>>()?;
                continue;
            }
            reader.read_u8()?;
        }
        match reader.clone().read_u8()? {
            0x41 | 0x42 => {
                if open.len() > most {
                    return Ok(false);
                }
                reader.read_u8()?;
                open.push(reader.read_var_u32()?);
            }
            _ => _ = reader.read::<ComponentType<'_>>()?,
        }
    }
    Ok(true)
}

fn said(error: BinaryReaderError) -> String {
    error.message().to_owned()
}
