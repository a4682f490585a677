//! Keys of OpenBao's transit engine, and certificates of them.

use data_encoding::{BASE64, BASE64URL_NOPAD};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512, PKCS_ED25519,
    PKCS_RSA_SHA256, PublicKeyData, SignatureAlgorithm,
};
use serde_json::{Value, json};

use crate::OpenBaoServer;

/// The public half of a version of a transit key.
pub struct TransitKey {
    /// The contents of its subjectPublicKey.
    key: Vec<u8>,
    algorithm: &'static SignatureAlgorithm,
}

impl OpenBaoServer {
    /// Makes a key of the transit engine, or another version of it.
    pub async fn make_transit_key(&self, key: &str, type_: &str) {
        let path = format!("transit/keys/{key}");
        match self
            .ask(http::Method::GET, &path, None)
            .await
            .0
            .is_success()
        {
            true => self.write(&format!("{path}/rotate"), &json!({})).await,
            false => self.write(&path, &json!({ "type": type_ })).await,
        };
    }

    /// What the server shows of a version of a key.
    pub async fn transit_key(&self, key: &str, version: u32) -> TransitKey {
        let info = self.read(&format!("transit/keys/{key}")).await;
        let type_ = info["data"]["type"].as_str().unwrap();
        let text = &info["data"]["keys"][version.to_string()]["public_key"];
        let text = text.as_str().unwrap();
        let algorithm = match type_ {
            "ed25519" => &PKCS_ED25519,
            "ecdsa-p256" => &PKCS_ECDSA_P256_SHA256,
            "ecdsa-p384" => &PKCS_ECDSA_P384_SHA384,
            "ecdsa-p521" => &PKCS_ECDSA_P521_SHA512,
            _ => &PKCS_RSA_SHA256,
        };
        if type_ == "ed25519" {
            let key = BASE64.decode(text.as_bytes()).unwrap();
            return TransitKey { key, algorithm };
        }
        let lines = text.lines().filter(|line| !line.starts_with("--"));
        let der = BASE64.decode(lines.collect::<String>().as_bytes());
        // SubjectPublicKeyInfo: a sequence of the algorithm and a string of bits.
        let der = der.unwrap();
        let (info, _) = element(&der);
        let (_, rest) = element(info);
        let (bits, _) = element(rest);
        TransitKey {
            key: bits[1..].to_vec(),
            algorithm,
        }
    }
}

/// The contents of an element in DER, and what follows it.
fn element(der: &[u8]) -> (&[u8], &[u8]) {
    let (start, length) = match der[1] {
        0x81 => (3, usize::from(der[2])),
        0x82 => (4, usize::from(der[2]) << 8 | usize::from(der[3])),
        short => (2, usize::from(short)),
    };
    der[start..].split_at(length)
}

impl PublicKeyData for TransitKey {
    fn der_bytes(&self) -> &[u8] {
        &self.key
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}

impl TransitKey {
    /// As a JWK, for that algorithm: of RSA, or of P-256.
    pub fn jwk(&self, alg: &str) -> Value {
        let text = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        if self.algorithm == &PKCS_RSA_SHA256 {
            let (numbers, _) = element(&self.key);
            let (n, rest) = element(numbers);
            let (e, _) = element(rest);
            return json!({ "kty": "RSA", "use": "sig", "alg": alg,
                           "n": text(&n[1..]), "e": text(e) });
        }
        let (x, y) = self.key[1..].split_at(self.key.len() / 2);
        json!({ "kty": "EC", "crv": "P-256", "use": "sig", "alg": alg,
                "x": text(x), "y": text(y) })
    }
}

/// Who vouches for servers, and for clients whose keys never leave the server.
pub struct TransitAuthority(CertifiedIssuer<'static, KeyPair>);

impl Default for TransitAuthority {
    fn default() -> Self {
        Self::new()
    }
}

impl TransitAuthority {
    /// One of its own.
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let name = "The tests' authority";
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// Its certificate, as PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a name, of a server and of a client.
    pub fn certify(&self, name: &str, key: &impl PublicKeyData) -> rcgen::Certificate {
        certify(name, key, &self.0)
    }
}

/// The same, which that issuer signs.
pub fn certify(
    name: &str,
    key: &impl PublicKeyData,
    issuer: &rcgen::Issuer<'_, KeyPair>,
) -> rcgen::Certificate {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params.use_authority_key_identifier_extension = true;
    params.signed_by(key, issuer).unwrap()
}
