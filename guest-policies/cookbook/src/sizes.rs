//! A recipe is read at a glance, or it is none.

use std::path::Path;

/// Lines of a recipe without its tests.
const RECIPE: usize = 64;
/// Lines of the function that decides.
const DECISION: usize = 25;

#[test]
fn recipes_are_short_and_their_decisions_shorter() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        seen += 1;
        let text = std::fs::read_to_string(&path).unwrap();
        let (recipe, _) = text.split_once("\n#[cfg(test)]").unwrap();
        let lines: Vec<&str> = recipe.lines().collect();
        assert!(
            lines.len() <= RECIPE,
            "{}: {} lines",
            path.display(),
            lines.len()
        );
        for (number, line) in lines.iter().enumerate() {
            if line.starts_with("fn ") && line.contains("-> Decision") {
                let length = lines[number..]
                    .iter()
                    .position(|line| *line == "}")
                    .unwrap();
                assert!(
                    length < DECISION,
                    "{}: `{line}`: {length} lines",
                    path.display()
                );
            }
        }
    }
    assert_eq!(seen, 17);
}
