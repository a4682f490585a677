//! Fewer, larger data segments.
//!
//! A snapshot of memory comes as hundreds of small data segments, one for each
//! run of bytes between a few zeros, and each of them is copied for each call of
//! a policy. Joined across short gaps they cost one copy. The gaps are written as
//! zeros, which is what an instance's own memory holds before its segments.

use std::convert::Infallible;

use wasm_encoder::reencode::{self, Reencode, ReencodeComponent, component_utils};
use wasm_encoder::{Component, ConstExpr, DataSection};
use wasmparser::{Data, DataKind, DataSectionReader, Operator, Parser, Payload, TypeRef};

/// Zeros that are cheaper to copy than to skip.
const SHORT_GAP: usize = 512;

/// The component with its data segments joined. None if it can't be read, which a
/// valid component always can.
pub(crate) fn join_segments(component: &[u8]) -> Option<Vec<u8>> {
    let mut joined = Component::new();
    Joiner { joins: false }
        .parse_component(&mut joined, Parser::new(0), component)
        .ok()?;
    Some(joined.finish())
}

struct Joiner {
    /// Whether the core module under way may have its segments joined.
    joins: bool,
}

impl Reencode for Joiner {
    type Error = Infallible;

    fn parse_data_section(
        &mut self,
        data: &mut DataSection,
        section: DataSectionReader<'_>,
    ) -> Result<(), reencode::Error> {
        let segments = if self.joins { read(&section) } else { None };
        match segments.map(joined) {
            Some(segments) => {
                for (offset, bytes) in segments {
                    data.active(0, &ConstExpr::i32_const(offset.cast_signed()), bytes);
                }
                Ok(())
            }
            None => reencode::utils::parse_data_section(self, data, section),
        }
    }
}

impl ReencodeComponent for Joiner {
    fn parse_component_submodule(
        &mut self,
        component: &mut Component,
        parser: Parser,
        module: &[u8],
    ) -> Result<(), reencode::Error> {
        self.joins = may_join(parser.clone(), module);
        component_utils::parse_component_submodule(self, component, parser, module)
    }
}

/// Code that names segments by their number needs them as they are, and a memory
/// that someone else made may hold something where the gaps are.
fn may_join(parser: Parser, module: &[u8]) -> bool {
    for payload in parser.parse_all(module) {
        match payload {
            Err(_) | Ok(Payload::DataCountSection { .. }) => return false,
            Ok(Payload::ImportSection(imports)) => {
                let memory = imports.into_imports().any(|import| {
                    import.is_ok_and(|import| matches!(import.ty, TypeRef::Memory(_)))
                });
                if memory {
                    return false;
                }
            }
            Ok(_) => {}
        }
    }
    true
}

/// The segments by their offset; none if one of them is not at a constant place in
/// the only memory, or two overlap.
fn read<'a>(section: &DataSectionReader<'a>) -> Option<Vec<(u32, &'a [u8])>> {
    let mut segments = Vec::new();
    for datum in section.clone() {
        let datum = datum.ok()?;
        // Without a count section no code can name a segment, and one that waits to
        // be named is superfluous. A snapshot turns the original ones into such.
        if !matches!(datum.kind, DataKind::Passive) {
            segments.push((constant_offset(&datum)?, datum.data));
        }
    }
    segments.sort_by_key(|(offset, _)| *offset);
    let disjoint = segments.windows(2).all(|pair| match pair {
        [(first, bytes), (second, _)] => end(*first, bytes) <= Some(*second),
        _ => true,
    });
    let bounded = segments
        .iter()
        .all(|(offset, bytes)| end(*offset, bytes).is_some());
    (disjoint && bounded).then_some(segments)
}

fn constant_offset(datum: &Data<'_>) -> Option<u32> {
    let DataKind::Active {
        memory_index: 0,
        offset_expr,
    } = &datum.kind
    else {
        return None;
    };
    let mut operators = offset_expr.get_operators_reader();
    let Ok(Operator::I32Const { value }) = operators.read() else {
        return None;
    };
    matches!(operators.read(), Ok(Operator::End)).then(|| value.cast_unsigned())
}

fn end(offset: u32, bytes: &[u8]) -> Option<u32> {
    offset.checked_add(u32::try_from(bytes.len()).ok()?)
}

fn joined(segments: Vec<(u32, &[u8])>) -> Vec<(u32, Vec<u8>)> {
    let mut joined: Vec<(u32, Vec<u8>)> = Vec::new();
    for (offset, bytes) in segments {
        if let Some((start, collected)) = joined.last_mut() {
            let gap = end(*start, collected).and_then(|end| offset.checked_sub(end));
            let gap = gap.and_then(|gap| usize::try_from(gap).ok());
            if let Some(gap) = gap.filter(|gap| *gap <= SHORT_GAP) {
                collected.resize(collected.len() + gap, 0);
                collected.extend_from_slice(bytes);
                continue;
            }
        }
        joined.push((offset, bytes.to_vec()));
    }
    joined
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]
    use super::*;

    /// The offsets and bytes of all data segments of a component.
    fn segments(component: &[u8]) -> Vec<(u32, Vec<u8>)> {
        let mut found = Vec::new();
        for payload in Parser::new(0).parse_all(component) {
            if let Payload::DataSection(section) = payload.unwrap() {
                for datum in section {
                    let datum = datum.unwrap();
                    found.push((
                        constant_offset(&datum).unwrap_or(u32::MAX),
                        datum.data.to_vec(),
                    ));
                }
            }
        }
        found
    }

    fn after(module: &str) -> Vec<(u32, Vec<u8>)> {
        let component = wat::parse_str(format!("(component (core module {module}))")).unwrap();
        let joined = join_segments(&component).unwrap();
        wasmparser::Validator::new().validate_all(&joined).unwrap();
        segments(&joined)
    }

    #[test]
    fn segments_across_a_short_gap_become_one() {
        let module = r#"(memory 1) (data "") (data (i32.const 8) "b") (data (i32.const 2) "a") (data (i32.const 9000) "c")"#;
        let expected = vec![(2, b"a\0\0\0\0\0b".to_vec()), (9000, b"c".to_vec())];
        assert_eq!(after(module), expected);
    }

    #[test]
    fn segments_that_overlap_or_are_named_or_lie_in_anothers_memory_stay_as_they_are() {
        let overlapping = r#"(memory 1) (data (i32.const 2) "abc") (data (i32.const 3) "x")"#;
        assert_eq!(
            after(overlapping),
            [(2, b"abc".to_vec()), (3, b"x".to_vec())]
        );
        let named = r#"(memory 1) (data (i32.const 2) "a") (data (i32.const 4) "b")
            (func (data.drop 1))"#;
        assert_eq!(after(named), [(2, b"a".to_vec()), (4, b"b".to_vec())]);
        let imported =
            r#"(import "m" "m" (memory 1)) (data (i32.const 2) "a") (data (i32.const 4) "b")"#;
        assert_eq!(after(imported), [(2, b"a".to_vec()), (4, b"b".to_vec())]);
        let far = r#"(memory 1) (data (i32.const -1) "a") (data (i32.const 4) "b")"#;
        assert_eq!(after(far), [(u32::MAX, b"a".to_vec()), (4, b"b".to_vec())]);
    }
}
