//! Shared Key and Shared Key Lite: how Azure Storage has requests signed
//! (learn.microsoft.com, "Authorize with Shared Key").
//!
//! The host builds what is signed from the final request. A request in which a field
//! could be taken for another one is refused: a header or parameter that stands
//! twice, a control character in what is percent-encoded.

use data_encoding::BASE64;
use http::header::{CONTENT_LENGTH, DATE, HeaderName};
use http::request::Parts;
use zeroize::Zeroizing;

use crate::grants::{SharedKey, StorageService};
use crate::protocol::{Unsignable, authorize, http_date, one, parameters, plain, put};
use crate::storage::StorageAccount;

const X_MS_DATE: HeaderName = HeaderName::from_static("x-ms-date");
const X_MS_VERSION: HeaderName = HeaderName::from_static("x-ms-version");

/// The headers whose values are signed in this order, each on a line of its own;
/// between the third and the fourth, and in place of `date`, stands what
/// [`text_to_sign`] puts there.
const BEFORE_LENGTH: [&str; 2] = ["content-encoding", "content-language"];
const AFTER_DATE: [&str; 5] = [
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
];

/// Headers that name something else in the account, which the service reads with the
/// right of whoever signed: a grant's paths would not bound it.
pub(crate) const SOURCES: [&str; 3] = [
    "x-ms-copy-source",
    "x-ms-rename-source",
    "x-ms-file-rename-source",
];

/// Signs a request: writes `x-ms-date`, `x-ms-version` and `authorization`. `length`
/// is that of its body, if it is known.
pub(crate) fn sign(
    terms: &SharedKey,
    account: &StorageAccount,
    head: &mut Parts,
    length: Option<u64>,
    now: i64,
) -> Result<(), Unsignable> {
    // Another path than the grant's, read with the account's whole right.
    if SOURCES.iter().any(|name| head.headers.contains_key(*name)) {
        return Err(Unsignable::OtherEndpoint);
    }
    // A body whose length is not known is sent in chunks, which the service refuses.
    let length = length.ok_or(Unsignable::NoLength)?;
    head.headers.remove(DATE);
    put(head, &X_MS_DATE, &http_date(now))?;
    put(head, &X_MS_VERSION, &terms.api_version)?;
    let text = text_to_sign(terms, account, head, length)?;
    let code = account.key.sign(text.as_bytes());
    let code = BASE64.encode(code.as_ref());
    let scheme = match terms.is_lite {
        true => "SharedKeyLite",
        false => "SharedKey",
    };
    authorize(head, &format!("{scheme} {}:{code}", account.name))
}

/// What is signed of a request that has its date and version. Wiped when dropped: a
/// header that policies attach may carry a secret.
pub(crate) fn text_to_sign(
    terms: &SharedKey,
    account: &StorageAccount,
    head: &Parts,
    length: u64,
) -> Result<Zeroizing<String>, Unsignable> {
    let headers = &head.headers;
    let is_table = terms.service == StorageService::Table;
    let mut text = Zeroizing::new(String::with_capacity(4096));
    let mut line = |value: &str| {
        text.push_str(value);
        text.push('\n');
    };
    // The date is in `x-ms-date`, which is one of the canonical headers; a table's
    // signature has no such, and the date here.
    let date = match is_table {
        true => one(headers, "x-ms-date")?,
        false => "",
    };
    if !(is_table && terms.is_lite) {
        line(head.method.as_str());
    }
    if !is_table && !terms.is_lite {
        for name in BEFORE_LENGTH {
            line(one(headers, name)?);
        }
        // Since 2015-02-21 an empty body's length is nothing.
        let is_given = one(headers, CONTENT_LENGTH.as_str())?;
        let length_text = length.to_string();
        if !is_given.is_empty() && is_given != length_text {
            return Err(Unsignable::Ambiguous);
        }
        line(if length == 0 { "" } else { &length_text });
    }
    if !(is_table && terms.is_lite) {
        line(one(headers, "content-md5")?);
        line(one(headers, "content-type")?);
    }
    line(date);
    if !is_table && !terms.is_lite {
        for name in AFTER_DATE {
            line(one(headers, name)?);
        }
    }
    if !is_table {
        for (name, value) in canonical_headers(head)? {
            line(&format!("{name}:{value}"));
        }
    }
    let whole_query = !is_table && !terms.is_lite;
    text.push_str(&canonical_resource(account, head, whole_query)?);
    Ok(text)
}

