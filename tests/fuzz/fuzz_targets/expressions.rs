//! Any text as an expression, and any bytes as a program: no panic, no hang, and
//! problems whose place can be shown.
#![no_main]

use document::evaluate::{Budget, Context, Exception, ListsOf, Url, UrlOf, Value, evaluate};
use keyward_document::csharp;
use keyward_document::named_values::Unresolved;
use keyward_document_program::expression::Builder;
use keyward_document_program::{ExpressionId, Expressions, Member, Type, container};
use libfuzzer_sys::fuzz_target;

/// A request in which everything is there and is the same.
struct Same;

impl Context for Same {
    fn text(&self, _: Member) -> Option<String> {
        Some("a b".to_owned())
    }

    fn has(&self, _: Type) -> bool {
        true
    }

    fn status(&self) -> u16 {
        200
    }

    fn variable(&self, name: &str) -> Option<Value> {
        Value::parsed(&mut Budget::default(), name)
            .ok()
            .or_else(|| Some(Value::text(name)))
    }

    fn variables(&self) -> usize {
        1
    }

    fn list(&self, _: ListsOf, name: &str) -> Option<Vec<String>> {
        Some(vec![name.to_owned(), "é".to_owned()])
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

    fn random(&self) -> u64 {
        u64::MAX
    }

    fn trace(&self, _: &str) {}
}

fn run(program: &Expressions) {
    let _ = evaluate(program, ExpressionId(0), &Same, &mut Budget::default());
}

fuzz_target!(|bytes: &[u8]| {
    let _ = container::read(bytes);
    if let Ok(program) = Expressions::decode(bytes) {
        run(&program);
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    for source in [format!("@({text})"), format!("@{{{text}}}")] {
        let mut builder = Builder::new();
        let compiled = csharp::parse(&source)
            .and_then(|parsed| csharp::compile(&parsed, &mut builder, &Unresolved));
        match compiled {
            Ok(_) => {
                let built = builder.finish().expect("compile checks the limits");
                let bytes = built.encode().expect("a program within the limits");
                run(&Expressions::decode(&bytes).expect("what was encoded is decoded"));
            }
            Err(problems) => {
                for problem in problems {
                    assert!(source.get(problem.span.clone()).is_some(), "{problem:?}");
                }
            }
        }
    }
});
