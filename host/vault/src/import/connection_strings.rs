//! Connection strings of Service Bus and Event Hubs, of Redis, and of whatever else
//! has the form `Name=Value;…`.

use super::fields::{Field, is_host, is_visible, percent_decoded, stored, text};
use super::{KeyVaultReference, is_guessable};
use crate::secret::{ImportError, Secret};

/// The least length of the key of a Service Bus namespace, in characters: they have
/// 44, the base64 of 32 bytes.
const MIN_BUS_KEY_CHARACTERS: usize = 32;
/// The most parts that a connection string has.
const MAX_PARTS: usize = 64;

/// The parts of a connection string that are no secret, in lower case and without
/// spaces: where it leads to and whose it is. All others are secret, whatever they
/// are.
const PUBLIC: [&str; 25] = [
    "abortconnect",
    "accountendpoint",
    "accountname",
    "applicationname",
    "connecttimeout",
    "connectiontimeout",
    "database",
    "datasource",
    "defaultdatabase",
    "encrypt",
    "endpoint",
    "entitypath",
    "host",
    "hostname",
    "initialcatalog",
    "name",
    "port",
    "scheme",
    "server",
    "sharedaccesskeyname",
    "ssl",
    "sslmode",
    "synctimeout",
    "timeout",
    "trustservercertificate",
];

/// A connection string of a Service Bus or Event Hubs namespace. Stored as `[host, key
/// name, key, entity path]`, the last one empty if there is none.
pub(super) fn service_bus(value: &Secret) -> Result<Secret, ImportError> {
    let malformed = |reason| ImportError::Malformed {
        kind: "service-bus",
        reason,
    };
    let exposed = value.expose();
    let string = text(&exposed[..], "service-bus")?;
    let [mut endpoint, mut name, mut key, mut path, mut transport] = [None; 5];
    for part in string.split(';').filter(|part| !part.is_empty()) {
        let (part, value) = part.split_once('=').ok_or(malformed(
            "its parts have the form Name=Value, divided by ';'",
        ))?;
        let place = match part {
            "Endpoint" => &mut endpoint,
            "SharedAccessKeyName" => &mut name,
            "SharedAccessKey" => &mut key,
            "EntityPath" => &mut path,
            // It says something to client libraries only.
            "TransportType" => &mut transport,
            "SharedAccessSignature" => {
                return Err(malformed(
                    "a shared access signature is no key; give SharedAccessKeyName and \
                     SharedAccessKey, or store the signature as an api-key",
                ));
            }
            "UseDevelopmentEmulator" => {
                return Err(malformed(
                    "the emulator speaks AMQP only, and its key is known to everybody",
                ));
            }
            _ => {
                return Err(malformed(
                    "its parts are Endpoint, SharedAccessKeyName, SharedAccessKey, and \
                     EntityPath if there is one",
                ));
            }
        };
        if place.replace(value).is_some() {
            return Err(malformed("each of its parts stands once"));
        }
    }
    let (Some(endpoint), Some(name), Some(key)) = (endpoint, name, key) else {
        return Err(malformed(
            "it needs Endpoint, SharedAccessKeyName and SharedAccessKey",
        ));
    };
    let host = endpoint
        .strip_prefix("sb://")
        .map(|host| host.strip_suffix('/').unwrap_or(host))
        .filter(|host| is_host(host))
        .ok_or(malformed(
            "Endpoint has the form sb://NAMESPACE.servicebus.windows.net/",
        ))?;
    if !is_visible(name.as_bytes(), 1, 256) {
        return Err(malformed("SharedAccessKeyName is visible ASCII"));
    }
    if !is_visible(key.as_bytes(), MIN_BUS_KEY_CHARACTERS, 256) || is_guessable(key.as_bytes()) {
        return Err(malformed(
            "SharedAccessKey has 32 to 256 characters, as they are when Azure makes them",
        ));
    }
    let path = path.unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    if path.len() > 260 || !path.bytes().all(plain) {
        return Err(malformed(
            "EntityPath has letters, digits, '-', '.', '_', '~' and '/'",
        ));
    }
    Ok(stored(&[
        Field::Text(host),
        Field::Text(name),
        Field::Text(key),
        Field::Text(path),
    ]))
}

