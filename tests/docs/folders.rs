//! The page that says what is proved where has a row for each folder, and for no other.

use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn each_folder_of_tests_has_a_row_that_says_what_it_proves() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders: BTreeSet<String> = std::fs::read_dir(here)
        .unwrap()
        .map(Result::unwrap)
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    assert!(folders.len() > 20, "{folders:?}");
    let page = std::fs::read_to_string(here.join("README.md")).unwrap();
    let rows: Vec<String> = page
        .lines()
        .filter_map(|line| {
            let (name, proves) = line.strip_prefix("| `")?.split_once("/` | ")?;
            assert!(proves.len() > 20, "{line}");
            Some(name.to_owned())
        })
        .collect();
    assert_eq!(rows.len(), folders.len(), "a folder has one row: {rows:?}");
    assert_eq!(rows.into_iter().collect::<BTreeSet<_>>(), folders);
}
