//! AWS Signature Version 4 (AWS General Reference, "Signature Version 4 signing
//! process"), over the final request: in headers, or in the query (presigned).
//!
//! The body is always covered: there is no `UNSIGNED-PAYLOAD`.

use aws_lc_rs::{digest, hmac};
use data_encoding::HEXLOWER;
use http::header::{HOST, HeaderName};
use http::request::Parts;
use minicbor::Decoder;
use zeroize::Zeroizing;

use crate::grants::{Presign, SigV4};
use crate::memory::{Scratch, burn_stack};
use crate::protocol::{
    Unsignable, add_to_query, authorize, basic_iso, encoded, one, plain, put, put_secret,
};
use crate::secret::Secret;

const X_AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
const X_AMZ_CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const X_AMZ_SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// An access key, ready to sign with.
pub(crate) struct AwsKey {
    id: Box<str>,
    /// `AWS4` and the secret access key.
    secret: Secret,
    token: Option<Secret>,
}

crate::secret::assert_not_implemented!(AwsKey: std::fmt::Debug, Clone, serde::Serialize);

/// What is signed with, and when.
struct Scope<'a> {
    terms: &'a SigV4,
    /// `YYYYMMDDTHHMMSSZ`.
    time: String,
}

impl Scope<'_> {
    fn date(&self) -> &str {
        self.time.get(..8).unwrap_or_default()
    }

    fn text(&self) -> String {
        let SigV4 {
            region, service, ..
        } = self.terms;
        format!("{}/{region}/{service}/aws4_request", self.date())
    }
}

impl AwsKey {
    /// From the stored form; `None` if it isn't one.
    pub(crate) fn prepare(value: &[u8]) -> Option<Self> {
        let mut decoder = Decoder::new(value);
        (decoder.array().ok()? == Some(3)).then_some(())?;
        let id = decoder.str().ok()?.into();
        let secret = decoder.str().ok()?.as_bytes();
        let mut prefixed = Scratch::new(4 + secret.len());
        prefixed.get_mut(..4)?.copy_from_slice(b"AWS4");
        prefixed.get_mut(4..)?.copy_from_slice(secret);
        let token = decoder.str().ok()?;
        Some(Self {
            id,
            secret: Secret::copy_of(&prefixed),
            token: (!token.is_empty()).then(|| Secret::copy_of(token.as_bytes())),
        })
    }

    /// The signature of a text: hexadecimal.
    fn sign(&self, scope: &Scope<'_>, text: &str) -> String {
        let SigV4 {
            region, service, ..
        } = scope.terms;
        // Keys and tags cleanse themselves, and the stack is wiped after.
        let mut key = hmac::Key::new(hmac::HMAC_SHA256, &self.secret.expose());
        for part in [scope.date(), region, service, "aws4_request"] {
            let next = hmac::sign(&key, part.as_bytes());
            key = hmac::Key::new(hmac::HMAC_SHA256, next.as_ref());
        }
        let code = HEXLOWER.encode(hmac::sign(&key, text.as_bytes()).as_ref());
        burn_stack();
        code
    }

    /// The session token, for the place that the protocol has for it.
    fn token(&self) -> Option<Zeroizing<String>> {
        let exposed = self.token.as_ref()?.expose();
        let text = std::str::from_utf8(&exposed).ok()?;
        Some(Zeroizing::new(text.to_owned()))
    }
}

