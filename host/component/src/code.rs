//! What the code of a finished component is like, learnt without running it.

use wasmparser::{KnownCustom, Parser, Payload};

use crate::encode::EncodeError;
use crate::module::Memory;

/// The main core module of a component.
#[derive(Clone, Debug)]
pub struct Code<'c> {
    /// How its memory is laid out at the start.
    pub memory: Memory,
    /// The functions that it imports, each with its interface.
    pub imports: Vec<(&'c str, &'c str)>,
    /// Whether its functions have names, for reports about traps.
    pub has_names: bool,
    /// Bytes of information for debuggers.
    pub debug_bytes: usize,
    bytes: &'c [u8],
}

impl<'c> Code<'c> {
    /// Finds the code of a component: its first core module.
    ///
    /// # Errors
    /// The component is malformed, or has no code.
    pub fn of(component: &'c [u8]) -> Result<Self, EncodeError> {
        let module = Parser::new(0)
            .parse_all(component)
            .find_map(|payload| match payload {
                Ok(Payload::ModuleSection {
                    unchecked_range, ..
                }) => Some(Ok(unchecked_range)),
                Ok(_) => None,
                Err(error) => Some(Err(error)),
            })
            .ok_or(EncodeError::NoCode)??;
        let bytes = component.get(module).ok_or(EncodeError::NoCode)?;
        let mut code = Self {
            memory: Memory::of(bytes)?,
            imports: Vec::new(),
            has_names: false,
            debug_bytes: 0,
            bytes,
        };
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        let import = import?;
                        code.imports.push((import.module, import.name));
                    }
                }
                Payload::CustomSection(section) if section.name().starts_with(".debug_") => {
                    code.debug_bytes += section.data().len();
                }
                Payload::CustomSection(section) => {
                    code.has_names |= matches!(section.as_known(), KnownCustom::Name(_));
                }
                _ => {}
            }
        }
        Ok(code)
    }

    /// Whether a text stands somewhere in it.
    #[must_use]
    pub fn holds(&self, text: &str) -> bool {
        self.bytes
            .windows(text.len().max(1))
            .any(|part| part == text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn the_first_module_is_told_apart_from_those_that_encoding_adds() {
        let text = r#"(component
            (core module $main (import "place" "open" (func)) (memory 1) (data (i32.const 0) "alias")
                (func $named) (@custom ".debug_info" "12345"))
            (core module (import "other" "thing" (func)) (memory 2)))"#;
        let bytes = wat::parse_str(text).unwrap();
        let code = Code::of(&bytes).unwrap();
        assert_eq!(code.imports, [("place", "open")]);
        assert_eq!(code.memory.total, 65_536);
        assert_eq!(code.debug_bytes, 5);
        assert!(code.has_names);
        assert!(code.holds("alias") && !code.holds("thing"));
    }

    #[test]
    fn a_component_without_code_has_none() {
        let bytes = wat::parse_str("(component)").unwrap();
        assert!(matches!(Code::of(&bytes), Err(EncodeError::NoCode)));
    }
}
