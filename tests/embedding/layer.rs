//! [`keyward::KeywardLayer`] around services of all kinds.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use keyward::egress::{Body, EgressError, full};
use keyward::engine::Phase;
use keyward::names::ExchangeId;
use keyward::vault::{Durability, read_records};
use keyward::{BackendError, Failure, KeywardLayer, Pipeline};
use keyward_tests::{ATTACH_GRANT, Backend, Canary, TestGateway};
use serde_json::json;
use tower::{Layer, Service, ServiceExt, service_fn};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

/// How long something that must not happen is given to happen.
const GRACE: Duration = Duration::from_millis(200);

fn attaching(backend: &Backend, canary: &Canary) -> keyward_tests::Builder {
    TestGateway::builder()
        .api_key("billing-key", canary.text())
        .grants(ATTACH_GRANT)
        .route("billing", &backend.url())
        .inbound("attach-api-key", json!({}))
}

/// The gateway's pipeline at `/` as a layer.
pub(crate) fn layer(gateway: &TestGateway) -> KeywardLayer {
    let pipeline = gateway.pipelines().of("/").unwrap();
    let phases = Phase::ALL.map(|phase| pipeline.policies(phase).to_vec());
    let pipeline = Pipeline::new(pipeline.route().clone(), phases);
    KeywardLayer::new(gateway.keyward.clone(), pipeline).client_address(|_| Some(CLIENT))
}

pub(crate) fn egress(gateway: &TestGateway) -> keyward::Backend {
    let route = gateway.pipelines().of("/").unwrap().route();
    gateway.keyward.backend(route).unwrap()
}

pub(crate) fn get(path: &str) -> Request<Body> {
    Request::get(path)
        .header("host", "gateway.example")
        .body(full(Bytes::new()))
        .unwrap()
}

pub(crate) async fn text(response: Response<Body>) -> String {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

/// Everything of a request that middleware can look at.
fn all_of(request: &Request<Body>) -> Vec<u8> {
    format!("{request:?} {:?}", request.extensions()).into_bytes()
}

#[tokio::test]
async fn the_backend_gets_the_credential_and_no_one_between_sees_it() {
    let (backend, canary) = (Backend::start().await, Canary::new());
    let gateway = attaching(&backend, &canary).build();
    let seen: Arc<Mutex<Vec<u8>>> = Arc::default();
    let (recorder, egress) = (Arc::clone(&seen), egress(&gateway));
    let middleware = service_fn(move |request: Request<Body>| {
        let all = all_of(&request);
        recorder.lock().unwrap().extend_from_slice(&all);
        egress.clone().oneshot(request)
    });
    let finished = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&finished);
    let service = layer(&gateway)
        .on_finished(move |exchange| {
            let took = exchange.report.backend.as_ref().map(|call| call.outcome);
            let calls = exchange.report.calls.len();
            let line = (exchange.id, exchange.status, exchange.failure, took, calls);
            tell.lock().unwrap().push(line);
        })
        .layer(middleware);
    let answer = service.oneshot(get("/v1/charges")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(text(answer).await, "ok");

    let received = backend.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].header("x-api-key"), Some(canary.text()));
    let seen = seen.lock().unwrap().clone();
    assert!(seen.windows(4).any(|part| part == b"host"), "it did look");
    assert_eq!(canary.find_in(&seen), None);
    let finished = finished.lock().unwrap().clone();
    let [(id, StatusCode::OK, None, Some(Ok(StatusCode::OK)), 1)] = finished[..] else {
        panic!("{finished:?}")
    };

    let directory = gateway.close();
    let records: Vec<_> = read_records(&directory.path().join("audit"))
        .map(Result::unwrap)
        .collect();
    let records = serde_json::to_string(&records).unwrap();
    assert!(records.contains("\"attach\""), "{records}");
    assert!(records.contains(&id.to_string()), "{records}");
}

#[test]
fn control_what_is_in_a_request_is_found_there() {
    let canary = Canary::new();
    let mut request = get("/v1/charges");
    let value = canary.text().parse().unwrap();
    request.headers_mut().insert("x-api-key", value);
    assert!(canary.find_in(&all_of(&request)).is_some());
}

