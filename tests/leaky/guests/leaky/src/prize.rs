//! What attacks are after: something that a grant has the host attach.

use keyward_policy::{
    Exchange, Failure, Request, SharedAccessPermission, SharedAccessScope, SharedAccessTerms,
};
use serde::Deserialize;

/// What is attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prize {
    /// A value.
    #[default]
    Value,
    /// A token that the host obtains.
    Token,
    /// A shared access signature.
    SharedAccess,
    /// A presigned URL.
    Presigned,
}

/// What every grant for shared access signatures here allows.
const READ: SharedAccessTerms = SharedAccessTerms {
    scope: SharedAccessScope::Item,
    permissions: &[SharedAccessPermission::Read],
    lifetime_seconds: None,
};

/// More than any grant for shared access signatures here allows.
pub(crate) const WIDER: [SharedAccessTerms; 4] = [
    SharedAccessTerms {
        permissions: &[SharedAccessPermission::Read, SharedAccessPermission::Delete],
        ..READ
    },
    SharedAccessTerms {
        scope: SharedAccessScope::Account,
        ..READ
    },
    SharedAccessTerms {
        lifetime_seconds: Some(86_400),
        ..READ
    },
    SharedAccessTerms {
        permissions: &[],
        ..READ
    },
];

impl Prize {
    /// The alias under which it is asked for.
    pub(crate) fn alias(self) -> &'static str {
        match self {
            Prize::Value => "backend",
            Prize::Token => "tokens",
            Prize::SharedAccess => "storage",
            Prize::Presigned => "bucket",
        }
    }

    /// Has it attached to the exchange's request.
    ///
    /// # Errors
    /// The host refuses.
    pub(crate) fn attach(self, exchange: &Exchange<'_>) -> Result<(), Failure> {
        self.attach_as(self.alias(), exchange)
    }

    /// The same under another alias.
    ///
    /// # Errors
    /// The host refuses.
    pub(crate) fn attach_as(self, alias: &str, exchange: &Exchange<'_>) -> Result<(), Failure> {
        match self {
            Prize::Value => exchange.credential(alias)?.attach(),
            Prize::Token => exchange.token(alias)?.attach(),
            Prize::SharedAccess => exchange.shared_access(alias)?.attach(READ),
            Prize::Presigned => exchange.presigner(alias)?.attach(),
        }
    }

    /// Has it attached to a request of the policy's own.
    ///
    /// # Errors
    /// The host refuses.
    pub(crate) fn attach_to(
        self,
        exchange: &Exchange<'_>,
        request: &Request<'_>,
    ) -> Result<(), Failure> {
        let alias = self.alias();
        match self {
            Prize::Value => exchange.credential(alias)?.attach_to(request),
            Prize::Token => exchange.token(alias)?.attach_to(request),
            Prize::SharedAccess => exchange.shared_access(alias)?.attach_to(request, READ),
            Prize::Presigned => exchange.presigner(alias)?.attach_to(request),
        }
    }

    /// Takes its handle and lets nobody take it back.
    ///
    /// # Errors
    /// The host refuses.
    pub(crate) fn keep(self, exchange: &Exchange<'_>) -> Result<(), Failure> {
        let alias = self.alias();
        match self {
            Prize::Value => forget(exchange.credential(alias)?),
            Prize::Token => forget(exchange.token(alias)?),
            Prize::SharedAccess => forget(exchange.shared_access(alias)?),
            Prize::Presigned => forget(exchange.presigner(alias)?),
        }
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "it is what is attempted")]
fn forget<T>(handle: T) {
    core::mem::forget(handle);
}
