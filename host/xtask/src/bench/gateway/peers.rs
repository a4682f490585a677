//! The peers: what each is, and how it is set up.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::load::CORE;
use crate::servers::Server;
use crate::servers::running::{Running, free_address};
use crate::{steps, workspace};

/// The path that is asked for, which the grant names.
pub(crate) const PATH: &str = "/v1/charges";
/// The proxy's core.
const PROXY_CORE: usize = 0;
const FIELD: &str = "x-api-key";
const VALUE: &str = "sk_bench_0123456789abcdef0123456789";

/// What a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The benchmark's own program in a mode: hyper and no gateway, or an attach that
    /// no policy asks for.
    Native(&'static str),
    /// `keyward serve` with so many policies.
    Keyward(usize),
    Nginx,
    Haproxy,
    /// Envoy with a filter, or none.
    Envoy(Filter),
}

/// What Envoy does to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filter {
    None,
    Wasm,
    Credential,
}

/// One of the proxies.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Whether the backend gets a credential.
    attaches: bool,
}

const fn peer(name: &'static str, kind: Kind, attaches: bool) -> Peer {
    Peer {
        name,
        kind,
        attaches,
    }
}

pub(crate) const ALL: &[Peer] = &[
    peer("plain hyper proxy", Kind::Native("hyper"), false),
    peer("Keyward, no policy", Kind::Keyward(0), false),
    peer(
        "Keyward, attach in plain Rust",
        Kind::Native("native"),
        true,
    ),
    peer("Keyward, 1 policy", Kind::Keyward(1), true),
    peer("Keyward, 3 policies", Kind::Keyward(3), true),
    peer("nginx", Kind::Nginx, false),
    peer("HAProxy", Kind::Haproxy, false),
    peer("Envoy", Kind::Envoy(Filter::None), false),
    peer("Envoy, proxy-wasm filter", Kind::Envoy(Filter::Wasm), true),
    peer(
        "Envoy, credential injector",
        Kind::Envoy(Filter::Credential),
        true,
    ),
];

/// What was built for the benchmark.
pub(crate) struct World {
    keyward: PathBuf,
    native: PathBuf,
}

impl World {
    /// Builds what is ours, for release.
    ///
    /// Errors: a build fails.
    pub(crate) fn build() -> Result<Self> {
        steps::doing("building the gateway for release");
        steps::run(workspace::cargo().args(["build", "--release", "--package", "keyward-cli"]))?;
        let said = steps::capture(
            workspace::cargo()
                .args(["bench", "--package", "keyward-gateway", "--bench", "proxy"])
                .args(["--no-run", "--message-format=json"]),
        )?;
        let native = said
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .filter(|message| message["target"]["name"] == "proxy")
            .find_map(|message| message["executable"].as_str().map(PathBuf::from))
            .context("cargo built no benchmark `proxy`")?;
        Ok(World {
            keyward: workspace::target().join("release/keyward"),
            native,
        })
    }

    /// A backend: nginx, which answers at once, and says whether the credential came.
    pub(crate) fn backend(&self) -> Result<Running> {
        let address = free_address()?;
        let folder = tempfile::tempdir()?;
        let body = ".".repeat(200);
        let here = folder.path();
        std::fs::write(
            here.join("nginx.conf"),
            nginx(
                here,
                &format!(
                    "  map $http_x_api_key $came {{ default no; \"{VALUE}\" yes; }}\n\
                     \x20 server {{\n    listen {address};\n    keepalive_requests 100000000;\n\
                     \x20   location / {{ return 200 \"{body}\"; }}\n\
                     \x20   location = {PATH}/came {{ return 200 $came; }}\n  }}\n"
                ),
            ),
        )?;
        Running::start(nginx_command(here), folder, address, Some(CORE))
    }

