//! A server that answers what it likes about keys that stay there: nothing of it is
//! taken for a signature, a code or a sealed text, and none of its words comes back.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use data_encoding::BASE64;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use keyward::egress::source::SourceProfile;
use keyward::egress::{Dialer, Roots};
use keyward::names::SourceName;
use keyward::sources::openbao::{OpenBao, OpenBaoAuth, OpenBaoSettings};
use keyward::sources::{RemoteKeys, RemoteSealed, SignatureForm, SourceError};
use keyward::vault::{JwsAlgorithm, MacAlgorithm, PublicKey};
use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// What must not come back in an error.
const WORDS: &str = "hvs.CAESIOf8marker";

type Says = Arc<Mutex<(StatusCode, String)>>;

struct Fake {
    source: OpenBao,
    says: Says,
    asked: Arc<Mutex<Vec<String>>>,
    server: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Fake {
    async fn start() -> Self {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let says: Says = Arc::new(Mutex::new((StatusCode::OK, String::new())));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (answers, log) = (Arc::clone(&says), Arc::clone(&asked));
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, answers, log) =
                    (acceptor.clone(), Arc::clone(&answers), Arc::clone(&log));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let service = service_fn(move |request: Request<Incoming>| {
                        log.lock().unwrap().push(request.uri().path().to_owned());
                        let (status, body) = match request.uri().path() {
                            // The token is believed, so that all else is asked.
                            "/v1/auth/token/lookup-self" => {
                                (StatusCode::OK, json!({ "data": { "ttl": 0 } }).to_string())
                            }
                            _ => answers.lock().unwrap().clone(),
                        };
                        let answer = Response::builder().status(status);
                        let answer = answer.body(Full::new(Bytes::from(body))).unwrap();
                        std::future::ready(Ok::<_, Infallible>(answer))
                    });
                    let http = hyper::server::conn::http1::Builder::new();
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "a-token\n").unwrap();
        let settings = OpenBaoSettings {
            address: format!("https://localhost:{port}"),
            mount: "secret".to_owned(),
            transit: "transit".to_owned(),
            namespace: None,
            auth: OpenBaoAuth::TokenFile { file },
        };
        let profile = SourceProfile::new().with_roots(Roots::Pem(certificate.pem().into_bytes()));
        let name = SourceName::parse("bao").unwrap();
        Self {
            source: OpenBao::new(name, settings, profile, &Dialer::default()).unwrap(),
            says,
            asked,
            server,
            _folder: folder,
        }
    }

    fn says(&self, status: u16, body: impl Into<String>) {
        let status = StatusCode::from_u16(status).unwrap();
        *self.says.lock().unwrap() = (status, body.into());
    }

    /// How often the key was asked for this, since the last question.
    fn asked(&self, what: &str) -> usize {
        let asked = std::mem::take(&mut *self.asked.lock().unwrap());
        let path = format!("/v1/transit/{what}/k");
        asked.iter().filter(|asked| **asked == path).count()
    }
}

fn data(key: &str, value: &str) -> String {
    json!({ "data": { key: value } }).to_string()
}

/// Answers that are none: not JSON, another shape, too long.
fn nonsense() -> Vec<String> {
    vec![
        String::new(),
        format!("<html><body>{WORDS}</body></html>"),
        "{".to_owned(),
        "null".to_owned(),
        "[]".to_owned(),
        json!({ "data": null }).to_string(),
        json!({ "data": { "signature": 7, "ciphertext": 7, "plaintext": 7, "hmac": 7 } })
            .to_string(),
        json!({ "errors": [WORDS] }).to_string(),
        "x".repeat((1 << 20) + 1),
        "[".repeat(100_000),
    ]
}

fn is_silent(error: &SourceError) -> bool {
    let said = format!("{error} {error:?} {}", error.advice());
    !said.contains(WORDS) && !said.contains("html")
}

