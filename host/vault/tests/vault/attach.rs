//! From a permit to a request that carries a secret: only where a grant says so,
//! only after the audit record, and only once.

use crate::support::*;
use http::uri::PathAndQuery;
use http::{Method, Request, header::HeaderName, request::Parts};
use keyward_names::RouteName;
use keyward_vault::*;

const AUTHORITY: &str = "billing.example.com";

fn head(method: &Method, uri: &str) -> Parts {
    let request = Request::builder().method(method).uri(uri);
    request.body(()).unwrap().into_parts().0
}

struct Going {
    route: RouteName,
    method: Method,
    authority: String,
    path: PathAndQuery,
}

impl Going {
    fn to(route_name: &str, method: Method, authority: &str, path: &str) -> Self {
        Self {
            route: route(route_name),
            method,
            authority: authority.to_owned(),
            path: path.parse().unwrap(),
        }
    }

    fn allowed() -> Self {
        Self::to("billing", Method::GET, AUTHORITY, "/v1/charges?limit=2")
    }

    fn target(&self) -> Target<'_> {
        Target {
            route: &self.route,
            method: &self.method,
            address: "",
            authority: &self.authority,
            path_and_query: &self.path,
        }
    }

    fn head(&self) -> Parts {
        head(
            &self.method,
            &format!("https://{}{}", self.authority, self.path),
        )
    }
}

fn attach_vault() -> (TestVault, Vault) {
    let (test, vault) = TestVault::with_secrets();
    let text = grant("g", "api", "backend", Use::Attach);
    vault.set_grants(grants(&text), &actor()).unwrap();
    (test, vault)
}

fn attach_note(vault: &Vault, ledger: &mut Ledger) -> Note {
    let policy = policy(&["backend"]);
    vault
        .permit::<uses::Attach>(&policy, "backend", ledger)
        .unwrap()
        .note()
}

fn notes(note: Note) -> Notes {
    let mut notes = Notes::default();
    notes.push(note);
    notes
}

/// Permit, note, check, barrier.
fn checked(vault: &Vault, going: &Going) -> (CheckedNotes, Durable) {
    let mut ledger = new_ledger(vault);
    let notes = notes(attach_note(vault, &mut ledger));
    let checked = notes.check(vault, &mut ledger, &going.target()).unwrap();
    (checked, block_on(ledger.barrier()).unwrap())
}

#[test]
fn the_secret_is_written_in_place_of_every_spelling_of_its_header() {
    let (_test, vault) = attach_vault();
    let going = Going::allowed();
    let (checked, durable) = checked(&vault, &going);
    let mut head = going.head();
    for name in [
        "X-Api-Key",
        "x_api_key",
        "x-api_key",
        "X.API.KEY",
        "x-other",
    ] {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        head.headers
            .append(name, "from-the-client".parse().unwrap());
    }
    for (name, value) in [
        ("range", "bytes=0-1"),
        ("if-range", "x"),
        ("accept-encoding", "gzip"),
        ("x-http-method-override", "DELETE"),
    ] {
        head.headers.append(name, value.parse().unwrap());
    }
    let guard = checked.write(&durable, &mut head, None).unwrap().guard;
    assert!(!guard.is_empty());
    let mut names: Vec<_> = head.headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["accept-encoding", "x-api-key", "x-other"]);
    let value = &head.headers["x-api-key"];
    assert_eq!(value, API_KEY);
    assert!(value.is_sensitive());
    assert!(!format!("{head:?}").contains(API_KEY));
    assert_eq!(head.headers["accept-encoding"], "identity");
}

#[test]
fn a_template_surrounds_the_secret() {
    let (_test, vault) = attach_vault();
    let text = grant("g", "api", "backend", Use::Attach).replace("x-api-key", "authorization")
        + "template = \"Key {secret};v=1\"\n";
    vault.set_grants(grants(&text), &actor()).unwrap();
    let going = Going::allowed();
    let (checked, durable) = checked(&vault, &going);
    let mut head = going.head();
    let _ = checked.write(&durable, &mut head, None).unwrap();
    assert_eq!(head.headers["authorization"], format!("Key {API_KEY};v=1"));
}

