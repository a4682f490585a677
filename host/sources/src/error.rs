//! What goes wrong with a source, one variant for each thing that an operator does
//! differently. No variant holds a value, a token or a server's words.

use std::io;
use std::time::Duration;

use keyward_egress::Stage;
use keyward_egress::source::SourceTransportError;
use keyward_vault::NotASourceVersion;

/// Why a source gave no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// No connection came about.
    #[error("the source can't be reached: {0}")]
    Unreachable(Unreachable),
    /// It did not answer in time.
    #[error("the source did not answer in time")]
    TimedOut,
    /// It answered with something that is not HTTP, or broke off.
    #[error("the source's answer broke off or is not HTTP")]
    Protocol,
    /// It wants fewer requests (429).
    #[error("the source asks for fewer requests")]
    Throttled {
        /// How long it asks to wait, if it says so.
        retry_after: Option<Duration>,
    },
    /// It is not well (5xx other than what has a variant of its own).
    #[error("the source failed with status {status}")]
    Failing {
        /// The status of its answer.
        status: u16,
    },
    /// It can't answer until somebody opens it (OpenBao: sealed).
    #[error("the source is sealed")]
    Sealed,
    /// This instance answers nobody (OpenBao: standby).
    #[error("the source is a standby and does not answer")]
    Standby,
    /// No token could be had with the identity that is configured.
    #[error("no token: {0}")]
    Identity(IdentityError),
    /// The source asked for a token in a way that doesn't fit what is pinned. None
    /// was asked for and none was sent.
    #[error("the source's challenge was refused: {0}")]
    Challenge(ChallengeError),
    /// The source doesn't take the token (401), even a fresh one.
    #[error("the source does not accept the token")]
    Unauthenticated,
    /// The identity may not read this (403).
    #[error("access denied{}", if *firewall { " by the source's firewall" } else { "" })]
    Denied {
        /// Whether it is the network that is refused, not the identity.
        firewall: bool,
    },
    /// There is no such secret, or no such version.
    #[error("no such secret in the source")]
    NotFound,
    /// The secret is there and turned off.
    #[error("the secret is disabled in the source")]
    Disabled,
    /// The secret has several fields, and the reference names none, or has none of
    /// that name.
    #[error("the secret has no such field")]
    Field,
    /// The key has a form that no key of this source has.
    #[error("not a key of this source: {expected}")]
    Key {
        /// What is one.
        expected: &'static str,
    },
    /// The value, or the answer, is longer than is read.
    #[error("the answer is longer than {max} bytes")]
    TooLarge {
        /// The limit in bytes.
        max: usize,
    },
    /// The value has no bytes.
    #[error("the value is empty")]
    Empty,
    /// The answer is not what the protocol says.
    #[error("the source's answer is malformed: {what}")]
    Malformed {
        /// Which part of it.
        what: &'static str,
    },
    /// The certificate that is here is of another key than the source has, or of a
    /// version that it has no more.
    #[error("the certificate is of no version of the key that the source has")]
    OtherKey,
    /// What it gave as a signature is none of that key, of what was to be signed.
    #[error("the source gave a signature that is not that of the key")]
    Forged,
    /// A file can't be read.
    #[error("the file can't be read: {0}")]
    File(io::ErrorKind),
    /// A file stands where others may write, or is no plain file.
    #[error("the file is not safe to read: {what}")]
    Unsafe {
        /// What is wrong with it.
        what: &'static str,
    },
    /// No source of that name is configured.
    #[error("no source of that name is configured")]
    NotConfigured,
    /// Asked for something that this kind of source doesn't do.
    #[error("the source can't do this: {what}")]
    Unsupported {
        /// What it can't do.
        what: &'static str,
    },
}

/// Why no connection came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Unreachable {
    /// The name has no address.
    #[error("its name has no address")]
    Resolve,
    /// The address is one that the configuration doesn't allow.
    #[error("its address is not in the networks that are allowed")]
    Address,
    /// Nothing answers there.
    #[error("nothing accepts the connection")]
    Connect,
    /// The certificate is not one that is trusted for the name.
    #[error("its certificate is not trusted")]
    Certificate,
    /// TLS failed in another way.
    #[error("TLS failed")]
    Tls,
}

