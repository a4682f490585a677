//! What changes between two sets, by what they mean.

use super::*;

const BASE: &str = r#"
[[grant]]
id = "attach"
policy = "p"
secret = "key"
alias = "backend"
use = "attach"
header = "x-api-key"
not-after = "2030-01-01T00:00:00Z"
to = [
  { route = "billing", methods = ["GET", "POST"], paths = ["/v1/charges", "/v1/refunds/{id}"] },
  { route = "other", paths = ["/"] },
]

[[grant]]
id = "sign"
policy = "q"
secret = "hmac"
use = "sign-request"
covers = ["@method", "@target-uri", "@scheme", "content-digest"]
to = [{ route = "billing" }]

[[grant]]
id = "who"
policy = "q"
secret = "clients"
use = "identify"
header = "x-api-key"
"#;

fn set(text: &str) -> Grants {
    Grants::parse("grants.toml", text)
        .map_err(|error| format!("{error}\n{text}"))
        .unwrap()
}

/// Each part as `id: effect: words`.
fn lines(old: &str, new: &str) -> Vec<String> {
    let changes = set(new).diff(&set(old));
    let parts = changes.iter().flat_map(|change| {
        let head = format!("{} {}", change.grant, change.kind.as_str());
        change
            .parts
            .iter()
            .map(move |(effect, text)| format!("{head}: {effect}: {text}"))
    });
    parts.collect()
}

#[track_caller]
fn check(from: &str, to: &str, expected: &[&str]) {
    assert!(BASE.contains(from), "{from}");
    assert_eq!(lines(BASE, &BASE.replacen(from, to, 1)), expected);
}

