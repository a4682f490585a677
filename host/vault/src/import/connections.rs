//! Connection strings: Azure storage accounts, PostgreSQL databases.

use data_encoding::BASE64;

use super::fields::{Field, is_host, is_loopback, percent_decoded, stored, text};
use super::logins::MIN_PASSWORD_CHARACTERS;
use crate::memory::Scratch;
use crate::secret::{ImportError, Secret};

/// The length of a storage account's key, in bytes.
const ACCOUNT_KEY_BYTES: usize = 64;
/// The parameters of a database's connection that mean something to us, ascending.
const PARAMETERS: [&str; 4] = [
    "application_name",
    "channel_binding",
    "connect_timeout",
    "sslmode",
];
/// Keys of the form `Key=Value;`, in lower case and without spaces, and what they mean:
/// those of Npgsql, which Azure's portal shows, and libpq's.
const KEYS: [(&str, Part); 15] = [
    ("host", Part::Host),
    ("server", Part::Host),
    ("port", Part::Port),
    ("database", Part::Database),
    ("db", Part::Database),
    ("dbname", Part::Database),
    ("username", Part::User),
    ("user", Part::User),
    ("userid", Part::User),
    ("uid", Part::User),
    ("password", Part::Password),
    ("pwd", Part::Password),
    ("sslmode", Part::SslMode),
    ("applicationname", Part::ApplicationName),
    ("timeout", Part::Timeout),
];

/// What a key of the form `Key=Value;` says.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Host,
    Port,
    Database,
    User,
    Password,
    SslMode,
    ApplicationName,
    Timeout,
}

