//! Canaries: values that stand for secrets. The same suite has the same ones each
//! time, so that signatures made with them can be compared; no two secrets have one.

use data_encoding::{BASE64, HEXLOWER};
use keyward::vault::{KeyEncoding, Kind, Slot};
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls_pki_types::PrivatePkcs8KeyDer;

use super::NotPrepared;
use crate::suite::{SecretSection, SecretText, Suite};

/// What stands for a secret, as it is imported and as it is searched for.
pub(crate) struct Canary {
    /// The secret's name.
    pub(crate) secret: String,
    /// What it is.
    pub(crate) kind: Kind,
    /// What is searched for: the text that was imported, and what was made of it, each
    /// with the name that a report says.
    pub(crate) values: Vec<(String, Vec<u8>)>,
    /// What is imported.
    pub(crate) import: Vec<u8>,
    /// What is imported first, where there was a version before.
    pub(crate) previous: Option<Vec<u8>>,
    /// The keys of clients, by subject.
    pub(crate) keys: Vec<(String, String)>,
}

impl Canary {
    /// What stands in a slot of a template.
    pub(crate) fn part(&self, slot: Slot) -> Option<Vec<u8>> {
        let colon = || self.import.iter().position(|byte| *byte == b':');
        match (slot, self.kind) {
            (Slot::Secret, Kind::Basic) => Some(BASE64.encode(&self.import).into_bytes()),
            (Slot::Secret, _) => Some(self.import.clone()),
            (Slot::User, _) => self.import.get(..colon()?).map(<[u8]>::to_vec),
            (Slot::Password, _) => self.import.get(colon()? + 1..).map(<[u8]>::to_vec),
        }
    }
}

/// The canaries of a suite: those of its secrets, then those of its client keys.
///
/// Errors: the file of a value can't be read.
pub(crate) fn canaries(suite: &Suite) -> Result<Vec<Canary>, NotPrepared> {
    let mut all = Vec::new();
    for secret in &suite.secrets {
        let name = secret.name.to_string();
        let seed = |part: &str| Letters::new(&[&suite.name, &name, part]);
        let (import, values) = version(secret, secret.value.as_ref(), seed)?;
        let mut values: Vec<_> = values
            .into_iter()
            .map(|(field, value)| (named(&name, field), value))
            .collect();
        let mut previous = None;
        if let Some(section) = &secret.previous {
            let seed = |part: &str| Letters::new(&[&suite.name, &name, "previous", part]);
            let (import, of_previous) = version(secret, section.value.as_ref(), seed)?;
            let of_previous = of_previous.into_iter().map(|(field, value)| {
                let field = match field {
                    Some(field) => format!("previous {field}"),
                    None => "previous".to_owned(),
                };
                (named(&name, Some(&field)), value)
            });
            values.extend(of_previous);
            previous = Some(import);
        }
        all.push(Canary {
            secret: name,
            kind: secret.kind,
            values,
            import,
            previous,
            keys: Vec::new(),
        });
    }
    for clients in &suite.clients {
        let name = clients.name.to_string();
        let mut keys = Vec::new();
        let mut values = Vec::new();
        let mut import = String::new();
        for subject in &clients.subjects {
            let key = Letters::new(&[&suite.name, &name, subject.as_str()]).take(40);
            import.push_str(&format!("{subject} = {key}\n"));
            values.push((
                named(&name, Some(subject.as_str())),
                key.clone().into_bytes(),
            ));
            keys.push((subject.to_string(), key));
        }
        all.push(Canary {
            secret: name,
            kind: Kind::ClientKeys,
            values,
            import: import.into_bytes(),
            previous: None,
            keys,
        });
    }
    Ok(all)
}

/// A version of a secret: what is imported, and what of it is searched for.
fn version(
    secret: &SecretSection,
    value: Option<&SecretText>,
    letters: impl Fn(&str) -> Letters,
) -> Result<(Vec<u8>, Values), NotPrepared> {
    let value = match value {
        None => return Ok(made(secret.kind, letters)),
        Some(SecretText::Given(value)) => value.0.clone(),
        Some(SecretText::File(file)) => std::fs::read(&file.value).map_err(|error| {
            NotPrepared(format!(
                "secret \"{}\": can't read {}: {error}",
                secret.name,
                file.value.display()
            ))
        })?,
    };
    let parts = parts_of(secret.kind, &value);
    Ok((value, parts))
}

fn named(secret: &str, field: Option<&str>) -> String {
    match field {
        Some(field) => format!("{secret} ({field})"),
        None => secret.to_owned(),
    }
}

