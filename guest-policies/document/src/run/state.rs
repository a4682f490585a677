//! What a document remembers between its calls: one variable of the exchange.

use std::cell::{Cell, OnceCell};
use std::sync::Arc;

use keyward_document_program::statements::Phase;
use keyward_policy::{Exchange, Failure, Side};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::{Answer, LastError};
use super::later::Later;
use super::line::{Line, LineTexts};
use super::stored::Stored;
use crate::evaluate::{Exception, Outcome, Value};

/// The variable of the exchange.
const NAME: &str = "state";
/// What it takes for most documents.
const USUAL_BYTES: usize = 512;

/// What a document remembers.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct State {
    /// How many segments of each phase have run.
    calls: [u16; 4],
    /// When the first call began, in milliseconds since 1970; 0 where nobody asks.
    pub(crate) began: u64,
    /// The request as the first call found it; what nobody can change of it, the host knows.
    pub(crate) original: LineTexts,
    variables: Vec<(Arc<str>, Slot)>,
    /// The secrets that go onto the request to the backend.
    pub(crate) attachments: Vec<Attachment>,
    /// Where that request goes, if not to the pipeline's route.
    pub(crate) backend: Option<Backend>,
    /// What became of the request's body, and of the response's.
    bodies: [Cell<BodyState>; 2],
    /// What `set-status` says beside the number.
    pub(crate) reason: Option<Arc<str>>,
    /// The answer to a failure says what failed, as long as nothing else was written.
    pub(crate) has_default_body: bool,
    /// What is left for the answer.
    pub(crate) later: Later,
    /// What failed.
    pub(crate) failed: Option<(LastError, Answer)>,
}

/// What became of a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum BodyState {
    /// It is there as it came, or as the document made it.
    #[default]
    There,
    /// An expression took it.
    Taken,
    /// The host knows that.
    Gone,
}

/// A secret that goes onto the request to the backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attachment {
    /// What the host is asked to do with it.
    pub(crate) how: How,
    /// What it takes the place of: a later statement about that drops it.
    pub(crate) place: Place,
    /// The secret's alias.
    pub(crate) alias: String,
}

/// What the host does with a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum How {
    /// Writes it as the grant says.
    Credential,
    /// Gets a token with it.
    Token,
    /// Shows it in TLS.
    Certificate,
}

/// What a secret takes the place of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Place {
    /// A header, in lower case as it is kept; statements name it in any.
    Header(String),
    /// A query parameter, likewise.
    Query(String),
    /// The connection.
    Connection,
}

impl Place {
    fn is_header(&self, name: &str) -> bool {
        matches!(self, Self::Header(there) if there.eq_ignore_ascii_case(name))
    }

    fn is_query(&self, name: &str) -> bool {
        matches!(self, Self::Query(there) if there.eq_ignore_ascii_case(name))
    }
}

/// Where the request to the backend goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Backend {
    /// The route's name.
    pub(crate) route: String,
    /// What comes before the path, behind the route's own prefix; without a `/` at its end.
    pub(crate) prefix: String,
    /// Whether a `backend-id` chose it: then no `base-url` of another scope does.
    pub(crate) by_id: bool,
    /// The scope of the document that chose it.
    pub(crate) scope: Option<String>,
}

/// A variable: as it was kept, or as it is now.
struct Slot {
    /// `null` of one that was set in this call.
    kept: Stored,
    value: OnceCell<Value>,
}

impl Slot {
    fn value(&self) -> Outcome<Value> {
        if matches!(self.kept, Stored::Secret) {
            return Err(Exception::Secret);
        }
        if let Some(value) = self.value.get() {
            return Ok(value.clone());
        }
        let value = self.kept.value()?;
        Ok(self.value.get_or_init(|| value).clone())
    }
}

impl Serialize for Slot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // JSON, responses and the like may have changed since.
        match self.value.get().and_then(Stored::of) {
            Some(now) => now.serialize(serializer),
            None => self.kept.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Slot {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self {
            kept: Stored::deserialize(deserializer)?,
            value: OnceCell::new(),
        })
    }
}

fn index(phase: Phase) -> usize {
    match phase {
        Phase::Inbound => 0,
        Phase::Backend => 1,
        Phase::Outbound => 2,
        Phase::OnError => 3,
    }
}

