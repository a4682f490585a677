//! What a configured component has in common with others of the same component, and
//! what is its own.
//!
//! Settings change nothing but the memory that instances start from. So the code is
//! compiled once, of a component whose memory is as it was before `configure`, and
//! what `configure` changed goes into a core module of its own that has data and no
//! code. The common component imports that module and instantiates it last of all.

use std::convert::Infallible;

use wasm_encoder::reencode::{self, Reencode, ReencodeComponent, component_utils};
use wasm_encoder::{
    Alias, Component, ComponentAliasSection, ComponentImportSection, ComponentTypeRef, ConstExpr,
    CoreTypeSection, DataSection, EntityType, ExportKind, ImportSection, InstanceSection,
    MemoryType, Module, ModuleArg, ModuleType,
};
use wasmparser::{DataSectionReader, Instance, Parser, Payload};

use super::outline::Outline;
use super::segments::{Memory, SHORT_GAP, joined, memory_of};

/// The name under which the common component imports what is each one's own.
pub(crate) const IMPORT: &str = "image";
/// The name of the memory, for the module that is imported.
const MEMORY: &str = "memory";
const PAGE_BYTES: u64 = 64 << 10;
/// Bytes of memory above which each keeps code of its own: larger images are mapped and
/// not copied.
const MOST_BYTES: u64 = 16 << 20;

/// A configured component in two parts.
pub(crate) struct Split {
    /// The component without its settings, which imports what is its own.
    pub(crate) common: Vec<u8>,
    /// A core module that writes what the settings changed into the memory.
    pub(crate) own: Vec<u8>,
}

/// Splits a component: `before` is what it was, `after` with its settings read. None if
/// its structure is not one that this is known for.
pub(crate) fn split(before: &[u8], after: &[u8]) -> Option<Split> {
    let outline = Outline::of(after)?;
    let (module, memory) = outline.memory()?;
    let original = *Outline::of(before)?.modules.get(module)?;
    let original = memory_of(original)?;
    let bytes = memory.pages.checked_mul(PAGE_BYTES)?;
    if bytes > MOST_BYTES || original.pages > memory.pages {
        return None;
    }
    let bytes = usize::try_from(bytes).ok()?;
    let own = own(
        memory.pages,
        &differences(&filled(&original, bytes)?, &filled(&memory, bytes)?)?,
    );
    let common = outline.common(after, module, &memory, &joined(&original.segments))?;
    Some(Split { common, own })
}

impl<'a> Outline<'a> {
    /// The only module that has data, and its memory.
    fn memory(&self) -> Option<(usize, Memory<'a>)> {
        let mut with_data = self.modules.iter().enumerate().filter(|(_, module)| {
            let mut payloads = Parser::new(0).parse_all(module);
            // A snapshot has a section in each, mostly an empty one.
            payloads.any(
                |payload| matches!(payload, Ok(Payload::DataSection(data)) if data.count() > 0),
            )
        });
        let (place, module) = with_data.next()?;
        if with_data.next().is_some() {
            return None;
        }
        Some((place, memory_of(module)?))
    }

    /// The component with these data in that module, and the import that brings what is
    /// each one's own.
    fn common(
        &self,
        component: &[u8],
        module: usize,
        memory: &Memory<'_>,
        data: &[(u32, Vec<u8>)],
    ) -> Option<Vec<u8>> {
        let index = u32::try_from(module).ok()?;
        let mut instances = self.instances.iter().enumerate().filter(|(_, one)| {
            matches!(one, Instance::Instantiate { module_index, .. } if *module_index == index)
        });
        let (instance, _) = instances.next()?;
        if instances.next().is_some() {
            return None;
        }
        let mut common = Component::new();
        Rewriter {
            passed: 0,
            module,
            data,
            here: false,
        }
        .parse_component(&mut common, Parser::new(0), component)
        .ok()?;

        let mut types = CoreTypeSection::new();
        let mut own = ModuleType::new();
        own.import(IMPORT, MEMORY, memory_of_pages(memory.pages));
        types.ty().module(&own);
        let mut imports = ComponentImportSection::new();
        imports.import(IMPORT, ComponentTypeRef::Module(self.core_types));
        let mut aliases = ComponentAliasSection::new();
        aliases.alias(Alias::CoreInstanceExport {
            instance: u32::try_from(instance).ok()?,
            kind: ExportKind::Memory,
            name: memory.name,
        });
        let mut instances = InstanceSection::new();
        let own = u32::try_from(self.modules.len()).ok()?;
        let memory = u32::try_from(self.memories.len()).ok()?;
        instances.export_items([(MEMORY, ExportKind::Memory, memory)]);
        let argument = ModuleArg::Instance(u32::try_from(self.instances.len()).ok()?);
        instances.instantiate(own, [(IMPORT, argument)]);
        common.section(&types).section(&imports);
        common.section(&aliases).section(&instances);
        Some(common.finish())
    }
}

/// Replaces the data of one module.
struct Rewriter<'a> {
    passed: usize,
    module: usize,
    data: &'a [(u32, Vec<u8>)],
    here: bool,
}

impl Reencode for Rewriter<'_> {
    type Error = Infallible;

    fn parse_data_section(
        &mut self,
        data: &mut DataSection,
        section: DataSectionReader<'_>,
    ) -> Result<(), reencode::Error> {
        if !self.here {
            return reencode::utils::parse_data_section(self, data, section);
        }
        write(data, self.data);
        Ok(())
    }
}

