//! What a guest shares with other calls of its policy, and with the backend: requests
//! that it forwards itself, values and places that outlive an exchange, and waiting.

use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use keyward::engine::{Body, Exchange, Forwarding, Phase, PolicyBody, PolicyStop, Verdict};
use keyward::names::RouteName;

use crate::attacker::{Attacker, assemble, body, with_manifest};
use crate::lab::{Ended, Lab, turn};

/// Texts at the beginning of memory: two routes, a key of a secret and one of the cache.
const TEXTS: &str = r#"(data (i32.const 0) "billingclosedbackendmac")"#;

/// A forward to the pipeline's own route, whose answer goes to 512.
const FORWARD: &str = "(call $forward (local.get $x) (i32.const 0) (i32.const 0) (i32.const 0)
   (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 512))";
/// The same, keeping the body.
const KEEPING: &str = "(call $forward (local.get $x) (i32.const 0) (i32.const 0) (i32.const 0)
   (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 512))";
/// The same, for ten seconds.
const PATIENT: &str = "(call $forward (local.get $x) (i32.const 0) (i32.const 0) (i32.const 0)
   (i32.const 1) (i32.const 10000) (i32.const 0) (i32.const 512))";
/// Tells what came of it: 0, or 256 and the failure.
const TELL: &str = "(if (i32.load8_u (i32.const 512))
   (then (call $tell (i32.add (i32.const 256) (i32.load8_u (i32.const 513)))))
   (else (call $tell (i32.const 0))))";
/// Attaches a key.
const ATTACH: &str = "(call $open (i32.const 13) (i32.const 7) (i32.const 528))
   (call $attach (i32.load (i32.const 532)) (local.get $x) (i32.const 544))";

fn to(route: &str) -> String {
    let at = TEXTS.find(route).unwrap() - TEXTS.find("billing").unwrap();
    format!(
        "(call $forward (local.get $x) (i32.const 1) (i32.const {at}) (i32.const {}) \
         (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 512))",
        route.len()
    )
}

/// An attacker with texts, in that phase.
fn in_phase(phase: Phase, attack: &str) -> Vec<u8> {
    let attacker = Attacker {
        main: TEXTS.to_owned(),
        ..body(attack)
    };
    let text = attacker.text();
    let export = format!("policy/{phase}@");
    with_manifest(&assemble(&text.replace("policy/inbound@", &export)))
}

fn forwarding(mut exchange: Box<Exchange>) -> Box<Exchange> {
    let own = RouteName::parse("own").unwrap();
    exchange.forwarding = Some(Box::new(Forwarding::to(own, None)));
    exchange
}

fn request(text: &'static str) -> PolicyBody {
    let body = Full::new(Bytes::from_static(text.as_bytes()));
    let body = body.map_err(|never: std::convert::Infallible| match never {});
    PolicyBody::new(Body::new(body))
}

/// Runs the backend phase of an exchange whose policies forward.
fn backend(lab: &Lab, attack: &str, body: PolicyBody) -> Ended {
    let policy = lab.load(&in_phase(Phase::Backend, attack)).unwrap();
    let exchange = forwarding(lab.exchange_with(body));
    lab.run_phase(&policy, Phase::Backend, exchange)
}

#[test]
fn what_was_attached_goes_with_one_forward_and_no_other() {
    let notes = |attack: &str| {
        let lab = Lab::new();
        lab.world.answer();
        assert_eq!(
            backend(&lab, attack, PolicyBody::empty()).verdict,
            Ok(Verdict::Proceed)
        );
        let forwarded = lab.world.forwarded();
        forwarded.iter().map(|one| one.notes).collect::<Vec<_>>()
    };
    assert_eq!(notes(&[ATTACH, FORWARD, FORWARD].concat()), [true, false]);
    // Spent by one that came to nothing, too.
    let to_closed = to("closed");
    assert_eq!(notes(&[ATTACH, &to_closed, FORWARD].concat()), [false]);
    // Control: attached again, it goes again.
    assert_eq!(
        notes(&[ATTACH, FORWARD, ATTACH, FORWARD].concat()),
        [true, true]
    );
}

