//! Who shares a connection or a session with whom, and what is sent twice: B10 to
//! B13, B21, and what bounds a route's connections.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::{Method, Request};
use keyward_egress::{
    Connect, DialFuture, Dialer, Egress, EgressError, Roots, Route, Stage, Stream, Timeouts,
};
use keyward_names::RouteName;
use keyward_vault::Notes;
use rustls_pki_types::pem::PemObject as _;
use tokio_rustls::TlsAcceptor;

use crate::common::{
    Authority, Backend, MAX_STREAMS, World, endless, get, outgoing, read, reply, route_name,
};
use crate::wire::{Answer, Answers, Diverted, Wire, diverted, last};

#[tokio::test]
async fn two_names_on_one_address_share_no_connection() {
    let authority = Authority::new();
    let names = ["a.example.com", "b.example.com"];
    let tls = authority.server_of(&names, &["h2"]);
    let backend = Backend::start(Some(tls), |_| {
        let mut response = reply("");
        let headers = response.headers_mut();
        headers.insert("alt-svc", "h2=\"a.example.com:443\"".parse().unwrap());
        response
    })
    .await;
    let world = World::new();
    let route = |host: &str| {
        let name = RouteName::parse(host.split('.').next().unwrap()).unwrap();
        Route::new(name, &format!("https://{host}"))
            .unwrap()
            .with_roots(Roots::Pem(authority.pem()))
    };
    let resolver = Answers::new([&["93.184.216.34"][..]]);
    let connector = Diverted::new(backend.address);
    let egress = diverted(&world, names.map(route), resolver, connector);
    for name in ["a", "b", "a", "b"] {
        let mut request = outgoing(get("/"), Notes::default());
        request.route = RouteName::parse(name).unwrap();
        let sent = egress.send(request, &mut world.ledger()).await;
        read(sent.unwrap()).await;
    }
    // Each of them kept its own, so that sharing would have been seen.
    let connections: Vec<usize> = backend.seen().iter().map(|seen| seen.connection).collect();
    assert_eq!(connections, [0, 1, 0, 1]);
}

#[tokio::test]
async fn what_carries_a_credential_rides_alone() {
    let authority = Authority::new();
    for protocol in ["h2", "http/1.1"] {
        let tls = authority.server("localhost", &[protocol]);
        let backend = Backend::start(Some(tls), |_| reply("")).await;
        let world = World::new();
        let egress = world.egress(backend.tls_route(&authority));
        for _ in 0..3 {
            read(world.send_plain(&egress, get("/charges")).await.unwrap()).await;
            read(world.send_attached(&egress, get("/charges")).await.unwrap()).await;
        }
        // Control: those of a kind share one.
        assert_eq!(backend.connections(), 2, "{protocol}");
        for seen in backend.seen() {
            let has_key = seen.headers.contains_key("x-api-key");
            assert_eq!(has_key, seen.connection == 1, "{protocol}");
        }
    }
}

#[tokio::test]
async fn no_request_waits_inside_a_connection_after_it_was_checked() {
    let authority = Authority::new();
    let tls = authority.server("localhost", &["h2"]);
    // Answers that do not end, so that each holds its place.
    let backend = Backend::start(Some(tls), |_| {
        let mut response = reply("");
        *response.body_mut() = endless();
        response
    })
    .await;
    let world = World::new();
    let egress = world.egress(backend.tls_route(&authority));
    let mut held = Vec::new();
    for _ in 0..=MAX_STREAMS {
        let answer = world.send_attached(&egress, get("/charges"));
        let answer = tokio::time::timeout(Duration::from_secs(20), answer).await;
        held.push(answer.expect("there is room elsewhere").unwrap());
    }
    let seen = backend.seen();
    let beyond = seen.iter().filter(|seen| seen.connection == 1).count();
    assert_eq!((backend.connections(), beyond), (2, 1));
}

