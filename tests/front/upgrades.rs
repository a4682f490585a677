//! Upgrades: two connections joined, where a pipeline allows it and no value of a
//! secret went along.

use std::net::SocketAddr;
use std::time::Duration;

use keyward_tests::{Canary, policy_file};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Running, raw, rest_of, start, start_with, status};

/// A backend that agrees to WebSocket and then echoes bytes; sends the heads that
/// it received.
async fn echoing() -> (SocketAddr, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let tell = tell.clone();
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    if stream.read_line(&mut head).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                let wants = head.to_ascii_lowercase().contains("upgrade: websocket");
                let _ = tell.send(head);
                let answer: &[u8] = match wants {
                    true => b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: abc\r\n\r\n",
                    false => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
                };
                if stream.write_all(answer).await.is_err() || !wants {
                    return;
                }
                let mut buffer = [0; 1024];
                while let Ok(read) = stream.read(&mut buffer).await {
                    if read == 0 || stream.write_all(&buffer[..read]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, told)
}

fn pipeline(backend: SocketAddr, more: &str) -> String {
    format!(
        "[[route]]\nname = \"backend\"\nurl = \"http://{backend}\"\n\
         [[pipeline]]\npath = \"/\"\nroute = \"backend\"\n{more}\n"
    )
}

const ASK: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\n\
    Upgrade: WebSocket\r\nSec-WebSocket-Key: abc\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// A connection on which the gateway has agreed.
async fn upgraded(running: &Running) -> TcpStream {
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(ASK.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = stream.read_u8().await.unwrap();
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101"), "{head}");
    assert!(head.contains("upgrade: websocket"), "{head}");
    assert!(head.contains("connection: upgrade"), "{head}");
    assert!(head.contains("sec-websocket-accept: abc"), "{head}");
    stream
}

async fn echo(stream: &mut TcpStream, sent: &[u8]) {
    stream.write_all(sent).await.unwrap();
    let mut back = vec![0; sent.len()];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(back, sent);
}

#[tokio::test]
async fn bytes_flow_both_ways_after_an_upgrade_and_none_of_them_is_read_as_http() {
    let (backend, mut told) = echoing().await;
    let running = start("", &pipeline(backend, "upgrades = [\"websocket\"]"), &[]).await;
    let mut stream = upgraded(&running).await;
    let head = told.recv().await.unwrap();
    assert!(head.contains("sec-websocket-key: abc"), "{head}");
    echo(&mut stream, b"\x81\x85\0\0\0\0hello\n\r\n\0").await;
    echo(&mut stream, b"GET / HTTP/1.1\n\n").await;
    stream.shutdown().await.unwrap();
    assert_eq!(rest_of(&mut stream).await, "");
}

#[tokio::test]
async fn what_a_client_sends_before_the_answer_reaches_the_backend_as_it_is() {
    let (backend, _told) = echoing().await;
    let running = start("", &pipeline(backend, "upgrades = [\"websocket\"]"), &[]).await;
    let early = b"\x81\x05\r\n\n\0hello";
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let sent = [ASK.as_bytes(), early].concat();
    stream.write_all(&sent).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101"));
    let mut back = [0; 11];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, early);
    echo(&mut stream, b"and more\n").await;
}

#[tokio::test]
async fn behind_an_offer_that_is_not_taken_up_the_next_request_is_read() {
    let (backend, mut told) = echoing().await;
    let running = start("", &pipeline(backend, ""), &[]).await;
    let offer = ASK.replace("WebSocket", "h2c");
    let last = "GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = raw(running.address, &format!("{offer}{offer}{last}")).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 3, "{answer}");
    for path in ["/chat", "/chat", "/last"] {
        let head = told.recv().await.unwrap();
        assert!(head.contains(path), "{head}");
    }
}

#[tokio::test]
async fn without_leave_of_its_pipeline_a_request_for_another_protocol_is_refused() {
    let (backend, mut told) = echoing().await;
    let running = start("", &pipeline(backend, ""), &[]).await;
    let ask = ASK.replace("keep-alive", "close");
    for protocol in ["WebSocket", "websocket/13", "h2c, websocket", "irc/6.9", ""] {
        let ask = ask.replace("Upgrade: WebSocket", &format!("Upgrade: {protocol}"));
        let answer = raw(running.address, &ask).await;
        assert_eq!(status(&answer), "403", "{protocol}: {answer}");
    }
    assert!(told.try_recv().is_err());
    // Control: offers that clients make with any request are not taken up, and
    // nothing else becomes of them.
    for offer in ["h2c", "TLS/1.2, HTTP/2.0", "tls/1.0", "HTTP/2.0"] {
        let ask = ask.replace("Upgrade: WebSocket", &format!("Upgrade: {offer}"));
        let answer = raw(running.address, &ask).await;
        assert_eq!(status(&answer), "200", "{offer}: {answer}");
        let head = told.recv().await.unwrap().to_ascii_lowercase();
        assert!(!head.contains("upgrade"), "{head}");
    }
}

#[tokio::test]
async fn a_tunnel_that_is_silent_ends() {
    let (backend, _told) = echoing().await;
    let gateway = "[gateway.limits]\ntunnel-idle-timeout-ms = 300\n";
    let running = start(
        gateway,
        &pipeline(backend, "upgrades = [\"websocket\"]"),
        &[],
    )
    .await;
    let mut stream = upgraded(&running).await;
    let started = tokio::time::Instant::now();
    // Bytes keep it.
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    for _ in 0..6 {
        ticks.tick().await;
        echo(&mut stream, b"x").await;
    }
    assert!(started.elapsed() >= Duration::from_millis(500));
    assert_eq!(rest_of(&mut stream).await, "");
}

#[tokio::test]
async fn a_stop_waits_for_tunnels_and_then_cuts_them() {
    let (backend, _told) = echoing().await;
    let gateway = "[gateway.limits]\ndrain-ms = 500\n";
    let mut running = start(
        gateway,
        &pipeline(backend, "upgrades = [\"websocket\"]"),
        &[],
    )
    .await;
    let mut stream = upgraded(&running).await;
    running.stop.take().unwrap().send(()).unwrap();
    echo(&mut stream, b"still here").await;
    assert_eq!(rest_of(&mut stream).await, "");
    running.server.await.unwrap();
}

#[tokio::test]
async fn beside_a_value_of_a_secret_nothing_is_upgraded() {
    let (backend, mut told) = echoing().await;
    let canary = Canary::new();
    let grant = "[[grant]]\nid = \"attach\"\npolicy = \"attach-api-key\"\nsecret = \"key\"\nalias = \"backend\"\n\
        use = \"attach\"\nheader = \"authorization\"\ntemplate = \"Bearer {secret}\"\n\
        to = [{ route = \"backend\", paths = [\"/chat\"] }]\n";
    let rest = format!(
        "[grants]\nfile = \"grants.toml\"\n[[policy]]\nname = \"attach-api-key\"\ncomponent = \"{}\"\n{}",
        policy_file("attach-api-key").display(),
        pipeline(
            backend,
            "upgrades = [\"websocket\"]\ninbound = [\"attach-api-key\"]"
        )
    );
    let files = [("grants.toml", grant)];
    let running = start_with("", &rest, &files, &[("key", canary.text())]).await;
    let ask = ASK.replace("keep-alive", "close");
    let answer = raw(running.address, &ask).await;
    assert_eq!(status(&answer), "502", "{answer}");
    // Nothing was sent, and without the upgrade the same request goes through.
    assert!(told.try_recv().is_err());
    let plain = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    assert_eq!(status(&raw(running.address, plain).await), "200");
    assert!(told.recv().await.unwrap().contains(canary.text()));
}
