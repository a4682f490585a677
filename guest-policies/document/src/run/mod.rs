//! Runs the statements of a segment, one after the other.
//!
//! A statement that fails ends its segment: what failed is remembered, the call's
//! verdict is *fail*, and the host runs the on-error phase, where the document answers.
//! Nothing here panics, and expressions have a [budget](crate::evaluate::Budget) for
//! the whole call.

mod address;
mod backend;
mod body;
mod calls;
mod checks;
mod context;
mod destination;
mod error;
mod flow;
mod identity;
mod later;
mod limits;
mod line;
mod liquid;
mod literals;
mod message;
mod operands;
mod parts;
mod state;
mod stored;

use keyward_document_program::statements::{Element, ElementId, Phase};
use keyward_document_program::{ElementName, Member, Program};
use keyward_policy::{ErrorSource, Exchange, Failure, ForwardFailure, Level, Side, Verdict};

use self::context::{Bodies, Subject};
use self::error::{Answer, LastError, Stop};
use self::line::Line;
use self::literals::Literals;
pub(crate) use self::operands::Given;
use self::state::State;
use crate::evaluate::{Budget, Value};

/// What becomes of the section after a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// The next statement runs.
    On,
    /// The pipeline ends with the response that is there.
    Respond,
}

/// Runs one segment.
pub(crate) struct Runner<'p, 'e> {
    pub(crate) program: &'p Program,
    pub(crate) literals: &'p Literals,
    pub(crate) exchange: Exchange<'e>,
    pub(crate) phase: Phase,
    pub(crate) state: State,
    pub(crate) budget: Budget,
    pub(crate) line: Line,
    pub(crate) bodies: Bodies,
    pub(crate) subject: Subject,
}

/// A program that can run: what of its texts is read once was read.
#[derive(Debug)]
pub(crate) struct Loaded {
    program: Program,
    literals: Literals,
    /// Expressions ask how long the request takes, or since when.
    timed: bool,
}

impl Loaded {
    /// Reads the program's texts. Errors: which one is not what it has to be, and why.
    pub(crate) fn new(program: Program) -> Result<Self, String> {
        let literals = Literals::new(&program.statements)?;
        let program = Program {
            expressions: program.expressions.folded(),
            ..program
        };
        let timed = program
            .expressions
            .members()
            .any(|member| matches!(member, Member::ContextElapsed | Member::ContextTimestamp));
        Ok(Self {
            program,
            literals,
            timed,
        })
    }
}

/// Runs the next segment of inbound, backend or outbound.
pub(crate) fn phase(loaded: &Loaded, exchange: Exchange<'_>, phase: Phase) -> Verdict {
    let Some(mut runner) = Runner::new(loaded, exchange, phase) else {
        return Verdict::Fail;
    };
    let ran = runner.segment().and_then(|flow| {
        runner.flush()?;
        Ok(flow)
    });
    let verdict = match ran {
        Ok(Flow::On) => Verdict::Proceed,
        Ok(Flow::Respond) => Verdict::Respond,
        Err(stop) => runner.note(stop),
    };
    if runner.keep() {
        verdict
    } else {
        Verdict::Fail
    }
}

/// Runs the next segment of on-error, against the answer that the failure asks for.
pub(crate) fn on_error(loaded: &Loaded, exchange: Exchange<'_>, source: ErrorSource) -> Verdict {
    let Some(mut runner) = Runner::new(loaded, exchange, Phase::OnError) else {
        return Verdict::Fail;
    };
    match runner.answer_failure(source) {
        Ok(verdict) if runner.keep() => verdict,
        Ok(_) => Verdict::Fail,
        Err(failure) => {
            exchange.log(Level::Error, &format!("no answer could be made: {failure}"));
            Verdict::Fail
        }
    }
}

impl<'p, 'e> Runner<'p, 'e> {
    fn new(loaded: &'p Loaded, exchange: Exchange<'e>, phase: Phase) -> Option<Self> {
        match State::of(exchange, loaded.timed) {
            Ok(state) => Some(Self {
                program: &loaded.program,
                literals: &loaded.literals,
                exchange,
                phase,
                line: state.line(),
                state,
                budget: Budget::default(),
                bodies: Bodies::default(),
                subject: Subject::new(),
            }),
            Err(_) => {
                exchange.log(Level::Error, "what the document remembered can't be read");
                None
            }
        }
    }

    fn segment(&mut self) -> Result<Flow, Stop> {
        let number = self.state.next_segment(self.phase);
        let statements = &self.program.statements;
        let is_first = self.phase == Phase::Inbound && number == 0;
        let mut flow = if is_first {
            self.preflight()?
        } else {
            Flow::On
        };
        if flow == Flow::On {
            if is_first {
                self.subscribed()?;
            }
            flow = self.block(statements.segment(self.phase, number))?;
        }
        let is_last =
            self.phase == Phase::Outbound && number + 1 >= statements.segments(self.phase);
        if flow == Flow::Respond || is_last {
            self.finish();
        }
        if flow == Flow::On && self.is_last_before_host(number) {
            self.attach().map_err(|(secret, failure)| {
                self.host_failed("forward-request", "SecretRefused", &secret, failure)
            })?;
        }
        Ok(flow)
    }

