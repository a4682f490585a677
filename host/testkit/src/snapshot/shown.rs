//! What a client and backends received, as text that stays the same from run to run.

use std::fmt::Write as _;

use http::HeaderMap;
use http::header::DATE;

use crate::run::{Observed, ObservedStep};

/// Every answer and every call of a case, in order, headers by name. Bytes pass
/// `redact` first; the exchange's identifier, which is random, becomes `{{exchange}}`.
pub(crate) fn of(observed: &Observed, redact: &dyn Fn(&[u8]) -> Vec<u8>) -> String {
    let mut out = String::new();
    for (index, step) in observed.steps.iter().enumerate() {
        if observed.steps.len() > 1 {
            let _ = writeln!(out, "step {}", index + 1);
        }
        write_step(&mut out, step, redact);
    }
    out
}

fn write_step(out: &mut String, step: &ObservedStep, redact: &dyn Fn(&[u8]) -> Vec<u8>) {
    let exchange = step.exchange.to_string();
    let text =
        |bytes: &[u8]| String::from_utf8_lossy(&redact(bytes)).replace(&exchange, "{{exchange}}");
    for call in &step.calls {
        let version = if call.http2 { "HTTP/2" } else { "HTTP/1.1" };
        let _ = writeln!(out, "{} got, over {version}", call.route);
        let path = text(call.path.as_bytes());
        let _ = writeln!(out, "  {} {path}", call.method);
        write_headers(out, &call.headers, &text);
        write_body(out, &call.body, &text);
        write_headers(out, &call.trailers, &text);
    }
    let response = &step.response;
    let _ = writeln!(out, "the client got\n  {}", response.status);
    write_headers(out, &response.headers, &text);
    write_body(out, &response.body, &text);
    if response.broken {
        out.push_str("  (it broke off)\n");
    }
    write_headers(out, &response.trailers, &text);
}

fn write_headers(out: &mut String, headers: &HeaderMap, text: &dyn Fn(&[u8]) -> String) {
    let mut lines: Vec<String> = headers
        .iter()
        // The machine's clock.
        .filter(|(name, _)| *name != DATE)
        .map(|(name, value)| format!("  {name}: {}\n", text(value.as_bytes())))
        .collect();
    // Stable: values of one name stay in their order.
    lines.sort_by(|a, b| a.split(':').next().cmp(&b.split(':').next()));
    out.extend(lines);
}

fn write_body(out: &mut String, body: &[u8], text: &dyn Fn(&[u8]) -> String) {
    if body.is_empty() {
        return;
    }
    out.push('\n');
    for line in text(body).lines() {
        let _ = writeln!(out, "  {line}");
    }
    out.push('\n');
}
