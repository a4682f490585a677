//! Which sandbox a guest gets, and what it can have there.

use keyward_engine::{
    EngineConfig, Limits, LoadError, Phase, PolicyStop, Profile, Sandbox, Verdict, inspect,
};

use crate::support::{Lab, guest};

/// Takes 40 MiB and writes into each page; traps if it doesn't get them.
const FORTY_MEBIBYTES: &str = "
  (if (i32.eq (memory.grow (i32.const 640)) (i32.const -1)) (then (unreachable)))
  (local.set $i (i32.const 0))
  (loop $next
    (i32.store8 (local.get $i) (i32.const 1))
    (local.set $i (i32.add (local.get $i) (i32.const 4096)))
    (br_if $next (i32.lt_u (local.get $i) (i32.const 41943040))))";

fn within(profile: Profile) -> Sandbox {
    let mut limits = Limits::default();
    // Memory is what is tried here, on whatever machine.
    limits.cpu_milliseconds = 10_000;
    Sandbox {
        profile: Some(profile),
        limits: Some(limits),
        ..Sandbox::default()
    }
}

#[test]
fn a_profile_is_chosen_by_what_a_component_declares() {
    let chosen = |component: &[u8]| inspect(component).unwrap().declares.profile();
    assert_eq!(chosen(&guest(1, "", "")), Profile::Lean);
    assert_eq!(chosen(&guest(4, "", "")), Profile::Lean);
    assert_eq!(chosen(&guest(5, "", "")), Profile::Standard);
    assert_eq!(chosen(&guest(17, "", "")), Profile::Standard);
    assert_eq!(chosen(&guest(257, "", "")), Profile::Large);
    let simd = "(func (drop (v128.const i64x2 0 0)))";
    assert_eq!(chosen(&guest(1, simd, "")), Profile::Large);
    assert_eq!(
        chosen(&guest(1, "(table 10001 funcref)", "")),
        Profile::Standard
    );
    let lab = Lab::new(&EngineConfig::default());
    for (component, profile) in [
        (guest(1, "", ""), Profile::Lean),
        (guest(17, "", ""), Profile::Standard),
        (guest(1, simd, ""), Profile::Large),
    ] {
        let policy = lab.load(&component);
        assert_eq!(policy.profile(), profile);
        assert_eq!(lab.run(&policy), Ok(Verdict::Proceed));
    }
}

#[test]
fn a_guest_of_40_mib_runs_in_standard_and_large_and_is_stopped_in_lean() {
    let lab = Lab::new(&EngineConfig::default());
    let component = guest(1, "", FORTY_MEBIBYTES);
    for profile in [Profile::Standard, Profile::Large] {
        let policy = lab.load_in(&within(profile), &component).unwrap();
        assert_eq!(lab.run(&policy), Ok(Verdict::Proceed), "{profile}");
    }
    let stop = lab.run(&lab.load(&component)).unwrap_err();
    assert_eq!(
        stop,
        PolicyStop::Memory {
            bytes: 16 << 20,
            profile: Profile::Lean
        }
    );
    assert!(stop.to_string().contains("profile lean"), "{stop}");
}

#[test]
fn a_policy_can_have_less_than_its_profile_and_never_more() {
    let lab = Lab::new(&EngineConfig::default());
    let component = guest(1, "", FORTY_MEBIBYTES);
    let mut sandbox = within(Profile::Standard);
    let mut limits = Limits::default();
    limits.memory_bytes = Some(39 << 20);
    sandbox.limits = Some(limits.clone());
    let stop = lab.run(&lab.load_in(&sandbox, &component).unwrap());
    assert!(matches!(stop, Err(PolicyStop::Memory { bytes, .. }) if bytes == 39 << 20));

    limits.memory_bytes = Some(65 << 20);
    sandbox.limits = Some(limits);
    let error = lab.load_in(&sandbox, &component).map(|_| ());
    let error = error.unwrap_err();
    assert!(matches!(error, LoadError::Limit { .. }), "{error}");
    assert!(error.to_string().contains("memory-bytes"), "{error}");
}

