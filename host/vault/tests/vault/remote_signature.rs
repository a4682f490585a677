//! Requests that a key signs which stays in its source.

use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Method, Request};
use keyward_names::RouteName;
use keyward_vault::*;

use crate::remote::{outcomes, remote};
use crate::support::*;

const BODY: &[u8] = b"amount=5";
const CODE: [u8; 32] = [7; 32];

fn code() -> RemoteAnswer {
    RemoteAnswer::Code(CODE.to_vec())
}

/// The vault of [`remote`], whose key is granted to sign requests, and a key that is
/// here beside it.
fn signing() -> (TestVault, Vault) {
    let (test, vault) = remote();
    vault
        .add(&name("near"), HMAC, secret(MAC_KEY), &actor())
        .unwrap();
    let near = grant("near", "near", "n", Use::SignRequest) + "label = \"near\"\n";
    let text = grant("far", "far", "f", Use::SignRequest) + &near;
    vault.set_grants(grants(&text), &actor()).unwrap();
    (test, vault)
}

fn head() -> Parts {
    let request = Request::post("https://billing.example.com/v1/charges?limit=2");
    request.body(()).unwrap().into_parts().0
}

/// Permit, note, check.
fn checked(vault: &Vault, ledger: &mut Ledger, aliases: &[&str]) -> Result<CheckedNotes, Denied> {
    let mut notes = Notes::default();
    for alias in aliases {
        let policy = policy(&["f", "n"]);
        let permit = vault.permit::<uses::SignRequest>(&policy, alias, ledger)?;
        notes.push(permit.note());
    }
    let route: RouteName = route("billing");
    let path: PathAndQuery = "/v1/charges?limit=2".parse().unwrap();
    let target = Target {
        route: &route,
        method: &Method::POST,
        address: "",
        authority: "billing.example.com",
        path_and_query: &path,
    };
    notes.check(vault, ledger, &target)
}

#[test]
fn a_request_is_signed_by_a_key_that_stays_in_its_source() {
    let (test, vault) = signing();
    let mut ledger = new_ledger(&vault);
    let mut checked = checked(&vault, &mut ledger, &["f", "n"]).unwrap();
    assert!(checked.are_signed_elsewhere());
    let durable = block_on(ledger.barrier()).unwrap();
    let mut head = head();
    let mut asked = checked.to_sign(&durable, &mut head, Some(BODY)).unwrap();
    assert_eq!(asked.len(), 1, "the key that is here is not asked for");
    let asked = asked.pop().unwrap();
    let call = asked.call();
    assert_eq!(call.reference.to_string(), "bao:orders-key");
    let RemoteTask::MakeCode { message, .. } = &call.task else {
        panic!("another task");
    };
    let base = String::from_utf8(message.clone()).unwrap();
    assert!(base.starts_with("\"@method\": POST\n"), "{base}");
    checked.signed(asked, code()).unwrap();
    let _ = checked.write(&durable, &mut head, Some(BODY)).unwrap();

    // What is sent is what was signed: the parameters end the base.
    let inputs: Vec<_> = head.headers.get_all("signature-input").iter().collect();
    assert_eq!(inputs.len(), 2);
    let (_, params) = inputs[0].to_str().unwrap().split_once('=').unwrap();
    assert!(base.ends_with(&format!("\"@signature-params\": {params}")));
    let digest = head.headers["content-digest"].to_str().unwrap();
    assert!(base.contains(&format!("\"content-digest\": {digest}\n")));
    let code = data_encoding::BASE64.encode(&CODE);
    let signature = head.headers["signature"].to_str().unwrap();
    assert!(signature.ends_with(&format!("=:{code}:")), "{signature}");
    drop((ledger, vault));
    assert_eq!(outcomes(&test), ["allowed"; 4], "permits and uses");
}

#[test]
fn nothing_is_asked_of_a_source_before_the_use_is_on_record() {
    let (_test, vault) = signing();
    let mut ledger = new_ledger(&vault);
    let early = block_on(ledger.barrier()).unwrap();
    let checked = checked(&vault, &mut ledger, &["f"]).unwrap();
    let refused = checked.to_sign(&early, &mut head(), Some(BODY)).err();
    assert_eq!(refused, Some(AttachError::NotDurable));
    let durable = block_on(ledger.barrier()).unwrap();
    assert!(
        checked.to_sign(&durable, &mut head(), Some(BODY)).is_ok(),
        "the control"
    );
    let refused = checked.to_sign(&durable, &mut head(), None).err();
    assert_eq!(refused, Some(AttachError::BodyMissing));
}

