//! The gateway's end of the control socket: who asks, whether they may, and the
//! answer.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use keyward::vault::{Act, Actor, Administrative, Secret};
use serde_json::Value;
use tokio::sync::Semaphore;

use super::answers::{AnswerLine, Fault, FaultCode};
use super::denials::{Counted, Denials};
use super::execute::{Node, Reply, check_count, check_reason, execute};
use super::request::{Envelope, MAX_VALUE, Request, read_request_line, verb_of};
use super::roles::{Peer, Role, Roles};
use super::socket::{ControlSocket, Rules};
use super::verbs::Verb;

/// Connections at one time; more wait in the kernel.
const MAX_CONNECTIONS: usize = 64;
/// Connections of one user at one time; more are told to come back.
const MAX_OF_A_USER: usize = 16;
/// Requests that are carried out at one time; more wait.
const MAX_REQUESTS: usize = 8;
/// Requests at one time of those who have no role; more are dropped, so that they
/// can't keep anyone else waiting.
const MAX_STRANGERS: usize = 2;
/// How long the other end may take for all of its request.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it may take if it has no role, and to take the answer then.
const PATIENCE_WITH_STRANGERS: Duration = Duration::from_secs(1);
/// How long the other end may take for all of the answer.
const PATIENCE_WITH_READERS: Duration = Duration::from_secs(60);