/// Sends one request through a middleware that gets the way to the backend, and
/// returns what it met there beside the client's status.
async fn met<F, R>(gateway: &TestGateway, middleware: F) -> (StatusCode, Vec<BackendError>)
where
    F: Fn(Request<Body>, keyward::Backend) -> R + Clone + Send + 'static,
    R: Future<Output = (Option<Response<Body>>, Vec<BackendError>)> + Send + 'static,
{
    let errors: Arc<Mutex<Vec<BackendError>>> = Arc::default();
    let (into, egress) = (Arc::clone(&errors), egress(gateway));
    let service = service_fn(move |request: Request<Body>| {
        let (into, run) = (Arc::clone(&into), middleware(request, egress.clone()));
        async move {
            let (answer, errors) = run.await;
            into.lock().unwrap().extend(errors.clone());
            answer.ok_or_else(|| errors[0])
        }
    });
    let answer = layer(gateway).layer(service).oneshot(get("/v1/charges"));
    let status = answer.await.unwrap().status();
    let errors = errors.lock().unwrap().clone();
    (status, errors)
}

#[tokio::test]
async fn a_request_that_lost_its_ticket_is_not_sent() {
    let (backend, canary) = (Backend::start().await, Canary::new());
    let gateway = attaching(&backend, &canary).build();
    let (status, errors) = met(&gateway, |mut request, mut egress| async move {
        request.extensions_mut().clear();
        let error = egress.call(request).await.unwrap_err();
        (None, vec![error])
    })
    .await;
    assert_eq!(errors, [BackendError::NoTicket]);
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(backend.received().is_empty());
}

#[tokio::test]
async fn a_request_that_came_by_no_layer_is_not_sent() {
    let (backend, canary) = (Backend::start().await, Canary::new());
    let gateway = attaching(&backend, &canary).build();
    let error = egress(&gateway)
        .oneshot(get("/v1/charges"))
        .await
        .unwrap_err();
    assert_eq!(error, BackendError::NoTicket);
    assert!(backend.received().is_empty());
}

/// A request that looks the same, with a copy of what is in the extensions.
fn copy(request: &Request<Body>) -> Request<Body> {
    let mut copy = get(request.uri().path());
    *copy.extensions_mut() = request.extensions().clone();
    copy
}

#[tokio::test]
async fn of_a_request_and_its_copy_one_is_sent() {
    let (backend, canary) = (Backend::start().await, Canary::new());
    let gateway = attaching(&backend, &canary).build();
    let (status, errors) = met(&gateway, |request, mut egress| async move {
        let copy = copy(&request);
        let answer = egress.call(request).await.unwrap();
        let error = egress.call(copy).await.unwrap_err();
        (Some(answer), vec![error])
    })
    .await;
    assert_eq!(
        (status, errors),
        (StatusCode::OK, vec![BackendError::TicketUsed])
    );
    assert_eq!(backend.received().len(), 1);
}

#[tokio::test]
async fn a_ticket_that_was_put_aside_ends_with_its_exchange() {
    let (backend, canary) = (Backend::start().await, Canary::new());
    let gateway = attaching(&backend, &canary).build();
    let aside: Arc<Mutex<Option<Request<Body>>>> = Arc::default();
    let keep = Arc::clone(&aside);
    let own = service_fn(move |request: Request<Body>| {
        *keep.lock().unwrap() = Some(request);
        async { Ok::<_, Infallible>(Response::new(full(Bytes::from("mine")))) }
    });
    let answer = layer(&gateway)
        .layer(own)
        .oneshot(get("/v1/charges"))
        .await
        .unwrap();
    assert_eq!(text(answer).await, "mine");
    let request = aside.lock().unwrap().take().unwrap();
    let error = egress(&gateway).oneshot(request).await.unwrap_err();
    assert_eq!(error, BackendError::TicketUsed);
    assert!(backend.received().is_empty());
}