/// Why an identity got no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// Nothing here hands out tokens.
    #[error("no identity endpoint answers on this machine")]
    NoEndpoint,
    /// The identity is not assigned to this machine or app.
    #[error("the identity is not assigned here")]
    NotAssigned,
    /// There are several, and none was named.
    #[error("several identities are assigned and the configuration names none")]
    Ambiguous,
    /// The endpoint wants fewer requests.
    #[error("the identity endpoint asks for fewer requests")]
    Throttled,
    /// The endpoint is not well.
    #[error("the identity endpoint failed with status {status}")]
    Failing {
        /// The status of its answer.
        status: u16,
    },
    /// The endpoint did not answer in time.
    #[error("the identity endpoint did not answer in time")]
    TimedOut,
    /// The environment variables that name the endpoint are missing or unusable.
    #[error("the environment variable {variable} is missing or can't be used")]
    Environment {
        /// Which one.
        variable: &'static str,
    },
    /// The file with the token or the credential can't be read or used.
    #[error("the credential file can't be read or used")]
    CredentialFile,
    /// The login was refused.
    #[error("the login was refused")]
    LoginRefused,
    /// The token is for something else than was asked for.
    #[error("the token is for another resource or tenant")]
    WrongToken,
    /// The answer is not what the protocol says.
    #[error("the identity endpoint's answer is malformed")]
    Malformed,
    /// The authority that logs in can't be reached.
    #[error("the authority can't be reached: {0}")]
    Authority(Unreachable),
    /// The resource that the token is for is not known where it was asked for.
    #[error("the tenant does not know the resource")]
    Resource,
    /// Microsoft Entra refused the login, with this number.
    #[error("the login was refused (AADSTS{code})")]
    Entra {
        /// The number in Microsoft's list of error codes.
        code: u32,
    },
    /// This platform, or this use of it, is not supported.
    #[error("{what} is not supported")]
    Platform {
        /// What is not.
        what: &'static str,
    },
}

/// What is wrong with a challenge (RFC 9110, 11.6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ChallengeError {
    /// There is none, or it can't be read.
    #[error("it is missing or malformed")]
    Malformed,
    /// It is longer than is read.
    #[error("it is too long")]
    TooLarge,
    /// It names another authority than is pinned.
    #[error("it names another authority")]
    Authority,
    /// It names another tenant than is pinned.
    #[error("it names another tenant")]
    Tenant,
    /// It names another resource than is pinned.
    #[error("it names another resource")]
    Resource,
    /// It wants the token over plain HTTP.
    #[error("it names a place without TLS")]
    Scheme,
    /// Its URL carries a user or a password.
    #[error("its URL carries userinfo")]
    UserInfo,
    /// It names another port.
    #[error("it names another port")]
    Port,
    /// The source answered with a redirect.
    #[error("the source redirects elsewhere")]
    Redirect,
}