#[test]
fn only_the_request_that_was_signed_is_written() {
    let (_test, vault) = signing();
    for (body, signed, expected) in [
        (BODY, true, None),
        (&b"amount=6"[..], true, Some(AttachError::Changed)),
        (BODY, false, Some(AttachError::Unavailable)),
    ] {
        let mut ledger = new_ledger(&vault);
        let mut checked = checked(&vault, &mut ledger, &["f"]).unwrap();
        let durable = block_on(ledger.barrier()).unwrap();
        let mut head = head();
        for asked in checked.to_sign(&durable, &mut head, Some(BODY)).unwrap() {
            if signed {
                checked.signed(asked, code()).unwrap();
            }
        }
        let refused = checked.write(&durable, &mut head, Some(body)).err();
        assert_eq!(refused, expected);
        assert_eq!(head.headers.is_empty(), expected.is_some());
    }
}

#[test]
fn a_signature_that_was_not_made_is_on_record_as_failed() {
    let (test, vault) = signing();
    let mut ledger = new_ledger(&vault);
    let mut checked = checked(&vault, &mut ledger, &["f"]).unwrap();
    let durable = block_on(ledger.barrier()).unwrap();
    let ask = |checked: &CheckedNotes| {
        let mut asked = checked.to_sign(&durable, &mut head(), Some(BODY)).unwrap();
        asked.pop().unwrap()
    };
    assert_eq!(ask(&checked).failed(), OperationError::Failed);
    let asked = ask(&checked);
    let refused = checked
        .signed(asked, RemoteAnswer::Code(CODE[..31].to_vec()))
        .err();
    assert_eq!(refused, Some(OperationError::Failed), "too short");
    drop((ledger, vault));
    let failed = outcomes(&test);
    let failed = failed.iter().filter(|outcome| *outcome == "failed");
    assert_eq!(failed.count(), 2);
}

#[test]
fn what_is_not_to_be_had_is_refused_as_that_after_the_permit_too() {
    let (test, vault) = signing();
    let mut ledger = new_ledger(&vault);
    let policy = policy(&["f", "n"]);
    let permit = vault.permit::<uses::SignRequest>(&policy, "f", &mut ledger);
    let mut notes = Notes::default();
    notes.push(permit.unwrap().note());
    vault
        .mark_unavailable(&name("far"), Unavailability::Stale, &actor())
        .unwrap();
    let route: RouteName = route("billing");
    let target = Target {
        route: &route,
        method: &Method::POST,
        address: "",
        authority: "billing.example.com",
        path_and_query: &"/v1/charges".parse().unwrap(),
    };
    let refused = notes.check(&vault, &mut ledger, &target).err();
    assert_eq!(refused, Some(Denied::Unavailable));
    drop((ledger, vault));
    assert_eq!(outcomes(&test), ["allowed", "unavailable"]);
}

#[test]
fn a_source_is_not_asked_to_sign_what_a_template_writes_later() {
    let placed = |place: &str| {
        format!(
            "[[grant]]\nid = \"api\"\npolicy = \"p\"\nsecret = \"api\"\nalias = \"a\"\n\
             use = \"attach\"\n\
             to = [{{ route = \"billing\", methods = [\"POST\"], paths = [\"/v1/charges\"] }}]\n\
             {place}\n"
        )
    };
    let query = "query = \"key\"";
    let form = "form = { key = \"{secret}\" }";
    let refused = Some(AttachError::SignedBefore);
    for (place, expected) in [
        (query, refused),
        (form, refused),
        ("json = { key = \"{secret}\" }", refused),
        ("header = \"x-api-key\"", None),
    ] {
        let (_test, vault) = remote();
        vault
            .add(&name("api"), Kind::ApiKey, secret(API_KEY), &actor())
            .unwrap();
        let far = grant("far", "far", "f", Use::SignRequest);
        vault
            .set_grants(grants(&(far + &placed(place))), &actor())
            .unwrap();
        let mut ledger = new_ledger(&vault);
        let policy = policy(&["f", "a"]);
        let mut notes = Notes::default();
        let signs = vault.permit::<uses::SignRequest>(&policy, "f", &mut ledger);
        notes.push(signs.unwrap().note());
        let attaches = vault.permit::<uses::Attach>(&policy, "a", &mut ledger);
        notes.push(attaches.unwrap().note());
        let target = Target {
            route: &route("billing"),
            method: &Method::POST,
            address: "",
            authority: "billing.example.com",
            path_and_query: &PathAndQuery::from_static("/v1/charges?limit=2"),
        };
        let checked = notes.check(&vault, &mut ledger, &target).unwrap();
        let durable = block_on(ledger.barrier()).unwrap();
        let asked = checked.to_sign(&durable, &mut head(), Some(BODY));
        assert_eq!(asked.err(), expected, "{place}");
    }
}
