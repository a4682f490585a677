//! Handles whose numbers were kept: for another phase, another exchange, another policy.
//! A number is worth nothing beyond the call that it was given in.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use keyward::engine::{Body, Exchange, Phase, PolicyBody, PolicyStop, Verdict};
use keyward::names::SecretName;
use keyward::vault::{KeyEncoding, Kind, MacAlgorithm, Secret};
use keyward_tests::Canary;

use crate::attacker::{Attacker, body};
use crate::caller::{Argument, BACKEND, Script, manifested};
use crate::lab::{GRANTS, Lab, actor};
use crate::uses::{drops, granted, load, operations, with_grants};

/// Each operation on a handle: what opens it, with what arguments, and what is done with
/// it. To the uses of secrets come dropping each, and requests.
fn each() -> Vec<(
    &'static str,
    Vec<Argument<'static>>,
    String,
    Vec<Argument<'static>>,
)> {
    use Argument::{Bytes, Handle};
    let mut each = Vec::new();
    for (open, operation, arguments) in operations() {
        let name = vec![Bytes(granted(open, operation).as_bytes())];
        each.push((open, name.clone(), operation.to_owned(), arguments));
        each.push((open, name, drops(open), vec![Handle(0)]));
    }
    let new = vec![Bytes(b"billing"), Bytes(b"GET"), Bytes(b"/")];
    let write = vec![Handle(0), Bytes(b"part")];
    each.push(("request", new.clone(), "request-body".to_owned(), write));
    each.push(("request", new, "drop-request".to_owned(), vec![Handle(0)]));
    each
}

/// The arguments, with that number in place of the handle.
fn numbered<'a>(arguments: &[Argument<'a>], number: u32) -> Vec<Argument<'a>> {
    let replaced = |argument: &Argument<'a>| match argument {
        Argument::Handle(_) => Argument::Number(number),
        other => *other,
    };
    arguments.iter().map(replaced).collect()
}

fn bodied(script: &Script) -> PolicyBody {
    let body = Full::new(Bytes::from(script.bytes()));
    PolicyBody::new(Body::new(body.map_err(|never| match never {})))
}

/// The number of the handle that a script's only call left.
fn number_of(exchange: &Exchange) -> u32 {
    let told = exchange.variable("guest", "told").unwrap();
    // After what the skip of the data left.
    let result = &told[crate::caller::TOLD..];
    assert_eq!(result[0], 0, "nothing was opened");
    u32::from_le_bytes(result[4..8].try_into().unwrap())
}

#[test]
fn a_number_of_one_phase_is_nothing_in_the_next_phase_or_exchange() {
    let lab = with_grants();
    let policy = load(&lab);
    for (open, name, operation, arguments) in each() {
        let mut opens = Script::default();
        opens.call(open, &name);
        // What a phase of that exchange, or of another one, makes of a script after an
        // inbound phase that opened the handle.
        let then = |phase: Phase,
                    exchange: fn(&Lab) -> Option<Box<Exchange>>,
                    script: &dyn Fn(u32) -> Script| {
            let first = lab.run_on(&policy, lab.exchange_with(bodied(&opens)));
            assert_eq!(first.verdict, Ok(Verdict::Proceed));
            let script = script(number_of(&first.exchange));
            let mut second = exchange(&lab).unwrap_or(first.exchange);
            second.request_body = bodied(&script);
            lab.run_phase(&policy, phase, second).verdict
        };
        let kept = |number: u32| {
            let mut script = Script::default();
            script.call(&operation, &numbered(&arguments, number));
            script
        };
        let opened = |_: u32| {
            let mut script = Script::default();
            script.call(open, &name);
            script.call(&operation, &arguments);
            script
        };
        for (phase, exchange) in [
            (Phase::Backend, (|_| None) as fn(&Lab) -> _),
            (Phase::Backend, |lab| Some(lab.exchange())),
            (Phase::Inbound, |lab| Some(lab.exchange())),
        ] {
            let found = then(phase, exchange, &kept);
            assert_eq!(found, Err(PolicyStop::Trap), "{operation} in {phase:?}");
            // Control: what that phase itself opened, it has.
            let found = then(phase, exchange, &opened);
            assert_eq!(found, Ok(Verdict::Proceed), "{operation} in {phase:?}");
        }
    }
}

