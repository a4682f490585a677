//! Runs the requests of a case, one after the other, in a world of its own.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, HeaderValue, Uri};
use http_body_util::BodyExt as _;
use keyward::egress::full;
use keyward::engine::{ClientTls, Observer};
use keyward::names::ExchangeId;
use keyward::vault::new_exchange_id;
use keyward::vault::{ClientCertificate, KeyPlace, Terms, Use};
use keyward::{Client, Failure, Forwarded, Report, authority_of, forward, is_unambiguous};
use tokio::runtime::Runtime;

use super::attached::Attaching;
use super::observed::{Bearer, Observed, ObservedCall, ObservedResponse, ObservedStep, Redactor};
use super::observer::Watching;
use super::token::made;
use super::{Exposed, Metrics};
use crate::hostile::Echo;
use crate::suite::{Case, Request, SignatureExpected};
use crate::world::{NotPrepared, Prepared, World};

/// A thread's runtime, whose time stands still until it is moved.
pub(crate) struct Still {
    /// While something blocks, tokio doesn't move its clock by itself. Dropped first, it
    /// ends that, for which the runtime would wait.
    _hold: std::sync::mpsc::SyncSender<()>,
    runtime: Runtime,
}

impl Still {
    pub(crate) fn new() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()?;
        let (hold, held) = std::sync::mpsc::sync_channel(0);
        runtime.spawn_blocking(move || held.recv().ok());
        Ok(Self {
            _hold: hold,
            runtime,
        })
    }

    /// Waits for what needs no time to pass.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Runs a case, and `judge` on what came to light while its world is there. No
    /// connection outlives it.
    pub(crate) fn case<T>(
        &self,
        prepared: &Prepared<'_>,
        case: &Case,
        how: How<'_>,
        judge: impl FnOnce(&Observed, &World) -> T,
    ) -> Result<(Observed, T), NotPrepared> {
        let watching = Arc::new(Watching::default());
        self.runtime.block_on(async {
            let observer = Arc::clone(&watching) as Arc<dyn Observer>;
            let world = prepared.world(case, observer)?;
            let mut steps = Vec::with_capacity(case.steps.len());
            // A token is kept from one step to the next.
            let mut bearers = Vec::new();
            for step in &case.steps {
                world.clock.pass(step.advance);
                let around = Around {
                    prepared,
                    case,
                    world: &world,
                    metrics: how.metrics,
                };
                let request = &step.request;
                steps.push(self::step(&around, &watching, request, &mut bearers).await);
            }
            let search = Arc::clone(&prepared.search);
            let redact = move |bytes: &[u8]| search.canaries().redact(bytes).into_owned();
            let observed = Observed {
                steps,
                echo: how.echo,
                redactor: Redactor::new(redact),
            };
            let judged = judge(&observed, &world);
            drop(world);
            // The ends of its connections notice.
            for _ in 0..16 {
                tokio::task::yield_now().await;
            }
            Ok((observed, judged))
        })
    }
}

/// How a case is run.
#[derive(Clone, Copy, Default)]
pub(crate) struct How<'a> {
    /// The hostile backend that is in place of the suite's, if one is.
    pub(crate) echo: Option<Echo>,
    /// What tells of its exchanges outside of it.
    pub(crate) metrics: Option<&'a Metrics>,
}

/// What a step stands in.
struct Around<'a> {
    prepared: &'a Prepared<'a>,
    case: &'a Case,
    world: &'a World,
    metrics: Option<&'a Metrics>,
}

