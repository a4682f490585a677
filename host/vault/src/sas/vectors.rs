//! Shared access signatures, held against what Microsoft documents to be signed:
//! learn.microsoft.com, "Create an account SAS" and "Create a service SAS" (the strings
//! of version 2020-12-06 and later), "Service Bus access control with Shared Access
//! Signatures". The texts are written out here, and another implementation of HMAC makes
//! the codes.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::Request;
use sha2::Sha256;

use super::*;
use crate::kind::Kind;

/// 2022-03-01T08:12:34Z.
const THEN: i64 = 1_646_122_354;
const KEY: [u8; 64] = [0x5a; 64];

fn code(key: &[u8], text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    BASE64.encode(&mac.finalize().into_bytes())
}

fn account() -> StorageAccount {
    let key = BASE64.encode(&KEY);
    let text = format!("AccountName=myaccount;AccountKey={key};EndpointSuffix=core.windows.net");
    let stored = Kind::StorageAccount.import(Secret::copy_of(text.as_bytes()));
    StorageAccount::prepare(&stored.unwrap().value.expose()).unwrap()
}

/// The parameters of a signature, in their order, decoded.
fn made(
    scope: SharedAccessScope,
    covers: Covers,
    permissions: Permissions,
    host: &str,
    path: &str,
) -> Vec<(String, String)> {
    let terms = SharedAccess {
        scope,
        lifetime_seconds: 300,
        addresses: Some(("192.0.2.1".parse().unwrap(), "192.0.2.9".parse().unwrap())),
    };
    let chosen = ChosenAccess {
        covers,
        permissions,
        lifetime_seconds: None,
    };
    let uri = format!("https://{host}{path}").parse().unwrap();
    let minted = mint(&terms, &chosen, &account(), &uri, host, THEN).unwrap();
    let parts = minted.query.split('&').map(|part| {
        let (name, value) = part.split_once('=').unwrap();
        (name.to_owned(), decoded(value).unwrap().into_owned())
    });
    parts.collect()
}

fn parameters_of(given: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    given.iter().map(own).collect()
}

const EXPIRY: &str = "2022-03-01T08:17:34Z";
const ADDRESSES: &str = "192.0.2.1-192.0.2.9";

/// StringToSign = accountname, signedpermissions, signedservice, signedresourcetype,
/// signedstart, signedexpiry, signedIP, signedProtocol, signedversion,
/// signedEncryptionScope, each with a line's end.
#[test]
fn an_accounts_signature_is_of_the_documented_text() {
    let permissions = Permissions::of(["read", "write", "delete", "list"]).unwrap();
    let scope = SharedAccessScope::Account {
        service: StorageService::Blob,
        permissions,
    };
    let text = format!("myaccount\nrwdl\nb\nsco\n\n{EXPIRY}\n{ADDRESSES}\nhttps\n2021-12-02\n\n");
    let sig = code(&KEY, &text);
    let host = "myaccount.blob.core.windows.net";
    assert_eq!(
        made(scope, Covers::Account, permissions, host, "/c/b"),
        parameters_of(&[
            ("sv", "2021-12-02"),
            ("ss", "b"),
            ("srt", "sco"),
            ("sp", "rwdl"),
            ("se", EXPIRY),
            ("sip", ADDRESSES),
            ("spr", "https"),
            ("sig", &sig),
        ])
    );
}

