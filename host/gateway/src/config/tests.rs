#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use keyward::vault::Durability;

use super::*;
use crate::config::VaultKey;

const WHOLE: &str = r#"
[gateway]
listen = "127.0.0.1:8080"
document = "global.xml"
[vault]
file = "/var/lib/keyward/vault.keyward"
key-file = "keys/vault.key"
[audit]
directory = "trail"
durability = "buffered"
[control]
socket = "run/control.sock"
[grants]
file = "grants.toml"
[[route]]
name = "billing"
url = "https://billing.example.com/v1"
response-timeout-ms = 1500
[[route]]
name = "local"
url = "http://127.0.0.1:9000"
[[policy]]
name = "attach-api-key"
component = "policies/attach-api-key.wasm"
settings = { alias = "backend", tries = 3, share = 0.5, on = true, list = [1, "a", { b = 2 }] }
routes = ["local"]
[[policy]]
name = "require-client-key"
component = "policies/require-client-key.wasm"
[[pipeline]]
path = "/billing"
route = "billing"
inbound = ["require-client-key", "attach-api-key"]
on-error = []
[[pipeline]]
path = "/billing/refunds"
route = "billing"
document = "refunds.xml"
[[pipeline]]
path = "/"
route = "local"
"#;

fn parse_text(text: &str) -> Result<Config, ConfigErrors> {
    parse(Path::new("/etc/keyward/keyward.toml"), text, None)
}

/// Each finding as `line:column message | help`.
fn findings(text: &str) -> Vec<String> {
    let errors = parse_text(text).unwrap_err();
    errors
        .findings()
        .iter()
        .map(|finding| {
            let (line, column) = errors.position(finding.span.start);
            let help = finding
                .help
                .as_ref()
                .map(|help| format!(" | {help}"))
                .unwrap_or_default();
            format!("{line}:{column} {}{help}", finding.message)
        })
        .collect()
}

#[test]
fn a_whole_file_is_read() {
    let config = parse_text(WHOLE).unwrap();
    assert_eq!(config.gateway.listen, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(
        config.gateway.document.as_deref(),
        Some(Path::new("/etc/keyward/global.xml"))
    );
    assert_eq!(
        config.vault.file,
        Path::new("/var/lib/keyward/vault.keyward")
    );
    assert_eq!(
        config.vault.key,
        VaultKey::File("/etc/keyward/keys/vault.key".into())
    );
    assert_eq!(config.audit.directory, Path::new("/etc/keyward/trail"));
    assert!(matches!(config.audit.durability, Durability::Buffered));
    assert_eq!(
        config.control.socket,
        Path::new("/etc/keyward/run/control.sock")
    );
    assert_eq!(
        config.grants.as_deref(),
        Some(Path::new("/etc/keyward/grants.toml"))
    );
    assert_eq!(config.routes.len(), 2);
    assert_eq!(config.routes[0].base_path(), "/v1");
    assert_eq!(
        config.routes[0].timeouts().response,
        Duration::from_millis(1500)
    );
    assert_eq!(
        config.policies[0].settings,
        serde_json::json!({
            "alias": "backend", "tries": 3, "share": 0.5, "on": true, "list": [1, "a", { "b": 2 }]
        })
    );
    assert_eq!(
        config.policies[0].routes,
        [RouteName::parse("local").unwrap()]
    );
    assert_eq!(config.policies[1].settings, serde_json::json!({}));
}

#[test]
fn the_longest_path_wins() {
    let config = parse_text(WHOLE).unwrap();
    let check = |path: &str, expected: &str| {
        let pipeline = pipeline_of(&config, path).unwrap();
        assert_eq!(pipeline.path.as_str(), expected, "{path}");
    };
    check("/billing/refunds/7", "/billing/refunds");
    check("/billing/refundsx", "/billing");
    check("/billing", "/billing");
    check("/billings", "/");
    assert!(matches!(
        pipeline_of(&config, "/billing/refunds").unwrap().steps,
        Steps::Documents(_)
    ));
}

#[test]
fn what_is_left_out_has_a_default_beside_the_file() {
    let config = parse_text("[gateway]\nlisten = \"[::1]:0\"\n").unwrap();
    assert_eq!(config.vault.file, Path::new("/etc/keyward/vault.keyward"));
    assert_eq!(
        config.vault.key,
        VaultKey::File("/etc/keyward/vault.key".into())
    );
    assert_eq!(config.audit.directory, Path::new("/etc/keyward/audit"));
    assert!(matches!(config.audit.durability, Durability::Strict));
    assert_eq!(
        config.control.socket,
        Path::new("/etc/keyward/control.sock")
    );
    assert!(config.grants.is_none() && config.pipelines.is_empty());
    assert!(pipeline_of(&config, "/").is_none());
}

#[test]
fn everything_that_is_wrong_is_found_at_once() {
    let found = findings(
        r#"[gateway]
listen = "localhost"
limits = { max-connections = 0 }
[audit]
durabilty = "strict"
[[route]]
name = "Billing"
url = "https://billing.example.com"
[[route]]
name = "local"
url = "http://billing.example.com"
[[policy]]
name = "a"
component = 7
routes = ["locl"]
[[policy]]
name = "a"
settings = { at = 2027-01-01 }
[[pipeline]]
path = "/a"
route = "local"
inbound = ["b"]
document = "a.xml"
[[pipeline]]
path = "/a"
"#,
    );
    let expected = [
        "2:10 `listen` is not an address and a port",
        "3:30 `max-connections` must be 1 to 4294967296",
        "5:1 [audit] has no key `durabilty` | did you mean `durability`? valid keys: directory, durability, retention",
        "7:8 ",
        "11:7 `url`: http:// is for this machine only",
        "14:13 `component` must be a string, not a whole number",
        "15:11 unknown route \"locl\" | did you mean \"local\"?",
        "16:1 [[policy]] has no `component` | add a line such as: component = \"policies/attach-api-key.wasm\"",
        "17:8 a second policy named \"a\"",
        "18:19 settings can't hold this value: a date that JSON does not have | write it as a string",
        "22:1 a pipeline has either a `document` or lists",
        "22:12 unknown policy \"b\" | did you mean \"a\"?",
        "24:1 [[pipeline]] has no `route`",
        "25:8 a second pipeline for /a",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}\n{expected}");
    }
}

