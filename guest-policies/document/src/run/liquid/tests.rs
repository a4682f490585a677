//! What templates give.

#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;

struct Orders;

impl World for Orders {
    fn body(&self, budget: &mut Budget) -> Outcome<Item> {
        let text = r#"{"id": 7, "paid": true, "note": null, "when": "2026-03-01T10:00:00Z",
            "lines": [{"sku": "b", "price": 2.5}, {"sku": "a", "price": 10}], "z": 1, "a": 2}"#;
        let Value::Json(token) = Value::parsed(budget, text)? else {
            unreachable!("it is JSON")
        };
        Item::json(budget, &token)
    }

    fn member(&self, of: Live, name: &str, _: &mut Budget) -> Outcome<Item> {
        Ok(match (of, name) {
            (Live::Context, "Request") => Item::Live(Live::Request),
            (Live::Request, "Headers") => Item::Live(Live::RequestHeaders),
            (Live::Request, "Method") => Item::text("PUT"),
            (Live::RequestHeaders, "Accept") => Item::text("text/plain"),
            _ => Item::Nil,
        })
    }

    fn entries(&self, of: Live, _: &mut Budget) -> Outcome<Vec<(Arc<str>, Item)>> {
        Ok(match of {
            Live::RequestHeaders => vec![
                ("Accept".into(), Item::text("text/plain")),
                ("X-A".into(), Item::text("1")),
            ],
            _ => Vec::new(),
        })
    }
}

fn rendered(text: &str) -> String {
    let template = Template::new(text).unwrap();
    template.render(&Orders, &mut Budget::default()).unwrap()
}

#[test]
fn members_of_the_body_are_written_and_what_is_not_there_is_nothing() {
    for (text, expected) in [
        ("{{body.id}}", "7"),
        ("{{ body['id'] }}", "7"),
        ("{{body.lines[1].sku}}{{body.lines[-1].sku}}", "aa"),
        ("{{body.paid}}", "true"),
        ("[{{body.note}}{{body.nothing.at.all}}{{nothing}}]", "[]"),
        ("{{body.when}}", "2026-03-01T10:00:00Z"),
        ("{{body.lines.size}}", "2"),
        ("{{ 'a' }}{{ \"b\" }}{{ 1.50 }}", "ab1.5"),
    ] {
        assert_eq!(rendered(text), expected, "{text}");
    }
}

#[test]
fn filters_have_the_names_of_liquid_and_of_csharp() {
    for (text, expected) in [
        ("{{ 'ab' | upcase }}{{ 'ab' | Upcase }}", "ABAB"),
        // As .NET: one letter becomes one, so that `ß`, which has no capital, stays.
        (
            "{{ 'straße é' | upcase }} {{ 'ÄÖÉ' | downcase }} {{ 'ßa' | capitalize }} {{ 'éa' | capitalize }}",
            "STRAßE É äöé ßa Éa",
        ),
        ("{{ \"a\nb\" | NewlineToBr }}", "a<br />\nb"),
        ("{{ 4 | AtLeast: 5 }}{{ 4 | at_most: 3 }}", "53"),
        (
            "{{ 7 | DividedBy: 2 }} {{ 7.0 | divided_by: 2 }} {{ 7 | modulo: 2 }}",
            "3 3.5 1",
        ),
        ("{{ 1 | plus: 2 | times: 3 | minus: 0.5 }}", "8.5"),
        (
            "{{ 1.25 | round: 1 }} {{ 1.5 | ceil }} {{ 1.5 | floor }} {{ -2 | abs }}",
            "1.2 2 1 2",
        ),
        ("{{ 'a,b,,c' | split: ',' | join: '-' }}", "a-b-c"),
        ("{{ body.lines | map: 'sku' | sort | join }}", "a b"),
        (
            "{{ body.lines | sort: 'price' | map: 'sku' | join: '' }}",
            "ba",
        ),
        (
            "{{ 'aXbX' | replace: 'X', '-' }}{{ 'aXbX' | remove_first: 'X' }}",
            "a-b-abX",
        ),
        (
            "{{ '<b>' | escape }}{{ '&lt;' | EscapeOnce }}{{ '<i>x</i>' | strip_html }}",
            "&lt;b&gt;&lt;x",
        ),
        ("{{ body.note | default: 'none' }}", "none"),
        (
            "{{ 'abcdef' | truncate: 5 }} {{ 'a b c' | truncatewords: 2, '!' }}",
            "ab... a b!",
        ),
        ("{{ 'abcdef' | slice: 1, 2 }}{{ 'abc' | slice: -1 }}", "bcc"),
        (
            "{{ 'a b' | url_encode }} {{ 'a+b' | UrlDecode }}",
            "a+b a b",
        ),
        (
            "{{ ' x ' | strip }}|{{ 'abc' | size }}|{{ 'abc' | capitalize }}",
            "x|3|Abc",
        ),
        ("{{ body.when | Date: 'dd.MM.yyyy' }}", "01.03.2026"),
        (
            "{{ 'a,b,a' | split: ',' | uniq | reverse | join: '' }}",
            "ba",
        ),
        ("{{ 'b' | append: 'c' | prepend: 'a' }}", "abc"),
    ] {
        assert_eq!(rendered(text), expected, "{text}");
    }
}

