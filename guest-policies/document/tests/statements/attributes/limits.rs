//! Rates, the cache of values, traces.

use keyward_document::policies::Scope;
use keyward_policy::Level;
use keyward_policy::testing::Simulation;

use super::Case;
use crate::own::{END, failed, passed, read, run};
use crate::world::{End, request};

pub(super) const POLICIES: &[&str] = &[
    "rate-limit",
    "rate-limit-by-key",
    "cache-lookup-value",
    "cache-store-value",
    "cache-remove-value",
    "trace",
];

pub(super) const CASES: &[Case] = &[
    ("rate-limit", "calls", || {
        assert_eq!(let_through("calls=\"3\" renewal-period=\"10\"", "", 5), 3)
    }),
    ("rate-limit", "renewal-period", || {
        let wait = |period: &str| {
            let attributes = format!("calls=\"0\" renewal-period=\"{period}\"");
            told(&limit(&attributes, ""), "retry-after")
        };
        assert_eq!(wait("20").as_deref(), Some("20"));
        assert_eq!(wait("PT5M").as_deref(), Some("300"));
    }),
    ("rate-limit", "retry-after-header-name", || {
        let text = limit(
            "calls=\"0\" renewal-period=\"9\" retry-after-header-name=\"x-w\"",
            "",
        );
        assert_eq!(told(&text, "x-w").as_deref(), Some("9"));
    }),
    ("rate-limit", "retry-after-variable-name", || {
        let text = limit(
            "calls=\"0\" renewal-period=\"9\" retry-after-variable-name=\"w\"",
            "",
        );
        assert_eq!(on_error(&text, "w").as_deref(), Some("9"));
    }),
    ("rate-limit", "remaining-calls-header-name", || {
        let text = limit(
            "calls=\"7\" renewal-period=\"9\" remaining-calls-header-name=\"x-r\"",
            "",
        );
        assert_eq!(told(&text, "x-r").as_deref(), Some("6"));
    }),
    ("rate-limit", "remaining-calls-variable-name", || {
        let text = limit(
            "calls=\"7\" renewal-period=\"9\" remaining-calls-variable-name=\"r\"",
            "",
        );
        let show = "@(((int)context.Variables[\"r\"]).ToString())";
        assert_eq!(read(&text, show, caller()).as_deref(), Some("6"));
    }),
    ("rate-limit", "total-calls-header-name", || {
        let text = limit(
            "calls=\"7\" renewal-period=\"9\" total-calls-header-name=\"x-t\"",
            "",
        );
        assert_eq!(told(&text, "x-t").as_deref(), Some("7"));
    }),
    ("api", "id", || {
        assert_eq!(
            let_through(
                WIDE,
                "<api id=\"orders\" calls=\"2\" renewal-period=\"10\"/>",
                5
            ),
            2
        );
        assert_eq!(
            let_through(
                WIDE,
                "<api id=\"other\" calls=\"2\" renewal-period=\"10\"/>",
                5
            ),
            5
        );
    }),
    ("api", "name", || {
        assert_eq!(
            let_through(
                WIDE,
                "<api name=\"All orders\" calls=\"2\" renewal-period=\"10\"/>",
                5
            ),
            2
        );
        assert_eq!(
            let_through(
                WIDE,
                "<api name=\"orders\" calls=\"2\" renewal-period=\"10\"/>",
                5
            ),
            5
        );
    }),
    ("api", "calls", || {
        assert_eq!(
            let_through(
                WIDE,
                "<api id=\"orders\" calls=\"4\" renewal-period=\"10\"/>",
                5
            ),
            4
        );
    }),
    ("api", "renewal-period", || {
        let text = limit(
            WIDE,
            "<api id=\"orders\" calls=\"0\" renewal-period=\"33\"/>",
        );
        assert_eq!(told(&text, "retry-after").as_deref(), Some("33"));
    }),
    ("operation", "id", || {
        assert_eq!(
            let_through(
                WIDE,
                &operation("id=\"read\" calls=\"1\" renewal-period=\"10\""),
                5
            ),
            1
        );
        assert_eq!(
            let_through(
                WIDE,
                &operation("id=\"write\" calls=\"1\" renewal-period=\"10\""),
                5
            ),
            5
        );
    }),
    ("operation", "name", || {
        assert_eq!(
            let_through(
                WIDE,
                &operation("name=\"Read one\" calls=\"1\" renewal-period=\"10\""),
                5
            ),
            1
        );
    }),
    ("operation", "calls", || {
        assert_eq!(
            let_through(
                WIDE,
                &operation("id=\"read\" calls=\"3\" renewal-period=\"10\""),
                5
            ),
            3
        );
    }),
    ("operation", "renewal-period", || {
        let text = limit(
            WIDE,
            &operation("id=\"read\" calls=\"0\" renewal-period=\"44\""),
        );
        assert_eq!(told(&text, "retry-after").as_deref(), Some("44"));
    }),
    ("rate-limit-by-key", "calls", || {
        let text = by_key("calls=\"@(2)\" renewal-period=\"10\"");
        assert_eq!(through(&text, caller(), 4), 2);
    }),
    ("rate-limit-by-key", "renewal-period", || {
        let text = by_key("calls=\"0\" renewal-period=\"@(17)\"");
        assert_eq!(told(&text, "retry-after").as_deref(), Some("17"));
        assert_eq!(
            failed(&by_key("calls=\"1\" renewal-period=\"@(301)\""), caller()).0,
            500
        );
    }),
    ("rate-limit-by-key", "counter-key", || {
        let key = |key: &str| {
            format!("<rate-limit-by-key calls=\"1\" renewal-period=\"10\" counter-key=\"{key}\"/>")
        };
        let two = |second: &str| format!("{}{}", key("a"), key(second));
        passed(&two("@(&quot;b&quot;)"), caller());
        assert_eq!(failed(&two("a"), caller()).0, 429);
        // Not shortened: two long keys would share a counter.
        let (status, line, _) = failed(&key(&"a".repeat(200)), caller());
        assert_eq!(status, 500);
        assert!(line.contains("200 bytes"), "{line}");
    }),
    ("rate-limit-by-key", "increment-condition", || {
        let text = |condition: &str| {
            by_key(&format!(
                "calls=\"1\" renewal-period=\"10\" increment-condition=\"{condition}\""
            ))
        };
        let answered = "@(context.Response.StatusCode == 200)";
        assert_eq!(through(&text(answered), caller(), 3), 1);
        assert_eq!(
            through(&text("@(context.Response.StatusCode == 404)"), caller(), 3),
            3
        );
    }),
    ("rate-limit-by-key", "increment-count", || {
        let text = by_key("calls=\"6\" renewal-period=\"10\" increment-count=\"@(3)\"");
        assert_eq!(through(&text, caller(), 5), 2);
    }),
    ("rate-limit-by-key", "increment-after-response", || {
        let text = by_key("calls=\"1\" renewal-period=\"10\" increment-after-response=\"true\"");
        // The second looks before the first is counted.
        passed(&format!("{text}{text}"), caller());
        assert_eq!(through(&text, caller(), 3), 1);
    }),
    ("rate-limit-by-key", "retry-after-header-name", || {
        let text = by_key("calls=\"0\" renewal-period=\"9\" retry-after-header-name=\"x-w\"");
        assert_eq!(told(&text, "x-w").as_deref(), Some("9"));
    }),
    ("rate-limit-by-key", "retry-after-variable-name", || {
        let text = by_key("calls=\"0\" renewal-period=\"9\" retry-after-variable-name=\"w\"");
        assert_eq!(on_error(&text, "w").as_deref(), Some("9"));
    }),
    ("rate-limit-by-key", "remaining-calls-header-name", || {
        let text = by_key("calls=\"7\" renewal-period=\"9\" remaining-calls-header-name=\"x-r\"");
        assert_eq!(told(&text, "x-r").as_deref(), Some("6"));
    }),
    ("rate-limit-by-key", "remaining-calls-variable-name", || {
        let text = by_key("calls=\"7\" renewal-period=\"9\" remaining-calls-variable-name=\"r\"");
        let show = "@(((int)context.Variables[\"r\"]).ToString())";
        assert_eq!(read(&text, show, caller()).as_deref(), Some("6"));
    }),
    ("rate-limit-by-key", "total-calls-header-name", || {
        let text = by_key("calls=\"7\" renewal-period=\"9\" total-calls-header-name=\"x-t\"");
        assert_eq!(told(&text, "x-t").as_deref(), Some("7"));
    }),
    ("cache-store-value", "key", || {
        assert_eq!(
            cached("key=\"@(&quot;a&quot;)\" value=\"1\" duration=\"9\"", "a").as_deref(),
            Some("1")
        );
        assert_eq!(cached("key=\"b\" value=\"1\" duration=\"9\"", "a"), None);
        let long = format!(
            "<cache-store-value key=\"{}\" value=\"1\" duration=\"9\"/>",
            "k".repeat(1025)
        );
        assert_eq!(failed(&long, request("GET", "/")).0, 500);
    }),
    ("cache-store-value", "value", || {
        assert_eq!(
            cached("key=\"a\" value=\"@(41 + 1)\" duration=\"9\"", "a").as_deref(),
            Some("42")
        );
    }),
    ("cache-store-value", "duration", || {
        assert_eq!(cached("key=\"a\" value=\"1\" duration=\"0\"", "a"), None);
        assert_eq!(
            cached("key=\"a\" value=\"1\" duration=\"@(5)\"", "a").as_deref(),
            Some("1")
        );
    }),
    ("cache-store-value", "caching-type", || {
        let attributes = "key=\"a\" value=\"1\" duration=\"9\" caching-type=\"external\"";
        assert_eq!(cached(attributes, "a").as_deref(), Some("1"));
    }),
    ("cache-lookup-value", "key", || {
        let text = "<cache-store-value key=\"a\" value=\"1\" duration=\"9\"/><cache-lookup-value key=\"@(&quot;a&quot;)\" variable-name=\"v\"/>";
        assert_eq!(read(text, V, request("GET", "/")).as_deref(), Some("1"));
    }),
    ("cache-lookup-value", "variable-name", || {
        let text = "<cache-lookup-value key=\"none\" variable-name=\"v\"/>";
        let show = "@(context.Variables.ContainsKey(\"v\").ToString())";
        assert_eq!(
            read(text, show, request("GET", "/")).as_deref(),
            Some("False")
        );
    }),
    ("cache-lookup-value", "default-value", || {
        let text = "<cache-lookup-value key=\"none\" variable-name=\"v\" default-value=\"@(&quot;d&quot;)\"/>";
        assert_eq!(read(text, V, request("GET", "/")).as_deref(), Some("d"));
    }),
    ("cache-lookup-value", "caching-type", || {
        let text = "<cache-store-value key=\"a\" value=\"1\" duration=\"9\"/><cache-lookup-value key=\"a\" variable-name=\"v\" caching-type=\"internal\"/>";
        assert_eq!(read(text, V, request("GET", "/")).as_deref(), Some("1"));
    }),
    ("cache-remove-value", "key", || {
        assert_eq!(after_removal("key=\"a\"").as_deref(), Some("gone"));
        assert_eq!(after_removal("key=\"b\"").as_deref(), Some("1"));
    }),
    ("cache-remove-value", "caching-type", || {
        assert_eq!(
            after_removal("key=\"a\" caching-type=\"internal\"").as_deref(),
            Some("gone")
        );
    }),
    ("trace", "source", || {
        assert_eq!(traced("source=\"@(&quot;s&quot;)\"", "").1, "s: m")
    }),
    ("trace", "severity", || {
        assert_eq!(traced("source=\"s\"", "").0, Level::Debug);
        assert_eq!(
            traced("source=\"s\" severity=\"information\"", "").0,
            Level::Info
        );
        assert_eq!(
            traced("source=\"s\" severity=\"error\"", "").0,
            Level::Error
        );
    }),
    ("metadata", "name", || {
        assert_eq!(
            traced(
                "source=\"s\"",
                "<metadata name=\"@(&quot;n&quot;)\" value=\"1\"/>"
            )
            .1,
            "s: m n=1"
        );
    }),
    ("metadata", "value", || {
        let text =
            "<metadata name=\"n\" value=\"@(&quot;1&quot;)\"/><metadata name=\"o\" value=\"2\"/>";
        assert_eq!(traced("source=\"s\"", text).1, "s: m n=1 o=2");
    }),
];