/// Signs a request: writes `host`, `x-amz-date`, `x-amz-content-sha256`, the session
/// token if there is one, and `authorization`.
pub(crate) fn sign(
    terms: &SigV4,
    key: &AwsKey,
    head: &mut Parts,
    authority: &str,
    body: &[u8],
    now: i64,
) -> Result<(), Unsignable> {
    reads_nothing_else(head)?;
    let scope = Scope {
        terms,
        time: basic_iso(now),
    };
    let payload = hash(body);
    put(head, &X_AMZ_DATE, &scope.time)?;
    put(head, &X_AMZ_CONTENT_SHA256, &payload)?;
    crate::headers::remove_alike(&mut head.headers, &X_AMZ_SECURITY_TOKEN);
    if let Some(token) = key.token() {
        put_secret(head, &X_AMZ_SECURITY_TOKEN, &token)?;
    }
    let query = query_of(head)?;
    // S3 takes headers of its own from the query as well.
    let is_source = |(name, _): &(String, String)| {
        SOURCES
            .iter()
            .any(|source| name.eq_ignore_ascii_case(source))
    };
    if query.iter().any(is_source) {
        return Err(Unsignable::OtherEndpoint);
    }
    let (request, signed) = canonical(terms, head, authority, &query, &payload)?;
    let signature = key.sign(&scope, &text_to_sign(&scope, &request));
    let credential = format!("{}/{}", key.id, scope.text());
    authorize(
        head,
        &format!(
            "{ALGORITHM} Credential={credential}, SignedHeaders={signed}, Signature={signature}"
        ),
    )
}

/// Presigns a request: adds the parameters that begin with `X-Amz-` to its query.
/// Returns the signature, without which the URL is good for nothing.
pub(crate) fn presign(
    terms: &Presign,
    key: &AwsKey,
    head: &mut Parts,
    authority: &str,
    body: &[u8],
    now: i64,
) -> Result<Secret, Unsignable> {
    reads_nothing_else(head)?;
    let scope = Scope {
        terms: &terms.signature,
        time: basic_iso(now),
    };
    let payload = hash(body);
    for name in [X_AMZ_DATE, X_AMZ_SECURITY_TOKEN] {
        crate::headers::remove_alike(&mut head.headers, &name);
    }
    put(head, &X_AMZ_CONTENT_SHA256, &payload)?;
    let mut query = query_of(head)?;
    let is_presigned = |(name, _): &(String, String)| {
        let start = name.get(..6);
        start.is_some_and(|start| start.eq_ignore_ascii_case("x-amz-"))
    };
    if query.iter().any(is_presigned) {
        return Err(Unsignable::SamePlace);
    }
    // All but the signature is signed, so it has to be known which headers are.
    let signed = names_to_sign(head)?.join(";");
    let mut added = vec![
        ("X-Amz-Algorithm", ALGORITHM.to_owned()),
        ("X-Amz-Credential", format!("{}/{}", key.id, scope.text())),
        ("X-Amz-Date", scope.time.clone()),
        ("X-Amz-Expires", terms.lifetime_seconds.to_string()),
        ("X-Amz-SignedHeaders", signed),
    ];
    let token = key.token();
    if let Some(token) = &token {
        added.push(("X-Amz-Security-Token", token.to_string()));
    }
    let added = Zeroizing::new(
        added
            .into_iter()
            .map(|(name, value)| (name.to_owned(), encoded(&value)))
            .collect::<Vec<_>>(),
    );
    query.extend(added.iter().cloned());
    let (request, _) = canonical(&terms.signature, head, authority, &query, &payload)?;
    let signature = key.sign(&scope, &text_to_sign(&scope, &request));
    let mut text = Zeroizing::new(String::with_capacity(8192));
    for (name, value) in added.iter() {
        text.push_str(&format!("{name}={value}&"));
    }
    text.push_str("X-Amz-Signature=");
    text.push_str(&signature);
    add_to_query(head, &text)?;
    Ok(Secret::copy_of(signature.as_bytes()))
}

/// Headers that name something else, which the service reads with the right of whoever
/// signed: a grant's paths would not bound it.
const SOURCES: [&str; 2] = ["x-amz-copy-source", "x-amz-rename-source"];

fn reads_nothing_else(head: &Parts) -> Result<(), Unsignable> {
    match SOURCES.iter().any(|name| head.headers.contains_key(*name)) {
        true => Err(Unsignable::OtherEndpoint),
        false => Ok(()),
    }
}

fn hash(bytes: &[u8]) -> String {
    HEXLOWER.encode(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn text_to_sign(scope: &Scope<'_>, canonical: &str) -> String {
    let (time, text) = (&scope.time, scope.text());
    format!(
        "{ALGORITHM}\n{time}\n{text}\n{}",
        hash(canonical.as_bytes())
    )
}

/// The parameters of the query, each encoded as the signature has it.
fn query_of(head: &Parts) -> Result<Vec<(String, String)>, Unsignable> {
    let query = head.uri.query().unwrap_or_default();
    let parts = query.split('&').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            Ok((recoded(name)?, recoded(value)?))
        })
        .collect()
}

