//! Requests of the document's own, identities, checks, rates, the cache, traces.

use keyward_document::policies::Scope;
use keyward_policy::testing::Simulation;
use keyward_policy::{Failure, Level};

use super::Case;
use crate::own::{END, call, failed, forwarding, passed, read, run, sent};
use crate::world::{End, refused, request};

pub(super) const POLICIES: &[&str] = &[
    "send-request",
    "send-one-way-request",
    "authentication-basic",
    "authentication-certificate",
    "authentication-managed-identity",
    "validate-jwt",
    "check-header",
    "ip-filter",
    "cors",
    "rate-limit",
    "rate-limit-by-key",
    "cache-lookup-value",
    "cache-store-value",
    "cache-remove-value",
    "trace",
];

pub(super) const CASES: &[Case] = &[
    ("send-request", "mode", || {
        let url = "<set-url>https://prices.example/p</set-url>";
        let simulation = || request("PUT", "/a?b=1").header("x-a", "2").body(b"hello");
        let copied = sent("mode=\"copy\"", url, simulation());
        assert_eq!((&*copied.method, &*copied.path), ("PUT", "/p"));
        assert_eq!(copied.headers, [("x-a".to_owned(), b"2".to_vec())]);
        assert_eq!(copied.body, b"hello");
        let new = format!("{url}<set-method>GET</set-method>");
        let new = sent("mode=\"@(&quot;new&quot;)\"", &new, simulation());
        assert_eq!(
            (&*new.method, new.headers.len(), new.body.len()),
            ("GET", 0, 0)
        );
        let own = sent("mode=\"copy\"", "", simulation());
        assert_eq!((&*own.route, &*own.path), ("orders", "/a"));
        assert_eq!(own.query, [("b".to_owned(), "1".to_owned())]);
    }),
    ("send-request", "response-variable-name", || {
        let simulation = request("GET", "/")
            .route("prices", 404, b"none")
            .route_header("prices", "x-why", "gone");
        let text = call("", PRICES);
        let what = "((IResponse)context.Variables[\"r\"])";
        let show = format!(
            "$\"{{{what}.StatusCode}} {{{what}.Headers.GetValueOrDefault(\"X-Why\")}} {{{what}.Body.As<string>()}}\""
        );
        let show = format!("@({show})");
        assert_eq!(
            read(&text, &show, simulation).as_deref(),
            Some("404 gone none")
        );
    }),
    ("send-request", "timeout", || {
        assert_eq!(
            sent("timeout=\"1\"", PRICES, request("GET", "/")).route,
            "prices"
        );
    }),
    ("send-request", "ignore-error", || {
        let fails = || request("GET", "/").route_fails("prices", Failure::Unavailable);
        let text = |attribute| call(attribute, PRICES);
        let show = "@((context.Variables[\"r\"] == null).ToString())";
        let ignored = read(&text("ignore-error=\"true\""), show, fails());
        assert_eq!(ignored.as_deref(), Some("True"));
        let (status, line, _) = failed(&text(""), fails());
        assert_eq!(status, 500);
        assert!(line.contains("BackendConnectionFailure"), "{line}");
    }),
    ("send-one-way-request", "mode", || {
        let text = "<send-one-way-request mode=\"copy\"><set-url>https://prices.example/</set-url></send-one-way-request>";
        let world = passed(text, request("PUT", "/").body(b"x"));
        assert_eq!(world.simulation.calls()[0].method, "PUT");
    }),
    ("send-one-way-request", "timeout", || {
        let text = format!("<send-one-way-request timeout=\"1\">{PRICES}</send-one-way-request>");
        let fails = request("GET", "/").route_fails("prices", Failure::Unavailable);
        let world = passed(&text, fails);
        assert!(world.warnings()[0].contains("send-one-way-request"));
    }),
    ("authentication-basic", "username", || {
        assert_eq!(
            basic("username=\"a\" password=\"b\"").as_deref(),
            Some("Basic YTpi")
        );
    }),
    ("authentication-basic", "password", || {
        assert_eq!(
            basic("username=\"a\" password=\"@(&quot;c&quot;)\"").as_deref(),
            Some("Basic YTpj")
        );
        let simulation = request("GET", "/")
            .header("authorization", "mine")
            .grant("key.basic");
        let text = "<authentication-basic username=\"a\" password=\"{{key}}\"/>";
        let world = forwarding(text, simulation);
        assert_eq!(world.simulation.attached(), ["key.basic"]);
        assert_eq!(world.simulation.request_header("authorization"), None);
    }),
    ("authentication-certificate", "certificate-id", || {
        let text = "<authentication-certificate certificate-id=\"client\"/>";
        let world = forwarding(text, request("GET", "/").grant("client.certificate"));
        assert_eq!(world.simulation.attached(), ["client.certificate"]);
    }),
    ("authentication-certificate", "thumbprint", || {
        assert!(refused(
            "<inbound><authentication-certificate thumbprint=\"AB\"/></inbound>"
        ));
    }),
    ("authentication-certificate", "body", || {
        assert!(refused(
            "<inbound><authentication-certificate body=\"@(new byte[0])\" password=\"a\"/></inbound>"
        ));
    }),
    ("authentication-certificate", "password", || {
        assert!(refused(
            "<inbound><authentication-certificate certificate-id=\"client\" password=\"a\"/></inbound>"
        ));
    }),
    ("authentication-managed-identity", "resource", || {
        assert_eq!(identity(""), ["vault.example.token"]);
    }),
    ("authentication-managed-identity", "client-id", || {
        assert_eq!(identity("client-id=\"b1f2\""), ["vault.example.token"]);
    }),
    (
        "authentication-managed-identity",
        "output-token-variable-name",
        || {
            assert!(refused(
                "<inbound><authentication-managed-identity resource=\"https://a.example\" output-token-variable-name=\"t\"/></inbound>"
            ));
        },
    ),
    ("authentication-managed-identity", "ignore-error", || {
        assert_eq!(identity("ignore-error=\"true\""), ["vault.example.token"]);
    }),
    ("validate-jwt", "header-name", || {
        let text = jwt("header-name=\"X-Token\"", "");
        passed(&text, bearer().header("x-token", "good"));
        assert_eq!(failed(&text, bearer()).0, 401);
    }),
    ("validate-jwt", "query-parameter-name", || {
        let text = jwt("query-parameter-name=\"t\"", "");
        let with = |target: &str| tokens(request("GET", target)).grant("key.verify-jwt");
        passed(&text, with("/?t=good"));
        assert_eq!(failed(&text, with("/?t=good&t=bad")).0, 401);
        assert_eq!(failed(&text, with("/")).0, 401);
    }),
    ("validate-jwt", "token-value", || {
        passed(&jwt("token-value=\"@(&quot;good&quot;)\"", ""), bearer());
        assert_eq!(failed(&jwt("token-value=\"bad\"", ""), bearer()).0, 401);
    }),
    ("validate-jwt", "failed-validation-httpcode", || {
        let text = jwt("token-value=\"bad\" failed-validation-httpcode=\"403\"", "");
        assert_eq!(failed(&text, bearer()).0, 403);
    }),
    ("validate-jwt", "failed-validation-error-message", || {
        let text = jwt(
            "token-value=\"bad\" failed-validation-error-message=\"@(&quot;no&quot;)\"",
            "",
        );
        let (_, _, world) = failed(&text, bearer());
        assert!(world.simulation.response_body().contains("\"no\""));
    }),
    ("validate-jwt", "require-expiration-time", || {
        let text = |attribute| jwt(&format!("token-value=\"endless\" {attribute}"), "");
        assert_eq!(failed(&text(""), bearer()).0, 401);
        passed(&text("require-expiration-time=\"false\""), bearer());
    }),
    ("validate-jwt", "require-scheme", || {
        let text = jwt(
            "header-name=\"Authorization\" require-scheme=\"Bearer\"",
            "",
        );
        passed(&text, bearer().header("authorization", "Bearer good"));
        assert_eq!(
            failed(&text, bearer().header("authorization", "good")).0,
            401
        );
    }),
    ("validate-jwt", "require-signed-tokens", || {
        passed(
            &jwt("token-value=\"good\" require-signed-tokens=\"true\"", ""),
            bearer(),
        );
        let text = jwt("token-value=\"good\" require-signed-tokens=\"false\"", "");
        assert!(refused(&format!("<inbound>{text}</inbound>")));
    }),
    ("validate-jwt", "clock-skew", || {
        let text = |attribute| jwt(&format!("token-value=\"over\" {attribute}"), "");
        assert_eq!(failed(&text(""), bearer()).0, 401);
        passed(&text("clock-skew=\"60\""), bearer());
    }),
    ("validate-jwt", "output-token-variable-name", || {
        let text = jwt(
            &format!("token-value=\"{REAL}\" output-token-variable-name=\"j\""),
            "",
        );
        let show = "@(((Jwt)context.Variables[\"j\"]).Subject)";
        let simulation = bearer().token(REAL, r#"{"sub": "ann", "exp": 2000}"#);
        assert_eq!(read(&text, show, simulation).as_deref(), Some("ann"));
    }),
    ("openid-config", "url", || {
        let text = "<validate-jwt token-value=\"good\"><openid-config url=\"https://login.example/config\"/></validate-jwt>";
        passed(text, tokens(request("GET", "/")).issuer("login"));
        // Not opened to the policy.
        assert_eq!(failed(text, tokens(request("GET", "/"))).0, 500);
        assert!(refused(
            "<inbound><validate-jwt token-value=\"good\"><openid-config url=\"https://other.example/\"/></validate-jwt></inbound>"
        ));
    }),
    ("key", "id", || {
        let text = "<validate-jwt token-value=\"good\"><issuer-signing-keys><key id=\"k\">{{key}}</key></issuer-signing-keys></validate-jwt>";
        passed(text, bearer());
    }),
    ("key", "certificate-id", || {
        assert!(key_is_refused("certificate-id=\"c\""))
    }),
    ("key", "n", || {
        assert!(key_is_refused("n=\"AQAB\" e=\"AQAB\""))
    }),
    ("key", "e", || {
        assert!(key_is_refused("n=\"AQAC\" e=\"AQAB\""))
    }),
    ("claim", "name", || {
        passed(&claim("name=\"roles\"", &["reader"]), bearer());
        let (_, line, _) = failed(
            &claim("name=\"@(&quot;groups&quot;)\"", &["reader"]),
            bearer(),
        );
        assert!(line.contains("TokenClaimNotFound"), "{line}");
    }),
    ("claim", "match", || {
        let values = ["reader", "admin"];
        passed(&claim("name=\"roles\" match=\"any\"", &values), bearer());
        let (_, line, _) = failed(&claim("name=\"roles\" match=\"all\"", &values), bearer());
        assert!(line.contains("TokenClaimValueNotAllowed"), "{line}");
        assert_eq!(failed(&claim("name=\"roles\"", &values), bearer()).0, 401);
    }),
    ("claim", "separator", || {
        passed(&claim("name=\"scp\" separator=\" \"", &["write"]), bearer());
        assert_eq!(failed(&claim("name=\"scp\"", &["write"]), bearer()).0, 401);
    }),
    ("check-header", "name", || {
        passed(
            &check("x-a", "true", &["one"]),
            request("GET", "/").header("x-a", "One"),
        );
        let (_, line, _) = failed(&check("x-b", "true", &[]), request("GET", "/"));
        assert!(line.contains("HeaderNotFound"), "{line}");
    }),
    ("check-header", "failed-check-httpcode", || {
        assert_eq!(
            failed(&check("x-a", "true", &[]), request("GET", "/")).0,
            418
        );
    }),
    ("check-header", "failed-check-error-message", || {
        let (_, _, world) = failed(&check("x-a", "true", &[]), request("GET", "/"));
        assert!(world.simulation.response_body().contains("no x-a"));
    }),
    ("check-header", "ignore-case", || {
        let with = || request("GET", "/").header("x-a", "One");
        passed(&check("x-a", "@(true)", &["two", "one"]), with());
        let (_, line, _) = failed(&check("x-a", "false", &["two", "one"]), with());
        assert!(line.contains("HeaderValueNotAllowed"), "{line}");
    }),
    ("ip-filter", "action", || {
        let text = |action: &str| {
            format!("<ip-filter action=\"{action}\"><address>192.0.2.1</address></ip-filter>")
        };
        passed(&text("allow"), request("GET", "/"));
        let (status, line, _) = failed(&text("@(&quot;forbid&quot;)"), request("GET", "/"));
        assert_eq!(status, 403);
        assert!(line.contains("CallerIpBlocked"), "{line}");
        let other = request("GET", "/").client("192.0.2.9");
        assert!(
            failed(&text("allow"), other)
                .1
                .contains("CallerIpNotAllowed")
        );
    }),
    ("address-range", "from", || {
        passed(&range("192.0.2.1", "192.0.2.7"), request("GET", "/"));
        assert_eq!(
            failed(
                &range("@(&quot;192.0.2.2&quot;)", "192.0.2.7"),
                request("GET", "/")
            )
            .0,
            403
        );
    }),
    ("address-range", "to", || {
        passed(
            &range("192.0.2.0", "@(&quot;192.0.2.1&quot;)"),
            request("GET", "/"),
        );
        assert_eq!(
            failed(&range("192.0.1.0", "192.0.2.0"), request("GET", "/")).0,
            403
        );
    }),
    ("cors", "allow-credentials", || {
        let credentials = |attribute: &str| {
            let world = run(&cors(attribute, ""), page("GET", "https://app.example"));
            world
                .0
                .simulation
                .response_header("access-control-allow-credentials")
        };
        assert_eq!(
            credentials("allow-credentials=\"true\"").as_deref(),
            Some("true")
        );
        assert_eq!(credentials(""), None);
    }),
    ("cors", "terminate-unmatched-request", || {
        let end =
            |attribute: &str| run(&cors(attribute, ""), page("GET", "https://evil.example")).1;
        assert_eq!(end(""), End::Answered);
        assert_eq!(end("terminate-unmatched-request=\"false\""), End::Through);
    }),
    ("allowed-methods", "preflight-result-max-age", || {
        let methods = "<allowed-methods preflight-result-max-age=\"300\"><method>PUT</method></allowed-methods>";
        let asked =
            page("OPTIONS", "https://app.example").header("access-control-request-method", "PUT");
        let (world, end) = run(&cors("", methods), asked);
        assert_eq!(end, End::Answered);
        let age = world.simulation.response_header("access-control-max-age");
        assert_eq!(age.as_deref(), Some("300"));
    }),
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

/// `{"sub": "ann"}`, with a signature that is none.
const REAL: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.AAAA";
const WIDE: &str = "calls=\"100\" renewal-period=\"10\"";
const PRICES: &str = "<set-url>https://prices.example/p</set-url><set-method>GET</set-method>";
const V: &str = "@((string)context.Variables[\"v\"])";

fn basic(attributes: &str) -> Option<String> {
    passed(
        &format!("<authentication-basic {attributes}/>"),
        request("GET", "/"),
    )
    .simulation
    .request_header("authorization")
}

fn identity(attributes: &str) -> Vec<String> {
    let text = format!(
        "<authentication-managed-identity resource=\"https://vault.example/\" {attributes}/>"
    );
    forwarding(&text, request("GET", "/").grant("vault.example.token"))
        .simulation
        .attached()
}

/// At second 1000.
fn tokens(simulation: Simulation) -> Simulation {
    simulation
        .at(1_000_000)
        .token(
            "good",
            r#"{"exp": 2000, "roles": ["reader"], "scp": "read write"}"#,
        )
        .token("over", r#"{"exp": 990}"#)
        .token("endless", "{}")
}

fn bearer() -> Simulation {
    tokens(request("GET", "/")).grant("key.verify-jwt")
}

fn jwt(attributes: &str, children: &str) -> String {
    format!(
        "<validate-jwt {attributes}><issuer-signing-keys><key>{{{{key}}}}</key></issuer-signing-keys>{children}</validate-jwt>"
    )
}

fn key_is_refused(attributes: &str) -> bool {
    refused(&format!(
        "<inbound><validate-jwt token-value=\"good\"><issuer-signing-keys><key {attributes}/></issuer-signing-keys></validate-jwt></inbound>"
    ))
}

fn claim(attributes: &str, values: &[&str]) -> String {
    let values: String = values
        .iter()
        .map(|value| format!("<value>{value}</value>"))
        .collect();
    jwt(
        "token-value=\"good\"",
        &format!("<required-claims><claim {attributes}>{values}</claim></required-claims>"),
    )
}

fn check(name: &str, ignore_case: &str, values: &[&str]) -> String {
    let values: String = values
        .iter()
        .map(|value| format!("<value>{value}</value>"))
        .collect();
    format!(
        "<check-header name=\"{name}\" failed-check-httpcode=\"418\" failed-check-error-message=\"no {name}\" ignore-case=\"{ignore_case}\">{values}</check-header>"
    )
}

fn range(from: &str, to: &str) -> String {
    format!("<ip-filter action=\"allow\"><address-range from=\"{from}\" to=\"{to}\"/></ip-filter>")
}

fn cors(attributes: &str, children: &str) -> String {
    format!(
        "<cors {attributes}><allowed-origins><origin>https://app.example</origin></allowed-origins>{children}</cors>"
    )
}

fn page(method: &str, origin: &str) -> Simulation {
    request(method, "/").header("origin", origin)
}

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
