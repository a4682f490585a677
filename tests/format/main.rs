//! A second implementation, in Python and written from `host/vault/FORMAT.md` alone,
//! reads the vaults that Keyward writes, and refuses what was changed in them.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod sealed;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use keyward::names::{SecretName, Subject, Tag, ValueName};
use keyward::vault::{
    Actor, Cache, Durability, Grants, KeyEncoding, KeySource, Kind, MacAlgorithm, NamedValue,
    NewKey, Origin, PassphraseCost, Received, Reference, Secret, SourceVersion, Unavailability,
    Validity, Vault, VaultFiles,
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

const PASSPHRASE: &str = "correct horse battery";
const KEY: &str = "8f01e233b47516c758f92a9b0c6dde4f11a273d49536e708b95afb2c9d6ecf40";
const KEY_BASE64: &str = "jwHiM7R1FsdY+SqbDG3eTxGic9SVNucIuVr7LJ1uz0A=";

const HMAC: Kind = Kind::HmacKey {
    algorithm: MacAlgorithm::Sha256,
    encoding: KeyEncoding::Hex,
};
/// Secrets whose values come from a source.
const SOURCED: [(&str, Cache); 4] = [
    ("fed", Cache::Sealed),
    ("not-yet", Cache::Sealed),
    ("held", Cache::Memory),
    ("far", Cache::Remote),
];

/// A secret's name, its kind, its value, and the fields that are in it.
type Sample = (&'static str, Kind, String, Vec<(&'static str, Vec<u8>)>);

/// A value of each kind.
fn samples() -> Vec<Sample> {
    let bytes = data_encoding::HEXLOWER.decode(KEY.as_bytes()).unwrap();
    let field = |name, text: &str| (name, text.as_bytes().to_vec());
    let double = [bytes.clone(), bytes.clone()].concat();
    let aws_secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    let made = rcgen::generate_simple_self_signed(["client.example".to_owned()]).unwrap();
    let mut all = vec![
        ("api", Kind::ApiKey, "sk_live_0123456789".to_owned(), vec![]),
        (
            "clients",
            Kind::ClientKeys,
            "shop = shop-key-number-0001\nshop = shop-key-number-0002\na = another-key-00001\n"
                .to_owned(),
            vec![],
        ),
        (
            "basic",
            Kind::Basic,
            "alice:correct:horse".to_owned(),
            vec![field("user", "alice"), field("password", "correct:horse")],
        ),
        (
            "oauth",
            Kind::OauthClient,
            r#"{"client_id": "app-1", "client_secret": "0123456789abcdef~Q"}"#.to_owned(),
            vec![
                field("client id", "app-1"),
                field("client secret", "0123456789abcdef~Q"),
            ],
        ),
        (
            "tls",
            Kind::Certificate,
            made.cert.pem() + &made.signing_key.serialize_pem(),
            vec![
                ("leaf", made.cert.der().to_vec()),
                ("key", made.signing_key.serialize_der()),
            ],
        ),
        (
            "storage",
            Kind::StorageAccount,
            format!(
                "AccountName=billing1;AccountKey={};EndpointSuffix=core.windows.net",
                data_encoding::BASE64.encode(&double)
            ),
            vec![
                field("account", "billing1"),
                ("key", double),
                field("endpoint", "core.windows.net"),
            ],
        ),
        (
            "database",
            Kind::Database,
            "postgres://app:p%40ssword-1@db.example:5433/orders?sslmode=verify-full".to_owned(),
            vec![
                field("user", "app"),
                field("password", "p@ssword-1"),
                field("host", "db.example"),
                field("port", "5433"),
                field("database", "orders"),
                field("parameters", "sslmode=verify-full"),
            ],
        ),
        (
            "aws",
            Kind::AwsKey,
            format!(
                "aws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = {aws_secret}\n"
            ),
            vec![
                field("access key id", "AKIAIOSFODNN7EXAMPLE"),
                field("secret access key", aws_secret),
                field("session token", ""),
            ],
        ),
        (
            "bus",
            Kind::ServiceBus,
            format!(
                "Endpoint=sb://orders1.servicebus.windows.net/;SharedAccessKeyName=send;\
                 SharedAccessKey={KEY_BASE64};EntityPath=orders"
            ),
            vec![
                field("host", "orders1.servicebus.windows.net"),
                field("key name", "send"),
                field("key", KEY_BASE64),
                field("entity path", "orders"),
            ],
        ),
        (
            "cache",
            Kind::ConnectionString,
            "cache.example:6380,password=correct-horse-1,ssl=True".to_owned(),
            vec![
                field("host", "cache.example"),
                field("port", "6380"),
                field("password", "correct-horse-1"),
                field("ssl", "True"),
            ],
        ),
    ];
    for (name, encoding, text) in [
        ("data-raw", KeyEncoding::Raw, &KEY[..32]),
        ("data-hex", KeyEncoding::Hex, KEY),
        ("data-base64", KeyEncoding::Base64, KEY_BASE64),
    ] {
        all.push((name, Kind::DataKey { encoding }, text.to_owned(), vec![]));
    }
    for (name, algorithm) in [
        ("mac-256", MacAlgorithm::Sha256),
        ("mac-384", MacAlgorithm::Sha384),
        ("mac-512", MacAlgorithm::Sha512),
    ] {
        let encoding = KeyEncoding::Hex;
        let kind = Kind::HmacKey {
            algorithm,
            encoding,
        };
        all.push((name, kind, KEY.to_owned(), vec![]));
    }
    all
}

