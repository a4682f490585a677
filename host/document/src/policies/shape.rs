//! What a table of policies is made of: elements, their attributes and what
//! stands in them. Everything is `const` data, so that reading, checking,
//! explaining and documenting can't disagree.

use crate::Phase;

/// A policy: an element that may stand in a section.
#[derive(Debug)]
pub struct Policy {
    /// Its element.
    pub element: Element,
    /// The sections that it may stand in.
    pub sections: Sections,
    /// The scopes whose documents may hold it.
    pub scopes: Scopes,
    /// Whether this engine has it.
    pub status: Status,
    /// How often it may stand in a section or a document.
    pub once: Once,
}

/// Whether this engine has a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is read, checked and modelled.
    PartOne,
    /// It is known, and refused.
    NotSupported {
        /// What to use instead, as the end of "use …".
        instead: &'static str,
    },
}

/// How often something may stand where it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Once {
    /// As often as wanted.
    Any,
    /// Once in a section.
    Section,
    /// Once in a document.
    Document,
}

/// An element: of a policy, or within one.
#[derive(Debug)]
pub struct Element {
    /// Its name.
    pub name: &'static str,
    /// Its attributes.
    pub attributes: &'static [Attribute],
    /// Which attributes go together.
    pub groups: &'static [Group],
    /// What stands in it.
    pub content: Content,
    /// Where API Management behaves otherwise than one would think.
    pub notes: &'static [&'static str],
    /// What this engine does otherwise than API Management.
    pub differs: &'static [&'static str],
}

impl Element {
    /// The attribute of that name.
    pub fn attribute(&self, name: &str) -> Option<&'static Attribute> {
        self.attributes
            .iter()
            .find(|attribute| attribute.name == name)
    }

    /// The element of that name within this one.
    pub fn child(&self, name: &str) -> Option<&'static Child> {
        match self.content {
            Content::Children(children) | Content::Ordered(children) => {
                children.iter().find(|child| child.element().name == name)
            }
            _ => None,
        }
    }
}

/// An attribute of an element.
#[derive(Clone, Copy, Debug)]
pub struct Attribute {
    /// Its name.
    pub name: &'static str,
    /// What its literal value may be.
    pub kind: Kind,
    /// It has to be there.
    pub required: bool,
    /// What holds where it is absent.
    pub default: Option<&'static str>,
    /// It may be an expression.
    pub expression: bool,
    /// It may be a secret, which is then attached or used and never a text.
    pub secret: bool,
}

/// An attribute that has to be there.
pub(crate) const fn required(name: &'static str, kind: Kind) -> Attribute {
    Attribute {
        name,
        kind,
        required: true,
        default: None,
        expression: false,
        secret: false,
    }
}

/// An attribute that may be there.
pub(crate) const fn optional(name: &'static str, kind: Kind) -> Attribute {
    let mut attribute = required(name, kind);
    attribute.required = false;
    attribute
}

impl Attribute {
    /// What holds where it is absent.
    pub(crate) const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    /// It may be an expression.
    pub(crate) const fn expression(mut self) -> Self {
        self.expression = true;
        self
    }

    /// It may be a secret.
    pub(crate) const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }
}

/// What a literal may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A text that is not empty.
    Filled,
    /// The name of a variable: 1 to 128 characters, none of them a control character.
    Variable,
    /// The name of a header (RFC 9110, section 5.1).
    Header,
    /// A header's value: no line end and no other control character than a tab.
    HeaderValue,
    /// The name of a method (RFC 9110, section 9.1).
    Method,
    /// `true` or `false`.
    Bool,
    /// A whole number, both bounds included.
    Int(i64, i64),
    /// Seconds as a whole number, or an ISO 8601 duration (`PT30S`, `P30D`); both bounds
    /// included.
    Seconds(i64, i64),
    /// One of these words.
    Word(&'static [&'static str]),
    /// An absolute URL with `http` or `https`.
    Url,
    /// A path that starts with `/`, or nothing.
    Path,
    /// An IP address.
    Address,
    /// An origin (`https://host:port`) or `*`.
    Origin,
    /// The name of a fragment: letters, digits, `-`, `_`.
    Fragment,
    /// Bytes in Base64.
    Base64,
}

/// Which attributes go together.
#[derive(Clone, Copy, Debug)]
pub enum Group {
    /// Exactly one of them.
    One(&'static [&'static str]),
    /// At most one of them.
    AtMostOne(&'static [&'static str]),
    /// At least one of them.
    Some(&'static [&'static str]),
    /// The second only with the first.
    With(&'static str, &'static str),
}

/// What stands in an element.
#[derive(Clone, Copy, Debug)]
pub enum Content {
    /// Nothing.
    Nothing,
    /// Policies, any that the section allows.
    Statements,
    /// Policies, only these.
    Only(&'static [&'static str]),
    /// Text.
    Text(Text),
    /// Elements, in any order.
    Children(&'static [Child]),
    /// Elements, in this order.
    Ordered(&'static [Child]),
    /// A message body: text, markup, or a single `<value>`.
    Body,
    /// Anything: the policy is not supported, and nothing in it is looked at.
    Unread,
}

/// Text in an element.
#[derive(Clone, Copy, Debug)]
pub struct Text {
    /// What a literal may be.
    pub kind: Kind,
    /// It may be an expression.
    pub expression: bool,
    /// It may be a secret.
    pub secret: bool,
}

/// An element that may stand in another.
#[derive(Clone, Copy, Debug)]
pub struct Child {
    pub(crate) what: Which,
    /// At least as often.
    pub min: usize,
    /// At most as often.
    pub max: usize,
}

/// Which element it is: one of its own, or a policy's.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Which {
    Element(&'static Element),
    Policy(&'static Policy),
}

impl Child {
    /// The element.
    pub fn element(&self) -> &'static Element {
        match self.what {
            Which::Element(element) => element,
            Which::Policy(policy) => &policy.element,
        }
    }

    /// The policy, if the element is one.
    pub fn policy(&self) -> Option<&'static Policy> {
        match self.what {
            Which::Element(_) => None,
            Which::Policy(policy) => Some(policy),
        }
    }
}

