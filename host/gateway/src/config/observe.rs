//! `[log]` and `[telemetry]`.

use http::Uri;

use super::parse::Parser;
use super::reader::{At, Reader};

/// `[log]`: what stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSection {
    /// What is logged, unless the command line says otherwise: a level, or levels
    /// by module. `info` unless set.
    pub level: String,
    /// Lines for people, or JSON objects.
    pub format: LogFormat,
    /// Whether there is a line for each exchange. True unless set.
    pub access: bool,
    /// Whether that line has the request's path, without its query. False unless
    /// set: paths can hold what a client keeps secret.
    pub path: bool,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object on a line.
    Json,
}

/// `[telemetry]`: where traces go.
#[derive(Clone, Debug, PartialEq)]
pub struct TelemetrySection {
    /// The collector, for OTLP over HTTP; none: no traces.
    pub otlp: Option<Uri>,
    /// Which share of the exchanges is traced, 0 to 1. 1 unless set.
    pub sample: f64,
    /// Whether a trace may be begun by the client (`traceparent`).
    pub trust_trace_context: bool,
}

impl Default for LogSection {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: LogFormat::Text,
            access: true,
            path: false,
        }
    }
}

impl Default for TelemetrySection {
    fn default() -> Self {
        Self {
            otlp: None,
            sample: 1.0,
            trust_trace_context: false,
        }
    }
}

impl<'a> Parser<'a> {
    pub(super) fn log(&self, root: &Reader<'a, '_>) -> LogSection {
        let mut log = LogSection::default();
        let Some(section) = root.section("log", "[log]") else {
            return log;
        };
        if let Some(text) = section.text("level") {
            match text.value.parse::<tracing_subscriber::EnvFilter>() {
                Ok(_) if !text.value.is_empty() => log.level = text.value.to_owned(),
                _ => self.findings.add_with_help(
                    text.span,
                    "`level` is no filter",
                    "write \"error\", \"warn\", \"info\", \"debug\" or \"trace\", or these by module: \"info,keyward_gateway=debug\"",
                ),
            }
        }
        match section.text("format") {
            None | Some(At { value: "text", .. }) => {}
            Some(At { value: "json", .. }) => log.format = LogFormat::Json,
            Some(At { span, .. }) => self.findings.add_with_help(
                span,
                "`format` is neither \"text\" nor \"json\"",
                "\"text\" is for people, \"json\" writes an object on each line",
            ),
        }
        log.access = section.flag("access").unwrap_or(log.access);
        log.path = section.flag("path").unwrap_or(log.path);
        section.finish();
        log
    }

    pub(super) fn telemetry(&self, root: &Reader<'a, '_>) -> TelemetrySection {
        let mut telemetry = TelemetrySection::default();
        let Some(section) = root.section("telemetry", "[telemetry]") else {
            return telemetry;
        };
        telemetry.otlp = section.text("otlp").and_then(|text| self.collector(text));
        if let Some(sample) = section.share("sample") {
            telemetry.sample = sample;
        }
        if let Some(trust) = section.flag("trust-trace-context") {
            telemetry.trust_trace_context = trust;
        }
        section.finish();
        telemetry
    }

    fn collector(&self, text: At<&str>) -> Option<Uri> {
        let parsed = text.value.parse::<Uri>().ok().filter(|uri| {
            uri.scheme_str() == Some("http")
                && uri.query().is_none()
                && uri
                    .authority()
                    .is_some_and(|authority| !authority.as_str().contains('@'))
        });
        if parsed.is_none() {
            self.findings.add_with_help(
                text.span,
                "`otlp` is not the URL of a collector",
                "write \"http://127.0.0.1:4318\": traces go to a collector nearby, over plain HTTP; it takes them further",
            );
        }
        parsed
    }
}
