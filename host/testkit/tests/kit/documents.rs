//! The same suites drive policy documents, as the gateway reads them.

use std::fs;
use std::path::Path;

use keyward_testkit::report::{Report, Style, pretty};
use keyward_testkit::{Options, Suite, run};

const GLOBAL: &str = "<policies>
  <inbound>
    <set-header name=\"x-outer\" exists-action=\"override\"><value>from {{team}}</value></set-header>
  </inbound>
  <backend><forward-request /></backend>
</policies>
";

const OWN: &str = "<policies>
  <inbound>
    <base />
    <wasm-policy name=\"attach-api-key\" />
    <set-header name=\"x-own\" exists-action=\"override\"><value>here</value></set-header>
  </inbound>
  <backend><base /></backend>
  <outbound>
    <set-header name=\"x-answer\" exists-action=\"override\"><value>there</value></set-header>
  </outbound>
</policies>
";

const SUITE: &str = r#"
document = "own.xml"
global-document = "global.xml"
[[policies]]
component = "BUILT/attach-api-key.wasm"
[[policies]]
component = "BUILT/document.wasm"
[named-values]
team = "billing"
[secrets.stripe]
kind = "api-key"
[routes.billing]
url = "https://billing.example"
[[grant]]
id = "attach"
policy = "attach-api-key"
secret = "stripe"
alias = "backend"
use = "attach"
header = "x-api-key"
to = [{ route = "billing", paths = ["/v1/charges"] }]
[[case]]
name = "each step of both documents"
request = { path = "/v1/charges", headers = { x-outer = "the client's" } }
[case.expect]
status = 200
headers = { x-answer = "there" }
calls = [{ headers = { x-outer = "from billing", x-own = "here" }, attached = ["stripe"] }]
[[case]]
name = "without its grant"
without = ["attach"]
request = { path = "/v1/charges" }
expect = { verdict.inbound = "fail", calls = [] }
"#;

/// Runs the suite with these documents.
fn report(own: &str, global: &str) -> Report {
    report_of(SUITE, own, global)
}

fn report_of(suite: &str, own: &str, global: &str) -> Report {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("own.xml"), own).unwrap();
    fs::write(folder.path().join("global.xml"), global).unwrap();
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/policies");
    let text = suite.replace("BUILT", built.to_str().unwrap());
    let suite = Suite::parse(&folder.path().join("own.test.toml"), &text)
        .unwrap_or_else(|errors| panic!("{errors}"));
    run(&[suite], &Options::default(), &mut ())
}

#[test]
fn a_document_is_driven_by_the_same_suite() {
    let whole = report(OWN, GLOBAL);
    assert!(
        whole.holds(),
        "\n{}",
        pretty::report(&whole, Style::default())
    );
    assert_eq!(whole.totals().passed, 2);
    // Control: the case sees which steps there are.
    let without = report(&OWN.replacen("<base />", "", 1), GLOBAL);
    let findings = without.suites[0].cases[0].all_findings();
    let whats: Vec<String> = findings.map(|(_, one)| one.what.clone()).collect();
    assert_eq!(whats, ["calls[0].headers.x-outer"]);
}

#[test]
fn control_a_document_that_is_broken_is_said_with_its_place() {
    for (own, global, place) in [
        (OWN.replace("</outbound>", ""), GLOBAL.to_owned(), "own.xml"),
        (
            OWN.to_owned(),
            GLOBAL.replace("set-header", "set-haeder"),
            "global.xml:3:5",
        ),
    ] {
        let report = report(&own, &global);
        assert!(!report.holds());
        let error = report.suites[0].error.clone().unwrap_or_default();
        assert!(error.contains(place), "{error}");
    }
    // A policy that the suite does not have.
    let report = report(&OWN.replace("attach-api-key", "another"), GLOBAL);
    let error = report.suites[0].error.clone().unwrap_or_default();
    assert!(error.contains("no policy \"another\""), "{error}");
}

#[test]
fn a_document_that_asks_for_a_secret_of_a_key_vault_is_driven_where_the_suite_lists_it() {
    let reference =
        "@Microsoft.KeyVault(SecretUri=https://shop.vault.azure.net/secrets/stripe-key)";
    let own = OWN.replace(
        "<wasm-policy",
        &format!("<set-variable name=\"backend\" value=\"{reference}\" />\n    <wasm-policy"),
    );
    let listed = format!("[references]\n\"{reference}\" = {{ secret = \"stripe\" }}\n");
    let report = |listed: &str| {
        report_of(
            &SUITE.replace("[[grant]]", &format!("{listed}[[grant]]")),
            &own,
            GLOBAL,
        )
    };
    let whole = report(&listed);
    assert!(
        whole.holds(),
        "\n{}",
        pretty::report(&whole, Style::default())
    );
    // Control: a suite that doesn't list it.
    let error = report("").suites[0].error.clone().unwrap_or_default();
    assert!(error.contains("the suite does not list"), "{error}");
    assert!(error.contains("[references]"), "{error}");
}
