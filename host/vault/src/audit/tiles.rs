//! Where things lie in a trail's directory, and the form of an entry bundle.
//!
//! Paths and forms are those of C2SP tlog-tiles, so that tools for transparency
//! logs can read a trail. One file is our own: the bundle that is still growing
//! has its final path with `.tail` appended, and gets its name by a rename when
//! its 256th entry is in it.

use std::fmt;

use super::tree::{Hash, TILE_WIDTH};

/// The largest entry, in bytes: its length is written in 16 bits.
pub(crate) const MAX_ENTRY_BYTES: usize = u16::MAX as usize;

/// A file of an audit trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrailFile {
    /// The newest signed checkpoint.
    Checkpoint,
    /// A full bundle: 256 entries, from entry `256 * index`.
    Bundle {
        /// The bundle's place.
        index: u64,
    },
    /// The bundle that is still growing. Entries are appended here, and only here.
    Tail {
        /// The place that it will have as a bundle.
        index: u64,
    },
    /// The first entries of the growing bundle, as a trail leaves them when it is
    /// closed.
    PartialBundle {
        /// The bundle's place.
        index: u64,
        /// How many entries: 1 to 255.
        width: u8,
    },
    /// A full tile of hashes: 256 of them, 32 bytes each.
    Tile {
        /// 0 for leaf hashes; a tile of level n + 1 has the roots of 256 full
        /// tiles of level n.
        level: u8,
        /// The tile's place in its level.
        index: u64,
    },
    /// The first hashes of a growing tile, as a trail leaves them when it is closed.
    PartialTile {
        /// The tile's level.
        level: u8,
        /// The tile's place in its level.
        index: u64,
        /// How many hashes: 1 to 255.
        width: u8,
    },
}

impl TrailFile {
    /// The path below the trail's directory, with `/` between its parts.
    pub fn path(&self) -> String {
        match *self {
            Self::Checkpoint => "checkpoint".to_owned(),
            Self::Bundle { index } => format!("tile/entries/{}", Digits(index)),
            Self::Tail { index } => format!("tile/entries/{}.tail", Digits(index)),
            Self::PartialBundle { index, width } => {
                format!("tile/entries/{}.p/{width}", Digits(index))
            }
            Self::Tile { level, index } => format!("tile/{level}/{}", Digits(index)),
            Self::PartialTile {
                level,
                index,
                width,
            } => format!("tile/{level}/{}.p/{width}", Digits(index)),
        }
    }
}

impl TrailFile {
    /// The file with this path below the trail's directory, if it is one.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        if path == "checkpoint" {
            return Some(Self::Checkpoint);
        }
        let (kind, place) = path.strip_prefix("tile/")?.split_once('/')?;
        let level = match kind {
            "entries" => None,
            level => Some(level.parse().ok()?),
        };
        let (digits, width) = match place.split_once(".p/") {
            Some((digits, width)) => (digits, Some(width.parse().ok().filter(|w| *w > 0)?)),
            None => (place, None),
        };
        let tail = digits.strip_suffix(".tail");
        let index = tail
            .unwrap_or(digits)
            .split('/')
            .try_fold(0u64, |sum, group| {
                let digits = group.strip_prefix('x').unwrap_or(group);
                sum.checked_mul(1000)?.checked_add(digits.parse().ok()?)
            })?;
        let file = match (level, width, tail.is_some()) {
            (None, None, true) => Self::Tail { index },
            (None, None, false) => Self::Bundle { index },
            (None, Some(width), false) => Self::PartialBundle { index, width },
            (Some(level), None, false) => Self::Tile { level, index },
            (Some(level), Some(width), false) => Self::PartialTile {
                level,
                index,
                width,
            },
            _ => return None,
        };
        // One file has one spelling.
        (file.path() == path).then_some(file)
    }
}

impl fmt::Display for TrailFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path())
    }
}

/// An index as path elements of three digits, all but the last after an `x`.
struct Digits(u64);

