//! One request and its response, and everything that a policy can do about them.

use core::net::IpAddr;

use crate::{Failure, Problem, host};

/// What a decision function returns.
///
/// An error becomes the verdict *fail*, with a line in the log.
pub type Decision = Result<Verdict, Failure>;

/// What becomes of the exchange after a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on to the next policy, and then to the next phase.
    Proceed,
    /// Send the response that [`Exchange::respond`] or [`Exchange::reject`] began.
    Respond,
    /// Stop: the policy can't decide. The on-error phase runs.
    Fail,
}

/// Which half of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What the client sent, on its way to the backend.
    Request,
    /// What goes back to the client.
    Response,
}

/// What failed, for the on-error phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorSource {
    /// A policy returned *fail*.
    PolicyFailed,
    /// A policy trapped or exceeded a limit.
    PolicyStopped,
    /// A secret could not be used, or may not go where the request ended up.
    SecretRefused,
    /// The backend could not be reached or did not answer in time.
    BackendUnavailable,
    /// The backend's answer was not passed on.
    BackendRefused,
    /// The host itself failed.
    HostFailed,
}

/// What a client's certificate says about its holder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Its holder, as RFC 4514 writes it: `CN=orders,O=Example`.
    pub subject: String,
    /// Who vouches for it, as RFC 4514 writes it.
    pub issuer: String,
    /// Its number, unique for its issuer, in lower-case hexadecimal.
    pub serial: String,
    /// The DNS names that it names.
    pub dns_names: Vec<String>,
    /// The URIs that it names, SPIFFE identities among them.
    pub uris: Vec<String>,
    /// The SHA-256 of its DER, in lower-case hexadecimal.
    pub sha256: String,
    /// When its validity begins, in milliseconds since 1970-01-01T00:00:00Z.
    pub not_before: u64,
    /// When its validity ends, in milliseconds since 1970-01-01T00:00:00Z.
    pub not_after: u64,
}

/// What a request asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestLine {
    /// As [`Exchange::method`] has it.
    pub method: String,
    /// As [`Exchange::path`] has it.
    pub path: String,
    /// As [`Exchange::query_text`] has it.
    pub query: Option<String>,
}

/// How much a line in the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For the policy's author.
    Debug,
    /// Of note.
    Info,
    /// Something an operator should look at.
    Warn,
    /// Something is broken.
    Error,
}

/// The exchange under way: what a decision function is given.
///
/// It is a handle to what the host keeps; changes take effect at once. Natively,
/// a [`Simulation`](crate::testing::Simulation) makes one, so that decisions can
/// be tested without WebAssembly.
#[derive(Clone, Copy)]
pub struct Exchange<'a> {
    pub(crate) host: &'a host::Exchange,
}

impl<'a> Exchange<'a> {
    #[doc(hidden)]
    #[must_use]
    pub fn __of(host: &'a host::Exchange) -> Self {
        Self { host }
    }

    /// A random identifier of this exchange, 32 hexadecimal digits. The audit
    /// trail, the logs and the client's error message carry the same.
    #[must_use]
    pub fn id(&self) -> String {
        host::id(self.host)
    }

    /// The client's address without a port, as text.
    #[must_use]
    pub fn client_address(&self) -> String {
        host::client_address(self.host)
    }

    /// The client's address. An IPv4 address written as an IPv6 one
    /// (`::ffff:192.0.2.7`) comes back as the IPv4 address.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] if the host does not know the address.
    pub fn client_ip(&self) -> Result<IpAddr, Failure> {
        let address: IpAddr = self
            .client_address()
            .parse()
            .map_err(|_| Failure::Unavailable)?;
        Ok(address.to_canonical())
    }

    /// How the client asked: `https` if its connection is a TLS connection as far as
    /// the host knows, else `http`.
    #[must_use]
    pub fn scheme(&self) -> String {
        host::scheme(self.host)
    }

    /// The server name that the client asked for when it opened its TLS
    /// connection, in lower case; none without TLS or without a name.
    #[must_use]
    pub fn server_name(&self) -> Option<String> {
        host::server_name(self.host)
    }

    /// The certificate with which the client proved who it is, verified by the
    /// host; none without TLS or where the client showed none.
    #[must_use]
    pub fn client_certificate(&self) -> Option<ClientCertificate> {
        host::client_certificate(self.host)
    }

    /// The request's method, such as `GET`.
    #[must_use]
    pub fn method(&self) -> String {
        host::method(self.host)
    }

    /// The host, and the port if there is one, that the client asked for.
    #[must_use]
    pub fn authority(&self) -> String {
        host::authority(self.host)
    }

    /// The request's path as the client wrote it, without the query.
    #[must_use]
    pub fn path(&self) -> String {
        host::path(self.host)
    }

