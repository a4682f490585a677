//! What a client can't make the gateway do, and what operators see of its state.

use std::time::Duration;

use keyward_tests::Backend;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{all_to, get, raw, rest_of, start, status};

#[tokio::test]
async fn a_body_that_is_too_large_is_answered_with_413_announced_or_not() {
    let backend = Backend::start().await;
    let rest = format!(
        "[gateway.limits]\nmax-body-bytes = 10\n{}[[pipeline]]\npath = \"/files\"\nroute = \"backend\"\nmax-body-bytes = 20\n",
        all_to(&backend.url())
    );
    let running = start("", &rest, &[]).await;
    let announced = |path: &str, length: usize| {
        let body = "x".repeat(length);
        format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    };
    let chunked = |path: &str, length: usize| {
        let chunks = "1\r\nx\r\n".repeat(length);
        format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"
        )
    };
    for (path, length, expected) in [
        ("/", 10, "200"),
        ("/", 11, "413"),
        ("/files", 20, "200"),
        ("/files", 21, "413"),
    ] {
        for request in [announced(path, length), chunked(path, length)] {
            let answer = raw(running.address, &request).await;
            assert_eq!(status(&answer), expected, "{request} {answer}");
        }
    }
    assert!(
        backend
            .received()
            .iter()
            .all(|request| request.body.len() <= 20)
    );
}

#[tokio::test]
async fn a_body_that_stalls_or_drips_is_cut_off_with_408() {
    let backend = Backend::start().await;
    let rest = format!(
        "[gateway.limits]\nbody-idle-timeout-ms = 300\nmin-body-rate = 1000\n{}",
        all_to(&backend.url())
    );
    let running = start("", &rest, &[]).await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n";

    let answer = raw(running.address, &format!("{head}abc")).await;
    assert_eq!(status(&answer), "408", "{answer}");

    // That it is gRPC, which isn't spoken so, is only said.
    let said = head.replace("Host", "Content-Type: application/grpc\r\nHost");
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream
        .write_all(format!("{said}abc").as_bytes())
        .await
        .unwrap();
    let answer = tokio::time::timeout(Duration::from_secs(20), rest_of(&mut stream)).await;
    assert!(answer.expect("it waits").starts_with("HTTP/1.1 "));

    // Never silent for as long as that, and far below the rate.
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let dripping = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        loop {
            ticks.tick().await;
            if writing.write_all(b"x").await.is_err() {
                return;
            }
        }
    });
    let mut start = [0; 12];
    reading.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 408");
    dripping.abort();
}

#[tokio::test]
async fn control_a_body_that_comes_in_time_arrives_whole() {
    let backend = Backend::start().await;
    let rest = format!(
        "[gateway.limits]\nbody-idle-timeout-ms = 300\nmin-body-rate = 1\n{}",
        all_to(&backend.url())
    );
    let running = start("", &rest, &[]).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let head = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 20\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut ticks = tokio::time::interval(Duration::from_millis(30));
    for _ in 0..20 {
        ticks.tick().await;
        stream.write_all(b"x").await.unwrap();
    }
    let answer = rest_of(&mut stream).await;
    assert_eq!(status(&answer), "200", "{answer}");
    assert_eq!(backend.received()[0].body.len(), 20);
}

#[tokio::test]
async fn an_exchange_that_takes_too_long_is_answered_with_504() {
    // It accepts, and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let rest = format!(
        "[gateway.limits]\nrequest-timeout-ms = 300\n{}",
        all_to(&url)
    );
    let running = start("", &rest, &[]).await;
    let answer = raw(running.address, &get("/", "")).await;
    assert_eq!(status(&answer), "504", "{answer}");
    assert!(answer.contains("exchange took too long"), "{answer}");
}

#[tokio::test]
async fn methods_and_targets_that_no_gateway_passes_on_are_refused() {
    let backend = Backend::start().await;
    let running = start("", &all_to(&backend.url()), &[]).await;
    for (line, expected) in [
        ("TRACE / HTTP/1.1", "405"),
        ("CONNECT a:443 HTTP/1.1", "400"),
        ("GET /%zz HTTP/1.1", "400"),
        ("GET /a/../b HTTP/1.1", "400"),
        ("GET /a%2fb HTTP/1.1", "400"),
    ] {
        let request = format!("{line}\r\nHost: a\r\nConnection: close\r\n\r\n");
        let answer = raw(running.address, &request).await;
        assert_eq!(status(&answer), expected, "{line}: {answer}");
    }
    assert!(backend.received().is_empty());
    let answer = raw(running.address, &get("/", "")).await;
    assert_eq!(status(&answer), "200");
}

#[tokio::test]
async fn operators_see_that_it_is_ready_and_that_it_drains() {
    let backend = Backend::start().await;
    let gateway =
        "[gateway.admin]\nlisten = \"127.0.0.1:0\"\n[gateway.limits]\ndrain-delay-ms = 1500\n";
    let mut running = start(gateway, &all_to(&backend.url()), &[]).await;
    let admin = running.admin.unwrap();
    let ready = async || {
        let answer = raw(admin, &get("/ready", "")).await;
        (
            status(&answer).to_owned(),
            answer.lines().last().unwrap_or_default().to_owned(),
        )
    };
    // It serves once it answers.
    assert_eq!(status(&raw(running.address, &get("/", "")).await), "200");
    assert_eq!(ready().await, ("200".to_owned(), "ready".to_owned()));
    assert_eq!(status(&raw(admin, &get("/live", "")).await), "200");
    // What clients reach and what operators reach are two ports.
    assert_eq!(status(&raw(admin, &get("/other", "")).await), "404");
    running.stop.take().unwrap().send(()).unwrap();
    while ready().await.0 == "200" {
        tokio::task::yield_now().await;
    }
    assert_eq!(ready().await, ("503".to_owned(), "draining".to_owned()));
    // Until the port closes, clients are served.
    assert_eq!(status(&raw(running.address, &get("/", "")).await), "200");
    running.server.await.unwrap();
    assert!(TcpStream::connect(running.address).await.is_err());
}

#[tokio::test]
async fn the_admin_port_tells_how_many_connections_are_open() {
    let backend = Backend::start().await;
    let rest = format!(
        "[gateway.admin]\nlisten = \"127.0.0.1:0\"\n{}",
        all_to(&backend.url())
    );
    let running = start("", &rest, &[]).await;
    let admin = running.admin.unwrap();
    let shows = async |line: &str| {
        let metrics = raw(admin, &get("/metrics", "")).await;
        metrics.lines().any(|there| there == line)
    };
    assert!(shows("keyward_connections 0").await);
    let mut open = TcpStream::connect(running.address).await.unwrap();
    let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    open.write_all(request.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    open.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    assert!(shows("keyward_connections 1").await);
    assert!(shows("keyward_connections_accepted_total 1").await);
    drop(open);
    tokio::time::timeout(Duration::from_secs(10), async {
        while !shows("keyward_connections 0").await {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}
