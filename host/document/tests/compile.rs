//! From documents to programs: what runs when, what is bound, what is asked for, and
//! what is refused.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::collections::BTreeMap;

use keyward_document::Phase;
use keyward_document::compile::{Bindings, Compiled, Placement, Step, compile};
use keyward_document::model::{Document, effective};
use keyward_document::named_values::{Lookup, NamedValues};
use keyward_document::policies::{Content, Element, Status, all};
use keyward_document::read::{Options, read};
use keyward_document_program::statements::{Operand, Phase as ProgramPhase};
use keyward_document_program::{AttributeName, ElementName, Member, Program};
use keyward_names::RouteName;

struct Values;

impl NamedValues for Values {
    fn look_up(&self, name: &str) -> Lookup {
        match name {
            "key" | "other-key" => Lookup::Secret(name.to_owned()),
            "team" => Lookup::Plain("billing".to_owned()),
            _ => Lookup::Unknown(None),
        }
    }
}

fn document(text: &str) -> Document {
    let options = Options {
        values: &Values,
        ..Options::default()
    };
    let reading = read("api.xml", text, &options);
    reading
        .document
        .unwrap_or_else(|| panic!("{}", reading.diagnostics.render(false)))
}

fn bindings() -> Bindings {
    let route = |name: &str| RouteName::parse(name).unwrap();
    Bindings {
        route: Some(route("orders")),
        routes: vec![
            (route("orders"), "https://orders.example/v1".to_owned()),
            (route("prices"), "https://prices.example".to_owned()),
        ],
        facts: vec![(Member::ApiId, "orders".to_owned())],
        ..Bindings::default()
    }
}

fn compiled(text: &str) -> Compiled {
    let effective = effective(&[&document(text)], &BTreeMap::new()).unwrap();
    let compiled = compile(&effective, &bindings());
    compiled.unwrap_or_else(|errors| panic!("{}", errors.render(false)))
}

fn refused(inside: &str) -> String {
    let document = document(&format!("<policies>{inside}</policies>"));
    let effective = effective(&[&document], &BTreeMap::new()).unwrap();
    let errors = compile(&effective, &bindings()).unwrap_err();
    errors.to_string()
}

#[test]
fn statements_run_in_segments_between_other_policies() {
    let compiled = compiled(
        r#"<policies><inbound>
            <set-header name="x-team"><value>{{team}}</value></set-header>
            <set-query-parameter name="a"><value>1</value></set-query-parameter>
            <wasm-policy name="require-client-key"/>
            <set-method>PUT</set-method>
        </inbound><backend><forward-request/></backend></policies>"#,
    );
    let policy = |step: &Step| {
        matches!(step, Step::Policy { name, position }
        if name.as_str() == "require-client-key" && position.line() == 4)
    };
    let [Step::Segment, second, Step::Segment] = compiled.steps(Phase::Inbound) else {
        panic!("{:?}", compiled.steps);
    };
    assert!(policy(second));
    assert_eq!(compiled.steps(Phase::Backend), []);
    // Where a statement fails, the document answers.
    assert_eq!(compiled.steps(Phase::OnError), [Step::Segment]);
    assert!(compiled.host_forwards);

    let statements = &compiled.program.statements;
    assert_eq!(statements.segments(ProgramPhase::Inbound), 2);
    let first = statements.segment(ProgramPhase::Inbound, 0);
    let header = statements.element(*first.first().unwrap()).unwrap();
    assert_eq!(header.name, ElementName::SetHeader);
    let Some(Operand::Text(action)) = statements.field(header, AttributeName::ExistsAction) else {
        panic!("the default is there");
    };
    assert_eq!(statements.text(action), "override");
    let value = statements
        .children_named(header, ElementName::Value)
        .next()
        .unwrap();
    let Some(Operand::Text(team)) = value.text else {
        panic!("a literal");
    };
    assert_eq!(statements.text(team), "billing");
    assert_eq!(statements.text(header.place.path), "set-header[1]");
    assert!(statements.surroundings().host_forwards);
    assert_eq!(
        statements.surroundings().facts,
        [(Member::ApiId, "orders".to_owned())]
    );
}

