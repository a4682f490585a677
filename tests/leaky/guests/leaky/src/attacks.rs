//! Ways to get hold of something, by the rows of the attack catalogue.

use core::sync::atomic::{AtomicBool, Ordering};

use keyward_policy::{Decision, Exchange, Failure, Verdict};
use serde::Deserialize;

use crate::prize::WIDER;
use crate::{Phase, Prize, Settings};

/// One way, named after its row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attack {
    /// Has been handed it: no attack.
    #[default]
    None,
    /// Has it attached, as it may.
    Attach,
    /// A1: which names are there?
    Names,
    /// A2, A13: uses that the grant does not give, of secrets of another kind.
    OtherUses,
    /// A4: a handle for the next request.
    Keep,
    /// A6: read back what was attached.
    ReadBack,
    /// A6: take what was attached elsewhere.
    Reroute,
    /// A7, A8: what do failures say, and do they kill the host?
    Malformed,
    /// A10: what does the clock tell?
    Timing,
    /// A11: guess until one is right.
    Guess,
    /// A12: a proof of something known, to look for the key at leisure.
    Tag,
    /// A14: break out of the text that is signed.
    Injection,
    /// A15, A16: sign in another way than the host's.
    OwnSignature,
    /// A15: more than the grant says.
    Wider,
    /// A16: marks of a signature of its own, beside the host's.
    OwnMarks,
    /// A17: a shorter proof will do.
    Truncated,
    /// A18: a credential of one route on another.
    OtherRoute,
    /// A20: guesses beside the secret, in one compressed text.
    Compressed,
    /// A22: names that look like the granted one.
    LookAlikes,
    /// C1 to C5: have a backend return it.
    Echo,
    /// C6: a character at a time.
    Piecewise,
    /// C7: what a backend keeps.
    Stored,
    /// C8: guesses, to see which of them are found.
    Oracle,
    /// C10: what do error pages say?
    ErrorPages,
    /// C12: which wrong code is wrong in which way?
    Answers,
    /// C13: headers within a header.
    Splitting,
    /// C14: in a trace context.
    Trace,
}

static KEPT: AtomicBool = AtomicBool::new(false);

fn note<T>(loot: &mut Vec<u8>, result: &Result<T, Failure>) {
    let word = match result {
        Ok(_) => "ok",
        Err(failure) => failure.as_str(),
    };
    // Each outcome once: there may be thousands.
    let word = format!("{word}\n").into_bytes();
    if !loot.windows(word.len()).any(|there| there == word) {
        loot.extend_from_slice(&word);
    }
}

/// Uses a name as each kind.
fn use_all(exchange: &Exchange<'_>, name: &str, loot: &mut Vec<u8>) {
    note(loot, &exchange.credential(name).and_then(|it| it.attach()));
    note(loot, &exchange.signer(name).and_then(|it| it.attach()));
    note(
        loot,
        &exchange.mac_signer(name).and_then(|it| it.sign(b"m")),
    );
    let verified = exchange
        .mac_verifier(name)
        .and_then(|it| it.verify(b"m", &[0; 32]));
    note(loot, &verified);
    let who = exchange.client_keys(name).and_then(|it| it.identify());
    note(loot, &who);
    for prize in [Prize::Token, Prize::SharedAccess, Prize::Presigned] {
        note(loot, &prize.attach_as(name, exchange));
    }
}

/// Sends a request of its own with the credential, and takes what comes back.
fn echo(
    settings: &Settings,
    exchange: &Exchange<'_>,
    path: &str,
    loot: &mut Vec<u8>,
) -> Result<(), Failure> {
    let route = settings.route.as_deref().unwrap_or("billing");
    let request = exchange.call(route, "POST", path)?;
    settings.prize.attach_to(exchange, &request)?;
    let answer = request.body("loot?")?.send();
    note(loot, &answer);
    let Ok(answer) = answer else { return Ok(()) };
    for name in ["x-echo", "set-cookie", "location", "server-timing"] {
        if let Some(value) = answer.header(name) {
            loot.extend_from_slice(&value);
        }
    }
    let body = answer.body(64 * 1024);
    note(loot, &body);
    loot.extend_from_slice(&body.unwrap_or_default());
    Ok(())
}

