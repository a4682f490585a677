//! HTTP message signatures (RFC 9421) with hmac-sha256, and content digests
//! (RFC 9530).

use aws_lc_rs::digest;
use data_encoding::BASE64;
use http::header::{HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;
use zeroize::Zeroizing;

use crate::grants::RequestSignature;
use crate::mac::MacKey;

/// RFC 9530, section 2.
pub(crate) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
/// RFC 9421, section 4.1.
pub(crate) const SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");
/// RFC 9421, section 4.2.
pub(crate) const SIGNATURE: HeaderName = HeaderName::from_static("signature");

/// The request lacks a part that is to be covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MissingComponent;

/// Where the request goes, as the derived components say it.
pub(crate) struct Target<'a> {
    /// Without the scheme's own port; in any case of letters.
    pub(crate) authority: &'a [u8],
    pub(crate) scheme: &'a str,
    pub(crate) path_and_query: &'a PathAndQuery,
}

/// Whether a signature covers the body, by way of its digest.
pub(crate) fn covers_body(terms: &RequestSignature) -> bool {
    let mut components = terms.components.iter();
    components.any(|component| component.as_str() == CONTENT_DIGEST.as_str())
}

/// `sha-256=:…:` (RFC 9530, section 2).
pub(crate) fn content_digest(body: &[u8]) -> HeaderValue {
    let digest = digest::digest(&digest::SHA256, body);
    let text = format!("sha-256=:{}:", BASE64.encode(digest.as_ref()));
    HeaderValue::try_from(text).expect("base64 is visible ASCII")
}

/// The values of `signature-input` and `signature` for one signature.
pub(crate) fn sign(
    terms: &RequestSignature,
    key: &MacKey,
    target: &Target<'_>,
    head: &Parts,
    now: i64,
) -> Result<(HeaderValue, HeaderValue), MissingComponent> {
    let params = params_at(terms, now);
    let components = terms.components.iter().map(|component| component.as_str());
    let base = signature_base(components, &params, target, head)?;
    let code = key.sign(&base);
    header_values(&terms.label, &params, &BASE64.encode(code.as_ref()))
}

/// The values of `signature-input` and `signature`; `code` is in base64.
pub(crate) fn header_values(
    label: &str,
    params: &str,
    code: &str,
) -> Result<(HeaderValue, HeaderValue), MissingComponent> {
    let input = format!("{label}={params}");
    let signature = format!("{label}=:{code}:");
    // The label and the key's id are visible ASCII, or the grant would not be there.
    let value = |text: String| HeaderValue::try_from(text).map_err(|_| MissingComponent);
    Ok((value(input)?, value(signature)?))
}

/// The parameters of a signature that is made at that time, in seconds since 1970.
pub(crate) fn params_at(terms: &RequestSignature, now: i64) -> String {
    let components = terms.components.iter().map(|component| component.as_str());
    let lifetime = i64::try_from(terms.lifetime_seconds).unwrap_or(i64::MAX);
    let expires = now.saturating_add(lifetime);
    signature_params(
        components,
        &format!(";created={now};expires={expires}"),
        &terms.key_id,
        ";alg=\"hmac-sha256\"",
    )
}

/// The text that is signed by a signature with these parameters; none if the request
/// lacks a part that is covered.
pub(crate) fn base_of(
    terms: &RequestSignature,
    params: &str,
    target: &Target<'_>,
    head: &Parts,
) -> Option<Zeroizing<Vec<u8>>> {
    let components = terms.components.iter().map(|component| component.as_str());
    signature_base(components, params, target, head).ok()
}

/// The inner list with its parameters (RFC 9421, section 2.3).
fn signature_params<'a>(
    components: impl Iterator<Item = &'a str>,
    times: &str,
    key_id: &str,
    algorithm: &str,
) -> String {
    let quoted: Vec<_> = components.map(|name| format!("\"{name}\"")).collect();
    let key_id = key_id.replace('\\', "\\\\").replace('"', "\\\"");
    let list = quoted.join(" ");
    format!("({list}){times};keyid=\"{key_id}\"{algorithm}")
}

