//! What can be wrong with a policy document: the problems, their codes, how bad they are.

use std::borrow::Cow;

use keyward_names::NameError;

use crate::csharp;
use crate::error::Found;
use crate::named_values::ValueError;

/// What is wrong with a document, without its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The text is not well-formed XML.
    #[error("not well-formed XML: {0}")]
    Malformed(&'static str),
    /// Well-formed, but a part of XML that documents can't use.
    #[error("{0}")]
    Refused(&'static str),
    /// A limit on documents is exceeded.
    #[error("too large: at most {max} {what}")]
    Limit {
        /// What is limited.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// A policy expression in which a bracket, a string or a comment stays open.
    #[error("this policy expression does not end")]
    OpenExpression,
    /// A Key Vault reference, `@Microsoft.KeyVault(…)`: it asks for a secret.
    #[error("a Key Vault reference is a request for a secret, and no text")]
    Reference,
    /// A Key Vault reference that is not granted to the document.
    #[error("this secret can't be had here: {0}")]
    Request(String),
    /// A named value, `{{name}}`, that is no text.
    #[error(transparent)]
    NamedValue(#[from] ValueError),
    /// An element that may not stand here.
    #[error("unknown element {name} in {parent}")]
    UnknownElement {
        /// The element's name.
        name: Found,
        /// The element around it, or `the document`.
        parent: Cow<'static, str>,
    },
    /// A policy of Azure API Management that this engine does not have.
    #[error("the policy {name} is not supported")]
    UnsupportedPolicy {
        /// The policy's name.
        name: Found,
    },
    /// An attribute that the element does not have.
    #[error("unknown attribute {name} of <{element}>")]
    UnknownAttribute {
        /// The attribute's name.
        name: Found,
        /// The element.
        element: &'static str,
    },
    /// An attribute that has to be there and is not.
    #[error("<{element}> has no attribute {attribute:?}")]
    MissingAttribute {
        /// The element.
        element: &'static str,
        /// The attribute.
        attribute: &'static str,
    },
    /// Text where only elements may stand.
    #[error("unexpected text in {parent}")]
    UnexpectedText {
        /// The element around it, or `the document`.
        parent: Cow<'static, str>,
    },
    /// A second of what there may be one.
    #[error("a second {0}")]
    Second(&'static str),
    /// A name that is none.
    #[error(transparent)]
    Name(#[from] NameError),
    /// An attribute's or element's content breaks a rule.
    #[error("{what} {rule}")]
    Content {
        /// Whose content.
        what: &'static str,
        /// What is wrong with it.
        rule: &'static str,
    },
    /// A header that the host writes itself.
    #[error("the header {0} is written by the gateway itself; a document can't change it")]
    HostHeader(Found),
    /// A Liquid template that can't be read: what in it is not understood.
    #[error("in the Liquid template: {0}")]
    Template(String),
    /// Literal text next to an expression.
    #[error("an expression and other text in one value")]
    Mixed,
    /// An XML comment next to or within an expression.
    #[error("an XML comment in a value that is an expression")]
    CommentInExpression,
    /// An expression where only a fixed value may stand.
    #[error("{0} can't be an expression")]
    NoExpression(String),
    /// A named value whose text is an expression.
    #[error("the text of a named value is an expression, which is not supported")]
    ValueIsExpression,
    /// A policy in a section that does not have it.
    #[error("<{policy}> may not stand in <{section}>")]
    WrongSection {
        /// The policy.
        policy: &'static str,
        /// The section.
        section: &'static str,
    },
    /// A policy in a document of a scope that does not have it.
    #[error("<{policy}> may not stand in a document of the scope {scope}")]
    WrongScope {
        /// The policy.
        policy: &'static str,
        /// The scope.
        scope: &'static str,
    },
    /// An element that is known, and not here.
    #[error("<{name}> may not stand in <{parent}>")]
    NotHere {
        /// The element.
        name: &'static str,
        /// The element around it.
        parent: &'static str,
    },
    /// An element that has to be there and is not.
    #[error("<{parent}> has no <{element}>")]
    MissingElement {
        /// The element around it.
        parent: &'static str,
        /// The missing element.
        element: &'static str,
    },
    /// An element after one that it has to come before.
    #[error("<{element}> has to stand before <{before}>")]
    Order {
        /// The element.
        element: &'static str,
        /// The one before it.
        before: &'static str,
    },
    /// A policy that may stand once.
    #[error("a second <{0}>")]
    OnceOnly(&'static str),
    /// Attributes that do not go together, or one of several that is missing.
    #[error("<{element}> {rule}")]
    Together {
        /// The element.
        element: &'static str,
        /// What is wrong.
        rule: String,
    },
    /// A value that its attribute or element can't have.
    #[error("{what} {rule}")]
    Value {
        /// Whose value.
        what: String,
        /// What is wrong with it.
        rule: String,
    },
    /// `Bearer` in a token.
    #[error("token-value is a token alone, without \"Bearer\"")]
    Bearer,
    /// A secret in the text of an expression.
    #[error("the named value {0} is secret; a secret in an expression is not supported yet")]
    SecretInExpression(Found),
    /// A fragment that nobody knows.
    #[error("there is no policy fragment {0}")]
    UnknownFragment(Found),
    /// A fragment with a policy that may not stand where it is included.
    #[error("the fragment {id} holds <{policy}>, which may not stand in <{section}>")]
    FragmentSection {
        /// The fragment.
        id: Found,
        /// The policy.
        policy: &'static str,
        /// The section.
        section: &'static str,
    },
    /// A part of a policy, or a way to use it, that is not supported.
    #[error("{0}: not supported")]
    NotHad(String),
    /// An address that no route leads to.
    #[error("no route leads to {0}")]
    NoRoute(Found),
    /// The pipeline's own route as the address of a request of the document's own, to which
    /// it is not open.
    #[error("the route {0} is the pipeline's, and not open to requests of the document's own")]
    ClosedRoute(Found),
    /// An issuer that the gateway does not know.
    #[error("no issuer of the gateway has its metadata at {0}")]
    NoIssuer(Found),
    /// A secret whose use can't be told, or one that would be read.
    #[error("{0}")]
    SecretUse(String),
    /// A policy of another kind within a statement.
    #[error("<wasm-policy> may not stand within another element")]
    NestedPolicy,
    /// A name that no policy can have.
    #[error("no policy can be called {0}")]
    NoPolicyName(Found),
    /// A named value that nobody could be asked for.
    #[error("a named value in it is not known")]
    Unbound,
    /// A section that is not there.
    #[error("no <{0}> section: nothing is inherited for it")]
    AbsentSection(&'static str),
    /// Wrong in an expression's C#.
    #[error("{message}")]
    CSharp {
        /// What sort of a problem it is.
        code: csharp::Code,
        /// What is wrong.
        message: String,
    },
    /// Nothing there to read.
    #[error("no <policies> element")]
    Empty,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The document can't be used.
    Error,
    /// The document can be used, and may not do what was meant.
    Warning,
}

/// The codes of problems and what they are about, in order. A code is never given
/// to something else.
pub const CODES: [(&str, &str); 55] = [
    ("KD001", "the text is not well-formed XML"),
    ("KD002", "a part of XML that documents can't use"),
    ("KD003", "a limit on documents is exceeded"),
    ("KD004", "an expression does not end"),
    ("KD005", "there is no document in the text"),
    ("KD006", "an expression and other text in one value"),
    ("KD007", "an XML comment in a value that is an expression"),
    ("KD008", "an expression where only a fixed value may stand"),
    ("KD010", "an unknown element"),
    ("KD011", "a policy that is not supported"),
    ("KD012", "a policy in a section that does not have it"),
    ("KD013", "a policy in a scope that does not have it"),
    ("KD014", "an element where it may not stand"),
    ("KD015", "an element is missing"),
    ("KD016", "an element stands too often"),
    ("KD017", "elements in the wrong order"),
    ("KD018", "text where only elements may stand"),
    ("KD020", "an unknown attribute"),
    ("KD021", "an attribute is missing"),
    ("KD022", "attributes that do not go together"),
    ("KD023", "a value that an attribute or element can't have"),
    ("KD024", "an element's content breaks a rule"),
    ("KD025", "a name that is none"),
    ("KD026", "a header that the gateway writes itself"),
    ("KD027", "a token with its scheme"),
    ("KD028", "a Liquid template that can't be read"),
    ("KD030", "an unknown named value"),
    ("KD031", "a secret named value where a text is needed"),
    ("KD032", "a secret in an expression"),
    ("KD033", "a Key Vault reference where a text is needed"),
    ("KD034", "a Key Vault reference that is not granted"),
    ("KD036", "a named value whose text is an expression"),
    ("KD040", "an unknown policy fragment"),
    ("KD041", "a fragment where it may not be included"),
    ("KD050", "a section is absent"),
    ("KD060", "a part of a policy that is not supported"),
    ("KD061", "an address that no route leads to"),
    ("KD062", "an issuer that the gateway does not know"),
    (
        "KD063",
        "a secret whose use can't be told, or that would be read",
    ),
    ("KD064", "a policy of another kind within a statement"),
    ("KD065", "a name that no policy can have"),
    ("KD066", "a named value that is not known when it is needed"),
    (
        "KD067",
        "a request of the document's own to the pipeline's route, which is not open to it",
    ),
    ("KD101", "an expression is not valid C#"),
    ("KD102", "C# that expressions do not support"),
    (
        "KD103",
        "a member that is unknown, not supported, or not used as what it is",
    ),
    (
        "KD104",
        "a variable or type that is unknown or not supported",
    ),
    ("KD105", "types in an expression do not go together"),
    ("KD106", "a member with arguments that it does not take"),
    ("KD107", "an expression with an unknown named value"),
    ("KD108", "an expression with a secret named value"),
    ("KD109", "a named value can't stand there in an expression"),
    ("KD110", "an expression is too large"),
    (
        "KD111",
        "not every way through an expression returns a value",
    ),
    ("KD112", "an expression's type is not what its place takes"),
];

impl Problem {
    /// More elements are in force together than a program may have.
    pub(crate) fn elements_in_force() -> Self {
        Self::Limit {
            what: "elements in all documents in force together",
            max: keyward_document_program::statements::MAX_ELEMENTS,
        }
    }

    /// Its code, one of [`CODES`].
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "KD001",
            Self::Refused(_) => "KD002",
            Self::Limit { .. } => "KD003",
            Self::OpenExpression => "KD004",
            Self::Empty => "KD005",
            Self::Mixed => "KD006",
            Self::CommentInExpression => "KD007",
            Self::NoExpression(_) => "KD008",
            Self::UnknownElement { .. } => "KD010",
            Self::UnsupportedPolicy { .. } => "KD011",
            Self::WrongSection { .. } => "KD012",
            Self::WrongScope { .. } => "KD013",
            Self::NotHere { .. } => "KD014",
            Self::MissingElement { .. } => "KD015",
            Self::Second(_) | Self::OnceOnly(_) => "KD016",
            Self::Order { .. } => "KD017",
            Self::UnexpectedText { .. } => "KD018",
            Self::UnknownAttribute { .. } => "KD020",
            Self::MissingAttribute { .. } => "KD021",
            Self::Together { .. } => "KD022",
            Self::Value { .. } => "KD023",
            Self::Content { .. } => "KD024",
            Self::Name(_) => "KD025",
            Self::HostHeader(_) => "KD026",
            Self::Bearer => "KD027",
            Self::Template(_) => "KD028",
            Self::NamedValue(ValueError::Unknown { .. }) => "KD030",
            Self::NamedValue(ValueError::Secret { .. } | ValueError::Reference { .. }) => "KD031",
            Self::SecretInExpression(_) => "KD032",
            Self::Reference => "KD033",
            Self::Request(_) => "KD034",
            Self::ValueIsExpression => "KD036",
            Self::UnknownFragment(_) => "KD040",
            Self::FragmentSection { .. } => "KD041",
            Self::AbsentSection(_) => "KD050",
            Self::NotHad(_) => "KD060",
            Self::NoRoute(_) => "KD061",
            Self::NoIssuer(_) => "KD062",
            Self::ClosedRoute(_) => "KD067",
            Self::SecretUse(_) => "KD063",
            Self::NestedPolicy => "KD064",
            Self::NoPolicyName(_) => "KD065",
            Self::Unbound => "KD066",
            Self::CSharp { code, .. } => code.as_str(),
        }
    }

    /// How bad it is.
    pub fn severity(&self) -> Severity {
        match self {
            Self::AbsentSection(_) => Severity::Warning,
            _ => Severity::Error,
        }
    }
}
