//! Signatures that others made of requests to Azure Storage: those that the tests of
//! Microsoft's Dash (github.com/MicrosoftDX/Dash, `SignatureValidationTests`) took from
//! what the client library for .NET sent.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use http::Request;

use super::*;
use crate::kind::Kind;
use crate::secret::Secret;

const KEY: &str =
    "8jqRVtXUWiEthgIhR+dFwrB8gh3lFuquvJQ1v4eabObIj7okI1cZIuzY8zZHmEdpcC0f+XlUkbFwAhjTfyrLIg==";
const HOST: &str = "dashstorage1.blob.core.windows.net";
const LIST: &str =
    "/test?restype=container&comp=list&prefix=te&include=snapshots,uncommittedblobs,metadata,copy";

/// What is signed with that key, of a request that has its date and version.
fn signature(is_lite: bool, method: &str, path: &str, headers: &[(&str, &str)]) -> String {
    let text = format!("AccountName=dashstorage1;AccountKey={KEY};EndpointSuffix=core.windows.net");
    let stored = Kind::StorageAccount.import(Secret::copy_of(text.as_bytes()));
    let account = StorageAccount::prepare(&stored.unwrap().value.expose()).unwrap();
    let mut request = Request::builder().method(method);
    request = request.uri(format!("https://{HOST}{path}"));
    let mut length = 0;
    for (name, value) in headers {
        if *name == "content-length" {
            length = value.parse().unwrap();
        }
        request = request.header(*name, *value);
    }
    let head = request.body(()).unwrap().into_parts().0;
    let terms = SharedKey {
        service: StorageService::Blob,
        is_lite,
        api_version: "2014-02-14".to_owned(),
    };
    let text = text_to_sign(&terms, &account, &head, length).unwrap();
    BASE64.encode(account.key.sign(text.as_bytes()).as_ref())
}

/// What all of those requests carry beside what is signed.
const MORE: [(&str, &str); 3] = [
    (
        "user-agent",
        "WA-Storage/4.3.0 (.NET CLR 4.0.30319.34014; Win32NT 6.2.9200.0)",
    ),
    ("expect", "100-continue"),
    ("x-ms-version", "2014-02-14"),
];
const BLOCK_BLOB: [(&str, &str); 3] = [
    ("content-length", "423"),
    ("content-md5", "LHmMkMS8mTXh0bRP4e4Ptw=="),
    ("x-ms-blob-type", "BlockBlob"),
];
const TYPED: [(&str, &str); 4] = [
    ("content-type", "application/octet-stream"),
    ("content-language", "EN-US"),
    ("content-encoding", "gzip"),
    ("if-match", "DummyETag"),
];

fn request<'a>(
    id: &'a str,
    date: &'a str,
    parts: &[&[(&'a str, &'a str)]],
) -> Vec<(&'a str, &'a str)> {
    let own = [("x-ms-client-request-id", id), ("x-ms-date", date)];
    [&MORE[..], &own, &parts.concat()].concat()
}

#[test]
fn shared_key_is_what_the_library_for_net_sends() {
    let put = |headers: &[(&str, &str)]| signature(false, "PUT", "/test/test.txt", headers);
    let (id, date) = (
        "82370d95-e820-4817-bd3f-6c266544ee8b",
        "Thu, 30 Oct 2014 17:31:22 GMT",
    );
    // There the digest's header stood twice, and counted once; here that is refused.
    assert_eq!(
        put(&request(id, date, &[&BLOCK_BLOB])),
        "mDTyDIDy8yt7D81qAmYEYiXH1X/bmBHJF2+ZPn/r74k="
    );
    let (id, date) = ("TestRequest1", "Thu, 30 Oct 2014 19:48:43 GMT");
    let more = [("x-ms-test", "testvalue"), ("x-test", "differentvalue")];
    assert_eq!(
        put(&request(id, date, &[&BLOCK_BLOB, &more])),
        "ktMmzuta7Wsqtzyd3TBbd3zW4miedtJPkWWlW9DCRb0="
    );
    let (id, date) = (
        "d0863cd4-ae43-4dd4-aa27-eff01d30b5cf",
        "Thu, 30 Oct 2014 20:15:46 GMT",
    );
    let more = [("if-modified-since", "Thu, 30 Oct 2014 20:15:41 GMT")];
    assert_eq!(
        put(&request(id, date, &[&BLOCK_BLOB, &more])),
        "21rAYhnoRQQu6MmxXj6W5Rx3YWI8OCjO50CNNniohAA="
    );
    let (id, date) = (
        "93399f8e-6ce2-4020-81a4-4f1f53f427fd",
        "Thu, 30 Oct 2014 20:46:48 GMT",
    );
    assert_eq!(
        put(&request(id, date, &[&BLOCK_BLOB, &TYPED])),
        "ZBQYgC9dgzldVfH6t06qIYZujSz/3blWrinuYePTMv8="
    );
    // The tests have an empty body's length on its line as `0` or not at all: with a
    // version before 2015-02-21 it stood there, which is never written here.
}

#[test]
fn shared_key_lite_is_what_the_library_for_net_sends() {
    let (id, date) = (
        "5bdcb4d9-bd21-44a6-a086-24d9fa9ec2b7",
        "Thu, 30 Oct 2014 21:32:29 GMT",
    );
    assert_eq!(
        signature(true, "GET", LIST, &request(id, date, &[])),
        "+C5fkZr8g80qF5vzPeLCnuaaA2pG8jTZRdmhKkjZt2g="
    );
    let (id, date) = (
        "f71ce734-540f-44a6-a68e-7acaa6730daa",
        "Thu, 30 Oct 2014 21:53:09 GMT",
    );
    let headers = request(id, date, &[&BLOCK_BLOB, &TYPED]);
    assert_eq!(
        signature(true, "PUT", "/test/test.txt", &headers),
        "0y2rS4dabAWCahy2pTzrr1liZ7uSkJkYv/C3aYAgvpg="
    );
}

#[test]
fn control_another_byte_is_another_signature() {
    let (id, date) = ("TestRequest1", "Thu, 30 Oct 2014 19:48:43 GMT");
    let more = [("x-ms-test", "testvaluf")];
    let headers = request(id, date, &[&BLOCK_BLOB, &more]);
    assert_ne!(
        signature(false, "PUT", "/test/test.txt", &headers),
        "ktMmzuta7Wsqtzyd3TBbd3zW4miedtJPkWWlW9DCRb0="
    );
}