const WRONG_PHASE: i32 = 256;
const DENIED: i32 = 257;
const INVALID: i32 = 258;
const LIMIT: i32 = 259;
const BODY_GONE: i32 = 260;
const TIMED_OUT: i32 = 261;

#[test]
fn a_route_that_is_closed_or_does_not_exist_gets_nothing() {
    let lab = Lab::new();
    lab.world.answer();
    for route in ["closed", "mac", "closedbackend"] {
        let attack = [&to(route), TELL].concat();
        let ended = backend(&lab, &attack, PolicyBody::empty());
        assert_eq!(ended.told(), Some(DENIED), "{route}");
        assert!(ended.exchange.response.is_none());
    }
    assert_eq!(lab.world.forwarded(), []);
    // Control: one that is open, and the pipeline's own.
    for attack in [&to("billing"), FORWARD] {
        let ended = backend(&lab, &[attack, TELL].concat(), PolicyBody::empty());
        assert_eq!(ended.told(), Some(0));
    }
    let forwarded = lab.world.forwarded();
    let routes: Vec<_> = forwarded.iter().map(|one| one.route.as_str()).collect();
    assert_eq!(routes, ["billing", "own"]);
}

/// Plans that the host sends to a route of the texts, or to the pipeline's, behind a prefix
/// of the texts.
fn plan(route: Option<&str>, prefix: Option<&str>) -> String {
    let given = |text: Option<&str>| match text {
        None => "(i32.const 0) (i32.const 0) (i32.const 0)".to_owned(),
        Some(text) => {
            let at = TEXTS.find(text).unwrap() - TEXTS.find("billing").unwrap();
            let length = text.len();
            format!("(i32.const 1) (i32.const {at}) (i32.const {length})")
        }
    };
    format!(
        "(call $plan-forward (local.get $x) {} {} (i32.const 1) (i32.const 7) (i32.const 512))",
        given(route),
        given(prefix)
    )
}

/// Where the host sends the request after the backend phase.
fn planned(ended: &Ended) -> Option<String> {
    let forwarding = ended.exchange.forwarding.as_ref()?;
    let planned = forwarding.planned.as_ref()?;
    assert_eq!(planned.timeout_milliseconds, Some(7));
    Some(planned.route.to_string())
}

#[test]
fn the_host_is_had_to_forward_only_where_the_guest_could() {
    let lab = Lab::new();
    lab.world.answer();
    let run = |attack: &str| backend(&lab, &[attack, TELL].concat(), PolicyBody::empty());
    for route in ["closed", "mac", "closedbackend"] {
        let ended = run(&plan(Some(route), None));
        assert_eq!(ended.told(), Some(DENIED), "{route}");
        assert_eq!(planned(&ended), None, "{route}");
    }
    // A prefix that is no path.
    let ended = run(&plan(None, Some("backend")));
    assert_eq!((ended.told(), planned(&ended)), (Some(INVALID), None));
    // In another phase, and where the host forwards anyway.
    let attack = [&plan(None, None), TELL].concat();
    let inbound = lab.load(&in_phase(Phase::Inbound, &attack)).unwrap();
    let ended = lab.run_on(&inbound, forwarding(lab.exchange()));
    assert_eq!((ended.told(), planned(&ended)), (Some(WRONG_PHASE), None));
    let policy = lab.load(&in_phase(Phase::Backend, &attack)).unwrap();
    let ended = lab.run_phase(&policy, Phase::Backend, lab.exchange());
    assert_eq!((ended.told(), planned(&ended)), (Some(DENIED), None));
    // Control: a route that is open, and the pipeline's own.
    for (route, to) in [(Some("billing"), "billing"), (None, "own")] {
        let ended = run(&plan(route, None));
        assert_eq!(ended.told(), Some(0), "{to}");
        assert_eq!(planned(&ended).as_deref(), Some(to));
    }
    // All that time nothing was sent.
    assert_eq!(lab.world.forwarded(), []);
}

