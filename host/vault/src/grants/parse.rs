//! The grants file: strict TOML to grants, or everything that is wrong with it.

use std::sync::Arc;

use http::{HeaderName, Method};
use keyward_names::{Alias, ComponentDigest, GrantId, PolicyName, RouteName, SecretName};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fields::{Fields, Found, Problems, Span, accept, article, text};
use super::grant::{
    Component, Destination, Grant, KeyPlace, Placement, RequestSignature, Terms,
};
use super::path::PathTemplate;
use super::report::{GrantsError, Problem, did_you_mean, line_and_column};
use crate::Use;

/// The longest grants file, in bytes.
const MAX_FILE_BYTES: usize = 4 << 20;
/// The longest header template, in characters.
const MAX_TEMPLATE_CHARS: usize = 1024;
/// The longest body that a grant may have signed: the host holds it in memory.
const MAX_SIGNED_BODY_BYTES: u64 = 64 << 20;
const DEFAULT_SIGNED_BODY_BYTES: u64 = 1 << 20;
const MAX_LIFETIME_SECONDS: u64 = 3600;
const DEFAULT_LIFETIME_SECONDS: u64 = 300;

/// The keys of a grant, and the uses that each goes with; none for all.
const KEYS: [(&str, &[Use]); 16] = [
    ("id", &[]),
    ("policy", &[]),
    ("secret", &[]),
    ("alias", &[]),
    ("use", &[]),
    ("component", &[]),
    ("not-after", &[]),
    ("header", &[Use::Attach, Use::Identify]),
    ("template", &[Use::Attach]),
    ("query", &[Use::Identify]),
    ("to", &[Use::Attach, Use::SignRequest]),
    ("label", &[Use::SignRequest]),
    ("key-id", &[Use::SignRequest]),
    ("covers", &[Use::SignRequest]),
    ("max-body-bytes", &[Use::SignRequest]),
    ("lifetime-seconds", &[Use::SignRequest]),
];

/// Headers that the host writes or removes itself, so that no grant can name
/// them. Also every header whose name starts with one of [`HOST_PREFIXES`].
const HOST_HEADERS: [&str; 24] = [
    "accept-encoding",
    "connection",
    "content-digest",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "if-range",
    "keep-alive",
    "range",
    "signature",
    "signature-input",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-http-method",
    "x-http-method-override",
    "x-original-url",
    "x-rewrite-url",
];
const HOST_PREFIXES: [&str; 3] = ["proxy-", "x-forwarded-", "sec-"];

/// Reads a file. Each grant comes with the line that it starts in.
pub(super) fn parse(file: &str, text: &str) -> Result<Vec<(Arc<Grant>, usize)>, GrantsError> {
    let mut problems = Problems::default();
    let grants = if text.len() > MAX_FILE_BYTES {
        problems.add(
            0..0,
            "the file is too large",
            "",
            format!("a grants file has at most {MAX_FILE_BYTES} bytes"),
        );
        Vec::new()
    } else {
        read_document(text, &mut problems)
    };
    if problems.0.is_empty() {
        let line = |span: &Span| line_and_column(text, span.start).0;
        let grants = grants
            .into_iter()
            .map(|grant| (Arc::new(grant.value), line(&grant.span)));
        Ok(grants.collect())
    } else {
        Err(GrantsError::new(file, text, problems.0))
    }
}

fn read_document(source: &str, problems: &mut Problems) -> Vec<Found<Grant>> {
    let (document, errors) = DeTable::parse_recoverable(source);
    if !errors.is_empty() {
        // What was recovered is a guess; only the syntax is worth reporting.
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            problems.add(span, error.message(), "not TOML", None);
        }
        return Vec::new();
    }
    let root = Fields::new(document.get_ref(), 0..0);
    root.only("a grants file", &["grant"], problems);
    let Some(value) = root.get("grant") else {
        return Vec::new();
    };
    let DeValue::Array(tables) = value.get_ref() else {
        problems.add(
            value.span(),
            format!("\"grant\" must be an array of tables, not {}", article(value.get_ref())),
            "one table",
            "start each grant with [[grant]]".to_owned(),
        );
        return Vec::new();
    };
    let mut grants = Vec::new();
    let mut seen = Seen::default();
    for value in tables {
        let DeValue::Table(table) = value.get_ref() else {
            problems.add(
                value.span(),
                format!("a grant must be a table, not {}", article(value.get_ref())),
                "not a table",
                "start each grant with [[grant]]".to_owned(),
            );
            continue;
        };
        let span = first_line(source, value.span());
        let mut reader = GrantReader {
            fields: Fields::new(table, span),
            problems,
            seen: &mut seen,
        };
        grants.extend(reader.read());
    }
    grants
}