const WIDE: &str = "calls=\"100\" renewal-period=\"10\"";
const V: &str = "@((string)context.Variables[\"v\"])";

fn caller() -> Simulation {
    request("GET", "/").grant("subscription").key_of("ann")
}

fn limit(attributes: &str, children: &str) -> String {
    format!("<rate-limit {attributes}>{children}</rate-limit>")
}

fn operation(attributes: &str) -> String {
    format!("<api id=\"orders\" calls=\"50\" renewal-period=\"10\"><operation {attributes}/></api>")
}

fn by_key(attributes: &str) -> String {
    format!("<rate-limit-by-key counter-key=\"a\" {attributes}/>")
}

/// How many of so many calls of one caller get through.
fn let_through(attributes: &str, children: &str, calls: usize) -> usize {
    through(&limit(attributes, children), caller(), calls)
}

fn through(text: &str, simulation: Simulation, calls: usize) -> usize {
    let mut simulation = simulation;
    let mut passed = 0;
    for _ in 0..calls {
        let (world, end) = run(text, simulation);
        passed += usize::from(end == End::Through);
        simulation = world.simulation.again();
    }
    passed
}

/// A header of the answer.
fn told(text: &str, header: &str) -> Option<String> {
    run(text, caller()).0.simulation.response_header(header)
}