#[tokio::test]
async fn what_is_attached_does_not_go_where_middleware_turns_the_request() {
    let (backend, canary) = (Backend::start().await, Canary::new());
    let gateway = attaching(&backend, &canary).build();
    let (status, errors) = met(&gateway, |mut request, mut egress| async move {
        *request.uri_mut() = "/v1/elsewhere".parse().unwrap();
        let error = egress.call(request).await.unwrap_err();
        (None, vec![error])
    })
    .await;
    assert_eq!(errors, [BackendError::Egress(EgressError::Denied)]);
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    assert!(backend.received().is_empty());
}

#[tokio::test]
async fn control_middleware_can_turn_a_request_that_carries_nothing() {
    let backend = Backend::start().await;
    let gateway = TestGateway::builder()
        .route("billing", &backend.url())
        .build();
    let (status, errors) = met(&gateway, |mut request, mut egress| async move {
        *request.uri_mut() = "/v1/elsewhere".parse().unwrap();
        (Some(egress.call(request).await.unwrap()), vec![])
    })
    .await;
    assert_eq!((status, errors), (StatusCode::OK, vec![]));
    assert_eq!(backend.received()[0].target, "GET /v1/elsewhere");
}

#[tokio::test]
async fn an_answer_that_does_not_wait_for_the_sending_is_not_passed_on() {
    let (backend, canary) = (Backend::start().await, Canary::new());
    let gateway = attaching(&backend, &canary).controlled_disk().build();
    gateway.disk().hang();
    let (status, _) = met(&gateway, |request, mut egress| async move {
        let sending = tokio::spawn(egress.call(request));
        // It has taken the ticket once it waits for the disk, if not before.
        tokio::time::sleep(GRACE).await;
        assert!(!sending.is_finished());
        (Some(Response::new(full(Bytes::from("early")))), vec![])
    })
    .await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    gateway.disk().work();
}

