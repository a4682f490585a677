//! Named values in `keyward.toml`: `{{name}}` in the texts of a parsed file.
//!
//! What is read before the vault is open (`[vault]`, `[audit]`, `[control]`,
//! `[grants]`), where secrets come from (`[sources]`) and what others refer to
//! (`name`) can't hold one. A secret value
//! stands only as the whole of a policy's setting, and is bound later, see
//! [`super::bind`].

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use keyward::document::named_values::{
    Expanded, Lookup, NamedValues, ValueError, expand, places, whole,
};
use keyward::names::{SecretName, SourceName, ValueName};
use keyward::vault::{NamedValue, Reference, ReferenceError, Vault};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostics::nearest;
use super::reader::Findings;
use crate::control::ValueText;

/// What a named value stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// A text.
    Plain(String),
    /// A secret of the vault.
    Secret(SecretName),
    /// Something that a source has to be asked for.
    Reference(SourceName),
}

/// The named values at one moment.
#[derive(Clone, Debug, Default)]
pub struct Values(BTreeMap<ValueName, Known>);

impl FromIterator<(ValueName, Known)> for Values {
    fn from_iter<I: IntoIterator<Item = (ValueName, Known)>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

impl From<&NamedValue> for Known {
    fn from(value: &NamedValue) -> Self {
        match value {
            NamedValue::Plain(text) => Self::Plain(text.clone()),
            NamedValue::Secret(secret) => Self::Secret(secret.clone()),
            NamedValue::Reference(reference) => Self::Reference(reference.source().clone()),
        }
    }
}

impl TryFrom<&ValueText> for Known {
    type Error = ReferenceError;

    /// Errors: the text of a reference is none.
    fn try_from(text: &ValueText) -> Result<Self, ReferenceError> {
        Ok(match text {
            ValueText::Plain(text) => Self::Plain(text.clone()),
            ValueText::Secret(secret) => Self::Secret(secret.clone()),
            ValueText::Reference(text) => {
                Self::Reference(text.parse::<Reference>()?.source().clone())
            }
        })
    }
}

impl Values {
    /// Those of a vault.
    pub fn of(vault: &Vault) -> Self {
        let values = vault.values().into_iter();
        values
            .map(|info| (info.name, Known::from(&info.value)))
            .collect()
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<(&ValueName, &Known)> {
        let name = ValueName::parse(name).ok()?;
        self.0.get_key_value(&name)
    }
}

impl NamedValues for Values {
    fn look_up(&self, name: &str) -> Lookup {
        match self.get(name) {
            Some((_, Known::Plain(text))) => Lookup::Plain(text.clone()),
            Some((_, Known::Secret(secret))) => Lookup::Secret(secret.to_string()),
            Some((_, Known::Reference(source))) => Lookup::Reference(source.to_string()),
            None => {
                let known = self.0.keys().map(|known| known.as_str());
                Lookup::Unknown(nearest(name, known).map(str::to_owned))
            }
        }
    }
}

/// A place of a named value that was not looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unresolved {
    /// The name.
    pub name: String,
    /// The text in which it stands, with its quotes: bytes of the file.
    pub span: Range<usize>,
    /// Whether it decides where requests go or what runs: it stands elsewhere than
    /// in a policy's settings.
    pub steers: bool,
}

/// Where in the file which values stand.
#[derive(Default)]
pub(super) struct Marks {
    pub(super) unresolved: Vec<Unresolved>,
    /// Settings that are a secret value, by the start of their text.
    pub(super) secrets: HashMap<usize, (ValueName, SecretName)>,
}

/// Puts the values into the texts of a file. Without values the texts stay and
/// are marked, so that nobody judges them.
pub(super) fn put_in(
    table: &mut DeTable<'_>,
    source: &str,
    values: Option<&Values>,
    findings: &Findings,
) -> Marks {
    let mut writer = Writer {
        source,
        values,
        findings,
        marks: Marks::default(),
        steers: true,
    };
    for (key, value) in table.iter_mut() {
        match key.get_ref().as_ref() {
            section @ ("vault" | "audit" | "control" | "grants") => {
                let why = format!("[{section}] is read before the vault is open");
                writer.refuse(value, &why);
            }
            "sources" => writer.refuse(value, "what secrets come from is written out"),
            "route" | "policy" => writer.definitions(value),
            _ => writer.value(value),
        }
    }
    writer.marks
}

struct Writer<'a> {
    source: &'a str,
    values: Option<&'a Values>,
    findings: &'a Findings,
    marks: Marks,
    /// Whether what is looked at is no policy's setting.
    steers: bool,
}