/// Encoded as the signature has it: everything but unreserved characters, once.
fn recoded(text: &str) -> Result<String, Unsignable> {
    // Some take it for a space, others for itself.
    if text.contains('+') {
        return Err(Unsignable::Ambiguous);
    }
    Ok(encoded(&crate::protocol::decoded(text)?))
}

/// The headers that are signed: the host, the type of the content, and those that
/// begin with `x-amz-`; ascending.
fn names_to_sign(head: &Parts) -> Result<Vec<&str>, Unsignable> {
    let own =
        |name: &&str| name.starts_with("x-amz-") || matches!(*name, "content-type" | "content-md5");
    let names = head.headers.keys().map(HeaderName::as_str);
    let mut names: Vec<_> = names.filter(own).chain([HOST.as_str()]).collect();
    names.sort_unstable();
    Ok(names)
}

/// The canonical request, and the names of the headers that it covers. Wiped when
/// dropped: it has the session token.
fn canonical(
    terms: &SigV4,
    head: &Parts,
    authority: &str,
    query: &[(String, String)],
    payload: &str,
) -> Result<(Zeroizing<String>, String), Unsignable> {
    let mut text = Zeroizing::new(String::with_capacity(8192));
    text.push_str(head.method.as_str());
    text.push('\n');
    text.push_str(&canonical_path(terms, head.uri.path())?);
    text.push('\n');
    let mut query: Vec<_> = query.iter().collect();
    query.sort_unstable();
    for (at, (name, value)) in query.into_iter().enumerate() {
        let divider = if at == 0 { "" } else { "&" };
        text.push_str(&format!("{divider}{name}={value}"));
    }
    text.push('\n');
    let names = names_to_sign(head)?;
    for name in &names {
        text.push_str(name);
        text.push(':');
        match *name {
            "host" => text.push_str(&authority.to_ascii_lowercase()),
            name => {
                // Spaces in a row count as one.
                let mut values = head.headers.get_all(name).iter();
                let value = match (values.next(), values.next()) {
                    (Some(value), None) => plain(value)?,
                    _ => return Err(Unsignable::Ambiguous),
                };
                let words = value.split(' ').filter(|word| !word.is_empty());
                for (at, word) in words.enumerate() {
                    text.push_str(if at == 0 { "" } else { " " });
                    text.push_str(word);
                }
            }
        }
        text.push('\n');
    }
    let signed = names.join(";");
    text.push('\n');
    text.push_str(&signed);
    text.push('\n');
    text.push_str(payload);
    // Two of these would be two hosts.
    one(&head.headers, HOST.as_str())?;
    Ok((text, signed))
}

/// The path as it is signed: encoded once for S3, once more than it is sent for others.
fn canonical_path(terms: &SigV4, path: &str) -> Result<String, Unsignable> {
    let path = if path.is_empty() { "/" } else { path };
    let dots = |segment: &str| {
        matches!(
            crate::protocol::decoded(segment).as_deref(),
            Ok("." | "..") | Err(_)
        )
    };
    // Some services resolve these before they compare, others don't.
    if path.split('/').any(dots) {
        return Err(Unsignable::Ambiguous);
    }
    let is_s3 = terms.service == "s3";
    let segments: Result<Vec<_>, Unsignable> = path
        .split('/')
        .map(|segment| {
            // S3 decodes and encodes; others encode what was sent.
            Ok(match is_s3 {
                true => encoded(&crate::protocol::decoded(segment)?),
                false => encoded(segment),
            })
        })
        .collect();
    let segments = segments?;
    if is_s3 {
        return Ok(segments.join("/"));
    }
    // Empty segments count as none.
    let trailing = path.len() > 1 && path.ends_with('/');
    let mut text = String::from("/");
    let filled: Vec<_> = segments
        .into_iter()
        .filter(|segment| !segment.is_empty())
        .collect();
    text.push_str(&filled.join("/"));
    if trailing && text.len() > 1 {
        text.push('/');
    }
    Ok(text)
}

