//! A policy document in a whole gateway: compiled, run in its sandbox, with a secret
//! that goes to the backend and nowhere else. `document.test.toml` has the cases.

use http::{Request, StatusCode};
use keyward_tests::Backend;

use crate::folder::{Folder, component};

const GRANT: &str = r#"
[[grant]]
id = "key"
policy = "document"
secret = "billing-key"
alias = "billing-key.x-api-key"
use = "attach"
header = "x-api-key"
to = [{ route = "billing", methods = ["GET", "POST"], paths = ["/orders"] }]
"#;

/// A gateway with that document.
fn folder(document: &str, backend: &Backend) -> Folder {
    let text = format!(
        r#"
[gateway]
listen = "127.0.0.1:0"
[grants]
file = "grants.toml"
[[route]]
name = "billing"
url = "{}"
[[policy]]
name = "document"
component = "{}"
[[pipeline]]
path = "/"
route = "billing"
document = "document.xml"
"#,
        backend.url(),
        component("document")
    );
    Folder::new(&text, document, GRANT)
}

/// Sends a request through a gateway; gives the answer's status and body.
async fn answered(folder: &Folder) -> (StatusCode, String) {
    let serves = folder.open().unwrap();
    let answer = serves.send(Request::post("/orders"), "hello").await;
    (answer.status(), answer.into_body())
}

#[tokio::test]
async fn a_document_runs_and_its_secret_reaches_the_backend_alone() {
    let backend = Backend::start().await;
    let document = r#"<policies>
        <inbound>
            <set-variable name="held" value="{{key}}" />
            <set-header name="X-Api-Key"><value>@((string)context.Variables["held"])</value></set-header>
            <set-body>@(context.Request.Body.As<string>().ToUpper())</set-body>
        </inbound>
        <backend><retry condition="@(false)" count="1"><forward-request buffer-request-body="true" /></retry></backend>
        <outbound><set-body>@(context.Variables.ContainsKey("held") + " " + context.Response.StatusCode)</set-body></outbound>
    </policies>"#;
    let folder = folder(document, &backend);
    let (status, body) = answered(&folder).await;
    assert_eq!((status, &*body), (StatusCode::OK, "True 200"));
    let received = &backend.received()[0];
    assert_eq!(
        received.headers.get("x-api-key").unwrap(),
        folder.key.text()
    );
    assert_eq!(received.body, b"HELLO".as_slice());
}

/// The request's line and all values of a header, also where the document changed them.
#[tokio::test]
async fn the_line_and_all_values_of_a_header_are_seen_as_they_are_now() {
    let backend = Backend::start().await;
    let seen = "@($\"{context.Request.Method} {context.Request.Url.Path}{context.Request.Url.QueryString} {context.Request.Headers.GetValueOrDefault(\"x-tag\", \"none\")}\")";
    let document = format!(
        "<policies><inbound>\
           <set-header name='x-before'><value>{seen}</value></set-header>\
           <set-header name='x-tag' exists-action='append'><value>three</value></set-header>\
           <set-query-parameter name='b'><value>2</value></set-query-parameter>\
           <rewrite-uri template='/moved' />\
           <set-method>PUT</set-method>\
           <set-header name='x-after'><value>{seen}</value></set-header>\
         </inbound><backend><forward-request /></backend><outbound>\
           <set-body>{seen}</set-body>\
         </outbound></policies>"
    );
    let serves = folder(&document, &backend).open().unwrap();
    let request = Request::post("/orders?a=1")
        .header("x-tag", "one")
        .header("X-Tag", "two");
    let answer = serves.send(request, "").await;
    let received = backend.received();
    let header = |name: &str| received[0].headers[name].to_str().unwrap();
    assert_eq!(header("x-before"), "POST /orders?a=1 one,two");
    let after = "PUT /moved?a=1&b=2 one,two,three";
    assert_eq!(header("x-after"), after);
    assert_eq!(answer.into_body(), after);
}

/// As deep as documents, expressions and JSON may be, all at once: the sandbox's stack is
/// enough for what compiles.
#[tokio::test]
async fn the_deepest_document_runs() {
    let backend = Backend::start().await;
    // Each `+` stands in the next one.
    let ones = |count: usize| " + 1".repeat(count);
    let json = format!("JObject.Parse(\"{}\")", objects());
    let mut statements = format!(
        "<cache-store-value key=\"deep\" value='@({json})' duration=\"60\" />\
         <cache-lookup-value key=\"deep\" variable-name=\"deep\" />\
         <set-header name=\"x-sum\"><value>@(((JToken.DeepEquals({json}, ((JToken)context.Variables[\"deep\"]).DeepClone()) ? {json}.ToString(Formatting.None).Length : 0){}).ToString())</value></set-header>",
        ones(SUM)
    );
    // Of all that hold statements these need most of the stack.
    for _ in 0..RETRIES {
        let condition = format!("@(context.Variables.Count{} == 0)", ones(9));
        statements = format!(
            "<retry condition=\"{condition}\" count=\"1\" interval=\"1\">{statements}</retry>"
        );
    }
    let document = format!(
        "<policies><inbound>{statements}</inbound><backend><forward-request /></backend></policies>"
    );
    let (status, body) = answered(&folder(&document, &backend)).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let sum = backend.received()[0].headers.get("x-sum").cloned().unwrap();
    assert_eq!(sum, (6 * OBJECTS + 1 + SUM).to_string().as_str());
}

/// JSON in a variable is as deep in the next phase, which reads it back.
#[tokio::test]
async fn the_deepest_json_is_kept_from_phase_to_phase() {
    let backend = Backend::start().await;
    let arrays = format!("{}{}", "[".repeat(JSON), "]".repeat(JSON));
    let objects = objects();
    let document = format!(
        "<policies><inbound>\
           <set-variable name=\"arrays\" value=\"@(JArray.Parse(&quot;{arrays}&quot;))\" />\
           <set-variable name=\"objects\" value='@(JObject.Parse(\"{objects}\"))' />\
         </inbound><backend><forward-request /></backend><outbound>\
           <set-body>@(((JArray)context.Variables[\"arrays\"]).ToString(Formatting.None).Length + \" \" + ((JObject)context.Variables[\"objects\"]).ToString(Formatting.None).Length)</set-body>\
         </outbound></policies>"
    );
    let (status, body) = answered(&folder(&document, &backend)).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(body, format!("{} {}", 2 * JSON, 6 * OBJECTS + 1));
}

/// Objects within each other, as the text of a C# string.
fn objects() -> String {
    format!("{}1{}", r#"{\"a\":"#.repeat(OBJECTS), "}".repeat(OBJECTS))
}

const OBJECTS: usize = 98;
const RETRIES: usize = 60;
const JSON: usize = 120;
const SUM: usize = 90;