#[test]
fn the_guard_knows_the_value_that_was_written() {
    let (_test, vault) = attach_vault();
    let going = Going::allowed();
    let (checked, durable) = checked(&vault, &going);
    let mut guard = checked
        .write(&durable, &mut going.head(), None)
        .unwrap()
        .guard;
    let answer = http::Response::builder()
        .header("x-echo", API_KEY)
        .body(())
        .unwrap();
    let reflected = guard.check_head(&answer.into_parts().0).unwrap_err();
    assert_eq!(
        (reflected.grant.as_str(), reflected.found),
        ("g", Found::Value)
    );
    assert!(!format!("{reflected} {reflected:?}").contains(API_KEY));
    let mut stream = guard.stream(true);
    let echo = data_encoding::BASE64.encode(format!("key={API_KEY}").as_bytes());
    assert!(stream.push(echo.into()).is_err());
}

#[test]
fn a_value_that_came_back_is_in_the_audit_trail() {
    let (test, vault) = attach_vault();
    let going = Going::allowed();
    let (checked, durable) = checked(&vault, &going);
    let guard = checked
        .write(&durable, &mut going.head(), None)
        .unwrap()
        .guard;
    let mut stream = guard.stream(true);
    assert!(stream.push(API_KEY.into()).is_err());
    drop((guard, stream, vault));
    verify_trail(&test.files.audit, &test.verifier_key).unwrap();
    let exchange = durable.exchange().to_string();
    let records = read_records(&test.files.audit).map(|record| record.unwrap());
    let parts: Vec<_> = records
        .filter(|record| record["exchange"] == exchange)
        .collect();
    assert_eq!(parts.len(), 2);
    let outcomes = |part: &serde_json::Value| -> Vec<String> {
        let uses = part["uses"].as_array().unwrap().iter();
        uses.map(|used| format!("{} {}", used["outcome"], used["route"]))
            .collect()
    };
    // The permit, which has no destination yet, and the check, which has.
    assert_eq!(
        outcomes(&parts[0]),
        ["\"allowed\" null", "\"allowed\" \"billing\""]
    );
    assert_eq!(outcomes(&parts[1]), ["\"reflected\" \"billing\""]);
    assert_eq!(
        (&parts[0]["part"], &parts[1]["part"]),
        (&0.into(), &1.into())
    );
    assert_eq!(parts[1]["uses"][0]["grant"], "g");
}

#[test]
fn another_route_method_path_or_authority_is_denied() {
    let (_test, vault) = attach_vault();
    let check = |going: Going| {
        let mut ledger = new_ledger(&vault);
        let notes = notes(attach_note(&vault, &mut ledger));
        let result = notes.check(&vault, &mut ledger, &going.target());
        block_on(ledger.barrier()).unwrap();
        result.is_ok()
    };
    assert!(check(Going::allowed()));
    assert!(check(Going::to(
        "billing",
        Method::GET,
        "billing.example.com:8443",
        "/v1/charges"
    )));
    for going in [
        Going::to("other", Method::GET, AUTHORITY, "/v1/charges"),
        Going::to("billing", Method::POST, AUTHORITY, "/v1/charges"),
        Going::to("billing", Method::TRACE, AUTHORITY, "/v1/charges"),
        Going::to("billing", Method::GET, AUTHORITY, "/v1/charges/1"),
        Going::to("billing", Method::GET, AUTHORITY, "/v1/Charges"),
        Going::to("billing", Method::GET, AUTHORITY, "/v1/x/../charges"),
        Going::to("billing", Method::GET, AUTHORITY, "/v1//charges"),
        Going::to("billing", Method::GET, AUTHORITY, "/v1/charges%2f"),
        Going::to(
            "billing",
            Method::GET,
            "user@billing.example.com",
            "/v1/charges",
        ),
        Going::to("billing", Method::GET, "", "/v1/charges"),
        Going::to(
            "billing",
            Method::GET,
            "billing.example.com/x",
            "/v1/charges",
        ),
        Going::to("billing", Method::GET, "billing example", "/v1/charges"),
    ] {
        let text = format!(
            "{} {} {} {}",
            going.route, going.method, going.authority, going.path
        );
        assert!(!check(going), "{text}");
    }
}

#[test]
fn a_grant_that_went_or_changed_after_the_permit_counts_as_it_is_now() {
    let (_test, vault) = attach_vault();
    let going = Going::allowed();
    let base = grant("g", "api", "backend", Use::Attach);
    for (text, expected) in [
        (String::new(), false),
        (base.clone(), true),
        (base.replace("id = \"g\"", "id = \"h\""), false),
        (base.replace("/v1/charges", "/v2/charges"), false),
        (base.replace("\"api\"", "\"other\""), false),
        (base.replace("\"backend\"", "\"renamed\""), false),
        (
            base.clone() + "not-after = \"2020-01-01T00:00:00Z\"\n",
            false,
        ),
    ] {
        vault.set_grants(grants(&base), &actor()).unwrap();
        let mut ledger = new_ledger(&vault);
        let notes = notes(attach_note(&vault, &mut ledger));
        vault.set_grants(grants(&text), &actor()).unwrap();
        let checked = notes.check(&vault, &mut ledger, &going.target());
        assert_eq!(checked.is_ok(), expected, "{text}");
    }
}

