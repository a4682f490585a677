//! What of a program's texts is read once, when the document is loaded.

use std::net::IpAddr;

use keyward_document_program::statements::{Element, Operand, Statements, TextId};
use keyward_document_program::{AttributeName as A, ElementName as E};

use super::checks::ip;
use super::liquid::Template;

/// Templates and addresses, by the numbers of their texts.
#[derive(Debug, Default)]
pub(crate) struct Literals {
    templates: Vec<(u32, Template)>,
    addresses: Vec<(u32, IpAddr)>,
}

impl Literals {
    /// Reads those of a program. Errors: which text is not what it has to be, and why.
    pub(crate) fn new(statements: &Statements) -> Result<Self, String> {
        let mut literals = Self::default();
        for element in statements.elements() {
            let at = || statements.text(element.place.path);
            match element.name {
                E::SetBody => {
                    if let Some(id) = template_of(statements, element) {
                        let template = Template::new(statements.text(id))
                            .map_err(|wrong| format!("the template at {}: {wrong}", at()))?;
                        literals.templates.push((id.0, template));
                    }
                }
                E::Address | E::AddressRange => {
                    let ends = [A::From, A::To].map(|name| statements.field(element, name));
                    for operand in ends.into_iter().flatten().chain(element.text) {
                        let Operand::Text(id) = operand else {
                            continue;
                        };
                        let text = statements.text(id);
                        let address = ip::address(text)
                            .ok_or_else(|| format!("{text:?} at {} is no IP address", at()))?;
                        literals.addresses.push((id.0, address));
                    }
                }
                _ => {}
            }
        }
        literals.templates.sort_by_key(|(id, _)| *id);
        literals.templates.dedup_by_key(|(id, _)| *id);
        literals.addresses.sort_by_key(|(id, _)| *id);
        literals.addresses.dedup_by_key(|(id, _)| *id);
        Ok(literals)
    }

    pub(crate) fn template(&self, id: TextId) -> Option<&Template> {
        let at = self.templates.binary_search_by_key(&id.0, |(id, _)| *id);
        at.ok()
            .and_then(|at| self.templates.get(at))
            .map(|(_, template)| template)
    }

    pub(crate) fn address(&self, id: TextId) -> Option<IpAddr> {
        let at = self.addresses.binary_search_by_key(&id.0, |(id, _)| *id);
        at.ok()
            .and_then(|at| self.addresses.get(at))
            .map(|(_, address)| *address)
    }
}

/// The text of a `set-body` that is a template.
fn template_of(statements: &Statements, element: &Element) -> Option<TextId> {
    let Some(Operand::Text(kind)) = statements.field(element, A::Template) else {
        return None;
    };
    let holder = statements.children_named(element, E::Value).next();
    match (statements.text(kind), holder.unwrap_or(element).text) {
        ("liquid", Some(Operand::Text(id))) => Some(id),
        _ => None,
    }
}
