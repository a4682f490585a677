//! What can be done with a secret, and which kinds permit it.
//!
//! [`Use`] is the value that grants and audit records hold. The unit types here
//! are the same uses as types, so that a permit for one can't be taken for
//! another: `Permit<uses::MacSign>` has `sign` and nothing else.

mod table;

use std::str::FromStr;
use std::sync::LazyLock;

pub use table::{KIND_USES, KindUse, Which};

use crate::kind::{Kind, UnknownWord, display_as_str};

/// One thing that a policy can do with a secret.
///
/// As text: what [`Use::as_str`] says, such as `mac-sign`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Use {
    /// The host writes the value into a request.
    Attach,
    /// The host signs a request.
    SignRequest,
    /// Make a message authentication code.
    MacSign,
    /// Check a message authentication code.
    MacVerify,
    /// Find out which client is calling.
    Identify,
    /// The host makes a shared access signature and writes it into a request.
    Sas,
    /// The host makes a request's URL one that AWS accepts for a short time.
    Presign,
    /// Read the public parts of a connection string.
    Describe,
    /// Run a statement of the grant on a database.
    Query,
    /// The host shows a certificate in TLS, and proves that it has its key.
    Present,
    /// The host signs a token (JWS, RFC 7515) of claims that the grant allows.
    JwsSign,
    /// Seal data of the policy's own.
    Seal,
    /// Open what was sealed.
    Open,
    /// The host obtains a token and writes it into a request.
    Token,
    /// Check a JSON Web Token that a client presents (RFC 7519).
    VerifyJwt,
}

impl Use {
    /// All uses.
    pub const ALL: [Self; 15] = [
        Self::Attach,
        Self::SignRequest,
        Self::MacSign,
        Self::MacVerify,
        Self::Identify,
        Self::Sas,
        Self::Presign,
        Self::Describe,
        Self::Query,
        Self::Present,
        Self::JwsSign,
        Self::Seal,
        Self::Open,
        Self::Token,
        Self::VerifyJwt,
    ];

    /// The use as people write it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Attach => "attach",
            Self::SignRequest => "sign-request",
            Self::MacSign => "mac-sign",
            Self::MacVerify => "mac-verify",
            Self::Identify => "identify",
            Self::Sas => "sas",
            Self::Presign => "presign",
            Self::Describe => "describe",
            Self::Query => "query",
            Self::Present => "present",
            Self::JwsSign => "jws-sign",
            Self::Seal => "seal",
            Self::Open => "open",
            Self::Token => "token",
            Self::VerifyJwt => "verify-jwt",
        }
    }

    /// What the destination learns.
    pub const fn class(&self) -> Class {
        match self {
            Self::Attach => Class::C,
            Self::Sas | Self::Presign | Self::Token => Class::B,
            Self::SignRequest
            | Self::MacSign
            | Self::MacVerify
            | Self::Identify
            | Self::Describe
            | Self::Query
            | Self::Present
            | Self::JwsSign
            | Self::Seal
            | Self::Open
            | Self::VerifyJwt => Class::A,
        }
    }

    /// Whether the destination is sent something that is good for whoever reads it, for a
    /// while or for good: the value, or a bearer. Whatever of that is written into a
    /// request is looked for in the answer.
    pub const fn sends_a_bearer(&self) -> bool {
        match self {
            Self::Attach | Self::Sas | Self::Presign | Self::Token | Self::JwsSign => true,
            Self::SignRequest
            | Self::MacSign
            | Self::MacVerify
            | Self::Identify
            | Self::Describe
            | Self::Query
            | Self::Present
            | Self::Seal
            | Self::Open
            | Self::VerifyJwt => false,
        }
    }

    /// Whether an exchange keeps to the version that it began with: where something
    /// leaves that was made with a secret. What arrives is looked at with the versions
    /// of the moment.
    pub(crate) const fn keeps_version(&self) -> bool {
        match self {
            Self::Attach
            | Self::SignRequest
            | Self::MacSign
            | Self::Sas
            | Self::Presign
            | Self::Present
            | Self::JwsSign
            | Self::Token
            | Self::Seal => true,
            Self::MacVerify
            | Self::Identify
            | Self::Query
            | Self::Open
            | Self::VerifyJwt
            | Self::Describe => false,
        }
    }

    /// Whether an exchange accepts what was made with the version before, while the
    /// rotation has it accepted: where something is looked at that others made.
    pub(crate) const fn accepts_previous(&self) -> bool {
        matches!(self, Self::MacVerify | Self::Open | Self::VerifyJwt)
    }

    /// Whether a secret of this kind can be used so: whether [`KIND_USES`] has the cell.
    pub fn fits(&self, kind: &Kind) -> bool {
        let mut cells = KIND_USES.iter();
        cells.any(|cell| cell.use_ == *self && cell.is_about(kind))
    }

    /// The words of all uses, separated by commas.
    pub fn words() -> &'static str {
        static WORDS: LazyLock<String> =
            LazyLock::new(|| Use::ALL.map(|use_| use_.as_str()).join(", "));
        &WORDS
    }
}

display_as_str!(Use, Class);

impl FromStr for Use {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let found = Self::ALL.into_iter().find(|item| item.as_str() == text);
        found.ok_or(UnknownWord {
            what: "use",
            valid: Self::words(),
        })
    }
}

/// What the destination of a use learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// A proof. The key never leaves.
    A,
    /// A bearer that lives for minutes.
    B,
    /// The value itself.
    C,
}

impl Class {
    /// The class's letter.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
        }
    }
}

mod sealed {
    /// Implemented by the types of this module only.
    pub trait Sealed {}
}

/// A use as a type. Sealed: the uses are those of this module.
pub trait UseType: sealed::Sealed + 'static {
    /// The use as a value.
    const USE: Use;
}

macro_rules! use_types {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        pub enum $name {}

        impl sealed::Sealed for $name {}

        impl UseType for $name {
            const USE: Use = Use::$name;
        }
    )+};
}

use_types! {
    /// [`Use::Attach`] as a type.
    Attach;
    /// [`Use::SignRequest`] as a type.
    SignRequest;
    /// [`Use::MacSign`] as a type.
    MacSign;
    /// [`Use::MacVerify`] as a type.
    MacVerify;
    /// [`Use::Identify`] as a type.
    Identify;
    /// [`Use::Sas`] as a type.
    Sas;
    /// [`Use::Presign`] as a type.
    Presign;
    /// [`Use::Describe`] as a type.
    Describe;
    /// [`Use::Query`] as a type.
    Query;
    /// [`Use::Present`] as a type.
    Present;
    /// [`Use::JwsSign`] as a type.
    JwsSign;
    /// [`Use::Seal`] as a type.
    Seal;
    /// [`Use::Open`] as a type.
    Open;
    /// [`Use::Token`] as a type.
    Token;
    /// [`Use::VerifyJwt`] as a type.
    VerifyJwt;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back() {
        for item in Use::ALL {
            assert_eq!(item.as_str().parse(), Ok(item));
        }
        for kind in Kind::all() {
            let parsed = kind.as_str().parse::<Kind>().map(|kind| kind.as_str());
            assert_eq!(parsed, Ok(kind.as_str()));
        }
    }
}
