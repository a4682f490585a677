//! The request's method, path and query: each asked of the host once in a call, and known
//! again as soon as the document sets it.

use std::cell::RefCell;
use std::sync::Arc;

use keyward_policy::{Exchange, Failure};

use super::state::Original;

/// What of them is known.
#[derive(Default)]
pub(crate) struct Line {
    method: RefCell<Option<Arc<str>>>,
    path: RefCell<Option<Arc<str>>>,
    /// Without `?`; there may be none.
    query: RefCell<Option<Option<Arc<str>>>>,
}

impl Line {
    /// Nothing was changed yet.
    pub(crate) fn of(original: &Original) -> Self {
        Self {
            method: RefCell::new(Some(Arc::clone(&original.method))),
            path: RefCell::new(Some(Arc::clone(&original.path))),
            query: RefCell::new(Some(original.query.clone())),
        }
    }

    pub(crate) fn method(&self, exchange: Exchange<'_>) -> Arc<str> {
        let mut known = self.method.borrow_mut();
        Arc::clone(known.get_or_insert_with(|| exchange.method().into()))
    }

    pub(crate) fn path(&self, exchange: Exchange<'_>) -> Arc<str> {
        let mut known = self.path.borrow_mut();
        Arc::clone(known.get_or_insert_with(|| exchange.path().into()))
    }

    /// As it is written, without `?`.
    pub(crate) fn query(&self, exchange: Exchange<'_>) -> Option<Arc<str>> {
        let mut known = self.query.borrow_mut();
        let query = known.get_or_insert_with(|| exchange.query_text().map(Arc::from));
        query.clone()
    }

    /// Errors: the host's.
    pub(crate) fn set_method(&self, exchange: Exchange<'_>, method: &str) -> Result<(), Failure> {
        exchange.set_method(method)?;
        *self.method.borrow_mut() = Some(method.into());
        Ok(())
    }

    /// Errors: the host's.
    pub(crate) fn set_path(&self, exchange: Exchange<'_>, path: &str) -> Result<(), Failure> {
        // The host is not asked to set what is there. It would refuse some paths that it
        // takes from clients; leaving one as it is sends what would be sent anyway.
        if self.path.borrow().as_deref() == Some(path) {
            return Ok(());
        }
        exchange.set_path(path)?;
        *self.path.borrow_mut() = Some(path.into());
        Ok(())
    }

    /// An empty query is none. Errors: the host's.
    pub(crate) fn set_query(&self, exchange: Exchange<'_>, query: &str) -> Result<(), Failure> {
        let query = Some(query).filter(|query| !query.is_empty());
        if let Some(there) = &*self.query.borrow()
            && there.as_deref() == query
        {
            return Ok(());
        }
        exchange.set_query_text(query)?;
        *self.query.borrow_mut() = Some(query.map(Arc::from));
        Ok(())
    }
}