#[test]
fn a_program_is_what_its_bytes_say_and_no_other_bytes_are_one() {
    let program = compiled(
        r#"<policies><inbound><choose><when condition="@(context.Request.Method == &quot;GET&quot;)"><set-method>HEAD</set-method></when></choose></inbound></policies>"#,
    )
    .program;
    let bytes = program.encode().unwrap();
    assert_eq!(Program::decode(&bytes).unwrap(), program);
    for length in 0..bytes.len() {
        assert!(
            Program::decode(bytes.get(..length).unwrap()).is_err(),
            "{length}"
        );
    }
}

#[test]
fn a_document_of_other_policies_alone_needs_no_guest() {
    let compiled = compiled(
        "<policies><inbound><wasm-policy name='log'/></inbound><backend><forward-request/></backend></policies>",
    );
    assert!(!compiled.needs_guest());
    assert_eq!(compiled.steps(Phase::OnError), []);
    assert!(compiled.host_forwards);
}

#[test]
fn a_key_is_required_where_the_document_needs_to_know_who_calls_unless_the_gateway_says_otherwise()
{
    const LIMITS: &str = "<rate-limit calls='2' renewal-period='60'/>";
    const READS: &str =
        "<set-header name='a'><value>@(context.Subscription.Id)</value></set-header>";
    const NEITHER: &str = "<set-header name='a'><value>b</value></set-header>";
    for (inside, told, identifies, required) in [
        (LIMITS, None, true, true),
        (READS, None, true, true),
        (NEITHER, None, false, false),
        (LIMITS, Some(false), true, false),
        (NEITHER, Some(false), false, false),
        (NEITHER, Some(true), true, true),
        (LIMITS, Some(true), true, true),
    ] {
        let text = format!("<policies><inbound>{inside}</inbound></policies>");
        let effective = effective(&[&document(&text)], &BTreeMap::new()).unwrap();
        let bindings = Bindings {
            subscription_required: told,
            ..bindings()
        };
        let compiled = compile(&effective, &bindings).unwrap();
        let surroundings = compiled.program.statements.surroundings();
        assert_eq!(
            surroundings.subscription.is_some(),
            identifies,
            "{text} {told:?}"
        );
        assert_eq!(
            surroundings.subscription_required, required,
            "{text} {told:?}"
        );
        let asks = compiled.requests.iter();
        let asks = asks.filter(|ask| ask.placement == Placement::Identify);
        assert_eq!(asks.count(), usize::from(identifies), "{text} {told:?}");
    }
}

#[test]
fn where_a_key_is_required_a_segment_runs_before_other_policies_and_without_statements() {
    let of = |inside: &str, told| {
        let text = format!("<policies>{inside}</policies>");
        let effective = effective(&[&document(&text)], &BTreeMap::new()).unwrap();
        let bindings = Bindings {
            subscription_required: told,
            ..bindings()
        };
        compile(&effective, &bindings).unwrap()
    };
    let nothing = of("<backend><forward-request/></backend>", Some(true));
    assert_eq!(nothing.steps(Phase::Inbound), [Step::Segment]);
    assert_eq!(nothing.steps(Phase::OnError), [Step::Segment]);
    let control = of("<backend><forward-request/></backend>", None);
    assert!(!control.needs_guest());

    let after = of(
        "<inbound><wasm-policy name='log'/><rate-limit calls='2' renewal-period='60'/></inbound>",
        None,
    );
    let [Step::Segment, Step::Policy { .. }, Step::Segment] = after.steps(Phase::Inbound) else {
        panic!("{:?}", after.steps);
    };
    let statements = &after.program.statements;
    let of_segment = |number| statements.segment(ProgramPhase::Inbound, number).len();
    assert_eq!((of_segment(0), of_segment(1)), (0, 1));
}

#[test]
fn what_a_document_may_need_is_counted_with_its_retries() {
    let of = |inside: &str| {
        let text = format!("<policies>{inside}</policies>");
        compiled(&text).needs
    };
    let call = |attributes: &str| {
        format!(
            "<send-request mode='copy' response-variable-name='r' {attributes}><set-url>https://prices.example/a</set-url></send-request>"
        )
    };
    let needs = of("<inbound><set-method>PUT</set-method></inbound>");
    assert_eq!(
        (needs.calls, needs.secret_uses, needs.waiting.as_secs()),
        (0, 0, 0)
    );
    // Four runs of two tries each, with a wait of 2 s between the outer ones.
    let inner = format!(
        "<retry condition='@(true)' count='1'>{}</retry>",
        call("timeout='5'")
    );
    let outer = format!("<retry condition='@(true)' count='3' interval='2'>{inner}</retry>");
    let needs = of(&format!("<inbound>{outer}</inbound>"));
    assert_eq!((needs.calls, needs.waiting.as_secs()), (8, 8 * 5 + 3 * 2));
    // Phases do not add up; what an expression says is as much as it can be.
    let both = format!(
        "<inbound>{}</inbound><outbound>{}</outbound>",
        call("timeout='@(5)'"),
        call("timeout='9'"),
    );
    let needs = of(&both);
    assert_eq!((needs.calls, needs.waiting.as_secs()), (1, 3600));
    // A secret goes with every try.
    let needs = of(
        "<inbound><set-header name='x'><value>{{key}}</value></set-header></inbound>
         <backend><retry condition='@(true)' count='49'><forward-request/></retry></backend>",
    );
    assert_eq!((needs.forwards, needs.secret_uses), (50, 50));
}

