//! `keyward serve`: the gateway.

use std::sync::Arc;

use clap::Args;
use keyward::ChildCompiler;
use keyward::sources::refresh::Selection;
use keyward::vault::KeySource;
use keyward_gateway::Gateway;
use keyward_gateway::assemble::OpenError;
use keyward_gateway::config::{Config, LogFormat};
use keyward_gateway::harden::forbid_dumps;
use keyward_gateway::listen::Stopped;
use keyward_gateway::observe::filter::capped;
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use crate::Common;
use crate::access::{actor, key_source, vault_failure};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::Format;
use crate::place;

const EXAMPLES: &str = "\
Serves until SIGTERM or SIGINT (Ctrl-C), then lets running requests end. While it
runs it holds the vault; the other commands reach it through its control socket.
Nothing of it is ever dumped to disk: core dumps are turned off first.

On SIGHUP, or with `watch = true` in [gateway] when one of its files changes, it reads
its configuration again and takes all of it or nothing; running requests end as they
began. On SIGHUP it also fetches all secrets that come from sources.

Where [vault] has `passphrase = true`, the passphrase is asked for, or read from the
file that --passphrase-file names. `retention` in [audit] removes old records once a
day.

The log goes to standard error, one line for each exchange; with `-o json` each line
is a JSON object, and `format` in [log] says the same for good. No log line holds a
secret, a header or a body.

Examples:
  keyward serve
  keyward serve --config /etc/keyward/keyward.toml -o json --log info,keyward_gateway=debug";

/// Run the gateway.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Serve {
    /// What to log: error, warn, info, debug, trace, or these by module; otherwise
    /// what [log] says.
    #[arg(long, value_name = "FILTER", env = "KEYWARD_LOG")]
    log: Option<String>,
}

impl Serve {
    pub(crate) fn run(self, common: &Common) -> Outcome {
        let config = place::load(common.config())?;
        self.log(&config, common)?;
        // Before any secret is in memory.
        if let Err(error) = forbid_dumps() {
            tracing::warn!(%error, "core dumps can't be turned off");
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::io(error, "can't start threads"))?;
        // A passphrase is asked for here, where nothing runs yet.
        let key = key_source(&config, common)?;
        runtime.block_on(serve(config, key))
    }
}

impl Serve {
    /// Begins to log, as far as may be logged at all.
    fn log(&self, config: &Config, common: &Common) -> Result<(), Failure> {
        let asked = self.log.as_deref().unwrap_or(&config.log.level);
        let filter = EnvFilter::try_new(asked).map_err(|_| {
            Failure::usage("--log is no filter")
                .help("for instance: --log info,keyward_gateway=debug")
        })?;
        let json = common.output == Format::Json || config.log.format == LogFormat::Json;
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        let lines = match json {
            false => lines.with_ansi(common.output().colours()).boxed(),
            true => lines.json().with_ansi(false).boxed(),
        };
        tracing_subscriber::registry()
            .with(lines.with_filter(capped(filter)))
            .init();
        Ok(())
    }
}

/// Tells the service manager, if there is one that asked to be told.
fn tell(states: &[NotifyState<'_>]) {
    if std::env::var_os("NOTIFY_SOCKET").is_some()
        && let Err(error) = sd_notify::notify(states)
    {
        tracing::warn!(%error, "the service manager can't be told");
    }
}

/// Reloads on each SIGHUP. What comes of it is in the log.
async fn reload_on(mut hangup: Signal, gateway: Arc<Gateway>) {
    while hangup.recv().await.is_some() {
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            tell(&[NotifyState::Reloading, now]);
        }
        let secrets = Arc::clone(&gateway);
        let (gateway, actor) = (Arc::clone(&gateway), actor(Some("SIGHUP")));
        let reload = tokio::task::spawn_blocking(move || gateway.reload(&actor).is_ok());
        if reload.await.is_err() {
            tracing::error!("a mistake in Keyward kept the configuration from being reloaded");
        }
        tell(&[NotifyState::Ready]);
        // Whatever came of it, secrets are fetched as their sources have them now.
        let refresher = secrets.refresher().clone();
        tokio::spawn(async move { refresher.refresh(&Selection::All).await });
    }
}

async fn serve(config: Config, key: KeySource) -> Outcome {
    // Taken before anything is open, so that a signal never finds nobody waiting.
    let signals = (|| {
        Ok((
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
            signal(SignalKind::hangup())?,
        ))
    })();
    let (mut terminate, mut interrupt, hangup) =
        signals.map_err(|error: std::io::Error| Failure::io(error, "can't wait for signals"))?;
    let actor = actor(Some("start"));
    let gateway = tokio::task::spawn_blocking(move || {
        // This very program, whatever is installed in its place meanwhile.
        let compiler = Arc::new(ChildCompiler::this_program([crate::COMPILE]));
        Gateway::open_with(config, key, &actor, compiler)
    })
    .await
    .map_err(|_| Failure::new("the gateway stopped while it was being opened"))?
    .map_err(open_failure)?;
    let bound = gateway
        .bind()
        .await
        .map_err(|error| Failure::from(anyhow::Error::new(error)))?;
    let (address, admin) = (bound.address(), bound.admin_address());
    let (begun, begins) = tokio::sync::oneshot::channel();
    let gateway = Arc::clone(bound.gateway());
    let reloading = tokio::spawn(async move {
        // Whoever is told of a reload takes the end of it for the end of the start.
        if begins.await.is_ok() {
            reload_on(hangup, gateway).await;
        }
    });
    let ready = || {
        let admin = admin.map(tracing::field::display);
        tracing::info!(%address, admin, pid = std::process::id(), "serving");
        tell(&[NotifyState::Ready]);
        let _ = begun.send(());
    };
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: letting running requests end"),
            _ = interrupt.recv() => tracing::info!("SIGINT: letting running requests end"),
        }
        tell(&[NotifyState::Stopping]);
        reloading.abort();
    };
    match bound.serve_saying(stop, ready).await {
        Stopped::Drained => tracing::info!("stopped"),
        Stopped::Cut => tracing::warn!("stopped; requests that did not end were cut"),
    }
    Ok(Exit::Success)
}

/// What keeps a gateway from being opened, with the next step.
pub(crate) fn open_failure(error: OpenError) -> Failure {
    match error {
        OpenError::Vault(error) => vault_failure(error),
        OpenError::Unreadable { source, .. }
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            Failure::denied(format!("a file can't be read: {source}"))
                .help("`keyward doctor` says which")
        }
        error => Failure::from(anyhow::Error::new(error))
            .help("`keyward doctor` checks everything at once"),
    }
}
