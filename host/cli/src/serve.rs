//! `keyward serve`: the gateway.

use std::sync::Arc;

use clap::Args;
use keyward::ChildCompiler;
use keyward::vault::KeySource;
use keyward_gateway::Gateway;
use keyward_gateway::assemble::OpenError;
use keyward_gateway::config::Config;
use keyward_gateway::harden::forbid_dumps;
use keyward_gateway::listen::Stopped;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::Common;
use crate::access::{actor, key_source, vault_failure};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::Format;
use crate::place;

const EXAMPLES: &str = "\
Serves until SIGTERM or SIGINT (Ctrl-C), then lets running requests end. While it
runs it holds the vault; the other commands reach it through its control socket.
Nothing of it is ever dumped to disk: core dumps are turned off first.

Where [vault] has `passphrase = true`, the passphrase is asked for, or read from the
file that --passphrase-file names. `retention` in [audit] removes old records once a
day.

The log goes to standard error, one line for each exchange; with `-o json` each line
is a JSON object. No log line holds a secret, a header or a body.

Examples:
  keyward serve
  keyward serve --config /etc/keyward/keyward.toml -o json --log info,keyward_gateway=debug";

/// Run the gateway.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Serve {
    /// What to log: error, warn, info, debug, trace, or these by module.
    #[arg(
        long,
        value_name = "FILTER",
        env = "KEYWARD_LOG",
        default_value = "info"
    )]
    log: String,
}

impl Serve {
    pub(crate) fn run(self, common: &Common) -> Outcome {
        let filter = EnvFilter::try_new(&self.log).map_err(|_| {
            Failure::usage("--log is no filter")
                .help("for instance: --log info,keyward_gateway=debug")
        })?;
        let log = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr);
        match common.output {
            Format::Text => log.with_ansi(common.output().colours()).init(),
            Format::Json => log.json().with_ansi(false).init(),
        }
        // Before any secret is in memory.
        if let Err(error) = forbid_dumps() {
            tracing::warn!(%error, "core dumps can't be turned off");
        }
        let config = place::load(common.config())?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::io(error, "can't start threads"))?;
        // A passphrase is asked for here, where nothing runs yet.
        let key = key_source(&config, common)?;
        runtime.block_on(serve(config, key))
    }
}

async fn serve(config: Config, key: KeySource) -> Outcome {
    // Taken before anything is open, so that a signal never finds nobody waiting.
    let signals = (|| {
        Ok((
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        ))
    })();
    let (mut terminate, mut interrupt) =
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
    tracing::info!(address = %bound.address(), pid = std::process::id(), "serving");
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: letting running requests end"),
            _ = interrupt.recv() => tracing::info!("SIGINT: letting running requests end"),
        }
    };
    match bound.serve(stop).await {
        Stopped::Drained => tracing::info!("stopped"),
        Stopped::Cut => tracing::warn!("stopped; requests that did not end were cut"),
    }
    Ok(Exit::Success)
}

fn open_failure(error: OpenError) -> Failure {
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
