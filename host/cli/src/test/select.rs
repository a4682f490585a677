//! Which cases run.

use globset::{GlobBuilder, GlobMatcher};
use keyward_testkit::Suite;

use crate::exit::Failure;

/// Which cases run: those that any of its patterns takes, or all if it has none.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    patterns: Vec<Pattern>,
}

#[derive(Clone, Debug)]
enum Pattern {
    /// The whole name.
    Exact(String),
    /// A part of the name.
    Part(String),
    /// A pattern of the whole name.
    Glob(GlobMatcher),
}

/// What a case is called on the command line.
pub(crate) fn full_name(suite: &str, case: &str) -> String {
    format!("{suite}::{case}")
}

impl Filter {
    /// Errors: a pattern is none.
    pub(crate) fn new(patterns: &[String], exact: bool) -> Result<Self, Failure> {
        let read = |text: &String| {
            if exact {
                return Ok(Pattern::Exact(text.clone()));
            }
            if !text.contains(['*', '?', '[']) {
                return Ok(Pattern::Part(text.clone()));
            }
            let glob = GlobBuilder::new(text).build().map_err(|error| {
                Failure::usage(format!("--filter {text}: {}", error.kind()))
                    .help("for a name with such a character in it: --exact")
            })?;
            Ok(Pattern::Glob(glob.compile_matcher()))
        };
        let patterns: Result<Vec<Pattern>, Failure> = patterns.iter().map(read).collect();
        Ok(Self {
            patterns: patterns?,
        })
    }

    /// Whether a case runs.
    pub(crate) fn takes(&self, suite: &str, case: &str) -> bool {
        let name = full_name(suite, case);
        self.patterns.is_empty()
            || self.patterns.iter().any(|pattern| match pattern {
                Pattern::Exact(text) => *text == name,
                Pattern::Part(text) => name.contains(text.as_str()),
                Pattern::Glob(glob) => glob.is_match(&name),
            })
    }

    /// How many of a suite's cases run.
    pub(crate) fn count(&self, suite: &Suite) -> usize {
        let cases = suite.cases.iter();
        cases
            .filter(|case| self.takes(&suite.name, &case.name))
            .count()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    fn takes(pattern: &str, exact: bool) -> bool {
        let filter = Filter::new(&[pattern.to_owned()], exact).unwrap();
        filter.takes("rate-limit", "a/b: the 3rd is refused")
    }

    #[test]
    fn a_filter_is_a_part_a_pattern_or_the_whole_name() {
        assert!(takes("3rd", false));
        assert!(takes("limit::a", false));
        assert!(takes("rate-*::*refused", false));
        assert!(takes("*the ?rd*", false));
        assert!(takes("rate-limit::a/b: the 3rd is refused", true));
        assert!(!takes("4th", false));
        assert!(!takes("*::the*", false));
        assert!(!takes("3rd", true));
        assert!(Filter::new(&[], false).unwrap().takes("any", "case"));
    }

    #[test]
    fn a_broken_pattern_is_a_usage_error() {
        let error = Filter::new(&["[a".to_owned()], false).unwrap_err();
        assert_eq!(error.exit, crate::exit::Exit::Usage);
    }
}
