//! JSON read as Newtonsoft's reader takes it by default: also with single quotes,
//! names without quotes, comments, a comma before the end, `undefined`, `NaN`, and
//! numbers in hexadecimal and octal.
//!
//! Where its versions disagree, about comments and bad escapes, it is as the later
//! ones. `new Date(…)` is not supported. Nothing here calls itself: how deep a text
//! is costs no stack.

use std::collections::BTreeMap;
use std::sync::Arc;

use memchr::{memchr2, memmem};

use super::json::{self, Scalar, Token};
use super::{Budget, Exception, Outcome, dates_text};

/// Objects and arrays within each other in a text, at most.
const MAX_NESTED: usize = 127;

/// Reads JSON, as `JToken.Parse`. Errors: it is none, a comment comes first, or the
/// budget is used up.
pub(crate) fn parse(budget: &mut Budget, text: &str) -> Outcome<Token> {
    let mut reader = Reader::new(budget, text)?;
    reader.space();
    if reader.peek() == Some('/') {
        // Newtonsoft gives the comment, and with it nothing that anyone can use.
        return Err(Exception::JsonReader);
    }
    reader.document()
}

/// Reads JSON, as `JObject.Parse` and `JArray.Parse`: comments may come first.
/// Errors: it is none, or the budget is used up.
pub(crate) fn parse_container(budget: &mut Budget, text: &str) -> Outcome<Token> {
    Reader::new(budget, text)?.document()
}

struct Reader<'a, 'b> {
    budget: &'b mut Budget,
    text: &'a str,
    at: usize,
}

/// A container that is not yet at its end.
enum Open {
    Array(Token),
    Object(Fields),
}

#[derive(Default)]
struct Fields {
    all: Vec<(String, Token)>,
    known: BTreeMap<String, usize>,
    /// Whose value comes next.
    name: String,
}

/// What may come next.
#[derive(Clone, Copy)]
enum Next {
    Value,
    Name,
    /// A comma, or the end of the container.
    Separator,
}

