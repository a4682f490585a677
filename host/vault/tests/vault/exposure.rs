//! `Secret::expose` is the one way to a value. Here is everyone who takes it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// File, number of calls outside its tests, and why.
const CALLERS: &[(&str, usize, &str)] = &[
    ("aead.rs", 1, "derives the key of one message"),
    ("certificate.rs", 1, "reads the key for one signature"),
    (
        "audit/checkpoint.rs",
        1,
        "makes the key that signs a checkpoint",
    ),
    ("certificate.rs", 1, "makes the key of one signature"),
    (
        "client_keys.rs",
        3,
        "hashes the keys of an import, and those that clients present",
    ),
    ("clients.rs", 1, "judges and hashes a client's new key"),
    (
        "database.rs",
        1,
        "gives a password to the function that takes it to the connection",
    ),
    (
        "fingerprint.rs",
        4,
        "tells whether a source gave the value that it gave before",
    ),
    (
        "guard/matcher.rs",
        1,
        "compiles what finds the value in an answer",
    ),
    ("import.rs", 6, "judges and decodes a new value"),
    ("import/certificate.rs", 2, "judges a new value"),
    ("import/connection_strings.rs", 2, "judges a new value"),
    ("import/connections.rs", 2, "judges a new value"),
    ("import/logins.rs", 3, "judges a new value"),
    (
        "lifecycle.rs",
        2,
        "writes a new value into the item that is sealed",
    ),
    ("mac.rs", 1, "makes the key of one use"),
    (
        "origin.rs",
        2,
        "writes a received value, or a chain, into the item that is sealed",
    ),
    ("placed.rs", 4, "writes the value to its place in a request"),
    ("presented.rs", 1, "looks a client's key up"),
    (
        "rotation.rs",
        1,
        "writes a new value into the item that is sealed",
    ),
    (
        "sigv4.rs",
        2,
        "makes the key of one signature, and writes the session token",
    ),
    ("token.rs", 1, "writes a token into its header"),
    (
        "token/form.rs",
        3,
        "writes a client's secret into its request for a token, and finds it in the answer",
    ),
    ("slots.rs", 2, "judges a passphrase and derives its key"),
];

#[test]
fn the_callers_of_expose_are_these() {
    let mut found = BTreeMap::new();
    collect(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        "",
        &mut found,
    );
    let expected: BTreeMap<_, _> = CALLERS
        .iter()
        .map(|(file, calls, _)| ((*file).to_owned(), *calls))
        .collect();
    assert_eq!(
        found, expected,
        "a new caller of expose needs a reason in this list"
    );
}

fn collect(directory: &Path, prefix: &str, found: &mut BTreeMap<String, usize>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            collect(&path, &format!("{prefix}{name}/"), found);
        } else if name.ends_with(".rs") && !["tests.rs", "vectors.rs"].contains(&name) {
            let text = fs::read_to_string(&path).unwrap();
            // Tests look at values to compare them; they are not in the product.
            let product = text.split("#[cfg(test)]").next().unwrap();
            let calls = product.matches(".expose(").count() + product.matches("::expose").count();
            if calls > 0 {
                found.insert(format!("{prefix}{name}"), calls);
            }
        }
    }
}
