//! A backend that returns what it was sent is stopped. Each case runs twice: with
//! the key attached by the host, where the guard must stop it, and with the same
//! value sent by the client itself, where there is no guard and it must arrive,
//! or the test would prove nothing.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod common;

use bytes::Bytes;
use common::{Authority, Backend, KEY, Reply, Seen, World, get, parts, read, reply};
use http::{HeaderMap, Request, Response, StatusCode};
use hyper::body::Frame;
use keyward_egress::{Body, BodyError, EgressError};

/// How an answer came through: its body, and whether it was stopped.
#[derive(Debug, PartialEq)]
enum Outcome {
    Passed(Vec<u8>),
    StoppedInHead,
    Refused,
    StoppedInBody(Vec<u8>),
}

async fn outcome(sent: Result<Response<Body>, EgressError>) -> Outcome {
    match sent {
        Err(EgressError::Reflected) => Outcome::StoppedInHead,
        Err(EgressError::Protocol) => Outcome::Refused,
        Err(other) => panic!("{other:?}"),
        Ok(response) => match read(response).await {
            (body, None) => Outcome::Passed(body),
            (body, Some(BodyError::Reflected)) => Outcome::StoppedInBody(body),
            (_, Some(other)) => panic!("{other:?}"),
        },
    }
}

/// A world in which nothing was sent to the backend, nor may be.
fn ungranted() -> World {
    let world = World::new();
    world.revoke_all();
    world
}

/// What becomes of a backend's answer with the guard and without it.
async fn with_and_without(
    answer: impl Fn(&str) -> Response<Reply> + Send + Sync + 'static,
) -> (Outcome, Outcome) {
    let backend =
        Backend::plain(move |seen: &Seen| answer(seen.headers["x-api-key"].to_str().unwrap()))
            .await;
    let world = World::new();
    let egress = world.egress(backend.route());
    let guarded = outcome(world.send_attached(&egress, get("/charges")).await).await;
    let request = Request::get("/charges").header("x-api-key", KEY);
    let request = request.body(keyward_egress::empty()).unwrap();
    let open = ungranted();
    let egress = open.egress(backend.route());
    let open = outcome(open.send_plain(&egress, request).await).await;
    (guarded, open)
}

#[tokio::test]
async fn an_echo_in_a_header_is_stopped_before_the_head_is_out() {
    let (guarded, open) = with_and_without(|key| {
        let mut response = reply("ok");
        response
            .headers_mut()
            .insert("x-echo", format!("a {key}").parse().unwrap());
        response
    })
    .await;
    assert_eq!(guarded, Outcome::StoppedInHead);
    assert_eq!(open, Outcome::Passed(b"ok".to_vec()));
}

#[tokio::test]
async fn an_echo_in_the_body_is_stopped_and_no_part_of_it_passes() {
    let (guarded, open) = with_and_without(|key| reply(format!("before {key} after"))).await;
    match guarded {
        // It came soon enough for the head to be held back.
        Outcome::StoppedInHead => {}
        Outcome::StoppedInBody(body) => assert!(!contains_part(&body)),
        other => panic!("{other:?}"),
    }
    let whole = format!("before {KEY} after").into_bytes();
    assert_eq!(open, Outcome::Passed(whole));
}

#[tokio::test]
async fn an_echo_after_the_head_is_out_is_cut() {
    let (guarded, open) = with_and_without(|key| {
        let key = Bytes::copy_from_slice(key.as_bytes());
        Response::new(parts(vec![
            Frame::data("before ".into()),
            Frame::data(key),
            Frame::data(" after".into()),
        ]))
    })
    .await;
    assert_eq!(guarded, Outcome::StoppedInBody(b"before ".to_vec()));
    let whole = format!("before {KEY} after").into_bytes();
    assert_eq!(open, Outcome::Passed(whole));
}

#[tokio::test]
async fn an_echo_in_pieces_is_cut() {
    for size in [1, 2, 7, 31] {
        let (guarded, open) = with_and_without(move |key| {
            let text = format!("before {key} after").into_bytes();
            Response::new(parts(
                text.chunks(size)
                    .map(|part| Frame::data(Bytes::copy_from_slice(part)))
                    .collect(),
            ))
        })
        .await;
        assert!(
            matches!(&guarded, Outcome::StoppedInBody(body) if !contains_part(body)),
            "{size}: {guarded:?}"
        );
        assert_eq!(
            open,
            Outcome::Passed(format!("before {KEY} after").into_bytes())
        );
    }
}

