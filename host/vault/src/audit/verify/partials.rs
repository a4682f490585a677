//! The partial forms that a close leaves, and files that have no place.

use std::io;
use std::path::Path;

use super::{TrailFault, Verifier, VerifyError};
use crate::audit::storage::partials;
use crate::audit::tiles::{TrailFile, entries, push_entry, tile_hashes};
use crate::audit::tree::{Hash, MAX_LEVELS, TILE_WIDTH, root_of_edge, subtrees, width_at};

impl Verifier<'_> {
    /// The partial tile of leaves that belongs to the checkpoint, if a close has
    /// left one: where its hashes are, and they.
    pub(super) fn partial_leaves(&self, index: u64) -> Result<(TrailFile, Vec<Hash>), VerifyError> {
        let level = 0;
        let width = self.checkpoint.size % TILE_WIDTH;
        let file = TrailFile::PartialTile {
            level,
            index,
            width: u8::try_from(width).unwrap_or(0),
        };
        if self.checkpoint.size / TILE_WIDTH != index || width == 0 {
            return Ok((file, Vec::new()));
        }
        let hashes = self.read(file)?.and_then(|bytes| tile_hashes(&bytes));
        let whole = hashes.filter(|hashes| hashes.len() as u64 == width);
        Ok((file, whole.unwrap_or_default()))
    }

    /// The hashes of unfinished tiles at the checkpoint's size, level by level, if
    /// a close has left them and they give the signed root.
    fn signed_edge(&self) -> Result<Option<Vec<Vec<Hash>>>, VerifyError> {
        let size = self.checkpoint.size;
        let mut edge = Vec::new();
        for level in 0..MAX_LEVELS as u8 {
            let width = width_at(size, level);
            let file = TrailFile::PartialTile {
                level,
                index: subtrees(size, level) / TILE_WIDTH,
                width: u8::try_from(width).unwrap_or(0),
            };
            let row = match width {
                0 => Some(Vec::new()),
                _ => self.read(file)?.and_then(|bytes| tile_hashes(&bytes)),
            };
            match row {
                Some(row) if row.len() as u64 == width => edge.push(row),
                _ => return Ok(None),
            }
        }
        let root = root_of_edge(edge.clone());
        Ok((root == self.checkpoint.root).then_some(edge))
    }

    /// Where neither entries nor stored hashes give the signed root, and a close
    /// has left partial tiles that do: names the tiles that don't fit them.
    /// Returns whether there are any.
    pub(super) fn blame_tiles(&mut self) -> Result<bool, VerifyError> {
        let Some(edge) = self.signed_edge()? else {
            return Ok(false);
        };
        let mut found = false;
        for (level, row) in (0u8..).zip(&edge).skip(1) {
            let start = subtrees(self.checkpoint.size, level) - row.len() as u64;
            let stored = self.stored.edge(level).to_vec();
            for ((index, signed), stored) in (start..).zip(row).zip(stored) {
                if stored != *signed {
                    let level = level - 1;
                    let tile = TrailFile::Tile { level, index };
                    self.find(tile, None, TrailFault::HashChanged);
                    found = true;
                }
            }
        }
        Ok(found)
    }

    /// Compares the partial forms that a close has left with what they are part of.
    pub(super) fn check_partials(&mut self) -> Result<(), VerifyError> {
        let size = self.tree.size();
        // Those that give the signed root are right, whatever else is wrong.
        let signed = self.signed_edge()?.is_some();
        let covered = self.checkpoint.size;
        let by_hashes = self
            .roots
            .is_some_and(|(_, stored)| stored == self.checkpoint.root);
        let tree = if by_hashes { &self.stored } else { &self.tree }.clone();
        for level in 0..MAX_LEVELS as u8 {
            let index = subtrees(size, level) / TILE_WIDTH;
            for width in self.widths(Some(level), index)? {
                let of_checkpoint = u64::from(width) == width_at(covered, level)
                    && index == subtrees(covered, level) / TILE_WIDTH;
                if signed && of_checkpoint {
                    continue;
                }
                let file = TrailFile::PartialTile {
                    level,
                    index,
                    width,
                };
                let start = tree.edge(level).get(..usize::from(width));
                self.compare_partial(file, start.map(<[Hash]>::as_flattened))?;
            }
        }
        let Some((index, bytes)) = self.tail.take() else {
            return Ok(());
        };
        for width in self.widths(None, index)? {
            let mut start = Vec::new();
            let mut count = 0;
            for entry in entries(&bytes).take(usize::from(width)) {
                push_entry(&mut start, entry);
                count += 1;
            }
            let start = (count == width).then_some(start);
            let file = TrailFile::PartialBundle { index, width };
            self.compare_partial(file, start.as_deref())?;
        }
        Ok(())
    }

    fn compare_partial(
        &mut self,
        file: TrailFile,
        start: Option<&[u8]>,
    ) -> Result<(), VerifyError> {
        match self.read(file)? {
            // Removed since it was listed, because the full form is there.
            None => {}
            Some(bytes) if Some(bytes.as_slice()) == start => {}
            Some(_) => self.find(file, None, TrailFault::PartialDiffers),
        }
        Ok(())
    }

    /// The widths of the partial forms that are there.
    fn widths(&self, level: Option<u8>, index: u64) -> Result<Vec<u8>, VerifyError> {
        let path = self.directory.join(partials(level, index));
        let width = 1;
        let file = match level {
            Some(level) => TrailFile::PartialTile {
                level,
                index,
                width,
            },
            None => TrailFile::PartialBundle { index, width },
        };
        let failed = |source| VerifyError::File { file, source };
        let listing = match std::fs::read_dir(path) {
            Ok(listing) => listing,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut widths = Vec::new();
        for item in listing {
            let name = item.map_err(failed)?.file_name();
            let width = name.to_str().and_then(|name| name.parse::<u8>().ok());
            widths.extend(width.filter(|width| *width > 0));
        }
        widths.sort_unstable();
        Ok(widths)
    }

    /// Looks for files that are of a trail's form and have no place in this one:
    /// put back from an earlier state, or copied from elsewhere. Partial forms of
    /// what has become full may be there: a crash can leave them.
    pub(super) fn look_for_strays(&mut self) -> Result<(), VerifyError> {
        let mut files = Vec::new();
        list(self.directory, "tile", &mut files)?;
        let size = self.tree.size();
        let full = |level: u8, index: u64| index < subtrees(size, level.saturating_add(1));
        for file in files {
            match file {
                TrailFile::Bundle { index } if full(0, index) => {}
                TrailFile::Tail { index } if index == size / TILE_WIDTH => {}
                // Full, and about to get its name: a crash came between.
                TrailFile::Tail { index } if index + 1 == size / TILE_WIDTH => {
                    let bundle = TrailFile::Bundle { index };
                    if self.read(bundle)?.is_some() {
                        self.find(file, None, TrailFault::Stray);
                    }
                }
                TrailFile::Tile { level, index } if full(level, index) => {}
                TrailFile::PartialTile { level, index, .. } if full(level, index) => {
                    let whole = self.read(TrailFile::Tile { level, index })?;
                    self.compare_start(file, whole)?;
                }
                TrailFile::PartialBundle { index, width } if full(0, index) => {
                    let whole = self.read(TrailFile::Bundle { index })?;
                    let start = whole.map(|whole| {
                        let mut start = Vec::new();
                        let read = entries(&whole).take(usize::from(width));
                        read.for_each(|entry| push_entry(&mut start, entry));
                        start
                    });
                    self.compare_start(file, start)?;
                }
                // Those of what is growing are compared already.
                TrailFile::PartialTile { level, index, .. }
                    if index == subtrees(size, level) / TILE_WIDTH => {}
                TrailFile::PartialBundle { index, .. } if index == size / TILE_WIDTH => {}
                TrailFile::Checkpoint => {}
                _ => self.find(file, None, TrailFault::Stray),
            }
        }
        Ok(())
    }

    /// Compares a partial form with the full one, if that is there: a bundle may
    /// have been pruned.
    fn compare_start(&mut self, file: TrailFile, full: Option<Vec<u8>>) -> Result<(), VerifyError> {
        let (Some(full), Some(bytes)) = (full, self.read(file)?) else {
            return Ok(());
        };
        let width = match file {
            TrailFile::PartialTile { width, .. } => 32 * usize::from(width),
            _ => full.len(),
        };
        if full.get(..width) != Some(bytes.as_slice()) {
            self.find(file, None, TrailFault::PartialDiffers);
        }
        Ok(())
    }
}

/// The trail's files below a directory; others are without meaning.
fn list(root: &Path, below: &str, files: &mut Vec<TrailFile>) -> Result<(), VerifyError> {
    let file = TrailFile::Checkpoint;
    let failed = |source| VerifyError::File { file, source };
    let listing = match std::fs::read_dir(root.join(below)) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    for item in listing {
        let item = item.map_err(failed)?;
        let name = item.file_name();
        let Some(name) = name.to_str() else { continue };
        let path = format!("{below}/{name}");
        if item.file_type().map_err(failed)?.is_dir() {
            list(root, &path, files)?;
        } else {
            files.extend(TrailFile::parse(&path));
        }
    }
    files.sort_unstable();
    Ok(())
}