impl SourceError {
    /// Whether asking again later can help without anybody doing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_)
            | Self::TimedOut
            | Self::Protocol
            | Self::Throttled { .. }
            | Self::Failing { .. }
            | Self::Sealed
            | Self::Standby => true,
            Self::Identity(error) => matches!(
                error,
                IdentityError::Throttled
                    | IdentityError::Failing { .. }
                    | IdentityError::TimedOut
                    | IdentityError::Authority(_)
            ),
            _ => false,
        }
    }

    /// Whether it concerns the source as a whole, so that asking it for other keys
    /// is of no use now.
    pub fn is_of_source(&self) -> bool {
        match self {
            Self::Unreachable(_)
            | Self::TimedOut
            | Self::Protocol
            | Self::Throttled { .. }
            | Self::Failing { .. }
            | Self::Sealed
            | Self::Standby
            | Self::Identity(_)
            | Self::Challenge(_)
            | Self::Unauthenticated
            | Self::NotConfigured => true,
            Self::Denied { firewall } => *firewall,
            _ => false,
        }
    }

    /// The error in one word of a closed list, for metrics and tables.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::TimedOut => "timed-out",
            Self::Protocol => "protocol",
            Self::Throttled { .. } => "throttled",
            Self::Failing { .. } => "failing",
            Self::Sealed => "sealed",
            Self::Standby => "standby",
            Self::Identity(_) => "identity",
            Self::Challenge(_) => "challenge",
            Self::Unauthenticated => "unauthenticated",
            Self::Denied { .. } => "denied",
            Self::NotFound => "not-found",
            Self::Disabled => "disabled",
            Self::Field => "field",
            Self::Key { .. } => "key",
            Self::TooLarge { .. } => "too-large",
            Self::Empty => "empty",
            Self::Malformed { .. } => "malformed",
            Self::OtherKey => "other-key",
            Self::Forged => "forged",
            Self::File(_) => "file",
            Self::Unsafe { .. } => "unsafe",
            Self::NotConfigured => "not-configured",
            Self::Unsupported { .. } => "unsupported",
        }
    }

    /// What an operator does about it: one or two sentences.
    pub fn advice(&self) -> String {
        let text = match self {
            Self::Unreachable(fault) => return fault.advice().to_owned(),
            Self::Identity(error) => return error.advice().to_owned(),
            Self::TimedOut => {
                "See whether the source is slow or a firewall drops packets; `timeout` of the \
                 source bounds one fetch."
            }
            Self::Protocol => {
                "See whether the address and port are those of the source and not of a proxy."
            }
            Self::Throttled { retry_after } => {
                let wait = match retry_after {
                    Some(wait) => format!(
                        "It is asked again in {} s at the earliest. ",
                        wait.as_secs()
                    ),
                    None => "It is asked again later, each time after a longer wait. ".to_owned(),
                };
                return wait
                    + "If this goes on, raise `refresh` of the source or spread its \
                               secrets over several sources.";
            }
            Self::Failing { .. } => {
                "The source itself is not well; see its own status and logs. It is asked again \
                 later."
            }
            Self::Sealed => "Unseal it, for OpenBao with `bao operator unseal`.",
            Self::Standby => {
                "Let `address` name the active instance, or a load balancer that asks for it."
            }
            Self::Challenge(_) => {
                "No token was sent. If the source really moved, correct `vault`, `authority`, \
                 `tenant` or `resource` of the source; else somebody stands between: find out \
                 who answers at that address."
            }
            Self::Unauthenticated => {
                "See whether the identity and the tenant are those that the source trusts, and \
                 whether this machine's clock is right."
            }
            Self::Denied { firewall: true } => {
                "Let the source's firewall allow this machine's network, or use its private \
                 address with `networks`."
            }
            Self::Denied { firewall: false } => {
                "Give the identity the right to read this secret (Key Vault: the role Key Vault \
                 Secrets User; OpenBao: `read` on its path). New rights may take some minutes."
            }
            Self::NotFound => {
                "See whether the key, and the version if it names one, is written as the source \
                 has it, and whether the secret was deleted there."
            }
            Self::Disabled => "Enable it in the source, or let the secret have another origin.",
            Self::Field => "Write which field: the reference's key is PATH#FIELD.",
            Self::Key { expected } => return format!("Correct the reference: {expected}."),
            Self::TooLarge { .. } => "Secrets are small: see whether the key is the one you mean.",
            Self::Empty => "Set a value in the source.",
            Self::Malformed { .. } => {
                "See whether the address is that of a source of this kind, and its version one \
                 that is supported."
            }
            Self::OtherKey => {
                "Put the certificate of a version that is there: `keyward secret rotate NAME \
                 --from-file CHAIN.pem`; or let the reference name the key that it is of."
            }
            Self::Forged => {
                "Nothing was sent with it. See whether the key was replaced just now; else \
                 somebody stands between, or the server is not what it says it is."
            }
            Self::File(io::ErrorKind::NotFound) => {
                "See whether the folder is mounted and the file is there."
            }
            Self::File(io::ErrorKind::PermissionDenied) => {
                "Let the user that Keyward runs as read the file."
            }
            Self::File(_) => "See whether the folder is mounted and the file can be read.",
            Self::Unsafe { .. } => {
                "Let it be a plain file inside of the folder that belongs to root or to the user \
                 that Keyward runs as; nobody else may write to either, or read the file."
            }
            Self::NotConfigured => {
                "Add [sources.NAME] with its `kind` to keyward.toml and reload, or let the secret \
                 have another origin."
            }
            Self::Unsupported { .. } => "Use a source of a kind that can.",
        };
        text.to_owned()
    }
}

impl From<NotASourceVersion> for SourceError {
    fn from(_: NotASourceVersion) -> Self {
        Self::Malformed { what: "version" }
    }
}

impl From<SourceTransportError> for SourceError {
    fn from(error: SourceTransportError) -> Self {
        match error {
            SourceTransportError::Unreachable(Stage::ResolveTimeout | Stage::Busy)
            | SourceTransportError::TimedOut => Self::TimedOut,
            SourceTransportError::Unreachable(stage) => {
                Self::Unreachable(Unreachable::from_stage(stage))
            }
            SourceTransportError::TooLarge { limit } => Self::TooLarge { max: limit },
            SourceTransportError::NotPinned | SourceTransportError::Invalid => Self::Unsupported {
                what: "this request",
            },
            SourceTransportError::Protocol => Self::Protocol,
        }
    }
}

