//! The host's functions, as imported by a component.

use crate::bindings::imports::keyward::policy::{
    cache, clock, concurrency, counters, egress, exchange, log as lines, random as randomness,
    secrets, variables,
};
use crate::{
    ClaimValue, Claims, ClientCertificate, Failure, Forward, ForwardFailure, ForwardPlan,
    JwtFailure, Level, RequestLine, Side, VerifiedJwt,
};

pub(crate) use concurrency::Place;
pub(crate) use egress::{Request, Response};
pub(crate) use exchange::Exchange;
pub(crate) use secrets::{
    ClientKeys, Connection, Credential, JwsSigner, JwtVerifier, MacSigner, MacVerifier, Opener,
    Presigner, Sealer, SharedAccess, Signer, TlsIdentity, Token,
};

impl From<exchange::ExchangeFailure> for Failure {
    fn from(failure: exchange::ExchangeFailure) -> Self {
        use exchange::ExchangeFailure as F;
        match failure {
            F::WrongPhase => Self::WrongPhase,
            F::Invalid => Self::Invalid,
            F::Limit => Self::Limit,
            F::Unavailable => Self::Unavailable,
        }
    }
}

impl From<secrets::SecretFailure> for Failure {
    fn from(failure: secrets::SecretFailure) -> Self {
        use secrets::SecretFailure as F;
        match failure {
            F::Denied => Self::Denied,
            F::Invalid => Self::Invalid,
            F::Exhausted => Self::Exhausted,
            F::Unavailable => Self::Unavailable,
        }
    }
}

impl From<secrets::JwtFailure> for JwtFailure {
    fn from(failure: secrets::JwtFailure) -> Self {
        use secrets::JwtFailure as F;
        match failure {
            F::Denied => Self::Denied,
            F::Exhausted => Self::Exhausted,
            F::Unavailable => Self::Unavailable,
            F::Missing => Self::Missing,
            F::Malformed => Self::Malformed,
            F::Algorithm => Self::Algorithm,
            F::Signature => Self::Signature,
            F::Expired => Self::Expired,
            F::NotYetValid => Self::NotYetValid,
            F::Issuer => Self::Issuer,
            F::Audience => Self::Audience,
        }
    }
}

impl From<egress::EgressFailure> for Failure {
    fn from(failure: egress::EgressFailure) -> Self {
        use egress::EgressFailure as F;
        match failure {
            F::Denied => Self::Denied,
            F::Invalid => Self::Invalid,
            F::Limit => Self::Limit,
            F::Unavailable => Self::Unavailable,
            F::Upstream => Self::Upstream,
        }
    }
}

impl From<variables::VariableFailure> for Failure {
    fn from(failure: variables::VariableFailure) -> Self {
        use variables::VariableFailure as F;
        match failure {
            F::Invalid => Self::Invalid,
            F::Limit => Self::Limit,
        }
    }
}

impl From<counters::CounterFailure> for Failure {
    fn from(failure: counters::CounterFailure) -> Self {
        use counters::CounterFailure as F;
        match failure {
            F::Invalid => Self::Invalid,
            F::Unavailable => Self::Unavailable,
        }
    }
}

impl From<cache::CacheFailure> for Failure {
    fn from(failure: cache::CacheFailure) -> Self {
        use cache::CacheFailure as F;
        match failure {
            F::Invalid => Self::Invalid,
            F::Limit => Self::Limit,
            F::Unavailable => Self::Unavailable,
        }
    }
}

impl From<egress::CallFailure> for Failure {
    fn from(failure: egress::CallFailure) -> Self {
        use egress::CallFailure as F;
        match failure {
            F::Denied => Self::Denied,
            F::Invalid => Self::Invalid,
            F::Limit => Self::Limit,
            F::TimedOut => Self::TimedOut,
            F::Unavailable => Self::Unavailable,
            F::Upstream => Self::Upstream,
        }
    }
}