async fn step(
    around: &Around<'_>,
    watching: &Watching,
    request: &Request,
    bearers: &mut Vec<Bearer>,
) -> ObservedStep {
    let Around {
        prepared,
        case,
        world,
        ..
    } = *around;
    let id = new_exchange_id();
    let vault = world.keyward.vault();
    let first_entry = vault.audit().size();
    let began = Instant::now();
    watching.begin(began);
    let since = began.saturating_duration_since(world.backends.began());
    let now = world.clock.now().as_second();
    let written = write(prepared, case, request, now);
    let forwarded = match place(request, &written) {
        Ok(client) => {
            let keyward = &world.keyward;
            forward(keyward, &world.pipeline, client, id, written).await
        }
        Err(failure) => Forwarded {
            response: failure.reply(id),
            failure: Some(failure),
            report: Report::default(),
        },
    };
    let Forwarded {
        response,
        failure,
        report,
    } = forwarded;
    let response = read(response).await;
    let took = began.elapsed();
    // What nobody waited for is on record after this.
    vault.audit().cover();
    let (policies, variables) = watching.take();
    let mut calls = world.backends.take_calls();
    let attaching = Attaching {
        prepared,
        case,
        policies: &policies,
    };
    for call in &mut calls {
        call.at = call.at.saturating_sub(since);
        call.attached = attaching.to(call, bearers);
    }
    let metrics = around.metrics.map(|metrics| {
        metrics(&Exposed {
            route: world.pipeline.route(),
            method: &request.method,
            response: &response,
            failure,
            report: &report,
            vault,
        })
    });
    let said = world.senses.take();
    ObservedStep {
        exchange: id,
        response,
        failure,
        policies,
        calls,
        bearers: bearers.clone(),
        logs: said.logs,
        stops: said.stops,
        variables,
        audit: audit(world, id, first_entry),
        metrics: metrics.unwrap_or_default(),
        took,
    }
}

/// The request as a client sends it, its key at the place that a grant names, its token
/// made now.
fn write(
    prepared: &Prepared<'_>,
    case: &Case,
    request: &Request,
    now: i64,
) -> http::Request<keyward::egress::Body> {
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        headers.append(name.clone(), value.clone());
    }
    if let (false, Ok(host)) = (
        headers.contains_key(HOST),
        HeaderValue::from_str(&request.host),
    ) {
        headers.insert(HOST, host);
    }
    let token = request.token.as_ref();
    if let Some((name, value)) = token.and_then(|token| made(prepared, case, token, now)) {
        headers.append(name, value);
    }
    let mut path = request.path.clone();
    if let Some(key) = &request.key {
        let canaries = prepared.canaries.iter();
        let value = canaries
            .filter(|canary| canary.secret == key.clients.as_str())
            .flat_map(|canary| &canary.keys)
            .find(|(subject, _)| subject == key.subject.as_str())
            .map(|(_, value)| value.clone());
        let grants = prepared.suite.grants_of(case);
        let place = grants.iter().find_map(|grant| match &grant.terms {
            Terms::Identify(place) if grant.secret == key.clients => Some(place),
            _ => None,
        });
        match (place, value) {
            (Some(KeyPlace::Header(name)), Some(value)) => {
                if let Ok(value) = HeaderValue::from_str(&value) {
                    headers.insert(name.clone(), value);
                }
            }
            (Some(KeyPlace::Query(name)), Some(value)) => {
                let mark = if path.contains('?') { '&' } else { '?' };
                path.push_str(&format!("{mark}{name}={value}"));
            }
            _ => {}
        }
    }
    let mut written = http::Request::new(full(Bytes::from(request.body.clone())));
    *written.method_mut() = request.method.clone();
    *written.uri_mut() = path.parse::<Uri>().unwrap_or_default();
    *written.headers_mut() = headers;
    written
}

/// What is known of the client; or why a gateway doesn't let the request in.
fn place<B>(request: &Request, written: &http::Request<B>) -> Result<Client, Failure> {
    let authority = authority_of(written)?.to_owned();
    if !is_unambiguous(written.uri().path()) {
        return Err(Failure::AmbiguousPath);
    }
    let client = Client::new(request.client, authority);
    if request.server_name.is_none() && request.certificate.is_none() {
        return Ok(client);
    }
    let certificate = request.certificate.as_ref().map(|facts| ClientCertificate {
        subject: facts.subject.clone(),
        issuer: facts.issuer.clone(),
        serial: facts.serial.clone(),
        dns_names: facts.dns_names.clone(),
        uris: facts.uris.clone(),
        sha256: facts.sha256.clone(),
        not_before: 0,
        not_after: 253_402_300_799_000,
    });
    Ok(client.with_tls(Some(Arc::new(ClientTls {
        version: "TLSv1.3",
        server_name: request.server_name.clone(),
        alpn: Some("http/1.1"),
        certificate,
    }))))
}

