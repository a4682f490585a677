//! Calls that a policy makes itself: to routes by name, never to hosts.

use http::uri::PathAndQuery;
use http::{HeaderMap, Method};
use keyward_names::RouteName;
use keyward_vault::Notes;
use wasmtime::component::Resource;

use super::exchange::{is_path, within};
use crate::bindings::keyward::policy::egress::{
    CallFailure, EgressFailure, Host, HostRequest, HostResponse,
};
use crate::bindings::keyward::policy::exchange::ExchangeFailure;
use crate::body::{PolicyBody, Pulled};
use crate::error::PolicyStop;
use crate::headers;
use crate::outside::{OutsideRequest, SendFailure};
use crate::query;
use crate::state::{CallState, PolicyRequest, PolicyResponse};

type Outcome<T> = wasmtime::Result<Result<T, EgressFailure>>;

impl Host for CallState {
    async fn send(
        &mut self,
        request: Resource<PolicyRequest>,
    ) -> Outcome<Resource<PolicyResponse>> {
        self.enter()?;
        let request = self.table.delete(request)?;
        let sent = self.send_now(request, None).await;
        Ok(sent.map_err(to_wit))
    }

    async fn send_within(
        &mut self,
        request: Resource<PolicyRequest>,
        milliseconds: u32,
    ) -> wasmtime::Result<Result<Resource<PolicyResponse>, CallFailure>> {
        self.enter()?;
        let request = self.table.delete(request)?;
        let sent = self.send_now(request, Some(u64::from(milliseconds))).await;
        Ok(sent.map_err(to_timed))
    }
}

impl CallState {
    /// Sends a request, within the call's own time and that which it was given.
    async fn send_now(
        &mut self,
        request: PolicyRequest,
        milliseconds: Option<u64>,
    ) -> Result<Resource<PolicyResponse>, SendFailure> {
        self.spent.egress_requests += 1;
        if self.spent.egress_requests > self.policy.limits.egress_requests {
            return Err(SendFailure::Limit);
        }
        let target = if request.query.is_empty() {
            request.path
        } else {
            format!("{}?{}", request.path, request.query)
        };
        let Ok(path_and_query) = PathAndQuery::try_from(target) else {
            return Err(SendFailure::Invalid);
        };
        let outside = std::sync::Arc::clone(&self.exchange.outside);
        let patience = self.patience().min(milliseconds.unwrap_or(u64::MAX));
        let until = milliseconds.map(|time| outside.monotonic().saturating_add(time));
        let call = outside.send(
            OutsideRequest {
                policy: self.policy.identity.name.clone(),
                route: request.route,
                method: request.method,
                path_and_query,
                headers: request.headers,
                body: request.body.into(),
                notes: request.notes,
            },
            &mut self.exchange.ledger,
        );
        let answer = within(&*outside, patience, call).await;
        // What was used has been settled by `send`, or nothing left.
        self.exchange.flush_logs();
        let answer = answer.unwrap_or(Err(SendFailure::TimedOut))?;
        let response = PolicyResponse {
            status: answer.status.as_u16(),
            headers: answer.headers,
            body: PolicyBody::new(answer.body),
            cursor: Default::default(),
            until,
        };
        self.table.push(response).map_err(|_| SendFailure::Limit)
    }
}

impl HostRequest for CallState {
    fn new(
        &mut self,
        route: String,
        method: String,
        path: String,
    ) -> Outcome<Resource<PolicyRequest>> {
        self.enter_with(
            route
                .len()
                .saturating_add(method.len())
                .saturating_add(path.len()),
        )?;
        // A route that does not exist and one that is closed look the same.
        let route = RouteName::parse(&route)
            .ok()
            .filter(|route| self.policy.routes.contains(route));
        let Some(route) = route else {
            return Ok(Err(EgressFailure::Denied));
        };
        let method = method_of(&method);
        let plain = is_path(&path)
            && path.len() <= self.policy.limits.header_bytes
            && PathAndQuery::try_from(path.as_str()).is_ok();
        let Some(method) = method.filter(|_| plain) else {
            return Ok(Err(EgressFailure::Invalid));
        };
        let request = PolicyRequest {
            route,
            method,
            path,
            query: String::new(),
            headers: HeaderMap::new(),
            body: Vec::new(),
            notes: Notes::default(),
        };
        Ok(self.table.push(request).map_err(|_| EgressFailure::Limit))
    }

    fn add_query(
        &mut self,
        request: Resource<PolicyRequest>,
        name: String,
        value: String,
    ) -> Outcome<()> {
        self.enter_with(name.len().saturating_add(value.len()))?;
        let most = self.policy.limits.header_bytes;
        let fits = self.takes_request_bytes(name.len().saturating_add(value.len()));
        let request = self.table.get_mut(&request)?;
        if name.is_empty() {
            return Ok(Err(EgressFailure::Invalid));
        }
        if !fits {
            return Ok(Err(EgressFailure::Limit));
        }
        query::append(&mut request.query, &name, &value);
        Ok(if request.query.len() <= most {
            Ok(())
        } else {
            Err(EgressFailure::Limit)
        })
    }

