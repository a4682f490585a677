//! Tokens of others, checked the way that a client's are: RFC 7515, appendices A.1 to
//! A.5, and RFC 8037, A.4 and A.5.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use super::*;
use crate::jwt::keys::verifies_with;
use crate::kind::MacAlgorithm;
use crate::mac::MacKey;
use crate::secret::Secret;

/// The claims of A.1 to A.3 and A.5.
const CLAIMS: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
/// A second before their time is over, in milliseconds.
const THEN: u64 = 1_300_819_379_000;

fn rules() -> TokenRules {
    TokenRules {
        issuer: Some("joe".to_owned()),
        audiences: Vec::new(),
        clock_skew_seconds: 0,
    }
}

fn verified(key: &Value, token: &str, algorithm: TokenAlgorithm) -> Result<Value, TokenFault> {
    let set = KeySet::parse(json!({ "keys": [key] }).to_string().as_bytes()).unwrap();
    let verified = set.verify(token, &[algorithm], &rules(), THEN)?;
    Ok(serde_json::from_str(&verified.claims).unwrap())
}

fn joe() -> Value {
    json!({ "iss": "joe", "exp": 1_300_819_380, "http://example.com/is_root": true })
}

/// The token with another signature, of the same length.
fn forged(token: &str) -> String {
    let (start, end) = token.rsplit_once('.').unwrap();
    let other = if end.starts_with('A') { "B" } else { "A" };
    format!("{start}.{other}{}", &end[1..])
}

#[test]
fn the_token_of_a_1_is_right_by_its_key() {
    let key =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let key = BASE64URL_NOPAD.decode(key.as_bytes()).unwrap();
    let key = MacKey::prepare(MacAlgorithm::Sha256, Secret::copy_of(&key));
    let token = format!(
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{CLAIMS}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    );
    let parsed = compact::parse(&token).unwrap();
    let algorithm = TokenAlgorithm::of_mac(key.algorithm());
    assert_eq!(parsed.header.algorithm, algorithm.as_str());
    assert!(key.verify(parsed.signed, &parsed.signature));
    let verified = parsed.verified(algorithm, &rules(), THEN).unwrap();
    assert_eq!(verified.claims.parse::<Value>().unwrap(), joe());
    assert_eq!(verified.type_.as_deref(), Some("JWT"));
    let other = forged(&token);
    let other = compact::parse(&other).unwrap();
    assert!(!key.verify(other.signed, &other.signature), "the control");
}

/// Of A.2.1, its public part.
fn rsa() -> Value {
    json!({
        "kty": "RSA", "e": "AQAB",
        "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
    })
}

#[test]
fn the_tokens_of_a_2_and_a_3_are_right_by_their_keys() {
    let elliptic = json!({
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    });
    let cases = [
        (
            rsa(),
            TokenAlgorithm::Rs256,
            "eyJhbGciOiJSUzI1NiJ9",
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        ),
        (
            elliptic,
            TokenAlgorithm::Es256,
            "eyJhbGciOiJFUzI1NiJ9",
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
    ];
    for (key, algorithm, header, signature) in cases {
        let token = format!("{header}.{CLAIMS}.{signature}");
        assert_eq!(verified(&key, &token, algorithm), Ok(joe()), "{algorithm}");
        let other = verified(&key, &forged(&token), algorithm);
        assert_eq!(other, Err(TokenFault::Signature), "{algorithm}");
    }
}

/// A.4 and RFC 8037, A.4: what they sign is no claims, so their signatures alone.
#[test]
fn signatures_of_a_4_and_of_rfc_8037_verify() {
    let p521 = json!({
        "kty": "EC", "crv": "P-521",
        "x": "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
        "y": "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2",
    });
    let ed25519 = json!({
        "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    });
    let cases = [
        (
            p521,
            TokenAlgorithm::Es512,
            "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn",
        ),
        (
            ed25519,
            TokenAlgorithm::EdDsa,
            "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        ),
    ];
    for (key, algorithm, token) in cases {
        let verifies = |token: &str| {
            let (signed, signature) = token.rsplit_once('.').unwrap();
            let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
            let key = key.as_object().unwrap();
            verifies_with(key, algorithm, signed.as_bytes(), &signature)
        };
        assert_eq!(verifies(token), Some(true), "{algorithm}");
        assert_eq!(verifies(&forged(token)), Some(false), "{algorithm}");
    }
}

/// A.5 is a token that nobody signed.
#[test]
fn the_token_of_a_5_is_never_right() {
    let token = format!("eyJhbGciOiJub25lIn0.{CLAIMS}.");
    for algorithm in TokenAlgorithm::ALL {
        let found = verified(&rsa(), &token, algorithm);
        assert!(found.is_err(), "{algorithm}: {found:?}");
    }
}
