//! One more try after a 401: every case in which there may be one, and all others.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod common;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use common::{Backend, KEY, Seen, World, actor, get, outgoing, read, reply};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use keyward_egress::{Body, EgressError, Refresh, Route};
use keyward_names::SecretName;
use keyward_vault::{Grants, Secret, Vault};

const NEW_KEY: &str = "sk-live-Jx4bR9tQ2wMz7VfKd5Nc8HsL";

/// Brings the new key when it is asked, or brings nothing.
struct Source {
    vault: Arc<Vault>,
    brings: bool,
    asked: AtomicU32,
}

impl Source {
    fn new(world: &World, brings: bool) -> Arc<Self> {
        Arc::new(Self {
            vault: Arc::clone(&world.vault),
            brings,
            asked: AtomicU32::new(0),
        })
    }
}

impl Refresh for Source {
    fn refresh<'a>(
        &'a self,
        secret: &'a SecretName,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        assert_eq!(secret.as_str(), "backend-key");
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::Relaxed);
            if self.brings {
                let value = Secret::read_from(NEW_KEY.as_bytes(), 4096).unwrap();
                self.vault.rotate(secret, value, &actor()).unwrap();
            }
        })
    }
}

fn world(words: &str) -> World {
    let world = World::new();
    let grants = format!(
        "[[grant]]\nid = \"attach\"\npolicy = \"tester\"\nsecret = \"backend-key\"\n\
         alias = \"backend\"\nuse = \"attach\"\nheader = \"x-api-key\"\n{words}\
         to = [{{ route = \"backend\", paths = [\"/charges\"] }}]\n"
    );
    let grants = Grants::parse("grants.toml", &grants).unwrap();
    world.vault.set_grants(grants, &actor()).unwrap();
    world
}

fn unauthorized() -> Response<common::Reply> {
    let mut answer = reply("who?");
    *answer.status_mut() = StatusCode::UNAUTHORIZED;
    answer
}

/// What a request's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyIs {
    None,
    Short,
    OfUnknownLength,
    Long,
}

impl BodyIs {
    const ALL: [Self; 4] = [Self::None, Self::Short, Self::OfUnknownLength, Self::Long];

    fn bytes(self) -> Vec<u8> {
        match self {
            Self::None => Vec::new(),
            Self::Short | Self::OfUnknownLength => b"amount=5".to_vec(),
            Self::Long => vec![b'x'; (64 << 10) + 1],
        }
    }

    fn body(self) -> Body {
        let bytes = Bytes::from(self.bytes());
        match self {
            Self::None => keyward_egress::empty(),
            Self::Short | Self::Long => keyward_egress::full(bytes),
            Self::OfUnknownLength => {
                let frame = Ok(Frame::data(bytes));
                StreamBody::new(futures_util::stream::iter([frame])).boxed_unsync()
            }
        }
    }

    fn is_kept(self) -> bool {
        matches!(self, Self::None | Self::Short)
    }
}

fn keys(seen: &[Seen]) -> Vec<&str> {
    let keys = seen.iter().map(|one| one.headers["x-api-key"].to_str());
    keys.map(Result::unwrap).collect()
}

#[tokio::test]
async fn a_request_is_sent_twice_exactly_where_all_allows_it_and_never_with_one_version() {
    const WORDS: [&str; 3] = [
        "",
        "retry-on-401 = true\n",
        "retry-on-401 = true\nretry-any-method = true\n",
    ];
    let mut twice = 0;
    for (words, method, body, brings, takes_new) in cases() {
        let world = world(WORDS[words]);
        let backend = Backend::plain(move |seen| {
            let is_new = seen.headers["x-api-key"] == *NEW_KEY;
            match is_new && takes_new {
                true => reply("ok"),
                false => unauthorized(),
            }
        })
        .await;
        let egress = world.egress(backend.route());
        let source = Source::new(&world, brings);
        egress.refresh_with(source.clone());
        let request = Request::builder().method(&method).uri("/charges");
        let request = request.body(body.body()).unwrap();
        let answer = world.send_attached(&egress, request).await.unwrap();

        let case = format!("{words} {method} {body:?} {brings} {takes_new}");
        let seen = backend.seen();
        let allowed = match words {
            0 => false,
            1 => method.is_idempotent(),
            _ => true,
        };
        let tried = allowed && body.is_kept();
        let expected = match tried && brings {
            true => vec![KEY, NEW_KEY],
            false => vec![KEY],
        };
        twice += usize::from(expected.len() == 2);
        assert_eq!(keys(&seen), expected, "{case}");
        assert_eq!(
            source.asked.load(Ordering::Relaxed),
            u32::from(tried),
            "{case}"
        );
        // HTTP/1 has no body of unknown length in a request that should have none.
        let sent = match (&method, body) {
            (&Method::GET, BodyIs::OfUnknownLength) => Vec::new(),
            _ => body.bytes(),
        };
        for one in &seen {
            assert_eq!((&one.method, &one.body[..]), (&method, &sent[..]), "{case}");
        }
        let ok = expected.len() == 2 && takes_new;
        let status = match ok {
            true => StatusCode::OK,
            false => StatusCode::UNAUTHORIZED,
        };
        assert_eq!(answer.status(), status, "{case}");
        let text: &[u8] = if ok { b"ok" } else { b"who?" };
        assert_eq!(read(answer).await, (text.to_vec(), None), "{case}");
    }
    // Two of three methods for one word, three for the other; two of four bodies; a
    // source that brings something; a backend that takes it or not.
    assert_eq!(twice, (2 + 3) * 2 * 2);
}

