//! What a core module brings with it: the shape of its memory, and the schema of
//! its settings.

use serde_json::Value;
use wasm_encoder::{Module, RawSection};
use wasmparser::{Operator, Parser, Payload};

use crate::encode::EncodeError;

/// The custom section in which the SDK leaves the schema of a policy's settings.
const SETTINGS: &str = "keyward:settings";
const PAGE_BYTES: u64 = 64 * 1024;

/// The first memory of a core module, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// The whole initial memory.
    pub total: u64,
    /// The stack, from address 0.
    pub stack: u64,
    /// What is left after the data: the arena for allocations.
    pub arena: u64,
}

impl Memory {
    /// Reads the layout from the module's memory, its exported `__heap_base` and the
    /// initial value of its stack pointer.
    pub(crate) fn of(module: &[u8]) -> Result<Self, EncodeError> {
        let mut total = 0;
        let mut globals = Vec::new();
        let mut heap_base = None;
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::MemorySection(section) => {
                    for memory in section {
                        total = memory?.initial.saturating_mul(PAGE_BYTES);
                    }
                }
                Payload::GlobalSection(section) => {
                    for global in section {
                        let mut operators = global?.init_expr.get_operators_reader();
                        globals.push(match operators.read()? {
                            Operator::I32Const { value } => u64::from(value.cast_unsigned()),
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
        Ok(Self {
            total,
            stack,
            arena: total.saturating_sub(used),
        })
    }

    /// What the constants and statics take.
    #[must_use]
    pub fn data(&self) -> u64 {
        self.total.saturating_sub(self.stack + self.arena)
    }
}

/// Takes the schema of the settings out of a module: it goes into the manifest, and
/// has no business in the code.
pub(crate) fn take_schema(module: &[u8]) -> Result<(Vec<u8>, Option<Value>), EncodeError> {
    let mut rest = Module::new();
    let mut schema = None;
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload?;
        if let Payload::CustomSection(section) = &payload
            && section.name() == SETTINGS
        {
            // Settings of a type without a schema.
            if section.data().is_empty() {
                continue;
            }
            let read: Value = serde_json::from_slice(section.data())
                .map_err(|error| EncodeError::Schema(error.to_string()))?;
            if schema.replace(read).is_some() {
                return Err(EncodeError::TwoSchemas);
            }
            continue;
        }
        if let Some((id, range)) = payload.as_section() {
            rest.section(&RawSection {
                id,
                data: module.get(range).unwrap_or_default(),
            });
        }
    }
    Ok((rest.finish(), schema))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn module(text: &str) -> Vec<u8> {
        wat::parse_str(format!("(module {text})")).unwrap()
    }

    #[test]
    fn the_schema_goes_out_of_the_module_and_the_rest_stays() {
        let text = r#"(memory 1) (@custom "other" "kept") (func (export "f"))"#;
        let plain = module(text);
        let with = module(&format!(
            r#"{text} (@custom "keyward:settings" "{{\"type\":\"object\"}}")"#
        ));
        assert_eq!(take_schema(&plain).unwrap(), (plain.clone(), None));
        let (rest, schema) = take_schema(&with).unwrap();
        assert_eq!(rest, plain);
        assert_eq!(schema.unwrap()["type"], "object");
    }

    #[test]
    fn a_schema_that_is_none_and_a_second_one_are_refused() {
        let one = r#"(@custom "keyward:settings" "{}")"#;
        let refused = take_schema(&module(&format!("{one}{one}"))).unwrap_err();
        assert!(matches!(refused, EncodeError::TwoSchemas), "{refused}");
        let refused = take_schema(&module(r#"(@custom "keyward:settings" "{")"#)).unwrap_err();
        assert!(matches!(refused, EncodeError::Schema(_)), "{refused}");
    }
}
