//! Any two texts as grants files: a set is the same as its own TOML, and what
//! widens one way is there.
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
    new.diff(&old);
    let again = Grants::parse("again.toml", &new.to_toml()).expect("it is what was read");
    assert!(again.diff(&new).is_empty() && new.diff(&again).is_empty());
});