#[test]
fn the_host_forwards_only_what_the_document_need_not_look_at() {
    // Who forwards, and whether the host does as the document plans it.
    let host = (true, false);
    let planned = (false, true);
    let document = (false, false);
    for (backend, expected) in [
        ("<forward-request/>", host),
        ("<forward-request buffer-response='false'/>", host),
        ("", document),
        ("<forward-request timeout='5'/>", planned),
        ("<forward-request timeout-ms='@(5)'/>", planned),
        (
            "<forward-request fail-on-error-status-code='true'/>",
            document,
        ),
        (
            "<forward-request timeout='5' fail-on-error-status-code='true'/>",
            document,
        ),
        (
            "<forward-request/><set-header name='a'><value>b</value></set-header>",
            document,
        ),
        (
            "<forward-request timeout='5'/><wasm-policy name='log'/>",
            document,
        ),
        (
            "<set-header name='a'><value>b</value></set-header><forward-request/>",
            host,
        ),
        (
            "<retry count='2' condition='@(true)'><forward-request/></retry>",
            document,
        ),
        (
            "<choose><when condition='@(true)'><forward-request/></when></choose>",
            document,
        ),
        ("<forward-request/><forward-request timeout='5'/>", document),
        (
            "<set-backend-service backend-id='prices'/><forward-request/>",
            planned,
        ),
    ] {
        let text = format!("<policies><backend>{backend}</backend></policies>");
        let compiled = compiled(&text);
        let surroundings = compiled.program.statements.surroundings();
        let found = (compiled.host_forwards, surroundings.plans_forward);
        assert_eq!(found, expected, "{backend}");
    }
}

/// What is refused of an inbound section where the pipeline's route is open, or not.
fn codes(inbound: &str, calls_own_route: bool) -> Vec<&'static str> {
    let text = format!("<policies><inbound>{inbound}</inbound></policies>");
    let effective = effective(&[&document(&text)], &BTreeMap::new()).unwrap();
    let bindings = Bindings {
        calls_own_route,
        ..bindings()
    };
    match compile(&effective, &bindings) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(|error| error.code()).collect(),
    }
}

