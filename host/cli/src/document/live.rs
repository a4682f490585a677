//! `keyward document run --live`: one request through a pipeline's documents as the
//! gateway runs them, to the real backends.
//!
//! The vault is opened here, as `keyward serve` opens it, so there is no gateway that
//! runs meanwhile. Who did it is in the audit trail with the grants that come into force,
//! and the exchange as any other.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use keyward::egress::{Body, full};
use keyward::engine::Phase;
use keyward::names::{ExchangeId, RouteName};
use keyward::vault::{KeySource, TrailRecord, new_exchange_id, query_trail};
use keyward::{ChildCompiler, Failure as Why, Report};
use keyward_gateway::Gateway;
use keyward_gateway::config::{Config, Pipeline, Steps};
use keyward_gateway::control::{FilterText, Node as _};
use keyward_testkit::report::{
    BackendTried, Event, PolicyCall, StepReport, Stopped, Style, Timeline, trace,
};
use serde_json::json;

use super::around::Given;
use super::scope;
use crate::access::{Access, actor, key_source};
use crate::audit::source::read_failure;
use crate::confirm::Confirm;
use crate::exit::{Exit, Failure, Outcome};
use crate::policy::run::Sent;
use crate::serve::open_failure;
use crate::words::{one_line, url};
use crate::{Common, place};

/// What the trail has as the reason.
const REASON: &str = "document run --live";
/// The longest answer that is shown, in bytes.
const LONGEST: usize = 1024 * 1024;
/// The most records of one exchange that are shown.
const RECORDS: usize = 100;

/// Whether requests are sent.
#[derive(Args)]
pub(super) struct Live {
    /// Send the request through the pipeline that has these documents, as the gateway
    /// would: with the vault's secrets, to the real backends. Asks first.
    #[arg(
        long,
        conflicts_with_all = [
            "mocks", "policy", "guest", "answer", "grants", "jwks", "subject", "fragments",
            "texts", "secrets",
        ]
    )]
    pub(super) live: bool,

    #[command(flatten)]
    confirm: Confirm,
}

/// What came of it.
struct Came {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    /// Why the body is not the whole one.
    cut: Option<String>,
    failure: Option<Why>,
    report: Report,
    took: Duration,
    /// Secrets of which their sources have not given a value.
    missing: Vec<String>,
}

impl Live {
    /// Whether nobody is to be asked.
    pub(super) fn is_confirmed(&self) -> bool {
        self.confirm.is_given()
    }

    pub(super) fn run(&self, common: &Common, given: &Given, sent: &Sent) -> Outcome {
        let config = place::load(common.config())?;
        let (method, target) = sent.target();
        let pipeline = pipeline(&config, given, target)?;
        let request = request(&config, sent)?;
        if Access::running(&config)?.is_some() {
            let listen = config.gateway.listen;
            return Err(
                Failure::new("a gateway is running here, and it has the vault").help(format!(
                    "send the request to it, at {listen}, or stop it first"
                )),
            );
        }
        let mut routes = config.routes.iter();
        let to = routes.find(|route| *route.name() == pipeline.route);
        let to = to.map(|route| format!(" ({})", url(route)));
        let what = format!(
            "{} leaves for {}{}, and whatever its documents call is called, with the secrets that grants give them.",
            one_line(&format!("{method} {target}")),
            pipeline.route,
            to.unwrap_or_default(),
        );
        self.confirm.go_on(common, &what)?;
        let trail = config.audit.directory.clone();
        let own = pipeline.route.clone();
        let key = key_source(&config, common)?;
        let client = sent.client.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let id = new_exchange_id();
        let (before, came) = exchange(config, key, client, id, request)?;
        let records = records(&trail, before, id)?;
        let step = StepReport {
            request: format!("{method} {target}"),
            status: Some(came.status.as_u16()),
            timeline: timeline(&came.report, &own),
            took: came.took,
            ..StepReport::default()
        };
        Ok(show(common, id, &step, &came, &records))
    }
}

