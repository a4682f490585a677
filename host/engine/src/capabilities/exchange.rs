//! The exchange: read one header at a time, changed only while that side can
//! still change.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;

use http::uri::PathAndQuery;
use http::{HeaderMap, StatusCode};
use percent_encoding::percent_decode_str;
use wasmtime::component::Resource;

use super::egress::method_of;
use super::forward::to_wit;
use crate::bindings::keyward::policy::exchange::{
    ClientCertificate, ExchangeFailure, ForwardFailure, ForwardOptions, ForwardPlan, Host,
    HostExchange, RequestLine, Side,
};
use crate::body::{PolicyBody, Pulled};
use crate::error::PolicyStop;
use crate::exchange::{Phase, ResponseHead};
use crate::headers;
use crate::query;
use crate::state::{CallState, ExchangeHandle};

type Outcome<T> = wasmtime::Result<Result<T, ExchangeFailure>>;

impl Host for CallState {}

impl CallState {
    /// The headers of a side, if this phase may change them.
    fn writable(&mut self, of: Side) -> Result<&mut HeaderMap, ExchangeFailure> {
        match of {
            Side::Request if self.phase.before_backend() => Ok(&mut self.exchange.request.headers),
            Side::Response if self.response_is_open() => self
                .exchange
                .response
                .as_mut()
                .map(|head| &mut head.headers)
                .ok_or(ExchangeFailure::WrongPhase),
            _ => Err(ExchangeFailure::WrongPhase),
        }
    }

    fn response_is_open(&self) -> bool {
        // In the backend phase there is one only where a policy made it or forwarded.
        self.exchange.responded || self.phase != Phase::Inbound
    }

    fn set_uri(&mut self, path: &str, query: Option<&str>) -> Result<(), ExchangeFailure> {
        if !self.phase.before_backend() {
            return Err(ExchangeFailure::WrongPhase);
        }
        let text = match query {
            Some(query) if !query.is_empty() => format!("{path}?{query}"),
            _ => path.to_owned(),
        };
        if text.len() > self.policy.limits.header_bytes {
            return Err(ExchangeFailure::Limit);
        }
        let path_and_query = PathAndQuery::try_from(text).map_err(|_| ExchangeFailure::Invalid)?;
        let mut parts = self.exchange.request.uri.clone().into_parts();
        parts.path_and_query = Some(path_and_query);
        self.exchange.request.uri =
            http::Uri::from_parts(parts).map_err(|_| ExchangeFailure::Invalid)?;
        Ok(())
    }
}

impl HostExchange for CallState {
    fn id(&mut self, _: Resource<ExchangeHandle>) -> wasmtime::Result<String> {
        self.enter()?;
        Ok(self.exchange.id.to_string())
    }

    fn client_address(&mut self, _: Resource<ExchangeHandle>) -> wasmtime::Result<String> {
        self.enter()?;
        Ok(self.exchange.client_address.to_string())
    }

    fn scheme(&mut self, _: Resource<ExchangeHandle>) -> wasmtime::Result<String> {
        self.enter()?;
        // Not the target's: a client writes that.
        let tls = self.exchange.tls.is_some();
        Ok(if tls { "https" } else { "http" }.to_owned())
    }

    fn server_name(&mut self, _: Resource<ExchangeHandle>) -> wasmtime::Result<Option<String>> {
        self.enter()?;
        let tls = self.exchange.tls.as_deref();
        Ok(tls.and_then(|tls| tls.server_name.clone()))
    }

    fn client_certificate(
        &mut self,
        _: Resource<ExchangeHandle>,
    ) -> wasmtime::Result<Option<ClientCertificate>> {
        self.enter()?;
        let tls = self.exchange.tls.as_deref();
        Ok(tls.and_then(|tls| tls.certificate.clone()).map(|facts| {
            let keyward_vault::ClientCertificate {
                subject,
                issuer,
                serial,
                dns_names,
                uris,
                sha256,
                not_before,
                not_after,
            } = facts;
            ClientCertificate {
                subject,
                issuer,
                serial,
                dns_names,
                uris,
                sha256,
                not_before,
                not_after,
            }
        }))
    }

