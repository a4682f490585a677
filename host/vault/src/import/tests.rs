//! What is accepted as a secret, what is refused and why, and what is kept.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use super::*;
use crate::kind::MacAlgorithm;
use proptest::prelude::*;

fn import(kind: Kind, text: &[u8]) -> Result<Vec<u8>, ImportError> {
    kind.import(Secret::copy_of(text))
        .map(|imported| imported.value.expose().to_vec())
}

fn hmac(encoding: KeyEncoding) -> Kind {
    Kind::HmacKey {
        algorithm: MacAlgorithm::Sha256,
        encoding,
    }
}

#[test]
fn an_api_key_is_visible_ascii_of_8_to_4096_bytes() {
    let long = vec![b'x'; 4096];
    for text in [
        &b"12345678"[..],
        b"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
        &long,
    ] {
        assert_eq!(import(Kind::ApiKey, text).unwrap(), text);
    }
    let refused = import(Kind::ApiKey, b"1234567");
    assert!(matches!(refused, Err(ImportError::TooShort { min: 8, .. })));
    let refused = import(Kind::ApiKey, &[b'x'; 4097]);
    assert_eq!(refused, Err(ImportError::TooLong { max: 4096 }));
}

#[test]
fn a_value_that_could_split_a_header_is_refused() {
    for text in [
        &b"k-k-k-k-k\r\nX: y"[..],
        b"12345678\n",
        b"12345678\r",
        b"1234 5678",
        b"12345678\t",
        b"12345678\0",
        b"12345678\x7f",
        "1234567\u{e9}".as_bytes(),
    ] {
        let refused = import(Kind::ApiKey, text);
        assert_eq!(refused, Err(ImportError::NotHeaderSafe), "{text:?}");
    }
}

const KEY: [u8; 32] = [
    0x8f, 0x01, 0xe2, 0x33, 0xb4, 0x75, 0x16, 0xc7, 0x58, 0xf9, 0x2a, 0x9b, 0x0c, 0x6d, 0xde, 0x4f,
    0x11, 0xa2, 0x73, 0xd4, 0x95, 0x36, 0xe7, 0x08, 0xb9, 0x5a, 0xfb, 0x2c, 0x9d, 0x6e, 0xcf, 0x40,
];

#[test]
fn a_mac_key_is_what_its_text_encodes() {
    let hex = data_encoding::HEXUPPER.encode(&KEY);
    for (encoding, text) in [
        (KeyEncoding::Raw, KEY.to_vec()),
        (KeyEncoding::Hex, hex.to_lowercase().into_bytes()),
        (KeyEncoding::Hex, hex.into_bytes()),
        (
            KeyEncoding::Base64,
            data_encoding::BASE64.encode(&KEY).into(),
        ),
        (
            KeyEncoding::Base64,
            data_encoding::BASE64_NOPAD.encode(&KEY).into(),
        ),
        (
            KeyEncoding::Base64,
            data_encoding::BASE64URL.encode(&KEY).into(),
        ),
        (
            KeyEncoding::Base64,
            data_encoding::BASE64URL_NOPAD.encode(&KEY).into(),
        ),
    ] {
        assert_eq!(import(hmac(encoding), &text).unwrap(), KEY, "{encoding}");
    }
}

#[test]
fn a_malformed_encoding_is_refused_without_its_position() {
    let hex = data_encoding::HEXLOWER.encode(&KEY);
    for text in [&hex[1..], &hex.replace('a', "g"), &hex.replace('a', "\n")] {
        let refused = import(hmac(KeyEncoding::Hex), text.as_bytes());
        let expected = ImportError::NotEncoded {
            encoding: "hexadecimal",
        };
        assert_eq!(refused, Err(expected));
    }
    for text in ["AAA=A", "a-b+", "====", "\u{e9}"] {
        let refused = import(hmac(KeyEncoding::Base64), text.as_bytes());
        assert_eq!(refused, Err(ImportError::NotEncoded { encoding: "base64" }));
    }
}

#[test]
fn a_short_mac_key_is_refused_by_its_decoded_length() {
    let text = data_encoding::HEXLOWER.encode(&KEY[..31]);
    let refused = import(hmac(KeyEncoding::Hex), text.as_bytes());
    assert!(matches!(
        refused,
        Err(ImportError::TooShort { min: 32, .. })
    ));
    let refused = import(hmac(KeyEncoding::Raw), b"hunter2");
    assert!(matches!(
        refused,
        Err(ImportError::TooShort { min: 32, .. })
    ));
}

