//! A server that is sealed, silent, gone or at its limit: each is told apart, with
//! what to do, and ends when its cause does.

use std::time::Duration;

use keyward::sources::openbao::OpenBaoAuth;
use keyward::sources::{Source as _, SourceError, StepOutcome, Unreachable};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::{outcome, server};

const VALUE: &str = "9b1f64a07c2e5d83f0a4719ce2b85d36";

#[tokio::test]
async fn a_sealed_server_says_so_and_serves_again_when_it_is_unsealed() {
    let server = server!();
    server.put("stripe", &json!({ "key": VALUE })).await;
    let source = server.source_of_root();
    let before = outcome(source.fetch("stripe").await);
    assert!(before.is_ok());
    server.seal().await;
    let error = source.fetch("stripe").await.err().unwrap();
    assert_eq!(error, SourceError::Sealed);
    assert!(error.advice().contains("bao operator unseal"));
    assert!(error.is_transient());
    let steps = source.check(Some("stripe")).await;
    let expected = StepOutcome::Failed { error };
    assert_eq!(steps[1].outcome, expected, "{steps:?}");
    assert_eq!(steps[2].outcome, StepOutcome::Skipped);
    server.unseal().await;
    assert_eq!(outcome(source.fetch("stripe").await), before);
}

#[tokio::test]
async fn a_server_that_is_silent_is_given_up_and_one_that_is_gone_is_unreachable() {
    let mut server = server!();
    server.put("stripe", &json!({ "key": VALUE })).await;
    let file = server.file("root", server.root());
    let auth = OpenBaoAuth::TokenFile { file };
    let source = server.source_within(auth, Duration::from_secs(1));
    let before = outcome(source.fetch("stripe").await);
    assert!(before.is_ok());
    let process = Pid::from_raw(i32::try_from(server.process()).unwrap()).unwrap();
    kill_process(process, Signal::STOP).unwrap();
    assert_eq!(
        outcome(source.fetch("stripe").await),
        Err(SourceError::TimedOut)
    );
    kill_process(process, Signal::CONT).unwrap();
    assert_eq!(outcome(source.fetch("stripe").await), before);
    server.kill();
    // The connection that was kept may break first, and a busy machine takes a while
    // to end a process of that size.
    let expected = Err(SourceError::Unreachable(Unreachable::Connect));
    let mut gone = outcome(source.fetch("stripe").await);
    for _ in 0..5 {
        if gone != expected {
            gone = outcome(source.fetch("stripe").await);
        }
    }
    assert_eq!(gone, expected);
}

#[tokio::test]
async fn a_server_that_limits_requests_is_believed() {
    let server = server!();
    server.put("stripe", &json!({ "key": VALUE })).await;
    let source = server.source_of_root();
    let before = outcome(source.fetch("stripe").await);
    assert!(before.is_ok());
    let quota = json!({ "path": "secret", "rate": 1, "interval": "1h" });
    server.write("sys/quotas/rate-limit/few", &quota).await;
    let throttled = loop {
        if let Err(error) = source.fetch("stripe").await {
            break error;
        }
    };
    assert!(
        matches!(throttled, SourceError::Throttled { .. }),
        "{throttled:?}"
    );
    assert!(throttled.is_transient());
}