    fn method(&mut self, _: Resource<ExchangeHandle>) -> wasmtime::Result<String> {
        self.enter()?;
        Ok(self.exchange.request.method.as_str().to_owned())
    }

    fn authority(&mut self, _: Resource<ExchangeHandle>) -> wasmtime::Result<String> {
        self.enter()?;
        Ok(self.exchange.authority.clone())
    }

    fn path(&mut self, _: Resource<ExchangeHandle>) -> wasmtime::Result<String> {
        self.enter()?;
        Ok(self.exchange.request.uri.path().to_owned())
    }

    fn query(
        &mut self,
        _: Resource<ExchangeHandle>,
        name: String,
    ) -> wasmtime::Result<Option<String>> {
        self.enter_with(name.len())?;
        let Some(text) = self.exchange.request.uri.query() else {
            return Ok(None);
        };
        Ok(query::pairs(text)
            .find(|(key, _)| query::decoded(key) == name)
            .map(|(_, value)| query::decoded(value)))
    }

    fn query_text(&mut self, _: Resource<ExchangeHandle>) -> wasmtime::Result<Option<String>> {
        self.enter()?;
        Ok(self.exchange.request.uri.query().map(str::to_owned))
    }

    fn request_line(&mut self, _: Resource<ExchangeHandle>) -> wasmtime::Result<RequestLine> {
        self.enter()?;
        let request = &self.exchange.request;
        Ok(RequestLine {
            method: request.method.as_str().to_owned(),
            path: request.uri.path().to_owned(),
            query: request.uri.query().map(str::to_owned),
        })
    }

    fn set_method(&mut self, _: Resource<ExchangeHandle>, method: String) -> Outcome<()> {
        self.enter_with(method.len())?;
        if !self.phase.before_backend() {
            return Ok(Err(ExchangeFailure::WrongPhase));
        }
        let most = self.policy.limits.header_bytes;
        let method = method_of(&method).filter(|method| method.as_str().len() <= most);
        Ok(match method {
            Some(method) => {
                self.exchange.request.method = method;
                Ok(())
            }
            None => Err(ExchangeFailure::Invalid),
        })
    }

    fn set_query_text(
        &mut self,
        _: Resource<ExchangeHandle>,
        query: Option<String>,
    ) -> Outcome<()> {
        self.enter_with(query.as_ref().map_or(0, String::len))?;
        // A `#` would end it, and what can't be seen is read in more than one way.
        let is_written = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
        if query
            .as_ref()
            .is_some_and(|query| !query.bytes().all(is_written))
        {
            return Ok(Err(ExchangeFailure::Invalid));
        }
        let path = self.exchange.request.uri.path().to_owned();
        Ok(self.set_uri(&path, query.as_deref()))
    }

    fn set_path(&mut self, _: Resource<ExchangeHandle>, path: String) -> Outcome<()> {
        self.enter_with(path.len())?;
        if !is_path(&path) {
            return Ok(Err(ExchangeFailure::Invalid));
        }
        let query = self.exchange.request.uri.query().map(str::to_owned);
        Ok(self.set_uri(&path, query.as_deref()))
    }

    fn set_query(
        &mut self,
        _: Resource<ExchangeHandle>,
        name: String,
        value: String,
    ) -> Outcome<()> {
        self.enter_with(name.len().saturating_add(value.len()))?;
        if name.is_empty() {
            return Ok(Err(ExchangeFailure::Invalid));
        }
        let path = self.exchange.request.uri.path().to_owned();
        let old = self.exchange.request.uri.query().unwrap_or("");
        let new = query::with(old, &name, &value);
        Ok(self.set_uri(&path, Some(&new)))
    }

    fn header(
        &mut self,
        _: Resource<ExchangeHandle>,
        of: Side,
        name: String,
        index: u32,
    ) -> wasmtime::Result<Option<Vec<u8>>> {
        self.enter_with(name.len())?;
        Ok(self
            .exchange
            .headers(of)
            .and_then(|map| headers::value(map, &name, index)))
    }