async fn read(response: http::Response<keyward::egress::Body>) -> ObservedResponse {
    let (head, mut body) = response.into_parts();
    let mut bytes = Vec::new();
    let mut trailers = HeaderMap::new();
    let mut broken = false;
    while let Some(frame) = body.frame().await {
        match frame.map(http_body::Frame::into_data) {
            Ok(Ok(data)) => bytes.extend_from_slice(&data),
            Ok(Err(frame)) => {
                if let Ok(more) = frame.into_trailers() {
                    trailers.extend(more);
                }
            }
            Err(_) => {
                broken = true;
                break;
            }
        }
    }
    ObservedResponse {
        status: head.status.as_u16(),
        headers: head.headers,
        body: bytes.into(),
        broken,
        trailers,
    }
}

/// The exchange's records and what it had counted, with the names of its secrets.
fn audit(world: &World, id: ExchangeId, from: u64) -> Vec<serde_json::Value> {
    let id = id.to_string();
    let infos = world.keyward.vault().list();
    let mut records = world.trail.records(from);
    records.retain(|record| {
        let exchange = record.get("exchange").and_then(|of| of.as_str());
        // Refused client keys are counted over exchanges. Those of the ones before this
        // were written with them.
        exchange == Some(&id) || (exchange.is_none() && record.get("uses").is_some())
    });
    for record in &mut records {
        let uses = record.get_mut("uses").and_then(|uses| uses.as_array_mut());
        for one in uses.into_iter().flatten() {
            let name = one.get("secret").and_then(|id| id.as_str()).and_then(|id| {
                let info = infos.iter().find(|info| info.id.to_string() == id)?;
                Some(info.name.to_string())
            });
            if let (Some(name), Some(one)) = (name, one.as_object_mut()) {
                one.insert("secret-name".to_owned(), name.into());
            }
        }
    }
    records
}

/// Why a call does not carry a signature that is expected of it; none if it does.
pub(crate) fn not_signed(
    prepared: &Prepared<'_>,
    case: &Case,
    world: &World,
    call: &ObservedCall,
    expected: &SignatureExpected,
) -> Option<String> {
    let vault = world.keyward.vault();
    if let Some(header) = &expected.header {
        let Some(value) = crate::backend::joined(&call.headers, header.as_str()) else {
            return Some(format!("there is no header {header}"));
        };
        let verified = codes_in(&value)
            .into_iter()
            .any(|code| vault.verify_code(&expected.secret, &call.body, &code));
        return (!verified).then(|| "it holds no code of the key's over the body".to_owned());
    }
    let route = prepared
        .suite
        .routes
        .iter()
        .find(|route| route.name == call.route)?;
    let uri: Uri = route.url.parse().unwrap_or_default();
    let mut head = http::Request::new(()).into_parts().0;
    head.method = call.method.clone();
    head.uri = call.path.parse().unwrap_or_default();
    head.headers = call.headers.clone();
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let scheme = uri.scheme_str().unwrap_or("https");
    let mut why = Some("no grant signs requests with it".to_owned());
    for grant in prepared.suite.grants_of(case).iter() {
        if grant.secret != expected.secret || grant.use_() != Use::SignRequest {
            continue;
        }
        match vault.verify_signed(&grant.id, &head, scheme, authority, &call.body) {
            Ok(()) => return None,
            Err(not) => why = Some(not.to_string()),
        }
    }
    why
}

/// What in a header's value could be a code: the whole, or what follows a mark, in
/// hexadecimal or base64.
fn codes_in(value: &str) -> Vec<Vec<u8>> {
    let mut texts = vec![value];
    for (place, mark) in value.char_indices() {
        if matches!(mark, '=' | ' ' | ':' | ',') {
            texts.extend(value.get(place + mark.len_utf8()..));
        }
    }
    let mut codes = Vec::new();
    for text in texts {
        let text = text.trim().trim_matches(':');
        codes.extend(
            data_encoding::HEXLOWER_PERMISSIVE
                .decode(text.as_bytes())
                .ok(),
        );
        codes.extend(data_encoding::BASE64.decode(text.as_bytes()).ok());
        codes.extend(data_encoding::BASE64URL_NOPAD.decode(text.as_bytes()).ok());
    }
    codes
}
