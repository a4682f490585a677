//! A real PostgreSQL: on loopback, in a temporary folder, over TLS and with
//! SCRAM-SHA-256. It is stopped when dropped.

use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, KeyPair};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

/// How long it may take to start, or to stop.
const START: Duration = Duration::from_secs(60);
/// Who runs it, where that would be root: it refuses to.
const NOBODY: u32 = 65534;

/// A running server.
pub struct PostgresServer {
    process: Child,
    port: u16,
    certificate: Vec<u8>,
    folder: TempDir,
}

impl PostgresServer {
    /// Whether the user said that this machine can't have others' servers.
    pub fn is_left_out() -> bool {
        crate::is_left_out("PostgreSQL")
    }

    /// Starts one, on which each of these statements, of one line each, has been run.
    /// Over the network, everyone logs in with SCRAM-SHA-256 over TLS, but for the users
    /// `clear` (who is asked for the password itself) and `plain` (without TLS).
    ///
    /// # Panics
    ///
    /// If there is none, or it doesn't come up within a minute.
    pub fn start(statements: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let data = folder.path().join("data");
        give_away(folder.path());
        let made = run(
            &folder,
            "initdb",
            &[
                "--pgdata=data",
                "--username=postgres",
                "--auth=reject",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
                "--no-instructions",
            ],
        )
        .stdout(Stdio::null())
        .status()
        .unwrap();
        assert!(made.success(), "no database could be made");

        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["localhost".to_owned()])
            .unwrap()
            .self_signed(&key)
            .unwrap()
            .pem();
        for (name, text) in [
            ("server.crt", certificate.as_str()),
            ("server.key", &key.serialize_pem()),
            (
                "pg_hba.conf",
                "hostssl all clear 127.0.0.1/32 password\n\
                 hostssl all plain 127.0.0.1/32 reject\n\
                 hostnossl all plain 127.0.0.1/32 scram-sha-256\n\
                 hostssl all all 127.0.0.1/32 scram-sha-256\n",
            ),
        ] {
            let file = data.join(name);
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
            give_away(&file);
        }

        let mut alone = run(&folder, "postgres", &["--single", "-D", "data", "postgres"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut input = alone.stdin.take().unwrap();
        for statement in statements {
            assert!(!statement.contains('\n'), "a line is a statement");
            writeln!(input, "{statement}").unwrap();
        }
        drop(input);
        assert!(alone.wait().unwrap().success(), "{}", log_in(&folder));

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let port_text = format!("port={port}");
        let settings = [
            "listen_addresses=127.0.0.1",
            &port_text,
            "unix_socket_directories=",
            "ssl=on",
            "fsync=off",
            "max_connections=40",
            "shared_buffers=16MB",
            "log_min_messages=info",
            "log_connections=on",
            "log_statement=all",
        ];
        let mut arguments = vec!["-D", "data"];
        arguments.extend(settings.iter().flat_map(|setting| ["-c", *setting]));
        let process = run(&folder, "postgres", &arguments).spawn().unwrap();
        let mut server = Self {
            process,
            port,
            certificate: certificate.into_bytes(),
            folder,
        };
        let start = Instant::now();
        // It listens before it is ready, and says so then.
        while !server.log().contains("ready to accept connections")
            || TcpStream::connect(("127.0.0.1", port)).is_err()
        {
            let ended = server.process.try_wait().unwrap();
            assert!(
                ended.is_none() && start.elapsed() < START,
                "{}",
                server.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    /// Where it listens, on `localhost`.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The certificate that vouches for it, as PEM.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        log_in(&self.folder)
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // At once, with its children.
        if let Some(pid) = i32::try_from(self.process.id())
            .ok()
            .and_then(Pid::from_raw)
        {
            let _ = kill_process(pid, Signal::QUIT);
        }
        let start = Instant::now();
        while matches!(self.process.try_wait(), Ok(None)) {
            if start.elapsed() > START {
                let _ = self.process.kill();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A program of PostgreSQL's, in the folder, as somebody who is not root.
fn run(folder: &TempDir, name: &str, arguments: &[&str]) -> Command {
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(folder.path().join("log"))
        .unwrap();
    let mut command = Command::new(program(name));
    command
        .args(arguments)
        .current_dir(folder.path())
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log);
    if geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

fn log_in(folder: &TempDir) -> String {
    let log = fs::read(folder.path().join("log")).unwrap_or_default();
    String::from_utf8_lossy(&log).into_owned()
}

fn give_away(path: &Path) {
    if geteuid().is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

/// Where `cargo xtask setup` puts it.
fn program(name: &str) -> PathBuf {
    let program = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../target/tools/servers/bin")
        .join(name);
    assert!(
        program.is_file(),
        "there is no PostgreSQL to ask: run `cargo xtask setup`, or set \
         KEYWARD_WITHOUT_SERVERS=1 to leave out what needs it"
    );
    program
}