    fn header_values(
        &mut self,
        _: Resource<ExchangeHandle>,
        of: Side,
        name: String,
    ) -> wasmtime::Result<Vec<Vec<u8>>> {
        self.enter_with(name.len())?;
        let Some(map) = self.exchange.headers(of) else {
            return Ok(Vec::new());
        };
        let values = headers::values(map, &name, self.policy.limits.call_bytes);
        values.ok_or_else(|| self.stop(PolicyStop::CallBytes))
    }

    fn header_names(
        &mut self,
        _: Resource<ExchangeHandle>,
        of: Side,
    ) -> wasmtime::Result<Vec<String>> {
        self.enter()?;
        let names = self
            .exchange
            .headers(of)
            .map(|map| map.keys().map(|name| name.as_str().to_owned()));
        Ok(names.map(Iterator::collect).unwrap_or_default())
    }

    fn set_header(
        &mut self,
        _: Resource<ExchangeHandle>,
        of: Side,
        name: String,
        value: Vec<u8>,
    ) -> Outcome<()> {
        self.enter_with(name.len().saturating_add(value.len()))?;
        let (most, most_bytes) = (self.policy.limits.headers, self.policy.limits.header_bytes);
        Ok(
            headers::parse(&name, value, most_bytes).and_then(|(name, value)| {
                let map = self.writable(of)?;
                if !map.contains_key(&name) {
                    headers::has_room(map, most)?;
                }
                headers::remove_alike(map, &name);
                map.insert(name, value);
                Ok(())
            }),
        )
    }

    fn append_header(
        &mut self,
        _: Resource<ExchangeHandle>,
        of: Side,
        name: String,
        value: Vec<u8>,
    ) -> Outcome<()> {
        self.enter_with(name.len().saturating_add(value.len()))?;
        let (most, most_bytes) = (self.policy.limits.headers, self.policy.limits.header_bytes);
        Ok(
            headers::parse(&name, value, most_bytes).and_then(|(name, value)| {
                let map = self.writable(of)?;
                headers::has_room(map, most)?;
                map.append(name, value);
                Ok(())
            }),
        )
    }

    fn remove_header(
        &mut self,
        _: Resource<ExchangeHandle>,
        of: Side,
        name: String,
    ) -> Outcome<()> {
        self.enter_with(name.len())?;
        Ok(headers::parse_name(&name).and_then(|name| {
            let map = self.writable(of)?;
            headers::remove_alike(map, &name);
            map.remove(name);
            Ok(())
        }))
    }

    fn status(&mut self, _: Resource<ExchangeHandle>) -> wasmtime::Result<Option<u16>> {
        self.enter()?;
        Ok(self
            .exchange
            .response
            .as_ref()
            .map(|head| head.status.as_u16()))
    }

    fn set_status(&mut self, _: Resource<ExchangeHandle>, status: u16) -> Outcome<()> {
        self.enter()?;
        let open = self.response_is_open();
        Ok(match (final_status(status), &mut self.exchange.response) {
            (None, _) => Err(ExchangeFailure::Invalid),
            (Some(status), Some(head)) if open => {
                head.status = status;
                Ok(())
            }
            _ => Err(ExchangeFailure::WrongPhase),
        })
    }

    fn respond(&mut self, _: Resource<ExchangeHandle>, status: u16) -> Outcome<()> {
        self.enter()?;
        let Some(status) = final_status(status) else {
            return Ok(Err(ExchangeFailure::Invalid));
        };
        self.exchange.response = Some(ResponseHead {
            status,
            headers: HeaderMap::new(),
        });
        self.exchange.response_body.clear();
        self.exchange.responded = true;
        self.response_cursor = Default::default();
        Ok(Ok(()))
    }

    fn has_body(&mut self, _: Resource<ExchangeHandle>, of: Side) -> wasmtime::Result<bool> {
        self.enter()?;
        let exchange = &self.exchange;
        Ok(match of {
            Side::Request => exchange.request_body.may_have_parts(),
            Side::Response => {
                exchange.response.is_some() && exchange.response_body.may_have_parts()
            }
        })
    }

