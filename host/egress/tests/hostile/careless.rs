//! A client such as there are many: it follows where an answer leads it with all
//! that it carries, asks the proxy that the environment names, answers a challenge
//! with what `.netrc` says, and writes values as they stand. Controls send with it
//! what the egress is asked to send.

#![allow(unreachable_pub, reason = "what the tests here share")]

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How often it follows.
const MOST: usize = 3;

/// The header lines that carry a key.
pub fn with_key(value: &str) -> String {
    format!("x-api-key: {value}\r\n")
}

/// Writes bytes and reads one head.
pub async fn raw(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => answer.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn request(target: &str, host: &str, headers: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n{headers}\r\n")
}

/// The value of a header of an answer.
fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    answer
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

/// Where an answer leads: `location`, `refresh`, `alt-svc`, whichever comes first.
fn next(answer: &str) -> Option<String> {
    let refresh = || Some(header(answer, "refresh")?.split_once("url=")?.1);
    let other = || header(answer, "alt-svc")?.split('"').nth(1);
    let location = header(answer, "location");
    let found = location.or_else(refresh).or_else(other)?;
    Some(found.trim_start_matches("http://").to_owned())
}

/// Gets a URL with these headers, and follows.
pub async fn get(host: &str, path: &str, headers: &str) -> String {
    let (mut host, mut path) = (host.to_owned(), path.to_owned());
    let mut headers = headers.to_owned();
    let mut answer = String::new();
    for _ in 0..MOST {
        let proxy = std::env::var("HTTP_PROXY").ok();
        let target = match &proxy {
            Some(_) => format!("http://{host}{path}"),
            None => path.clone(),
        };
        let near = proxy
            .as_deref()
            .unwrap_or(&host)
            .trim_start_matches("http://");
        answer = raw(
            near.parse().unwrap(),
            request(&target, &host, &headers).as_bytes(),
        )
        .await;
        let challenged = ["www-authenticate", "proxy-authenticate"]
            .iter()
            .any(|name| header(&answer, name).is_some());
        if challenged && let Some(login) = login() {
            headers.push_str(&format!("authorization: Basic {login}\r\n"));
        }
        match next(&answer) {
            Some(there) => {
                let (there, rest) = there.split_once('/').unwrap_or((&there, ""));
                (host, path) = (there.to_owned(), format!("/{rest}"));
            }
            None if challenged => {}
            None => break,
        }
    }
    answer
}

/// What `.netrc` says for any host.
fn login() -> Option<String> {
    let text = std::fs::read_to_string(std::env::var_os("NETRC")?).ok()?;
    let words: Vec<&str> = text.split_whitespace().collect();
    let after = |key| {
        let at = words.iter().position(|word| *word == key)?;
        words.get(at + 1)
    };
    let login = format!("{}:{}", after("login")?, after("password")?);
    Some(data_encoding::BASE64.encode(login.as_bytes()))
}
