//! What runs, how often, and where it ends.

use keyward_document_program::statements::Element;
use keyward_document_program::{AttributeName as A, ElementName as E};
use keyward_policy::Side;

use super::error::Stop;
use super::{Flow, Runner};
use crate::evaluate::{Exception, Value};

/// How a <retry> waits.
struct Waiting {
    interval: u64,
    delta: Option<u64>,
    most: Option<u64>,
    is_first_fast: bool,
}

impl Waiting {
    /// Milliseconds before retry `number`, counted from 1. `chance` gives what lies
    /// between 0 and 1.
    fn before(&self, number: u32, chance: impl FnOnce() -> f64) -> u64 {
        if self.is_first_fast && number == 1 {
            return 0;
        }
        let interval = self.interval.saturating_mul(1000);
        let Some(delta) = self.delta.map(|seconds| seconds.saturating_mul(1000)) else {
            return interval;
        };
        let Some(most) = self.most else {
            let steps = u64::from(number.saturating_sub(1));
            return interval.saturating_add(delta.saturating_mul(steps));
        };
        let doubled = 2_f64.powi(i32::try_from(number).unwrap_or(i32::MAX)) - 1.0;
        #[expect(clippy::cast_precision_loss, reason = "an hour is far below 2^52 ms")]
        let added = doubled * (0.8 + 0.4 * chance()) * delta as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is positive, and what is too much is the most"
        )]
        let added = added as u64;
        interval
            .saturating_add(added)
            .min(most.saturating_mul(1000))
    }
}

