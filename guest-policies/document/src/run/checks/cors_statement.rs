//! `cors`, as it runs.

use std::sync::Arc;

use keyward_document_program::statements::{Element, ElementId, Phase, Statements};
use keyward_document_program::{AttributeName as A, ElementName as E};
use keyward_policy::Failure;

use super::cors::{Headers, Preflight, Rules};
use crate::run::error::Stop;
use crate::run::{Flow, Runner};

/// What a browser asked.
struct Asked {
    origin: String,
    method: String,
    headers: String,
}

impl<'p> Runner<'p, '_> {
    /// Answers a preflight request before anything else of the section runs, if there is
    /// a `cors` that stands directly in it.
    pub(crate) fn preflight(&mut self) -> Result<Flow, Stop> {
        // Nearly no request is one.
        if &*self.state.original.method != "OPTIONS" {
            return Ok(Flow::On);
        }
        let statements = &self.program.statements;
        let mut found = Vec::new();
        for number in 0..statements.segments(Phase::Inbound) {
            direct(
                statements,
                statements.segment(Phase::Inbound, number),
                &mut found,
            );
        }
        let (Some(asked), Some(last)) = (self.asked(), found.last().copied()) else {
            return Ok(Flow::On);
        };
        for element in found {
            let rules = self.rules(element)?;
            let answer = rules.answer(asked.preflight());
            if let Some(headers) = answer {
                return self.answer(element, headers);
            }
            if self.terminates(element)? {
                break;
            }
        }
        self.answer(last, Headers::new())
    }

    pub(crate) fn cors(&mut self, element: &Element) -> Result<Flow, Stop> {
        let Some(origin) = self.exchange.request().header_text("origin") else {
            // The answer to others would be another one.
            let rules = self.rules(element)?;
            self.state.later.varies |= rules.depends_on_origin();
            return Ok(Flow::On);
        };
        let rules = self.rules(element)?;
        if let Some(asked) = self.asked() {
            let answer = rules.answer(asked.preflight());
            if answer.is_none() && !self.terminates(element)? {
                return Ok(Flow::On);
            }
            return self.answer(element, answer.unwrap_or_default());
        }
        if self.state.later.has_cors {
            return Ok(Flow::On);
        }
        self.state.later.varies |= rules.depends_on_origin();
        match rules.on_answer(&origin) {
            Some(headers) => {
                self.state.later.has_cors = true;
                for (name, value) in headers {
                    self.state.later.set_header(name, value);
                }
            }
            None => {
                let reads = matches!(&*self.line.method(self.exchange), "GET" | "HEAD");
                if reads && self.terminates(element)? {
                    return self.answer(element, Headers::new());
                }
            }
        }
        Ok(Flow::On)
    }

    fn terminates(&mut self, element: &Element) -> Result<bool, Stop> {
        Ok(self
            .bool(element, A::TerminateUnmatchedRequest)?
            .unwrap_or(true))
    }

    /// What a browser asks in advance, if that is what this request is.
    fn asked(&self) -> Option<Asked> {
        let request = self.exchange.request();
        if &*self.line.method(self.exchange) != "OPTIONS" {
            return None;
        }
        let method = request.header_text("access-control-request-method")?;
        let headers = request.header_values("access-control-request-headers");
        let headers: Vec<String> = headers
            .map(|value| String::from_utf8_lossy(&value).into_owned())
            .collect();
        Some(Asked {
            origin: request.header_text("origin")?,
            method,
            headers: headers.join(", "),
        })
    }

    fn answer(&mut self, element: &Element, headers: Headers) -> Result<Flow, Stop> {
        let respond = || -> Result<(), Failure> {
            let response = self.exchange.respond(200)?;
            for (name, value) in &headers {
                response.set_header(name, value)?;
            }
            Ok(())
        };
        respond().map_err(|failure| self.refused(element, "the answer", failure))?;
        self.state.begin_response();
        Ok(Flow::Respond)
    }

    fn rules(&mut self, element: &Element) -> Result<Rules, Stop> {
        let mut rules = Rules {
            origins: self.listed(element, E::AllowedOrigins)?,
            methods: self.listed(element, E::AllowedMethods)?,
            headers: self.listed(element, E::AllowedHeaders)?,
            exposed: self.listed(element, E::ExposeHeaders)?,
            credentials: self.bool(element, A::AllowCredentials)?.unwrap_or(false),
            max_age: 0,
        };
        let program = self.program;
        for methods in program
            .statements
            .children_named(element, E::AllowedMethods)
        {
            let seconds = self.int(methods, A::PreflightResultMaxAge)?;
            rules.max_age = seconds.unwrap_or(0);
        }
        Ok(rules)
    }

    /// The texts of the elements in a part; those that are `null` are none.
    fn listed(&mut self, element: &Element, part: E) -> Result<Vec<Arc<str>>, Stop> {
        let statements = &self.program.statements;
        let mut all = Vec::new();
        for part in statements.children_named(element, part) {
            for id in statements.children(part) {
                if let Some(item) = statements.element(*id)
                    && let Some(text) = self.content(item)?
                {
                    all.push(text.trim().into());
                }
            }
        }
        Ok(all)
    }
}

impl Asked {
    fn preflight(&self) -> Preflight<'_> {
        Preflight {
            origin: &self.origin,
            method: &self.method,
            headers: &self.headers,
        }
    }
}

/// The `cors` elements that stand directly in a section, those of fragments as well.
fn direct<'p>(statements: &'p Statements, ids: &[ElementId], found: &mut Vec<&'p Element>) {
    for id in ids {
        match statements.element(*id) {
            Some(element) if element.name == E::Cors => found.push(element),
            Some(element) if element.name == E::IncludeFragment => {
                direct(statements, statements.children(element), found);
            }
            _ => {}
        }
    }
}
