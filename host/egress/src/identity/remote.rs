//! Handshakes that are signed with a key which stays in its source.
//!
//! TLS asks for a signature and waits for it, so such a handshake has a thread of its own
//! that may block. The signature is asked for where the request is, with what it may
//! wait; the thread waits a little longer at most. When the request is dropped, the
//! thread ends at once, whatever it waits for.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use keyward_vault::{RemoteCall, TlsScheme};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::Connect;
use tokio_rustls::client::TlsStream;

use super::{Right, showing, watched};
use crate::dialer::Stream;
use crate::error::Stage;
use crate::send::RemoteSigner;

/// How long a source has for a signature, as for one of a request.
const SIGN_TIME: Duration = Duration::from_millis(900);
/// How much longer the thread waits: it is told in time but for a busy machine.
const MARGIN: Duration = Duration::from_millis(600);
/// How many such handshakes are under way on one route, and on all: each has a thread,
/// of which a runtime has some hundreds for all that blocks.
pub(crate) const ROOM_OF_ROUTE: usize = 16;
static ROOM: Semaphore = Semaphore::const_new(128);

/// What has handshakes signed.
pub(crate) struct Signing {
    /// What to ask of the key's source; `None` if it may not be asked that.
    pub(crate) to_sign: ToSign,
    pub(crate) signer: Option<Arc<dyn RemoteSigner>>,
    /// For handshakes on this route.
    pub(crate) room: Arc<Semaphore>,
}

pub(crate) type ToSign = Box<dyn Fn(TlsScheme, &[u8]) -> Option<RemoteCall> + Send + Sync>;

/// What the thread asks of the request.
struct Asked {
    scheme: TlsScheme,
    handshake: Vec<u8>,
    answer: SyncSender<Option<Vec<u8>>>,
}

tokio::task_local! {
    /// Where the thread of a handshake asks.
    static ASKS: mpsc::UnboundedSender<Asked>;
}

/// Has a handshake signed, and waits for it. `None`, at once, where nothing waits for what
/// is asked: on every thread but one of [`shake_hands`].
pub(super) fn signed(scheme: TlsScheme, handshake: &[u8]) -> Option<Vec<u8>> {
    let (answer, made) = sync_channel(1);
    let asked = Asked {
        scheme,
        handshake: handshake.to_vec(),
        answer,
    };
    ASKS.try_with(|asks| asks.send(asked)).ok()?.ok()?;
    made.recv_timeout(SIGN_TIME + MARGIN).ok()?
}

/// Makes a handshake on a thread of its own. Also whether it was signed.
///
/// Errors: [`Stage::NotSigned`]: the source made no signature, or none that is the
/// certificate's. Cancel safety: dropped, it closes the connection.
pub(crate) async fn shake_hands(
    (right, signing): (Right, Arc<Signing>),
    connect: Connect<Box<dyn Stream>>,
    patience: Duration,
) -> Result<(TlsStream<Box<dyn Stream>>, bool), Stage> {
    let until = Instant::now() + patience;
    let rooms = async {
        (
            Arc::clone(&signing.room).acquire_owned().await,
            ROOM.acquire().await,
        )
    };
    let rooms = timeout_at(until, rooms).await;
    let rooms = rooms.map_err(|_| Stage::TlsTimeout)?;
    let (asks, mut asked) = mpsc::unbounded_channel();
    let (_here, gone) = oneshot::channel::<()>();
    let shaking = async move {
        let shaken = showing(right, watched(timeout_at(until, connect)));
        tokio::select! {
            biased;
            _ = gone => None,
            shaken = ASKS.scope(asks, shaken) => Some(shaken),
        }
    };
    let runtime = Handle::current();
    let mut thread = spawn_blocking(move || {
        let shaken = runtime.block_on(shaking);
        drop(rooms);
        shaken
    });
    let mut is_unsigned = false;
    let shaken = loop {
        tokio::select! {
            biased;
            Some(ask) = asked.recv() => {
                let signature = signing.sign(ask.scheme, &ask.handshake).await;
                is_unsigned |= signature.is_none();
                // Who waits no longer has given up.
                let _ = ask.answer.send(signature);
            }
            shaken = &mut thread => break shaken,
        }
    };
    match shaken {
        Ok(Some((Ok(Ok(stream)), was_shown))) => Ok((stream, was_shown)),
        _ if is_unsigned => Err(Stage::NotSigned),
        Ok(Some((Err(_), _))) => Err(Stage::TlsTimeout),
        _ => Err(Stage::Tls),
    }
}

impl Signing {
    /// A signature of the certificate's key, and nothing else. What fails is recorded.
    async fn sign(&self, scheme: TlsScheme, handshake: &[u8]) -> Option<Vec<u8>> {
        let call = (self.to_sign)(scheme, handshake)?;
        let answer = match &self.signer {
            Some(signer) => timeout(SIGN_TIME, signer.sign(&call)).await.ok().flatten(),
            None => None,
        };
        match answer {
            Some(answer) => call.handshake_signed(answer).ok(),
            None => {
                call.failed();
                None
            }
        }
    }
}
