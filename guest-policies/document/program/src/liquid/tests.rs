//! Which templates are refused, and where.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use alloc::format;
use alloc::string::ToString as _;

use super::*;

#[test]
fn what_a_template_cannot_mean_has_a_place_and_a_reason() {
    for (text, place, reason) in [
        ("{{ 'a' | shout }}", "shout", "no filter \"shout\""),
        ("é{% include 'x' %}", "include", "no tag \"include\""),
        ("{{a}}{% if a %}{{b}}", "if a", "`endif` is missing"),
        (
            "{% for a in b %}{% else %}",
            "for a in b",
            "`endfor` is missing",
        ),
        ("{% case a %}{% when 1 %}", "case a", "`endcase` is missing"),
        ("{% raw %}{{ a }}", "raw", "`endraw` is missing"),
        ("{%- comment -%}", "comment", "`endcomment` is missing"),
        ("{% endif %}", "endif", "no tag \"endif\""),
        ("{% %}", "", "no tag \"\""),
        ("a{{ b", "{{", "`}}` is missing"),
        ("a{% b }}", "{%", "`%}` is missing"),
        ("{{ 'a }}", "'", "`'` is missing"),
        ("{{ a b }}", "b", "\"b\" is too much"),
        ("{{ a }} {{ a ] }}", "]", "\"]\" is too much"),
        ("{% for a of b %}", "of", "`in` was expected before \"of\""),
        ("{{ a[1 }}", "", "`]` was expected before the end"),
        ("{% assign a 1 %}", "1", "`=` was expected before \"1\""),
        (
            "{% assign a = %}",
            "",
            "a value was expected before the end",
        ),
        ("{% assign = 1 %}", "=", "a name was expected before \"=\""),
        ("{% if a == %}", "", "a value was expected before the end"),
        (
            "{{ 99999999999999999999 }}",
            "99999999999999999999",
            "is no number",
        ),
        ("{{ - }}", "-", "\"-\" is no number"),
    ] {
        let error = template(text).unwrap_err();
        assert_eq!(text.get(error.at.clone()), Some(place), "{text}: {error:?}");
        let words = error.in_words(text).to_string();
        assert!(words.contains(reason), "{text}: {words}");
    }
}

#[test]
fn the_end_of_a_tag_is_a_place_in_the_text() {
    let text = "a{% assign b = %}{{b}}";
    let error = template(text).unwrap_err();
    assert_eq!(error.at, 14..14);
    assert_eq!(text.get(..14), Some("a{% assign b ="));
}

#[test]
fn what_is_said_of_a_template_is_short_and_of_one_line() {
    let text = format!("{{% {}\u{1b}\u{202e} %}}", "x".repeat(35));
    let words = template(&text).unwrap_err().in_words(&text).to_string();
    assert!(words.ends_with("x\\u{1b}\\u{202e}\""), "{words}");
    let text = format!("{{% {} %}}", "é".repeat(10_000));
    let words = template(&text).unwrap_err().in_words(&text).to_string();
    assert!(words.len() < 120, "{words}");
}

#[test]
fn what_is_within_each_other_has_a_limit() {
    for text in [
        "{% if a %}".repeat(1000) + &"{% endif %}".repeat(1000),
        format!("{{{{ {}1 }}}}", "(".repeat(1000)),
        format!("{{{{ {}1 }}}}", "a[".repeat(1000)),
    ] {
        assert_eq!(template(&text).unwrap_err().problem, Problem::Depth);
    }
    // What stands in a row is not within each other.
    for text in [
        format!("{{% if a {} %}}{{% endif %}}", "and a ".repeat(100_000)),
        format!("{{{{ a{} }}}}", ".a".repeat(100_000)),
        format!("{{{{ a{} }}}}", " | abs".repeat(100_000)),
        format!(
            "{{% if a %}}{}{{% endif %}}",
            "{% elsif a %}".repeat(100_000)
        ),
    ] {
        assert!(template(&text).is_ok());
    }
}

/// Each would take hours if a part of it were looked through for every mark.
#[test]
fn a_template_is_read_in_time_proportional_to_its_length() {
    const MANY: usize = 500_000;
    assert!(template(&"{{a}}".repeat(MANY)).is_ok());
    assert!(template(&"{%break%}".repeat(MANY)).is_ok());
    for text in ["{% raw %}".repeat(2), "{% raw %}".to_string()] {
        let text = text + &"{%".repeat(MANY) + "%}";
        assert_eq!(
            template(&text).unwrap_err().problem,
            Problem::Missing("endraw")
        );
    }
}

#[test]
fn what_is_raw_ends_at_the_first_end() {
    let text = "{% raw %}a %} {% b {% endraw %}{% if c %}{% endif %}";
    let nodes = template(text).unwrap();
    assert!(
        matches!(nodes.as_slice(), [Node::Text(raw), Node::If(_)] if **raw == *"a %} {% b "),
        "{nodes:?}"
    );
}

#[test]
fn every_tag_is_known() {
    for tag in TAGS {
        let text = format!("{{% {tag} %}}");
        let error = template(&text).err().map(|error| error.problem);
        let closes = ["else", "elsif", "when"].contains(&tag) || tag.starts_with("end");
        assert_eq!(error == Some(Problem::UnknownTag), closes, "{tag}");
    }
}
