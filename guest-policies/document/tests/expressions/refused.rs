//! What is refused, where, and what is said about it.

use keyward_document::named_values::{Lookup, NamedValues, Unresolved};

use crate::{compiled, result};

/// Expects the one problem of an expression: its code, the text that it is about,
/// its words.
#[track_caller]
fn check(source: &str, code: &str, about: &str, words: &str) {
    let problems = compiled(source, &Values).unwrap_err();
    let [problem] = problems.as_slice() else {
        panic!("{problems:#?}")
    };
    assert_eq!(problem.code.as_str(), code, "{problem}");
    assert_eq!(source.get(problem.span.clone()), Some(about), "{problem}");
    assert!(problem.to_string().contains(words), "{problem}");
}

struct Values;

impl NamedValues for Values {
    fn look_up(&self, name: &str) -> Lookup {
        match name {
            "plain" => Lookup::Plain("a\"b\\{{weight}}".to_owned()),
            "weight" => Lookup::Plain("50".to_owned()),
            "negative" => Lookup::Plain("-7".to_owned()),
            "on" => Lookup::Plain("true".to_owned()),
            "code" => Lookup::Plain("1 + 1".to_owned()),
            "secret" => Lookup::Secret("billing-key".to_owned()),
            "reference" => Lookup::Reference {
                reference: "vault:x".to_owned(),
                secret: None,
            },
            _ => Lookup::Unknown(Some("plain".to_owned())),
        }
    }
}

#[test]
fn what_is_no_c_sharp_is_shown_at_its_place() {
    check(
        "@(1 + )",
        "KD101",
        "",
        "expected a value, found the expression's end",
    );
    check("@(a b)", "KD101", "b", "expected the expression's end");
    check(
        "@(context.Variables[\"b=\"\"\"])",
        "KD101",
        "\"\"",
        "look for a quote too many",
    );
    check("@(\"abc)", "KD101", "\"abc", "this string does not end");
    check("@(\"\\q\")", "KD101", "\\q", "no such escape");
    check("@('ab')", "KD101", "'ab'", "not one character");
    check("@{ return 1 }", "KD101", "", "\";\"");
    check("@(1 # 2)", "KD101", "#", "no meaning");
    check("x", "KD101", "x", "@( … ) or @{ … }");
}

#[test]
fn what_is_not_supported_is_named() {
    check("@(x => x)", "KD102", "x => x", "lambda");
    check(
        "@{ foreach (var a in b) { c(); } return 1; }",
        "KD102",
        "foreach",
        "loops (foreach)",
    );
    check(
        "@{ try { a(); } catch (Exception e) { b(); } return 1; }",
        "KD102",
        "try",
        "try",
    );
    check("@(new [] { 1, 2 })", "KD102", "new [] { 1, 2 }", "arrays");
    check(
        "@(new { a = 1 })",
        "KD102",
        "new { a = 1 }",
        "anonymous types",
    );
    check("@(1 << 2)", "KD102", "<<", "the operator <<");
    check("@(5 & 3)", "KD102", "&", "write &&");
    check("@(1.5m)", "KD102", "1.5m", "decimal");
    check(
        "@(Regex.IsMatch(\"a\", \"b\"))",
        "KD102",
        "Regex",
        "the type Regex",
    );
    check(
        "@{ int F(int x) { return x; } return 1; }",
        "KD102",
        "F",
        "local functions",
    );
    check(
        "@{ int F(int x) { return x; } return F(1) + 1; }",
        "KD102",
        "F",
        "local functions",
    );
    check(
        "@(\"a\" == StringComparer.Ordinal)",
        "KD102",
        "StringComparer",
        "the type StringComparer",
    );
}

#[test]
fn names_and_members_are_looked_up() {
    check("@(contxt)", "KD104", "contxt", "did you mean context?");
    check(
        "@(context.Request.Metod)",
        "KD103",
        "Metod",
        "did you mean Method?",
    );
    check(
        "@(context.Request.Method())",
        "KD103",
        "Method",
        "no function",
    );
    check(
        "@(context.Request.MatchedParameters(\"x\"))",
        "KD103",
        "MatchedParameters",
        "MatchedParameters is no function; for an entry, write MatchedParameters[…]",
    );
    check(
        "@(context.Request.Url.Query.ContainsKey)",
        "KD103",
        "ContainsKey",
        "ContainsKey is a function; write ContainsKey(…)",
    );
    check(
        "@(\"a\".Fold(way: 1))",
        "KD103",
        "Fold",
        "not supported: string.Fold",
    );
    check(
        "@(\"a\".ToUper())",
        "KD103",
        "ToUper",
        "did you mean ToUpper?",
    );
    check(
        "@(context.Variables[\"x\"].Length)",
        "KD103",
        "Length",
        "cast it first",
    );
    check(
        "@(\"a\".Length.Foo)",
        "KD103",
        "Foo",
        "not supported: int.Foo",
    );
    check(
        "@(string.Format(\"{0}\", 1))",
        "KD103",
        "Format",
        "not supported: string.Format; write $\"… {value} …\"",
    );
    check(
        "@(context.Variables[\"x\"](1))",
        "KD105",
        "context.Variables[\"x\"](1)",
        "no function",
    );
    check(
        "@(context.Request.Body.As<Uri>())",
        "KD103",
        "Uri",
        "a body can be read as",
    );
}

