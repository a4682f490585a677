#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, PoisonError};

use http::Method;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use keyward::vault::new_exchange_id;
use tokio::net::TcpListener;

use super::*;

/// A collector that keeps what it gets.
async fn collector() -> (String, Arc<Mutex<Vec<(String, Bytes)>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let got: Arc<Mutex<Vec<(String, Bytes)>>> = Arc::default();
    let keep = Arc::clone(&got);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let keep = Arc::clone(&keep);
            let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                let keep = Arc::clone(&keep);
                async move {
                    let path = request.uri().path().to_owned();
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    let mut keep = keep.lock().unwrap_or_else(PoisonError::into_inner);
                    keep.push((path, body));
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
                }
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    (url, got)
}

fn told(pipeline: &str) -> Told<'_> {
    Told {
        id: new_exchange_id(),
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        method: crate::observe::labels::method_class(&Method::GET),
        protocol: "1.1",
        tls: "",
        pipeline,
        route: "billing",
        path: Some("/a/secret/path"),
        status: 200,
        received: 1,
        sent: 2,
        elapsed_us: 1000,
        first_byte_us: Some(900),
        backend_us: Some(800),
        stopped_by: "",
        denials: 0,
        failure: None,
    }
}

fn telemetry(url: &str) -> TelemetrySection {
    TelemetrySection {
        otlp: Some(url.parse().unwrap()),
        ..TelemetrySection::default()
    }
}

#[tokio::test]
async fn an_exchange_reaches_the_collector_without_its_path() {
    let (url, got) = collector().await;
    let metrics = Arc::new(Metrics::new());
    let traces = Traces::start(&telemetry(&url), &metrics).unwrap();
    let trace = TraceContext::begin(&mut http::HeaderMap::new(), false, 1.0);
    let told = told("/billing");
    traces.tell(&told, None, trace, SystemTime::now());
    traces.flush().await;
    let got = got.lock().unwrap();
    let [(path, body)] = got.as_slice() else {
        panic!("one request, not {}", got.len())
    };
    assert_eq!(path, "/v1/traces");
    let has = |text: &str| body.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(has("GET /billing"));
    assert!(has("keyward.exchange"));
    assert!(has(&told.id.to_string()));
    assert!(body.windows(16).any(|part| part == trace.trace));
    assert!(!has("secret"));
}

#[tokio::test]
async fn a_collector_that_is_gone_costs_spans_and_nothing_else() {
    let metrics = Arc::new(Metrics::new());
    // Nothing listens on port 1.
    let traces = Traces::start(&telemetry("http://127.0.0.1:1"), &metrics).unwrap();
    let trace = TraceContext::begin(&mut http::HeaderMap::new(), false, 1.0);
    traces.tell(&told("/"), None, trace, SystemTime::now());
    traces.flush().await;
    assert_eq!(metrics.dropped_spans(), 1);
}
