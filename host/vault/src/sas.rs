//! Shared access signatures: of Azure Storage (learn.microsoft.com, "Create an account
//! SAS", "Create a service SAS") and of Service Bus and Event Hubs ("Service Bus access
//! control with Shared Access Signatures").
//!
//! The host builds what is signed from typed fields. What it is for says the path of
//! the final request, held against the grant; a path in which a field could be taken
//! for another one is refused.

use std::fmt::Write as _;

use data_encoding::BASE64;
use http::Uri;
use http::request::Parts;
use zeroize::Zeroizing;

use crate::bus::ServiceBus;
use crate::chosen::OtherChoice;
use crate::grants::{Permissions, SharedAccess, SharedAccessScope, StorageService, is_under};
use crate::protocol::{Unsignable, add_to_query, authorize, decoded, encoded, iso, parameters};
use crate::secret::Secret;
use crate::shared_key::SOURCES;
use crate::storage::StorageAccount;

/// The version of the signatures: the form of what is signed depends on it.
const VERSION: &str = "2021-12-02";
/// The names that a shared access signature's parameters have.
const NAMES: [&str; 26] = [
    "sv", "ss", "srt", "sp", "st", "se", "sip", "spr", "sr", "si", "sig", "ses", "sdd", "skoid",
    "sktid", "skt", "ske", "sks", "skv", "saoid", "suoid", "scid", "spk", "epk", "srk", "erk",
];
/// The query parameter of a table's signature that names the table.
const TABLE_NAME: &str = "tn";

/// What a policy chose of what its grant allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChosenAccess {
    /// What it covers.
    pub covers: Covers,
    /// What it allows.
    pub permissions: Permissions,
    /// How long it is good for; as long as the grant allows, if there is none.
    pub lifetime_seconds: Option<u32>,
}

/// What a shared access signature covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Covers {
    /// What the request is about: a blob or a file, a queue, a table, an entity.
    Item,
    /// The directory in which it is.
    Directory,
    /// The container or share in which it is.
    Container,
    /// The whole service.
    Account,
}

impl SharedAccess {
    /// Whether a policy may choose so, whatever the request is about.
    pub(crate) fn allows(&self, chosen: &ChosenAccess) -> Result<(), OtherChoice> {
        let lifetime = chosen
            .lifetime_seconds
            .map_or(self.lifetime_seconds, u64::from);
        let is_short = (1..=self.lifetime_seconds).contains(&lifetime);
        let is_less = match &self.scope {
            SharedAccessScope::Account { permissions, .. } => {
                chosen.covers == Covers::Account && is_some_of(chosen, permissions)
            }
            SharedAccessScope::Resource {
                service,
                permissions,
                resource,
            } => {
                let covers = match chosen.covers {
                    Covers::Item => true,
                    Covers::Account => false,
                    Covers::Directory => *service == StorageService::Blob,
                    // All of it is granted only if nothing in it is named.
                    Covers::Container => {
                        matches!(service, StorageService::Blob | StorageService::File)
                            && !resource.contains('/')
                    }
                };
                covers && is_some_of(chosen, permissions)
            }
            SharedAccessScope::Entity { .. } => {
                chosen.covers == Covers::Item && chosen.permissions.is_empty()
            }
        };
        match is_short && is_less {
            true => Ok(()),
            false => Err(OtherChoice),
        }
    }
}

fn is_some_of(chosen: &ChosenAccess, permissions: &Permissions) -> bool {
    !chosen.permissions.is_empty() && chosen.permissions.is_within(permissions)
}

/// A signature that was made: what is added to the query, and the part of it without
/// which it is good for nothing.
pub(crate) struct Minted {
    pub(crate) query: Zeroizing<String>,
    pub(crate) signature: Sent,
}

/// A signature as it is and as it was sent, in percent-encoding: an answer may hold
/// either, in whatever form.
pub(crate) type Sent = [Secret; 2];

fn sent(code: &str) -> Sent {
    let escaped = Zeroizing::new(encoded(code));
    [code, &escaped].map(|text| Secret::copy_of(text.as_bytes()))
}

/// The fields of a signature, before it is signed.
struct Fields<'a> {
    service: StorageService,
    permissions: String,
    expiry: String,
    addresses: String,
    protocol: &'a str,
}

/// Makes a signature for a request to Azure Storage, and adds it to its query.
/// Returns the signature itself.
pub(crate) fn attach(
    terms: &SharedAccess,
    chosen: &ChosenAccess,
    account: &StorageAccount,
    head: &mut Parts,
    authority: &str,
    now: i64,
) -> Result<Sent, Unsignable> {
    // Another path than the one that was held against the grant.
    if SOURCES.iter().any(|name| head.headers.contains_key(*name)) {
        return Err(Unsignable::OtherEndpoint);
    }
    let given = parameters(head.uri.query())?;
    let is_ours =
        |(name, _): &(String, String)| NAMES.contains(&name.as_str()) || name == TABLE_NAME;
    if given.iter().any(is_ours) {
        return Err(Unsignable::SamePlace);
    }
    // Two ways to say who asks would be two answers.
    let authorization = head.headers.get_all(http::header::AUTHORIZATION);
    if authorization.iter().any(http::HeaderValue::is_sensitive) {
        return Err(Unsignable::SamePlace);
    }
    let minted = mint(terms, chosen, account, &head.uri, authority, now)?;
    crate::headers::remove_alike(&mut head.headers, &http::header::AUTHORIZATION);
    add_to_query(head, &minted.query)?;
    Ok(minted.signature)
}