impl fmt::Display for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut groups = Vec::new();
        let mut rest = self.0;
        loop {
            groups.push(rest % 1000);
            rest /= 1000;
            if rest == 0 {
                break;
            }
        }
        for (place, group) in groups.iter().enumerate().rev() {
            if place == 0 {
                write!(f, "{group:03}")?;
            } else {
                write!(f, "x{group:03}/")?;
            }
        }
        Ok(())
    }
}

/// Appends an entry to a bundle: its length in 16 bits, big-endian, then its
/// bytes. The entry is at most [`MAX_ENTRY_BYTES`] long: records are bounded
/// when they are made.
pub(crate) fn push_entry(bundle: &mut Vec<u8>, entry: &[u8]) {
    debug_assert!(entry.len() <= MAX_ENTRY_BYTES);
    let length = u16::try_from(entry.len()).unwrap_or(u16::MAX);
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
}

/// The whole entries at the start of a bundle's bytes.
pub(crate) struct Entries<'a> {
    rest: &'a [u8],
}

/// The entries of a bundle, one after the other; ends at the first one that is
/// not whole, and [`Entries::rest`] then gives the bytes that are left.
pub(crate) fn entries(bundle: &[u8]) -> Entries<'_> {
    Entries { rest: bundle }
}

impl<'a> Entries<'a> {
    /// What has not been read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.rest.split_first_chunk::<2>()?;
        let (entry, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        self.rest = rest;
        Some(entry)
    }
}

/// The hashes of a tile file: `None` if its length is not a multiple of 32 or it
/// has more than 256.
pub(crate) fn tile_hashes(bytes: &[u8]) -> Option<Vec<Hash>> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    (rest.is_empty() && hashes.len() as u64 <= TILE_WIDTH).then(|| hashes.to_vec())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    #[test]
    fn paths_are_those_of_tlog_tiles() {
        let path = |index| TrailFile::Bundle { index }.path();
        assert_eq!(path(0), "tile/entries/000");
        assert_eq!(path(999), "tile/entries/999");
        assert_eq!(path(1000), "tile/entries/x001/000");
        assert_eq!(path(1_234_067), "tile/entries/x001/x234/067");
        let tile = TrailFile::Tile {
            level: 1,
            index: 1_234_067,
        };
        assert_eq!(tile.path(), "tile/1/x001/x234/067");
        let partial = TrailFile::PartialTile {
            level: 0,
            index: 273,
            width: 112,
        };
        assert_eq!(partial.to_string(), "tile/0/273.p/112");
        assert_eq!(
            TrailFile::Tail { index: 1234 }.path(),
            "tile/entries/x001/234.tail"
        );
        assert_eq!(
            TrailFile::PartialBundle { index: 2, width: 7 }.path(),
            "tile/entries/002.p/7"
        );
        for path in [
            "checkpoint",
            "tile/entries/000",
            "tile/entries/x001/x234/067",
            "tile/entries/x001/234.tail",
            "tile/entries/002.p/7",
            "tile/1/x001/x234/067",
            "tile/0/273.p/112",
        ] {
            assert_eq!(TrailFile::parse(path).unwrap().path(), path);
        }
        for path in [
            "",
            "checkpoint.new",
            "tile/entries/000.new",
            "tile/entries/1",
            "tile/entries/x000/001",
            "tile/entries/000.p/0",
            "tile/0/000.tail",
            "tile/256/000",
            "tile/entries/+01",
            "tile//000",
        ] {
            assert_eq!(TrailFile::parse(path), None, "{path}");
        }
    }

    #[test]
    fn a_bundle_reads_back_and_leaves_what_is_not_whole() {
        let mut bundle = Vec::new();
        push_entry(&mut bundle, b"one");
        push_entry(&mut bundle, b"");
        assert_eq!(bundle, b"\x00\x03one\x00\x00");
        bundle.extend_from_slice(&[0x00, 0x05, b'x']);
        let mut read = entries(&bundle);
        assert_eq!(read.by_ref().collect::<Vec<_>>(), [&b"one"[..], b""]);
        assert_eq!(read.rest(), [0x00, 0x05, b'x']);
        assert!(entries(&[7]).next().is_none());
    }
}
