//! Any text as an expression and any bytes as a program: no panic, no hang, problems
//! whose place can be shown, and what is accepted runs to its end.
//!
//! Under libFuzzer by `fuzz_targets/expressions.rs` and `fuzz_targets/program.rs`, with
//! texts and bytes by chance by the tests of `guest-policies/document`.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a find")]

use std::sync::Arc;

use document::evaluate::{Budget, Context, Exception, ListsOf, Url, UrlOf, Value, evaluate};
use keyward_document::csharp::{self, Wanted};
use keyward_document::named_values::Unresolved;
use keyward_document_program::expression::Builder;
use keyward_document_program::statements::{self, Field, Operand, Phase, Place, Surroundings};
use keyward_document_program::{
    AttributeName, ElementName, ExpressionId, Expressions, Member, Program, Type, container,
};

/// An expression with its brackets. What compiles is written, read and evaluated.
pub(crate) fn any_source(source: &str) {
    let mut all = vec![Wanted::Truth, Wanted::Number, Wanted::Text];
    let parsed = match csharp::parse(source) {
        Ok(parsed) => parsed,
        Err(problems) => return placed(source, &problems),
    };
    while let Some(wanted) = all.pop() {
        let mut builder = Builder::new();
        match csharp::compile_for(&parsed, &mut builder, &Unresolved, wanted) {
            Ok(_) => {
                let built = builder.finish().unwrap();
                let bytes = built.encode().unwrap();
                let again = Expressions::decode(&bytes).unwrap();
                assert_eq!(again.encode().unwrap(), bytes);
                if wanted == Wanted::Text {
                    run(&again);
                }
            }
            Err(problems) => {
                // Nothing is wrong with a named value that nobody knows yet.
                assert!(!problems.is_empty() || source.contains("{{"));
                placed(source, &problems);
            }
        }
    }
}

fn placed(source: &str, problems: &[csharp::Problem]) {
    for problem in problems {
        assert!(source.get(problem.span.clone()).is_some(), "{problem:?}");
    }
}

/// Bytes as a program, as its two sections, and as each of them alone.
pub(crate) fn any_program(bytes: &[u8]) {
    let _ = container::read(bytes);
    if let Ok(program) = Program::decode(bytes) {
        walk(&program);
    }
    if let Ok(expressions) = Expressions::decode(bytes) {
        run(&expressions);
    }
    let (first, rest) = bytes.split_at(bytes.len().min(1));
    let cut = rest.len() * usize::from(first.first().copied().unwrap_or(0)) / 255;
    let (expressions, statements) = rest.split_at(cut.min(rest.len()));
    let framed = container::write(&[
        (container::Section::Expressions, expressions.to_vec()),
        (container::Section::Statements, statements.to_vec()),
    ]);
    if let Ok(program) = Program::decode(&framed) {
        walk(&program);
    }
}