/// The headers that begin with `x-ms-`, ascending by name.
fn canonical_headers(head: &Parts) -> Result<Vec<(&str, &str)>, Unsignable> {
    let mut found = Vec::new();
    for name in head.headers.keys().map(HeaderName::as_str) {
        if name.starts_with("x-ms-") {
            let mut values = head.headers.get_all(name).iter();
            let value = match (values.next(), values.next()) {
                (Some(value), None) => plain(value)?,
                _ => return Err(Unsignable::Ambiguous),
            };
            found.push((name, value));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The account, the path as it is sent, and the query: all of it, or of it `comp`.
fn canonical_resource(
    account: &StorageAccount,
    head: &Parts,
    whole_query: bool,
) -> Result<String, Unsignable> {
    let path = match head.uri.path() {
        "" => "/",
        path => path,
    };
    let mut text = format!("/{}{path}", account.name);
    let mut parameters = parameters(head.uri.query())?;
    if !whole_query {
        let comp = parameters.iter().find(|(name, _)| name == "comp");
        if let Some((_, value)) = comp {
            text.push_str("?comp=");
            text.push_str(value);
        }
        return Ok(text);
    }
    parameters.sort_unstable();
    for (name, value) in parameters {
        text.push_str(&format!("\n{name}:{value}"));
    }
    Ok(text)
}

#[cfg(test)]
mod vectors;

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use http::Request;
    use http::request::Builder;

    use super::*;
    use crate::kind::Kind;
    use crate::secret::Secret;

    fn account(name: &str) -> StorageAccount {
        let key =
            BASE64.encode(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_");
        let text = format!(
            "AccountName={name};AccountKey={key};BlobEndpoint=http://127.0.0.1:10000/{name};\
             QueueEndpoint=http://127.0.0.1:10001/{name}"
        );
        let value = Secret::copy_of(text.as_bytes());
        let stored = Kind::StorageAccount.import(value).unwrap().value;
        StorageAccount::prepare(&stored.expose()).unwrap()
    }

    fn terms(service: StorageService, is_lite: bool) -> SharedKey {
        SharedKey {
            service,
            is_lite,
            api_version: "2021-12-02".to_owned(),
        }
    }

    fn head(request: Builder) -> Parts {
        request.body(()).unwrap().into_parts().0
    }

    fn text(terms: &SharedKey, name: &str, request: Builder, length: u64) -> String {
        let text = text_to_sign(terms, &account(name), &head(request), length);
        text.unwrap().as_str().to_owned()
    }

    /// learn.microsoft.com, "Authorize with Shared Key": the example of "Get Container
    /// Metadata" with its signed text.
    #[test]
    fn the_text_is_that_of_the_documented_get() {
        let request = Request::get(
            "https://myaccount.blob.core.windows.net/mycontainer?restype=container&comp=metadata&timeout=20",
        )
        .header("x-ms-version", "2015-02-21")
        .header("x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT");
        assert_eq!(
            text(&terms(StorageService::Blob, false), "myaccount", request, 0),
            "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\n\
             x-ms-version:2015-02-21\n/myaccount/mycontainer\ncomp:metadata\n\
             restype:container\ntimeout:20"
        );
    }

    /// The same page: the example of Shared Key Lite for "Put Blob".
    #[test]
    fn the_text_of_lite_is_that_of_the_documented_put() {
        let request =
            Request::put("https://testaccount1.blob.core.windows.net/mycontainer/hello.txt")
                .header("content-type", "text/plain; charset=UTF-8")
                .header("x-ms-date", "Sun, 20 Sep 2009 20:36:40 GMT")
                .header("x-ms-meta-m1", "v1")
                .header("x-ms-meta-m2", "v2");
        assert_eq!(
            text(
                &terms(StorageService::Blob, true),
                "testaccount1",
                request,
                11
            ),
            "PUT\n\ntext/plain; charset=UTF-8\n\nx-ms-date:Sun, 20 Sep 2009 20:36:40 GMT\n\
             x-ms-meta-m1:v1\nx-ms-meta-m2:v2\n/testaccount1/mycontainer/hello.txt"
        );
    }

    /// The same page: a table's text has neither canonical headers nor a query but
    /// `comp`, and Lite of it only the date.
    #[test]
    fn the_texts_of_tables_are_those_of_the_documentation() {
        let request = || {
            Request::put("https://testaccount1.table.core.windows.net/mytable?comp=acl&timeout=3")
                .header("content-type", "text/plain; charset=UTF-8")
                .header("x-ms-date", "Sun, 11 Oct 2009 19:52:39 GMT")
        };
        let end = "Sun, 11 Oct 2009 19:52:39 GMT\n/testaccount1/mytable?comp=acl";
        let table = StorageService::Table;
        assert_eq!(
            text(&terms(table, false), "testaccount1", request(), 0),
            format!("PUT\n\ntext/plain; charset=UTF-8\n{end}")
        );
        assert_eq!(text(&terms(table, true), "testaccount1", request(), 0), end);
    }

    #[test]
    fn an_empty_body_has_no_length_and_each_condition_has_a_line() {
        let request = |length| {
            Request::put("https://a1a.blob.core.windows.net/c/b")
                .header("content-length", length)
                .header("if-match", "\"1\"")
                .header("range", "bytes=0-9")
        };
        let blob = terms(StorageService::Blob, false);
        let start = "PUT\n\n\n";
        let end = "\n\n\n\n\n\"1\"\n\n\nbytes=0-9\n/a1a/c/b";
        assert_eq!(text(&blob, "a1a", request("0"), 0), format!("{start}{end}"));
        assert_eq!(
            text(&blob, "a1a", request("7"), 7),
            format!("{start}7{end}")
        );
        let other = text_to_sign(&blob, &account("a1a"), &head(request("7")), 8);
        assert_eq!(other.err(), Some(Unsignable::Ambiguous));
    }

    #[test]
    fn what_could_mean_two_things_is_not_signed() {
        let blob = terms(StorageService::Blob, false);
        let sign =
            |request: Builder| sign(&blob, &account("a1a"), &mut head(request), Some(0), 0).err();
        let ambiguous = Some(Unsignable::Ambiguous);
        let get = |path: &str| Request::get(format!("https://a1a.blob.core.windows.net{path}"));
        assert_eq!(sign(get("/c/b?comp=acl")), None, "the control");
        for query in [
            "comp=acl&comp=list",
            "comp=acl&COMP=list",
            "comp=acl%0Arestype:container",
            "comp%3Aacl=1",
            "comp=%00",
            "comp=%0d",
            "comp=%ff",
        ] {
            assert_eq!(sign(get(&format!("/c/b?{query}"))), ambiguous, "{query}");
        }
        for name in ["content-type", "x-ms-meta-a", "range"] {
            let twice = get("/c/b").header(name, "1").header(name, "2");
            assert_eq!(sign(twice), ambiguous, "{name}");
            let odd = get("/c/b").header(name, "1\t2");
            assert_eq!(sign(odd), ambiguous, "{name}");
        }
    }

    #[test]
    fn nothing_is_copied_from_elsewhere_in_the_account() {
        let blob = terms(StorageService::Blob, false);
        for name in SOURCES {
            let request = Request::put("https://a1a.blob.core.windows.net/c/b")
                .header(name, "https://a1a.blob.core.windows.net/other/secret");
            let signed = sign(&blob, &account("a1a"), &mut head(request), Some(0), 0);
            assert_eq!(signed, Err(Unsignable::OtherEndpoint), "{name}");
        }
    }

    #[test]
    fn a_body_of_unknown_length_is_not_signed() {
        let blob = terms(StorageService::Blob, false);
        let mut head = head(Request::put("https://a1a.blob.core.windows.net/c/b"));
        let signed = sign(&blob, &account("a1a"), &mut head, None, 0);
        assert_eq!(signed, Err(Unsignable::NoLength));
    }

    #[test]
    fn an_account_signs_for_its_own_endpoints() {
        let text = |rest: &str| {
            let key = BASE64.encode(&[7; 64]);
            let text = format!("AccountName=a1a;AccountKey={key};{rest}");
            let value = Secret::copy_of(text.as_bytes());
            let stored = Kind::StorageAccount.import(value).unwrap().value;
            StorageAccount::prepare(&stored.expose()).unwrap()
        };
        let cloud = text("EndpointSuffix=core.windows.net");
        let blob = |authority: &str| cloud.base_path(StorageService::Blob, authority);
        for own in [
            "a1a.blob.core.windows.net",
            "A1A.blob.core.windows.net:443",
            "a1a-secondary.blob.core.windows.net",
        ] {
            assert_eq!(blob(own).as_deref(), Some(""), "{own}");
        }
        for other in [
            "a1a.queue.core.windows.net",
            "b1b.blob.core.windows.net",
            "a1a.blob.core.windows.net:8443",
            "a1a.blob.core.windows.net.example",
        ] {
            assert_eq!(blob(other), None, "{other}");
        }
        let emulator = account("a1a");
        let base = emulator.base_path(StorageService::Blob, "127.0.0.1:10000");
        assert_eq!(base.as_deref(), Some("/a1a"));
        let queue = emulator.base_path(StorageService::Queue, "127.0.0.1:10000");
        assert_eq!(queue, None);
        assert_eq!(
            emulator.base_path(StorageService::Table, "127.0.0.1:10002"),
            None
        );
    }
}
