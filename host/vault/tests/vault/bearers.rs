//! Whatever is written into a request and is good for whoever reads it, is looked for in
//! the answer: of each kind and use, by the table.
//!
//! A new use that sends such a thing needs a line in `note_of`, and a watcher.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Request, StatusCode};
use keyward_vault::*;

use crate::support::*;

/// What the token endpoint gives out.
const TOKEN: &str = "a-token-of-the-provider/with+what=is-escaped";

/// A request as it is sent, and what watches the answer.
struct Sent {
    head: Parts,
    guard: Guard,
    /// What the notes said of an upgrade before they were checked.
    carried_a_value: bool,
}

/// Where the requests of that kind and use go.
fn place(kind: Kind, use_: Use) -> (&'static str, &'static str) {
    let authority = match kind {
        Kind::StorageAccount => "billing1.blob.core.windows.net",
        Kind::ServiceBus => "billing1.servicebus.windows.net",
        _ => "billing.example.com",
    };
    match use_ {
        Use::Sas => (authority, "/invoices/1"),
        _ => (authority, "/v1/charges"),
    }
}

/// A note of that use; `None` for a use that writes nothing into a request.
fn note_of(vault: &Vault, ledger: &mut Ledger, kind: Kind, use_: Use) -> Option<Note> {
    let policy = policy(&["k"]);
    macro_rules! permit {
        ($use_:ty) => {
            vault.permit::<$use_>(&policy, "k", ledger).unwrap()
        };
    }
    Some(match use_ {
        Use::Attach => permit!(uses::Attach).note(),
        Use::SignRequest => permit!(uses::SignRequest).note(),
        Use::Token => permit!(uses::Token).note(),
        Use::Presign => permit!(uses::Presign).note(),
        Use::JwsSign => permit!(uses::JwsSign).note_with(Claims::default()).unwrap(),
        Use::Sas => {
            let permissions = match kind {
                Kind::ServiceBus => Permissions::default(),
                _ => Permissions::of(["read"]).unwrap(),
            };
            let chosen = ChosenAccess {
                covers: Covers::Item,
                permissions,
                lifetime_seconds: None,
            };
            permit!(uses::Sas).note_with(chosen).unwrap()
        }
        // Shown before there is a request, and never in one.
        Use::Present => return None,
        Use::MacSign
        | Use::MacVerify
        | Use::Identify
        | Use::Describe
        | Use::Query
        | Use::Seal
        | Use::Open
        | Use::VerifyJwt => return None,
    })
}

/// Sends a request onto which that is written, under a grant with these keys besides.
fn send(kind: Kind, value: &str, use_: Use, more: &str) -> Option<Sent> {
    let test = TestVault::create();
    let vault = test.open();
    // Where the requests of these tests go.
    let value = value.replace("EntityPath=orders", "EntityPath=invoices");
    vault
        .add(&name("k"), kind, secret(&value), &actor())
        .unwrap();
    let text =
        grant_for(kind, "g", "k", "k", use_).replacen("\nto = ", &format!("\n{more}to = "), 1);
    vault.set_grants(grants(&text), &actor()).unwrap();
    let mut ledger = new_ledger(&vault);
    let mut notes = Notes::default();
    notes.push(note_of(&vault, &mut ledger, kind, use_)?);
    let carried_a_value = notes.carry_a_value();
    let (authority, path) = place(kind, use_);
    let request = Request::get(format!("https://{authority}{path}"));
    let request = request.header("content-length", "0").body(()).unwrap();
    let mut head = request.into_parts().0;
    let target = Target {
        route: &route("billing"),
        method: &Method::GET,
        address: "",
        authority,
        path_and_query: &path.parse().unwrap(),
    };
    let leads_to = |_: &_| Some(Arc::from("https identity.example.com"));
    if let Some(wanted) = notes.take_tokens(&vault, &mut ledger, &target, leads_to) {
        let index = wanted.index();
        let token = fetched(&vault, &mut ledger, wanted, |_| TOKEN.to_owned());
        notes.give(index, token.unwrap());
    }
    let checked = notes.check(&vault, &mut ledger, &target).unwrap();
    let durable = block_on(ledger.barrier()).unwrap();
    let written = checked.write(&durable, &mut head, Some(b"")).unwrap();
    Some(Sent {
        head,
        guard: written.guard,
        carried_a_value,
    })
}

