//! The demo's world: a folder with a gateway that the `keyward` command made, and
//! the processes of the gateway and two backends. Whatever is running is stopped
//! when the world ends.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use data_encoding::HEXLOWER;

use super::backend::{Knows, Noted};
use crate::workspace;

/// How long the gateway may take to start: it compiles six policies.
const START: Duration = Duration::from_secs(120);

/// A backend's process and its notes.
pub(crate) struct Backend {
    process: Child,
    pub(crate) address: SocketAddr,
    log: PathBuf,
}

/// Everything that runs.
pub(crate) struct World {
    folder: Folder,
    pub(crate) gateway: SocketAddr,
    process: Option<Child>,
    pub(crate) backend: Backend,
    pub(crate) attacker: Backend,
    pub(crate) api_key: String,
    pub(crate) next_api_key: String,
    pub(crate) signing_key: String,
    pub(crate) client_key: String,
    pub(crate) verifier_key: String,
}

enum Folder {
    Temporary(tempfile::TempDir),
    Kept(PathBuf),
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Folder::Temporary(folder) => folder.path(),
            Folder::Kept(folder) => folder,
        }
    }
}

/// A fresh value of 160 random bits.
fn random() -> Result<String> {
    let mut bytes = [0_u8; 20];
    std::io::Read::read_exact(&mut File::open("/dev/urandom")?, &mut bytes)?;
    Ok(HEXLOWER.encode(&bytes))
}

impl Backend {
    fn start(folder: &Path, name: &str, knows: &Knows) -> Result<Self> {
        let (file, log) = (
            folder.join(format!("{name}.json")),
            folder.join(format!("{name}.log")),
        );
        std::fs::write(&file, serde_json::to_vec(knows)?)?;
        File::create(&log)?;
        let mut process = Command::new(std::env::current_exe()?)
            .arg("demo-backend")
            .arg("--knows")
            .arg(&file)
            .arg("--log")
            .arg(&log)
            .stdout(Stdio::piped())
            .spawn()
            .context("can't start the backend")?;
        let mut line = String::new();
        if let Some(stdout) = process.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let address = line
            .trim()
            .parse()
            .with_context(|| format!("the backend said {line:?}"))?;
        Ok(Backend {
            process,
            address,
            log,
        })
    }

    /// What it has received since it started.
    pub(crate) fn noted(&self) -> Result<Vec<Noted>> {
        let text = std::fs::read_to_string(&self.log)?;
        text.lines()
            .map(|line| Ok(serde_json::from_str(line)?))
            .collect()
    }
}

impl World {
    /// Makes the gateway, stores the secrets, starts everything.
    pub(crate) fn start(keep: bool) -> Result<Self> {
        let folder = if keep {
            let folder = workspace::target().join("demo");
            if folder.exists() {
                std::fs::remove_dir_all(&folder)?;
            }
            Folder::Kept(folder)
        } else {
            Folder::Temporary(tempfile::tempdir()?)
        };
        std::fs::create_dir_all(folder.path())?;
        let (api_key, next_api_key) = (random()?, random()?);
        let (signing_key, client_key) = (random()?, random()?);
        let knows = Knows {
            api_keys: vec![api_key.clone(), next_api_key.clone()],
            signing_key: signing_key.clone(),
        };
        let backend = Backend::start(folder.path(), "backend", &knows)?;
        let attacker = Backend::start(folder.path(), "attacker", &knows)?;
        // Free a moment ago; nobody else on this machine is likely to take it.
        let gateway = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut world = World {
            folder,
            gateway,
            process: None,
            backend,
            attacker,
            api_key,
            next_api_key,
            signing_key,
            client_key,
            verifier_key: String::new(),
        };
        world.make()?;
        world.serve()?;
        Ok(world)
    }

    /// Where the gateway's files are.
    pub(crate) fn directory(&self) -> PathBuf {
        self.folder.path().join("gateway")
    }

    /// Where the whole demo's files are, if they stay.
    pub(crate) fn kept(&self) -> Option<&Path> {
        match &self.folder {
            Folder::Temporary(_) => None,
            Folder::Kept(folder) => Some(folder),
        }
    }