impl ReencodeComponent for Rewriter<'_> {
    fn parse_component_submodule(
        &mut self,
        component: &mut Component,
        parser: Parser,
        module: &[u8],
    ) -> Result<(), reencode::Error> {
        self.here = self.passed == self.module;
        self.passed += 1;
        component_utils::parse_component_submodule(self, component, parser, module)
    }
}

fn write(data: &mut DataSection, segments: &[(u32, Vec<u8>)]) {
    for (offset, bytes) in segments {
        let offset = ConstExpr::i32_const(offset.cast_signed());
        data.active(0, &offset, bytes.iter().copied());
    }
}

/// What a memory holds before any code runs.
fn filled(memory: &Memory<'_>, bytes: usize) -> Option<Vec<u8>> {
    let mut filled = vec![0; bytes];
    for (offset, bytes) in &memory.segments {
        let start = usize::try_from(*offset).ok()?;
        let place = filled.get_mut(start..start.checked_add(bytes.len())?)?;
        place.copy_from_slice(bytes);
    }
    Some(filled)
}

/// Where two memories of the same size differ, and what the second has there.
fn differences(before: &[u8], after: &[u8]) -> Option<Vec<(u32, Vec<u8>)>> {
    let mut found: Vec<(u32, Vec<u8>)> = Vec::new();
    // The end of the last difference.
    let mut end = 0;
    for (place, (was, is)) in before.iter().zip(after).enumerate() {
        if was == is {
            continue;
        }
        match found.last_mut() {
            Some((_, bytes)) if place - end <= SHORT_GAP => {
                bytes.extend_from_slice(after.get(end..=place)?);
            }
            _ => found.push((u32::try_from(place).ok()?, vec![*is])),
        }
        end = place + 1;
    }
    Some(found)
}

/// A core module that writes these bytes into the memory that it is given.
fn own(pages: u64, segments: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let mut imports = ImportSection::new();
    imports.import(IMPORT, MEMORY, memory_of_pages(pages));
    let mut data = DataSection::new();
    write(&mut data, segments);
    let mut module = Module::new();
    module.section(&imports).section(&data);
    module.finish()
}

fn memory_of_pages(minimum: u64) -> EntityType {
    EntityType::Memory(MemoryType {
        minimum,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]
    use super::*;

    fn component(fields: &str) -> Vec<u8> {
        let text = format!(
            r#"(component (core module $M (memory (export "m") 1) {fields})
            (core instance (instantiate $M)) (core module $N (func)))"#
        );
        wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"))
    }

    fn own_segments(split: &Split) -> Vec<(u32, Vec<u8>)> {
        let payloads = Parser::new(0).parse_all(&split.own);
        let mut found = Vec::new();
        for payload in payloads {
            if let Payload::DataSection(section) = payload.unwrap() {
                let read = super::super::segments::read(&section).unwrap();
                found.extend(read.iter().map(|(at, bytes)| (*at, bytes.to_vec())));
            }
        }
        found
    }

    #[test]
    fn what_differs_is_each_ones_own_and_the_rest_is_common() {
        let before = component(r#"(data (i32.const 8) "what it begins with")"#);
        let one = component(
            r#"(data (i32.const 8) "What it begins with") (data (i32.const 9000) "one")"#,
        );
        let other = component(r#"(data (i32.const 8) "\00hat it begins with")"#);
        let one = split(&before, &one).unwrap();
        let other = split(&before, &other).unwrap();
        assert_eq!(one.common, other.common);
        let expected = vec![(8, b"W".to_vec()), (9000, b"one".to_vec())];
        assert_eq!(own_segments(&one), expected);
        // What has become zeros is written, too.
        assert_eq!(own_segments(&other), [(8, vec![0])]);
        for part in [&one.common, &one.own] {
            wasmparser::Validator::new().validate_all(part).unwrap();
        }
        // Differences across a short gap are one.
        let near = component(r#"(data (i32.const 8) "What it begins With")"#);
        let near = split(&before, &near).unwrap();
        assert_eq!(own_segments(&near), [(8, b"What it begins W".to_vec())]);
    }

    #[test]
    fn what_is_not_data_alone_makes_another_common_part() {
        let before = component("(global (mut i32) (i32.const 0)) (data (i32.const 8) \"x\")");
        let zero = split(&before, &before).unwrap();
        let after = component("(global (mut i32) (i32.const 1)) (data (i32.const 8) \"x\")");
        let one = split(&before, &after).unwrap();
        assert_ne!(zero.common, one.common);
        assert_eq!(own_segments(&zero), []);
    }

    #[test]
    fn a_component_of_another_structure_stays_whole() {
        let whole = component(r#"(data (i32.const 8) "x")"#);
        assert!(split(&whole, &whole).is_some(), "the control");
        for other in [
            r#"(data $d "x") (func (data.drop $d)) (data (i32.const 8) "x")"#,
            r#"(data (i32.const 8) "xy") (data (i32.const 9) "x")"#,
            "",
        ] {
            let other = component(other);
            assert!(split(&other, &other).is_none());
        }
        let twice = wat::parse_str(
            r#"(component (core module $M (memory (export "m") 1) (data (i32.const 8) "x"))
            (core instance (instantiate $M)) (core instance (instantiate $M)))"#,
        );
        let twice = twice.unwrap();
        assert!(split(&twice, &twice).is_none());
        assert!(split(b"nothing", b"nothing").is_none());
    }
}