fn name(text: &str) -> SecretName {
    SecretName::parse(text).unwrap()
}

fn secret(text: &str) -> Secret {
    Secret::read_from(text.as_bytes(), 1 << 20).unwrap()
}

/// A certificate without its key.
fn chain() -> String {
    let made = rcgen::generate_simple_self_signed(vec!["partner.example".to_owned()]);
    made.unwrap().cert.pem()
}

fn actor() -> Actor {
    Actor {
        name: "uid 1000".to_owned(),
        reason: None,
    }
}

/// A vault with everything in it, and where its other keys are.
struct Made {
    directory: tempfile::TempDir,
    files: VaultFiles,
    vault: Vault,
}

impl Made {
    fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    fn passphrase() -> KeySource {
        KeySource::Passphrase(secret(PASSPHRASE))
    }
}

fn everything() -> Made {
    let directory = tempfile::tempdir().unwrap();
    let files = VaultFiles::in_directory(directory.path());
    Vault::create(&files).unwrap();
    let vault = Vault::open(&files, Durability::Strict).unwrap();
    for (text, kind, value, _) in samples() {
        vault
            .add(&name(text), kind, secret(&value), &actor())
            .unwrap();
    }
    // Versions, states and times.
    for n in 0..3 {
        let value = secret(&format!("sk_live_0123456789-{n}"));
        vault.rotate(&name("api"), value, &actor()).unwrap();
    }
    vault.roll_back(&name("api"), Some(2), &actor()).unwrap();
    vault.retire(&name("api"), 4, &actor()).unwrap();
    vault.disable(&name("basic"), &actor()).unwrap();
    let other = secret(&KEY.replace("8f", "9f"));
    vault.rotate(&name("mac-256"), other, &actor()).unwrap();
    let validity = Validity {
        not_before: Some("2020-01-01T00:00:00Z".parse().unwrap()),
        not_after: Some("2100-01-01T00:00:00Z".parse().unwrap()),
    };
    vault
        .set_validity(&name("oauth"), 1, validity, &actor())
        .unwrap();
    let kiosk = Subject::parse("kiosk").unwrap();
    let key = secret("kiosk-key-number-001");
    vault
        .add_client(&name("clients"), &kiosk, key, &actor())
        .unwrap();
    vault
        .disable_client(&name("clients"), &kiosk, &actor())
        .unwrap();
    // Named values and revocations.
    for (text, value) in [
        ("Backend-URL", NamedValue::Plain("https://x/\n".to_owned())),
        ("key", NamedValue::Secret(name("api"))),
        ("KEY", NamedValue::Reference("kv:team/key".parse().unwrap())),
    ] {
        let tags = ["prod", "eu"].map(|tag| Tag::parse(tag).unwrap()).into();
        let named = ValueName::parse(text).unwrap();
        vault.set_value(&named, value, tags, &actor()).unwrap();
    }
    let grant = "[[grant]]\nid = \"g-1\"\npolicy = \"p\"\nsecret = \"mac-256\"\nalias = \"k\"\n\
                 use = \"mac-sign\"\n";
    vault
        .set_grants(Grants::parse("grants.toml", grant).unwrap(), &actor())
        .unwrap();
    vault
        .revoke_grant(&"g-1".parse().unwrap(), &actor())
        .unwrap();
    for (text, cache) in SOURCED {
        let reference: Reference = format!("kv:{text}").parse().unwrap();
        let origin = Origin {
            reference: reference.clone(),
            cache,
        };
        vault
            .add_sourced(&name(text), HMAC, origin, &actor())
            .unwrap();
        for (version, value) in [("v1", KEY.replace("8f", "9f")), ("v2", KEY.to_owned())] {
            if cache == Cache::Remote || text == "not-yet" {
                break;
            }
            let received = Received {
                reference: reference.clone(),
                value: secret(&value),
                source_version: SourceVersion::parse(version).unwrap(),
                validity: Validity::default(),
                enabled: true,
            };
            vault.receive(&name(text), received, &actor()).unwrap();
        }
    }
    // A certificate whose key stays elsewhere, and the one after it.
    let partner = Origin {
        reference: "bao:partner".parse().unwrap(),
        cache: Cache::Remote,
    };
    let (one, next) = (chain(), chain());
    vault
        .add_remote_certificate(&name("partner"), partner, &secret(&one), &actor())
        .unwrap();
    vault
        .rotate(&name("partner"), secret(&next), &actor())
        .unwrap();
    vault
        .mark_unavailable(&name("far"), Unavailability::Stale, &actor())
        .unwrap();
    // Slots.
    let passphrase = secret(PASSPHRASE);
    let cost = PassphraseCost::FLOOR;
    vault
        .add_slot(NewKey::Passphrase { passphrase, cost }, &actor())
        .unwrap();
    let credential = directory.path().join("credential");
    fs::copy(&files.key, &credential).unwrap();
    fs::set_permissions(&credential, fs::Permissions::from_mode(0o400)).unwrap();
    vault
        .add_slot(NewKey::Credential(credential), &actor())
        .unwrap();
    let key = NewKey::Remote {
        wrapping: "kv:vault-master".parse().unwrap(),
        key: Zeroizing::new([7; 32]),
        wrapped: b"what only the source can open".to_vec(),
    };
    vault.add_slot(key, &actor()).unwrap();
    fs::write(directory.path().join("passphrase"), PASSPHRASE).unwrap();
    Made {
        directory,
        files,
        vault,
    }
}

