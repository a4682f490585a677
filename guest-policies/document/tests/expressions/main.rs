//! Expressions, from their text to their value.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod any;
mod oracle;
mod refused;
mod world;

use document::evaluate::{Budget, Value, evaluate};
use keyward_document::csharp;
use keyward_document::named_values::NamedValues;
use keyward_document_program::Expressions;
use keyward_document_program::expression::Builder;

/// An expression as a document has it.
fn source(case: &str) -> String {
    if case.starts_with('{') {
        format!("@{case}")
    } else {
        format!("@({case})")
    }
}

/// A program of one expression, written and read again.
fn compiled(source: &str, values: &dyn NamedValues) -> Result<Expressions, Vec<csharp::Problem>> {
    let parsed = csharp::parse(source)?;
    let mut builder = Builder::new();
    csharp::compile(&parsed, &mut builder, values)?;
    let bytes = builder.finish().unwrap().encode().unwrap();
    Ok(Expressions::decode(&bytes).unwrap())
}

/// What an expression gives, as the oracle writes it.
fn result(source: &str, values: &dyn NamedValues) -> String {
    let program = match compiled(source, values) {
        Ok(program) => program,
        Err(problems) => return format!("refused: {problems:?}"),
    };
    let id = keyward_document_program::ExpressionId(0);
    let given = |program| {
        let mut budget = Budget::default();
        match evaluate(program, id, &world::World::new(), &mut budget) {
            Ok(value) => shown(&value),
            Err(thrown) => format!("throws {}", thrown.exception.name()),
        }
    };
    let result = given(&program);
    assert_eq!(given(&program.clone().folded()), result, "folded: {source}");
    result
}

/// As Newtonsoft writes it.
fn quoted(text: &str) -> String {
    Value::text(text).written(&mut Budget::default()).unwrap()
}

fn shown(value: &Value) -> String {
    let mut budget = Budget::default();
    let text = value.shown(&mut budget).unwrap();
    match value {
        Value::Null => "null".to_owned(),
        Value::Text(text) => format!("string {}", quoted(text)),
        Value::Char(_) => format!("char {}", quoted(&text)),
        Value::DateTime(date) => {
            let iso = world::iso(date.ticks);
            format!("DateTime {iso} {:?}", date.kind)
        }
        Value::Offset(date) => {
            let minutes = date.offset_minutes;
            let local = date.utc + i64::from(minutes) * 600_000_000;
            let sign = if minutes < 0 { '-' } else { '+' };
            let (hours, rest) = (minutes.abs() / 60, minutes.abs() % 60);
            format!(
                "DateTimeOffset {}{sign}{hours:02}:{rest:02}",
                world::iso(local)
            )
        }
        Value::Uri(_) => format!("Uri {}", quoted(&text)),
        Value::Bytes(bytes) => format!("byte[] {}", data_encoding::BASE64.encode(bytes)),
        Value::Strings(all) => {
            let all: Vec<String> = all.iter().map(|text| quoted(text)).collect();
            format!("string[] {}", all.join(" "))
        }
        Value::Json(_) => {
            let json = value.written(&mut Budget::default()).unwrap();
            format!("{} {json}", value.type_of().name())
        }
        Value::Bool(_)
        | Value::Int(_)
        | Value::Long(_)
        | Value::Double(_)
        | Value::Guid(_)
        | Value::Span(_)
        | Value::Enum(..) => format!("{} {text}", value.type_of().name()),
        other => other.type_of().name().to_owned(),
    }
}
