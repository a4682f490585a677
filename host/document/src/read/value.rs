//! Values: an expression, a literal with its named values put in, or a secret.

use std::borrow::Cow;
use std::ops::Range;

use keyward_document_program::expression::Builder;
use keyward_document_program::liquid;
use keyward_names::KeyVaultReference;

use super::{Reader, hints, kinds};
use crate::csharp;
use crate::decode::{Decoded, Written};
use crate::error::{Found, Problem};
use crate::expression::{end_of_expression, starts_expression};
use crate::model::{Expression, Literal, Name, Payload, SecretReference, Value};
use crate::named_values::{Lookup, Requested, ValueError, have_fetched, places, whole};
use crate::policies::Kind;
use crate::tree::SPACE;

/// What a value may be.
pub(super) struct Rules {
    pub(super) kind: Kind,
    pub(super) expression: bool,
    pub(super) secret: bool,
    /// Whose value it is, for messages.
    pub(super) what: String,
    /// Space around a literal is part of it.
    pub(super) keep_space: bool,
    /// Braces around an unknown name are Liquid's.
    pub(super) liquid: bool,
}

type Parts = [(Range<usize>, Written)];

impl Reader<'_, '_, '_> {
    /// The expression that starts in a span of the file.
    pub(super) fn expression_in(&self, at: &Range<usize>) -> Option<Range<usize>> {
        let next = self
            .expressions
            .partition_point(|expression| expression.start < at.start);
        self.expressions
            .get(next)
            .filter(|expression| expression.start < at.end)
            .cloned()
    }

    /// What stands in the file at `parts`, which lie within `at`.
    pub(super) fn value(
        &mut self,
        parts: &Parts,
        at: Range<usize>,
        rules: &Rules,
    ) -> Option<Value> {
        let decoded = decode(self.text, parts, false);
        let (seen, visible) = trimmed(&decoded, &at);
        let expression = self.expression_in(&at);
        let in_cdata = || {
            let whole = decoded.as_str().get(seen.clone()).unwrap_or_default();
            let is_cdata = parts.iter().any(|(_, written)| *written == Written::CData);
            is_cdata && starts_expression(whole.as_bytes())
        };
        if expression.is_some() || in_cdata() {
            let decoded = decode(self.text, parts, true);
            let (seen, visible) = trimmed(&decoded, &at);
            let end = match expression {
                Some(span) => (span == visible).then_some(seen.end),
                None => end_of_expression(decoded.as_str().as_bytes(), seen.start),
            };
            if end != Some(seen.end) {
                self.report(Problem::Mixed, visible, hints::MIXED);
                return None;
            }
            let expression = self.expression(&decoded, seen, visible.clone(), rules)?;
            return Some(Value {
                at: visible,
                written: decoded,
                payload: Payload::Expression(expression),
            });
        }
        if let Some(mixed) = self.mixed(&at) {
            self.report(Problem::Mixed, mixed, hints::MIXED);
            return None;
        }
        let keep = rules.keep_space;
        let text = if keep {
            Cow::Borrowed(decoded.as_str())
        } else {
            Cow::Owned(
                decoded
                    .as_str()
                    .get(seen.clone())
                    .unwrap_or_default()
                    .to_owned(),
            )
        };
        let start = if keep { 0 } else { seen.start };
        let payload = self.literal(&text, start, &decoded, &visible, rules)?;
        Some(Value {
            at: if keep { at } else { visible },
            written: decoded,
            payload,
        })
    }

    /// Where an expression begins in the middle of a value.
    fn mixed(&self, at: &Range<usize>) -> Option<Range<usize>> {
        let raw = self.text.get(at.clone())?;
        let found = raw.match_indices('@').find(|(index, _)| {
            let rest = raw.as_bytes().get(*index..).unwrap_or_default();
            starts_expression(rest) && !rest.starts_with(b"@{{")
        })?;
        Some(at.start + found.0..at.start + found.0 + 2)
    }

    fn expression(
        &mut self,
        decoded: &Decoded,
        seen: Range<usize>,
        at: Range<usize>,
        rules: &Rules,
    ) -> Option<Expression> {
        if !rules.expression {
            let help = format!("write {}", rules.kind.expected());
            self.report(Problem::NoExpression(rules.what.clone()), at, help);
            return None;
        }
        let code = decoded.slice(seen.start + 2..seen.end.saturating_sub(1))?;
        let block = decoded.as_str().get(seen.start..)?.starts_with("@{");
        if KeyVaultReference::is_meant_by(code.as_str()) {
            self.report(Problem::Reference, at, hints::SECRET_IN_EXPRESSION);
            return None;
        }
        let comment = code
            .as_str()
            .find("<!--")
            .and_then(|open| Some((open, code.as_str().get(open..)?.find("-->")?)));
        if let Some((open, length)) = comment {
            let span = code.in_file(open..open + length + "-->".len());
            let help = "it is no comment in C#: write // … or /* … */";
            self.report(Problem::CommentInExpression, span, help);
            return None;
        }
        let mut good = true;
        let mut names = Vec::new();
        for place in places(code.as_str()) {
            let span = code.in_file(place.span.clone());
            let value = match self.options.values.look_up(place.name) {
                Lookup::Plain(text) => Some(text),
                Lookup::Later => {
                    self.complete = false;
                    None
                }
                Lookup::Secret(_) | Lookup::Reference { .. } => {
                    let problem = Problem::SecretInExpression(Found::new(place.name));
                    self.report(problem, span, hints::SECRET_IN_EXPRESSION);
                    good = false;
                    continue;
                }
                Lookup::Unknown(meant) => {
                    self.unknown_name(place.name, meant, span);
                    good = false;
                    continue;
                }
            };
            names.push(Name {
                name: place.name.to_owned(),
                span: place.span,
                value,
            });
        }
        let source = decoded.slice(seen)?;
        good &= self.csharp(&source, kinds::wanted(rules.kind), good);
        good.then_some(Expression {
            at,
            block,
            code,
            names,
        })
    }

    /// Reads and checks an expression's C#, brackets and all. Whether nothing is wrong
    /// with it. Without `named`, its named values have been complained of already.
    fn csharp(&mut self, source: &Decoded, wanted: csharp::Wanted, named: bool) -> bool {
        let found = csharp::parse(source.as_str()).and_then(|parsed| {
            // Each for itself: what is written here is only looked at.
            csharp::compile_for(&parsed, &mut Builder::new(), self.options.values, wanted)
        });
        let mut good = true;
        for problem in found.err().unwrap_or_default() {
            let told = matches!(
                problem.code,
                csharp::Code::UnknownValue | csharp::Code::SecretValue
            );
            if told && !named {
                continue;
            }
            let span = source.in_file(problem.span);
            let (code, message) = (problem.code, problem.message);
            self.reporter
                .report(Problem::CSharp { code, message }, span, problem.help);
            good = false;
        }
        good
    }

    fn unknown_name(&mut self, name: &str, meant: Option<String>, span: Range<usize>) {
        let error = ValueError::Unknown {
            name: name.chars().take(64).collect(),
            meant,
        };
        let help = error.help();
        self.report(Problem::NamedValue(error), span, help);
    }

    fn literal(
        &mut self,
        text: &str,
        start: usize,
        decoded: &Decoded,
        visible: &Range<usize>,
        rules: &Rules,
    ) -> Option<Payload> {
        let trimmed = text.trim_matches(SPACE);
        if KeyVaultReference::is_meant_by(trimmed) {
            return self.key_vault(trimmed, visible, rules);
        }
        if let Some(name) = whole(trimmed) {
            let (secret, reference) = match self.options.values.look_up(name) {
                Lookup::Secret(secret) => (Some(secret), String::new()),
                Lookup::Reference { reference, secret } => (secret, reference),
                _ => return self.plain(text, start, decoded, visible, rules),
            };
            return match secret {
                Some(secret) if rules.secret => Some(Payload::Secret(SecretReference {
                    secret,
                    name: Some(name.to_owned()),
                })),
                Some(secret) => {
                    let error = ValueError::Secret {
                        name: name.to_owned(),
                        secret,
                    };
                    self.secret_as_text(error, visible.clone(), &rules.what);
                    None
                }
                None => {
                    let help = have_fetched(&reference);
                    let error = ValueError::Reference {
                        name: name.to_owned(),
                        reference,
                        secret: None,
                    };
                    self.report(Problem::NamedValue(error), visible.clone(), help);
                    None
                }
            };
        }
        self.plain(text, start, decoded, visible, rules)
    }

    fn secret_as_text(&mut self, error: ValueError, at: Range<usize>, what: &str) {
        let help = format!(
            "{what} is text that others see; a secret can stand alone in {}",
            hints::WHERE_SECRETS_STAND
        );
        self.report(Problem::NamedValue(error), at, help);
    }

    /// A text with named values in it, or without.
    fn plain(
        &mut self,
        text: &str,
        start: usize,
        decoded: &Decoded,
        visible: &Range<usize>,
        rules: &Rules,
    ) -> Option<Payload> {
        let (mut bound, mut from) = (Decoded::default(), 0);
        let (mut later, mut good) = (false, true);
        for place in places(text) {
            let span = decoded.in_file(start + place.span.start..start + place.span.end);
            match self.options.values.look_up(place.name) {
                Lookup::Plain(value) => {
                    bound.append(decoded, start + from..start + place.span.start);
                    bound.push(&value, span);
                    from = place.span.end;
                }
                Lookup::Later => {
                    // In a template, whatever it will be: a text, or a value in a tag.
                    bound.append(decoded, start + from..start + place.span.start);
                    bound.push("x", span);
                    from = place.span.end;
                    later = true;
                }
                Lookup::Unknown(_) if rules.liquid => {}
                Lookup::Unknown(meant) => {
                    self.unknown_name(place.name, meant, span);
                    good = false;
                }
                Lookup::Secret(secret) => {
                    let name = place.name.to_owned();
                    self.secret_as_text(ValueError::Secret { name, secret }, span, &rules.what);
                    good = false;
                }
                Lookup::Reference { reference, secret } => {
                    let error = ValueError::Reference {
                        name: place.name.to_owned(),
                        reference,
                        secret,
                    };
                    self.secret_as_text(error, span, &rules.what);
                    good = false;
                }
            }
        }
        bound.append(decoded, start + from..start + text.len());
        if !good || rules.liquid && !self.template(&bound) {
            return None;
        }
        if later {
            self.complete = false;
            return Some(Payload::Later);
        }
        let out = bound.as_str();
        if from > 0 && starts_expression(out.trim_matches(SPACE).as_bytes()) {
            let help = "write the expression itself here; what it needs can be a named value";
            self.report(Problem::ValueIsExpression, visible.clone(), help);
            return None;
        }
        let mut at_signs = out.match_indices('@');
        let is_reference = |at: usize| out.get(at..).is_some_and(KeyVaultReference::is_meant_by);
        if from > 0 && at_signs.any(|(at, _)| is_reference(at)) {
            let help = "a reference to a secret is written out, or is the named value itself";
            self.report(Problem::Reference, visible.clone(), help);
            return None;
        }
        match kinds::literal(rules.kind, out) {
            Ok(literal) => Some(Payload::Literal(literal)),
            Err(rule) => {
                let mut help = format!("write {}", rules.kind.expected());
                for place in places(text).filter(|_| from > 0) {
                    let name = Found::new(place.name);
                    help.push_str(&format!("; text here comes from the named value {name}"));
                }
                if out.contains("{{") {
                    help.push_str("; a named value is written {{name}}");
                }
                let what = rules.what.clone();
                self.report(Problem::Value { what, rule }, visible.clone(), help);
                None
            }
        }
    }

    /// Whether a Liquid template can be read.
    fn template(&mut self, text: &Decoded) -> bool {
        let Err(error) = liquid::template(text.as_str()) else {
            return true;
        };
        let found = text.as_str().get(error.at.clone()).unwrap_or_default();
        let problem = Problem::Template(error.in_words(text.as_str()).to_string());
        let help = hints::template(error.problem, found);
        self.report(problem, text.in_file(error.at), help);
        false
    }

    /// `@Microsoft.KeyVault(…)`: a request for a secret.
    fn key_vault(&mut self, text: &str, at: &Range<usize>, rules: &Rules) -> Option<Payload> {
        let reference = match KeyVaultReference::parse(text) {
            Ok(reference) if rules.secret => reference,
            Ok(_) => {
                let help = format!(
                    "{} can't be a secret; one can stand alone in {}",
                    rules.what,
                    hints::WHERE_SECRETS_STAND
                );
                self.report(Problem::Reference, at.clone(), help);
                return None;
            }
            Err(errors) => {
                let help = format!("correct it: {errors}");
                self.report(Problem::Reference, at.clone(), help);
                return None;
            }
        };
        match self.options.values.request(&reference) {
            Requested::Secret(secret) => {
                Some(Payload::Secret(SecretReference { secret, name: None }))
            }
            Requested::Later => {
                self.complete = false;
                Some(Payload::Later)
            }
            Requested::Refused { why, help } => {
                self.report(Problem::Request(why), at.clone(), help);
                None
            }
        }
    }
}

/// The text of some parts; of an expression, line ends are kept.
fn decode(source: &str, parts: &Parts, expression: bool) -> Decoded {
    let mut decoded = Decoded::default();
    for (at, written) in parts {
        let written = match written {
            Written::Attribute if expression => Written::Text,
            other => *other,
        };
        decoded.add(source, at.clone(), written);
    }
    decoded
}

/// A text's span without the space around it, in itself and in the file.
fn trimmed(decoded: &Decoded, at: &Range<usize>) -> (Range<usize>, Range<usize>) {
    let text = decoded.as_str();
    let start = text.len() - text.trim_start_matches(SPACE).len();
    let end = text.trim_end_matches(SPACE).len().max(start);
    if start == end {
        return (start..start, at.start..at.start);
    }
    (start..end, decoded.in_file(start..end))
}

impl Value {
    /// The literal's text, if it is one and text.
    pub fn as_text(&self) -> Option<&str> {
        match &self.payload {
            Payload::Literal(Literal::Text(text)) => Some(text),
            _ => None,
        }
    }
}
