//! Watching what guests do: each call into the host with what was given and answered,
//! and each guest's memory after a call. For tests of policies and their authors.
//!
//! An engine without an observer has none of this on its way: which functions guests
//! are linked with is decided when a profile's linker is made.

use std::borrow::Cow;

use keyward_names::ExchangeId;
use keyward_vault::{Refusal, Use};
use wasmtime::component::Resource;

use crate::bindings::keyward::policy::cache::CacheFailure;
use crate::bindings::keyward::policy::counters::CounterFailure;
use crate::bindings::keyward::policy::egress::{CallFailure, EgressFailure};
use crate::bindings::keyward::policy::exchange::{
    ClientCertificate, ExchangeFailure, ForwardFailure, ForwardOptions, ForwardPlan, RequestLine,
    Side,
};
use crate::bindings::keyward::policy::log::Level;
use crate::bindings::keyward::policy::secrets::{
    ClaimValue, JwtFailure, QueryFailure, QueryRows, QueryValue, SecretFailure,
    SharedAccessPermissions, SharedAccessScope, SharedAccessTerms, TokenClaims, VerifiedJwt,
};
use crate::bindings::keyward::policy::variables::VariableFailure;
use crate::bindings::keyward::policy::{
    cache, clock, concurrency, counters, egress, exchange, log, random, secrets, variables,
};
use crate::error::PolicyStop;
use crate::exchange::{Exchange, Phase};
use crate::load::Policy;
use crate::replay::{Failed, Given};
use crate::report::Used;
use crate::run::Verdict;
use crate::state::{
    CallState, ClientKeysHandle, ConnectionHandle, CredentialHandle, DatabaseHandle,
    ExchangeHandle, JwsSignerHandle, JwtVerifierHandle, MacSignerHandle, MacVerifierHandle,
    OpenerHandle, PlaceHandle, PolicyRequest, PolicyResponse, PresignerHandle, SealerHandle,
    SharedAccessHandle, SignerHandle, TlsIdentityHandle, TokenHandle, TokenKeys,
};