#[test]
fn a_file_without_a_gateway_says_how_to_begin() {
    let found = findings("");
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("no [gateway]"), "{found:?}");
    assert!(
        parse_text("")
            .unwrap_err()
            .to_string()
            .contains("listen = ")
    );
}

#[test]
fn broken_toml_is_shown_where_it_breaks() {
    let text = "[gateway]\nlisten = \n[vault]\nfile = 'x\n";
    let found = findings(text);
    assert!(found.len() >= 2, "{found:?}");
    assert!(found[0].starts_with("2:"), "{found:?}");
}

#[test]
fn a_finding_shows_its_line_with_a_caret() {
    let text = "[gateway]\nlisten = \"127.0.0.1:8080\"\nlisten-backlog = 7\n";
    let shown = parse_text(text).unwrap_err().to_string();
    assert!(shown.contains("/etc/keyward/keyward.toml:3:1"), "{shown}");
    assert!(shown.contains("listen-backlog = 7"), "{shown}");
    assert!(shown.contains("^^^^^^^^^^^^^^"), "{shown}");
    assert!(
        shown.contains(
            "valid keys: listen, document, fragments, service-name, region, trusted-proxies"
        ),
        "{shown}"
    );
}

#[test]
fn a_route_trusts_the_certificates_it_names() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keyward.toml");
    std::fs::write(folder.path().join("ca.pem"), "pem").unwrap();
    let text = |ca: &str| {
        format!(
            "[gateway]\nlisten = \"127.0.0.1:0\"\n[[route]]\nname = \"a\"\nurl = \"https://a.example\"\nca-file = \"{ca}\"\n"
        )
    };
    let config = parse(&file, &text("ca.pem"), None).unwrap();
    assert_eq!(*config.routes[0].roots(), Roots::Pem(b"pem".to_vec()));
    let errors = parse(&file, &text("missing.pem"), None).unwrap_err();
    assert!(errors.to_string().contains("missing.pem"), "{errors}");
}

#[test]
fn a_route_says_where_it_may_lead_and_how_long_it_waits() {
    let text = r#"
[gateway]
listen = "127.0.0.1:1"
[vault]
[[route]]
name = "inside"
url = "https://billing.internal"
networks = ["private", "203.0.113.7/32"]
resolve-timeout-ms = 1
connect-timeout-ms = 2
tls-timeout-ms = 3
request-body-timeout-ms = 4
response-timeout-ms = 5
body-timeout-ms = 6
idle-timeout-ms = 7
max-connections = 8
retries = 0
[[route]]
name = "metadata"
url = "https://169.254.169.254"
networks = ["169.254.169.254/32"]
"#;
    let config = parse_text(text).unwrap();
    let route = &config.routes[0];
    let networks: Vec<String> = route.networks().iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["private", "203.0.113.7/32"]);
    let millis = Duration::from_millis;
    let timeouts = Timeouts {
        resolve: millis(1),
        connect: millis(2),
        tls: millis(3),
        request_body: millis(4),
        response: millis(5),
        body: millis(6),
        idle: millis(7),
    };
    assert_eq!(*route.timeouts(), timeouts);
    assert_eq!((route.max_connections(), route.retries()), (8, 0));
    let unsaid = parse_text(WHOLE).unwrap();
    assert_eq!(unsaid.routes[0].networks(), [Network::Public]);
    assert_eq!(*unsaid.routes[1].timeouts(), Timeouts::default());
}