#[test]
fn a_request_to_the_pipelines_own_route_needs_that_route_to_be_open() {
    let call = |attributes: &str, url: &str| {
        format!("<send-request response-variable-name='r' {attributes}>{url}</send-request>")
    };
    let own = "<set-url>https://orders.example/v1/7</set-url><set-method>GET</set-method>";
    let other = "<set-url>https://prices.example/a</set-url><set-method>GET</set-method>";
    let one_way = format!("<send-one-way-request>{own}</send-one-way-request>");
    let nested = format!(
        "<choose><when condition='@(true)'>{}</when></choose>",
        call("", own)
    );
    for closed in [
        call("", own),
        call("mode='copy'", own),
        call("mode='copy'", ""),
        one_way,
        nested,
    ] {
        assert_eq!(codes(&closed, false), ["KD067"], "{closed}");
        assert_eq!(codes(&closed, true), [""; 0], "control: {closed}");
    }
    for open in [
        call("", other),
        // Where these lead is known when they run.
        call(
            "",
            "<set-url>@(\"https://orders.example/v1\")</set-url><set-method>GET</set-method>",
        ),
        format!(
            "<set-backend-service base-url='https://prices.example'/>{}",
            call("mode='copy'", "")
        ),
        // To forward is no call.
        "<set-backend-service base-url='https://orders.example/v1'/>".to_owned(),
    ] {
        assert_eq!(codes(&open, false), [""; 0], "{open}");
    }
    let message = refused(&format!("<inbound>{}</inbound>", call("", own)));
    for part in [
        "the route \"orders\"",
        "routes = [\"orders\"]",
        "[[policy]]",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[test]
fn a_secret_for_a_call_to_anywhere_goes_only_to_routes_that_are_open() {
    let text = "<policies><inbound><send-request response-variable-name='r'>\
        <set-url>@(\"https://prices.example\")</set-url><set-method>GET</set-method>\
        <set-header name='x'><value>{{key}}</value></set-header></send-request></inbound></policies>";
    let effective = effective(&[&document(text)], &BTreeMap::new()).unwrap();
    for (calls_own_route, routes) in [(false, vec!["prices"]), (true, vec!["orders", "prices"])] {
        let bindings = Bindings {
            calls_own_route,
            ..bindings()
        };
        let compiled = compile(&effective, &bindings).unwrap();
        assert_eq!(compiled.requests[0].routes, routes);
    }
}

#[test]
fn a_secret_is_asked_for_with_its_place_and_its_routes() {
    let compiled = compiled(
        r#"<policies><inbound>
            <set-variable name="held" value="{{key}}"/>
            <set-header name="X-Key"><value>{{key}}</value></set-header>
            <set-header name="X-Other"><value>@((string)context.Variables["held"])</value></set-header>
            <set-query-parameter name="code"><value>{{other-key}}</value></set-query-parameter>
            <authentication-basic username="me" password="{{other-key}}"/>
            <authentication-managed-identity resource="https://prices.example/"/>
            <send-request response-variable-name="r"><set-url>https://prices.example/a</set-url><set-method>GET</set-method>
              <set-header name="X-Key"><value>{{key}}</value></set-header></send-request>
        </inbound><backend><forward-request/></backend></policies>"#,
    );
    let requests: Vec<_> = compiled
        .requests
        .iter()
        .map(|request| {
            (
                request.alias.as_str(),
                request.secret.as_deref(),
                request.use_,
                request.placement.clone(),
                request.routes.join(" "),
            )
        })
        .collect();
    let user = "me".to_owned();
    let resource = "https://prices.example/".to_owned();
    assert_eq!(
        requests,
        [
            (
                "key.x-key",
                Some("key"),
                "attach",
                Placement::Header("X-Key".into()),
                "orders prices".into()
            ),
            (
                "key.x-other",
                Some("key"),
                "attach",
                Placement::Header("X-Other".into()),
                "orders".into()
            ),
            (
                "other-key.query.code",
                Some("other-key"),
                "attach",
                Placement::Query("code".into()),
                "orders".into()
            ),
            (
                "other-key.basic",
                Some("other-key"),
                "attach",
                Placement::Basic { user },
                "orders".into()
            ),
            (
                "prices.example.token",
                None,
                "token",
                Placement::Token { resource },
                "orders".into()
            ),
        ]
    );
    let line = compiled
        .requests
        .first()
        .and_then(|request| request.position.clone());
    assert_eq!(line.map(|position| position.line()), Some(3));
    // Not a byte of what the document could not have anyway; the names alone.
    let bytes = compiled.program.encode().unwrap();
    assert!(bytes.windows(9).any(|window| window == b"key.x-key"));
}

#[test]
fn who_calls_is_asked_for_where_the_document_looks_at_it() {
    for (inside, asks) in [
        ("<rate-limit calls='5' renewal-period='60'/>", true),
        (
            "<set-variable name='s' value='@(context.Subscription?.Id)'/>",
            true,
        ),
        ("<set-variable name='s' value='@(context.User?.Id)'/>", true),
        (
            "<set-variable name='s' value='@(context.RequestId)'/>",
            false,
        ),
    ] {
        let compiled = compiled(&format!("<policies><inbound>{inside}</inbound></policies>"));
        let mut requests = compiled.requests.iter();
        let identify = requests.any(|request| request.placement == Placement::Identify);
        assert_eq!(identify, asks, "{inside}");
        let surroundings = compiled.program.statements.surroundings();
        assert_eq!(surroundings.subscription.is_some(), asks, "{inside}");
    }
}

#[test]
fn what_can_not_be_had_is_refused_with_its_place() {
    for (inside, expected) in [
        (
            "<inbound><choose><when condition='true'><wasm-policy name='a'/></when></choose></inbound>",
            "KD064",
        ),
        ("<inbound><wasm-policy name='A b'/></inbound>", "KD065"),
        (
            "<inbound><set-backend-service base-url='https://else.example/'/></inbound>",
            "KD061",
        ),
        (
            "<inbound><set-backend-service backend-id='else'/></inbound>",
            "KD061",
        ),
        (
            "<inbound><validate-jwt header-name='Authorization'><openid-config url='https://id.example/x'/></validate-jwt></inbound>",
            "KD062",
        ),
        (
            "<inbound><validate-jwt header-name='Authorization'><issuer-signing-keys><key>aGFsbG8=</key></issuer-signing-keys></validate-jwt></inbound>",
            "KD060",
        ),
        (
            "<inbound><validate-jwt header-name='Authorization' require-signed-tokens='false'><issuer-signing-keys><key>{{key}}</key></issuer-signing-keys></validate-jwt></inbound>",
            "KD060",
        ),
        (
            "<outbound><set-header name='a'><value>{{key}}</value></set-header></outbound>",
            "KD060",
        ),
        (
            "<inbound><return-response><set-header name='a'><value>{{key}}</value></set-header></return-response></inbound>",
            "KD060",
        ),
        (
            "<inbound><set-header name='@(context.Api.Id)'><value>{{key}}</value></set-header></inbound>",
            "KD060",
        ),
        (
            "<inbound><set-header name='a'><value>{{key}}</value><value>b</value></set-header></inbound>",
            "KD060",
        ),
        (
            "<inbound><set-header name='a' exists-action='append'><value>{{key}}</value></set-header></inbound>",
            "KD060",
        ),
        (
            "<inbound><set-variable name='v' value='{{key}}'/><set-variable name='v' value='x'/></inbound>",
            "KD063",
        ),
        (
            "<inbound><set-variable name='v' value='{{key}}'/><set-header name='a'><value>@(\"x\" + context.Variables[\"v\"])</value></set-header></inbound>",
            "KD063",
        ),
        (
            "<inbound><set-variable name='v' value='{{key}}'/><set-body>@((string)context.Variables[\"v\"])</set-body></inbound>",
            "KD060",
        ),
        (
            "<backend><forward-request follow-redirects='true'/></backend>",
            "KD060",
        ),
        (
            "<inbound><authentication-managed-identity resource='https://a.example' output-token-variable-name='t'/></inbound>",
            "KD060",
        ),
        (
            "<inbound><set-backend-service base-url='http://a.example'/></inbound>",
            "KD060",
        ),
        (
            "<inbound><send-request response-variable-name='r'><set-url>https://prices.example/v1/</set-url><set-method>GET</set-method><authentication-managed-identity resource='https://a.example'/></send-request></inbound>",
            "KD060",
        ),
        (
            "<inbound><authentication-basic username='@(context.Api.Id)' password='{{key}}'/></inbound>",
            "KD060",
        ),
    ] {
        let document = document(&format!("<policies>{inside}</policies>"));
        let effective = effective(&[&document], &BTreeMap::new()).unwrap();
        let errors = compile(&effective, &bindings()).unwrap_err();
        let codes: Vec<_> = errors.iter().map(|error| error.code()).collect();
        assert_eq!(codes, [expected], "{inside}\n{errors}");
        assert!(
            errors.iter().all(|error| error.help().is_some()),
            "{inside}"
        );
    }
    let text = refused(
        "<inbound><set-backend-service base-url='https://else.example/secret-path'/></inbound>",
    );
    assert!(
        text.starts_with("api.xml:1:") && text.contains("https://else.example"),
        "{text}"
    );
    assert!(!text.contains("secret-path"), "{text}");
}

fn faults(inside: &str) -> Vec<&'static str> {
    let document = document(&format!("<policies>{inside}</policies>"));
    let effective = effective(&[&document], &BTreeMap::new()).unwrap();
    match compile(&effective, &bindings()) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(|error| error.code()).collect(),
    }
}

