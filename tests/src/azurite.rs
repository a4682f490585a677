//! A real emulator of Azure Storage (Azurite), on loopback, with what it stores in
//! memory. It is killed when dropped.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use data_encoding::BASE64;
use http::request::Parts;
use tempfile::TempDir;

/// A running emulator with one account.
pub struct Azurite {
    process: Child,
    /// Where each service is: blob, queue, table.
    ports: [u16; 3],
    key: String,
    _folder: TempDir,
}

/// The account's name.
const ACCOUNT: &str = "canary1";

impl Azurite {
    /// Whether the user said that this machine can't have others' servers.
    pub fn is_left_out() -> bool {
        crate::is_left_out("Azurite")
    }

    /// Starts one, with an account of that key (64 bytes).
    ///
    /// # Panics
    ///
    /// If there is none, or it doesn't come up.
    pub fn start(key: &[u8; 64]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../target/tools/npm-azurite/node_modules/azurite/dist/src/azurite.js");
        assert!(
            script.exists(),
            "{} is not there; run `cargo xtask setup`",
            script.display()
        );
        let key = BASE64.encode(key);
        let mut process = Command::new("node")
            .arg(script)
            .args(["--inMemoryPersistence", "--disableTelemetry"])
            .args(["--skipApiVersionCheck", "--blobHost", "127.0.0.1"])
            .args(["--queueHost", "127.0.0.1", "--tableHost", "127.0.0.1"])
            .args(["--blobPort", "0", "--queuePort", "0", "--tablePort", "0"])
            .env("AZURITE_ACCOUNTS", format!("{ACCOUNT}:{key}"))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut ports = [0; 3];
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        while ports.contains(&0) {
            let line = lines.next().expect("it says where it listens").unwrap();
            let services = ["Blob", "Queue", "Table"];
            for (port, service) in ports.iter_mut().zip(services) {
                if line.starts_with(&format!("Azurite {service} service is successfully")) {
                    *port = line.rsplit_once(':').unwrap().1.parse().unwrap();
                }
            }
        }
        // Nobody may wait for a pipe to be read.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            process,
            ports,
            key,
            _folder: folder,
        }
    }

    /// The account's connection string.
    pub fn connection_string(&self) -> String {
        let [blob, queue, table] = self.ports;
        let url = |port| format!("http://127.0.0.1:{port}/{ACCOUNT}");
        format!(
            "DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={};\
             BlobEndpoint={};QueueEndpoint={};TableEndpoint={}",
            self.key,
            url(blob),
            url(queue),
            url(table)
        )
    }

    /// Host and port of a service: `blob`, `queue` or `table`.
    pub fn authority(&self, service: &str) -> String {
        let at = ["blob", "queue", "table"]
            .iter()
            .position(|it| *it == service);
        format!("127.0.0.1:{}", self.ports[at.unwrap()])
    }

    /// The path below which the account lies, which is part of every path.
    pub fn base(&self) -> String {
        format!("/{ACCOUNT}")
    }

    /// Sends a request as it is, and returns the status and the body.
    pub fn send(&self, service: &str, head: &Parts, body: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(self.authority(service)).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let target = head.uri.path_and_query().unwrap();
        let mut text = format!(
            "{} {target} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n",
            head.method,
            self.authority(service)
        )
        .into_bytes();
        for (name, value) in &head.headers {
            text.extend_from_slice(name.as_str().as_bytes());
            text.extend_from_slice(b": ");
            text.extend_from_slice(value.as_bytes());
            text.extend_from_slice(b"\r\n");
        }
        if !head.headers.contains_key("content-length") && head.method != http::Method::GET {
            text.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
        }
        text.extend_from_slice(b"\r\n");
        text.extend_from_slice(body);
        stream.write_all(&text).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1).unwrap_or("0");
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (status.parse().unwrap_or(0), body.to_owned())
    }
}

impl Drop for Azurite {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