/// Watches policies run. It gets all that guests get and give, so it is for tests and
/// for authors, and never for an engine that serves.
///
/// Called on the thread that runs the policy. Implementations must not panic.
pub trait Observer: Send + Sync + 'static {
    /// A policy's call of a phase begins.
    fn began(&self, policy: &Policy, phase: Phase, exchange: ExchangeId) {
        let _ = (policy, phase, exchange);
    }

    /// The guest calls the host.
    fn entered(&self, exchange: ExchangeId) {
        let _ = exchange;
    }

    /// What the guest is answered in place of what the host would; `None`: the host
    /// answers. [`GuestValue::Stopped`] stops the guest, and so does a value of another
    /// type than the function's. Handles are always the host's: it opens them where the
    /// answer is one, and takes them back.
    fn instead(
        &self,
        exchange: ExchangeId,
        function: &'static str,
        arguments: &[(&'static str, GuestValue)],
    ) -> Option<GuestValue> {
        let _ = (exchange, function, arguments);
        None
    }

    /// The host has answered.
    fn answered(&self, exchange: ExchangeId, call: GuestCall) {
        let _ = (exchange, call);
    }

    /// A memory of the guest's as the call left it. Only with `guest_debug` set in the
    /// configuration is there anything to see.
    #[cfg(feature = "guest-debug")]
    fn memory(&self, exchange: ExchangeId, memory: &[u8]) {
        let _ = (exchange, memory);
    }

    /// The policy's call is over.
    fn ended(&self, exchange: &Exchange, verdict: Result<Verdict, PolicyStop>, used: Used) {
        let _ = (exchange, verdict, used);
    }
}

/// A call of a guest into the host.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GuestCall {
    /// The interface, the resource if there is one, and the function, as `wit/` calls
    /// them: `secrets.credential.attach`.
    pub function: &'static str,
    /// What was given, by the names of the parameters; the exchange is left out.
    pub arguments: Vec<(&'static str, GuestValue)>,
    /// What was answered.
    pub answer: GuestValue,
    /// Why a use of a secret was denied; the guest is told only that it was.
    pub refusal: Option<Refusal>,
}

/// A value that crossed between a guest and the host.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum GuestValue {
    /// Nothing: of a function without a result, or an option without a value.
    Nothing,
    /// A truth.
    Flag(bool),
    /// A number.
    Number(u64),
    /// A case of an enum, as `wit/` calls it.
    Word(String),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A handle: its number, and what it is of: a secret's alias, a request's route.
    Handle(u32, Option<String>),
    /// A list.
    List(Vec<GuestValue>),
    /// A record: its fields, as `wit/` calls them.
    Record(Vec<(Cow<'static, str>, GuestValue)>),
    /// The error of a result, as `wit/` calls it.
    Failure(String),
    /// None: the host stopped the guest.
    Stopped,
}

/// The store's data, watched.
pub(crate) struct Watched<'a>(pub(crate) &'a mut CallState);

/// Tells the generated code that the store's data, watched, implements the imports.
pub(crate) struct HasWatched;

impl wasmtime::component::HasData for HasWatched {
    type Data<'a> = Watched<'a>;
}

impl Watched<'_> {
    fn entered(&self) {
        if let Some(observer) = &self.0.shared.observer {
            observer.entered(self.0.exchange.id);
        }
    }

    fn instead<T: Given>(
        &mut self,
        function: &'static str,
        arguments: &[(&'static str, GuestValue)],
    ) -> Option<wasmtime::Result<T>> {
        let observer = self.0.shared.observer.clone()?;
        let value = observer.instead(self.0.exchange.id, function, arguments)?;
        let stopped = |why| Some(Err(wasmtime::Error::msg(why)));
        match (T::given(&value, self.0), value) {
            (_, GuestValue::Stopped) => stopped("stopped by the observer"),
            _ if function.ends_with(".drop") => None,
            (Some(answer), _) => Some(Ok(answer)),
            (None, GuestValue::Handle(..)) => None,
            (None, _) => stopped("the observer's answer is of another type"),
        }
    }

    fn answered<T: Shown>(
        &self,
        function: &'static str,
        arguments: Vec<(&'static str, GuestValue)>,
        answer: &wasmtime::Result<T>,
    ) {
        let Some(observer) = &self.0.shared.observer else {
            return;
        };
        let answer = match answer {
            Ok(answer) => answer.shown(self.0),
            Err(_) => GuestValue::Stopped,
        };
        let denied = answer == GuestValue::Failure("denied".to_owned());
        let use_ = use_of(function).filter(|_| denied);
        let refusal = use_.and_then(|use_| {
            let mut known = self.0.exchange.ledger.refusals().iter().rev();
            let own = &self.0.policy.identity.name;
            known.find(|known| known.use_ == use_ && known.policy == *own)
        });
        let call = GuestCall {
            function,
            arguments,
            answer,
            refusal: refusal.cloned(),
        };
        observer.answered(self.0.exchange.id, call);
    }
}

/// What a function uses a secret for.
fn use_of(function: &str) -> Option<Use> {
    let resource = function.strip_prefix("secrets.")?.split('.').next()?;
    Some(match resource {
        "credential" => Use::Attach,
        "signer" => Use::SignRequest,
        "mac-signer" => Use::MacSign,
        "mac-verifier" => Use::MacVerify,
        "client-keys" => Use::Identify,
        "shared-access" => Use::Sas,
        "presigner" => Use::Presign,
        "connection" => Use::Describe,
        "token" => Use::Token,
        "database" => Use::Query,
        "tls-identity" => Use::Present,
        "jws-signer" => Use::JwsSign,
        "sealer" => Use::Seal,
        "opener" => Use::Open,
        "jwt-verifier" => Use::VerifyJwt,
        _ => return None,
    })
}

/// What a shared access signature is asked to allow, in words.
const SHARED_ACCESS: [(SharedAccessPermissions, &str); 9] = {
    use SharedAccessPermissions as Asked;
    [
        (Asked::READ, "read"),
        (Asked::ADD, "add"),
        (Asked::CREATE, "create"),
        (Asked::WRITE, "write"),
        (Asked::DELETE, "delete"),
        (Asked::LIST, "list"),
        (Asked::TAGS, "tags"),
        (Asked::UPDATE, "update"),
        (Asked::PROCESS, "process"),
    ]
};

/// What crosses, as a value to look at.
trait Shown {
    fn shown(&self, state: &CallState) -> GuestValue;
}

macro_rules! shown {
    ($($type:ty: |$it:ident, $state:ident| $shown:expr;)+) => {$(
        impl Shown for $type {
            fn shown(&self, $state: &CallState) -> GuestValue {
                let $it = self;
                $shown
            }
        }
    )+};
}

shown! {
    (): |_it, _state| GuestValue::Nothing;
    bool: |it, _state| GuestValue::Flag(*it);
    u16: |it, _state| GuestValue::Number(u64::from(*it));
    u32: |it, _state| GuestValue::Number(u64::from(*it));
    u64: |it, _state| GuestValue::Number(*it);
    String: |it, _state| GuestValue::Text(it.clone());
    Vec<u8>: |it, _state| GuestValue::Bytes(it.clone());
    Vec<(String, String)>: |it, _state| {
        let pair = |(name, text): &(String, String)| {
            let texts = [name, text].into_iter().cloned();
            GuestValue::List(texts.map(GuestValue::Text).collect())
        };
        GuestValue::List(it.iter().map(pair).collect())
    };
    Vec<String>: |it, _state| {
        GuestValue::List(it.iter().cloned().map(GuestValue::Text).collect())
    };
    Vec<Vec<u8>>: |it, _state| {
        GuestValue::List(it.iter().cloned().map(GuestValue::Bytes).collect())
    };
    Side: |it, _state| GuestValue::Word(word(it));
    Level: |it, _state| GuestValue::Word(word(it));
    ClientCertificate: |it, state| record([
        ("subject", it.subject.shown(state)),
        ("issuer", it.issuer.shown(state)),
        ("serial", it.serial.shown(state)),
        ("dns-names", it.dns_names.shown(state)),
        ("uris", it.uris.shown(state)),
        ("sha256", it.sha256.shown(state)),
        ("not-before", it.not_before.shown(state)),
        ("not-after", it.not_after.shown(state)),
    ]);
    RequestLine: |it, state| record([
        ("method", it.method.shown(state)),
        ("path", it.path.shown(state)),
        ("query", it.query.shown(state)),
    ]);
    SharedAccessScope: |it, _state| GuestValue::Word(word(it));
    SharedAccessPermissions: |it, _state| GuestValue::List(
        SHARED_ACCESS
            .iter()
            .filter(|(flag, _)| it.contains(*flag))
            .map(|(_, word)| GuestValue::Word((*word).to_owned()))
            .collect(),
    );
    SharedAccessTerms: |it, state| record([
        ("scope", it.scope.shown(state)),
        ("permissions", it.permissions.shown(state)),
        ("lifetime-seconds", it.lifetime_seconds.shown(state)),
    ]);
    ClaimValue: |it, state| match it {
        ClaimValue::Text(text) => text.shown(state),
        ClaimValue::Integer(number) => GuestValue::Text(number.to_string()),
        ClaimValue::Flag(flag) => flag.shown(state),
        ClaimValue::Texts(texts) => texts.shown(state),
    };
    TokenClaims: |it, state| record([
        ("audience", it.audience.shown(state)),
        ("subject", it.subject.shown(state)),
        (
            "extra",
            GuestValue::List(
                it.extra
                    .iter()
                    .map(|claim| {
                        record([
                            ("name", claim.name.shown(state)),
                            ("value", claim.value.shown(state)),
                        ])
                    })
                    .collect(),
            ),
        ),
    ]);
    ExchangeFailure: |it, _state| failure(it);
    EgressFailure: |it, _state| failure(it);
    SecretFailure: |it, _state| failure(it);
    JwtFailure: |it, _state| failure(it);
    VerifiedJwt: |it, state| record([
        ("claims", it.claims.shown(state)),
        ("algorithm", it.algorithm.shown(state)),
        ("key-id", it.key_id.shown(state)),
        ("token-type", it.token_type.shown(state)),
    ]);
    Resource<JwtVerifierHandle>: |it, state| {
        let keys = state.table.get(it).ok().map(|handle| match &handle.0 {
            TokenKeys::Secret(alias) => alias.0.to_string(),
            TokenKeys::Issuer(name) => name.to_string(),
        });
        GuestValue::Handle(it.rep(), keys)
    };
    QueryFailure: |it, _state| failure(it);
    Vec<QueryValue>: |it, _state| GuestValue::List(it.iter().map(query_value).collect());
    QueryRows: |it, state| record([
        ("columns", it.columns.shown(state)),
        ("rows", GuestValue::List(it.rows.iter().map(|row| row.shown(state)).collect())),
        ("affected", it.affected.shown(state)),
    ]);
    CounterFailure: |it, _state| failure(it);
    VariableFailure: |it, _state| failure(it);
    CacheFailure: |it, _state| failure(it);
    ForwardFailure: |it, _state| failure(it);
    CallFailure: |it, _state| failure(it);
    ForwardPlan: |it, state| record([
        ("route", it.route.shown(state)),
        ("path-prefix", it.path_prefix.shown(state)),
        ("timeout-milliseconds", it.timeout_milliseconds.shown(state)),
    ]);
    ForwardOptions: |it, state| record([
        ("route", it.route.shown(state)),
        ("timeout-milliseconds", it.timeout_milliseconds.shown(state)),
        ("keep-body", it.keep_body.shown(state)),
    ]);
    Resource<PlaceHandle>: |it, _state| GuestValue::Handle(it.rep(), None);
    Resource<PolicyResponse>: |it, _state| GuestValue::Handle(it.rep(), None);
    Resource<PolicyRequest>: |it, state| {
        let request = state.table.get(it).ok();
        GuestValue::Handle(it.rep(), request.map(|request| request.route.to_string()))
    };
}

macro_rules! shown_aliases {
    ($($handle:ident),+) => {$(
        impl Shown for Resource<$handle> {
            fn shown(&self, state: &CallState) -> GuestValue {
                let alias = state.table.get(self).ok();
                GuestValue::Handle(self.rep(), alias.map(|handle| handle.0.0.to_string()))
            }
        }
    )+};
}

shown_aliases!(
    CredentialHandle,
    SignerHandle,
    TokenHandle,
    MacSignerHandle,
    MacVerifierHandle,
    ClientKeysHandle,
    SharedAccessHandle,
    PresignerHandle,
    ConnectionHandle,
    DatabaseHandle,
    SealerHandle,
    OpenerHandle,
    TlsIdentityHandle,
    JwsSignerHandle
);

impl<T: Shown> Shown for Option<T> {
    fn shown(&self, state: &CallState) -> GuestValue {
        match self {
            Some(value) => value.shown(state),
            None => GuestValue::Nothing,
        }
    }
}

impl<T: Shown, E: Shown> Shown for Result<T, E> {
    fn shown(&self, state: &CallState) -> GuestValue {
        match self {
            Ok(value) => value.shown(state),
            Err(failure) => failure.shown(state),
        }
    }
}

/// A value of a query: a record of one field that is called like its case.
fn query_value(value: &QueryValue) -> GuestValue {
    let (case, value) = match value {
        QueryValue::Null => return GuestValue::Nothing,
        QueryValue::Boolean(value) => ("boolean", GuestValue::Flag(*value)),
        QueryValue::Integer(value) => ("integer", GuestValue::Text(value.to_string())),
        QueryValue::Float(value) => ("float", GuestValue::Text(value.to_string())),
        QueryValue::Text(value) => ("text", GuestValue::Text(value.clone())),
        QueryValue::Bytes(value) => ("bytes", GuestValue::Bytes(value.clone())),
        QueryValue::Timestamp(value) => ("timestamp", GuestValue::Text(value.to_string())),
    };
    record([(case, value)])
}

fn record<const N: usize>(fields: [(&'static str, GuestValue); N]) -> GuestValue {
    let fields = fields.into_iter();
    GuestValue::Record(fields.map(|(name, value)| (name.into(), value)).collect())
}

/// A failure, as `wit/` calls it.
fn failure<F: Failed>(failure: &F) -> GuestValue {
    let known = F::ALL.iter().find(|(_, known)| known == failure);
    GuestValue::Failure(known.map_or("unknown", |(word, _)| word).to_owned())
}

/// `request` of `Side::Request`.
fn word(value: &impl std::fmt::Debug) -> String {
    let written = format!("{value:?}");
    let case = written.rsplit("::").next().unwrap_or_default();
    let mut text = String::with_capacity(case.len() + 2);
    for letter in case.chars() {
        if letter.is_ascii_uppercase() && !text.is_empty() {
            text.push('-');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

/// Writes functions of the imports that say to the observer what they were given and
/// what they answered, and leave the work to the store's data. The exchange, which
/// every function of its interface gets, is no argument worth showing.
macro_rules! watched {
    ($host:path, $interface:literal {
        $(fn $name:ident as $wit:literal (
            $($hidden:ident: $hidden_type:ty,)? ; $($argument:ident: $type:ty),*
        ) -> $answer:ty;)*
        $(async fn $async_name:ident as $async_wit:literal (
            $($async_hidden:ident: $async_hidden_type:ty,)? ;
            $($async_argument:ident: $async_type:ty),*
        ) -> $async_answer:ty;)*
    }) => {
        impl $host for Watched<'_> {
            $(fn $name(
                &mut self,
                $($hidden: $hidden_type,)?
                $($argument: $type),*
            ) -> wasmtime::Result<$answer> {
                let arguments = vec![$((stringify!($argument), $argument.shown(self.0))),*];
                self.entered();
                let answer = match self.instead(concat!($interface, ".", $wit), &arguments) {
                    Some(answer) => answer,
                    None => <CallState as $host>::$name(
                        self.0, $($hidden,)? $($argument),*
                    ),
                };
                self.answered(concat!($interface, ".", $wit), arguments, &answer);
                answer
            })*
            $(async fn $async_name(
                &mut self,
                $($async_hidden: $async_hidden_type,)?
                $($async_argument: $async_type),*
            ) -> wasmtime::Result<$async_answer> {
                let arguments = vec![
                    $((stringify!($async_argument), $async_argument.shown(self.0))),*
                ];
                self.entered();
                let instead = self.instead(concat!($interface, ".", $async_wit), &arguments);
                let answer = match instead {
                    Some(answer) => answer,
                    None => <CallState as $host>::$async_name(
                        self.0, $($async_hidden,)? $($async_argument),*
                    ).await,
                };
                self.answered(concat!($interface, ".", $async_wit), arguments, &answer);
                answer
            })*
        }
    };
}

type Exchanged<T> = Result<T, ExchangeFailure>;
type Sent<T> = Result<T, EgressFailure>;
type UsedSecret<T> = Result<T, SecretFailure>;

impl exchange::Host for Watched<'_> {}
impl secrets::Host for Watched<'_> {}

watched!(exchange::HostExchange, "exchange" {
    fn id as "id" (this: Resource<ExchangeHandle>,;) -> String;
    fn client_address as "client-address" (this: Resource<ExchangeHandle>,;) -> String;
    fn server_name as "server-name" (this: Resource<ExchangeHandle>,;) -> Option<String>;
    fn client_certificate as "client-certificate" (this: Resource<ExchangeHandle>,;)
        -> Option<ClientCertificate>;
    fn method as "method" (this: Resource<ExchangeHandle>,;) -> String;
    fn authority as "authority" (this: Resource<ExchangeHandle>,;) -> String;
    fn path as "path" (this: Resource<ExchangeHandle>,;) -> String;
    fn query as "query" (this: Resource<ExchangeHandle>,; name: String) -> Option<String>;
    fn set_path as "set-path" (this: Resource<ExchangeHandle>,; path: String) -> Exchanged<()>;
    fn set_query as "set-query" (this: Resource<ExchangeHandle>,; name: String, value: String)
        -> Exchanged<()>;
    fn header as "header" (this: Resource<ExchangeHandle>,; of: Side, name: String, index: u32)
        -> Option<Vec<u8>>;
    fn header_values as "header-values" (
        this: Resource<ExchangeHandle>,; of: Side, name: String
    ) -> Vec<Vec<u8>>;
    fn header_names as "header-names" (this: Resource<ExchangeHandle>,; of: Side) -> Vec<String>;
    fn set_header as "set-header" (
        this: Resource<ExchangeHandle>,; of: Side, name: String, value: Vec<u8>
    ) -> Exchanged<()>;
    fn append_header as "append-header" (
        this: Resource<ExchangeHandle>,; of: Side, name: String, value: Vec<u8>
    ) -> Exchanged<()>;
    fn remove_header as "remove-header" (
        this: Resource<ExchangeHandle>,; of: Side, name: String
    ) -> Exchanged<()>;
    fn status as "status" (this: Resource<ExchangeHandle>,;) -> Option<u16>;
    fn set_status as "set-status" (this: Resource<ExchangeHandle>,; status: u16) -> Exchanged<()>;
    fn respond as "respond" (this: Resource<ExchangeHandle>,; status: u16) -> Exchanged<()>;
    fn write_body as "write-body" (this: Resource<ExchangeHandle>,; of: Side, part: Vec<u8>)
        -> Exchanged<()>;
    fn scheme as "scheme" (this: Resource<ExchangeHandle>,;) -> String;
    fn request_line as "request-line" (this: Resource<ExchangeHandle>,;) -> RequestLine;
    fn query_text as "query-text" (this: Resource<ExchangeHandle>,;) -> Option<String>;
    fn set_method as "set-method" (this: Resource<ExchangeHandle>,; method: String)
        -> Exchanged<()>;
    fn set_query_text as "set-query-text" (this: Resource<ExchangeHandle>,; query: Option<String>)
        -> Exchanged<()>;
    fn has_body as "has-body" (this: Resource<ExchangeHandle>,; of: Side) -> bool;
    fn plan_forward as "plan-forward" (this: Resource<ExchangeHandle>,; plan: ForwardPlan)
        -> Result<(), ForwardFailure>;
    fn failed_forward as "failed-forward" (this: Resource<ExchangeHandle>,;)
        -> Option<ForwardFailure>;
    fn drop as "drop" (this: Resource<ExchangeHandle>,;) -> ();
    async fn forward as "forward" (this: Resource<ExchangeHandle>,; options: ForwardOptions)
        -> Result<(), ForwardFailure>;
    async fn read_body as "read-body" (this: Resource<ExchangeHandle>,; of: Side, max: u32)
        -> Exchanged<Option<Vec<u8>>>;
});

watched!(variables::Host, "variables" {
    fn get as "get" (; name: String) -> Option<Vec<u8>>;
    fn get_of as "get-of" (; policy: String, name: String) -> Option<Vec<u8>>;
    fn set as "set" (; name: String, value: Vec<u8>) -> Result<(), VariableFailure>;
});

watched!(egress::Host, "egress" {
    async fn send as "send" (; request: Resource<PolicyRequest>) -> Sent<Resource<PolicyResponse>>;
    async fn send_within as "send-within" (; request: Resource<PolicyRequest>, milliseconds: u32)
        -> Result<Resource<PolicyResponse>, CallFailure>;
});

watched!(egress::HostRequest, "egress.request" {
    fn new as "new" (; route: String, method: String, path: String)
        -> Sent<Resource<PolicyRequest>>;
    fn add_query as "add-query" (; request: Resource<PolicyRequest>, name: String, value: String)
        -> Sent<()>;
    fn set_header as "set-header" (; request: Resource<PolicyRequest>, name: String, value: Vec<u8>)
        -> Sent<()>;
    fn write_body as "write-body" (; request: Resource<PolicyRequest>, part: Vec<u8>) -> Sent<()>;
    fn drop as "drop" (; request: Resource<PolicyRequest>) -> ();
});

watched!(egress::HostResponse, "egress.response" {
    fn status as "status" (; response: Resource<PolicyResponse>) -> u16;
    fn header as "header" (; response: Resource<PolicyResponse>, name: String, index: u32)
        -> Option<Vec<u8>>;
    fn header_values as "header-values" (
        ; response: Resource<PolicyResponse>, name: String
    ) -> Vec<Vec<u8>>;
    fn header_names as "header-names" (; response: Resource<PolicyResponse>) -> Vec<String>;
    fn drop as "drop" (; response: Resource<PolicyResponse>) -> ();
    async fn read_body as "read-body" (; response: Resource<PolicyResponse>, max: u32)
        -> Sent<Option<Vec<u8>>>;
});

watched!(secrets::HostCredential, "secrets.credential" {
    fn open as "open" (; alias: String) -> UsedSecret<Resource<CredentialHandle>>;
    fn attach as "attach" (
        ; credential: Resource<CredentialHandle>, to: Resource<ExchangeHandle>
    ) -> UsedSecret<()>;
    fn attach_to_request as "attach-to-request" (
        ; credential: Resource<CredentialHandle>, to: Resource<PolicyRequest>
    ) -> UsedSecret<()>;
    fn attach_with as "attach-with" (
        ; credential: Resource<CredentialHandle>, to: Resource<ExchangeHandle>,
        holes: Vec<(String, String)>
    ) -> UsedSecret<()>;
    fn attach_to_request_with as "attach-to-request-with" (
        ; credential: Resource<CredentialHandle>, to: Resource<PolicyRequest>,
        holes: Vec<(String, String)>
    ) -> UsedSecret<()>;
    fn drop as "drop" (; credential: Resource<CredentialHandle>) -> ();
});

watched!(secrets::HostSigner, "secrets.signer" {
    fn open as "open" (; alias: String) -> UsedSecret<Resource<SignerHandle>>;
    fn attach as "attach" (; signer: Resource<SignerHandle>, to: Resource<ExchangeHandle>)
        -> UsedSecret<()>;
    fn attach_to_request as "attach-to-request" (
        ; signer: Resource<SignerHandle>, to: Resource<PolicyRequest>
    ) -> UsedSecret<()>;
    fn drop as "drop" (; signer: Resource<SignerHandle>) -> ();
});

watched!(secrets::HostMacSigner, "secrets.mac-signer" {
    fn open as "open" (; alias: String) -> UsedSecret<Resource<MacSignerHandle>>;
    fn drop as "drop" (; signer: Resource<MacSignerHandle>) -> ();
    async fn sign as "sign" (; signer: Resource<MacSignerHandle>, message: Vec<u8>)
        -> UsedSecret<Vec<u8>>;
});

watched!(secrets::HostMacVerifier, "secrets.mac-verifier" {
    fn open as "open" (; alias: String) -> UsedSecret<Resource<MacVerifierHandle>>;
    fn drop as "drop" (; verifier: Resource<MacVerifierHandle>) -> ();
    async fn verify as "verify" (
        ; verifier: Resource<MacVerifierHandle>, message: Vec<u8>, code: Vec<u8>
    ) -> UsedSecret<bool>;
});

watched!(secrets::HostSharedAccess, "secrets.shared-access" {
    fn open as "open" (; alias: String) -> UsedSecret<Resource<SharedAccessHandle>>;
    fn attach as "attach" (
        ; access: Resource<SharedAccessHandle>, to: Resource<ExchangeHandle>,
        terms: SharedAccessTerms
    ) -> UsedSecret<()>;
    fn attach_to_request as "attach-to-request" (
        ; access: Resource<SharedAccessHandle>, to: Resource<PolicyRequest>,
        terms: SharedAccessTerms
    ) -> UsedSecret<()>;
    fn drop as "drop" (; access: Resource<SharedAccessHandle>) -> ();
});

watched!(secrets::HostPresigner, "secrets.presigner" {
    fn open as "open" (; alias: String) -> UsedSecret<Resource<PresignerHandle>>;
    fn attach as "attach" (; presigner: Resource<PresignerHandle>, to: Resource<ExchangeHandle>)
        -> UsedSecret<()>;
    fn attach_to_request as "attach-to-request" (
        ; presigner: Resource<PresignerHandle>, to: Resource<PolicyRequest>
    ) -> UsedSecret<()>;
    fn drop as "drop" (; presigner: Resource<PresignerHandle>) -> ();
});

watched!(secrets::HostConnection, "secrets.connection" {
    fn open as "open" (; alias: String) -> UsedSecret<Resource<ConnectionHandle>>;
    fn part as "part" (; connection: Resource<ConnectionHandle>, name: String)
        -> UsedSecret<Option<String>>;
    fn drop as "drop" (; connection: Resource<ConnectionHandle>) -> ();
});

watched!(secrets::HostToken, "secrets.token" {
    fn open as "open" (; alias: String) -> UsedSecret<Resource<TokenHandle>>;
    fn attach as "attach" (; token: Resource<TokenHandle>, to: Resource<ExchangeHandle>)
        -> UsedSecret<()>;
    fn attach_to_request as "attach-to-request" (
        ; token: Resource<TokenHandle>, to: Resource<PolicyRequest>
    ) -> UsedSecret<()>;
    fn attach_on_behalf_of as "attach-on-behalf-of" (
        ; token: Resource<TokenHandle>, to: Resource<ExchangeHandle>, subject_token: String
    ) -> UsedSecret<()>;
    fn drop as "drop" (; token: Resource<TokenHandle>) -> ();
});

watched!(secrets::HostJwtVerifier, "secrets.jwt-verifier" {
    fn open as "open" (; alias: String) -> UsedSecret<Resource<JwtVerifierHandle>>;
    fn open_issuer as "open-issuer" (; name: String) -> UsedSecret<Resource<JwtVerifierHandle>>;
    fn drop as "drop" (; verifier: Resource<JwtVerifierHandle>) -> ();
    async fn verify as "verify" (; verifier: Resource<JwtVerifierHandle>, token: String)
        -> Result<VerifiedJwt, JwtFailure>;
});

watched!(secrets::HostClientKeys, "secrets.client-keys" {
    fn open as "open" (; alias: String) -> UsedSecret<Resource<ClientKeysHandle>>;
    fn identify as "identify" (
        ; keys: Resource<ClientKeysHandle>, exchange: Resource<ExchangeHandle>
    ) -> UsedSecret<Option<String>>;
    fn drop as "drop" (; keys: Resource<ClientKeysHandle>) -> ();
});

watched!(secrets::HostSealer, "secrets.sealer" {
    fn open as "open" (; alias: String) -> UsedSecret<Resource<SealerHandle>>;
    fn drop as "drop" (; sealer: Resource<SealerHandle>) -> ();
    async fn seal as "seal" (
        ; sealer: Resource<SealerHandle>, plaintext: Vec<u8>, context: Vec<u8>
    ) -> UsedSecret<Vec<u8>>;
});

watched!(secrets::HostOpener, "secrets.opener" {
    fn open as "open" (; alias: String) -> UsedSecret<Resource<OpenerHandle>>;
    fn drop as "drop" (; opener: Resource<OpenerHandle>) -> ();
    async fn open_sealed as "open-sealed" (
        ; opener: Resource<OpenerHandle>, sealed: Vec<u8>, context: Vec<u8>
    ) -> UsedSecret<Vec<u8>>;
});

watched!(secrets::HostTlsIdentity, "secrets.tls-identity" {
    fn open as "open" (; alias: String) -> UsedSecret<Resource<TlsIdentityHandle>>;
    fn attach as "attach" (
        ; identity: Resource<TlsIdentityHandle>, to: Resource<ExchangeHandle>
    ) -> UsedSecret<()>;
    fn attach_to_request as "attach-to-request" (
        ; identity: Resource<TlsIdentityHandle>, to: Resource<PolicyRequest>
    ) -> UsedSecret<()>;
    fn drop as "drop" (; identity: Resource<TlsIdentityHandle>) -> ();
});

watched!(secrets::HostJwsSigner, "secrets.jws-signer" {
    fn open as "open" (; alias: String) -> UsedSecret<Resource<JwsSignerHandle>>;
    fn attach as "attach" (
        ; signer: Resource<JwsSignerHandle>, to: Resource<ExchangeHandle>, claims: TokenClaims
    ) -> UsedSecret<()>;
    fn attach_to_request as "attach-to-request" (
        ; signer: Resource<JwsSignerHandle>, to: Resource<PolicyRequest>, claims: TokenClaims
    ) -> UsedSecret<()>;
    fn drop as "drop" (; signer: Resource<JwsSignerHandle>) -> ();
    async fn sign as "sign" (; signer: Resource<JwsSignerHandle>, claims: TokenClaims)
        -> UsedSecret<String>;
});

watched!(secrets::HostDatabase, "secrets.database" {
    fn open as "open" (; alias: String) -> UsedSecret<Resource<DatabaseHandle>>;
    fn drop as "drop" (; database: Resource<DatabaseHandle>) -> ();
    async fn query as "query" (
        ; database: Resource<DatabaseHandle>, statement: String, parameters: Vec<QueryValue>
    ) -> Result<QueryRows, QueryFailure>;
});

watched!(counters::Host, "counters" {
    async fn increment as "increment" (; name: String, by: u32, window_seconds: u32)
        -> Result<u64, CounterFailure>;
});

watched!(cache::Host, "cache" {
    async fn get as "get" (; key: String) -> Option<Vec<u8>>;
    async fn set as "set" (; key: String, value: Vec<u8>, seconds: u32) -> Result<(), CacheFailure>;
    async fn remove as "remove" (; key: String) -> Result<(), CacheFailure>;
});

watched!(concurrency::Host, "concurrency" {
    async fn enter as "enter" (; key: String, most: u32)
        -> Result<Option<Resource<PlaceHandle>>, CounterFailure>;
});

watched!(concurrency::HostPlace, "concurrency.place" {
    fn drop as "drop" (; place: Resource<PlaceHandle>) -> ();
});

watched!(log::Host, "log" {
    fn write as "write" (; level: Level, message: String) -> ();
});

watched!(clock::Host, "clock" {
    fn now as "now" (;) -> u64;
    async fn sleep as "sleep" (; milliseconds: u32) -> bool;
});

watched!(random::Host, "random" {
    fn bytes as "bytes" (; length: u32) -> Vec<u8>;
});

shown! {
    Resource<ExchangeHandle>: |_it, _state| GuestValue::Word("exchange".to_owned());
}
