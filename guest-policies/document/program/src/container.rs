//! A program's outer form: `KWDP`, a version, and a table of sections.
//!
//! Each entry of the table has a section's kind (`u16`), its length in bytes
//! (`u32`), all little-endian; the sections follow in the table's order. A reader
//! ignores no kind: one that it does not know is an error, since a program that is
//! run in part would be another program.

use alloc::vec::Vec;

use crate::Invalid;

/// What a section holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Section {
    /// [`Expressions`](crate::Expressions).
    Expressions,
    /// [`Statements`](crate::Statements).
    Statements,
}

impl Section {
    fn number(self) -> u16 {
        match self {
            Self::Expressions => 1,
            Self::Statements => 2,
        }
    }

    fn of(number: u16) -> Option<Self> {
        match number {
            1 => Some(Self::Expressions),
            2 => Some(Self::Statements),
            _ => None,
        }
    }
}

const MAGIC: [u8; 4] = *b"KWDP";
/// Changes with every change of what any section holds.
const VERSION: u16 = 3;
/// Sections in one program, at most.
const MAX_SECTIONS: usize = 16;

/// Puts sections together. At most 16 of them, each below 4 GiB; what is beyond
/// is left out, and [`read`] refuses what comes of it.
pub fn write(sections: &[(Section, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(
        &u16::try_from(sections.len())
            .unwrap_or(u16::MAX)
            .to_le_bytes(),
    );
    for (section, bytes) in sections {
        out.extend_from_slice(&section.number().to_le_bytes());
        out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    }
    for (_, bytes) in sections {
        out.extend_from_slice(bytes);
    }
    out
}

/// The sections of a program. Errors: it is none, or one of another version; a
/// section is unknown or there twice; the lengths don't add up.
pub fn read(bytes: &[u8]) -> Result<Vec<(Section, &[u8])>, Invalid> {
    let rest = bytes.strip_prefix(&MAGIC).ok_or(Invalid::Format)?;
    let (version, rest) = rest.split_first_chunk().ok_or(Invalid::Length)?;
    if u16::from_le_bytes(*version) != VERSION {
        return Err(Invalid::Format);
    }
    let (count, mut rest) = rest.split_first_chunk().ok_or(Invalid::Length)?;
    let count = usize::from(u16::from_le_bytes(*count));
    if count > MAX_SECTIONS {
        return Err(Invalid::Limit);
    }
    let mut table = Vec::with_capacity(count);
    for _ in 0..count {
        let (kind, after) = rest.split_first_chunk().ok_or(Invalid::Length)?;
        let (length, after) = after.split_first_chunk().ok_or(Invalid::Length)?;
        let section = Section::of(u16::from_le_bytes(*kind)).ok_or(Invalid::Format)?;
        if table.iter().any(|(other, _)| *other == section) {
            return Err(Invalid::Format);
        }
        table.push((section, u32::from_le_bytes(*length)));
        rest = after;
    }
    let mut sections = Vec::with_capacity(count);
    for (section, length) in table {
        let length = usize::try_from(length).map_err(|_| Invalid::Length)?;
        let (payload, after) = rest.split_at_checked(length).ok_or(Invalid::Length)?;
        sections.push((section, payload));
        rest = after;
    }
    if rest.is_empty() {
        Ok(sections)
    } else {
        Err(Invalid::Length)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;
    use alloc::vec;

    #[test]
    fn what_is_written_is_read() {
        let bytes = write(&[(Section::Expressions, vec![1, 2, 3])]);
        assert_eq!(
            read(&bytes).unwrap(),
            [(Section::Expressions, &[1_u8, 2, 3][..])]
        );
        for length in 0..bytes.len() {
            assert!(read(bytes.get(..length).unwrap()).is_err(), "{length}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert_eq!(read(&longer), Err(Invalid::Length));
        let twice = write(&[
            (Section::Expressions, vec![]),
            (Section::Expressions, vec![]),
        ]);
        assert_eq!(read(&twice), Err(Invalid::Format));
    }
}