impl From<exchange::ForwardFailure> for ForwardFailure {
    fn from(failure: exchange::ForwardFailure) -> Self {
        use exchange::ForwardFailure as F;
        match failure {
            F::WrongPhase => Self::WrongPhase,
            F::Denied => Self::Denied,
            F::Invalid => Self::Invalid,
            F::Limit => Self::Limit,
            F::BodyGone => Self::BodyGone,
            F::TimedOut => Self::TimedOut,
            F::Unavailable => Self::Unavailable,
            F::Upstream => Self::Upstream,
        }
    }
}

impl From<Side> for exchange::Side {
    fn from(side: Side) -> Self {
        match side {
            Side::Request => Self::Request,
            Side::Response => Self::Response,
        }
    }
}

pub(crate) fn id(exchange: &Exchange) -> String {
    exchange.id()
}

pub(crate) fn client_address(exchange: &Exchange) -> String {
    exchange.client_address()
}

pub(crate) fn scheme(exchange: &Exchange) -> String {
    exchange.scheme()
}

pub(crate) fn server_name(exchange: &Exchange) -> Option<String> {
    exchange.server_name()
}

pub(crate) fn client_certificate(exchange: &Exchange) -> Option<ClientCertificate> {
    exchange
        .client_certificate()
        .map(|facts| ClientCertificate {
            subject: facts.subject,
            issuer: facts.issuer,
            serial: facts.serial,
            dns_names: facts.dns_names,
            uris: facts.uris,
            sha256: facts.sha256,
            not_before: facts.not_before,
            not_after: facts.not_after,
        })
}

pub(crate) fn method(exchange: &Exchange) -> String {
    exchange.method()
}

pub(crate) fn authority(exchange: &Exchange) -> String {
    exchange.authority()
}

pub(crate) fn path(exchange: &Exchange) -> String {
    exchange.path()
}

pub(crate) fn query(exchange: &Exchange, name: &str) -> Option<String> {
    exchange.query(name)
}

pub(crate) fn query_text(exchange: &Exchange) -> Option<String> {
    exchange.query_text()
}

pub(crate) fn request_line(exchange: &Exchange) -> RequestLine {
    let line = exchange.request_line();
    RequestLine {
        method: line.method,
        path: line.path,
        query: line.query,
    }
}

pub(crate) fn set_method(exchange: &Exchange, method: &str) -> Result<(), Failure> {
    Ok(exchange.set_method(method)?)
}

pub(crate) fn set_query_text(exchange: &Exchange, query: Option<&str>) -> Result<(), Failure> {
    Ok(exchange.set_query_text(query)?)
}

pub(crate) fn set_path(exchange: &Exchange, path: &str) -> Result<(), Failure> {
    Ok(exchange.set_path(path)?)
}

pub(crate) fn set_query(exchange: &Exchange, name: &str, value: &str) -> Result<(), Failure> {
    Ok(exchange.set_query(name, value)?)
}

pub(crate) fn header(exchange: &Exchange, side: Side, name: &str, index: u32) -> Option<Vec<u8>> {
    exchange.header(side.into(), name, index)
}

pub(crate) fn header_values(exchange: &Exchange, side: Side, name: &str) -> Vec<Vec<u8>> {
    exchange.header_values(side.into(), name)
}

pub(crate) fn header_names(exchange: &Exchange, side: Side) -> Vec<String> {
    exchange.header_names(side.into())
}

pub(crate) fn set_header(
    exchange: &Exchange,
    side: Side,
    name: &str,
    value: &[u8],
) -> Result<(), Failure> {
    Ok(exchange.set_header(side.into(), name, value)?)
}

pub(crate) fn append_header(
    exchange: &Exchange,
    side: Side,
    name: &str,
    value: &[u8],
) -> Result<(), Failure> {
    Ok(exchange.append_header(side.into(), name, value)?)
}