/// A variable, as on-error sees it.
fn on_error(text: &str, variable: &str) -> Option<String> {
    let sections = format!(
        "<inbound>{text}</inbound><on-error><set-header name=\"x-a\"><value>@(((int)context.Variables[\"{variable}\"]).ToString())</value></set-header></on-error>"
    );
    let world = crate::own::world(Scope::Api, &sections, caller());
    assert_eq!(world.run(), End::Failed);
    assert_eq!(world.simulation.status(), Some(429));
    world.simulation.response_header("x-a")
}

/// What is in the cache afterwards, as a text.
fn cached(attributes: &str, key: &str) -> Option<String> {
    let text = format!(
        "<cache-store-value {attributes}/><cache-lookup-value key=\"{key}\" variable-name=\"v\"/>"
    );
    let show =
        "@(context.Variables.ContainsKey(\"v\") ? context.Variables[\"v\"].ToString() : null)";
    read(&text, show, request("GET", "/"))
}

fn after_removal(attributes: &str) -> Option<String> {
    let text = format!(
        "<cache-store-value key=\"a\" value=\"1\" duration=\"9\"/><cache-remove-value {attributes}/><cache-lookup-value key=\"a\" variable-name=\"v\" default-value=\"gone\"/>"
    );
    read(&text, V, request("GET", "/"))
}

fn traced(attributes: &str, metadata: &str) -> (Level, String) {
    let text = format!("<trace {attributes}><message>m</message>{metadata}</trace>{END}");
    passed(&text, request("GET", "/"))
        .simulation
        .log()
        .remove(0)
}