/// The pipeline whose documents these are.
///
/// Errors: none has them, or the request goes to another.
fn pipeline<'a>(config: &'a Config, given: &Given, target: &str) -> Result<&'a Pipeline, Failure> {
    let real = |file: &Path| std::fs::canonicalize(file).ok();
    let files = given.documents.iter().map(|named| {
        let file = match named.split_once('=') {
            Some((of, file)) if scope(of).is_ok() => file,
            _ => named,
        };
        let found = real(file.as_ref());
        found.ok_or_else(|| Failure::new(format!("there is no file {file}")))
    });
    let files = files.collect::<Result<Vec<_>, Failure>>()?;
    let global = config.gateway.document.as_deref().and_then(real);
    let documents = |pipeline: &'a Pipeline| match &pipeline.steps {
        Steps::Documents(steps) => Some((pipeline, &steps.files)),
        Steps::Lists { .. } => None,
    };
    let with: Vec<_> = config.pipelines.iter().filter_map(documents).collect();
    let has: Vec<&Pipeline> = with
        .iter()
        .filter(|(_, of_it)| {
            let of_it: Vec<_> = of_it.iter().filter_map(|file| real(file)).collect();
            let mut own = files.iter().filter(|file| Some(*file) != global.as_ref());
            files.iter().any(|file| of_it.contains(file)) && own.all(|file| of_it.contains(file))
        })
        .map(|(pipeline, _)| *pipeline)
        .collect();
    if has.is_empty() {
        let lines = with.iter().map(|(pipeline, files)| {
            let files: Vec<_> = files
                .iter()
                .map(|file| file.display().to_string())
                .collect();
            format!("\n  {}: {}", pipeline.path, files.join(", "))
        });
        let lines: String = lines.collect();
        return Err(Failure::usage(match lines.is_empty() {
            true => "no pipeline has documents".to_owned(),
            false => format!("no pipeline has these documents; there are:{lines}"),
        })
        .help("a [[pipeline]] of keyward.toml names them; without --live no gateway is needed"));
    }
    let path = target.split('?').next().unwrap_or_default();
    let serving = config.pipelines.iter().filter(|one| one.path.matches(path));
    let serving = serving.max_by_key(|one| one.path.as_str().len());
    let paths: Vec<&str> = has.iter().map(|one| one.path.as_str()).collect();
    has.iter()
        .find(|one| serving.is_some_and(|serving| serving.path == one.path))
        .copied()
        .ok_or_else(|| {
            let path = one_line(path);
            Failure::usage(format!(
                "no request for {path} goes through these documents"
            ))
            .help(format!(
                "they are for what is below {}: --request 'GET …'",
                paths.join(", ")
            ))
        })
}

/// The request as a client would send it.
fn request(config: &Config, sent: &Sent) -> Result<Request<Body>, Failure> {
    let (method, target) = sent.target();
    let mut request = Request::builder().method(method).uri(target);
    let fields = sent.header_fields()?;
    if !fields
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("host"))
    {
        request = request.header(HOST, config.gateway.listen.to_string());
    }
    for (name, value) in fields {
        request = request.header(name, value);
    }
    let body = sent.body()?.unwrap_or_default();
    if !body.is_empty() {
        request = request.header(CONTENT_LENGTH, body.len());
    }
    let request = request.body(full(Bytes::from(body)));
    request.map_err(|error| Failure::usage(format!("that is no request: {error}")))
}

/// Opens the gateway, has the exchange, and closes it. With the length of the audit trail
/// before.
fn exchange(
    config: Config,
    key: KeySource,
    client: IpAddr,
    id: ExchangeId,
    request: Request<Body>,
) -> Result<(u64, Came), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::io(error, "can't start threads"))?;
    let _inside = runtime.enter();
    let wait = config.gateway.start_wait;
    let compiler = Arc::new(ChildCompiler::this_program([crate::COMPILE]));
    let gateway = Gateway::open_with(config, key, &actor(Some(REASON)), compiler);
    let gateway = gateway.map_err(open_failure)?;
    let before = gateway.vault().audit().size();
    let came = runtime.block_on(async {
        gateway.refresher().start();
        let missing = gateway.refresher().first_values(wait).await;
        let began = Instant::now();
        let forwarded = gateway.exchange(client, id, request).await;
        let (head, body) = forwarded.response.into_parts();
        let (body, cut) = read(body).await;
        gateway.refresher().stop();
        Came {
            status: head.status,
            headers: head.headers,
            body,
            cut,
            failure: forwarded.failure,
            report: forwarded.report,
            took: began.elapsed(),
            missing: missing.iter().map(ToString::to_string).collect(),
        }
    });
    Ok((before, came))
}

/// A body, as much of it as is shown.
async fn read(mut body: Body) -> (Vec<u8>, Option<String>) {
    let mut all = Vec::new();
    while let Some(frame) = body.frame().await {
        let data = match frame.map(|frame| frame.into_data()) {
            Ok(Ok(data)) => data,
            Ok(Err(_trailers)) => continue,
            Err(error) => return (all, Some(format!("the answer was cut: {error}"))),
        };
        let room = LONGEST.saturating_sub(all.len());
        all.extend_from_slice(data.get(..room).unwrap_or(&data));
        if data.len() > room {
            let cut = format!("no more than {LONGEST} bytes of the answer are read");
            return (all, Some(cut));
        }
    }
    (all, None)
}

