//! What counts in a configuration, and where it is written.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Config;
use super::keys::{KEYS, Key, NAMED, Shape, section_of};

/// A key with the value that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its section, as it is written: `[gateway]`, `[[route]]`.
    pub section: &'static str,
    /// Which of several sections: its name or its path.
    pub of: Option<String>,
    /// The key.
    pub key: &'static str,
    /// The value as it is, or would be, written. Named values stand there by name.
    pub value: String,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It is written in the file, on this line, counted from 1.
    File {
        /// The file.
        file: PathBuf,
        /// The line.
        line: usize,
    },
    /// Nothing is written: it is so by default.
    Default,
}

impl Config {
    /// Every key that is written or has a default, with the value that counts, in
    /// the order of the list of keys, and of several sections in the file's order.
    pub fn shown(&self) -> Vec<Shown> {
        // It has been parsed before: what can't be parsed again is not shown.
        let (table, _) = DeTable::parse_recoverable(&self.source);
        let mut all = Vec::new();
        let mut rest = KEYS;
        while let Some(first) = rest.first() {
            let same = |key: &&Key| key.section == first.section;
            let (section, after) = rest.split_at(rest.iter().take_while(same).count());
            rest = after;
            for (place, (name, table)) in tables(&table, first.section).into_iter().enumerate() {
                let of = name.or_else(|| table.and_then(|table| name_of(table, place)));
                for key in section {
                    all.extend(self.show(key, table, of.clone()));
                }
            }
        }
        all
    }

    /// The files that the configuration is made of, itself first: grants and their
    /// lock, documents, components, certificates. Without those that are the
    /// gateway's own to change, and those whose path holds a named value.
    pub fn files(&self) -> Vec<PathBuf> {
        let base = self.file.parent().unwrap_or(Path::new(""));
        let mut files = vec![self.file.clone()];
        for shown in self.shown() {
            let path = |key: &&Key| {
                (key.section, key.name) == (shown.section, shown.key)
                    && matches!(key.shape, Shape::Path | Shape::Paths)
            };
            let own = ["[vault]", "[audit]", "[control]", "[engine]"].contains(&shown.section);
            // Nor is what sources hold: it is asked for on their schedule.
            let own = own || (shown.section.starts_with("[sources.") && shown.key != "ca-file");
            let written = shown.origin != Origin::Default;
            if own || !written || !KEYS.iter().any(|key| path(&key)) {
                continue;
            }
            let paths = unquoted(&shown.value).into_iter();
            for path in paths.filter(|path| !path.contains("{{")) {
                let path = base.join(path);
                if shown.key == "fragments" {
                    files.extend(super::documents::xml_files(&path));
                }
                files.push(path);
            }
        }
        files.extend(crate::grants::lock_path(self));
        files
    }

    fn show(&self, key: &Key, table: Option<&DeTable<'_>>, of: Option<String>) -> Option<Shown> {
        let written = table.and_then(|table| table.get(key.name));
        let (value, origin) = match written {
            Some(value) => {
                let Range { start, end } = value.span();
                let text = self.source.get(start..end)?.to_owned();
                let before = self.source.get(..start)?;
                let line = before.matches('\n').count().saturating_add(1);
                let file = self.file.clone();
                (text, Origin::File { file, line })
            }
            None => (key.default?.to_owned(), Origin::Default),
        };
        Some(Shown {
            section: key.section,
            of,
            key: key.name,
            value,
            origin,
        })
    }
}

/// A table, and its name if the file gives it one.
type Named<'a, 'i> = (Option<String>, Option<&'a DeTable<'i>>);