pub(crate) fn remove_header(exchange: &Exchange, side: Side, name: &str) -> Result<(), Failure> {
    Ok(exchange.remove_header(side.into(), name)?)
}

pub(crate) fn status(exchange: &Exchange) -> Option<u16> {
    exchange.status()
}

pub(crate) fn set_status(exchange: &Exchange, status: u16) -> Result<(), Failure> {
    Ok(exchange.set_status(status)?)
}

pub(crate) fn respond(exchange: &Exchange, status: u16) -> Result<(), Failure> {
    Ok(exchange.respond(status)?)
}

pub(crate) fn has_body(exchange: &Exchange, side: Side) -> bool {
    exchange.has_body(side.into())
}

pub(crate) fn forward(exchange: &Exchange, options: Forward<'_>) -> Result<(), ForwardFailure> {
    let options = exchange::ForwardOptions {
        route: options.route.map(ToOwned::to_owned),
        timeout_milliseconds: options.timeout_milliseconds,
        keep_body: options.keep_body,
    };
    Ok(exchange.forward(&options)?)
}

pub(crate) fn plan_forward(
    exchange: &Exchange,
    plan: ForwardPlan<'_>,
) -> Result<(), ForwardFailure> {
    let plan = exchange::ForwardPlan {
        route: plan.route.map(ToOwned::to_owned),
        path_prefix: plan.path_prefix.map(ToOwned::to_owned),
        timeout_milliseconds: plan.timeout_milliseconds,
    };
    Ok(exchange.plan_forward(&plan)?)
}

pub(crate) fn failed_forward(exchange: &Exchange) -> Option<ForwardFailure> {
    exchange.failed_forward().map(Into::into)
}

pub(crate) fn read_body(
    exchange: &Exchange,
    side: Side,
    max: u32,
) -> Result<Option<Vec<u8>>, Failure> {
    Ok(exchange.read_body(side.into(), max)?)
}

pub(crate) fn write_body(exchange: &Exchange, side: Side, part: &[u8]) -> Result<(), Failure> {
    Ok(exchange.write_body(side.into(), part)?)
}

pub(crate) fn variable(_: &Exchange, name: &str) -> Option<Vec<u8>> {
    variables::get(name)
}

pub(crate) fn variable_of(_: &Exchange, policy: &str, name: &str) -> Option<Vec<u8>> {
    variables::get_of(policy, name)
}

pub(crate) fn set_variable(_: &Exchange, name: &str, value: &[u8]) -> Result<(), Failure> {
    Ok(variables::set(name, value)?)
}

pub(crate) fn increment(
    _: &Exchange,
    name: &str,
    by: u32,
    window_seconds: u32,
) -> Result<u64, Failure> {
    Ok(counters::increment(name, by, window_seconds)?)
}

pub(crate) fn cached(_: &Exchange, key: &str) -> Option<Vec<u8>> {
    cache::get(key)
}

pub(crate) fn cache(_: &Exchange, key: &str, value: &[u8], seconds: u32) -> Result<(), Failure> {
    Ok(cache::set(key, value, seconds)?)
}

pub(crate) fn forget(_: &Exchange, key: &str) -> Result<(), Failure> {
    Ok(cache::remove(key)?)
}

pub(crate) fn enter(_: &Exchange, key: &str, most: u32) -> Result<Option<Place>, Failure> {
    Ok(concurrency::enter(key, most)?)
}

pub(crate) fn sleep(_: &Exchange, milliseconds: u32) -> bool {
    clock::sleep(milliseconds)
}

pub(crate) fn log(_: &Exchange, level: Level, message: &str) {
    write_log(level, message);
}

/// Writes a line without an exchange at hand.
pub(crate) fn write_log(level: Level, message: &str) {
    let level = match level {
        Level::Debug => lines::Level::Debug,
        Level::Info => lines::Level::Info,
        Level::Warn => lines::Level::Warn,
        Level::Error => lines::Level::Error,
    };
    lines::write(level, message);
}

