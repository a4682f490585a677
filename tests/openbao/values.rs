//! What a KV engine holds, version by version.

use http::Method;
use keyward::egress::source::SourceProfile;
use keyward::names::SourceName;
use keyward::sources::openbao::{OpenBao, OpenBaoAuth};
use keyward::sources::{CheckStep, Source as _, SourceError, StepOutcome, Unreachable};
use serde_json::json;

use crate::{is_value, outcome, server};

const FIRST: &str = "9b1f64a07c2e5d83f0a4719ce2b85d36";
const SECOND: &str = "47f08b9e1c6a5d2f3e7b40819acd5f26";

#[tokio::test]
async fn each_value_that_is_put_is_fetched_under_its_own_version() {
    let server = server!();
    let source = server.source_of_root();
    assert_eq!(
        outcome(source.fetch("app/stripe").await),
        Err(SourceError::NotFound)
    );

    server.put("app/stripe", &json!({ "key": FIRST })).await;
    let first = outcome(source.fetch("app/stripe").await).unwrap();
    assert!(first.starts_with("1@20"), "{first}");
    assert!(is_value(&source, "app/stripe", FIRST).await);
    assert_eq!(
        outcome(source.fetch("app/stripe#key").await),
        Ok(first.clone())
    );

    server
        .put("app/stripe", &json!({ "key": SECOND, "user": "u" }))
        .await;
    let second = outcome(source.fetch("app/stripe#key").await).unwrap();
    assert!(second.starts_with("2@20"), "{second}");
    assert!(is_value(&source, "app/stripe#key", SECOND).await);
    assert!(!is_value(&source, "app/stripe#key", FIRST).await, "control");

    // Which field is no longer clear, and no other is taken in its place.
    let unclear = source.fetch("app/stripe").await;
    assert_eq!(outcome(unclear), Err(SourceError::Field));
    let none = source.fetch("app/stripe#password").await;
    assert_eq!(outcome(none), Err(SourceError::Field));

    // A reference may pin a version.
    assert_eq!(outcome(source.fetch("app/stripe@1").await), Ok(first));
    assert!(is_value(&source, "app/stripe@1#key", FIRST).await);
    let none = source.fetch("app/stripe@9#key").await;
    assert_eq!(outcome(none), Err(SourceError::NotFound));
}

#[tokio::test]
async fn a_deleted_version_is_disabled_and_a_destroyed_one_is_gone() {
    let server = server!();
    let source = server.source_of_root();
    server.put("stripe", &json!({ "key": FIRST })).await;
    let first = outcome(source.fetch("stripe").await);
    assert!(first.is_ok());
    let (status, _) = server.ask(Method::DELETE, "secret/data/stripe", None).await;
    assert!(status.is_success());
    assert_eq!(
        outcome(source.fetch("stripe").await),
        Err(SourceError::Disabled)
    );
    server
        .write("secret/undelete/stripe", &json!({ "versions": [1] }))
        .await;
    assert_eq!(outcome(source.fetch("stripe").await), first);
    server
        .write("secret/destroy/stripe", &json!({ "versions": [1] }))
        .await;
    assert_eq!(
        outcome(source.fetch("stripe").await),
        Err(SourceError::NotFound)
    );

    // Deleted as a whole, its numbers start anew: the version is another one.
    let (status, _) = server
        .ask(Method::DELETE, "secret/metadata/stripe", None)
        .await;
    assert!(status.is_success());
    server.put("stripe", &json!({ "key": SECOND })).await;
    let again = outcome(source.fetch("stripe").await);
    assert!(again.is_ok() && again != first, "{again:?}");
}

#[tokio::test]
async fn a_version_that_deletes_itself_is_valid_until_then() {
    let server = server!();
    let source = server.source_of_root();
    let metadata = json!({ "delete_version_after": "1h" });
    server.write("secret/metadata/stripe", &metadata).await;
    server.put("stripe", &json!({ "key": FIRST })).await;
    let fetched = source
        .fetch("stripe")
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    let until = fetched.validity.not_after.unwrap();
    let left = until.as_second() - jiff_now();
    assert!((3500..=3600).contains(&left), "{left}");
}

