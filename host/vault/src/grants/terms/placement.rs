//! What belongs to attaching a value: where it goes, what stands around it, and what
//! becomes of answers.

use http::{HeaderName, Method};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::chosen::OtherChoice;
use crate::grants::fields::{Found, Span, article, text};
use crate::grants::grant::{Destination, ResponseMode, RetryOn401, WhenReflected};
use crate::grants::parse::GrantReader;
use crate::grants::report::{Problem, did_you_mean};
use crate::holes::{Holes, MAX_HOLES};
use crate::kind::Kind;
use crate::template::{Declared, HoleType, JsonTemplate, Position, Slot, Template, TemplateError};

/// The most fields of a form, and the most values of a JSON document.
const MAX_FIELDS: usize = 128;
/// How deep a JSON document goes.
const MAX_DEPTH: usize = 16;

/// Where a value goes in a request, and what stands around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Where.
    pub place: Place,
    /// What of the answer is passed on.
    pub response: ResponseMode,
    /// Whether an answer in a content encoding (gzip, deflate, br, zstd) is passed
    /// on after a decoded copy of it was searched; otherwise none is asked for and
    /// none is accepted.
    pub decode: bool,
    /// What happens when the value is found in answers again and again.
    pub reflected: WhenReflected,
    /// Whether a request to which the backend answers 401 is sent once more, if
    /// there is another version of the secret by then.
    pub retry: RetryOn401,
}

/// The part of a request that the host writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A header, whose other occurrences are removed.
    Header {
        /// Its name.
        name: HeaderName,
        /// Its value.
        value: Template,
    },
    /// A parameter of the query, whose other occurrences are removed. Addresses end up
    /// in backends' logs: a header is better.
    Query {
        /// Its name: `A-Z a-z 0-9 - . _ ~`.
        name: String,
        /// Its value, before it is encoded.
        value: Template,
    },
    /// The whole body, as `application/x-www-form-urlencoded`: its fields, in order.
    Form(Vec<(String, Template)>),
    /// The whole body, as `application/json`.
    Json(JsonTemplate),
}

impl Place {
    /// The name of the place: `header x-api-key`, `query parameter key`, `form`.
    pub fn name(&self) -> String {
        match self {
            Self::Header { name, .. } => format!("header {name}"),
            Self::Query { name, .. } => format!("query parameter {name}"),
            Self::Form(_) => "form".to_owned(),
            Self::Json(_) => "json".to_owned(),
        }
    }

    /// Whether it is the whole body.
    pub fn is_body(&self) -> bool {
        matches!(self, Self::Form(_) | Self::Json(_))
    }

    /// Whether a secret of this kind has what goes into it.
    pub fn fits(&self, kind: &Kind) -> bool {
        self.slots().iter().all(|slot| slot.fits(kind))
    }

    fn texts(&self) -> Vec<(&Template, Position)> {
        match self {
            Self::Header { value, .. } => vec![(value, Position::Header)],
            Self::Query { value, .. } => vec![(value, Position::Query)],
            Self::Form(fields) => {
                let fields = fields.iter();
                fields.map(|(_, value)| (value, Position::Form)).collect()
            }
            Self::Json(document) => {
                let texts = document.texts().into_iter();
                texts.map(|text| (text, Position::Json)).collect()
            }
        }
    }

    /// What of the secret goes into it.
    pub fn slots(&self) -> Vec<Slot> {
        let texts = self.texts().into_iter();
        texts.flat_map(|(text, _)| text.slots()).collect()
    }

    /// The holes that a policy fills, each once, in the order of their names.
    pub fn holes(&self) -> Vec<(&str, HoleType)> {
        let texts = self.texts().into_iter();
        let mut holes: Vec<_> = texts.flat_map(|(text, _)| text.holes()).collect();
        holes.sort_by_key(|(name, _)| *name);
        holes.dedup_by_key(|(name, _)| *name);
        holes
    }
}

impl Placement {
    /// Whether these are what its templates need: each hole filled, none else.
    pub(crate) fn allows(&self, holes: &Holes) -> Result<(), OtherChoice> {
        // Most have none.
        if holes.count() == 0
            && let Place::Header { value, .. } = &self.place
            && value.holes().next().is_none()
        {
            return Ok(());
        }
        if self.place.holes().len() != holes.count() {
            return Err(OtherChoice);
        }
        let texts = self.place.texts();
        let mut each = texts.iter();
        each.try_for_each(|(text, position)| text.takes(holes, *position))
    }
}

