//! Calls that a policy makes itself, to routes that an operator named.

use crate::{Exchange, Failure, host};

impl<'a> Exchange<'a> {
    /// Begins a request of the policy's own to a route. Host, port and scheme are
    /// the route's. `path` starts with `/` and holds no query.
    ///
    /// # Errors
    /// [`Failure::Denied`] if the operator has not opened the route to this
    /// policy; [`Failure::Invalid`]; [`Failure::Limit`].
    pub fn call(&self, route: &str, method: &str, path: &str) -> Result<Request<'a>, Failure> {
        Ok(Request {
            exchange: self.host,
            handle: host::new_request(self.host, route, method, path)?,
        })
    }
}

/// A request of the policy's own, not sent yet.
pub struct Request<'a> {
    exchange: &'a host::Exchange,
    pub(crate) handle: host::Request,
}

impl<'a> Request<'a> {
    /// Adds a query parameter.
    ///
    /// # Errors
    /// [`Failure::Invalid`], [`Failure::Limit`].
    pub fn query(self, name: &str, value: &str) -> Result<Self, Failure> {
        host::add_request_query(&self.handle, name, value)?;
        Ok(self)
    }

    /// Sets a header in place of all of that name.
    ///
    /// # Errors
    /// [`Failure::Invalid`], [`Failure::Limit`].
    pub fn header(self, name: &str, value: impl AsRef<[u8]>) -> Result<Self, Failure> {
        host::set_request_header(&self.handle, name, value.as_ref())?;
        Ok(self)
    }

    /// Adds a part to the body.
    ///
    /// # Errors
    /// [`Failure::Limit`].
    pub fn body(self, part: impl AsRef<[u8]>) -> Result<Self, Failure> {
        host::write_request_body(&self.handle, part.as_ref())?;
        Ok(self)
    }

    /// Sends the request and waits for the head of the answer. The request is
    /// gone afterwards; redirects are returned, not followed.
    ///
    /// # Errors
    /// [`Failure::Denied`], [`Failure::Limit`], [`Failure::Unavailable`],
    /// [`Failure::Upstream`].
    pub fn send(self) -> Result<Response<'a>, Failure> {
        Ok(Response {
            handle: host::send(self.exchange, self.handle)?,
            exchange: core::marker::PhantomData,
            is_timed: false,
        })
    }

    /// The same, within so many milliseconds, or less where the route or what is left of
    /// the call's own time allows less. The answer's body has to come in that time, too.
    ///
    /// # Errors
    /// [`Failure::TimedOut`], and those of [`send`](Self::send).
    pub fn send_within(self, milliseconds: u32) -> Result<Response<'a>, Failure> {
        Ok(Response {
            handle: host::send_within(self.exchange, self.handle, milliseconds)?,
            exchange: core::marker::PhantomData,
            is_timed: true,
        })
    }
}

/// What a backend answered to a request of the policy's own.
pub struct Response<'a> {
    handle: host::Response,
    exchange: core::marker::PhantomData<&'a host::Exchange>,
    /// Its body has to come within a time.
    is_timed: bool,
}

impl Response<'_> {
    /// Its status.
    #[must_use]
    pub fn status(&self) -> u16 {
        host::response_status(&self.handle)
    }

    /// The first value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<Vec<u8>> {
        host::response_header(&self.handle, name, 0)
    }

    /// All values of a header, in their order, under the same limit as
    /// [`Message::header_values`](crate::Message::header_values).
    pub fn header_values(&self, name: &str) -> impl Iterator<Item = Vec<u8>> {
        host::response_header_values(&self.handle, name).into_iter()
    }

    /// The names of all headers, in lower case, each once.
    #[must_use]
    pub fn header_names(&self) -> Vec<String> {
        host::response_header_names(&self.handle)
    }

    /// The whole body, if it is no longer than `limit` bytes.
    ///
    /// # Errors
    /// [`Failure::Limit`] for a longer body; [`Failure::Unavailable`], or
    /// [`Failure::TimedOut`] after [`Request::send_within`]; [`Failure::Upstream`].
    pub fn body(&self, limit: usize) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        let read = || match host::read_response_body(&self.handle, 16 * 1024) {
            Err(Failure::Unavailable) if self.is_timed => Err(Failure::TimedOut),
            read => read,
        };
        while let Some(part) = read()? {
            if part.len() > limit - body.len() {
                return Err(Failure::Limit);
            }
            body.extend_from_slice(&part);
        }
        Ok(body)
    }
}