#[test]
fn a_plan_is_taken_back_by_whatever_comes_after_it() {
    let lab = Lab::new();
    lab.world.answer();
    let (own, open) = (plan(None, None), plan(Some("billing"), None));
    let closed = plan(Some("closed"), None);
    for (attack, then) in [
        ([&own, &open].map(String::as_str).concat(), Some("billing")),
        ([&own, &closed].map(String::as_str).concat(), None),
        ([&own, FORWARD].concat(), None),
        // Control: nothing comes after it.
        ([FORWARD, &own].concat(), Some("own")),
    ] {
        let ended = backend(&lab, &attack, PolicyBody::empty());
        assert_eq!(planned(&ended).as_deref(), then, "{attack}");
    }
    // A body that went does not go again.
    let attack = [FORWARD, &own, TELL].concat();
    let ended = backend(&lab, &attack, request("a body"));
    assert_eq!((ended.told(), planned(&ended)), (Some(BODY_GONE), None));
    let many = format!(
        "(loop $again {own}
           (local.set $i (i32.add (local.get $i) (i32.const 1)))
           (br_if $again (i32.lt_u (local.get $i) (i32.const 70)))) {TELL}"
    );
    let ended = backend(&lab, &many, PolicyBody::empty());
    assert_eq!((ended.told(), planned(&ended)), (Some(LIMIT), None));
}

#[test]
fn no_guest_forwards_in_another_phase_or_where_the_host_does() {
    let lab = Lab::new();
    lab.world.answer();
    let attack = [FORWARD, TELL].concat();
    let inbound = lab.load(&in_phase(Phase::Inbound, &attack)).unwrap();
    let ended = lab.run_on(&inbound, forwarding(lab.exchange()));
    assert_eq!(ended.told(), Some(WRONG_PHASE));
    let policy = lab.load(&in_phase(Phase::Backend, &attack)).unwrap();
    let ended = lab.run_phase(&policy, Phase::Backend, lab.exchange());
    assert_eq!(ended.told(), Some(DENIED));
    assert_eq!(lab.world.forwarded(), []);
    // Control: the same guest, where policies forward.
    let ended = lab.run_phase(&policy, Phase::Backend, forwarding(lab.exchange()));
    assert_eq!(ended.told(), Some(0));
}

#[test]
fn a_body_goes_again_only_if_it_was_kept_and_no_larger_one_is_kept() {
    let lab = Lab::new();
    lab.world.answer();
    let twice = [FORWARD, FORWARD, TELL].concat();
    let ended = backend(&lab, &twice, request("a body"));
    assert_eq!(ended.told(), Some(BODY_GONE));
    assert_eq!(lab.world.forwarded().len(), 1);
    let large = [KEEPING, TELL].concat();
    let endless = crate::lab::endless(64 << 10, Default::default());
    assert_eq!(backend(&lab, &large, endless).told(), Some(LIMIT));
    assert_eq!(lab.world.forwarded().len(), 1);
    // Control: kept, it goes twice, as often as there is none.
    lab.world.answer();
    let kept = [KEEPING, KEEPING, TELL].concat();
    assert_eq!(backend(&lab, &kept, request("a body")).told(), Some(0));
    let bodies = lab.world.forwarded();
    assert!(bodies.iter().all(|one| one.body == "a body"), "{bodies:?}");
    assert_eq!(backend(&lab, &twice, PolicyBody::empty()).told(), Some(0));
}

#[test]
fn forwards_are_so_many_in_a_call() {
    let lab = Lab::new();
    lab.world.answer();
    let attack = format!(
        "(loop $again {FORWARD}
           (local.set $i (i32.add (local.get $i) (i32.const 1)))
           (br_if $again (i32.lt_u (local.get $i) (i32.const 70)))) {TELL}"
    );
    assert_eq!(
        backend(&lab, &attack, PolicyBody::empty()).told(),
        Some(LIMIT)
    );
    // Control: those before it were sent.
    assert_eq!(lab.world.forwarded().len(), 64);
}