#[test]
fn keys_that_people_type_are_refused() {
    for text in [
        "00000000000000000000000000000000",
        "hunter2hunter2hunter2hunter2hunter2",
        "abcdefghijklmnopqrstuvwxyz012345",
        "0123456789012345678901234567890123456789",
        "correct horse battery staple and more",
        "thisisaverysecretpasswordforbilling",
        "2024-01-012024-01-012024-01-012024-01-01",
    ] {
        let refused = import(hmac(KeyEncoding::Raw), text.as_bytes());
        assert_eq!(refused, Err(ImportError::LowEntropy), "{text}");
    }
    assert_eq!(
        import(hmac(KeyEncoding::Raw), &[7; 64]),
        Err(ImportError::LowEntropy)
    );
}

proptest! {
    #[test]
    fn random_keys_are_accepted(bytes in prop::array::uniform32(any::<u8>())) {
        prop_assert!(!is_guessable(&bytes));
        prop_assert!(!is_guessable(data_encoding::HEXLOWER.encode(&bytes).as_bytes()));
        prop_assert!(!is_guessable(data_encoding::BASE64.encode(&bytes).as_bytes()));
    }
}

/// Why a value is refused.
fn reason(kind: Kind, text: &str) -> String {
    let refused = import(kind, text.as_bytes()).err();
    let refused = refused.unwrap_or_else(|| panic!("{kind} accepted"));
    // No error repeats what was given.
    let error = format!("{refused} {refused:?}");
    for word in ["Xq7", "hunter", "alice"] {
        assert!(!error.contains(word), "{error}");
    }
    refused.to_string()
}

fn assert_refused(kind: Kind, cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let found = reason(kind, text);
        assert!(found.contains(expected), "{expected}: {found}");
    }
}

/// The stored form, as CBOR diagnostic notation.
fn stored(kind: Kind, text: &str) -> String {
    let bytes = import(kind, text.as_bytes()).unwrap();
    minicbor::display(&bytes).to_string()
}

#[test]
fn a_user_and_a_password_are_divided_at_the_first_colon() {
    assert_eq!(
        stored(Kind::Basic, "alice:pass:word:1"),
        r#"["alice", "pass:word:1"]"#
    );
    assert_eq!(
        stored(Kind::Basic, "\u{e9}:pass w\u{f6}rd"),
        "[\"\u{e9}\", \"pass w\u{f6}rd\"]"
    );
    assert_refused(
        Kind::Basic,
        &[
            ("hunterhunter", "user:password"),
            (":hunterXq7-long", "a user before the colon"),
            ("alice:hunter2", "at least 8 characters"),
            ("alice:hunter2\nhunter", "control characters"),
            ("alice:hunter2\u{85}hunter", "control characters"),
        ],
    );
    let latin = import(Kind::Basic, b"alice:pass\xe9word");
    assert!(latin.unwrap_err().to_string().contains("UTF-8"));
}

