//! Any text and any value: what is put in is the value, once, and a configuration
//! and a document with it keep their structure.
#![no_main]

use std::path::Path;

use keyward::document::model::Document;
use keyward::document::named_values::{Expanded, Lookup, NamedValues, expand, places};
use keyward::document::read::{Options, read};
use keyward::names::ValueName;
use keyward_gateway::config::{Config, Known, Values};
use libfuzzer_sys::fuzz_target;

struct One<'a>(&'a str);

impl NamedValues for One<'_> {
    fn look_up(&self, _: &str) -> Lookup {
        Lookup::Plain(self.0.to_owned())
    }
}

fuzz_target!(|texts: (&str, &str)| {
    let (text, value) = texts;
    let mut expected = String::new();
    let mut from = 0;
    for place in places(text) {
        expected.push_str(&text[from..place.span.start]);
        expected.push_str(value);
        from = place.span.end;
    }
    expected.push_str(&text[from..]);
    assert_eq!(expand(text, &One(value)), Ok(Expanded::Text(expected.into())));

    let document = "<policies><inbound><set-header name=\"a\"><value>{{v}}</value></set-header></inbound></policies>";
    let one = One(value);
    let options = Options { values: &one, ..Options::default() };
    let statements = |document: Document| {
        let section = document.section(keyward::document::Phase::Inbound);
        section.map(|section| section.statements.len())
    };
    if let Some(document) = read("fuzz.xml", document, &options).document {
        assert_eq!(statements(document), Some(1));
    }
    let reading = read("fuzz.xml", text, &options);
    assert_eq!(reading.document.is_none(), reading.diagnostics.has_errors());

    let name = ValueName::parse("v").expect("it is one");
    let values: Values = [(name, Known::Plain(value.to_owned()))].into_iter().collect();
    if let Ok(config) = Config::parse(Path::new("fuzz.toml"), text)
        && let Ok(resolved) = config.resolve(&values)
    {
        assert_eq!(resolved.route_names, config.route_names);
        assert_eq!(resolved.policies.len(), config.policies.len());
        assert!(resolved.unresolved.is_empty());
    }
});
