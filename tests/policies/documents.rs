//! Policy documents in a whole gateway: read, compiled, run by the one guest, with
//! other policies between, and with the secrets that they ask for.

use http::{Request, Response, StatusCode};
use keyward::vault::Drift;
use keyward_gateway::assemble::OpenError;
use keyward_gateway::documents::DocumentFault;
use keyward_gateway::grants::GrantsFault;
use keyward_tests::{ATTACH_GRANT, Backend};

use crate::folder::{Folder, component};

/// A gateway whose pipeline at `/` has that document. `more` stands at the end of the
/// configuration.
pub(crate) fn folder(backend: &str, document: &str, more: &str) -> Folder {
    let text = format!(
        r#"
[gateway]
listen = "127.0.0.1:0"
fragments = "fragments"
[grants]
file = "grants.toml"
[[route]]
name = "billing"
url = "{backend}"
[[route]]
name = "closed"
url = "{backend}/closed"
[[policy]]
name = "attach-api-key"
component = "{}"
settings = {{ alias = "backend" }}
[[policy]]
name = "set-headers"
component = "{}"
settings = {{ headers = [{{ name = "x-between", action = "override", values = ["yes"] }}] }}
[[policy]]
name = "document"
component = "{}"
[[pipeline]]
path = "/"
route = "billing"
document = "document.xml"
[pipeline.api]
id = "orders"
{more}
"#,
        component("attach-api-key"),
        component("set-headers"),
        component("document"),
    );
    let folder = Folder::new(&text, document, ATTACH_GRANT);
    std::fs::create_dir(folder.path().join("fragments")).unwrap();
    folder
}

pub(crate) fn header<'a>(answer: &'a Response<String>, name: &str) -> Option<&'a str> {
    answer.headers().get(name)?.to_str().ok()
}

#[tokio::test]
async fn statements_and_expressions_run_in_every_phase() {
    let backend = Backend::start().await;
    let document = r#"<policies>
      <inbound><base/>
        <set-variable name="who" value="@(context.Api.Id + &quot;-&quot; + context.Request.Method)"/>
        <choose>
          <when condition="@(context.Request.Url.Path.StartsWith(&quot;/teapot&quot;))">
            <return-response><set-status code="418" reason="I'm a teapot"/><set-body>short</set-body></return-response>
          </when>
        </choose>
        <set-header name="x-who" exists-action="override"><value>@((string)context.Variables["who"])</value></set-header>
      </inbound>
      <backend><base/></backend>
      <outbound><base/>
        <set-header name="x-status" exists-action="override"><value>@(context.Response.StatusCode.ToString())</value></set-header>
      </outbound>
      <on-error><base/></on-error>
    </policies>"#;
    let folder = folder(&backend.url(), document, "");
    let serves = folder.open().unwrap();
    let answer = serves.get("/v1/charges").await;
    assert_eq!(answer.status(), StatusCode::OK, "{}", answer.body());
    assert_eq!(header(&answer, "x-status"), Some("200"));
    let received = backend.received();
    assert_eq!(received[0].header("x-who"), Some("orders-GET"));
    let answer = serves.get("/teapot").await;
    assert_eq!(
        (answer.status().as_u16(), answer.body().as_str()),
        (418, "short")
    );
    assert_eq!(backend.received().len(), 1);
}

#[tokio::test]
async fn the_document_forwards_where_it_says_so_and_nowhere_else() {
    let backend = Backend::start().await;
    let document = r#"<policies><inbound/><backend>
        <choose><when condition="@(context.Request.Method == &quot;POST&quot;)">
          <forward-request timeout="10" buffer-request-body="true"/>
        </when></choose>
      </backend><outbound>
        <set-header name="x-seen" exists-action="override"><value>@(context.Response.StatusCode.ToString())</value></set-header>
      </outbound><on-error/></policies>"#;
    let folder = folder(&backend.url(), document, "");
    let serves = folder.open().unwrap();
    let answer = serves.get("/v1/charges").await;
    assert_eq!(
        (answer.status().as_u16(), answer.body().as_str()),
        (200, "")
    );
    assert_eq!(header(&answer, "x-seen"), Some("200"));
    assert!(backend.received().is_empty());
    // Control: the same document forwards.
    let answer = serves.send(Request::post("/v1/charges"), "paid").await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(backend.received()[0].body, "paid");
}