#[test]
fn a_note_writes_the_version_of_its_permit() {
    let (_test, vault) = attach_vault();
    let going = Going::allowed();
    let mut ledger = new_ledger(&vault);
    let old = notes(attach_note(&vault, &mut ledger));
    vault
        .rotate(&name("api"), secret("a-second-api-key"), &actor())
        .unwrap();
    let old = old.check(&vault, &mut ledger, &going.target()).unwrap();
    let durable = block_on(ledger.barrier()).unwrap();
    let (new, of_new) = checked(&vault, &going);
    for (checked, durable, value) in [(old, durable, API_KEY), (new, of_new, "a-second-api-key")] {
        let mut head = going.head();
        let _ = checked.write(&durable, &mut head, None).unwrap();
        assert_eq!(head.headers["x-api-key"], value);
    }
}

#[test]
fn a_proof_of_another_exchange_or_of_earlier_uses_is_refused() {
    let (_test, vault) = attach_vault();
    let going = Going::allowed();
    let refused = |checked: CheckedNotes, durable: &Durable| {
        let mut head = going.head();
        head.headers.insert("x-other", "1".parse().unwrap());
        let error = checked.write(durable, &mut head, None).err().unwrap();
        assert!(head.headers.is_empty(), "what can't be sent by mistake");
        error == AttachError::NotDurable
    };

    let (first, _) = checked(&vault, &going);
    let (_, of_another) = checked(&vault, &going);
    assert!(refused(first, &of_another));

    let mut ledger = new_ledger(&vault);
    let earlier = block_on(ledger.barrier()).unwrap();
    let early_note = attach_note(&vault, &mut ledger);
    let after_permit = block_on(ledger.barrier()).unwrap();
    let late = notes(early_note)
        .check(&vault, &mut ledger, &going.target())
        .unwrap();
    assert!(refused(late, &earlier));
    let again = notes(attach_note(&vault, &mut ledger));
    let again = again.check(&vault, &mut ledger, &going.target()).unwrap();
    assert!(refused(again, &after_permit));
}

#[test]
fn a_note_of_another_exchange_is_denied() {
    let (_test, vault) = attach_vault();
    let note = attach_note(&vault, &mut new_ledger(&vault));
    let mut other = new_ledger(&vault);
    assert!(
        notes(note)
            .check(&vault, &mut other, &Going::allowed().target())
            .is_err()
    );
}

#[test]
fn a_request_that_changed_after_the_check_is_refused() {
    let (_test, vault) = attach_vault();
    let going = Going::allowed();
    let base = "https://billing.example.com/v1/charges?limit=2";
    let changed = |mut head: Parts, host: Option<&str>| {
        let (checked, durable) = checked(&vault, &going);
        if let Some(host) = host {
            head.headers.insert("host", host.parse().unwrap());
        }
        checked.write(&durable, &mut head, None).err() == Some(AttachError::Changed)
    };
    for (uri, host) in [
        (base, None),
        (base, Some("billing.example.com")),
        (base, Some("BILLING.example.com:443")),
        ("https://Billing.Example.com:443/v1/charges?limit=2", None),
        ("/v1/charges?limit=2", Some("billing.example.com")),
    ] {
        assert!(!changed(head(&Method::GET, uri), host), "{uri} {host:?}");
    }
    assert!(changed(head(&Method::POST, base), None));
    for (uri, host) in [
        ("https://billing.example.com/v1/charges", None),
        ("https://billing.example.com/v1/charges?limit=3", None),
        ("https://billing.example.com/v1/refunds?limit=2", None),
        ("https://evil.example/v1/charges?limit=2", None),
        ("https://billing.example.com:444/v1/charges?limit=2", None),
        ("https://billing.example.com:80/v1/charges?limit=2", None),
        (base, Some("evil.example")),
        ("/v1/charges?limit=2", Some("evil.example")),
    ] {
        assert!(changed(head(&Method::GET, uri), host), "{uri} {host:?}");
    }
}

