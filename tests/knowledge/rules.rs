//! What each use shows: to the policy, which is the attacker, and to the backend that a
//! grant names, which is not, but whose answers the attacker reads.

use keyward::vault::KIND_USES;

use crate::attacker::{Attacker, Term};

/// What the policy is shown.
#[derive(Clone, Copy, Debug)]
enum Shown {
    /// Nothing but that it was noted.
    Nothing,
    /// A code of the message that it chose.
    CodeOfChosen,
    /// Whether what it gave is right: nothing that it did not have.
    Answer,
    /// What is no secret: a subject, an account's name, rows.
    Public,
    /// What it gave, in a box.
    Sealed,
    /// What is in the box that it gave, if the key opens it.
    Opened,
    /// A signature of what the host wrote, where a grant says so. The claims that matter
    /// (issuer, audience, time, a number used once) are the host's, so it is a public
    /// statement and no proof of chosen words.
    Statement,
}

/// What the granted backend is sent.
#[derive(Clone, Copy, Debug)]
enum Sent {
    Nothing,
    /// The value itself (class C).
    Value,
    /// Something that whoever has it may use (class B).
    Bearer,
    /// A proof of what the host wrote (class A).
    Proof,
}

/// What a use shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    shown: Shown,
    sent: Sent,
    /// Whether somebody believes what is signed with the key.
    vouches: bool,
}

/// The rule of a cell of the table; `None` if nobody has thought about it.
pub(crate) fn rule_of(kind: &str, use_: &str) -> Option<Rule> {
    let rule = |shown, sent, vouches| {
        Some(Rule {
            shown,
            sent,
            vouches,
        })
    };
    match (use_, kind) {
        ("attach", "api-key" | "basic") => rule(Shown::Nothing, Sent::Value, false),
        ("sign-request", "hmac-key" | "storage-account" | "aws-key") => {
            rule(Shown::Nothing, Sent::Proof, true)
        }
        ("mac-sign", "hmac-key") => rule(Shown::CodeOfChosen, Sent::Nothing, false),
        ("mac-verify", "hmac-key") => rule(Shown::Answer, Sent::Nothing, false),
        ("identify", "client-keys") => rule(Shown::Public, Sent::Nothing, false),
        // What it shows of a token is in the token that it was given. The host is who
        // believes what is signed with the key.
        ("verify-jwt", "hmac-key") => rule(Shown::Answer, Sent::Nothing, true),
        ("token", "oauth-client" | "certificate") => rule(Shown::Nothing, Sent::Bearer, true),
        ("present", "certificate") => rule(Shown::Nothing, Sent::Proof, true),
        ("jws-sign", "certificate") => rule(Shown::Statement, Sent::Proof, true),
        ("sas", "storage-account" | "service-bus") => rule(Shown::Nothing, Sent::Bearer, true),
        ("presign", "aws-key") => rule(Shown::Nothing, Sent::Bearer, true),
        ("seal", "data-key") => rule(Shown::Sealed, Sent::Nothing, false),
        ("open", "data-key") => rule(Shown::Opened, Sent::Nothing, false),
        ("query", "database") => rule(Shown::Public, Sent::Proof, true),
        ("describe", "storage-account" | "service-bus" | "database" | "connection-string") => {
            rule(Shown::Public, Sent::Nothing, false)
        }
        _ => None,
    }
}

/// That a policy may use a key so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grant {
    pub(crate) key: usize,
    pub(crate) use_: &'static str,
}

/// One thing that the attacker does: which key, which use, with what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    key: u8,
    use_: u8,
    choice: u8,
    other: u8,
}

impl From<(u8, u8, u8, u8)> for Step {
    fn from((key, use_, choice, other): (u8, u8, u8, u8)) -> Self {
        Self {
            key,
            use_,
            choice,
            other,
        }
    }
}

/// The world as it is; each flag is something that it must not have.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct World {
    /// A use that gives a key's value.
    pub(crate) export: bool,
    /// A use that puts a key into a box that another key opens.
    pub(crate) wrap: bool,
    /// Boxes are not opened, whatever is granted.
    pub(crate) without_open: bool,
    /// A use that signs what the policy gives, with a key that vouches.
    pub(crate) sign_anything: bool,
    /// Answers are passed on as they are.
    pub(crate) unguarded: bool,
}

impl World {
    /// Does one step, if the product would.
    pub(crate) fn step(
        &self,
        keys: &[&str],
        grants: &[Grant],
        step: &Step,
        attacker: &mut Attacker,
    ) {
        let key = usize::from(step.key) % keys.len();
        // The attacker asks for any use of any key, granted or not.
        let uses = KIND_USES.len() + 3;
        let asked = usize::from(step.use_) % uses;
        let Some(cell) = KIND_USES.get(asked) else {
            self.fictitious(asked - KIND_USES.len(), key, keys, step, attacker);
            return;
        };
        let use_ = cell.use_.as_str();
        let granted = grants
            .iter()
            .any(|grant| grant.key == key && grant.use_ == use_);
        let Some(rule) = rule_of(keys[key], use_).filter(|_| granted) else {
            return;
        };
        if rule.vouches {
            attacker.is_believed(key);
        }
        let chosen = attacker.chooses(step.choice);
        match rule.shown {
            Shown::Nothing | Shown::Answer => {}
            Shown::CodeOfChosen => attacker.sees(Term::Proof(key, Box::new(chosen.clone()))),
            Shown::Public | Shown::Statement => attacker.sees(Term::Public(key)),
            Shown::Sealed => attacker.sees(Term::Sealed(key, Box::new(chosen.clone()))),
            Shown::Opened => match chosen {
                Term::Sealed(own, ref inside) if own == key && !self.without_open => {
                    attacker.sees((**inside).clone());
                }
                _ => {}
            },
        }
        let sent = match rule.sent {
            Sent::Nothing => return,
            Sent::Value => Term::Key(key),
            Sent::Bearer => Term::Bearer(key),
            // It went to whom it was meant for; shown to the attacker it would be worth
            // nothing more.
            Sent::Proof => Term::Public(key),
        };
        // The backend returns it, and the guard takes out what is no proof.
        let passes = self.unguarded || matches!(sent, Term::Public(_));
        if step.other.is_multiple_of(2) && passes {
            attacker.sees(sent);
        }
    }

    /// What is no use at all.
    fn fictitious(
        &self,
        which: usize,
        key: usize,
        keys: &[&str],
        step: &Step,
        attacker: &mut Attacker,
    ) {
        match which {
            0 if self.export => attacker.sees(Term::Key(key)),
            1 if self.wrap => {
                // Under a key of the kind that policies may have boxes opened with.
                if let Some(under) = keys.iter().position(|kind| *kind == "data-key") {
                    attacker.sees(Term::Sealed(under, Box::new(Term::Key(key))));
                }
            }
            2 if self.sign_anything && keys[key] == "certificate" => {
                attacker.is_believed(key);
                let chosen = attacker.chooses(step.choice);
                attacker.sees(Term::Proof(key, Box::new(chosen)));
            }
            _ => {}
        }
    }
}
