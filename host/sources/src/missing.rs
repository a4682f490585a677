//! A source that secrets name and nobody configured: it answers so.

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt as _, ready};
use keyward_names::SourceName;

use crate::error::SourceError;
use crate::refresh::{Schedule, Scheduled};
use crate::source::{CheckStep, Fetched, Source};

pub(crate) struct Missing(SourceName);

impl Missing {
    pub(crate) const KIND: &'static str = "missing";

    pub(crate) fn scheduled(name: SourceName) -> Scheduled {
        Scheduled {
            source: Arc::new(Self(name)),
            schedule: Schedule::default(),
        }
    }
}

impl Source for Missing {
    fn name(&self) -> &SourceName {
        &self.0
    }

    fn kind(&self) -> &'static str {
        Self::KIND
    }

    fn fetch<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Fetched, SourceError>> {
        ready(Err(SourceError::NotConfigured)).boxed()
    }

    fn check<'a>(&'a self, _: Option<&'a str>) -> BoxFuture<'a, Vec<CheckStep>> {
        let step = CheckStep::failed("the source is configured", SourceError::NotConfigured);
        ready(vec![step]).boxed()
    }

    fn check_key(&self, _: &str) -> Result<(), SourceError> {
        Err(SourceError::NotConfigured)
    }
}
