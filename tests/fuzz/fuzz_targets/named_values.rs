//! Any text and any value: what is put in is the value, once, and a configuration
//! and a document with it keep their structure.
#![no_main]

use std::path::Path;

use keyward::document::Document;
use keyward::document::named_values::{Expanded, Lookup, NamedValues, expand, places};
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
    if let Ok(document) = Document::parse_with("fuzz.xml", document, &One(value)) {
        let phase = keyward::document::Phase::Inbound;
        assert_eq!(document.section(phase).map(|section| section.steps().len()), Some(1));
    }
    if let Err(errors) = Document::parse_with("fuzz.xml", text, &One(value)) {
        assert!(!errors.render(false).is_empty());
    }

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