#[tokio::test]
async fn an_http2_connection_that_the_backend_closed_is_not_used_again() {
    let authority = Authority::new();
    let tls = authority.server("localhost", &["h2"]);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (close, mut closing) = tokio::sync::mpsc::channel::<()>(1);
    let (tell, mut closed) = tokio::sync::mpsc::channel::<()>(1);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let stream = tls.accept(stream).await.unwrap();
            let service = hyper::service::service_fn(|_| async {
                Ok::<_, std::convert::Infallible>(reply("ok"))
            });
            let executor = hyper_util::rt::TokioExecutor::new();
            let connection = hyper::server::conn::http2::Builder::new(executor)
                .serve_connection(hyper_util::rt::TokioIo::new(stream), service);
            tokio::select! {
                _ = connection => {}
                _ = closing.recv() => {}
            }
            tell.send(()).await.unwrap();
        }
    });
    let world = World::new();
    let route = Route::new(route_name(), &format!("https://localhost:{port}")).unwrap();
    let egress = world.egress(route.with_roots(Roots::Pem(authority.pem())));
    for _ in 0..3 {
        let answer = world.send_attached(&egress, get("/charges"));
        let answer = tokio::time::timeout(Duration::from_secs(20), answer).await;
        match answer.expect("what is closed does not keep anybody waiting") {
            Ok(answer) => assert_eq!(read(answer).await.0, b"ok"),
            // It may be on its way when the backend closes, and is not repeated.
            Err(error) => assert_eq!(error, EgressError::Protocol),
        }
        close.try_send(()).ok();
        closed.recv().await.unwrap();
    }
}

/// Names that lead nowhere after the first connection was made.
struct Hole {
    first: Arc<Diverted>,
    dials: std::sync::atomic::AtomicUsize,
}