    /// Starts a peer on its core.
    ///
    /// Errors: it can't be set up, or does not come up.
    pub(crate) fn start(&self, peer: &Peer, backend: SocketAddr) -> Result<Running> {
        let address = free_address()?;
        // On the disk that holds the work: an audit trail in memory would cost nothing.
        let root = workspace::target().join("bench");
        std::fs::create_dir_all(&root)?;
        let folder = tempfile::tempdir_in(root)?;
        let here = folder.path();
        let command = match peer.kind {
            Kind::Native(mode) => {
                let mut command = Command::new(&self.native);
                command
                    .args(["proxy", mode])
                    .args([backend.to_string(), address.to_string()]);
                command
            }
            Kind::Keyward(policies) => self.keyward(here, policies, backend, address)?,
            Kind::Nginx => {
                let proxy = format!(
                    "  upstream backend {{ server {backend}; keepalive 128; keepalive_requests 100000000; }}\n\
                     \x20 server {{\n    listen {address};\n    keepalive_requests 100000000;\n\
                     \x20   location / {{\n      proxy_pass http://backend;\n      proxy_http_version 1.1;\n\
                     \x20     proxy_set_header Connection \"\";\n    }}\n  }}\n"
                );
                std::fs::write(here.join("nginx.conf"), nginx(here, &proxy))?;
                nginx_command(here)
            }
            Kind::Haproxy => {
                std::fs::write(here.join("haproxy.cfg"), haproxy(backend, address))?;
                let mut command = Command::new(Server::Haproxy.program());
                command.arg("-f").arg(here.join("haproxy.cfg"));
                command
            }
            Kind::Envoy(filter) => {
                std::fs::write(
                    here.join("envoy.yaml"),
                    envoy(here, filter, backend, address)?,
                )?;
                let mut command = Command::new(Server::Envoy.program());
                command
                    .args(["--concurrency", "1", "--disable-hot-restart"])
                    .args(["--log-level", "error", "-c"])
                    .arg(here.join("envoy.yaml"));
                command
            }
        };
        Running::start(command, folder, address, Some(PROXY_CORE))
    }

    /// Whether the credential reaches the backend, where it should, and nowhere else.
    ///
    /// Errors: it does otherwise.
    pub(crate) fn check(&self, peer: &Peer, proxy: SocketAddr) -> Result<()> {
        let answer = get(proxy, &format!("{PATH}/came"))?;
        let wanted = if peer.attaches { "yes" } else { "no" };
        ensure!(
            answer.starts_with("HTTP/1.1 200") && answer.trim_end().ends_with(wanted),
            "expected `{wanted}`: {answer}"
        );
        Ok(())
    }

    /// A gateway as `keyward init` makes one, with policies of which the first has the
    /// credential attached, and all do something to the request and to the response.
    fn keyward(
        &self,
        here: &Path,
        policies: usize,
        backend: SocketAddr,
        address: SocketAddr,
    ) -> Result<Command> {
        self.say(here, &["init", "--listen", &address.to_string()], "")?;
        self.say(here, &["secret", "set", "key", "--kind", "api-key"], VALUE)?;
        std::fs::write(here.join("grants.toml"), GRANTS)?;
        let mut text = std::fs::read_to_string(here.join("keyward.toml"))?;
        writeln!(
            text,
            "\n[[route]]\nname = \"backend\"\nurl = \"http://{backend}\"\n"
        )?;
        let component = |file: &str| workspace::policies().join(file).with_extension("wasm");
        let mut names = Vec::new();
        for number in 1..=policies {
            let (file, settings) = if number == 1 {
                ("bench-policy", "{ do = \"attach-and-mark\" }".to_owned())
            } else {
                let header = format!("{{ name = \"x-policy-{number}\", values = [\"seen\"] }}");
                ("set-headers", format!("{{ headers = [{header}] }}"))
            };
            let name = format!("policy-{number}");
            writeln!(
                text,
                "[[policy]]\nname = \"{name}\"\ncomponent = \"{}\"\nsettings = {settings}\n",
                component(file).display()
            )?;
            names.push(format!("\"{name}\""));
        }
        let names = names.join(", ");
        writeln!(
            text,
            "[[pipeline]]\npath = \"/\"\nroute = \"backend\"\ninbound = [{names}]\noutbound = [{names}]"
        )?;
        std::fs::write(here.join("keyward.toml"), text)?;
        let mut command = Command::new(&self.keyward);
        // The others write no access log either.
        command.args(["serve", "--log", "warn"]);
        Ok(command)
    }