#[test]
fn order_comments_and_spelling_are_no_change() {
    let blocks: Vec<&str> = BASE.split("[[grant]]").skip(1).collect();
    let backwards: String = blocks
        .iter()
        .rev()
        .map(|block| format!("# reviewed\n[[grant]]{block}"))
        .collect();
    assert_eq!(lines(BASE, &backwards), [""; 0]);
    for (from, to) in [
        (r#"["GET", "POST"]"#, r#"["POST", "GET", "GET"]"#),
        (r#""/v1/refunds/{id}"]"#, r#""/v1/refunds/{refund}"]"#),
        (
            r#""/v1/refunds/{id}"]"#,
            r#""/v1/refunds/{id}", "/v1/refunds/one"]"#,
        ),
        (
            r#"["@method", "@target-uri","#,
            r#"["@target-uri", "@method","#,
        ),
        ("x-api-key", "X-Api-Key"),
        ("2030-01-01T00:00:00Z", "2030-01-01T01:00:00+01:00"),
        (
            r#"{ route = "other", paths = ["/"] },"#,
            r#"{ route = "other", paths = ["/"] }, { route = "billing", methods = ["GET"], paths = ["/v1/charges"] },"#,
        ),
    ] {
        check(from, to, &[]);
    }
}

#[test]
fn a_new_grant_widens_and_a_removed_one_narrows() {
    let blocks: Vec<&str> = BASE.split("\n\n").collect();
    let two = blocks[..2].join("\n\n");
    let words = "policy q may learn who is calling, by the keys in secret clients that clients put into header x-api-key; no policy sees a key";
    assert_eq!(lines(&two, BASE), [format!("who added: wider: {words}")]);
    assert_eq!(
        lines(BASE, &two),
        [format!("who removed: narrower: {words}")]
    );
    assert!(set(BASE).diff(&set(&two))[0].widens());
    assert!(!set(&two).diff(&set(BASE))[0].widens());
}

#[test]
fn each_part_that_allows_more_is_wider() {
    check(
        r#"["GET", "POST"]"#,
        r#"["GET", "POST", "PUT"]"#,
        &["attach changed: wider: it may now go to billing: PUT /v1/charges, /v1/refunds/{id}"],
    );
    check(
        r#""/v1/charges", "#,
        r#""/v1/{any}", "#,
        &[
            "attach changed: wider: it may now go to billing: GET /v1/{any}",
            "attach changed: wider: it may now go to billing: POST /v1/{any}",
        ],
    );
    check(
        r#"methods = ["GET", "POST"], "#,
        "",
        &[
            "attach changed: wider: it may now go to billing: any method /v1/charges, /v1/refunds/{id}",
        ],
    );
    check(
        r#"route = "other""#,
        r#"route = "others""#,
        &[
            "attach changed: wider: it may now go to others: any method /",
            "attach changed: narrower: it may no longer go to other: any method /",
        ],
    );
    check(
        "not-after = \"2030-01-01T00:00:00Z\"\n",
        "",
        &["attach changed: wider: it has no end; it had: 2030-01-01T00:00:00Z"],
    );
    check(
        "2030-01-01",
        "2031-01-01",
        &["attach changed: wider: it ends later: 2031-01-01T00:00:00Z, not 2030-01-01T00:00:00Z"],
    );
    check(
        "x-api-key\"\nnot-after",
        "x-key\"\nnot-after",
        &[
            "attach changed: wider: the value goes into \"x-key: {secret}\", not \"x-api-key: {secret}\"",
        ],
    );
    check(
        "alias = \"backend\"",
        "alias = \"frontend\"",
        &["attach changed: wider: the policy calls it frontend, not backend"],
    );
    check(
        "secret = \"key\"",
        "secret = \"key2\"",
        &["attach changed: wider: it is about secret key2, not key"],
    );
    check(
        "policy = \"p\"",
        "policy = \"r\"",
        &["attach changed: wider: policy r may now, instead of p"],
    );
    check(
        "\"@scheme\", ",
        "",
        &["sign changed: wider: signatures no longer cover @scheme"],
    );
    check(
        "to = [{ route = \"billing\" }]",
        "lifetime-seconds = 600\nmax-body-bytes = 4096\nto = [{ route = \"billing\" }]",
        &[
            "sign changed: narrower: bodies are signed up to 4096 bytes, not 1048576",
            "sign changed: wider: signatures are valid for 600 seconds, not 300",
        ],
    );
    check(
        "secret = \"clients\"\nuse = \"identify\"\nheader = \"x-api-key\"",
        "secret = \"clients\"\nuse = \"identify\"\nquery = \"key\"",
        &[
            "who changed: wider: clients put their key into query parameter key, not header x-api-key",
        ],
    );
    check(
        "use = \"identify\"\nheader = \"x-api-key\"",
        "use = \"attach\"\nheader = \"x-api-key\"\nto = [{ route = \"billing\", paths = [\"/\"] }]",
        &[
            "who changed: wider: it allows attach, not identify, class C instead of A",
            "who changed: wider: it may now go to billing: any method /",
        ],
    );
}

#[test]
fn each_part_that_allows_less_is_narrower() {
    check(
        "not-after = \"2030",
        "component = \"sha256:abababababababababababababababababababababababababababababababab\"\nnot-after = \"2029",
        &[
            "attach changed: narrower: only as component sha256:abababababababababababababababababababababababababababababababab",
            "attach changed: narrower: it ends earlier: 2029-01-01T00:00:00Z, not 2030-01-01T00:00:00Z",
        ],
    );
    check(
        r#""/v1/refunds/{id}""#,
        r#""/v1/refunds/one""#,
        &[
            "attach changed: narrower: it may no longer go to billing: GET /v1/refunds/{id}",
            "attach changed: narrower: it may no longer go to billing: POST /v1/refunds/{id}",
        ],
    );
    check(
        "to = [{ route = \"billing\" }]",
        "to = [{ route = \"billing\", methods = [\"POST\"] }]",
        &["sign changed: narrower: it may no longer go to billing: any method any path"],
    );
    check(
        "\"content-digest\"]",
        "\"content-digest\", \"@query\"]",
        &["sign changed: narrower: signatures cover @query too"],
    );
}

#[test]
fn a_renamed_grant_is_recognised_and_a_component_is_compared() {
    check(
        "id = \"sign\"",
        "id = \"sign-billing\"",
        &["sign-billing changed: same: its id was \"sign\""],
    );
    let with = |digits: &str| {
        let line = format!("component = \"sha256:{}\"\nnot-after", digits.repeat(32));
        BASE.replacen("not-after", &line, 1)
    };
    let (a, b) = (with("ab"), with("cd"));
    assert!(lines(&a, BASE)[0].contains("wider: whatever component"));
    assert!(lines(&a, &b)[0].starts_with("attach changed: wider: for component sha256:cdcd"));
}

#[test]
fn any_set_is_the_same_as_its_own_toml() {
    for text in [BASE, EVERY_USE] {
        let grants = set(text);
        let again = set(&grants.to_toml());
        assert!(grants.iter().eq(again.iter()), "{}", grants.to_toml());
        assert!(again.diff(&grants).is_empty());
    }
}

proptest! {
    /// The paths that a template covers are paths that it matches.
    #[test]
    fn what_a_template_covers_it_matches(
        one in "(/([a-c]|\\{[a-c]\\})){1,3}",
        other in "(/([a-c]|\\{[a-c]\\})){1,3}",
    ) {
        let (one, two) = (PathTemplate::parse(&one).unwrap(), PathTemplate::parse(&other).unwrap());
        // A segment that no literal is stands for all that `{name}` matches.
        let fresh: Vec<&str> = other
            .split('/')
            .map(|segment| if segment.starts_with('{') { "zz" } else { segment })
            .collect();
        prop_assert_eq!(one.covers(&two), one.matches(&fresh.join("/")));
    }
}