#[test]
fn an_address_that_could_be_read_in_two_ways_is_refused() {
    let base = |url: &str| format!("<inbound><set-backend-service base-url='{url}'/></inbound>");
    for (url, expected) in [
        ("https://orders.example/v1/../v2", vec!["KD060"]),
        ("https://orders.example/v1/%2e%2E/v1", vec!["KD060"]),
        ("https://orders.example/v1/..%2fv2", vec!["KD060"]),
        ("https://orders.example/v1?a=1", vec!["KD060"]),
        ("https://orders.example/v1#a", vec!["KD060"]),
        ("https://who:what@orders.example/v1", vec!["KD061"]),
        ("https://orders.example/v1", vec![]),
        ("https://prices.example/a/b/", vec![]),
    ] {
        assert_eq!(faults(&base(url)), expected, "{url}");
    }
    let call = |url: &str| {
        format!(
            "<inbound><send-one-way-request><set-url>{url}</set-url><set-method>GET</set-method></send-one-way-request></inbound>"
        )
    };
    for (url, expected) in [
        ("https://orders.example/v1/..", vec!["KD061"]),
        ("https://orders.example/..", vec!["KD060"]),
        ("https://prices.example/v1/a/../b?c=1", vec![]),
    ] {
        assert_eq!(faults(&call(url)), expected, "{url}");
    }
    let text = refused(&base("https://who:hidden@orders.example/v1"));
    assert!(!text.contains("hidden"), "{text}");
}

