//! What a backend checks, with another implementation of HMAC than the one that signs.

use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use keyward_tests::Received;
use sha2::{Digest, Sha256};

fn mac(key: &str, message: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(message);
    mac
}

/// Whether a header says `sha256=` and the code of the body, in hexadecimal.
pub(crate) fn code(header: Option<&str>, key: &str, body: &[u8]) -> bool {
    let code = header.and_then(|header| header.strip_prefix("sha256="));
    let code = code.and_then(|code| HEXLOWER.decode(code.as_bytes()).ok());
    code.is_some_and(|code| mac(key, body).verify_slice(&code).is_ok())
}

/// Whether a request carries a signature of RFC 9421 (3.2) under that key.
pub(crate) fn request(received: &Received, key: &str, body: &[u8]) -> bool {
    signed(received, key, body).unwrap_or(false)
}

fn signed(received: &Received, key: &str, body: &[u8]) -> Option<bool> {
    let (label, parameters) = received.header("signature-input")?.split_once('=')?;
    let (list, _) = parameters.strip_prefix('(')?.split_once(')')?;
    let (method, target) = received.target.split_once(' ')?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut base = String::new();
    for component in list.split(' ').filter(|component| !component.is_empty()) {
        let value = match component.trim_matches('"') {
            "@method" => method.to_owned(),
            "@authority" => received.header("host")?.to_owned(),
            "@path" => path.to_owned(),
            "@query" => format!("?{query}"),
            header => received.header(header)?.to_owned(),
        };
        base.push_str(&format!("{component}: {value}\n"));
    }
    base.push_str(&format!("\"@signature-params\": {parameters}"));
    let digest = format!("sha-256=:{}:", BASE64.encode(&Sha256::digest(body)));
    let signature = received.header("signature")?;
    let signature = signature.strip_prefix(&format!("{label}=:"))?;
    let signature = BASE64
        .decode(signature.strip_suffix(':')?.as_bytes())
        .ok()?;
    let is_code = mac(key, base.as_bytes()).verify_slice(&signature).is_ok();
    Some(is_code && received.header("content-digest") == Some(digest.as_str()))
}
