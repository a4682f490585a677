//! Liquid templates of `set-body` are written here, with dates as .NET formats them; dates in
//! Ruby's format are not there.
//!
//! A template is read once, when a document is loaded.

mod filters;
mod render;
mod world;

use std::sync::Arc;

use keyward_document_program::liquid;

use crate::evaluate::json::{self, Body, Scalar, Token};
use crate::evaluate::{Budget, Exception, Outcome, Value, json_text, numbers};

pub(crate) use render::World;

/// A template that was read.
#[derive(Debug)]
pub(crate) struct Template(Vec<liquid::Node>);

impl Template {
    /// Reads a template. Errors: what in it is not understood, for its author.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let read = liquid::template(text).map(Self);
        read.map_err(|error| error.in_words(text).to_string())
    }

    /// Writes the template with what `world` knows. Errors: the budget is used up.
    pub(crate) fn render(&self, world: &dyn World, budget: &mut Budget) -> Outcome<String> {
        render::render(&self.0, world, budget)
    }
}

/// A value in a template.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Arc<str>),
    List(Arc<[Item]>),
    Map(Arc<[(Arc<str>, Item)]>),
    /// An entry of a map.
    Entry(Arc<(Arc<str>, Item)>),
    /// A part of the exchange, whose members are asked for when they are needed.
    Live(Live),
}

/// A part of the exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Live {
    Context,
    Request,
    Response,
    RequestUrl,
    OriginalUrl,
    RequestQuery,
    OriginalQuery,
    RequestHeaders,
    ResponseHeaders,
    Parameters,
    Variables,
}

impl Item {
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(text.into())
    }

    /// A value of an expression; what has no meaning in a template is nil.
    pub(crate) fn of(budget: &mut Budget, value: &Value) -> Outcome<Self> {
        Ok(match value {
            Value::Null => Self::Nil,
            Value::Bool(value) => Self::Bool(*value),
            Value::Int(value) => Self::Int(i64::from(*value)),
            Value::Long(value) => Self::Int(*value),
            Value::Double(value) => Self::Float(*value),
            Value::Text(text) | Value::Uri(text) => Self::text(text),
            Value::Strings(all) => all.iter().map(|text| Self::text(text)).collect(),
            Value::Json(token) => Self::json(budget, token)?,
            other => Self::Text(other.shown(budget)?.into()),
        })
    }

    /// Of JSON.
    pub(crate) fn json(budget: &mut Budget, token: &Token) -> Outcome<Self> {
        budget.bytes(16)?;
        let body = token.body.borrow();
        Ok(match &*body {
            Body::Array(all) => {
                let mut items = Vec::with_capacity(all.len());
                for item in all {
                    items.push(Self::json(budget, item)?);
                }
                Self::List(items.into())
            }
            Body::Object(all) => {
                let mut entries = Vec::with_capacity(all.len());
                for property in all {
                    let name = json::name_of(property);
                    let name = Arc::from(name.as_deref().unwrap_or_default());
                    entries.push((name, Self::json(budget, &json::of_property(property))?));
                }
                Self::Map(entries.into())
            }
            Body::Property(_, value) => Self::json(budget, value)?,
            Body::Scalar(scalar) => Self::scalar(budget, token, scalar)?,
        })
    }

    #[inline(never)]
    fn scalar(budget: &mut Budget, token: &Token, scalar: &Scalar) -> Outcome<Self> {
        match scalar {
            // A date stays as it was written.
            Scalar::Date(_) => {
                let written = json_text::written(budget, token, false)?;
                Ok(Self::text(written.trim_matches('"')))
            }
            _ => Self::of(budget, &json::value_of(scalar)),
        }
    }

    /// nil and false are not.
    fn is_true(&self) -> bool {
        !matches!(self, Self::Nil | Self::Bool(false))
    }

    /// As it stands in the output.
    fn shown(&self, budget: &mut Budget) -> Outcome<String> {
        let mut out = String::new();
        self.show(budget, &mut out)?;
        Ok(out)
    }

    fn show(&self, budget: &mut Budget, out: &mut String) -> Outcome<()> {
        budget.step()?;
        match self {
            Self::Nil | Self::Live(_) => {}
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Int(value) => out.push_str(&value.to_string()),
            Self::Float(value) => out.push_str(&numbers::shown(*value)),
            Self::Text(text) => {
                budget.bytes(text.len())?;
                out.push_str(text);
            }
            Self::List(all) => {
                for item in all.iter() {
                    item.show(budget, out)?;
                }
            }
            Self::Map(all) => {
                for (name, item) in all.iter() {
                    budget.bytes(name.len())?;
                    out.push_str(name);
                    item.show(budget, out)?;
                }
            }
            Self::Entry(entry) => {
                budget.bytes(entry.0.len())?;
                out.push_str(&entry.0);
                entry.1.show(budget, out)?;
            }
        }
        Ok(())
    }

    fn number(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "as .NET converts it")]
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            Self::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    fn int(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            #[expect(clippy::cast_possible_truncation, reason = "parts are dropped")]
            other => other.number().map(|number| number as i64),
        }
    }
}

impl FromIterator<Item> for Item {
    fn from_iter<I: IntoIterator<Item = Item>>(items: I) -> Self {
        Self::List(items.into_iter().collect())
    }
}

/// A fault of a template that runs: a number where it has none.
const UNFIT: Exception = Exception::Argument;

#[cfg(test)]
mod tests;
