#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use super::*;

use http_body_util::{BodyExt as _, Full};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Stopped>,
}

async fn start<H, F>(limits: Limits, handler: H) -> Running
where
    H: Fn(SocketAddr, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, limits, handler, async {
        let _ = stopped.await;
    }));
    Running {
        address,
        stop,
        server,
    }
}

async fn echo(client: SocketAddr, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let version = request.version();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    Response::new(Full::from(format!(
        "{version:?} {} {}",
        client.ip(),
        body.len()
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
        move |_, _| {
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
        move |_, _| {
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