/// What the audit trail has of the exchange.
fn records(trail: &Path, from: u64, id: ExchangeId) -> Result<Vec<TrailRecord>, Failure> {
    let filter = FilterText {
        exchange: Some(id.to_string()),
        ..FilterText::default()
    };
    let filter = filter.read().map_err(Failure::new)?;
    let page = query_trail(trail, &filter, from, RECORDS).map_err(read_failure)?;
    Ok(page.records)
}

fn show(
    common: &Common,
    id: ExchangeId,
    step: &StepReport,
    came: &Came,
    records: &[TrailRecord],
) -> Exit {
    let output = common.output();
    let headers = came.headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.to_string(), value)
    });
    let headers: Vec<(String, String)> = headers.collect();
    let body = String::from_utf8_lossy(&came.body);
    output.data(
        || {
            let style = Style {
                colours: output.data_colours(),
                times: true,
                ..Style::default()
            };
            let mut text = trace::story(step, false, style);
            for (name, value) in &headers {
                text.push_str(&format!("  {name}: {}\n", one_line(value)));
            }
            if !body.is_empty() {
                // What a backend writes must not steer a terminal.
                let plain = |c: char| {
                    if c.is_control() && !"\n\t".contains(c) {
                        '\u{fffd}'
                    } else {
                        c
                    }
                };
                let body: String = body.chars().map(plain).collect();
                text.push_str(&format!("\n{}\n", body.trim_end()));
            }
            text.push_str("\nin the audit trail\n");
            for record in records {
                text.push_str(&format!("  {record}\n"));
            }
            if records.is_empty() {
                text.push_str("  no use of a secret\n");
            }
            text
        },
        || {
            let headers = headers.iter();
            let headers = headers.map(|(name, value)| json!({ "name": name, "value": value }));
            json!({
                "id": id.to_string(),
                "exchange": step,
                "client": {
                    "status": came.status.as_u16(),
                    "headers": headers.collect::<Vec<_>>(),
                    "body": body,
                },
                "failure": came.failure.map(|why| why.to_string()),
                "records": records.iter().map(TrailRecord::to_json).collect::<Vec<_>>(),
            })
        },
    );
    for secret in &came.missing {
        output.warn(format!("{secret} has no value yet: its source gave none"));
    }
    if let Some(failure) = came.failure {
        output.warn(format!("the exchange failed: {failure}"));
    }
    if let Some(cut) = &came.cut {
        output.warn(cut);
    }
    if !came.report.refusals.is_empty() {
        output.say("help: `keyward document grants` prints grants for what the documents ask for");
    }
    match came.failure.is_none() && came.cut.is_none() {
        true => Exit::Success,
        false => Exit::Failed,
    }
}

/// What happened, in order. Backends are called between the phases before the answer and
/// those after it; of calls that policies make themselves the report knows nothing.
fn timeline(report: &Report, own: &RouteName) -> Timeline {
    let policies = report.calls.iter().map(|call| {
        let event = Event::Policy(PolicyCall {
            policy: call.policy.to_string(),
            phase: call.phase.to_string(),
            verdict: call
                .verdict
                .ok()
                .map(|verdict| format!("{verdict:?}").to_ascii_lowercase()),
            stopped: call.verdict.err().map(|stop| Stopped {
                message: format!("it {stop}"),
                ..Stopped::default()
            }),
            at: call.at,
            took: call.took,
            ..PolicyCall::default()
        });
        (call.phase, event)
    });
    let (after, mut events): (Vec<_>, Vec<_>) =
        policies.partition(|(phase, _)| matches!(phase, Phase::Outbound | Phase::OnError));
    let calls = report.backend_calls().map(|call| {
        let route = call.route.as_ref().map(ToString::to_string);
        Event::Backend(BackendTried {
            route: route.unwrap_or_else(|| own.to_string()),
            status: call.outcome.as_ref().ok().map(StatusCode::as_u16),
            failure: call.outcome.as_ref().err().map(ToString::to_string),
            took: call.took,
            ..BackendTried::default()
        })
    });
    let calls: Vec<_> = calls.map(|call| (Phase::Backend, call)).collect();
    events.extend(calls);
    events.extend(after);
    Timeline {
        events: events.into_iter().map(|(_, event)| event).collect(),
    }
}