#[tokio::test]
async fn nothing_that_is_no_signature_of_the_version_that_was_asked_for_is_one() {
    let fake = Fake::start().await;
    let sign = async |form| {
        let terms = (JwsAlgorithm::Es256, form);
        fake.source.sign("k", 3, terms, b"text").await
    };
    fake.says(200, data("signature", "vault:v3:QUJD"));
    let (jws, asn1) = (SignatureForm::Jws, SignatureForm::Asn1);
    assert_eq!(sign(jws).await, Ok(b"ABC".to_vec()), "control");
    assert_eq!(sign(asn1).await, Ok(b"ABC".to_vec()), "control");
    let of_both = [
        "",
        "vault:v3:",
        "vault:v2:QUJD",
        "vault:v0:QUJD",
        "vault:v03:QUJD",
        "vault:v18446744073709551617:QUJD",
        "vault:v3:QUJ",
        "vault:v3:QUJD==",
        "vault:v3:QUJD:QUJD",
        "vault:v3: QUJD",
        "QUJD",
        WORDS,
    ];
    let long = format!("vault:v3:{}", "QUJD".repeat(400));
    // Each has an alphabet of its own.
    for (form, other) in [(jws, "vault:v3:QU/D+A"), (asn1, "vault:v3:QU_D-A==")] {
        let mut answers = nonsense();
        for signature in of_both.into_iter().chain([other, &*long]) {
            answers.push(data("signature", signature));
        }
        for answer in answers {
            fake.says(200, &*answer);
            let shown = &answer[..answer.len().min(60)];
            fake.asked("sign");
            let error = sign(form).await.expect_err(shown);
            assert!(is_silent(&error), "{error:?}");
            assert_eq!(fake.asked("sign"), 1, "nobody asks again: {shown}");
        }
    }
}

#[tokio::test]
async fn the_version_of_a_certificate_is_the_one_with_its_key_and_no_other() {
    let fake = Fake::start().await;
    let halves: Vec<_> = (0..3).map(|_| KeyPair::generate().unwrap()).collect();
    let public = |pair: &KeyPair| PublicKey::from_spki(&pair.subject_public_key_info()).unwrap();
    let shown = |pair: &KeyPair| json!({ "public_key": pair.public_key_pem() });
    let keys = json!({ "1": shown(&halves[0]), "2": shown(&halves[1]) });
    let keys = json!({ "data": { "latest_version": 2, "keys": keys } });
    fake.says(200, keys.to_string());
    for (half, version) in halves.iter().zip([1, 2]) {
        let found = fake.source.version_of("k", &public(half)).await;
        assert_eq!(found, Ok(version));
    }
    assert_eq!(fake.asked("keys"), 1, "it is remembered");
    let missing = fake.source.version_of("k", &public(&halves[2])).await;
    assert_eq!(missing, Err(SourceError::OtherKey));
    assert_eq!(
        fake.asked("keys"),
        1,
        "it is asked whether there is a newer one"
    );
    let keys = json!({ "2": shown(&halves[1]), "3": shown(&halves[2]) });
    let keys = json!({ "data": { "latest_version": 3, "keys": keys } });
    fake.says(200, keys.to_string());
    let found = fake.source.version_of("k", &public(&halves[2])).await;
    assert_eq!(found, Ok(3));
    let gone = fake.source.version_of("k", &public(&halves[0])).await;
    assert_eq!(gone, Err(SourceError::OtherKey));
}

#[tokio::test]
async fn nothing_that_is_no_public_key_is_one() {
    let fake = Fake::start().await;
    let mut answers = nonsense();
    let keys = |version: u64, keys: serde_json::Value| {
        json!({ "data": { "latest_version": version, "keys": keys } }).to_string()
    };
    let raw = BASE64.encode(&[7; 32]);
    for (version, of) in [
        (2, json!({ "1": { "public_key": raw } })),
        (1, json!({ "1": 1_795_356_452 })),
        (1, json!({ "1": { "public_key": "" } })),
        (1, json!({ "1": { "public_key": WORDS } })),
        (
            1,
            json!({ "1": { "public_key": format!("-----BEGIN PUBLIC KEY-----\n{WORDS}") } }),
        ),
        (0, json!({})),
        (1, json!([])),
    ] {
        answers.push(keys(version, of));
    }
    for answer in answers {
        fake.says(200, &*answer);
        let error = fake.source.public_key("k").await.err();
        let shown = &answer[..answer.len().min(60)];
        assert!(error.as_ref().is_some_and(is_silent), "{shown}: {error:?}");
    }
    fake.says(200, keys(1, json!({ "1": { "public_key": raw } })));
    let key = fake.source.public_key("k").await.unwrap();
    assert_eq!((key.version, key.spki.len()), (1, 44), "control");
}

