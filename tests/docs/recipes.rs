//! The cookbook's index names each recipe, in its own words, and nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::folder;

#[test]
fn the_index_of_recipes_is_complete() {
    let index = fs::read_to_string(folder().join("cookbook.md")).unwrap();
    let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-policies/cookbook/recipes");
    let mut there = BTreeSet::new();
    for entry in fs::read_dir(recipes).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let suite = path.with_extension("test.toml");
            assert!(suite.exists(), "{name} has no suite");
            there.insert(name);
        }
    }
    let named: BTreeSet<String> = index
        .lines()
        .filter_map(|line| line.strip_prefix("| [`")?.split_once('`'))
        .map(|(name, _)| name.to_owned())
        .collect();
    assert_eq!(named, there);
    assert_eq!(there.len(), 17);
}
