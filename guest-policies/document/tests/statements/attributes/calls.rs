//! Requests of the document's own, identities, checks.

use keyward_policy::Failure;
use keyward_policy::testing::Simulation;

use super::Case;
use crate::own::{call, failed, forwarding, passed, read, run, sent};
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
        let given = |attributes| sent(attributes, PRICES, request("GET", "/")).timeout_milliseconds;
        assert_eq!(given("timeout=\"1\""), Some(1_000));
        assert_eq!(given("timeout=\"@(2)\""), Some(2_000));
        assert_eq!(given(""), Some(60_000));
        // As long as the route and the call's own time let it.
        assert_eq!(given("timeout=\"0\""), Some(u32::MAX));
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
        // One that is late is told apart, and ignored as well.
        let late = || request("GET", "/").route_fails("prices", Failure::TimedOut);
        let ignored = read(&text("ignore-error=\"true\""), show, late());
        assert_eq!(ignored.as_deref(), Some("True"));
        let (status, line, _) = failed(&text(""), late());
        assert_eq!(status, 500);
        assert!(line.contains("send-request failed: Timeout"), "{line}");
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
        let calls = world.simulation.calls();
        assert_eq!(calls[0].timeout_milliseconds, Some(1_000));
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
];

/// `{"sub": "ann"}`, with a signature that is none.
const REAL: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.AAAA";
const PRICES: &str = "<set-url>https://prices.example/p</set-url><set-method>GET</set-method>";

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