pub(crate) fn now(_: &Exchange) -> u64 {
    clock::now()
}

pub(crate) fn random(_: &Exchange, length: u32) -> Vec<u8> {
    randomness::bytes(length)
}

pub(crate) fn open_credential(_: &Exchange, alias: &str) -> Result<Credential, Failure> {
    Ok(Credential::open(alias)?)
}

pub(crate) fn open_signer(_: &Exchange, alias: &str) -> Result<Signer, Failure> {
    Ok(Signer::open(alias)?)
}

pub(crate) fn open_mac_signer(_: &Exchange, alias: &str) -> Result<MacSigner, Failure> {
    Ok(MacSigner::open(alias)?)
}

pub(crate) fn open_mac_verifier(_: &Exchange, alias: &str) -> Result<MacVerifier, Failure> {
    Ok(MacVerifier::open(alias)?)
}

pub(crate) fn open_token(_: &Exchange, alias: &str) -> Result<Token, Failure> {
    Ok(Token::open(alias)?)
}

pub(crate) fn attach_token(handle: &Token, exchange: &Exchange) -> Result<(), Failure> {
    Ok(handle.attach(exchange)?)
}

pub(crate) fn attach_token_to(handle: &Token, request: &Request) -> Result<(), Failure> {
    Ok(handle.attach_to_request(request)?)
}

pub(crate) fn attach_token_for(
    handle: &Token,
    exchange: &Exchange,
    subject_token: &str,
) -> Result<(), Failure> {
    Ok(handle.attach_on_behalf_of(exchange, subject_token)?)
}

pub(crate) fn open_jwt_verifier(_: &Exchange, alias: &str) -> Result<JwtVerifier, Failure> {
    Ok(JwtVerifier::open(alias)?)
}

pub(crate) fn open_jwt_issuer(_: &Exchange, name: &str) -> Result<JwtVerifier, Failure> {
    Ok(JwtVerifier::open_issuer(name)?)
}

pub(crate) fn verify_jwt(
    handle: &JwtVerifier,
    _: &Exchange,
    token: &str,
) -> Result<VerifiedJwt, JwtFailure> {
    let token = handle.verify(token)?;
    VerifiedJwt::new(
        &token.claims,
        token.algorithm,
        token.key_id,
        token.token_type,
    )
    .ok_or(JwtFailure::Malformed)
}

pub(crate) fn open_client_keys(_: &Exchange, alias: &str) -> Result<ClientKeys, Failure> {
    Ok(ClientKeys::open(alias)?)
}

pub(crate) fn open_sealer(_: &Exchange, alias: &str) -> Result<Sealer, Failure> {
    Ok(Sealer::open(alias)?)
}

pub(crate) fn open_opener(_: &Exchange, alias: &str) -> Result<Opener, Failure> {
    Ok(Opener::open(alias)?)
}

pub(crate) fn seal(
    handle: &Sealer,
    _: &Exchange,
    text: &[u8],
    context: &[u8],
) -> Result<Vec<u8>, Failure> {
    Ok(handle.seal(text, context)?)
}

pub(crate) fn open_sealed(
    handle: &Opener,
    _: &Exchange,
    sealed: &[u8],
    context: &[u8],
) -> Result<Vec<u8>, Failure> {
    Ok(handle.open_sealed(sealed, context)?)
}

pub(crate) fn open_shared_access(_: &Exchange, alias: &str) -> Result<SharedAccess, Failure> {
    Ok(SharedAccess::open(alias)?)
}

pub(crate) fn open_presigner(_: &Exchange, alias: &str) -> Result<Presigner, Failure> {
    Ok(Presigner::open(alias)?)
}

pub(crate) fn open_connection(_: &Exchange, alias: &str) -> Result<Connection, Failure> {
    Ok(Connection::open(alias)?)
}

