//! The lock: what it is, and what it finds.

use super::*;

const FILE: &str = r#"
[[grant]]
id = "b"
policy = "p"
secret = "key"
use = "mac-sign"

[[grant]]
id = "a"
policy = "q"
secret = "other"
use = "mac-verify"
"#;

fn grants(text: &str) -> Grants {
    Grants::parse("grants.toml", text).unwrap()
}

fn components(p: u8, q: u8) -> Components {
    let one = |name: &str, byte| {
        let digest = ComponentDigest::from_bytes([byte; 32]);
        (PolicyName::parse(name).unwrap(), digest)
    };
    [one("p", p), one("q", q)].into_iter().collect()
}

fn secrets(key: u128, other: u128) -> Vec<SecretInfo> {
    [("key", key), ("other", other)]
        .map(|(name, id)| secret(name, "hmac-key".parse().unwrap(), Uuid::from_u128(id)))
        .to_vec()
}

fn pinned() -> Lock {
    Lock::pin(&grants(FILE), &secrets(1, 2), &components(1, 2)).unwrap()
}

#[test]
fn a_lock_has_one_text_and_reads_back() {
    let text = pinned().to_toml();
    let expected = format!(
        "# Written by `keyward grants pin`: what the names in the grants file stood for.\n\
         # Review it with the file; don't edit it.\n\
         version = 1\n\
         grants = \"sha256:{}\"\n\
         \n\
         [[grant]]\n\
         id = \"a\"\n\
         terms = \"sha256:{}\"\n\
         secret = \"00000000-0000-0000-0000-000000000002\"\n\
         component = \"sha256:{}\"\n\
         \n\
         [[grant]]\n\
         id = \"b\"\n\
         terms = \"sha256:{}\"\n\
         secret = \"00000000-0000-0000-0000-000000000001\"\n\
         component = \"sha256:{}\"\n",
        data_encoding::HEXLOWER.encode(&grants(FILE).digest()),
        data_encoding::HEXLOWER.encode(&crate::grants::sha256(
            b"[[grant]]\nid = \"a\"\npolicy = \"q\"\nsecret = \"other\"\nuse = \"mac-verify\"\n"
        )),
        "02".repeat(32),
        data_encoding::HEXLOWER.encode(&crate::grants::sha256(
            b"[[grant]]\nid = \"b\"\npolicy = \"p\"\nsecret = \"key\"\nuse = \"mac-sign\"\n"
        )),
        "01".repeat(32),
    );
    assert_eq!(text, expected);
    assert_eq!(Lock::parse("grants.lock", &text).unwrap(), pinned());
}

#[test]
fn nothing_drifts_while_nothing_changes() {
    let (secrets, components) = (secrets(1, 2), components(1, 2));
    let drift = pinned().drift(&grants(FILE), Some(&secrets), &components);
    assert_eq!(drift, []);
}

#[test]
fn each_drift_is_told_with_what_changed() {
    let check = |text: &str, ids: (u128, u128), bytes: (u8, u8), expected: &[&str]| {
        let secrets = secrets(ids.0, ids.1);
        let components = components(bytes.0, bytes.1);
        let drift = pinned().drift(&grants(text), Some(&secrets), &components);
        let said: Vec<_> = drift.iter().map(ToString::to_string).collect();
        assert_eq!(said, expected);
    };
    let same = ((1, 2), (1, 2));
    check(
        &format!("# a comment\n{FILE}"),
        same.0,
        same.1,
        &["the text of the grants file was changed since it was pinned, though no grant was"],
    );
    check(
        &FILE.replace("mac-sign", "mac-verify"),
        same.0,
        same.1,
        &["grant \"b\" was changed since it was pinned"],
    );
    check(
        &FILE.replace("id = \"a\"", "id = \"c\""),
        same.0,
        same.1,
        &[
            "grant \"c\" was added since the file was pinned",
            "grant \"a\" was removed since the file was pinned",
        ],
    );
    check(
        FILE,
        (3, 2),
        same.1,
        &[
            "grant \"b\": secret \"key\" is another one than the one that was pinned: it was removed and added again",
        ],
    );
    check(
        FILE,
        same.0,
        (1, 3),
        &[&format!(
            "grant \"a\": policy \"q\" is component sha256:{}; sha256:{} was pinned",
            "03".repeat(32),
            "02".repeat(32)
        )],
    );
    let drift = pinned().drift(&grants(FILE), Some(&[]), &Components::new());
    assert_eq!(drift.len(), 4);
    // Where nobody asked the vault, its secrets are not compared.
    let drift = pinned().drift(&grants(FILE), None, &components(1, 2));
    assert_eq!(drift, []);
}