    /// Whether the host sends the request to the backend after this segment, and none of
    /// the document's comes before that.
    fn is_last_before_host(&self, number: usize) -> bool {
        let statements = &self.program.statements;
        let last = match statements.segments(Phase::Backend) {
            0 => Phase::Inbound,
            _ => Phase::Backend,
        };
        statements.surroundings().host_forwards
            && self.phase == last
            && number + 1 >= statements.segments(last)
    }

    /// Gives the host the bodies that this call changed.
    fn flush(&mut self) -> Result<(), Stop> {
        for side in [Side::Request, Side::Response] {
            self.bodies
                .flush(self.exchange, &self.state, side)
                .map_err(|failure| {
                    self.host_failed("set-body", "OperationFailed", "the body", failure)
                })?;
        }
        Ok(())
    }

    /// Remembers what failed.
    fn note(&mut self, stop: Stop) -> Verdict {
        self.exchange.log(Level::Warn, &stop.line());
        let failed = stop.0;
        self.state.failed = Some((failed.error, failed.answer));
        Verdict::Fail
    }

    /// Keeps the state for the next call; false if it can't be kept.
    fn keep(&mut self) -> bool {
        let Err(failure) = self.state.keep(self.exchange) else {
            return true;
        };
        let words = match failure {
            Failure::Limit => {
                "the document's variables are larger than the host keeps for an exchange: set \
                 fewer or smaller ones, or let the gateway's `variable-bytes` be larger"
            }
            other => other.as_str(),
        };
        self.exchange.log(Level::Error, words);
        // Without them there is room for what the on-error section needs.
        self.state.forget_variables();
        let stop = self.host_failed("set-variable", "OperationFailed", "the variables", failure);
        self.state.failed = Some((stop.0.error, stop.0.answer));
        let _ = self.state.keep(self.exchange);
        false
    }

    /// A failure that is no single statement's.
    fn host_failed(&self, source: &str, reason: &str, what: &str, failure: Failure) -> Stop {
        let message = format!("{what}: {failure}");
        Stop(Box::new(error::Failed {
            error: LastError {
                source: source.to_owned(),
                reason: reason.to_owned(),
                message: message.clone(),
                section: error::section(self.phase).to_owned(),
                ..LastError::default()
            },
            answer: Answer::silent(500),
            detail: message,
        }))
    }

    /// The caller is turned away, by no single statement; the message is the answer's.
    fn turned_away(&self, source: &str, status: u16, reason: &str, message: &str) -> Stop {
        Stop(Box::new(error::Failed {
            error: LastError {
                source: source.to_owned(),
                reason: reason.to_owned(),
                message: message.to_owned(),
                section: error::section(self.phase).to_owned(),
                ..LastError::default()
            },
            answer: Answer {
                status,
                message: Some(message.to_owned()),
                headers: Vec::new(),
            },
            detail: String::new(),
        }))
    }

    /// Runs the on-error section against the answer to what failed.
    fn answer_failure(&mut self, source: ErrorSource) -> Result<Verdict, Failure> {
        if self.state.failed.is_none()
            && let Some(stop) = self.plan_failed()
        {
            self.note(stop);
        }
        let in_time = self.exchange.failed_forward() != Some(ForwardFailure::TimedOut);
        let (_, answer) = self
            .state
            .failed
            .get_or_insert_with(|| error::of_host(source, in_time));
        let answer = answer.clone();
        let number = self.state.next_segment(Phase::OnError);
        if number == 0 {
            let response = self.exchange.respond(answer.status)?;
            for (name, value) in &answer.headers {
                response.append_header(name, value)?;
            }
            self.state.begin_response();
            self.state.has_default_body = true;
        }
        let program = self.program;
        let statements = program.statements.segment(Phase::OnError, number);
        let ran = self.block(statements).and_then(|flow| {
            self.flush()?;
            Ok(flow)
        });
        let answer = match ran {
            Ok(flow) => {
                let last = number + 1 >= program.statements.segments(Phase::OnError);
                if flow == Flow::On && !last {
                    return Ok(Verdict::Proceed);
                }
                self.finish();
                if !self.state.has_default_body {
                    return Ok(Verdict::Respond);
                }
                Answer {
                    status: self.exchange.status().unwrap_or(answer.status),
                    ..answer
                }
            }
            Err(stop) => {
                // There is no on-error section for this one.
                self.note(stop);
                self.bodies = Bodies::default();
                self.exchange.respond(500)?;
                // What failed was a call all the same.
                self.finish();
                Answer::silent(500)
            }
        };
        let response = self.exchange.response();
        if !response.has_header("content-type") {
            response.set_header("content-type", "application/json")?;
        }
        self.exchange
            .message(Side::Response)
            .write_body(answer.body().as_bytes())?;
        Ok(Verdict::Respond)
    }

