//! Statements as flat arrays: the elements of a document with their attributes.
//!
//! An element's children always stand before it, so a decoded program has no
//! cycles, and its depth is known after one pass. [`Builder`] writes,
//! [`Statements::decode`] reads and checks. Every attribute that has a default is
//! there: what a document leaves out was put in when it was compiled.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::Invalid;
use crate::expression::ExpressionId;
use crate::members::Member;
use crate::names::{AttributeName, ElementName};
use crate::rows::{Row, ids};

/// Elements of a program, at most.
pub const MAX_ELEMENTS: usize = 1 << 15;
/// Elements within each other, at most.
pub const MAX_DEPTH: u16 = 80;
/// Bytes of all texts of the statements, at most.
pub const MAX_TEXT: usize = 1 << 20;

ids! {
    /// An element's place in [`Statements`].
    ElementId
    /// A text's place in [`Statements`].
    TextId
    /// A secret's place in [`Statements`].
    SecretId
}

/// The value of an attribute, or the text of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operand {
    /// A text, or one of the words that an attribute may be.
    Text(TextId),
    /// `true` or `false`.
    Bool(bool),
    /// A whole number; of a duration, seconds.
    Int(i64),
    /// An expression.
    Expression(ExpressionId),
    /// A secret: it is attached or used, and never a text.
    Secret(SecretId),
    /// A variable that holds a secret, if it was set: the variable's name, and the
    /// secret under the alias for this place.
    SecretVariable(TextId, SecretId),
}

/// An attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Its name.
    pub name: AttributeName,
    /// Its value.
    pub value: Operand,
}

/// Where an element stands, as `context.LastError` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// `choose[3]/when[2]/set-header[1]`.
    pub path: TextId,
    /// The scope of its document: `global`, `product`, `api`, `operation`.
    pub scope: Option<TextId>,
    /// The `id` of its document's root.
    pub policy_id: Option<TextId>,
}

/// An element: a statement, or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Element {
    /// Its name.
    pub name: ElementName,
    /// Its attributes: a row of [`Field`]s.
    pub fields: Row,
    /// Its text.
    pub text: Option<Operand>,
    /// The elements in it: a row of [`ElementId`]s. Of an `include-fragment`, the
    /// fragment's statements.
    pub children: Row,
    /// Where it stands.
    pub place: Place,
}

/// The phases, as programs number them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// `inbound`
    Inbound,
    /// `backend`
    Backend,
    /// `outbound`
    Outbound,
    /// `on-error`
    OnError,
}

/// Statements of a section that run in one call: those up to the next policy that
/// is not the document's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Of which section.
    pub phase: Phase,
    /// A row of [`ElementId`]s.
    pub statements: Row,
}

/// A route that the document may call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Its name in the gateway's configuration.
    pub name: String,
    /// `https` or `http`.
    pub scheme: String,
    /// In lower case; without a port.
    pub host: String,
    /// The port.
    pub port: u16,
    /// A prefix of all paths, without a `/` at its end; mostly empty.
    pub path: String,
}

/// An issuer whose tokens the document may have checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issuer {
    /// Its name in the gateway's configuration.
    pub name: String,
    /// Where its metadata are, as `<openid-config>` names it.
    pub url: String,
}

/// What a program knows of the gateway that it was compiled for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surroundings {
    /// The route of the pipeline.
    pub route: String,
    /// The routes that it may call, that one among them.
    pub routes: Vec<Route>,
    /// The issuers that it may ask about.
    pub issuers: Vec<Issuer>,
    /// Texts of `context`: [`Member::ApiId`] and so on.
    pub facts: Vec<(Member, String)>,
    /// Whether the host sends the request after the backend phase. The document then
    /// attaches its secrets at the end of its last segment before that: of the backend
    /// section if there is one, else of the inbound section.
    pub host_forwards: bool,
    /// Whether the document has the host send the request as its `forward-request` says,
    /// which is the last statement of the backend section, and the only one.
    pub plans_forward: bool,
    /// The alias under which the keys of clients are known, where the document needs to
    /// know who calls.
    pub subscription: Option<String>,
    /// Whether nobody gets past the inbound section without such a key, as in API
    /// Management, which asks for it before the first statement. The compiler then sees
    /// to it that a segment is the first that runs.
    pub subscription_required: bool,
    /// Whether each step is told to the log.
    pub traces: bool,
}

