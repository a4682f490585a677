//! Every cell of the table of kinds and uses, granted and not: what has a line in
//! [`KIND_USES`] and a grant is allowed, everything else is denied, and all denials
//! look the same.
//!
//! A new use needs a line in `permit_of`, a new kind a value in `support::sample`.

use crate::support::*;
use keyward_vault::*;

/// Asks for one use; what it was answered, in full.
fn permit_of(vault: &Vault, policy: &PolicyIdentity, alias: &str, use_: Use) -> Result<(), String> {
    fn ask<U: UseType>(vault: &Vault, policy: &PolicyIdentity, alias: &str) -> Result<(), String> {
        let permit = vault.permit::<U>(policy, alias, &mut new_ledger(vault));
        permit
            .map(drop)
            .map_err(|denied| format!("{denied} {denied:?}"))
    }
    let ask = match use_ {
        Use::Attach => ask::<uses::Attach>,
        Use::SignRequest => ask::<uses::SignRequest>,
        Use::MacSign => ask::<uses::MacSign>,
        Use::MacVerify => ask::<uses::MacVerify>,
        Use::Identify => ask::<uses::Identify>,
        Use::Present => ask::<uses::Present>,
        Use::JwsSign => ask::<uses::JwsSign>,
        Use::Sas => ask::<uses::Sas>,
        Use::Presign => ask::<uses::Presign>,
        Use::Describe => ask::<uses::Describe>,
        Use::Query => ask::<uses::Query>,
        Use::Seal => ask::<uses::Seal>,
        Use::Open => ask::<uses::Open>,
        Use::VerifyJwt => ask::<uses::VerifyJwt>,
        Use::Token => ask::<uses::Token>,
    };
    ask(vault, policy, alias)
}

/// Whether the table has the cell: read here, not asked of `Use::fits`.
fn is_allowed(kind: &Kind, use_: Use) -> bool {
    let mut cells = KIND_USES.iter();
    cells.any(|cell| cell.use_ == use_ && cell.is_about(kind))
}

#[test]
fn of_all_cells_only_those_of_the_table_are_allowed_and_all_denials_look_the_same() {
    let test = TestVault::create();
    let vault = test.open();
    let mut secrets = Vec::new();
    for (index, kind) in Kind::all().enumerate() {
        let text = format!("secret-{index}");
        let value = secret(&sample(kind));
        vault.add(&name(&text), kind, value, &actor()).unwrap();
        secrets.push((text, kind));
    }
    let aliases: Vec<_> = secrets.iter().map(|(text, _)| text.as_str()).collect();
    let policy = policy(&aliases);
    let (mut cells, mut allowed) = (0, 0);
    // Nothing is granted, then each use of every secret, whether it fits or not.
    for granted in std::iter::once(None).chain(Use::ALL.map(Some)) {
        let text = granted.map_or_else(String::new, |use_| {
            let one = |(text, kind): &(String, Kind)| {
                grant_for(*kind, &format!("g-{text}"), text, text, use_)
            };
            secrets.iter().map(one).collect()
        });
        vault.set_grants(grants(&text), &actor()).unwrap();
        for (alias, kind) in &secrets {
            for use_ in Use::ALL {
                let expected = match granted == Some(use_) && is_allowed(kind, use_) {
                    true => Ok(()),
                    false => Err("denied Denied".to_owned()),
                };
                let found = permit_of(&vault, &policy, alias, use_);
                assert_eq!(found, expected, "{kind:?} granted {granted:?}, used {use_}");
                cells += 1;
                allowed += usize::from(found.is_ok());
            }
        }
    }
    assert_eq!(cells, secrets.len() * Use::ALL.len() * (Use::ALL.len() + 1));
    // Each line of the table was seen to be allowed.
    let lines = |kind: &Kind| {
        Use::ALL
            .into_iter()
            .filter(|use_| is_allowed(kind, *use_))
            .count()
    };
    let expected: usize = secrets.iter().map(|(_, kind)| lines(kind)).sum();
    assert_eq!(allowed, expected);
    assert!(allowed >= KIND_USES.len());
}

#[test]
fn control_a_cell_that_the_table_lacks_would_be_seen() {
    // The same question, of a cell that is there and granted: the answer differs.
    let (_test, vault) = TestVault::with_secrets();
    let text = grant("g", "api", "k", Use::Attach) + &grant("h", "mac", "m", Use::Attach);
    vault.set_grants(grants(&text), &actor()).unwrap();
    let policy = policy(&["k", "m"]);
    assert_eq!(permit_of(&vault, &policy, "k", Use::Attach), Ok(()));
    assert!(permit_of(&vault, &policy, "m", Use::Attach).is_err());
}

#[test]
fn keys_that_stay_in_their_source_are_used_as_the_table_says_once_their_certificate_is_here() {
    let test = TestVault::create();
    let vault = test.open();
    let mut secrets = Vec::new();
    for (index, kind) in Kind::all().enumerate() {
        let text = format!("secret-{index}");
        let origin = Origin {
            reference: format!("bao:key-{index}").parse().unwrap(),
            cache: Cache::Remote,
        };
        let added = vault.add_sourced(&name(&text), kind, origin, &actor());
        let may = kind.may_stay_elsewhere();
        assert_eq!(added.is_ok(), may, "{kind:?}");
        if may {
            secrets.push((text, kind));
        }
    }
    let aliases: Vec<_> = secrets.iter().map(|(text, _)| text.as_str()).collect();
    let policy = policy(&aliases);
    for has_certificate in [false, true] {
        let mut seen = Vec::new();
        for use_ in Use::ALL {
            let one = |(text, kind): &(String, Kind)| {
                grant_for(*kind, &format!("g-{text}"), text, text, use_)
            };
            let text: String = secrets.iter().map(one).collect();
            vault.set_grants(grants(&text), &actor()).unwrap();
            for (alias, kind) in &secrets {
                let needs = *kind == Kind::Certificate && use_ != Use::JwsSign;
                let is_there = has_certificate || !needs;
                let expected = use_.fits(kind) && is_there;
                let found = permit_of(&vault, &policy, alias, use_);
                assert_eq!(found.is_ok(), expected, "{kind:?} {use_}");
                if use_.fits(kind) && !is_there {
                    assert!(found.unwrap_err().contains("unavailable"));
                }
                if expected && !seen.contains(&use_) {
                    seen.push(use_);
                }
            }
        }
        let words: Vec<_> = seen.iter().map(Use::as_str).collect();
        let done = match has_certificate {
            false => "sign-request mac-sign mac-verify jws-sign seal open verify-jwt",
            true => "sign-request mac-sign mac-verify token present jws-sign seal open verify-jwt",
        };
        let sorted = |text: &str| {
            let mut words: Vec<_> = text.split(' ').map(str::to_owned).collect();
            words.sort();
            words
        };
        assert_eq!(sorted(&words.join(" ")), sorted(done));
        let certificates = secrets.iter();
        for (text, _) in certificates.filter(|(_, kind)| *kind == Kind::Certificate) {
            let chain = secret(&chain());
            vault.rotate(&name(text), chain, &actor()).unwrap();
        }
    }
}