/// The tables of a section. One that there can be once is shown even if it is not
/// written.
fn tables<'a, 'i>(root: &'a Spanned<DeTable<'i>>, title: &str) -> Vec<Named<'a, 'i>> {
    let (path, many) = section_of(title);
    // A table within one of several is there as often as those are.
    let many = many
        || path.contains(&NAMED)
        || KEYS
            .iter()
            .any(|key| section_of(key.section) == (path.iter().take(1).copied().collect(), true));
    let mut found: Vec<(Option<String>, &'a DeTable<'i>)> = vec![(None, root.get_ref())];
    for name in path {
        let mut inside = Vec::new();
        for (of, table) in found {
            if name == NAMED {
                for (name, value) in table.iter() {
                    if let DeValue::Table(table) = value.get_ref() {
                        inside.push((Some(name.get_ref().to_string()), table));
                    }
                }
                continue;
            }
            match table.get(name).map(Spanned::get_ref) {
                Some(DeValue::Table(table)) => inside.push((of, table)),
                Some(DeValue::Array(items)) => {
                    inside.extend(items.iter().filter_map(|item| match item.get_ref() {
                        DeValue::Table(table) => Some((of.clone(), table)),
                        _ => None,
                    }))
                }
                _ => {}
            }
        }
        found = inside;
    }
    match (found.as_slice(), many) {
        ([], false) => vec![(None, None)],
        _ => found
            .into_iter()
            .map(|(of, table)| (of, Some(table)))
            .collect(),
    }
}

/// The text of a TOML string as it is written, or those of an array.
fn unquoted(written: &str) -> Vec<String> {
    let text = |value: &DeValue<'_>| match value {
        DeValue::String(text) => Some(text.to_string()),
        _ => None,
    };
    match DeValue::parse(written).as_ref().map(Spanned::get_ref) {
        Ok(DeValue::Array(items)) => items
            .iter()
            .filter_map(|item| text(item.get_ref()))
            .collect(),
        Ok(value) => text(value).into_iter().collect(),
        Err(_) => Vec::new(),
    }
}

/// What a section of several is called.
fn name_of(table: &DeTable<'_>, place: usize) -> Option<String> {
    let text = ["name", "path"]
        .iter()
        .find_map(|key| match table.get(*key)?.get_ref() {
            DeValue::String(text) => Some(text.to_string()),
            _ => None,
        });
    text.or_else(|| (place > 0).then(|| (place + 1).to_string()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use std::path::Path;

    use super::*;

    const FILE: &str = "[gateway]\nlisten = \"127.0.0.1:1\"\n\n[[route]]\nname = \"a\"\nurl = \"http://127.0.0.1:2\"\n[[route]]\nname = \"b\"\nurl = \"http://127.0.0.1:3\"\nresponse-timeout-ms = 5\n";

    #[test]
    fn what_counts_is_shown_with_its_line_or_as_a_default() {
        let config = Config::parse(Path::new("k.toml"), FILE).unwrap();
        let shown = config.shown();
        let of = |section: &str, of: Option<&str>, key: &str| {
            let same = |shown: &&Shown| {
                shown.section == section && shown.of.as_deref() == of && shown.key == key
            };
            let found: Vec<_> = shown.iter().filter(same).collect();
            assert!(found.len() < 2, "{section} {key}");
            found.first().map(|shown| {
                let origin = match &shown.origin {
                    Origin::File { line, .. } => line.to_string(),
                    Origin::Default => "default".to_owned(),
                };
                format!("{} {origin}", shown.value)
            })
        };
        let has =
            |found: Option<String>, expected: &str| assert_eq!(found.as_deref(), Some(expected));
        has(of("[gateway]", None, "listen"), "\"127.0.0.1:1\" 2");
        has(of("[gateway]", None, "watch"), "false default");
        has(of("[audit]", None, "durability"), "\"strict\" default");
        has(of("[[route]]", Some("b"), "response-timeout-ms"), "5 10");
        has(
            of("[[route]]", Some("a"), "url"),
            "\"http://127.0.0.1:2\" 6",
        );
        has(
            of("[[route]]", Some("a"), "response-timeout-ms"),
            "60000 default",
        );
        assert_eq!(of("[[route]]", Some("a"), "ca-file"), None);
        assert_eq!(
            of("[[policy]]", None, "settings"),
            None,
            "there is no policy"
        );
    }
}
