//! `keyward audit tail`

use std::time::Duration;

use clap::Args;
use keyward_gateway::control::{FilterText, RecordEntry};
use serde_json::Value;

use super::source::{Place, Trail};
use crate::Common;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::Output;

const TAIL: &str = "\
The newest records, oldest first, and with -f each new one once it is signed, until
you stop it (Ctrl-C). With `-o json` each record is a line of its own. Through a
running gateway this takes the role auditor.

Examples:
  keyward audit tail
  keyward audit tail -n 100
  keyward audit tail -f -o json | your-log-shipper";

/// How often a trail is looked at.
const PAUSE: Duration = Duration::from_millis(500);
/// How many records are fetched at one time.
const PAGE: u32 = 1000;

/// Show the newest records of the audit trail.
#[derive(Args)]
#[command(after_help = TAIL)]
pub(crate) struct Tail {
    /// So many of the newest records.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    lines: u64,
    /// Go on with those that come.
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    place: Place,
}

impl Tail {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let output = common.output();
        let trail = self.place.open(common)?;
        let nothing = FilterText::default();
        let covered = trail.query(&nothing, u64::MAX, 1)?.covered;
        let mut position = covered.saturating_sub(self.lines);
        loop {
            let (shown, records) = read(&trail, &nothing, position)?;
            position = shown;
            let written = records.iter().all(|record| write(output, record));
            // A reader that has gone away has what it wanted.
            if !written || (!self.follow && records.is_empty()) {
                return Ok(Exit::Success);
            }
            if records.is_empty() {
                std::thread::sleep(PAUSE);
            }
        }
    }
}

/// The next records, and the entry after them.
fn read(trail: &Trail, filter: &FilterText, from: u64) -> Result<(u64, Vec<RecordEntry>), Failure> {
    let page = trail.query(filter, from, PAGE)?;
    let next = page.next.unwrap_or(page.covered).max(from);
    Ok((next, page.records))
}

fn write(output: Output, record: &RecordEntry) -> bool {
    let line: &Value = &record.record;
    output.line(|| record.words.clone(), || line.clone())
}
