//! Sending the exchange's request while the backend phase runs.
//!
//! What was attached is taken out of the exchange before anything can fail, so no
//! note goes along twice. All else that guards a request on its way out is where it
//! always is: behind [`Outside::forward`](crate::outside::Outside::forward).

use std::sync::Arc;

use keyward_names::RouteName;

use super::exchange::{is_path, within};
use crate::bindings::keyward::policy::exchange::{ForwardFailure, ForwardOptions, ForwardPlan};
use crate::body::{PolicyBody, Pulled};
use crate::exchange::{Exchange, Forwarding, Phase, Planned, ResponseHead};
use crate::outside::{self, OutsideForward};
use crate::state::CallState;

/// How long a body that is to be kept has to arrive.
const KEEP_MILLISECONDS: u64 = 60_000;

impl CallState {
    pub(super) async fn forward_now(
        &mut self,
        options: ForwardOptions,
    ) -> Result<(), ForwardFailure> {
        self.forwarding()?;
        let notes = std::mem::take(&mut self.exchange.notes);
        let route = self.open_route(options.route.as_deref())?;
        let exchange = &mut *self.exchange;
        exchange.response = None;
        exchange.response_body = PolicyBody::empty();
        exchange.responded = false;
        // A body that is written for the next try takes the place of this one's.
        self.request_cursor = Default::default();
        self.response_cursor = Default::default();

        let outside = Arc::clone(&exchange.outside);
        let began = outside.monotonic();
        let patience = options.timeout_milliseconds.map(u64::from);
        let most = self.policy.limits.body_bytes;
        let body = if options.keep_body {
            let within_this = patience.unwrap_or(u64::MAX).min(KEEP_MILLISECONDS);
            let held = exchange.request_body.hold(most);
            let held = within(&*outside, within_this, held).await;
            self.not_waited(began);
            match held {
                Some(Pulled::End) => {}
                Some(Pulled::Limit) => return Err(ForwardFailure::Limit),
                Some(_) => return Err(ForwardFailure::Invalid),
                None => return Err(ForwardFailure::TimedOut),
            }
            self.exchange.request_body.copy()
        } else {
            exchange.request_body.send_off()
        };
        let body = body.ok_or(ForwardFailure::BodyGone)?;

        let Exchange {
            request,
            ledger,
            forwarding,
            ..
        } = &mut *self.exchange;
        let Some(forwarding) = forwarding else {
            return Err(ForwardFailure::Denied);
        };
        let request = OutsideForward {
            policy: self.policy.identity.name.clone(),
            route,
            method: request.method.clone(),
            uri: request.uri.clone(),
            version: request.version,
            // Outbound policies still see what the client sent.
            headers: request.headers.clone(),
            written: body.replaced_length(),
            body: body.into_body(),
            notes,
            upgrade: forwarding.upgrade.take(),
        };
        let began = outside.monotonic();
        let call = outside.forward(request, ledger, &mut forwarding.kept);
        let answer = match patience {
            Some(milliseconds) => within(&*outside, milliseconds, call).await,
            None => Some(call.await),
        };
        self.not_waited(began);
        // What was used has been settled, or nothing left.
        self.exchange.flush_logs();
        let answer = answer.unwrap_or(Err(outside::ForwardFailure::TimedOut));
        let answer = answer.map_err(to_wit)?;
        let head = ResponseHead {
            status: answer.status,
            headers: answer.headers,
        };
        self.exchange
            .set_response(head, PolicyBody::new(answer.body));
        Ok(())
    }

    /// Has the host send the request when the backend phase is over.
    pub(super) fn plan_now(&mut self, plan: ForwardPlan) -> Result<(), ForwardFailure> {
        self.forwarding()?;
        let route = self.open_route(plan.route.as_deref())?;
        let path_prefix = plan.path_prefix.unwrap_or_default();
        if !path_prefix.is_empty() && !is_path(&path_prefix) {
            return Err(ForwardFailure::Invalid);
        }
        let planned = Planned {
            route,
            path_prefix,
            timeout_milliseconds: plan.timeout_milliseconds,
        };
        let target = planned.target(&self.exchange.request.uri);
        let target = target.ok_or(ForwardFailure::Invalid)?;
        let length = target
            .path_and_query()
            .map_or(0, |target| target.as_str().len());
        if length > self.policy.limits.header_bytes {
            return Err(ForwardFailure::Limit);
        }
        if self.exchange.request_body.is_gone() {
            return Err(ForwardFailure::BodyGone);
        }
        self.forwarding()?.planned = Some(planned);
        Ok(())
    }

    /// What is known of who forwards, where a policy may now. What was planned is not any
    /// more.
    fn forwarding(&mut self) -> Result<&mut Forwarding, ForwardFailure> {
        if self.phase != Phase::Backend {
            return Err(ForwardFailure::WrongPhase);
        }
        let forwarding = self.exchange.forwarding.as_deref_mut();
        let forwarding = forwarding.ok_or(ForwardFailure::Denied)?;
        forwarding.tried = true;
        forwarding.planned = None;
        Ok(forwarding)
    }

    /// The route of that name, or the pipeline's, if this policy may still forward there. One
    /// that does not exist and one that is closed look the same.
    fn open_route(&mut self, named: Option<&str>) -> Result<RouteName, ForwardFailure> {
        let own = self.forwarding()?.route.clone();
        let route = match named {
            None => own,
            Some(named) => RouteName::parse(named)
                .ok()
                .filter(|named| *named == own || self.policy.routes.contains(named))
                .ok_or(ForwardFailure::Denied)?,
        };
        self.spent.forwards += 1;
        if self.spent.forwards > self.policy.limits.forwards {
            return Err(ForwardFailure::Limit);
        }
        Ok(route)
    }

    /// What has been waited for since then was not the policy's own time.
    fn not_waited(&mut self, since: u64) {
        let waited = self.exchange.outside.monotonic().saturating_sub(since);
        if let Some(deadline) = &mut self.deadline {
            *deadline = deadline.saturating_add(waited);
        }
    }
}

pub(super) fn to_wit(failure: outside::ForwardFailure) -> ForwardFailure {
    use outside::ForwardFailure as F;
    match failure {
        F::Denied => ForwardFailure::Denied,
        F::Invalid => ForwardFailure::Invalid,
        F::Limit => ForwardFailure::Limit,
        F::TimedOut => ForwardFailure::TimedOut,
        F::Unavailable => ForwardFailure::Unavailable,
        F::Upstream => ForwardFailure::Upstream,
    }
}
