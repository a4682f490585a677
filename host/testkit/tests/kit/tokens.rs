//! Policies that have a token obtained, run again with a backend that returns it.

use keyward_testkit::hostile::{ECHOES, Replay, replaced};
use keyward_testkit::report::{CaseReport, Style, pretty};
use keyward_testkit::run::Observed;
use keyward_testkit::suite::Case;
use keyward_testkit::{Listener, Options, Suite, run};

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
respond = { json = { access_token = "TOKEN", token_type = "Bearer", expires_in = 60 } }
"#;

fn answers(matches: &str) -> String {
    ANSWERS.replace("MATCH", matches).replace("TOKEN", TOKEN)
}

/// What came to light in each case.
#[derive(Default)]
struct Seen {
    /// Whether a backend got the token, and what the client got.
    cases: Vec<(bool, u16)>,
}

impl Listener for Seen {
    fn case_ended(&mut self, _: &Suite, _: &Case, observed: &Observed, _: &mut CaseReport) {
        let bearer = format!("Bearer {TOKEN}");
        for step in &observed.steps {
            let mut calls = step.calls.iter();
            let got = calls.any(|call| {
                let sent = call.headers.get("authorization");
                call.route.as_str() == "orders" && sent.is_some_and(|sent| *sent == *bearer)
            });
            self.cases.push((got, step.response.status));
        }
    }
}

/// Each way to return a request, in place of the suite's backends.
fn replay(text: &str) -> Seen {
    let mut suite = suite(text);
    let case = suite.cases[0].clone();
    suite.cases = ECHOES
        .iter()
        .map(|echo| replaced(&suite, &case, *echo))
        .collect();
    let mut options = Options::default();
    options.replay = Replay::Off;
    let mut seen = Seen::default();
    let report = run(&[suite], &options, &mut seen);
    assert!(
        report.holds(),
        "\n{}",
        pretty::report(&report, Style::default())
    );
    assert_eq!(seen.cases.len(), ECHOES.len());
    seen
}

const CASE: &str = "[[case]]\nname = \"a\"\nrequest = { path = \"/v1/orders\" }\n";

#[test]
fn a_replay_reaches_the_backend_with_a_token_and_the_guard_stops_its_return() {
    for matches in ["route = \"identity\"", "", "match.path = \"/oauth2/**\""] {
        let seen = replay(&text("https://login.example", &(answers(matches) + CASE)));
        let cases = &seen.cases;
        assert!(cases.iter().all(|(got, _)| *got), "{matches}: {cases:?}");
        // The first echoes the whole in a body. No way leaked, or the report would say so.
        assert_eq!(seen.cases[0].1, 502);
    }
    // Control: where the token endpoint does not answer as one, there is no token.
    let seen = replay(&text("https://login.example", CASE));
    assert!(seen.cases.iter().all(|(got, _)| !*got), "{:?}", seen.cases);
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