/// The examples of the page "Create a service SAS": a blob, a container, a directory, a
/// file, a queue and a table, each with the fields that its service has.
#[test]
fn a_services_signature_is_of_the_documented_text() {
    let start = |service: &str, path: &str| {
        format!("r\n\n{EXPIRY}\n/{service}/myaccount/{path}\n\n{ADDRESSES}\nhttps\n2021-12-02")
    };
    // signedResource, signedSnapshotTime, signedEncryptionScope, rscc, rscd, rsce, rscl, rsct.
    let blob = |path: &str, sr: &str| format!("{}\n{sr}\n\n\n\n\n\n\n", start("blob", path));
    // rscc, rscd, rsce, rscl, rsct.
    let file = |path: &str| format!("{}\n\n\n\n\n", start("file", path));
    // startingPartitionKey, startingRowKey, endingPartitionKey, endingRowKey.
    let table = |path: &str| format!("{}\n\n\n\n", start("table", path));
    let (blobs, files) = (StorageService::Blob, StorageService::File);
    let item = Covers::Item;
    let cases = [
        (
            blobs,
            item,
            "/pictures/profile.jpg",
            blob("pictures/profile.jpg", "b"),
            vec![("sr", "b")],
        ),
        (
            blobs,
            Covers::Container,
            "/pictures/profile.jpg",
            blob("pictures", "c"),
            vec![("sr", "c")],
        ),
        (
            blobs,
            Covers::Directory,
            "/pictures/a/b/profile.jpg",
            blob("pictures/a/b", "d"),
            vec![("sr", "d"), ("sdd", "2")],
        ),
        (
            files,
            item,
            "/pictures/profile.jpg",
            file("pictures/profile.jpg"),
            vec![("sr", "f")],
        ),
        (
            files,
            Covers::Container,
            "/pictures/profile.jpg",
            file("pictures"),
            vec![("sr", "s")],
        ),
        (
            StorageService::Queue,
            item,
            "/thumbnails/messages",
            start("queue", "thumbnails"),
            vec![],
        ),
        (
            StorageService::Table,
            item,
            "/employees()",
            table("employees"),
            vec![("tn", "employees")],
        ),
    ];
    let permissions = Permissions::of(["read"]).unwrap();
    for (service, covers, path, text, own) in cases {
        let resource = path.trim_start_matches('/');
        let resource = resource.split(['/', '(']).next().unwrap().to_owned();
        let scope = SharedAccessScope::Resource {
            service,
            permissions,
            resource,
        };
        let host = format!("myaccount.{service}.core.windows.net");
        let sig = code(&KEY, &text);
        let end = [
            ("sp", "r"),
            ("se", EXPIRY),
            ("sip", ADDRESSES),
            ("spr", "https"),
            ("sig", &sig),
        ];
        let expected = [&[("sv", "2021-12-02")], own.as_slice(), &end].concat();
        let found = made(scope, covers, permissions, &host, path);
        assert_eq!(found, parameters_of(&expected), "{service} {path}");
    }
}

fn bus(key: &str) -> ServiceBus {
    let text = format!(
        "Endpoint=sb://mysvc.servicebus.windows.net/;SharedAccessKeyName=mykey;\
         SharedAccessKey={key};EntityPath=myentity"
    );
    let stored = Kind::ServiceBus.import(Secret::copy_of(text.as_bytes()));
    ServiceBus::prepare(&stored.unwrap().value.expose()).unwrap()
}

/// `SharedAccessSignature sr={uri}&sig={signature}&se={expiry}&skn={name}` over the
/// encoded address, a line's end, and the expiry; the key's text is the key.
#[test]
fn a_token_for_service_bus_is_the_documented_one() {
    let key: Vec<u8> = (0..32).map(|byte: u8| byte.wrapping_mul(37)).collect();
    let key = BASE64.encode(&key);
    let terms = SharedAccess {
        scope: SharedAccessScope::Entity {
            path: "myentity".to_owned(),
        },
        lifetime_seconds: 300,
        addresses: None,
    };
    let chosen = ChosenAccess {
        covers: Covers::Item,
        permissions: Permissions::default(),
        lifetime_seconds: None,
    };
    let host = "mysvc.servicebus.windows.net";
    let request = Request::post(format!("https://{host}/myentity/messages"));
    let mut head = request.body(()).unwrap().into_parts().0;
    attach_to_bus(&terms, &chosen, &bus(&key), &mut head, host, THEN).unwrap();
    let resource = "https%3A%2F%2Fmysvc.servicebus.windows.net%2Fmyentity";
    let code = code(key.as_bytes(), &format!("{resource}\n1646122654"));
    assert_eq!(
        head.headers["authorization"].to_str().unwrap(),
        format!(
            "SharedAccessSignature sr={resource}&sig={}&se=1646122654&skn=mykey",
            encoded(&code)
        )
    );
}

/// The test of the Perl library Net::Azure::EventHubs (`t/`, class
/// `Net::Azure::Authorization::SAS`), which encodes the address in lower case: what is
/// signed, and the code of it.
#[test]
fn a_code_for_event_hubs_is_that_of_another_library() {
    let bus = bus("AexamplekeyAEXAMPLEKEYAexamplekeyAEXAMPLEKEY=");
    let text = "https%3a%2f%2fmysvc.servicebus.windows.net%2fmyentity%2fmessages\n1476065410";
    assert_eq!(
        BASE64.encode(bus.key.sign(text.as_bytes()).as_ref()),
        "nQDGh0YxA8O3SFO7SyrmnTK6BnP/33KShAbTXFjmYV0="
    );
}
