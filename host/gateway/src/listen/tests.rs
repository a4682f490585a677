#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use super::*;

use std::net::SocketAddr;

use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Stopped>,
}

async fn start<H, F, B>(limits: Limits, handler: H) -> Running
where
    H: Fn(Peer, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let settings = Settings {
        limits,
        certificates: None,
        metrics: None,
    };
    let settings = Arc::new(ArcSwap::from_pointee(settings));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, settings, handler, async {
        let _ = stopped.await;
    }));
    Running {
        address,
        stop,
        server,
    }
}

async fn echo(peer: Peer, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let version = request.version();
    let Ok(body) = request.into_body().collect().await else {
        return Response::new(Full::from("the body broke"));
    };
    Response::new(Full::from(format!(
        "{version:?} {} {}",
        peer.address.ip(),
        body.to_bytes().len()
    )))
}

/// Sends bytes and reads until the server closes.
async fn raw(address: SocketAddr, sent: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(sent).await.unwrap();
    let mut answer = Vec::new();
    // A reset after the answer is an end too.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn http1_and_http2_share_a_port() {
    let running = start(Limits::default(), echo).await;
    let answer = raw(
        running.address,
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\nconnection: close\r\n\r\nabc",
    )
    .await;
    assert!(
        answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("HTTP/1.1 127.0.0.1 3"),
        "{answer}"
    );

    let stream = TcpStream::connect(running.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let request = Request::post("http://a/")
        .body(Full::<Bytes>::from("abcd"))
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(&body[..], b"HTTP/2.0 127.0.0.1 4");
    drop(sender);
    running.stop.send(()).unwrap();
    assert_eq!(running.server.await.unwrap(), Stopped::Drained);
}

#[tokio::test]
async fn heads_are_bounded_in_number_and_size() {
    let running = start(
        Limits {
            max_headers: 10,
            ..Limits::default()
        },
        echo,
    )
    .await;
    let check = async |headers: String, status: &str| {
        let request = format!("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{headers}\r\n");
        let answer = raw(running.address, request.as_bytes()).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{status}: {answer}"
        );
    };
    check("x: 1\r\n".repeat(8), "200").await;
    check("x: 1\r\n".repeat(9), "431").await;
    check(format!("x: {}\r\n", "a".repeat(32 * 1024)), "200").await;
    check(format!("x: {}\r\n", "a".repeat(70 * 1024)), "431").await;
}