#[test]
fn what_a_profile_has_no_room_for_is_refused_with_its_name() {
    let lab = Lab::new(&EngineConfig::default());
    for (component, profile, word) in [
        (guest(300, "", ""), Profile::Lean, "bytes of memory"),
        (guest(4096, "", ""), Profile::Standard, "bytes of memory"),
        (guest(4097, "", ""), Profile::Large, "bytes of memory"),
        (
            guest(1, "(func (drop (v128.const i64x2 0 0)))", ""),
            Profile::Standard,
            "SIMD",
        ),
        (
            guest(1, "(table 10001 funcref)", ""),
            Profile::Lean,
            "table elements",
        ),
    ] {
        let said = lab.load_in(&within(profile), &component).map(|_| ());
        let said = said.unwrap_err().to_string();
        assert!(
            said.contains(profile.as_str()) && said.contains(word),
            "{said}"
        );
    }
}

#[test]
fn limits_are_each_policys_own() {
    let mut config = EngineConfig::default();
    config.limits.cpu_milliseconds = 7;
    let lab = Lab::new(&config);
    let component = guest(1, "", "(loop $l (br $l))");
    let mut limits = Limits::default();
    limits.cpu_milliseconds = 3;
    let own = Sandbox {
        limits: Some(limits),
        ..Sandbox::default()
    };
    let ended = lab.run(&lab.load_in(&own, &component).unwrap());
    assert_eq!(ended, Err(PolicyStop::Deadline(3)));
    let ended = lab.run(&lab.load(&component));
    assert_eq!(ended, Err(PolicyStop::Deadline(7)));
}

#[test]
fn a_pool_that_is_full_leaves_others_room() {
    let mut config = EngineConfig::default();
    config.concurrent_calls = 1;
    let lab = Lab::new(&config);
    let component = guest(1, "", "(loop $l (br $l))");
    let policy = lab.load(&component);
    let call = lab.engine.run(&policy, Phase::Inbound, lab.exchange());
    let mut call = Box::pin(call);
    // It holds the only sandbox of its profile: it yields at its first tick.
    assert!(lab.poll(call.as_mut()).is_pending());
    let other = guest(1, "", "");
    // By another name it is another policy.
    let name = keyward_names::PolicyName::parse("other").unwrap();
    let load = |sandbox: &Sandbox| {
        let source = keyward_engine::PolicySource {
            name: name.clone(),
            component: &other,
            settings: None,
            routes: &[],
            issuers: &[],
            document: None,
        };
        lab.engine.load_in(sandbox, &source).unwrap()
    };
    assert_eq!(lab.run(&load(&Sandbox::default())), Err(PolicyStop::NoSlot));
    let elsewhere = load(&within(Profile::Standard));
    assert_eq!(lab.run(&elsewhere), Ok(Verdict::Proceed));
    // Control: with the call over, there is room.
    drop(call);
    assert_eq!(lab.run(&load(&Sandbox::default())), Ok(Verdict::Proceed));
}

#[test]
fn a_policy_that_has_all_its_calls_leaves_the_others_theirs() {
    let lab = Lab::new(&EngineConfig::default());
    let sandbox = Sandbox {
        concurrent_calls: Some(2),
        ..Sandbox::default()
    };
    let component = guest(1, "", "(loop $l (br $l))");
    let policy = lab.load_in(&sandbox, &component).unwrap();
    // Calls that have begun and hold what they have.
    let mut calls: Vec<_> = (0..2)
        .map(|_| Box::pin(lab.engine.run(&policy, Phase::Inbound, lab.exchange())))
        .collect();
    for call in &mut calls {
        assert!(lab.poll(call.as_mut()).is_pending());
    }
    // The same policy in other clothes shares its calls.
    let again = lab.load_in(&sandbox, &guest(1, "", "")).unwrap();
    assert_eq!(lab.run(&again), Err(PolicyStop::NoSlot));
    drop(calls.pop());
    assert_eq!(lab.run(&again), Ok(Verdict::Proceed));
}
