//! Terms of `sas`: shared access signatures of Azure Storage, and tokens of Service
//! Bus and Event Hubs.

use std::fmt;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use super::super::diff::Effect;
use super::super::fields::text;
use super::super::grant::Answers;
use super::super::parse::GrantReader;
use super::super::render::quoted;
use super::super::report::did_you_mean;
use super::shared_key::StorageService;
use crate::Use;

/// How long a signature is good for at most, unless the grant says otherwise.
const DEFAULT_LIFETIME_SECONDS: u64 = 300;
const MAX_LIFETIME_SECONDS: u64 = 3600;
const LEAST_LIFETIME_SECONDS: u64 = 10;
/// The longest resource, in bytes.
const MAX_RESOURCE_BYTES: usize = 1024;

/// What a shared access signature may say. A policy can choose less, never more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedAccess {
    /// What it is for.
    pub scope: SharedAccessScope,
    /// How long it is good for at most, in seconds.
    pub lifetime_seconds: u64,
    /// From where it may be used, if not from everywhere: first and last address.
    pub addresses: Option<(Ipv4Addr, Ipv4Addr)>,
    /// What is said about answers.
    pub answers: Answers,
}

/// What a shared access signature is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SharedAccessScope {
    /// One service of a storage account as a whole (account SAS).
    Account {
        /// The service.
        service: StorageService,
        /// What it allows at most.
        permissions: Permissions,
    },
    /// Something in a service (service SAS).
    Resource {
        /// The service.
        service: StorageService,
        /// What the request must be about, without the slash at the start: a
        /// container, share, queue or table, or a directory or a blob in it.
        resource: String,
        /// What it allows at most.
        permissions: Permissions,
    },
    /// An entity of Service Bus or Event Hubs, with the rights of the key's rule.
    Entity {
        /// Its path; the whole namespace if it is empty.
        path: String,
    },
}

/// What a shared access signature of Azure Storage allows: a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permissions(u16);

/// In the order in which signatures have to name them: word, letter, and the services
/// that know it.
const PERMISSIONS: [(&str, char, &[StorageService]); 9] = {
    use StorageService::{Blob, File, Queue, Table};
    [
        ("read", 'r', &[Blob, File, Queue, Table]),
        ("add", 'a', &[Blob, Queue, Table]),
        ("create", 'c', &[Blob, File]),
        ("write", 'w', &[Blob, File]),
        ("delete", 'd', &[Blob, File, Table]),
        ("list", 'l', &[Blob, File]),
        ("tags", 't', &[Blob]),
        ("update", 'u', &[Queue, Table]),
        ("process", 'p', &[Queue]),
    ]
};

impl Permissions {
    /// Of words; `None` if one of them is none.
    pub fn of<'a>(words: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut all = Self::default();
        for word in words {
            let at = PERMISSIONS.iter().position(|(known, ..)| *known == word)?;
            all.0 |= 1 << at;
        }
        Some(all)
    }

    /// Whether it allows nothing.
    pub const fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// Whether all of this is in `other`, too.
    pub const fn is_within(&self, other: &Self) -> bool {
        self.0 & !other.0 == 0
    }

    fn each(self) -> impl Iterator<Item = (&'static str, char, &'static [StorageService])> {
        let all = PERMISSIONS.into_iter().enumerate();
        all.filter_map(move |(at, one)| (self.0 >> at & 1 == 1).then_some(one))
    }

    /// Its words, in order.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        self.each().map(|(word, ..)| word)
    }

    /// Its letters, in the order in which signatures have to name them.
    pub(crate) fn letters(self) -> String {
        self.each().map(|(_, letter, _)| letter).collect()
    }
}

impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.words().collect();
        f.write_str(&words.join(", "))
    }
}

