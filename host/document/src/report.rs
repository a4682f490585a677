//! Collects what is wrong while a document is read.

use std::ops::Range;
use std::sync::Arc;

use crate::error::{DocumentError, DocumentErrors, MAX_ERRORS, Problem};
use crate::position::Source;

/// The errors so far, and the text that they are about.
pub(crate) struct Reporter<'a> {
    pub(crate) source: Source<'a>,
    errors: Vec<DocumentError>,
    dropped: usize,
}

impl<'a> Reporter<'a> {
    pub(crate) fn new(source: Source<'a>) -> Self {
        Self {
            source,
            errors: Vec::new(),
            dropped: 0,
        }
    }

    /// Adds an error about a span of the document. Returns its number, for
    /// [`earlier`](Self::earlier), unless there are too many already.
    pub(crate) fn report(
        &mut self,
        problem: Problem,
        span: Range<usize>,
        help: Option<String>,
    ) -> Option<usize> {
        if self.errors.len() >= MAX_ERRORS {
            self.dropped = self.dropped.saturating_add(1);
            return None;
        }
        self.errors.push(DocumentError {
            problem,
            position: self.source.position(span),
            earlier: None,
            help,
        });
        Some(self.errors.len() - 1)
    }

    /// Points an error also at an earlier place.
    pub(crate) fn earlier(&mut self, error: usize, span: Range<usize>, label: &'static str) {
        let position = self.source.position(span);
        if let Some(error) = self.errors.get_mut(error) {
            error.earlier = Some((position, label));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// Whether something in a span was reported.
    pub(crate) fn has_within(&self, span: &Range<usize>) -> bool {
        let inside = |at: &Range<usize>| span.start <= at.start && at.end <= span.end;
        self.errors.iter().any(|error| inside(&error.position.span))
    }

    /// Everything in the order of the text; may be nothing.
    pub(crate) fn finish_all(mut self) -> DocumentErrors {
        self.errors.sort_by_key(|error| error.position.span.start);
        DocumentErrors {
            text: Arc::from(self.source.text),
            errors: self.errors,
            dropped: self.dropped,
        }
    }

    /// All errors in the order of the text, if there are any.
    pub(crate) fn finish(self) -> Result<(), DocumentErrors> {
        if self.errors.is_empty() {
            return Ok(());
        }
        Err(self.finish_all())
    }
}
