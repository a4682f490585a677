//! From `<set-variable>` to a checked step. A variable can stand for a secret: the
//! value is a named value that is one, or a Key Vault reference that the operator
//! lists, and nothing around it. Other variables are not supported yet.

use keyward_names::KeyVaultReference;

use crate::error::Problem;
use crate::named_values::{Lookup, Requested, ValueError, have_fetched, whole};
use crate::parse::Interpreter;
use crate::tree::{Attribute, Element, SPACE};
use crate::{Position, SetVariable};

/// The longest name of a variable, in characters.
const MAX_NAME: usize = 128;

impl SetVariable {
    /// The variable.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The secret of the vault that it stands for.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// Where the step stands.
    pub fn position(&self) -> &Position {
        &self.position
    }
}

impl Interpreter<'_, '_> {
    pub(crate) fn set_variable(&mut self, mut element: Element) -> Option<SetVariable> {
        let [name, value] = self.attributes(&mut element, "set-variable", ["name", "value"]);
        let position = self.reporter.source.position(element.tag.clone());
        let (tag, damaged) = (element.tag.clone(), element.damaged);
        self.nothing_inside(element, "<set-variable>");
        let example = "<set-variable name=\"…\" value=\"{{…}}\"/>";
        let mut required = |found, attribute| {
            self.required(found, &tag, damaged, "set-variable", attribute, example)
        };
        let (name, value) = (required(name, "name"), required(value, "value"));
        let name = name.and_then(|name| self.variable_name(&name));
        let secret = value.and_then(|value| self.secret_of(&value));
        Some(SetVariable {
            name: name?,
            secret: secret?,
            position,
        })
    }

    fn variable_name(&mut self, attribute: &Attribute) -> Option<String> {
        let text = self.literal(&attribute.value, &attribute.value_at)?;
        let length = (1..=MAX_NAME).contains(&text.chars().count());
        if length && !text.chars().any(char::is_control) {
            return Some(text.into_owned());
        }
        let rule = "has to have 1 to 128 characters, and no control characters";
        let at = attribute.value_at.clone();
        self.report(Problem::Content { what: "name", rule }, at, "shorten it");
        None
    }

    /// The secret that a value stands for.
    fn secret_of(&mut self, attribute: &Attribute) -> Option<String> {
        let at = &attribute.value_at;
        let text = attribute.value.trim_matches(SPACE);
        if let Ok(reference) = KeyVaultReference::parse(text) {
            return match self.values.request(&reference) {
                Requested::Secret(secret) => Some(secret),
                Requested::Later => {
                    self.complete = false;
                    None
                }
                Requested::Refused { why, help } => {
                    self.report(Problem::Request(why), at.clone(), help);
                    None
                }
            };
        }
        match whole(text).map(|name| (name, self.values.look_up(name))) {
            Some((
                _,
                Lookup::Secret(secret)
                | Lookup::Reference {
                    secret: Some(secret),
                    ..
                },
            )) => return Some(secret),
            Some((name, Lookup::Reference { reference, .. })) => {
                let help = have_fetched(&reference);
                let error = ValueError::Reference {
                    name: name.to_owned(),
                    reference,
                    secret: None,
                };
                self.report(Problem::NamedValue(error), at.clone(), help);
                return None;
            }
            _ => {}
        }
        // An expression, a reference with mistakes or with something around it, and
        // what is to be looked up later are told by the reader of texts.
        self.literal(&attribute.value, at)?;
        let help = "write {{name}} of a named value that is secret, or @Microsoft.KeyVault(…); have a policy written in Rust set other variables (<wasm-policy>)";
        self.report(Problem::Variable, at.clone(), help);
        None
    }
}