#[test]
fn what_is_not_there_can_not_be_pinned() {
    let errors = Lock::pin(&grants(FILE), &secrets(1, 2)[..1], &components(1, 2)).unwrap_err();
    let said: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        ["grant \"a\": the vault has no secret \"other\"; add it with: keyward secret set other"]
    );
    let errors = Lock::pin(&grants(FILE), &secrets(1, 2), &Components::new()).unwrap_err();
    assert_eq!(errors.len(), 2);
}

#[test]
fn a_pinned_set_is_bound_and_has_a_digest_of_its_own() {
    let (lock, grants) = (pinned(), grants(FILE));
    let text = lock.to_toml();
    let bound = grants.pinned(&lock, &text);
    let find = |id: &str| bound.get(&GrantId::parse(id).unwrap()).unwrap();
    assert_eq!(find("b").pinned, Some(Uuid::from_u128(1)));
    assert!(find("b").is_for(&ComponentDigest::from_bytes([1; 32])));
    assert!(!find("b").is_for(&ComponentDigest::from_bytes([2; 32])));
    let mut both = grants.digest().to_vec();
    both.extend(crate::grants::sha256(text.as_bytes()));
    assert_eq!(bound.digest(), crate::grants::sha256(&both));
    // The lock of a set that is pinned already is the same.
    assert_eq!(bound.iter().count(), 2);
}

#[test]
fn a_lock_that_was_edited_is_refused_with_the_place() {
    let text = pinned().to_toml();
    let check = |from: &str, to: &str, expected: &str| {
        assert!(text.contains(from), "{from}");
        let error = Lock::parse("grants.lock", &text.replacen(from, to, 1)).unwrap_err();
        let problems: Vec<_> = error
            .problems()
            .map(|(line, column, message)| format!("{line}:{column} {message}"))
            .collect();
        assert_eq!(problems, [expected]);
    };
    check(
        "version = 1",
        "version = 2",
        "3:11 \"version\" must be a whole number from 1 to 1",
    );
    check("version = 1\n", "", "1:1 a lock needs \"version\"");
    check("grants = ", "version = 1\ngrants = ", "4:1 duplicate key");
    check(
        "component",
        "extra = 1\ncomponent",
        "10:1 unknown key \"extra\" in a pinned grant",
    );
    check(
        "id = \"a\"",
        "id = \"b\"",
        "13:6 the grants are not sorted by their ids, each once",
    );
    check(
        "-000000000002",
        "-00000000000G",
        "9:10 an id is a UUID in lower case, with its hyphens",
    );
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
        let _ = Lock::parse("grants.lock", &text);
    }

    /// What is read is what was written: there is one text for each lock.
    #[test]
    fn a_changed_lock_is_another_lock_or_none(at in 150usize..600, byte in 32u8..127) {
        let text = pinned().to_toml();
        let mut changed = text.clone().into_bytes();
        let at = at.min(changed.len() - 1);
        changed[at] = byte;
        let changed = String::from_utf8(changed).unwrap();
        if let Ok(lock) = Lock::parse("grants.lock", &changed) {
            prop_assert!(changed == text || lock != pinned() || lock.to_toml() == text);
        }
    }
}
