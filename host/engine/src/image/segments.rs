//! The data segments of a core module that has one memory of its own.

use wasmparser::{
    Data, DataKind, DataSectionReader, ExternalKind, Operator, Parser, Payload, TypeRef,
};

/// Zeros, or bytes that are right already, that are cheaper to copy than to skip.
pub(super) const SHORT_GAP: usize = 512;

/// A core module's memory, and what it is filled with.
pub(super) struct Memory<'a> {
    /// Pages of 64 KiB that it begins with.
    pub(super) pages: u64,
    /// The name under which the module exports it.
    pub(super) name: &'a str,
    /// Its segments by their offset, disjoint.
    pub(super) segments: Vec<(u32, &'a [u8])>,
}

/// The memory of a core module whose segments nobody can tell apart by their number;
/// none if it has none, or more than one, or imports one, or exports none.
pub(super) fn memory_of(module: &[u8]) -> Option<Memory<'_>> {
    let (mut pages, mut name, mut segments) = (None, None, Vec::new());
    for payload in Parser::new(0).parse_all(module) {
        match payload.ok()? {
            Payload::DataCountSection { .. } => return None,
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    if matches!(import.ok()?.ty, TypeRef::Memory(_)) {
                        return None;
                    }
                }
            }
            Payload::MemorySection(memories) => {
                for memory in memories {
                    let memory = memory.ok()?;
                    let plain = !memory.memory64 && !memory.shared;
                    let first = pages.replace(memory.initial).is_none();
                    if !plain || !first || memory.page_size_log2.is_some() {
                        return None;
                    }
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export.ok()?;
                    if export.kind == ExternalKind::Memory {
                        name = name.or(Some(export.name));
                    }
                }
            }
            Payload::DataSection(section) => segments = read(&section)?,
            _ => {}
        }
    }
    Some(Memory {
        pages: pages?,
        name: name?,
        segments,
    })
}

/// Code that names segments by their number needs them as they are, and a memory
/// that someone else made may hold something where the gaps are.
pub(super) fn may_join(parser: Parser, module: &[u8]) -> bool {
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
pub(super) fn read<'a>(section: &DataSectionReader<'a>) -> Option<Vec<(u32, &'a [u8])>> {
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

pub(super) fn constant_offset(datum: &Data<'_>) -> Option<u32> {
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

/// The segments, those across a short gap made one. The gaps are written as zeros,
/// which is what an instance's own memory holds before its segments.
pub(super) fn joined(segments: &[(u32, &[u8])]) -> Vec<(u32, Vec<u8>)> {
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
        joined.push((*offset, bytes.to_vec()));
    }
    joined
}
