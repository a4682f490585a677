//! What can be done with a secret, and which kinds permit it.
//!
//! [`Use`] is the value that grants and audit records hold. The unit types here
//! are the same uses as types, so that a permit for one can't be taken for
//! another: `Permit<uses::MacSign>` has `sign` and nothing else.

use std::str::FromStr;

use crate::kind::{Kind, MacAlgorithm, UnknownWord, display_as_str};

/// One thing that a policy can do with a secret.
///
/// As text: `attach`, `sign-request`, `mac-sign`, `mac-verify`, `identify`, `seal`,
/// `open`, `token`.
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
    /// Seal data of the policy's own.
    Seal,
    /// Open what was sealed.
    Open,
    /// The host obtains a token and writes it into a request.
    Token,
}

impl Use {
    /// All uses.
    pub const ALL: [Self; 8] = [
        Self::Attach,
        Self::SignRequest,
        Self::MacSign,
        Self::MacVerify,
        Self::Identify,
        Self::Seal,
        Self::Open,
        Self::Token,
    ];

    /// The use as people write it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Attach => "attach",
            Self::SignRequest => "sign-request",
            Self::MacSign => "mac-sign",
            Self::MacVerify => "mac-verify",
            Self::Identify => "identify",
            Self::Seal => "seal",
            Self::Open => "open",
            Self::Token => "token",
        }
    }

    /// What the destination learns.
    pub const fn class(&self) -> Class {
        match self {
            Self::Attach => Class::C,
            Self::Token => Class::B,
            Self::SignRequest
            | Self::MacSign
            | Self::MacVerify
            | Self::Identify
            | Self::Seal
            | Self::Open => Class::A,
        }
    }

    /// Whether an exchange keeps to the version that it began with: where something
    /// leaves that was made with a secret. What arrives is looked at with the versions
    /// of the moment.
    pub(crate) const fn keeps_version(&self) -> bool {
        match self {
            Self::Attach | Self::SignRequest | Self::MacSign | Self::Seal | Self::Token => true,
            Self::MacVerify | Self::Identify | Self::Open => false,
        }
    }

    /// Whether a secret of this kind can be used so.
    ///
    /// `sign-request` needs a SHA-256 key, because that is the one HMAC that
    /// RFC 9421 registers.
    pub const fn fits(&self, kind: &Kind) -> bool {
        match (self, kind) {
            (Self::Attach, Kind::ApiKey | Kind::Basic)
            | (Self::Seal | Self::Open, Kind::DataKey { .. })
            | (Self::Token, Kind::OauthClient)
            | (Self::Identify, Kind::ClientKeys)
            | (Self::MacSign | Self::MacVerify, Kind::HmacKey { .. }) => true,
            (Self::SignRequest, Kind::HmacKey { algorithm, .. }) => {
                matches!(algorithm, MacAlgorithm::Sha256)
            }
            _ => false,
        }
    }
}

display_as_str!(Use, Class);

impl FromStr for Use {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let found = Self::ALL.into_iter().find(|item| item.as_str() == text);
        found.ok_or(UnknownWord {
            what: "use",
            valid: "attach, sign-request, mac-sign, mac-verify, identify, seal, open, token",
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
    /// [`Use::Seal`] as a type.
    Seal;
    /// [`Use::Open`] as a type.
    Open;
    /// [`Use::Token`] as a type.
    Token;
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

    #[test]
    fn each_kind_permits_its_uses_and_no_others() {
        use Use::{Attach, Identify, MacSign, MacVerify, Open, Seal, SignRequest, Token};
        for kind in Kind::all() {
            let allowed: &[Use] = match kind {
                Kind::ClientKeys => &[Identify],
                Kind::ApiKey | Kind::Basic => &[Attach],
                Kind::DataKey { .. } => &[Seal, Open],
                Kind::OauthClient => &[Token],
                Kind::HmacKey {
                    algorithm: MacAlgorithm::Sha256,
                    ..
                } => &[SignRequest, MacSign, MacVerify],
                Kind::HmacKey { .. } => &[MacSign, MacVerify],
                _ => &[],
            };
            for item in Use::ALL {
                assert_eq!(item.fits(&kind), allowed.contains(&item), "{kind:?} {item}");
            }
        }
    }
}
