//! Every resource of `secrets`, called with what no honest policy would give: texts that
//! end lines or texts, that are too long or no texts, numbers out of bounds, handles that
//! are gone, names that are not there, as often as it gets.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use keyward::engine::{Body, Policy, PolicyBody, PolicyStop, Verdict};
use keyward::names::RouteName;
use keyward::vault::Target;

use crate::caller::{Argument, Script, TOLD, caller};
use crate::granted::{CANARIES, USES, asks, grant_all};
use crate::lab::{Ended, GRANTS, Lab};

/// A lab in which the guest is granted a secret of each kind for each use.
pub(crate) fn with_grants() -> Lab {
    let lab = Lab::new();
    grant_all(&lab.vault, GRANTS);
    lab
}

/// The guest, which asks for all that is granted, and for two names that are not.
pub(crate) fn load(lab: &Lab) -> Policy {
    let all = USES.map(|(_, _, use_)| use_);
    let mut asks = asks();
    asks.extend([("backend", "attach"), ("mac", "mac-sign")]);
    for use_ in all {
        for name in ["other", "no-such-name"] {
            if !asks.contains(&(name, use_)) {
                asks.push((name, use_));
            }
        }
    }
    lab.load(&caller(asks)).unwrap()
}

fn run(lab: &Lab, policy: &Policy, script: &[u8]) -> Ended {
    lab.world.hurry();
    let body = Full::new(Bytes::copy_from_slice(script));
    let body = PolicyBody::new(Body::new(body.map_err(|never| match never {})));
    lab.run_on(policy, lab.exchange_with(body))
}

/// What each call of a script left, the skip of its data aside.
fn told(ended: &Ended) -> Vec<Vec<u8>> {
    let told = ended.exchange.variable("guest", "told").unwrap();
    told.chunks(TOLD).skip(1).map(<[u8]>::to_vec).collect()
}

fn ask(lab: &Lab, policy: &Policy, script: &Script) -> Vec<Vec<u8>> {
    let ended = run(lab, policy, &script.bytes());
    assert_eq!(ended.verdict, Ok(Verdict::Proceed));
    told(&ended)
}

const OK: u8 = 0;
/// The first of the words with which a use is refused.
const DENIED: [u8; 2] = [1, 0];
const INVALID: [u8; 2] = [1, 1];

/// How a handle of each resource is opened, and all that is done with it.
pub(crate) fn operations() -> Vec<(&'static str, &'static str, Vec<Argument<'static>>)> {
    use Argument::{Bytes, Exchange, Handle, Number};
    let (h, x) = (Handle(0), Exchange);
    let no_claims = [Number(0); 8];
    let jws = |first: &[Argument<'static>]| [first, &no_claims].concat();
    vec![
        ("open", "attach", vec![h, x]),
        ("open", "attach-with", vec![h, x, Number(0), Number(0)]),
        ("open-signer", "sign-request", vec![h, x]),
        ("open-mac", "sign", vec![h, Bytes(b"message")]),
        (
            "open-mac-verifier",
            "verify",
            vec![h, Bytes(b"message"), Bytes(&[0; 32])],
        ),
        ("open-client-keys", "identify", vec![h, x]),
        ("open-token", "attach-token", vec![h, x]),
        ("open-token", "on-behalf-of", vec![h, x, Bytes(b"a.b.c")]),
        (
            "open-shared-access",
            "attach-shared-access",
            vec![h, x, Number(0), Number(1), Number(0), Number(0)],
        ),
        ("open-presigner", "attach-presigner", vec![h, x]),
        ("open-connection", "part", vec![h, Bytes(b"account")]),
        ("open-jwt-verifier", "verify-jwt", vec![h, Bytes(b"a.b.c")]),
        (
            "open-sealer",
            "seal",
            vec![h, Bytes(b"text"), Bytes(b"context")],
        ),
        (
            "open-opener",
            "open-sealed",
            vec![h, Bytes(b"sealed"), Bytes(b"context")],
        ),
        ("open-tls-identity", "attach-tls-identity", vec![h, x]),
        ("open-jws-signer", "attach-jws", jws(&[h, x])),
        ("open-jws-signer", "sign-jws", jws(&[h])),
        (
            "open-database",
            "query",
            vec![h, Bytes(b"one"), Number(0), Number(0)],
        ),
    ]
}

/// The alias that is granted for what an operation does.
pub(crate) fn granted(open: &str, operation: &str) -> &'static str {
    match (open, operation) {
        ("open", _) => "backend",
        ("open-mac", _) => "mac",
        (_, "on-behalf-of") => "exchanged",
        ("open-token", _) => "app",
        ("open-shared-access", _) => "store",
        ("open-presigner", _) => "aws",
        ("open-connection", _) => "parts",
        ("open-jwt-verifier", _) => "jwt",
        ("open-sealer" | "open-opener", _) => "data",
        ("open-tls-identity", _) => "tls",
        ("open-jws-signer", _) => "jws",
        ("open-database", _) => "db",
        _ => "none-of-these",
    }
}