    fn say(&self, here: &Path, arguments: &[&str], input: &str) -> Result<()> {
        let mut child = Command::new(&self.keyward)
            .args(arguments)
            .current_dir(here)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("can't run the keyward command")?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }
}

/// One request over a connection of its own, and all of the answer.
fn get(server: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

const GRANTS: &str = r#"
[[grant]]
id = "attach"
policy = "policy-1"
secret = "key"
alias = "backend"
use = "attach"
header = "x-api-key"
to = [{ route = "backend", paths = ["/v1/charges", "/v1/charges/came"] }]
"#;

fn nginx(here: &Path, servers: &str) -> String {
    let here = here.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("  {kind}_temp_path {here}/{kind};\n"))
        .concat();
    format!(
        "daemon off;\nmaster_process off;\nworker_processes 1;\npid {here}/pid;\n\
         error_log {here}/log;\nevents {{ worker_connections 4096; }}\n\
         http {{\n  access_log off;\n{temporary}{servers}}}\n"
    )
}

fn nginx_command(here: &Path) -> Command {
    let mut command = Command::new(Server::Nginx.program());
    command
        .arg("-p")
        .arg(here)
        .arg("-e")
        .arg(here.join("log"))
        .arg("-c")
        .arg(here.join("nginx.conf"));
    command
}

fn haproxy(backend: SocketAddr, address: SocketAddr) -> String {
    format!(
        "global\n  nbthread 1\n  maxconn 4096\n\
         defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n\
         \x20 http-reuse always\n\
         frontend front\n  bind {address}\n  default_backend back\n\
         backend back\n  server one {backend}\n"
    )
}

fn envoy(here: &Path, filter: Filter, backend: SocketAddr, address: SocketAddr) -> Result<String> {
    let (mut filters, mut secrets) = (String::new(), String::new());
    match filter {
        Filter::None => {}
        Filter::Wasm => {
            let file = here.join("filter.wasm");
            let text = include_str!("filter.wat")
                .replace("FIELD_LENGTH", &FIELD.len().to_string())
                .replace("VALUE_LENGTH", &VALUE.len().to_string())
                .replace("FIELD", FIELD)
                .replace("VALUE", VALUE);
            std::fs::write(&file, wat::parse_str(text)?)?;
            filters = format!(
                "                  - name: envoy.filters.http.wasm\n\
                 \x20                   typed_config:\n\
                 \x20                     \"@type\": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm\n\
                 \x20                     config:\n\
                 \x20                       name: attach\n\
                 \x20                       vm_config:\n\
                 \x20                         runtime: envoy.wasm.runtime.v8\n\
                 \x20                         code: {{ local: {{ filename: {} }} }}\n",
                file.display()
            );
        }
        Filter::Credential => {
            filters = format!(
                "                  - name: envoy.filters.http.credential_injector\n\
                 \x20                   typed_config:\n\
                 \x20                     \"@type\": type.googleapis.com/envoy.extensions.filters.http.credential_injector.v3.CredentialInjector\n\
                 \x20                     overwrite: true\n\
                 \x20                     credential:\n\
                 \x20                       name: envoy.http.injected_credentials.generic\n\
                 \x20                       typed_config:\n\
                 \x20                         \"@type\": type.googleapis.com/envoy.extensions.http.injected_credentials.generic.v3.Generic\n\
                 \x20                         credential: {{ name: key }}\n\
                 \x20                         header: {FIELD}\n"
            );
            secrets = format!(
                "  secrets:\n    - name: key\n      generic_secret:\n        secret: {{ inline_string: {VALUE} }}\n"
            );
        }
    }
    Ok(include_str!("envoy.yaml")
        .replace("    FILTERS\n", &filters)
        .replace("SECRETS\n", &secrets)
        .replace("LISTEN", &address.port().to_string())
        .replace("BACKEND", &backend.port().to_string()))
}