/// Answers by itself, with what policies used on record or not.
async fn own_answer(durability: Durability) -> (Arc<TestGateway>, tokio::task::JoinHandle<String>) {
    const GRANT: &str = r#"
[[grant]]
id = "sign"
policy = "thief"
secret = "mac"
use = "mac-sign"
"#;
    let settings = json!({ "attacks": ["sign"], "names": ["mac"] });
    let gateway = TestGateway::builder()
        .hmac_key("mac", Canary::new().text())
        .grants(GRANT)
        .route("billing", "http://127.0.0.1:1")
        .policy(&[Phase::Inbound], "hostile/thief", "thief", settings, &[])
        .durability(durability)
        .controlled_disk()
        .build();
    gateway.disk().hang();
    let own = service_fn(|_: Request<Body>| async {
        Ok::<_, Infallible>(Response::new(full(Bytes::from("mine"))))
    });
    let service = layer(&gateway).layer(own);
    let answer = tokio::spawn(async move {
        let answer = service.oneshot(get("/v1/charges")).await.unwrap();
        text(answer).await
    });
    (Arc::new(gateway), answer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_of_the_embedder_s_waits_for_the_record() {
    let (gateway, answer) = own_answer(Durability::Strict).await;
    let disk = gateway.disk();
    tokio::task::spawn_blocking(move || disk.wait_until_someone_waits())
        .await
        .unwrap();
    tokio::time::sleep(GRACE).await;
    assert!(!answer.is_finished());
    gateway.disk().work();
    assert_eq!(answer.await.unwrap(), "mine");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_without_the_barrier_the_embedder_s_answer_comes_first() {
    let (gateway, answer) = own_answer(Durability::Buffered).await;
    assert_eq!(answer.await.unwrap(), "mine");
    gateway.disk().work();
}

#[tokio::test]
async fn middleware_does_not_see_a_client_s_key() {
    const GRANT: &str = r#"
[[grant]]
id = "who"
policy = "require-client-key"
secret = "consumers"
use = "identify"
header = "x-client-key"
"#;
    let (backend, key) = (Backend::start().await, Canary::new());
    let gateway = TestGateway::builder()
        .client_keys("consumers", &format!("acme = {}\n", key.text()))
        .grants(GRANT)
        .route("billing", &backend.url())
        .inbound("require-client-key", json!({}))
        .build();
    let seen: Arc<Mutex<Vec<u8>>> = Arc::default();
    let (recorder, egress) = (Arc::clone(&seen), egress(&gateway).answering());
    let middleware = service_fn(move |request: Request<Body>| {
        let all = all_of(&request);
        recorder.lock().unwrap().extend_from_slice(&all);
        egress.clone().oneshot(request)
    });
    let mut service = layer(&gateway).layer(middleware);
    let mut request = get("/v1/charges");
    request
        .headers_mut()
        .insert("x-client-key", key.text().parse().unwrap());
    assert_eq!(
        service.call(request).await.unwrap().status(),
        StatusCode::OK
    );
    assert_eq!(key.find_in(&seen.lock().unwrap()), None);
    assert_eq!(backend.received().len(), 1);
    let without = service.call(get("/v1/charges")).await.unwrap();
    assert_eq!(without.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(backend.received().len(), 1);
}

#[tokio::test]
async fn a_backend_that_answers_for_itself_says_what_failed_and_no_more() {
    let canary = Canary::new();
    let gateway = TestGateway::builder()
        .api_key("billing-key", canary.text())
        .grants(ATTACH_GRANT)
        .route("billing", "http://127.0.0.1:1")
        .inbound("attach-api-key", json!({}))
        .build();
    let failures: Arc<Mutex<Vec<Option<Failure>>>> = Arc::default();
    let tell = Arc::clone(&failures);
    let service = layer(&gateway)
        .on_finished(move |exchange| tell.lock().unwrap().push(exchange.failure))
        .layer(egress(&gateway).answering());
    let answer = service.oneshot(get("/v1/charges")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
    assert!(text(answer).await.contains("backend failure"));
    let failures = failures.lock().unwrap();
    let [Some(Failure::Egress(EgressError::Unreachable(_)))] = failures[..] else {
        panic!("{failures:?}")
    };
}

#[tokio::test]
async fn what_no_policy_could_decide_about_is_refused_before_any_runs() {
    let backend = Backend::start().await;
    let gateway = TestGateway::builder()
        .route("billing", &backend.url())
        .build();
    let mut service = layer(&gateway).layer(egress(&gateway).answering());
    let ambiguous = service.call(get("/v1/%2e%2e/admin")).await.unwrap();
    assert_eq!(ambiguous.status(), StatusCode::BAD_REQUEST);
    let hostless = Request::get("/").body(full(Bytes::new())).unwrap();
    let hostless = service.call(hostless).await.unwrap();
    assert_eq!(hostless.status(), StatusCode::BAD_REQUEST);
    let mut nowhere = layer(&gateway)
        .client_address(|_| None)
        .layer(egress(&gateway).answering());
    let nowhere = nowhere.call(get("/")).await.unwrap();
    assert_eq!(nowhere.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(backend.received().is_empty());
    assert_eq!(
        service.call(get("/")).await.unwrap().status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn middleware_knows_the_exchange_that_the_audit_trail_names() {
    let (backend, canary) = (Backend::start().await, Canary::new());
    let gateway = attaching(&backend, &canary).build();
    let ids: Arc<Mutex<Vec<ExchangeId>>> = Arc::default();
    let (tell, egress) = (Arc::clone(&ids), egress(&gateway));
    let middleware = service_fn(move |request: Request<Body>| {
        let id = *request.extensions().get::<ExchangeId>().unwrap();
        tell.lock().unwrap().push(id);
        egress.clone().oneshot(request)
    });
    let service = layer(&gateway).layer(middleware);
    service.oneshot(get("/v1/charges")).await.unwrap();
    let id = ids.lock().unwrap()[0].to_string();
    let directory = gateway.close();
    let records: Vec<_> = read_records(&directory.path().join("audit"))
        .map(Result::unwrap)
        .collect();
    assert!(serde_json::to_string(&records).unwrap().contains(&id));
}