/// Carries an attack out; what it got goes to `loot`.
pub(crate) fn carry_out(
    settings: &Settings,
    exchange: &Exchange<'_>,
    phase: Phase,
    loot: &mut Vec<u8>,
) -> Decision {
    let path = settings.path.as_deref().unwrap_or("/v1/charges");
    match settings.attack {
        Attack::None => {}
        Attack::Attach => settings.prize.attach(exchange)?,
        Attack::Names => {
            // Some that are there under another name, some that are not there at all.
            for name in [
                "stripe",
                "hooks",
                "customers",
                "orders-client",
                "account",
                "access-key",
                "no-such-secret",
                "*",
                "",
            ] {
                use_all(exchange, name, loot);
            }
        }
        Attack::OtherUses if settings.prize != Prize::Value => {
            let names = ["tokens", "storage", "bucket"];
            let prizes = [Prize::Token, Prize::SharedAccess, Prize::Presigned];
            for (number, prize) in prizes.into_iter().enumerate() {
                for (_, name) in names.iter().enumerate().filter(|(it, _)| *it != number) {
                    note(loot, &prize.attach_as(name, exchange));
                }
            }
            for name in names {
                note(loot, &exchange.credential(name).and_then(|it| it.attach()));
                note(loot, &exchange.signer(name).and_then(|it| it.attach()));
            }
        }
        Attack::OtherUses => {
            for name in ["backend", "signing-key", "consumers"] {
                note(
                    loot,
                    &exchange.mac_signer(name).and_then(|it| it.sign(b"m")),
                );
            }
            for name in ["mac", "consumers", "signing-key"] {
                note(loot, &exchange.credential(name).and_then(|it| it.attach()));
            }
            for name in ["mac", "consumers", "backend"] {
                note(loot, &exchange.signer(name).and_then(|it| it.attach()));
            }
        }
        Attack::Keep => {
            if KEPT.swap(true, Ordering::Relaxed) {
                loot.extend_from_slice(b"kept");
            }
            settings.prize.keep(exchange)?;
            loot.extend_from_slice(b"nothing\n");
        }
        Attack::ReadBack => {
            settings.prize.attach(exchange)?;
            for message in [exchange.request(), exchange.response()] {
                for name in message.header_names() {
                    for value in message.header_values(&name) {
                        loot.extend_from_slice(&value);
                        loot.push(b'\n');
                    }
                }
                for name in ["x-api-key", "X_Api_Key", "authorization"] {
                    loot.extend(message.header(name).unwrap_or_default());
                }
            }
        }
        Attack::Reroute => {
            settings.prize.attach(exchange)?;
            exchange.set_path(settings.path.as_deref().unwrap_or("/echo"))?;
        }
        Attack::Malformed => {
            let long = "x".repeat(8 * 1024);
            for name in ["\0", "\u{202e}", "{\"a\":", "-----BEGIN", &long] {
                use_all(exchange, name, loot);
            }
            if settings.prize != Prize::Value {
                return Ok(Verdict::Proceed);
            }
            let key = exchange.mac_verifier("mac")?;
            for code in [&b""[..], b"\xff", long.as_bytes(), b"{\"a\":", b"AA=="] {
                note(loot, &key.verify(long.as_bytes(), code));
            }
        }
        Attack::Timing => {
            let before = exchange.now();
            let key = exchange.mac_verifier("mac")?;
            for length in [0, 1, 31, 32, 33] {
                let _ = key.verify(b"m", &vec![0; length]);
            }
            let passed = exchange.now() - before;
            loot.extend_from_slice(format!("{passed} ms passed\n").as_bytes());
        }
        Attack::Guess if settings.prize != Prize::Value => {
            // Signatures and tokens without end, to choose from.
            for _ in 0..100_000_u32 {
                let got = settings.prize.attach(exchange);
                note(loot, &got);
                if got.is_err() {
                    break;
                }
            }
        }
        Attack::Guess => {
            let key = exchange.mac_verifier("mac")?;
            for guess in 0..100_000_u32 {
                let mut code = [0; 32];
                code[..4].copy_from_slice(&guess.to_be_bytes());
                let right = key.verify(b"m", &code);
                note(loot, &right);
                if right != Ok(false) {
                    break;
                }
            }
        }
        Attack::Tag => {
            let tag = exchange.mac_signer("mac")?.sign(b"known to everybody")?;
            loot.extend_from_slice(&tag);
        }
        Attack::Injection => {
            for value in ["x\r\nauthorization: y", "x\ny", "x\0y"] {
                note(loot, &exchange.request().set_header("x-signed", value));
            }
            note(
                loot,
                &exchange.set_path("/v1/charges\n\"@authority\": evil"),
            );
            match settings.prize {
                Prize::Value => exchange.signer("signing-key")?.attach()?,
                other => other.attach(exchange)?,
            }
        }
        Attack::OwnSignature => {
            let request = exchange.request();
            let input = "sig=();alg=\"none\";keyid=\"../../x\"";
            let _ = request.set_header("signature-input", input);
            let _ = request.set_header("signature", "sig=:AAAA:");
            exchange.signer("signing-key")?.attach()?;
        }
        Attack::Wider => {
            let key = exchange.shared_access("storage")?;
            for terms in WIDER {
                note(loot, &key.attach(terms));
            }
        }
        Attack::OwnMarks => {
            for (name, value) in [
                ("sig", "AAAA"),
                ("se", "2099-01-01T00:00:00Z"),
                ("X-Amz-Expires", "604800"),
                ("X-Amz-Signature", "00"),
            ] {
                exchange.set_query(name, value)?;
            }
            let own = exchange.request().set_header("authorization", "Bearer own");
            note(loot, &own);
            settings.prize.attach(exchange)?;
        }
        Attack::Truncated => {
            let tag = exchange.mac_signer("mac")?.sign(b"m")?;
            let key = exchange.mac_verifier("mac")?;
            for length in (0..tag.len()).step_by(2) {
                if key.verify(b"m", &tag[..length]) == Ok(true) {
                    loot.extend_from_slice(format!("{length} are enough\n").as_bytes());
                }
            }
            let whole = key.verify(b"m", &tag)?;
            loot.extend_from_slice(format!("the whole: {whole}\n").as_bytes());
        }
        Attack::OtherRoute => {
            let route = settings.route.as_deref().unwrap_or("attacker");
            let request = exchange.call(route, "POST", path)?;
            let attached = settings.prize.attach_to(exchange, &request);
            note(loot, &attached);
            note(loot, &request.send());
        }
        Attack::Compressed => {
            settings.prize.attach(exchange)?;
            let request = exchange.request();
            let _ = request.set_header("content-encoding", "gzip");
            let _ = request.set_header("accept-encoding", "gzip");
            request.write_body("x-api-key: kw-".repeat(20))?;
        }
        Attack::LookAlikes => {
            for name in [
                "Backend",
                "BACKEND",
                "backend ",
                "backend\0",
                "bаckend",
                "back_end",
                "Tokens",
                "tokens ",
                "st0rage",
                "storаge",
                "bucket\0",
            ] {
                use_all(exchange, name, loot);
            }
        }
        Attack::Echo => echo(settings, exchange, path, loot)?,
        Attack::Piecewise => {
            // More than anybody gets.
            for index in 0..100 {
                let got = echo(settings, exchange, &format!("{path}/{index}"), loot);
                if got.is_err() {
                    note(loot, &got);
                    break;
                }
            }
        }
        Attack::Stored => {
            if exchange.path().ends_with("/write") {
                settings.prize.attach(exchange)?;
            }
        }
        Attack::Oracle => {
            for guess in 0..6 {
                let route = settings.route.as_deref().unwrap_or("billing");
                let request = exchange.call(route, "POST", path)?;
                let guess = format!("kw-{guess}");
                let answer = request.body(guess)?.send();
                note(loot, &answer);
                if let Ok(answer) = answer {
                    note(loot, &answer.body(1024));
                }
            }
        }
        Attack::ErrorPages => {
            if phase == Phase::Inbound {
                settings.prize.attach(exchange)?;
                return Ok(Verdict::Fail);
            }
        }
        Attack::Answers => {
            let key = exchange.mac_verifier("mac")?;
            let right = exchange.mac_signer("mac")?.sign(b"m")?;
            let long = [&right[..], b"."].concat();
            for code in [&b""[..], b"\0", &[0; 32], &right[1..], &long] {
                note(loot, &key.verify(b"m", code));
                if key.verify(b"m", code) != Ok(false) {
                    loot.extend_from_slice(b"another answer\n");
                }
            }
            // It was made at another time, of another text.
            if key.verify(b"m ", &right) != Ok(false) {
                loot.extend_from_slice(b"another answer\n");
            }
        }
        Attack::Splitting => {
            let answer = exchange.respond(200)?;
            for value in ["x\r\nset-cookie: a=b", "x\n\n<script>", "\u{1b}[2J"] {
                note(loot, &answer.set_header("x-note", value));
            }
        }
        Attack::Trace => {
            settings.prize.attach(exchange)?;
            for name in ["traceparent", "tracestate", "baggage"] {
                let _ = exchange.request().set_header(name, "a-policy-wrote-this");
            }
        }
    }
    Ok(Verdict::Proceed)
}
