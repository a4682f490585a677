//! What became of a request, and which of two outcomes is the stricter.

use std::fmt;

use crate::backend::Seen;
use crate::client::Answers;

/// What became of what a client sent. Each is stricter than those after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing reached the backend: this status, or a closed connection.
    Refused(String),
    /// The backend saw the beginning, and never a whole request.
    Cut(String),
    /// Nothing whole reached the backend, and the client is still waited for.
    Waits,
    /// The backend got these requests, and each can be read in one way only.
    Normalised(String),
    /// The backend got what can be read in several ways.
    AsIs(String),
    /// Gateway and backend read different requests.
    Desynchronised(String),
}

impl Outcome {
    /// Judges. `watched` is a field whose fate is told; "" for none.
    pub(crate) fn of(answers: &Answers, seen: &[Seen], watched: &str) -> Self {
        let whole: Vec<&Seen> = seen.iter().filter(|seen| seen.complete).collect();
        if whole.is_empty() {
            let how = answers.told();
            return match (seen.is_empty(), answers.is_over()) {
                (true, true) => Outcome::Refused(how),
                (false, true) => Outcome::Cut(how),
                (_, false) => Outcome::Waits,
            };
        }
        // What the backend answered, the client must have got.
        let good = answers
            .statuses
            .iter()
            .filter(|status| **status < 300)
            .count();
        if good < whole.len() {
            return Outcome::Desynchronised(format!("{} requests, {good} answers", whole.len()));
        }
        let mut oddities: Vec<&str> = seen
            .iter()
            .flat_map(|seen| seen.head.oddities.iter().copied())
            .collect();
        oddities.dedup();
        if !oddities.is_empty() {
            return Outcome::AsIs(oddities.join(", "));
        }
        let told: Vec<String> = whole.iter().map(|seen| tell(seen, watched)).collect();
        Outcome::Normalised(told.join(" and "))
    }

    /// 0 is the worst. A fault in a body is found where the body is: who passes
    /// bodies on as they come has sent the head by then, and cuts.
    pub(crate) fn strictness(&self) -> u8 {
        match self {
            Outcome::Refused(_) | Outcome::Cut(_) => 3,
            Outcome::Waits | Outcome::Normalised(_) => 2,
            Outcome::AsIs(_) => 1,
            Outcome::Desynchronised(_) => 0,
        }
    }
}

fn tell(seen: &Seen, watched: &str) -> String {
    let mut told = format!("`{} {}`", seen.head.method, seen.head.target);
    if seen.body > 0 {
        told.push_str(&format!(" {} B", seen.body));
    }
    if !watched.is_empty() {
        let values: Vec<&str> = seen.head.all(watched).collect();
        if values.is_empty() {
            told.push_str(&format!(" without `{watched}`"));
        } else {
            told.push_str(&format!(" `{watched}: {}`", shortened(&values.join(" / "))));
        }
    }
    told
}

fn shortened(text: &str) -> String {
    let escaped: String = text
        .chars()
        .take(40)
        .flat_map(char::escape_default)
        .collect();
    escaped.replace('|', "\\|")
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Refused(how) => write!(f, "refused: {how}"),
            Outcome::Cut(how) => write!(f, "cut: {how}"),
            Outcome::Waits => f.write_str("waits"),
            Outcome::Normalised(how) => write!(f, "{how}"),
            Outcome::AsIs(what) => write!(f, "**as is**: {what}"),
            Outcome::Desynchronised(how) => write!(f, "**desynchronised**: {how}"),
        }
    }
}