/// The part of a span that lies in its first line: a whole table is too much to
/// point at.
fn first_line(source: &str, span: Span) -> Span {
    let text = source.get(span.clone()).unwrap_or_default();
    let length = text.find('\n').unwrap_or(text.len());
    span.start..span.start + length
}

/// What earlier grants took.
#[derive(Default)]
struct Seen {
    ids: Vec<(GrantId, Span)>,
    names: Vec<((PolicyName, Alias, Use), Span)>,
}

struct GrantReader<'a, 't, 'i> {
    fields: Fields<'t, 'i>,
    problems: &'a mut Problems,
    seen: &'a mut Seen,
}

impl GrantReader<'_, '_, '_> {
    fn read(&mut self) -> Option<Found<Grant>> {
        let valid: Vec<&str> = KEYS.iter().map(|(key, _)| *key).collect();
        self.fields.only("a grant", &valid, self.problems);

        let id = self.name("id", "id = \"billing-attach\"", GrantId::parse);
        let policy = self.name("policy", "policy = \"attach-api-key\"", PolicyName::parse);
        let secret = self.name("secret", "secret = \"billing-key\"", SecretName::parse);
        let alias = match self.fields.key("alias") {
            Some(_) => self.fields.parsed("alias", Alias::parse, self.problems),
            // Both have the same grammar.
            None => secret.as_ref().and_then(|secret| {
                let alias = Alias::parse(secret.value.as_str()).ok()?;
                Some(Found::new(alias, secret.span.clone()))
            }),
        };
        let component = self
            .fields
            .parsed("component", ComponentDigest::parse, self.problems);
        let not_after = self.not_after();
        let use_ = self.use_();
        if let Some(use_) = &use_ {
            self.only_keys_of(use_.value);
        }
        let terms = use_
            .as_ref()
            .and_then(|use_| self.terms(use_.value, alias.as_ref()));
        let to = use_.as_ref().and_then(|use_| self.destinations(use_.value));

        if let Some(id) = &id {
            self.first_of_id(id);
        }
        if let (Some(policy), Some(alias), Some(use_)) = (&policy, &alias, &use_) {
            let name = (policy.value.clone(), alias.value.clone(), use_.value);
            self.first_of_name(name, alias.span.clone());
        }
        Some(Found::new(
            Grant {
                id: id?.value,
                policy: policy?.value,
                component: component.map(|found| found.value),
                secret: secret?.value,
                alias: alias?.value,
                terms: terms?,
                to: to?,
                not_after,
            },
            self.fields.span.clone(),
        ))
    }

    fn name<T, E: std::fmt::Display>(
        &mut self,
        key: &str,
        example: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Found<T>> {
        let found = self.fields.needed(key, "a grant", example, self.problems)?;
        match parse(found.value) {
            Ok(value) => Some(Found::new(value, found.span)),
            Err(error) => {
                self.problems.add(
                    found.span,
                    error.to_string(),
                    "not a name",
                    "names have 1 to 64 characters a-z 0-9 . _ - and start with a letter or digit"
                        .to_owned(),
                );
                None
            }
        }
    }

    fn use_(&mut self) -> Option<Found<Use>> {
        let example = "use = \"attach\"";
        let found = self
            .fields
            .needed("use", "a grant", example, self.problems)?;
        let words = Use::ALL.map(|use_| use_.as_str());
        match Use::ALL.into_iter().find(|use_| use_.as_str() == found.value) {
            Some(use_) => Some(Found::new(use_, found.span)),
            None => {
                let near = did_you_mean(found.value, words);
                self.problems.add(
                    found.span,
                    format!("unknown use {:?}{near}", found.value),
                    "not a use",
                    format!("uses: {}", words.join(", ")),
                );
                None
            }
        }
    }

    /// Reports keys that mean something for other uses only.
    fn only_keys_of(&mut self, use_: Use) {
        for (key, uses) in KEYS {
            if uses.is_empty() || uses.contains(&use_) {
                continue;
            }
            if let Some(span) = self.fields.key(key) {
                let words: Vec<_> = uses.iter().map(|use_| use_.as_str()).collect();
                self.problems.add(
                    span,
                    format!("{key:?} has no meaning for the use {:?}", use_.as_str()),
                    "remove this",
                    format!("{key:?} goes with: {}", words.join(", ")),
                );
            }
        }
    }

    fn not_after(&mut self) -> Option<jiff::Timestamp> {
        let value = self.fields.get("not-after")?;
        let parsed = match value.get_ref() {
            DeValue::String(text) => text.parse().ok(),
            DeValue::Datetime(date) => date.to_string().parse().ok(),
            _ => None,
        };
        if parsed.is_none() {
            self.problems.add(
                value.span(),
                "\"not-after\" must be a date and time with its offset",
                "not such a time",
                "for example: not-after = \"2027-01-01T00:00:00Z\"".to_owned(),
            );
        }
        parsed
    }

    fn terms(&mut self, use_: Use, alias: Option<&Found<Alias>>) -> Option<Terms> {
        match use_ {
            Use::Attach => self.placement().map(Terms::Attach),
            Use::SignRequest => self.signature(alias).map(Terms::SignRequest),
            Use::MacSign => Some(Terms::MacSign),
            Use::MacVerify => Some(Terms::MacVerify),
            Use::Identify => self.key_place().map(Terms::Identify),
        }
    }

    fn placement(&mut self) -> Option<Placement> {
        let example = "header = \"x-api-key\"";
        let what = "a grant of \"attach\"";
        let header = self
            .fields
            .needed("header", what, example, self.problems)
            .and_then(|found| self.header(found));
        let template = match self.fields.key("template") {
            None => Some((String::new(), String::new())),
            Some(_) => self
                .fields
                .text("template", self.problems)
                .and_then(|found| self.template(found)),
        };
        let (prefix, suffix) = template?;
        Some(Placement {
            header: header?,
            prefix,
            suffix,
        })
    }

    fn header(&mut self, found: Found<&str>) -> Option<HeaderName> {
        let Ok(header) = HeaderName::from_bytes(found.value.as_bytes()) else {
            self.problems.add(
                found.span,
                "not a header name",
                "not valid",
                "for example: \"authorization\", \"x-api-key\"".to_owned(),
            );
            return None;
        };
        // Some servers read `_` as `-`.
        let name = header.as_str().replace('_', "-");
        let by_prefix = HOST_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        if by_prefix || HOST_HEADERS.contains(&name.as_str()) {
            self.problems.add(
                found.span,
                format!("the header {:?} is the host's own", header.as_str()),
                "can't carry a secret",
                "name a header that the backend reads its credential from, such as \"authorization\" or \"x-api-key\""
                    .to_owned(),
            );
            return None;
        }
        Some(header)
    }

    /// What stands before and after the one slot.
    fn template(&mut self, found: Found<&str>) -> Option<(String, String)> {
        let Found { value, span } = found;
        let help = || {
            Some("a template is fixed text around one {secret}: \"Bearer {secret}\"".to_owned())
        };
        let (message, label) = match value.split_once("{secret}") {
            None => ("the template has no {secret}", "no slot"),
            Some((_, rest)) if rest.contains("{secret}") => {
                ("the template has more than one {secret}", "one slot only")
            }
            Some((prefix, suffix)) => {
                let fixed = || prefix.chars().chain(suffix.chars());
                let visible = |c: char| c == ' ' || c.is_ascii_graphic();
                if fixed().any(|c| c == '{' || c == '}') {
                    let message = "the template has a brace that is not part of {secret}";
                    (message, "nothing else is filled in")
                } else if value.chars().count() > MAX_TEMPLATE_CHARS {
                    ("the template is longer than 1024 characters", "too long")
                } else if !fixed().all(visible) {
                    let message = "the template has characters that no header may have";
                    (message, "visible ASCII and spaces only")
                } else if prefix.starts_with(' ') || suffix.ends_with(' ') {
                    let message = "the template starts or ends with a space";
                    (message, "a header's value can't")
                } else {
                    return Some((prefix.to_owned(), suffix.to_owned()));
                }
            }
        };
        self.problems.add(span, message, label, help());
        None
    }

    fn key_place(&mut self) -> Option<KeyPlace> {
        let (header, query) = (self.fields.key("header"), self.fields.key("query"));
        match (header, query) {
            (Some(header), Some(query)) => {
                self.problems.0.push(Problem {
                    span: query,
                    message: "a client's key is in a header or in the query, not in both"
                        .to_owned(),
                    label: "remove this".to_owned(),
                    help: Some("make a second grant, with another alias, for the other".to_owned()),
                    other: Some((header, "or this")),
                });
                None
            }
            (Some(_), None) => {
                let found = self.fields.text("header", self.problems)?;
                self.header(found).map(KeyPlace::Header)
            }
            (None, Some(_)) => {
                let found = self.fields.text("query", self.problems)?;
                let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
                let name = found.value;
                if (1..=64).contains(&name.len()) && name.bytes().all(plain) {
                    return Some(KeyPlace::Query(name.to_owned()));
                }
                self.problems.add(
                    found.span,
                    "not a query parameter's name",
                    "not valid",
                    "a name has 1 to 64 characters A-Z a-z 0-9 - . _ ~".to_owned(),
                );
                None
            }
            (None, None) => {
                self.fields.need(
                    "header",
                    "a grant of \"identify\"",
                    "header = \"x-api-key\", or query = \"subscription-key\"",
                    self.problems,
                );
                None
            }
        }
    }

    fn signature(&mut self, alias: Option<&Found<Alias>>) -> Option<RequestSignature> {
        let label = match self.fields.key("label") {
            None => Some("sig1".to_owned()),
            Some(_) => self.checked_text("label", is_label, "a label has 1 to 64 characters a-z 0-9 _ - . * and starts with a letter or *"),
        };
        let key_id = match self.fields.key("key-id") {
            None => alias.map(|alias| alias.value.to_string()),
            Some(_) => self.checked_text("key-id", is_key_id, "a key id has 1 to 256 characters of visible ASCII, without \" and \\"),
        };
        let components = match self.fields.key("covers") {
            None => Some(default_components()),
            Some(_) => self.components(),
        };
        let mut number = |key, most, default| match self.fields.key(key) {
            None => Some(default),
            Some(_) => self.fields.number(key, 1..=most, self.problems),
        };
        let max_body_bytes = number(
            "max-body-bytes",
            MAX_SIGNED_BODY_BYTES,
            DEFAULT_SIGNED_BODY_BYTES,
        );
        let lifetime_seconds = number(
            "lifetime-seconds",
            MAX_LIFETIME_SECONDS,
            DEFAULT_LIFETIME_SECONDS,
        );
        Some(RequestSignature {
            label: label?,
            key_id: key_id?,
            components: components?,
            max_body_bytes: max_body_bytes?,
            lifetime_seconds: lifetime_seconds?,
        })
    }

    fn checked_text(&mut self, key: &str, is: fn(&str) -> bool, help: &str) -> Option<String> {
        let found = self.fields.text(key, self.problems)?;
        if is(found.value) {
            return Some(found.value.to_owned());
        }
        let message = format!("not a valid {key:?}");
        self.problems
            .add(found.span, message, "not valid", help.to_owned());
        None
    }

    fn components(&mut self) -> Option<Vec<Component>> {
        let values = self.fields.array("covers", "texts", self.problems)?;
        let words = Component::ALL.map(|component| component.as_str());
        let (mut components, mut complete) = (Vec::new(), true);
        for value in &values.value {
            let Some(found) = text(value, "a part of a request", self.problems) else {
                complete = false;
                continue;
            };
            let known = Component::ALL
                .into_iter()
                .find(|component| component.as_str() == found.value);
            let (message, label) = match known {
                Some(component) if !components.contains(&component) => {
                    components.push(component);
                    continue;
                }
                Some(_) => (format!("{:?} is covered twice", found.value), "remove this"),
                None => {
                    let near = did_you_mean(found.value, words);
                    let message = format!("unknown part of a request {:?}{near}", found.value);
                    (message, "can't be covered")
                }
            };
            let help = format!("parts of a request: {}", words.join(", "));
            self.problems.add(found.span, message, label, help);
            complete = false;
        }
        if complete && !is_enough(&components) {
            self.problems.add(
                values.span,
                "the signature covers too little of the request",
                "could be put on another request",
                "cover \"@method\", \"content-digest\", and \"@target-uri\" or all of \"@authority\", \"@path\", \"@query\""
                    .to_owned(),
            );
            return None;
        }
        complete.then_some(components)
    }

    /// Where the secret may go. Empty for uses that go nowhere.
    fn destinations(&mut self, use_: Use) -> Option<Vec<Destination>> {
        if !matches!(use_, Use::Attach | Use::SignRequest) {
            return Some(Vec::new());
        }
        let example =
            "to = [{ route = \"billing\", methods = [\"GET\"], paths = [\"/v1/charges\"] }]";
        let what = format!("a grant of {:?}", use_.as_str());
        self.fields.need("to", &what, example, self.problems);
        let values = self.fields.array("to", "tables", self.problems)?;
        if values.value.is_empty() {
            let (message, help) = ("\"to\" names no destination", format!("for example: {example}"));
            self.problems.add(values.span, message, "empty", help);
            return None;
        }
        let mut destinations = Some(Vec::new());
        for value in &values.value {
            // Read every one, so that each reports what is wrong with it.
            match (self.destination(use_, value), &mut destinations) {
                (Some(destination), Some(all)) => all.push(destination),
                (None, _) => destinations = None,
                (Some(_), None) => {}
            }
        }
        destinations
    }

    fn destination(&mut self, use_: Use, value: &Spanned<DeValue<'_>>) -> Option<Destination> {
        let DeValue::Table(table) = value.get_ref() else {
            self.problems.add(
                value.span(),
                format!("a destination must be a table, not {}", article(value.get_ref())),
                "not a table",
                "for example: { route = \"billing\", paths = [\"/v1/charges\"] }".to_owned(),
            );
            return None;
        };
        let fields = Fields::new(table, value.span());
        fields.only("a destination", &["route", "methods", "paths"], self.problems);
        let example = "route = \"billing\"";
        let route = fields
            .needed("route", "a destination", example, self.problems)
            .and_then(|found| accept(found, RouteName::parse, self.problems));
        let methods = self.methods(&fields);
        let paths = self.paths(&fields, use_);
        Some(Destination {
            route: route?.value,
            methods: methods?,
            paths: paths?,
        })
    }

    fn methods(&mut self, fields: &Fields<'_, '_>) -> Option<Vec<Method>> {
        if fields.key("methods").is_none() {
            return Some(Vec::new());
        }
        let values = fields.array("methods", "texts", self.problems)?;
        if values.value.is_empty() {
            self.problems.add(
                values.span,
                "\"methods\" names no method",
                "empty",
                "leave it out to allow every method but CONNECT and TRACE".to_owned(),
            );
            return None;
        }
        let (mut methods, mut complete) = (Vec::new(), true);
        for value in &values.value {
            let Some(found) = text(value, "a method", self.problems) else {
                complete = false;
                continue;
            };
            let is_upper = found.value.bytes().all(|b| b.is_ascii_uppercase() || b == b'-');
            let method = Method::from_bytes(found.value.as_bytes()).ok();
            match method.filter(|_| is_upper) {
                Some(Method::CONNECT | Method::TRACE) => {
                    let message = format!("{} never carries a secret", found.value);
                    let help = "remove it; it is always refused".to_owned();
                    self.problems.add(found.span, message, "not allowed", help);
                    complete = false;
                }
                Some(method) => methods.push(method),
                None => {
                    let help = "methods are upper case: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
                    let message = format!("not a method: {:?}", found.value);
                    self.problems
                        .add(found.span, message, "not valid", help.to_owned());
                    complete = false;
                }
            }
        }
        complete.then_some(methods)
    }

    fn paths(&mut self, fields: &Fields<'_, '_>, use_: Use) -> Option<Vec<PathTemplate>> {
        let example = "paths = [\"/v1/charges\", \"/v1/refunds/{id}\"]";
        if fields.key("paths").is_none() {
            if use_ != Use::Attach {
                return Some(Vec::new());
            }
            let what = "a destination of \"attach\"";
            fields.need("paths", what, example, self.problems);
            return None;
        }
        let values = fields.array("paths", "texts", self.problems)?;
        if values.value.is_empty() {
            let help = format!("for example: {example}");
            self.problems
                .add(values.span, "\"paths\" names no path", "empty", help);
            return None;
        }
        let (mut paths, mut complete) = (Vec::new(), true);
        for value in &values.value {
            let path = text(value, "a path", self.problems)
                .and_then(|found| accept(found, PathTemplate::parse, self.problems));
            match path {
                Some(path) => paths.push(path.value),
                None => complete = false,
            }
        }
        complete.then_some(paths)
    }

    fn first_of_id(&mut self, id: &Found<GrantId>) {
        let ids = &mut self.seen.ids;
        match ids.iter().find(|(seen, _)| *seen == id.value) {
            None => ids.push((id.value.clone(), id.span.clone())),
            Some((_, first)) => self.problems.0.push(Problem {
                span: id.span.clone(),
                message: format!("two grants have the id {:?}", id.value.as_str()),
                label: "the second one".to_owned(),
                help: Some("the audit trail tells grants apart by their ids".to_owned()),
                other: Some((first.clone(), "the first one")),
            }),
        }
    }

    fn first_of_name(&mut self, name: (PolicyName, Alias, Use), span: Span) {
        let names = &mut self.seen.names;
        match names.iter().find(|(seen, _)| *seen == name) {
            None => names.push((name, span)),
            Some((_, first)) => {
                let (policy, alias, use_) = name;
                self.problems.0.push(Problem {
                    span,
                    message: format!(
                        "two grants give the policy {:?} the use {:?} under the alias {:?}",
                        policy.as_str(),
                        use_.as_str(),
                        alias.as_str()
                    ),
                    label: "the second one".to_owned(),
                    help: Some("give one of them another alias, or put both destinations into one grant's \"to\"".to_owned()),
                    other: Some((first.clone(), "the first one")),
                });
            }
        }
    }
}

/// What a signature covers unless the grant says otherwise.
fn default_components() -> Vec<Component> {
    vec![
        Component::Method,
        Component::Authority,
        Component::Path,
        Component::Query,
        Component::ContentDigest,
    ]
}

/// Whether a signature over these parts fits one request only.
fn is_enough(components: &[Component]) -> bool {
    let has = |component| components.contains(&component);
    let target = has(Component::TargetUri)
        || has(Component::Authority) && has(Component::Path) && has(Component::Query);
    has(Component::Method) && has(Component::ContentDigest) && target
}

/// A key of a structured-field dictionary (RFC 8941, section 3.1.2).
fn is_label(text: &str) -> bool {
    let start = |b: u8| b.is_ascii_lowercase() || b == b'*';
    let rest = |b: u8| start(b) || b.is_ascii_digit() || b"_-.".contains(&b);
    text.len() <= 64 && text.bytes().next().is_some_and(start) && text.bytes().all(rest)
}

/// A text that a structured-field string holds without escapes.
fn is_key_id(text: &str) -> bool {
    let plain = |b: u8| (b.is_ascii_graphic() || b == b' ') && b != b'"' && b != b'\\';
    (1..=256).contains(&text.len()) && text.bytes().all(plain)
}