#[tokio::test]
async fn policies_of_ones_own_run_between_the_segments_of_a_document() {
    let backend = Backend::start().await;
    let document = r#"<policies><inbound>
        <set-header name="x-first" exists-action="override"><value>1</value></set-header>
        <wasm-policy name="set-headers"/>
        <set-header name="x-after" exists-action="override"><value>@(context.Request.Headers.GetValueOrDefault("x-between","no"))</value></set-header>
        <wasm-policy name="attach-api-key"/>
      </inbound><backend><base/></backend><outbound/><on-error/></policies>"#;
    let folder = folder(&backend.url(), document, "");
    let serves = folder.open().unwrap();
    assert_eq!(serves.get("/v1/charges").await.status(), StatusCode::OK);
    let received = backend.received();
    assert_eq!(received[0].header("x-first"), Some("1"));
    assert_eq!(received[0].header("x-after"), Some("yes"));
    assert_eq!(received[0].header("x-api-key"), Some(folder.key.text()));
}

#[tokio::test]
async fn scopes_and_fragments_are_put_together() {
    let backend = Backend::start().await;
    let set = |name: &str| {
        format!(
            r#"<set-header name="x-{name}" exists-action="override"><value>1</value></set-header>"#
        )
    };
    let document = r#"<policies><inbound><base/><include-fragment fragment-id="mark"/></inbound><backend><base/></backend><outbound><base/></outbound><on-error><base/></on-error></policies>"#;
    let folder = folder(&backend.url(), document, "");
    folder.write(
        "fragments/mark.xml",
        &format!("<fragment>{}</fragment>", set("mark")),
    );
    folder.write("global.xml", &format!(
        "<policies><inbound>{}</inbound><backend><forward-request/></backend><outbound/><on-error/></policies>",
        set("global")
    ));
    folder.write(
        "operation.xml",
        &document.replace(
            "<include-fragment fragment-id=\"mark\"/>",
            &set("operation"),
        ),
    );
    let text = std::fs::read_to_string(folder.path().join("keyward.toml")).unwrap();
    let text = text
        .replace("fragments = ", "document = \"global.xml\"\nfragments = ")
        .replace(
            "document = \"document.xml\"",
            "document = [\"document.xml\", \"operation.xml\"]",
        );
    folder.write("keyward.toml", &text);
    let files = folder.config().files();
    for name in [
        "global.xml",
        "document.xml",
        "operation.xml",
        "fragments/mark.xml",
    ] {
        assert!(
            files.contains(&folder.path().join(name)),
            "{name}: {files:?}"
        );
    }
    let serves = folder.open().unwrap();
    assert_eq!(serves.get("/v1/charges").await.status(), StatusCode::OK);
    let received = backend.received();
    for name in ["x-mark", "x-global", "x-operation"] {
        assert_eq!(received[0].header(name), Some("1"), "{name}");
    }
}

const ATTACHES: &str = r#"<policies><inbound><base/>
    <set-header name="x-api-key" exists-action="override"><value>{{key}}</value></set-header>
  </inbound><backend><base/></backend><outbound/><on-error/></policies>"#;

const DOCUMENT_GRANT: &str = r#"
[[grant]]
id = "document"
policy = "document"
secret = "billing-key"
alias = "ALIAS"
use = "attach"
header = "x-api-key"
to = [{ route = "billing", paths = ["/v1/charges"] }]
"#;

/// Grants what the document asks for.
pub(crate) fn grant(folder: &Folder) {
    let (_, documents) = folder.compiled();
    let runs = documents.runs(&keyward::names::PolicyName::parse("document").unwrap());
    let alias = &runs.unwrap().asks[0].alias;
    folder.write(
        "grants.toml",
        &DOCUMENT_GRANT.replace("ALIAS", alias.as_str()),
    );
}

#[tokio::test]
async fn a_secret_in_a_document_is_attached_where_a_grant_says_so() {
    let backend = Backend::start().await;
    let folder = folder(&backend.url(), ATTACHES, "");
    grant(&folder);
    let serves = folder.open().unwrap();
    let answer = serves.get("/v1/charges").await;
    assert_eq!(answer.status(), StatusCode::OK, "{}", answer.body());
    assert_eq!(
        backend.received()[0].header("x-api-key"),
        Some(folder.key.text())
    );
    // Without a grant nothing is sent at all.
    drop(serves);
    folder.write("grants.toml", "");
    let serves = folder.open().unwrap();
    assert_ne!(serves.get("/v1/charges").await.status(), StatusCode::OK);
    assert_eq!(backend.received().len(), 1);
}

