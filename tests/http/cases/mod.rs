//! Malformed and ambiguous requests: the grid.

mod fields;
mod framing;
mod http2;
mod lines;

/// One request, or several on one connection, as bytes.
pub(crate) struct Case {
    /// What it belongs to; a heading of the table.
    pub(crate) group: &'static str,
    /// What is wrong or odd about it.
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    /// A field whose fate the table tells; "" for none.
    pub(crate) watched: &'static str,
    /// How many answers may come.
    pub(crate) answers: usize,
    pub(crate) http2: bool,
}

impl Case {
    fn new(group: &'static str, name: &'static str, bytes: impl Into<Vec<u8>>) -> Self {
        Case {
            group,
            name,
            bytes: bytes.into(),
            watched: "",
            answers: 1,
            http2: false,
        }
    }

    fn watching(mut self, field: &'static str) -> Self {
        self.watched = field;
        self
    }

    fn answered(mut self, times: usize) -> Self {
        self.answers = times;
        self
    }
}

/// All of them, in the order of the table.
pub(crate) fn all() -> Vec<Case> {
    let mut cases = lines::cases();
    cases.extend(fields::cases());
    cases.extend(framing::cases());
    cases.extend(http2::cases());
    cases
}

#[test]
fn the_grid_is_large_and_each_case_has_a_name_of_its_own() {
    let cases = all();
    assert!(cases.iter().filter(|case| !case.http2).count() >= 80);
    assert!(cases.iter().filter(|case| case.http2).count() >= 20);
    let names: std::collections::HashSet<_> =
        cases.iter().map(|case| (case.group, case.name)).collect();
    assert_eq!(names.len(), cases.len());
}
