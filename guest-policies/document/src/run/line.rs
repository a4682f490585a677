//! The request's method, path and query: asked of the host together and once in a call;
//! what the document sets after that is kept in them.

use std::cell::RefCell;
use std::sync::Arc;

use keyward_policy::{Exchange, Failure};
use serde::{Deserialize, Serialize};

/// The texts of the line.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct LineTexts {
    pub(crate) method: Arc<str>,
    pub(crate) path: Arc<str>,
    /// As it is written, without `?`.
    pub(crate) query: Option<Arc<str>>,
}

impl LineTexts {
    pub(crate) fn of(exchange: Exchange<'_>) -> Self {
        let line = exchange.request_line();
        Self {
            method: line.method.into(),
            path: line.path.into(),
            query: line.query.map(Arc::from),
        }
    }
}

/// What is known of it.
#[derive(Default)]
pub(crate) struct Line(RefCell<Option<LineTexts>>);

impl Line {
    /// Nothing was changed yet.
    pub(crate) fn of(original: &LineTexts) -> Self {
        Self(RefCell::new(Some(original.clone())))
    }

    fn known<T>(&self, exchange: Exchange<'_>, of: impl FnOnce(&LineTexts) -> T) -> T {
        of(self
            .0
            .borrow_mut()
            .get_or_insert_with(|| LineTexts::of(exchange)))
    }

    pub(crate) fn method(&self, exchange: Exchange<'_>) -> Arc<str> {
        self.known(exchange, |asked| Arc::clone(&asked.method))
    }

    pub(crate) fn path(&self, exchange: Exchange<'_>) -> Arc<str> {
        self.known(exchange, |asked| Arc::clone(&asked.path))
    }

    /// As it is written, without `?`.
    pub(crate) fn query(&self, exchange: Exchange<'_>) -> Option<Arc<str>> {
        self.known(exchange, |asked| asked.query.clone())
    }

    /// Errors: the host's.
    pub(crate) fn set_method(&self, exchange: Exchange<'_>, method: &str) -> Result<(), Failure> {
        exchange.set_method(method)?;
        if let Some(asked) = &mut *self.0.borrow_mut() {
            asked.method = method.into();
        }
        Ok(())
    }

    /// Errors: the host's.
    pub(crate) fn set_path(&self, exchange: Exchange<'_>, path: &str) -> Result<(), Failure> {
        let mut known = self.0.borrow_mut();
        // The host is not asked to set what is there. It would refuse some paths that it
        // takes from clients; leaving one as it is sends what would be sent anyway.
        if matches!(&*known, Some(asked) if &*asked.path == path) {
            return Ok(());
        }
        exchange.set_path(path)?;
        if let Some(asked) = &mut *known {
            asked.path = path.into();
        }
        Ok(())
    }

    /// An empty query is none. Errors: the host's.
    pub(crate) fn set_query(&self, exchange: Exchange<'_>, query: &str) -> Result<(), Failure> {
        let query = Some(query).filter(|query| !query.is_empty());
        let mut known = self.0.borrow_mut();
        if matches!(&*known, Some(asked) if asked.query.as_deref() == query) {
            return Ok(());
        }
        exchange.set_query_text(query)?;
        if let Some(asked) = &mut *known {
            asked.query = query.map(Arc::from);
        }
        Ok(())
    }
}
