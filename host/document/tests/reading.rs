//! Documents read in full: the mistakes that people make, named values and
//! secrets, fragments and scopes, limits, and reports for programs.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::collections::BTreeMap;

use keyward_document::model::{Document, Effective, NoFragments, Payload, effective};
use keyward_document::named_values::{Lookup, NamedValues, Requested};
use keyward_document::policies::Scope;
use keyward_document::read::{Options, Reading, read};
use keyward_document::{CODES, DocumentErrors, Phase, sarif};

struct Values;

impl NamedValues for Values {
    fn look_up(&self, name: &str) -> Lookup {
        match name {
            "host" => Lookup::Plain("a.example".to_owned()),
            "code" => Lookup::Plain("204".to_owned()),
            "expression" => Lookup::Plain("@(1)".to_owned()),
            "nested" => Lookup::Plain("{{host}}".to_owned()),
            "key" => Lookup::Secret("billing-key".to_owned()),
            _ => Lookup::Unknown(None),
        }
    }

    fn request(&self, reference: &keyward_names::KeyVaultReference) -> Requested {
        if reference.secret() == "listed" {
            return Requested::Secret("listed-secret".to_owned());
        }
        Requested::Refused {
            why: "not listed".to_owned(),
            help: "ask".to_owned(),
        }
    }
}

fn policies(inbound: &str) -> String {
    format!("<policies><inbound>{inbound}</inbound><backend/><outbound/><on-error/></policies>")
}

fn with_values(text: &str) -> Reading {
    let options = Options {
        values: &Values,
        ..Options::default()
    };
    read("a.xml", text, &options)
}

#[track_caller]
fn says(text: &str, expected: &[(&str, &str, &str)]) {
    let reading = with_values(text);
    let found: Vec<_> = reading
        .diagnostics
        .iter()
        .map(|error| {
            (
                error.code(),
                &text[error.position().span()],
                error.help().unwrap_or(""),
            )
        })
        .collect();
    assert_eq!(found.len(), expected.len(), "{}", reading.diagnostics);
    for ((code, at, help), (expected_code, expected_at, part)) in found.iter().zip(expected) {
        assert_eq!(code, expected_code, "{}", reading.diagnostics);
        assert_eq!(at, expected_at, "{}", reading.diagnostics);
        assert!(help.contains(part), "{help:?} does not say {part:?}");
    }
}

#[track_caller]
fn good(text: &str) -> Document {
    let reading = with_values(text);
    assert!(reading.diagnostics.is_empty(), "{}", reading.diagnostics);
    reading.document.unwrap()
}

