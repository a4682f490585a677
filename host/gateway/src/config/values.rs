//! Named values in `keyward.toml`: `{{name}}` in the texts of a parsed file.
//!
//! What is read before the vault is open (`[vault]`, `[audit]`, `[control]`,
//! `[grants]`), where secrets come from (`[sources]`, `[documents]`) and what others
//! refer to (`name`) can't hold one. A secret value stands only as the whole of a policy's setting, and is bound later, see
//! [`super::bind`].

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use keyward::document::named_values::{
    Expanded, Lookup, NamedValues, ValueError, expand, have_fetched, places, whole,
};
use keyward::names::{KeyVaultReference, SecretName, SourceName, ValueName};
use keyward::vault::{NamedValue, Reference, ReferenceError, SecretInfo, Vault};
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
    /// A secret in a source.
    Reference(Reference),
}

/// The named values at one moment, and which secrets come from sources.
#[derive(Clone, Debug, Default)]
pub struct Values {
    values: BTreeMap<ValueName, Known>,
    /// By reference, `SOURCE:KEY`.
    fetched: BTreeMap<String, Vec<SecretName>>,
}

impl FromIterator<(ValueName, Known)> for Values {
    fn from_iter<I: IntoIterator<Item = (ValueName, Known)>>(values: I) -> Self {
        Self {
            values: values.into_iter().collect(),
            fetched: BTreeMap::new(),
        }
    }
}

impl From<&NamedValue> for Known {
    fn from(value: &NamedValue) -> Self {
        match value {
            NamedValue::Plain(text) => Self::Plain(text.clone()),
            NamedValue::Secret(secret) => Self::Secret(secret.clone()),
            NamedValue::Reference(reference) => Self::Reference(reference.clone()),
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
            ValueText::Reference(text) => Self::Reference(text.parse()?),
        })
    }
}

impl Values {
    /// Those of a vault.
    pub fn of(vault: &Vault) -> Self {
        let values = vault.values().into_iter();
        let values: Self = values
            .map(|info| (info.name, Known::from(&info.value)))
            .collect();
        let secrets = vault.list();
        values.with_secrets(&secrets)
    }

    /// The same, where these are the secrets that there are.
    pub fn with_secrets(mut self, secrets: &[SecretInfo]) -> Self {
        for secret in secrets {
            if let Some(origin) = &secret.origin {
                self.fetch(secret.name.clone(), &origin.reference);
            }
        }
        self
    }

    /// A secret gets its values from there.
    pub(super) fn fetch(&mut self, secret: SecretName, from: &Reference) {
        let names = self.fetched.entry(from.to_string()).or_default();
        names.push(secret);
    }

