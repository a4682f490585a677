//! Scopes: `<base/>` and what is in force after it has been replaced.

use keyward_names::PolicyName;
use serde_json::Value;

use crate::{Document, Phase, Position, SetHeader, Step};

/// What is in force: a document with each `<base/>` replaced by the steps of
/// the next broader scope. Holds no [`Step::Base`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effective {
    phases: [Vec<Step>; 4],
    dropped: Vec<Dropped>,
}

/// A section of a broader scope that is out of force because the document has
/// no section of that name at all. Legal, and more often an oversight than not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The section.
    pub phase: Phase,
    /// The first of the steps that are out of force.
    pub first: Position,
    /// How many there are.
    pub steps: usize,
}

/// One run of a policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Which policy.
    pub policy: PolicyName,
    /// The settings that the document gives it; none for `<wasm-policy>`, whose
    /// settings stand in the gateway's configuration.
    pub settings: Option<Value>,
    /// Where the step, or the first of the steps that became this call, stands.
    pub position: Position,
}

impl Effective {
    /// The steps of a phase, in the order in which they run.
    pub fn phase(&self, phase: Phase) -> &[Step] {
        self.phases
            .get(phase.index())
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// The policies that a phase runs, in order: neighbouring `<set-header>`s
    /// are one run of [`SetHeader::POLICY`].
    pub fn calls(&self, phase: Phase) -> Vec<Call> {
        let mut calls = Vec::new();
        let both_set_headers =
            |a: &Step, b: &Step| matches!((a, b), (Step::SetHeader(_), Step::SetHeader(_)));
        // A variable that stands for a secret runs nothing.
        let runs = |step: &&Step| step.as_set_variable().is_none();
        let steps: Vec<&Step> = self.phase(phase).iter().filter(runs).collect();
        for group in steps.chunk_by(|a, b| both_set_headers(a, b)) {
            let headers: Vec<&SetHeader> = group
                .iter()
                .filter_map(|step| step.as_set_header())
                .collect();
            let first = group.first().map(|step| step.position().clone());
            if let (Some(position), false) = (first, headers.is_empty()) {
                calls.push(Call {
                    policy: PolicyName::parse(SetHeader::POLICY)
                        .expect("the constant is a policy name: see the tests"),
                    settings: Some(SetHeader::to_settings(headers)),
                    position,
                });
                continue;
            }
            for step in group {
                if let Step::Policy { name, position } = step {
                    calls.push(Call {
                        policy: name.clone(),
                        settings: None,
                        position: position.clone(),
                    });
                }
            }
        }
        calls
    }

    /// Sections of broader scopes that the document left out of force by not
    /// having them. Worth a warning when a document is loaded.
    pub fn dropped(&self) -> &[Dropped] {
        &self.dropped
    }
}

impl Document {
    /// What is in force where this document is the narrowest scope and `outer`
    /// the next broader one, itself without a broader one.
    ///
    /// Section by section, each `<base/>` is replaced by the outer section's
    /// steps. A section without `<base/>` inherits nothing, and neither does one
    /// that is absent. Without an outer document `<base/>` stands for nothing.
    pub fn splice(&self, outer: Option<&Document>) -> Effective {
        self.splice_onto(&outer.map(|outer| outer.splice(None)).unwrap_or_default())
    }

    /// The same where the outer scope is itself spliced from several.
    pub fn splice_onto(&self, outer: &Effective) -> Effective {
        let mut effective = Effective {
            phases: Default::default(),
            dropped: outer.dropped.clone(),
        };
        for (phase, steps) in Phase::ALL.into_iter().zip(&mut effective.phases) {
            let inherited = outer.phase(phase);
            match self.section(phase) {
                Some(section) => {
                    for step in section.steps() {
                        match step {
                            Step::Base(_) => steps.extend_from_slice(inherited),
                            other => steps.push(other.clone()),
                        }
                    }
                }
                None => effective
                    .dropped
                    .extend(inherited.first().map(|first| Dropped {
                        phase,
                        first: first.position().clone(),
                        steps: inherited.len(),
                    })),
            }
        }
        effective
    }
}