impl Unreachable {
    /// From how far a connection came.
    pub(crate) fn from_stage(stage: Stage) -> Self {
        match stage {
            Stage::Resolve | Stage::ResolveTimeout => Self::Resolve,
            Stage::Network => Self::Address,
            Stage::Tls | Stage::NotShown | Stage::NotSigned => Self::Certificate,
            Stage::TlsTimeout => Self::Tls,
            Stage::Busy | Stage::Connect | Stage::ConnectTimeout | Stage::Closed => Self::Connect,
        }
    }

    fn advice(self) -> &'static str {
        match self {
            Self::Resolve => {
                "See whether the source's host is written as it is called, and whether this \
                 machine's resolver knows it."
            }
            Self::Address => {
                "If the source really has a private address, list its network in `networks` of \
                 the source."
            }
            Self::Connect => {
                "See whether the source runs and a firewall lets this machine reach it."
            }
            Self::Certificate => {
                "Put the authority that signed the source's certificate into `ca-file` of the \
                 source, or see whether the host's name is the one in the certificate."
            }
            Self::Tls => "See whether the source speaks TLS 1.2 or 1.3 on that port.",
        }
    }
}

impl ChallengeError {
    /// The error in one word of a closed list, for logs and the audit trail.
    pub fn word(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLarge => "too-large",
            Self::Authority => "authority",
            Self::Tenant => "tenant",
            Self::Resource => "resource",
            Self::Scheme => "scheme",
            Self::UserInfo => "userinfo",
            Self::Port => "port",
            Self::Redirect => "redirect",
        }
    }
}

impl IdentityError {
    /// What an operator does about it: one or two sentences.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Authority(fault) => fault.advice(),
            Self::Resource => {
                "See whether `resource` of the source is written as its documentation has it, such \
                 as https://vault.azure.net."
            }
            // Microsoft, "Microsoft Entra authentication and authorization error codes".
            Self::Entra { code } => match code {
                700_016 => "See whether `client-id` is an application or identity of `tenant`.",
                90_002 | 900_023 => "See whether `tenant` is the tenant's id.",
                70_021 | 700_211 | 700_212 | 700_213 => {
                    "Let the identity trust this service account: a federated credential with its \
                     issuer, subject and audience, exactly as they are in the token's file."
                }
                700_024 | 700_027 => {
                    "The federated token has ended or is not signed by its issuer's current key; \
                     see whether the platform still renews its file, and whether this machine's \
                     clock is right."
                }
                50_001 | 500_011 => {
                    "See whether `resource` of the source is written as its documentation has it, \
                     such as https://vault.azure.net, and known in `tenant`."
                }
                7_000_112 | 7_000_215 | 7_000_222 => {
                    "The application is disabled, or its credential is wrong or has ended; see it \
                     in the tenant."
                }
                _ => "Look the number up in Microsoft's list of Entra error codes.",
            },
            Self::Platform { .. } => {
                "Use IMDS, App Service or workload identity, and a client id with the latter."
            }
            Self::NoEndpoint => {
                "Run on a machine, app or pod of Azure that has an identity, or name another \
                 `platform` of the source."
            }
            Self::NotAssigned => {
                "Assign the identity to this machine or app; `client-id` is the client id, not \
                 the object id of its principal."
            }
            Self::Ambiguous => "Name one with `client-id` of the source.",
            Self::Throttled | Self::TimedOut | Self::Failing { .. } => {
                "It is asked again later. Seen right after a start, it often passes by itself."
            }
            Self::Environment { .. } => {
                "See whether the platform sets it for this process and `platform` of the source \
                 is right."
            }
            Self::CredentialFile => {
                "See whether the file is mounted, can be read by the user that Keyward runs as, \
                 and holds one credential."
            }
            Self::LoginRefused => {
                "See whether the role or application exists, trusts this credential, and the \
                 credential has not expired."
            }
            Self::WrongToken => "See whether `tenant` and the source's resource are right.",
            Self::Malformed => "See whether the endpoint is the platform's own.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_concerns_one_key_does_not_stop_the_others() {
        assert!(!SourceError::NotFound.is_of_source());
        assert!(!SourceError::Denied { firewall: false }.is_of_source());
        assert!(SourceError::Denied { firewall: true }.is_of_source());
        assert!(SourceError::Sealed.is_of_source());
    }

    #[test]
    fn advice_is_a_sentence_that_says_what_to_do() {
        for error in [
            SourceError::Unreachable(Unreachable::Certificate),
            SourceError::Throttled {
                retry_after: Some(Duration::from_secs(7)),
            },
            SourceError::Identity(IdentityError::NotAssigned),
            SourceError::Key {
                expected: "a name of letters, digits and dashes",
            },
            SourceError::File(io::ErrorKind::NotFound),
        ] {
            assert!(error.advice().ends_with('.'), "{error}: {}", error.advice());
        }
    }
}