    /// Runs statements in their order.
    pub(crate) fn block(&mut self, ids: &[ElementId]) -> Result<Flow, Stop> {
        let program = self.program;
        for id in ids {
            let Some(element) = program.statements.element(*id) else {
                continue;
            };
            if self.statement(element)? == Flow::Respond {
                return Ok(Flow::Respond);
            }
        }
        Ok(Flow::On)
    }

    /// Runs the elements in an element.
    pub(crate) fn children(&mut self, element: &'p Element) -> Result<Flow, Stop> {
        let program = self.program;
        self.block(program.statements.children(element))
    }

    /// Whether each step is told.
    pub(crate) fn traces(&self) -> bool {
        self.program.statements.surroundings().traces
    }

    /// Tells a step to whoever traces: `runs PLACE`, `sets NAME = VALUE`, `PLACE is true`.
    pub(crate) fn trace(&self, step: &str) {
        self.exchange.log(Level::Info, step);
    }

    /// Where an element stands: `inbound/choose[1]/when[2]`.
    pub(crate) fn place(&self, element: &Element) -> String {
        let path = self.program.statements.text(element.place.path);
        format!("{}/{path}", error::section(self.phase))
    }

    /// Tells what becomes of a condition.
    pub(crate) fn trace_condition(&self, element: &Element, holds: bool) {
        if self.traces() {
            self.trace(&format!("{} is {holds}", self.place(element)));
        }
    }

    /// Tells what a variable is set to, cut.
    pub(crate) fn trace_variable(&self, name: &str, value: &Value) {
        const MOST: usize = 120;
        if !self.traces() {
            return;
        }
        let shown = match value {
            Value::Null => "null".to_owned(),
            Value::Response(_) => format!("({})", value.type_of().name()),
            _ => value
                .shown(&mut Budget::default())
                .unwrap_or_else(|_| format!("({})", value.type_of().name())),
        };
        let short: String = shown.chars().take(MOST).collect();
        let rest = if short.len() < shown.len() { "…" } else { "" };
        self.trace(&format!("sets {name} = {short}{rest}"));
    }

    /// Runs a statement.
    pub(crate) fn statement(&mut self, element: &'p Element) -> Result<Flow, Stop> {
        use ElementName as E;
        self.budget
            .step()
            .map_err(|exception| self.throws(element, exception))?;
        if self.traces() {
            self.trace(&format!("runs {}", self.place(element)));
        }
        match element.name {
            E::Choose => self.choose(element),
            E::IncludeFragment => self.children(element),
            E::LimitConcurrency => self.limit_concurrency(element),
            E::Retry => self.retry(element),
            E::Wait => self.wait(element),
            _ => self.simple(element),
        }
    }

    /// Runs a statement that has none in it. Apart, so that what they need of the stack
    /// is not needed for each level of those that have.
    #[inline(never)]
    fn simple(&mut self, element: &'p Element) -> Result<Flow, Stop> {
        use ElementName as E;
        match element.name {
            E::AuthenticationBasic
            | E::AuthenticationCertificate
            | E::AuthenticationManagedIdentity => self.authenticate(element),
            E::CacheLookupValue => self.cache_lookup_value(element),
            E::CacheRemoveValue => self.cache_remove_value(element),
            E::CacheStoreValue => self.cache_store_value(element),
            E::CheckHeader => self.check_header(element),
            E::Cors => self.cors(element),
            E::FindAndReplace => self.find_and_replace(element),
            E::ForwardRequest => self.forward_request(element),
            E::IpFilter => self.ip_filter(element),
            E::MockResponse => self.mock_response(element),
            E::RateLimit => self.rate_limit(element),
            E::RateLimitByKey => self.rate_limit_by_key(element),
            E::ReturnResponse => self.return_response(element),
            E::RewriteUri => self.rewrite_uri(element),
            E::SendOneWayRequest => self.send_one_way_request(element),
            E::SendRequest => self.send_request(element),
            E::SetBackendService => self.set_backend_service(element),
            E::SetBody => self.set_body(element),
            E::SetHeader => self.set_header(element),
            E::SetMethod => self.set_method(element),
            E::SetQueryParameter => self.set_query_parameter(element),
            E::SetStatus => self.set_status(element),
            E::SetVariable => self.set_variable_statement(element),
            E::Trace => self.trace_statement(element),
            E::ValidateJwt => self.validate_jwt(element),
            _ => Err(self.broken(
                element,
                500,
                "NotSupported",
                "no statement of that name",
                "the program is of another version",
            )),
        }
    }
}