#[test]
fn a_backend_that_says_nothing_is_waited_for_as_long_as_it_was_said_and_on_its_own_time() {
    let lab = Lab::new();
    let attack = [PATIENT, TELL, "(drop (call $sleep (i32.const 1999)))"].concat();
    let policy = lab.load(&in_phase(Phase::Backend, &attack)).unwrap();
    let exchange = forwarding(lab.exchange());
    let mut call = pin!(lab.call_phase(&policy, Phase::Backend, exchange));
    assert!(turn(call.as_mut()).is_pending());
    lab.world.pass(9_999);
    assert!(turn(call.as_mut()).is_pending());
    lab.world.pass(1);
    // It goes on, and has its own time still.
    assert!(turn(call.as_mut()).is_pending());
    lab.world.pass(1_999);
    let Poll::Ready((exchange, verdict)) = turn(call.as_mut()) else {
        panic!("it waits for longer than it said");
    };
    assert_eq!(verdict, Ok(Verdict::Proceed));
    let told = exchange.variable("guest", "told").unwrap();
    assert_eq!(told.as_ref(), TIMED_OUT.to_le_bytes());
    // Control: a backend that answers is not waited for.
    lab.world.answer();
    lab.world.hurry();
    assert_eq!(backend(&lab, &attack, PolicyBody::empty()).told(), Some(0));
}

#[test]
fn a_guest_sleeps_for_as_long_as_its_time_and_no_longer() {
    let lab = Lab::new();
    let sleeps = |milliseconds: u32| {
        let attack = format!("(call $tell (call $sleep (i32.const {milliseconds})))");
        lab.load(&body(&attack).build()).unwrap()
    };
    let policy = sleeps(600_000);
    let mut call = pin!(lab.call(&policy, lab.exchange()));
    assert!(turn(call.as_mut()).is_pending());
    lab.world.pass(1_999);
    assert!(turn(call.as_mut()).is_pending());
    lab.world.pass(1);
    let Poll::Ready((exchange, _)) = turn(call.as_mut()) else {
        panic!("it sleeps for longer than it may");
    };
    let told = exchange.variable("guest", "told").unwrap();
    assert_eq!(told.as_ref(), 0_i32.to_le_bytes());
    // Control: a short sleep ends by itself.
    lab.world.hurry();
    assert_eq!(lab.run(&sleeps(5)).told(), Some(1));
}

/// Keeps 64 KiB under 120 keys, each of them one byte.
const FLOOD: &str = "(loop $again
   (i32.store8 (i32.const 600) (local.get $i))
   (call $cache-set (i32.const 600) (i32.const 1) (i32.const 0) (i32.const 65536)
     (i32.const 60) (i32.const 512))
   (local.set $i (i32.add (local.get $i) (i32.const 1)))
   (br_if $again (i32.lt_u (local.get $i) (i32.const 120))))";
/// Tells whether the value of the key that byte is, is there.
fn has(key: u8) -> String {
    format!(
        "(i32.store8 (i32.const 600) (i32.const {key}))
         (call $cache-get (i32.const 600) (i32.const 1) (i32.const 512))
         (call $tell (i32.load8_u (i32.const 512)))"
    )
}

#[test]
fn a_cache_holds_so_much_and_is_its_policys_alone() {
    let lab = Lab::new();
    let two_pages = |attack: &str| {
        let attacker = Attacker {
            memory: "2".to_owned(),
            ..body(attack)
        };
        attacker.build()
    };
    assert_eq!(lab.strike(&two_pages(FLOOD)).verdict, Ok(Verdict::Proceed));
    // What was kept first made room: 4 MiB are 63 of them and no more.
    assert_eq!(lab.strike(&two_pages(&has(0))).told(), Some(0));
    // Control: the last is there; and not for another policy.
    assert_eq!(lab.strike(&two_pages(&has(119))).told(), Some(1));
    let other = lab.load_as("other", &two_pages(&has(119)), None).unwrap();
    let ended = lab.run(&other);
    let told = ended.exchange.variable("other", "told").unwrap();
    assert_eq!(told.as_ref(), 0_i32.to_le_bytes());
    let large = "(call $cache-set (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 262145)
        (i32.const 60) (i32.const 512)) (call $tell (i32.load8_u (i32.const 513)))";
    let attacker = Attacker {
        memory: "5".to_owned(),
        ..body(large)
    };
    assert_eq!(lab.strike(&attacker.build()).told(), Some(1));
}