    fn set_header(
        &mut self,
        request: Resource<PolicyRequest>,
        name: String,
        value: Vec<u8>,
    ) -> Outcome<()> {
        self.enter_with(name.len().saturating_add(value.len()))?;
        let (most, most_bytes) = (self.policy.limits.headers, self.policy.limits.header_bytes);
        let fits = self.takes_request_bytes(name.len().saturating_add(value.len()));
        let request = self.table.get_mut(&request)?;
        if !fits {
            return Ok(Err(EgressFailure::Limit));
        }
        let set = headers::parse(&name, value, most_bytes).and_then(|(name, value)| {
            headers::has_room(&request.headers, most)?;
            request.headers.insert(name, value);
            Ok(())
        });
        Ok(set.map_err(|failure| match failure {
            ExchangeFailure::Limit => EgressFailure::Limit,
            _ => EgressFailure::Invalid,
        }))
    }

    fn write_body(&mut self, request: Resource<PolicyRequest>, part: Vec<u8>) -> Outcome<()> {
        self.enter_with(part.len())?;
        let fits = self.takes_request_bytes(part.len());
        let request = self.table.get_mut(&request)?;
        if !fits {
            return Ok(Err(EgressFailure::Limit));
        }
        request.body.extend_from_slice(&part);
        Ok(Ok(()))
    }

    fn drop(&mut self, request: Resource<PolicyRequest>) -> wasmtime::Result<()> {
        self.table.delete(request)?;
        Ok(())
    }
}

impl HostResponse for CallState {
    fn status(&mut self, response: Resource<PolicyResponse>) -> wasmtime::Result<u16> {
        self.enter()?;
        Ok(self.table.get(&response)?.status)
    }

    fn header(
        &mut self,
        response: Resource<PolicyResponse>,
        name: String,
        index: u32,
    ) -> wasmtime::Result<Option<Vec<u8>>> {
        self.enter_with(name.len())?;
        Ok(headers::value(
            &self.table.get(&response)?.headers,
            &name,
            index,
        ))
    }

    fn header_values(
        &mut self,
        response: Resource<PolicyResponse>,
        name: String,
    ) -> wasmtime::Result<Vec<Vec<u8>>> {
        self.enter_with(name.len())?;
        let most = self.policy.limits.call_bytes;
        let values = headers::values(&self.table.get(&response)?.headers, &name, most);
        values.ok_or_else(|| self.stop(PolicyStop::CallBytes))
    }

    fn header_names(
        &mut self,
        response: Resource<PolicyResponse>,
    ) -> wasmtime::Result<Vec<String>> {
        self.enter()?;
        let headers = &self.table.get(&response)?.headers;
        Ok(headers
            .keys()
            .map(|name| name.as_str().to_owned())
            .collect())
    }

    async fn read_body(
        &mut self,
        response: Resource<PolicyResponse>,
        max: u32,
    ) -> Outcome<Option<Vec<u8>>> {
        self.enter()?;
        let patience = self.patience();
        let most = self.policy.limits.body_bytes;
        let max = usize::try_from(max)
            .unwrap_or(usize::MAX)
            .min(self.policy.limits.call_bytes);
        let outside = std::sync::Arc::clone(&self.exchange.outside);
        let response = self.table.get_mut(&response)?;
        let left = response
            .until
            .map_or(u64::MAX, |until| until.saturating_sub(outside.monotonic()));
        let (patience, PolicyResponse { body, cursor, .. }) = (patience.min(left), response);
        Ok(
            match within(&*outside, patience, body.pull(cursor, max, most)).await {
                Some(Pulled::Part(part)) => Ok(Some(part.to_vec())),
                Some(Pulled::End) => Ok(None),
                Some(Pulled::Limit) => Err(EgressFailure::Limit),
                Some(Pulled::Broken) => Err(EgressFailure::Upstream),
                None => Err(EgressFailure::Unavailable),
            },
        )
    }

    fn drop(&mut self, response: Resource<PolicyResponse>) -> wasmtime::Result<()> {
        self.table.delete(response)?;
        Ok(())
    }
}

/// A method that a policy may send.
pub(super) fn method_of(text: &str) -> Option<Method> {
    Method::from_bytes(text.as_bytes())
        .ok()
        // Some backends take `trace` for `TRACE`.
        .filter(|method| {
            !method
                .as_str()
                .bytes()
                .any(|byte| byte.is_ascii_lowercase())
        })
        .filter(|method| *method != Method::CONNECT && *method != Method::TRACE)
}

fn to_wit(failure: SendFailure) -> EgressFailure {
    match failure {
        SendFailure::Denied => EgressFailure::Denied,
        SendFailure::Invalid => EgressFailure::Invalid,
        SendFailure::Limit => EgressFailure::Limit,
        SendFailure::TimedOut | SendFailure::Unavailable => EgressFailure::Unavailable,
        SendFailure::Upstream => EgressFailure::Upstream,
    }
}

fn to_timed(failure: SendFailure) -> CallFailure {
    match failure {
        SendFailure::Denied => CallFailure::Denied,
        SendFailure::Invalid => CallFailure::Invalid,
        SendFailure::Limit => CallFailure::Limit,
        SendFailure::TimedOut => CallFailure::TimedOut,
        SendFailure::Unavailable => CallFailure::Unavailable,
        SendFailure::Upstream => CallFailure::Upstream,
    }
}