    /// The value of the first query parameter of that name, decoded.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<String> {
        host::query(self.host, name)
    }

    /// The request's query as it is written, without its `?`; none if there is none.
    /// A client key that the host took out is not in it.
    #[must_use]
    pub fn query_text(&self) -> Option<String> {
        host::query_text(self.host)
    }

    /// The method, the path and the query together, for those who need more than one
    /// of them: the host is asked once.
    #[must_use]
    pub fn request_line(&self) -> RequestLine {
        host::request_line(self.host)
    }

    /// Replaces the method that the backend will see: not `CONNECT` or `TRACE`, and
    /// none with lower-case letters.
    ///
    /// # Errors
    /// [`Failure::Invalid`], [`Failure::WrongPhase`].
    pub fn set_method(&self, method: &str) -> Result<(), Failure> {
        host::set_method(self.host, method)
    }

    /// Replaces the whole query that the backend will see: as it is written,
    /// percent-encoded, without its `?`. None removes it.
    ///
    /// # Errors
    /// [`Failure::Invalid`], [`Failure::WrongPhase`], [`Failure::Limit`].
    pub fn set_query_text(&self, query: Option<&str>) -> Result<(), Failure> {
        host::set_query_text(self.host, query)
    }

    /// Replaces the path that the backend will see. It starts with `/` and holds
    /// no query. The grants of attached secrets are checked against it.
    ///
    /// # Errors
    /// [`Failure::Invalid`], [`Failure::WrongPhase`], [`Failure::Limit`].
    pub fn set_path(&self, path: &str) -> Result<(), Failure> {
        host::set_path(self.host, path)
    }

    /// Sets a query parameter that the backend will see, in place of any of that
    /// name.
    ///
    /// # Errors
    /// [`Failure::Invalid`], [`Failure::WrongPhase`], [`Failure::Limit`].
    pub fn set_query(&self, name: &str, value: &str) -> Result<(), Failure> {
        host::set_query(self.host, name, value)
    }

    /// The request: its headers and body.
    #[must_use]
    pub fn request(&self) -> Message<'a> {
        self.message(Side::Request)
    }

    /// The response: its headers and body. Empty before there is one.
    #[must_use]
    pub fn response(&self) -> Message<'a> {
        self.message(Side::Response)
    }

    /// One side's headers and body.
    #[must_use]
    pub fn message(&self, side: Side) -> Message<'a> {
        Message {
            host: self.host,
            side,
        }
    }

    /// The response's status; none before there is a response.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        host::status(self.host)
    }

    /// Sets the response's status, 200 to 599.
    ///
    /// # Errors
    /// [`Failure::WrongPhase`] before there is a response; [`Failure::Invalid`].
    pub fn set_status(&self, status: u16) -> Result<(), Failure> {
        host::set_status(self.host, status)
    }

    /// Begins a response in the policy's own name: that status, no headers, no
    /// body. Write to what it returns, then return [`Verdict::Respond`].
    ///
    /// # Errors
    /// [`Failure::Invalid`] for a status outside 200 to 599.
    pub fn respond(&self, status: u16) -> Result<Message<'a>, Failure> {
        host::respond(self.host, status)?;
        Ok(self.response())
    }

    /// Answers the client with a problem (RFC 9457) and stops here: the backend
    /// is not called. `return exchange.reject(Problem::new(403, "Forbidden"))`.
    ///
    /// # Errors
    /// As of [`respond`](Self::respond) and [`Message::set_header`].
    pub fn reject(&self, problem: Problem) -> Decision {
        let response = self.respond(problem.status())?;
        response.set_header("content-type", "application/problem+json")?;
        for (name, value) in problem.headers() {
            response.append_header(name, value)?;
        }
        response.write_body(problem.to_json(&self.id()))?;
        Ok(Verdict::Respond)
    }

    /// A variable that this policy wrote, in this phase or an earlier one.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<Vec<u8>> {
        host::variable(self.host, name)
    }

    /// A variable that another policy of this exchange wrote.
    #[must_use]
    pub fn variable_of(&self, policy: &str, name: &str) -> Option<Vec<u8>> {
        host::variable_of(self.host, policy, name)
    }

    /// Writes a variable of this policy; it outlives the phase. Others may read
    /// it and can't change it.
    ///
    /// # Errors
    /// [`Failure::Invalid`] for a name that is not 1 to 64 of `a-z 0-9 . _ -`
    /// starting with a letter or a digit; [`Failure::Limit`].
    pub fn set_variable(&self, name: &str, value: impl AsRef<[u8]>) -> Result<(), Failure> {
        host::set_variable(self.host, name, value.as_ref())
    }

    /// Adds `by` to a counter of this policy and returns its new value; adding 0
    /// reads it. A counter lives for a fixed window, 1 to 86400 seconds from its
    /// first increment, and is shared by all exchanges on this node. A policy has
    /// room for some 65,000; beyond that a new counter takes the place of one that
    /// has counted little.
    ///
    /// # Errors
    /// [`Failure::Invalid`], [`Failure::Unavailable`].
    pub fn increment(&self, name: &str, by: u32, window_seconds: u32) -> Result<u64, Failure> {
        host::increment(self.host, name, by, window_seconds)
    }

    /// Writes a line to the gateway's log: at most 1 KiB. The host adds the
    /// policy's name and the exchange's identifier.
    pub fn log(&self, level: Level, message: &str) {
        host::log(self.host, level, message);
    }

    /// Milliseconds since 1970-01-01T00:00:00Z. It stands still during a call.
    #[must_use]
    pub fn now(&self) -> u64 {
        host::now(self.host)
    }

    /// Cryptographically secure random bytes, at most 1024 in one call; fewer
    /// come back once the call's allowance is spent.
    #[must_use]
    pub fn random(&self, length: u32) -> Vec<u8> {
        host::random(self.host, length)
    }
}