#[tokio::test]
async fn a_client_that_says_nothing_or_half_a_head_is_cut_off() {
    let limits = Limits {
        head_timeout: Duration::from_millis(400),
        ..Limits::default()
    };
    let running = start(limits, echo).await;
    let silent = [
        &b""[..],
        b"P",
        b"PRI * HTTP/2.0\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nx: ",
    ];
    let answers = silent.map(|sent| raw(running.address, sent));
    for answer in futures_util::future::join_all(answers).await {
        assert!(!answer.contains("200"), "{answer}");
    }
    // The same client, prompt, is served.
    let answer = raw(
        running.address,
        b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert!(answer.contains("200"), "{answer}");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_their_turn() {
    let running = start(
        Limits {
            max_connections: 1,
            ..Limits::default()
        },
        echo,
    )
    .await;
    let mut first = TcpStream::connect(running.address).await.unwrap();
    first
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let mut buffer = [0; 1024];
    assert!(first.read(&mut buffer).await.unwrap() > 0);

    let waiting = tokio::spawn(raw(
        running.address,
        b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    ));
    // The first connection is still served, the second not yet.
    first
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    assert!(first.read(&mut buffer).await.unwrap() > 0);
    assert!(!waiting.is_finished());
    drop(first);
    assert!(waiting.await.unwrap().contains("200"));
}

#[tokio::test]
async fn a_stop_lets_running_requests_end() {
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let handler = {
        let (entered, release) = (Arc::clone(&entered), Arc::clone(&release));
        move |_: Peer, _| {
            let (entered, release) = (Arc::clone(&entered), Arc::clone(&release));
            async move {
                entered.notify_one();
                release.notified().await;
                Response::new(Full::from("done"))
            }
        }
    };
    let running = start(Limits::default(), handler).await;
    let request = tokio::spawn(raw(running.address, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"));
    entered.notified().await;
    running.stop.send(()).unwrap();
    release.notify_one();
    assert!(request.await.unwrap().ends_with("done"));
    assert_eq!(running.server.await.unwrap(), Stopped::Drained);
    assert!(TcpStream::connect(running.address).await.is_err());
}

#[tokio::test]
async fn a_request_that_does_not_end_is_cut_after_the_drain_time() {
    let entered = Arc::new(Notify::new());
    let handler = {
        let entered = Arc::clone(&entered);
        move |_: Peer, _| {
            entered.notify_one();
            std::future::pending::<Response<Full<Bytes>>>()
        }
    };
    let limits = Limits {
        drain: Duration::from_millis(20),
        ..Limits::default()
    };
    let running = start(limits, handler).await;
    let request = tokio::spawn(raw(running.address, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"));
    entered.notified().await;
    running.stop.send(()).unwrap();
    assert_eq!(running.server.await.unwrap(), Stopped::Cut);
    assert_eq!(request.await.unwrap(), "");
}

/// The first line of the answer to a request that a limit is to stop.
async fn first_line(address: SocketAddr, sent: &[u8]) -> String {
    let answer = raw(address, sent).await;
    answer.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_cut_off_however_steadily_it_comes() {
    let limits = Limits {
        head_timeout: Duration::from_millis(300),
        ..Limits::default()
    };
    let running = start(limits, echo).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\nx: ")
        .await
        .unwrap();
    // A byte in each hundredth of the time that it has: never silent for long.
    let started = tokio::time::Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_millis(3));
    let mut answer = [0; 64];
    loop {
        tokio::select! {
            _ = ticks.tick() => if stream.write_all(b"a").await.is_err() { break },
            read = stream.read(&mut answer) => { assert!(matches!(read, Ok(0) | Err(_))); break }
        }
        assert!(started.elapsed() < Duration::from_secs(20), "never cut off");
    }
    assert!(started.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_connection_between_two_requests_is_closed_after_its_idle_time() {
    let limits = Limits {
        head_timeout: Duration::from_millis(50),
        keep_alive: Duration::from_millis(200),
        ..Limits::default()
    };
    let running = start(limits, echo).await;
    let started = tokio::time::Instant::now();
    let answer = raw(running.address, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(started.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn one_client_has_as_many_connections_as_it_may_and_the_next_is_closed() {
    let limits = Limits {
        max_connections_per_client: Some(1),
        ..Limits::default()
    };
    let running = start(limits, echo).await;
    let mut first = TcpStream::connect(running.address).await.unwrap();
    first
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let mut buffer = [0; 1024];
    assert!(first.read(&mut buffer).await.unwrap() > 0);
    assert_eq!(
        raw(running.address, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await,
        ""
    );
    // The first is served on.
    first
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    assert!(first.read(&mut buffer).await.unwrap() > 0);
}

#[tokio::test]
async fn a_connection_ends_with_its_last_request_and_says_so() {
    let limits = Limits {
        max_requests: Some(2),
        ..Limits::default()
    };
    let running = start(limits, echo).await;
    let request = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let answer = raw(running.address, request.repeat(3).as_bytes()).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 2, "{answer}");
    assert_eq!(answer.matches("connection: close").count(), 1, "{answer}");

    let stream = TcpStream::connect(running.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    let connection = tokio::spawn(connection);
    let request = || {
        Request::get("http://a/")
            .body(Full::<Bytes>::default())
            .unwrap()
    };
    for _ in 0..2 {
        let answer = sender.send_request(request()).await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.into_body().collect().await.unwrap();
    }
    // The server said that it is the last, and the connection ends in good order.
    connection.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off_over_http1() {
    let limits = Limits {
        write_timeout: Duration::from_millis(300),
        ..Limits::default()
    };
    let ended = Arc::new(Notify::new());
    let handler = endless(&ended);
    let running = start(limits, handler).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    tokio::time::timeout(Duration::from_secs(20), ended.notified())
        .await
        .expect("it is still being served");
}

#[tokio::test]
async fn a_client_that_keeps_its_window_shut_is_cut_off_over_http2() {
    let limits = Limits {
        write_timeout: Duration::from_millis(300),
        ..Limits::default()
    };
    let ended = Arc::new(Notify::new());
    let running = start(limits, endless(&ended)).await;
    let stream = TcpStream::connect(running.address).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    // It answers pings: it lives.
    let connection = tokio::spawn(connection);
    let mut sender = sender.ready().await.unwrap();
    let request = Request::get("http://a/").body(()).unwrap();
    let (answer, _) = sender.send_request(request, true).unwrap();
    let answer = answer.await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), ended.notified())
        .await
        .expect("it is still being served");
    drop(answer);
    let _ = connection.await;
}

/// Behind a proxy, the streams of a connection are different people's.
#[tokio::test]
async fn what_one_stream_does_not_take_ends_no_other_exchange_over_http2() {
    let limits = Limits {
        write_timeout: Duration::from_millis(200),
        ..Limits::default()
    };
    let ended = Arc::new(Notify::new());
    let endless = endless(&ended);
    let handler = move |peer: Peer, request: Request<Incoming>| {
        let endless = endless.clone();
        async move {
            if request.uri().path() == "/endless" {
                return endless(peer, request).await;
            }
            // Ten times as long as one may not be read.
            let parts = futures_util::stream::unfold(0, |sent| async move {
                tokio::time::sleep(Duration::from_millis(200)).await;
                let part = http_body::Frame::data(Bytes::from_static(b"x"));
                (sent < 10).then_some((Ok::<_, std::convert::Infallible>(part), sent + 1))
            });
            let parts = std::sync::Mutex::new(Box::pin(parts));
            let parts = futures_util::stream::poll_fn(move |cx| {
                let mut parts = parts.lock().unwrap();
                futures_util::Stream::poll_next(parts.as_mut(), cx)
            });
            Response::new(BodyExt::boxed(http_body_util::StreamBody::new(parts)))
        }
    };
    let running = start(limits, handler).await;
    let stream = TcpStream::connect(running.address).await.unwrap();
    let (sender, connection) = h2::client::Builder::new()
        // Of the connection's window the stream that isn't read takes a part only.
        .initial_connection_window_size(1 << 20)
        .handshake::<_, Bytes>(stream)
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let mut sender = sender.ready().await.unwrap();
    let mut ask = |path: &str| {
        let request = Request::get(format!("http://a{path}")).body(()).unwrap();
        sender.send_request(request, true).unwrap().0
    };
    let (endless, long) = (ask("/endless"), ask("/long"));
    let (endless, long) = (endless.await.unwrap(), long.await.unwrap());
    let mut body = long.into_body();
    let mut received = 0;
    while let Some(part) = body.data().await {
        received += part.unwrap().len();
    }
    assert_eq!(received, 10);
    // Then the connection ends, which began no new request.
    tokio::time::timeout(Duration::from_secs(20), ended.notified())
        .await
        .expect("it is still being served");
    drop(endless);
    let _ = connection.await;
}

#[tokio::test]
async fn a_client_that_reads_in_time_gets_all_of_a_long_answer() {
    let limits = Limits {
        write_timeout: Duration::from_millis(300),
        ..Limits::default()
    };
    let handler = |_: Peer, _| async {
        let parts = futures_util::stream::unfold(0, |sent| async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let part = http_body::Frame::data(Bytes::from_static(&[b'x'; 1000]));
            (sent < 10).then_some((Ok::<_, std::convert::Infallible>(part), sent + 1))
        });
        Response::new(http_body_util::StreamBody::new(parts))
    };
    let running = start(limits, handler).await;
    let stream = TcpStream::connect(running.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let request = Request::get("http://a/")
        .body(Full::<Bytes>::default())
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body.len(), 10_000);
}

/// Answers with a body without end; tells when it is given up.
fn endless(
    ended: &Arc<Notify>,
) -> impl Fn(
    Peer,
    Request<Incoming>,
) -> std::future::Ready<
    Response<http_body_util::combinators::BoxBody<Bytes, std::convert::Infallible>>,
> + Clone
+ Send
+ Sync
+ 'static {
    struct Tell(Arc<Notify>);
    impl Drop for Tell {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let ended = Arc::clone(ended);
    move |_, _| {
        let tell = Tell(Arc::clone(&ended));
        let parts = futures_util::stream::repeat_with(move || {
            let _ = &tell;
            let part = Bytes::from_static(&[b'x'; 16 * 1024]);
            Ok::<_, std::convert::Infallible>(http_body::Frame::data(part))
        });
        std::future::ready(Response::new(BodyExt::boxed(
            http_body_util::StreamBody::new(parts),
        )))
    }
}

#[tokio::test]
async fn a_port_closes_only_after_the_time_that_others_need_to_notice() {
    let limits = Limits {
        drain_delay: Duration::from_millis(400),
        ..Limits::default()
    };
    let running = start(limits, echo).await;
    running.stop.send(()).unwrap();
    let request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    assert_eq!(
        first_line(running.address, request).await,
        "HTTP/1.1 200 OK"
    );
    assert_eq!(running.server.await.unwrap(), Stopped::Drained);
    assert!(TcpStream::connect(running.address).await.is_err());
}

#[tokio::test]
async fn a_stop_tells_clients_that_a_connection_ends() {
    let running = start(Limits::default(), echo).await;
    let stream = TcpStream::connect(running.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::get("http://a/")
        .body(Full::<Bytes>::default())
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    answer.into_body().collect().await.unwrap();
    running.stop.send(()).unwrap();
    // GOAWAY, and no error.
    connection.await.unwrap().unwrap();
    assert_eq!(running.server.await.unwrap(), Stopped::Drained);
}

#[tokio::test]
async fn an_http2_connection_without_a_request_is_closed_in_good_order() {
    let limits = Limits {
        keep_alive: Duration::from_millis(200),
        ..Limits::default()
    };
    let running = start(limits, echo).await;
    let stream = TcpStream::connect(running.address).await.unwrap();
    let (_sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), connection)
        .await
        .expect("it is kept")
        .unwrap();
}