/// Every case: which words of the grant, method, body, whether the source brings
/// another version, whether the backend takes that.
fn cases() -> impl Iterator<Item = (usize, Method, BodyIs, bool, bool)> {
    let methods = || [Method::GET, Method::PUT, Method::POST].into_iter();
    let both = || [true, false].into_iter();
    (0..3).flat_map(move |words| {
        methods().flat_map(move |method| {
            BodyIs::ALL.into_iter().flat_map(move |body| {
                let method = method.clone();
                both().flat_map(move |brings| {
                    let method = method.clone();
                    both().map(move |takes| (words, method.clone(), body, brings, takes))
                })
            })
        })
    })
}

#[tokio::test]
async fn other_refusals_are_passed_on() {
    for status in [
        StatusCode::FORBIDDEN,
        StatusCode::PROXY_AUTHENTICATION_REQUIRED,
    ] {
        let world = world("retry-on-401 = true\n");
        let backend = Backend::plain(move |_| {
            let mut answer = reply("no");
            *answer.status_mut() = status;
            answer
        })
        .await;
        let egress = world.egress(backend.route());
        let source = Source::new(&world, true);
        egress.refresh_with(source);
        let answer = world.send_attached(&egress, get("/charges")).await.unwrap();
        assert_eq!(answer.status(), status);
        assert_eq!(backend.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_grant_that_is_withdrawn_while_the_source_is_asked_sends_nothing_more() {
    struct Withdraws(Arc<Vault>);

    impl Refresh for Withdraws {
        fn refresh<'a>(
            &'a self,
            secret: &'a SecretName,
        ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
            Box::pin(async move {
                let value = Secret::read_from(NEW_KEY.as_bytes(), 4096).unwrap();
                self.0.rotate(secret, value, &actor()).unwrap();
                self.0.set_grants(Grants::none(), &actor()).unwrap();
            })
        }
    }

    let world = world("retry-on-401 = true\n");
    let backend = Backend::plain(|_| unauthorized()).await;
    let egress = world.egress(backend.route());
    egress.refresh_with(Arc::new(Withdraws(Arc::clone(&world.vault))));
    let answer = world.send_attached(&egress, get("/charges")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(keys(&backend.seen()), [KEY]);
}

#[tokio::test]
async fn a_source_that_does_not_answer_holds_the_401_for_three_seconds() {
    struct Hangs;

    impl Refresh for Hangs {
        fn refresh<'a>(
            &'a self,
            _: &'a SecretName,
        ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
            Box::pin(std::future::pending())
        }
    }

    let world = world("retry-on-401 = true\n");
    let backend = Backend::plain(|_| unauthorized()).await;
    let egress = world.egress(backend.route());
    egress.refresh_with(Arc::new(Hangs));
    let mut ledger = world.ledger();
    let notes = world.attach(&mut ledger);
    let began = std::time::Instant::now();
    let answer = egress
        .send(outgoing(get("/charges"), notes), &mut ledger)
        .await;
    assert_eq!(answer.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert!(
        (3..15).contains(&began.elapsed().as_secs()),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(backend.seen().len(), 1);
}

/// The backend goes away between the two.
#[tokio::test]
async fn a_second_request_that_fails_is_a_failure() {
    let world = world("retry-on-401 = true\n");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (mut stream, _) = listener.accept().await.unwrap();
        drop(listener);
        let mut head = [0; 4096];
        let _read = stream.read(&mut head).await.unwrap();
        let answer = b"HTTP/1.1 401 Unauthorized\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(answer).await.unwrap();
    });
    let egress = world.egress(Route::new(common::route_name(), &url).unwrap());
    let source = Source::new(&world, true);
    egress.refresh_with(source);
    let failed = world.send_attached(&egress, get("/charges")).await;
    assert!(
        matches!(failed, Err(EgressError::Unreachable(_))),
        "{:?}",
        failed.err()
    );
}