#[test]
fn a_range_in_which_no_address_lies_is_refused() {
    for (from, to, expected) in [
        ("192.0.2.9", "192.0.2.1", vec!["KD060"]),
        ("192.0.2.1", "2001:db8::1", vec!["KD060"]),
        ("192.0.2.1", "192.0.2.1", vec![]),
        ("::ffff:192.0.2.1", "192.0.2.9", vec![]),
        ("2001:db8::", "2001:db8::ffff", vec![]),
    ] {
        let text = format!(
            "<inbound><ip-filter action='allow'><address-range from='{from}' to='{to}'/></ip-filter></inbound>"
        );
        assert_eq!(faults(&text), expected, "{from} {to}");
    }
}

#[test]
fn a_status_that_no_answer_can_have_is_refused_when_it_is_read() {
    let with = |status: &str| {
        [
            format!("<mock-response status-code='{status}'/>"),
            format!(
                "<check-header name='a' failed-check-httpcode='{status}' failed-check-error-message='b' ignore-case='true'/>"
            ),
            format!(
                "<validate-jwt header-name='a' failed-validation-httpcode='{status}'><issuer-signing-keys><key>{{{{key}}}}</key></issuer-signing-keys></validate-jwt>"
            ),
            format!("<set-status code='{status}'/>"),
        ]
    };
    let reads = |statement: &str| {
        let text = format!("<policies><inbound>{statement}</inbound></policies>");
        let options = Options {
            values: &Values,
            ..Options::default()
        };
        read("api.xml", &text, &options).document.is_some()
    };
    for statement in with("199").iter().chain(&with("600")) {
        assert!(!reads(statement), "{statement}");
    }
    for statement in with("200").iter().chain(&with("599")) {
        assert!(reads(statement), "control: {statement}");
    }
}

#[test]
fn a_fragments_faults_are_shown_in_the_fragment() {
    let api = document(
        "<policies><inbound><include-fragment fragment-id='shared'/></inbound></policies>",
    );
    let text = "<fragment>\n<set-backend-service backend-id='else'/></fragment>";
    let options = Options {
        values: &Values,
        ..Options::default()
    };
    let fragment = read("shared.xml", text, &options).document.unwrap();
    let fragments = BTreeMap::from([("shared".to_owned(), fragment)]);
    let effective = effective(&[&api], &fragments).unwrap();
    let errors = compile(&effective, &bindings()).unwrap_err().to_string();
    assert!(errors.starts_with("shared.xml:2:"), "{errors}");
}

/// Every name that the tables have, so that nothing is lost on the way to a program.
#[test]
fn programs_know_every_element_and_attribute_of_the_tables() {
    fn look(element: &Element, depth: usize) {
        assert!(depth < 10, "the tables have no cycle");
        assert!(
            ElementName::parse(element.name).is_some(),
            "{}",
            element.name
        );
        for attribute in element.attributes {
            let known = AttributeName::parse(attribute.name);
            assert!(known.is_some(), "{} {}", element.name, attribute.name);
        }
        if let Content::Children(children) | Content::Ordered(children) = element.content {
            for child in children {
                let supported = |status| status == Status::PartOne;
                if child.policy().is_none_or(|policy| supported(policy.status)) {
                    look(child.element(), depth + 1);
                }
            }
        }
    }
    for policy in all().filter(|policy| policy.status == Status::PartOne) {
        if !matches!(policy.element.name, "base" | "wasm-policy") {
            look(&policy.element, 0);
        }
    }
}