/// Four bytes of the key in a row are more than chance.
fn contains_part(body: &[u8]) -> bool {
    KEY.as_bytes()
        .windows(4)
        .any(|part| body.windows(4).any(|found| found == part))
}

#[tokio::test]
async fn a_body_that_only_looks_like_the_key_passes_whole() {
    let almost = &KEY[..KEY.len() - 1];
    let text = format!("{almost} {almost}? {almost}");
    let sent = text.clone();
    let (guarded, open) = with_and_without(move |_| reply(sent.clone())).await;
    assert_eq!(guarded, Outcome::Passed(text.clone().into_bytes()));
    assert_eq!(open, Outcome::Passed(text.into_bytes()));
}

#[tokio::test]
async fn an_answer_in_which_nothing_can_be_found_is_refused() {
    let encoded = |_: &str| {
        let mut response = reply("\x1f\u{8b}");
        response
            .headers_mut()
            .insert("content-encoding", "gzip".parse().unwrap());
        response
    };
    let partial = |_: &str| {
        let mut response = reply("ab");
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        response
    };
    for (guarded, open) in [
        with_and_without(encoded).await,
        with_and_without(partial).await,
    ] {
        assert_eq!(guarded, Outcome::Refused);
        assert!(matches!(open, Outcome::Passed(_)));
    }
}

#[tokio::test]
async fn trailers_are_searched_and_pass_when_they_are_clean() {
    let authority = Authority::new();
    let tls = authority.server("localhost", &["h2"]);
    let backend = Backend::start(Some(tls), |seen| {
        let mut trailers = HeaderMap::new();
        let echo = match seen.uri.ends_with("clean") {
            true => "0".parse().unwrap(),
            false => seen.headers["x-api-key"].clone(),
        };
        trailers.insert("x-echo", echo);
        Response::new(parts(vec![
            Frame::data("ok".into()),
            Frame::trailers(trailers),
        ]))
    })
    .await;
    let world = World::new();
    let egress = world.egress(backend.tls_route(&authority));
    let trailers = async |response: Response<Body>| {
        use http_body_util::BodyExt as _;
        let collected = response.into_body().collect().await?;
        let trailers = collected.trailers().cloned();
        assert_eq!(collected.to_bytes(), "ok");
        Ok::<_, BodyError>(trailers)
    };
    let response = world.send_attached(&egress, get("/charges")).await.unwrap();
    assert_eq!(trailers(response).await, Err(BodyError::Reflected));
    let response = world
        .send_attached(&egress, get("/charges/clean"))
        .await
        .unwrap();
    assert_eq!(trailers(response).await.unwrap().unwrap()["x-echo"], "0");

    let open = ungranted();
    let egress = open.egress(backend.tls_route(&authority));
    let request = Request::get("/charges").header("x-api-key", KEY);
    let request = request.body(keyward_egress::empty()).unwrap();
    let response = open.send_plain(&egress, request).await.unwrap();
    assert_eq!(trailers(response).await.unwrap().unwrap()["x-echo"], *KEY);
}

#[tokio::test]
async fn a_connection_whose_answer_was_cut_is_not_used_again() {
    let backend = Backend::plain(|seen| {
        let key = seen.headers["x-api-key"].to_str().unwrap().to_owned();
        Response::new(parts(vec![
            Frame::data("before ".into()),
            Frame::data(Bytes::from(key)),
            Frame::data(Bytes::from(vec![b'x'; 1 << 20])),
        ]))
    })
    .await;
    let world = World::new();
    let egress = world.egress(backend.route());
    for _ in 0..2 {
        let sent = world.send_attached(&egress, get("/charges")).await;
        let stopped = outcome(sent).await;
        assert!(matches!(stopped, Outcome::StoppedInBody(_)), "{stopped:?}");
    }
    assert_eq!(backend.connections(), 2);
}
