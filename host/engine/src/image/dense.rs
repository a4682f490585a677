//! Fewer, larger data segments.
//!
//! A snapshot of memory comes as hundreds of small data segments, one for each
//! run of bytes between a few zeros, and each of them is copied for each call of
//! a policy. Joined across short gaps they cost one copy. The gaps are written as
//! zeros, which is what an instance's own memory holds before its segments.

use std::convert::Infallible;

use wasm_encoder::reencode::{self, Reencode, ReencodeComponent, component_utils};
use wasm_encoder::{Component, ConstExpr, DataSection};
use wasmparser::{DataSectionReader, Parser};

use super::segments::{joined, may_join, read};

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
        match segments.as_deref().map(joined) {
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]
    use wasmparser::Payload;

    use super::*;
    use crate::image::segments::constant_offset;

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