#[test]
fn types_are_c_sharps() {
    check("@(1 && true)", "KD105", "1", "expected a bool");
    check(
        "@(context.Variables[\"a\"] == 1)",
        "KD105",
        "context.Variables[\"a\"] == 1",
        "cast first: (int)…",
    );
    check("@((int)\"5\")", "KD105", "(int)\"5\"", "write int.Parse(…)");
    check(
        "@(true ? 1 : \"a\")",
        "KD105",
        "true ? 1 : \"a\"",
        "cast one of them",
    );
    check("@(\"a\" - 1)", "KD105", "\"a\" - 1", "no string - int");
    check(
        "@(\"a\".Substring(\"b\"))",
        "KD106",
        "\"a\".Substring(\"b\")",
        "it takes (int)",
    );
    check(
        "@{ int x = \"a\"; return x; }",
        "KD105",
        "\"a\"",
        "expected a value of type int",
    );
    check(
        "@{ var x = null; return x; }",
        "KD105",
        "null",
        "gets no type",
    );
    check(
        "@{ if (true) { return 1; } }",
        "KD111",
        "if (true) { return 1; }",
        "return",
    );
    check(
        "@{ var context = 1; return 1; }",
        "KD104",
        "context",
        "already",
    );
    check(
        "@{ context.Variables[\"x\"] = 1; return 1; }",
        "KD105",
        "context.Variables[\"x\"] = 1",
        "set-variable",
    );
    check("@{ 1 + 1; return 1; }", "KD101", "1 + 1", "does nothing");
}

#[test]
fn several_problems_are_found_at_once() {
    let source = "@{ var a = nope; var b = \"x\".Foo(); return a + b + (x => 1); }";
    let problems = compiled(source, &Unresolved).unwrap_err();
    let codes: Vec<&str> = problems
        .iter()
        .map(|problem| problem.code.as_str())
        .collect();
    assert_eq!(codes, ["KD104", "KD103", "KD102"]);
}

#[test]
fn named_values_are_bound_and_never_read_as_c_sharp() {
    assert_eq!(
        result("@(\"<{{plain}}>\")", &Values),
        r#"string "<a\"b\\{{weight}}>""#
    );
    assert_eq!(
        result("@(@\"{{plain}}\")", &Values),
        r#"string "a\"b\\{{weight}}""#
    );
    assert_eq!(
        result("@($\"{{plain}}{1 + 1}\")", &Values),
        r#"string "a\"b\\{{weight}}2""#
    );
    assert_eq!(result("@($\"{{other}}\")", &Values), r#"string "{other}""#);
    assert_eq!(result("@(10 <= {{weight}})", &Values), "bool True");
    assert_eq!(result("@({{negative}} + 1)", &Values), "int -6");
    assert_eq!(
        result("@{ var key = {{on}}; return key; }", &Values),
        "bool True"
    );
    check("@({{code}})", "KD109", "{{code}}", "put it in quotes");
    check(
        "@(\"{{other}}\")",
        "KD107",
        "{{other}}",
        "did you mean \"plain\"?",
    );
}

#[test]
fn a_secret_named_value_is_refused_wherever_it_stands() {
    for source in [
        "@(\"{{secret}}\")",
        "@($\"x{{secret}}\")",
        "@({{secret}})",
        "@(@\"{{secret}}\")",
    ] {
        check(source, "KD108", "{{secret}}", "is secret");
    }
    check(
        "@(\"{{reference}}\")",
        "KD108",
        "{{reference}}",
        "is secret",
    );
    check(
        "@{ return \"a\" + \"{{secret}}\".Length; }",
        "KD108",
        "{{secret}}",
        "is secret",
    );
}

#[test]
fn a_failure_shows_its_place() {
    use document::evaluate::{Budget, Exception, evaluate};
    let source = "@(\"a\" + int.Parse(\"x\") + \"b\")";
    let program = compiled(source, &Unresolved).unwrap();
    let world = crate::world::World::new();
    let id = keyward_document_program::ExpressionId(0);
    let thrown = evaluate(&program, id, &world, &mut Budget::default()).unwrap_err();
    assert_eq!(thrown.exception, Exception::Format);
    assert_eq!(source.get(thrown.span), Some("int.Parse(\"x\")"));
}

#[test]
fn json_paths_that_are_not_supported_say_so_when_they_run() {
    for path in [
        "a[?(@.b == 1)]",
        "$..[?(@.b)]",
        "..['a']",
        "a..[0]",
        "*[0]",
        "a.*['b']",
        r"['\\n']",
    ] {
        let source = format!("@(JObject.Parse(\"{{}}\").SelectToken(\"{path}\"))");
        let found = result(&source, &Unresolved);
        assert_eq!(found, "throws NotSupportedException", "{path}");
    }
}

#[test]
fn a_json_path_that_multiplies_tokens_ends_by_its_budget() {
    let path = "..*".repeat(40);
    for json in ["[1,2,3,[4,5,[6]]]", r#"{\"a\":{\"b\":[[],[]]}}"#] {
        let source = format!("@(JToken.Parse(\"{json}\").SelectToken(\"{path}\"))");
        let found = result(&source, &Unresolved);
        assert!(
            ["throws TimeoutException", "throws OutOfMemoryException"].contains(&found.as_str()),
            "{found}"
        );
    }
}
