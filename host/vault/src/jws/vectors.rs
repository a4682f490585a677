//! Tokens of others: RFC 7515, appendices A.2 to A.4, and RFC 8037, appendix A. Where a
//! signature is the same each time, ours is theirs; where it is not, theirs and ours
//! verify.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P521_SHA512_FIXED, UnparsedPublicKey, VerificationAlgorithm,
};
use data_encoding::BASE64URL_NOPAD;

use super::*;
use crate::certificate::KeyForm;

/// The payload of RFC 7515, A.1.1, A.2.1 and A.3.1.
const PAYLOAD: &[u8] =
    b"{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}";

fn bytes(text: &str) -> Vec<u8> {
    BASE64URL_NOPAD.decode(text.as_bytes()).unwrap()
}

/// One value in DER (X.690, section 8.1).
fn der(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len();
    let mut value = vec![tag];
    match length {
        0..=0x7f => value.push(length as u8),
        0x80..=0xff => value.extend([0x81, length as u8]),
        _ => value.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    value.extend_from_slice(contents);
    value
}

fn integer(text: &str) -> Vec<u8> {
    let mut number = bytes(text);
    if number[0] >= 0x80 {
        number.insert(0, 0);
    }
    der(2, &number)
}

/// RSAPrivateKey (RFC 8017, A.1.2) of the key of RFC 7515, A.2.1.
fn rsa() -> CertificateKey {
    let (n, e) = (
        "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
        "AQAB",
    );
    let private = [
        "Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2NXOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ",
        "4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_Py5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc",
        "uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeLQeZD_YwD66t62wDmpe_HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc",
        "BwKfV3Akq5_MFZDFZCnW-wzl-CCo83WoZvnLQwCTeDv8uzluRSnm71I3QCLdhrqE2e9YkxvuxdBfpT_PI7Yz-FOKnu1R6HsJeDCjn12Sk3vmAktV2zb34MCdy7cpdTh_YVr7tss2u6vneTwrA86rZtu5Mbr1C1XsmvkxHQAdYo0",
        "h_96-mK1R_7glhsum81dZxjTnYynPbZpHziZjeeHcXYsXaaMwkOlODsWa7I9xXDoRwbKgB719rrmI2oKr6N3Do9U0ajaHF-NKJnwgjMd2w9cjz3_-kyNlxAr2v4IKhGNpmM5iIgOS1VZnOZ68m6_pbLBSp3nssTdlqvd0tIiTHU",
        "IYd7DHOhrWvxkwPQsRM2tOgrjbcrfvtQJipd-DlcxyVuuM9sQLdgjVk2oy26F0EmpScGLq2MowX7fhd_QJQ3ydy5cY7YIBi87w93IKLEdfnbJtoOPLUW0ITrJReOgo1cq9SbsxYawBgfp_gh6A5603k2-ZQwVK0JKSHuLFkuQ3U",
    ];
    let public = der(0x30, &[integer(n), integer(e)].concat());
    let mut numbers = vec![der(2, &[0]), integer(n), integer(e)];
    numbers.extend(private.map(integer));
    let key = der(0x30, &numbers.concat());
    CertificateKey::of_key(KeyForm::Pkcs1, &key, &public).unwrap()
}

/// ECPrivateKey (RFC 5915) of a curve with that object identifier.
fn elliptic(curve: &[u8], d: &str, x: &str, y: &str) -> (CertificateKey, Vec<u8>) {
    let point = [vec![4], bytes(x), bytes(y)].concat();
    let bits = der(3, &[&[0], point.as_slice()].concat());
    let parts = [
        der(2, &[1]),
        der(4, &bytes(d)),
        der(0xa0, &der(6, curve)),
        der(0xa1, &bits),
    ];
    let key = der(0x30, &parts.concat());
    let key = CertificateKey::of_key(KeyForm::Sec1, &key, &point).unwrap();
    (key, point)
}

#[test]
fn a_token_of_rs256_is_that_of_rfc_7515_a_2() {
    let token = sign_compact(&rsa(), JwsAlgorithm::Rs256, br#"{"alg":"RS256"}"#, PAYLOAD);
    assert_eq!(
        token.unwrap().as_str(),
        "eyJhbGciOiJSUzI1NiJ9\
         .eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ\
         .cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7\
         AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4\
         BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K\
         0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqv\
         hJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrB\
         p0igcN_IoypGlUPQGe77Rw"
    );
}

#[test]
fn a_token_of_eddsa_is_that_of_rfc_8037_a_4() {
    // PKCS#8 (RFC 8410, section 7) of the key of A.1.
    let seed = bytes("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");
    let parts = [
        der(2, &[0]),
        der(0x30, &der(6, &[0x2b, 0x65, 0x70])),
        der(4, &der(4, &seed)),
    ];
    let key = der(0x30, &parts.concat());
    let public = bytes("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    let key = CertificateKey::of_key(KeyForm::Pkcs8, &key, &public).unwrap();
    // A.3.
    let thumbprint = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
    assert_eq!(key.jwk_thumbprint(), thumbprint);
    let payload = b"Example of Ed25519 signing";
    let token = sign_compact(&key, JwsAlgorithm::EdDsa, br#"{"alg":"EdDSA"}"#, payload);
    assert_eq!(
        token.unwrap().as_str(),
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc\
         .hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    );
}

fn verifies(algorithm: &'static dyn VerificationAlgorithm, public: &[u8], token: &str) -> bool {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let key = UnparsedPublicKey::new(algorithm, public);
    key.verify(signed.as_bytes(), &bytes(signature)).is_ok()
}

#[test]
fn tokens_of_es256_and_es512_verify_like_those_of_rfc_7515_a_3_and_a_4() {
    let (es256, p256) = elliptic(
        &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
        "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
        "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    );
    let (es512, p521) = elliptic(
        &[0x2b, 0x81, 0x04, 0x00, 0x23],
        "AY5pb7A0UFiB3RELSD64fTLOSV_jazdF7fLYyuTw8lOfRhWg6Y6rUrPAxerEzgdRhajnu0ferB0d53vM9mE15j2C",
        "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
        "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2",
    );
    let cases = [
        (
            JwsAlgorithm::Es256,
            es256,
            (&ECDSA_P256_SHA256_FIXED as &dyn VerificationAlgorithm, p256),
            PAYLOAD,
            "eyJhbGciOiJFUzI1NiJ9\
             .eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ\
             .DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSA\
             pmWQxfKTUJqPP3-Kg6NU1Q",
        ),
        (
            JwsAlgorithm::Es512,
            es512,
            (&ECDSA_P521_SHA512_FIXED, p521),
            &b"Payload"[..],
            "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA\
             .AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZq\
             wqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8Kp\
             EHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn",
        ),
    ];
    for (algorithm, key, (verification, public), payload, theirs) in cases {
        let head = format!(r#"{{"alg":"{algorithm}"}}"#);
        let ours = sign_compact(&key, algorithm, head.as_bytes(), payload).unwrap();
        let signed = |token: &str| token.rsplit_once('.').unwrap().0.to_owned();
        assert_eq!(signed(&ours), signed(theirs));
        assert!(verifies(verification, &public, &ours));
        assert!(verifies(verification, &public, theirs));
        // A positive control: another token's signature does not verify.
        let other = sign_compact(&key, algorithm, head.as_bytes(), b"other").unwrap();
        let swapped = format!("{}.{}", signed(&ours), other.rsplit_once('.').unwrap().1);
        assert!(!verifies(verification, &public, &swapped));
    }
}

#[test]
fn a_key_of_another_sort_signs_nothing() {
    let key = rsa();
    for algorithm in JwsAlgorithm::ALL {
        let signed = sign_compact(&key, algorithm, b"{}", b"{}").is_some();
        assert_eq!(signed, algorithm.key() == KeyAlgorithm::Rsa, "{algorithm}");
    }
}