impl<'a, 'b> Reader<'a, 'b> {
    fn new(budget: &'b mut Budget, text: &'a str) -> Outcome<Self> {
        budget.bytes(text.len())?;
        Ok(Self {
            budget,
            text,
            at: 0,
        })
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    /// Goes on behind what comes as long as it `fits`, and gives it.
    fn take_while(&mut self, fits: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !fits(c)).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    /// White space, and NUL, which Newtonsoft takes for it.
    fn space(&mut self) {
        self.take_while(|c| c.is_whitespace() || c == '\0');
    }

    /// `/* … */`, or `// …` up to the end of the line.
    fn comment(&mut self) -> Outcome<()> {
        let rest = self.rest();
        if rest.starts_with("//") {
            self.take_while(|c| !matches!(c, '\r' | '\n'));
            return Ok(());
        }
        let inside = rest.strip_prefix("/*").ok_or(Exception::JsonReader)?;
        let end = memmem::find(inside.as_bytes(), b"*/").ok_or(Exception::JsonReader)?;
        self.at += end + 4;
        Ok(())
    }

    /// Up to the next that is neither space nor comment; `None` at the end.
    fn next(&mut self) -> Outcome<Option<char>> {
        loop {
            self.space();
            match self.peek() {
                Some('/') => self.comment()?,
                other => return Ok(other),
            }
        }
    }

    /// The whole text: one value, and nothing behind it.
    fn document(&mut self) -> Outcome<Token> {
        let token = self.outermost()?;
        match self.next()? {
            None => Ok(token),
            Some(_) => Err(Exception::JsonReader),
        }
    }

    fn outermost(&mut self) -> Outcome<Token> {
        let mut open: Vec<Open> = Vec::new();
        let mut next = Next::Value;
        loop {
            let c = self.next()?.ok_or(Exception::JsonReader)?;
            let complete = match (next, c) {
                (Next::Value, '{' | '[') => {
                    if open.len() == MAX_NESTED {
                        return Err(Exception::JsonReader);
                    }
                    self.at += 1;
                    if c == '{' {
                        open.push(Open::Object(Fields::default()));
                        next = Next::Name;
                    } else {
                        open.push(Open::Array(json::array()));
                    }
                    continue;
                }
                (Next::Value | Next::Separator, ']') => match open.pop() {
                    Some(Open::Array(array)) => {
                        self.at += 1;
                        array
                    }
                    _ => return Err(Exception::JsonReader),
                },
                (Next::Name | Next::Separator, '}') => match open.pop() {
                    Some(Open::Object(fields)) => {
                        self.at += 1;
                        json::object_of(self.budget, fields.all)?
                    }
                    _ => return Err(Exception::JsonReader),
                },
                (Next::Separator, ',') => {
                    self.at += 1;
                    next = match open.last() {
                        Some(Open::Object(_)) => Next::Name,
                        _ => Next::Value,
                    };
                    continue;
                }
                (Next::Separator, _) => return Err(Exception::JsonReader),
                (Next::Name, _) => {
                    let name = self.name()?;
                    if let Some(Open::Object(fields)) = open.last_mut() {
                        fields.name = name;
                    }
                    next = Next::Value;
                    continue;
                }
                (Next::Value, _) => {
                    let scalar = self.scalar(c)?;
                    self.budget.bytes(64)?;
                    json::scalar_token(scalar)
                }
            };
            match open.last_mut() {
                None => return Ok(complete),
                Some(Open::Array(array)) => json::push(self.budget, array, complete)?,
                Some(Open::Object(fields)) => fields.add(complete),
            }
            next = Next::Separator;
        }
    }

    /// A name and the colon behind it.
    fn name(&mut self) -> Outcome<String> {
        let name = match self.peek() {
            Some(quote @ ('"' | '\'')) => self.quoted(quote)?,
            _ => {
                let name = self.take_while(|c| c.is_alphanumeric() || c == '_' || c == '$');
                let ends = |c: char| c.is_whitespace() || matches!(c, ':' | '\0');
                if name.is_empty() || !self.peek().is_some_and(ends) {
                    return Err(Exception::JsonReader);
                }
                name.to_owned()
            }
        };
        self.space();
        match self.take() {
            Some(':') => Ok(name),
            _ => Err(Exception::JsonReader),
        }
    }

    /// A simple value that begins with `first`.
    fn scalar(&mut self, first: char) -> Outcome<Scalar> {
        Ok(match first {
            '"' | '\'' => {
                let text = self.quoted(first)?;
                match dates_text::json_date(&text) {
                    Some(date) => Scalar::Date(date),
                    None => Scalar::Text(text.into()),
                }
            }
            // A value that was left out. The comma is the separator's.
            ',' => Scalar::Undefined,
            'u' => self.word("undefined", Scalar::Undefined)?,
            't' => self.word("true", Scalar::Bool(true))?,
            'f' => self.word("false", Scalar::Bool(false))?,
            'n' if self.rest().starts_with("new ") => return Err(Exception::NotSupported),
            'n' => self.word("null", Scalar::Null)?,
            'N' => self.word("NaN", Scalar::Float(f64::NAN))?,
            'I' => self.word("Infinity", Scalar::Float(f64::INFINITY))?,
            '-' if self.rest().starts_with("-I") => {
                self.word("-Infinity", Scalar::Float(f64::NEG_INFINITY))?
            }
            '0'..='9' | '-' | '.' => self.number()?,
            _ => return Err(Exception::JsonReader),
        })
    }

    /// A word that nothing else runs into.
    fn word(&mut self, word: &str, means: Scalar) -> Outcome<Scalar> {
        let rest = self
            .rest()
            .strip_prefix(word)
            .ok_or(Exception::JsonReader)?;
        if !rest.chars().next().is_none_or(ends) {
            return Err(Exception::JsonReader);
        }
        self.at += word.len();
        Ok(means)
    }

    fn number(&mut self) -> Outcome<Scalar> {
        let text =
            self.take_while(|c| matches!(c, '-' | '+' | '.' | 'x' | 'X') || c.is_ascii_hexdigit());
        if !self.peek().is_none_or(ends) {
            return Err(Exception::JsonReader);
        }
        number(text).ok_or(Exception::JsonReader)
    }

    /// A text in quotes, which are still before it. Line breaks and control
    /// characters may stand in it as they are.
    fn quoted(&mut self, quote: char) -> Outcome<String> {
        self.at += 1;
        let mut text = String::new();
        let mark = if quote == '"' { b'"' } else { b'\'' };
        loop {
            let rest = self.rest();
            let end = memchr2(b'\\', mark, rest.as_bytes()).ok_or(Exception::JsonReader)?;
            text.push_str(rest.get(..end).unwrap_or_default());
            self.at += end;
            if self.take() == Some(quote) {
                return Ok(text);
            }
            match self.take() {
                Some('b') => text.push('\u{8}'),
                Some('t') => text.push('\t'),
                Some('n') => text.push('\n'),
                Some('f') => text.push('\u{c}'),
                Some('r') => text.push('\r'),
                Some(c @ ('\\' | '"' | '\'' | '/')) => text.push(c),
                Some('u') => self.units(&mut text)?,
                _ => return Err(Exception::JsonReader),
            }
        }
    }

    /// Units of UTF-16, behind the first `\u`. Half a pair becomes U+FFFD.
    fn units(&mut self, text: &mut String) -> Outcome<()> {
        let mut units = Vec::new();
        loop {
            let digits = self.rest().get(..4).ok_or(Exception::JsonReader)?;
            if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(Exception::JsonReader);
            }
            units.push(u16::from_str_radix(digits, 16).map_err(|_| Exception::JsonReader)?);
            self.at += 4;
            if !self.rest().starts_with("\\u") {
                break;
            }
            self.at += 2;
        }
        let decoded = char::decode_utf16(units);
        text.extend(decoded.map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)));
        Ok(())
    }
}