/// A good program around an expression, with some of its bytes changed: each three say
/// where and what.
pub(crate) fn changed_program(source: &str, changes: &[u8]) {
    let Ok(mut bytes) = program_of(source) else {
        return;
    };
    walk(&Program::decode(&bytes).unwrap());
    for change in changes.chunks_exact(3) {
        if let [high, low, value] = *change {
            let at = usize::from(u16::from_be_bytes([high, low])) % bytes.len();
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
    }
    if let Ok(program) = Program::decode(&bytes) {
        walk(&program);
    }
}

/// A `choose` with an expression as its condition and in a header's value.
fn program_of(source: &str) -> Result<Vec<u8>, Vec<csharp::Problem>> {
    let parsed = csharp::parse(source)?;
    let mut builder = Builder::new();
    let id = csharp::compile(&parsed, &mut builder, &Unresolved)?;
    let expressions = builder.finish().unwrap();
    let mut builder = statements::Builder::new(Surroundings::default());
    let place = Place {
        path: builder.text("choose[1]"),
        scope: Some(builder.text("api")),
        policy_id: None,
    };
    let expression = Operand::Expression(id);
    let name = Operand::Text(builder.text("x-a"));
    let secret = Operand::Secret(builder.secret("billing"));
    let field = |name, value| Field { name, value };
    let mut value = |operand| builder.element(ElementName::Value, &[], Some(operand), &[], place);
    let values = [value(expression), value(secret)];
    let header = builder.element(
        ElementName::SetHeader,
        &[field(AttributeName::Name, name)],
        None,
        &values,
        place,
    );
    let when = builder.element(
        ElementName::When,
        &[field(AttributeName::Condition, expression)],
        None,
        &[header],
        place,
    );
    let choose = builder.element(ElementName::Choose, &[], None, &[when], place);
    builder.segment(Phase::Inbound, &[choose]);
    let statements = builder.finish(expressions.len()).unwrap();
    let program = Program {
        expressions,
        statements,
    };
    Ok(program.encode().unwrap())
}

/// Follows every index, and evaluates.
fn walk(program: &Program) {
    let bytes = program.encode().unwrap();
    assert_eq!(
        Program::decode(&bytes).as_ref().map(|again| again.encode()),
        Ok(Ok(bytes))
    );
    let all = &program.statements;
    let shown = |operand: Operand| match operand {
        Operand::Text(id) => {
            all.text(id);
        }
        Operand::Expression(id) => assert!(program.expressions.get(id).is_some()),
        Operand::Secret(id) => assert!(all.secret(id).is_some()),
        Operand::SecretVariable(name, id) => {
            all.text(name);
            assert!(all.secret(id).is_some());
        }
        Operand::Bool(_) | Operand::Int(_) => {}
    };
    for phase in [
        Phase::Inbound,
        Phase::Backend,
        Phase::Outbound,
        Phase::OnError,
    ] {
        for number in 0..all.segments(phase).min(8) {
            let ids = all.segment(phase, number);
            assert!(ids.iter().all(|id| all.element(*id).is_some()));
        }
    }
    for element in all.elements() {
        for field in all.fields(element) {
            shown(field.value);
        }
        element.text.map(shown);
        let children = all.children(element);
        assert!(children.iter().all(|id| all.element(*id).is_some()));
    }
    run(&program.expressions);
}

fn run(expressions: &Expressions) {
    // One budget for all of them, as in a phase.
    let mut budget = Budget::default();
    let mut folded_budget = Budget::default();
    let folded = expressions.clone().folded();
    for number in 0..u32::try_from(expressions.len()).unwrap().min(64) {
        let id = ExpressionId(number);
        let plain = evaluate(expressions, id, &Same, &mut budget);
        let found = evaluate(&folded, id, &Same, &mut folded_budget);
        // Folded takes fewer steps.
        let spent = |exception| matches!(exception, Exception::Steps | Exception::Memory);
        if plain.as_ref().is_err_and(|thrown| spent(thrown.exception)) {
            return;
        }
        match (plain, found) {
            (Ok(plain), Ok(found)) => assert_eq!(plain.type_of(), found.type_of()),
            (plain, found) => assert_eq!(plain.err(), found.err()),
        }
    }
}

/// A request in which everything is there and is the same.
struct Same;

impl Context for Same {
    fn text(&self, _: Member) -> Option<Arc<str>> {
        Some("a b".into())
    }

    fn has(&self, _: Type) -> bool {
        true
    }

    fn status(&self) -> u16 {
        200
    }

    fn variable(&self, name: &str) -> Result<Option<Value>, Exception> {
        let parsed = Value::parsed(&mut Budget::default(), name);
        Ok(Some(parsed.unwrap_or_else(|_| Value::text(name))))
    }

    fn has_variable(&self, _: &str) -> bool {
        true
    }

    fn variables(&self) -> usize {
        1
    }

    fn list(&self, _: ListsOf, name: &str) -> Option<Vec<Arc<str>>> {
        Some(vec![name.into(), "é".into()])
    }

    fn lists(&self, _: ListsOf) -> usize {
        1
    }

    fn parameter(&self, name: &str) -> Option<String> {
        Some(name.to_owned())
    }

    fn parameters(&self) -> usize {
        1
    }

    fn url(&self, _: UrlOf) -> Option<Url> {
        Some(Url::default())
    }

    fn body(&self, _: Type, _: bool) -> Result<Option<Vec<u8>>, Exception> {
        Ok(Some(br#"{"a":[1,"2024-01-02T03:04:05Z"]}"#.to_vec()))
    }

    fn request_id(&self) -> u128 {
        7
    }

    fn elapsed(&self) -> i64 {
        i64::MAX
    }

    fn timestamp(&self) -> i64 {
        0
    }

    fn now(&self) -> i64 {
        638_000_000_000_000_000
    }

    fn random(&self) -> Result<u64, Exception> {
        Ok(u64::MAX)
    }

    fn trace(&self, _: &str) {}
}