impl SharedAccessScope {
    /// As grants spell it: `account`, `resource`, `entity`.
    pub const fn as_str(&self) -> &'static str {
        SCOPES[match self {
            Self::Account { .. } => 0,
            Self::Resource { .. } => 1,
            Self::Entity { .. } => 2,
        }]
    }
}

const SCOPES: [&str; 3] = ["account", "resource", "entity"];

impl SharedAccess {
    /// The service of a storage account; none for what is none.
    pub const fn service(&self) -> Option<StorageService> {
        match &self.scope {
            SharedAccessScope::Account { service, .. }
            | SharedAccessScope::Resource { service, .. } => Some(*service),
            SharedAccessScope::Entity { .. } => None,
        }
    }

    pub(in crate::grants) fn write(&self, toml: &mut String) {
        let mut line = |key: &str, value: &str| {
            let _ = writeln!(toml, "{key} = {}", quoted(value));
        };
        line("scope", self.scope.as_str());
        let permissions = match &self.scope {
            SharedAccessScope::Account {
                service,
                permissions,
            } => {
                line("service", service.as_str());
                Some(permissions)
            }
            SharedAccessScope::Resource {
                service,
                resource,
                permissions,
            } => {
                line("service", service.as_str());
                line("resource", resource);
                Some(permissions)
            }
            SharedAccessScope::Entity { path } => {
                line("resource", path);
                None
            }
        };
        if let Some((first, last)) = self.addresses {
            line("addresses", &format!("{first}-{last}"));
        }
        if let Some(permissions) = permissions {
            let words: Vec<String> = permissions.words().map(quoted).collect();
            let _ = writeln!(toml, "permissions = [{}]", words.join(", "));
        }
        let _ = writeln!(toml, "lifetime-seconds = {}", self.lifetime_seconds);
        self.answers.write(toml);
    }

    /// What it allows at most: `read, write in container "invoices"`.
    pub fn to_text(&self) -> String {
        match &self.scope {
            SharedAccessScope::Account {
                service,
                permissions,
            } => {
                format!("{permissions} in the whole {service} service of the account")
            }
            SharedAccessScope::Resource {
                service,
                resource,
                permissions,
            } => format!("{permissions} in \"{resource}\" of the {service} service"),
            SharedAccessScope::Entity { path } if path.is_empty() => {
                "what the key's rule allows in the whole namespace".to_owned()
            }
            SharedAccessScope::Entity { path } => {
                format!("what the key's rule allows in \"{path}\"")
            }
        }
    }

    pub(in crate::grants) fn in_words(&self) -> String {
        let mut words = format!(
            "{}, for {} s at most",
            self.to_text(),
            self.lifetime_seconds
        );
        if let Some((first, last)) = self.addresses {
            let _ = write!(words, ", from {first} to {last}");
        }
        words.push_str(&self.answers.in_words());
        words
    }

    pub(in crate::grants) fn compare(&self, old: &Self, parts: &mut Vec<(Effect, String)>) {
        if self.scope != old.scope {
            let effect = match self.scope.is_within(&old.scope) {
                true => Effect::Narrower,
                false => Effect::Wider,
            };
            let (new, old) = (self.to_text(), old.to_text());
            parts.push((effect, format!("signatures allow {new}, not {old}")));
        }
        super::compare_numbers(
            parts,
            "a signature is good for",
            "seconds",
            old.lifetime_seconds,
            self.lifetime_seconds,
        );
        let shown = |range: Option<(Ipv4Addr, Ipv4Addr)>| match range {
            None => "anywhere".to_owned(),
            Some((first, last)) => format!("{first} to {last}"),
        };
        if self.addresses != old.addresses {
            let within = match (self.addresses, old.addresses) {
                (Some(_), None) => true,
                (Some(new), Some(old)) => new.0 >= old.0 && new.1 <= old.1,
                (None, _) => false,
            };
            let effect = match within {
                true => Effect::Narrower,
                false => Effect::Wider,
            };
            let (new, old) = (shown(self.addresses), shown(old.addresses));
            parts.push((effect, format!("signatures work from {new}, not {old}")));
        }
        self.answers.compare(&old.answers, parts);
    }
}