/// What drops what that opens.
pub(crate) fn drops(open: &str) -> String {
    match open {
        "open" => "drop-credential".to_owned(),
        "open-mac-verifier" => "drop-verifier".to_owned(),
        "open-client-keys" => "drop-keys".to_owned(),
        open => open.replace("open-", "drop-"),
    }
}

#[test]
fn a_name_that_there_is_not_answers_like_one_that_is_not_granted() {
    let lab = with_grants();
    let policy = load(&lab);
    let long = "a".repeat(20_000);
    for (open, operation, arguments) in operations() {
        let answer = |name: &str| {
            let mut script = Script::default();
            script.call(open, &[Argument::Bytes(name.as_bytes())]);
            script.call(operation, &arguments);
            ask(&lab, &policy, &script)
        };
        // It is there, and nothing of it is granted.
        let expected = answer("other");
        assert_eq!(expected[0][0], OK, "{open}");
        assert_eq!(expected[1][..2], [1, 0], "{operation}");
        for name in [
            "no-such-name",
            // Not asked for in the manifest.
            "not-asked-for",
            "",
            "\0",
            "app\0",
            "APP",
            "a\r\nx-injected: 1",
            "../app",
            "%61pp",
            "🔑",
            long.as_str(),
        ] {
            let found = answer(name);
            // But for the handle's own number.
            assert_eq!(found[0][0], OK, "{open} {name:?}");
            assert_eq!(found[1], expected[1], "{operation} {name:?}");
        }
        // Control: what is granted answers in another way.
        let name = granted(open, operation);
        if name != "none-of-these" {
            let found = answer(name);
            assert_ne!(found[1], expected[1], "{operation} {name:?}");
        }
    }
}

#[test]
fn a_handle_that_is_gone_or_of_another_type_ends_the_guest() {
    let lab = with_grants();
    let policy = load(&lab);
    let all = operations();
    for (open, operation, arguments) in &all {
        let name = granted(open, operation);
        let verdict = |opened: &str, dropped: bool| {
            let mut script = Script::default();
            script.call(opened, &[Argument::Bytes(name.as_bytes())]);
            if dropped {
                script.call(&drops(opened), &[Argument::Handle(0)]);
            }
            script.call(operation, arguments);
            run(&lab, &policy, &script.bytes()).verdict
        };
        assert_eq!(verdict(open, true), Err(PolicyStop::Trap), "{operation}");
        for (other, ..) in &all {
            if other != open {
                let found = verdict(other, false);
                assert_eq!(found, Err(PolicyStop::Trap), "{operation} of {other}");
            }
        }
        // Control.
        assert_eq!(verdict(open, false), Ok(Verdict::Proceed), "{operation}");
    }
}

#[test]
fn handles_of_all_types_are_so_many_together_and_uses_so_many() {
    let lab = with_grants();
    let policy = load(&lab);
    let all = operations();
    let mut script = Script::default();
    let at = script.place(b"app");
    let name = [Argument::Number(at), Argument::Number(3)];
    for (open, ..) in all.iter().cycle().take(100) {
        script.call(open, &name);
    }
    let opened = ask(&lab, &policy, &script);
    let given = opened.iter().filter(|told| told[0] == OK).count();
    assert_eq!(given, 64);
    // Each beyond them is told that the budget is spent.
    assert!(opened[64..].iter().all(|told| told[0] == 1 && told[4] == 2));

    for (open, operation, arguments) in &all {
        let mut script = Script::default();
        script.call(open, &[Argument::Bytes(b"other")]);
        for _ in 0..40 {
            script.call(operation, arguments);
        }
        let answers = ask(&lab, &policy, &script);
        // In each of the contract's words for it.
        let exhausted = match *operation {
            "verify-jwt" => 1,
            _ => 2,
        };
        // Control: the first ones are answered.
        let spent = |told: &Vec<u8>| told.contains(&exhausted) && *told != answers[1];
        let first = answers.iter().skip(1).position(spent);
        assert_eq!(first, Some(32), "{operation}");
    }
}

