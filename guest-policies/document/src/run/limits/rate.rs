//! `rate-limit` and `rate-limit-by-key`.

use keyward_document_program::statements::Element;
use keyward_document_program::{AttributeName as A, ElementName as E, Member};
use keyward_policy::Failure;

use super::window::{MAX_KEY, Window};
use crate::evaluate::Value;
use crate::run::error::Stop;
use crate::run::later::Count;
use crate::run::{Flow, Runner};

/// How many calls in what time, and where they are counted.
struct Limit {
    calls: u64,
    window: Window,
    /// The counters of this window and of the one before.
    now: String,
    before: String,
}

/// What two counters say.
#[derive(Clone, Copy)]
struct Counted {
    before: u64,
    now: u64,
}

impl Limit {
    fn used(&self, counted: Counted) -> u64 {
        self.window.used(counted.before, counted.now)
    }

    fn wait(&self, counted: Counted) -> u32 {
        self.window.wait(counted.before, counted.now, self.calls)
    }
}

impl<'p> Runner<'p, '_> {
    /// Counts for the caller's subscription; without one nothing is limited.
    pub(crate) fn rate_limit(&mut self, element: &'p Element) -> Result<Flow, Stop> {
        let Some(subject) = self.subject(element)? else {
            return Ok(Flow::On);
        };
        let statements = &self.program.statements;
        let scope = element
            .place
            .scope
            .map_or("", |scope| statements.text(scope));
        let own: &[Member] = match scope {
            "product" => &[Member::ProductId],
            "api" => &[Member::ApiId],
            "operation" => &[Member::ApiId, Member::OperationId],
            _ => &[],
        };
        let mut about: Vec<&str> = vec![scope];
        about.extend(own.iter().map(|member| self.fact(*member)));
        let mut limits = vec![self.limit(element, 's', &key_of(&subject, &about))?];
        for api in statements.children_named(element, E::Api) {
            if !self.is_meant(api, Member::ApiId, Member::ApiName)? {
                continue;
            }
            about.extend(["api", self.fact(Member::ApiId)]);
            limits.push(self.limit(api, 's', &key_of(&subject, &about))?);
            for operation in statements.children_named(api, E::Operation) {
                if self.is_meant(operation, Member::OperationId, Member::OperationName)? {
                    let mut about = about.clone();
                    about.extend(["operation", self.fact(Member::OperationId)]);
                    limits.push(self.limit(operation, 's', &key_of(&subject, &about))?);
                }
            }
        }
        self.take(element, &limits, 1)
    }

    /// Counts for a key.
    pub(crate) fn rate_limit_by_key(&mut self, element: &'p Element) -> Result<Flow, Stop> {
        let key = self.required(element, A::CounterKey)?;
        let limit = self.limit(element, 'k', &key)?;
        let statements = &self.program.statements;
        let is_later = statements.field(element, A::IncrementCondition).is_some()
            || self
                .bool(element, A::IncrementAfterResponse)?
                .unwrap_or(false);
        if !is_later {
            let by = self.increment_count(element)?;
            return self.take(element, &[limit], by);
        }
        let counted = self.counted(element, &limit)?;
        if limit.used(counted) >= limit.calls {
            return Err(self.too_many(element, limit.calls, limit.wait(counted))?);
        }
        let number = statements
            .elements()
            .iter()
            .position(|other| std::ptr::eq(other, element));
        let period = self.period(element)?;
        self.state.later.count(Count {
            element: number
                .and_then(|number| u32::try_from(number).ok())
                .unwrap_or(u32::MAX),
            key: key.to_string(),
            period,
        });
        self.tell(element, limit.calls, limit.calls - limit.used(counted))?;
        Ok(Flow::On)
    }

    pub(crate) fn increment_count(&mut self, element: &Element) -> Result<u32, Stop> {
        let count = self.int(element, A::IncrementCount)?.unwrap_or(1);
        u32::try_from(count)
            .map_err(|_| self.unfit(element, "increment-count", "a number that is not negative"))
    }

    fn period(&mut self, element: &Element) -> Result<u32, Stop> {
        let period = self.int(element, A::RenewalPeriod)?.unwrap_or_default();
        u32::try_from(period)
            .ok()
            .filter(|period| (1..=300).contains(period))
            .ok_or_else(|| self.unfit(element, "renewal-period", "1 to 300 seconds"))
    }

    fn limit(&mut self, element: &Element, kind: char, key: &str) -> Result<Limit, Stop> {
        let calls = self.int(element, A::Calls)?.unwrap_or_default();
        let window = Window::of(self.exchange.now(), self.period(element)?);
        let Some((now, before)) = window.counters(kind, key) else {
            let message = format!(
                "the key has {} bytes, and {MAX_KEY} are the most: it is not shortened, since two \
                 callers could then share a counter",
                key.len()
            );
            return Err(self.broken(element, 500, "OperationFailed", &message, &message));
        };
        Ok(Limit {
            calls: u64::try_from(calls).unwrap_or(0),
            window,
            now,
            before,
        })
    }

    fn counted(&self, element: &Element, limit: &Limit) -> Result<Counted, Stop> {
        let read = |name: &str| self.exchange.increment(name, 0, 1);
        let both = || -> Result<Counted, Failure> {
            Ok(Counted {
                before: read(&limit.before)?,
                now: read(&limit.now)?,
            })
        };
        both().map_err(|failure| self.refused(element, "the counter", failure))
    }

    /// Counts a call, if all limits have room for it.
    fn take(&mut self, element: &Element, limits: &[Limit], by: u32) -> Result<Flow, Stop> {
        let mut wait = None;
        let mut counted = Vec::with_capacity(limits.len());
        for limit in limits {
            let found = self.counted(element, limit)?;
            if limit.used(found) >= limit.calls {
                wait = wait.max(Some(limit.wait(found)));
            }
            counted.push(found);
        }
        let calls = limits.iter().map(|limit| limit.calls).min().unwrap_or(0);
        if let Some(wait) = wait {
            return Err(self.too_many(element, calls, wait)?);
        }
        let mut remaining = u64::MAX;
        for (limit, counted) in limits.iter().zip(counted) {
            let now = self
                .exchange
                .increment(&limit.now, by, limit.window.lifetime())
                .map_err(|failure| self.refused(element, "the counter", failure))?;
            // Others may have come between.
            let mine = Counted {
                now: now.saturating_sub(u64::from(by)),
                ..counted
            };
            if limit.used(mine) >= limit.calls {
                return Err(self.too_many(element, calls, limit.wait(mine))?);
            }
            let used = limit.used(Counted { now, ..counted });
            remaining = remaining.min(limit.calls.saturating_sub(used));
        }
        self.tell(element, calls, remaining)?;
        Ok(Flow::On)
    }

    /// Tells the caller and the document where the caller stands.
    fn tell(&mut self, element: &Element, calls: u64, remaining: u64) -> Result<(), Stop> {
        for (name, number) in [
            (A::RemainingCallsHeaderName, remaining),
            (A::TotalCallsHeaderName, calls),
        ] {
            if let Some(header) = self.text(element, name)? {
                self.state.later.set_header(&header, number.to_string());
            }
        }
        if let Some(variable) = self.text(element, A::RemainingCallsVariableName)? {
            self.set_variable(element, &variable, int(remaining))?;
        }
        Ok(())
    }

    fn too_many(&mut self, element: &Element, calls: u64, wait: u32) -> Result<Stop, Stop> {
        self.tell(element, calls, 0)?;
        if let Some(variable) = self.text(element, A::RetryAfterVariableName)? {
            self.set_variable(element, &variable, int(u64::from(wait)))?;
        }
        let header = self.text(element, A::RetryAfterHeaderName)?;
        let message = format!("Rate limit is exceeded. Try again in {wait} seconds.");
        Ok(self
            .failed(element, 429, "RateLimitExceeded", message)
            .header(header.as_deref().unwrap_or("Retry-After"), wait.to_string()))
    }

    fn fact(&self, member: Member) -> &'p str {
        let facts = &self.program.statements.surroundings().facts;
        let found = facts.iter().find(|(there, _)| *there == member);
        found.map_or("", |(_, text)| text)
    }

    /// Whether an `api` or an `operation` is the one that is called: by its id, or without
    /// one by its name.
    fn is_meant(&mut self, element: &Element, id: Member, name: Member) -> Result<bool, Stop> {
        let (attribute, member) = match self.program.statements.field(element, A::Id) {
            Some(_) => (A::Id, id),
            None => (A::Name, name),
        };
        let own = self.fact(member);
        let wanted = self.text(element, attribute)?;
        Ok(!own.is_empty() && wanted.is_some_and(|wanted| *wanted == *own))
    }
}

fn int(number: u64) -> Value {
    Value::Int(i32::try_from(number).unwrap_or(i32::MAX))
}

/// Whose calls of what are counted. What is called was named by operators and not by
/// clients, so that a short hash keeps it apart; who calls stands there in full.
fn key_of(subject: &str, about: &[&str]) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in about {
        for byte in part.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    format!("{hash:016x}.{subject}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_called_and_who_calls_are_kept_apart() {
        let keys = [
            key_of("a", &["api", "x"]),
            key_of("a", &["api", "y"]),
            key_of("a", &["operation", "x"]),
            key_of("a", &["api", "x", "api", "x"]),
            key_of("b", &["api", "x"]),
            key_of("a", &["apix", ""]),
        ];
        for (at, key) in keys.iter().enumerate() {
            assert!(!keys[at + 1..].contains(key), "{key}");
        }
        let subject = "s".repeat(64);
        assert!(key_of(&subject, &["product", "p"]).len() <= MAX_KEY);
    }
}
