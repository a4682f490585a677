//! Policies that have a token obtained: what is kept in a replay, and what is a leak.

use keyward_testkit::hostile::{ECHOES, Replay, replaced};
use keyward_testkit::{Options, run};

use crate::suite;

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
