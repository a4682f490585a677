//! What names and references in documents and settings stand for.

use keyward::names::{KeyVaultReference, SecretName, ValueName};

use super::node::{Entry, Value};
use super::parse::named;
use super::reader::Table;
use super::{ReferenceSection, ValueSection, ValueText};

pub(crate) fn values(table: &Table<'_>, secrets: &[SecretName]) -> Vec<ValueSection> {
    let Some(all) = table.table("named-values", "[named-values]") else {
        return Vec::new();
    };
    let mut values = Vec::new();
    for Entry { key, span, node } in all.entries() {
        let Some(name) = named::<ValueName>(key, span, table.wrongs) else {
            continue;
        };
        let value = match &node.value {
            Value::Text(text) => Some(ValueText::Plain(text.clone())),
            Value::Table(_) => Table::of("a named value", node, table.wrongs)
                .and_then(|section| secret_of(section, secrets).map(ValueText::Secret)),
            _ => {
                let message = format!("a named value is a string, not {}", node.what());
                let help = "a secret one is written { secret = \"NAME\" }";
                table.wrongs.add_help(&node.span, message, help);
                None
            }
        };
        values.extend(value.map(|value| ValueSection { name, value }));
    }
    values
}

/// The Key Vault references that a document may hold.
pub(crate) fn references(table: &Table<'_>, secrets: &[SecretName]) -> Vec<ReferenceSection> {
    let Some(all) = table.table("references", "[references]") else {
        return Vec::new();
    };
    let mut references: Vec<ReferenceSection> = Vec::new();
    for Entry { key, span, node } in all.entries() {
        let reference = match KeyVaultReference::parse(key) {
            Ok(reference) => reference,
            Err(error) => {
                let help = "write it as the document does";
                table.wrongs.add_help(span, error.to_string(), help);
                continue;
            }
        };
        let Some(section) = Table::of("a reference", node, table.wrongs) else {
            continue;
        };
        let secret = secret_of(section, secrets);
        references.extend(secret.map(|secret| ReferenceSection { reference, secret }));
    }
    references
}

/// The `secret` of a section that has nothing else: one of the suite's.
fn secret_of(section: Table<'_>, secrets: &[SecretName]) -> Option<SecretName> {
    let secret = section.parsed::<SecretName>("secret");
    if section.get("secret").is_none() {
        section.missing("secret", "\"stripe\"");
    }
    let wrongs = section.wrongs;
    section.finish();
    let secret = secret?;
    if !secrets.contains(&secret.value) {
        let message = format!("there is no secret \"{}\"", secret.value);
        wrongs.add(&secret.span, message);
    }
    Some(secret.value)
}