#[test]
fn what_depends_on_a_use_is_in_no_cache_before_the_use_is_on_record() {
    let (lab, disk) = Lab::with_disk();
    let signs = "(call $open-mac (i32.const 20) (i32.const 3) (i32.const 560))
         (call $sign (i32.load (i32.const 564)) (i32.const 0) (i32.const 3) (i32.const 576))";
    let keeps = "(call $cache-set (i32.const 20) (i32.const 3) (i32.const 0) (i32.const 3)
         (i32.const 60) (i32.const 512)) (call $tell (i32.load8_u (i32.const 512)))";
    let keeps = lab
        .load(&in_phase(Phase::Inbound, &[signs, keeps].concat()))
        .unwrap();
    let reads = "(call $cache-get (i32.const 20) (i32.const 3) (i32.const 512))
         (call $tell (i32.load8_u (i32.const 512)))";
    let reads = lab.load(&in_phase(Phase::Inbound, reads)).unwrap();
    disk.hang();
    {
        let mut call = pin!(lab.call(&keeps, lab.exchange()));
        assert!(turn(call.as_mut()).is_pending());
        disk.wait_until_someone_waits();
        assert_eq!(lab.run(&reads).told(), Some(0));
        lab.world.pass(2_000);
        let Poll::Ready((exchange, _)) = turn(call.as_mut()) else {
            panic!("it waits for longer than it may");
        };
        let told = exchange.variable("guest", "told").unwrap();
        assert_eq!(told.as_ref(), 1_i32.to_le_bytes());
    }
    assert_eq!(lab.run(&reads).told(), Some(0));
    disk.work();
    // Control: once the use is on record, it is there.
    assert_eq!(lab.run(&keeps).told(), Some(0));
    assert_eq!(lab.run(&reads).told(), Some(1));
}

/// Takes one place of one, and tells whether it has it: 1, or 0.
const ENTER: &str = "(call $enter (i32.const 0) (i32.const 7) (i32.const 1) (i32.const 512))
   (call $tell (i32.load8_u (i32.const 516)))";

#[test]
fn a_place_is_given_back_however_a_call_ends() {
    let lab = Lab::new();
    let load = |after: &str| {
        let attack = [ENTER, after].concat();
        lab.load(&in_phase(Phase::Inbound, &attack)).unwrap()
    };
    let (ends, traps) = (load(""), load("(unreachable)"));
    let waits = load("(drop (call $sleep (i32.const 1000)))");
    assert_eq!(lab.run(&ends).told(), Some(1));
    assert_eq!(lab.run(&traps).verdict, Err(PolicyStop::Trap));
    assert_eq!(lab.run(&ends).told(), Some(1));
    {
        let mut call = pin!(lab.call(&waits, lab.exchange()));
        assert!(turn(call.as_mut()).is_pending());
        // Control: while it is taken, there is none.
        assert_eq!(lab.run(&ends).told(), Some(0));
    }
    // The client went away.
    assert_eq!(lab.run(&ends).told(), Some(1));
}

#[test]
fn a_place_is_free_for_others_once_the_uses_before_are_on_record() {
    let (lab, disk) = Lab::with_disk();
    let signs = "(call $open-mac (i32.const 20) (i32.const 3) (i32.const 560))
         (call $sign (i32.load (i32.const 564)) (i32.const 0) (i32.const 3) (i32.const 576))";
    let signs = [ENTER, signs].concat();
    let signs = lab.load(&in_phase(Phase::Inbound, &signs)).unwrap();
    let takes = lab.load(&in_phase(Phase::Inbound, ENTER)).unwrap();
    disk.hang();
    // Control: with nothing used, it is free when the call ends.
    assert_eq!(lab.run(&takes).told(), Some(1));
    assert_eq!(lab.run(&takes).told(), Some(1));
    let mut ended = lab.run(&signs);
    assert_eq!(ended.told(), Some(1));
    assert_eq!(lab.run(&takes).told(), Some(0));
    disk.work();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let settled = runtime.block_on(ended.exchange.settle());
    assert!(settled.is_ok());
    // Control: the exchange goes on, and others have the place.
    assert_eq!(lab.run(&takes).told(), Some(1));
    drop(ended);
}