#[tokio::test]
async fn a_document_that_changed_is_not_the_one_that_was_pinned() {
    let folder = folder("http://127.0.0.1:1", ATTACHES, "");
    grant(&folder);
    folder.pin();
    drop(folder.open().unwrap());
    folder.write(
        "document.xml",
        &ATTACHES.replace(
            "<outbound/>",
            "<outbound><set-status code=\"201\" reason=\"x\"/></outbound>",
        ),
    );
    let refused = folder.refused();
    let OpenError::Grants(GrantsFault::Drifted { drift, .. }) = &refused else {
        panic!("{refused}");
    };
    assert!(
        matches!(drift[..], [Drift::OtherComponent { .. }]),
        "{drift:?}"
    );
    // Control: nothing else than the document has changed.
    folder.write("document.xml", ATTACHES);
    drop(folder.open().unwrap());
}

#[tokio::test]
async fn what_runs_a_document_runs_that_alone() {
    const ONE: &str = "<policies><inbound><set-status code=\"200\" reason=\"a\"/></inbound><backend><base/></backend><outbound/><on-error/></policies>";
    let one = ONE.replace(
        "<set-status code=\"200\" reason=\"a\"/>",
        "<set-header name=\"a\"><value>1</value></set-header>",
    );
    let second = "[[pipeline]]\npath = \"/two\"\nroute = \"billing\"\ndocument = \"two.xml\"\n";
    let folder = folder("http://127.0.0.1:1", &one, second);
    folder.write("two.xml", &one.replace(">1<", ">2<"));
    let refused = folder.refused();
    assert!(
        matches!(
            refused,
            OpenError::Document(DocumentFault::TwoPrograms { .. })
        ),
        "{refused}"
    );
    assert!(refused.to_string().contains("`runs-as`"), "{refused}");
    // A policy that runs no documents, one with settings, and none.
    let text = std::fs::read_to_string(folder.path().join("keyward.toml")).unwrap();
    let text = text.replace(second, "");
    let as_policy = |name: &str| {
        text.replace(
            "document = \"document.xml\"",
            &format!("document = \"document.xml\"\nruns-as = \"{name}\""),
        )
    };
    for (text, says) in [
        (
            text.replace("name = \"document\"", "name = \"other\""),
            "there is no such policy",
        ),
        (as_policy("attach-api-key"), "those are all its settings"),
        (
            as_policy("attach-api-key").replace("settings = { alias = \"backend\" }", ""),
            "runs no documents",
        ),
    ] {
        folder.write("keyward.toml", &text);
        let refused = folder.refused().to_string();
        assert!(refused.contains(says), "{refused}");
    }
    // Control: as it was.
    folder.write("keyward.toml", &text);
    drop(folder.open().unwrap());
}

#[test]
fn a_configuration_says_whether_callers_need_a_key() {
    const PLAIN: &str = "<policies><inbound /><backend><forward-request /></backend>\
                         <outbound /><on-error /></policies>";
    for (more, required) in [
        ("subscription-required = true", true),
        ("subscription-required = false", false),
        ("", false),
    ] {
        let folder = folder("http://127.0.0.1:9", PLAIN, more);
        let (config, documents) = folder.compiled();
        let path = &config.pipelines[0].path;
        let compiled = &documents.of_pipeline(path).unwrap().compiled;
        let surroundings = compiled.program.statements.surroundings();
        assert_eq!(surroundings.subscription_required, required, "{more}");
        assert_eq!(compiled.needs_guest(), required, "{more}");
    }
}

#[tokio::test]
async fn a_document_of_other_policies_alone_needs_no_guest() {
    let backend = Backend::start().await;
    let document = r#"<policies><inbound><wasm-policy name="set-headers"/></inbound><backend><base/></backend><outbound/><on-error/></policies>"#;
    let folder = folder(&backend.url(), document, "");
    let text = std::fs::read_to_string(folder.path().join("keyward.toml")).unwrap();
    folder.write(
        "keyward.toml",
        &text.replace("name = \"document\"", "name = \"unused\""),
    );
    let serves = folder.open().unwrap();
    assert_eq!(serves.get("/v1/charges").await.status(), StatusCode::OK);
    assert_eq!(backend.received()[0].header("x-between"), Some("yes"));
}
