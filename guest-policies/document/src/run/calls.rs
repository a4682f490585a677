//! `send-request` and `send-one-way-request`: requests of the document's own, to routes that
//! an operator opened to it.

use std::rc::Rc;
use std::sync::Arc;

use keyward_document_program::statements::{Element, Phase};
use keyward_document_program::{AttributeName as A, ElementName as E, header};
use keyward_policy::{Exchange, Failure, Level, Request, Response, Side};

use super::destination::{NoDestination, destination, parameters};
use super::error::Stop;
use super::identity::Identity;
use super::message::{Action, Beside, Change, Values};
use super::state::{Attachment, BodyState, How, Place};
use super::{Flow, Runner, address};
use crate::evaluate::{self, Value};

/// Bytes of an answer's body, at most.
const MAX_BODY: usize = 1 << 20;

/// A request before it is sent.
struct Draft {
    route: String,
    method: Arc<str>,
    path: String,
    query: Vec<(String, String)>,
    /// By their names in lower case; a name has one value.
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    attachments: Vec<Attachment>,
}

impl Draft {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(there, _)| there == name);
        found.map(|(_, value)| value.as_str())
    }

    fn remove(&mut self, name: &str) {
        self.headers.retain(|(there, _)| there != name);
    }

    fn detach(&mut self, place: &Place) {
        self.attachments.retain(|there| there.place != *place);
    }

    fn attach(&mut self, attachment: Attachment) {
        if let Place::Header(name) = &attachment.place {
            let name = name.clone();
            self.remove(&name);
        }
        self.detach(&attachment.place);
        self.attachments.push(attachment);
    }

    /// Sets a header to some values, in place of what is there.
    fn set(&mut self, name: &str, values: &[Arc<str>]) {
        self.detach(&Place::Header(name.to_owned()));
        self.remove(name);
        let lines = Change::lines(name, values);
        if !lines.is_empty() {
            // A request of a policy's own has one line of a name.
            let between = if name == "cookie" { "; " } else { "," };
            self.headers.push((name.to_owned(), lines.join(between)));
        }
    }

    /// Errors: a text would stand beside a secret.
    fn change(&mut self, change: &Change<'_>) -> Result<(), Beside> {
        let name = change.name.to_ascii_lowercase();
        let place = Place::Header(name.clone());
        let is_attached = self.attachments.iter().any(|there| there.place == place);
        let there = self.header(&name).map(Arc::from);
        if change.action == Action::Skip && (there.is_some() || is_attached) {
            return Ok(());
        }
        if change.adds_texts() && is_attached {
            return Err(Beside);
        }
        match &change.values {
            Values::Secret(alias) => self.attach(Attachment {
                how: How::Credential,
                place,
                alias: (*alias).to_owned(),
            }),
            Values::Texts(texts) if change.action == Action::Append => {
                if texts.is_empty() {
                    return Ok(());
                }
                let mut all: Vec<Arc<str>> = there.into_iter().collect();
                all.extend(texts.iter().cloned());
                self.set(&name, &all);
            }
            Values::Texts(texts) => self.set(&name, texts),
        }
        Ok(())
    }

    /// The request as the host has it.
    fn request<'e>(&self, exchange: Exchange<'e>) -> Result<Request<'e>, Failure> {
        let mut request = exchange.call(&self.route, &self.method, &self.path)?;
        for (name, value) in &self.query {
            request = request.query(name, value)?;
        }
        for (name, value) in &self.headers {
            request = request.header(name, value)?;
        }
        if !self.body.is_empty() {
            request = request.body(&self.body)?;
        }
        for attachment in &self.attachments {
            let alias = &attachment.alias;
            match attachment.how {
                How::Credential => exchange.credential(alias)?.attach_to(&request)?,
                How::Token => exchange.token(alias)?.attach_to(&request)?,
                How::Certificate => exchange.tls_identity(alias)?.attach_to(&request)?,
            }
        }
        Ok(request)
    }
}

/// What an answer says, all of it.
fn read(response: &Response<'_>) -> Result<evaluate::Response, Failure> {
    let mut headers = Vec::new();
    for name in response.header_names() {
        for value in response.header_values(&name) {
            headers.push((name.clone(), String::from_utf8_lossy(&value).into_owned()));
        }
    }
    let status = response.status();
    let body = response.body(MAX_BODY)?;
    let has_type = headers.iter().any(|(name, _)| name == "content-type");
    let has_body = !body.is_empty() || has_type;
    let reason = address::status_words(status);
    Ok(evaluate::Response::new(
        status,
        reason,
        headers,
        has_body.then_some(body),
    ))
}