fn jiff_now() -> i64 {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

#[tokio::test]
async fn what_is_no_text_is_no_value() {
    let server = server!();
    let source = server.source_of_root();
    server
        .put(
            "odd",
            &json!({ "number": 7, "none": null, "list": ["a"], "empty": "" }),
        )
        .await;
    let what = "the field is not text";
    for field in ["number", "none", "list"] {
        let fetched = source.fetch(&format!("odd#{field}")).await;
        assert_eq!(
            outcome(fetched),
            Err(SourceError::Malformed { what }),
            "{field}"
        );
    }
    assert_eq!(
        outcome(source.fetch("odd#empty").await),
        Err(SourceError::Empty)
    );
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_gets_no_token() {
    let server = server!();
    let auth = OpenBaoAuth::TokenFile {
        file: server.file("root", server.root()),
    };
    let name = SourceName::parse("bao").unwrap();
    let source = OpenBao::new(
        name,
        server.settings(auth),
        SourceProfile::new(),
        &Default::default(),
    );
    let fetched = source.unwrap().fetch("stripe").await;
    let expected = SourceError::Unreachable(Unreachable::Certificate);
    assert_eq!(outcome(fetched), Err(expected));
}

#[tokio::test]
async fn a_check_takes_every_step_of_a_fetch() {
    let server = server!();
    let source = server.source_of_root();
    server.put("stripe", &json!({ "key": FIRST })).await;
    let steps = source.check(Some("stripe#key")).await;
    let details: Vec<String> = steps
        .iter()
        .map(|step| match &step.outcome {
            // When it was made is part of a version's name.
            StepOutcome::Passed { detail } => {
                let detail = detail.split('@').next().unwrap();
                format!("{}: {detail}", step.step)
            }
            other => panic!("{}: {other:?}", step.step),
        })
        .collect();
    assert_eq!(
        details,
        [
            "the server answers: ",
            "it is unsealed and active: ",
            "it takes the login: ",
            "it knows the token: it does not end",
            "it hands the secret over: version 1",
        ]
    );
    // Without a key no secret is read; with a wrong one, the last step says so.
    let steps = source.check(None).await;
    assert_eq!(steps[4].outcome, StepOutcome::Skipped);
    let steps = source.check(Some("nothing")).await;
    let error = SourceError::NotFound;
    assert_eq!(steps[4].outcome, StepOutcome::Failed { error });
}

#[tokio::test]
async fn a_check_says_what_to_do_for_each_thing_that_fails() {
    let server = server!();
    server.put("stripe", &json!({ "key": FIRST })).await;
    server.put("two", &json!({ "a": FIRST, "b": FIRST })).await;
    server.put("empty", &json!({ "key": "" })).await;
    server
        .policy("reader", &[("secret/data/two", "read")])
        .await;
    let stranger = "00000000-0000-0000-0000-000000000000";
    let role = OpenBaoAuth::AppRole {
        mount: "approle".to_owned(),
        role_id: server.app_role(&["reader"], json!({})).await,
        secret_id_file: server.secret_id().await,
        wrapped: false,
    };
    let wrong = |name: &str| OpenBaoAuth::TokenFile {
        file: server.file(name, "s.0000000000000000000000000"),
    };
    let refused = OpenBaoAuth::AppRole {
        mount: "approle".to_owned(),
        role_id: stranger.to_owned(),
        secret_id_file: server.file("stranger", stranger),
        wrapped: false,
    };
    let gone = OpenBaoAuth::TokenFile {
        file: server.folder().join("nowhere"),
    };
    let (login, token, read) = (2, 3, 4);
    let root = || OpenBaoAuth::TokenFile {
        file: server.file("root", server.root()),
    };
    for (auth, key, failed, error, advice) in [
        (
            refused,
            "stripe",
            login,
            "the login was refused",
            "trusts this credential",
        ),
        (
            gone,
            "stripe",
            login,
            "the credential file can't be read",
            "the file is mounted",
        ),
        (
            wrong("a"),
            "stripe",
            token,
            "does not accept the token",
            "those that the source trusts",
        ),
        (role, "stripe", read, "access denied", "`read` on its path"),
        (
            root(),
            "nothing",
            read,
            "no such secret in the source",
            "written as the source has it",
        ),
        (root(), "two", read, "has no such field", "PATH#FIELD"),
        (root(), "two#c", read, "has no such field", "PATH#FIELD"),
        (root(), "empty", read, "the value is empty", "Set a value"),
        (
            root(),
            "../stripe",
            read,
            "not a key of this source",
            "Correct the reference",
        ),
    ] {
        let steps = server.source(auth).check(Some(key)).await;
        let StepOutcome::Failed { error: found } = &steps[failed].outcome else {
            panic!("{error}: {steps:?}");
        };
        assert!(found.to_string().contains(error), "{error}: {found}");
        assert!(
            found.advice().contains(advice),
            "{error}: {}",
            found.advice()
        );
        let passed = |step: &CheckStep| matches!(step.outcome, StepOutcome::Passed { .. });
        assert!(steps[..failed].iter().all(passed), "{steps:?}");
        let skipped = |step: &CheckStep| step.outcome == StepOutcome::Skipped;
        assert!(steps[failed + 1..].iter().all(skipped), "{steps:?}");
    }
}