/// The signature for a request to that address.
pub(crate) fn mint(
    terms: &SharedAccess,
    chosen: &ChosenAccess,
    account: &StorageAccount,
    uri: &Uri,
    authority: &str,
    now: i64,
) -> Result<Minted, Unsignable> {
    terms
        .allows(chosen)
        .map_err(|_| Unsignable::OtherEndpoint)?;
    let lifetime = chosen
        .lifetime_seconds
        .map_or(terms.lifetime_seconds, u64::from);
    let expiry = now.saturating_add(i64::try_from(lifetime).unwrap_or(0));
    let addresses = match terms.addresses {
        None => String::new(),
        Some((first, last)) if first == last => first.to_string(),
        Some((first, last)) => format!("{first}-{last}"),
    };
    // An account that is reached in plaintext is on this machine.
    let protocol = match uri.scheme_str() {
        Some("http") => "https,http",
        _ => "https",
    };
    let fields = |service| Fields {
        service,
        permissions: chosen.permissions.letters(),
        expiry: iso(expiry),
        addresses: addresses.clone(),
        protocol,
    };
    match &terms.scope {
        SharedAccessScope::Account { service, .. } => {
            let base = account.base_path(*service, authority);
            base.ok_or(Unsignable::OtherEndpoint)?;
            Ok(account_signature(&fields(*service), account))
        }
        SharedAccessScope::Resource {
            service, resource, ..
        } => {
            let base = account.base_path(*service, authority);
            let base = base.ok_or(Unsignable::OtherEndpoint)?;
            let path = path_in(uri, &base)?;
            let about = About::of(*service, chosen.covers, &path)?;
            if !is_under(&about.path, resource) {
                return Err(Unsignable::OtherEndpoint);
            }
            Ok(service_signature(&fields(*service), account, &about))
        }
        SharedAccessScope::Entity { .. } => Err(Unsignable::OtherEndpoint),
    }
}

/// The path of a request without what stands before it at an emulator, decoded; it
/// has no segment that means another one.
fn path_in(uri: &Uri, base: &str) -> Result<String, Unsignable> {
    let path = uri.path().strip_prefix(base);
    let path = path.and_then(|path| path.strip_prefix('/'));
    let path = decoded(path.ok_or(Unsignable::OtherEndpoint)?)?.into_owned();
    let is_odd = |segment: &str| segment.is_empty() || segment == "." || segment == "..";
    if path.contains('\\') || path.split('/').any(is_odd) {
        return Err(Unsignable::Ambiguous);
    }
    Ok(path)
}

