//! What the service manager sends to `keyward serve`, and what it is told.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::binary::{keyward, new_gateway};

/// A backend that answers each connection with its name.
fn backend(name: &'static str) -> SocketAddr {
    answering(move |_| name)
}

/// A backend that answers as `answer` makes of a request's head.
pub(crate) fn answering(answer: impl Fn(&str) -> &'static str + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream);
            let (mut head, mut before) = (String::new(), 0);
            while reader.read_line(&mut head).is_ok_and(|read| read > 0)
                && head.get(before..) != Some("\r\n")
            {
                before = head.len();
            }
            let text = answer(&head);
            let length = text.len();
            let answer = format!(
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{text}"
            );
            // Who asked may be gone.
            let _ = reader.get_mut().write_all(answer.as_bytes());
        }
    });
    address
}

/// The configuration of a new gateway, with a pipeline to a backend.
fn to(folder: &Path, made: &str, backend: SocketAddr) {
    let text = format!(
        "{made}\n[[route]]\nname = \"backend\"\nurl = \"http://{backend}\"\n\
         [[pipeline]]\npath = \"/\"\nroute = \"backend\"\n"
    );
    fs::write(folder.join("keyward.toml"), text).unwrap();
}

/// A gateway under a service manager.
pub(crate) struct Managed {
    child: Child,
    manager: UnixDatagram,
    address: SocketAddr,
    /// What it logged until it served.
    pub(crate) logged: String,
}

impl Managed {
    fn start(folder: &Path) -> Self {
        Self::start_with(folder, &[])
    }

    /// The same with these variables in its environment.
    pub(crate) fn start_with(folder: &Path, variables: &[(&str, &str)]) -> Self {
        let socket = folder.join("notify.sock");
        // One before it may have been here.
        let _ = fs::remove_file(&socket);
        let manager = UnixDatagram::bind(&socket).unwrap();
        manager
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let mut child = keyward(folder, &["serve", "-o", "json"])
            .env("NOTIFY_SOCKET", &socket)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut logged = String::new();
        let address = loop {
            let before = logged.len();
            let read = lines.read_line(&mut logged).unwrap();
            assert_ne!(read, 0, "it does not serve: {logged}");
            let line: serde_json::Value = serde_json::from_str(&logged[before..]).unwrap();
            if let Some(address) = line["fields"]["address"].as_str() {
                break address.parse().unwrap();
            }
        };
        // So that it never waits for somebody to read what it logs.
        std::thread::spawn(move || {
            let _ = lines.read_to_end(&mut Vec::new());
        });
        Self {
            child,
            manager,
            address,
            logged,
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// What the service manager is told next.
    pub(crate) fn told(&self) -> String {
        let mut bytes = [0; 4096];
        let length = self.manager.recv(&mut bytes).expect("the manager is told");
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    /// Who answers.
    fn ask(&self) -> String {
        self.get("/")
    }

    /// The body of an answer.
    pub(crate) fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.rsplit("\r\n\r\n").next().unwrap().to_owned()
    }

    /// One reload, from the signal to its end.
    pub(crate) fn reload(&self) {
        self.signal(Signal::HUP);
        let told = self.told();
        assert!(told.starts_with("RELOADING=1\n"), "{told}");
        // systemd insists on the time at which it began.
        let began = told
            .lines()
            .find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
        assert!(
            began.is_some_and(|began| began.parse::<u64>().is_ok()),
            "{told}"
        );
        assert_eq!(self.told().trim(), "READY=1");
    }
}

impl Drop for Managed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_service_manager_is_told_of_start_reload_and_stop_and_sighup_reloads() {
    let folder = new_gateway();
    let made = fs::read_to_string(folder.path().join("keyward.toml")).unwrap();
    let (first, second) = (backend("first"), backend("second"));
    to(folder.path(), &made, first);
    let mut managed = Managed::start(folder.path());
    assert_eq!(managed.told().trim(), "READY=1");
    assert_eq!(managed.ask(), "first");
    to(folder.path(), &made, second);
    // Control: without the signal nothing changes.
    assert_eq!(managed.ask(), "first");
    managed.reload();
    assert_eq!(managed.ask(), "second");
    // What is no configuration leaves the gateway as it is, and ready.
    fs::write(folder.path().join("keyward.toml"), "[gateway\n").unwrap();
    managed.reload();
    assert_eq!(managed.ask(), "second");
    to(folder.path(), &made, first);
    managed.reload();
    assert_eq!(managed.ask(), "first");
    managed.signal(Signal::TERM);
    assert_eq!(managed.told().trim(), "STOPPING=1");
    assert!(managed.child.wait().unwrap().success());
}
