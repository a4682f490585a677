//! What a document remembers between its calls.

use keyward_policy::Verdict;

use super::world::{End, World, request};

#[test]
fn variables_of_every_sort_outlive_a_phase() {
    let values = [
        (
            "null",
            "(string)null",
            "(context.Variables[\"null\"] == null).ToString()",
            "True",
        ),
        (
            "bool",
            "true",
            "((bool)context.Variables[\"bool\"]).ToString()",
            "True",
        ),
        (
            "char",
            "'x'",
            "((char)context.Variables[\"char\"]).ToString()",
            "x",
        ),
        (
            "int",
            "7",
            "((int)context.Variables[\"int\"] + 1).ToString()",
            "8",
        ),
        (
            "long",
            "7L",
            "((long)context.Variables[\"long\"] + 1).ToString()",
            "8",
        ),
        (
            "double",
            "0.5",
            "((double)context.Variables[\"double\"] * 2).ToString()",
            "1",
        ),
        ("text", "\"ü\"", "(string)context.Variables[\"text\"]", "ü"),
        (
            "guid",
            "Guid.Parse(\"01234567-89ab-cdef-0123-456789abcdef\")",
            "((Guid)context.Variables[\"guid\"]).ToString(\"N\")",
            "0123456789abcdef0123456789abcdef",
        ),
        (
            "date",
            "new DateTime(2026, 1, 2, 3, 4, 5, DateTimeKind.Utc)",
            "((DateTime)context.Variables[\"date\"]).ToString(\"u\")",
            "2026-01-02 03:04:05Z",
        ),
        (
            "offset",
            "DateTimeOffset.Parse(\"2026-01-02T03:04:05+02:00\")",
            "((DateTimeOffset)context.Variables[\"offset\"]).ToUnixTimeSeconds().ToString()",
            "1767315845",
        ),
        (
            "span",
            "TimeSpan.FromSeconds(90)",
            "((TimeSpan)context.Variables[\"span\"]).ToString()",
            "00:01:30",
        ),
        (
            "uri",
            "new Uri(\"https://a.example/b\")",
            "((Uri)context.Variables[\"uri\"]).Host",
            "a.example",
        ),
        (
            "bytes",
            "Convert.FromBase64String(\"AQL/\")",
            "Convert.ToBase64String((byte[])context.Variables[\"bytes\"])",
            "AQL/",
        ),
        (
            "strings",
            "\"a b\".Split(' ')",
            "((string[])context.Variables[\"strings\"])[1]",
            "b",
        ),
        (
            "enum",
            "DateTimeKind.Utc",
            "((DateTimeKind)context.Variables[\"enum\"]).ToString()",
            "Utc",
        ),
        (
            "object",
            "JObject.Parse(\"{\\\"a\\\": [1, 0.5, null, true, \\\"2026-01-02T03:04:05Z\\\"], \\\"b\\\": {}}\")",
            "((JObject)context.Variables[\"object\"]).ToString(Formatting.None)",
            "{\"a\":[1,0.5,null,true,\"2026-01-02T03:04:05Z\"],\"b\":{}}",
        ),
        (
            "property",
            "new JProperty(\"a\", 1)",
            "((JProperty)context.Variables[\"property\"]).Name",
            "a",
        ),
        (
            "jwt",
            "\"eyJhbGciOiJub25lIn0.eyJzdWIiOiJtZSJ9.\".AsJwt()",
            "((Jwt)context.Variables[\"jwt\"]).Subject",
            "me",
        ),
        (
            "basic",
            "\"Basic YTpi\".AsBasic()",
            "((BasicAuthCredentials)context.Variables[\"basic\"]).UserId",
            "a",
        ),
        (
            "random",
            "new Random(7)",
            "(((Random)context.Variables[\"random\"]).Next(1)).ToString()",
            "0",
        ),
        (
            "encoding",
            "Encoding.Unicode",
            "((Encoding)context.Variables[\"encoding\"]).GetBytes(\"a\").Length.ToString()",
            "2",
        ),
    ];
    let mut set = String::new();
    let mut read = String::new();
    for (name, value, expression, _) in &values {
        set.push_str(&format!(
            "<set-variable name=\"{name}\" value=\"@({value})\"/>"
        ));
        read.push_str(&format!(
            "<set-header name=\"x-{name}\"><value>@({expression})</value></set-header>"
        ));
    }
    let world = World::new(
        // Twice, so that what was read back is kept again.
        &format!(
            "<inbound>{set}</inbound><backend><set-variable name=\"object\" value=\"@(context.Variables[\"object\"])\"/><forward-request timeout=\"1\"/></backend><outbound>{read}</outbound>"
        ),
        request("GET", "/").backend(Ok((200, b""))),
    );
    assert_eq!(world.run(), End::Through, "{:?}", world.simulation.log());
    for (name, _, expression, expected) in &values {
        let found = world.simulation.response_header(&format!("x-{name}"));
        assert_eq!(found.as_deref(), Some(*expected), "{expression}");
    }
}

