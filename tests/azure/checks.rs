//! `check` walks all that a fetch does and names the step that failed.

use keyward::sources::managed_identity::{Identity, Surroundings};
use keyward::sources::{CheckStep, Source as _, StepOutcome};
use keyward_tests::key_vault::{Assigned, Azure, Challenge, FEDERATED_TOKEN, Names, State};

use crate::support::{machine, vault, vault_with};

/// The step that failed, its error, and how many came before.
fn failed(steps: &[CheckStep]) -> (usize, String, String) {
    let at = steps
        .iter()
        .position(|step| matches!(step.outcome, StepOutcome::Failed { .. }))
        .unwrap_or_else(|| panic!("none failed: {steps:?}"));
    let StepOutcome::Failed { error } = &steps[at].outcome else {
        unreachable!()
    };
    let passed = |step: &CheckStep| matches!(step.outcome, StepOutcome::Passed { .. });
    assert!(steps[..at].iter().all(passed), "{steps:?}");
    let skipped = |step: &CheckStep| step.outcome == StepOutcome::Skipped;
    assert!(steps[at + 1..].iter().all(skipped), "{steps:?}");
    assert_eq!(steps.len(), 8);
    assert!(error.advice().ends_with('.'));
    (at, steps[at].step.to_string(), error.to_string())
}