pub(crate) fn attach_shared_access(
    handle: &SharedAccess,
    exchange: &Exchange,
    terms: crate::SharedAccessTerms,
) -> Result<(), Failure> {
    Ok(handle.attach(exchange, shared_access_terms(terms))?)
}

pub(crate) fn attach_shared_access_to(
    handle: &SharedAccess,
    request: &Request,
    terms: crate::SharedAccessTerms,
) -> Result<(), Failure> {
    Ok(handle.attach_to_request(request, shared_access_terms(terms))?)
}

fn shared_access_terms(terms: crate::SharedAccessTerms) -> secrets::SharedAccessTerms {
    use crate::{SharedAccessPermission as One, SharedAccessScope as Scope};
    use secrets::SharedAccessPermissions as Set;
    let mut permissions = Set::empty();
    for one in terms.permissions {
        permissions = permissions
            | match one {
                One::Read => Set::READ,
                One::Add => Set::ADD,
                One::Create => Set::CREATE,
                One::Write => Set::WRITE,
                One::Delete => Set::DELETE,
                One::List => Set::LIST,
                One::Tags => Set::TAGS,
                One::Update => Set::UPDATE,
                One::Process => Set::PROCESS,
            };
    }
    secrets::SharedAccessTerms {
        scope: match terms.scope {
            Scope::Item => secrets::SharedAccessScope::Item,
            Scope::Directory => secrets::SharedAccessScope::Directory,
            Scope::Container => secrets::SharedAccessScope::Container,
            Scope::Account => secrets::SharedAccessScope::Account,
        },
        permissions,
        lifetime_seconds: terms.lifetime_seconds,
    }
}

pub(crate) fn attach_presigner(handle: &Presigner, exchange: &Exchange) -> Result<(), Failure> {
    Ok(handle.attach(exchange)?)
}

pub(crate) fn attach_presigner_to(handle: &Presigner, request: &Request) -> Result<(), Failure> {
    Ok(handle.attach_to_request(request)?)
}

pub(crate) fn connection_part(
    handle: &Connection,
    _: &Exchange,
    name: &str,
) -> Result<Option<String>, Failure> {
    Ok(handle.part(name)?)
}

pub(crate) fn attach_credential(handle: &Credential, exchange: &Exchange) -> Result<(), Failure> {
    Ok(handle.attach(exchange)?)
}

pub(crate) fn attach_credential_to(handle: &Credential, request: &Request) -> Result<(), Failure> {
    Ok(handle.attach_to_request(request)?)
}

pub(crate) fn attach_credential_with(
    handle: &Credential,
    exchange: &Exchange,
    holes: &[(String, String)],
) -> Result<(), Failure> {
    Ok(handle.attach_with(exchange, holes)?)
}

pub(crate) fn attach_credential_to_with(
    handle: &Credential,
    request: &Request,
    holes: &[(String, String)],
) -> Result<(), Failure> {
    Ok(handle.attach_to_request_with(request, holes)?)
}

pub(crate) fn attach_signer(handle: &Signer, exchange: &Exchange) -> Result<(), Failure> {
    Ok(handle.attach(exchange)?)
}

pub(crate) fn attach_signer_to(handle: &Signer, request: &Request) -> Result<(), Failure> {
    Ok(handle.attach_to_request(request)?)
}

pub(crate) fn sign_mac(
    handle: &MacSigner,
    _: &Exchange,
    message: &[u8],
) -> Result<Vec<u8>, Failure> {
    Ok(handle.sign(message)?)
}

pub(crate) fn verify_mac(
    handle: &MacVerifier,
    _: &Exchange,
    message: &[u8],
    code: &[u8],
) -> Result<bool, Failure> {
    Ok(handle.verify(message, code)?)
}

pub(crate) fn identify(
    handle: &ClientKeys,
    exchange: &Exchange,
) -> Result<Option<String>, Failure> {
    Ok(handle.identify(exchange)?)
}

