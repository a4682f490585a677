//! The crate `aws-sigv4`, by the maker of the services: requests by chance are signed by
//! it and by us, alike to the last byte, in headers and in the query.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningSettings, UriPathNormalizationMode,
};
use aws_sigv4::sign::v4;
use http::Request;
use proptest::prelude::*;

use super::tests::stored;
use super::*;

/// A request, and with what it is signed.
#[derive(Clone, Debug)]
struct Case {
    service: &'static str,
    region: &'static str,
    secret: String,
    token: String,
    now: i64,
    lifetime_seconds: u64,
    method: &'static str,
    authority: &'static str,
    path: String,
    /// Name and, if it has one, value; both as they are sent.
    query: Vec<(String, Option<String>)>,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

const ID: &str = "AKIAIOSFODNN7EXAMPLE";

impl Case {
    fn is_s3(&self) -> bool {
        self.service == "s3"
    }

    fn uri(&self) -> String {
        let mut uri = format!("https://{}{}", self.authority, self.path);
        for (at, (name, value)) in self.query.iter().enumerate() {
            uri.push(if at == 0 { '?' } else { '&' });
            uri.push_str(name);
            if let Some(value) = value {
                uri.push('=');
                uri.push_str(value);
            }
        }
        uri
    }

    fn terms(&self) -> Presign {
        Presign {
            signature: SigV4 {
                region: self.region.to_owned(),
                service: self.service.to_owned(),
                max_body_bytes: 1 << 20,
            },
            lifetime_seconds: self.lifetime_seconds,
        }
    }

    fn head(&self) -> Parts {
        let mut request = Request::builder().method(self.method).uri(self.uri());
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        // What is on its way changed by others is signed by neither.
        request = request.header("accept", "text/plain");
        request.body(()).unwrap().into_parts().0
    }

    /// `authorization`, as we write it.
    fn ours(&self) -> String {
        let key = stored(ID, &self.secret, &self.token);
        let (terms, mut head) = (self.terms(), self.head());
        let (authority, body) = (self.authority, &self.body);
        sign(&terms.signature, &key, &mut head, authority, body, self.now).unwrap();
        let sent = head.headers.get("x-amz-security-token");
        let sent = sent.map_or("", |token| token.to_str().unwrap());
        assert_eq!(sent, self.token);
        head.headers["authorization"].to_str().unwrap().to_owned()
    }

    /// The parameters that we add to the query.
    fn ours_presigned(&self) -> BTreeSet<(String, String)> {
        let key = stored(ID, &self.secret, &self.token);
        let (terms, mut head) = (self.terms(), self.head());
        presign(
            &terms,
            &key,
            &mut head,
            self.authority,
            &self.body,
            self.now,
        )
        .unwrap();
        let query = head.uri.query().unwrap();
        let added = query.split('&').filter(|part| part.starts_with("X-Amz-"));
        added
            .map(|part| {
                let (name, value) = part.split_once('=').unwrap();
                let value = crate::protocol::decoded(value).unwrap();
                (name.to_owned(), value.into_owned())
            })
            .collect()
    }

    /// What theirs writes: headers, and parameters of the query.
    fn theirs(&self, location: SignatureLocation) -> [Vec<(String, String)>; 2] {
        let token = (!self.token.is_empty()).then(|| self.token.clone());
        let credentials = Credentials::new(ID, &self.secret, token, None, "test");
        let identity = credentials.into();
        let mut settings = SigningSettings::default();
        settings.signature_location = location;
        let mut headers = self.headers.clone();
        if location == SignatureLocation::Headers {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        } else {
            settings.expires_in = Some(Duration::from_secs(self.lifetime_seconds));
            headers.push(("x-amz-content-sha256", hash(&self.body)));
        }
        if self.is_s3() {
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        }
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(self.now.try_into().unwrap());
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(self.service)
            .time(now)
            .settings(settings)
            .build()
            .unwrap();
        let headers = headers.iter().map(|(name, value)| (*name, value.as_str()));
        let uri = self.uri();
        let body = SignableBody::Bytes(&self.body);
        let request = SignableRequest::new(self.method, uri, headers, body).unwrap();
        let signed = aws_sigv4::http_request::sign(request, &parameters.into()).unwrap();
        let (written, _) = signed.into_parts();
        let (headers, query) = written.into_parts();
        let text = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        [
            headers.iter().map(|h| text(h.name(), h.value())).collect(),
            query
                .iter()
                .map(|(name, value)| text(name, value))
                .collect(),
        ]
    }

    fn theirs_in_headers(&self) -> String {
        let [headers, _] = self.theirs(SignatureLocation::Headers);
        let mut found = headers
            .into_iter()
            .filter(|(name, _)| name == "authorization");
        found.next().unwrap().1
    }

    fn theirs_presigned(&self) -> BTreeSet<(String, String)> {
        let [_, query] = self.theirs(SignatureLocation::QueryParams);
        query.into_iter().collect()
    }
}

/// Text that is sent as it is, escaped where it has to be and at times where it has not.
fn sent() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[A-Za-z0-9_.~-]{1,4}",
        1 => prop::sample::select(vec![
            "%20", "%2F", "%2f", "%25", "%3D", "%26", "%2B", "%C3%A9", "%E1%88%B4", "%7E", "%41",
            "@", ":", "!", "$", "'", "(", ")", "*", ",", ";",
        ]).prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 1..4).prop_map(|pieces| pieces.concat())
}

