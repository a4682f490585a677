//! Uses of secrets, acted out: each is checked, and none does any cryptography.

use super::Request;
use crate::testing::Simulation;
use crate::{Claims, Failure, JwtFailure, Rows, Value, VerifiedJwt};

/// A handle: the alias, and whether a grant allows its use.
pub(crate) struct Handle {
    alias: String,
    is_granted: bool,
}

pub(crate) type Credential = Handle;
pub(crate) type Signer = Handle;
pub(crate) type SharedAccess = Handle;
pub(crate) type Presigner = Handle;
pub(crate) type Connection = Handle;
pub(crate) type Token = Handle;
pub(crate) type MacSigner = Handle;
pub(crate) type MacVerifier = Handle;
pub(crate) type ClientKeys = Handle;
pub(crate) type JwtVerifier = Handle;
pub(crate) type Sealer = Handle;
pub(crate) type Opener = Handle;
pub(crate) type Database = Handle;
pub(crate) type TlsIdentity = Handle;
pub(crate) type JwsSigner = Handle;

fn open(exchange: &Simulation, alias: &str) -> Result<Handle, Failure> {
    Ok(Handle {
        alias: alias.to_owned(),
        is_granted: exchange.state.borrow().granted.contains(alias),
    })
}

/// Each use is checked, not the opening.
fn check(handle: &Handle) -> Result<(), Failure> {
    if handle.is_granted {
        Ok(())
    } else {
        Err(Failure::Denied)
    }
}

fn attach(handle: &Handle, exchange: &Simulation) -> Result<(), Failure> {
    check(handle)?;
    let mut state = exchange.state.borrow_mut();
    if state.is_sent {
        return Err(Failure::Invalid);
    }
    state.attached.push(handle.alias.clone());
    Ok(())
}

fn attach_to(handle: &Handle, request: &Request) -> Result<(), Failure> {
    check(handle)?;
    request.0.borrow_mut().attached.push(handle.alias.clone());
    Ok(())
}

