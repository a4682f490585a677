//! A chart of CPU per request: bars of the medians, with the spread over the rounds.

use std::fmt::Write as _;

use super::report::Report;

const LEFT: f64 = 220.0;
const WIDTH: f64 = 820.0;
const BAR: f64 = 20.0;
const STEP: f64 = 32.0;
const TOP: f64 = 64.0;

/// The chart, readable on light and dark ground.
pub(crate) fn svg(report: &Report) -> String {
    let most = report
        .rows
        .iter()
        .map(|row| row.cpu_us.most)
        .fold(1.0, f64::max);
    let scale = (WIDTH - LEFT - 70.0) / most;
    let mut bars = String::new();
    let mut y = TOP;
    for row in &report.rows {
        let colour = if row.name.starts_with("Keyward") {
            "#2f6fd0"
        } else {
            "#9aa3ad"
        };
        let (median, least, most) = (
            row.cpu_us.median * scale,
            row.cpu_us.least * scale,
            row.cpu_us.most * scale,
        );
        let middle = y + BAR / 2.0;
        let _ = write!(
            bars,
            "  <text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{}</text>\n\
             \x20 <rect x=\"{LEFT:.0}\" y=\"{y:.0}\" width=\"{median:.1}\" height=\"{BAR:.0}\" rx=\"3\" fill=\"{colour}\"/>\n\
             \x20 <path d=\"M{:.1} {middle:.0}H{:.1}\" class=\"spread\"/>\n\
             \x20 <text x=\"{:.1}\" y=\"{:.0}\">{:.1}</text>\n",
            LEFT - 10.0,
            middle + 5.0,
            row.name,
            LEFT + least,
            LEFT + most,
            LEFT + most.max(median) + 8.0,
            middle + 5.0,
            row.cpu_us.median,
        );
        y += STEP;
    }
    let height = y + 30.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH:.0} {height:.0}\" role=\"img\" aria-label=\"CPU per proxied request\">\n\
         \x20 <style>text {{ font: 14px system-ui, sans-serif; fill: #57606a; }} .title {{ font-weight: 600; font-size: 16px; }} .note {{ font-size: 12px; }} .spread {{ stroke: #57606a; stroke-width: 1.5; }}</style>\n\
         \x20 <text x=\"10\" y=\"26\" class=\"title\">CPU per proxied request, µs (less is better)</text>\n\
         \x20 <text x=\"10\" y=\"46\" class=\"note\">{}; {}</text>\n{bars}\
         \x20 <text x=\"10\" y=\"{:.0}\" class=\"note\">Medians of {} rounds of {} s; lines: least to most. Proxy alone on one core, {} connections.</text>\n</svg>\n",
        escaped(&report.machine),
        escaped(&report.versions),
        y + 14.0,
        report.rounds,
        report.seconds,
        report.connections,
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
