//! `COMPARISON.md`: written from a run, and checked by each.

use std::path::Path;

use crate::cases::Case;
use crate::differences;
use crate::outcome::Outcome;
use crate::servers::version;

/// One case and what became of it.
pub(crate) struct Row<'a> {
    pub(crate) case: &'a Case,
    pub(crate) keyward: Outcome,
    pub(crate) nginx: Outcome,
    pub(crate) envoy: Outcome,
}

impl Row<'_> {
    /// Whether one of the others is stricter.
    pub(crate) fn is_laxer(&self) -> bool {
        self.keyward.strictness() < self.nginx.strictness().max(self.envoy.strictness())
    }

    pub(crate) fn told(&self) -> String {
        let Row {
            case,
            keyward,
            nginx,
            envoy,
        } = self;
        format!(
            "{}: {}: Keyward {keyward}; nginx {nginx}; Envoy {envoy}",
            case.group, case.name
        )
    }
}

/// Compares the table with the file, or writes it where `SNAPSHOTS=overwrite`.
///
/// Other versions of nginx and Envoy than the file's may do otherwise, and are
/// compared with Keyward alone.
pub(crate) fn check(rows: &[Row<'_>]) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("http/COMPARISON.md");
    let versions = format!("nginx {}, Envoy {}", version("nginx"), version("envoy"));
    let actual = write(rows, &versions);
    if std::env::var_os("SNAPSHOTS").is_some_and(|action| action == "overwrite") {
        std::fs::write(&file, actual).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    if !expected.contains(&versions) {
        println!("COMPARISON.md is of other versions than {versions}");
        return;
    }
    let (told, expected) = (classes(&actual), classes(&expected));
    let changed: Vec<String> = told
        .iter()
        .zip(&expected)
        .filter(|(told, expected)| told != expected)
        .map(|(told, expected)| format!("now  {told}\nfile {expected}"))
        .collect();
    assert!(
        told == expected,
        "COMPARISON.md is not current; SNAPSHOTS=overwrite writes it anew. New:\n{}",
        changed.join("\n")
    );
}

/// The lines without what depends on which of two things happens first: whether a
/// head left before its body's fault was seen, and whether a connection was reset
/// before its last words were read.
fn classes(text: &str) -> Vec<String> {
    let cells = |line: &str| -> Vec<String> {
        line.split(" | ")
            .map(|cell| match cell {
                cell if cell.starts_with("refused: ") || cell.starts_with("cut: ") => {
                    "refused".to_owned()
                }
                cell => cell.to_owned(),
            })
            .collect()
    };
    text.lines().map(|line| cells(line).join(" | ")).collect()
}

fn write(rows: &[Row<'_>], versions: &str) -> String {
    let laxer = rows.iter().filter(|row| row.is_laxer()).count();
    let stricter = rows
        .iter()
        .filter(|row| row.keyward.strictness() > row.nginx.strictness().max(row.envoy.strictness()))
        .count();
    let mut text = format!(
        "# Malformed and ambiguous requests\n\n\
         What Keyward, nginx and Envoy make of the same bytes, in one run, each in front of a backend that records what it gets. \
         Written by `tests/http` (`SNAPSHOTS=overwrite cargo test -p keyward-tests --test http`), checked by `cargo xtask test`.\n\n\
         {versions}; nginx as its package sets it up, Envoy as its documentation advises for the edge, both passing bodies on as they come.\n\n\
         *refused* nothing reached the backend · *cut* the backend got the beginning of a request and never its end · \
         *waits* nothing whole reached the backend, and the gateway waits for more until its time-out · \
         a request in code: what the backend got, and it can be read in one way only · \
         **as is** the backend got what can be read in several ways · \
         **desynchronised** gateway and backend read different requests\n\n\
         {} requests: Keyward is stricter than both others in {stricter}, laxer than one of them in {laxer}, each of these with its reason in the last column.\n",
        rows.len()
    );
    let mut group = "";
    for row in rows {
        if row.case.group != group {
            group = row.case.group;
            text.push_str(&format!(
                "\n## {group}\n\n| request | Keyward | nginx | Envoy | |\n|---|---|---|---|---|\n"
            ));
        }
        let reason = differences::reason(row.case).unwrap_or_default();
        text.push_str(&format!(
            "| {} | {} | {} | {} | {reason} |\n",
            row.case.name, row.keyward, row.nginx, row.envoy
        ));
    }
    text
}
