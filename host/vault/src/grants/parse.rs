//! The grants file: strict TOML to grants, or everything that is wrong with it.

use std::sync::Arc;

use keyward_names::{Alias, ComponentDigest, GrantId, PolicyName, SecretName};
use toml::de::{DeTable, DeValue};

use super::fields::{Fields, Found, Problems, Span, article};
use super::grant::{Grant, Terms};
use super::report::{GrantsError, Problem, did_you_mean, line_and_column};
use crate::Use;

/// The longest grants file, in bytes.
const MAX_FILE_BYTES: usize = 4 << 20;

/// The uses that send what could come back in an answer.
const OF_ANSWERS: &[Use] = &[
    Use::Attach,
    Use::Token,
    Use::SignRequest,
    Use::Sas,
    Use::Presign,
    Use::JwsSign,
];

/// The keys of a grant, and the uses that each goes with; none for all.
const KEYS: &[(&str, &[Use])] = &[
    ("id", &[]),
    ("policy", &[]),
    ("secret", &[]),
    ("alias", &[]),
    ("use", &[]),
    ("component", &[]),
    ("not-after", &[]),
    (
        "header",
        &[Use::Attach, Use::Identify, Use::JwsSign, Use::Token],
    ),
    ("template", &[Use::Attach, Use::JwsSign, Use::Token]),
    ("response", OF_ANSWERS),
    ("decode", OF_ANSWERS),
    ("reflected", OF_ANSWERS),
    ("retry-on-401", &[Use::Attach, Use::Token]),
    ("retry-any-method", &[Use::Attach, Use::Token]),
    ("query", &[Use::Attach, Use::Identify]),
    ("form", &[Use::Attach]),
    ("json", &[Use::Attach]),
    ("holes", &[Use::Attach]),
    (
        "to",
        &[
            Use::Attach,
            Use::SignRequest,
            Use::Present,
            Use::JwsSign,
            Use::Sas,
            Use::Presign,
            Use::Query,
            Use::Token,
        ],
    ),
    ("scheme", &[Use::SignRequest]),
    ("service", &[Use::SignRequest, Use::Sas, Use::Presign]),
    ("api-version", &[Use::SignRequest]),
    ("region", &[Use::SignRequest, Use::Presign]),
    ("scope", &[Use::Sas]),
    ("resource", &[Use::Sas, Use::Token]),
    ("permissions", &[Use::Sas]),
    ("addresses", &[Use::Sas]),
    ("label", &[Use::SignRequest]),
    ("key-id", &[Use::SignRequest, Use::JwsSign]),
    ("covers", &[Use::SignRequest]),
    ("max-body-bytes", &[Use::SignRequest, Use::Presign]),
    (
        "lifetime-seconds",
        &[Use::SignRequest, Use::Sas, Use::Presign, Use::JwsSign],
    ),
    ("statement", &[Use::Query]),
    ("max-rows", &[Use::Query]),
    ("max-bytes", &[Use::Query]),
    ("timeout-ms", &[Use::Query]),
    ("writes", &[Use::Query]),
    ("algorithm", &[Use::JwsSign]),
    ("audience", &[Use::JwsSign, Use::Token]),
    ("subject", &[Use::JwsSign]),
    ("subject-prefix", &[Use::JwsSign]),
    ("claims", &[Use::JwsSign]),
    ("returns", &[Use::JwsSign]),
    ("shared-as", &[Use::Seal, Use::Open]),
    ("endpoint", &[Use::Token]),
    ("auth", &[Use::Token]),
    ("client-id", &[Use::Token]),
    ("flow", &[Use::Token]),
    ("scopes", &[Use::Token]),
    ("max-lifetime-seconds", &[Use::Token]),
    ("issuer", &[Use::VerifyJwt, Use::JwsSign]),
    ("audiences", &[Use::VerifyJwt]),
    ("clock-skew-seconds", &[Use::VerifyJwt]),
];

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
            format!(
                "\"grant\" must be an array of tables, not {}",
                article(value.get_ref())
            ),
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

pub(super) struct GrantReader<'a, 't, 'i> {
    pub(super) fields: Fields<'t, 'i>,
    pub(super) problems: &'a mut Problems,
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
        if let (Some(Terms::Attach(placement)), Some(to)) = (&terms, &to) {
            self.judge_methods(&placement.place, to);
        }

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
                pinned: None,
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
        match Use::ALL
            .into_iter()
            .find(|use_| use_.as_str() == found.value)
        {
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
        for &(key, uses) in KEYS {
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
                let help = match use_ {
                    Use::Attach
                    | Use::SignRequest
                    | Use::Present
                    | Use::JwsSign
                    | Use::Sas
                    | Use::Presign
                    | Use::Token => {
                        "give one of them another alias, or put both destinations into one grant's \"to\""
                    }
                    _ => "remove one of them, or give it another alias",
                };
                self.problems.0.push(Problem {
                    span,
                    message: format!(
                        "two grants give the policy {:?} the use {:?} under the alias {:?}",
                        policy.as_str(),
                        use_.as_str(),
                        alias.as_str()
                    ),
                    label: "the second one".to_owned(),
                    help: Some(help.to_owned()),
                    other: Some((first.clone(), "the first one")),
                });
            }
        }
    }
}