/// Any connection string. Stored as `[[name, value, whether it is public], …]`, in
/// the order in which the parts stand.
pub(super) fn any(value: &Secret) -> Result<Secret, ImportError> {
    let exposed = value.expose();
    let string = text(&exposed[..], KIND)?;
    if string.starts_with("redis://") || string.starts_with("rediss://") {
        redis_url(string)
    } else if string.contains(';') || is_pair(string) {
        parts(string.split(';'), false)
    } else {
        parts(string.split(','), true)
    }
}

const KIND: &str = "connection-string";

fn malformed(reason: &'static str) -> ImportError {
    ImportError::Malformed { kind: KIND, reason }
}

/// Whether it is one `Name=Value`, and not Redis's `host:port,name=value`.
fn is_pair(string: &str) -> bool {
    let first = string.split(',').next().unwrap_or_default();
    first.contains('=')
}

/// `Name=Value` each; of Redis, `host` or `host:port` first.
fn parts<'a>(pieces: impl Iterator<Item = &'a str>, is_redis: bool) -> Result<Secret, ImportError> {
    let mut found: Vec<(&str, &str)> = Vec::new();
    for (at, piece) in pieces.map(str::trim).enumerate() {
        if piece.is_empty() {
            continue;
        }
        match piece.split_once('=') {
            Some((name, value)) => found.push((name.trim(), value.trim())),
            None if is_redis && at == 0 => match piece.rsplit_once(':') {
                Some((host, port)) => found.extend([("host", host), ("port", port)]),
                None => found.push(("host", piece)),
            },
            None => {
                return Err(malformed(
                    "its parts have the form Name=Value, divided by ';', or it is \
                     host:port,name=value or redis://… for Redis",
                ));
            }
        }
    }
    store(&found, is_redis)
}

/// `redis://user:password@host:port/database`, `rediss://` over TLS.
fn redis_url(string: &str) -> Result<Secret, ImportError> {
    let form = malformed("a Redis URL has the form rediss://user:password@host:port/database");
    let (scheme, rest) = string.split_once("://").ok_or(form)?;
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, address) = authority.rsplit_once('@').ok_or(form)?;
    let (user, password) = login.split_once(':').unwrap_or(("", login));
    let (host, port) = address.rsplit_once(':').unwrap_or((address, "6379"));
    let password = percent_decoded(password).ok_or(form)?;
    let password = text(&password, KIND)?;
    let mut found = vec![("scheme", scheme), ("host", host), ("port", port)];
    if !database.is_empty() {
        found.push(("database", database));
    }
    if !user.is_empty() {
        found.push(("user", user));
    }
    found.push(("password", password));
    store(&found, true)
}

fn store(found: &[(&str, &str)], is_redis: bool) -> Result<Secret, ImportError> {
    if found.is_empty() || found.len() > MAX_PARTS {
        return Err(malformed("it has 1 to 64 parts"));
    }
    let value_of = |wanted: &str| found.iter().find(|(name, _)| *name == wanted);
    if is_redis {
        let host = value_of("host").is_some_and(|(_, host)| is_host(host));
        let port = value_of("port").is_none_or(|(_, port)| port.parse::<u16>().is_ok());
        if !host || !port {
            return Err(malformed("it has a host and a port"));
        }
    }
    let folded: Vec<String> = found.iter().map(|(name, _)| folded(name)).collect();
    for (at, name) in folded.iter().enumerate() {
        if name.is_empty() || name.len() > 64 || folded.iter().take(at).any(|it| it == name) {
            return Err(malformed(
                "each of its parts has a name of 1 to 64 characters and stands once",
            ));
        }
    }
    let is_public = |name: &String| PUBLIC.contains(&name.as_str());
    // A value that nobody may read is what makes it a secret.
    if folded.iter().all(is_public) {
        return Err(malformed(
            "it has no secret part, such as a password; write it into the configuration",
        ));
    }
    if found
        .iter()
        .any(|(_, value)| KeyVaultReference::is_in(value.as_bytes()))
    {
        return Err(ImportError::Reference);
    }
    let fields: Vec<_> = found
        .iter()
        .zip(&folded)
        .map(|((name, value), folded)| {
            let public = u64::from(is_public(folded));
            [Field::Text(name), Field::Text(value), Field::Number(public)]
        })
        .collect();
    let lists: Vec<_> = fields.iter().map(|fields| Field::List(fields)).collect();
    Ok(stored(&lists))
}

/// A part's name as it is compared: in lower case, without spaces.
fn folded(name: &str) -> String {
    let letters = name.chars().filter(|letter| *letter != ' ');
    letters.map(|letter| letter.to_ascii_lowercase()).collect()
}