/// What a service's signature is for.
struct About {
    /// Without a slash at its start.
    path: String,
    /// `sr`, and what else names it.
    names: Vec<(&'static str, String)>,
}

impl About {
    fn of(service: StorageService, covers: Covers, path: &str) -> Result<Self, Unsignable> {
        let first = path.split('/').next().unwrap_or_default();
        let named = |path: &str, sr: &str| Self {
            path: path.to_owned(),
            names: vec![("sr", sr.to_owned())],
        };
        match (service, covers) {
            (_, Covers::Account) => Err(Unsignable::OtherEndpoint),
            (StorageService::Blob, Covers::Container) => Ok(named(first, "c")),
            (StorageService::File, Covers::Container) => Ok(named(first, "s")),
            (StorageService::Blob, Covers::Item) if path.contains('/') => Ok(named(path, "b")),
            (StorageService::File, Covers::Item) if path.contains('/') => Ok(named(path, "f")),
            (StorageService::Blob, Covers::Directory) => {
                let (directory, _) = path.rsplit_once('/').ok_or(Unsignable::OtherEndpoint)?;
                if !directory.contains('/') {
                    return Err(Unsignable::OtherEndpoint);
                }
                let mut about = named(directory, "d");
                let depth = directory.split('/').count() - 1;
                about.names.push(("sdd", depth.to_string()));
                Ok(about)
            }
            (StorageService::Queue, Covers::Item) => Ok(Self {
                path: first.to_owned(),
                names: Vec::new(),
            }),
            (StorageService::Table, Covers::Item) => {
                // `orders(PartitionKey='a',RowKey='b')` is an entity of `orders`.
                let table = first.split('(').next().unwrap_or_default();
                Ok(Self {
                    path: table.to_owned(),
                    names: vec![(TABLE_NAME, table.to_owned())],
                })
            }
            _ => Err(Unsignable::OtherEndpoint),
        }
    }
}

fn account_signature(fields: &Fields<'_>, account: &StorageAccount) -> Minted {
    let Fields {
        service,
        permissions,
        expiry,
        addresses,
        protocol,
    } = fields;
    let letter = service.as_str().get(..1).unwrap_or_default();
    let name = &account.name;
    // The lines of `st` and of the encryption scope are empty.
    let text = format!(
        "{name}\n{permissions}\n{letter}\nsco\n\n{expiry}\n{addresses}\n{protocol}\n{VERSION}\n\n"
    );
    let own = [("ss", letter.to_owned()), ("srt", "sco".to_owned())];
    sealed(fields, account, &text, &own)
}

fn service_signature(fields: &Fields<'_>, account: &StorageAccount, about: &About) -> Minted {
    let Fields {
        service,
        permissions,
        expiry,
        addresses,
        protocol,
    } = fields;
    let (name, path) = (&account.name, &about.path);
    // `st` and the stored access policy are empty.
    let start = format!(
        "{permissions}\n\n{expiry}\n/{service}/{name}/{path}\n\n{addresses}\n{protocol}\n{VERSION}"
    );
    let text = match service {
        StorageService::Blob => {
            let sr = about.names.first().map_or("", |(_, value)| value);
            // Snapshot, encryption scope, and five headers of the answer.
            format!("{start}\n{sr}\n\n\n\n\n\n\n")
        }
        // Five headers of the answer.
        StorageService::File => format!("{start}\n\n\n\n\n"),
        StorageService::Queue => start,
        // The first and the last partition and row.
        StorageService::Table => format!("{start}\n\n\n\n"),
    };
    sealed(fields, account, &text, &about.names)
}

/// Signs, and writes the query.
fn sealed(
    fields: &Fields<'_>,
    account: &StorageAccount,
    text: &str,
    own: &[(&'static str, String)],
) -> Minted {
    let code = BASE64.encode(account.key.sign(text.as_bytes()).as_ref());
    let mut query = Zeroizing::new(String::with_capacity(4096));
    let mut add = |name: &str, value: &str| {
        if !value.is_empty() {
            let divider = if query.is_empty() { "" } else { "&" };
            let _ = write!(query, "{divider}{name}={}", encoded(value));
        }
    };
    add("sv", VERSION);
    for (name, value) in own {
        add(name, value);
    }
    add("sp", &fields.permissions);
    add("se", &fields.expiry);
    add("sip", &fields.addresses);
    add("spr", fields.protocol);
    add("sig", &code);
    Minted {
        query,
        signature: sent(&code),
    }
}

/// Makes a token for a request to Service Bus or Event Hubs, and writes it into
/// `authorization`. Returns the token's signature.
pub(crate) fn attach_to_bus(
    terms: &SharedAccess,
    chosen: &ChosenAccess,
    bus: &ServiceBus,
    head: &mut Parts,
    authority: &str,
    now: i64,
) -> Result<Sent, Unsignable> {
    terms
        .allows(chosen)
        .map_err(|_| Unsignable::OtherEndpoint)?;
    let SharedAccessScope::Entity { path: granted } = &terms.scope else {
        return Err(Unsignable::OtherEndpoint);
    };
    let host = authority.strip_suffix(":443").unwrap_or(authority);
    if !host.eq_ignore_ascii_case(&bus.host) {
        return Err(Unsignable::OtherEndpoint);
    }
    let path = path_in(&head.uri, "")?;
    let entity = entity_of(&path);
    let key_reaches = is_under(entity, &bus.entity_path);
    if !is_under(entity, granted) || !key_reaches {
        return Err(Unsignable::OtherEndpoint);
    }
    let lifetime = chosen
        .lifetime_seconds
        .map_or(terms.lifetime_seconds, u64::from);
    let expiry = now.saturating_add(i64::try_from(lifetime).unwrap_or(0));
    let resource = encoded(&format!("https://{}/{entity}", bus.host).to_lowercase());
    let code = bus.key.sign(format!("{resource}\n{expiry}").as_bytes());
    let code = BASE64.encode(code.as_ref());
    let token = Zeroizing::new(format!(
        "SharedAccessSignature sr={resource}&sig={}&se={expiry}&skn={}",
        encoded(&code),
        encoded(&bus.key_name)
    ));
    authorize(head, &token)?;
    Ok(sent(&code))
}

/// The entity that a path is about: what stands before the words with which the
/// protocol goes on.
fn entity_of(path: &str) -> &str {
    let mut at = 0;
    for segment in path.split('/') {
        let is_word = matches!(
            segment.to_ascii_lowercase().as_str(),
            "messages"
                | "subscriptions"
                | "publishers"
                | "partitions"
                | "$deadletterqueue"
                | "consumergroups"
        );
        if is_word && at > 0 {
            return path.get(..at - 1).unwrap_or_default();
        }
        at += segment.len() + 1;
    }
    path
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