/// The value of a claim.
enum Value<'a> {
    Text(&'a [u8]),
    Integer(i64),
    Texts(usize, &'a [u8]),
}

#[test]
fn claims_that_no_grant_allows_are_refused_whatever_they_are() {
    let lab = with_grants();
    let policy = load(&lab);
    use Value::{Integer, Text, Texts};
    const LONG: &[u8] = &[b'a'; 1025];
    let sign = |subject: &[u8], claims: &[(&[u8], Value<'_>)]| {
        let mut script = Script::default();
        let subject = (script.place(subject), subject.len() as u32);
        let mut list = Vec::new();
        let pair =
            |at: u32, length: usize| [at.to_le_bytes(), (length as u32).to_le_bytes()].concat();
        for (name, value) in claims {
            list.extend(pair(script.place(name), name.len()));
            let (case, payload) = match value {
                Value::Text(text) => (0, pair(script.place(text), text.len())),
                Value::Integer(number) => (1, number.to_le_bytes().to_vec()),
                Value::Texts(many, text) => {
                    let one = pair(script.place(text), text.len());
                    (3, pair(script.place(&one.repeat(*many)), *many))
                }
            };
            list.extend([case, 0, 0, 0, 0, 0, 0, 0]);
            list.extend(payload);
        }
        let extra = script.place(&list);
        script.call("open-jws-signer", &[Argument::Bytes(b"jws")]);
        use Argument::Number;
        let arguments = [
            Argument::Handle(0),
            Number(0),
            Number(0),
            Number(0),
            Number(1),
            Number(subject.0),
            Number(subject.1),
            Number(extra),
            Number(claims.len() as u32),
        ];
        script.call("sign-jws", &arguments);
        run(&lab, &policy, &script.bytes())
    };
    let refused = |ended: &Ended| told(ended)[1][0] == 1 && [0, 1].contains(&told(ended)[1][4]);
    let of = |claims: Vec<(&'static [u8], Value<'static>)>| (&b"user-1"[..], claims);
    let one = |name: &'static [u8], value: Value<'static>| vec![(name, value)];
    let twice = || vec![(&b"role"[..], Text(b"a")), (&b"role"[..], Text(b"b"))];
    let many = || (0..33).map(|_| (&b"role"[..], Text(b"a"))).collect();
    let cases = [
        (&b""[..], vec![]),
        (&b"admin"[..], vec![]),
        (&b"user-"[..], vec![]),
        (LONG, vec![]),
        of(one(b"iss", Text(b"https://evil.example"))),
        of(one(b"exp", Integer(i64::MAX))),
        of(one(b"aud", Texts(2, b"https://evil.example"))),
        of(one(b"cnf", Text(b"x"))),
        of(one(b"not-granted", Text(b"x"))),
        of(twice()),
        of(one(b"role\0", Text(b"a"))),
        of(one(b"role\r\n", Text(b"a"))),
        of(one(b"", Text(b"a"))),
        of(one(&LONG[..129], Text(b"a"))),
        of(one(b"role", Text(LONG))),
        of(one(b"role", Integer(i64::MIN))),
        of(one(b"role", Integer(1 << 53))),
        of(one(b"groups", Texts(65, b"g"))),
        of(one(b"groups", Texts(2_000, b""))),
        of(many()),
    ];
    for (index, (subject, claims)) in cases.iter().enumerate() {
        let ended = sign(subject, claims);
        assert_eq!(ended.verdict, Ok(Verdict::Proceed), "case {index}");
        assert!(refused(&ended), "case {index}: {:?}", told(&ended));
    }
    // What is no text is none for the sandbox already.
    let ended = sign(b"user-1", &[(b"role", Text(b"\xff\xfe"))]);
    assert_eq!(ended.verdict, Err(PolicyStop::Trap));
    // Controls: what the grant allows is signed, with what ends a line inside a text.
    for text in [
        &b"reader"[..],
        b"a\r\nx: 1",
        b"\"},\"exp\":9",
        "\u{202e}\0".as_bytes(),
    ] {
        let ended = sign(
            b"user-1",
            &[(b"role", Text(text)), (b"groups", Texts(64, b"g"))],
        );
        assert_eq!(told(&ended)[1][0], OK, "{text:?}");
    }
}

#[test]
fn bytes_and_texts_of_any_sort_are_taken_or_refused() {
    let lab = with_grants();
    let policy = load(&lab);
    let long = vec![b'x'; 17 << 10];
    let any: [&[u8]; 8] = [
        b"",
        b"\0",
        b"\xff\xfe\x80",
        b"\r\n",
        b"a",
        b"a.b.c",
        b"....",
        &long,
    ];
    for bytes in any {
        for (open, name, operation, before, after, is_text) in [
            ("open-sealer", "data", "seal", 0, true, false),
            ("open-opener", "data", "open-sealed", 0, true, false),
            ("open-jwt-verifier", "jwt", "verify-jwt", 0, false, true),
            ("open-issuer", "nobody", "verify-jwt", 0, false, true),
            ("open-connection", "parts", "part", 0, false, true),
            ("open-token", "exchanged", "on-behalf-of", 1, false, true),
            ("open-token", "app", "on-behalf-of", 1, false, true),
        ] {
            let mut script = Script::default();
            script.call(open, &[Argument::Bytes(name.as_bytes())]);
            let mut arguments = vec![Argument::Handle(0)];
            arguments.extend(std::iter::repeat_n(Argument::Exchange, before));
            arguments.push(Argument::Bytes(bytes));
            if after {
                arguments.push(Argument::Bytes(bytes));
            }
            script.call(operation, &arguments);
            let ended = run(&lab, &policy, &script.bytes());
            let expected = match is_text && std::str::from_utf8(bytes).is_err() {
                true => Err(PolicyStop::Trap),
                false => Ok(Verdict::Proceed),
            };
            assert_eq!(ended.verdict, expected, "{operation} {:?}", bytes.get(..8));
        }
    }
    let answer = |open: &str, name: &[u8], operation: &str, argument: &[u8]| {
        let mut script = Script::default();
        script.call(open, &[Argument::Bytes(name)]);
        let mut arguments = vec![Argument::Handle(0)];
        if operation == "on-behalf-of" {
            arguments.push(Argument::Exchange);
        }
        arguments.push(Argument::Bytes(argument));
        script.call(operation, &arguments);
        ask(&lab, &policy, &script).remove(1)
    };
    // Where the grant's flow takes no token of a client's; and where it does, a control.
    let found = answer("open-token", b"app", "on-behalf-of", b"a.b.c");
    assert_eq!(found[..2], DENIED);
    let found = answer("open-token", b"exchanged", "on-behalf-of", b"a\nb");
    assert_eq!(found[..2], INVALID);
    let found = answer("open-token", b"exchanged", "on-behalf-of", b"a.b.c");
    assert_eq!(found[0], OK);
    // The secret parts of a connection string are parts that it does not have.
    for part in [
        "account-key",
        "AccountKey",
        "key",
        "password",
        "sas",
        "",
        "account\0",
    ] {
        let found = answer("open-connection", b"parts", "part", part.as_bytes());
        assert_eq!((found[0], found[4]), (OK, 0), "{part}");
    }
    let found = answer("open-connection", b"parts", "part", b"account");
    assert_eq!((found[0], found[4]), (OK, 1));
}

#[test]
fn queries_are_the_grants_and_their_values_of_its_types() {
    let lab = with_grants();
    let policy = load(&lab);
    let query = |statement: &[u8], many: u32, value: [u8; 16]| {
        let mut script = Script::default();
        script.call("open-database", &[Argument::Bytes(b"db")]);
        let values = script.place(&value.repeat(many as usize));
        let arguments = [
            Argument::Handle(0),
            Argument::Bytes(statement),
            Argument::Number(values),
            Argument::Number(many),
        ];
        script.call("query", &arguments);
        let ended = run(&lab, &policy, &script.bytes());
        match ended.verdict {
            Ok(_) => Ok(told(&ended).remove(1)),
            Err(stop) => Err(stop),
        }
    };
    let null = [0; 16];
    let mut far = [0; 16];
    far[0] = 4;
    far[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    far[12..].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut integer = [0xff; 16];
    integer[..8].copy_from_slice(&[2, 0, 0, 0, 0, 0, 0, 0]);
    let refused = |answer: Vec<u8>| (answer[0], answer[8]);
    for statement in [
        "",
        "two",
        "one\0",
        "ONE",
        "one; DROP TABLE orders",
        "SELECT 1",
    ] {
        assert_eq!(
            refused(query(statement.as_bytes(), 1, null).unwrap()),
            (1, 0)
        );
    }
    for (many, value) in [(0, null), (2, null), (3_000, null), (1, integer)] {
        assert_eq!(
            refused(query(b"one", many, value).unwrap()),
            (1, 1),
            "{many}"
        );
    }
    let mut none = null;
    none[0] = 7;
    for value in [far, none] {
        assert_eq!(query(b"one", 1, value), Err(PolicyStop::Trap));
    }
    // Control: taken, by a world that has no database.
    assert_eq!(refused(query(b"one", 1, null).unwrap()), (1, 4));
}

/// What the host would do next with what a guest asked for: check and write the notes.
fn write(lab: &Lab, ended: Ended) {
    let mut exchange = ended.exchange;
    let notes = std::mem::take(&mut exchange.notes);
    let route = RouteName::parse("billing").unwrap();
    let (mut head, ()) = http::Request::get("https://acct1.blob.core.windows.net/c/b?x=%0a&sig=1")
        .body(())
        .unwrap()
        .into_parts();
    let path_and_query = head.uri.path_and_query().unwrap().clone();
    let target = Target {
        route: &route,
        method: &http::Method::GET,
        address: "",
        authority: "acct1.blob.core.windows.net",
        path_and_query: &path_and_query,
    };
    let Ok(checked) = notes.check(&lab.vault, &mut exchange.ledger, &target) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let durable = runtime.unwrap().block_on(exchange.ledger.barrier());
    let durable = durable.unwrap();
    let _ = checked.write(&durable, &mut head, Some(b""));
}

#[test]
fn calls_by_chance_end_and_leave_the_host_as_it_was() {
    let lab = with_grants();
    let policy = load(&lab);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let all = operations();
    let (mut proceeded, mut stopped) = (0, 0);
    for round in 0..4_000_u64 {
        let mut script = Script::default();
        for at in 0..(next() % 12) as u8 {
            let (open, operation, arguments) = &all[next() as usize % all.len()];
            let name = granted(open, operation);
            script.call(open, &[Argument::Bytes(name.as_bytes())]);
            let own = arguments.iter().map(|argument| match argument {
                Argument::Handle(_) => Argument::Handle(at),
                other => *other,
            });
            script.call(operation, &own.collect::<Vec<_>>());
        }
        let mut bytes = script.bytes();
        // Of every second one, some bytes are others; and others are nothing else.
        for _ in 0..(round % 2) * (next() % 8) {
            let at = next() as usize % bytes.len();
            bytes[at] = next() as u8;
        }
        if round % 8 == 7 {
            bytes = (0..next() % 512).map(|_| next() as u8).collect();
        }
        let ended = run(&lab, &policy, &bytes);
        match &ended.verdict {
            Ok(_) => proceeded += 1,
            Err(_) => stopped += 1,
        }
        if let Some(told) = ended.exchange.variable("guest", "told") {
            for canary in CANARIES {
                let mut windows = told.windows(canary.len());
                assert!(!windows.any(|window| window == canary.as_bytes()));
            }
        }
        write(&lab, ended);
    }
    println!("{proceeded} proceeded, {stopped} were stopped");
    assert!(proceeded > 1_000 && stopped > 100);
    // Control: the host is as it was.
    let mut script = Script::default();
    script.call("open-sealer", &[Argument::Bytes(b"data")]);
    script.call(
        "seal",
        &[
            Argument::Handle(0),
            Argument::Bytes(b"text"),
            Argument::Bytes(b""),
        ],
    );
    assert_eq!(ask(&lab, &policy, &script)[1][0], OK);
}
