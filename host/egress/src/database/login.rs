//! A connection to a database: reached by the route's rules, encrypted, logged in.

use std::collections::HashMap;
use std::sync::Arc;

use keyward_vault::DatabaseLogin;
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::{CancelToken, Client, Config, NoTls, Statement};
use tokio_rustls::TlsConnector;

use super::QueryError;
use super::gate::{Closed, Gate, Seen};
use crate::connect::Opener;
use crate::error::Stage;

/// Asks whether the server speaks TLS (PostgreSQL, 55.2.10).
const TLS_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// A connection that is logged in.
pub(super) struct LoggedIn {
    pub(super) client: Client,
    pub(super) seen: Arc<Seen>,
    /// What was prepared on it, by the statement's text.
    pub(super) prepared: HashMap<Box<str>, Statement>,
    task: AbortHandle,
}

impl Drop for LoggedIn {
    fn drop(&mut self) {
        // It would end by itself when the server has answered what it was asked last.
        self.task.abort();
    }
}

trait Both: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Both for S {}

/// Opens a connection and logs in.
///
/// This is where the password is: in the library's settings, from which it is copied
/// to compute the proof. Both are dropped when the server has answered, and wiped by
/// the program's allocator; what the computation left on the stack and in registers is
/// not. Over the connection goes the proof (SCRAM-SHA-256), never the password.
///
/// `is_allowed` is asked when the server is reached, just before the proof is made.
///
/// Cancel safety: dropped, it closes what it had opened.
pub(super) async fn open(
    opener: &Opener,
    login: &DatabaseLogin,
    is_allowed: impl FnOnce() -> Result<(), QueryError>,
) -> Result<LoggedIn, QueryError> {
    let stream = reached(opener, login.encrypted).await?;
    is_allowed()?;
    let (gate, seen) = Gate::new(stream);
    let mut config = Config::new();
    // TLS is spoken already.
    config.ssl_mode(SslMode::Disable).user(&login.user);
    if !login.database.is_empty() {
        config.dbname(&login.database);
    }
    let name = login.application_name.as_deref().unwrap_or("keyward");
    config.application_name(name);
    login.with_password(|password| {
        config.password(password);
    });
    let patience = opener.route.timeouts().connect;
    let connected = timeout(patience, config.connect_raw(gate, NoTls)).await;
    drop(config);
    let (client, connection) = connected
        .map_err(|_| QueryError::Unreachable(Stage::ConnectTimeout))?
        .map_err(|error| match seen.closed() {
            Some(Closed::WeakLogin) => QueryError::WeakLogin,
            Some(Closed::TooMuch) => QueryError::Failed(None),
            None => QueryError::from(error),
        })?;
    let task = tokio::spawn(async move {
        // Its errors reach whoever waits for an answer.
        let _ = connection.await;
    });
    Ok(LoggedIn {
        client,
        seen,
        prepared: HashMap::new(),
        task: task.abort_handle(),
    })
}

/// Has the database give up what it does on a connection, over another one.
pub(super) async fn cancel(opener: &Opener, encrypted: bool, token: CancelToken) {
    if let Ok(stream) = reached(opener, encrypted).await {
        // The server says nothing about it.
        let _ = token.cancel_query_raw(stream, NoTls).await;
    }
}

/// A connection over which nothing but the request for TLS was sent in the clear;
/// without TLS, one to this machine.
async fn reached(opener: &Opener, encrypted: bool) -> Result<Box<dyn Both>, QueryError> {
    if !encrypted {
        let stream = opener.reach_here().await;
        return Ok(Box::new(stream.map_err(QueryError::Unreachable)?));
    }
    let tls = opener.tls.as_ref();
    let tls = tls.ok_or(QueryError::Unreachable(Stage::Tls))?;
    let mut stream = opener.reach().await.map_err(QueryError::Unreachable)?;
    let asked = async {
        stream.write_all(&TLS_REQUEST).await?;
        stream.flush().await?;
        stream.read_u8().await
    };
    let answer = timeout(opener.route.timeouts().tls, asked).await;
    match answer.map_err(|_| QueryError::Unreachable(Stage::TlsTimeout))? {
        Ok(b'S') => {}
        Ok(_) => return Err(QueryError::NoTls),
        Err(_) => return Err(QueryError::Unreachable(Stage::Closed)),
    }
    let mut config = ClientConfig::clone(tls.config());
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    let tls = TlsConnector::from(Arc::new(config));
    let stream = opener.shake_hands(&tls, stream).await;
    Ok(Box::new(stream.map_err(QueryError::Unreachable)?))
}
