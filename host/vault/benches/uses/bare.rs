//! The libraries' bare calls: what anybody would pay who has the key at hand.

use std::hint::black_box;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use data_encoding::{BASE64, HEXLOWER};
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};

pub(crate) const TOKEN: &str = "a-token-of-the-provider-0123456789-a-token-of-the-provider-01234";
/// As long as what a token of ES256 is made of.
const SIGNED: [u8; 320] = [b'a'; 320];

pub(crate) struct Bare {
    random: SystemRandom,
    certificate: EcdsaKeyPair,
    account: hmac::Key,
    data: LessSafeKey,
}

impl Bare {
    pub(crate) fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["gateway.example".to_owned()]).unwrap();
        let der = made.signing_key.serialize_der();
        Self {
            random: SystemRandom::new(),
            certificate: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der).unwrap(),
            account: hmac::Key::new(HMAC_SHA256, &[7; 64]),
            data: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32]).unwrap()),
        }
    }

    /// A token into a header.
    pub(crate) fn header(&self) {
        insert(&format!("Bearer {}", black_box(TOKEN)));
    }

    pub(crate) fn es256(&self) {
        let signature = self.certificate.sign(&self.random, black_box(&SIGNED));
        black_box(signature.unwrap());
    }

    /// Two hashes and five codes: signing key, canonical request, string to sign.
    pub(crate) fn sigv4(&self) {
        let canonical = format!(
            "GET\n/invoices/2026-01.pdf\n\nhost:billing.example\nx-amz-date:20260101T000000Z\n\n\
             host;x-amz-date\n{}",
            HEXLOWER.encode(digest(&SHA256, black_box(b"")).as_ref())
        );
        let hash = HEXLOWER.encode(digest(&SHA256, canonical.as_bytes()).as_ref());
        let text = format!(
            "AWS4-HMAC-SHA256\n20260101T000000Z\n20260101/eu-west-1/execute-api/aws4_request\n{hash}"
        );
        let first = hmac::Key::new(
            HMAC_SHA256,
            black_box(b"AWS4wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        );
        let key = ["20260101", "eu-west-1", "execute-api", "aws4_request"]
            .iter()
            .fold(first, |key, part| {
                hmac::Key::new(HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref())
            });
        let signature = HEXLOWER.encode(hmac::sign(&key, text.as_bytes()).as_ref());
        insert(&format!(
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/eu-west-1/execute-api/\
             aws4_request, SignedHeaders=host;x-amz-date, Signature={signature}"
        ));
    }

    /// A string to sign, its code, and the query.
    pub(crate) fn shared_access(&self) {
        let text = format!(
            "r\n\n2026-01-01T00:05:00Z\n/blob/billing1{}\n\n\nhttps\n2021-12-02\nb\n\n\n\n\n\n\n",
            black_box("/invoices/2026-01.pdf")
        );
        let code = BASE64.encode(hmac::sign(&self.account, text.as_bytes()).as_ref());
        let code = percent_encoding::utf8_percent_encode(&code, percent_encoding::NON_ALPHANUMERIC);
        black_box(format!(
            "sv=2021-12-02&sr=b&sp=r&se=2026-01-01T00%3A05%3A00Z&spr=https&sig={code}"
        ));
    }

    /// A value put into a text, and the text into a header.
    pub(crate) fn template(&self) {
        insert(&format!(
            "ApiKey {}",
            black_box("0123456789012345678901234567890123456789012")
        ));
    }

    pub(crate) fn seal(&self) {
        let mut nonce = [0; 12];
        self.random.fill(&mut nonce).unwrap();
        let mut text = black_box([5; 64]).to_vec();
        self.data
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(b"field"),
                &mut text,
            )
            .unwrap();
        black_box(text);
    }
}

fn insert(text: &str) {
    let mut headers = HeaderMap::new();
    let mut value = HeaderValue::try_from(text).unwrap();
    value.set_sensitive(true);
    headers.insert(AUTHORIZATION, value);
    black_box(headers);
}