#[tokio::test]
async fn nothing_that_is_no_sealed_or_opened_text_is_one() {
    let fake = Fake::start().await;
    fake.says(200, data("ciphertext", "vault:v2:QUJD"));
    let sealed = RemoteSealed {
        version: 2,
        sealed: b"ABC".to_vec(),
    };
    let control = fake.source.seal("k", b"text", b"beside").await;
    assert_eq!(control.as_ref(), Ok(&sealed), "control");
    let mut answers = nonsense();
    for text in ["", "vault:v0:QUJD", "vault:v2:QUJ", "v2:QUJD", WORDS] {
        answers.push(data("ciphertext", text));
    }
    for answer in &answers {
        fake.says(200, &**answer);
        fake.asked("encrypt");
        let error = fake.source.seal("k", b"text", b"beside").await.err();
        assert!(error.as_ref().is_some_and(is_silent), "{error:?}");
        assert_eq!(fake.asked("encrypt"), 1);
    }
    let mut answers = nonsense();
    answers.extend(["QUJ", "Q", "<html>", WORDS].map(|text| data("plaintext", text)));
    for answer in &answers {
        fake.says(200, &**answer);
        fake.asked("decrypt");
        let opened = fake.source.open("k", &sealed, b"beside").await;
        let error = opened.err();
        assert!(error.as_ref().is_some_and(is_silent), "{error:?}");
        assert_eq!(fake.asked("decrypt"), 1);
    }
    fake.says(200, data("plaintext", "QUJD"));
    let opened = fake.source.open("k", &sealed, b"beside").await.unwrap();
    assert_eq!(opened.unwrap()[..], *b"ABC", "control");
}

#[tokio::test]
async fn a_refusal_is_told_from_data_that_were_not_sealed_and_is_not_asked_about_twice() {
    let fake = Fake::start().await;
    let sealed = RemoteSealed {
        version: 2,
        sealed: b"ABC".to_vec(),
    };
    let errors = |words: &str| json!({ "errors": [words] }).to_string();
    for words in [
        "cipher: message authentication failed",
        "invalid ciphertext: version is too new",
        "ciphertext or signature version is disallowed by policy (too old)",
    ] {
        fake.says(400, errors(words));
        let opened = fake.source.open("k", &sealed, b"").await;
        assert_eq!(opened.map(|text| text.is_none()), Ok(true), "{words}");
        // Only of what is opened, and only with that status.
        assert!(fake.source.seal("k", b"", b"").await.is_err());
        fake.says(500, errors(words));
        assert!(fake.source.open("k", &sealed, b"").await.is_err());
    }
    for (status, words) in [
        (400, "encryption key not found"),
        (400, WORDS),
        (404, ""),
        (413, WORDS),
        (429, WORDS),
        (500, WORDS),
        (503, "Vault is sealed"),
        (307, WORDS),
    ] {
        fake.says(status, errors(words));
        fake.asked("sign");
        let terms = (JwsAlgorithm::Ps256, SignatureForm::Asn1);
        let error = fake.source.sign("k", 1, terms, b"text").await;
        let error = error.unwrap_err();
        assert!(is_silent(&error), "{error:?}");
        assert_eq!(fake.asked("sign"), 1, "{status}");
        let error = fake.source.open("k", &sealed, b"").await.unwrap_err();
        assert!(is_silent(&error), "{error:?}");
        assert_eq!(fake.asked("decrypt"), 1, "{status}");
        let code = fake.source.hmac("k", MacAlgorithm::Sha256, b"text").await;
        assert!(is_silent(&code.unwrap_err()));
    }
}