    async fn forward(
        &mut self,
        _: Resource<ExchangeHandle>,
        options: ForwardOptions,
    ) -> wasmtime::Result<Result<(), ForwardFailure>> {
        self.enter_with(options.route.as_ref().map_or(0, String::len))?;
        Ok(self.forward_now(options).await)
    }

    fn plan_forward(
        &mut self,
        _: Resource<ExchangeHandle>,
        plan: ForwardPlan,
    ) -> wasmtime::Result<Result<(), ForwardFailure>> {
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        self.enter_with(length(&plan.route).saturating_add(length(&plan.path_prefix)))?;
        Ok(self.plan_now(plan))
    }

    fn failed_forward(
        &mut self,
        _: Resource<ExchangeHandle>,
    ) -> wasmtime::Result<Option<ForwardFailure>> {
        self.enter()?;
        Ok(self.exchange.forward_failure.map(to_wit))
    }

    async fn read_body(
        &mut self,
        _: Resource<ExchangeHandle>,
        of: Side,
        max: u32,
    ) -> Outcome<Option<Vec<u8>>> {
        self.enter()?;
        let patience = self.patience();
        let most = self.policy.limits.body_bytes;
        let max = usize::try_from(max)
            .unwrap_or(usize::MAX)
            .min(self.policy.limits.call_bytes);
        let exchange = &mut *self.exchange;
        let (body, cursor) = match of {
            Side::Request => (&mut exchange.request_body, &mut self.request_cursor),
            Side::Response if exchange.response.is_some() => {
                (&mut exchange.response_body, &mut self.response_cursor)
            }
            Side::Response => return Ok(Err(ExchangeFailure::WrongPhase)),
        };
        let pulled = within(&*exchange.outside, patience, body.pull(cursor, max, most)).await;
        Ok(match pulled {
            Some(Pulled::Part(part)) => Ok(Some(part.to_vec())),
            Some(Pulled::End) => Ok(None),
            Some(Pulled::Limit) => Err(ExchangeFailure::Limit),
            Some(Pulled::Broken) | None => Err(ExchangeFailure::Unavailable),
        })
    }

    fn write_body(&mut self, _: Resource<ExchangeHandle>, of: Side, part: Vec<u8>) -> Outcome<()> {
        self.enter_with(part.len())?;
        let most = self.policy.limits.body_bytes;
        let open = self.response_is_open() && self.exchange.response.is_some();
        let (body, cursor): (&mut PolicyBody, _) = match of {
            Side::Request if self.phase.before_backend() => {
                (&mut self.exchange.request_body, &mut self.request_cursor)
            }
            Side::Response if open => (&mut self.exchange.response_body, &mut self.response_cursor),
            _ => return Ok(Err(ExchangeFailure::WrongPhase)),
        };
        Ok(if body.push(cursor, part, most) {
            Ok(())
        } else {
            Err(ExchangeFailure::Limit)
        })
    }

    fn drop(&mut self, _: Resource<ExchangeHandle>) -> wasmtime::Result<()> {
        Ok(())
    }
}

/// Whether a text is a path and only that: no query, and no second slash at its
/// beginning, after which some would read a host.
pub(super) fn is_path(text: &str) -> bool {
    text.starts_with('/')
        && !text.starts_with("//")
        && !text.contains(['?', '#', '\\'])
        && percent_decode_str(text).all(|byte| byte != 0)
}

/// A status that ends an exchange: interim ones are the host's business.
fn final_status(status: u16) -> Option<StatusCode> {
    (200..=599)
        .contains(&status)
        .then(|| StatusCode::from_u16(status).ok())
        .flatten()
}

/// What `future` gives within that many milliseconds. The timer starts only when
/// the future has to wait.
pub(crate) async fn within<T>(
    outside: &dyn crate::outside::Outside,
    milliseconds: u64,
    future: impl Future<Output = T>,
) -> Option<T> {
    let mut future = pin!(future);
    let mut timer = None;
    std::future::poll_fn(move |context| {
        if let Poll::Ready(value) = future.as_mut().poll(context) {
            return Poll::Ready(Some(value));
        }
        let timer = timer.get_or_insert_with(|| outside.sleep(milliseconds));
        timer.as_mut().poll(context).map(|()| None)
    })
    .await
}