impl<'p> Runner<'p, '_> {
    #[inline(never)]
    pub(super) fn choose(&mut self, element: &'p Element) -> Result<Flow, Stop> {
        let program = self.program;
        for id in program.statements.children(element) {
            let Some(branch) = program.statements.element(*id) else {
                continue;
            };
            let takes = match branch.name {
                E::When => self.bool(branch, A::Condition)?.unwrap_or(false),
                _ => true,
            };
            self.trace_condition(branch, takes);
            if takes {
                return self.children(branch);
            }
        }
        Ok(Flow::On)
    }

    #[inline(never)]
    pub(super) fn retry(&mut self, element: &'p Element) -> Result<Flow, Stop> {
        let count = self.int(element, A::Count)?.unwrap_or(0);
        if !(1..=50).contains(&count) {
            return Err(self.unfit(element, "count", "1 to 50"));
        }
        let waiting = self.waiting(element)?;
        let mut retries: u32 = 0;
        loop {
            if self.children(element)? == Flow::Respond {
                return Ok(Flow::Respond);
            }
            let again = self.bool(element, A::Condition)?.unwrap_or(false);
            self.trace_condition(element, again);
            if !again || i64::from(retries) >= count {
                return Ok(Flow::On);
            }
            retries = retries.saturating_add(1);
            self.pause(element, waiting.before(retries, || self.chance()))?;
        }
    }

    /// Apart: it would take room of the stack for each retry within another.
    #[inline(never)]
    fn waiting(&mut self, element: &Element) -> Result<Box<Waiting>, Stop> {
        Ok(Box::new(Waiting {
            interval: self.seconds(element, A::Interval)?.unwrap_or(0),
            delta: self.seconds(element, A::Delta)?,
            most: self.seconds(element, A::MaxInterval)?,
            is_first_fast: self.bool(element, A::FirstFastRetry)?.unwrap_or(false),
        }))
    }

    /// Between 0 and 1.
    fn chance(&self) -> f64 {
        let byte = self.exchange.random(1).first().copied().unwrap_or(128);
        f64::from(byte) / 255.0
    }

    fn pause(&mut self, element: &Element, milliseconds: u64) -> Result<(), Stop> {
        let milliseconds = u32::try_from(milliseconds).unwrap_or(u32::MAX);
        if milliseconds == 0 || self.exchange.sleep(milliseconds) {
            return Ok(());
        }
        let message = "the time that a call may take is over before the next try";
        Err(self.broken(element, 500, "Timeout", message, message))
    }

    /// An attribute that is a duration, in seconds.
    pub(crate) fn seconds(&mut self, element: &Element, name: A) -> Result<Option<u64>, Stop> {
        match self.int(element, name)?.map(u64::try_from) {
            None => Ok(None),
            Some(Ok(seconds)) => Ok(Some(seconds)),
            Some(Err(_)) => Err(self.unfit(element, name.as_str(), "a number of seconds")),
        }
    }

    /// Its statements run one after the other; with `any`, the first alone.
    #[inline(never)]
    pub(super) fn wait(&mut self, element: &'p Element) -> Result<Flow, Stop> {
        let program = self.program;
        let children = program.statements.children(element);
        match self.text(element, A::For)?.as_deref() {
            None | Some("all") => self.block(children),
            Some("any") => self.block(children.get(..1).unwrap_or_default()),
            Some(_) => Err(self.unfit(element, "for", "all or any")),
        }
    }

    #[inline(never)]
    pub(super) fn limit_concurrency(&mut self, element: &'p Element) -> Result<Flow, Stop> {
        let key = self.required(element, A::Key)?;
        let most = self.int(element, A::MaxCount)?.unwrap_or(0);
        let Ok(most) = u32::try_from(most) else {
            return Err(self.unfit(element, "max-count", "a number of requests"));
        };
        match self.exchange.enter(&key, most) {
            // Its place is given back when the statements are through, or with the call.
            Ok(Some(_place)) => self.children(element),
            Ok(None) => Err(self.failed(
                element,
                429,
                "ConcurrencyLimitExceeded",
                "Too many requests at the same time.",
            )),
            Err(failure) => Err(self.refused(element, "the key", failure)),
        }
    }

    pub(super) fn return_response(&mut self, element: &'p Element) -> Result<Flow, Stop> {
        let program = self.program;
        let statements = &program.statements;
        let from = match self.text(element, A::ResponseVariableName)? {
            Some(name) => match self.state.variable(&name) {
                Ok(Some(Value::Response(response))) => Some(response),
                Ok(_) => {
                    let wanted = "the name of a variable that holds a response";
                    return Err(self.unfit(element, "response-variable-name", wanted));
                }
                Err(exception) => return Err(self.throws(element, exception)),
            },
            None => None,
        };
        // Conditions and values are about what was there before.
        let mut prepared = Vec::new();
        for id in statements.children(element) {
            if let Some(part) = statements.element(*id) {
                prepared.push((part, self.prepared(part)?));
            }
        }
        let status = from.as_ref().map_or(200, |response| response.status());
        self.respond(element, status)?;
        if let Some(response) = from {
            self.state.reason = Some(response.reason().into());
            for (name, value) in response.headers() {
                // What the host writes itself is not copied.
                let _ = self.exchange.response().append_header(name, value);
            }
            match response.body(true) {
                Ok(body) => {
                    if let Some(body) = body {
                        self.bodies.set(Side::Response, &body);
                    }
                }
                Err(Exception::InvalidOperation) => {}
                Err(exception) => return Err(self.throws(element, exception)),
            }
        }
        for (part, prepared) in prepared {
            self.put(part, prepared, Side::Response)?;
        }
        Ok(Flow::Respond)
    }

    pub(super) fn mock_response(&mut self, element: &Element) -> Result<Flow, Stop> {
        let status = self.int(element, A::StatusCode)?.unwrap_or(200);
        let status = u16::try_from(status).ok();
        let Some(status) = status.filter(|status| (200..=599).contains(status)) else {
            return Err(self.unfit(element, "status-code", "200 to 599"));
        };
        let content_type = self.text(element, A::ContentType)?;
        self.respond(element, status)?;
        if let Some(content_type) = content_type {
            self.exchange
                .response()
                .set_header("content-type", &*content_type)
                .map_err(|failure| self.refused(element, "content-type", failure))?;
        }
        Ok(Flow::Respond)
    }

    /// Begins a response.
    fn respond(&mut self, element: &Element, status: u16) -> Result<(), Stop> {
        self.exchange
            .respond(status)
            .map_err(|_| self.unfit(element, "the status", "200 to 599"))?;
        self.bodies.forget(Side::Response);
        self.state.begin_response();
        Ok(())
    }
}
