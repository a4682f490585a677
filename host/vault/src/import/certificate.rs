//! A certificate chain and its private key, from PEM (RFC 7468) or PFX.

use data_encoding::BASE64;
use x509_cert::der::Decode;
use x509_cert::{Certificate, TbsCertificate};

use super::fields::{Field, stored};
use super::pfx;
use crate::certificate::{KeyForm, algorithm_of};
use crate::jws::PublicKey;
use crate::plaintext::Plaintext;
use crate::secret::{ImportError, Secret};
use crate::vault::seconds_now;

/// The most certificates of a chain.
const MAX_CERTIFICATES: usize = 10;

pub(super) const fn malformed(reason: &'static str) -> ImportError {
    ImportError::Malformed {
        kind: "certificate",
        reason,
    }
}

/// A chain, the leaf first, and the leaf's key. Stored as `[[certificate, …], form
/// of the key, key]`, all as DER. Also returns when the leaf ends, in seconds since
/// 1970.
pub(super) fn certificate(value: &Secret) -> Result<(Secret, u64), ImportError> {
    let exposed = value.expose();
    let (mut chain, mut key) = (Vec::new(), None);
    let mut blocks = Blocks(&exposed[..]);
    if pfx::is_meant(&exposed[..]) {
        let (read, its_key) = pfx::read(&exposed[..])?;
        (chain, key) = (read, Some((KeyForm::Pkcs8, its_key)));
        blocks = Blocks(&[]);
    }
    for block in blocks {
        let (label, body) = block?;
        let form = match label {
            b"CERTIFICATE" => {
                chain.push(decode(body)?);
                continue;
            }
            // What `openssl ecparam -genkey` writes before a key.
            b"EC PARAMETERS" => continue,
            b"PRIVATE KEY" => KeyForm::Pkcs8,
            b"RSA PRIVATE KEY" => KeyForm::Pkcs1,
            b"EC PRIVATE KEY" => KeyForm::Sec1,
            b"ENCRYPTED PRIVATE KEY" => {
                return Err(malformed(
                    "its private key is encrypted; `openssl pkey` decrypts it, and the vault \
                     seals it",
                ));
            }
            _ => return Err(malformed("it has certificates and one private key only")),
        };
        if key.replace((form, decode(body)?)).is_some() {
            return Err(malformed("it has one private key"));
        }
    }
    let (form, key) = key.ok_or(malformed("it has no private key (PEM)"))?;
    let (leaf, end) = judge(&chain)?;
    let public = &leaf.subject_public_key_info().subject_public_key;
    if algorithm_of(form, &key, public.raw_bytes()).is_none() {
        return Err(malformed(
            "its private key is not the leaf's, or neither RSA of 2048 bits or more, ECDSA \
             (P-256, P-384, P-521) nor Ed25519",
        ));
    }
    let chain: Vec<_> = chain.iter().map(|der| Field::Bytes(der)).collect();
    let fields = [
        Field::List(&chain),
        Field::Number(form as u64),
        Field::Bytes(&key),
    ];
    Ok((stored(&fields), end))
}

/// A chain, the leaf first, whose leaf's key stays elsewhere: PEM without a private key,
/// so that none is taken in by mistake. Stored as `[[certificate, …]]`, all as DER. Also
/// returns when the leaf ends, in seconds since 1970.
pub(super) fn chain(value: &Secret) -> Result<(Secret, u64), ImportError> {
    let exposed = value.expose();
    let mut chain = Vec::new();
    for block in Blocks(&exposed[..]) {
        match block? {
            (b"CERTIFICATE", body) => chain.push(decode(body)?),
            _ => {
                return Err(malformed(
                    "its key stays in its source: the chain alone is kept here, as PEM, without \
                     a private key",
                ));
            }
        }
    }
    let (_, end) = judge(&chain)?;
    if chain
        .first()
        .is_none_or(|leaf| PublicKey::of_certificate(leaf).is_none())
    {
        return Err(malformed(
            "the leaf's key is neither RSA of 2048 bits or more, ECDSA (P-256, P-384, P-521) nor \
             Ed25519",
        ));
    }
    let chain: Vec<_> = chain.iter().map(|der| Field::Bytes(der)).collect();
    Ok((stored(&[Field::List(&chain)]), end))
}

/// The leaf, and when it ends, of certificates that are a chain and still good.
fn judge(chain: &[Plaintext]) -> Result<(TbsCertificate, u64), ImportError> {
    if chain.is_empty() || chain.len() > MAX_CERTIFICATES {
        return Err(malformed("it has 1 to 10 certificates (PEM)"));
    }
    let certificates = chain
        .iter()
        .map(|der| Certificate::from_der(der).ok())
        .collect::<Option<Vec<_>>>()
        .ok_or(malformed(
            "one of its certificates is not a certificate of X.509",
        ))?;
    let mut links = certificates.iter().zip(certificates.iter().skip(1));
    if links.any(|(one, next)| one.tbs_certificate().issuer() != next.tbs_certificate().subject()) {
        return Err(malformed(
            "its certificates are a chain: the leaf first, each one's issuer next",
        ));
    }
    let leaf = certificates.first().map(Certificate::tbs_certificate);
    let leaf = leaf.ok_or(malformed("it has no certificate"))?;
    let end = leaf.validity().not_after.to_unix_duration().as_secs();
    if end <= seconds_now() {
        return Err(malformed("the leaf has expired"));
    }
    Ok((leaf.clone(), end))
}

/// The blocks of a PEM file: label and body. Text around them is passed over.
struct Blocks<'a>(&'a [u8]);

impl<'a> Iterator for Blocks<'a> {
    type Item = Result<(&'a [u8], &'a [u8]), ImportError>;

    fn next(&mut self) -> Option<Self::Item> {
        let label = loop {
            let line = self.line()?;
            if let Some(label) = boundary(line, b"-----BEGIN ") {
                break label;
            }
        };
        let body = self.0;
        loop {
            let before = self.0.len();
            let Some(line) = self.line() else {
                return Some(Err(malformed("a block of its PEM has no end")));
            };
            if boundary(line, b"-----END ") == Some(label) {
                let length = body.len().saturating_sub(before);
                return Some(Ok((label, body.get(..length).unwrap_or_default())));
            }
        }
    }
}

impl<'a> Blocks<'a> {
    fn line(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let end = self.0.iter().position(|byte| *byte == b'\n');
        let end = end.unwrap_or(self.0.len());
        let line = self.0.get(..end).unwrap_or_default();
        self.0 = self.0.get(end.saturating_add(1)..).unwrap_or_default();
        Some(line.trim_ascii())
    }
}

fn boundary<'a>(line: &'a [u8], start: &[u8]) -> Option<&'a [u8]> {
    line.strip_prefix(start)?.strip_suffix(b"-----")
}

/// The bytes of a block's base64.
fn decode(body: &[u8]) -> Result<Plaintext, ImportError> {
    let refused = malformed(
        "a block of its PEM is not base64 (a key with the line Proc-Type is encrypted; \
         `openssl pkey` decrypts it)",
    );
    let mut digits = Plaintext::with_room(body.len());
    for byte in body.iter().filter(|byte| !byte.is_ascii_whitespace()) {
        digits.push(*byte).ok_or(refused)?;
    }
    let length = BASE64.decode_len(digits.len()).map_err(|_| refused)?;
    let mut bytes = Plaintext::with_room(length);
    bytes.resize(length).ok_or(refused)?;
    let written = BASE64.decode_mut(&digits, bytes.bytes_mut());
    let written = written.map_err(|_| refused)?;
    bytes.resize(written).ok_or(refused)?;
    Ok(bytes)
}