/// Stands in for a code: it depends on all of the message and is no HMAC.
fn code(handle: &Handle, message: &[u8]) -> Vec<u8> {
    let mut state = 0xcbf2_9ce4_8422_2325_u64;
    for byte in handle
        .alias
        .bytes()
        .chain([0])
        .chain(message.iter().copied())
    {
        state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    [state; 4]
        .iter()
        .flat_map(|part| part.to_be_bytes())
        .collect()
}

pub(crate) fn open_credential(exchange: &Simulation, alias: &str) -> Result<Credential, Failure> {
    open(exchange, alias)
}

pub(crate) fn attach_credential(handle: &Handle, exchange: &Simulation) -> Result<(), Failure> {
    attach(handle, exchange)
}

pub(crate) fn attach_credential_to(handle: &Handle, request: &Request) -> Result<(), Failure> {
    attach_to(handle, request)
}

pub(crate) fn attach_credential_with(
    handle: &Handle,
    exchange: &Simulation,
    holes: &[(String, String)],
) -> Result<(), Failure> {
    attach(handle, exchange)?;
    exchange.state.borrow_mut().holes = holes.to_vec();
    Ok(())
}

pub(crate) fn attach_credential_to_with(
    handle: &Handle,
    request: &Request,
    holes: &[(String, String)],
) -> Result<(), Failure> {
    attach_to(handle, request)?;
    request.0.borrow_mut().holes = holes.to_vec();
    Ok(())
}

pub(crate) fn open_signer(exchange: &Simulation, alias: &str) -> Result<Signer, Failure> {
    open(exchange, alias)
}

pub(crate) fn attach_signer(handle: &Handle, exchange: &Simulation) -> Result<(), Failure> {
    attach(handle, exchange)
}

pub(crate) fn attach_signer_to(handle: &Handle, request: &Request) -> Result<(), Failure> {
    attach_to(handle, request)
}

pub(crate) fn open_token(exchange: &Simulation, alias: &str) -> Result<Token, Failure> {
    open(exchange, alias)
}

pub(crate) fn attach_token(handle: &Handle, exchange: &Simulation) -> Result<(), Failure> {
    attach(handle, exchange)
}

pub(crate) fn attach_token_to(handle: &Handle, request: &Request) -> Result<(), Failure> {
    attach_to(handle, request)
}

pub(crate) fn attach_token_for(
    handle: &Handle,
    exchange: &Simulation,
    subject_token: &str,
) -> Result<(), Failure> {
    let visible = subject_token.bytes().all(|byte| byte.is_ascii_graphic());
    if !visible || !(1..=16 << 10).contains(&subject_token.len()) {
        return Err(Failure::Invalid);
    }
    attach(handle, exchange)
}

pub(crate) fn open_mac_signer(exchange: &Simulation, alias: &str) -> Result<MacSigner, Failure> {
    open(exchange, alias)
}

pub(crate) fn sign_mac(
    handle: &Handle,
    _: &Simulation,
    message: &[u8],
) -> Result<Vec<u8>, Failure> {
    check(handle)?;
    if message.len() > 512 * 1024 {
        return Err(Failure::Invalid);
    }
    Ok(code(handle, message))
}

pub(crate) fn open_mac_verifier(
    exchange: &Simulation,
    alias: &str,
) -> Result<MacVerifier, Failure> {
    open(exchange, alias)
}

pub(crate) fn verify_mac(
    handle: &Handle,
    exchange: &Simulation,
    message: &[u8],
    tag: &[u8],
) -> Result<bool, Failure> {
    Ok(sign_mac(handle, exchange, message)? == tag)
}

pub(crate) fn open_shared_access(
    exchange: &Simulation,
    alias: &str,
) -> Result<SharedAccess, Failure> {
    open(exchange, alias)
}

pub(crate) fn attach_shared_access(
    handle: &Handle,
    exchange: &Simulation,
    _: crate::SharedAccessTerms,
) -> Result<(), Failure> {
    attach(handle, exchange)
}

pub(crate) fn attach_shared_access_to(
    handle: &Handle,
    request: &Request,
    _: crate::SharedAccessTerms,
) -> Result<(), Failure> {
    attach_to(handle, request)
}

pub(crate) fn open_presigner(exchange: &Simulation, alias: &str) -> Result<Presigner, Failure> {
    open(exchange, alias)
}

pub(crate) fn attach_presigner(handle: &Handle, exchange: &Simulation) -> Result<(), Failure> {
    attach(handle, exchange)
}

pub(crate) fn attach_presigner_to(handle: &Handle, request: &Request) -> Result<(), Failure> {
    attach_to(handle, request)
}

pub(crate) fn open_connection(exchange: &Simulation, alias: &str) -> Result<Connection, Failure> {
    open(exchange, alias)
}

pub(crate) fn connection_part(
    handle: &Handle,
    exchange: &Simulation,
    name: &str,
) -> Result<Option<String>, Failure> {
    check(handle)?;
    let key = (handle.alias.clone(), name.to_owned());
    Ok(exchange.state.borrow().connection_parts.get(&key).cloned())
}

pub(crate) fn open_jwt_verifier(
    exchange: &Simulation,
    alias: &str,
) -> Result<JwtVerifier, Failure> {
    open(exchange, alias)
}

pub(crate) fn open_jwt_issuer(exchange: &Simulation, name: &str) -> Result<JwtVerifier, Failure> {
    Ok(Handle {
        alias: name.to_owned(),
        is_granted: exchange.state.borrow().issuers.contains(name),
    })
}

/// The simulation knows which texts are tokens, and no cryptography.
pub(crate) fn verify_jwt(
    handle: &Handle,
    exchange: &Simulation,
    token: &str,
) -> Result<VerifiedJwt, JwtFailure> {
    check(handle).map_err(|_| JwtFailure::Denied)?;
    match exchange.state.borrow().tokens.get(token) {
        Some(token) => token.clone(),
        None if token.is_empty() => Err(JwtFailure::Missing),
        None => Err(JwtFailure::Signature),
    }
}

pub(crate) fn open_sealer(exchange: &Simulation, alias: &str) -> Result<Sealer, Failure> {
    open(exchange, alias)
}

pub(crate) fn open_opener(exchange: &Simulation, alias: &str) -> Result<Opener, Failure> {
    open(exchange, alias)
}

/// Stands in for sealing: a code over the context and the text, and the text, each byte
/// of it changed. It hides nothing.
pub(crate) fn seal(
    handle: &Handle,
    _: &Simulation,
    text: &[u8],
    context: &[u8],
) -> Result<Vec<u8>, Failure> {
    check(handle)?;
    if text.len() > 512 * 1024 || context.len() > 4096 {
        return Err(Failure::Invalid);
    }
    let mut sealed = code(handle, &[context, &[0], text].concat());
    sealed.extend(text.iter().map(|byte| !byte));
    Ok(sealed)
}

pub(crate) fn open_sealed(
    handle: &Handle,
    exchange: &Simulation,
    sealed: &[u8],
    context: &[u8],
) -> Result<Vec<u8>, Failure> {
    check(handle)?;
    let hidden = sealed.get(32..).ok_or(Failure::Invalid)?;
    let text: Vec<u8> = hidden.iter().map(|byte| !byte).collect();
    match seal(handle, exchange, &text, context)? == sealed {
        true => Ok(text),
        false => Err(Failure::Invalid),
    }
}

pub(crate) fn open_tls_identity(
    exchange: &Simulation,
    alias: &str,
) -> Result<TlsIdentity, Failure> {
    open(exchange, alias)
}

pub(crate) fn attach_tls_identity(handle: &Handle, exchange: &Simulation) -> Result<(), Failure> {
    attach(handle, exchange)
}

pub(crate) fn attach_tls_identity_to(handle: &Handle, request: &Request) -> Result<(), Failure> {
    attach_to(handle, request)
}

pub(crate) fn open_jws_signer(exchange: &Simulation, alias: &str) -> Result<JwsSigner, Failure> {
    open(exchange, alias)
}

pub(crate) fn attach_jws(
    handle: &Handle,
    exchange: &Simulation,
    claims: &Claims,
) -> Result<(), Failure> {
    attach(handle, exchange)?;
    exchange.state.borrow_mut().claims.push(claims.clone());
    Ok(())
}

pub(crate) fn attach_jws_to(
    handle: &Handle,
    request: &Request,
    claims: &Claims,
) -> Result<(), Failure> {
    attach_to(handle, request)?;
    request.0.borrow_mut().claims.push(claims.clone());
    Ok(())
}

/// Not a token: a text that is the same for the same claims.
pub(crate) fn sign_jws(
    handle: &Handle,
    exchange: &Simulation,
    claims: &Claims,
) -> Result<String, Failure> {
    check(handle)?;
    exchange.state.borrow_mut().claims.push(claims.clone());
    let code = code(handle, format!("{claims:?}").as_bytes());
    let digits: String = code.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("simulated.{}.{digits}", claims.own.len()))
}

pub(crate) fn open_client_keys(exchange: &Simulation, alias: &str) -> Result<ClientKeys, Failure> {
    open(exchange, alias)
}

pub(crate) fn identify(handle: &Handle, exchange: &Simulation) -> Result<Option<String>, Failure> {
    check(handle)?;
    Ok(exchange.state.borrow().subject.clone())
}

pub(crate) fn open_database(exchange: &Simulation, alias: &str) -> Result<Database, Failure> {
    open(exchange, alias)
}

pub(crate) fn query_database(
    handle: &Handle,
    exchange: &Simulation,
    statement: &str,
    parameters: &[Value],
) -> Result<Rows, Failure> {
    check(handle)?;
    let state = exchange.state.borrow();
    let mut answers = state.queries.iter();
    let answer = answers.find(|(name, given, _)| name == statement && given == parameters);
    answer.map_or(Ok(Rows::default()), |(.., answer)| answer.clone())
}
