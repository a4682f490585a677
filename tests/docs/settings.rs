//! TOML in documents is read by what would read it in a file.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use keyward::vault::Grants;
use keyward_gateway::config::Config;
use keyward_testkit::Suite;
use toml::{Table, Value};

use crate::block::{Block, blocks};
use crate::words::documents;

#[test]
fn each_configuration_grant_and_manifest_in_a_document_is_one() {
    let mut read = 0;
    // Its own test reads its examples.
    let others = documents()
        .into_iter()
        .filter(|document| !document.ends_with("host/testkit/FORMAT.md"));
    for document in others {
        let text = fs::read_to_string(&document).unwrap();
        for block in blocks(&text) {
            // Written to a file, it is read by what the document runs.
            let is_used = block.said("file").is_some() || block.said("append").is_some();
            if block.language() != "toml" || is_used {
                continue;
            }
            let place = format!("{}:{}", document.display(), block.line);
            check(&block, &place);
            read += 1;
        }
    }
    assert!(read >= 7, "{read}");
}

fn check(block: &Block, place: &str) {
    let table: Table = block
        .text
        .parse()
        .unwrap_or_else(|error| panic!("{place}: {error}"));
    if table.contains_key("package") {
        manifest(&table, place);
    } else if table.contains_key("case") {
        if let Err(error) = Suite::parse(Path::new(place), &block.text) {
            panic!("{error}");
        }
    } else if table.contains_key("grant") && !table.contains_key("version") {
        if let Err(error) = Grants::parse(place, &block.text) {
            panic!("{error}");
        }
    } else if !table.contains_key("version") {
        let text = completed(&block.text, &table);
        if let Err(error) = Config::parse(Path::new("keyward.toml"), &text) {
            panic!("{place}: {error}");
        }
    }
}

/// A configuration with what a part of it leaves out: where to listen, and the routes
/// and policies that it only names.
fn completed(text: &str, table: &Table) -> String {
    let items = |key: &str| {
        let items = table.get(key).and_then(Value::as_array);
        items.into_iter().flatten().filter_map(Value::as_table)
    };
    let names = |key: &str| -> BTreeSet<&str> {
        items(key)
            .filter_map(|item| item.get("name")?.as_str())
            .collect()
    };
    let listed = |item: &Table, key: &str| -> BTreeSet<String> {
        let list = item.get(key).and_then(Value::as_array);
        let texts = list.into_iter().flatten().filter_map(Value::as_str);
        texts.map(str::to_owned).collect()
    };
    let mut routes: BTreeSet<String> = items("pipeline")
        .filter_map(|item| item.get("route")?.as_str().map(str::to_owned))
        .collect();
    routes.extend(items("policy").flat_map(|item| listed(item, "routes")));
    let phases = ["inbound", "backend", "outbound", "on-error"];
    let policies: BTreeSet<String> = items("pipeline")
        .flat_map(|item| phases.map(|phase| listed(item, phase)))
        .flatten()
        .collect();
    let mut whole = text.to_owned();
    for route in routes
        .iter()
        .filter(|name| !names("route").contains(name.as_str()))
    {
        whole.push_str(&format!(
            "\n[[route]]\nname = \"{route}\"\nurl = \"https://backend.example\"\n"
        ));
    }
    for policy in policies
        .iter()
        .filter(|name| !names("policy").contains(name.as_str()))
    {
        whole.push_str(&format!(
            "\n[[policy]]\nname = \"{policy}\"\ncomponent = \"{policy}.wasm\"\n"
        ));
    }
    if !table.contains_key("gateway") {
        whole.push_str("\n[gateway]\nlisten = \"127.0.0.1:0\"\n");
    }
    whole
}

/// What a document shows of a manifest is what one of the shipped policies says.
fn manifest(table: &Table, place: &str) {
    let asks = |table: &Table| -> Option<Value> {
        let metadata = table.get("package")?.get("metadata")?;
        metadata.get("keyward")?.get("asks").cloned()
    };
    let shown = asks(table).unwrap_or_else(|| panic!("{place}: it asks for nothing"));
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-policies");
    let is_there = fs::read_dir(policies).unwrap().any(|entry| {
        let manifest = entry.unwrap().path().join("Cargo.toml");
        let Ok(text) = fs::read_to_string(manifest) else {
            return false;
        };
        asks(&text.parse().unwrap()).as_ref() == Some(&shown)
    });
    assert!(is_there, "{place}: no policy asks so");
}

/// Control: a part of a configuration with a mistake in it is noticed.
#[test]
fn control_a_mistake_in_a_configuration_is_noticed() {
    for text in [
        "[[pipeline]]\npath = \"/\"\nroute = \"a\"\ninbund = [\"b\"]\n",
        "[[route]]\nname = \"a\"\nurl = \"nowhere\"\n",
        "[[grant]]\nid = \"a\"\n",
    ] {
        let document = format!("```toml\n{text}```\n");
        let block = blocks(&document).pop().unwrap();
        let checked = std::panic::catch_unwind(|| check(&block, "here"));
        assert!(checked.is_err(), "{text}");
    }
}
