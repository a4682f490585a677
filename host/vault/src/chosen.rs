//! What a policy chose within its grant, on its way to the request.
//!
//! It travels with the [`Note`](crate::Note) and is held against the grant twice:
//! when the note is made, and by [`Notes::check`](crate::Notes::check) against the
//! grant that is in force then. It is data of the policy's: nothing in it is a
//! secret, and nothing in it is believed.

use crate::grants::{Grant, Terms};
use crate::holes::Holes;
use crate::jws::{self, Claims};
use crate::sas::ChosenAccess;
use crate::token::SubjectToken;

/// What a policy chose. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub enum Chosen {
    /// Nothing: the grant says everything.
    Nothing,
    /// What goes into the holes of a template.
    Holes(Holes),
    /// What a shared access signature is to allow.
    SharedAccess(ChosenAccess),
    /// For which token of the client's another is to be had.
    OnBehalfOf(SubjectToken),
    /// What a token says beside what the grant does.
    Claims(Box<Claims>),
}

/// What was chosen is not what the grant allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what the policy chose is not what its grant allows")]
pub struct OtherChoice;

impl Chosen {
    /// Whether the grant allows it.
    pub(crate) fn fits(&self, grant: &Grant) -> Result<(), OtherChoice> {
        match (&grant.terms, self) {
            (Terms::Attach(placement), Self::Nothing) => placement.allows(&Holes::default()),
            (Terms::Attach(placement), Self::Holes(holes)) => placement.allows(holes),
            (Terms::SharedAccess(terms), Self::SharedAccess(chosen)) => terms.allows(chosen),
            // A signature without permissions would be good for nothing.
            (Terms::SharedAccess(_), _) => Err(OtherChoice),
            (Terms::Token(token), chosen) => {
                let is_subject = matches!(chosen, Self::OnBehalfOf(_));
                let is_nothing = matches!(chosen, Self::Nothing);
                match token.flow.needs_subject() {
                    true if is_subject => Ok(()),
                    false if is_nothing => Ok(()),
                    _ => Err(OtherChoice),
                }
            }
            (Terms::JwsSign(terms), Self::Claims(claims)) => {
                jws::choose(terms, claims).map(|_| ()).ok_or(OtherChoice)
            }
            (Terms::JwsSign(_), Self::Nothing) => Err(OtherChoice),
            (_, Self::Nothing) => Ok(()),
            (_, Self::Holes(_) | Self::Claims(_) | Self::SharedAccess(_) | Self::OnBehalfOf(_)) => {
                Err(OtherChoice)
            }
        }
    }
}
