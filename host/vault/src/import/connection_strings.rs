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
/// are, and so is one of these whose value may hold a secret ([`public_parts`]).
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

/// The parts that say who logs in. They are kept secret; that such a name is also the
/// database's, or begins the host's, makes nothing else secret.
const LOGIN: [&str; 5] = ["login", "uid", "user", "userid", "username"];
/// A part that has this many bytes in a row in common with a secret one is secret too.
const WINDOW: usize = 6;

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
            // A quoted value may hold the divider, and what follows it is no part.
            Some((_, value)) if value.trim_start().starts_with(['"', '\'', '{']) => {
                return Err(malformed(
                    "its values stand without quotes and braces, which are not read; \
                     give the secret a value without ';', or store the password alone",
                ));
            }
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
        let is_database =
            |name: &str| ["database", "defaultdatabase"].contains(&folded(name).as_str());
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !found
            .iter()
            .all(|(name, value)| !is_database(name) || is_number(value))
        {
            return Err(malformed("a database of Redis is a number"));
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
    let public = public_parts(found, &folded);
    // A value that nobody may read is what makes it a secret.
    if public.iter().all(|is| *is) {
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
        .zip(&public)
        .map(|((name, value), public)| {
            let public = u64::from(*public);
            [Field::Text(name), Field::Text(value), Field::Number(public)]
        })
        .collect();
    let lists: Vec<_> = fields.iter().map(|fields| Field::List(fields)).collect();
    Ok(stored(&lists))
}

/// Which parts are public: those with the name of one, whose value has nothing in which
/// addresses, queries and quotes carry secrets, and nothing in common with a part that
/// is secret.
fn public_parts(found: &[(&str, &str)], folded: &[String]) -> Vec<bool> {
    let is_plain = |value: &str| !value.contains(['@', '?', '&', '=', '"', '\'']);
    let parts = found.iter().zip(folded);
    let named = parts.map(|((_, value), name)| PUBLIC.contains(&name.as_str()) && is_plain(value));
    let mut public: Vec<bool> = named.collect();
    // What becomes secret may have something in common with others.
    loop {
        let secret: Vec<&[u8]> = found
            .iter()
            .zip(folded)
            .zip(&public)
            .filter(|((_, name), public)| !**public && !LOGIN.contains(&name.as_str()))
            .map(|(((_, value), _), _)| value.as_bytes())
            .collect();
        let shares = |value: &str| {
            let mut windows = value.as_bytes().windows(WINDOW);
            windows.any(|window| {
                let mut secret = secret.iter().flat_map(|secret| secret.windows(WINDOW));
                secret.any(|other| other == window)
            })
        };
        let before = public.clone();
        for ((_, value), public) in found.iter().zip(&mut public) {
            *public = *public && !shares(value);
        }
        if public == before {
            return public;
        }
    }
}

/// A part's name as it is compared: in lower case, without spaces.
fn folded(name: &str) -> String {
    let letters = name.chars().filter(|letter| *letter != ' ');
    letters.map(|letter| letter.to_ascii_lowercase()).collect()
}