const PLACES: [&str; 4] = ["header", "query", "form", "json"];

impl GrantReader<'_, '_, '_> {
    pub(super) fn placement(&mut self) -> Option<Placement> {
        let place = self.place();
        let response = self.word("response", ResponseMode::ALL, ResponseMode::as_str);
        let reflected = self.word("reflected", WhenReflected::ALL, WhenReflected::as_str);
        let decode = match self.fields.key("decode") {
            None => Some(false),
            Some(_) => self.fields.boolean("decode", self.problems),
        };
        let retry = self.retry();
        Some(Placement {
            place: place?,
            response: response?,
            decode: decode?,
            reflected: reflected?,
            retry: retry?,
        })
    }

    fn place(&mut self) -> Option<Place> {
        let mut there = PLACES
            .into_iter()
            .filter_map(|key| Some((key, self.fields.key(key)?)));
        let (first, second) = (there.next(), there.next());
        drop(there);
        let declared = self.declared();
        let Some((key, span)) = first else {
            self.fields.need(
                "header",
                "a grant of \"attach\"",
                "header = \"x-api-key\"",
                self.problems,
            );
            return None;
        };
        if let Some((_, other)) = second {
            self.problems.0.push(Problem {
                span: other,
                message: "a value goes to one place: \"header\", \"query\", \"form\" or \"json\""
                    .to_owned(),
                label: "remove this".to_owned(),
                help: Some("make a second grant, with another alias, for the other".to_owned()),
                other: Some((span, "or this")),
            });
            return None;
        }
        let declared = declared?;
        let before = self.problems.0.len();
        let place = match key {
            "header" => {
                let name = self.fields.text(key, self.problems);
                let name = name.and_then(|found| self.header(found));
                let value = self.template(&declared, Position::Header);
                Place::Header {
                    name: name?,
                    value: value?,
                }
            }
            "query" => {
                let name = self.query_name();
                let value = self.template(&declared, Position::Query);
                Place::Query {
                    name: name?,
                    value: value?,
                }
            }
            body => {
                if let Some(span) = self.fields.key("template") {
                    let message =
                        format!("\"template\" has no meaning beside {body:?}, which is one");
                    self.problems.add(span, message, "remove this", None);
                }
                self.body(body, &declared)?
            }
        };
        let at = match self.fields.get("template").filter(|_| !place.is_body()) {
            Some(value) => value.span(),
            None => span,
        };
        self.judge_slots(&place, at);
        self.judge_holes(&place, &declared);
        (self.problems.0.len() == before).then_some(place)
    }

    /// The holes that a policy may fill.
    fn declared(&mut self) -> Option<Declared> {
        let Some(value) = self.fields.get("holes") else {
            return Some(Declared::new());
        };
        let DeValue::Table(table) = value.get_ref() else {
            let message = format!(
                "\"holes\" must be a table of names and types, not {}",
                article(value.get_ref())
            );
            let help = "for example: holes = { tenant = \"token\" }".to_owned();
            self.problems
                .add(value.span(), message, "not a table", help);
            return None;
        };
        let (mut declared, mut complete) = (Declared::new(), true);
        for (name, value) in table {
            let Some(found) = text(value, "a hole's type", self.problems) else {
                complete = false;
                continue;
            };
            let kind = HoleType::ALL
                .into_iter()
                .find(|kind| kind.as_str() == found.value);
            let Some(kind) = kind else {
                let words = HoleType::ALL.map(|kind| kind.as_str());
                let near = did_you_mean(found.value, words);
                let message = format!("unknown type of a hole {:?}{near}", found.value);
                let help = format!("one of: {}", words.join(", "));
                self.problems.add(found.span, message, "not valid", help);
                complete = false;
                continue;
            };
            let word: &str = name.get_ref();
            let is_name = word.len() <= 64
                && word.starts_with(|c: char| c.is_ascii_lowercase())
                && word
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b));
            let is_slot = Slot::ALL.iter().any(|slot| slot.as_str() == word);
            if !is_name || is_slot || declared.len() == MAX_HOLES {
                let message = match (is_name, is_slot) {
                    (_, true) => format!("{{{word}}} is a part of the secret, and no hole"),
                    (false, _) => "not a hole's name".to_owned(),
                    _ => format!("more than {MAX_HOLES} holes"),
                };
                let help = "names have 1 to 64 characters a-z 0-9 _ - and start with a letter";
                self.problems
                    .add(name.span(), message, "not valid", help.to_owned());
                complete = false;
                continue;
            }
            declared.insert(word.to_owned(), kind);
        }
        complete.then_some(declared)
    }

    fn query_name(&mut self) -> Option<String> {
        let found = self.fields.text("query", self.problems)?;
        self.parameter(found)
    }

    fn template(&mut self, declared: &Declared, position: Position) -> Option<Template> {
        if self.fields.key("template").is_none() {
            return Some(Template::secret());
        }
        let found = self.fields.text("template", self.problems)?;
        self.parsed_template(found, declared, position)
    }

    fn parsed_template(
        &mut self,
        found: Found<&str>,
        declared: &Declared,
        position: Position,
    ) -> Option<Template> {
        let error = match Template::parse(found.value, declared, position) {
            Ok(template) => return Some(template),
            Err(error) => error,
        };
        let message = error.to_string();
        let (label, help) = match error {
            TemplateError::Brace => (
                "not filled in",
                "braces stand around {secret}, {user}, {password} and the holes that \"holes\" declares".to_owned(),
            ),
            TemplateError::Undeclared(name) => {
                let slots = Slot::ALL.map(|slot| slot.as_str());
                let known = slots.into_iter().chain(declared.keys().map(String::as_str));
                let near = did_you_mean(&name, known);
                let help = format!("declare it: holes = {{ {name} = \"token\" }}{near}");
                ("nothing fills it", help)
            }
            TemplateError::TooLong => ("too long", "shorten it".to_owned()),
            TemplateError::Characters(_) => (
                "not valid",
                match position {
                    Position::Header | Position::Query => "visible ASCII and spaces only",
                    Position::Form | Position::Json => "no control characters",
                }
                .to_owned(),
            ),
            TemplateError::Space => ("a space at an end", "many servers drop it".to_owned()),
            TemplateError::NotSeparated(..) => (
                "can't be told apart",
                "put a sign between them that is neither letter nor digit, such as \":\"".to_owned(),
            ),
        };
        self.problems.add(found.span, message, label, help);
        None
    }

    fn body(&mut self, key: &str, declared: &Declared) -> Option<Place> {
        let value = self.fields.get(key)?;
        let DeValue::Table(table) = value.get_ref() else {
            let message = format!("{key:?} must be a table, not {}", article(value.get_ref()));
            let help = format!("for example: {key} = {{ key = \"{{secret}}\" }}");
            self.problems
                .add(value.span(), message, "not a table", help);
            return None;
        };
        if key == "form" {
            let mut fields = Vec::new();
            let mut complete = true;
            for (name, value) in table {
                complete &= self.is_plain(name);
                let template = text(value, "a form's field", self.problems)
                    .and_then(|found| self.parsed_template(found, declared, Position::Form));
                match template {
                    Some(template) => fields.push((name.get_ref().to_string(), template)),
                    None => complete = false,
                }
            }
            complete &= self.is_small(fields.len(), value.span());
            return complete.then_some(Place::Form(fields));
        }
        let mut count = 0;
        let document = self.object(table, declared, 1, &mut count);
        let small = self.is_small(count, value.span());
        document.filter(|_| small).map(Place::Json)
    }

    /// Whether a name of ours can be shown and written.
    fn is_plain(&mut self, name: &Spanned<impl AsRef<str>>) -> bool {
        let is_plain = !name.get_ref().as_ref().chars().any(char::is_control);
        if !is_plain {
            let message = "a name has no control characters";
            self.problems.add(name.span(), message, "not valid", None);
        }
        is_plain
    }

    fn is_small(&mut self, count: usize, span: Span) -> bool {
        if count > MAX_FIELDS {
            let message = format!("a body has at most {MAX_FIELDS} values");
            self.problems.add(span, message, "too many", None);
        }
        count <= MAX_FIELDS
    }

    fn object(
        &mut self,
        table: &DeTable<'_>,
        declared: &Declared,
        depth: usize,
        count: &mut usize,
    ) -> Option<JsonTemplate> {
        let (mut fields, mut complete) = (Vec::new(), true);
        for (name, value) in table {
            complete &= self.is_plain(name);
            match self.json(value, declared, depth, count) {
                Some(field) => fields.push((name.get_ref().to_string(), field)),
                None => complete = false,
            }
        }
        complete.then_some(JsonTemplate::Object(fields))
    }

    fn json(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        declared: &Declared,
        depth: usize,
        count: &mut usize,
    ) -> Option<JsonTemplate> {
        *count += 1;
        if depth > MAX_DEPTH {
            let message = format!("a JSON document is at most {MAX_DEPTH} levels deep");
            self.problems.add(value.span(), message, "too deep", None);
            return None;
        }
        match value.get_ref() {
            DeValue::Table(table) => self.object(table, declared, depth + 1, count),
            DeValue::Array(values) => {
                let (mut all, mut complete) = (Vec::new(), true);
                for value in values {
                    match self.json(value, declared, depth + 1, count) {
                        Some(value) => all.push(value),
                        None => complete = false,
                    }
                }
                complete.then_some(JsonTemplate::Array(all))
            }
            DeValue::String(found) => {
                let found = Found::new(found.as_ref(), value.span());
                self.parsed_template(found, declared, Position::Json)
                    .map(JsonTemplate::Text)
            }
            DeValue::Boolean(value) => Some(JsonTemplate::Boolean(*value)),
            DeValue::Integer(number)
                if let Ok(number) = i64::from_str_radix(number.as_str(), number.radix()) =>
            {
                Some(JsonTemplate::Number(number))
            }
            other => {
                let message = format!(
                    "a value of \"json\" is a text, a whole number, true, false, an array or a table, not {}",
                    article(other)
                );
                self.problems.add(value.span(), message, "not valid", None);
                None
            }
        }
    }

    /// One secret is written once: its one value, or its password.
    fn judge_slots(&mut self, place: &Place, span: Span) {
        let slots = place.slots();
        let count = |slot| slots.iter().filter(|one| **one == slot).count();
        let (secrets, users, passwords) = (
            count(Slot::Secret),
            count(Slot::User),
            count(Slot::Password),
        );
        let (message, label) = match (secrets, passwords) {
            (0, 0) => ("the template has no {secret}", "no slot"),
            (1, 0) if users == 0 => return,
            (0, 1) if users <= 1 => return,
            (0, 1) => ("the template has more than one {user}", "one slot only"),
            (0, _) => ("the template has more than one {password}", "one slot only"),
            (2.., 0) => ("the template has more than one {secret}", "one slot only"),
            _ => (
                "the template has {secret} and a part of it",
                "one or the other",
            ),
        };
        let help = "a template is fixed text around one {secret}: \"Bearer {secret}\"; of a secret of kind basic also around one {user} and one {password}";
        self.problems.add(span, message, label, help.to_owned());
    }

    fn judge_holes(&mut self, place: &Place, declared: &Declared) {
        let used = place.holes();
        let unused = declared
            .keys()
            .find(|name| !used.iter().any(|(used, _)| used == name));
        if let (Some(name), Some(span)) = (unused, self.fields.key("holes")) {
            let message = format!("the hole {{{name}}} is declared and stands nowhere");
            self.problems.add(span, message, "not used", None);
        }
    }

    /// A body is written for methods that have one.
    pub(in crate::grants) fn judge_methods(&mut self, place: &Place, to: &[Destination]) {
        let has_body =
            |method: &Method| [Method::POST, Method::PUT, Method::PATCH].contains(method);
        let fits = |to: &Destination| !to.methods.is_empty() && to.methods.iter().all(has_body);
        if place.is_body()
            && !to.iter().all(fits)
            && let Some(span) = self.fields.key("to")
        {
            self.problems.add(
                span,
                "a body is written for requests that have one",
                "names other methods, or none",
                "name methods out of POST, PUT, PATCH in each destination: methods = [\"POST\"]"
                    .to_owned(),
            );
        }
    }

    pub(super) fn retry(&mut self) -> Option<RetryOn401> {
        let mut flag = |key| match self.fields.key(key) {
            None => Some(false),
            Some(_) => self.fields.boolean(key, self.problems),
        };
        let (retry, any) = (flag("retry-on-401"), flag("retry-any-method"));
        match (retry?, any?) {
            (false, false) => Some(RetryOn401::Never),
            (true, false) => Some(RetryOn401::Idempotent),
            (true, true) => Some(RetryOn401::AnyMethod),
            (false, true) => {
                let span = self.fields.key("retry-any-method")?;
                self.problems.add(
                    span,
                    "\"retry-any-method\" says which requests are sent once more, and none are",
                    "has no effect",
                    "add retry-on-401 = true, or remove this".to_owned(),
                );
                None
            }
        }
    }
}