    /// The secret that gets its values from there.
    ///
    /// Errors: none does, or several do, in words and with what to do.
    pub(super) fn fetched_for(
        &self,
        reference: &Reference,
    ) -> Result<&SecretName, (String, String)> {
        let written = reference.to_string();
        let names = self.fetched.get(&written).map(Vec::as_slice);
        match names.unwrap_or_default() {
            [one] => Ok(one),
            [] => Err((
                format!("no secret gets its values from {written}"),
                have_fetched(&written),
            )),
            several => {
                let names: Vec<&str> = several.iter().map(SecretName::as_str).collect();
                Err((
                    format!("several secrets get their values from {written}"),
                    format!(
                        "say which is meant with a named value: keyward value set NAME --secret, with one of {}",
                        names.join(", ")
                    ),
                ))
            }
        }
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<(&ValueName, &Known)> {
        let name = ValueName::parse(name).ok()?;
        self.values.get_key_value(&name)
    }
}

impl NamedValues for Values {
    fn look_up(&self, name: &str) -> Lookup {
        match self.get(name) {
            Some((_, Known::Plain(text))) => Lookup::Plain(text.clone()),
            Some((_, Known::Secret(secret))) => Lookup::Secret(secret.to_string()),
            Some((_, Known::Reference(reference))) => Lookup::Reference {
                reference: reference.to_string(),
                secret: self.fetched_for(reference).ok().map(ToString::to_string),
            },
            None => {
                let known = self.values.keys().map(|known| known.as_str());
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
    /// The sources that are key vaults.
    pub(super) vaults: Vec<ListedVault>,
    /// Settings that are a secret value, by the start of their text.
    pub(super) secrets: HashMap<usize, (String, SecretName)>,
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
    writer.marks.vaults = key_vaults(table);
    for (key, value) in table.iter_mut() {
        match key.get_ref().as_ref() {
            section @ ("vault" | "audit" | "control" | "grants") => {
                let why = format!("[{section}] is read before the vault is open");
                writer.refuse(value, &why);
            }
            "sources" | "documents" => {
                writer.refuse(value, "what secrets come from is written out");
            }
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

/// A source that is a key vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedVault {
    /// What the source is called.
    pub name: SourceName,
    /// The vault's host.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// The key vaults of `[sources]`, as far as they are written as they should be.
/// Sections hold no named values, so that this is known before any is put in.
fn key_vaults(table: &DeTable<'_>) -> Vec<ListedVault> {
    let Some(DeValue::Table(sources)) = table.get("sources").map(Spanned::get_ref) else {
        return Vec::new();
    };
    let text = |section: &DeTable<'_>, key: &str| match section.get(key)?.get_ref() {
        DeValue::String(text) => Some(text.to_string()),
        _ => None,
    };
    let vault = |name: &str, section: &DeValue<'_>| {
        let DeValue::Table(section) = section else {
            return None;
        };
        let is_one = text(section, "kind")? == "key-vault";
        let (host, port) = host_of(&text(section, "vault")?)?;
        let name = SourceName::parse(name).ok()?;
        is_one.then_some(ListedVault { name, host, port })
    };
    let sections = sources.iter();
    sections
        .filter_map(|(name, section)| vault(name.get_ref(), section.get_ref()))
        .collect()
}

/// What a Key Vault reference is here.
///
/// Errors: no source is its vault, or several are, in words and with what to do.
pub(super) fn listed(
    vaults: &[ListedVault],
    reference: &KeyVaultReference,
) -> Result<Reference, (String, String)> {
    let listed = vaults.iter();
    let listed = listed.map(|vault| (&vault.name, vault.host.as_str(), vault.port));
    let source = reference.source(listed);
    let source = source.map_err(|error| (error.to_string(), error.help()))?;
    Reference::new(source.clone(), &reference.key())
        .map_err(|error| (error.to_string(), String::new()))
}

/// The host and the port of an `https` URL.
fn host_of(url: &str) -> Option<(String, u16)> {
    let uri: http::Uri = url.parse().ok()?;
    let port = uri.port_u16().unwrap_or(443);
    (uri.scheme_str() == Some("https")).then_some((uri.host()?.to_owned(), port))
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
            let written = |name: &ValueName| format!("the named value \"{name}\"");
            match (found, value.get_ref()) {
                (Some((name, Known::Secret(secret))), _) => {
                    let both = (written(name), secret.clone());
                    self.marks.secrets.insert(value.span().start, both);
                }
                (Some((name, Known::Reference(reference))), _) => {
                    let (name, reference) = (written(name), reference.clone());
                    self.bind(&name, &reference, value.span());
                }
                (None, DeValue::String(text)) if KeyVaultReference::is_meant_by(text) => {
                    self.reference(text, value.span());
                }
                _ => self.value(value),
            }
        }
    }

    /// A setting that is a reference: it stands for the secret that comes from there.
    fn bind(&mut self, written: &str, reference: &Reference, span: Range<usize>) {
        let Some(values) = self.values else {
            return;
        };
        match values.fetched_for(reference) {
            Ok(secret) => {
                let both = (written.to_owned(), secret.clone());
                self.marks.secrets.insert(span.start, both);
            }
            Err((message, help)) => {
                let message = format!("{written} is a reference, and {message}");
                self.findings.add_with_help(span.clone(), message, help);
                self.findings.leave_out(&span);
            }
        }
    }

    /// A setting that is written as a Key Vault reference.
    fn reference(&mut self, text: &str, span: Range<usize>) {
        let key_vault = match KeyVaultReference::parse(text) {
            Ok(reference) => reference,
            Err(errors) => {
                for mistake in errors.iter() {
                    let part = text.get(mistake.span.clone()).unwrap_or_default();
                    let at = self.within(&span, part);
                    self.findings.add(at, mistake.fault.to_string());
                }
                return self.findings.leave_out(&span);
            }
        };
        match listed(&self.marks.vaults, &key_vault) {
            Ok(reference) if self.values.is_some() => {
                self.bind(&format!("{reference}"), &reference, span);
            }
            Ok(reference) => {
                self.marks.unresolved.push(Unresolved {
                    name: reference.to_string(),
                    span: span.clone(),
                    steers: false,
                });
                self.findings.leave_out(&span);
            }
            Err((message, help)) => {
                self.findings.add_with_help(span.clone(), message, help);
                self.findings.leave_out(&span);
            }
        }
    }

    /// Reports a text with a Key Vault reference in it, where only a text can
    /// stand: what asks for a secret is never used as it is.
    fn refuse_reference(&self, text: &str, span: &Range<usize>) -> bool {
        let found = KeyVaultReference::is_meant_by(text);
        if found {
            self.findings.add_with_help(
                span.clone(),
                "a Key Vault reference can't stand here",
                "it can be the whole of a policy's setting in which the policy names a secret's alias",
            );
            self.findings.leave_out(span);
        }
        found
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
        if self.refuse_reference(text, &span) {
            return None;
        }
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
                if self.refuse_reference(&expanded, &span) {
                    return None;
                }
                let names = places(text).map(|place| format!("{:?}", place.name));
                let names = names.collect::<Vec<_>>().join(" and ");
                self.findings.comes_from(span, names);
                Some(expanded)
            }
            Ok(_) => None,
            Err(errors) => {
                for (at, error) in errors {
                    let help = match &error {
                        ValueError::Secret { secret, .. }
                        | ValueError::Reference {
                            secret: Some(secret),
                            ..
                        } => format!(
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
                self.refuse_reference(text, &value.span());
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