pub(crate) fn open_tls_identity(_: &Exchange, alias: &str) -> Result<TlsIdentity, Failure> {
    Ok(TlsIdentity::open(alias)?)
}

pub(crate) fn open_jws_signer(_: &Exchange, alias: &str) -> Result<JwsSigner, Failure> {
    Ok(JwsSigner::open(alias)?)
}

pub(crate) fn attach_tls_identity(
    handle: &TlsIdentity,
    exchange: &Exchange,
) -> Result<(), Failure> {
    Ok(handle.attach(exchange)?)
}

pub(crate) fn attach_tls_identity_to(
    handle: &TlsIdentity,
    request: &Request,
) -> Result<(), Failure> {
    Ok(handle.attach_to_request(request)?)
}

fn claims_of(claims: &Claims) -> secrets::TokenClaims {
    let value = |value: &ClaimValue| match value {
        ClaimValue::Text(text) => secrets::ClaimValue::Text(text.clone()),
        ClaimValue::Integer(number) => secrets::ClaimValue::Integer(*number),
        ClaimValue::Flag(flag) => secrets::ClaimValue::Flag(*flag),
        ClaimValue::Texts(texts) => secrets::ClaimValue::Texts(texts.clone()),
    };
    let own = claims.own.iter().map(|(name, of)| secrets::TokenClaim {
        name: name.clone(),
        value: value(of),
    });
    secrets::TokenClaims {
        audience: claims.audience.clone(),
        subject: claims.subject.clone(),
        extra: own.collect(),
    }
}

pub(crate) fn attach_jws(
    handle: &JwsSigner,
    exchange: &Exchange,
    claims: &Claims,
) -> Result<(), Failure> {
    Ok(handle.attach(exchange, &claims_of(claims))?)
}

pub(crate) fn attach_jws_to(
    handle: &JwsSigner,
    request: &Request,
    claims: &Claims,
) -> Result<(), Failure> {
    Ok(handle.attach_to_request(request, &claims_of(claims))?)
}

pub(crate) fn sign_jws(
    handle: &JwsSigner,
    _: &Exchange,
    claims: &Claims,
) -> Result<String, Failure> {
    Ok(handle.sign(&claims_of(claims))?)
}

pub(crate) fn new_request(
    _: &Exchange,
    route: &str,
    method: &str,
    path: &str,
) -> Result<Request, Failure> {
    Ok(Request::new(route, method, path)?)
}

pub(crate) fn add_request_query(request: &Request, name: &str, value: &str) -> Result<(), Failure> {
    Ok(request.add_query(name, value)?)
}

pub(crate) fn set_request_header(
    request: &Request,
    name: &str,
    value: &[u8],
) -> Result<(), Failure> {
    Ok(request.set_header(name, value)?)
}

pub(crate) fn write_request_body(request: &Request, part: &[u8]) -> Result<(), Failure> {
    Ok(request.write_body(part)?)
}

pub(crate) fn send(_: &Exchange, request: Request) -> Result<Response, Failure> {
    Ok(egress::send(request)?)
}

pub(crate) fn send_within(
    _: &Exchange,
    request: Request,
    milliseconds: u32,
) -> Result<Response, Failure> {
    Ok(egress::send_within(request, milliseconds)?)
}

pub(crate) fn response_status(response: &Response) -> u16 {
    response.status()
}

pub(crate) fn response_header(response: &Response, name: &str, index: u32) -> Option<Vec<u8>> {
    response.header(name, index)
}

pub(crate) fn response_header_values(response: &Response, name: &str) -> Vec<Vec<u8>> {
    response.header_values(name)
}

pub(crate) fn response_header_names(response: &Response) -> Vec<String> {
    response.header_names()
}

pub(crate) fn read_response_body(
    response: &Response,
    max: u32,
) -> Result<Option<Vec<u8>>, Failure> {
    Ok(response.read_body(max)?)
}