/// Elements that only have a meaning in the one around them.
pub(crate) const fn child(element: &'static Element, min: usize, max: usize) -> Child {
    Child {
        what: Which::Element(element),
        min,
        max,
    }
}

/// A policy within another.
pub(crate) const fn nested(policy: &'static Policy, max: usize) -> Child {
    Child {
        what: Which::Policy(policy),
        min: 0,
        max,
    }
}

/// As often as wanted.
pub(crate) const MANY: usize = usize::MAX;

/// A set of sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sections(u8);

impl Sections {
    pub(crate) const ALL: Self = Self(0b1111);
    pub(crate) const I: Self = Self(0b0001);
    pub(crate) const B: Self = Self(0b0010);
    pub(crate) const O: Self = Self(0b0100);
    pub(crate) const IB: Self = Self(0b0011);
    pub(crate) const IE: Self = Self(0b1001);
    pub(crate) const IO: Self = Self(0b0101);
    pub(crate) const IBO: Self = Self(0b0111);
    pub(crate) const IOE: Self = Self(0b1101);
    pub(crate) const OE: Self = Self(0b1100);
    pub(crate) const NONE: Self = Self(0);

    /// Whether a section is in it.
    pub fn contains(self, phase: Phase) -> bool {
        self.0 & (1 << phase.index()) != 0
    }

    /// The sections in it, in the order in which they run.
    pub fn iter(self) -> impl Iterator<Item = Phase> {
        Phase::ALL
            .into_iter()
            .filter(move |phase| self.contains(*phase))
    }
}

/// For whom a document is, broad to narrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// All APIs.
    Global,
    /// A workspace's APIs.
    Workspace,
    /// A product's APIs.
    Product,
    /// An API.
    Api,
    /// One operation of an API.
    Operation,
}

impl Scope {
    /// All of them, broad to narrow.
    pub const ALL: [Self; 5] = [
        Self::Global,
        Self::Workspace,
        Self::Product,
        Self::Api,
        Self::Operation,
    ];

    /// As `context.LastError.Scope` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::Workspace => "workspace",
            Self::Product => "product",
            Self::Api => "api",
            Self::Operation => "operation",
        }
    }

    /// The scope of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }
}

/// A set of scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    pub(crate) const ALL: Self = Self(0b11111);
    pub(crate) const GLOBAL: Self = Self(0b00001);
    pub(crate) const PRODUCT: Self = Self(0b00100);
    pub(crate) const NARROW: Self = Self(0b11100);

    /// Whether a scope is in it.
    pub fn contains(self, scope: Scope) -> bool {
        self.0 & (1 << (scope as u8)) != 0
    }

    /// The scopes in it, broad to narrow.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL
            .into_iter()
            .filter(move |scope| self.contains(*scope))
    }
}

/// A policy that is read, checked and modelled, and may stand in any scope.
pub(crate) const fn policy(sections: Sections, element: Element) -> Policy {
    Policy {
        element,
        sections,
        scopes: Scopes::ALL,
        status: Status::PartOne,
        once: Once::Any,
    }
}

/// An element.
pub(crate) const fn element(
    name: &'static str,
    attributes: &'static [Attribute],
    content: Content,
) -> Element {
    Element {
        name,
        attributes,
        groups: &[],
        content,
        notes: &[],
        differs: &[],
    }
}

impl Element {
    pub(crate) const fn groups(mut self, groups: &'static [Group]) -> Self {
        self.groups = groups;
        self
    }

    pub(crate) const fn notes(mut self, notes: &'static [&'static str]) -> Self {
        self.notes = notes;
        self
    }

    pub(crate) const fn differs(mut self, differs: &'static [&'static str]) -> Self {
        self.differs = differs;
        self
    }
}

/// A policy that is known and refused.
pub(crate) const fn refused(
    name: &'static str,
    sections: Sections,
    instead: &'static str,
    attributes: &'static [Attribute],
) -> Policy {
    let mut policy = policy(sections, element(name, attributes, Content::Unread));
    policy.status = Status::NotSupported { instead };
    policy
}

impl Policy {
    /// It may stand only in documents of these scopes.
    pub(crate) const fn only_in(mut self, scopes: Scopes) -> Self {
        self.scopes = scopes;
        self
    }
}

/// Text that may be an expression.
pub(crate) const fn text(kind: Kind) -> Content {
    Content::Text(Text {
        kind,
        expression: true,
        secret: false,
    })
}

/// Text that may be an expression or a secret.
pub(crate) const fn secret_text(kind: Kind) -> Content {
    Content::Text(Text {
        kind,
        expression: true,
        secret: true,
    })
}
