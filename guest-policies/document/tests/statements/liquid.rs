//! Liquid templates of set-body.

use document::Settings;

use super::own::{failed, passed};
use super::world::{inbound, outbound, request};

fn body(template: &str, content_type: &str, body: &[u8]) -> String {
    let text = format!(
        "<set-variable name=\"v\" value=\"@(new JObject(new JProperty(&quot;a&quot;, 1)))\"/><set-body template=\"liquid\">{template}</set-body>"
    );
    let simulation = request("POST", "/shop/orders/7/v2?sort=up")
        .header("content-type", content_type)
        .body(body);
    inbound(&text, simulation).simulation.request_body()
}

#[test]
fn a_body_is_what_its_content_type_says() {
    for (content_type, sent, expected) in [
        ("application/json", &br#"{"a": {"b": [1, 2]}}"#[..], "2"),
        (
            "application/vnd.example+json; charset=utf-8",
            br#"{"a": {"b": [1, 2]}}"#,
            "2",
        ),
        ("text/plain", br#"{"a": {"b": [1, 2]}}"#, ""),
        ("application/json", b"", ""),
    ] {
        assert_eq!(
            body("{{body.a.b[1]}}", content_type, sent),
            expected,
            "{content_type}"
        );
    }
    assert_eq!(body("[{{body}}]", "text/plain", b"hello"), "[hello]");
}

#[test]
fn the_exchange_is_there_as_context() {
    for (template, expected) in [
        (
            "{{context.Request.Method}} {{context.Request.Url.Path}}",
            "POST /shop/orders/7/v2",
        ),
        (
            "{{context.Request.MatchedParameters[\"id\"]}}{{context.Request.MatchedParameters.version}}",
            "72",
        ),
        ("{{context.Request.Headers.Content-Type}}", "text/plain"),
        (
            "{{context.Request.IpAddress}} {{context.Request.OriginalMethod}}",
            "192.0.2.1 POST",
        ),
        (
            "{{context.Request.OriginalUrl.Query.sort}}{{context.Request.Url.QueryString}}",
            "up?sort=up",
        ),
        ("{{context.Variables[\"v\"].a | Plus: 1}}", "2"),
        (
            "{{context.Response.StatusCode}}{{context.Nothing.At.All}}",
            "",
        ),
        (
            "{% for h in context.Request.Headers %}{{h.Key}}={{h.Value}};{% endfor %}",
            "content-type=text/plain;",
        ),
        ("{% if context.Request.HasBody %}yes{% endif %}", "yes"),
    ] {
        assert_eq!(body(template, "text/plain", b"x"), expected, "{template}");
    }
}

#[test]
fn on_the_way_out_the_body_is_the_answers() {
    let text = "<set-body template=\"liquid\">{{context.Response.StatusCode}} {{body.name | Upcase}}</set-body>";
    let simulation = request("GET", "/")
        .answered(201)
        .answered_header("content-type", "application/json")
        .answered_body(br#"{"name": "ann"}"#);
    assert_eq!(
        outbound(text, simulation).simulation.response_body(),
        "201 ANN"
    );
}

#[test]
fn a_template_makes_the_body_of_a_request_of_the_documents_own() {
    let text = "<send-request response-variable-name=\"r\"><set-url>https://prices.example/</set-url><set-method>POST</set-method><set-body template=\"liquid\">[{{body.a}}]</set-body></send-request>";
    let simulation = request("POST", "/")
        .header("content-type", "application/json")
        .body(br#"{"a": 5}"#);
    assert_eq!(passed(text, simulation).simulation.calls()[0].body, b"[5]");
}

#[test]
fn what_cannot_be_read_as_it_says_fails() {
    let text = "<set-body template=\"liquid\">{{body.a}}</set-body>";
    for (content_type, sent, exception) in [
        ("application/json", &b"{"[..], "JsonReaderException"),
        ("application/xml", b"<a/>", "NotSupportedException"),
    ] {
        let simulation = request("POST", "/")
            .header("content-type", content_type)
            .body(sent);
        let (status, line, _) = failed(text, simulation);
        assert_eq!(status, 500);
        assert!(line.contains(exception), "{line}");
    }
}

#[test]
fn a_secret_is_nothing_that_a_template_reads() {
    let text = "<set-variable name=\"s\" value=\"{{key}}\"/><set-body template=\"liquid\">{{context.Variables.s}}</set-body>";
    let (status, line, _) = failed(text, request("POST", "/").body(b"x"));
    assert_eq!(status, 500);
    assert!(line.contains("InvalidOperationException"), "{line}");
}

#[test]
fn a_template_that_means_nothing_is_a_settings_error() {
    let section = |template: &str| {
        format!("<inbound><set-body template=\"liquid\">{template}</set-body></inbound>")
    };
    let wrong = "{{ body | shout }}";
    // The compiler refuses it, and the guest does so again.
    assert!(super::world::refused(&section(wrong)));
    let good = super::world::program(&section("{{ body | strip }}"));
    let at = good.windows(5).position(|part| part == b"strip").unwrap();
    let mut changed = good.clone();
    changed[at..at + 5].copy_from_slice(b"shout");
    let read = |program: &[u8]| {
        let settings = super::world::settings_of(program);
        keyward_policy::testing::settings::<Settings>(&settings).err()
    };
    assert_eq!(read(&good), None, "control");
    let refused = read(&changed).unwrap();
    assert!(
        refused.contains("set-body[1]: there is no filter \"shout\""),
        "{refused}"
    );
}