impl Connect for Hole {
    fn connect(&self, address: SocketAddr) -> DialFuture<'_, Box<dyn Stream>> {
        if self.dials.fetch_add(1, Ordering::Relaxed) == 0 {
            return self.first.connect(address);
        }
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn those_who_wait_for_a_backend_that_went_away_do_not_wait_for_each_other() {
    let authority = Authority::new();
    let tls = authority.server("localhost", &["h2"]);
    // Answers that do not end, so that each holds its place.
    let backend = Backend::start(Some(tls), |_| {
        let mut response = reply("");
        *response.body_mut() = endless();
        response
    })
    .await;
    let world = World::new();
    let patience = Duration::from_millis(500);
    let timeouts = Timeouts {
        connect: patience,
        ..Timeouts::default()
    };
    let connector = Arc::new(Hole {
        first: Diverted::new(backend.address),
        dials: Default::default(),
    });
    let dialer = Dialer {
        resolver: Answers::new([&["127.0.0.1"][..]]),
        connector: Arc::clone(&connector) as _,
    };
    let route = backend.tls_route(&authority).with_timeouts(timeouts);
    let egress = Egress::with_dialer([route], Arc::clone(&world.vault), dialer).unwrap();
    let mut held = Vec::new();
    for _ in 0..MAX_STREAMS {
        let answer = world.send_attached(&egress, get("/charges")).await;
        held.push(answer.expect("there is room on the first connection"));
    }
    let started = tokio::time::Instant::now();
    let waiters = (0..20).map(|_| world.send_attached(&egress, get("/charges")));
    for answer in futures_util::future::join_all(waiters).await {
        let error = answer.expect_err("nobody is there any more");
        assert!(matches!(error, EgressError::Unreachable(_)), "{error}");
    }
    // One after the other they would take twenty times as long.
    assert!(started.elapsed() < 6 * patience, "{:?}", started.elapsed());
    assert!(connector.dials.load(Ordering::Relaxed) > 2);
}

/// A server that takes early data and issues tickets.
fn early(acceptor: &TlsAcceptor) -> TlsAcceptor {
    let mut config = rustls::ServerConfig::clone(acceptor.config());
    config.max_early_data_size = 4096;
    TlsAcceptor::from(Arc::new(config))
}

#[tokio::test]
async fn no_session_is_resumed_across_pools() {
    let authority = Authority::new();
    let tls = early(&authority.server("localhost", &["http/1.1"]));
    let backend = Wire::with_tls(Some(tls), |_| last("")).await;
    let url = format!("https://localhost:{}", backend.address.port());
    let route = |name: &str| {
        Route::new(RouteName::parse(name).unwrap(), &url)
            .unwrap()
            .with_roots(Roots::Pem(authority.pem()))
    };
    let world = World::new();
    let resolver = Answers::new([&["127.0.0.1"][..]]);
    let connector = Diverted::new(backend.address);
    let routes = [route("backend"), route("other")];
    let egress = diverted(&world, routes, resolver, connector);
    let send = async |route: &str, attached: bool| {
        let mut ledger = world.ledger();
        let notes = match attached {
            true => world.attach(&mut ledger),
            false => Notes::default(),
        };
        let mut request = outgoing(get("/charges"), notes);
        request.route = RouteName::parse(route).unwrap();
        read(egress.send(request, &mut ledger).await.unwrap()).await;
    };
    for (route, attached) in [("backend", false), ("backend", true), ("other", false)] {
        send(route, attached).await;
        send(route, attached).await;
    }
    // Control: each second one resumes what the first of its own pool began.
    let seen = backend.captured();
    let resumed: Vec<bool> = seen.iter().map(|seen| seen.tls.is_resumed).collect();
    assert_eq!(resumed, [false, true, false, true, false, true]);
}

#[tokio::test]
async fn nothing_is_sent_before_the_handshake_has_ended() {
    let authority = Authority::new();
    let tls = early(&authority.server("localhost", &["http/1.1"]));
    let backend = Wire::with_tls(Some(tls), |_| last("ok")).await;
    let url = format!("https://localhost:{}", backend.address.port());
    let route = Route::new(route_name(), &url)
        .unwrap()
        .with_roots(Roots::Pem(authority.pem()));
    let world = World::new();
    let egress = world.egress(route);
    for _ in 0..3 {
        read(world.send_attached(&egress, get("/charges")).await.unwrap()).await;
    }
    let seen = backend.captured();
    assert!(seen.last().unwrap().tls.is_resumed);
    assert!(seen.iter().all(|seen| !seen.tls.is_early));
    // Control: a client that sends early is seen to.
    let address = backend.address;
    let pem = authority.pem();
    tokio::task::spawn_blocking(move || send_early(address, &pem))
        .await
        .unwrap();
    let seen = backend.captured();
    assert!(seen.last().unwrap().tls.is_early);
}

/// Two requests over two connections, the second of them in early data.
fn send_early(address: std::net::SocketAddr, authority: &[u8]) {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in rustls_pki_types::CertificateDer::pem_slice_iter(authority) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.enable_early_data = true;
    let config = Arc::new(config);
    let request = b"GET /early HTTP/1.1\r\nhost: x\r\n\r\n";
    for is_second in [false, true] {
        let name = "localhost".try_into().unwrap();
        let mut session = rustls::ClientConnection::new(Arc::clone(&config), name).unwrap();
        let mut socket = std::net::TcpStream::connect(address).unwrap();
        let patience = Some(Duration::from_secs(5));
        socket.set_read_timeout(patience).unwrap();
        if is_second {
            let mut early = session.early_data().unwrap();
            early.write_all(request).unwrap();
        }
        let mut stream = rustls::Stream::new(&mut session, &mut socket);
        // The server keeps early data apart, and answers what comes after it.
        stream.write_all(request).unwrap();
        stream.flush().unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
    }
}

#[tokio::test]
async fn a_credential_is_sent_once() {
    for broken in [
        &b""[..],
        b"HTTP/1.1 200 OK\r\ncontent-le",
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
    ] {
        let backend = Wire::start(move |_| Answer::Last(broken.to_vec())).await;
        let world = World::new();
        let egress = world.egress(backend.route().with_retries(3));
        let sent = world.send_attached(&egress, get("/charges")).await;
        assert_eq!(sent.err(), Some(EgressError::Protocol));
        assert_eq!(backend.captured().len(), 1);
        // Nor is what a backend may do twice.
        let post = Request::post("/charges").body(keyward_egress::empty());
        let sent = world.send_plain(&egress, post.unwrap()).await;
        assert_eq!(sent.err(), Some(EgressError::Protocol));
        assert_eq!(backend.captured().len(), 2);
        let put = Request::put("/charges").body(keyward_egress::full("x".into()));
        let sent = world.send_plain(&egress, put.unwrap()).await;
        assert_eq!(sent.err(), Some(EgressError::Protocol));
        assert_eq!(backend.captured().len(), 3);
        // Control: what may be repeated is, where the route says so.
        let sent = world.send_plain(&egress, get("/charges")).await;
        assert_eq!(sent.err(), Some(EgressError::Protocol));
        assert_eq!(backend.captured().len(), 3 + 4);
        let egress = world.egress(backend.route());
        let sent = world.send_plain(&egress, get("/charges")).await;
        assert_eq!(sent.err(), Some(EgressError::Protocol));
        assert_eq!(backend.captured().len(), 3 + 4 + 1);
    }
}

#[tokio::test]
async fn a_repeated_request_is_answered_by_the_connection_that_holds() {
    let backend = Wire::start(|seen| match seen.connection {
        0 | 1 => Answer::Last(Vec::new()),
        _ => last("third"),
    })
    .await;
    let world = World::new();
    let egress = world.egress(backend.route().with_retries(2));
    let request = Request::builder().method(Method::DELETE).uri("/x?y=1");
    let request = request
        .header("x-kept", "1")
        .body(keyward_egress::empty())
        .unwrap();
    let response = world.send_plain(&egress, request).await.unwrap();
    assert_eq!(read(response).await.0, b"third");
    for seen in backend.captured() {
        assert_eq!(seen.line(), "DELETE /x?y=1 HTTP/1.1");
        assert_eq!(seen.values("x-kept"), ["1"]);
    }
}

#[tokio::test]
async fn a_route_has_no_more_connections_than_it_may() {
    for (protocols, most) in [(&["http/1.1"][..], 3), (&["h2"], 1)] {
        let authority = Authority::new();
        let tls = authority.server("localhost", protocols);
        let backend = Backend::start(Some(tls), |_| reply("ok")).await;
        let world = Arc::new(World::new());
        let route = backend.tls_route(&authority).with_max_connections(most);
        let egress = Arc::new(world.egress(route));
        let requests: Vec<_> = (0..60)
            .map(|_| {
                let (world, egress) = (Arc::clone(&world), Arc::clone(&egress));
                tokio::spawn(async move {
                    let sent = world.send_plain(&egress, get("/")).await;
                    read(sent.unwrap()).await.0
                })
            })
            .collect();
        for request in requests {
            assert_eq!(request.await.unwrap(), b"ok");
        }
        assert!(backend.connections() <= most, "{protocols:?}");
        assert_eq!(backend.seen().len(), 60);
    }
}

#[tokio::test]
async fn who_waits_too_long_for_a_connection_is_turned_away() {
    let backend = Wire::start(|seen| match seen.line() {
        "GET /silent HTTP/1.1" => Answer::Bytes(Vec::new()),
        _ => last("ok"),
    })
    .await;
    let world = World::new();
    let route = backend
        .route()
        .with_max_connections(1)
        .with_timeouts(Timeouts {
            connect: Duration::from_millis(50),
            ..Timeouts::default()
        });
    let egress = world.egress(route);
    let mut silent = Box::pin(world.send_plain(&egress, get("/silent")));
    let busy = tokio::select! {
        biased;
        _ = &mut silent => panic!("it is never answered"),
        sent = async {
            while backend.captured().is_empty() {
                tokio::task::yield_now().await;
            }
            world.send_plain(&egress, get("/")).await
        } => sent,
    };
    assert_eq!(busy.err(), Some(EgressError::Unreachable(Stage::Busy)));
    // Those with a credential have connections of their own.
    assert!(world.send_attached(&egress, get("/charges")).await.is_ok());
    // Given up, it makes room.
    drop(silent);
    let response = world.send_plain(&egress, get("/")).await.unwrap();
    assert_eq!(read(response).await.0, b"ok");
}
