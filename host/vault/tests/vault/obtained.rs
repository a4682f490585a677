//! Tokens that an endpoint gave out: how long they are used and looked for, whose they
//! are, and where they come from.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use jiff::Timestamp;
use keyward_vault::disk::{Disk, FileSystem};
use keyward_vault::*;

use crate::support::*;

const AUTHORITY: &str = "billing.example.com";
const THERE: &str = "https identity.example.com";
const ELSEWHERE: &str = "https other.example.com";

/// A vault whose time passes when a test says so, with a client `app`.
struct Timed {
    time: Arc<AtomicI64>,
    vault: Vault,
    _test: TestVault,
}

impl Timed {
    fn new(more: &str) -> Self {
        let test = TestVault::create();
        let disk: Arc<dyn Disk> = Arc::new(FileSystem);
        let opening = Opening {
            key: KeySource::KeyFile(test.files.key.clone()),
            durability: Durability::Buffered,
        };
        let storage = Box::new(FileStorage::open(&test.files.audit).unwrap());
        let time = Arc::new(AtomicI64::new(Timestamp::now().as_second()));
        let now = Arc::clone(&time);
        let clock = Clock::of(move || Timestamp::from_second(now.load(Ordering::Relaxed)).unwrap());
        let vault = Vault::open_apart(&disk, &test.files, opening, storage, clock).unwrap();
        let (kind, value) = (Kind::OauthClient, sample(Kind::OauthClient));
        vault
            .add(&name("app"), kind, secret(&value), &actor())
            .unwrap();
        let grant = format!("{}\n{more}\n", grant("t", "app", "app", Use::Token));
        vault.set_grants(grants(&grant), &actor()).unwrap();
        Self {
            time,
            vault,
            _test: test,
        }
    }

    fn pass(&self, seconds: i64) {
        self.time.fetch_add(seconds, Ordering::Relaxed);
        self.vault.shield_idle();
    }

    fn notes(&self, ledger: &mut Ledger, subject: Option<&str>) -> Notes {
        let permit = self
            .vault
            .permit::<uses::Token>(&policy(&["app"]), "app", ledger)
            .unwrap();
        let mut notes = Notes::default();
        notes.push(match subject {
            None => permit.note(),
            Some(subject) => {
                let subject = SubjectToken::new(subject.to_owned()).unwrap();
                permit.note_on_behalf_of(subject).unwrap()
            }
        });
        notes
    }

    /// Sends a request with a token, which the endpoint at `address` gives out if there
    /// is none at hand; the guard of its answer, and whether it was fetched.
    fn send(
        &self,
        subject: Option<&str>,
        address: &str,
        answer: &str,
    ) -> Result<(Guard, bool), TokenFailure> {
        let vault = &self.vault;
        let mut ledger = new_ledger(vault);
        let mut notes = self.notes(&mut ledger, subject);
        let request = Request::get(format!("https://{AUTHORITY}/v1/charges"));
        let mut head = request.body(()).unwrap().into_parts().0;
        let target = Target {
            route: &route("billing"),
            method: &Method::GET,
            address: "",
            authority: AUTHORITY,
            path_and_query: &"/v1/charges".parse().unwrap(),
        };
        let leads_to = |_: &_| Some(Arc::from(address));
        let wanted = notes.take_tokens(vault, &mut ledger, &target, leads_to);
        let is_fetched = wanted.is_some();
        if let Some(wanted) = wanted {
            let index = wanted.index();
            let call = wanted.record(vault, &mut ledger, address, "identity.example.com");
            let durable = block_on(ledger.barrier()).unwrap();
            let fetch = call.unwrap().release(&durable).unwrap();
            let mut headers = HeaderMap::new();
            headers.insert("content-type", "application/json".parse().unwrap());
            let token = fetch.answered(vault, StatusCode::OK, &headers, answer.as_bytes())?;
            notes.give(index, token);
        }
        let checked = notes.check(vault, &mut ledger, &target).unwrap();
        let durable = block_on(ledger.barrier()).unwrap();
        let written = checked.write(&durable, &mut head, None).unwrap();
        Ok((written.guard, is_fetched))
    }

    fn is_fetched(&self, subject: Option<&str>, address: &str, token: &str) -> bool {
        self.send(subject, address, &good(token, "")).unwrap().1
    }