/// A path for S3 is what its clients send: escaped as it is signed.
fn path(is_s3: bool) -> impl Strategy<Value = String> {
    let segment = match is_s3 {
        true => "[A-Za-z0-9_~ !$'()*,;:@é+=&-]{0,6}"
            .prop_map(|text| encoded(&text))
            .boxed(),
        // A segment of dots alone is refused.
        false => {
            prop_oneof![5 => sent().prop_map(|text| format!("p{text}")), 1 => Just(String::new())]
                .boxed()
        }
    };
    prop::collection::vec(segment, 0..4).prop_map(|segments| format!("/{}", segments.join("/")))
}

fn headers() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    // Spaces before, after and in a row.
    let value = || "[ ]{0,2}[A-Za-z0-9=;/\"]{1,5}([ ]{1,3}[a-z,:]{1,4}){0,2}[ ]{0,2}";
    (
        prop::option::of(value()),
        prop::option::of("[a-z]{1,8}/[a-z]{1,8}(; charset=utf-8)?"),
        prop::option::of(value()),
        prop::option::of("[A-Za-z0-9+/]{22}=="),
    )
        .prop_map(|(target, type_, meta, md5)| {
            let named = [
                ("x-amz-target", target),
                ("content-type", type_),
                ("x-amz-meta-note", meta),
                ("content-md5", md5),
            ];
            named
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)))
                .collect()
        })
}

fn case() -> impl Strategy<Value = Case> {
    let services = vec!["s3", "execute-api", "sqs", "dynamodb", "lambda"];
    (prop::sample::select(services), any::<bool>()).prop_flat_map(|(service, has_token)| {
        let token = match has_token {
            true => "[A-Za-z0-9+/]{40,120}={0,2}".boxed(),
            false => Just(String::new()).boxed(),
        };
        let query = prop::collection::vec((sent(), prop::option::of(sent())), 0..4);
        // Names twice, with other values and with the same.
        let query = (query, any::<bool>()).prop_map(|(mut query, twice)| {
            if let (true, Some(first)) = (twice, query.first().cloned()) {
                query.push((first.0.clone(), Some("0".to_owned())));
                query.push(first);
            }
            query
        });
        let with = (
            prop::sample::select(vec!["us-east-1", "eu-central-1", "ap-southeast-2"]),
            "[A-Za-z0-9/+]{40}",
            token,
            0..4_000_000_000_i64,
            1..604_800_u64,
        );
        let request = (
            prop::sample::select(vec!["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH"]),
            prop::sample::select(vec!["h.example", "a.b.example:8443"]),
            path(service == "s3"),
            query,
            headers(),
            prop::collection::vec(any::<u8>(), 0..64),
        );
        (with, request).prop_map(move |(with, request)| {
            let (region, secret, token, now, lifetime_seconds) = with;
            let (method, authority, path, query, headers, body) = request;
            Case {
                service,
                region,
                secret,
                token,
                now,
                lifetime_seconds,
                method,
                authority,
                path,
                query,
                headers,
                body,
            }
        })
    })
}

/// The case with one byte of it changed, in each part that is signed.
fn changed(case: &Case) -> Vec<(&'static str, Case)> {
    let mut all = Vec::new();
    let mut but = |what, change: &dyn Fn(&mut Case)| {
        let mut other = case.clone();
        change(&mut other);
        all.push((what, other));
    };
    but("body", &|case| case.body.push(0));
    but("path", &|case| case.path.push('x'));
    but("query", &|case| case.query.push(("z".to_owned(), None)));
    but("header", &|case| {
        case.headers.push(("x-amz-z", "1".to_owned()))
    });
    but("method", &|case| case.method = "OPTIONS");
    but("authority", &|case| case.authority = "i.example");
    but("time", &|case| case.now += 1);
    but("region", &|case| case.region = "us-east-2");
    but("secret", &|case| case.secret.push('x'));
    but("token", &|case| case.token.push('x'));
    if let Some(last) = case.body.len().checked_sub(1) {
        but("last byte", &|case| case.body[last] ^= 1);
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn both_write_the_same_header(case in case()) {
        prop_assert_eq!(case.ours(), case.theirs_in_headers());
    }

    #[test]
    fn both_add_the_same_parameters(case in case()) {
        prop_assert_eq!(case.ours_presigned(), case.theirs_presigned());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn control_a_changed_byte_is_another_signature(case in case()) {
        let signature = |text: &str| text.rsplit_once('=').unwrap().1.to_owned();
        let presigned = |parameters: BTreeSet<(String, String)>| {
            let found = parameters.into_iter().find(|(name, _)| name == "X-Amz-Signature");
            found.unwrap().1
        };
        let (theirs, query) = (case.theirs_in_headers(), case.theirs_presigned());
        let (theirs, query) = (signature(&theirs), presigned(query));
        for (what, other) in changed(&case) {
            prop_assert_ne!(&signature(&other.ours()), &theirs, "{}", what);
            prop_assert_ne!(&presigned(other.ours_presigned()), &query, "{}", what);
        }
    }
}
