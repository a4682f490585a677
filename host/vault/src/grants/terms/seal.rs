//! What belongs to sealing and opening a policy's own data.

use keyward_names::Alias;

use crate::grants::parse::GrantReader;

/// Who can open what is sealed: the policy itself, or all whose grants of the same
/// secret have the same name here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sealing {
    /// The name under which the data are shared; none for the policy's own. It is
    /// bound to the data: what was sealed under one name opens under no other.
    pub shared_as: Option<Alias>,
}

impl Sealing {
    /// With whom, for a sentence: `; every policy whose grant says shared-as …`.
    pub(in crate::grants) fn in_words(&self, others: &str) -> String {
        match &self.shared_as {
            None => "; no other policy's".to_owned(),
            Some(name) => format!(
                "; every policy with a grant of it that says shared-as = \"{name}\" {others}"
            ),
        }
    }

    /// What a change of it does.
    pub(in crate::grants) fn instead_of(&self, before: &Self) -> String {
        let text = |sealing: &Self| match &sealing.shared_as {
            None => "the policy's own".to_owned(),
            Some(name) => format!("shared as \"{name}\""),
        };
        format!("the data are {}, not {}", text(self), text(before))
    }
}

impl GrantReader<'_, '_, '_> {
    pub(super) fn sealing(&mut self) -> Option<Sealing> {
        if self.fields.key("shared-as").is_none() {
            return Some(Sealing::default());
        }
        let name = self
            .fields
            .parsed("shared-as", Alias::parse, self.problems)?;
        Some(Sealing {
            shared_as: Some(name.value),
        })
    }
}
