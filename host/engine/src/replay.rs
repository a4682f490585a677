//! Answers from a record in place of the host's: what an observer says instead, as the
//! values that a guest gets.

use wasmtime::component::Resource;

use crate::bindings::keyward::policy::cache::CacheFailure;
use crate::bindings::keyward::policy::counters::CounterFailure;
use crate::bindings::keyward::policy::egress::{CallFailure, EgressFailure};
use crate::bindings::keyward::policy::exchange::{
    ClientCertificate, ExchangeFailure, ForwardFailure, RequestLine,
};
use crate::bindings::keyward::policy::secrets::{
    JwtFailure, QueryFailure, QueryRows, QueryValue, SecretFailure, VerifiedJwt,
};
use crate::bindings::keyward::policy::variables::VariableFailure;
use crate::body::{Cursor, PolicyBody};
use crate::observe::GuestValue;
use crate::state::{
    CallState, ClientKeysHandle, ConnectionHandle, CredentialHandle, DatabaseHandle,
    JwsSignerHandle, JwtVerifierHandle, MacSignerHandle, MacVerifierHandle, OpenerHandle,
    PlaceHandle, PolicyRequest, PolicyResponse, PresignerHandle, SealerHandle, SharedAccessHandle,
    SignerHandle, TlsIdentityHandle, TokenHandle,
};

/// A type that a recorded value can be given as.
pub(crate) trait Given: Sized {
    /// `None`: the value is of another type.
    fn given(value: &GuestValue, state: &mut CallState) -> Option<Self>;
}

macro_rules! given {
    ($($type:ty: $pattern:pat => $given:expr;)+) => {$(
        impl Given for $type {
            fn given(value: &GuestValue, _state: &mut CallState) -> Option<Self> {
                match value {
                    $pattern => $given,
                    _ => None,
                }
            }
        }
    )+};
}

given! {
    (): GuestValue::Nothing => Some(());
    bool: GuestValue::Flag(flag) => Some(*flag);
    u16: GuestValue::Number(number) => u16::try_from(*number).ok();
    u64: GuestValue::Number(number) => Some(*number);
    String: GuestValue::Text(text) => Some(text.clone());
    Vec<u8>: GuestValue::Bytes(bytes) => Some(bytes.clone());
}

impl Given for Vec<String> {
    fn given(value: &GuestValue, state: &mut CallState) -> Option<Self> {
        list(value, state)
    }
}

impl Given for Vec<Vec<u8>> {
    fn given(value: &GuestValue, state: &mut CallState) -> Option<Self> {
        list(value, state)
    }
}

// `Vec<u8>` is no list: bytes are one value.
fn list<T: Given>(value: &GuestValue, state: &mut CallState) -> Option<Vec<T>> {
    let GuestValue::List(values) = value else {
        return None;
    };
    values.iter().map(|value| T::given(value, state)).collect()
}

impl<T: Given> Given for Option<T> {
    fn given(value: &GuestValue, state: &mut CallState) -> Option<Self> {
        match value {
            GuestValue::Nothing => Some(None),
            value => T::given(value, state).map(Some),
        }
    }
}

impl<T: Given, E: Failed> Given for Result<T, E> {
    fn given(value: &GuestValue, state: &mut CallState) -> Option<Self> {
        match value {
            GuestValue::Failure(word) => {
                let failure = E::ALL.iter().find(|(known, _)| *known == word);
                failure.map(|(_, failure)| Err(*failure))
            }
            value => T::given(value, state).map(Ok),
        }
    }
}

macro_rules! never_given {
    ($($handle:ty),+) => {$(
        /// Guests open these themselves; the host's are as good.
        impl Given for Resource<$handle> {
            fn given(_value: &GuestValue, _state: &mut CallState) -> Option<Self> {
                None
            }
        }
    )+};
}

never_given!(
    PolicyRequest,
    PlaceHandle,
    CredentialHandle,
    SignerHandle,
    TokenHandle,
    MacSignerHandle,
    MacVerifierHandle,
    ClientKeysHandle,
    SharedAccessHandle,
    PresignerHandle,
    ConnectionHandle,
    JwtVerifierHandle,
    DatabaseHandle,
    SealerHandle,
    OpenerHandle,
    TlsIdentityHandle,
    JwsSignerHandle
);

/// The answer to a request that was never sent: what it holds is recorded, too.
impl Given for Resource<PolicyResponse> {
    fn given(value: &GuestValue, state: &mut CallState) -> Option<Self> {
        let GuestValue::Handle(..) = value else {
            return None;
        };
        let response = PolicyResponse {
            status: 0,
            headers: http::HeaderMap::new(),
            body: PolicyBody::empty(),
            cursor: Cursor::default(),
            until: None,
        };
        state.table.push(response).ok()
    }
}

impl Given for ClientCertificate {
    fn given(value: &GuestValue, state: &mut CallState) -> Option<Self> {
        let field = |name| field(value, name);
        Some(ClientCertificate {
            subject: Given::given(field("subject")?, state)?,
            issuer: Given::given(field("issuer")?, state)?,
            serial: Given::given(field("serial")?, state)?,
            dns_names: Given::given(field("dns-names")?, state)?,
            uris: Given::given(field("uris")?, state)?,
            sha256: Given::given(field("sha256")?, state)?,
            not_before: Given::given(field("not-before")?, state)?,
            not_after: Given::given(field("not-after")?, state)?,
        })
    }
}