impl ControlSocket {
    /// Serves requests until it is dropped.
    ///
    /// Cancel safety: requests that have begun are carried out to their end.
    pub async fn serve(self, node: Arc<dyn Node>) {
        let desk = Arc::new(Desk {
            rules: self.rules.clone(),
            denials: Mutex::default(),
            users: Mutex::default(),
            requests: Semaphore::new(MAX_REQUESTS),
            strangers: Semaphore::new(MAX_STRANGERS),
            node,
        });
        let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
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
            let desk = Arc::clone(&desk);
            tokio::spawn(async move {
                let served = desk.receive(stream).await;
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
    /// How many connections each user has.
    users: Mutex<BTreeMap<u32, usize>>,
    requests: Semaphore,
    strangers: Semaphore,
    node: Arc<dyn Node>,
}

/// A request that whoever sent it may make, with its values.
struct Order {
    request: Request,
    values: Vec<Secret>,
    actor: Actor,
}

impl Desk {
    async fn receive(self: Arc<Self>, stream: tokio::net::UnixStream) -> io::Result<()> {
        let peer = stream.peer_cred()?;
        let (uid, gid) = (peer.uid(), peer.gid());
        let Some(_one_of_theirs) = Place::take(&self, uid) else {
            let fault = Fault::of(
                FaultCode::Unavailable,
                "this user has too many requests under way; try again when some have ended",
            );
            stream.try_write(&line_of(None, Some(fault), None)?)?;
            return Ok(());
        };
        let peer = blocking(move || Ok(Peer::look_up(uid, gid))).await?;
        let roles = self.rules.roles.roles_of(&peer);
        let (mut patience, mut patience_with_readers) = (PATIENCE, PATIENCE_WITH_READERS);
        let mut _stranger = None;
        if roles.is_empty() {
            let Ok(place) = self.strangers.try_acquire() else {
                let desk = Arc::clone(&self);
                return blocking(move || {
                    desk.note_denial(&peer, None);
                    Ok(())
                })
                .await;
            };
            _stranger = Some(place);
            patience = PATIENCE_WITH_STRANGERS;
            patience_with_readers = PATIENCE_WITH_STRANGERS;
        }
        let stream = stream.into_std()?;
        stream.set_nonblocking(false)?;
        // The vault waits for the disk, and a secret is read by a plain read. Who
        // sends or takes slowly keeps nobody from having a request carried out.
        let desk = Arc::clone(&self);
        let (stream, order) = blocking(move || {
            let order = desk.read(&mut Timed::new(&stream, patience), &peer, roles)?;
            Ok((stream, order))
        })
        .await?;
        let answer = match order {
            Err(fault) => Err(fault),
            Ok(Order {
                request,
                values,
                actor,
            }) => {
                let closed = |_| io::Error::from(io::ErrorKind::BrokenPipe);
                let _place = self.requests.acquire().await.map_err(closed)?;
                let desk = Arc::clone(&self);
                blocking(move || Ok(execute(request, values, &*desk.node, &actor))).await?
            }
        };
        blocking(move || reply(&mut Timed::new(&stream, patience_with_readers), answer)).await
    }

    /// Reads one request and decides whether it may be made. Errors are those of
    /// the connection.
    fn read(
        &self,
        stream: &mut Timed<'_>,
        peer: &Peer,
        roles: Roles,
    ) -> io::Result<Result<Order, Fault>> {
        let line = read_request_line(stream)?;
        // Whether they may comes before whether it is well put. What is decided on
        // is what would be carried out.
        let envelope = Envelope::parse(&line);
        let verb = match &envelope {
            Ok(envelope) => Some(envelope.request.verb()),
            Err(_) => verb_of(&line),
        };
        if !verb.map_or(!roles.is_empty(), |verb| verb.may(roles)) {
            self.note_denial(peer, verb);
            return Ok(Err(Fault::forbidden(&peer.to_string(), verb)));
        }
        if let Ok(envelope) = &envelope
            && let Some(fault) = self.refuse_steering(&envelope.request, peer, roles)
        {
            self.note_denial(peer, verb);
            return Ok(Err(fault));
        }
        let Envelope {
            request,
            reason,
            lengths,
        } = match envelope {
            Ok(envelope) => envelope,
            Err(error) => {
                let message = format!("the gateway does not know this request: {error}");
                return Ok(Err(Fault::of(FaultCode::Malformed, message)));
            }
        };
        // Before any of them takes up memory.
        if let Err(fault) = check_count(&request, lengths.len()) {
            return Ok(Err(fault));
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
        Ok(Ok(Order {
            request,
            values,
            actor,
        }))
    }

    /// Where requests go, the approvers of grants have a say, too.
    fn refuse_steering(&self, request: &Request, peer: &Peer, roles: Roles) -> Option<Fault> {
        let (Request::ValueSet { name, .. } | Request::ValueRemove { name }) = request else {
            return None;
        };
        let may = roles.is_owner() || roles.has(Role::Approver) || !self.node.steers(name);
        (!may).then(|| Fault::steering(&peer.to_string(), name))
    }

    /// Puts a denial into the audit trail and the log, at once or with the next
    /// ones counted. Blocks.
    fn note_denial(&self, peer: &Peer, verb: Option<Verb>) {
        let actor = peer.to_string();
        let listed = self.with_denials(|denials| denials.note(peer.uid(), &actor, Instant::now()));
        if listed {
            let verb_text = verb.map(Verb::as_str);
            tracing::warn!(actor, verb = verb_text, "denied on the control socket");
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
            tracing::warn!(actor, count, "denied on the control socket, not listed");
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

/// A connection's place among those of its user.
struct Place {
    desk: Arc<Desk>,
    uid: u32,
}

impl Place {
    /// None if the user has all the places that there are for one. Root and the
    /// gateway's own user always have another.
    fn take(desk: &Arc<Desk>, uid: u32) -> Option<Self> {
        let mut users = desk.users.lock().unwrap_or_else(PoisonError::into_inner);
        let count = users.entry(uid).or_default();
        if *count >= MAX_OF_A_USER && !desk.rules.roles.is_owner(uid) {
            return None;
        }
        *count = count.saturating_add(1);
        let desk = Arc::clone(desk);
        Some(Self { desk, uid })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let users = self.desk.users.lock();
        let mut users = users.unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = users.get_mut(&self.uid) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                users.remove(&self.uid);
            }
        }
    }
}

/// A connection on which all that is read or written has to be done by a moment,
/// in however many pieces it comes.
struct Timed<'a> {
    stream: &'a UnixStream,
    until: Instant,
}

impl<'a> Timed<'a> {
    fn new(stream: &'a UnixStream, patience: Duration) -> Self {
        let until = Instant::now() + patience;
        Self { stream, until }
    }

    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.until.saturating_duration_since(Instant::now());
        match left.is_zero() {
            true => Err(io::ErrorKind::TimedOut.into()),
            false => Ok(Some(left)),
        }
    }
}

impl io::Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(buffer)
    }
}

impl io::Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads exactly `length` bytes from the socket into a secret, and nowhere else.
fn read_value(stream: &mut Timed<'_>, length: u64) -> io::Result<Result<Secret, Fault>> {
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

fn reply(stream: &mut Timed<'_>, answer: Result<Reply, Fault>) -> io::Result<()> {
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