/// One side of an exchange: its headers and its body.
///
/// Header names are matched without regard to case.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    host: &'a host::Exchange,
    side: Side,
}

impl Message<'_> {
    /// The first value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<Vec<u8>> {
        host::header(self.host, self.side, name, 0)
    }

    /// The first value of a header, as text; none also if it is not UTF-8.
    #[must_use]
    pub fn header_text(&self, name: &str) -> Option<String> {
        String::from_utf8(self.header(name)?).ok()
    }

    /// All values of a header, in their order; the host is asked once. It stops the policy
    /// if they have more bytes than one call may hand over (1 MiB unless the operator says
    /// otherwise).
    pub fn header_values(&self, name: &str) -> impl Iterator<Item = Vec<u8>> {
        host::header_values(self.host, self.side, name).into_iter()
    }

    /// Whether there is a header of that name.
    #[must_use]
    pub fn has_header(&self, name: &str) -> bool {
        self.header(name).is_some()
    }

    /// The names of all headers, in lower case, each once.
    #[must_use]
    pub fn header_names(&self) -> Vec<String> {
        host::header_names(self.host, self.side)
    }

    /// Sets a header in place of all of that name.
    ///
    /// # Errors
    /// [`Failure::Invalid`] for a malformed name or value, or a name that the
    /// host writes itself; [`Failure::WrongPhase`]; [`Failure::Limit`].
    pub fn set_header(&self, name: &str, value: impl AsRef<[u8]>) -> Result<(), Failure> {
        host::set_header(self.host, self.side, name, value.as_ref())
    }

    /// Adds a header beside any of that name.
    ///
    /// # Errors
    /// As of [`set_header`](Self::set_header).
    pub fn append_header(&self, name: &str, value: impl AsRef<[u8]>) -> Result<(), Failure> {
        host::append_header(self.host, self.side, name, value.as_ref())
    }

    /// Removes all headers of that name; succeeds when there is none.
    ///
    /// # Errors
    /// As of [`set_header`](Self::set_header).
    pub fn remove_header(&self, name: &str) -> Result<(), Failure> {
        host::remove_header(self.host, self.side, name)
    }

    /// Whether there is a body, as far as that is known without reading: where it says
    /// no there is none; a body of unknown length counts as one, and may turn out to
    /// be empty.
    #[must_use]
    pub fn has_body(&self) -> bool {
        host::has_body(self.host, self.side)
    }

    /// Pulls the next part of the body, at most `max` bytes; none at its end.
    /// Reading does not consume: later policies and the other side still receive
    /// the whole body.
    ///
    /// # Errors
    /// [`Failure::Limit`] past what the host holds (1 MiB unless the operator says
    /// otherwise); [`Failure::Unavailable`] if the other side stopped sending.
    pub fn read_body(&self, max: u32) -> Result<Option<Vec<u8>>, Failure> {
        host::read_body(self.host, self.side, max)
    }

    /// The whole body, if it is no longer than `limit` bytes.
    ///
    /// # Errors
    /// As of [`read_body`](Self::read_body), and [`Failure::Limit`] for a longer
    /// body.
    pub fn body(&self, limit: usize) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        while let Some(part) = self.read_body(16 * 1024)? {
            if part.len() > limit - body.len() {
                return Err(Failure::Limit);
            }
            body.extend_from_slice(&part);
        }
        Ok(body)
    }

    /// Pushes a part of a new body. The first push of a call, and the first after a
    /// [`forward`](Exchange::forward), drops the body that was there; later ones add to it.
    /// The host writes `content-length`.
    ///
    /// # Errors
    /// [`Failure::WrongPhase`], [`Failure::Limit`].
    pub fn write_body(&self, part: impl AsRef<[u8]>) -> Result<(), Failure> {
        host::write_body(self.host, self.side, part.as_ref())
    }
}
