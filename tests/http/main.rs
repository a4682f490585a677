//! What Keyward makes of malformed and ambiguous requests, beside nginx and Envoy:
//! one run, one list, the same bytes, the same backend.
//!
//! Each request is refused, or made into one that can be read in one way only, at
//! least as strictly as by the stricter of the two. What differs stands in
//! `differences.rs` with its reason; an entry that no longer holds fails the test.
//! `COMPARISON.md` is the whole table; `SNAPSHOTS=overwrite` writes it anew.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests may panic, and say what they compared"
)]

mod backend;
mod cases;
mod client;
mod differences;
mod h2;
mod outcome;
mod servers;
mod strict;
mod table;

use cases::Case;
use outcome::Outcome;
use servers::Server;

/// What became of each case at each server, in the order of [`cases::all`].
fn judge_all(cases: &[Case], server: &mut Server) -> Vec<Outcome> {
    cases.iter().map(|case| server.judge(case)).collect()
}

#[test]
fn keyward_is_at_least_as_strict_as_nginx_and_envoy() {
    if servers::are_left_out() {
        return;
    }
    let cases = cases::all();
    let starts: [fn() -> Server; 3] = [Server::keyward, Server::nginx, Server::envoy];
    let [keyward, nginx, envoy] = std::thread::scope(|scope| {
        starts
            .map(|start| {
                let cases = &cases;
                scope.spawn(move || judge_all(cases, &mut start()))
            })
            .map(|thread| thread.join().unwrap())
    });
    let rows: Vec<table::Row<'_>> = cases
        .iter()
        .zip(keyward)
        .zip(nginx)
        .zip(envoy)
        .map(|(((case, keyward), nginx), envoy)| table::Row {
            case,
            keyward,
            nginx,
            envoy,
        })
        .collect();
    table::check(&rows);
    let laxer: Vec<_> = rows.iter().filter(|row| row.is_laxer()).collect();
    let mut wrong: Vec<String> = laxer
        .iter()
        .filter(|row| differences::reason(row.case).is_none())
        .map(|row| row.told())
        .collect();
    wrong.extend(differences::stale(
        &laxer.iter().map(|row| row.case).collect::<Vec<_>>(),
    ));
    assert!(
        wrong.is_empty(),
        "{} are wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn control_without_a_gateway_the_backend_gets_what_is_ambiguous() {
    let mut none = Server::none();
    let cases: Vec<Case> = cases::all()
        .into_iter()
        .filter(|case| !case.http2)
        .collect();
    let outcomes = judge_all(&cases, &mut none);
    let seen = |outcome: &&Outcome| matches!(outcome, Outcome::AsIs(_));
    assert!(
        outcomes.iter().filter(seen).count() >= 80,
        "the judge sees too little: {outcomes:?}"
    );
    // And what is plain is called plain, by the same judge.
    for (case, outcome) in cases.iter().zip(&outcomes) {
        if case.group == "Plain requests" {
            assert!(
                matches!(outcome, Outcome::Normalised(_)),
                "{}: {outcome}",
                case.name
            );
        }
    }
}