impl Fields {
    /// A value for the name that came before it. A name that comes again replaces what
    /// came first.
    fn add(&mut self, value: Token) {
        let name = std::mem::take(&mut self.name);
        let place = self.known.get(&name).and_then(|at| self.all.get_mut(*at));
        if let Some(place) = place {
            place.1 = value;
        } else {
            self.known.insert(name.clone(), self.all.len());
            self.all.push((name, value));
        }
    }
}

/// Whether a word or a number ends before it.
fn ends(c: char) -> bool {
    c.is_whitespace() || matches!(c, '}' | ']' | ',' | '\0' | '/')
}

/// A number: hexadecimal after `0x`, octal after `0`, of 64 bits with their sign; else
/// decimal, of any size, or a `double`.
fn number(text: &str) -> Option<Scalar> {
    let of_bits = |digits: &str, radix| {
        let valid = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
        let bits = u64::from_str_radix(digits, radix).ok().filter(|_| valid)?;
        Some(Scalar::Integer(bits.cast_signed()))
    };
    match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => return of_bits(text.get(2..)?, 16),
        [b'0', second, ..] if !matches!(second, b'.' | b'e' | b'E') => return of_bits(text, 8),
        _ => {}
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(match text.parse() {
            Ok(value) => Scalar::Integer(value),
            Err(_) => Scalar::Large(large(text, digits)),
        });
    }
    let value: f64 = text.parse().ok()?;
    value.is_finite().then_some(Scalar::Float(value))
}

/// The digits of a number that no `long` holds, without zeros before them.
fn large(text: &str, digits: &str) -> Arc<str> {
    let sign = if text.starts_with('-') { "-" } else { "" };
    format!("{sign}{}", digits.trim_start_matches('0')).into()
}