#[test]
fn usual_mistakes_are_told_with_what_to_write() {
    says(
        &policies(r#"<set-header name="a" value="b"/>"#),
        &[("KD020", r#"value="b""#, "<value>…</value>")],
    );
    says(
        &policies(r#"<set-header name="a">b</set-header>"#),
        &[("KD018", "b", "<value>…</value>")],
    );
    says(
        &policies("<set-body><!-- c -->@{ return 1; }</set-body>"),
        &[("KD007", "<!-- c -->", "// …")],
    );
    says(
        &policies("<set-body>@{ return 1; <!-- c --> }</set-body>"),
        &[("KD007", "<!-- c -->", "no comment in C#")],
    );
    says(
        &policies(r#"<validate-jwt token-value="@("Bearer " + context.Api.Id)"/>"#),
        &[(
            "KD027",
            r#"@("Bearer " + context.Api.Id)"#,
            "leave the scheme out",
        )],
    );
    says(
        &policies(r#"<set-variable name="a" value="Bearer @(x["y"])"/>"#),
        &[("KD006", r#"Bearer @(x["y"])"#, "the whole value")],
    );
    says(
        &policies("<publish-to-darp/>"),
        &[("KD010", "<publish-to-darp/>", "publish-to-dapr")],
    );
    says(
        &policies("<sett-header/>"),
        &[("KD010", "<sett-header/>", "did you mean \"set-header\"?")],
    );
    says(
        &policies("<quota calls='1' renewal-period='60'/>"),
        &[(
            "KD011",
            "<quota calls='1' renewal-period='60'/>",
            "<rate-limit-by-key>",
        )],
    );
    says(
        &policies("<forward-request/>"),
        &[("KD012", "<forward-request/>", "<backend>")],
    );
    says(
        &policies("<otherwise/>"),
        &[("KD010", "<otherwise/>", "<choose>")],
    );
    says(
        &policies("<choose><otherwise/><when condition='true'/></choose>"),
        &[("KD017", "<when condition='true'/>", "move it up")],
    );
    says(
        &policies("<choose><when condition='true'><base/></when></choose>"),
        &[("KD014", "<base/>", "directly")],
    );
    says(
        &policies("<send-request response-variable-name='a'/>"),
        &[
            (
                "KD015",
                "<send-request response-variable-name='a'/>",
                "set-url",
            ),
            (
                "KD015",
                "<send-request response-variable-name='a'/>",
                "set-method",
            ),
        ],
    );
    says(
        "<fragment><base/></fragment>",
        &[("KD014", "<base/>", "includes it")],
    );
    says(
        "<fragment><include-fragment fragment-id='a'/></fragment>",
        &[(
            "KD014",
            "<include-fragment fragment-id='a'/>",
            "can't include another",
        )],
    );
    let open = policies("<set-status code='1'/><!-- a");
    let first = with_values(&open);
    let first = first
        .diagnostics
        .iter()
        .find(|e| e.code() == "KD001")
        .unwrap();
    assert_eq!(
        (first.code(), first.help()),
        ("KD001", Some("end it with -->"))
    );
}

#[test]
fn several_mistakes_are_told_in_one_run() {
    let text = policies("<set-status code='x'/><set-method>A B</set-method><trace/>");
    let codes: Vec<_> = with_values(&text)
        .diagnostics
        .iter()
        .map(|e| e.code())
        .collect();
    assert_eq!(codes, ["KD023", "KD023", "KD021", "KD015"]);
}

#[test]
fn both_written_forms_mean_the_same_and_lead_back_to_the_file() {
    let raw = policies(
        "<set-variable name=\"a\" value=\"@((int)context.Variables[\"k\"] < 1 &&\n true)\"/>",
    );
    let strict = policies(
        "<set-variable name=\"a\" value=\"@((int)context.Variables[&quot;k&quot;] &lt; 1 &amp;&amp;&#xA; true)\"/>",
    );
    for (text, written) in [
        (raw, "int)context.Variables[\"k\"] < 1 &&\n true"),
        (
            strict,
            "int)context.Variables[&quot;k&quot;] &lt; 1 &amp;&amp;&#xA; true",
        ),
    ] {
        let document = good(&text);
        let (_, node) = document.statements().next().unwrap();
        let Payload::Expression(expression) = &node.attribute("value").unwrap().payload else {
            panic!("not an expression");
        };
        assert_eq!(
            expression.code.as_str(),
            "(int)context.Variables[\"k\"] < 1 &&\n true"
        );
        assert!(!expression.block);
        let span = expression.code.in_file(1..expression.code.as_str().len());
        assert_eq!(&text[span], written);
        assert!(text[expression.at.clone()].starts_with("@("));
    }
    let text = policies("<set-body><![CDATA[ @{ return \"<a>\"; } ]]></set-body>");
    let document = good(&text);
    let (_, node) = document.statements().next().unwrap();
    let Payload::Expression(expression) = &node.text.as_ref().unwrap().payload else {
        panic!("not an expression");
    };
    assert_eq!(expression.code.as_str(), " return \"<a>\"; ");
}

#[test]
fn a_byte_order_mark_line_ends_of_windows_and_single_quotes_change_no_place() {
    let text = format!(
        "\u{feff}{}",
        policies("\r\n<set-variable name='é' value=' @(\r\n\"a\") '/>\r\n<set-status code='x'/>")
    );
    says(&text, &[("KD023", "x", "whole number")]);
    let text = text.replace("'x'", "'200'");
    let document = good(&text);
    let (_, node) = document.statements().next().unwrap();
    let value = node.attribute("value").unwrap();
    assert_eq!(&text[value.at.clone()], "@(\r\n\"a\")");
    let Payload::Expression(expression) = &value.payload else {
        panic!("not an expression");
    };
    assert_eq!(expression.code.as_str(), "\n\"a\"");
    assert_eq!(&text[expression.code.in_file(1..4)], "\"a\"");
    assert_eq!(&text[expression.code.in_file(0..1)], "\r\n");
    let at = document.position(value.at.clone());
    assert_eq!((at.line(), at.column()), (2, 32));
}

#[test]
fn named_values_are_bound_where_they_stand() {
    let text = policies(
        r#"<set-status code="{{code}}"/><set-backend-service base-url="https://{{host}}/a"/><set-variable name="v" value="{{nested}}"/><set-variable name="e" value="@("{{host}}" + {{code}})"/><set-body template="liquid">{{body.a}} {{host}}</set-body>"#,
    );
    let document = good(&text);
    let shown: Vec<String> = document
        .statements()
        .flat_map(|(_, node)| node.values())
        .map(|value| match &value.payload {
            Payload::Literal(literal) => literal.to_string(),
            Payload::Expression(expression) => format!("{:?}", expression.names),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(
        shown,
        [
            "204",
            "\"https://a.example/a\"",
            "\"v\"",
            "\"{{host}}\"",
            "\"e\"",
            "[Name { name: \"host\", span: 1..9, value: Some(\"a.example\") }, Name { name: \"code\", span: 13..21, value: Some(\"204\") }]",
            "liquid",
            "\"{{body.a}} a.example\"",
        ]
    );
    assert!(document.is_complete());
    says(
        &policies("<set-variable name='a' value='x{{hots}}'/>"),
        &[("KD030", "{{hots}}", "keyward value set")],
    );
    says(
        &policies("<set-variable name='a' value='{{expression}}'/>"),
        &[("KD036", "{{expression}}", "write the expression")],
    );
    says(
        &policies("<set-status code='{{host}}'/>"),
        &[("KD023", "{{host}}", "whole number")],
    );
    let later = read(
        "a.xml",
        &policies("<set-status code='{{code}}'/>"),
        &Options::default(),
    );
    assert!(!later.document.unwrap().is_complete());
}

#[test]
fn a_template_that_cannot_be_read_is_told_with_its_place() {
    let body = |template: &str| {
        policies(&format!(
            "<set-body template='liquid'>{template}</set-body>"
        ))
    };
    for (template, place, help) in [
        ("{{ 'a' | upcas }}", "upcas", "did you mean \"upcase\"?"),
        ("{{ 'a' | shout }}", "shout", "abs, append"),
        ("{% include 'a' %}", "include", "not supported"),
        ("{% endif %}", "endif", "closes nothing"),
        ("{% if a %}<a>{{b}}</a>", "if a", "behind what this opens"),
        ("<value>&lt;&amp;é{% if a &gt;= %}</value>", "", "if a == b"),
        ("{% if '&quot;' == 1 &gt;&lt; %}", "&gt;", "if a == b"),
        // A named value within a tag, and before what is wrong.
        ("{{host}}é{% if {{code}} == 1 ] %}", "]", "if a == b"),
        (
            "{% if {{host}} %}{% endif %} {{ {{code}} 5 }}",
            "5",
            "if a == b",
        ),
        ("{% {{host}} %}", "{{host}}", "tags are assign"),
    ] {
        says(&body(template), &[("KD028", place, help)]);
    }
    let text = body("<value>{% if a &gt;= %}</value>");
    let reading = with_values(&text);
    let error = reading.diagnostics.iter().next().unwrap();
    assert_eq!(
        text.get(..error.position().span().start).unwrap().len(),
        text.find(" %}").unwrap()
    );
    // Control: these can.
    for template in [
        "{{ 'a' | upcase }}{{body.host}}{{host}}",
        "{% if a %}<a>{{b}}</a>{% endif %}",
        "{% if body.a &gt; {{code}} %}{% endif %}",
        "@(\"{% if a %}\")",
    ] {
        good(&body(template));
    }
    good(&policies("<set-body>{% if a %}</set-body>"));
    good(&policies("<set-body template='none'>{% if a %}</set-body>"));
}

#[test]
fn a_template_is_read_also_where_nobody_knows_the_named_values() {
    let unknown = |template: &str| {
        let text = policies(&format!(
            "<set-body template='liquid'>{template}</set-body>"
        ));
        let reading = read("a.xml", &text, &Options::default());
        let code = reading.diagnostics.iter().next().map(|error| error.code());
        assert_eq!(reading.document.is_some(), code.is_none(), "{template}");
        code
    };
    assert_eq!(unknown("{{name}}{{ 'a' | shout }}"), Some("KD028"));
    assert_eq!(unknown("{{name}}{% if body.a %}"), Some("KD028"));
    for template in [
        "{{name}}",
        "{% if body.a == {{name}} %}{{body.b}}{% endif %}",
        "{% for i in ({{from}}..{{to}}) %}{% endfor %}",
        "{% assign a = '{{name}}' %}",
    ] {
        assert_eq!(unknown(template), None, "{template}");
    }
}

#[test]
fn a_secret_is_a_reference_where_it_can_be_attached_and_an_error_elsewhere() {
    for snippet in [
        "<set-header name='a'><value>{{key}}</value></set-header>",
        "<authentication-basic username='a' password='{{key}}'/>",
        "<set-variable name='a' value=' {{key}} '/>",
        "<set-query-parameter name='a'><value>{{key}}</value></set-query-parameter>",
        "<validate-jwt header-name='a'><issuer-signing-keys><key>{{key}}</key></issuer-signing-keys></validate-jwt>",
    ] {
        let document = good(&policies(snippet));
        let secrets: Vec<_> = document
            .statements()
            .flat_map(|(_, node)| node.walk())
            .flat_map(|node| node.values())
            .filter_map(|value| match &value.payload {
                Payload::Secret(secret) => Some(secret.secret.clone()),
                _ => None,
            })
            .collect();
        assert_eq!(secrets, ["billing-key"], "{snippet}");
    }
    let why = "can stand alone in";
    says(
        &policies("<set-header name='a'><value>Bearer {{key}}</value></set-header>"),
        &[("KD031", "{{key}}", why)],
    );
    says(
        &policies("<set-body>{{key}}</set-body>"),
        &[("KD031", "{{key}}", why)],
    );
    says(
        &policies("<trace source='a'><message>{{key}}</message></trace>"),
        &[("KD031", "{{key}}", why)],
    );
    says(
        &policies("<set-variable name='a' value='@(\"{{key}}\")'/>"),
        &[("KD032", "{{key}}", "the whole of a <value>")],
    );
    let vault = "@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/NAME)";
    let listed = vault.replace("NAME", "listed");
    good(&policies(&format!(
        "<set-variable name='a' value='{listed}'/>"
    )));
    says(
        &policies(&format!("<set-variable name='a' value='{vault}'/>")),
        &[("KD034", vault, "ask")],
    );
    says(
        &policies(&format!("<rewrite-uri template='{listed}'/>")),
        &[("KD033", &listed, why)],
    );
}

#[test]
fn what_is_wrong_in_an_expression_is_shown_where_it_stands() {
    says(
        &policies(r#"<set-variable name="a" value="@(context.Request.Metod == "GET")"/>"#),
        &[("KD103", "Metod", "did you mean Method?")],
    );
    // With entities, after a line end of Windows, behind a letter of two bytes.
    says(
        &policies(
            "<set-body>@{\r\n  var é = &quot;é&quot;;\r\n  return é + nam&#101;;\r\n}</set-body>",
        ),
        &[("KD104", "nam&#101;", "")],
    );
    says(
        &policies("<set-body><![CDATA[@{ return 1 < 2 && context.Foo; }]]></set-body>"),
        &[("KD103", "Foo", "has Api, ")],
    );
    // Several, in one run, with those of the document around them.
    says(
        &policies(
            "<set-variable name='a' value='@(1 +)'/><set-status code='abc'/><choose><when condition='@(names.Any(x => x))'/></choose>",
        ),
        &[
            ("KD101", "", ""),
            ("KD023", "abc", ""),
            ("KD104", "names", ""),
            ("KD102", "x => x", ""),
        ],
    );
    says(
        &policies(r#"<set-variable name="a" value="@(context.Variables["b="""])"/>"#),
        &[("KD101", "\"\"", "a quote too many")],
    );
    // One complaint of a named value, and those of the code around it.
    says(
        &policies(r#"<set-variable name="a" value="@("{{key}}" + x + "{{hots}}")"/>"#),
        &[
            ("KD032", "{{key}}", ""),
            ("KD104", "x", ""),
            ("KD030", "{{hots}}", ""),
        ],
    );
    says(
        &policies(r#"<set-variable name="a" value="@({{host}})"/>"#),
        &[("KD109", "{{host}}", "put it in quotes")],
    );
}

#[test]
fn an_expression_with_a_named_value_for_later_is_checked_as_far_as_that_goes() {
    let found = |text: &str| {
        let reading = read("a.xml", &policies(text), &Options::default());
        let codes = reading.diagnostics.iter().map(|one| one.code().to_owned());
        (codes.collect::<Vec<_>>(), reading.document)
    };
    for text in [
        r#"<choose><when condition="@({{on}})"/></choose>"#,
        r#"<choose><when condition="@(!{{on}} && {{a}} == "{{b}}".Length)"/></choose>"#,
        r#"<set-variable name="a" value="@{ if ({{on}}) { return {{a}}; } var n = {{b}}; n += 1; return $"{{c}}{n}"; }"/>"#,
    ] {
        let (codes, document) = found(text);
        assert!(codes.is_empty(), "{text}: {codes:?}");
        assert!(!document.unwrap().is_complete(), "{text}");
    }
    // What does not hang on the value is told all the same.
    let (codes, document) = found(r#"<set-variable name="a" value="@({{a}} + contxt.Api.Id)"/>"#);
    assert_eq!(codes, ["KD104"]);
    assert!(document.is_none());
}

fn paths(effective: &Effective, phase: Phase) -> Vec<String> {
    effective
        .phase(phase)
        .iter()
        .flat_map(|node| node.walk())
        .map(|node| {
            let scope = node.origin.scope.map_or("none", Scope::as_str);
            format!("{scope} {}", node.path)
        })
        .collect()
}

fn at(scope: Scope, text: &str) -> Document {
    let options = Options {
        scope: Some(scope),
        values: &Values,
        ..Options::default()
    };
    let reading = read("a.xml", text, &options);
    assert!(!reading.diagnostics.has_errors(), "{}", reading.diagnostics);
    reading.document.unwrap()
}

#[test]
fn scopes_and_fragments_come_together() {
    let global = at(
        Scope::Global,
        "<policies id='g'><inbound><set-method>PUT</set-method></inbound><backend><forward-request/></backend></policies>",
    );
    let api = at(
        Scope::Api,
        "<policies><inbound><choose><when condition='true'><include-fragment fragment-id='f'/></when></choose><base/></inbound><backend><base/></backend></policies>",
    );
    let fragment = good(
        "<fragment><set-status code='200'/><choose><when condition='true'/></choose></fragment>",
    );
    let fragments = BTreeMap::from([("f".to_owned(), fragment)]);
    let effective_ = effective(&[&global, &api], &fragments).unwrap();
    assert_eq!(
        paths(&effective_, Phase::Inbound),
        [
            "api choose[1]",
            "api choose[1]/when[1]",
            "api choose[1]/when[1]/include-fragment[1]",
            "api choose[1]/when[1]/include-fragment[1]/set-status[1]",
            "api choose[1]/when[1]/include-fragment[1]/choose[1]",
            "api choose[1]/when[1]/include-fragment[1]/choose[1]/when[1]",
            "global set-method[1]",
        ]
    );
    assert!(effective_.forwards());
    let method = effective_.phase(Phase::Inbound).last().unwrap();
    assert_eq!(method.origin.id.as_deref(), Some("g"));
    // Without <base/>, and with an absent section, nothing is inherited.
    let alone = at(Scope::Api, "<policies><inbound/></policies>");
    let alone = effective(&[&global, &alone], &fragments).unwrap();
    assert!(paths(&alone, Phase::Inbound).is_empty() && !alone.forwards());

    let errors = effective(&[&api], &NoFragments).unwrap_err();
    assert_eq!(errors.iter().next().unwrap().code(), "KD040");
    let outbound = at(
        Scope::Api,
        "<policies><outbound><include-fragment fragment-id='f'/></outbound></policies>",
    );
    let wrong = good("<fragment><rewrite-uri template='/'/></fragment>");
    let fragments = BTreeMap::from([("f".to_owned(), wrong)]);
    let errors = effective(&[&outbound], &fragments).unwrap_err();
    assert_eq!(errors.iter().next().unwrap().code(), "KD041");
}

#[test]
fn a_policy_stands_only_in_its_scopes_and_as_often_as_it_may() {
    let limit = "<rate-limit calls='1' renewal-period='60'/>";
    let text = policies(limit);
    let options = |scope| Options {
        scope: Some(scope),
        ..Options::default()
    };
    let found = |text: &str, scope| {
        let reading = read("a.xml", text, &options(scope));
        let codes = reading.diagnostics.iter().map(|e| e.code().to_owned());
        codes.collect::<Vec<_>>()
    };
    assert_eq!(found(&text, Scope::Api), [""; 0]);
    assert_eq!(found(&text, Scope::Global), ["KD013"]);
    assert_eq!(
        found(&policies(&format!("{limit}{limit}")), Scope::Api),
        ["KD016"]
    );
    assert_eq!(
        found("<policies><inbound/></policies>", Scope::Api),
        ["KD050"; 3]
    );
    assert_eq!(
        found("<policies><inbound/></policies>", Scope::Global),
        [""; 0]
    );
}

#[test]
fn large_and_deep_documents_are_errors_by_limit_at_once() {
    let started = std::time::Instant::now();
    let code = |text: &str| {
        let reading = read("a.xml", text, &Options::default());
        let first = reading.diagnostics.iter().next().unwrap();
        (first.code().to_owned(), first.to_string())
    };
    let (limit, text) = code(&" ".repeat(512 * 1024 + 1));
    assert!(limit == "KD003" && text.contains("524288 bytes"), "{text}");
    let choose = "<choose><when condition='true'>";
    let (limit, text) = code(&format!("<policies><inbound>{}", choose.repeat(1000)));
    assert!(
        limit == "KD003" && text.contains("64 elements within"),
        "{text}"
    );
    let brackets = format!("<a b=\"@({}", "(".repeat(100_000));
    assert_eq!(code(&brackets).0, "KD004");
    // As large as may be, and full.
    for (piece, expected) in [
        (
            "<set-variable name='a' value=\"@(1 + (int)context.Variables[&quot;b&quot;])\"/>",
            None,
        ),
        (
            "<set-header name='a'><value>{{host}}@</value></set-header>",
            Some("KD003"),
        ),
        (
            "<set-body>{{host}} is nobody's {{name}}, and {{another}} as well</set-body>",
            None,
        ),
        ("<unknown/>", Some("KD010")),
    ] {
        let full = policies(&piece.repeat((512 * 1024 - 200) / piece.len()));
        let reading = read("a.xml", &full, &Options::default());
        let first = reading.diagnostics.iter().next();
        assert_eq!(first.map(|error| error.code()), expected, "{piece}");
    }
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    let deep = policies(&format!(
        "{}{}",
        choose.repeat(30),
        "</when></choose>".repeat(30)
    ));
    good(&deep);
}

#[test]
fn long_texts_take_no_longer_than_they_are_long() {
    for piece in [
        "x@(",
        "<a b=\"x@(",
        "@{{",
        "{{a",
        "&",
        "<!--",
        "\"",
        "<a>x@(\n",
    ] {
        let text = piece.repeat(512 * 1024 / piece.len());
        read("a.xml", &text, &Options::default());
        read(
            "a.xml",
            &policies(&format!("<set-body>{text}</set-body>")),
            &Options::default(),
        );
    }
}

#[test]
fn a_log_in_sarif_has_what_the_schema_requires() {
    let text = policies("<set-status code='x'/>\n<set-méthod/>");
    let reading = read("a b/ä.xml", &text, &Options::default());
    let log = sarif([&reading.diagnostics]);
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let driver = &run["tool"]["driver"];
    assert!(driver["name"].is_string());
    let rules = driver["rules"].as_array().unwrap();
    assert!(
        rules
            .iter()
            .all(|rule| rule["id"].is_string() && rule["shortDescription"]["text"].is_string())
    );
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    for result in results {
        assert!(result["message"]["text"].is_string());
        assert!(["none", "note", "warning", "error"].contains(&result["level"].as_str().unwrap()));
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "a%20b/%C3%A4.xml");
        let region = &place["region"];
        for key in ["startLine", "startColumn", "endLine", "endColumn"] {
            assert!(region[key].as_u64().unwrap() >= 1, "{region}");
        }
        let start = usize::try_from(region["byteOffset"].as_u64().unwrap()).unwrap();
        let length = usize::try_from(region["byteLength"].as_u64().unwrap()).unwrap();
        assert!(text.get(start..start + length).is_some());
    }
    assert_eq!(
        results[1]["locations"][0]["physicalLocation"]["region"]["endColumn"],
        14
    );
    let empty: [&DocumentErrors; 0] = [];
    assert_eq!(
        sarif(empty)["runs"][0]["results"].as_array().map(Vec::len),
        Some(0)
    );
}

#[test]
fn codes_are_sorted_and_none_is_given_twice() {
    assert!(CODES.is_sorted_by(|a, b| a.0 < b.0));
}
