//! What signatures are good for, judged by a reader of our own: one that takes the
//! path and the query as a service does.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::collections::BTreeMap;

use super::*;
use crate::kind::Kind;

const AUTHORITY: &str = "a1a.blob.core.windows.net";
const NOW: i64 = 1_795_000_000;

fn account() -> StorageAccount {
    let key = BASE64.encode(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_");
    let text = format!("AccountName=a1a;AccountKey={key};EndpointSuffix=core.windows.net");
    let stored = Kind::StorageAccount.import(Secret::copy_of(text.as_bytes()));
    StorageAccount::prepare(&stored.unwrap().value.expose()).unwrap()
}

fn bus() -> ServiceBus {
    let text = "Endpoint=sb://b1b.servicebus.windows.net/;SharedAccessKeyName=send-all;\
                SharedAccessKey=q9vT0pYw3sXbE5nK8rJ2uLz7mHc4dGf1aVi6oQtBxWk=;EntityPath=orders";
    let stored = Kind::ServiceBus.import(Secret::copy_of(text.as_bytes()));
    ServiceBus::prepare(&stored.unwrap().value.expose()).unwrap()
}

fn blobs(resource: &str, permissions: &[&str]) -> SharedAccess {
    SharedAccess {
        scope: SharedAccessScope::Resource {
            service: StorageService::Blob,
            resource: resource.to_owned(),
            permissions: Permissions::of(permissions.iter().copied()).unwrap(),
        },
        lifetime_seconds: 300,
        addresses: None,
    }
}

fn entity(path: &str) -> SharedAccess {
    SharedAccess {
        scope: SharedAccessScope::Entity {
            path: path.to_owned(),
        },
        lifetime_seconds: 300,
        addresses: None,
    }
}

fn choose(covers: Covers, permissions: &[&str]) -> ChosenAccess {
    ChosenAccess {
        covers,
        permissions: Permissions::of(permissions.iter().copied()).unwrap(),
        lifetime_seconds: None,
    }
}

fn uri(path: &str) -> Option<Uri> {
    format!("https://{AUTHORITY}{path}").parse().ok()
}

/// Whether a service that reads the query so takes the signature for a blob.
fn is_good_for(account: &StorageAccount, query: &BTreeMap<String, String>, blob: &str) -> bool {
    let part = |name: &str| query.get(name).map_or("", String::as_str);
    let text = format!(
        "{}\n{}\n{}\n/blob/a1a/{}\n{}\n{}\n{}\n{}\n{}\n\n\n\n\n\n\n",
        part("sp"),
        part("st"),
        part("se"),
        match part("sr") {
            "c" => blob.split('/').next().unwrap(),
            _ => blob,
        },
        part("si"),
        part("sip"),
        part("spr"),
        part("sv"),
        part("sr"),
    );
    let code = BASE64.decode(part("sig").as_bytes()).unwrap();
    account.key.verify(text.as_bytes(), &code)
}

fn read(query: &str) -> BTreeMap<String, String> {
    let parts = query.split('&').map(|part| part.split_once('=').unwrap());
    parts
        .map(|(name, value)| (name.to_owned(), decoded(value).unwrap().into_owned()))
        .collect()
}

#[test]
fn a_signature_says_what_was_chosen_and_is_good_for_that() {
    let account = account();
    let terms = blobs("con1", &["read", "write"]);
    let chosen = choose(Covers::Item, &["read"]);
    let uri = uri("/con1/a%20b").unwrap();
    let minted = mint(&terms, &chosen, &account, &uri, AUTHORITY, NOW).unwrap();
    let query = read(&minted.query);
    assert_eq!(query["sp"], "r");
    assert_eq!(query["sr"], "b");
    assert_eq!(query["spr"], "https");
    assert_eq!(query["se"], iso(NOW + 300));
    assert!(is_good_for(&account, &query, "con1/a b"));
    for other in ["con1/a", "con1/a%20b", "con2/a b", "con1"] {
        assert!(!is_good_for(&account, &query, other), "{other}");
    }
    let mut more = query.clone();
    more.insert("sp".to_owned(), "rw".to_owned());
    assert!(!is_good_for(&account, &more, "con1/a b"));
}

#[test]
fn a_policy_chooses_less_and_never_more() {
    let terms = blobs("con1/dir", &["read"]);
    let allows = |chosen: &ChosenAccess| terms.allows(chosen).is_ok();
    let read = || choose(Covers::Item, &["read"]);
    assert!(allows(&read()), "the control");
    assert!(!allows(&choose(Covers::Item, &[])));
    assert!(!allows(&choose(Covers::Item, &["read", "write"])));
    assert!(!allows(&choose(Covers::Container, &["read"])));
    assert!(!allows(&choose(Covers::Account, &["read"])));
    for (seconds, is_allowed) in [(0, false), (1, true), (300, true), (301, false)] {
        let chosen = ChosenAccess {
            lifetime_seconds: Some(seconds),
            ..read()
        };
        assert_eq!(allows(&chosen), is_allowed, "{seconds}");
    }
}

/// Row A14: none of 10^5 requests made of what divides, ends and escapes leads to a
/// signature that is good for something else than its own decoded path.
#[test]
fn no_path_leads_to_a_signature_for_another_resource_or_permission() {
    const PIECES: [&str; 28] = [
        "con1", "con2", "a", "b", "/", "/", "/", ".", "..", "%2e", "%2F", "%2f", "%5C", "%0A",
        "%0D", "%00", "%20", "%25", "%252F", "&", "=", ":", ";", ",", "+", "%C3%A4", "~", "%FF",
    ];
    let account = account();
    let terms = blobs("con1", &["read", "write", "list"]);
    let mut random = fastrand::Rng::with_seed(7);
    let (mut minted_count, mut refused) = (0, 0);
    let mut last: Option<String> = None;
    for _ in 0..100_000 {
        let length = random.usize(1..8);
        let mut path = String::from("/con1/");
        for _ in 0..length {
            path.push_str(PIECES[random.usize(..PIECES.len())]);
        }
        let Some(uri) = uri(&path) else { continue };
        let covers = [Covers::Item, Covers::Container, Covers::Directory][random.usize(..3)];
        let words = [&["read"][..], &["write"], &["read", "write"]][random.usize(..3)];
        let chosen = choose(covers, words);
        let Ok(minted) = mint(&terms, &chosen, &account, &uri, AUTHORITY, NOW) else {
            refused += 1;
            continue;
        };
        minted_count += 1;
        let query = read(&minted.query);
        let blob = decoded(uri.path()).unwrap()[1..].to_owned();
        assert!(blob.starts_with("con1/"), "{path}");
        assert_eq!(query["sp"], chosen.permissions.letters(), "{path}");
        match covers {
            Covers::Directory => {
                let directory = blob.rsplit_once('/').unwrap().0;
                assert!(is_good_for(&account, &query, directory), "{path}");
            }
            _ => assert!(is_good_for(&account, &query, &blob), "{path}"),
        }
        // Not for what another request was about, nor for more.
        if let Some(other) = last.replace(blob.clone())
            && other != blob
            && covers == Covers::Item
        {
            assert!(!is_good_for(&account, &query, &other), "{path} {other}");
        }
        let mut more = query;
        more.insert("sp".to_owned(), "rwdl".to_owned());
        assert!(!is_good_for(&account, &more, &blob), "{path}");
    }
    assert!(
        minted_count > 1000 && refused > 1000,
        "{minted_count} {refused}"
    );
}

#[test]
fn a_token_of_service_bus_is_for_the_grants_entity() {
    let bus = bus();
    let attach = |granted: &str, path: &str, host: &str| -> Result<String, Unsignable> {
        let request = http::Request::post(format!("https://{host}{path}"));
        let mut head = request.body(()).unwrap().into_parts().0;
        let terms = entity(granted);
        let chosen = choose(Covers::Item, &[]);
        attach_to_bus(&terms, &chosen, &bus, &mut head, host, NOW)?;
        Ok(head.headers["authorization"].to_str().unwrap().to_owned())
    };
    let host = "b1b.servicebus.windows.net";
    let token = attach("orders", "/orders/messages", host).unwrap();
    let resource = "https%3A%2F%2Fb1b.servicebus.windows.net%2Forders";
    let until = NOW + 300;
    let code = bus.key.sign(format!("{resource}\n{until}").as_bytes());
    let code = encoded(&BASE64.encode(code.as_ref()));
    assert_eq!(
        token,
        format!("SharedAccessSignature sr={resource}&sig={code}&se={until}&skn=send-all")
    );
    let other = Err(Unsignable::OtherEndpoint);
    // Another entity, one that the key's rule is not of, and another namespace.
    assert_eq!(attach("orders", "/refunds/messages", host), other);
    assert_eq!(attach("", "/refunds/messages", host), other);
    assert_eq!(
        attach("orders", "/orders/messages", "c1c.servicebus.windows.net"),
        other
    );
    assert_eq!(attach("orders", "/orders2/messages", host), other);
    let ambiguous = Err(Unsignable::Ambiguous);
    assert_eq!(
        attach("orders", "/orders/../refunds/messages", host),
        ambiguous
    );
}

#[test]
fn a_request_that_names_another_source_gets_no_signature() {
    let account = account();
    let terms = blobs("con1", &["read", "write"]);
    let chosen = choose(Covers::Item, &["read", "write"]);
    let attach = |name: &str| {
        let request = http::Request::put(format!("https://{AUTHORITY}/con1/b"));
        let request = request.header(name, format!("https://{AUTHORITY}/other/secret"));
        let mut head = request.body(()).unwrap().into_parts().0;
        super::attach(&terms, &chosen, &account, &mut head, AUTHORITY, NOW).map(drop)
    };
    for name in SOURCES {
        assert_eq!(attach(name), Err(Unsignable::OtherEndpoint), "{name}");
    }
    assert_eq!(attach("x-ms-meta-a"), Ok(()), "the control");
}
