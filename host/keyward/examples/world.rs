//! What the examples share: their arguments, and a vault, grants and a backend for
//! those who bring none. None of it is how a gateway should be set up; that is in
//! the examples.

pub mod backend;
pub mod billing;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use keyward::egress::{Roots, Route};
use keyward::engine::PolicySource;
use keyward::names::{PolicyName, RouteName, SecretName};
use keyward::vault::{Actor, Durability, Grants, Kind, Secret, Vault, VaultFiles, fill_random};
use tempfile::TempDir;

/// Any failure: an example tells it and ends.
pub type Failed = Box<dyn std::error::Error + Send + Sync>;

const HELP: &str = "\
Options:
  --listen ADDRESS   where clients connect [default: 127.0.0.1:0, any free port]
  --directory DIR    a vault with its key, audit trail and grants.toml
                     [default: a new one in a temporary directory, with a key of
                     its own]
  --backend URL      the backend that gets the key [default: one of its own]
  --backend-ca FILE  PEM of the authority that vouches for the backend
  --policy FILE      the component of the attach-api-key policy, which
                     `cargo xtask guests` builds
                     [default: target/policies/attach-api-key.wasm]";

/// Lets `attach-api-key` attach the API key `billing-key`.
pub const GRANTS: &str = r#"
[[grant]]
id = "attach"
policy = "attach-api-key"
secret = "billing-key"
alias = "backend"
use = "attach"
header = "x-api-key"
to = [{ route = "billing", paths = ["/v1/charges", "/billing.Charges/Charge"] }]
"#;

/// What an example runs with.
pub struct World {
    /// Where clients connect.
    pub listen: SocketAddr,
    route: RouteName,
    name: PolicyName,
    files: VaultFiles,
    grants: String,
    component: Vec<u8>,
    backend: String,
    backend_roots: Option<Vec<u8>>,
    /// Gone with the example.
    _folder: Option<TempDir>,
}

#[derive(Default)]
struct Arguments {
    listen: Option<String>,
    directory: Option<PathBuf>,
    backend: Option<String>,
    backend_ca: Option<PathBuf>,
    policy: Option<PathBuf>,
}

impl World {
    /// As the command line says; none if it asked for help.
    ///
    /// # Errors
    /// An argument or a file is not as it should be.
    pub async fn from_arguments() -> Result<Option<Self>, Failed> {
        let Some(mut arguments) = Arguments::read()? else {
            return Ok(None);
        };
        if arguments.backend.is_none() {
            arguments.backend = Some(backend::http(|_| ()).await?);
        }
        Self::new(arguments, None).map(Some)
    }

    /// The same, with a gRPC backend.
    ///
    /// # Errors
    /// See [`World::from_arguments`].
    pub async fn with_grpc_from_arguments() -> Result<Option<Self>, Failed> {
        let Some(mut arguments) = Arguments::read()? else {
            return Ok(None);
        };
        let mut roots = None;
        if arguments.backend.is_none() {
            let (url, certificate) = backend::grpc(|_| ()).await?;
            arguments.backend = Some(url);
            roots = Some(certificate.into_bytes());
        }
        Self::new(arguments, roots).map(Some)
    }

    fn new(arguments: Arguments, roots: Option<Vec<u8>>) -> Result<Self, Failed> {
        let listen = arguments.listen.as_deref().unwrap_or("127.0.0.1:0");
        let policy = arguments
            .policy
            .unwrap_or_else(|| PathBuf::from("target/policies/attach-api-key.wasm"));
        let component = read(&policy)?;
        let (files, grants, folder) = match arguments.directory {
            Some(directory) => {
                let grants = String::from_utf8(read(&directory.join("grants.toml"))?)?;
                (VaultFiles::in_directory(&directory), grants, None)
            }
            None => {
                let folder = tempfile::tempdir()?;
                let files = VaultFiles::in_directory(folder.path());
                create_vault(&files, &random_key())?;
                (files, GRANTS.to_owned(), Some(folder))
            }
        };
        let roots = match arguments.backend_ca {
            Some(file) => Some(read(&file)?),
            None => roots,
        };
        Ok(World {
            listen: listen.parse()?,
            route: RouteName::parse("billing")?,
            name: PolicyName::parse("attach-api-key")?,
            files,
            grants,
            component,
            backend: arguments.backend.unwrap_or_default(),
            backend_roots: roots,
            _folder: folder,
        })
    }

    /// The vault, with its grants in force.
    ///
    /// # Errors
    /// It can't be opened, or the grants are not well-formed.
    pub fn open_vault(&self) -> Result<Vault, Failed> {
        let vault = Vault::open(&self.files, Durability::Strict)?;
        let grants = Grants::parse("grants.toml", &self.grants)?;
        vault.set_grants(grants, &actor())?;
        Ok(vault)
    }

    /// `billing`: what grants call the backend.
    pub fn route_name(&self) -> RouteName {
        self.route.clone()
    }

    /// The way to the backend.
    ///
    /// # Errors
    /// The URL is none of a backend.
    pub fn backend_route(&self) -> Result<Route, Failed> {
        let route = Route::new(self.route_name(), &self.backend)?;
        Ok(match &self.backend_roots {
            Some(pem) => route.with_roots(Roots::Pem(pem.clone())),
            None => route,
        })
    }

    /// The `attach-api-key` policy.
    pub fn policy(&self) -> PolicySource<'_> {
        PolicySource {
            name: self.name.clone(),
            component: &self.component,
            settings: None,
            routes: &[],
            issuers: &[],
            document: None,
        }
    }
}

impl Arguments {
    fn read() -> Result<Option<Self>, Failed> {
        let mut read = Arguments::default();
        let mut arguments = std::env::args().skip(1);
        while let Some(option) = arguments.next() {
            if matches!(option.as_str(), "--help" | "-h") {
                std::io::Write::write_all(&mut std::io::stdout(), HELP.as_bytes())?;
                return Ok(None);
            }
            let value = arguments
                .next()
                .ok_or_else(|| format!("{option} has no value; see --help"))?;
            match option.as_str() {
                "--listen" => read.listen = Some(value),
                "--directory" => read.directory = Some(value.into()),
                "--backend" => read.backend = Some(value),
                "--backend-ca" => read.backend_ca = Some(value.into()),
                "--policy" => read.policy = Some(value.into()),
                _ => return Err(format!("there is no option {option}; see --help").into()),
            }
        }
        Ok(Some(read))
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Failed> {
    std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()).into())
}

fn actor() -> Actor {
    Actor {
        name: "example".to_owned(),
        reason: None,
    }
}

/// A random API key.
pub fn random_key() -> String {
    let mut random = [0; 20];
    fill_random(&mut random);
    random.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A vault with an API key for the backend.
///
/// # Errors
/// The files can't be written.
pub fn create_vault(files: &VaultFiles, key: &str) -> Result<(), Failed> {
    Vault::create(files)?;
    let vault = Vault::open(files, Durability::Strict)?;
    let key = Secret::read_from(key.as_bytes(), 4096)?;
    vault.add(
        &SecretName::parse("billing-key")?,
        Kind::ApiKey,
        key,
        &actor(),
    )?;
    Ok(())
}

/// Ready when the process is told to stop.
pub async fn told_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signals) => {
                signals.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = terminated => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