impl<'p> Runner<'p, '_> {
    pub(crate) fn send_request(&mut self, element: &'p Element) -> Result<Flow, Stop> {
        let ignores = self.bool(element, A::IgnoreError)?.unwrap_or(false);
        let name = self.required(element, A::ResponseVariableName)?;
        let draft = self.draft(element)?;
        let within = self.call_milliseconds(element)?;
        let answer = draft
            .request(self.exchange)
            .and_then(|request| request.send_within(within))
            .and_then(|response| read(&response));
        let value = match answer {
            Ok(response) => Value::Response(Rc::new(response)),
            Err(failure) => {
                let stop = self.not_sent(element, &draft, failure);
                // What an operator has to put right is no error of the other side.
                if !ignores || failure == Failure::Denied {
                    return Err(stop);
                }
                self.log_stop(&stop);
                Value::Null
            }
        };
        self.set_variable(element, &name, value)?;
        Ok(Flow::On)
    }

    pub(crate) fn send_one_way_request(&mut self, element: &'p Element) -> Result<Flow, Stop> {
        let draft = self.draft(element)?;
        let within = self.call_milliseconds(element)?;
        let sent = draft
            .request(self.exchange)
            .and_then(|request| request.send_within(within));
        if let Err(failure) = sent {
            let stop = self.not_sent(element, &draft, failure);
            if failure == Failure::Denied {
                return Err(stop);
            }
            self.log_stop(&stop);
        }
        Ok(Flow::On)
    }

    /// How long a request may take with its answer; 0 is as long as the route and the call's
    /// own time let it.
    fn call_milliseconds(&mut self, element: &Element) -> Result<u32, Stop> {
        let seconds = self.int(element, A::Timeout)?.unwrap_or(0);
        match u32::try_from(seconds) {
            Ok(0) => Ok(u32::MAX),
            Ok(seconds) => Ok(seconds.saturating_mul(1000)),
            Err(_) => Err(self.unfit(element, "timeout", "a number of seconds")),
        }
    }

    fn not_sent(&self, element: &Element, draft: &Draft, failure: Failure) -> Stop {
        let route = &draft.route;
        // Nothing of these is the other side's: the request can't be sent, or not now.
        let reason = match failure {
            Failure::Limit | Failure::Invalid => "OperationFailed",
            Failure::TimedOut => "Timeout",
            _ => "BackendConnectionFailure",
        };
        let message = match failure {
            Failure::Denied => format!(
                "the route `{route}` is not open to the document, or a secret may not go there: \
                 the operator opens a [[route]] to a policy with routes = [\"{route}\"], and \
                 grants name theirs"
            ),
            other => format!("the request to the route `{route}`: {other}"),
        };
        self.broken(element, 500, reason, &message, &message)
    }

    fn draft(&mut self, element: &'p Element) -> Result<Draft, Stop> {
        let copies = match &*self.text(element, A::Mode)?.unwrap_or_else(|| "new".into()) {
            "new" => false,
            "copy" => true,
            _ => return Err(self.unfit(element, "mode", "new or copy")),
        };
        let program = self.program;
        let statements = &program.statements;
        let child = |name| statements.children_named(element, name).next();
        let (route, path, query) = match child(E::SetUrl) {
            Some(set_url) => self.addressed(element, set_url)?,
            None if copies => self.own_address(),
            None => return Err(self.unfit(element, "set-url", "there, or mode=\"copy\"")),
        };
        let method = match child(E::SetMethod) {
            Some(set_method) => self.content(set_method)?.unwrap_or_default().trim().into(),
            None if copies => self.line.method(self.exchange),
            None => "GET".into(),
        };
        let mut draft = Draft {
            route,
            method,
            path,
            query,
            headers: if copies { self.copied() } else { Vec::new() },
            body: Vec::new(),
            attachments: Vec::new(),
        };
        for set_header in statements.children_named(element, E::SetHeader) {
            let change = self.change(set_header)?;
            let changed = draft.change(&change);
            changed.map_err(|Beside| self.beside(set_header))?;
        }
        draft.body = match child(E::SetBody) {
            Some(set_body) => self.new_body(set_body)?,
            None if copies => self.copied_body(element)?,
            None => Vec::new(),
        };
        for name in [
            E::AuthenticationBasic,
            E::AuthenticationCertificate,
            E::AuthenticationManagedIdentity,
        ] {
            if let Some(authentication) = child(name) {
                match self.identity(authentication)? {
                    Identity::Header(value) => draft.set("authorization", &[value.into()]),
                    Identity::Secret(attachment) => draft.attach(attachment),
                }
            }
        }
        Ok(draft)
    }

    /// Where a `set-url` leads.
    #[expect(clippy::type_complexity, reason = "route, path and query")]
    fn addressed(
        &mut self,
        element: &Element,
        set_url: &Element,
    ) -> Result<(String, String, Vec<(String, String)>), Stop> {
        let url = self.content(set_url)?.unwrap_or_default();
        let routes = &self.program.statements.surroundings().routes;
        let found = destination(routes, &url).map_err(|none| {
            let reason = match none {
                NoDestination::NotAUrl(_) => super::error::EXPRESSION,
                NoDestination::NoRoute(_) => "BackendNotFound",
            };
            let message = none.to_string();
            self.broken(element, 500, reason, &message, &message)
        })?;
        Ok((
            found.route.name.clone(),
            found.path,
            parameters(&found.query).collect(),
        ))
    }

    /// Where the exchange's own request goes.
    fn own_address(&self) -> (String, String, Vec<(String, String)>) {
        let path = self.line.path(self.exchange);
        let query = self.line.query(self.exchange).unwrap_or_default();
        let (route, path) = match &self.state.backend {
            Some(backend) => (backend.route.clone(), format!("{}{path}", backend.prefix)),
            None => (
                self.program.statements.surroundings().route.clone(),
                path.to_string(),
            ),
        };
        (route, path, parameters(&query).collect())
    }

    /// What the client said, but for what the host says itself.
    fn copied(&self) -> Vec<(String, String)> {
        let request = self.exchange.request();
        let mut headers = Vec::new();
        for name in request.header_names() {
            let name = name.to_ascii_lowercase();
            if header::host_writes(&name) {
                continue;
            }
            let values = request.header_values(&name);
            let values: Vec<String> = values
                .map(|value| String::from_utf8_lossy(&value).into_owned())
                .collect();
            let between = if name == "cookie" { "; " } else { "," };
            headers.push((name, values.join(between)));
        }
        headers
    }

    /// The request's body, where there still is one: not on the way of the answer.
    fn copied_body(&mut self, element: &Element) -> Result<Vec<u8>, Stop> {
        let is_there = self.state.body(Side::Request).get() == BodyState::There
            && matches!(self.phase, Phase::Inbound | Phase::Backend);
        if !is_there {
            return Ok(Vec::new());
        }
        let body = self
            .bodies
            .read(self.exchange, Side::Request)
            .map_err(|failure| self.refused(element, "the body", failure))?;
        Ok(body.map(|body| body.to_vec()).unwrap_or_default())
    }

    /// Tells the log what failed, where that ends nothing.
    pub(crate) fn log_stop(&self, stop: &Stop) {
        self.exchange.log(Level::Warn, &stop.line());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> Draft {
        Draft {
            route: "r".to_owned(),
            method: "GET".into(),
            path: "/".to_owned(),
            query: Vec::new(),
            headers: vec![("x-a".to_owned(), "1".to_owned())],
            body: Vec::new(),
            attachments: Vec::new(),
        }
    }

    fn change<'p>(name: &str, action: Action, values: Values<'p>) -> Change<'p> {
        Change {
            name: name.into(),
            action,
            values,
        }
    }

    fn texts(all: &[&str]) -> Values<'static> {
        Values::Texts(all.iter().map(|text| Arc::from(*text)).collect())
    }

    #[test]
    fn each_action_does_its_own_to_a_header_that_is_there() {
        for (action, expected) in [
            (Action::Override, Some("2,3")),
            (Action::Append, Some("1,2,3")),
            (Action::Skip, Some("1")),
        ] {
            let mut draft = draft();
            let changed = draft.change(&change("X-A", action, texts(&["2", "3"])));
            assert!(changed.is_ok(), "{action:?}");
            assert_eq!(draft.header("x-a"), expected, "{action:?}");
        }
        let mut draft = draft();
        assert!(
            draft
                .change(&change("X-A", Action::Delete, texts(&[])))
                .is_ok()
        );
        assert_eq!(draft.header("x-a"), None);
    }

    #[test]
    fn a_secret_takes_the_place_of_a_text_and_a_text_that_of_a_secret() {
        let mut draft = draft();
        let mut does = |action, values| {
            let changed = draft.change(&change("x-a", action, values));
            let header = draft.header("x-a").map(str::to_owned);
            (changed, header, draft.attachments.len())
        };
        let secret = does(Action::Override, Values::Secret("key"));
        assert_eq!(secret, (Ok(()), None, 1));
        assert_eq!(does(Action::Skip, texts(&["2"])), (Ok(()), None, 1));
        // Neither of them would be the header.
        assert_eq!(does(Action::Append, texts(&["2"])), (Err(Beside), None, 1));
        let text = does(Action::Override, texts(&["2"]));
        assert_eq!(text, (Ok(()), Some("2".to_owned()), 0));
    }
}