#[test]
fn conditions_choose() {
    for (text, expected) in [
        ("{% if body.paid %}yes{% else %}no{% endif %}", "yes"),
        ("{% unless body.paid %}yes{% else %}no{% endunless %}", "no"),
        (
            "{% if body.id > 7 %}a{% elsif body.id >= 7 and body.note == nil %}b{% endif %}",
            "b",
        ),
        (
            "{% if body.note == empty %}e{% endif %}{% if body.lines != empty %}f{% endif %}",
            "ef",
        ),
        (
            "{% if 'abc' contains 'b' and 'abc' startswith 'a' %}x{% endif %}",
            "x",
        ),
        (
            "{% if body contains 'id' %}x{% endif %}{% if body HasKey 'no' %}y{% endif %}",
            "x",
        ),
        ("{% if false and false or true %}right first{% endif %}", ""),
        (
            "{% case body.id %}{% when 1, 2 %}a{% when 6 or 7 %}b{% else %}c{% endcase %}",
            "b",
        ),
        ("{% case 'x' %}{% when 1 %}a{% else %}c{% endcase %}", "c"),
    ] {
        assert_eq!(rendered(text), expected, "{text}");
    }
}

#[test]
fn loops_repeat() {
    for (text, expected) in [
        (
            "{% for l in body.lines %}{{forloop.index}}{{l.sku}}{% unless forloop.last %},{% endunless %}{% endfor %}",
            "1b,2a",
        ),
        (
            "{% for i in (1..5) limit:2 offset:1 %}{{i}}{% endfor %}",
            "23",
        ),
        ("{% for i in (1..3) reversed %}{{i}}{% endfor %}", "321"),
        (
            "{% for i in (1..9) %}{% if i == 2 %}{% continue %}{% endif %}{% if i > 3 %}{% break %}{% endif %}{{i}}{% endfor %}",
            "13",
        ),
        (
            "{% for i in body.nothing %}x{% else %}none{% endfor %}",
            "none",
        ),
        (
            "{% for e in body.lines[0] %}{{e[0]}}={{e.Value}};{% endfor %}",
            "sku=b;price=2.5;",
        ),
        (
            "{% for i in (1..3) %}{% cycle 'a', 'b' %}{% endfor %}",
            "aba",
        ),
        (
            "{% increment n %}{% increment n %}{% decrement m %}",
            "01-1",
        ),
    ] {
        assert_eq!(rendered(text), expected, "{text}");
    }
}

#[test]
fn the_exchange_is_asked_and_dashes_take_the_space_away() {
    let text = "{% for header in context.Request.Headers %}\n    {{- header.Key }}: {{ header.Value }}\n{% endfor %}";
    assert_eq!(rendered(text), "Accept: text/plain\nX-A: 1\n");
    assert_eq!(
        rendered("{{context.Request.Headers[\"Accept\"]}}"),
        "text/plain"
    );
    assert_eq!(rendered("a {{- context.Request.Method -}} \n b"), "aPUTb");
}

#[test]
fn variables_keep_what_they_were_given() {
    assert_eq!(
        rendered(
            "{%- assign x = body.id | plus: 1 -%} {{x}}{% capture y %}<{{x}}>{% endcapture %}{{y}}"
        ),
        "8<8>"
    );
    assert_eq!(
        rendered("{% comment %}{{ no | such }}{% endcomment %}a"),
        "a"
    );
    assert_eq!(
        rendered("{% raw %}{{ as it is }}{% endraw %}"),
        "{{ as it is }}"
    );
}

#[test]
fn what_a_template_cannot_mean_is_refused_when_it_is_read() {
    let refused = Template::new("{{ 'a' | shout }}").unwrap_err();
    assert_eq!(refused, "there is no filter \"shout\"");
}

#[test]
fn many_conditions_are_one_after_the_other() {
    let many = |sign: &str, last: &str| {
        let all = format!("{sign} body.paid ").repeat(20_000);
        rendered(&format!(
            "{{% if body.paid {all}{sign} {last} %}}x{{% endif %}}"
        ))
    };
    assert_eq!(many("and", "true"), "x");
    assert_eq!(many("and", "false"), "");
    assert_eq!(many("or", "false"), "x");
}

#[test]
fn a_template_that_never_ends_does() {
    for text in [
        "{% for a in (1..1000000000) %}x{% endfor %}",
        "{% for a in (1..9000) %}{% for b in (1..9000) %}{% endfor %}{% endfor %}",
        "{% assign x = 'xxxxxxxx' %}{% for i in (1..60) %}{% assign x = x | append: x %}{% endfor %}",
        "{% assign x = 'x' %}{% for i in (1..60) %}{% assign x = x | replace: 'x', 'xxxxxxxxxxx' %}{% endfor %}",
    ] {
        let outcome = Template::new(text)
            .unwrap()
            .render(&Orders, &mut Budget::default());
        assert!(
            matches!(outcome, Err(Exception::Steps | Exception::Memory)),
            "{text}: {outcome:?}"
        );
    }
}
