//! Counters of functions, as `llvm-cov export` writes them, and what they say about
//! one policy.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// What was counted in one program.
#[derive(Deserialize)]
pub(crate) struct Export {
    data: Vec<Data>,
}

#[derive(Deserialize)]
struct Data {
    functions: Vec<Function>,
}

#[derive(Deserialize)]
struct Function {
    /// Mangled.
    name: String,
    filenames: Vec<PathBuf>,
    /// Line and column of the start, of the end, how often, which file, which file it
    /// expands to, and its kind.
    regions: Vec<[u64; 8]>,
}

/// How many of how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share {
    reached: usize,
    all: usize,
}

/// How much of a policy's code was reached.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Covered {
    pub(crate) functions: Share,
    pub(crate) regions: Share,
    pub(crate) lines: Share,
    /// Lines that were not: `lib.rs:12-14`.
    pub(crate) missed: Vec<String>,
}

/// A place in a file: line and column.
type Place = (u64, u64);

/// A stretch of code, and how often it was reached.
type Regions = BTreeMap<(Place, Place), u64>;

/// The kind of a region that is code, not an expansion, a gap or a branch.
const CODE: u64 = 0;

impl Share {
    fn of(reached: impl Iterator<Item = bool>) -> Self {
        let mut share = Self::default();
        for reached in reached {
            share.all += 1;
            share.reached += usize::from(reached);
        }
        share
    }

    /// Whether there is nothing of which this is a share.
    pub(crate) fn is_of_nothing(self) -> bool {
        self.all == 0
    }

    /// Per cent; 100 of nothing.
    #[expect(clippy::cast_precision_loss, reason = "counts of lines")]
    pub(crate) fn percent(self) -> f64 {
        match self.all {
            0 => 100.0,
            all => 100.0 * self.reached as f64 / all as f64,
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.reached, self.all)
    }
}

impl Export {
    /// What was reached of the code below a folder, or in a file; tests do not count.
    ///
    /// Errors: a source that was compiled can't be read.
    pub(crate) fn covered(&self, sources: &Path) -> Result<Covered> {
        // By where a function stands: it may be there once for each type.
        let mut functions: BTreeMap<(PathBuf, Place), Regions> = BTreeMap::new();
        for function in self.data.iter().flat_map(|data| &data.functions) {
            let Some(file) = function.filenames.first() else {
                continue;
            };
            let file = plain(file);
            if !file.starts_with(sources) || is_test(&function.name) {
                continue;
            }
            let code = function
                .regions
                .iter()
                .filter(|region| region[7] == CODE && region[5] == 0);
            let code: Vec<_> = code
                .map(|[line, column, to_line, to_column, count, ..]| {
                    (((*line, *column), (*to_line, *to_column)), *count)
                })
                .collect();
            let Some(start) = code.iter().map(|((start, _), _)| *start).min() else {
                continue;
            };
            let known = functions.entry((file, start)).or_default();
            for (region, count) in code {
                *known.entry(region).or_default() += count;
            }
        }
        let reached = functions
            .values()
            .map(|regions| regions.values().any(|count| *count > 0));
        let mut covered = Covered {
            functions: Share::of(reached),
            ..Covered::default()
        };
        let mut files: BTreeMap<PathBuf, Regions> = BTreeMap::new();
        for ((file, _), regions) in functions {
            files.entry(file).or_default().extend(regions);
        }
        for (file, regions) in files {
            let text = fs::read_to_string(&file)
                .with_context(|| format!("can't read {}", file.display()))?;
            covered.add(&file, &text, &regions);
        }
        Ok(covered)
    }
}

/// A path without `..`: a module's path may go up from its parent's.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

/// Whether a mangled name has a module `tests` in it.
fn is_test(name: &str) -> bool {
    name.contains("5tests")
}

impl Covered {
    fn add(&mut self, file: &Path, text: &str, regions: &Regions) {
        let share = Share::of(regions.values().map(|count| *count > 0));
        self.regions.reached += share.reached;
        self.regions.all += share.all;
        let mut missed = BTreeSet::new();
        for (number, line) in (1..).zip(text.lines()) {
            let code = line.trim_start();
            let is_code = code.starts_with(|first: char| !"/}])".contains(first));
            let column = (line.len() - code.len()) as u64 + 1;
            let Some(count) = reached(regions, (number, column)).filter(|_| is_code) else {
                continue;
            };
            self.lines.all += 1;
            if count > 0 {
                self.lines.reached += 1;
            } else {
                missed.insert(number);
            }
        }
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        self.missed
            .extend(ranges(&missed).map(|range| format!("{name}:{range}")));
    }
}

/// How often a place was reached: as often as the innermost region around it. None if
/// there is none.
fn reached(regions: &Regions, place: Place) -> Option<u64> {
    regions
        .iter()
        .filter(|((start, end), _)| *start <= place && place < *end)
        .max_by_key(|((start, end), _)| (*start, std::cmp::Reverse(*end)))
        .map(|(_, count)| *count)
}

/// `3 4 5 9` as `3-5` and `9`.
fn ranges(numbers: &BTreeSet<u64>) -> impl Iterator<Item = String> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    ranges.into_iter().map(|(first, last)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn lines_regions_and_functions_are_counted_without_the_tests() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lib.rs");
        fs::write(&file, "fn decide() {\n    if a {\n        b();\n    }\n    c();\n}\nfn never() {\n    d();\n}\nmod tests {}\n").unwrap();
        let function = |name: &str, regions: &[[u64; 5]]| {
            let regions: Vec<[u64; 8]> = regions
                .iter()
                .map(|[a, b, c, d, count]| [*a, *b, *c, *d, *count, 0, 0, 0])
                .collect();
            // As a module of a folder beside this one is named.
            let file = folder.path().join("src/../lib.rs");
            serde_json::json!({"name": name, "filenames": [file], "regions": regions})
        };
        let export: Export = serde_json::from_value(serde_json::json!({"data": [{"functions": [
            function("_Rs_6decide", &[[1, 1, 6, 2, 3], [3, 9, 3, 12, 0]]),
            function("_Rs_6decide_again", &[[1, 1, 6, 2, 1], [3, 9, 3, 12, 0]]),
            function("_Rs_5never", &[[7, 1, 9, 2, 0]]),
            function("_Rs_5tests_3one", &[[10, 1, 10, 12, 1]]),
        ]}]}))
        .unwrap();
        let covered = export.covered(folder.path()).unwrap();
        assert_eq!(covered.functions, Share { reached: 1, all: 2 });
        assert_eq!(covered.regions, Share { reached: 1, all: 3 });
        assert_eq!(covered.lines, Share { reached: 3, all: 6 });
        assert_eq!(covered.missed, ["lib.rs:3", "lib.rs:7-8"]);
        let elsewhere = export.covered(&folder.path().join("other")).unwrap();
        assert_eq!(elsewhere, Covered::default());
        assert!(elsewhere.functions.is_of_nothing());
    }
}