/// A reader of this folder, about to be run.
fn python(script: &str) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
    let packages = target.join("tools/python-packages");
    assert!(
        packages.join("cryptography").is_dir(),
        "the reader's packages are missing; run `cargo xtask setup`"
    );
    let mut python = Command::new("python3");
    python
        .arg(root.join("tests/format").join(script))
        .env("PYTHONPATH", packages)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    python
}

/// What the reader says of each file; whether it opened all of them.
fn read(key: &[&str], vaults: &[&Path]) -> (Vec<Value>, bool) {
    let output = python("read_vault.py")
        .args(key)
        .arg("--digest")
        .args(vaults)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.is_empty(), "{errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    let answers = text.lines().map(|line| serde_json::from_str(line).unwrap());
    (answers.collect(), output.status.success())
}

fn read_one(key: &[&str], vault: &Path) -> Value {
    let (mut answers, opened) = read(key, &[vault]);
    assert!(opened, "{answers:?}");
    answers.remove(0)
}

fn digest(bytes: &[u8]) -> Value {
    data_encoding::HEXLOWER
        .encode(&Sha256::digest(bytes))
        .into()
}

fn find<'a>(answer: &'a Value, list: &str, text: &str) -> &'a Value {
    let mut items = answer[list].as_array().unwrap().iter();
    items.find(|item| item["name"] == text).unwrap()
}