/// What an endpoint gives out that makes its token of the form that it was sent.
fn fetched(
    vault: &Vault,
    ledger: &mut Ledger,
    wanted: TokenWanted,
    token: impl FnOnce(&str) -> String,
) -> Result<Arc<AccessToken>, TokenFailure> {
    let (address, authority) = ("https identity.example.com", "identity.example.com");
    let call = wanted.record(vault, ledger, address, authority).unwrap();
    let durable = block_on(ledger.barrier()).unwrap();
    let fetch = call.release(&durable).unwrap();
    let uri = "https://identity.example.com/token";
    let (_, form) = fetch.write(vault, address, authority, uri, None).unwrap();
    let token = token(std::str::from_utf8(&form).unwrap());
    let answer = format!(r#"{{"access_token":"{token}","token_type":"Bearer"}}"#);
    let mut headers = HeaderMap::new();
    headers.insert("content-type", "application/json".parse().unwrap());
    fetch.answered(vault, StatusCode::OK, &headers, answer.as_bytes())
}

/// What was written that is good for whoever reads it.
fn bearers(head: &Parts) -> Vec<String> {
    let decoded = |text: &str| {
        let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
        decoded.unwrap().into_owned()
    };
    let mut found = Vec::new();
    for part in head.uri.query().unwrap_or_default().split('&') {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        if ["sig", "X-Amz-Signature", "X-Amz-Security-Token"].contains(&name) {
            found.push(decoded(value));
        }
    }
    let headers = head
        .headers
        .iter()
        .filter(|(_, value)| value.is_sensitive());
    for (name, value) in headers {
        let text = value.to_str().unwrap();
        let of_bus = text.strip_prefix("SharedAccessSignature ");
        let proofs = ["SharedKey ", "AWS4-HMAC-SHA256 "];
        match of_bus {
            Some(fields) => {
                let mut fields = fields.split('&');
                let signature = fields.find_map(|field| field.strip_prefix("sig="));
                found.push(decoded(signature.unwrap()));
            }
            None if name == "signature" || proofs.iter().any(|p| text.starts_with(p)) => {}
            None => {
                let bare = text.split_once(' ').map_or(text, |(_, bare)| bare);
                found.push(bare.to_owned());
            }
        }
    }
    found
}

/// How a text comes back.
fn forms(text: &str) -> Vec<String> {
    let all = |text: &str| {
        text.bytes()
            .map(|b| format!("%{b:02X}"))
            .collect::<String>()
    };
    let escaped = |text: &str| {
        text.bytes()
            .map(|b| format!("\\u{b:04x}"))
            .collect::<String>()
    };
    let plain = |text: &str| {
        const UNRESERVED: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
            .remove(b'-')
            .remove(b'.')
            .remove(b'_')
            .remove(b'~');
        percent_encoding::utf8_percent_encode(text, UNRESERVED).to_string()
    };
    vec![
        text.to_owned(),
        plain(text),
        plain(&plain(text)),
        all(text),
        escaped(text),
        text.replace('/', "\\/"),
        serde_json::json!({ "you sent": text }).to_string(),
        data_encoding::BASE64.encode(format!("Bearer {text}, was it?").as_bytes()),
        data_encoding::HEXLOWER.encode(text.as_bytes()),
    ]
}

fn finds(guard: &Guard, text: &str) -> bool {
    // In two parts, of which the first ends in the middle.
    let (one, two) = text.split_at(text.len() / 2);
    let mut stream = guard.stream(true);
    let mut push = |part: &str| stream.push(Bytes::copy_from_slice(part.as_bytes()));
    push(one).and_then(|_| push(two)).is_err()
}

#[test]
fn each_cell_that_sends_a_bearer_has_the_answer_watched_for_it() {
    let mut cells = 0;
    for cell in KIND_USES {
        let kinds = Kind::all().filter(|kind| cell.is_about(kind));
        for kind in kinds {
            let Some(sent) = send(kind, &sample(kind), cell.use_, "") else {
                assert!(!cell.use_.sends_a_bearer(), "{cell:?} needs a note");
                continue;
            };
            let found = bearers(&sent.head);
            assert_eq!(sent.carried_a_value, cell.use_.sends_a_bearer(), "{cell:?}");
            assert_eq!(!found.is_empty(), cell.use_.sends_a_bearer(), "{cell:?}");
            assert_eq!(sent.guard.is_empty(), found.is_empty(), "{cell:?}");
            for bearer in found {
                cells += 1;
                for form in forms(&bearer) {
                    assert!(finds(&sent.guard, &form), "{cell:?} {form}");
                }
                // A control: another text of that form is none.
                let other: String = bearer.chars().rev().collect();
                for form in forms(&other) {
                    assert!(!finds(&sent.guard, &form), "{cell:?} {form}");
                }
            }
        }
    }
    // Each that is of class B or C is one, and signed tokens, which are of class A.
    let lines = KIND_USES.iter().filter(|cell| cell.use_.sends_a_bearer());
    assert_eq!(cells, lines.count());
    for use_ in Use::ALL {
        let is_more = use_.class() > Class::A || use_ == Use::JwsSign;
        assert_eq!(use_.sends_a_bearer(), is_more, "{use_}");
    }
}

#[test]
fn control_a_request_with_a_proof_has_nothing_looked_for_and_is_sent_as_it_is() {
    for kind in [HMAC, Kind::StorageAccount, Kind::AwsKey] {
        let sent = send(kind, &sample(kind), Use::SignRequest, "").unwrap();
        assert!(sent.guard.is_empty() && !sent.carried_a_value, "{kind:?}");
        assert!(!sent.head.headers.contains_key("accept-encoding"));
        let text = format!("{:?}", sent.head.headers.get("authorization"));
        assert!(!finds(&sent.guard, &text), "{kind:?}");
    }
}

#[test]
fn the_session_token_of_a_temporary_key_is_looked_for() {
    for use_ in [Use::SignRequest, Use::Presign] {
        let sent = send(Kind::AwsKey, &temporary_aws_key(), use_, "").unwrap();
        assert!(sent.carried_a_value, "{use_}");
        assert!(
            bearers(&sent.head).iter().any(|one| one == SESSION),
            "{use_}"
        );
        for form in forms(SESSION) {
            assert!(finds(&sent.guard, &form), "{use_} {form}");
        }
        // As it stands in the request's own address.
        let sent_as = sent.head.uri.to_string();
        assert_eq!(finds(&sent.guard, &sent_as), use_ == Use::Presign);
    }
    // A control: the same with a key that has none.
    let sent = send(Kind::AwsKey, &sample(Kind::AwsKey), Use::SignRequest, "").unwrap();
    assert!(!finds(&sent.guard, SESSION));
}

#[test]
fn a_session_token_is_looked_for_in_later_answers_and_before_it_is_sent() {
    let test = TestVault::create();
    let vault = test.open();
    let value = secret(&temporary_aws_key());
    vault
        .add(&name("k"), Kind::AwsKey, value, &actor())
        .unwrap();
    let later = || {
        let watch = vault.watch(&route("billing"), "billing.example.com");
        watch.guard(&new_ledger(&vault))
    };
    assert!(!finds(&later(), SESSION));
    let text = grant_for(Kind::AwsKey, "g", "k", "k", Use::SignRequest);
    vault.set_grants(grants(&text), &actor()).unwrap();
    // What went there before this process began is not known.
    assert!(finds(&later(), SESSION));
}

#[test]
fn a_grant_says_what_of_the_answer_to_a_bearer_passes() {
    let cells = [
        (Kind::StorageAccount, Use::Sas, sample(Kind::StorageAccount)),
        (Kind::ServiceBus, Use::Sas, sample(Kind::ServiceBus)),
        (Kind::AwsKey, Use::Presign, sample(Kind::AwsKey)),
        (Kind::AwsKey, Use::SignRequest, temporary_aws_key()),
        (Kind::Certificate, Use::JwsSign, sample(Kind::Certificate)),
    ];
    for (kind, use_, value) in cells {
        let usual = send(kind, &value, use_, "").unwrap();
        assert!(
            !usual.guard.is_status_only() && !usual.guard.decodes(),
            "{use_}"
        );
        let only = send(kind, &value, use_, "response = \"status-only\"\n").unwrap();
        assert!(only.guard.is_status_only(), "{use_}");
        let decoded = send(kind, &value, use_, "decode = true\n").unwrap();
        assert!(decoded.guard.decodes(), "{use_}");
        let bearer = bearers(&decoded.head).remove(0);
        assert!(finds(&decoded.guard, &bearer), "{use_}");
    }
}

#[test]
fn an_assertion_that_comes_back_from_its_endpoint_is_no_token() {
    let test = TestVault::create();
    let vault = test.open();
    let value = secret(&sample(Kind::Certificate));
    vault
        .add(&name("k"), Kind::Certificate, value, &actor())
        .unwrap();
    let text = grant_for(Kind::Certificate, "g", "k", "k", Use::Token);
    vault.set_grants(grants(&text), &actor()).unwrap();
    let target = Target {
        route: &route("billing"),
        method: &Method::GET,
        address: "",
        authority: "billing.example.com",
        path_and_query: &"/v1/charges".parse().unwrap(),
    };
    let mut sent = String::new();
    let mut fetch = |token: &dyn Fn(&str) -> String| {
        let mut ledger = new_ledger(&vault);
        let mut notes = Notes::default();
        notes.push(note_of(&vault, &mut ledger, Kind::Certificate, Use::Token).unwrap());
        let leads_to = |_: &_| Some(Arc::from("https identity.example.com"));
        let wanted = notes.take_tokens(&vault, &mut ledger, &target, leads_to);
        fetched(&vault, &mut ledger, wanted.unwrap(), |form| {
            let mut fields = form.split('&');
            let field = fields.find_map(|field| field.strip_prefix("client_assertion="));
            sent = field.unwrap().to_owned();
            token(&sent)
        })
    };
    let later = || {
        let watch = vault.watch(&route("identity"), "identity.example.com");
        watch.guard(&new_ledger(&vault))
    };
    assert!(later().is_empty());
    let signature = |sent: &str| sent.rsplit('.').next().unwrap().to_owned();
    let encoded = |sent: &str| data_encoding::BASE64.encode(sent.as_bytes());
    let echoes: [&dyn Fn(&str) -> String; 4] = [
        &|sent| sent.to_owned(),
        &|sent| format!("prefix-{sent}"),
        &|sent| signature(sent),
        &|sent| encoded(sent),
    ];
    for echo in echoes {
        assert_eq!(fetch(echo).err(), Some(TokenFailure::Unusable));
    }
    // A control: what is no echo is a token.
    assert!(fetch(&|_| TOKEN.to_owned()).is_ok());
    // Nor does it come out of another answer of that host.
    let guard = later();
    assert!(finds(&guard, &sent) && finds(&guard, &encoded(&sent)));
    assert!(!finds(&guard, "something else"));
}