    /// Whether it is found in the answer to a later request that carries nothing.
    fn finds_later(&self, text: &str) -> bool {
        let watch = self.vault.watch(&route("billing"), AUTHORITY);
        push(
            &mut watch.guard(&new_ledger(&self.vault)).stream(true),
            text,
        )
        .is_err()
    }
}

fn good(token: &str, more: &str) -> String {
    format!(r#"{{"access_token":"{token}","token_type":"Bearer"{more}}}"#)
}

fn push(stream: &mut GuardStream, text: &str) -> Result<Bytes, Reflected> {
    stream.push(Bytes::copy_from_slice(text.as_bytes()))
}

/// A token of 1.5 KiB.
fn long(number: u8) -> String {
    let bytes = (0..1150u32).map(|n| (n * n * 31 + n * 7) as u8 ^ number.wrapping_mul(37));
    data_encoding::BASE64URL_NOPAD.encode(&bytes.collect::<Vec<_>>())
}

fn jwt(exp: i64) -> String {
    let claims = data_encoding::BASE64URL_NOPAD.encode(format!("{{\"exp\":{exp}}}").as_bytes());
    format!("eyJhbGciOiJub25lIn0.{claims}.c2lnbmF0dXJl")
}

const ON_BEHALF: &str = "flow = \"token-exchange\"";
const TOKEN: &str = "a-token-of-the-provider-0123456789";

#[test]
fn other_clients_tokens_are_found_in_later_answers_and_no_others() {
    let timed = Timed::new(ON_BEHALF);
    for number in 0..40 {
        let subject = format!("subject-{number}");
        let token = good(&long(number), "");
        timed.send(Some(&subject), THERE, &token).unwrap();
        assert!(timed.finds_later(&format!("kept: {}", long(number))));
    }
    assert!((0..40).all(|number| timed.finds_later(&long(number))));
    let encoded = data_encoding::BASE64.encode(format!("x{}", long(7)).as_bytes());
    assert!(timed.finds_later(&encoded));
    // A control.
    assert!(!timed.finds_later(&long(41)));
}

#[test]
fn a_token_is_looked_for_as_long_as_it_lives_elsewhere() {
    let timed = Timed::new("max-lifetime-seconds = 60");
    let hour = good(TOKEN, ",\"expires_in\":3600");
    let (guard, _) = timed.send(None, THERE, &hour).unwrap();
    let mut dripping = guard.stream(true);
    assert_eq!(push(&mut dripping, "a body ").unwrap(), "a body ");
    // It is used no more, and its secret is gone.
    timed.pass(120);
    timed.vault.set_grants(Grants::none(), &actor()).unwrap();
    timed.vault.disable(&name("app"), &actor()).unwrap();
    timed.vault.remove(&name("app"), &actor()).unwrap();
    timed.pass(0);
    assert!(timed.finds_later(TOKEN));
    let mut other = guard.stream(true);
    assert!(push(&mut other, TOKEN).is_err());
    // A control: it lives no more.
    timed.pass(3600);
    assert!(!timed.finds_later(TOKEN));
    // What carried it is searched to its end.
    let (first, rest) = TOKEN.split_at(9);
    assert_eq!(push(&mut dripping, first).unwrap(), "");
    assert!(push(&mut dripping, rest).is_err());
}

#[test]
fn a_token_of_which_nothing_is_said_is_looked_for_for_a_day() {
    let timed = Timed::new("");
    assert!(timed.is_fetched(None, THERE, TOKEN));
    timed.pass(61);
    assert!(timed.is_fetched(None, THERE, "another-token-of-the-provider"));
    timed.pass(23 * 3600);
    assert!(timed.finds_later(TOKEN));
    timed.pass(3600);
    assert!(!timed.finds_later(TOKEN));
}

#[test]
fn a_token_of_another_place_is_not_used() {
    let timed = Timed::new("");
    assert!(timed.is_fetched(None, THERE, TOKEN));
    // A control.
    assert!(!timed.is_fetched(None, THERE, TOKEN));
    assert!(timed.is_fetched(None, ELSEWHERE, TOKEN));
    assert!(!timed.is_fetched(None, ELSEWHERE, TOKEN));
    // Known to lead elsewhere, it has what is from there dropped.
    let routes = [(route("identity"), Arc::from(ELSEWHERE))].into();
    timed.vault.set_routes(routes).unwrap();
    timed.pass(0);
    assert!(!timed.is_fetched(None, ELSEWHERE, TOKEN));
    let routes = [(route("identity"), Arc::from(THERE))].into();
    timed.vault.set_routes(routes).unwrap();
    assert!(timed.is_fetched(None, THERE, TOKEN));
}

#[test]
fn who_wants_a_token_of_another_place_wants_something_else() {
    let timed = Timed::new("");
    let mut ledger = new_ledger(&timed.vault);
    let target = Target {
        route: &route("billing"),
        method: &Method::GET,
        address: "",
        authority: AUTHORITY,
        path_and_query: &"/v1/charges".parse().unwrap(),
    };
    let mut wanted = |address: &str| {
        let mut notes = timed.notes(&mut ledger, None);
        let leads_to = |_: &_| Some(Arc::from(address));
        let wanted = notes.take_tokens(&timed.vault, &mut ledger, &target, leads_to);
        wanted.unwrap()
    };
    let (one, same, other) = (wanted(THERE), wanted(THERE), wanted(ELSEWHERE));
    assert!(one.key() == same.key() && one.key() != other.key());
    // Nor is it fetched from where it is not wanted.
    let fetched = other.record(&timed.vault, &mut ledger, THERE, "identity.example.com");
    assert_eq!(fetched.err(), Some(Denied::Denied));
    let fetched = one.record(&timed.vault, &mut ledger, THERE, "identity.example.com");
    assert!(fetched.is_ok());
}

#[test]
fn what_is_had_for_a_clients_token_is_not_used_for_longer_than_that() {
    let timed = Timed::new(ON_BEHALF);
    let now = timed.time.load(Ordering::Relaxed);
    let hour = good(TOKEN, ",\"expires_in\":3600");
    let (short, long) = (jwt(now + 100), jwt(now + 3000));
    let all = [(&*short, 100), (&*long, 3000), ("an-opaque-token", 300)];
    for (subject, _) in all {
        assert!(timed.send(Some(subject), THERE, &hour).unwrap().1);
    }
    let mut passed = 0;
    for (subject, lasts) in [all[0], all[2], all[1]] {
        // A control: it is used before.
        timed.pass(lasts - 50 - passed);
        assert!(!timed.send(Some(subject), THERE, &hour).unwrap().1);
        timed.pass(51);
        passed = lasts + 1;
        if subject == "an-opaque-token" {
            assert!(timed.send(Some(subject), THERE, &hour).unwrap().1);
        } else {
            // Its client's has ended: there is none to be had.
            let ended = timed.send(Some(subject), THERE, &hour);
            assert_eq!(ended.err(), Some(TokenFailure::Unusable));
        }
    }
}

/// Whether a token that was obtained goes out when that has happened since.
fn goes_after(happens: impl FnOnce(&Vault)) -> bool {
    let timed = Timed::new("");
    let vault = &timed.vault;
    let routes = || -> RouteAddresses { [(route("identity"), Arc::from(THERE))].into() };
    vault.set_routes(routes()).unwrap();
    assert!(timed.is_fetched(None, THERE, TOKEN));
    let mut ledger = new_ledger(vault);
    let mut notes = timed.notes(&mut ledger, None);
    let target = Target {
        route: &route("billing"),
        method: &Method::GET,
        address: "",
        authority: AUTHORITY,
        path_and_query: &"/v1/charges".parse().unwrap(),
    };
    let leads_to = |_: &_| Some(Arc::from(THERE));
    let wanted = notes.take_tokens(vault, &mut ledger, &target, leads_to);
    assert!(wanted.is_none(), "it is at hand");
    happens(vault);
    notes.check(vault, &mut ledger, &target).is_ok()
}

/// The same grant, but for where a token may go.
fn narrower() -> Grants {
    let text = grant("t", "app", "app", Use::Token);
    grants(&text.replace("[\"GET\"]", "[\"GET\", \"HEAD\"]"))
}

#[test]
fn a_token_of_where_the_endpoint_was_does_not_go_out_under_grants_that_came_with_its_move() {
    let there = || -> RouteAddresses { [(route("identity"), Arc::from(ELSEWHERE))].into() };
    assert!(!goes_after(|vault| {
        vault
            .set_grants_toward(narrower(), there(), &actor())
            .unwrap();
    }));
    // Controls: what is under way goes on where the grant is as it was, or the endpoint
    // where it was.
    assert!(goes_after(|vault| vault.set_routes(there()).unwrap()));
    assert!(goes_after(|vault| vault
        .set_grants(narrower(), &actor())
        .unwrap()));
    assert!(goes_after(|_| {}));
}