/// A connection string of an Azure storage account. Stored as `[account, key,
/// endpoint suffix, blob endpoint]`, one of the last two empty.
pub(super) fn storage_account(value: &Secret) -> Result<Secret, ImportError> {
    let malformed = |reason| ImportError::Malformed {
        kind: "storage-account",
        reason,
    };
    let exposed = value.expose();
    let string = text(&exposed[..], "storage-account")?;
    let [mut protocol, mut account, mut key, mut suffix, mut endpoint] = [None; 5];
    for part in string.split(';').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').ok_or(malformed(
            "its parts have the form Name=Value, divided by ';'",
        ))?;
        let place = match name {
            "DefaultEndpointsProtocol" => &mut protocol,
            "AccountName" => &mut account,
            "AccountKey" => &mut key,
            "EndpointSuffix" => &mut suffix,
            "BlobEndpoint" => &mut endpoint,
            _ => {
                return Err(malformed(
                    "its parts are AccountName, AccountKey, DefaultEndpointsProtocol, and \
                     EndpointSuffix or BlobEndpoint",
                ));
            }
        };
        if place.replace(value).is_some() {
            return Err(malformed("each of its parts stands once"));
        }
    }
    let account = account.unwrap_or_default();
    let lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if !(3..=24).contains(&account.len()) || !account.bytes().all(lower) {
        return Err(malformed("AccountName has 3 to 24 of a-z and 0-9"));
    }
    let key = key.unwrap_or_default().as_bytes();
    let not_a_key = malformed("AccountKey is the base64 of 64 bytes");
    // One step more than 64 bytes need, in which there is padding.
    let mut decoded = Scratch::new(ACCOUNT_KEY_BYTES + 2);
    if BASE64.decode_len(key.len()) != Ok(decoded.len()) {
        return Err(not_a_key);
    }
    let length = BASE64.decode_mut(key, &mut decoded[..]);
    if length != Ok(ACCOUNT_KEY_BYTES) {
        return Err(not_a_key);
    }
    let https_only = malformed("https is required, except for a BlobEndpoint on this machine");
    match (suffix, endpoint) {
        (Some(suffix), None) => {
            if !is_host(suffix) {
                return Err(malformed(
                    "EndpointSuffix is a host, such as core.windows.net",
                ));
            }
            if protocol.is_some_and(|protocol| protocol != "https") {
                return Err(https_only);
            }
        }
        (None, Some(endpoint)) => {
            let (scheme, rest) = endpoint
                .split_once("://")
                .ok_or(malformed("BlobEndpoint is a URL"))?;
            let authority = rest.split('/').next().unwrap_or_default();
            let (host, port) =
                host_and_port(authority).ok_or(malformed("BlobEndpoint is a URL"))?;
            let path = rest.get(authority.len()..).unwrap_or_default();
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
            if port == Some(0) || !path.bytes().all(plain) {
                return Err(malformed("BlobEndpoint is a URL of a host and a path"));
            }
            let secure = scheme == "https" || (scheme == "http" && is_loopback(host));
            if !secure || protocol.is_some_and(|protocol| protocol != scheme) {
                return Err(https_only);
            }
        }
        _ => return Err(malformed("it has either EndpointSuffix or BlobEndpoint")),
    }
    Ok(stored(&[
        Field::Text(account),
        Field::Bytes(decoded.get(..ACCOUNT_KEY_BYTES).unwrap_or_default()),
        Field::Text(suffix.unwrap_or_default()),
        Field::Text(endpoint.unwrap_or_default()),
    ]))
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`.
fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let ends = authority.rfind(']').map_or(0, |at| at + 1);
    let colon = authority.get(ends..)?.find(':').map(|at| ends + at);
    let (host, port) = match colon {
        None => (authority, None),
        Some(at) => {
            let port = authority.get(at + 1..)?;
            let digits = port.bytes().all(|byte| byte.is_ascii_digit());
            (
                authority.get(..at)?,
                Some(port.parse().ok().filter(|_| digits)?),
            )
        }
    };
    is_host(host).then_some((host, port))
}

/// A PostgreSQL connection URL (libpq, section 34.1.1.2), or `Key=Value;` pairs as
/// Npgsql has them. Stored as `[user, password, host, port, database, [[name, value],
/// …]]`, the parameters ascending.
pub(super) fn database(value: &Secret) -> Result<Secret, ImportError> {
    let malformed = |reason| ImportError::Malformed {
        kind: "database",
        reason,
    };
    let form = malformed("it has the form postgres://user:password@host:port/database");
    let exposed = value.expose();
    let url = text(&exposed[..], "database")?;
    let rest = url
        .strip_prefix("postgres://")
        .or_else(|| url.strip_prefix("postgresql://"));
    let Some(rest) = rest else {
        return match url.contains("://") {
            true => Err(form),
            false => key_values(url),
        };
    };
    if rest.contains(['#', ' ']) {
        return Err(malformed(
            "'#' and spaces are percent-encoded in a URL (%23, %20)",
        ));
    }
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, address) = authority.rsplit_once('@').ok_or(form)?;
    let (user, password) = login.split_once(':').ok_or(form)?;
    if login.contains('@') || password.contains(':') || path.contains('/') {
        return Err(malformed(
            "'@', ':' and '/' in a user, password or database are percent-encoded (%40, %3A, %2F)",
        ));
    }
    let decode = |text| percent_decoded(text).ok_or(malformed("a '%' needs two digits after it"));
    let (user, password, path) = (decode(user)?, decode(password)?, decode(path)?);
    let user = text(&user, "database")?;
    let password = text(&password, "database")?;
    let name = text(&path, "database")?;
    let (host, port) = host_and_port(address).ok_or(malformed("there must be one host"))?;
    let mut found = [None; PARAMETERS.len()];
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').ok_or(form)?;
        let at = PARAMETERS.iter().position(|known| *known == name);
        let place = at.and_then(|at| found.get_mut(at)).ok_or(malformed(
            "its parameters are application_name, channel_binding, connect_timeout and sslmode",
        ))?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if !value.bytes().all(plain) || place.replace(value).is_some() {
            return Err(malformed(
                "its parameters stand once each, and have letters, digits, '-', '.' and '_'",
            ));
        }
    }
    logged_in(user, password, host, port, name, found)
}

