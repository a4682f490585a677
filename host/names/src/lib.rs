//! Names that Keyward's crates share, parsed once at the edge.
//!
//! Each name is its own type, so that a route can't be passed where a policy is
//! expected, and a value of the type is always well formed: there is no way to
//! make one except `parse`. This crate holds names and identifiers and nothing
//! else; it is closed to everything that has behaviour.
//!
//! All names have one grammar: 1 to 64 bytes, the first of `a-z` or `0-9`, the
//! others of `a-z`, `0-9`, `.`, `_` and `-`. Only [`ValueName`] allows more,
//! because such names come from elsewhere: 256 bytes, and `A-Z`. Text outside of
//! a grammar is rejected and never normalised (no case folding, no trimming, no
//! Unicode mapping), so that two texts are one name only if they are the same
//! bytes.
//!
//! ```
//! use keyward_names::SecretName;
//!
//! let name = SecretName::parse("billing-key")?;
//! assert_eq!(name.as_str(), "billing-key");
//! assert!(SecretName::parse("Billing-Key").is_err());
//! # Ok::<(), keyward_names::NameError>(())
//! ```

#![forbid(unsafe_code)]

mod identifier;
mod key_vault;
mod name;

pub use identifier::{ComponentDigest, ExchangeId, IdentifierError};
pub use key_vault::{
    KeyVault, KeyVaultErrors, KeyVaultFault, KeyVaultMistake, KeyVaultReference, NoKeyVaultSource,
};
pub use name::{
    Alias, GrantId, IssuerName, NameError, NameFault, PolicyName, RouteName, SecretName,
    SourceName, StatementName, Subject, Tag, ValueName, VariableName,
};