#[test]
fn an_oauth_client_is_an_id_and_a_secret() {
    let expected = r#"["app-1", "Xq7~0123456789ab"]"#;
    for text in [
        r#"{"client_id":"app-1","client_secret":"Xq7~0123456789ab"}"#,
        " { \"client_secret\" :\n\"Xq7~0123456789ab\", \"client_id\": \"app-1\" } ",
        r#"{"client_id":"app-1","client_secret":"Xq7\u007e0123456789ab"}"#,
    ] {
        assert_eq!(stored(Kind::OauthClient, text), expected);
    }
    let escaped = r#"{"client_id":"a\/b","client_secret":"\"\\\/Xq7Xq7Xq7Xq7Xq7"}"#;
    let kept = import(Kind::OauthClient, escaped.as_bytes()).unwrap();
    let kept = String::from_utf8_lossy(&kept).into_owned();
    assert!(
        kept.contains("a/b") && kept.ends_with(r#""\/Xq7Xq7Xq7Xq7Xq7"#),
        "{kept}"
    );
    let form = "it has the form";
    assert_refused(
        Kind::OauthClient,
        &[
            ("Xq7~0123456789ab", form),
            (r#""Xq7~0123456789ab""#, form),
            ("{}", form),
            (r#"{"client_id":"app-1"}"#, form),
            (r#"{"client_id":"app-1","client_secret":5}"#, form),
            (
                r#"{"client_id":"a","client_secret":"Xq7~0123456789ab"} x"#,
                form,
            ),
            (
                r#"{"client_id":"a","client_secret":"Xq7~0123456789ab""#,
                form,
            ),
            (
                r#"{"client_id":"a","client_secret":"Xq7~0123456789a\q"}"#,
                form,
            ),
            (
                r#"{"client_id":"a","client_secret":"Xq7~01234567\u00e9abcd"}"#,
                form,
            ),
            (
                r#"{"client_id":"a","Xq7":"Xq7~0123456789ab"}"#,
                "nothing else",
            ),
            (r#"{"client_id":"a","client_id":"b"}"#, "once each"),
            (
                r#"{"client_id":"a","client_secret":"Xq7-0123456789a"}"#,
                "16 to 4096",
            ),
            (
                r#"{"client_id":"a","client_secret":"Xq7 0123456789abc"}"#,
                "16 to 4096",
            ),
            (
                r#"{"client_id":"","client_secret":"Xq7-0123456789abc"}"#,
                "client_id must",
            ),
        ],
    );
}

const AWS_ID: &str = "AKIAIOSFODNN7EXAMPLE";
const AWS_SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

#[test]
fn an_aws_key_is_a_profile_of_a_credentials_file() {
    let lines = format!("aws_access_key_id = {AWS_ID}\naws_secret_access_key={AWS_SECRET}\n");
    let expected = format!(r#"["{AWS_ID}", "{AWS_SECRET}", ""]"#);
    assert_eq!(stored(Kind::AwsKey, &lines), expected);
    assert_eq!(
        stored(Kind::AwsKey, &format!("# a\r\n[prod]\n\n{lines}")),
        expected
    );
    let token = "Xq7Xq7Xq7Xq7Xq7Xq7Xq7";
    let temporary = lines.replace("AKIA", "ASIA");
    assert!(
        stored(
            Kind::AwsKey,
            &format!("{temporary}aws_session_token = {token}")
        )
        .ends_with(&format!(r#""{token}"]"#))
    );
    assert_refused(
        Kind::AwsKey,
        &[
            (AWS_SECRET, "name = value"),
            (&format!("aws_access_key_id = {AWS_ID}"), "it needs lines"),
            (&format!("{lines}{lines}"), "stands once"),
            (&format!("{lines}[other]\n"), "name = value"),
            (&format!("{lines}region = eu-west-1"), "its lines set"),
            (&lines.replace("AKIA", "XKIA"), "AKIA or ASIA"),
            (&lines.replace("EXAMPLE\n", "EXAMPL\n"), "AKIA or ASIA"),
            (&lines.replace("wJalr", "wJal"), "40 of"),
            (&lines.replace("wJalr", "wJal="), "40 of"),
            (&temporary, "needs its aws_session_token"),
            (
                &format!("{temporary}aws_session_token = x"),
                "session token has",
            ),
        ],
    );
}

#[test]
fn a_storage_account_is_reached_over_tls() {
    let key = data_encoding::BASE64.encode(&[KEY, KEY].concat());
    let string = format!("AccountName=billing1;AccountKey={key};EndpointSuffix=core.windows.net");
    let shown = data_encoding::HEXLOWER.encode(&[KEY, KEY].concat());
    for text in [
        string.clone(),
        format!("DefaultEndpointsProtocol=https;{string};"),
    ] {
        let found = stored(Kind::StorageAccount, &text);
        let found = found.replace(' ', "");
        assert_eq!(
            found,
            format!(r#"["billing1",h'{shown}',"core.windows.net","","","",""]"#)
        );
    }
    let blob = |endpoint: &str| string.replace("EndpointSuffix=core.windows.net", endpoint);
    for endpoint in [
        "BlobEndpoint=https://blobs.example:8443/billing1",
        "BlobEndpoint=http://127.0.0.1:10000/billing1",
        "BlobEndpoint=http://[::1]:10000/billing1",
        "BlobEndpoint=http://localhost/",
    ] {
        assert!(
            stored(Kind::StorageAccount, &blob(endpoint)).contains("://"),
            "{endpoint}"
        );
    }
    assert_refused(
        Kind::StorageAccount,
        &[
            ("UseDevelopmentStorage=true", "everybody knows"),
            ("Xq7Xq7Xq7", "Name=Value"),
            (&format!("{string};SharedAccessSignature=Xq7"), "is no key"),
            (&format!("{string};AccountName=other"), "stands once"),
            (&string.replace("billing1", "Billing"), "AccountName has"),
            (&string.replace(&key, "Xq7"), "base64 of 64 bytes"),
            (&string.replace(&key, &key[4..]), "base64 of 64 bytes"),
            (
                &string.replace(&key, &key.replace('=', "A")),
                "base64 of 64 bytes",
            ),
            (
                &format!("DefaultEndpointsProtocol=http;{string}"),
                "https is required",
            ),
            (
                &blob("BlobEndpoint=http://blobs.example/"),
                "https is required",
            ),
            (
                &blob("BlobEndpoint=ftp://blobs.example/"),
                "https is required",
            ),
            (&blob("BlobEndpoint=https://alice@blobs.example/"), "URL"),
            (&blob("BlobEndpoint=https://blobs.example/?Xq7"), "URL"),
            (&blob("BlobEndpoint=https://blobs.example:0/"), "URL"),
            (&blob("BlobEndpoint=https://blobs.example:x/"), "URL"),
            (&blob("BlobEndpoint=blobs.example"), "URL"),
            (&blob("EndpointSuffix=a/b"), "is a host"),
            (&format!("{string};BlobEndpoint=https://x/"), "either"),
            (&blob(""), "either"),
        ],
    );
}

#[test]
fn a_database_is_a_url_with_a_password_and_encryption() {
    assert_eq!(
        stored(
            Kind::Database,
            "postgres://app:Xq7Xq7%40%2F1@db.example/orders"
        ),
        r#"["app", "Xq7Xq7@/1", "db.example", 5432, "orders", []]"#
    );
    assert_eq!(
        stored(
            Kind::Database,
            "postgresql://a%3Ab:Xq7Xq7Xq7@[2001:db8::1]:6000?sslmode=verify-full&application_name=kw"
        ),
        r#"["a:b", "Xq7Xq7Xq7", "[2001:db8::1]", 6000, "", [["application_name", "kw"], ["sslmode", "verify-full"]]]"#
    );
    assert!(
        stored(
            Kind::Database,
            "postgres://a:Xq7Xq7Xq7@localhost/x?sslmode=disable"
        )
        .contains("disable")
    );
    assert_eq!(
        stored(
            Kind::Database,
            "Server=db.example;Port=6000;Database=orders;User Id=alice@db;Password=Xq7=Xq7%40;Ssl Mode=VerifyFull;Application Name=kw;"
        ),
        r#"["alice@db", "Xq7=Xq7%40", "db.example", 6000, "orders", [["application_name", "kw"], ["sslmode", "verify-full"]]]"#
    );
    assert_eq!(
        stored(
            Kind::Database,
            "host = localhost ; username = a ; PWD = Xq7Xq7Xq7 ; SSLMODE = disable"
        ),
        r#"["a", "Xq7Xq7Xq7", "localhost", 5432, "", [["sslmode", "disable"]]]"#
    );
    assert_refused(
        Kind::Database,
        &[
            ("hunter2hunter2", "it has the form"),
            ("Host=db;Username=a", "at least 8"),
            ("Host=db;Password=hunter2hunter2", "must be a user"),
            ("Username=a;Password=hunter2hunter2", "one host"),
            ("Host=a,b;Username=a;Password=hunter2hunter2", "one host"),
            (
                "Host=db;Port=x;Username=a;Password=hunter2hunter2",
                "the port",
            ),
            (
                "Host=db;Port=0;Username=a;Password=hunter2hunter2",
                "the port",
            ),
            (
                "Host=db;User=a;Username=a;Password=hunter2hunter2",
                "stands once",
            ),
            (
                "Host=db;Username=a;Password=\"hunter2hunter2\"",
                "without quotes",
            ),
            (
                "Host=db;Username=a;Password=hunter2hunter2;Pooling=true",
                "its keys are",
            ),
            (
                "Host=db;Username=a;Password=hunter2hunter2;SSL Mode=Prefer",
                "sslmode is",
            ),
            (
                "Host=db;Username=a;Password=hunter2hunter2;SSL Mode=Disable",
                "sslmode is",
            ),
            (
                "postgres://alice:hunter2hunter2@db/x?channel_binding=require",
                "channel_binding=require",
            ),
            ("mysql://alice:Xq7Xq7Xq7@db/x", "postgres://"),
            ("postgres://db.example/x", "it has the form"),
            ("postgres://alice@db.example/x", "it has the form"),
            ("postgres://:Xq7Xq7Xq7@db.example/x", "must be a user"),
            ("postgres://alice:hunter2@db.example/x", "at least 8"),
            ("postgres://alice:hunter2hunter2@/x", "one host"),
            ("postgres://alice:hunter2hunter2@a,b/x", "one host"),
            ("postgres://alice:hunter2hunter2@db:0/x", "the port"),
            ("postgres://alice:hunter2hunter2@db:99999/x", "one host"),
            ("postgres://alice:hunter2@hunter2@db/x", "percent-encoded"),
            ("postgres://alice:hunter2:hunter2@db/x", "percent-encoded"),
            ("postgres://alice:hunter2hunter2@db/x/y", "percent-encoded"),
            ("postgres://alice:hunter2#hunter2@db/x", "percent-encoded"),
            ("postgres://alice:hunter2%4@db/x", "two digits"),
            ("postgres://alice:hunter2%00hunter@db/x", "control"),
            ("postgres://alice:hunter2%ffhunter@db/x", "UTF-8"),
            (
                "postgres://alice:hunter2hunter2@db/x?sslmode=disable",
                "sslmode is",
            ),
            (
                "postgres://alice:hunter2hunter2@db/x?sslmode=prefer",
                "sslmode is",
            ),
            (
                "postgres://alice:hunter2hunter2@db/x?sslmode=require&sslmode=require",
                "once each",
            ),
            (
                "postgres://alice:hunter2hunter2@db/x?password=Xq7",
                "its parameters are",
            ),
            (
                "postgres://alice:hunter2hunter2@db/x?Xq7",
                "it has the form",
            ),
        ],
    );
}

#[test]
fn a_data_key_has_32_random_bytes() {
    let kind = |encoding| Kind::DataKey { encoding };
    let hex = data_encoding::HEXLOWER.encode(&KEY);
    assert_eq!(import(kind(KeyEncoding::Hex), hex.as_bytes()).unwrap(), KEY);
    assert_eq!(import(kind(KeyEncoding::Raw), &KEY).unwrap(), KEY);
    assert!(reason(kind(KeyEncoding::Hex), &hex[2..]).contains("32 bytes"));
    assert!(reason(kind(KeyEncoding::Hex), &format!("{hex}00")).contains("32 bytes"));
    let typed = import(kind(KeyEncoding::Raw), &[7; 32]);
    assert_eq!(typed, Err(ImportError::LowEntropy));
}

#[test]
fn what_is_generated_is_accepted_and_differs() {
    for kind in Kind::all() {
        let made = || kind.generate().map(|made| made.expose().to_vec());
        let expected = matches!(kind, Kind::HmacKey { .. } | Kind::DataKey { .. });
        assert_eq!(made().is_some(), expected, "{kind:?}");
        if let (Some(one), Some(other)) = (made(), made()) {
            assert_ne!(one, other);
            assert!(import(kind, &one).unwrap().len() >= 32);
        }
    }
}

#[test]
fn what_is_generated_has_the_length_that_was_asked_for() {
    let hmac = |encoding| Kind::HmacKey {
        algorithm: MacAlgorithm::Sha256,
        encoding,
    };
    for encoding in [KeyEncoding::Raw, KeyEncoding::Hex, KeyEncoding::Base64] {
        for (length, possible) in [
            (31, false),
            (32, true),
            (33, true),
            (4096, true),
            (4097, false),
        ] {
            let made = hmac(encoding).generate_long(length);
            let made = made.map(|made| import(hmac(encoding), &made.expose()[..]).unwrap().len());
            assert_eq!(made, possible.then_some(length), "{encoding:?}");
        }
        let data = Kind::DataKey { encoding };
        assert!(data.generate_long(32).is_some());
        assert!(data.generate_long(64).is_none());
    }
    assert!(Kind::ApiKey.generate_long(64).is_none());
}

/// PEM of a key and of a chain for it: leaf, issuer.
fn chain(algorithm: &'static rcgen::SignatureAlgorithm) -> (String, Vec<String>) {
    let key = |algorithm| rcgen::KeyPair::generate_for(algorithm).unwrap();
    let root_key = key(algorithm);
    let mut root = rcgen::CertificateParams::default();
    root.distinguished_name
        .push(rcgen::DnType::CommonName, "an issuer");
    root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let root_certificate = root.self_signed(&root_key).unwrap();
    let issuer = rcgen::Issuer::new(root, root_key);
    let leaf_key = key(algorithm);
    let mut leaf = rcgen::CertificateParams::new(["client.example".to_owned()]).unwrap();
    leaf.not_after = rcgen::date_time_ymd(2100, 1, 1);
    let leaf = leaf.signed_by(&leaf_key, &issuer).unwrap();
    let certificates = vec![leaf.pem(), root_certificate.pem()];
    (leaf_key.serialize_pem(), certificates)
}

#[test]
fn a_certificate_comes_with_its_chain_and_its_key() {
    for algorithm in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ED25519,
    ] {
        let (key, certificates) = chain(algorithm);
        let [leaf, issuer] = &certificates[..] else {
            panic!("two certificates");
        };
        for text in [
            format!("{leaf}{issuer}{key}"),
            format!("{key}{leaf}"),
            format!("Bag Attributes\r\n{leaf}subject=x\n{key}").replace('\n', "\r\n"),
        ] {
            let imported = Kind::Certificate
                .import(Secret::copy_of(text.as_bytes()))
                .unwrap();
            // 2100-01-01T00:00:00Z.
            assert_eq!(imported.not_after, Some(4_102_444_800));
        }
        let (other, _) = chain(algorithm);
        assert_refused(
            Kind::Certificate,
            &[
                (&format!("{leaf}{other}"), "not the leaf's"),
                (&format!("{issuer}{leaf}{key}"), "the leaf first"),
                (&format!("{leaf}{leaf}{key}"), "the leaf first"),
                (&format!("{leaf}{key}{key}"), "one private key"),
                (leaf, "no private key"),
                (&key, "1 to 10 certificates"),
                ("alice:hunter2", "no private key"),
                (&key.replace("PRIVATE", "ENCRYPTED PRIVATE"), "encrypted"),
                (
                    &format!("{leaf}{key}").replace("-----END PRIVATE KEY-----", ""),
                    "no end",
                ),
                (
                    &format!("{leaf}{}", key.replace("-----\n", "-----\n*")),
                    "not base64",
                ),
                (&leaf.replace("CERTIFICATE", "PUBLIC KEY"), "only"),
                (
                    &format!("{}{key}", leaf.replace("-----\nM", "-----\nN")),
                    "not a certificate",
                ),
            ],
        );
    }
}

#[test]
fn an_expired_certificate_is_refused() {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut leaf = rcgen::CertificateParams::default();
    leaf.not_after = rcgen::date_time_ymd(2001, 1, 1);
    let text = leaf.self_signed(&key).unwrap().pem() + &key.serialize_pem();
    assert!(reason(Kind::Certificate, &text).contains("has expired"));
}

#[test]
fn a_connection_string_of_service_bus_names_its_rule() {
    let key = data_encoding::BASE64.encode(&KEY);
    let string = format!(
        "Endpoint=sb://orders1.servicebus.windows.net/;SharedAccessKeyName=send;SharedAccessKey={key}"
    );
    assert_eq!(
        stored(Kind::ServiceBus, &format!("{string};EntityPath=orders")),
        format!(r#"["orders1.servicebus.windows.net", "send", "{key}", "orders"]"#)
    );
    assert_refused(
        Kind::ServiceBus,
        &[
            ("Endpoint", "Name=Value"),
            (&format!("{string};SharedAccessKeyName=b"), "stands once"),
            (&string.replace("sb://", "https://"), "sb://"),
            (&format!("{string};Color=red"), "its parts are"),
            (&string.replace(&key, "short"), "32 to 256"),
            (
                "Endpoint=sb://a/;SharedAccessSignature=SharedAccessSignature sr=a",
                "no key",
            ),
            (
                &format!("{string};UseDevelopmentEmulator=true"),
                "known to everybody",
            ),
        ],
    );
}

#[test]
fn other_connection_strings_have_public_and_secret_parts() {
    for (text, expected) in [
        (
            "cache.example:6380,password=correct-horse-1,ssl=True",
            r#"[["host", "cache.example", 1], ["port", "6380", 1], ["password", "correct-horse-1", 0], ["ssl", "True", 1]]"#,
        ),
        (
            "rediss://app:p%40ssword@cache.example:6380/2",
            r#"[["scheme", "rediss", 1], ["host", "cache.example", 1], ["port", "6380", 1], ["database", "2", 1], ["user", "app", 0], ["password", "p@ssword", 0]]"#,
        ),
        (
            "Server=db.example; Database=orders; User ID=app; Password=secret-1;",
            r#"[["Server", "db.example", 1], ["Database", "orders", 1], ["User ID", "app", 0], ["Password", "secret-1", 0]]"#,
        ),
        // What has the name of a public part is none with a secret in it.
        (
            "Endpoint=https://svc:pw-4711@host/;AccessKey=0123456789;Timeout=30",
            r#"[["Endpoint", "https://svc:pw-4711@host/", 0], ["AccessKey", "0123456789", 0], ["Timeout", "30", 1]]"#,
        ),
        (
            "Endpoint=https://host/?sig=abc;Host=host",
            r#"[["Endpoint", "https://host/?sig=abc", 0], ["Host", "host", 1]]"#,
        ),
        (
            "Server=db.example;Name=secret-12;User ID=db.example;Password=a-secret-1",
            r#"[["Server", "db.example", 1], ["Name", "secret-12", 0], ["User ID", "db.example", 0], ["Password", "a-secret-1", 0]]"#,
        ),
    ] {
        assert_eq!(stored(Kind::ConnectionString, text), expected, "{text}");
    }
    assert_refused(
        Kind::ConnectionString,
        &[
            ("hello", "no secret part"),
            ("Server=db.example;Database=orders", "no secret part"),
            ("Password=a;password=b", "stands once"),
            ("Server=db.example;oops;Password=b", "Name=Value"),
            ("cache.example:port,password=b", "a host and a port"),
            ("Server=db;Password=\"a1;name=b2c3\"", "without quotes"),
            ("Server=db;Password= 'a1;name=b2c3'", "without quotes"),
            ("Server=db;Password={a1;name=b2c3}", "without quotes"),
            (
                "rediss://u:p-4711@h:6380/0?password=p-4712",
                "a database of Redis is a number",
            ),
            (
                "cache.example,password=b,defaultDatabase=p-4712",
                "a database of Redis is a number",
            ),
        ],
    );
}

proptest! {
    /// Whoever reads the public parts learns no six bytes of a password or key.
    #[test]
    fn no_public_part_has_anything_of_a_secret_one(
        secret in "[a-c/:@=?.]{6,12}",
        parts in proptest::collection::vec(
            ("(Server|Endpoint|Name|Host|Timeout|User|Key)", "[a-c/:@=?.]{0,16}"),
            0..6,
        ),
        whole in any::<bool>(),
    ) {
        let mut text = format!("Password={secret}");
        for (at, (name, value)) in parts.iter().enumerate() {
            let value = if whole && at == 0 { format!("{value}{secret}") } else { value.clone() };
            text += &format!(";{name}={value}");
        }
        if let Ok(stored) = import(Kind::ConnectionString, text.as_bytes()) {
            let mut decoder = minicbor::Decoder::new(&stored);
            for _ in 0..decoder.array().unwrap().unwrap() {
                decoder.array().unwrap();
                let (name, value) = (decoder.str().unwrap(), decoder.str().unwrap());
                let is_public = decoder.u8().unwrap() == 1;
                let mut windows = secret.as_bytes().windows(6);
                let shared = windows.any(|window| {
                    value.as_bytes().windows(6).any(|other| other == window)
                });
                prop_assert!(!is_public || !shared, "{name}={value} of {text}");
            }
        }
    }
}
