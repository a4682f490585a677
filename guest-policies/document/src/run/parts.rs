//! JSON of variables and cached values as bytes: a row of parts, so that what is deep takes
//! no more of the stack to write and to read than what is flat.

use std::rc::Rc;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::stored::Stored;
use crate::evaluate::json::{self, Body, Scalar, Token};
use crate::evaluate::{Budget, Exception, Outcome};

/// A part, before those in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Part {
    /// An array of so many.
    Array(usize),
    /// An object of so many properties.
    Object(usize),
    /// A property, whose value follows.
    Property(Arc<str>),
    /// A whole number that no `long` holds, as its digits.
    Large(Arc<str>),
    /// `undefined`.
    Undefined,
    /// Any other simple value.
    Simple(Stored),
}

/// A token as its parts.
pub(crate) fn of(token: &Token) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = vec![Rc::clone(token)];
    while let Some(token) = rest.pop() {
        parts.push(match &*token.body.borrow() {
            Body::Array(all) => {
                rest.extend(all.iter().rev().cloned());
                Part::Array(all.len())
            }
            Body::Object(all) => {
                rest.extend(all.iter().rev().cloned());
                Part::Object(all.len())
            }
            Body::Property(name, value) => {
                rest.push(Rc::clone(value));
                Part::Property(Arc::clone(name))
            }
            Body::Scalar(Scalar::Large(digits)) => Part::Large(Arc::clone(digits)),
            Body::Scalar(Scalar::Undefined) => Part::Undefined,
            Body::Scalar(scalar) => {
                let value = Stored::of(&json::value_of(scalar));
                Part::Simple(value.unwrap_or(Stored::Null))
            }
        });
    }
    parts
}

/// What is not complete yet.
enum Open {
    /// How many are missing.
    Array(usize, Token),
    Object(usize, Vec<(String, Token)>),
    Property(Arc<str>),
}

/// The token of these parts. Errors: they are none.
pub(crate) fn token(parts: &[Part], budget: &mut Budget) -> Outcome<Token> {
    let mut open: Vec<Open> = Vec::new();
    for part in parts {
        let mut complete = match part {
            Part::Array(0) => json::array(),
            Part::Array(count) => {
                open.push(Open::Array(*count, json::array()));
                continue;
            }
            Part::Object(0) => json::object(),
            Part::Object(count) => {
                open.push(Open::Object(*count, Vec::new()));
                continue;
            }
            Part::Property(name) => {
                open.push(Open::Property(Arc::clone(name)));
                continue;
            }
            Part::Large(digits) => json::scalar_token(Scalar::Large(Arc::clone(digits))),
            Part::Undefined => json::scalar_token(Scalar::Undefined),
            Part::Simple(stored) => json::token_of(budget, stored.value()?)?,
        };
        // It may be the last that is missing in what it is in, and so on.
        loop {
            complete = match open.pop() {
                None => return Ok(complete),
                Some(Open::Array(missing, array)) => {
                    json::push(budget, &array, complete)?;
                    if missing > 1 {
                        open.push(Open::Array(missing - 1, array));
                        break;
                    }
                    array
                }
                Some(Open::Property(name)) => match open.pop() {
                    Some(Open::Object(missing, mut all)) => {
                        all.push((name.to_string(), complete));
                        if missing > 1 {
                            open.push(Open::Object(missing - 1, all));
                            break;
                        }
                        json::object_of(budget, all)?
                    }
                    other => {
                        open.extend(other);
                        json::property(budget, &name, complete)?
                    }
                },
                Some(Open::Object(..)) => return Err(Exception::Program),
            };
        }
    }
    Err(Exception::Program)
}