impl State {
    /// What was remembered, or the beginning; `timed` where somebody may ask when that was.
    /// Errors: it can't be read.
    pub(crate) fn of(exchange: Exchange<'_>, timed: bool) -> Result<Self, postcard::Error> {
        match exchange.variable(NAME) {
            Some(bytes) => postcard::from_bytes(&bytes),
            None => Ok(Self {
                began: if timed { exchange.now() } else { 0 },
                original: LineTexts::of(exchange),
                ..Self::default()
            }),
        }
    }

    /// Keeps it for the next call. Errors: it is larger than the host keeps.
    pub(crate) fn keep(&self, exchange: Exchange<'_>) -> Result<(), Failure> {
        let room = Vec::with_capacity(USUAL_BYTES);
        let bytes = postcard::to_extend(self, room).map_err(|_| Failure::Limit)?;
        exchange.set_variable(NAME, bytes)
    }

    /// The request's line as far as this call knows it: before anything ran, all of it.
    pub(crate) fn line(&self) -> Line {
        if self.calls == [0; 4] {
            Line::of(&self.original)
        } else {
            Line::default()
        }
    }

    /// The number of the segment that runs now; the next call gets the next.
    pub(crate) fn next_segment(&mut self, phase: Phase) -> usize {
        let Some(calls) = self.calls.get_mut(index(phase)) else {
            return 0;
        };
        let number = *calls;
        *calls = number.saturating_add(1);
        usize::from(number)
    }

    /// A variable. Errors: it holds a secret.
    pub(crate) fn variable(&self, name: &str) -> Outcome<Option<Value>> {
        self.slot(name).map(Slot::value).transpose()
    }

    /// Whether there is a variable of that name.
    pub(crate) fn has_variable(&self, name: &str) -> bool {
        self.slot(name).is_some()
    }

    /// Whether a variable holds a secret.
    pub(crate) fn is_secret(&self, name: &str) -> bool {
        matches!(self.slot(name), Some(slot) if matches!(slot.kept, Stored::Secret))
    }

    /// How many variables there are.
    pub(crate) fn variables(&self) -> usize {
        self.variables.len()
    }

    /// Sets a variable. False: a value of that sort outlives no call.
    pub(crate) fn set_variable(&mut self, name: &str, value: Value) -> bool {
        let keeps = Stored::keeps(&value);
        if keeps {
            self.put(name, Stored::Null, value.into());
        }
        keeps
    }

    /// Sets a variable to a secret.
    pub(crate) fn set_secret_variable(&mut self, name: &str) {
        self.put(name, Stored::Secret, OnceCell::new());
    }

    /// Forgets all variables.
    pub(crate) fn forget_variables(&mut self) {
        self.variables.clear();
    }

    fn slot(&self, name: &str) -> Option<&Slot> {
        let found = self.variables.iter().find(|(there, _)| &**there == name);
        found.map(|(_, slot)| slot)
    }

    fn put(&mut self, name: &str, kept: Stored, value: OnceCell<Value>) {
        let slot = Slot { kept, value };
        match self
            .variables
            .iter_mut()
            .find(|(there, _)| &**there == name)
        {
            Some((_, there)) => *there = slot,
            None => self.variables.push((name.into(), slot)),
        }
    }

    /// There is another response than before.
    pub(crate) fn begin_response(&mut self) {
        self.reason = None;
        self.has_default_body = false;
        self.body(Side::Response).set(BodyState::There);
    }

    /// What became of a body.
    pub(crate) fn body(&self, side: Side) -> &Cell<BodyState> {
        let [request, response] = &self.bodies;
        match side {
            Side::Request => request,
            Side::Response => response,
        }
    }

    /// Notes a secret, in place of those at the same place.
    pub(crate) fn attach(&mut self, attachment: Attachment) {
        self.attachments
            .retain(|there| there.place != attachment.place);
        self.attachments.push(attachment);
    }

    /// Whether a secret goes into that header, in any case.
    pub(crate) fn attaches_header(&self, name: &str) -> bool {
        let mut all = self.attachments.iter();
        all.any(|there| there.place.is_header(name))
    }

    /// Whether a secret goes into that query parameter, in any case.
    pub(crate) fn attaches_query(&self, name: &str) -> bool {
        let mut all = self.attachments.iter();
        all.any(|there| there.place.is_query(name))
    }

    /// Drops the secrets of a header, in any case.
    pub(crate) fn detach_header(&mut self, name: &str) {
        self.attachments
            .retain(|there| !there.place.is_header(name));
    }

    /// Drops the secrets of a query parameter, in any case.
    pub(crate) fn detach_query(&mut self, name: &str) {
        self.attachments.retain(|there| !there.place.is_query(name));
    }
}