    fn make(&mut self) -> Result<()> {
        let directory = self.directory();
        let made = self.keyward(
            &["init", "-o", "json", &directory.display().to_string()],
            None,
        )?;
        let made: serde_json::Value = serde_json::from_str(&made)?;
        self.verifier_key = made["audit-verifier-key"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let write = |name: &str, text: String| std::fs::write(directory.join(name), text);
        write("keyward.toml", self.configuration())?;
        write("grants.toml", GRANTS.to_owned())?;
        write("billing.xml", DOCUMENT.to_owned())?;
        self.set("billing-key", &["--kind", "api-key"], &self.api_key.clone())?;
        let hmac = [
            "--kind",
            "hmac-key",
            "--algorithm",
            "sha256",
            "--encoding",
            "raw",
        ];
        self.set("billing-hmac", &hmac, &self.signing_key.clone())?;
        let consumers = format!("acme = {}\n", self.client_key);
        self.set("consumers", &["--kind", "client-keys"], &consumers)?;
        Ok(())
    }

    fn set(&self, name: &str, kind: &[&str], value: &str) -> Result<()> {
        let arguments: Vec<&str> = ["secret", "set", name]
            .iter()
            .chain(kind)
            .copied()
            .collect();
        self.keyward(&arguments, Some(value)).map(|_| ())
    }

    fn configuration(&self) -> String {
        let policies = workspace::policies();
        let policy = |name: &str, file: &str, more: &str| {
            let component = policies.join(file).with_extension("wasm");
            format!(
                "[[policy]]\nname = \"{name}\"\ncomponent = \"{}\"\n{more}\n",
                component.display()
            )
        };
        let robbery = "settings = { attacks = [\"open\", \"attach\", \"read-back\", \"sign\", \
                       \"identify\", \"call\", \"carry\", \"reroute\"], respond = false }\n\
                       routes = [\"billing\", \"attacker\"]\n";
        let mut text = format!(
            "[gateway]\nlisten = \"{}\"\n\n[grants]\nfile = \"grants.toml\"\n\n\
             [[route]]\nname = \"billing\"\nurl = \"http://{}\"\n\n\
             [[route]]\nname = \"attacker\"\nurl = \"http://{}\"\n\n",
            self.gateway, self.backend.address, self.attacker.address,
        );
        for (name, file, more) in [
            (
                "require-client-key",
                "require-client-key",
                "settings = { subject-header = \"x-subject\" }\n",
            ),
            ("attach-api-key", "attach-api-key", ""),
            ("sign-request", "sign-request", ""),
            ("set-headers", "set-headers", ""),
            ("document", "document", ""),
            ("thief", "hostile/thief", robbery),
        ] {
            text.push_str(&policy(name, file, more));
        }
        text.push_str(
            "[[pipeline]]\npath = \"/v1\"\nroute = \"billing\"\ndocument = \"billing.xml\"\n\n\
             [[pipeline]]\npath = \"/robbery\"\nroute = \"billing\"\ninbound = [\"thief\"]\noutbound = [\"thief\"]\n",
        );
        text
    }

    /// Runs the `keyward` command in the gateway's folder; `value` goes to its
    /// standard input. Returns what it printed.
    ///
    /// Errors: it failed; with what it said.
    pub(crate) fn keyward(&self, arguments: &[&str], value: Option<&str>) -> Result<String> {
        let output = self.try_keyward(arguments, value)?;
        ensure!(
            output.status.success(),
            "keyward {} failed: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The same, whatever comes of it.
    pub(crate) fn try_keyward(
        &self,
        arguments: &[&str],
        value: Option<&str>,
    ) -> Result<std::process::Output> {
        let mut child = self
            .command()
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("can't start the keyward command")?;
        if let (Some(mut stdin), Some(value)) = (child.stdin.take(), value) {
            stdin.write_all(value.as_bytes())?;
        }
        Ok(child.wait_with_output()?)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(workspace::target().join("debug/keyward"));
        command
            .env("KEYWARD_CONFIG", self.directory().join("keyward.toml"))
            .env("NO_COLOR", "1");
        command
    }

    fn serve(&mut self) -> Result<()> {
        let log = File::create(self.log_file())?;
        let process = self
            .command()
            .args(["serve", "--log", "trace,wasmtime=info,cranelift=info,wasmtime_cranelift=info,cranelift_codegen=info,regalloc2=info"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("can't start the gateway")?;
        self.process = Some(process);
        let start = Instant::now();
        while std::net::TcpStream::connect(self.gateway).is_err() {
            if let Some(status) = self
                .process
                .as_mut()
                .and_then(|it| it.try_wait().ok().flatten())
            {
                bail!("the gateway ended ({status}): {}", self.last_log_line());
            }
            ensure!(
                start.elapsed() < START,
                "the gateway does not come up: {}",
                self.last_log_line()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// The gateway's log, at its most talkative.
    pub(crate) fn log_file(&self) -> PathBuf {
        self.folder.path().join("gateway.log")
    }

    fn last_log_line(&self) -> String {
        let text = std::fs::read_to_string(self.log_file()).unwrap_or_default();
        text.lines().last().unwrap_or("it said nothing").to_owned()
    }

    /// Asks the gateway to stop and waits for it. Returns whether it ended well.
    pub(crate) fn stop(&mut self) -> Result<bool> {
        let Some(mut process) = self.process.take() else {
            return Ok(false);
        };
        let id = i32::try_from(process.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        if let Some(id) = id {
            rustix::process::kill_process(id, rustix::process::Signal::TERM)?;
        }
        Ok(process.wait()?.success())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let gateway = self.process.iter_mut();
        for process in gateway.chain([&mut self.backend.process, &mut self.attacker.process]) {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

const GRANTS: &str = r#"# Who may use which secret, for what, and where it may go.

[[grant]]
id = "who-is-calling"
policy = "require-client-key"
secret = "consumers"
use = "identify"
header = "x-client-key"

[[grant]]
id = "billing-attach"
policy = "attach-api-key"
secret = "billing-key"
alias = "backend"
use = "attach"
header = "x-api-key"
to = [{ route = "billing", methods = ["GET"], paths = ["/v1/charges", "/v1/debug"] }]

[[grant]]
id = "billing-sign"
policy = "sign-request"
secret = "billing-hmac"
alias = "signing-key"
use = "sign-request"
to = [{ route = "billing", paths = ["/v1/charges", "/v1/debug"] }]

# The hostile policy has a grant too, for one path. It will try everything else.
[[grant]]
id = "robbery"
policy = "thief"
secret = "billing-key"
alias = "backend"
use = "attach"
header = "x-api-key"
to = [{ route = "billing", methods = ["GET"], paths = ["/robbery/allowed"] }]
"#;

const DOCUMENT: &str = r#"<policies>
  <inbound>
    <base />
    <wasm-policy name="require-client-key" />
    <wasm-policy name="attach-api-key" />
    <wasm-policy name="sign-request" />
  </inbound>
  <backend><base /></backend>
  <outbound>
    <base />
    <set-header name="x-served-by" exists-action="override"><value>keyward-demo</value></set-header>
  </outbound>
  <on-error><base /></on-error>
</policies>
"#;
