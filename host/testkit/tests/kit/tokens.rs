//! Policies that have a token obtained: what is kept in a replay, and what is a leak.

use keyward_testkit::hostile::{ECHOES, Replay, replaced};
use keyward_testkit::{Options, run};

use crate::{findings, holds, suite};

const TOKEN: &str = "an-access-token-7Qm2xV9sLr4TzN8bWc3Kd6Hs";

/// A client of `identity`, whose token goes to `orders`.
fn text(identity: &str, cases: &str) -> String {
    format!(
        r#"
policy = "../../target/policies/oauth2-client-credentials.wasm"
[secrets.orders-client]
kind = "oauth-client"
[routes.orders]
url = "https://orders.example"
[routes.identity]
url = "{identity}"
[[grant]]
id = "token"
policy = "oauth2-client-credentials"
secret = "orders-client"
alias = "oauth-client"
use = "token"
endpoint = {{ route = "identity", path = "/oauth2/token" }}
scopes = ["orders.read"]
to = [{{ route = "orders", paths = ["/v1/orders"] }}]
{cases}
"#
    )
}

const ANSWERS: &str = r#"
[[backend]]
MATCH
respond = { headers = { content-type = "application/json" }, json = { access_token = "TOKEN", token_type = "Bearer", expires_in = 60 } }
"#;

fn answers(matches: &str) -> String {
    ANSWERS.replace("MATCH", matches).replace("TOKEN", TOKEN)
}

/// A case in which the backend answers in this way, and what is expected.
fn answered(backend: &str, expect: &str) -> String {
    let case =
        format!("{CASE}backend = [{{ route = \"orders\", {backend} }}]\nexpect = {expect}\n");
    text(
        "https://login.example",
        &(answers("route = \"identity\"") + &case),
    )
}

const CASE: &str = "[[case]]\nname = \"a\"\nrequest = { path = \"/v1/orders\" }\n";

#[test]
fn a_token_endpoint_answers_in_a_replay_and_all_else_is_echoed() {
    let backends = |matches: &str| {
        let suite = suite(&text("https://login.example", &(answers(matches) + CASE)));
        let case = replaced(&suite, &suite.cases[0], ECHOES[0]);
        let backends = case.backends.into_iter();
        let words = backends.map(|it| (it.matches.path, it.answer.echo.is_some()));
        words.collect::<Vec<_>>()
    };
    let endpoint = (Some("/oauth2/token".to_owned()), false);
    for matches in ["route = \"identity\"", "", "match.path = \"/oauth2/**\""] {
        assert_eq!(backends(matches), [endpoint.clone(), (None, true)]);
    }
    // Control: what answers for another route is not kept.
    assert_eq!(backends("route = \"orders\""), [(None, true)]);
}

#[test]
fn a_token_that_a_backend_returns_is_stopped_and_no_leak() {
    for way in ["body", "headers", "base64", "gzip", "cookie"] {
        let backend = format!("echo = \"{way}\"");
        holds(&answered(
            &backend,
            "{ status = 502, failure = \"backend-refused\" }",
        ));
    }
    // A head that is out stays out; what follows it is cut off before the token.
    for way in ["late-body", "body-by-1"] {
        let backend = format!("echo = \"{way}\"");
        holds(&answered(
            &backend,
            "{ status = 200, body = { broken = true } }",
        ));
    }
    // Control: it is the token that is not let through.
    let backend = "respond.body = \"anything else\"";
    holds(&answered(
        backend,
        "{ status = 200, body = \"anything else\" }",
    ));
}

#[test]
fn control_a_token_that_gets_past_the_guard_is_a_leak_by_its_name() {
    let reversed: String = TOKEN.chars().rev().collect();
    let base32 = data_encoding::BASE32.encode(TOKEN.as_bytes());
    for (form, value) in [("reversed", reversed), ("base32", base32)] {
        for (respond, sink) in [
            (format!("body = \"it is {value}\""), "response body"),
            (
                format!("headers = {{ x-it = \"{value}\" }}"),
                "response head",
            ),
        ] {
            let text = answered(&format!("respond = {{ {respond} }}"), "{ status = 200 }");
            let report = run(&[suite(&text)], &Options::default(), &mut ());
            let leaks: Vec<_> = report.suites[0].cases[0].leaks.iter().collect();
            let [leak] = &leaks[..] else {
                panic!("{leaks:?}");
            };
            assert_eq!(
                (&*leak.secret, &*leak.form, &*leak.sink, &*leak.operation),
                (
                    "orders-client access token",
                    form,
                    sink,
                    "the backend's answer"
                )
            );
            // And no case expects it without naming it.
            assert_eq!(findings(&text), [""; 0]);
        }
    }
}

#[test]
fn control_a_token_that_comes_to_light_is_a_leak() {
    let leaks = |said: &'static str| -> Vec<String> {
        let mut options = Options::default();
        options.replay = Replay::Off;
        options.metrics = Some(Box::new(move |_| format!("of=\"{said}\"")));
        let suite = suite(&text("https://login.example", &(answers("") + CASE)));
        let report = run(&[suite], &options, &mut ());
        let leaks = report.suites[0].cases[0].leaks.iter();
        let words = leaks.map(|leak| format!("{}: {}", leak.secret, leak.sink));
        words.collect()
    };
    assert_eq!(leaks("something else"), [""; 0]);
    assert_eq!(leaks(TOKEN), ["orders-client access token: metrics"]);
}