#[test]
fn a_number_means_what_its_own_call_opened_and_nobody_elses_secret() {
    let lab = Lab::new();
    let kind = Kind::HmacKey {
        algorithm: MacAlgorithm::Sha256,
        encoding: KeyEncoding::Raw,
    };
    for name in ["second", "third"] {
        let value = Secret::read_from(Canary::new().text().as_bytes(), 256).unwrap();
        let name = SecretName::parse(name).unwrap();
        lab.vault.add(&name, kind, value, &actor()).unwrap();
    }
    let grant = |policy: &str, secret: &str, alias: &str| {
        format!(
            "\n[[grant]]\nid = \"{secret}\"\npolicy = \"{policy}\"\nsecret = \"{secret}\"\n\
             alias = \"{alias}\"\nuse = \"mac-sign\"\n"
        )
    };
    // Another policy has the same alias for another secret.
    let others = grant("guest", "second", "two") + &grant("other", "third", "mac");
    lab.set_grants(&format!("{GRANTS}{others}"));

    let guest = |attack: &str| {
        let attacker = Attacker {
            main: r#"(data (i32.const 0) "mactwo")"#.to_owned(),
            component: BACKEND.to_owned(),
            ..body(attack)
        };
        manifested(&attacker, [("mac", "mac-sign"), ("two", "mac-sign")])
    };
    let open = |at: u32| format!("(call $open-mac (i32.const {at}) (i32.const 3) (i32.const 16))");
    let sign = |handle: &str| {
        format!(
            "(call $sign {handle} (i32.const 0) (i32.const 3) (i32.const 32))
             (call $tell (i32.load (i32.load (i32.const 36))))"
        )
    };
    const OWN: &str = "(i32.load (i32.const 20))";
    let load = |name: &str, attack: &str| lab.load_as(name, &guest(attack), None).unwrap();
    let ask = |name: &str, phase: Phase, attack: &str, exchange: Box<Exchange>| {
        let ended = lab.run_phase(&load(name, attack), phase, exchange);
        let told = ended.exchange.variable(name, "told");
        let told = told.map(|told| u32::from_le_bytes(told.as_ref().try_into().unwrap()));
        (ended.verdict, told, ended.exchange)
    };
    let honest = |name: &str, at: u32| {
        let attack = format!("{}{}", open(at), sign(OWN));
        ask(name, Phase::Inbound, &attack, lab.exchange())
            .1
            .unwrap()
    };
    // Controls: three keys, three codes.
    let (first, second, third) = (honest("guest", 0), honest("guest", 3), honest("other", 0));
    assert!(first != second && first != third && second != third);

    // The number under which the first phase had the first secret.
    let keeps = format!("{}(call $tell {OWN})", open(0));
    let begin = || {
        let (verdict, number, exchange) = ask("guest", Phase::Inbound, &keeps, lab.exchange());
        assert_eq!(verdict, Ok(Verdict::Proceed));
        (format!("(i32.const {})", number.unwrap()), exchange)
    };
    for (name, phase, at, own) in [
        // The same policy, one phase later, with another secret of its own.
        ("guest", Phase::Backend, 3, second),
        // Another policy: after it in the same phase, and in the next one.
        ("other", Phase::Inbound, 0, third),
        ("other", Phase::Backend, 0, third),
    ] {
        let (number, exchange) = begin();
        let (verdict, ..) = ask(name, phase, &sign(&number), exchange);
        assert_eq!(verdict, Err(PolicyStop::Trap), "{name} in {phase:?}");

        let (number, exchange) = begin();
        let attack = format!("{}{}", open(at), sign(&number));
        let (verdict, code, _) = ask(name, phase, &attack, exchange);
        assert_eq!((verdict, code), (Ok(Verdict::Proceed), Some(own)), "{name}");
    }
}