#[tokio::test]
async fn all_steps_of_a_source_that_works_pass() {
    let azure = Azure::start();
    let version = azure.change(|state| state.set("a", "sk_live_0123"));
    let vault = vault(&azure);
    let steps = vault.check(Some("a")).await;
    let lines: Vec<String> = steps
        .iter()
        .map(|step| match &step.outcome {
            StepOutcome::Passed { detail } => format!("{}: {detail}", step.step),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        lines[0],
        "the vault's name has an address: shop.vault.azure.net"
    );
    assert_eq!(lines[5], "the identity endpoint answers: imds");
    assert_eq!(
        lines[7],
        format!("the secret can be read: version {version}")
    );
    // Without a key, no secret is read.
    let steps = vault.check(None).await;
    assert_eq!(steps[7].outcome, StepOutcome::Skipped);
}

#[tokio::test]
async fn the_step_that_fails_is_named_with_what_to_do() {
    let azure = Azure::start();
    let dialer = azure.names().dialer();
    let mut settings = azure.settings();

    let nowhere = vault_with(&settings, &machine(), &Names::default().dialer());
    let steps = nowhere.check(Some("a")).await;
    assert_eq!(failed(&steps).0, 0);

    settings.networks = Some(vec![keyward::egress::Network::Private]);
    let inside = vault_with(&settings, &machine(), &dialer);
    assert_eq!(
        failed(&inside.check(None).await).1,
        "its address is allowed"
    );
    settings.networks = None;

    let dead = Names::default().with(".vault.azure.net", "127.0.0.1:9".parse().unwrap());
    let dead = vault_with(&settings, &machine(), &dead.dialer());
    assert_eq!(failed(&dead.check(None).await).1, "it accepts a connection");

    settings.roots = keyward::egress::Roots::Pem(Azure::start().authority_pem().into());
    let untrusted = vault_with(&settings, &machine(), &dialer);
    assert_eq!(
        failed(&untrusted.check(None).await).1,
        "its certificate is trusted"
    );

    azure.name_authority("https://login.evil.example");
    let steps = vault(&azure).check(None).await;
    assert_eq!(failed(&steps).1, "its challenge is as pinned");
    azure.change(|state| state.challenge = Challenge::Honest);
    azure.name_authority("https://login.microsoftonline.com");

    let names = Names::default().with(".vault.azure.net", azure.secure());
    let alone = vault_with(&azure.settings(), &machine(), &names.dialer());
    assert_eq!(
        failed(&alone.check(None).await).1,
        "the identity endpoint answers"
    );

    azure.change(|state| state.has_system_identity = false);
    let (_, step, error) = failed(&vault(&azure).check(None).await);
    assert_eq!(step, "it gives a token for the vault");
    assert_eq!(error, "no token: the identity is not assigned here");
    azure.change(|state| state.has_system_identity = true);

    let (_, step, error) = failed(&vault(&azure).check(Some("a")).await);
    assert_eq!(step, "the secret can be read");
    assert_eq!(error, "no such secret in the source");
}

/// Where a source stands, what goes wrong there, and what is said of it: the step, the
/// error and a part of what to do.
struct Fault {
    surroundings: Surroundings,
    identity: Identity,
    change: fn(&mut State),
    said: [&'static str; 3],
}

#[tokio::test]
async fn each_documented_failure_is_told_at_its_step_with_what_to_do() {
    const ENDPOINT: &str = "the identity endpoint answers";
    const TOKEN: &str = "it gives a token for the vault";
    const READABLE: &str = "the secret can be read";
    let azure = Azure::start();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), FEDERATED_TOKEN).unwrap();
    let endpoint = format!("http://{}/msi/token", azure.plain());
    let other_header = Surroundings::from_lookup(|name| match name {
        "IDENTITY_ENDPOINT" => Some(endpoint.clone()),
        "IDENTITY_HEADER" => Some("another".to_owned()),
        _ => None,
    });
    let nowhere = azure.workload(std::path::Path::new("/nowhere/token"));
    let stranger = Identity::ClientId("cccccccc-0000-1111-2222-333333333333".to_owned());
    let on = |surroundings: Surroundings, change, said| Fault {
        surroundings,
        identity: Identity::System,
        change,
        said,
    };
    let on_machine = |change, said| on(machine(), change, said);
    let as_stranger = |surroundings, said| Fault {
        surroundings,
        identity: stranger.clone(),
        change: |_| (),
        said,
    };
    let faults = [
        on(nowhere, |_| (), [ENDPOINT, "credential file", "is mounted"]),
        on(
            other_header,
            |_| (),
            [ENDPOINT, "IDENTITY_HEADER", "`platform`"],
        ),
        as_stranger(machine(), [TOKEN, "not assigned", "Assign the identity"]),
        as_stranger(
            azure.app_service(),
            [TOKEN, "not assigned", "Assign the identity"],
        ),
        as_stranger(
            azure.workload(file.path()),
            [TOKEN, "AADSTS700016", "`client-id`"],
        ),
        on_machine(
            |state| {
                state.has_system_identity = false;
                for client_id in ["a", "b"] {
                    state.assigned.push(Assigned {
                        client_id: client_id.to_owned(),
                        object_id: client_id.to_owned(),
                        resource_id: client_id.to_owned(),
                    });
                }
            },
            [TOKEN, "several identities", "`client-id`"],
        ),
        on_machine(
            |state| state.says_resource = Some("https://graph.microsoft.com".to_owned()),
            [TOKEN, "another resource or tenant", "`tenant`"],
        ),
        on_machine(
            |state| state.identity_faults.push_back((200, "rubbish".to_owned())),
            [TOKEN, "malformed", "the platform's own"],
        ),
        on_machine(
            |state| {
                state
                    .identity_faults
                    .extend([(); 9].map(|()| (503, String::new())))
            },
            [TOKEN, "failed with status 503", "asked again later"],
        ),
        on_machine(
            |state| {
                state
                    .identity_faults
                    .extend([(); 9].map(|()| (429, String::new())))
            },
            [TOKEN, "asks for fewer requests", "asked again later"],
        ),
        on_machine(
            |state| {
                fault(
                    state,
                    403,
                    r#"{"error":{"innererror":{"code":"ForbiddenByRbac"}}}"#,
                )
            },
            [READABLE, "access denied", "Key Vault Secrets User"],
        ),
        on_machine(
            |state| {
                fault(
                    state,
                    403,
                    r#"{"error":{"innererror":{"code":"ForbiddenByFirewall"}}}"#,
                )
            },
            [
                READABLE,
                "by the source's firewall",
                "firewall allow this machine",
            ],
        ),
        on_machine(
            |state| fault(state, 429, "{}"),
            [READABLE, "asks for fewer requests", "`refresh`"],
        ),
        on_machine(
            |state| fault(state, 503, ""),
            [READABLE, "failed with status 503", "its own status"],
        ),
        on_machine(
            |state| fault(state, 200, "rubbish"),
            [READABLE, "malformed", "a source of this kind"],
        ),
        on_machine(
            |state| state.newest("a").enabled = false,
            [READABLE, "disabled in the source", "Enable it"],
        ),
        on_machine(
            |state| state.newest("a").value.clear(),
            [READABLE, "the value is empty", "Set a value"],
        ),
    ];
    for Fault {
        surroundings,
        identity,
        change,
        said: [step, error, advice],
    } in faults
    {
        azure.change(|state| {
            state.reset();
            state.set("a", "sk_live_0123");
            change(state);
        });
        let mut settings = azure.settings();
        settings.identity = identity;
        // Less than the second wait for an endpoint that is not well.
        settings.timeout = std::time::Duration::from_secs(3);
        let vault = vault_with(&settings, &surroundings, &azure.names().dialer());
        let steps = vault.check(Some("a")).await;
        let (at, found_step, found) = failed(&steps);
        assert_eq!(found_step, step, "{error}: {steps:?}");
        assert!(found.contains(error), "{error}: {found}");
        let StepOutcome::Failed { error: found } = &steps[at].outcome else {
            unreachable!()
        };
        assert!(
            found.advice().contains(advice),
            "{error}: {}",
            found.advice()
        );
    }
}

fn fault(state: &mut State, status: u16, body: &str) {
    state
        .vault_faults
        .push_back((status, body.to_owned(), None));
}

#[tokio::test]
async fn a_value_whose_time_is_over_or_has_not_come_is_told_with_what_follows() {
    let azure = Azure::start();
    azure.change(|state| {
        state.set("over", "sk_live_0123");
        state.newest("over").expires = Some(1_000);
        state.set("early", "sk_live_0123");
        state.newest("early").not_before = Some(4_000_000_000);
    });
    let vault = vault(&azure);
    for (key, said) in [
        (
            "over",
            "over since 1970-01-01T00:16:40Z: uses of it are refused",
        ),
        ("early", "until then uses of it are refused"),
    ] {
        let steps = vault.check(Some(key)).await;
        let StepOutcome::Passed { detail } = &steps[7].outcome else {
            panic!("{steps:?}");
        };
        assert!(detail.contains(said), "{detail}");
    }
}