#[cfg(test)]
mod counterpart;
#[cfg(test)]
mod suite;

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use http::Request;

    use super::*;
    use crate::kind::Kind;

    /// A key in its stored form, whatever the import would say of it.
    pub(super) fn stored(id: &str, secret: &str, token: &str) -> AwsKey {
        let mut value = Vec::new();
        minicbor::encode([id, secret, token], &mut value).unwrap();
        AwsKey::prepare(&value).unwrap()
    }

    /// The key of the examples in Amazon's documentation.
    fn key() -> AwsKey {
        let text = "aws_access_key_id = AKIAIOSFODNN7EXAMPLE\n\
                    aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n";
        let value = Secret::copy_of(text.as_bytes());
        let stored = Kind::AwsKey.import(value).unwrap().value;
        AwsKey::prepare(&stored.expose()).unwrap()
    }

    fn s3() -> SigV4 {
        SigV4 {
            region: "us-east-1".to_owned(),
            service: "s3".to_owned(),
            max_body_bytes: 1 << 20,
        }
    }

    /// 2013-05-24T00:00:00Z.
    const THEN: i64 = 1_369_353_600;

    fn signature_of(path: &str) -> String {
        let host = "examplebucket.s3.amazonaws.com";
        let request = Request::get(format!("https://{host}{path}"));
        let mut head = request.body(()).unwrap().into_parts().0;
        sign(&s3(), &key(), &mut head, host, b"", THEN).unwrap();
        let text = head.headers["authorization"].to_str().unwrap();
        let start = "AWS4-HMAC-SHA256 \
                     Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
                     SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=";
        text.strip_prefix(start).unwrap().to_owned()
    }

    /// Amazon S3 API reference, "Signature Calculations for the Authorization Header",
    /// the examples "GET Bucket Lifecycle" and "Get Bucket (List Objects)".
    #[test]
    fn signatures_are_those_of_the_documented_examples() {
        assert_eq!(
            signature_of("/?lifecycle"),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
        );
        assert_eq!(
            signature_of("/?max-keys=2&prefix=J"),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
        );
    }

    #[test]
    fn a_request_that_names_another_source_is_neither_signed_nor_presigned() {
        let presigned = Presign {
            signature: s3(),
            lifetime_seconds: 60,
        };
        let head = |name: &str, query: &str| {
            let request = Request::put(format!("https://h.example/a/b{query}"));
            let request = request.header(name, "/other/secret");
            request.body(()).unwrap().into_parts().0
        };
        let both = |name: &str, query: &str| {
            let (mut one, mut other) = (head(name, query), head(name, query));
            (
                sign(&s3(), &key(), &mut one, "h.example", b"", THEN),
                presign(&presigned, &key(), &mut other, "h.example", b"", THEN).map(drop),
            )
        };
        let refused = Err(Unsignable::OtherEndpoint);
        for name in SOURCES {
            assert_eq!(both(name, ""), (refused, refused), "{name}");
        }
        for query in ["?x-amz-copy-source=%2Fo%2Fs", "?X-Amz-%43opy-Source=s"] {
            let (signed, presigned) = both("x-amz-meta-a", query);
            assert_eq!(signed, refused, "{query}");
            assert_eq!(presigned, Err(Unsignable::SamePlace), "{query}");
        }
        let control = both("x-amz-copy-source-if-match", "");
        assert_eq!(control, (Ok(()), Ok(())));
    }

    #[test]
    fn what_could_mean_two_things_is_not_signed() {
        let try_ = |path: &str| {
            let request = Request::get(format!("https://h.example{path}"));
            let mut head = request.body(()).unwrap().into_parts().0;
            sign(&s3(), &key(), &mut head, "h.example", b"", THEN)
        };
        assert_eq!(try_("/a/b?c=d"), Ok(()), "the control");
        for path in [
            "/a/../b",
            "/a/%2e%2e/b",
            "/a?b=c+d",
            "/a?b=%0a",
            "/a%00",
            "/%ff",
        ] {
            assert_eq!(try_(path), Err(Unsignable::Ambiguous), "{path}");
        }
    }
}