/// The statements of a program, checked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Statements {
    elements: Vec<Element>,
    fields: Vec<Field>,
    order: Vec<ElementId>,
    segments: Vec<Segment>,
    texts: Vec<Arc<str>>,
    /// The aliases of secrets.
    secrets: Vec<String>,
    surroundings: Surroundings,
}

impl Statements {
    /// Reads what [`encode`](Self::encode) wrote, and checks all of it but the numbers of
    /// expressions, of which there are `expressions`. Errors: see [`Invalid`].
    pub fn decode(bytes: &[u8], expressions: usize) -> Result<Self, Invalid> {
        let (statements, rest) =
            postcard::take_from_bytes::<Self>(bytes).map_err(|_| Invalid::Format)?;
        if !rest.is_empty() {
            return Err(Invalid::Length);
        }
        statements.check(expressions)?;
        Ok(statements)
    }

    /// The section of a program. Errors: a limit of the format's.
    pub fn encode(&self) -> Result<Vec<u8>, Invalid> {
        postcard::to_allocvec(self).map_err(|_| Invalid::Limit)
    }

    /// The statements of a phase's segment, counted from 0; empty if there is none.
    pub fn segment(&self, phase: Phase, number: usize) -> &[ElementId] {
        self.segments
            .iter()
            .filter(|segment| segment.phase == phase)
            .nth(number)
            .map(|segment| self.row(segment.statements))
            .unwrap_or_default()
    }

    /// How many segments a phase has.
    pub fn segments(&self, phase: Phase) -> usize {
        self.segments
            .iter()
            .filter(|segment| segment.phase == phase)
            .count()
    }

    /// An element, if there is one of that number.
    pub fn element(&self, id: ElementId) -> Option<&Element> {
        self.elements.get(id.index())
    }

    /// The elements, children before their parents.
    pub fn elements(&self) -> &[Element] {
        &self.elements
    }

    /// The attributes of an element.
    pub fn fields(&self, element: &Element) -> &[Field] {
        element.fields.of(&self.fields).unwrap_or_default()
    }

    /// The value of an attribute.
    pub fn field(&self, element: &Element, name: AttributeName) -> Option<Operand> {
        self.fields(element)
            .iter()
            .find(|field| field.name == name)
            .map(|field| field.value)
    }

    /// The elements in an element.
    pub fn children(&self, element: &Element) -> &[ElementId] {
        self.row(element.children)
    }

    /// The elements in an element that have that name.
    pub fn children_named<'a>(
        &'a self,
        element: &Element,
        name: ElementName,
    ) -> impl Iterator<Item = &'a Element> {
        self.children(element)
            .iter()
            .filter_map(|id| self.element(*id))
            .filter(move |child| child.name == name)
    }

    /// A text; empty if there is none of that number.
    pub fn text(&self, id: TextId) -> &str {
        self.texts.get(id.index()).map_or("", |text| text)
    }

    /// The same, shared: a literal is not copied for each statement that reads it.
    pub fn shared(&self, id: TextId) -> Arc<str> {
        self.texts.get(id.index()).cloned().unwrap_or_default()
    }

    /// The alias of a secret.
    pub fn secret(&self, id: SecretId) -> Option<&str> {
        self.secrets.get(id.index()).map(String::as_str)
    }

    /// What the program knows of the gateway.
    pub fn surroundings(&self) -> &Surroundings {
        &self.surroundings
    }

    fn row(&self, row: Row) -> &[ElementId] {
        row.of(&self.order).unwrap_or_default()
    }

    fn check(&self, expressions: usize) -> Result<(), Invalid> {
        if self.elements.len() > MAX_ELEMENTS
            || self.order.len() > 2 * MAX_ELEMENTS
            || self.fields.len() > 16 * MAX_ELEMENTS
            || self.segments.len() > MAX_ELEMENTS
            || self.texts.len() > 16 * MAX_ELEMENTS
            || self.texts.iter().map(|text| text.len()).sum::<usize>() > MAX_TEXT
        {
            return Err(Invalid::Limit);
        }
        let mut depths: Vec<u16> = Vec::with_capacity(self.elements.len());
        for element in &self.elements {
            let mut depth = 0;
            for child in element.children.of(&self.order)? {
                let below = depths.get(child.index()).ok_or(Invalid::Index)?;
                depth = depth.max(below.saturating_add(1));
            }
            if depth > MAX_DEPTH {
                return Err(Invalid::Limit);
            }
            for field in element.fields.of(&self.fields)? {
                self.operand(field.value, expressions)?;
            }
            if let Some(text) = element.text {
                self.operand(text, expressions)?;
            }
            let place = element.place;
            for text in [Some(place.path), place.scope, place.policy_id] {
                text.map_or(Ok(()), |text| self.has_text(text))?;
            }
            depths.push(depth);
        }
        for segment in &self.segments {
            for id in segment.statements.of(&self.order)? {
                depths.get(id.index()).ok_or(Invalid::Index)?;
            }
        }
        Ok(())
    }

    fn has_text(&self, id: TextId) -> Result<(), Invalid> {
        self.texts.get(id.index()).ok_or(Invalid::Index)?;
        Ok(())
    }

    fn operand(&self, operand: Operand, expressions: usize) -> Result<(), Invalid> {
        let secret = |id: SecretId| {
            let found = self.secrets.get(id.index()).ok_or(Invalid::Index);
            found.map(|_| ())
        };
        match operand {
            Operand::Bool(_) | Operand::Int(_) => Ok(()),
            Operand::Text(id) => self.has_text(id),
            Operand::Expression(id) if id.index() < expressions => Ok(()),
            Operand::Expression(_) => Err(Invalid::Index),
            Operand::Secret(id) => secret(id),
            Operand::SecretVariable(name, id) => {
                self.has_text(name)?;
                secret(id)
            }
        }
    }
}