#[test]
fn the_same_use_twice_is_one_header_and_two_secrets_do_not_share_one() {
    let (_test, vault) = attach_vault();
    vault
        .add(
            &name("api2"),
            Kind::ApiKey,
            secret("a-second-api-key"),
            &actor(),
        )
        .unwrap();
    let text = [
        grant("g", "api", "backend", Use::Attach),
        grant("h", "api2", "second", Use::Attach).replace("x-api-key", "x_api_key"),
    ];
    vault.set_grants(grants(&text.concat()), &actor()).unwrap();
    let policy = policy(&["backend", "second"]);
    let write = |aliases: [&str; 2]| {
        let going = Going::allowed();
        let mut ledger = new_ledger(&vault);
        let mut notes = Notes::default();
        for alias in aliases {
            let permit = vault
                .permit::<uses::Attach>(&policy, alias, &mut ledger)
                .unwrap();
            notes.push(permit.note());
        }
        let checked = notes.check(&vault, &mut ledger, &going.target()).unwrap();
        let durable = block_on(ledger.barrier()).unwrap();
        checked.write(&durable, &mut going.head(), None).err()
    };
    assert_eq!(write(["backend", "backend"]), None);
    assert_eq!(write(["backend", "second"]), Some(AttachError::SamePlace));
}

fn signing(vault: &Vault, going: &Going) -> (CheckedNotes, Durable) {
    let mut ledger = new_ledger(vault);
    let permit = vault.permit::<uses::SignRequest>(&policy(&["signer"]), "signer", &mut ledger);
    let notes = notes(permit.unwrap().note());
    assert_eq!(notes.needs_body(), Some(1 << 20));
    let checked = notes.check(vault, &mut ledger, &going.target()).unwrap();
    (checked, block_on(ledger.barrier()).unwrap())
}

#[test]
fn a_signed_request_verifies_with_another_implementation() {
    use hmac::{KeyInit, Mac as _};
    let (_test, vault) = TestVault::with_secrets();
    let text = grant("g", "mac", "signer", Use::SignRequest);
    vault.set_grants(grants(&text), &actor()).unwrap();
    let going = Going::to("billing", Method::POST, AUTHORITY, "/v1/charges?a=b");
    let (checked, durable) = signing(&vault, &going);
    let mut head = going.head();
    for name in [
        "signature",
        "Signature-Input",
        "signature_input",
        "content-digest",
    ] {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        head.headers
            .append(name, "from-the-client".parse().unwrap());
    }
    let body = b"{\"hello\": \"world\"}";
    let guard = checked
        .write(&durable, &mut head, Some(body))
        .unwrap()
        .guard;
    assert!(guard.is_empty(), "a proof is no secret");

    let digest = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:";
    assert_eq!(head.headers["content-digest"], digest);
    assert_eq!(head.headers.len(), 3, "{:?}", head.headers.keys());
    let input = head.headers["signature-input"].to_str().unwrap();
    let params = input.strip_prefix("sig1=").unwrap();
    let list = "(\"@method\" \"@authority\" \"@path\" \"@query\" \"content-digest\");created=";
    assert!(params.starts_with(list), "{params}");
    assert!(
        params.ends_with(";keyid=\"signer\";alg=\"hmac-sha256\""),
        "{params}"
    );
    let base = format!(
        "\"@method\": POST\n\"@authority\": {AUTHORITY}\n\"@path\": /v1/charges\n\
         \"@query\": ?a=b\n\"content-digest\": {digest}\n\"@signature-params\": {params}"
    );
    let key = data_encoding::HEXLOWER.decode(MAC_KEY.as_bytes()).unwrap();
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap();
    mac.update(base.as_bytes());
    let code = data_encoding::BASE64.encode(&mac.finalize().into_bytes());
    assert_eq!(head.headers["signature"], format!("sig1=:{code}:"));
}

#[test]
fn a_body_that_is_missing_or_too_large_is_not_signed() {
    let (_test, vault) = TestVault::with_secrets();
    let text = grant("g", "mac", "signer", Use::SignRequest);
    vault.set_grants(grants(&text), &actor()).unwrap();
    let going = Going::to("billing", Method::POST, AUTHORITY, "/v1/charges");
    let write = |body: Option<&[u8]>| {
        let (checked, durable) = signing(&vault, &going);
        checked.write(&durable, &mut going.head(), body).err()
    };
    assert_eq!(write(None), Some(AttachError::BodyMissing));
    assert_eq!(write(Some(&[0; 1 << 20])), None);
    let max = 1 << 20;
    assert_eq!(
        write(Some(&[0; (1 << 20) + 1])),
        Some(AttachError::BodyTooLarge { max })
    );
}
