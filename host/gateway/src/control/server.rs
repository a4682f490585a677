//! The gateway's end of the control socket: who asks, whether they may, and the
//! answer.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use keyward::vault::{Act, Actor, Administrative, Secret};
use serde_json::Value;
use tokio::sync::Semaphore;

use super::answers::{AnswerLine, Fault, FaultCode};
use super::denials::{Counted, Denials};
use super::execute::{Node, Reply, check_reason, execute};
use super::request::{Envelope, MAX_VALUE, read_request_line, verb_of};
use super::roles::{Peer, Roles};
use super::socket::{ControlSocket, Rules};
use super::verbs::Verb;

/// Connections at one time; more wait in the kernel.
const MAX_CONNECTIONS: usize = 64;
/// Requests at one time of those who have roles; more wait.
const MAX_REQUESTS: usize = 8;
/// Requests at one time of those who have none; more are dropped, so that they
/// can't keep anyone else waiting.
const MAX_STRANGERS: usize = 2;
/// How long the other end may take for each part of its request.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it may take if it has no role.
const PATIENCE_WITH_STRANGERS: Duration = Duration::from_secs(1);
/// The most values that one request brings.
const MAX_VALUES: usize = 64;

impl ControlSocket {
    /// Serves requests until it is dropped.
    ///
    /// Cancel safety: requests that have begun are carried out to their end.
    pub async fn serve(self, node: Arc<dyn Node>) {
        let desk = Arc::new(Desk {
            rules: self.rules.clone(),
            denials: Mutex::default(),
            node,
        });
        let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let requests = Arc::new(Semaphore::new(MAX_REQUESTS));
        let strangers = Arc::new(Semaphore::new(MAX_STRANGERS));
        let mut second = tokio::time::interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let accepted = tokio::select! {
                accepted = accept(&self, &connections) => accepted,
                _ = second.tick() => {
                    desk.record_due();
                    continue;
                }
            };
            let (stream, connection) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(kind = %error.kind(), "can't accept on the control socket");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let (desk, requests) = (Arc::clone(&desk), Arc::clone(&requests));
            let strangers = Arc::clone(&strangers);
            tokio::spawn(async move {
                let served = desk.receive(stream, &requests, &strangers).await;
                if let Err(error) = served {
                    tracing::debug!(kind = %error.kind(), "control connection ended");
                }
                drop(connection);
            });
        }
    }
}

/// The next connection, with its place among those there may be. Cancel safe.
async fn accept(
    socket: &ControlSocket,
    connections: &Arc<Semaphore>,
) -> io::Result<(tokio::net::UnixStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(connections).acquire_owned().await;
    let place = place.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
    let (stream, _) = socket.listener.accept().await?;
    Ok((stream, place))
}

/// What all connections share.
struct Desk {
    rules: Rules,
    denials: Mutex<Denials>,
    node: Arc<dyn Node>,
}

impl Desk {
    async fn receive(
        self: Arc<Self>,
        stream: tokio::net::UnixStream,
        requests: &Semaphore,
        strangers: &Semaphore,
    ) -> io::Result<()> {
        let peer = stream.peer_cred()?;
        let (uid, gid) = (peer.uid(), peer.gid());
        let peer = blocking(move || Ok(Peer::look_up(uid, gid))).await?;
        let roles = self.rules.roles.roles_of(&peer);
        let (place, patience) = if roles.is_empty() {
            (strangers.try_acquire().ok(), PATIENCE_WITH_STRANGERS)
        } else {
            (requests.acquire().await.ok(), PATIENCE)
        };
        let Some(_place) = place else {
            self.note_denial(&peer, None);
            return Ok(());
        };
        let stream = stream.into_std()?;
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        // The vault waits for the disk, and a secret is read by a plain read.
        let desk = Arc::clone(&self);
        blocking(move || {
            let answer = desk.answer(&stream, &peer, roles)?;
            reply(&stream, answer)
        })
        .await
    }

