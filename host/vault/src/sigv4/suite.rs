//! The official test suite of Signature Version 4 (Amazon's "Signature Version 4 test
//! suite", as it comes with the crate `aws-sigv4`): requests, and what they are signed with.
//!
//! Its requests do not carry `x-amz-content-sha256`, which [`sign`](super::sign) always
//! writes, so they go through what that is made of. Left out are requests that are not
//! signed here: with dot segments in their path; with a header that stands twice; with
//! headers that only a signer of all of them covers.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use http::Request;

use super::tests::stored;
use super::*;

/// 2015-08-30T12:36:00Z.
const THEN: i64 = 1_440_938_160;
const EMPTY: &[u8] = b"";

fn terms(service: &str) -> SigV4 {
    SigV4 {
        region: "us-east-1".to_owned(),
        service: service.to_owned(),
        max_body_bytes: 1 << 20,
    }
}

/// The signature of a request, with its path encoded as `encoding`'s service has it.
fn signature(encoding: &str, token: &str, request: http::request::Builder) -> String {
    let key = stored(
        "AKIDEXAMPLE",
        "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        token,
    );
    let mut head = request.body(()).unwrap().into_parts().0;
    let terms = (terms(encoding), terms("service"));
    let scope = Scope {
        terms: &terms.1,
        time: basic_iso(THEN),
    };
    put(&mut head, &X_AMZ_DATE, &scope.time).unwrap();
    if let Some(token) = key.token() {
        put_secret(&mut head, &X_AMZ_SECURITY_TOKEN, &token).unwrap();
    }
    let query = query_of(&head).unwrap();
    let host = "example.amazonaws.com";
    let (canonical, _) = canonical(&terms.0, &head, host, &query, &hash(EMPTY)).unwrap();
    key.sign(&scope, &text_to_sign(&scope, &canonical))
}

const UNRESERVED: &str = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const SESSION: &str = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267";
const LONG_SESSION: &str = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";

#[test]
fn signatures_are_those_of_the_official_test_suite() {
    let query = format!("/?{UNRESERVED}={UNRESERVED}");
    let path = format!("/{UNRESERVED}");
    // The case, what encodes the path, the request, the session token, the signature.
    // The suite encodes a path once; here that is the way of S3, which in turn leaves
    // slashes as they are.
    let cases = [
        (
            "get-vanilla",
            "service",
            "GET",
            "/",
            "",
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            "get-slash-normalized",
            "service",
            "GET",
            "//",
            "",
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            "get-slashes-normalized",
            "service",
            "GET",
            "//example//",
            "",
            "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84",
        ),
        (
            "get-slash-unnormalized",
            "s3",
            "GET",
            "//",
            "",
            "c88bcd3d312d75078c0cd961d6deae3f4c754924b01669efcfcb439fd5e5b76e",
        ),
        (
            "get-slashes-unnormalized",
            "s3",
            "GET",
            "//example//",
            "",
            "87cca117541a147f6df867677d98a7d80dff226d2bfca9e4ffa899665623c7e5",
        ),
        (
            "get-space-normalized",
            "s3",
            "GET",
            "/example%20space/",
            "",
            "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741",
        ),
        (
            "get-unreserved",
            "service",
            "GET",
            path.as_str(),
            "",
            "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
        ),
        (
            "get-utf8",
            "s3",
            "GET",
            "/%E1%88%B4",
            "",
            "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
        ),
        (
            "get-vanilla-empty-query-key",
            "service",
            "GET",
            "/?Param1=value1",
            "",
            "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
        ),
        (
            "get-vanilla-query-order-encoded",
            "service",
            "GET",
            "/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
            "",
            "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
        ),
        (
            "get-vanilla-query-order-key-case",
            "service",
            "GET",
            "/?Param2=value2&Param1=value1",
            "",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            "get-vanilla-query-unreserved",
            "service",
            "GET",
            query.as_str(),
            "",
            "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
        ),
        (
            "get-vanilla-utf8-query",
            "service",
            "GET",
            "/?%E1%88%B4=bar",
            "",
            "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
        ),
        (
            "get-vanilla-with-session-token",
            "service",
            "GET",
            "/",
            SESSION,
            "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8",
        ),
        (
            "post-vanilla",
            "service",
            "POST",
            "/",
            "",
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
        ),
        (
            "post-vanilla-query",
            "service",
            "POST",
            "/?Param1=value1",
            "",
            "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
        ),
        (
            "post-sts-header-before",
            "service",
            "POST",
            "/",
            LONG_SESSION,
            "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
        ),
    ];
    for (case, encoding, method, path, token, expected) in cases {
        let request = Request::builder().method(method);
        let request = request.uri(format!("https://example.amazonaws.com{path}"));
        assert_eq!(signature(encoding, token, request), expected, "{case}");
    }
}

/// "double-encode-path" and "double-url-encode" of the same suite.
#[test]
fn paths_are_encoded_once_more_for_others_than_s3() {
    let other = terms("execute-api");
    let cases = [
        (
            "/test/@connections/JBDvjfGEIAMCERw%3D",
            "/test/%40connections/JBDvjfGEIAMCERw%253D",
        ),
        (
            "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-west-2%3A892717189312%3Afunction%3Amy-rusty-fun/invocations",
            "/2015-03-31/functions/arn%253Aaws%253Alambda%253Aus-west-2%253A892717189312%253Afunction%253Amy-rusty-fun/invocations",
        ),
    ];
    for (path, expected) in cases {
        assert_eq!(canonical_path(&other, path).unwrap(), expected);
    }
}

#[test]
fn a_path_of_the_suite_that_others_would_resolve_is_not_signed() {
    for path in [
        "/example/..",
        "/example1/example2/../..",
        "/./",
        "/./example",
    ] {
        let refused = canonical_path(&terms("service"), path);
        assert_eq!(refused.err(), Some(Unsignable::Ambiguous), "{path}");
    }
}