/// Writes statements. What grows beyond the limits is noticed by
/// [`finish`](Self::finish).
#[derive(Debug, Default)]
pub struct Builder {
    built: Statements,
    texts: alloc::collections::BTreeMap<String, TextId>,
}

impl Builder {
    /// One without statements.
    pub fn new(surroundings: Surroundings) -> Self {
        let mut builder = Self::default();
        builder.built.surroundings = surroundings;
        builder
    }

    /// Adds a text, or finds it.
    pub fn text(&mut self, text: &str) -> TextId {
        if let Some(id) = self.texts.get(text) {
            return *id;
        }
        let id = TextId::new(self.built.texts.len());
        self.built.texts.push(text.into());
        self.texts.insert(text.into(), id);
        id
    }

    /// Adds the alias of a secret, or finds it.
    pub fn secret(&mut self, alias: &str) -> SecretId {
        let found = self.built.secrets.iter().position(|other| other == alias);
        SecretId::new(found.unwrap_or_else(|| {
            self.built.secrets.push(alias.into());
            self.built.secrets.len() - 1
        }))
    }

    /// Adds an element; the elements in it must have been added before.
    pub fn element(
        &mut self,
        name: ElementName,
        fields: &[Field],
        text: Option<Operand>,
        children: &[ElementId],
        place: Place,
    ) -> ElementId {
        let fields = Row::add(&mut self.built.fields, fields);
        let children = self.row(children);
        let id = ElementId::new(self.built.elements.len());
        self.built.elements.push(Element {
            name,
            fields,
            text,
            children,
            place,
        });
        id
    }

    /// Adds a segment after those of its phase.
    pub fn segment(&mut self, phase: Phase, statements: &[ElementId]) {
        let statements = self.row(statements);
        self.built.segments.push(Segment { phase, statements });
    }

    /// Adds an empty segment before those of its phase.
    pub fn segment_before(&mut self, phase: Phase) {
        let statements = self.row(&[]);
        self.built.segments.insert(0, Segment { phase, statements });
    }

    /// What the program knows of the gateway.
    pub fn surroundings(&mut self) -> &mut Surroundings {
        &mut self.built.surroundings
    }

    /// The statements, as a guest would have them; `expressions` is how many there are.
    /// Errors: they exceed a limit.
    pub fn finish(self, expressions: usize) -> Result<Statements, Invalid> {
        self.built.check(expressions)?;
        Ok(self.built)
    }

    fn row(&mut self, ids: &[ElementId]) -> Row {
        Row::add(&mut self.built.order, ids)
    }
}