#[test]
fn a_route_that_could_lead_nowhere_or_anywhere_is_refused() {
    let route = |lines: &str| {
        let text = format!(
            "[gateway]\nlisten = \"127.0.0.1:1\"\n[vault]\n[[route]]\nname = \"a\"\n{lines}\n"
        );
        findings(&text).remove(0)
    };
    let named = "url = \"https://a.example\"\n";
    for (networks, message) in [
        ("[]", "`networks` is empty"),
        ("[\"inside\"]", "`networks`: not a network"),
        ("[\"10.1.0.0/8\"]", "the range begins at 10.0.0.0"),
        ("\"public\"", "`networks` must be an array of strings"),
    ] {
        let found = route(&format!("{named}networks = {networks}"));
        assert!(found.contains(message), "{found}");
    }
    let found = route(&format!("{named}retries = 11"));
    assert!(found.contains("`retries` must be 0 to 10"), "{found}");
    let found = route("url = \"https://169.254.169.254\"\nnetworks = [\"private\"]");
    assert!(found.contains("a platform serves credentials"), "{found}");
}

#[test]
fn a_missing_file_is_named() {
    let errors = Config::load(Path::new("/nonexistent/keyward.toml")).unwrap_err();
    assert!(
        errors.to_string().contains("/nonexistent/keyward.toml"),
        "{errors}"
    );
    assert_eq!(errors.findings().len(), 1);
}

/// The pipeline that comes first for a path.
fn pipeline_of<'a>(config: &'a Config, path: &str) -> Option<&'a Pipeline> {
    config
        .pipelines
        .iter()
        .find(|pipeline| pipeline.path.matches(path))
}

#[test]
fn roles_are_users_and_groups_that_the_system_knows() {
    const BASE: &str = "[gateway]\nlisten = \"127.0.0.1:8080\"\n";
    let parse =
        |control: &str| Config::parse(Path::new("keyward.toml"), &format!("{BASE}{control}"));
    let config = parse(
        "[control]\nrequire-reason = true\n[control.roles]\n\
         operator = [\"user:root\", \"uid:1001\"]\nauditor = [\"gid:50\"]\nviewer = []\n",
    )
    .unwrap();
    assert!(config.control.rules.require_reason);
    assert!(config.control.rules.roles.has_others());
    let without = parse("").unwrap().control.rules;
    assert!(!without.require_reason && !without.roles.has_others());
    for (control, place, said) in [
        (
            "[control.roles]\noperator = [\"uid:1\", \"user:nobody-of-that-name\"]\n",
            ":4:22",
            "no user `nobody-of-that-name`",
        ),
        (
            "[control.roles]\nviewer = [\"alice\"]\n",
            ":4:11",
            "user:alice",
        ),
        (
            "[control.roles]\nadmin = []\n",
            ":4:1",
            "viewer, operator, approver, auditor",
        ),
        ("[control]\nrequire-reason = 1\n", ":4:18", "true or false"),
    ] {
        let errors = parse(control).unwrap_err().to_string();
        assert!(errors.contains(place), "{errors}");
        assert!(errors.contains(said), "{errors}");
    }
}

#[test]
fn a_route_to_a_database_takes_no_requests() {
    let database = WHOLE.replace("http://127.0.0.1:9000", "postgres://127.0.0.1:5432");
    let found = findings(&database);
    assert_eq!(found.len(), 2, "a pipeline and a policy: {found:?}");
    for finding in found {
        let (what, help) = finding.split_once(" | ").unwrap();
        assert!(what.ends_with("route \"local\" leads to a database, which takes no requests"));
        assert!(help.contains("use = \"query\""), "{help}");
    }
    let unused = database
        .replace("routes = [\"local\"]", "")
        .replace("route = \"local\"", "route = \"billing\"");
    assert!(parse_text(&unused).is_ok(), "control");
}
