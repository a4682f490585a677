//! Any two texts as grants files: a set is the same as its own TOML, two sets differ
//! both ways or not at all, and each difference has words.
#![no_main]

use keyward::vault::Grants;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|texts: (&str, &str)| {
    let (Ok(old), Ok(new)) = (
        Grants::parse("old.toml", texts.0),
        Grants::parse("new.toml", texts.1),
    ) else {
        return;
    };
    let changes = new.diff(&old);
    assert_eq!(changes.is_empty(), old.diff(&new).is_empty());
    for change in &changes {
        assert!(change.parts.iter().any(|(_, words)| !words.is_empty()));
    }
    let again = Grants::parse("again.toml", &new.to_toml()).expect("it is what was read");
    assert!(again.diff(&new).is_empty() && new.diff(&again).is_empty());
});