type Values = Vec<(Option<&'static str>, Vec<u8>)>;

/// What of a given value is searched for.
fn parts_of(kind: Kind, value: &[u8]) -> Values {
    let mut values: Values = vec![(None, value.to_vec())];
    match kind {
        Kind::HmacKey { encoding, .. } | Kind::DataKey { encoding } => {
            let bytes = match encoding {
                KeyEncoding::Raw => None,
                KeyEncoding::Hex => data_encoding::HEXLOWER_PERMISSIVE.decode(value).ok(),
                KeyEncoding::Base64 => BASE64.decode(value).ok(),
            };
            values.extend(bytes.map(|bytes| (None, bytes)));
        }
        Kind::Basic => {
            let password = value.iter().position(|byte| *byte == b':');
            let password = password.and_then(|colon| value.get(colon + 1..));
            values.extend(password.map(|password| (Some("password"), password.to_vec())));
        }
        _ => {}
    }
    values
}

/// A canary of a kind, and what of it is searched for.
fn made(kind: Kind, letters: impl Fn(&str) -> Letters) -> (Vec<u8>, Values) {
    let text = || letters("value").take(40);
    match kind {
        Kind::HmacKey { encoding, .. } => key(encoding, letters("key").bytes(32), text()),
        Kind::DataKey { encoding } => {
            let raw = letters("value").take(32);
            key(encoding, letters("key").bytes(32), raw)
        }
        Kind::Basic => {
            let password = text();
            let import = format!("canary:{password}");
            (
                import.into_bytes(),
                vec![(Some("password"), password.into_bytes())],
            )
        }
        Kind::OauthClient => {
            let secret = text();
            let import = format!(r#"{{"client_id":"canary","client_secret":"{secret}"}}"#);
            (
                import.into_bytes(),
                vec![(Some("client_secret"), secret.into_bytes())],
            )
        }
        Kind::StorageAccount => {
            let bytes = letters("key").bytes(64);
            let key = BASE64.encode(&bytes);
            let import = format!(
                "DefaultEndpointsProtocol=https;AccountName=canary;AccountKey={key};EndpointSuffix=core.windows.net"
            );
            let values = vec![
                (Some("AccountKey"), key.into_bytes()),
                (Some("AccountKey"), bytes),
            ];
            (import.into_bytes(), values)
        }
        Kind::Certificate => certificate(&letters("key").bytes(32)).unwrap_or_else(|| {
            // The letters are no number of the curve: once in 2^32 suites.
            let value = text().into_bytes();
            (value.clone(), vec![(None, value)])
        }),
        Kind::Database => {
            let password = text();
            let import = format!("postgres://canary:{password}@database.example:5432/canary");
            (
                import.into_bytes(),
                vec![(Some("password"), password.into_bytes())],
            )
        }
        Kind::AwsKey => {
            let secret = text();
            let id = letters("id").take(16).to_ascii_uppercase();
            let import =
                format!("aws_access_key_id = AKIA{id}\naws_secret_access_key = {secret}\n");
            (
                import.into_bytes(),
                vec![(Some("aws_secret_access_key"), secret.into_bytes())],
            )
        }
        Kind::ServiceBus => {
            let key = BASE64.encode(&letters("key").bytes(32));
            let import = format!(
                "Endpoint=sb://canary.servicebus.windows.net/;SharedAccessKeyName=canary;SharedAccessKey={key}"
            );
            let values = vec![(Some("SharedAccessKey"), key.into_bytes())];
            (import.into_bytes(), values)
        }
        Kind::ConnectionString => {
            let password = text();
            let import = format!("cache.example:6380,password={password},ssl=True");
            (
                import.into_bytes(),
                vec![(Some("password"), password.into_bytes())],
            )
        }
        _ => {
            let value = text().into_bytes();
            (value.clone(), vec![(None, value)])
        }
    }
}

fn key(encoding: KeyEncoding, bytes: Vec<u8>, raw: String) -> (Vec<u8>, Values) {
    let text = match encoding {
        KeyEncoding::Raw => return (raw.clone().into_bytes(), vec![(None, raw.into_bytes())]),
        KeyEncoding::Hex => HEXLOWER.encode(&bytes),
        KeyEncoding::Base64 => BASE64.encode(&bytes),
    };
    (
        text.clone().into_bytes(),
        vec![(None, text.into_bytes()), (None, bytes)],
    )
}

/// A certificate that vouches for itself, with the key over P-256 whose number this is.
fn certificate(number: &[u8]) -> Option<(Vec<u8>, Values)> {
    /// PKCS#8 (RFC 5958) of a key over P-256 (RFC 5915), up to its number.
    const HEAD: [u8; 35] = [
        0x30, 0x41, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02,
        0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x27, 0x30, 0x25,
        0x02, 0x01, 0x01, 0x04, 0x20,
    ];
    let der = PrivatePkcs8KeyDer::from([&HEAD, number].concat());
    let key = KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ECDSA_P256_SHA256).ok()?;
    let mut params = CertificateParams::new(vec!["gateway.example".to_owned()]).ok()?;
    params.distinguished_name.push(DnType::CommonName, "canary");
    let certificate = params.self_signed(&key).ok()?;
    let import = format!("{}{}", certificate.pem(), key.serialize_pem());
    let values = vec![(Some("private key"), number.to_vec())];
    Some((import.into_bytes(), values))
}

/// Letters and digits that depend on what they are for, and on nothing else.
struct Letters(fastrand::Rng);

impl Letters {
    fn new(parts: &[&str]) -> Self {
        // FNV-1a: any hash that stays the same will do.
        let mut seed = 0xcbf2_9ce4_8422_2325_u64;
        for byte in parts.iter().flat_map(|part| part.bytes().chain([0])) {
            seed = (seed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Self(fastrand::Rng::with_seed(seed))
    }

    fn take(mut self, length: usize) -> String {
        std::iter::repeat_with(|| self.0.alphanumeric())
            .take(length)
            .collect()
    }

    fn bytes(mut self, length: usize) -> Vec<u8> {
        std::iter::repeat_with(|| self.0.u8(..))
            .take(length)
            .collect()
    }
}