impl Writer<'_> {
    fn definitions(&mut self, value: &mut Spanned<DeValue<'_>>) {
        let DeValue::Array(sections) = value.get_mut() else {
            return;
        };
        for section in sections.iter_mut() {
            let DeValue::Table(table) = section.get_mut() else {
                continue;
            };
            for (key, value) in table.iter_mut() {
                match key.get_ref().as_ref() {
                    "name" => self.refuse(value, "a name is what other places refer to"),
                    "settings" => {
                        self.steers = false;
                        self.settings(value);
                        self.steers = true;
                    }
                    _ => self.value(value),
                }
            }
        }
    }

    /// A policy's settings: a secret value may be the whole of one.
    fn settings(&mut self, value: &mut Spanned<DeValue<'_>>) {
        let DeValue::Table(table) = value.get_mut() else {
            return;
        };
        for (_, value) in table.iter_mut() {
            let name = match value.get_ref() {
                DeValue::String(text) => whole(text),
                _ => None,
            };
            let found = name.and_then(|name| self.values?.get(name));
            if let Some((name, Known::Secret(secret))) = found {
                let at = value.span().start;
                let both = (name.clone(), secret.clone());
                self.marks.secrets.insert(at, both);
            } else {
                self.value(value);
            }
        }
    }

    /// Any value: each text in it.
    fn value(&mut self, value: &mut Spanned<DeValue<'_>>) {
        let span = value.span();
        match value.get_mut() {
            DeValue::String(text) => {
                if let Some(expanded) = self.text(text, span) {
                    *text = expanded.into();
                }
            }
            DeValue::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            DeValue::Table(table) => {
                for (_, value) in table.iter_mut() {
                    self.value(value);
                }
            }
            _ => {}
        }
    }

    /// The text with its values, if it has any.
    fn text(&mut self, text: &str, span: Range<usize>) -> Option<String> {
        let Some(values) = self.values else {
            for place in places(text) {
                self.marks.unresolved.push(Unresolved {
                    name: place.name.to_owned(),
                    span: span.clone(),
                    steers: self.steers,
                });
                self.findings.leave_out(&span);
            }
            return None;
        };
        match expand(text, values) {
            Ok(Expanded::Text(std::borrow::Cow::Owned(expanded))) => {
                let names = places(text).map(|place| format!("{:?}", place.name));
                let names = names.collect::<Vec<_>>().join(" and ");
                self.findings.comes_from(span, names);
                Some(expanded)
            }
            Ok(_) => None,
            Err(errors) => {
                for (at, error) in errors {
                    let help = match &error {
                        ValueError::Secret { secret, .. } => format!(
                            "it can be the whole of a policy's setting in which the policy names a secret's alias; the secret is {secret:?}"
                        ),
                        _ => error.help(),
                    };
                    let place = text.get(at).unwrap_or_default();
                    let at = self.within(&span, place);
                    self.findings.add_with_help(at, error.to_string(), help);
                }
                // It has been reported; nobody need judge the text as well.
                self.findings.leave_out(&span);
                None
            }
        }
    }

    /// Reports each place in a value that can have none.
    fn refuse(&self, value: &Spanned<DeValue<'_>>, why: &str) {
        match value.get_ref() {
            DeValue::String(text) => {
                for place in places(text) {
                    let written = text.get(place.span).unwrap_or_default();
                    self.findings.add_with_help(
                        self.within(&value.span(), written),
                        "a named value can't stand here",
                        format!("{why}; write the text itself"),
                    );
                    self.findings.leave_out(&value.span());
                }
            }
            DeValue::Array(items) => items.iter().for_each(|item| self.refuse(item, why)),
            DeValue::Table(table) => {
                for (_, value) in table.iter() {
                    self.refuse(value, why);
                }
            }
            _ => {}
        }
    }

    /// Where in the file a part of a text is: exact where it is written as it is
    /// read, else the whole text.
    fn within(&self, span: &Range<usize>, part: &str) -> Range<usize> {
        let written = self.source.get(span.clone()).unwrap_or_default();
        match written.find(part) {
            Some(at) => span.start + at..span.start + at + part.len(),
            None => span.clone(),
        }
    }
}