impl Given for RequestLine {
    fn given(value: &GuestValue, state: &mut CallState) -> Option<Self> {
        Some(RequestLine {
            method: Given::given(field(value, "method")?, state)?,
            path: Given::given(field(value, "path")?, state)?,
            query: Given::given(field(value, "query")?, state)?,
        })
    }
}

impl Given for ForwardFailure {
    fn given(value: &GuestValue, _state: &mut CallState) -> Option<Self> {
        let GuestValue::Failure(word) = value else {
            return None;
        };
        let known = Self::ALL.iter().find(|(known, _)| *known == word);
        known.map(|(_, failure)| *failure)
    }
}

impl Given for VerifiedJwt {
    fn given(value: &GuestValue, state: &mut CallState) -> Option<Self> {
        let field = |name| field(value, name);
        Some(VerifiedJwt {
            claims: Given::given(field("claims")?, state)?,
            algorithm: Given::given(field("algorithm")?, state)?,
            key_id: Given::given(field("key-id")?, state)?,
            token_type: Given::given(field("token-type")?, state)?,
        })
    }
}

impl Given for QueryRows {
    fn given(value: &GuestValue, state: &mut CallState) -> Option<Self> {
        let field = |name| field(value, name);
        let rows = match field("rows")? {
            GuestValue::List(rows) => rows.iter().map(|row| match row {
                GuestValue::List(values) => values.iter().map(query_value).collect(),
                _ => None,
            }),
            _ => return None,
        };
        Some(Self {
            rows: rows.collect::<Option<_>>()?,
            columns: Given::given(field("columns")?, state)?,
            affected: Given::given(field("affected")?, state)?,
        })
    }
}

/// A field of a record.
fn field<'v>(value: &'v GuestValue, name: &str) -> Option<&'v GuestValue> {
    let GuestValue::Record(fields) = value else {
        return None;
    };
    let mut fields = fields.iter();
    fields
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value)
}

/// A value of a query, from a record of one field that is called like its case.
fn query_value(value: &GuestValue) -> Option<QueryValue> {
    let fields = match value {
        GuestValue::Nothing => return Some(QueryValue::Null),
        GuestValue::Record(fields) => fields,
        _ => return None,
    };
    let [(case, value)] = fields.as_slice() else {
        return None;
    };
    Some(match (&**case, value) {
        ("boolean", GuestValue::Flag(flag)) => QueryValue::Boolean(*flag),
        ("integer", GuestValue::Text(number)) => QueryValue::Integer(number.parse().ok()?),
        ("float", GuestValue::Text(number)) => QueryValue::Float(number.parse().ok()?),
        ("text", GuestValue::Text(text)) => QueryValue::Text(text.clone()),
        ("bytes", GuestValue::Bytes(bytes)) => QueryValue::Bytes(bytes.clone()),
        ("timestamp", GuestValue::Text(number)) => QueryValue::Timestamp(number.parse().ok()?),
        _ => return None,
    })
}

/// An enum of failures, by its words in `wit/`.
pub(crate) trait Failed: Copy + PartialEq + 'static {
    const ALL: &'static [(&'static str, Self)];
}

macro_rules! failed {
    ($($type:ident { $($word:literal = $case:ident),+ })+) => {$(
        impl Failed for $type {
            const ALL: &'static [(&'static str, Self)] = &[$(($word, $type::$case)),+];
        }
    )+};
}

failed! {
    ExchangeFailure {
        "wrong-phase" = WrongPhase, "invalid" = Invalid, "limit" = Limit,
        "unavailable" = Unavailable
    }
    EgressFailure {
        "denied" = Denied, "invalid" = Invalid, "limit" = Limit,
        "unavailable" = Unavailable, "upstream" = Upstream
    }
    CallFailure {
        "denied" = Denied, "invalid" = Invalid, "limit" = Limit, "timed-out" = TimedOut,
        "unavailable" = Unavailable, "upstream" = Upstream
    }
    SecretFailure {
        "denied" = Denied, "invalid" = Invalid, "exhausted" = Exhausted,
        "unavailable" = Unavailable
    }
    JwtFailure {
        "denied" = Denied, "exhausted" = Exhausted, "unavailable" = Unavailable,
        "missing" = Missing, "malformed" = Malformed, "algorithm" = Algorithm,
        "signature" = Signature, "expired" = Expired, "not-yet-valid" = NotYetValid,
        "issuer" = Issuer, "audience" = Audience
    }
    QueryFailure {
        "denied" = Denied, "invalid" = Invalid, "exhausted" = Exhausted, "limit" = Limit,
        "unavailable" = Unavailable, "upstream" = Upstream
    }
    CounterFailure { "invalid" = Invalid, "unavailable" = Unavailable }
    CacheFailure { "invalid" = Invalid, "limit" = Limit, "unavailable" = Unavailable }
    ForwardFailure {
        "wrong-phase" = WrongPhase, "denied" = Denied, "invalid" = Invalid, "limit" = Limit,
        "body-gone" = BodyGone, "timed-out" = TimedOut, "unavailable" = Unavailable,
        "upstream" = Upstream
    }
    VariableFailure { "invalid" = Invalid, "limit" = Limit }
}