#[test]
fn json_that_an_expression_changed_is_kept_as_it_is_then() {
    let world = World::new(
        "<inbound><set-variable name=\"o\" value=\"@(new JObject(new JProperty(\"a\", 1)))\"/>\
         <set-variable name=\"n\" value=\"@{ var o = (JObject)context.Variables[\"o\"]; o[\"b\"] = 2; return 0; }\"/></inbound>\
         <backend><forward-request timeout=\"1\"/></backend>\
         <outbound><set-header name=\"x-a\"><value>@(((JObject)context.Variables[\"o\"]).ToString(Formatting.None))</value></set-header></outbound>",
        request("GET", "/").backend(Ok((200, b""))),
    );
    assert_eq!(world.run(), End::Through, "{:?}", world.simulation.log());
    assert_eq!(
        world.simulation.response_header("x-a").as_deref(),
        Some("{\"a\":1,\"b\":2}")
    );
}

#[test]
fn each_call_of_a_phase_runs_the_next_segment() {
    let set = |name: &str| format!("<set-header name=\"{name}\"><value>1</value></set-header>");
    let world = World::new(
        &format!(
            "<inbound>{}<wasm-policy name=\"log\"/>{}</inbound>",
            set("x-a"),
            set("x-b")
        ),
        request("GET", "/"),
    );
    let names = || world.simulation.exchange().request().header_names();
    let next = || document::inbound(&world.settings, &world.simulation.exchange());
    assert_eq!(
        (next(), names()),
        (Ok(Verdict::Proceed), vec!["x-a".to_owned()])
    );
    assert_eq!(
        (next(), names()),
        (
            Ok(Verdict::Proceed),
            vec!["x-a".to_owned(), "x-b".to_owned()]
        )
    );
    // There is no third.
    assert_eq!((next(), names().len()), (Ok(Verdict::Proceed), 2));
}

#[test]
fn what_is_remembered_and_can_not_be_read_fails() {
    let world = World::new(
        "<inbound><set-method>PUT</set-method></inbound>",
        request("GET", "/"),
    );
    let exchange = world.simulation.exchange();
    exchange
        .set_variable("state", b"\xff\xff\xff\xff\xff")
        .unwrap();
    assert_eq!(
        document::inbound(&world.settings, &exchange),
        Ok(Verdict::Fail)
    );
    assert_eq!(
        world.warnings(),
        ["what the document remembered can't be read"]
    );
}

#[test]
fn json_of_every_shape_outlives_a_phase() {
    let shapes = [
        "[]",
        "{}",
        "[[]]",
        "[{},[],1]",
        "{\"a\":[],\"b\":{},\"c\":[[1],{\"d\":[]}]}",
        "{\"a\":{\"b\":{\"c\":null}},\"d\":true}",
        "[12345678901234567890,undefined,0.5,\"2026-01-02T03:04:05Z\",\"x\"]",
    ];
    let mut inbound = String::new();
    let mut outbound = String::new();
    for (number, shape) in shapes.iter().enumerate() {
        let parsed = format!("JToken.Parse(\"{}\")", shape.replace('"', "\\\""));
        inbound.push_str(&format!(
            "<set-variable name=\"{number}\" value='@({parsed})'/>\
             <set-variable name=\"p{number}\" value='@(new JProperty(\"p\", {parsed}))'/>"
        ));
        let kept = format!("((JToken)context.Variables[\"{number}\"])");
        let property = format!("((JProperty)context.Variables[\"p{number}\"])");
        outbound.push_str(&format!(
            "<set-header name=\"x-{number}\"><value>@({kept}.ToString(Formatting.None) + \" \" \
             + JToken.DeepEquals({kept}, {parsed}) + \" \" + JToken.DeepEquals({property}.Value, {parsed}) \
             + \" \" + {property}.Value.Path)</value></set-header>"
        ));
    }
    let sections = format!("<inbound>{inbound}</inbound><outbound>{outbound}</outbound>");
    let world = World::new(&sections, request("GET", "/"));
    assert_eq!(world.run(), End::Through, "{:?}", world.simulation.log());
    for (number, shape) in shapes.iter().enumerate() {
        let found = world.simulation.response_header(&format!("x-{number}"));
        assert_eq!(found.unwrap(), format!("{shape} True True p"));
    }
}