/// Whether the answer is what the vault holds.
fn assert_everything(answer: &Value, vault: &Vault) {
    let status = vault.status();
    assert_eq!(answer["vault"], status.id.to_string());
    assert_eq!(answer["epoch"], status.epoch);
    assert_eq!(answer["wrap-epoch"], status.wrap_epoch);
    assert_eq!(answer["wraps"], status.wraps);
    let listed = vault.list();
    assert_eq!(answer["secrets"].as_array().unwrap().len(), listed.len());
    for info in listed {
        let found = find(answer, "secrets", info.name.as_str());
        assert_eq!(found["kind"], info.kind.as_str());
        assert_eq!(found["state"], info.state.as_str());
        assert_eq!(found["created"], info.created.as_second());
        let origin = info.origin.as_ref();
        assert_eq!(found.get("origin").is_some(), origin.is_some());
        if let Some(origin) = origin {
            assert_eq!(found["origin"]["reference"], origin.reference.to_string());
            assert_eq!(found["origin"]["cache"], origin.cache.as_str());
            if origin.cache != Cache::Sealed {
                continue;
            }
            let version = info.source_version.as_ref();
            let version = version.map_or("", |version| version.as_str());
            assert_eq!(found["origin"]["source-version"], version);
        }
        assert_eq!(found["current"], info.version);
        let versions = found["versions"].as_array().unwrap();
        assert_eq!(versions.len(), info.versions.len());
        for (found, version) in versions.iter().zip(info.versions) {
            let Validity {
                not_before,
                not_after,
            } = version.validity;
            assert_eq!(found["number"], version.number);
            assert_eq!(
                found["not-before"],
                not_before.map_or(0, |time| time.as_second())
            );
            assert_eq!(
                found["not-after"],
                not_after.map_or(0, |time| time.as_second())
            );
        }
    }
    let key = data_encoding::HEXLOWER.decode(KEY.as_bytes()).unwrap();
    for (text, kind, value, fields) in samples() {
        let versions = find(answer, "secrets", text)["versions"]
            .as_array()
            .unwrap();
        let first = &versions[0];
        for (field, expected) in fields {
            // The certificate differs in every run but for its fields' names.
            match kind {
                Kind::Certificate => assert!(first["fields"][field].is_string()),
                _ => assert_eq!(first["fields"][field], digest(&expected), "{text} {field}"),
            }
        }
        match kind {
            Kind::ApiKey => assert_eq!(first["digest"], digest(value.as_bytes())),
            Kind::DataKey {
                encoding: KeyEncoding::Raw,
            } => assert_eq!(first["digest"], digest(value.as_bytes())),
            Kind::DataKey { .. } | Kind::HmacKey { .. } => {
                assert_eq!(first["digest"], digest(&key));
            }
            _ => {}
        }
    }
    // Of a key that stays in its source, the certificates alone.
    let partner = find(answer, "secrets", "partner");
    assert_eq!(
        (&partner["current"], &partner["last"]),
        (&2.into(), &2.into())
    );
    let shown = vault.public_parts(&name("partner")).into_iter();
    let leaf = shown
        .filter(|(part, _)| part == "sha256")
        .map(|(_, hex)| hex);
    let leaf = serde_json::json!({ "leaf": leaf.collect::<String>() });
    assert_eq!(partner["versions"][1]["fields"], leaf);
    // Nothing of a value that is kept in memory is in the file; the control is the
    // same value, sealed.
    let held = find(answer, "secrets", "held");
    assert_eq!((&held["current"], &held["last"]), (&0.into(), &2.into()));
    assert_eq!(held["versions"], serde_json::json!([]));
    assert_eq!(held["origin"]["source-version"], "");
    assert!(!held.to_string().contains(digest(&key).as_str().unwrap()));
    let fed = find(answer, "secrets", "fed");
    assert_eq!(fed["versions"][1]["digest"], digest(&key));
    assert_eq!(
        find(answer, "secrets", "far")["origin"]["unavailable"],
        "stale"
    );
    assert_eq!(find(answer, "secrets", "api")["last"], 4);
    assert_eq!(find(answer, "secrets", "mac-256")["previous"], 1);
    let clients = find(answer, "secrets", "clients")["versions"]
        .as_array()
        .unwrap();
    let fields = clients.last().unwrap()["fields"].as_object().unwrap();
    assert!(fields.contains_key("client kiosk") && fields.contains_key("client shop"));
    assert_eq!(
        find(answer, "values", "Backend-URL")["plain"],
        "https://x/\n"
    );
    assert_eq!(find(answer, "values", "key")["secret"], "api");
    assert_eq!(find(answer, "values", "KEY")["source"], "kv");
    assert_eq!(
        find(answer, "values", "KEY")["tags"],
        serde_json::json!(["eu", "prod"])
    );
    assert_eq!(answer["revoked"], serde_json::json!(["g-1"]));
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

#[test]
fn every_key_opens_the_vault_in_the_second_implementation_too() {
    let made = everything();
    let (key, passphrase) = (text(&made.files.key), text(&made.path("passphrase")));
    let credential = text(&made.path("credential"));
    let digits = "07".repeat(32);
    for source in [
        &["--key-file", key.as_str()][..],
        &["--passphrase-file", passphrase.as_str()],
        &["--credential", credential.as_str()],
        &["--source-slot", "4", digits.as_str()],
    ] {
        let answer = read_one(source, &made.files.vault);
        assert_everything(&answer, &made.vault);
        assert_eq!(answer["slots"].as_array().unwrap().len(), 4);
    }
    let (_, opened) = read(
        &["--source-slot", "3", digits.as_str()],
        &[&made.files.vault],
    );
    assert!(!opened, "the key of another slot");
}

#[test]
fn a_vault_is_read_after_each_change_of_its_keys() {
    let made = everything();
    let key = text(&made.files.key);
    let source = ["--key-file", key.as_str()];
    made.vault.rewrap(&actor()).unwrap();
    assert_everything(&read_one(&source, &made.files.vault), &made.vault);
    let keys = vec![
        KeySource::KeyFile(made.files.key.clone()),
        Made::passphrase(),
        KeySource::Credential(made.path("credential")),
        KeySource::Remote {
            slot: 4,
            key: Zeroizing::new([7; 32]),
        },
    ];
    made.vault.rekey(keys, &actor()).unwrap();
    assert_everything(&read_one(&source, &made.files.vault), &made.vault);

    let backup_key = made.path("backup.key");
    let backup = made
        .vault
        .backup(NewKey::KeyFile(backup_key.clone()), &actor())
        .unwrap();
    let path = made.path("backup");
    fs::write(&path, backup).unwrap();
    let answer = read_one(&["--key-file", &text(&backup_key)], &path);
    let secrets = answer["secrets"].as_array().unwrap();
    assert_eq!(secrets.len(), samples().len() + SOURCED.len() + 1);
    assert_eq!(
        answer["slots"],
        serde_json::json!([{"id": 5, "type": "key-file"}])
    );
    let (_, opened) = read(&source, &[&path]);
    assert!(!opened, "the vault's key opens its backup");

    made.vault.remove_slot(1, &actor()).unwrap();
    let (_, opened) = read(&source, &[&made.files.vault]);
    assert!(!opened, "a key whose slot is gone opens the vault");
}

#[test]
fn the_second_implementation_refuses_what_was_changed() {
    let made = everything();
    let good = fs::read(&made.files.vault).unwrap();
    let key = text(&made.files.key);
    let mut changed = Vec::new();
    let mut write = |bytes: &[u8]| {
        let path = made.path(&format!("changed-{}", changed.len()));
        fs::write(&path, bytes).unwrap();
        changed.push(path);
    };
    // Bits all over the file, the first and the last among them.
    let bits = good.len() * 8;
    for index in 0..400 {
        let bit = (bits - 1) * index / 399;
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        write(&bytes);
    }
    for length in [0, 8, 40, good.len() / 2, good.len() - 1] {
        write(&good[..length]);
    }
    write(&[&good[..], b"\0"].concat());
    let paths: Vec<&Path> = changed.iter().map(PathBuf::as_path).collect();
    let (answers, _) = read(&["--key-file", &key], &paths);
    assert_eq!(answers.len(), paths.len());
    for (index, answer) in answers.iter().enumerate() {
        assert_eq!(answer["error"], "wrong key or damaged file", "{index}");
    }
    // The control: untouched, it opens.
    assert_everything(
        &read_one(&["--key-file", &key], &made.files.vault),
        &made.vault,
    );
}
