//! Operands: attributes and texts of elements as values.

use std::sync::Arc;

use keyward_document_program::AttributeName;
use keyward_document_program::statements::{Element, Operand};

use super::Runner;
use super::context::{self, Scope};
use super::error::{self, Stop};
use crate::evaluate::{Budget, Exception, Thrown, Value, evaluate, shown, to_long};

/// An operand: a value, or a secret's alias.
#[derive(Clone, Debug)]
pub(crate) enum Given<'p> {
    Value(Value),
    Secret(&'p str),
}

impl<'p, 'e> Runner<'p, 'e> {
    /// The exchange, as expressions see it.
    pub(crate) fn scope(&self) -> Scope<'_, 'e> {
        Scope {
            exchange: self.exchange,
            surroundings: self.program.statements.surroundings(),
            state: &self.state,
            line: &self.line,
            bodies: &self.bodies,
            subject: &self.subject,
        }
    }

    /// Evaluates with what expressions see, at the cost of the call's budget.
    fn evaluated<T>(&mut self, evaluate: impl FnOnce(&Scope<'_, 'e>, &mut Budget) -> T) -> T {
        let mut budget = self.budget.clone();
        let value = evaluate(&self.scope(), &mut budget);
        self.budget = budget;
        value
    }

    /// An operand's value, or the secret that it is. Errors: its expression throws.
    pub(crate) fn given(&mut self, element: &Element, operand: Operand) -> Result<Given<'p>, Stop> {
        let program = self.program;
        let statements = &program.statements;
        let secret = |id| Given::Secret(statements.secret(id).unwrap_or_default());
        Ok(match operand {
            Operand::Text(id) => Given::Value(Value::Text(statements.shared(id))),
            Operand::Bool(value) => Given::Value(Value::Bool(value)),
            Operand::Int(value) => Given::Value(Value::Long(value)),
            Operand::Expression(id) => {
                let value = self
                    .evaluated(|scope, budget| evaluate(&program.expressions, id, scope, budget));
                Given::Value(value.map_err(|thrown| self.thrown(element, &thrown))?)
            }
            Operand::Secret(id) => secret(id),
            Operand::SecretVariable(name, id) => {
                if self.state.is_secret(statements.text(name)) {
                    secret(id)
                } else {
                    Given::Value(Value::Null)
                }
            }
        })
    }

    /// An operand's value. Errors: its expression throws, or it is a secret.
    pub(crate) fn value(&mut self, element: &Element, operand: Operand) -> Result<Value, Stop> {
        match self.given(element, operand)? {
            Given::Value(value) => Ok(value),
            Given::Secret(_) => Err(self.throws(element, Exception::Secret)),
        }
    }

    /// An attribute, if it is there.
    pub(crate) fn attribute(
        &mut self,
        element: &Element,
        name: AttributeName,
    ) -> Result<Option<Value>, Stop> {
        match self.program.statements.field(element, name) {
            Some(operand) => self.value(element, operand).map(Some),
            None => Ok(None),
        }
    }

    /// A value as `ToString` shows it; `None` of `null`.
    pub(crate) fn shown(
        &mut self,
        element: &Element,
        value: &Value,
    ) -> Result<Option<Arc<str>>, Stop> {
        match value {
            Value::Null => return Ok(None),
            Value::Text(text) => return Ok(Some(Arc::clone(text))),
            _ => {}
        }
        match self.evaluated(|scope, budget| shown(value, scope, budget)) {
            Ok(text) => Ok(Some(text)),
            Err(exception) => Err(self.throws(element, exception)),
        }
    }

    /// An attribute as a text; `None` if it is not there or `null`.
    pub(crate) fn text(
        &mut self,
        element: &Element,
        name: AttributeName,
    ) -> Result<Option<Arc<str>>, Stop> {
        match self.program.statements.field(element, name) {
            Some(operand) => self.text_of(element, operand),
            None => Ok(None),
        }
    }

    /// An operand as a text; `None` of `null`. Errors: as of [`value`](Self::value).
    fn text_of(&mut self, element: &Element, operand: Operand) -> Result<Option<Arc<str>>, Stop> {
        // Nearly all are literals.
        if let Operand::Text(id) = operand {
            return Ok(Some(self.program.statements.shared(id)));
        }
        let value = self.value(element, operand)?;
        self.shown(element, &value)
    }

    /// An attribute as a text. Errors: it is not there or `null`.
    pub(crate) fn required(
        &mut self,
        element: &Element,
        name: AttributeName,
    ) -> Result<Arc<str>, Stop> {
        self.text(element, name)?
            .ok_or_else(|| self.unfit(element, name.as_str(), "a text"))
    }

    /// An attribute as a truth. Errors: it is none.
    pub(crate) fn bool(
        &mut self,
        element: &Element,
        name: AttributeName,
    ) -> Result<Option<bool>, Stop> {
        let Some(value) = self.attribute(element, name)? else {
            return Ok(None);
        };
        let truth = match &value {
            Value::Bool(value) => Some(*value),
            Value::Text(_) | Value::Json(_) => {
                let text = self.shown(element, &value)?.unwrap_or_default();
                match text.trim() {
                    text if text.eq_ignore_ascii_case("true") => Some(true),
                    text if text.eq_ignore_ascii_case("false") => Some(false),
                    _ => None,
                }
            }
            _ => None,
        };
        match truth {
            Some(truth) => Ok(Some(truth)),
            None => Err(self.unfit(element, name.as_str(), "true or false")),
        }
    }

    /// An attribute as a whole number. Errors: it is none.
    pub(crate) fn int(
        &mut self,
        element: &Element,
        name: AttributeName,
    ) -> Result<Option<i64>, Stop> {
        let Some(value) = self.attribute(element, name)? else {
            return Ok(None);
        };
        match to_long(&value) {
            Some(number) => Ok(Some(number)),
            None => Err(self.unfit(element, name.as_str(), "a whole number")),
        }
    }

    /// An element's text; `None` if it has none, or `null`.
    pub(crate) fn content(&mut self, element: &Element) -> Result<Option<Arc<str>>, Stop> {
        match element.text {
            Some(operand) => self.text_of(element, operand),
            None => Ok(None),
        }
    }

    /// Sets a variable. Errors: a value of that sort can't be kept.
    pub(crate) fn set_variable(
        &mut self,
        element: &Element,
        name: &str,
        value: Value,
    ) -> Result<(), Stop> {
        let of = value.type_of().name();
        self.trace_variable(name, &value);
        if self.state.set_variable(name, value) {
            return Ok(());
        }
        let message = format!(
            "a variable can't hold a {of}, which is a part of the request or the response: take \
             what you need of it as a text"
        );
        Err(self.broken(element, 500, error::EXPRESSION, &message, &message))
    }

    /// Who calls, by the key of a client; `None` if the document does not know.
    pub(crate) fn subject(&mut self, element: &Element) -> Result<Option<String>, Stop> {
        let surroundings = self.program.statements.surroundings();
        context::identify(self.exchange, surroundings, &self.subject)
            .map_err(|failure| self.refused(element, "who calls", failure))
    }

    /// The statement threw outside of an expression.
    pub(crate) fn throws(&self, element: &Element, exception: Exception) -> Stop {
        let span = 0..0;
        self.thrown(element, &Thrown { exception, span })
    }
}