/// The text that is signed (RFC 9421, section 2.5). Wiped when dropped, because a
/// covered header may carry a secret.
fn signature_base<'a>(
    components: impl Iterator<Item = &'a str>,
    params: &str,
    target: &Target<'_>,
    head: &Parts,
) -> Result<Zeroizing<Vec<u8>>, MissingComponent> {
    let mut base = Zeroizing::new(Vec::with_capacity(room_for(head, target, params)));
    for name in components {
        for part in ["\"", name, "\": "] {
            base.extend_from_slice(part.as_bytes());
        }
        write_value(name, target, head, &mut base)?;
        base.push(b'\n');
    }
    base.extend_from_slice(b"\"@signature-params\": ");
    base.extend_from_slice(params.as_bytes());
    Ok(base)
}

/// At least what the base of a signature needs, so that it never moves: each part
/// of the request is covered once.
fn room_for(head: &Parts, target: &Target<'_>, params: &str) -> usize {
    const EACH: usize = 8;
    let headers = head.headers.iter();
    let headers = headers.map(|(name, value)| name.as_str().len() + value.len() + EACH);
    // "@path", "@query", "@target-uri", "@request-target"; "@authority".
    let derived = 4 * target.path_and_query.as_str().len() + 2 * target.authority.len() + 256;
    headers.sum::<usize>() + derived + params.len()
}