    /// Reads one request and carries it out. Errors are those of the connection.
    fn answer(
        &self,
        mut stream: &UnixStream,
        peer: &Peer,
        roles: Roles,
    ) -> io::Result<Result<Reply, Fault>> {
        let line = read_request_line(&mut stream)?;
        // Whether they may comes before whether it is well put.
        match verb_of(&line) {
            Some(verb) if verb.may(roles) => {}
            None if !roles.is_empty() => {}
            verb => {
                self.note_denial(peer, verb);
                return Ok(Err(Fault::forbidden(&peer.to_string(), verb)));
            }
        }
        let envelope = match Envelope::parse(&line) {
            Ok(envelope) => envelope,
            Err(error) => {
                let message = format!("the gateway does not know this request: {error}");
                return Ok(Err(Fault::of(FaultCode::Malformed, message)));
            }
        };
        let Envelope {
            request,
            reason,
            lengths,
        } = envelope;
        if lengths.len() > MAX_VALUES {
            let message = "the request brings too many values";
            return Ok(Err(Fault::of(FaultCode::Malformed, message)));
        }
        let mut values = Vec::with_capacity(lengths.len());
        for length in lengths {
            match read_value(stream, length)? {
                Ok(value) => values.push(value),
                Err(refused) => return Ok(Err(refused)),
            }
        }
        if let Err(refused) = check_reason(&request, reason.as_deref(), self.rules.require_reason) {
            return Ok(Err(refused));
        }
        let actor = Actor {
            name: peer.to_string(),
            reason,
        };
        Ok(execute(request, values, &*self.node, &actor))
    }

    /// Puts a denial into the audit trail, at once or with the next ones counted.
    fn note_denial(&self, peer: &Peer, verb: Option<Verb>) {
        let actor = peer.to_string();
        tracing::warn!(
            actor,
            verb = verb.map(Verb::as_str),
            "denied on the control socket"
        );
        let listed = self.with_denials(|denials| denials.note(peer.uid(), &actor, Instant::now()));
        if listed {
            self.record(&actor, verb, None);
        }
    }

    fn record_due(self: &Arc<Self>) {
        let due = self.with_denials(|denials| denials.due(Instant::now()));
        if !due.is_empty() {
            let desk = Arc::clone(self);
            tokio::task::spawn_blocking(move || desk.record_counted(due));
        }
    }

    fn record_counted(&self, counted: Vec<Counted>) {
        for Counted { actor, count } in counted {
            self.record(&actor, None, Some(count));
        }
    }

    fn record(&self, actor: &str, verb: Option<Verb>, more: Option<u64>) {
        let reason = more.map(|more| format!("{more} more requests, not listed"));
        let mut act = Administrative::new(Act::AccessDenied, actor, reason.as_deref());
        if let Some(verb) = verb {
            act = act.verb(verb.as_str());
        }
        if self
            .node
            .vault()
            .audit()
            .append_administrative(act)
            .is_err()
        {
            tracing::error!(
                actor,
                "the denial can't be recorded: the audit trail has failed"
            );
        }
    }

    fn with_denials<T>(&self, act: impl FnOnce(&mut Denials) -> T) -> T {
        // Counts are whole whenever the lock is free.
        act(&mut self.denials.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let rest = self.with_denials(Denials::rest);
        self.record_counted(rest);
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
}

/// Reads exactly `length` bytes from the socket into a secret, and nowhere else.
fn read_value(stream: &UnixStream, length: u64) -> io::Result<Result<Secret, Fault>> {
    if length > MAX_VALUE {
        let message = format!("the value is longer than {MAX_VALUE} bytes");
        return Ok(Err(Fault::refused(message)));
    }
    let mut source = stream.take(length);
    let max = usize::try_from(length).unwrap_or(usize::MAX);
    let value = Secret::read_from(&mut source, max);
    if source.limit() > 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(value.map_err(Fault::refused))
}

fn reply(mut stream: &UnixStream, answer: Result<Reply, Fault>) -> io::Result<()> {
    let (line, bytes) = match answer {
        Ok(Reply { data, bytes }) => {
            let length = bytes.as_ref().map(|bytes| bytes.len() as u64);
            (line_of(Some(data), None, length)?, bytes)
        }
        Err(fault) => (line_of(None, Some(fault), None)?, None),
    };
    stream.write_all(&line)?;
    stream.write_all(&bytes.unwrap_or_default())
}

fn line_of(ok: Option<Value>, error: Option<Fault>, length: Option<u64>) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(&AnswerLine { ok, error, length })?;
    line.push(b'\n');
    Ok(line)
}