/// `Host=…;Username=…;Password=…;Database=…`, keys in any case. Values have no `;`,
/// and none of the quotes with which some would write one.
fn key_values(string: &str) -> Result<Secret, ImportError> {
    let malformed = |reason| ImportError::Malformed {
        kind: "database",
        reason,
    };
    let form = malformed(
        "it has the form postgres://user:password@host:port/database, or Host=…;Port=…;\
         Database=…;Username=…;Password=…",
    );
    let mut found: [Option<&str>; 8] = [None; 8];
    for part in string.split(';').filter(|part| !part.trim().is_empty()) {
        let (key, value) = part.split_once('=').ok_or(form)?;
        let key: String = key.chars().filter(|c| *c != ' ').collect();
        let known = KEYS
            .iter()
            .find(|(known, _)| key.eq_ignore_ascii_case(known));
        let (_, known) = known.ok_or(malformed(
            "its keys are Host, Port, Database, Username, Password, SSL Mode, Application Name \
             and Timeout",
        ))?;
        let value = value.trim();
        if value.starts_with(['"', '\'']) {
            return Err(malformed("its values stand without quotes"));
        }
        let place = found.get_mut(*known as usize).ok_or(form)?;
        if place.replace(value).is_some() {
            return Err(malformed("each of its keys stands once"));
        }
    }
    let part = |part: Part| found.get(part as usize).copied().flatten();
    let host = part(Part::Host).filter(|host| is_host(host));
    let host = host.ok_or(malformed("there must be one host"))?;
    let port = match part(Part::Port) {
        None => None,
        Some(port) => {
            let port = port.parse().ok();
            Some(port.ok_or(malformed("the port must be 1 to 65535"))?)
        }
    };
    // As libpq spells what Npgsql calls `VerifyFull`.
    let mode = match part(Part::SslMode) {
        None => None,
        Some(mode) => {
            let known = ["disable", "require", "verify-ca", "verify-full"];
            let same = |known: &&str| {
                known
                    .replace('-', "")
                    .eq_ignore_ascii_case(&mode.replace('-', ""))
            };
            Some(known.into_iter().find(same).unwrap_or("other"))
        }
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let texts = [part(Part::ApplicationName), part(Part::Timeout)];
    if texts
        .into_iter()
        .flatten()
        .any(|text| !text.bytes().all(plain))
    {
        return Err(malformed(
            "Application Name and Timeout have letters, digits, '-', '.' and '_'",
        ));
    }
    let user = part(Part::User).unwrap_or_default();
    let password = part(Part::Password).unwrap_or_default();
    let name = part(Part::Database).unwrap_or_default();
    let parameters = [texts[0], None, texts[1], mode];
    logged_in(user, password, host, port, name, parameters)
}

/// Judges the parts of a login, however they were written, and makes its stored form.
fn logged_in(
    user: &str,
    password: &str,
    host: &str,
    port: Option<u16>,
    name: &str,
    found: [Option<&str>; PARAMETERS.len()],
) -> Result<Secret, ImportError> {
    let malformed = |reason| ImportError::Malformed {
        kind: "database",
        reason,
    };
    if user.is_empty() {
        return Err(malformed("there must be a user"));
    }
    if password.chars().count() < MIN_PASSWORD_CHARACTERS {
        return Err(malformed("the password must have at least 8 characters"));
    }
    if port == Some(0) {
        return Err(malformed("the port must be 1 to 65535"));
    }
    if found[1] == Some("require") {
        return Err(malformed(
            "channel_binding=require is not supported; the server's certificate is verified",
        ));
    }
    let encrypted = match found[PARAMETERS.len() - 1] {
        None | Some("require" | "verify-ca" | "verify-full") => true,
        Some("disable") => is_loopback(host),
        Some(_) => false,
    };
    if !encrypted {
        return Err(malformed(
            "sslmode is require, verify-ca or verify-full, and disable for this machine only",
        ));
    }
    let pairs: Vec<_> = PARAMETERS
        .into_iter()
        .zip(found)
        .filter_map(|(name, value)| value.map(|value| [Field::Text(name), Field::Text(value)]))
        .collect();
    let pairs: Vec<_> = pairs.iter().map(|pair| Field::List(pair)).collect();
    Ok(stored(&[
        Field::Text(user),
        Field::Text(password),
        Field::Text(host),
        Field::Number(u64::from(port.unwrap_or(5432))),
        Field::Text(name),
        Field::List(&pairs),
    ]))
}