fn write_value(
    name: &str,
    target: &Target<'_>,
    head: &Parts,
    base: &mut Vec<u8>,
) -> Result<(), MissingComponent> {
    let path_and_query = target.path_and_query;
    // An empty path is "/" (section 2.2.6).
    let path = match path_and_query.path() {
        "" => "/",
        path => path,
    };
    let write_authority = |base: &mut Vec<u8>| {
        base.extend(target.authority.iter().map(u8::to_ascii_lowercase));
    };
    match name {
        "@method" => base.extend_from_slice(head.method.as_str().as_bytes()),
        "@authority" => write_authority(base),
        "@scheme" => base.extend_from_slice(target.scheme.as_bytes()),
        "@path" => base.extend_from_slice(path.as_bytes()),
        // With its "?", which stands alone where there is no query (section 2.2.7).
        "@query" => {
            base.push(b'?');
            let query = path_and_query.query().unwrap_or_default();
            base.extend_from_slice(query.as_bytes());
        }
        "@request-target" => base.extend_from_slice(path_and_query.as_str().as_bytes()),
        "@target-uri" => {
            base.extend_from_slice(target.scheme.as_bytes());
            base.extend_from_slice(b"://");
            write_authority(base);
            base.extend_from_slice(path_and_query.as_str().as_bytes());
        }
        name if name.starts_with('@') => return Err(MissingComponent),
        name => {
            // Values of one name are joined by a comma and a space (section 2.1).
            let mut values = head.headers.get_all(name).iter().peekable();
            if values.peek().is_none() {
                return Err(MissingComponent);
            }
            while let Some(value) = values.next() {
                // Section 2.5 allows ASCII only.
                if !value.as_bytes().is_ascii() {
                    return Err(MissingComponent);
                }
                base.extend_from_slice(value.as_bytes().trim_ascii());
                if values.peek().is_some() {
                    base.extend_from_slice(b", ");
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;
    use crate::kind::MacAlgorithm;
    use crate::secret::Secret;
    use http::Request;

    /// The request of RFC 9421, appendix B.2.
    fn request() -> (Parts, PathAndQuery) {
        let head = Request::post("https://example.com/foo?param=Value&Pet=dog")
            .header("host", "example.com")
            .header("date", "Tue, 20 Apr 2021 02:07:55 GMT")
            .header("content-type", "application/json")
            .header("content-length", "18")
            .body(())
            .unwrap()
            .into_parts()
            .0;
        let path_and_query = head.uri.path_and_query().unwrap().clone();
        (head, path_and_query)
    }

    fn target(path_and_query: &PathAndQuery) -> Target<'_> {
        Target {
            authority: b"Example.com",
            scheme: "https",
            path_and_query,
        }
    }

    #[test]
    fn a_signature_is_that_of_rfc_9421_b_2_5() {
        let (head, path_and_query) = request();
        let covered = ["date", "@authority", "content-type"];
        let times = ";created=1618884473";
        let params = signature_params(covered.into_iter(), times, "test-shared-secret", "");
        let target = target(&path_and_query);
        let base = signature_base(covered.into_iter(), &params, &target, &head).unwrap();
        assert_eq!(
            std::str::from_utf8(&base).unwrap(),
            "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\
             \"@authority\": example.com\n\
             \"content-type\": application/json\n\
             \"@signature-params\": (\"date\" \"@authority\" \"content-type\")\
             ;created=1618884473;keyid=\"test-shared-secret\""
        );
        // The key of appendix B.1.5.
        let key = BASE64
            .decode(
                b"uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtb\
                  mHhIDi6pcl8jsasjlTMtDQ==",
            )
            .unwrap();
        let key = MacKey::prepare(MacAlgorithm::Sha256, Secret::copy_of(&key));
        assert_eq!(
            BASE64.encode(key.sign(&base).as_ref()),
            "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8="
        );
    }

    #[test]
    fn derived_components_are_those_of_section_2_2() {
        let (head, path_and_query) = request();
        let value = |name: &str, path_and_query: &PathAndQuery| {
            let mut value = Vec::new();
            write_value(name, &target(path_and_query), &head, &mut value).unwrap();
            String::from_utf8(value).unwrap()
        };
        for (name, expected) in [
            ("@method", "POST"),
            ("@authority", "example.com"),
            ("@scheme", "https"),
            ("@path", "/foo"),
            ("@query", "?param=Value&Pet=dog"),
            ("@request-target", "/foo?param=Value&Pet=dog"),
            ("@target-uri", "https://example.com/foo?param=Value&Pet=dog"),
        ] {
            assert_eq!(value(name, &path_and_query), expected);
        }
        let bare = PathAndQuery::from_static("/");
        assert_eq!(value("@path", &bare), "/");
        assert_eq!(value("@query", &bare), "?");
    }

    #[test]
    fn headers_of_one_name_are_joined() {
        let (mut head, path_and_query) = request();
        for value in ["one", " two ", "three"] {
            head.headers.append("x-many", value.parse().unwrap());
        }
        let mut value = Vec::new();
        write_value("x-many", &target(&path_and_query), &head, &mut value).unwrap();
        assert_eq!(value, b"one, two, three");
    }

    #[test]
    fn what_is_not_there_can_not_be_covered() {
        let (mut head, path_and_query) = request();
        head.headers
            .insert("x-accent", HeaderValue::from_bytes(b"\xe9").unwrap());
        for name in ["x-absent", "@status", "@unknown", "x-accent"] {
            let mut value = Vec::new();
            let result = write_value(name, &target(&path_and_query), &head, &mut value);
            assert_eq!(result, Err(MissingComponent), "{name}");
        }
    }

    #[test]
    fn key_ids_can_not_end_their_quotes() {
        let params = signature_params([].into_iter(), "", "a\"b\\c", "");
        assert_eq!(params, "();keyid=\"a\\\"b\\\\c\"");
    }

    #[test]
    fn content_digests_are_those_of_rfc_9530() {
        assert_eq!(
            content_digest(b"{\"hello\": \"world\"}"),
            "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"
        );
        assert_eq!(
            content_digest(b"{\"hello\": \"world\"}\n"),
            "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"
        );
    }
}