impl SharedAccessScope {
    fn is_within(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Resource {
                    service,
                    resource,
                    permissions,
                },
                Self::Resource {
                    service: in_service,
                    resource: in_resource,
                    permissions: of,
                },
            ) => {
                service == in_service
                    && is_under(resource, in_resource)
                    && permissions.is_within(of)
            }
            (
                Self::Account {
                    service,
                    permissions,
                }
                | Self::Resource {
                    service,
                    permissions,
                    ..
                },
                Self::Account {
                    service: in_service,
                    permissions: of,
                },
            ) => service == in_service && permissions.is_within(of),
            (Self::Entity { path }, Self::Entity { path: other }) => is_under(path, other),
            _ => false,
        }
    }
}

/// Whether a path is another one, or lies below it. All is below the empty one.
pub(crate) fn is_under(path: &str, prefix: &str) -> bool {
    let rest = path.strip_prefix(prefix);
    rest.is_some_and(|rest| prefix.is_empty() || rest.is_empty() || rest.starts_with('/'))
}

impl GrantReader<'_, '_, '_> {
    pub(super) fn shared_access(&mut self) -> Option<SharedAccess> {
        let what = "a grant of \"sas\"";
        let found = self
            .fields
            .needed("scope", what, "scope = \"resource\"", self.problems);
        let lifetime_seconds = match self.fields.key("lifetime-seconds") {
            None => Some(DEFAULT_LIFETIME_SECONDS),
            Some(_) => {
                let bounds = LEAST_LIFETIME_SECONDS..=MAX_LIFETIME_SECONDS;
                self.fields
                    .number("lifetime-seconds", bounds, self.problems)
            }
        };
        let addresses = match self.fields.key("addresses") {
            None => Some(None),
            Some(_) => self.addresses().map(Some),
        };
        let answers = self.answers();
        let found = found?;
        let scope = match found.value {
            "account" => self.account_scope(),
            "resource" => self.resource_scope(),
            "entity" => self.entity_scope(),
            other => {
                let near = did_you_mean(other, SCOPES);
                let message = format!("unknown \"scope\": {other:?}{near}");
                let help = format!("one of: {}", SCOPES.join(", "));
                self.problems.add(found.span, message, "not valid", help);
                None
            }
        };
        Some(SharedAccess {
            scope: scope?,
            lifetime_seconds: lifetime_seconds?,
            addresses: addresses?,
            answers: answers?,
        })
    }

    fn account_scope(&mut self) -> Option<SharedAccessScope> {
        let what = "scope = \"account\"";
        self.has_no("resource", what);
        let service = self.storage_service(Use::Sas, what);
        let permissions = self.permissions(what, service);
        Some(SharedAccessScope::Account {
            service: service?,
            permissions: permissions?,
        })
    }

    fn resource_scope(&mut self) -> Option<SharedAccessScope> {
        let what = "scope = \"resource\"";
        let service = self.storage_service(Use::Sas, what);
        let permissions = self.permissions(what, service);
        let example = "resource = \"invoices\"";
        let whole = format!("a grant of \"sas\" with {what}");
        self.fields.need("resource", &whole, example, self.problems);
        self.fields.key("resource")?;
        let resource = self.checked_text(
            "resource",
            |text| is_resource(text, false),
            "name a container, share, queue or table, and directories in it: \"invoices/2026\", with neither a slash at its ends nor \".\" and \"..\"",
        );
        Some(SharedAccessScope::Resource {
            service: service?,
            resource: resource?,
            permissions: permissions?,
        })
    }

    fn entity_scope(&mut self) -> Option<SharedAccessScope> {
        let what = "scope = \"entity\"";
        for key in ["service", "permissions", "addresses"] {
            self.has_no(key, what);
        }
        let path = match self.fields.key("resource") {
            None => Some(String::new()),
            Some(_) => self.checked_text(
                "resource",
                |text| is_resource(text, true),
                "name a queue, topic or event hub: \"orders\"; leave it out for the whole namespace",
            ),
        };
        Some(SharedAccessScope::Entity { path: path? })
    }

    fn has_no(&mut self, key: &str, what: &str) {
        if let Some(span) = self.fields.key(key) {
            let message = format!("{key:?} has no meaning with {what}");
            self.problems.add(span, message, "remove this", None);
        }
    }

    fn permissions(&mut self, what: &str, service: Option<StorageService>) -> Option<Permissions> {
        let whole = format!("a grant of \"sas\" with {what}");
        let example = "permissions = [\"read\"]";
        self.fields
            .need("permissions", &whole, example, self.problems);
        let values = self.fields.array("permissions", "texts", self.problems)?;
        let (mut found, mut complete) = (Vec::new(), true);
        for value in &values.value {
            let Some(word) = text(value, "a permission", self.problems) else {
                complete = false;
                continue;
            };
            let of_service = |services: &[StorageService]| {
                service.is_none_or(|service| services.contains(&service))
            };
            let known = PERMISSIONS.iter().find(|(known, ..)| *known == word.value);
            let (message, help) = match known {
                Some((_, _, services)) if of_service(services) => {
                    found.push(word.value);
                    continue;
                }
                Some(_) => {
                    let message = format!(
                        "the {} service has no permission {:?}",
                        service.map_or("", |service| service.as_str()),
                        word.value
                    );
                    let mut valid = PERMISSIONS.iter();
                    let words: Vec<_> = valid
                        .by_ref()
                        .filter(|(.., services)| of_service(services))
                        .map(|(word, ..)| *word)
                        .collect();
                    (message, words)
                }
                None => {
                    let words = PERMISSIONS.map(|(word, ..)| word);
                    let near = did_you_mean(word.value, words);
                    let message = format!("unknown permission {:?}{near}", word.value);
                    (message, words.to_vec())
                }
            };
            let help = format!("permissions: {}", help.join(", "));
            self.problems.add(word.span, message, "not valid", help);
            complete = false;
        }
        if complete && found.is_empty() {
            let help = format!("for example: {example}");
            self.problems.add(
                values.span,
                "\"permissions\" names no permission",
                "empty",
                help,
            );
            return None;
        }
        Permissions::of(found).filter(|_| complete)
    }

    /// `203.0.113.7`, or `203.0.113.0-203.0.113.255`.
    fn addresses(&mut self) -> Option<(Ipv4Addr, Ipv4Addr)> {
        let found = self.fields.text("addresses", self.problems)?;
        let (first, last) = found
            .value
            .split_once('-')
            .unwrap_or((found.value, found.value));
        let range = match (first.parse::<Ipv4Addr>(), last.parse::<Ipv4Addr>()) {
            (Ok(first), Ok(last)) if first <= last => Some((first, last)),
            _ => None,
        };
        if range.is_none() {
            self.problems.add(
                found.span,
                "not a range of IPv4 addresses",
                "not valid",
                "an address or two, the lower first: \"203.0.113.0-203.0.113.255\"".to_owned(),
            );
        }
        range
    }
}

/// A path as grants spell it: segments of visible ASCII, none of them empty, `.` or
/// `..`, and no character that a signed text divides its fields by.
fn is_resource(text: &str, may_be_empty: bool) -> bool {
    if text.is_empty() {
        return may_be_empty;
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~$!'()*,;=@+ ".contains(&byte);
    let segment = |segment: &str| {
        !segment.is_empty()
            && segment != "."
            && segment != ".."
            && segment.bytes().all(plain)
            && segment.trim() == segment
    };
    text.len() <= MAX_RESOURCE_BYTES && text.split('/').all(segment)
}
